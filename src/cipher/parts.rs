//! The parts of indexes of several fields, as the objects that hold them are read.

use std::sync::Arc;
use std::{fmt, mem};

use zeroize::Zeroizing;

use super::encryption::Encryption;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::index_cell::IndexCell;
use crate::error::{Error, ErrorKind};
use crate::json::{self, Member};
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

impl Encryption<'_> {
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
        object.push(Part { field, text: text_of(value) });
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

/// Writes `text` as JSON, in a buffer that never moves.
pub(super) fn json_of(text: &str) -> Zeroizing<Vec<u8>> {
    const LONGEST_ESCAPE: usize = 6;
    let mut json = Zeroizing::new(Vec::with_capacity(2 + LONGEST_ESCAPE * text.len()));
    serde_json::to_writer(&mut *json, text).expect("text can be written as JSON");
    json
}

/// The text that `value` stands for in JSON, where it is one.
pub(super) fn text_of(value: &[u8]) -> Option<Zeroizing<String>> {
    let mut unescaped = Zeroizing::new(Vec::with_capacity(value.len()));
    let text = value.strip_prefix(b"\"").map(|text| &text[..text.len() - 1])?;
    let is_text = json::unescape(text, &mut unescaped);
    str::from_utf8(&unescaped).ok().filter(|_| is_text).map(|text| Zeroizing::new(text.to_owned()))
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl Encryption<'_> {
    /// Returns what becomes of a cell with the index of several fields at `place`, of which these are the values, and in
    /// which `stored` stands.
    pub(super) fn compound_cell(
        &self,
        place: usize,
        values: &[&[u8]],
        stored: Option<&[u8]>,
    ) -> Result<IndexCell, Error> {
        let texts = values.iter().map(|value| text_of(value)).collect::<Option<Vec<_>>>();
        let Some(texts) = texts else { return Ok(IndexCell::Empty) };
        let texts: Vec<_> = texts.iter().map(|text| text.as_str()).collect();
        let made = self.cipher().compound_of(place, &texts).map_err(Error::into_refusal)?;
        Ok(match made {
            Some(made) if Some(made.as_bytes()) == stored => IndexCell::Stays,
            Some(made) => IndexCell::Holds(made),
            None => IndexCell::Empty,
        })
    }
}

/// What a search asks for by indexes of several fields: the member of the last part becomes that of the index, and those
/// before it are left out.
impl Encryption<'_> {
    /// What becomes of the member of a part.
    pub(super) fn member_of_parts(&self, field: FieldIndex) -> Member<'_> {
        match self.completed_by(field) {
            Some(place) => Member::Named(self.cipher().policy().compound_indexes()[place].name().into()),
            None => Member::Taken,
        }
    }

    /// Takes note of a part. Where all parts of an index are there, writes the indexes to ask for, separated by commas.
    pub(super) fn write_terms_of_parts(
        &mut self,
        field: FieldIndex,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.refuse_token(field, value)?;
        let completed = self.completed_by(field);
        self.note_part(field, value)?;
        let policy = Arc::clone(self.policy());
        let (Some(place), Some(noted)) = (completed, self.objects.last_mut()) else { return Ok(()) };
        let compound = &policy.compound_indexes()[place];
        let is_own = |part: &Part| compound.parts().iter().any(|(name, _)| policy.field(part.field).name() == name);
        // Those of other indexes are left, and refused where nothing asks for them: the search would find more.
        let (parts, others): (Vec<_>, Vec<_>) = mem::take(noted).into_iter().partition(is_own);
        *noted = others;
        let texts = compound.parts().iter().map(|(name, _)| {
            let part = parts.iter().find(|part| policy.field(part.field).name() == name)?;
            Some((&**name, part.text.as_ref()?.as_str()))
        });
        let texts = texts.collect::<Option<Vec<_>>>().ok_or_else(|| {
            let message = format!("`{}` is searched for by text alone", compound.name());
            Error::new(ErrorKind::Refused, message)
        })?;
        let terms = self.cipher().compound_lookup(compound.name(), &texts).map_err(Error::into_refusal)?;
        out.push(b'"');
        out.extend_from_slice(terms.join(",").as_bytes());
        out.push(b'"');
        Ok(())
    }

    /// Refuses the parts of an object of which others are missing.
    pub(super) fn check_parts(&mut self) -> Result<(), Error> {
        let Some(part) = self.objects.pop().unwrap_or_default().pop() else { return Ok(()) };
        let field = self.policy().field(part.field).name();
        let message = format!(
            "the search asks for protected field `{field}`, which can only be searched with the others of its index"
        );
        Err(Error::new(ErrorKind::Refused, message))
    }

    /// The index of which `field` is the last part that the object holds.
    fn completed_by(&self, field: FieldIndex) -> Option<usize> {
        let noted = self.objects.last()?;
        let is_there = |other: &FieldIndex| *other == field || noted.iter().any(|part| part.field == *other);
        self.policy().compounds().position(|(_, fields)| fields.contains(&field) && fields.iter().all(is_there))
    }
}
