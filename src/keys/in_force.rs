//! The key set in force, and when it was last known to be.

use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
#[cfg(test)]
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use super::key_set::KeySet;
use super::lease::Reading;
use crate::crypto::data_key::DataKey;
use crate::error::Error;

/// Whoever takes the keys writes to no memory that other threads take them from.
pub(super) struct InForce {
    current: ArcSwap<Current>,
    /// Held by who exchanges them for others.
    exchange: Mutex<()>,
}

struct Current {
    set: Arc<KeySet>,
    /// When the keyring was last known to hold this revision.
    read: Reading,
}

/// The keys of the moment that they were taken at. They stay in memory for as long as this is held.
pub(crate) struct HeldKeys(Guard<Arc<Current>>);

impl InForce {
    pub(super) fn new(set: KeySet, read: Reading) -> Self {
        let current = Current { set: Arc::new(set), read };
        Self { current: ArcSwap::from_pointee(current), exchange: Mutex::new(()) }
    }

    pub(super) fn now(&self) -> HeldKeys {
        HeldKeys(self.current.load())
    }

    /// Takes note that the keyring still held the revision of `held` at `reading`.
    pub(super) fn renew(&self, held: &HeldKeys, reading: Reading) {
        let Ok(_) = self.replace::<Infallible>(|current| {
            let is_news = Arc::ptr_eq(&current.set, &held.0.set) && reading.age() < current.read.age();
            Ok(is_news.then(|| Current { set: Arc::clone(&current.set), read: reading }))
        });
    }

    /// Puts `set` in force unless another call has put in force a later one since.
    pub(super) fn exchange(&self, set: KeySet, read: Reading, place: &str) -> Result<(), Error> {
        let was_put = self.replace(|current| {
            if let (Some(new), Some(in_use)) = (set.keyring(), current.set.keyring())
                && (new.revision() < in_use.revision() || !new.supersedes(in_use, place)?)
            {
                return Ok(None);
            }
            Ok(Some(Current { set: Arc::new(set), read }))
        })?;
        if was_put {
            let in_force = self.now();
            let (keyring, revision) = in_force.keyring().map(|keyring| (keyring.name(), keyring.revision())).unzip();
            tracing::info!(keyring, revision, "the keys were exchanged for those of a later revision");
        }
        Ok(())
    }

    /// Puts `set` in force, whatever was.
    pub(super) fn put(&self, set: KeySet) {
        let set = Arc::new(set);
        let Ok(_) = self.replace::<Infallible>(|current| Ok(Some(Current { set, read: current.read })));
    }

    /// Puts in force what `make` makes of what is, if anything. One call at a time. Returns whether it did.
    fn replace<E>(&self, make: impl FnOnce(&Current) -> Result<Option<Current>, E>) -> Result<bool, E> {
        let one_at_a_time = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(next) = make(&self.current.load())? else { return Ok(false) };
        let former = self.current.swap(Arc::new(next));
        drop(one_at_a_time);
        drop(former);
        Ok(true)
    }

    #[cfg(test)]
    pub(super) fn made_older(&self, age: Duration) {
        let set = Arc::clone(&self.now().0.set);
        self.current.store(Arc::new(Current { set, read: Reading::ago(age) }));
    }
}

impl HeldKeys {
    /// Takes keys that are in force nowhere.
    pub(super) fn of(set: KeySet, read: Reading) -> Self {
        Self(Guard::from_inner(Arc::new(Current { set: Arc::new(set), read })))
    }

    pub(super) fn reading(&self) -> Reading {
        self.0.read
    }

    /// Makes them fit to be held for long. Only a few can be held by a thread at once at no cost.
    pub(crate) fn for_long(self) -> Self {
        Self(Guard::from_inner(Guard::into_inner(self.0)))
    }

    /// Returns the key that encrypts.
    ///
    /// # Errors
    ///
    /// As [`KeySet::primary`].
    pub(crate) fn into_primary(self) -> Result<PrimaryKey, Error> {
        self.primary()?;
        Ok(PrimaryKey::OfSet(self))
    }

    /// The same for who holds it for long: the other keys need not stay in memory for that.
    pub(crate) fn into_primary_alone(self) -> Result<PrimaryKey, Error> {
        Ok(PrimaryKey::Alone(Arc::clone(self.primary()?)))
    }
}

impl Deref for HeldKeys {
    type Target = KeySet;

    fn deref(&self) -> &KeySet {
        &self.0.set
    }
}

impl fmt::Debug for HeldKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The key that encrypts, of the moment that the keys were taken at.
pub(crate) enum PrimaryKey {
    OfSet(HeldKeys),
    Alone(Arc<DataKey>),
}

impl Deref for PrimaryKey {
    type Target = DataKey;

    fn deref(&self) -> &DataKey {
        match self {
            Self::OfSet(keys) => keys.primary().expect("it was there when the keys were taken"),
            Self::Alone(key) => key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::key_services::KeyServices;
    use crate::keys::keyring::Keyring;
    use crate::keys::local::LocalKek;
    use crate::secret::SecretKey;

    #[test]
    fn only_a_later_reading_of_the_set_in_force_is_taken_note_of() {
        let hour = |hours: u64| Reading::ago(Duration::from_secs(3600 * hours));
        let in_force = InForce::new(KeySet::of_none(), hour(5));
        let is_read_before = |hours: u64| in_force.now().reading().age() > hour(hours).age();
        let held = in_force.now();
        in_force.renew(&HeldKeys::of(KeySet::of_none(), hour(1)), hour(1));
        assert!(is_read_before(4), "another set was read then");
        in_force.renew(&held, hour(3));
        assert!(is_read_before(2) && !is_read_before(4));
        in_force.renew(&held, hour(5));
        assert!(!is_read_before(4), "it was read since");
    }

    #[tokio::test]
    async fn the_revision_in_force_with_another_content_is_refused_and_an_earlier_one_passed_over() {
        let kek = LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
        let first = Keyring::create("customers", &kek).await.unwrap().to_json();
        let services = KeyServices::from(&kek);
        let set = |document: Vec<u8>| {
            let services = &services;
            async move {
                let keyring = Keyring::from_json(&document, services).await.unwrap();
                KeySet::unwrap(keyring, "here", services, None).await.unwrap()
            }
        };
        let second = || async {
            let mut keyring = Keyring::from_json(&first, &kek).await.unwrap();
            keyring.add_key(&kek).await.unwrap();
            keyring.to_json()
        };
        let (one, other) = (second().await, second().await);
        let in_force = InForce::new(set(first.clone()).await, Reading::now());
        in_force.exchange(set(one.clone()).await, Reading::now(), "here").unwrap();
        in_force.exchange(set(one.clone()).await, Reading::now(), "here").unwrap();
        in_force.exchange(set(first.clone()).await, Reading::now(), "here").unwrap();
        assert_eq!(in_force.now().keyring().unwrap().to_json(), one);
        let fork = in_force.exchange(set(other).await, Reading::now(), "here").unwrap_err();
        assert!(fork.to_string().contains("with another content"), "{fork}");
        assert_eq!(in_force.now().keyring().unwrap().to_json(), one);
    }
}
