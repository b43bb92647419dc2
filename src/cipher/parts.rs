//! The parts of indexes of several fields, as the objects that hold them are read.

use std::fmt;

use zeroize::Zeroizing;

use super::encryption::Encryption;
use crate::error::{Error, ErrorKind};
use crate::json;
use crate::policy::FieldIndex;

/// What is known of the objects around the value that is being read, the innermost last.
pub(super) type Objects = Vec<Vec<Part>>;

/// A value that is a part.
pub(super) struct Part {
    field: FieldIndex,
    /// None where it is `null` or no text.
    text: Option<Zeroizing<String>>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("field", &self.field).finish_non_exhaustive()
    }
}

impl Encryption {
    /// Takes note of a value that is a part of an index, in its JSON text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] where the object holds it already: its index is one.
    pub(super) fn note_part(&mut self, field: FieldIndex, value: &[u8]) -> Result<(), Error> {
        if !self.policy().is_part(field) {
            return Ok(());
        }
        let Some(object) = self.objects.last_mut() else { return Ok(()) };
        if object.iter().any(|part| part.field == field) {
            let message =
                format!("`{}` stands twice in one object, and its index is one", self.policy().field(field).name());
            return Err(Error::new(ErrorKind::Refused, message));
        }
        let mut unescaped = Zeroizing::new(Vec::with_capacity(value.len()));
        let text = value.strip_prefix(b"\"").map(|text| &text[..text.len() - 1]);
        let is_text = text.is_some_and(|text| json::unescape(text, &mut unescaped));
        let text = str::from_utf8(&unescaped).ok().filter(|_| is_text).map(|text| Zeroizing::new(text.to_owned()));
        object.push(Part { field, text });
        Ok(())
    }

    /// Writes the indexes of the object that ends, each with a comma before it.
    pub(super) fn write_compounds(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let parts = self.objects.pop().unwrap_or_default();
        if parts.is_empty() {
            return Ok(());
        }
        let policy = self.policy();
        for (place, (compound, fields)) in policy.compounds().enumerate() {
            let of = |field: FieldIndex| parts.iter().filter(move |part| part.field == field);
            if fields.iter().all(|&field| of(field).next().is_none()) {
                continue;
            }
            let missing = fields.iter().find(|&&field| of(field).next().is_none());
            if let Some(missing) = missing
                && self.is_partial()
            {
                let (index, field) = (compound.name(), policy.field(*missing).name());
                let message =
                    format!("`{index}` is made from several fields, which change together: send `{field}` too");
                return Err(Error::new(ErrorKind::Refused, message));
            }
            let texts = fields.iter().map(|&field| of(field).next()?.text.as_ref().map(|text| &***text));
            let index = match texts.collect::<Option<Vec<&str>>>() {
                Some(texts) => self.cipher().compound_of(place, &texts).map_err(Error::into_refusal)?,
                None => None,
            };
            out.extend_from_slice(b",\"");
            out.extend_from_slice(compound.name().as_bytes());
            match index {
                Some(index) => {
                    out.extend_from_slice(b"\":\"");
                    out.extend_from_slice(index.as_bytes());
                    out.push(b'"');
                }
                None => out.extend_from_slice(b"\":null"),
            }
        }
        Ok(())
    }
}
