//! The unwrapped keys of one moment.

use std::fmt;
use std::sync::Arc;

use super::key_entry::KeyEntry;
use super::key_service;
use super::key_services::KeyServices;
use super::keyring::Keyring;
use super::state::KeyState;
use super::subjects::Standing;
use super::wrap_context::WrapContext;
use crate::crypto::data_key::DataKey;
use crate::crypto::key_id::KeyId;
use crate::error::{Error, ErrorKind};
use crate::timestamp::Timestamp;

/// The keys of one revision of a keyring. Those that may not decrypt are not in memory.
pub(crate) struct KeySet {
    /// None where the keys come from no keyring.
    keyring: Option<Keyring>,
    primary: Option<Arc<DataKey>>,
    keys: Vec<(KeyId, Arc<DataKey>)>,
    /// Whether the subject has a key whose set this is; none where it is not one of a subject.
    standing: Option<Standing>,
}

impl KeySet {
    pub(super) fn of_one(key: DataKey) -> Self {
        let key = Arc::new(key);
        Self { keyring: None, primary: Some(Arc::clone(&key)), keys: vec![(key.id(), key)], standing: None }
    }

    /// The key of a subject, or none.
    pub(super) fn of_subject(standing: Standing, key: Option<DataKey>) -> Self {
        let set = key.map_or_else(Self::of_none, Self::of_one);
        Self { standing: Some(standing), ..set }
    }

    pub(super) fn of_none() -> Self {
        Self { keyring: None, primary: None, keys: Vec::new(), standing: None }
    }

    /// Unwraps the keys of `keyring` that may decrypt, but for those that `held` has already. Messages begin with
    /// `place`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where a wrapped key is not the one that the keyring is committed to, or was wrapped by
    /// another service; [`ErrorKind::KeyService`].
    pub(super) async fn unwrap(
        keyring: Keyring,
        place: &str,
        services: &KeyServices<'_>,
        held: Option<&Self>,
    ) -> Result<Self, Error> {
        let (mut primary, mut keys) = (None, Vec::new());
        for entry in keyring.keys().iter().filter(|entry| entry.state().can_decrypt()) {
            let Some(wrapped) = &entry.wrapped else { continue };
            let commitment = entry.commitment();
            let held = held.and_then(|held| held.find(entry.id())).filter(|held| held.is_committed_to_by(commitment));
            let key = if let Some(held) = held {
                Arc::clone(held)
            } else {
                let context = WrapContext::of_data_key(keyring.key_name(), entry.id());
                let secret = key_service::unwrap(services, entry.kek(), wrapped, &context, place).await?;
                let key = DataKey::new(&secret);
                if !key.is_committed_to_by(commitment) {
                    let name = entry.kek();
                    let message = format!("{place}: key service `{name}` unwrapped something else than {context}");
                    let advice = "the wrapped key was exchanged, or the service is not what it says it is";
                    return Err(Error::new(ErrorKind::Keyring, format!("{message}: {advice}")));
                }
                Arc::new(key)
            };
            if entry.state().can_encrypt() {
                primary = Some(Arc::clone(&key));
            }
            keys.push((entry.id(), key));
        }
        Ok(Self { keyring: Some(keyring), primary, keys, standing: None })
    }

    /// Returns the key that encrypts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyUnavailable`] where the keyring has no primary key, or the subject has none;
    /// [`ErrorKind::Erased`].
    pub(crate) fn primary(&self) -> Result<&Arc<DataKey>, Error> {
        self.primary.as_ref().ok_or_else(|| {
            if let Some(standing) = self.standing {
                return standing.no_primary();
            }
            let message = match self.keyring() {
                Some(_) => format!("{} has no primary key to encrypt with: promote one", self.origin()),
                None => "the cipher was given no key to encrypt with".to_owned(),
            };
            Error::new(ErrorKind::KeyUnavailable, message)
        })
    }

    /// Returns the key that decrypts the tokens which carry `id`. Looks through a list: keyrings hold few keys.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyUnavailable`] or [`ErrorKind::Erased`] where there is none, and the message tells why;
    /// [`ErrorKind::Decryption`] where it is not the one of the subject.
    pub(crate) fn for_decryption(&self, id: KeyId) -> Result<&Arc<DataKey>, Error> {
        self.find(id).ok_or_else(|| self.unavailable(id))
    }

    /// Every key that may decrypt.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<DataKey>> {
        self.keys.iter().map(|(_, key)| key)
    }

    pub(super) fn keyring(&self) -> Option<&Keyring> {
        self.keyring.as_ref()
    }

    /// Returns what the key `id` may do, where the keyring knows it.
    pub(crate) fn state_of(&self, id: KeyId) -> Option<KeyState> {
        self.keyring().and_then(|keyring| keyring.entry(id)).map(KeyEntry::state)
    }

    /// Returns whether `id` is that of a key here or in the keyring, whatever it may do.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn knows(&self, id: KeyId) -> bool {
        self.find(id).is_some() || self.state_of(id).is_some()
    }

    /// Returns when the key `id` was made, where that is known.
    pub(crate) fn created(&self, id: KeyId) -> Option<Timestamp> {
        self.keyring().and_then(|keyring| keyring.entry(id)).map(KeyEntry::created)
    }

    fn find(&self, id: KeyId) -> Option<&Arc<DataKey>> {
        self.keys.iter().find(|(other, _)| *other == id).map(|(_, key)| key)
    }

    #[cold]
    fn unavailable(&self, id: KeyId) -> Error {
        if let Some(standing) = self.standing {
            return standing.no_key(id);
        }
        let origin = self.origin();
        let message = match self.state_of(id) {
            Some(KeyState::Disabled) => {
                format!("key {id} is disabled in {origin}, and something stored still needs it: enable it again")
            }
            Some(KeyState::Forgotten) => {
                format!("key {id} was forgotten in {origin}: what it encrypted can no longer be read here")
            }
            Some(KeyState::Shredded) => {
                format!("key {id} of {origin} was shredded: what it encrypted can no longer be read by anybody")
            }
            _ => format!("key {id} is not in {origin}: look for a later revision, or for the keyring that it is from"),
        };
        Error::new(ErrorKind::KeyUnavailable, message)
    }

    fn origin(&self) -> String {
        match self.keyring() {
            Some(keyring) => format!("keyring `{}` at revision {}", keyring.name(), keyring.revision()),
            None => "the keys that were given without a keyring".to_owned(),
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keyring, primary, keys, standing } = self;
        f.debug_struct("KeySet")
            .field("keyring", &keyring.as_ref().map(Keyring::name))
            .field("revision", &keyring.as_ref().map(Keyring::revision))
            .field("primary", &primary.as_ref().map(|key| key.id()))
            .field("keys", &keys.iter().map(|(id, _)| id).collect::<Vec<_>>())
            .field("standing", standing)
            .finish()
    }
}

#[cfg(all(test, any(feature = "sqlite", feature = "postgres")))]
mod tests {
    use crate::keys::{DataKey, Keys, SecretKey};

    /// What is a token of one of them is not taken for plaintext, and encrypted once more.
    #[test]
    fn a_key_without_a_keyring_is_known() {
        let [own, other] = [[7; 32], [8; 32]].map(|bytes| DataKey::dangerous_test_key(&SecretKey::from_bytes(&bytes)));
        let (id, other) = (own.id(), other.id());
        let keys = Keys::from_data_key(own);
        assert!(keys.current().knows(id) && !keys.current().knows(other));
    }
}
