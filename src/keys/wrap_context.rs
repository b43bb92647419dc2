//! What a wrapped key is bound to.

use std::fmt;

use super::keyring_name::KeyringName;
use crate::crypto::associated_data::write_part;
use crate::crypto::key_id::KeyId;
use crate::error::Error;

/// The place and purpose of a wrapped key. A [`KeyService`](super::KeyService) binds the wrapped key to it, as
/// associated data or as an encryption context.
///
/// # Example
///
/// ```
/// use fieldseal::keys::WrapContext;
///
/// let context = WrapContext::data_key("customers", "0123456789abcdef".parse()?)?;
/// assert_eq!(context.pairs(), [
///     ("fieldseal-keyring", "customers".to_owned()),
///     ("fieldseal-purpose", "data-key".to_owned()),
///     ("fieldseal-key", "0123456789abcdef".to_owned()),
/// ]);
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct WrapContext {
    keyring: KeyringName,
    purpose: KeyPurpose,
    key_id: Option<KeyId>,
}

/// What a wrapped key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyPurpose {
    /// It encrypts fields.
    DataKey,
    /// It authenticates the keyring that it stands in.
    KeyringAuthentication,
}

impl WrapContext {
    /// Makes the context of the data key `id` in the keyring called `keyring`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where no keyring can be called so.
    pub fn data_key(keyring: &str, id: KeyId) -> Result<Self, Error> {
        Ok(Self::of_data_key(&KeyringName::parse(keyring)?, id))
    }

    /// Makes the context of the authentication key of the keyring called `keyring`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where no keyring can be called so.
    pub fn keyring_authentication(keyring: &str) -> Result<Self, Error> {
        Ok(Self::of_keyring(&KeyringName::parse(keyring)?))
    }

    pub(super) fn of_data_key(keyring: &KeyringName, id: KeyId) -> Self {
        Self { keyring: keyring.clone(), purpose: KeyPurpose::DataKey, key_id: Some(id) }
    }

    pub(super) fn of_keyring(keyring: &KeyringName) -> Self {
        Self { keyring: keyring.clone(), purpose: KeyPurpose::KeyringAuthentication, key_id: None }
    }

    /// Returns the name of the keyring.
    #[must_use]
    pub fn keyring(&self) -> &str {
        self.keyring.as_str()
    }

    /// Returns what the key is for.
    #[must_use]
    pub fn purpose(&self) -> KeyPurpose {
        self.purpose
    }

    /// Returns the id of the data key; the keyring's authentication key has none.
    #[must_use]
    pub fn key_id(&self) -> Option<KeyId> {
        self.key_id
    }

    /// Returns the canonical bytes, for services that take associated data: keyring, purpose and key id (8 bytes, or
    /// none), each behind its length as a big-endian 16-bit number.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::keys::WrapContext;
    ///
    /// let context = WrapContext::keyring_authentication("customers")?;
    /// assert_eq!(context.to_bytes(), b"\0\x09customers\0\x16keyring-authentication\0\0");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { keyring, purpose, key_id } = self;
        let mut bytes = Vec::new();
        write_part(keyring.as_str().as_bytes(), &mut bytes);
        write_part(purpose.name().as_bytes(), &mut bytes);
        write_part(key_id.as_ref().map_or(&[], |id| &id.0[..]), &mut bytes);
        bytes
    }

    /// Returns the same as names and values, for services that take an encryption context. There is no pair for a key
    /// id where there is none.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let Self { keyring, purpose, key_id } = self;
        let mut pairs =
            vec![("fieldseal-keyring", keyring.as_str().to_owned()), ("fieldseal-purpose", purpose.name().to_owned())];
        pairs.extend(key_id.map(|id| ("fieldseal-key", id.to_string())));
        pairs
    }
}

impl KeyPurpose {
    fn name(self) -> &'static str {
        match self {
            Self::DataKey => "data-key",
            Self::KeyringAuthentication => "keyring-authentication",
        }
    }
}

impl fmt::Display for WrapContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keyring, purpose: _, key_id } = self;
        match key_id {
            Some(id) => write!(f, "key {id} of keyring `{keyring}`"),
            None => write!(f, "the authentication key of keyring `{keyring}`"),
        }
    }
}

impl fmt::Debug for WrapContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrapContext({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_contexts_are_written_alike() {
        let id = |byte| KeyId([byte; 8]);
        let contexts = [
            WrapContext::data_key("a", id(1)),
            WrapContext::data_key("a", id(2)),
            WrapContext::data_key("ab", id(1)),
            WrapContext::keyring_authentication("a"),
            WrapContext::keyring_authentication("ab"),
        ]
        .map(Result::unwrap);
        for (index, one) in contexts.iter().enumerate() {
            for other in &contexts[index + 1..] {
                assert_ne!(one.to_bytes(), other.to_bytes());
                assert_ne!(one.pairs(), other.pairs());
            }
        }
    }
}
