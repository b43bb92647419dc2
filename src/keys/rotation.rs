//! How a keyring is changed: keys that come and take turns, and which step must wait.

use std::time::SystemTime;

use super::change::Change;
use super::document::Slower;
use super::key_entry::KeyEntry;
use super::key_service::{self, KeyService};
use super::keyring::Keyring;
use super::state::KeyState;
use super::timing::{Schedule, Timing};
use super::wrap_context::WrapContext;
use crate::crypto::data_key::DataKey;
use crate::crypto::key_id::KeyId;
use crate::error::{Error, ErrorKind};
use crate::secret::SecretKey;
use crate::timestamp::Timestamp;

/// How many changes the document keeps.
const CHANGES_KEPT: usize = 1000;

impl Keyring {
    /// Adds a new key, pending, wrapped by `service`, and returns its id.
    ///
    /// Another service than before begins a new epoch: when all keys of the old one are forgotten, its key-encryption
    /// key can be destroyed, and with it every copy of everything under them. Give the replicas the new service first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where a key of this service was shredded; [`ErrorKind::KeyService`];
    /// [`ErrorKind::Randomness`].
    pub async fn add_key(&mut self, service: &dyn KeyService) -> Result<KeyId, Error> {
        self.add_key_at(service, KeyState::Pending, SystemTime::now()).await
    }

    pub(super) async fn add_key_at(
        &mut self,
        service: &dyn KeyService,
        state: KeyState,
        now: SystemTime,
    ) -> Result<KeyId, Error> {
        let kek = service.name();
        self.check_living(kek)?;
        let secret = SecretKey::generate()?;
        let key = DataKey::new(&secret);
        let id = key.id();
        if self.entry(id).is_some() {
            return Err(self.fault("drew a key whose id is taken: try again"));
        }
        let context = WrapContext::of_data_key(self.key_name(), id);
        let wrapped = key_service::wrap(service, &secret, &context).await?;
        let created = Timestamp::from(now);
        let entry = KeyEntry {
            commitment: *key.commitment(),
            state,
            created,
            changed: created,
            relieved: None,
            clean_scans: Vec::new(),
            kek: kek.to_owned(),
            former_keks: Vec::new(),
            wrapped: Some(wrapped),
            receipt: None,
        };
        let action = if state == KeyState::Primary { "created" } else { "added" };
        self.change(now, action.to_owned(), Some(id), |keys| keys.push(entry))?;
        Ok(id)
    }

    /// Sets the times of the fleet. A longer lease or refresh period is in force for a replica when it has read it, and a
    /// shorter one too: until the old one has passed for every replica, the waits of a rotation follow the old one. A
    /// keyring that was never stored has no replicas, so set them before its first [`save`](Self::save).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where they could not work together.
    pub fn set_timing(&mut self, timing: Timing) -> Result<(), Error> {
        self.set_timing_at(timing, SystemTime::now())
    }

    pub(super) fn set_timing_at(&mut self, timing: Timing, now: SystemTime) -> Result<(), Error> {
        timing.check()?;
        let former = self.timing();
        let is_shorter =
            timing.before_promotion() < former.before_promotion() || timing.before_scan() < former.before_scan();
        if is_shorter && self.stored().is_some() {
            let at = Timestamp::from(now);
            let slower = self.document.slower;
            let later = |end: Timestamp, held: Option<Timestamp>| held.map_or(end, |held| held.max(end));
            self.document.slower = Some(Slower {
                promotion: later(at.after(former.before_promotion()), slower.map(|slower| slower.promotion)),
                scan: later(at.after(former.before_scan()), slower.map(|slower| slower.scan)),
            });
        }
        self.document.timing = timing;
        self.change(now, "timing changed".to_owned(), None, |_| ())
    }

    /// Sets when keys are due.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where a key would be due for its end before another relieves it.
    pub fn set_schedule(&mut self, schedule: Schedule) -> Result<(), Error> {
        schedule.check()?;
        self.document.schedule = schedule;
        self.change(SystemTime::now(), "schedule changed".to_owned(), None, |_| ())
    }

    /// Returns when every replica will have read the pending key `id`, so that it can be promoted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the key is not in the keyring.
    pub fn promotable_at(&self, id: KeyId) -> Result<Timestamp, Error> {
        let earliest = self.known(id)?.changed.after(self.timing().before_promotion());
        Ok(self.document.slower.map_or(earliest, |slower| earliest.max(slower.promotion)))
    }

    /// Makes a pending or enabled key the primary one. The former primary key becomes enabled.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooEarly`] before [`promotable_at`](Keyring::promotable_at): a replica that has not read the key
    /// could not read what the others write. [`ErrorKind::Keyring`] where the key is not in the keyring or in another
    /// state.
    pub fn promote(&mut self, id: KeyId) -> Result<(), Error> {
        self.promote_at(id, SystemTime::now())
    }

    pub(super) fn promote_at(&mut self, id: KeyId, now: SystemTime) -> Result<(), Error> {
        self.check_change(id, KeyState::Primary)?;
        let earliest = self.promotable_at(id)?;
        let moment = Timestamp::from(now);
        let is_slower = self.document.slower.is_some_and(|slower| moment < slower.promotion);
        let waits = is_slower || !self.timing().before_promotion().is_zero();
        if waits && moment < earliest {
            let why = "until then a replica may not have read it, and could not read what the others write";
            return Err(self.too_early(&format!("cannot promote key {id} before {earliest}: {why}")));
        }
        self.set_state(id, KeyState::Primary, now)
    }

    /// Makes a pending or enabled key the primary one at once, although some replica may not have read it: for an
    /// emergency, where answers with status 503 are better than one more value under the old key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the key is not in the keyring or in another state.
    pub fn promote_without_waiting(&mut self, id: KeyId) -> Result<(), Error> {
        self.set_state(id, KeyState::Primary, SystemTime::now())
    }

    /// Makes a pending or enabled key refuse to decrypt. It can be [enabled](Keyring::enable) again, so this is the
    /// rehearsal of its end: whoever still needs it gets an error and raises an alarm
    /// ([`AuditKind::DisabledKeyUsed`](crate::audit::AuditKind::DisabledKeyUsed)). It asks for no evidence: where
    /// [clean scans are missing](KeyEntry::scans_missing), what is still stored under the key cannot be read meanwhile.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the key is not in the keyring or in another state; the primary key has to be
    /// relieved by another first.
    pub fn disable(&mut self, id: KeyId) -> Result<(), Error> {
        self.set_state(id, KeyState::Disabled, SystemTime::now())
    }

    /// Lets a disabled key decrypt again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the key is not in the keyring or in another state.
    pub fn enable(&mut self, id: KeyId) -> Result<(), Error> {
        self.set_state(id, KeyState::Enabled, SystemTime::now())
    }

    /// Refuses a key-encryption key that was destroyed: what it wrapped could never be unwrapped.
    pub(super) fn check_living(&self, kek: &str) -> Result<(), Error> {
        if self.is_destroyed(kek) {
            return Err(self.fault(&format!("takes no key from `{kek}`, which was destroyed: begin with another one")));
        }
        Ok(())
    }

    pub(super) fn known(&self, id: KeyId) -> Result<&KeyEntry, Error> {
        self.entry(id).ok_or_else(|| self.fault(&format!("has no key {id}: look at the list of its keys")))
    }

    pub(super) fn check_change(&self, id: KeyId, next: KeyState) -> Result<(), Error> {
        let state = self.known(id)?.state;
        if state != KeyState::Primary && state.can_become(next) {
            return Ok(());
        }
        let advice = match (state, next) {
            (KeyState::Primary, KeyState::Primary) => "nothing is left to do",
            (KeyState::Primary, _) => "promote another key first",
            (_, KeyState::Forgotten) if state.is_held() => "disable it first, and see whether anything misses it",
            (KeyState::Disabled, KeyState::Primary) => "enable it first",
            (KeyState::Forgotten | KeyState::Shredded, _) => "its wrapped key is no longer here",
            _ => "nothing was changed",
        };
        Err(self.fault(&format!("has key {id} as {state}, which cannot become {next}: {advice}")))
    }

    pub(super) fn set_state(&mut self, id: KeyId, next: KeyState, now: SystemTime) -> Result<(), Error> {
        self.check_change(id, next)?;
        let at = Timestamp::from(now);
        self.change(now, past_of(next).to_owned(), Some(id), |keys| {
            for entry in keys {
                if entry.id() == id {
                    (entry.state, entry.changed) = (next, at);
                    entry.wrapped = entry.wrapped.take().filter(|_| next.is_held());
                    if next == KeyState::Primary {
                        entry.relieved = None;
                        entry.clean_scans.clear();
                    }
                } else if next == KeyState::Primary && entry.state == KeyState::Primary {
                    (entry.state, entry.changed, entry.relieved) = (KeyState::Enabled, at, Some(at));
                }
            }
        })
    }

    pub(super) fn change(
        &mut self,
        now: SystemTime,
        action: String,
        key: Option<KeyId>,
        apply: impl FnOnce(&mut Vec<KeyEntry>),
    ) -> Result<(), Error> {
        let Some(revision) = self.document.revision.checked_add(1) else {
            return Err(self.fault("has no revision left: create another one"));
        };
        let (by, why) = (self.author.by.clone(), self.author.why.clone());
        apply(&mut self.document.keys);
        let changes = &mut self.document.changes;
        changes.push(Change { revision, at: now.into(), by, why, action, key });
        changes.drain(..changes.len().saturating_sub(CHANGES_KEPT));
        self.document.revision = revision;
        self.document.authenticate(&self.authentication_key);
        Ok(())
    }

    pub(super) fn too_early(&self, message: &str) -> Error {
        Error::new(ErrorKind::TooEarly, format!("keyring `{}` {message}", self.name()))
    }
}

fn past_of(state: KeyState) -> &'static str {
    match state {
        KeyState::Pending => "added",
        KeyState::Primary => "promoted",
        KeyState::Enabled => "enabled",
        KeyState::Disabled => "disabled",
        KeyState::Forgotten => "forgotten",
        KeyState::Shredded => "shredded",
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::keys::local::LocalKek;

    #[tokio::test]
    async fn what_has_no_waits_waits_for_nothing_once_the_former_times_are_over() {
        let kek = LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
        let start = UNIX_EPOCH + Duration::from_millis(1_764_000_000_500);
        let mut keyring = Keyring::create_at("customers", &kek, start).await.unwrap();
        let first = keyring.add_key_at(&kek, KeyState::Pending, start).await.unwrap();
        let mut keyring = Keyring::from_json(&keyring.to_json(), &kek).await.unwrap();
        keyring.set_timing_at(Timing::single_process(), start).unwrap();
        assert_eq!(keyring.promote_at(first, start).unwrap_err().kind(), ErrorKind::TooEarly);
        let earliest = SystemTime::from(keyring.promotable_at(first).unwrap());
        let before = keyring.promote_at(first, earliest - Duration::from_secs(1)).unwrap_err();
        assert_eq!(before.kind(), ErrorKind::TooEarly);
        Keyring::from_json(&keyring.to_json(), &kek).await.unwrap().promote_at(first, earliest).unwrap();
        // Nor for a key of a clock that was ahead.
        let ahead = earliest + Duration::from_secs(1000);
        let third = keyring.add_key_at(&kek, KeyState::Pending, ahead).await.unwrap();
        Keyring::from_json(&keyring.to_json(), &kek).await.unwrap().promote_at(third, earliest).unwrap();
        let later = start + Duration::from_secs(1000);
        let second = keyring.add_key_at(&kek, KeyState::Pending, later).await.unwrap();
        keyring.promote_at(second, later).unwrap();
    }

    #[tokio::test]
    async fn a_key_is_promoted_from_the_very_moment_on_that_is_told() {
        let kek = LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
        let start = UNIX_EPOCH + Duration::from_secs(1_764_000_000);
        let mut keyring = Keyring::create_at("customers", &kek, start).await.unwrap();
        let id = keyring.add_key_at(&kek, KeyState::Pending, start).await.unwrap();
        let earliest = SystemTime::from(keyring.promotable_at(id).unwrap());
        assert!(earliest > start);
        let early = keyring.promote_at(id, earliest - Duration::from_secs(1)).unwrap_err();
        assert_eq!(early.kind(), ErrorKind::TooEarly);
        keyring.promote_at(id, earliest).unwrap();
    }

    #[tokio::test]
    async fn former_times_are_waited_for_where_any_of_them_was_longer_and_only_there() {
        let kek = LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
        let start = UNIX_EPOCH + Duration::from_secs(1_764_000_000);
        let former = Timing::default();
        let second = Duration::from_secs(1);
        for (timing, is_shorter) in [
            (former, false),
            (Timing { longest_request: former.longest_request + second, ..former }, false),
            (Timing { clock_skew: former.clock_skew + second, ..former }, false),
            (Timing { longest_request: former.longest_request.saturating_sub(second), ..former }, true),
            (Timing { refresh: former.refresh.saturating_sub(second), ..former }, true),
        ] {
            let keyring = Keyring::create_at("customers", &kek, start).await.unwrap();
            let mut keyring = Keyring::from_json(&keyring.to_json(), &kek).await.unwrap();
            keyring.set_timing_at(timing, start).unwrap();
            assert_eq!(keyring.document.slower.is_some(), is_shorter, "{timing:?}");
        }
    }
}
