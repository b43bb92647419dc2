//! Values that are checked before they are encrypted, since afterwards nobody can look at them.

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::encryption::Encryption;
use super::parts::json_of;
use crate::error::{Error, ErrorKind};
use crate::json;
use crate::policy::FieldIndex;

impl Encryption<'_> {
    /// Checks `value`, the JSON text of a value of `field`, and returns another one where the field stores a normal form.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Validation`], with the field and its rule.
    pub(super) fn validated(&mut self, field: FieldIndex, value: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let Some(validation) = self.policy().field(field).validation() else { return Ok(None) };
        self.refuse_token(field, value)?;
        if value == b"null" {
            return if validation.is_required() { Err(self.invalid(field, "is missing")) } else { Ok(None) };
        }
        let mut unescaped = Zeroizing::new(Vec::with_capacity(value.len()));
        let text = value.strip_prefix(b"\"").map(|text| &text[..text.len() - 1]);
        let is_text = text.is_some_and(|text| json::unescape(text, &mut unescaped));
        let text =
            str::from_utf8(&unescaped).ok().filter(|_| is_text).ok_or_else(|| self.invalid(field, "is no text"))?;
        if text.is_empty() && validation.is_required() {
            return Err(self.invalid(field, "is missing"));
        }
        let stored = validation.apply(text).map_err(|reason| self.invalid(field, &reason.to_string()))?;
        let canonical = match stored {
            Cow::Owned(stored) if stored != text => Some(Zeroizing::new(stored)),
            _ => None,
        };
        self.note_present(field);
        Ok(canonical.map(|text| json_of(&text)))
    }

    /// Fails where a document that ends did not hold what each must.
    pub(super) fn check_required(&self) -> Result<(), Error> {
        let mut missing = self.policy().required().filter(|field| !self.is_present(*field));
        missing.next().map_or(Ok(()), |field| Err(self.invalid(field, "is missing")))
    }

    fn invalid(&self, field: FieldIndex, reason: &str) -> Error {
        let field = self.policy().field(field).told();
        Error::new(ErrorKind::Validation, format!("the value of {field} {reason}"))
    }
}
