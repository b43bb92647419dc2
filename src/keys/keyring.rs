//! The document that holds a service's wrapped keys.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use ctutils::CtEq;

use super::change::{Author, Change};
use super::document::Document;
use super::key_entry::KeyEntry;
use super::key_service::{self, KeyService};
use super::key_services::KeyServices;
use super::keyring_name::KeyringName;
use super::state::KeyState;
use super::store::KeyringStore;
use super::timing::{Schedule, Timing};
use super::wrap_context::WrapContext;
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
/// to. Each change raises the revision by one, is recorded with who made it and why, and stays in memory until the
/// keyring is [saved](Keyring::save).
///
/// # Example
///
/// A rotation in a single process. In a fleet, leave the [`Timing`] as it is: each step then refuses to be taken before
/// its time, and says when that is.
///
/// ```
/// use std::time::SystemTime;
///
/// use fieldseal::keys::{KeyState, Keyring, LocalKek, SecretKey, Timing};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fieldseal::Error> {
/// let kek = LocalKek::new(&SecretKey::generate()?);
/// let mut keyring = Keyring::create("customers", &kek).await?.by("alice@example.sg", "quarterly rotation")?;
/// keyring.set_timing(Timing::single_process())?;
/// let old = keyring.keys()[0].id();
///
/// let new = keyring.add_key(&kek).await?; // every replica can decrypt with it
/// keyring.promote(new)?; // and now one after the other encrypts with it
/// # std::thread::sleep(std::time::Duration::from_secs(1));
/// for _ in 0..2 {
///     let began = SystemTime::now();
///     // ... look through everything that is stored: nothing is under the old key any more ...
///     keyring.record_scan(old, began, 0)?;
/// }
/// keyring.disable(old)?; // the rehearsal of its end
/// # std::thread::sleep(std::time::Duration::from_secs(1));
/// keyring.forget(old)?; // the end
///
/// let states: Vec<_> = keyring.keys().iter().map(|entry| entry.state()).collect();
/// assert_eq!(states, [KeyState::Forgotten, KeyState::Primary]);
/// # Ok(())
/// # }
/// ```
pub struct Keyring {
    pub(super) document: Document,
    pub(super) authentication_key: Arc<SecretKey>,
    pub(super) author: Author,
    /// What the storage held when this was read from it or written to it.
    stored: Option<Vec<u8>>,
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

    pub(super) async fn create_at(name: &str, service: &dyn KeyService, now: SystemTime) -> Result<Self, Error> {
        let name = KeyringName::parse(name)?;
        let key = SecretKey::generate()?;
        let wrapped = key_service::wrap(service, &key, &WrapContext::of_keyring(&name)).await?;
        let kek = service.name().to_owned();
        let document = Document {
            name,
            revision: 0,
            timing: Timing::default(),
            schedule: Schedule::default(),
            slower: None,
            destroyed: Vec::new(),
            kek,
            wrapped,
            keys: Vec::new(),
            changes: Vec::new(),
            mac: [0; 32],
        };
        let author = Author::of_process();
        let mut keyring = Self { document, authentication_key: Arc::new(key), author, stored: None };
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
    pub async fn from_json(json: &[u8], services: impl Into<KeyServices<'_>>) -> Result<Self, Error> {
        Self::open(json, "the keyring", &services.into(), None).await
    }

    /// Reads the keyring that stands in `store`, and has one of `services` unwrap the key that authenticates it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where it cannot be read, is cut short or altered, or none of `services` wrapped it;
    /// [`ErrorKind::KeyService`].
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
    /// let kek = LocalKek::new(&SecretKey::generate()?);
    /// let store = KeyringFile::new(path);
    /// Keyring::create("customers", &kek).await?.save(&store).await?;
    ///
    /// let mut keyring = Keyring::load(&store, &kek).await?.by("alice@example.sg", "quarterly rotation")?;
    /// keyring.add_key(&kek).await?;
    /// keyring.save(&store).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn load(store: &dyn KeyringStore, services: impl Into<KeyServices<'_>>) -> Result<Self, Error> {
        Self::load_after(store, &services.into(), None).await
    }

    pub(super) async fn load_after(
        store: &dyn KeyringStore,
        services: &KeyServices<'_>,
        held: Option<&Self>,
    ) -> Result<Self, Error> {
        let json = store.read().await?;
        let keyring = Self::open(&json, &store.place(), services, held).await?;
        store.accept(keyring.revision())?;
        Ok(keyring)
    }

    /// Puts the keyring into `store`: in the place of the revision that it was loaded from, or, where it was never
    /// stored, in an empty place.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where something else stands there, since somebody else changed it in the meantime, or
    /// where it cannot be written. What stands there then is one whole revision. Call it again where it could not be
    /// written or was cancelled: what the first call has stored after all is taken for stored.
    pub async fn save(&mut self, store: &dyn KeyringStore) -> Result<(), Error> {
        let json = self.to_json();
        if self.stored.as_ref() == Some(&json) {
            return store.accept(self.revision());
        }
        match store.replace(self.stored.as_deref(), &json).await? {
            // What stands there already came there by an earlier call, whose answer was lost.
            Err(found) if found != json => Err(self.conflict(&found, &store.place())),
            Ok(()) | Err(_) => {
                self.stored = Some(json);
                store.accept(self.revision())
            }
        }
    }

    /// Names who makes the changes that follow, and why, for the record in the keyring. Unless told, it is the user of
    /// this process, for no reason.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where one is over 1,024 bytes or has line ends or other control characters.
    pub fn by(mut self, who: &str, why: &str) -> Result<Self, Error> {
        self.author = Author::parse(who, why)?;
        Ok(self)
    }

    /// Reads a keyring from `place`, as messages call it. The authentication key of `held` is used again where it is
    /// the same.
    pub(super) async fn open(
        json: &[u8],
        place: &str,
        services: &KeyServices<'_>,
        held: Option<&Self>,
    ) -> Result<Self, Error> {
        let document = parse(json, place)?;
        let Document { name, kek, wrapped, .. } = &document;
        let authentication_key = match held {
            Some(Self { document: held, authentication_key, .. }) if (&held.kek, &held.wrapped) == (kek, wrapped) => {
                Arc::clone(authentication_key)
            }
            _ => Arc::new(key_service::unwrap(services, kek, wrapped, &WrapContext::of_keyring(name), place).await?),
        };
        if !document.is_authentic(&authentication_key) {
            let message =
                format!("{place} was altered or damaged: restore the last good copy, and find out who can write it");
            return Err(Error::new(ErrorKind::Keyring, message));
        }
        Ok(Self { document, authentication_key, author: Author::of_process(), stored: Some(json.to_vec()) })
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

    /// Returns the latest 1,000 changes, oldest first.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.document.changes
    }

    /// Returns the times of the fleet.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.document.timing
    }

    /// Returns when keys are due.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        self.document.schedule
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

    /// Returns what this was read from or written as.
    pub(super) fn stored(&self) -> Option<&[u8]> {
        self.stored.as_deref()
    }

    /// Tells why this cannot be put in the place of `found`.
    fn conflict(&self, found: &[u8], place: &str) -> Error {
        let Some(stored) = self.stored.as_deref().and_then(|stored| Document::parse(stored).ok()) else {
            return self.fault(&format!("was never stored, but {place} exists already: load it and change that"));
        };
        let found = match parse(found, place) {
            Ok(found) => found.stamp(),
            Err(error) => return error,
        };
        let (theirs, ours) = (found.revision, stored.revision);
        let what = if theirs == ours { "with another content than" } else { "but this change was made to" };
        let advice = "somebody else changed it in the meantime; load it again and repeat the change";
        let message = format!("{place} is at revision {theirs}, {what} revision {ours}: {advice}");
        Error::new(ErrorKind::Keyring, message)
    }

    pub(super) fn fault(&self, message: &str) -> Error {
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
