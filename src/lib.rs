#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod audit;
#[cfg(feature = "breach")]
pub mod breach;
mod cipher;
#[cfg(any(feature = "breach", feature = "sqlite", feature = "postgres"))]
mod copy_text;
mod crypto;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod database_cause;
pub mod docs;
mod error;
mod json;
pub mod keys;
#[cfg(feature = "layer")]
pub mod layer;
#[cfg(feature = "memory-lock")]
pub mod memory;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "metrics/off.rs"]
mod metrics;
#[cfg(feature = "openapi")]
pub mod openapi;
#[cfg(any(feature = "layer", feature = "openapi"))]
mod percent;
pub mod policy;
#[cfg(feature = "redact")]
pub mod redact;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod reencrypt;
mod secret;
#[cfg(any(feature = "diesel", feature = "sea-orm", feature = "sqlx"))]
pub mod sql;
mod text;
mod timestamp;

pub use cipher::{FieldCipher, JsonStream, Lookup, Scope, Sealed, ValueDecryptor, ValueEncryptor};
pub use error::{Error, ErrorKind};
#[cfg(feature = "derive")]
pub use fieldseal_derive::Pii;
#[cfg(feature = "layer")]
pub use layer::FieldEncryptionLayer;
#[cfg(feature = "derive")]
pub use policy::Pii;
pub use policy::{Field, Policy, Tag};
pub use timestamp::Timestamp;
