//! Single values, for columns or messages of one's own.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cipher_ref::CipherRef;
use super::decryption::Decryption;
use super::encryption::Encryption;
use super::field_cipher::FieldCipher;
use super::text_value;
#[cfg(feature = "layer")]
use crate::audit::AuditKind;
use crate::crypto::token;
use crate::error::{Error, ErrorKind};
use crate::policy::{FieldIndex, Policy};
use crate::secret::SecretBuffer;

impl FieldCipher {
    /// Encrypts one value of `field` and returns the token in text form.
    ///
    /// For the values of one row, a [`value_encryptor`](Self::value_encryptor) costs less.
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
        Encryptor::new(self.lent()).encrypt(field, value)
    }

    /// Encrypts one value of `field` and returns the token in binary form, a quarter shorter.
    ///
    /// # Errors
    ///
    /// As [`encrypt_value`](Self::encrypt_value).
    pub fn encrypt_value_to_bytes<T: Serialize + ?Sized>(&self, field: &str, value: &T) -> Result<Vec<u8>, Error> {
        Encryptor::new(self.lent()).encrypt_to_bytes(field, value)
    }

    /// Decrypts one token of `field`, in text or binary form.
    ///
    /// # Errors
    ///
    /// [`ErrorKind`]`::Decryption`, `KeyUnavailable`, and `InvalidValue` where the policy has no such field or the value
    /// is not a `T`.
    pub fn decrypt_value<T: DeserializeOwned>(&self, field: &str, token: impl AsRef<[u8]>) -> Result<T, Error> {
        Decryptor::new(self.lent()).decrypt(field, token.as_ref())
    }

    /// Decrypts one token, and tells the audit.
    #[cfg(feature = "layer")]
    pub(crate) fn open_on_record<T: DeserializeOwned>(&self, field: &str, token: impl AsRef<[u8]>) -> Result<T, Error> {
        let value = self.decrypt_value(field, token)?;
        self.record(AuditKind::Opened, index_of(self.policy(), field)?, None);
        Ok(value)
    }

    /// Encrypts the values of one row, which then share a nonce prefix and the cost of deriving its key.
    #[must_use]
    pub fn value_encryptor(&self) -> ValueEncryptor {
        ValueEncryptor(Encryptor::new(self.held()))
    }

    /// Decrypts the values of rows; those of one row cost less together.
    #[must_use]
    pub fn value_decryptor(&self) -> ValueDecryptor {
        ValueDecryptor(Decryptor::new(self.held()))
    }
}

/// Encrypts the values of one row.
///
/// They share a nonce prefix for as long as it is kept: let none outlive a `fork` of the process or a snapshot of the machine,
/// after which two could go on with [one nonce](crate::docs::randomness).
///
/// # Example
///
/// ```
/// # use fieldseal::keys::{DataKey, Keys, SecretKey};
/// # use fieldseal::{Field, FieldCipher, Policy, Tag};
/// # let policy = Policy::builder("customers")
/// #     .field(Field::new("name", Tag::Name))
/// #     .field(Field::new("phone", Tag::Phone))
/// #     .build()?;
/// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
/// let mut row = cipher.value_encryptor();
/// let name = row.encrypt("name", "Tan Wei Ming")?;
/// let phone = row.encrypt_to_bytes("phone", "+65 9123 4567")?; // for a binary column
/// assert_eq!((name.len(), phone.len()), (112, 81));
///
/// let mut row = cipher.value_decryptor();
/// assert_eq!(row.decrypt::<String>("name", &name)?, "Tan Wei Ming");
/// assert_eq!(row.decrypt::<String>("phone", &phone)?, "+65 9123 4567");
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Debug)]
pub struct ValueEncryptor(Encryptor<'static>);

impl ValueEncryptor {
    /// Encrypts one value of `field` and returns the token in text form.
    ///
    /// # Errors
    ///
    /// As [`FieldCipher::encrypt_value`].
    pub fn encrypt<T: Serialize + ?Sized>(&mut self, field: &str, value: &T) -> Result<String, Error> {
        self.0.encrypt(field, value)
    }

    /// Encrypts one value of `field` and returns the token in binary form.
    ///
    /// # Errors
    ///
    /// As [`FieldCipher::encrypt_value`].
    pub fn encrypt_to_bytes<T: Serialize + ?Sized>(&mut self, field: &str, value: &T) -> Result<Vec<u8>, Error> {
        self.0.encrypt_to_bytes(field, value)
    }
}

/// Decrypts the values of rows.
#[derive(Debug)]
pub struct ValueDecryptor(Decryptor<'static>);

impl ValueDecryptor {
    /// Decrypts one token of `field`, in text or binary form.
    ///
    /// # Errors
    ///
    /// As [`FieldCipher::decrypt_value`].
    pub fn decrypt<T: DeserializeOwned>(&mut self, field: &str, token: impl AsRef<[u8]>) -> Result<T, Error> {
        self.0.decrypt(field, token.as_ref())
    }
}

/// Encrypts values by a cipher that is lent or held.
#[derive(Debug)]
struct Encryptor<'c> {
    encryption: Encryption<'c>,
    text: SecretBuffer,
}

impl<'c> Encryptor<'c> {
    fn new(cipher: CipherRef<'c>) -> Self {
        Self { encryption: Encryption::new(cipher).for_single_values(), text: SecretBuffer::default() }
    }

    fn encrypt<T: Serialize + ?Sized>(&mut self, field: &str, value: &T) -> Result<String, Error> {
        let mut text = Vec::new();
        token::write_text(self.token(field, value)?, &mut text);
        Ok(String::from_utf8(text).expect("base64url is ASCII"))
    }

    fn encrypt_to_bytes<T: Serialize + ?Sized>(&mut self, field: &str, value: &T) -> Result<Vec<u8>, Error> {
        self.token(field, value).map(<[u8]>::to_vec)
    }

    fn token<T: Serialize + ?Sized>(&mut self, field: &str, value: &T) -> Result<&[u8], Error> {
        let index = index_of(self.encryption.policy(), field)?;
        write_json(value, &mut self.text)?;
        self.encryption.renew();
        match self.encryption.validated(index, self.text.as_slice())? {
            Some(canonical) => self.encryption.encrypt(index, &canonical),
            None => self.encryption.encrypt(index, self.text.as_slice()),
        }
    }
}

/// Decrypts values by a cipher that is lent or held.
#[derive(Debug)]
struct Decryptor<'c> {
    decryption: Decryption<'c>,
}

impl<'c> Decryptor<'c> {
    fn new(cipher: CipherRef<'c>) -> Self {
        Self { decryption: Decryption::new(cipher).for_single_values() }
    }

    fn decrypt<T: DeserializeOwned>(&mut self, field: &str, token: &[u8]) -> Result<T, Error> {
        let index = index_of(self.decryption.policy(), field)?;
        self.decryption.renew();
        let value = self.decryption.decrypt(index, token)?;
        // The cause would quote the value.
        text_value::read(value).ok_or_else(|| {
            Error::new(ErrorKind::InvalidValue, format!("field `{field}` holds a value of another type"))
        })
    }
}

/// Returns a token in binary form, whichever it comes in; nothing where it is none by its syntax.
#[cfg(any(feature = "diesel", feature = "sea-orm", feature = "sqlx"))]
pub(crate) fn binary_token(token: &[u8]) -> Option<Vec<u8>> {
    token::to_binary(token)
}

/// Returns a token in text form, whichever it comes in; nothing where it is none by its syntax.
#[cfg(any(feature = "diesel", feature = "sea-orm", feature = "sqlx"))]
pub(crate) fn text_token(token: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    token::write_text(&token::to_binary(token)?, &mut text);
    String::from_utf8(text).ok()
}

fn index_of(policy: &Policy, field: &str) -> Result<FieldIndex, Error> {
    policy
        .field_named(field)
        .ok_or_else(|| Error::new(ErrorKind::InvalidValue, format!("the policy has no field `{field}`")))
}

/// Writes `value` as JSON text over what `text` held.
pub(super) fn write_json<T: Serialize + ?Sized>(value: &T, text: &mut SecretBuffer) -> Result<(), Error> {
    text.clear();
    // The cause would come from the value's own code, and may quote it.
    serde_json::to_writer(text, value)
        .map_err(|_| Error::new(ErrorKind::InvalidValue, "the value cannot be written as JSON"))
}
