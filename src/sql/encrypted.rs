//! Values of columns, and how they are encrypted and decrypted.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cipher::{FieldCipher, ValueDecryptor, ValueEncryptor, binary_token, text_token};
use crate::error::{Error, ErrorKind};

/// A `T` that is encrypted, in a column of text: a token in its text form.
///
/// `Debug` shows no token. Equality is that of tokens, and two of one value are not equal. `serde` writes and reads the token
/// as text, so that a row can be handed to a client through the layer.
#[cfg_attr(
    feature = "diesel",
    derive(::diesel::AsExpression, ::diesel::FromSqlRow),
    diesel(sql_type = ::diesel::sql_types::Text)
)]
pub struct Encrypted<T> {
    pub(super) token: String,
    holds: PhantomData<fn() -> T>,
}

/// A `T` that is encrypted, in a column of bytes: a token in its binary form. In all else as [`Encrypted`].
#[cfg_attr(
    feature = "diesel",
    derive(::diesel::AsExpression, ::diesel::FromSqlRow),
    diesel(sql_type = ::diesel::sql_types::Binary)
)]
pub struct EncryptedBytes<T> {
    pub(super) token: Vec<u8>,
    holds: PhantomData<fn() -> T>,
}

/// What both have, on whichever form of the token.
macro_rules! column {
    ($name:ident, $token_of:expr, $text_of:expr) => {
        impl<T> $name<T> {
            /// Takes what a column holds, a token in either form.
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Decryption`] where it is no token by its syntax. That it opens is seen only when it is decrypted.
            pub fn from_stored(stored: impl AsRef<[u8]>) -> Result<Self, Error> {
                let no_token = || Error::new(ErrorKind::Decryption, "the column holds something that is no token");
                Ok(Self { token: $token_of(stored.as_ref()).ok_or_else(no_token)?, holds: PhantomData })
            }

            /// Returns the token, as it is stored.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                self.token.as_ref()
            }
        }

        impl<T> AsRef<[u8]> for $name<T> {
            fn as_ref(&self) -> &[u8] {
                self.as_bytes()
            }
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                Self { token: self.token.clone(), holds: PhantomData }
            }
        }

        impl<T> PartialEq for $name<T> {
            fn eq(&self, other: &Self) -> bool {
                self.token == other.token
            }
        }

        impl<T> Eq for $name<T> {}

        impl<T> Hash for $name<T> {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.token.hash(state);
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }

        impl<T> Serialize for $name<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $text_of(&self.token, serializer)
            }
        }

        impl<'de, T> Deserialize<'de> for $name<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::from_stored(String::deserialize(deserializer)?).map_err(D::Error::custom)
            }
        }

        impl<T> Column<T> for $name<T> {
            fn encrypt<V: Serialize + ?Sized>(row: &mut ValueEncryptor, field: &str, value: &V) -> Result<Self, Error> {
                Self::from_stored(row.encrypt_to_bytes(field, value)?)
            }
        }
    };
}

column!(Encrypted, text_token, |token: &String, serializer: S| serializer.serialize_str(token));
column!(EncryptedBytes, binary_token, |token: &Vec<u8>, serializer: S| {
    serializer.serialize_str(&text_token(token).unwrap_or_default())
});

/// [`Encrypted`] or [`EncryptedBytes`]. There are no others.
pub trait Column<T>: AsRef<[u8]> + Sized + sealed::Sealed {
    #[doc(hidden)]
    fn encrypt<V: Serialize + ?Sized>(row: &mut ValueEncryptor, field: &str, value: &V) -> Result<Self, Error>;
}

mod sealed {
    pub trait Sealed {}

    impl<T> Sealed for super::Encrypted<T> {}
    impl<T> Sealed for super::EncryptedBytes<T> {}
}

impl FieldCipher {
    /// Encrypts a value of `field` for a column of its own. For several columns of a row,
    /// [`ValueEncryptor::encrypt_column`] costs less.
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
    /// use fieldseal::sql::{Encrypted, EncryptedBytes};
    ///
    /// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    /// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// let text: Encrypted<String> = cipher.encrypt_column("phone", "+65 9123 4567")?;
    /// let bytes: EncryptedBytes<String> = cipher.encrypt_column("phone", "+65 9123 4567")?;
    /// assert_eq!((text.as_bytes().len(), bytes.as_bytes().len()), (112, 81));
    /// assert_eq!(cipher.decrypt_column("phone", &text)?, cipher.decrypt_column("phone", &bytes)?);
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn encrypt_column<T, C, V>(&self, field: &str, value: &V) -> Result<C, Error>
    where
        T: Borrow<V>,
        C: Column<T>,
        V: Serialize + ?Sized,
    {
        self.value_encryptor().encrypt_column(field, value)
    }

    /// Decrypts the value of a column that holds `field`.
    ///
    /// # Errors
    ///
    /// As [`decrypt_value`](Self::decrypt_value).
    pub fn decrypt_column<T: DeserializeOwned>(&self, field: &str, column: &impl Column<T>) -> Result<T, Error> {
        self.decrypt_value(field, column)
    }
}

impl ValueEncryptor {
    /// Encrypts a value of `field` for a column of its own.
    ///
    /// # Errors
    ///
    /// As [`FieldCipher::encrypt_value`].
    pub fn encrypt_column<T, C, V>(&mut self, field: &str, value: &V) -> Result<C, Error>
    where
        T: Borrow<V>,
        C: Column<T>,
        V: Serialize + ?Sized,
    {
        C::encrypt(self, field, value)
    }
}

impl ValueDecryptor {
    /// Decrypts the value of a column that holds `field`.
    ///
    /// # Errors
    ///
    /// As [`FieldCipher::decrypt_value`].
    pub fn decrypt_column<T: DeserializeOwned>(&mut self, field: &str, column: &impl Column<T>) -> Result<T, Error> {
        self.decrypt(field, column)
    }
}
