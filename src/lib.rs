//! x
#![allow(missing_docs, unused, dead_code)]
mod crypto;
mod error;
mod json;
pub mod audit;
mod cipher;
pub use cipher::{FieldCipher, JsonStream, Scope};
mod secret;
pub mod policy;
pub use policy::{Field, Policy, Tag};
pub use error::{Error, ErrorKind};
pub mod keys { pub use crate::secret::SecretKey; pub use crate::crypto::data_key::DataKey; pub use crate::crypto::key_id::KeyId; }
