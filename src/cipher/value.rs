//! Single values, for a column or a message of one's own.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::decryption::Decryption;
use super::encryption::Encryption;
use super::field_cipher::FieldCipher;
use crate::crypto::token;
use crate::error::{Error, ErrorKind};
use crate::policy::FieldIndex;
use crate::secret::SecretBuffer;

impl FieldCipher {
    /// Encrypts one value of `field` and returns the token in text form.
    ///
    /// # Errors
    ///
    /// [`ErrorKind`]`::InvalidValue` (the policy has no such field, or the value cannot be written as JSON), `TooLarge`
    /// (over 1 MiB of JSON text), `TokenSubmitted`, `KeyUnavailable` and `Randomness`.
    ///
    /// # Example
    ///
    /// ```
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// # use fieldseal::{Field, FieldCipher, Policy, Tag};
    /// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    /// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// let token = cipher.encrypt_value("phone", "+65 9123 4567")?;
    /// assert_eq!(token.len(), 112);
    /// assert_eq!(cipher.decrypt_value::<String>("phone", &token)?, "+65 9123 4567");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn encrypt_value<T: Serialize + ?Sized>(&self, field: &str, value: &T) -> Result<String, Error> {
        let mut text = Vec::new();
        self.encrypt_one(field, value, |token| token::write_text(token, &mut text))?;
        Ok(String::from_utf8(text).expect("base64url is ASCII"))
    }

    /// Encrypts one value of `field` and returns the token in binary form, a quarter shorter.
    ///
    /// # Errors
    ///
    /// As [`encrypt_value`](Self::encrypt_value).
    ///
    /// # Example
    ///
    /// ```
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// # use fieldseal::{Field, FieldCipher, Policy, Tag};
    /// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    /// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// let token = cipher.encrypt_value_to_bytes("phone", "+65 9123 4567")?;
    /// assert_eq!(token.len(), 81);
    /// assert_eq!(cipher.decrypt_value::<String>("phone", &token)?, "+65 9123 4567");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn encrypt_value_to_bytes<T: Serialize + ?Sized>(&self, field: &str, value: &T) -> Result<Vec<u8>, Error> {
        let mut binary = Vec::new();
        self.encrypt_one(field, value, |token| binary.extend_from_slice(token))?;
        Ok(binary)
    }

    /// Decrypts one token of `field`, in text or binary form.
    ///
    /// # Errors
    ///
    /// [`ErrorKind`]`::Decryption`, `KeyUnavailable`, and `InvalidValue` where the policy has no such field or the value
    /// is not a `T`.
    pub fn decrypt_value<T: DeserializeOwned>(&self, field: &str, token: impl AsRef<[u8]>) -> Result<T, Error> {
        let index = self.field_index(field)?;
        let mut decryption = Decryption::new(self.clone());
        let value = decryption.decrypt(index, token.as_ref())?;
        // The cause would quote the value.
        serde_json::from_slice(value)
            .map_err(|_| Error::new(ErrorKind::InvalidValue, format!("field `{field}` holds a value of another type")))
    }

    fn encrypt_one<T: Serialize + ?Sized>(
        &self,
        field: &str,
        value: &T,
        take: impl FnOnce(&[u8]),
    ) -> Result<(), Error> {
        let index = self.field_index(field)?;
        let value = to_json(value)?;
        take(Encryption::new(self.clone()).encrypt(index, value.as_slice())?);
        Ok(())
    }

    fn field_index(&self, field: &str) -> Result<FieldIndex, Error> {
        self.policy()
            .field_named(field)
            .ok_or_else(|| Error::new(ErrorKind::InvalidValue, format!("the policy has no field `{field}`")))
    }
}

/// Writes `value` as JSON text into a buffer that is overwritten when it is dropped.
pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<SecretBuffer, Error> {
    let mut text = SecretBuffer::default();
    // The cause would come from the value's own code, and may quote it.
    serde_json::to_writer(&mut text, value)
        .map_err(|_| Error::new(ErrorKind::InvalidValue, "the value cannot be written as JSON"))?;
    Ok(text)
}
