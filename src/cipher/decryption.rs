//! The way out: tokens become values.

use std::sync::Arc;

use super::field_cipher::FieldCipher;
use crate::audit::AuditKind;
use crate::crypto::token::TEXT_MARK;
use crate::crypto::token_decryptor::TokenDecryptor;
use crate::error::{Error, ErrorKind};
use crate::json::{self, Visitor};
use crate::keys::{KeySet, KeyState};
use crate::policy::{FieldIndex, Policy};

/// Decrypts the values of one stream of documents with the keys of its start.
#[derive(Debug)]
pub(super) struct Decryption {
    cipher: FieldCipher,
    keys: Arc<KeySet>,
    tokens: TokenDecryptor,
}

impl Decryption {
    pub(super) fn new(cipher: FieldCipher) -> Self {
        let keys = cipher.keys().current();
        Self { cipher, keys, tokens: TokenDecryptor::default() }
    }

    pub(super) fn policy(&self) -> &Arc<Policy> {
        self.cipher.shared_policy()
    }

    /// Decrypts one token, in text or binary form, and returns the JSON text of the value.
    pub(super) fn decrypt(&mut self, field: FieldIndex, token: &[u8]) -> Result<&[u8], Error> {
        let Self { cipher, keys, tokens } = self;
        let mut key_id = None;
        let result = tokens.decrypt(cipher.place(field), token, |id| {
            key_id = Some(id);
            keys.for_decryption(id).map(|key| &**key)
        });
        result.inspect_err(|error| {
            let is_disabled = || key_id.is_some_and(|id| keys.state_of(id) == Some(KeyState::Disabled));
            let kind = match error.kind() {
                ErrorKind::KeyUnavailable if is_disabled() => AuditKind::DisabledKeyUsed,
                ErrorKind::KeyUnavailable => AuditKind::KeyUnavailable,
                _ => AuditKind::DecryptionFailed,
            };
            cipher.record(kind, field, key_id);
        })
    }

    fn not_encrypted(&self, field: FieldIndex) -> Error {
        self.cipher.record(AuditKind::NotEncrypted, field, None);
        let field = self.cipher.policy().field(field).name();
        Error::new(ErrorKind::NotEncrypted, format!("field `{field}` is stored without encryption"))
    }
}

impl Visitor for Decryption {
    fn value(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if value == b"null" {
            out.extend_from_slice(value);
            return Ok(());
        }
        let Some(text) = value.strip_prefix(b"\"") else { return Err(self.not_encrypted(field)) };
        let text = &text[..text.len() - 1];
        // A storage that escapes what needs no escape still stores the same token.
        let mut unescaped = Vec::new();
        let text = if memchr::memchr(b'\\', text).is_some() && json::unescape(text, &mut unescaped) {
            &unescaped
        } else {
            text
        };
        if !text.starts_with(TEXT_MARK.as_bytes()) {
            return Err(self.not_encrypted(field));
        }
        out.extend_from_slice(self.decrypt(field, text)?);
        Ok(())
    }

    fn too_long(&self, field: FieldIndex) -> Error {
        self.cipher.record(AuditKind::DecryptionFailed, field, None);
        Error::decryption()
    }
}
