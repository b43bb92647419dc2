//! The keys of all subjects.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use super::cache::Cache;
use super::entry::SubjectKeyEntry;
use super::receipt::ErasureReceipt;
use super::standing::Standing;
use super::store::{SubjectKeyChange, SubjectKeyStore};
use super::subject::Subject;
use super::subject_key::SubjectKey;
use crate::audit::{Audit, AuditEvent, AuditKind, TracingAudit};
use crate::crypto::data_key::DataKey;
use crate::error::{Error, ErrorKind};
use crate::keys::handle::Keys;
use crate::keys::lease::{Expiry, Reading};
use crate::secret::SecretKey;

/// The keys of data subjects, each in a [table](SubjectKeyStore), wrapped under the primary data key of a keyring of their
/// own. [`docs::erasure`](crate::docs::erasure) says what they are for.
///
/// What was read is kept for 60 seconds, and for 10,000 subjects, unless set: so long it takes until an erasure holds in
/// every replica. Cheap to clone; all clones share what they keep.
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// # use fieldseal::keys::{DataKey, Keys, MemorySubjectKeys, SecretKey};
/// use fieldseal::keys::{Subject, SubjectKeys};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fieldseal::Error> {
/// # let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate()?));
/// # let table = MemorySubjectKeys::default();
/// let subjects = SubjectKeys::new(table, keys).with_lifetime(Duration::from_secs(10));
/// tokio::spawn(subjects.drop_expired(tokio::time::sleep));
///
/// let tan = Subject::new("7")?;
/// assert!(!subjects.find(&tan).await?.exists());
/// assert!(subjects.find_or_create(&tan).await?.exists());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SubjectKeys {
    store: Arc<dyn SubjectKeyStore>,
    keys: Keys,
    lifetime: Duration,
    audit: Arc<dyn Audit>,
    cache: Arc<Mutex<Cache>>,
}

impl SubjectKeys {
    /// Takes the keys in `store`, wrapped under those of `keys`.
    pub fn new(store: impl SubjectKeyStore + 'static, keys: Keys) -> Self {
        let cache = Arc::new(Mutex::new(Cache::new(CAPACITY)));
        Self { store: Arc::new(store), keys, lifetime: LIFETIME, audit: Arc::new(TracingAudit), cache }
    }

    /// Keeps each key for `lifetime` after it was read, 60 seconds unless set. An erasure holds in every replica when it
    /// has passed, also for keys that were [prepared](SubjectKey) before.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// Keeps the keys of up to `subjects`, 10,000 unless set: about 2 KiB each.
    #[must_use]
    pub fn with_capacity(self, subjects: usize) -> Self {
        Self { cache: Arc::new(Mutex::new(Cache::new(subjects))), ..self }
    }

    /// Sends events to `audit` instead of `tracing`.
    #[must_use]
    pub fn with_audit(self, audit: impl Audit + 'static) -> Self {
        Self { audit: Arc::new(audit), ..self }
    }

    /// Prepares the key of `subject`, to read with. One that has no key, or was erased, is no error before something is
    /// to be opened.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyUnavailable`] where the table cannot be read, or the data key that wraps the key is not there;
    /// [`ErrorKind::Keyring`] where the entry was altered.
    pub async fn find(&self, subject: &Subject) -> Result<SubjectKey, Error> {
        if let Some(held) = self.cache().get(subject) {
            return Ok(held);
        }
        self.read(subject).await
    }

    /// Prepares the keys of many subjects, such as those of a page, in their order and with one question to the table.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find).
    pub async fn find_all(&self, subjects: &[Subject]) -> Result<Vec<SubjectKey>, Error> {
        let mut found: Vec<_> = {
            let cache = self.cache();
            subjects.iter().map(|subject| cache.get(subject)).collect()
        };
        let missing = || subjects.iter().enumerate().filter(|(at, _)| found[*at].is_none());
        let (places, missing): (Vec<_>, Vec<_>) = missing().map(|(at, subject)| (at, subject.clone())).unzip();
        if !missing.is_empty() {
            let read = Reading::now();
            let entries = self.store.get(&missing).await?;
            for ((at, subject), entry) in places.into_iter().zip(&missing).zip(entries) {
                found[at] = Some(self.prepare(subject, entry.as_ref(), read)?);
            }
        }
        let wanting =
            || Error::new(ErrorKind::KeyUnavailable, "the key table returned fewer entries than it was asked for");
        found.into_iter().collect::<Option<_>>().ok_or_else(wanting)
    }

    /// Prepares the key of `subject`, to write with, and makes one where there was none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Erased`] where the subject was erased; as [`find`](Self::find), and [`ErrorKind::KeyUnavailable`] where
    /// there is no data key to wrap a new key with, or the lease of its keyring is over.
    pub async fn find_or_create(&self, subject: &Subject) -> Result<SubjectKey, Error> {
        let found = self.find(subject).await?;
        match found.standing {
            Standing::Living => return Ok(found),
            Standing::Erased(at) => return Err(Error::erased(at)),
            Standing::Unknown | Standing::Expired => {}
        }
        for _ in 0..ATTEMPTS {
            let read = Reading::now();
            let data_keys = self.keys.current_for_encryption()?.for_long();
            let secret = SecretKey::generate()?;
            let (entry, key) = SubjectKeyEntry::wrap(data_keys.primary()?, subject, &secret)?;
            if self.store.insert(subject, &entry).await? {
                return Ok(self.keep(subject, Standing::Living, Some(key), read));
            }
            // Somebody else made one; or the id of this one is taken, and another is drawn.
            let found = self.read(subject).await?;
            match found.standing {
                Standing::Living => return Ok(found),
                Standing::Erased(at) => return Err(Error::erased(at)),
                Standing::Unknown | Standing::Expired => {}
            }
        }
        Err(Error::new(ErrorKind::KeyUnavailable, "the key table takes no new entry, and holds none of the subject"))
    }

    /// Erases `subject` for the reason `why`, such as the number of a request: overwrites the wrapped key, and tells the
    /// [audit](AuditKind::Erased). Their values are noise wherever a copy lies: at once for this process, in the others
    /// when the lifetime of cached keys has passed, and for who holds a backup of the key table when the epoch of its data
    /// key ends. Repeat it as often as you like.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] where the table has no entry of the subject: look at the id. [`ErrorKind::KeyUnavailable`]
    /// where the table cannot be read or written; then nothing was erased.
    pub async fn erase(&self, subject: &Subject, why: &str) -> Result<ErasureReceipt, Error> {
        for _ in 0..ATTEMPTS {
            let read = Reading::now();
            let entry = self.entry(subject).await?.ok_or_else(|| {
                let message = "there is no key of that subject to erase: look at the id, and at its tenant";
                Error::new(ErrorKind::NotFound, message)
            })?;
            let erased_at = entry.erased_at().unwrap_or_else(|| SystemTime::now().into());
            let (key_id, wrapped_by) = (entry.key_id(), entry.wrapped_by());
            if wrapped_by.is_some() {
                let tombstone = entry.to_erased(erased_at);
                let change = SubjectKeyChange { subject: subject.clone(), expected: entry, entry: tombstone };
                if self.store.replace(&[change]).await? == 0 {
                    continue;
                }
            }
            self.keep(subject, Standing::Erased(erased_at), None, read);
            let (kind, why) = (AuditKind::Erased, why.to_owned());
            let (who, key_id_told, path, looks_like) = (None, Some(key_id), None, None);
            let event =
                AuditEvent { kind, collection: "", field: "", who, key_id: key_id_told, path, looks_like, count: 1 };
            self.audit.record(&event);
            return Ok(ErasureReceipt { subject: subject.clone(), key_id, wrapped_by, erased_at, why });
        }
        Err(Error::new(ErrorKind::KeyUnavailable, "the key table changes all the time: nothing was erased, try again"))
    }

    /// Wraps every key again that is not wrapped under the primary data key, without touching a stored value, and returns
    /// how many those were. Call it once another data key was promoted, and again before the old one is forgotten: what
    /// it counts is the scan for that key.
    ///
    /// # Errors
    ///
    /// As [`find_or_create`](Self::find_or_create), and of a key that does not open, with its id, once all others of its
    /// batch are wrapped. What was wrapped by then stays so.
    pub async fn rewrap(&self) -> Result<u64, Error> {
        let (mut count, mut stalled) = (0, 0);
        loop {
            let data_keys = self.keys.current_for_encryption()?.for_long();
            let primary = data_keys.primary()?;
            let others = self.store.wrapped_by_others(primary.id(), BATCH).await?;
            if others.is_empty() {
                return Ok(count);
            }
            let (mut changes, mut closed) = (Vec::with_capacity(others.len()), None);
            for (subject, expected) in others {
                let Some(by) = expected.wrapped_by() else { continue };
                let opened = data_keys.for_decryption(by).and_then(|by| expected.unwrap(by, &subject));
                match opened {
                    Ok((secret, _)) => {
                        let (entry, _) = SubjectKeyEntry::wrap(primary, &subject, &secret)?;
                        changes.push(SubjectKeyChange { subject, expected, entry });
                    }
                    Err(error) => closed = Some((expected.key_id(), error)),
                }
            }
            // One that does not open keeps none of the others from being wrapped again.
            if let Some((id, error)) = closed.filter(|_| changes.is_empty()) {
                let message = format!(
                    "the subject key {id} could not be wrapped again, and the data key that wraps it must stay: {error}"
                );
                return Err(Error::new(error.kind(), message));
            }
            changes.sort_unstable_by(|one, other| one.subject.cmp(&other.subject));
            let made = self.store.replace(&changes).await?;
            count += made;
            stalled = if made == 0 { stalled + 1 } else { 0 };
            if stalled == ATTEMPTS {
                let message = "somebody else changes every key of the table that is wrapped again: let them end first";
                return Err(Error::new(ErrorKind::KeyUnavailable, message));
            }
        }
    }

    /// Overwrites keys whose lifetime has passed, again and again. Spawn it once; it ends when the last clone is dropped.
    /// Without it they are not used any more, but stay in memory until others are read.
    ///
    /// `sleep` is the one of the runtime, such as `tokio::time::sleep`.
    pub fn drop_expired<S, F>(&self, sleep: S) -> impl Future<Output = ()> + Send + use<S, F>
    where
        S: Fn(Duration) -> F + Send,
        F: Future<Output = ()> + Send,
    {
        let (cache, period) = (Arc::downgrade(&self.cache), (self.lifetime / 4).max(Duration::from_secs(1)));
        async move {
            while let Some(cache) = Weak::upgrade(&cache) {
                lock(&cache).evict();
                drop(cache);
                sleep(period).await;
            }
        }
    }

    async fn entry(&self, subject: &Subject) -> Result<Option<SubjectKeyEntry>, Error> {
        Ok(self.store.get(std::slice::from_ref(subject)).await?.pop().flatten())
    }

    async fn read(&self, subject: &Subject) -> Result<SubjectKey, Error> {
        let read = Reading::now();
        let entry = self.entry(subject).await?;
        self.prepare(subject, entry.as_ref(), read)
    }

    fn prepare(&self, subject: &Subject, entry: Option<&SubjectKeyEntry>, read: Reading) -> Result<SubjectKey, Error> {
        let Some(entry) = entry else { return Ok(self.keep(subject, Standing::Unknown, None, read)) };
        if let Some(at) = entry.erased_at() {
            return Ok(self.keep(subject, Standing::Erased(at), None, read));
        }
        let data_keys = self.keys.current();
        let by = entry.wrapped_by().expect("what is not erased is wrapped");
        let (_, key) = entry.unwrap(data_keys.for_decryption(by)?, subject)?;
        Ok(self.keep(subject, Standing::Living, Some(key), read))
    }

    fn keep(&self, subject: &Subject, standing: Standing, key: Option<DataKey>, read: Reading) -> SubjectKey {
        // That there is no key is soon outdated, and a wrong answer costs more than another question.
        let longest = if standing == Standing::Unknown { SHORT } else { self.lifetime };
        let expiry = Expiry::new(read, longest.min(self.lifetime));
        let keys = Keys::of_subject(standing, key, expiry);
        self.cache().put(SubjectKey { subject: Arc::new(subject.clone()), keys, standing, expiry })
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        lock(&self.cache)
    }
}

fn lock(cache: &Mutex<Cache>) -> MutexGuard<'_, Cache> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for SubjectKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectKeys")
            .field("keys", &self.keys)
            .field("lifetime", &self.lifetime)
            .field("cached", &self.cache().len())
            .finish_non_exhaustive()
    }
}

const LIFETIME: Duration = Duration::from_secs(60);
/// For how long it is believed that a subject has no key.
const SHORT: Duration = Duration::from_secs(1);
const CAPACITY: usize = 10_000;
/// How many keys are wrapped again at a time.
const BATCH: u32 = 500;
/// How often it is tried again where others change an entry at the same moment.
const ATTEMPTS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::key_id::KeyId;
    use crate::keys::{Keyring, KeyringFile, LocalKek, MemorySubjectKeys, SubjectKeyStoreFuture};

    fn data_keys(byte: u8) -> Keys {
        Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[byte; 32])))
    }

    #[tokio::test]
    async fn a_receipt_says_which_data_key_wrapped_the_key_that_is_gone() {
        let data_keys = data_keys(7);
        let subjects = SubjectKeys::new(MemorySubjectKeys::default(), data_keys.clone());
        let subject = Subject::new("42").unwrap();
        subjects.find_or_create(&subject).await.unwrap();
        let receipt = subjects.erase(&subject, "asked for it").await.unwrap();
        assert!(receipt.wrapped_by().is_some());
        assert_eq!(receipt.wrapped_by(), data_keys.primary_id());
        assert_eq!((receipt.subject(), receipt.why()), (&subject, "asked for it"));
        let again = subjects.erase(&subject, "asked for it again").await.unwrap();
        assert_eq!(again.wrapped_by(), None, "the first receipt has it");
        assert_eq!(again.key_id(), receipt.key_id());
    }

    #[tokio::test]
    async fn what_is_over_is_looked_for_four_times_in_each_lifetime() {
        for (lifetime, period) in [(60_000, 15_000), (10_000, 2500), (2000, 1000), (200, 1000)]
            .map(|(one, other)| (Duration::from_millis(one), Duration::from_millis(other)))
        {
            let subjects = SubjectKeys::new(MemorySubjectKeys::default(), data_keys(7)).with_lifetime(lifetime);
            let (sender, mut waits) = tokio::sync::mpsc::unbounded_channel();
            let dropping = tokio::spawn(subjects.drop_expired(move |wait| {
                sender.send(wait).unwrap();
                std::future::pending::<()>()
            }));
            assert_eq!(waits.recv().await, Some(period), "{lifetime:?}");
            dropping.abort();
        }
    }

    #[tokio::test]
    async fn every_key_is_wrapped_again_under_the_primary_data_key_and_stays_the_same() {
        let kek = LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
        let directory = tempfile::tempdir().unwrap();
        let store = KeyringFile::new(directory.path().join("keyring.json"));
        let mut keyring = Keyring::create("customers", &kek).await.unwrap();
        keyring.save(&store).await.unwrap();
        let data_keys = Keys::open(store.clone(), kek).await.unwrap();
        let subjects = SubjectKeys::new(MemorySubjectKeys::default(), data_keys.clone());
        let living: Vec<_> = (0..3).map(|id| Subject::new(id.to_string()).unwrap()).collect();
        let mut ids = Vec::new();
        for subject in &living {
            subjects.find_or_create(subject).await.unwrap();
            ids.push(subjects.entry(subject).await.unwrap().unwrap().key_id());
        }
        assert_eq!(subjects.rewrap().await.unwrap(), 0, "all are under the primary one");
        let kek = LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
        let new = keyring.add_key(&kek).await.unwrap();
        keyring.promote_without_waiting(new).unwrap();
        keyring.save(&store).await.unwrap();
        data_keys.reload().await.unwrap();
        assert_eq!(subjects.rewrap().await.unwrap(), 3);
        for (subject, id) in living.iter().zip(ids) {
            let entry = subjects.entry(subject).await.unwrap().unwrap();
            assert_eq!((entry.key_id(), entry.wrapped_by()), (id, Some(new)));
            assert!(subjects.read(subject).await.unwrap().exists());
        }
        assert_eq!(subjects.rewrap().await.unwrap(), 0);
    }

    /// Tells of one key at a time, and changes none where it `is_contended`.
    struct Slow {
        table: MemorySubjectKeys,
        is_contended: bool,
    }

    impl SubjectKeyStore for Slow {
        fn get<'a>(&'a self, subjects: &'a [Subject]) -> SubjectKeyStoreFuture<'a, Vec<Option<SubjectKeyEntry>>> {
            self.table.get(subjects)
        }

        fn insert<'a>(&'a self, subject: &'a Subject, entry: &'a SubjectKeyEntry) -> SubjectKeyStoreFuture<'a, bool> {
            self.table.insert(subject, entry)
        }

        fn replace<'a>(&'a self, changes: &'a [SubjectKeyChange]) -> SubjectKeyStoreFuture<'a, u64> {
            if self.is_contended { Box::pin(async { Ok(0) }) } else { self.table.replace(changes) }
        }

        fn wrapped_by_others(&self, key: KeyId, _: u32) -> SubjectKeyStoreFuture<'_, Vec<(Subject, SubjectKeyEntry)>> {
            self.table.wrapped_by_others(key, 1)
        }
    }

    #[tokio::test]
    async fn to_wrap_again_takes_as_many_steps_as_it_takes_and_ends_where_none_does_anything() {
        let directory = tempfile::tempdir().unwrap();
        let store = KeyringFile::new(directory.path().join("keyring.json"));
        let kek = || LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
        let mut keyring = Keyring::create("customers", &kek()).await.unwrap();
        keyring.save(&store).await.unwrap();
        let data_keys = Keys::open(store.clone(), kek()).await.unwrap();
        let table = MemorySubjectKeys::default();
        let subjects = |is_contended| SubjectKeys::new(Slow { table: table.clone(), is_contended }, data_keys.clone());
        for id in 0..2 * ATTEMPTS {
            subjects(false).find_or_create(&Subject::new(id.to_string()).unwrap()).await.unwrap();
        }
        let new = keyring.add_key(&kek()).await.unwrap();
        keyring.promote_without_waiting(new).unwrap();
        keyring.save(&store).await.unwrap();
        data_keys.reload().await.unwrap();
        let error = subjects(true).rewrap().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert!(error.to_string().contains("somebody else changes"), "{error}");
        assert_eq!(subjects(false).rewrap().await.unwrap(), u64::from(2 * ATTEMPTS));
    }

    #[test]
    fn who_has_no_key_is_looked_for_again_soon() {
        let keys = Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[7; 32])));
        let keys = SubjectKeys::new(MemorySubjectKeys::default(), keys);
        let subject = Subject::new("42").unwrap();
        let read = Reading::ago(2 * SHORT);
        assert!(keys.keep(&subject, Standing::Unknown, None, read).expiry.is_over());
        assert!(!keys.keep(&subject, Standing::Living, None, read).expiry.is_over());
    }
}
