//! What the transformer is told of tagged values, and how documents come to it.

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

    /// What a value of `field` that is longer than the longest fails with.
    fn too_long(&self, field: FieldIndex) -> Error;

    /// Which strings are shown to [`untagged`](Visitor::untagged), wherever they stand.
    fn mark(&self) -> Option<Mark> {
        None
    }

    /// Looks at an untagged string, or a member's name, that begins with the mark. `text` has no escapes, and is cut
    /// off where it is longer than anything that is looked for.
    fn untagged(&self, text: &[u8]) -> Result<(), Error> {
        let _ = text;
        Ok(())
    }

    /// Is told that a document ended.
    fn end_document(&mut self) {}
}

/// Strings that begin with `text` and are at least `shortest` bytes long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) text: &'static [u8],
    pub(crate) shortest: usize,
}

/// Which way documents go. Inward, what a service could read otherwise than this parser does is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Inward,
    Outward,
}

/// How documents follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One document.
    Single,
    /// Newline-delimited JSON: a document a line, no line break within one, empty lines skipped.
    Lines,
}
