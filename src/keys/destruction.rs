//! The end of a key: the evidence that nothing needs it, and the two steps in which it goes.

use std::time::SystemTime;

use super::change::{is_line, shortened};
use super::key_entry::{KeyEntry, SCANS_NEEDED};
use super::keyring::Keyring;
use super::state::KeyState;
use crate::crypto::key_id::KeyId;
use crate::error::Error;
use crate::timestamp::Timestamp;

impl Keyring {
    /// Returns from when on a scan for the key `id` proves anything: when the last replica has stopped writing under
    /// it. Nothing for a key that was never the primary one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where the key is not in the keyring, or is the primary one.
    pub fn scannable_at(&self, id: KeyId) -> Result<Option<Timestamp>, Error> {
        let entry = self.known(id)?;
        if entry.state == KeyState::Primary {
            return Err(self.fault(&format!("still encrypts with key {id}: promote another key first")));
        }
        let earliest = entry.relieved.map(|relieved| relieved.after(self.timing().before_scan()));
        Ok(match self.document.slower {
            Some(slower) => earliest.map(|earliest| earliest.max(slower.scan)),
            None => earliest,
        })
    }

    /// Records a scan of everything that is stored, which began at `began` and found `tokens` under the key `id`. Two
    /// clean ones are needed before the key can be forgotten; one that is not clean takes the others back.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooEarly`](crate::ErrorKind::TooEarly) where a clean scan began before [`scannable_at`](Keyring::scannable_at), or before the
    /// last one was recorded. [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where the key is not in the keyring, or is the primary one.
    pub fn record_scan(&mut self, id: KeyId, began: SystemTime, tokens: u64) -> Result<(), Error> {
        self.record_scan_at(id, began, tokens, SystemTime::now())
    }

    pub(super) fn record_scan_at(
        &mut self,
        id: KeyId,
        began: SystemTime,
        tokens: u64,
        now: SystemTime,
    ) -> Result<(), Error> {
        let (earliest, began) = (self.scannable_at(id)?, Timestamp::from(began));
        if tokens == 0 {
            if began > Timestamp::from(now) {
                return Err(self.too_early(&format!("takes no scan for key {id} that is yet to begin")));
            }
            if let Some(earliest) = earliest.filter(|&earliest| began < earliest) {
                let why = "until then a replica may have written under the key";
                return Err(self.too_early(&format!("takes no scan for key {id} begun before {earliest}: {why}")));
            }
            if self.known(id)?.clean_scans.last().is_some_and(|&last| began < last) {
                let message = format!("takes no scan for key {id} that was begun before the last one had ended");
                return Err(self.too_early(&message));
            }
        }
        self.change(now, format!("scanned: {tokens} tokens found"), Some(id), |keys| {
            for entry in keys.iter_mut().filter(|entry| entry.id() == id) {
                if tokens == 0 {
                    entry.clean_scans.push(now.into());
                } else {
                    entry.clean_scans.clear();
                }
            }
        })
    }

    /// Drops a disabled key from this keyring for good; its entry stays, so that tokens under it can be told from those
    /// under an unknown key.
    ///
    /// An older copy of the keyring gives the key back for as long as the key-encryption key lives: only when that is
    /// destroyed in the key service, and [recorded](Keyring::shred) here, is the key gone from every copy.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooEarly`](crate::ErrorKind::TooEarly) where the rehearsal has not lasted as long as the [`Timing`](super::Timing) says, or fewer than two
    /// clean scans were [recorded](Keyring::record_scan) for a key that was the primary one. [`ErrorKind::Keyring`](crate::ErrorKind::Keyring)
    /// where the key is not in the keyring or not disabled.
    pub fn forget(&mut self, id: KeyId) -> Result<(), Error> {
        self.forget_at(id, SystemTime::now())
    }

    /// Returns from when on the disabled key `id` can be forgotten, where no [scans](KeyEntry::scans_missing) are missing.
    /// Nothing for a key that is not disabled.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where the key is not in the keyring.
    pub fn forgettable_at(&self, id: KeyId) -> Result<Option<Timestamp>, Error> {
        let entry = self.known(id)?;
        let is_disabled = entry.state == KeyState::Disabled;
        Ok(is_disabled.then(|| entry.changed.after(self.timing().rehearsal)))
    }

    pub(super) fn forget_at(&mut self, id: KeyId, now: SystemTime) -> Result<(), Error> {
        self.check_change(id, KeyState::Forgotten)?;
        let entry = self.known(id)?;
        if entry.scans_missing() > 0 {
            let found = entry.clean_scans.len();
            let message = format!(
                "cannot forget key {id} yet: it takes {SCANS_NEEDED} clean scans (recorded so far: {found}), which show that \
                 no token needs it. No scan counts what an index key is needed for: once every index is made anew, end it by \
                 `forget_with_everything_under_it`"
            );
            return Err(self.too_early(&message));
        }
        let rehearsal = self.timing().rehearsal;
        let earliest = entry.changed.after(rehearsal);
        if !rehearsal.is_zero() && Timestamp::from(now) < earliest {
            let why = "until then it is seen whether anything misses it";
            return Err(self.too_early(&format!("cannot forget key {id} before {earliest}: {why}")));
        }
        self.set_state(id, KeyState::Forgotten, now)
    }

    /// Drops a key that is not the primary one from this keyring for good, whatever is still stored under it: that is
    /// lost with it. `tokens` is how many were found, for the record.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where the key is not in the keyring, is gone already, or is the primary one.
    pub fn forget_with_everything_under_it(&mut self, id: KeyId, tokens: u64) -> Result<(), Error> {
        let now = SystemTime::now();
        if self.known(id)?.state != KeyState::Disabled {
            self.check_change(id, KeyState::Disabled)?;
            self.set_state(id, KeyState::Disabled, now)?;
        }
        self.set_state(id, KeyState::Forgotten, now)?;
        let last = self.document.changes.last_mut().expect("the state was just changed");
        last.action = format!("forgotten with {tokens} tokens");
        self.document.authenticate(&self.authentication_key);
        Ok(())
    }

    /// Checks that nothing living needs the key-encryption key called `kek`, so that it can be destroyed in its key
    /// service. Returns the keys that die with it: those that are forgotten, and that no other key-encryption key which
    /// still lives has ever wrapped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where it still wraps a key that is not forgotten, or the authentication key, or where it
    /// has wrapped none, or was destroyed.
    pub fn shreddable(&self, kek: &str) -> Result<Vec<KeyId>, Error> {
        if let Some(entry) = self.keys().iter().find(|entry| entry.kek == kek && entry.state.is_held()) {
            let (id, state) = (entry.id(), entry.state);
            return Err(self.fault(&format!("still needs `{kek}`: key {id} is {state}, and has to be forgotten first")));
        }
        if self.document.kek == kek {
            let advice = "have another one authenticate it first";
            return Err(self.fault(&format!("is itself authenticated by `{kek}`: {advice}")));
        }
        let has_wrapped = |entry: &&KeyEntry| entry.keks().any(|other| other == kek);
        if self.is_destroyed(kek) || !self.keys().iter().any(|entry| has_wrapped(&entry)) {
            return Err(self.fault(&format!("has no forgotten key of `{kek}`: there is nothing to shred")));
        }
        let is_last = |entry: &KeyEntry| entry.keks().all(|other| other == kek || self.is_destroyed(other));
        let dying = |entry: &&KeyEntry| has_wrapped(entry) && entry.state == KeyState::Forgotten && is_last(entry);
        Ok(self.keys().iter().filter(dying).map(KeyEntry::id).collect())
    }

    /// Returns whether the key-encryption key called `kek` was recorded as destroyed.
    pub(super) fn is_destroyed(&self, kek: &str) -> bool {
        let is_shredded = |entry: &KeyEntry| entry.state == KeyState::Shredded && entry.kek == kek;
        self.document.destroyed.iter().any(|destroyed| destroyed == kek) || self.keys().iter().any(is_shredded)
    }

    /// Records that the key-encryption key called `kek` was destroyed in its key service, which said `receipt`. The
    /// keys that are returned are then gone from every copy of the keyring; one that another key-encryption key
    /// wrapped before or after is gone when that is destroyed, too. Destroy it with `KeyService::destroy`, or there by
    /// hand.
    ///
    /// # Errors
    ///
    /// As [`shreddable`](Keyring::shreddable), and [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where the receipt is empty, over 1,024 bytes
    /// or has control characters.
    pub fn shred(&mut self, kek: &str, receipt: &str) -> Result<Vec<KeyId>, Error> {
        let ids = self.shreddable(kek)?;
        if receipt.is_empty() || !is_line(receipt) {
            return Err(self.fault("needs a receipt of 1 to 1,024 bytes without control characters"));
        }
        let now = SystemTime::now();
        self.document.destroyed.push(kek.to_owned());
        self.change(now, shortened(format!("shredded: {kek}: {receipt}")), None, |keys| {
            for entry in keys.iter_mut().filter(|entry| ids.contains(&entry.id())) {
                entry.state = KeyState::Shredded;
                entry.changed = now.into();
                entry.receipt = Some(receipt.to_owned());
            }
        })?;
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::keys::local::LocalKek;
    use crate::keys::timing::Timing;
    use crate::keys::{KeyService, KeyringListing};
    use crate::secret::SecretKey;

    fn kek(byte: u8) -> LocalKek {
        LocalKek::new(&SecretKey::from_bytes(&[byte; 32]))
    }

    #[tokio::test]
    async fn what_is_shredded_ends_its_own_key_encryption_key_and_no_other() {
        let (first, second) = (kek(1), kek(2));
        let mut keyring = Keyring::create("customers", &first).await.unwrap();
        keyring.set_timing(Timing::single_process()).unwrap();
        let old = keyring.keys()[0].id();
        let new = keyring.add_key(&second).await.unwrap();
        keyring.promote(new).unwrap();
        keyring.authenticate_by(&second).await.unwrap();
        keyring.forget_with_everything_under_it(old, 0).unwrap();
        assert!(!keyring.is_destroyed(first.name()));
        assert_eq!(keyring.shred(first.name(), "receipt").unwrap(), [old]);
        assert!(keyring.is_destroyed(first.name()));
        assert!(!keyring.is_destroyed(second.name()));
        keyring.add_key(&second).await.unwrap();
        keyring.add_key(&kek(3)).await.unwrap();
        // A keyring without a list of those that were destroyed tells them by the keys that died with them.
        keyring.document.destroyed.clear();
        assert!(keyring.is_destroyed(first.name()));
        assert!(!keyring.is_destroyed(second.name()));
    }

    #[tokio::test]
    async fn a_key_can_be_forgotten_from_the_moment_on_that_is_told() {
        let mut keyring = Keyring::create("customers", &kek(1)).await.unwrap();
        let id = keyring.add_key(&kek(1)).await.unwrap();
        assert_eq!(keyring.forgettable_at(id).unwrap(), None, "it is not disabled");
        keyring.disable(id).unwrap();
        let disabled = keyring.known(id).unwrap().changed();
        let earliest = keyring.forgettable_at(id).unwrap().unwrap();
        assert_eq!(earliest, disabled.after(keyring.timing().rehearsal));
        assert!(earliest > disabled);
        let earliest = SystemTime::from(earliest);
        let early = keyring.forget_at(id, earliest - Duration::from_secs(1)).unwrap_err();
        assert_eq!(early.kind(), crate::ErrorKind::TooEarly);
        keyring.forget_at(id, earliest).unwrap();
    }

    #[tokio::test]
    async fn a_listing_says_what_the_keyring_does_and_whether_that_is_proven() {
        let mut keyring = Keyring::create("customers", &kek(1)).await.unwrap();
        keyring.add_key(&kek(1)).await.unwrap();
        let document = keyring.to_json();
        let unproven = KeyringListing::dangerous_without_authentication(&document).unwrap();
        for (listing, is_proven) in [(&KeyringListing::from(&keyring), true), (&unproven, false)] {
            assert_eq!((listing.name(), listing.revision()), (keyring.name(), 2));
            assert_eq!(listing.keys(), keyring.keys());
            assert_eq!(listing.changes(), keyring.changes());
            assert_eq!(listing.is_authenticated(), is_proven);
        }
    }
}
