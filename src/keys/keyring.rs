//! The document that holds a service's wrapped keys.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use ctutils::CtEq;

use super::document::{Document, Stamp};
use super::key_entry::KeyEntry;
use super::key_service::{self, KeyService};
use super::keyring_name::KeyringName;
use super::state::KeyState;
use super::timestamp::Timestamp;
use super::wrap_context::WrapContext;
use crate::crypto::data_key::DataKey;
use crate::crypto::key_id::KeyId;
use crate::error::{Error, ErrorKind};
use crate::secret::SecretKey;

/// A named set of wrapped data keys with their states.
///
/// It holds nothing usable without the key service, and shows every change that was not made through it: a code over
/// the whole content is made with a key that the service wraps. What it cannot show by itself is that an older copy
/// was put back; [`Keys::reload`](super::Keys::reload) refuses one that is older than the keyring in use.
///
/// Two keyrings under one key-encryption key must not have the same name, since the name is what their keys are bound
/// to. Each change raises the revision by one and stays in memory until the keyring is
/// [saved](super::KeyringFile::save).
///
/// # Example
///
/// A rotation. Between the steps, wait until every replica has loaded the last one.
///
/// ```
/// use fieldseal::keys::{KeyState, Keyring, LocalKek, SecretKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fieldseal::Error> {
/// let kek = LocalKek::new(&SecretKey::generate()?);
/// let mut keyring = Keyring::create("customers", &kek).await?;
/// let old = keyring.keys()[0].id();
///
/// let new = keyring.add_key(&kek).await?; // every replica can decrypt with it
/// keyring.promote(new)?; // and now one after the other encrypts with it
/// keyring.disable(old)?; // once nothing is stored under it any more: the rehearsal
/// keyring.forget(old)?; // the end
///
/// let states: Vec<_> = keyring.keys().iter().map(|entry| entry.state()).collect();
/// assert_eq!(states, [KeyState::Forgotten, KeyState::Primary]);
/// # Ok(())
/// # }
/// ```
pub struct Keyring {
    document: Document,
    authentication_key: Arc<SecretKey>,
    /// What the storage held when this was read from it or written to it.
    stored: Option<Stamp>,
}

impl Keyring {
    /// Makes a keyring called `name`, 1 to 128 ASCII letters, digits and `- _ . /`, with one primary key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] for the name; [`ErrorKind::KeyService`]; [`ErrorKind::Randomness`].
    pub async fn create(name: &str, service: &dyn KeyService) -> Result<Self, Error> {
        Self::create_at(name, service, SystemTime::now()).await
    }

    async fn create_at(name: &str, service: &dyn KeyService, now: SystemTime) -> Result<Self, Error> {
        let name = KeyringName::parse(name)?;
        let key = SecretKey::generate()?;
        let wrapped = key_service::wrap(service, &key, &WrapContext::of_keyring(&name)).await?;
        let kek = service.name().to_owned();
        let document = Document { name, revision: 0, kek, wrapped, keys: Vec::new(), mac: [0; 32] };
        let mut keyring = Self { document, authentication_key: Arc::new(key), stored: None };
        keyring.add_key_at(service, KeyState::Primary, now).await?;
        Ok(keyring)
    }

    /// Reads a keyring from the JSON that [`to_json`](Keyring::to_json) wrote, and has `service` unwrap the key that
    /// authenticates it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the document is cut short or altered, or `service` is not the one that wrapped it;
    /// [`ErrorKind::KeyService`].
    ///
    /// # Example
    ///
    /// ```
    /// # use fieldseal::keys::{Keyring, LocalKek, SecretKey};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), fieldseal::Error> {
    /// # let kek = LocalKek::new(&SecretKey::generate()?);
    /// let json = Keyring::create("customers", &kek).await?.to_json();
    /// assert_eq!(Keyring::from_json(&json, &kek).await?.revision(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn from_json(json: &[u8], service: &dyn KeyService) -> Result<Self, Error> {
        Self::open(json, "the keyring", service, None).await
    }

    /// Reads a keyring from `place`, as messages call it. The authentication key of `held` is used again where it is
    /// the same.
    pub(super) async fn open(
        json: &[u8],
        place: &str,
        service: &dyn KeyService,
        held: Option<&Self>,
    ) -> Result<Self, Error> {
        let document = parse(json, place)?;
        let Document { name, kek, wrapped, .. } = &document;
        let authentication_key = match held {
            Some(Self { document: held, authentication_key, .. }) if (&held.kek, &held.wrapped) == (kek, wrapped) => {
                Arc::clone(authentication_key)
            }
            _ => Arc::new(key_service::unwrap(service, kek, wrapped, &WrapContext::of_keyring(name), place).await?),
        };
        if !document.is_authentic(&authentication_key) {
            let message =
                format!("{place} was altered or damaged: restore the last good copy, and find out who can write it");
            return Err(Error::new(ErrorKind::Keyring, message));
        }
        let stored = Some(document.stamp());
        Ok(Self { document, authentication_key, stored })
    }

    /// Writes the keyring as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        self.document.to_json()
    }

    /// Returns the name that all wrapped keys are bound to.
    #[must_use]
    pub fn name(&self) -> &str {
        self.document.name.as_str()
    }

    /// Returns the number that each change raises by one.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.document.revision
    }

    /// Returns the keys, oldest first.
    #[must_use]
    pub fn keys(&self) -> &[KeyEntry] {
        &self.document.keys
    }

    /// Adds a new key, pending, and returns its id. `service` must be the one that the keyring was created with.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] for another service; [`ErrorKind::KeyService`]; [`ErrorKind::Randomness`].
    pub async fn add_key(&mut self, service: &dyn KeyService) -> Result<KeyId, Error> {
        self.add_key_at(service, KeyState::Pending, SystemTime::now()).await
    }

    async fn add_key_at(&mut self, service: &dyn KeyService, state: KeyState, now: SystemTime) -> Result<KeyId, Error> {
        let kek = service.name();
        if kek != self.document.kek {
            let why = format!("it was created with `{}`, and the key service given is `{kek}`", self.document.kek);
            return Err(self.fault(&format!("takes no key: {why}")));
        }
        let secret = SecretKey::generate()?;
        let key = DataKey::new(&secret);
        if self.entry(key.id()).is_some() {
            return Err(self.fault("drew a key whose id is taken: try again"));
        }
        let context = WrapContext::of_data_key(&self.document.name, key.id());
        let wrapped = key_service::wrap(service, &secret, &context).await?;
        let (kek, created) = (kek.to_owned(), Timestamp::from_system_time(now));
        let entry = KeyEntry { commitment: *key.commitment(), state, created, kek, wrapped: Some(wrapped) };
        self.change(|keys| keys.push(entry))?;
        Ok(key.id())
    }

    /// Makes a pending or enabled key the primary one. The former primary key becomes enabled.
    ///
    /// Promote a key only when every replica has loaded it: one that has not cannot read what the others write.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the key is not in the keyring or in another state.
    pub fn promote(&mut self, id: KeyId) -> Result<(), Error> {
        self.set_state(id, KeyState::Primary)
    }

    /// Makes a pending or enabled key refuse to decrypt. It can be [enabled](Keyring::enable) again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the key is not in the keyring or in another state; the primary key has to be
    /// relieved by another first.
    pub fn disable(&mut self, id: KeyId) -> Result<(), Error> {
        self.set_state(id, KeyState::Disabled)
    }

    /// Lets a disabled key decrypt again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the key is not in the keyring or in another state.
    pub fn enable(&mut self, id: KeyId) -> Result<(), Error> {
        self.set_state(id, KeyState::Enabled)
    }

    /// Drops a disabled key from this keyring for good; its entry stays, so that tokens under it can be told from those
    /// under an unknown key.
    ///
    /// An older copy of the keyring gives the key back for as long as the key-encryption key lives: only when that is
    /// destroyed in the key service is the key gone from every copy.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the key is not in the keyring or not disabled.
    pub fn forget(&mut self, id: KeyId) -> Result<(), Error> {
        self.set_state(id, KeyState::Forgotten)
    }

    pub(super) fn entry(&self, id: KeyId) -> Option<&KeyEntry> {
        self.keys().iter().find(|entry| entry.id() == id)
    }

    pub(super) fn key_name(&self) -> &KeyringName {
        &self.document.name
    }

    /// Returns whether this is a later revision of `held`, or else the same one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where it is an earlier one, another one of the same number, or another keyring.
    pub(super) fn supersedes(&self, held: &Self, place: &str) -> Result<bool, Error> {
        let refuse = |fault: String| Err(Error::new(ErrorKind::Keyring, format!("{place} {fault}")));
        let (name, revision, in_use) = (self.name(), self.revision(), held.revision());
        if name != held.name() {
            return refuse(format!("now holds keyring `{name}`, but `{}` is in use: put that one back", held.name()));
        }
        let (key, held_key) = (&self.authentication_key, &held.authentication_key);
        if !bool::from(key.expose_secret().ct_eq(held_key.expose_secret())) {
            return refuse(format!("holds another keyring that is also called `{name}`: put back the one in use"));
        }
        match revision.cmp(&in_use) {
            Ordering::Greater => Ok(true),
            Ordering::Equal if self.document.stamp() == held.document.stamp() => Ok(false),
            Ordering::Equal => refuse(format!(
                "holds keyring `{name}` at revision {revision} with another content than the one in use: two changes \
                 were made to the same copy; find out which is right"
            )),
            Ordering::Less => refuse(format!(
                "holds keyring `{name}` at revision {revision}, but revision {in_use} is in use: an old copy was put \
                 back; restore revision {in_use} or later"
            )),
        }
    }

    /// Returns whether there is anything to save over what the storage at `place` holds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where that is not what this keyring was loaded from.
    pub(super) fn is_change_of(&self, json: &[u8], place: &str) -> Result<bool, Error> {
        let Some(stored) = self.stored else {
            return Err(self.fault("was never stored: create its file instead of saving over another one"));
        };
        let found = parse(json, place)?.stamp();
        if found == stored {
            return Ok(self.document.stamp() != stored);
        }
        let (theirs, ours) = (found.revision, stored.revision);
        let what = if theirs == ours { "with another content than" } else { "but this change was made to" };
        let advice = "somebody else changed it in the meantime; load it again and repeat the change";
        let message = format!("{place} is at revision {theirs}, {what} revision {ours}: {advice}");
        Err(Error::new(ErrorKind::Keyring, message))
    }

    pub(super) fn mark_stored(&mut self) {
        self.stored = Some(self.document.stamp());
    }

    fn set_state(&mut self, id: KeyId, next: KeyState) -> Result<(), Error> {
        let Some(entry) = self.entry(id) else {
            return Err(self.fault(&format!("has no key {id}: look at the list of its keys")));
        };
        let state = entry.state;
        if state == KeyState::Primary || !state.can_become(next) {
            let advice = match (state, next) {
                (KeyState::Primary, KeyState::Primary) => "nothing is left to do",
                (KeyState::Primary, _) => "promote another key first",
                (_, KeyState::Forgotten) if state.is_held() => "disable it first, and see whether anything misses it",
                (KeyState::Disabled, KeyState::Primary) => "enable it first",
                (KeyState::Forgotten | KeyState::Shredded, _) => "its wrapped key is no longer here",
                _ => "nothing was changed",
            };
            return Err(self.fault(&format!("has key {id} as {state}, which cannot become {next}: {advice}")));
        }
        self.change(|keys| {
            for entry in keys {
                if entry.id() == id {
                    entry.state = next;
                    entry.wrapped = entry.wrapped.take().filter(|_| next.is_held());
                } else if next == KeyState::Primary && entry.state == KeyState::Primary {
                    entry.state = KeyState::Enabled;
                }
            }
        })
    }

    fn change(&mut self, apply: impl FnOnce(&mut Vec<KeyEntry>)) -> Result<(), Error> {
        let Some(revision) = self.document.revision.checked_add(1) else {
            return Err(self.fault("has no revision left: create another one"));
        };
        apply(&mut self.document.keys);
        self.document.revision = revision;
        self.document.authenticate(&self.authentication_key);
        Ok(())
    }

    fn fault(&self, message: &str) -> Error {
        Error::new(ErrorKind::Keyring, format!("keyring `{}` {message}", self.name()))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("name", &self.name())
            .field("revision", &self.revision())
            .field("keys", &self.keys())
            .finish_non_exhaustive()
    }
}

fn parse(json: &[u8], place: &str) -> Result<Document, Error> {
    let unusable = |fault| format!("{place} {fault}: restore the last good copy");
    Document::parse(json).map_err(|fault| Error::new(ErrorKind::Keyring, unusable(fault)))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::keys::local::LocalKek;

    fn kek() -> LocalKek {
        LocalKek::new(&SecretKey::from_bytes(&[7; 32]))
    }

    #[tokio::test]
    async fn a_key_remembers_when_it_was_made() {
        let now = UNIX_EPOCH + Duration::from_millis(1_764_000_000_999);
        let keyring = Keyring::create_at("customers", &kek(), now).await.unwrap();
        assert_eq!(keyring.keys()[0].created().to_string(), "2025-11-24T16:00:00Z");
        assert_eq!(SystemTime::from(keyring.keys()[0].created()), UNIX_EPOCH + Duration::from_secs(1_764_000_000));
    }

    #[tokio::test]
    async fn the_last_revision_takes_no_change() {
        let mut keyring = Keyring::create("customers", &kek()).await.unwrap();
        let id = keyring.add_key(&kek()).await.unwrap();
        keyring.document.revision = u64::MAX;
        assert!(keyring.promote(id).is_err());
        assert_eq!(keyring.entry(id).unwrap().state(), KeyState::Pending);
    }

    #[tokio::test]
    async fn a_keyring_made_anew_under_the_same_name_does_not_supersede() {
        let [held, mut other] =
            [Keyring::create("customers", &kek()).await.unwrap(), Keyring::create("customers", &kek()).await.unwrap()];
        other.add_key(&kek()).await.unwrap();
        let error = other.supersedes(&held, "the keyring").unwrap_err();
        assert!(error.to_string().contains("another keyring that is also called `customers`"), "{error}");
    }
}
