//! The keys that a service works with.

use std::fmt;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use super::key_service::KeyService;
use super::key_set::KeySet;
use super::keyring::Keyring;
use super::keyring_file::KeyringFile;
use crate::crypto::data_key::DataKey;
use crate::crypto::key_id::KeyId;
use crate::error::Error;

/// The unwrapped keys of a keyring, ready to encrypt and decrypt with.
///
/// Cheap to clone, and all clones see the same keys. Whoever begins a document keeps the keys of that moment until its
/// end, so a change of the keyring never meets half a document.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{Keyring, KeyringFile, Keys, LocalKek};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fieldseal::Error> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let (kek_path, path) = (directory.path().join("kek"), directory.path().join("keyring.json"));
/// # let kek = LocalKek::create_file(&kek_path)?;
/// # let file = KeyringFile::new(&path);
/// # let mut keyring = Keyring::create("customers", &kek).await?;
/// # file.create(&mut keyring)?;
/// let keys = Keys::open(path, LocalKek::from_file(kek_path)?).await?;
/// assert_eq!(keys.revision(), Some(1));
///
/// // Somebody adds a key ...
/// keyring.add_key(&kek).await?;
/// file.save(&mut keyring)?;
///
/// // ... and the service takes notice: call this every minute or so.
/// keys.reload().await?;
/// assert_eq!(keys.revision(), Some(2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    /// Readers hold the lock for as long as it takes to clone the pointer.
    current: RwLock<Arc<KeySet>>,
    source: Option<Source>,
}

struct Source {
    file: KeyringFile,
    service: Box<dyn KeyService>,
}

impl Keys {
    /// Reads the keyring file at `path` and has `service` unwrap every key in it that may decrypt.
    ///
    /// Reads with blocking calls, and waits for `service` for as long as that takes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where the file is not as it should be, or `service` is not
    /// the one that wrapped the keys; [`ErrorKind::KeyService`](crate::ErrorKind::KeyService).
    pub async fn open(path: impl Into<PathBuf>, service: impl KeyService + 'static) -> Result<Self, Error> {
        let source = Source { file: KeyringFile::new(path), service: Box::new(service) };
        let keyring = source.file.load(&*source.service).await?;
        let set = KeySet::unwrap(keyring, &source.file.place(), &*source.service, None).await?;
        Ok(Self::new(set, Some(source)))
    }

    /// Takes `key` as the one key, and as the primary one, without a keyring: for tests, and for those who manage their
    /// keys themselves.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::keys::{DataKey, Keys, SecretKey};
    ///
    /// let key = DataKey::new(&SecretKey::generate()?);
    /// let id = key.id();
    /// assert_eq!(Keys::from_data_key(key).primary_id(), Some(id));
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    #[must_use]
    pub fn from_data_key(key: DataKey) -> Self {
        Self::new(KeySet::of_one(key), None)
    }

    fn new(set: KeySet, source: Option<Source>) -> Self {
        Self(Arc::new(Inner { current: RwLock::new(Arc::new(set)), source }))
    }

    /// Reads the keyring file again and exchanges all keys at once.
    ///
    /// Keys that are in memory are kept, so the key service is asked for new ones only. Whatever fails, the keys in use
    /// stay in use; so do they where this is cancelled, and where the keys come from no keyring and there is nothing
    /// to read.
    ///
    /// # Errors
    ///
    /// As [`open`](Keys::open), and [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where the file holds an older
    /// revision than the one in use, the same revision with another content, or another keyring.
    pub async fn reload(&self) -> Result<(), Error> {
        let Some(Source { file, service }) = &self.0.source else { return Ok(()) };
        let (held, place) = (self.current(), file.place());
        let keyring = file.load_after(&**service, held.keyring()).await?;
        if let Some(in_use) = held.keyring()
            && !keyring.supersedes(in_use, &place)?
        {
            return Ok(());
        }
        let set = KeySet::unwrap(keyring, &place, &**service, Some(&held)).await?;
        self.exchange(set, &place)
    }

    /// Puts `set` in force unless another call has put in force a later one since.
    fn exchange(&self, set: KeySet, place: &str) -> Result<(), Error> {
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        if let (Some(new), Some(in_use)) = (set.keyring(), current.keyring())
            && (new.revision() < in_use.revision() || !new.supersedes(in_use, place)?)
        {
            return Ok(());
        }
        let former = mem::replace(&mut *current, Arc::new(set));
        let in_force = Arc::clone(&current);
        drop(current);
        drop(former);
        let (keyring, revision) = in_force.keyring().map(|keyring| (keyring.name(), keyring.revision())).unzip();
        tracing::info!(keyring, revision, "the keys were exchanged for those of a later revision");
        Ok(())
    }

    /// Returns the revision of the keyring in use, or nothing where the keys come from none.
    #[must_use]
    pub fn revision(&self) -> Option<u64> {
        self.current().keyring().map(Keyring::revision)
    }

    /// Returns the id of the key that encrypts, where there is one.
    #[must_use]
    pub fn primary_id(&self) -> Option<KeyId> {
        self.current().primary().ok().map(|key| key.id())
    }

    /// Returns the keys of this moment.
    pub(crate) fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.0.source.as_ref();
        f.debug_struct("Keys")
            .field("current", &self.current())
            .field("path", &source.map(|source| source.file.path()))
            .field("service", &source.map(|source| source.service.name()))
            .finish()
    }
}
