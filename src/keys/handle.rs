//! The keys that a service works with.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use super::due::Due;
use super::in_force::{HeldKeys, InForce};
use super::key_services::KeyServices;
use super::key_set::KeySet;
use super::keyring::Keyring;
use super::lease::{Expiry, Reading, Term};
use super::store::KeyringStore;
use super::subjects::Standing;
use crate::crypto::data_key::DataKey;
use crate::crypto::key_id::KeyId;
use crate::crypto::random;
use crate::error::{Error, ErrorKind};
use crate::timestamp::Timestamp;

/// The unwrapped keys of a keyring, ready to encrypt and decrypt with.
///
/// Cheap to clone, and all clones see the same keys. Whoever begins a document keeps the keys of that moment until its
/// end, so a change of the keyring never meets half a document.
///
/// Encrypts only while the keyring was read within the lease of its [`Timing`](super::Timing), 120 seconds unless set:
/// a replica that is cut off from the keyring stops writing, and goes on reading. [`keep_fresh`](Keys::keep_fresh) sees
/// to it. A keyring file that has not changed is also seen to be so at the time of use.
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
/// # let store = KeyringFile::new(&path);
/// # let mut keyring = Keyring::create("customers", &kek).await?;
/// # keyring.save(&store).await?;
/// let keys = Keys::open(KeyringFile::new(path), LocalKek::from_file(kek_path)?).await?;
/// tokio::spawn(keys.keep_fresh(tokio::time::sleep));
/// assert_eq!(keys.revision(), Some(1));
///
/// // Somebody adds a key, and within the refresh period the service takes notice; or at once, where it is told to.
/// keyring.add_key(&kek).await?;
/// keyring.save(&store).await?;
/// keys.reload().await?;
/// assert_eq!(keys.revision(), Some(2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    in_force: InForce,
    source: Option<Source>,
    /// When keys that come from a key table end.
    expiry: Option<Expiry>,
}

struct Source {
    store: Box<dyn KeyringStore>,
    services: KeyServices<'static>,
}

impl Keys {
    /// Reads the keyring in `store` and has `services` unwrap every key in it that may decrypt.
    ///
    /// Waits for the store and the key services for as long as they take.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the keyring is not as it should be, or none of `services` wrapped a key that is
    /// needed; [`ErrorKind::KeyService`].
    pub async fn open(
        store: impl KeyringStore + 'static,
        services: impl Into<KeyServices<'static>>,
    ) -> Result<Self, Error> {
        let source = Source { store: Box::new(store), services: services.into() };
        let read = Reading::now();
        let keyring = Keyring::load_after(&*source.store, &source.services, None).await?;
        let set = KeySet::unwrap(keyring, &source.store.place(), &source.services, None).await?;
        report_due(&set);
        Ok(Self::new(set, read, Some(source)))
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
        Self::new(KeySet::of_one(key), Reading::now(), None)
    }

    /// Holds no key, and encrypts and decrypts nothing: for a cipher whose keys come with each tenant.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::keys::Keys;
    /// use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};
    ///
    /// let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    /// let refused = FieldCipher::new(policy, Keys::none()).encrypt_value("phone", "+65 9123 4567").unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::KeyUnavailable);
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    #[must_use]
    pub fn none() -> Self {
        Self::new(KeySet::of_none(), Reading::now(), None)
    }

    fn new(set: KeySet, read: Reading, source: Option<Source>) -> Self {
        Self(Arc::new(Inner { in_force: InForce::new(set, read), source, expiry: None }))
    }

    /// The key of a subject until `expiry`, or none.
    pub(super) fn of_subject(standing: Standing, key: Option<DataKey>, expiry: Expiry) -> Self {
        let in_force = InForce::new(KeySet::of_subject(standing, key), Reading::now());
        Self(Arc::new(Inner { in_force, source: None, expiry: Some(expiry) }))
    }

    /// Takes the key of a subject away from all clones.
    pub(super) fn erase(&self, at: Timestamp) {
        self.0.in_force.put(KeySet::of_subject(Standing::Erased(at), None));
    }

    /// Reads the keyring again and exchanges all keys at once.
    ///
    /// Keys that are in memory are kept, so the key service is asked for new ones only. Whatever fails, the keys in use
    /// stay in use; so do they where this is cancelled, and where the keys come from no keyring and there is nothing
    /// to read.
    ///
    /// # Errors
    ///
    /// As [`open`](Keys::open), and [`ErrorKind::Keyring`] where the store holds an older revision than the one in
    /// use, the same revision with another content, or another keyring.
    pub async fn reload(&self) -> Result<(), Error> {
        self.0.reload().await
    }

    /// Reloads again and again: once every refresh period of the keyring's [`Timing`](super::Timing), and four times
    /// as often after a failure, which is logged. Spawn it once; it ends when the last clone of these keys is dropped.
    ///
    /// A reading that has not ended after half of what the lease has beyond a refresh period, and after 30 seconds at least, is
    /// given up as a failure: what waits for an answer on a connection that is gone may wait for ever.
    ///
    /// `sleep` is the one of the runtime, such as `tokio::time::sleep`. A tenth of each period is left to chance, so
    /// that a fleet that was started at once does not ask at once. Keys that come from no keyring are left alone.
    pub fn keep_fresh<S, F>(&self, sleep: S) -> impl Future<Output = ()> + Send + use<S, F>
    where
        S: Fn(Duration) -> F + Send,
        F: Future<Output = ()> + Send,
    {
        let keys = if self.0.source.is_some() { Arc::downgrade(&self.0) } else { Weak::new() };
        async move {
            let mut failed = false;
            while let Some(period) = keys.upgrade().map(|keys| keys.refresh_period()) {
                let period = if failed { period / 4 } else { period };
                sleep(period.mul_f64(1.0 - 0.1 * random::fraction())).await;
                let Some(keys) = keys.upgrade() else { return };
                let longest = keys.longest_reading();
                let given_up = || Err(Error::new(ErrorKind::Keyring, format!("no end of it within {longest:?}")));
                let outcome = unless(sleep(longest), keys.reload()).await.unwrap_or_else(given_up);
                failed = outcome.is_err();
                if let Err(error) = outcome {
                    let cause = std::error::Error::source(&error).map(tracing::field::display);
                    tracing::warn!(%error, cause, "the keyring could not be read again; the keys in use stay in use");
                }
            }
        }
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

    /// Returns what is due now by the keyring's schedule.
    #[must_use]
    pub fn due(&self) -> Vec<Due> {
        self.current().keyring().map(|keyring| keyring.due(SystemTime::now())).unwrap_or_default()
    }

    /// Returns the keys of this moment, to decrypt with.
    pub(crate) fn current(&self) -> HeldKeys {
        if self.0.expiry.is_some_and(|expiry| expiry.is_over()) {
            return HeldKeys::of(KeySet::of_subject(Standing::Expired, None), Reading::now());
        }
        self.0.in_force.now()
    }

    /// Returns for how long `set`, taken now, may be used.
    pub(crate) fn term(&self, set: &KeySet) -> Term {
        match set.keyring().map(Keyring::timing) {
            Some(timing) if self.0.source.is_some() => Term::from_now(timing.lease.map(|_| timing.longest_request)),
            _ if self.0.expiry.is_some() => Term::from_now(None),
            _ => Term::unlimited(),
        }
    }

    /// Returns the keys of this moment, to encrypt with.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyUnavailable`] where the last reading of the keyring is older than the lease.
    pub(crate) fn current_for_encryption(&self) -> Result<HeldKeys, Error> {
        let Some(Source { store, .. }) = &self.0.source else { return Ok(self.current()) };
        let set = self.0.in_force.now();
        let Some(keyring) = set.keyring() else { return Ok(set) };
        let timing = keyring.timing();
        let Some(lease) = timing.lease else { return Ok(set) };
        let age = set.reading().age();
        if age <= timing.refresh {
            return Ok(set);
        }
        let reading = Reading::now();
        if keyring.stored().is_some_and(|document| store.is_still(document)) {
            self.0.in_force.renew(&set, reading);
            return Ok(set);
        }
        if age <= lease {
            return Ok(set);
        }
        let (place, age, lease) = (store.place(), age.as_secs(), lease.as_secs());
        let message = format!(
            "{place} was last read {age} seconds ago, and its lease is {lease}: another replica may have left the key; \
             see to it that `Keys::keep_fresh` runs, and why it fails"
        );
        Err(Error::new(ErrorKind::KeyUnavailable, message))
    }
}

impl Inner {
    fn refresh_period(&self) -> Duration {
        let set = self.in_force.now();
        let period = set.keyring().map_or(Duration::ZERO, |keyring| keyring.timing().refresh);
        period.max(Duration::from_secs(1))
    }

    /// How long a reading may take, so that the next one can still end within the lease.
    fn longest_reading(&self) -> Duration {
        let set = self.in_force.now();
        let timing = set.keyring().map(Keyring::timing).unwrap_or_default();
        let left = timing.lease.map_or(timing.refresh, |lease| lease.saturating_sub(timing.refresh) / 2);
        left.min(timing.refresh).max(LONGEST_READING)
    }

    async fn reload(&self) -> Result<(), Error> {
        let Some(Source { store, services }) = &self.source else { return Ok(()) };
        let (held, place, reading) = (self.in_force.now().for_long(), store.place(), Reading::now());
        let keyring = Keyring::load_after(&**store, services, held.keyring()).await?;
        if let Some(in_use) = held.keyring()
            && !keyring.supersedes(in_use, &place)?
        {
            self.in_force.renew(&held, reading);
            return Ok(());
        }
        let set = KeySet::unwrap(keyring, &place, services, Some(&held)).await?;
        report_due(&set);
        self.in_force.exchange(set, reading, &place)
    }
}

/// How long a reading may take at least before it is given up: room for all attempts at one key of a service that is slow.
const LONGEST_READING: Duration = Duration::from_secs(30);

/// Returns what `work` comes to, or nothing where `end` comes first.
async fn unless<T>(end: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    let (mut end, mut work) = (pin!(end), pin!(work));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => end.as_mut().poll(context).map(|()| None),
    })
    .await
}

/// Says in the log what is due: nobody else may look.
fn report_due(set: &KeySet) {
    for due in set.keyring().map(|keyring| keyring.due(SystemTime::now())).unwrap_or_default() {
        tracing::warn!(keyring = set.keyring().map(Keyring::name), "{due}");
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.0.source.as_ref();
        f.debug_struct("Keys")
            .field("current", &self.current())
            .field("store", &source.map(|source| source.store.place()))
            .field("services", &source.map(|source| &source.services))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;
    use crate::keys::key_service::{KeyService, KeyServiceFuture};
    use crate::keys::local::LocalKek;
    use crate::keys::store::KeyringStoreFuture;
    use crate::keys::wrap_context::WrapContext;
    use crate::keys::wrapped_key::WrappedKey;
    use crate::secret::SecretKey;

    fn kek() -> LocalKek {
        LocalKek::new(&SecretKey::from_bytes(&[7; 32]))
    }

    /// A document in memory, which can be out of reach, and which can or cannot tell at once whether it is the same.
    #[derive(Default)]
    struct Memory {
        document: Mutex<Option<Vec<u8>>>,
        tells_at_once: bool,
        is_silent: AtomicBool,
    }

    impl KeyringStore for Arc<Memory> {
        fn place(&self) -> String {
            "memory".to_owned()
        }

        fn read(&self) -> KeyringStoreFuture<'_, Vec<u8>> {
            let document = self.document.lock().unwrap().clone();
            if self.is_silent.load(Ordering::SeqCst) {
                return Box::pin(std::future::pending());
            }
            Box::pin(async { document.ok_or_else(|| Error::new(ErrorKind::Keyring, "out of reach")) })
        }

        fn replace<'a>(
            &'a self,
            _: Option<&'a [u8]>,
            document: &'a [u8],
        ) -> KeyringStoreFuture<'a, Result<(), Vec<u8>>> {
            *self.document.lock().unwrap() = Some(document.to_vec());
            Box::pin(async { Ok(Ok(())) })
        }

        fn is_still(&self, document: &[u8]) -> bool {
            self.tells_at_once && self.document.lock().unwrap().as_deref() == Some(document)
        }
    }

    async fn opened(tells_at_once: bool) -> (Arc<Memory>, Keyring, Keys) {
        let store = Arc::new(Memory { tells_at_once, ..Memory::default() });
        let mut keyring = Keyring::create("customers", &kek()).await.unwrap();
        keyring.save(&store).await.unwrap();
        let keys = Keys::open(Arc::clone(&store), kek()).await.unwrap();
        (store, keyring, keys)
    }

    fn last_read(keys: &Keys, seconds_ago: u64) {
        keys.0.in_force.made_older(Duration::from_secs(seconds_ago));
    }

    #[tokio::test]
    async fn a_replica_that_is_cut_off_stops_writing_and_goes_on_reading() {
        let (store, _, keys) = opened(false).await;
        last_read(&keys, 119);
        keys.current_for_encryption().unwrap();
        last_read(&keys, 121);
        let error = keys.current_for_encryption().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert!(error.to_string().contains("its lease is 120"), "{error}");
        assert!(keys.current().primary().is_ok());

        let document = store.document.lock().unwrap().take();
        keys.reload().await.unwrap_err();
        assert!(keys.current_for_encryption().is_err(), "a reading that failed renews nothing");
        *store.document.lock().unwrap() = document;
        keys.reload().await.unwrap();
        keys.current_for_encryption().unwrap();
    }

    #[tokio::test]
    async fn a_store_that_tells_at_once_renews_the_lease_for_the_same_document_only() {
        let (store, mut keyring, keys) = opened(true).await;
        last_read(&keys, 1_000_000);
        keys.current_for_encryption().unwrap();
        assert!(keys.0.in_force.now().reading().age() < Duration::from_secs(60));

        keyring.add_key(&kek()).await.unwrap();
        keyring.save(&store).await.unwrap();
        last_read(&keys, 100);
        keys.current_for_encryption().unwrap();
        last_read(&keys, 1_000_000);
        assert!(keys.current_for_encryption().is_err());
    }

    #[tokio::test]
    async fn without_a_lease_nothing_stops() {
        let (store, mut keyring, keys) = opened(false).await;
        keyring.set_timing(super::super::Timing::single_process()).unwrap();
        keyring.save(&store).await.unwrap();
        keys.reload().await.unwrap();
        last_read(&keys, 1_000_000);
        keys.current_for_encryption().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_kept_fresh_until_they_are_dropped() {
        let (store, mut keyring, keys) = opened(false).await;
        let fresh = tokio::spawn(keys.keep_fresh(tokio::time::sleep));
        keyring.add_key(&kek()).await.unwrap();
        keyring.save(&store).await.unwrap();
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(keys.revision(), Some(2));

        // After a failure it asks four times as often.
        let document = store.document.lock().unwrap().take();
        tokio::time::sleep(Duration::from_secs(61)).await;
        keyring.add_key(&kek()).await.unwrap();
        assert!(document.is_some());
        keyring.save(&store).await.unwrap();
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert_eq!(keys.revision(), Some(3));

        drop(keys);
        tokio::time::timeout(Duration::from_secs(61), fresh).await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenth_of_each_refresh_period_is_left_to_chance() {
        let (_, _, keys) = opened(false).await;
        let waits = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&waits);
        let fresh = tokio::spawn(keys.keep_fresh(move |wait| {
            told.lock().unwrap().push(wait);
            tokio::time::sleep(wait)
        }));
        tokio::time::sleep(Duration::from_secs(20 * 60)).await;
        drop(keys);
        tokio::time::timeout(Duration::from_secs(61), fresh).await.unwrap().unwrap();
        let waits = waits.lock().unwrap();
        // Of the others, one for each reading, none is waited for: they bound it.
        let periods: Vec<_> = waits.iter().filter(|wait| **wait != LONGEST_READING).collect();
        assert!((20..=23).contains(&periods.len()), "{waits:?}");
        assert!(periods.iter().all(|wait| (54..=60).contains(&wait.as_secs())), "{waits:?}");
        assert!(periods.iter().any(|wait| *wait != periods[0]), "{waits:?}");
    }

    #[tokio::test]
    async fn keys_that_never_change_are_never_taken_anew() {
        let aged = |keys: &Keys| keys.term(&keys.current()).made_older(Duration::from_secs(2));
        let key = || DataKey::new(&SecretKey::from_bytes(&[7; 32]));
        let alone = Keys::from_data_key(key());
        assert!(!aged(&alone).is_over());
        let expiry = Expiry::new(Reading::now(), Duration::from_secs(60));
        assert!(aged(&Keys::of_subject(Standing::Living, Some(key()), expiry)).is_over());
        let (_, _, keys) = opened(false).await;
        assert!(aged(&keys).is_over());
    }

    #[tokio::test]
    async fn what_is_due_is_logged_when_the_keyring_is_read_and_when_it_is_read_again() {
        let day = Duration::from_secs(86_400);
        let mut keyring = Keyring::create_at("customers", &kek(), SystemTime::now() - 100 * day).await.unwrap();
        let id = keyring.keys()[0].id().to_string();
        let store = Arc::new(Memory::default());
        keyring.save(&store).await.unwrap();
        let log = Log::default();
        let written = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || written.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let keys = Keys::open(Arc::clone(&store), kek()).await.unwrap();
        assert!(!log.taken().contains(&id), "without a schedule nothing is due");
        let schedule = super::super::Schedule { rotate_every: Some(90 * day), lifetime: None };
        keyring.set_schedule(schedule).unwrap();
        keyring.save(&store).await.unwrap();
        keys.reload().await.unwrap();
        let warning = log.taken();
        assert!(warning.contains("WARN") && warning.contains(&id) && warning.contains("customers"), "{warning}");
        Keys::open(store, kek()).await.unwrap();
        let warning = log.taken();
        assert!(warning.contains("WARN") && warning.contains(&id), "{warning}");
    }

    /// A key-encryption key that counts what it is asked to unwrap.
    struct Counting(LocalKek, Arc<AtomicUsize>);

    impl KeyService for Counting {
        fn name(&self) -> &str {
            self.0.name()
        }

        fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
            self.0.wrap(key, context)
        }

        fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
            self.1.fetch_add(1, Ordering::SeqCst);
            self.0.unwrap(wrapped, context)
        }
    }

    #[tokio::test]
    async fn the_key_service_is_asked_for_what_is_new_alone() {
        let (store, mut keyring, _) = opened(false).await;
        let calls = Arc::new(AtomicUsize::new(0));
        let keys = Keys::open(Arc::clone(&store), Counting(kek(), Arc::clone(&calls))).await.unwrap();
        assert_eq!(calls.swap(0, Ordering::SeqCst), 2, "the key that authenticates, and the one that encrypts");
        keys.reload().await.unwrap();
        assert_eq!(calls.swap(0, Ordering::SeqCst), 0);
        keyring.add_key(&kek()).await.unwrap();
        keyring.save(&store).await.unwrap();
        keys.reload().await.unwrap();
        assert_eq!((keys.revision(), calls.swap(0, Ordering::SeqCst)), (Some(2), 1));
        let former = kek().name().to_owned();
        let other = LocalKek::new(&SecretKey::from_bytes(&[8; 32]));
        keyring.rewrap(&former, kek(), &other).await.unwrap();
        keyring.save(&store).await.unwrap();
        let refused = keys.reload().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Keyring, "who authenticates it is asked, and is not there");
        assert_eq!(keys.revision(), Some(2));
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn taken(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    impl std::io::Write for Log {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_never_answers_is_asked_again() {
        let (store, mut keyring, keys) = opened(false).await;
        let fresh = tokio::spawn(keys.keep_fresh(tokio::time::sleep));
        store.is_silent.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(61)).await;
        keyring.add_key(&kek()).await.unwrap();
        keyring.save(&store).await.unwrap();
        store.is_silent.store(false, Ordering::SeqCst);
        // The question that is under way never ends; it is given up, and the next one is asked soon.
        tokio::time::sleep(Duration::from_secs(60 + 16)).await;
        assert_eq!(keys.revision(), Some(2));

        store.is_silent.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(61)).await;
        drop(keys);
        tokio::time::timeout(Duration::from_secs(61), fresh).await.unwrap().unwrap();
    }
}
