//! Bytes in, bytes out: the token of version 1, from a key and a context.
//!
//! The format is specified for other implementations in [`docs::token`](crate::docs::token).

pub(crate) mod associated_data;
mod base64url;
pub(crate) mod data_key;
mod gcm;
pub(crate) mod index_key;
pub(crate) mod key_id;
pub(crate) mod key_wrap;
pub(crate) mod padding;
pub(crate) mod random;
#[cfg(test)]
pub(crate) mod repeated;
pub(crate) mod token;
pub(crate) mod token_decryptor;
pub(crate) mod token_encryptor;
pub(crate) mod token_search;
pub(crate) mod xaes;
