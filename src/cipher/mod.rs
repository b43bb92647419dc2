//! The standalone API: where policy, keys, tokens and documents meet.

mod decryption;
mod encryption;
mod field_cipher;
mod record;
mod scope;
mod stream;
mod value;

pub use field_cipher::FieldCipher;
pub use scope::Scope;
pub use stream::JsonStream;
pub use value::{ValueDecryptor, ValueEncryptor};
