//! x
#![allow(missing_docs, unused, dead_code)]
mod crypto;
mod error;
mod json;
pub mod audit;
mod cipher;
pub use cipher::{FieldCipher, JsonStream, Scope, ValueDecryptor, ValueEncryptor};
#[cfg(feature = "layer")]
pub mod layer;
mod secret;
pub mod policy;
pub use policy::{Field, Policy, Tag};
pub use error::{Error, ErrorKind};
pub mod keys { pub use crate::secret::SecretKey; pub use crate::crypto::data_key::DataKey; pub use crate::crypto::key_id::KeyId; pub use super::stub::*; }
mod stub {
 use crate::*; use std::sync::Arc; use crate::crypto::key_id::KeyId;
 #[derive(Clone, Debug)] pub struct Keys(Arc<KeySet>);
 #[derive(Debug)] pub struct KeySet(Arc<keys::DataKey>);
 impl Keys { pub fn from_data_key(k: keys::DataKey) -> Self { Keys(Arc::new(KeySet(Arc::new(k)))) } pub fn current(&self)->Arc<KeySet>{self.0.clone()} }
 impl KeySet { pub fn primary(&self)->Result<&Arc<keys::DataKey>,Error>{Ok(&self.0)} pub fn for_decryption(&self, id: KeyId)->Result<&Arc<keys::DataKey>,Error>{ if self.0.id()==id {Ok(&self.0)} else {Err(Error::new(ErrorKind::KeyUnavailable,"no such key"))}} }
}

#[cfg(feature = "layer")]
pub use layer::FieldEncryptionLayer;
