//! The file in which a keyring stands.

use std::fs;
use std::path::{Path, PathBuf};

use super::key_service::KeyService;
use super::keyring::Keyring;
use super::private_file;
use crate::error::{Error, ErrorKind};

/// A keyring as a file that, on Unix, only its owner may read (mode 0600).
///
/// It is replaced as a whole, so that a reader never meets a half-written one, and only by a change to the revision
/// that it holds: of two people who change it at once, one is told to repeat. Keep it on a file system with locks and
/// atomic renames, which any local one is. Beside it stands an empty file whose name ends in `.lock`.
///
/// On systems other than Unix the permissions cannot be checked: see to them there. All methods read and write with
/// blocking calls, also those that are async for the sake of the key service.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{Keyring, KeyringFile, LocalKek, SecretKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fieldseal::Error> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("keyring.json");
/// # let kek = LocalKek::new(&SecretKey::generate()?);
/// let file = KeyringFile::new(path);
/// file.create(&mut Keyring::create("customers", &kek).await?)?;
///
/// let mut keyring = file.load(&kek).await?;
/// keyring.add_key(&kek).await?;
/// file.save(&mut keyring)?;
/// assert_eq!(file.load(&kek).await?.revision(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct KeyringFile {
    path: PathBuf,
}

impl KeyringFile {
    /// Names the file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the keyring and has `service` unwrap the key that authenticates it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the file is missing, open to other users, longer than 1 MiB, cut short or altered,
    /// or where `service` is not the one that wrapped the keys; [`ErrorKind::KeyService`].
    pub async fn load(&self, service: &dyn KeyService) -> Result<Keyring, Error> {
        self.load_after(service, None).await
    }

    pub(super) async fn load_after(&self, service: &dyn KeyService, held: Option<&Keyring>) -> Result<Keyring, Error> {
        let json = private_file::read(&self.path, FILE, LONGEST)?;
        Keyring::open(&json, &self.place(), service, held).await
    }

    /// Writes `keyring` to a new file, and returns when it is on the disk.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the file exists already, which is never overwritten, or cannot be written.
    pub fn create(&self, keyring: &mut Keyring) -> Result<(), Error> {
        private_file::create(&self.path, FILE, &self.json_of(keyring)?)?;
        keyring.mark_stored();
        Ok(())
    }

    /// Puts `keyring` in the place of the revision that it was loaded from, and returns when it is on the disk.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the file does not hold that revision any more, another process is changing it, or
    /// it cannot be read or written. What stands there then is one whole revision: load it to see which.
    pub fn save(&self, keyring: &mut Keyring) -> Result<(), Error> {
        // A link stays a link, and all who change the file it leads to meet at the same lock.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let _lock = private_file::lock(&path, FILE)?;
        let found = private_file::read(&path, FILE, LONGEST)?;
        if keyring.is_change_of(&found, &self.place())? {
            private_file::replace(&path, FILE, &self.json_of(keyring)?)?;
            keyring.mark_stored();
        }
        Ok(())
    }

    /// What messages call the file.
    pub(super) fn place(&self) -> String {
        format!("the {FILE} `{}`", self.path.display())
    }

    fn json_of(&self, keyring: &Keyring) -> Result<Vec<u8>, Error> {
        let json = keyring.to_json();
        if json.len() <= LONGEST {
            return Ok(json);
        }
        let message = format!("{} would be longer than {LONGEST} bytes: begin another keyring", self.place());
        Err(Error::new(ErrorKind::Keyring, message))
    }
}

const FILE: &str = "keyring file";
/// 1 MiB: room for thousands of keys.
const LONGEST: usize = 1 << 20;
