//! What the transformer is told of tagged values, and how documents come to it.

use std::borrow::Cow;

use super::members::Member;
use crate::error::Error;
use crate::policy::FieldIndex;

/// What is done with tagged values.
pub(crate) trait Visitor {
    /// Writes to `out` what takes the place of `value`, the JSON text of a value of `field`.
    fn value(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error>;

    /// The same for a value that stands in an array, at any depth.
    fn within_array(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.value(field, value, out)
    }

    /// Whether any member is left out, or stands under another name.
    fn changes_members(&self) -> bool {
        false
    }

    /// What becomes of a member that is `field`. Asked only where the visitor changes members.
    fn member(&self, field: FieldIndex) -> Member<'_> {
        let _ = field;
        Member::Kept
    }

    /// Whether a value of `field` has another member beside it that is made from it.
    fn sibling(&self, field: FieldIndex) -> Sibling<'_> {
        let _ = field;
        Sibling::Nothing
    }

    /// What a value of `field` that is longer than the longest fails with.
    fn too_long(&self, field: FieldIndex) -> Error;

    /// How long an untagged string is at least that is shown to [`untagged`](Visitor::untagged), in raw bytes; nothing
    /// where none is.
    fn shortest_untagged(&self) -> Option<usize> {
        None
    }

    /// Looks at an untagged string, or a member's name, or, where it goes on, at all that has come of it and need be shown,
    /// of which `known` bytes are left from the last time. `text` has no escapes. Returns how much of it need not be shown
    /// again with the next piece.
    fn untagged(&self, text: &[u8], known: Option<usize>) -> Result<usize, Error> {
        let _ = known;
        Ok(text.len())
    }

    /// Returns what an untagged string, a name or a number looks like, where it looks personal. It may be a piece of a longer
    /// one, and then overlaps with the next by 512 bytes. Asked only of a transformer with a trail.
    fn looks_personal(&self, text: &[u8], cut: Cut) -> Option<&'static str> {
        let _ = (text, cut);
        None
    }

    /// Is told where something was found that looks personal, and how often.
    fn found_personal(&self, what: &'static str, path: &str, count: u64) -> Result<(), Error> {
        let _ = (what, path, count);
        Ok(())
    }

    /// Whether the policy has `name` in one of its paths, so that it is no data.
    fn mentions(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// Whether members are made from several others, and written at the end of the object that holds them.
    fn joins_parts(&self) -> bool {
        false
    }

    /// Is told that an object begins that may hold parts of such a member.
    fn begin_parts(&mut self) {}

    /// Is told that it ends, and writes what is made from them: with a comma before it, since there is a part.
    fn end_parts(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let _ = out;
        Ok(())
    }

    /// Is told that what comes next stands in `record`, an object whose values are bound to it.
    /// The record may be the whole document.
    fn begin_record(&mut self, record: &[u8], is_root: bool) -> Result<(), Error> {
        let _ = (record, is_root);
        Ok(())
    }

    /// The name of the member that tells records apart.
    fn record_member(&self) -> Option<&str> {
        None
    }

    /// Is told that it ended.
    fn end_record(&mut self) {}

    /// Is told that what comes next stands at `place` in the document that a JSON Patch changes.
    fn begin_target(&mut self, place: Place) {
        let _ = place;
    }

    /// Is told that a document ended, and may find that it lacks something.
    fn end_document(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Whether a text goes on before and behind a piece of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) before: bool,
    pub(crate) behind: bool,
}

/// What is made from the values of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sibling<'v> {
    Nothing,
    /// A member of this name, which [`Visitor::value`] writes behind the value: a comma, the name and a value.
    Follows(Cow<'v, str>),
    /// It is itself made from another field.
    IsOne,
    /// A member that is made from it and others.
    Joined,
}

/// Where the target of an operation of a JSON Patch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the document.
    Document,
    /// In the document, which is one record.
    OwnRecord,
    /// In another record, or in none.
    Elsewhere,
}

/// Which way documents go. Inward, what a service could read otherwise than this parser does is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Inward,
    Outward,
}

impl Flow {
    /// How deep objects and arrays may stand in each other, and what is said of those that stand deeper.
    pub(super) fn deepest(self) -> (usize, &'static str) {
        match self {
            Self::Inward => (128, "objects and arrays are nested deeper than 128"),
            // A service puts what it stores into documents of its own.
            Self::Outward => (1024, "objects and arrays are nested deeper than 1,024"),
        }
    }
}

/// How documents follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One document.
    Single,
    /// Newline-delimited JSON: a document a line, no line break within one, empty lines skipped.
    Lines,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// Writes the same for every value, and refuses what looks like a token or, where it is to, personal.
    pub(crate) struct Stub {
        pub(crate) writes: Vec<u8>,
        pub(crate) changes_members: bool,
        pub(crate) member: Member<'static>,
        pub(crate) personal: &'static [u8],
    }

    impl Default for Stub {
        fn default() -> Self {
            Self { writes: b"\"T\"".to_vec(), changes_members: false, member: Member::Kept, personal: b"\0" }
        }
    }

    impl Visitor for Stub {
        fn value(&mut self, _: FieldIndex, _: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
            out.extend_from_slice(&self.writes);
            Ok(())
        }

        fn changes_members(&self) -> bool {
            self.changes_members
        }

        fn member(&self, _: FieldIndex) -> Member<'_> {
            self.member.clone()
        }

        fn too_long(&self, _: FieldIndex) -> Error {
            Error::new(ErrorKind::TooLarge, "too long")
        }

        fn shortest_untagged(&self) -> Option<usize> {
            Some(4)
        }

        fn untagged(&self, text: &[u8], _: Option<usize>) -> Result<usize, Error> {
            match memchr::memmem::find(text, b"fs1.") {
                Some(_) => Err(Error::new(ErrorKind::Refused, "a token stands where none is expected")),
                None => Ok(text.len()),
            }
        }

        fn looks_personal(&self, text: &[u8], _: Cut) -> Option<&'static str> {
            memchr::memmem::find(text, self.personal).map(|_| "personal")
        }

        fn found_personal(&self, what: &'static str, path: &str, _: u64) -> Result<(), Error> {
            Err(Error::new(ErrorKind::Unprotected, format!("{path} is {what}")))
        }
    }
}
