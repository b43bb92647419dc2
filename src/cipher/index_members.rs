//! Blind indexes as they are written: behind their tokens, in columns, and in the place of what is searched for.

use zeroize::Zeroizing;

use super::encryption::Encryption;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::index_cell::IndexCell;
use crate::error::{Error, ErrorKind};
use crate::json;
use crate::policy::FieldIndex;

impl Encryption<'_> {
    /// Writes the member with the blind index of `value` behind its token.
    pub(super) fn write_index(&self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let policy = self.cipher().policy();
        let Some(place) = policy.indexed().iter().position(|&indexed| indexed == field) else { return Ok(()) };
        let index = if value == b"null" { None } else { self.index(place, field, value)? };
        out.extend_from_slice(b",\"");
        out.extend_from_slice(policy.field(field).index_name().unwrap_or_default().as_bytes());
        match index {
            Some(index) => {
                out.extend_from_slice(b"\":\"");
                out.extend_from_slice(index.as_bytes());
                out.push(b'"');
            }
            // It takes the place of the one that is stored.
            None => out.extend_from_slice(b"\":null"),
        }
        Ok(())
    }

    /// Writes the indexes by which rows with `value` are found, separated by commas, in its place.
    pub(super) fn write_terms(&self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.refuse_token(field, value)?;
        let policy = self.cipher().policy();
        if policy.field(field).index().is_none() {
            let message = format!("the search asks for protected field `{}`", policy.field(field).name());
            return Err(Error::new(ErrorKind::Refused, format!("{message}, which cannot be searched")));
        }
        let mut terms = String::new();
        let write = |text: &str| self.wanted().write_terms(self.cipher(), field, text, &mut terms);
        self.with_text(field, value, write)?;
        out.push(b'"');
        out.extend_from_slice(terms.as_bytes());
        out.push(b'"');
        Ok(())
    }

    /// Returns what becomes of a cell with the blind index of `value` of `field`, in which `stored` stands.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn index_cell(
        &self,
        field: FieldIndex,
        value: &[u8],
        stored: Option<&[u8]>,
    ) -> Result<IndexCell, Error> {
        let place = self.cipher().policy().indexed().iter().position(|&indexed| indexed == field);
        let (Some(place), false) = (place, value == b"null") else { return Ok(IndexCell::Empty) };
        if let Some(stored) = stored
            && self.with_text(field, value, |text| self.cipher().is_index_of(place, field, text, stored))?
        {
            return Ok(IndexCell::Stays);
        }
        Ok(self.index(place, field, value)?.map_or(IndexCell::Empty, IndexCell::Holds))
    }

    fn index(&self, place: usize, field: FieldIndex, value: &[u8]) -> Result<Option<String>, Error> {
        self.with_text(field, value, |text| self.cipher().index_of(place, field, text))
    }

    /// Gives the text of `value`, which must be a string, to what makes an index of it.
    fn with_text<T>(
        &self,
        field: FieldIndex,
        value: &[u8],
        make: impl FnOnce(&str) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let unfit = |what| {
            let field = self.cipher().policy().field(field).name();
            Error::new(ErrorKind::Refused, format!("the value of `{field}` {what}, so that it cannot be found by it"))
        };
        let Some(text) = value.strip_prefix(b"\"") else { return Err(unfit("is no text")) };
        let mut unescaped = Zeroizing::new(Vec::with_capacity(text.len()));
        if !json::unescape(&text[..text.len() - 1], &mut unescaped) {
            return Err(unfit("holds a part of a character"));
        }
        let text = str::from_utf8(&unescaped).expect("the transformer lets valid UTF-8 through only");
        make(text).map_err(Error::into_refusal)
    }
}
