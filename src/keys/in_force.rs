//! The key set in force, and when it was last known to be.

use std::mem;
use std::sync::{Arc, PoisonError, RwLock};
#[cfg(test)]
use std::time::Duration;

use super::key_set::KeySet;
use super::lease::Reading;
use crate::error::Error;

/// Readers hold the lock for as long as it takes to clone the pointer.
pub(super) struct InForce(RwLock<Current>);

struct Current {
    set: Arc<KeySet>,
    /// When the keyring was last known to hold this revision.
    read: Reading,
}

impl InForce {
    pub(super) fn new(set: KeySet, read: Reading) -> Self {
        Self(RwLock::new(Current { set: Arc::new(set), read }))
    }

    pub(super) fn now(&self) -> (Arc<KeySet>, Reading) {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&current.set), current.read)
    }

    /// Takes note that the keyring still held the revision of `set` at `reading`.
    pub(super) fn renew(&self, set: &Arc<KeySet>, reading: Reading) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current.set, set) && reading.age() < current.read.age() {
            current.read = reading;
        }
    }

    /// Puts `set` in force unless another call has put in force a later one since.
    pub(super) fn exchange(&self, set: KeySet, read: Reading, place: &str) -> Result<(), Error> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let (Some(new), Some(in_use)) = (set.keyring(), current.set.keyring())
            && (new.revision() < in_use.revision() || !new.supersedes(in_use, place)?)
        {
            return Ok(());
        }
        let former = mem::replace(&mut *current, Current { set: Arc::new(set), read });
        let in_force = Arc::clone(&current.set);
        drop(current);
        drop(former);
        let (keyring, revision) = in_force.keyring().map(|keyring| (keyring.name(), keyring.revision())).unzip();
        tracing::info!(keyring, revision, "the keys were exchanged for those of a later revision");
        Ok(())
    }

    /// Puts `set` in force, whatever was.
    pub(super) fn put(&self, set: KeySet) {
        let set = Arc::new(set);
        let former = mem::replace(&mut self.0.write().unwrap_or_else(PoisonError::into_inner).set, set);
        drop(former);
    }

    #[cfg(test)]
    pub(super) fn made_older(&self, age: Duration) {
        self.0.write().unwrap().read = Reading::ago(age);
    }
}
