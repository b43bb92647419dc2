//! Records: any `serde` type whose JSON form the policy's paths fit.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::field_cipher::FieldCipher;
use super::value::write_json;
use crate::error::{Error, ErrorKind};
use crate::secret::SecretBuffer;

impl FieldCipher {
    /// Writes a record as JSON with its tagged fields encrypted.
    ///
    /// # Errors
    ///
    /// As [`encrypt_json`](Self::encrypt_json), and [`ErrorKind::InvalidValue`] where the record cannot be written as
    /// JSON.
    ///
    /// # Example
    ///
    /// ```
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// # use fieldseal::{Field, FieldCipher, Policy, Tag};
    /// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    /// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Customer {
    ///     id: u64,
    ///     phone: String,
    /// }
    ///
    /// let stored = cipher.encrypt_record(&Customer { id: 7, phone: "+65 9123 4567".to_owned() })?;
    /// assert!(stored.starts_with(r#"{"id":7,"phone":"fs1."#));
    /// let customer: Customer = cipher.decrypt_record(&stored)?;
    /// assert_eq!(customer.phone, "+65 9123 4567");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn encrypt_record<T: Serialize + ?Sized>(&self, record: &T) -> Result<String, Error> {
        let mut plaintext = SecretBuffer::default();
        write_json(record, &mut plaintext)?;
        let stored = self.encrypt_json(plaintext.as_slice()).map_err(|error| match error.kind() {
            // What `serde_json` wrote is valid; it can only be nested too deep.
            ErrorKind::Malformed => Error::new(ErrorKind::InvalidValue, "the record is nested deeper than 128"),
            _ => error,
        })?;
        Ok(String::from_utf8(stored).expect("valid JSON was read, and tokens are ASCII"))
    }

    /// Reads a record from JSON whose tagged fields are encrypted.
    ///
    /// # Errors
    ///
    /// As [`decrypt_json`](Self::decrypt_json), and [`ErrorKind::InvalidValue`] where the document is not a `T`.
    pub fn decrypt_record<T: DeserializeOwned>(&self, stored: impl AsRef<[u8]>) -> Result<T, Error> {
        let plaintext = Zeroizing::new(self.decrypt_json(stored.as_ref())?);
        // The cause would quote the value; where it stands is safe to say.
        serde_json::from_slice(&plaintext).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let message = format!("the record does not fit the type asked for, at line {line}, column {column}");
            Error::new(ErrorKind::InvalidValue, message)
        })
    }
}
