//! What lookups by truncated indexes find: candidates, of which those that do not match are left out.

use std::ops::Range;

use zeroize::Zeroizing;

use super::decryption::{Decryption, count};
use super::field_cipher::FieldCipher;
use super::index::Lookup;
use super::lists::{self, Array};
use super::parts::text_of;
use super::stream::LONGEST_TOKEN;
use crate::audit::AuditKind;
use crate::error::{Error, ErrorKind};
use crate::json::{Flow, Framing, Transformer, Visitor};
use crate::policy::{FieldIndex, ListPath};
use crate::secret::SecretBuffer;

impl FieldCipher {
    /// Leaves those records out of `document`, as it is stored, that lack the value of any of `wanted`: elements of an
    /// array at the root or at one of `lists`. Every other byte stays as it is. A document that is one record, and an
    /// error that holds none of the fields, stay whole.
    ///
    /// # Errors
    ///
    /// As [`decrypt_json`](Self::decrypt_json); [`ErrorKind::NotFound`] where the document is one record that does not
    /// match, and [`ErrorKind::Service`] where something that does not match stands outside of the lists.
    pub(crate) fn drop_false_matches(
        &self,
        wanted: &[Lookup],
        lists: &[ListPath],
        document: &[u8],
        is_error: bool,
    ) -> Result<SecretBuffer, Error> {
        let mut check = Check { decryption: Decryption::new(self.lent()), wanted, found: Vec::new() };
        let mut document = check.read(self, document)?;
        let found = check.found;
        if is_error && found.is_empty() {
            return Ok(document);
        }
        let arrays = Array::all(document.as_slice(), lists)?;
        if arrays.is_empty() {
            self.check_record(wanted, &found, document.as_slice())?;
            return Ok(document);
        }
        let elements: Vec<_> = arrays.iter().flat_map(Array::elements).collect();
        let is_listed = |at| {
            let next = elements.partition_point(|element| element.end <= at);
            elements.get(next).is_some_and(|element| element.contains(&at))
        };
        if found.iter().any(|value| (value.is_in_array || !value.matches) && !is_listed(value.at)) {
            return Err(stray());
        }
        let mut dropped = Vec::new();
        let kept = |element: &Range<usize>| {
            let missed = missed(wanted, &found, element);
            if let Some(field) = missed {
                count(&mut dropped, field);
            }
            missed.is_none()
        };
        document = lists::cut(document.as_slice(), &arrays, kept);
        for (field, count) in dropped {
            self.record_many(AuditKind::FalseMatchDropped, field, None, count);
        }
        Ok(document)
    }

    /// Checks a document that is one record, or nothing.
    fn check_record(&self, wanted: &[Lookup], found: &[Found], document: &[u8]) -> Result<(), Error> {
        let text = document.trim_ascii();
        if text == b"null" {
            return Ok(());
        }
        // A list that nobody told of holds records of its own, and so may an object, beside what matches.
        let has_match = found.iter().any(|value| value.matches);
        let strays = found.iter().any(|value| value.is_in_array || (!value.matches && has_match));
        if strays || !text.starts_with(b"{") {
            return Err(stray());
        }
        let Some(field) = missed(wanted, found, &(0..document.len())) else { return Ok(()) };
        self.record(AuditKind::FalseMatchDropped, field, None);
        Err(Error::new(ErrorKind::NotFound, "nothing that is stored has the value that is looked up"))
    }
}

fn stray() -> Error {
    let message = "the response to a lookup by a truncated index holds candidates outside of the lists that \
                   `drop_false_matches` names, or neither a record nor a list of them: name the path of every list";
    Error::new(ErrorKind::Service, message)
}

/// Returns the first field of `wanted` that the record at `place` does not have with the value asked for.
fn missed(wanted: &[Lookup], found: &[Found], place: &Range<usize>) -> Option<FieldIndex> {
    let first = found.partition_point(|value| value.at < place.start);
    let within = || found[first..].iter().take_while(|value| value.at < place.end);
    let has = |lookup: &Lookup| within().any(|value| value.matches && value.field == lookup.field());
    wanted.iter().find(|lookup| !has(lookup)).map(Lookup::field)
}

/// A value of a field that is looked up.
struct Found {
    /// Where it stands in the document.
    at: usize,
    field: FieldIndex,
    matches: bool,
    is_in_array: bool,
}

/// Opens the values of the fields that are looked up, and takes note of which match.
struct Check<'w> {
    decryption: Decryption<'w>,
    wanted: &'w [Lookup],
    found: Vec<Found>,
}

impl Check<'_> {
    /// Reads `document`, and returns it as it is.
    fn read(&mut self, cipher: &FieldCipher, document: &[u8]) -> Result<SecretBuffer, Error> {
        let mut same = SecretBuffer::with_capacity(document.len());
        let automaton = cipher.policy().automaton();
        let mut transformer = Transformer::new(automaton, Flow::Outward, Framing::Single, LONGEST_TOKEN);
        transformer.feed(automaton, self, document, same.as_mut_vec(), usize::MAX)?;
        transformer.finish(self, same.as_mut_vec())?;
        // What is shown of them is counted where it is shown.
        self.decryption.forget_counts();
        Ok(same)
    }

    fn check(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>, is_in_array: bool) -> Result<(), Error> {
        let lookup = self.wanted.iter().find(|lookup| lookup.field() == field).filter(|_| value != b"null");
        if let Some(lookup) = lookup {
            let mut plain = Zeroizing::new(Vec::new());
            // What cannot be read is no match.
            self.decryption.open_value(field, value, &mut plain)?;
            let text = text_of(&plain);
            let matches = text.is_some_and(|text| lookup.matches(&text));
            self.found.push(Found { at: out.len(), field, matches, is_in_array });
        }
        out.extend_from_slice(value);
        Ok(())
    }
}

impl Visitor for Check<'_> {
    fn value(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.check(field, value, out, false)
    }

    fn within_array(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.check(field, value, out, true)
    }

    fn too_long(&self, field: FieldIndex) -> Error {
        self.decryption.too_long(field)
    }

    fn begin_record(&mut self, record: &[u8], is_root: bool) -> Result<(), Error> {
        self.decryption.begin_record(record, is_root)
    }

    fn end_record(&mut self) {
        self.decryption.end_record();
    }
}
