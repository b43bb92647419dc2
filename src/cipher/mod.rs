//! The standalone API: where policy, keys, tokens and documents meet.

#[cfg(feature = "layer")]
mod candidates;
mod cipher_ref;
mod compound_index;
mod decoys;
mod decryption;
mod document;
mod encryption;
mod field_cipher;
mod index;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod index_cell;
mod index_members;
#[cfg(feature = "layer")]
mod lists;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod migration;
mod parts;
mod precautions;
mod record;
mod record_binding;
mod refusal;
mod scope;
mod sealed;
mod stream;
mod strictness;
mod text_value;
mod validation;
mod value;
mod wanted;

pub use field_cipher::FieldCipher;
pub use index::Lookup;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use index_cell::{CellValue, IndexCell};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use migration::{Direction, Finding, Migration};
pub use scope::Scope;
pub use sealed::Sealed;
pub use stream::JsonStream;
pub use value::{ValueDecryptor, ValueEncryptor};
#[cfg(any(feature = "diesel", feature = "sea-orm", feature = "sqlx"))]
pub(crate) use value::{binary_token, text_token};
#[cfg(feature = "layer")]
pub(crate) use wanted::Wanted;
