//! Records that are encrypted, by their type.

use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::field_cipher::FieldCipher;
use crate::error::{Error, ErrorKind};

/// A `T` whose tagged fields are encrypted: what may go to storage, into a queue, to another service. No method gives a `T`
/// back without a cipher, and no `T` becomes one without being encrypted, so that the two cannot be taken for each other. What
/// `Deserialize` reads as one is taken for stored: read it from the storage, not from a request.
///
/// With `serde_json` it is written as the document of `T`, with tokens in the place of tagged values. Whatever
/// document is read as one, only what a cipher under the same policy, keys and scope encrypted can be decrypted.
///
/// # Example
///
/// ```
/// # use fieldseal::keys::{DataKey, Keys, SecretKey};
/// # use fieldseal::{Field, FieldCipher, Policy, Tag};
/// use fieldseal::Sealed;
///
/// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
/// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Customer {
///     id: u64,
///     phone: String,
/// }
///
/// fn store(customer: &Sealed<Customer>) -> String {
///     serde_json::to_string(customer).unwrap() // a plaintext `Customer` does not compile here
/// }
///
/// let stored = store(&cipher.seal_record(&Customer { id: 7, phone: "+65 9123 4567".to_owned() })?);
/// assert!(stored.starts_with(r#"{"id":7,"phone":"fs1."#));
///
/// let sealed: Sealed<Customer> = serde_json::from_str(&stored).unwrap();
/// assert_eq!(cipher.open_record(&sealed)?.phone, "+65 9123 4567");
/// # Ok::<(), fieldseal::Error>(())
/// ```
pub struct Sealed<T> {
    document: Box<RawValue>,
    record: PhantomData<fn() -> T>,
}

impl<T> Sealed<T> {
    /// Returns the document, with tokens in the place of tagged values.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.document.get()
    }
}

impl FieldCipher {
    /// Encrypts the tagged fields of a record.
    ///
    /// # Errors
    ///
    /// As [`encrypt_record`](Self::encrypt_record).
    pub fn seal_record<T: Serialize>(&self, record: &T) -> Result<Sealed<T>, Error> {
        let document = self.encrypt_record(record)?;
        let fault = |_| Error::new(ErrorKind::InvalidValue, "the record is nested too deep to be written");
        Ok(Sealed { document: RawValue::from_string(document).map_err(fault)?, record: PhantomData })
    }

    /// Decrypts a record.
    ///
    /// # Errors
    ///
    /// As [`decrypt_record`](Self::decrypt_record): also where a tagged value is in the clear.
    pub fn open_record<T: DeserializeOwned>(&self, sealed: &Sealed<T>) -> Result<T, Error> {
        self.decrypt_record(sealed.as_json())
    }
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self { document: self.document.clone(), record: PhantomData }
    }
}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is not tagged is not shown either: whoever prints it does not know what is.
        f.debug_struct("Sealed").finish_non_exhaustive()
    }
}

impl<T> Serialize for Sealed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Sealed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { document: Box::deserialize(deserializer)?, record: PhantomData })
    }
}
