//! A key service that may be slow, busy or away.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time;

use crate::crypto::random;
use crate::error::{Error, ErrorKind};
use crate::keys::key_service::{KeyService, KeyServiceFuture};
use crate::keys::wrap_context::WrapContext;
use crate::keys::wrapped_key::WrappedKey;
use crate::secret::SecretKey;

/// Gives a [`KeyService`] time-outs, retries, a bounded cache of unwrapped keys, and one call at a time for each key.
///
/// Each attempt has 5 seconds. After one that failed but may pass, such as a time-out, throttling or a lost connection,
/// up to three more follow, each after a pause drawn at random from 0 to a bound that doubles from 200 ms to 5 s (full
/// jitter). What the service refuses is not asked again.
///
/// What was unwrapped is kept for 5 minutes, for up to 1,000 keys, so that a process with many keyrings, or one that
/// opens the same keyring again, asks once. Callers that want the same key at the same time wait for one call, and share
/// its failure. [`Keys`](crate::keys::Keys) hold what they have unwrapped for as long as they live: neither an end of
/// this cache nor a service that is away takes a key from a running process.
///
/// Needs a `tokio` runtime with time enabled.
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// use fieldseal::keys::{LocalKek, Resilient, SecretKey};
///
/// let service = Resilient::new(LocalKek::new(&SecretKey::generate()?))
///     .attempt_timeout(Duration::from_secs(2))
///     .attempts(3)
///     .cache(100, Duration::from_secs(60));
/// # Ok::<(), fieldseal::Error>(())
/// ```
pub struct Resilient<K> {
    service: K,
    timeout: Duration,
    attempts: u32,
    most_kept: usize,
    longest_kept: Duration,
    kept: Mutex<HashMap<Place, Arc<Slot>>>,
}

/// What was wrapped, and its context.
type Place = (Vec<u8>, Vec<u8>);

/// The place of one unwrapped key. Whoever holds its lock asks the service for it.
#[derive(Default)]
struct Slot {
    key: tokio::sync::Mutex<Option<(SecretKey, Instant)>>,
    failures: AtomicU64,
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl<K: KeyService> Resilient<K> {
    /// Wraps `service`.
    #[must_use]
    pub fn new(service: K) -> Self {
        Self {
            service,
            timeout: Duration::from_secs(5),
            attempts: 4,
            most_kept: 1_000,
            longest_kept: Duration::from_secs(300),
            kept: Mutex::default(),
        }
    }

    /// Gives each attempt so long.
    #[must_use]
    pub fn attempt_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Makes so many attempts, 1 at least.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self { attempts: attempts.max(1), ..self }
    }

    /// Keeps up to `keys` unwrapped keys, each for `age`; none where either is zero.
    #[must_use]
    pub fn cache(self, keys: usize, age: Duration) -> Self {
        Self { most_kept: keys, longest_kept: age, ..self }
    }

    async fn attempt<'a, T>(&'a self, call: impl Fn() -> KeyServiceFuture<'a, T>) -> Result<T, Error> {
        let mut bound = SHORTEST_PAUSE;
        for attempts_left in (0..self.attempts).rev() {
            let error = match time::timeout(self.timeout, call()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => error,
                Err(_) => Error::key_service(format!("no answer within {:?}", self.timeout)),
            };
            if attempts_left == 0 || !error.may_pass() {
                return Err(error);
            }
            time::sleep(bound.mul_f64(random::fraction())).await;
            bound = (bound * 2).min(LONGEST_PAUSE);
        }
        Err(Error::key_service("no attempt was made"))
    }

    /// Returns the slot of a key, and makes room for it.
    fn slot(&self, place: Place) -> Arc<Slot> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.contains_key(&place) && kept.len() >= self.most_kept.max(1) {
            // What is locked is being asked for, and counts as new.
            let age = |slot: &Slot| slot.key.try_lock().ok().map(|key| key.as_ref().map(|(_, since)| *since));
            let oldest =
                kept.iter().filter_map(|(place, slot)| Some((age(slot)?, place))).min().map(|(_, place)| place);
            if let Some(oldest) = oldest.cloned() {
                kept.remove(&oldest);
            }
        }
        Arc::clone(kept.entry(place).or_default())
    }

    async fn unwrap_once(&self, wrapped: &WrappedKey, context: &WrapContext) -> Result<SecretKey, Error> {
        if self.most_kept == 0 || self.longest_kept.is_zero() {
            return self.attempt(|| self.service.unwrap(wrapped, context)).await;
        }
        let slot = self.slot((wrapped.as_bytes().to_vec(), context.to_bytes()));
        let failures = slot.failures.load(Ordering::SeqCst);
        let mut key = slot.key.lock().await;
        if let Some((key, since)) = &*key
            && since.elapsed() < self.longest_kept
        {
            return Ok(SecretKey::from_bytes(key.expose_secret()));
        }
        *key = None;
        if slot.failures.load(Ordering::SeqCst) != failures {
            return Err(Error::key_service("a call for the same key failed while this one waited for it"));
        }
        match self.attempt(|| self.service.unwrap(wrapped, context)).await {
            Ok(unwrapped) => {
                *key = Some((SecretKey::from_bytes(unwrapped.expose_secret()), Instant::now()));
                Ok(unwrapped)
            }
            Err(error) => {
                slot.failures.fetch_add(1, Ordering::SeqCst);
                Err(error)
            }
        }
    }
}

impl<K: KeyService> KeyService for Resilient<K> {
    fn name(&self) -> &str {
        self.service.name()
    }

    fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
        Box::pin(self.attempt(move || self.service.wrap(key, context)))
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
        Box::pin(self.unwrap_once(wrapped, context))
    }

    /// Asked once: what has been begun cannot be told from what has been done.
    fn destroy(&self) -> KeyServiceFuture<'_, String> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.service.destroy()
    }
}

impl<K: KeyService> fmt::Debug for Resilient<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resilient").field("name", &self.service.name()).finish_non_exhaustive()
    }
}

impl Error {
    /// Makes the error of a [`KeyService`] that refused, for a reason that asking again does not change.
    #[must_use]
    pub fn key_service_refusal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::KeyService, "the key service refused").with_source(Refusal(cause.into()))
    }

    /// Returns whether the same call may succeed later.
    pub(crate) fn may_pass(&self) -> bool {
        let source = std::error::Error::source(self);
        self.kind() == ErrorKind::KeyService && !source.is_some_and(<dyn std::error::Error>::is::<Refusal>)
    }
}

/// Marks a cause that stays.
#[derive(Debug)]
struct Refusal(Box<dyn std::error::Error + Send + Sync>);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::keys::local::LocalKek;

    type Script = dyn Fn(usize) -> Option<Error> + Send + Sync;

    /// Counts calls, and fails or never answers as its script says for the number of the call.
    struct Scripted {
        kek: LocalKek,
        calls: Arc<AtomicUsize>,
        script: Box<Script>,
        pause: Duration,
    }

    impl KeyService for Scripted {
        fn name(&self) -> &str {
            self.kek.name()
        }

        fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
            self.kek.wrap(key, context)
        }

        fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
            let call = self.calls.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                time::sleep(self.pause).await;
                match (self.script)(call) {
                    Some(error) => Err(error),
                    None => self.kek.unwrap(wrapped, context).await,
                }
            })
        }
    }

    fn scripted(
        pause: Duration,
        script: impl Fn(usize) -> Option<Error> + Send + Sync + 'static,
    ) -> (Arc<Resilient<Scripted>>, Arc<AtomicUsize>) {
        let (kek, calls) = (LocalKek::new(&SecretKey::from_bytes(&[7; 32])), Arc::default());
        let service = Scripted { kek, calls: Arc::clone(&calls), script: Box::new(script), pause };
        (Arc::new(Resilient::new(service)), calls)
    }

    fn context() -> WrapContext {
        WrapContext::keyring_authentication("customers").unwrap()
    }

    async fn wrapped(service: &Resilient<Scripted>, byte: u8) -> WrappedKey {
        service.wrap(&SecretKey::from_bytes(&[byte; 32]), &context()).await.unwrap()
    }

    fn busy() -> Error {
        Error::key_service("busy")
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_asked_again_and_what_is_refused_is_not() {
        let (service, calls) = scripted(Duration::ZERO, |call| (call < 3).then(busy));
        let one = wrapped(&service, 1).await;
        assert_eq!(service.unwrap(&one, &context()).await.unwrap().expose_secret(), &[1; 32]);
        assert_eq!(calls.load(Ordering::SeqCst), 4);

        let (service, calls) = scripted(Duration::ZERO, |_| Some(busy()));
        assert!(service.unwrap(&one, &context()).await.is_err());
        assert_eq!(calls.load(Ordering::SeqCst), 4);

        let (service, calls) = scripted(Duration::ZERO, |_| Some(Error::key_service_refusal("no")));
        assert!(service.unwrap(&one, &context()).await.is_err());
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_refusal_tells_all_of_its_cause() {
        let refusal = Error::key_service_refusal(Error::key_service("the token of the service has expired"));
        let cause = std::error::Error::source(&refusal).unwrap();
        assert!(cause.source().unwrap().to_string().contains("has expired"), "{cause}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_answers_is_given_up() {
        let (service, calls) = scripted(Duration::from_secs(1_000_000), |_| None);
        let one = wrapped(&service, 1).await;
        let began = time::Instant::now();
        let error = service.unwrap(&one, &context()).await.unwrap_err();
        assert_eq!((error.kind(), calls.load(Ordering::SeqCst)), (ErrorKind::KeyService, 4));
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("no answer within 5s"), "{cause}");
        assert!(began.elapsed() < Duration::from_secs(20) + LONGEST_PAUSE * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_as_many_and_as_long_as_is_said() {
        let (service, calls) = scripted(Duration::from_secs(1_000_000), |_| None);
        let one = wrapped(&service, 1).await;
        let service = Arc::into_inner(service).unwrap().attempts(2).attempt_timeout(Duration::from_secs(60));
        let began = time::Instant::now();
        let error = service.unwrap(&one, &context()).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("no answer within 60s"), "{cause}");
        assert_eq!(calls.swap(0, Ordering::SeqCst), 2);
        assert!((120..=121).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        assert!(service.attempts(0).unwrap(&one, &context()).await.is_err());
        assert_eq!(calls.load(Ordering::SeqCst), 1, "one at least");
    }

    /// Without longer pauses, a service that recovers is asked by everybody at once.
    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_are_drawn_at_random() {
        let mut longest = Duration::ZERO;
        for _ in 0..60 {
            let (service, _) = scripted(Duration::ZERO, |_| Some(busy()));
            let one = wrapped(&service, 1).await;
            let began = time::Instant::now();
            service.unwrap(&one, &context()).await.unwrap_err();
            longest = longest.max(began.elapsed());
        }
        // Three pauses of at most 200, 400 and 800 ms; that each of sixty sums is below 500 ms happens never.
        assert!(longest > Duration::from_millis(500), "{longest:?}");
        assert!(longest <= Duration::from_millis(1410), "{longest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_at_the_same_time_shares_one_call_and_its_failure() {
        let (service, calls) =
            scripted(Duration::from_secs(1), |call| (call > 0).then(|| Error::key_service_refusal("no")));
        let (one, other) = (wrapped(&service, 1).await, wrapped(&service, 2).await);
        for (wrapped, good) in [(one, 50), (other, 0)] {
            let tasks: Vec<_> = (0..50)
                .map(|_| {
                    let (service, wrapped) = (Arc::clone(&service), wrapped.clone());
                    tokio::spawn(async move { service.unwrap(&wrapped, &context()).await.is_ok() })
                })
                .collect();
            let mut opened = 0;
            for task in tasks {
                opened += usize::from(task.await.unwrap());
            }
            assert_eq!(opened, good);
        }
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn the_cache_is_bounded_in_number_and_time() {
        let (service, calls) = scripted(Duration::ZERO, |_| None);
        let service = Arc::into_inner(service).unwrap().cache(2, Duration::from_secs(3600));
        let keys = [wrapped(&service, 1).await, wrapped(&service, 2).await, wrapped(&service, 3).await];
        for (place, expected) in [(0, 1), (0, 1), (1, 2), (1, 2), (2, 3), (1, 3), (0, 4), (0, 4), (1, 5)] {
            service.unwrap(&keys[place], &context()).await.unwrap();
            assert_eq!(calls.load(Ordering::SeqCst), expected, "key {place}");
            assert!(service.kept.lock().unwrap().len() <= 2);
        }
        let service = service.cache(2, Duration::from_nanos(1));
        for expected in 6..9 {
            service.unwrap(&keys[0], &context()).await.unwrap();
            assert_eq!(calls.load(Ordering::SeqCst), expected);
        }
        let service = service.cache(0, Duration::from_secs(3600));
        service.unwrap(&keys[0], &context()).await.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 9);
    }

    /// A cached key must not open under another context.
    #[tokio::test]
    async fn the_cache_keeps_contexts_apart() {
        let (service, _) = scripted(Duration::ZERO, |_| None);
        let one = wrapped(&service, 1).await;
        service.unwrap(&one, &context()).await.unwrap();
        let other = WrapContext::keyring_authentication("others").unwrap();
        assert!(service.unwrap(&one, &other).await.is_err());
    }
}
