//! Values that are refused by what they are, before anything is made of them.

use zeroize::Zeroizing;

use super::encryption::Encryption;
use crate::audit::AuditKind;
use crate::crypto::token::{self, SHORTEST_TEXT, TEXT_MARK};
use crate::error::{Error, ErrorKind};
use crate::json;
use crate::policy::FieldIndex;
use crate::text::is_masked;

impl Encryption<'_> {
    /// Refuses a value that was masked for who sends it: it would overwrite the real one.
    pub(super) fn refuse_masked(&self, field: FieldIndex, value: &[u8]) -> Result<(), Error> {
        let mut text = Zeroizing::new(Vec::with_capacity(value.len()));
        if json::unescape(value, &mut text) && str::from_utf8(&text).is_ok_and(is_masked) {
            let field = self.cipher().policy().field(field).name();
            let message = format!(
                "field `{field}` holds a masked value, which would overwrite the real one: send what changes alone, as a \
                 patch (`PATCH` with `application/merge-patch+json`)"
            );
            return Err(Error::new(ErrorKind::Refused, message));
        }
        Ok(())
    }

    /// Refuses a value that is a token by its syntax alone. To pass it on, or to encrypt it once more, would let
    /// whoever holds stolen tokens have them opened, or would hide a component that encrypts twice.
    pub(super) fn refuse_token(&self, field: FieldIndex, value: &[u8]) -> Result<(), Error> {
        let Some(text) = value.strip_prefix(b"\"") else { return Ok(()) };
        let text = &text[..text.len() - 1];
        // No escape makes a text shorter than what it stands for.
        if text.len() < SHORTEST_TEXT {
            return Ok(());
        }
        let key_id = if memchr::memchr(b'\\', text).is_some() {
            let mut unescaped = Zeroizing::new(Vec::with_capacity(text.len()));
            json::unescape(text, &mut unescaped).then(|| token::recognize(&unescaped)).flatten()
        } else if text.starts_with(TEXT_MARK.as_bytes()) {
            token::recognize(text)
        } else {
            None
        };
        let Some(key_id) = key_id else { return Ok(()) };
        self.cipher().record(AuditKind::TokenSubmitted, field, Some(key_id));
        let field = self.cipher().policy().field(field).name();
        Err(Error::new(ErrorKind::TokenSubmitted, format!("field `{field}` holds an encrypted token, not a value")))
    }
}
