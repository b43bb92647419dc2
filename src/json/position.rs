//! Where in a document the transformer stands, and what may come next.

use super::number::NumberState;
use super::string::StringState;
use super::watch::{Marks, Watch};
use crate::policy::{FieldIndex, State};

/// Where in a document the transformer stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) expects: Expects,
    /// The token that the chunk before ended in.
    pub(super) begun: Option<Begun>,
    pub(super) innermost: Container,
    /// What the automaton says of the value that comes next or is being read.
    pub(super) here: State,
    /// What the member whose value comes next, or is being read, is called.
    pub(super) watch: Watch,
    /// The tagged value that is being read, and how many containers are open around it.
    pub(super) tagged: Option<(FieldIndex, usize)>,
}

/// Which token comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expects {
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
    /// None: the document was refused, or the input ended.
    Nothing,
}

/// A token of which a part has been read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Begun {
    Name(StringState),
    Text(StringState),
    Number(NumberState),
    /// With the rest of it.
    Literal(&'static [u8]),
}

/// An object, an array, or what stands around a document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Container {
    pub(super) kind: Kind,
    pub(super) state: State,
    pub(super) marks: Marks,
    /// It may hold the parts of an index of several fields, which is written at its end.
    pub(super) has_parts: bool,
    /// No member stands before the next comma any more.
    pub(super) skips_comma: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Outside,
    Object,
    /// With the index of the element that comes next or is being read.
    Array(u32),
}

impl Container {
    pub(super) fn new(kind: Kind, state: State) -> Self {
        Self { kind, state, marks: Marks::default(), has_parts: false, skips_comma: false }
    }

    /// What the value that comes next may be, as far as its place in here tells.
    #[inline]
    pub(super) fn watch(&self) -> Watch {
        match self.kind {
            Kind::Array(index) => Watch::of_element(index),
            Kind::Outside | Kind::Object => Watch::Nothing,
        }
    }
}

impl Expects {
    /// What is missing where something else stands.
    pub(super) fn missing(self, innermost: Kind) -> &'static str {
        match (self, innermost) {
            (Self::CommaOrEnd, Kind::Outside) => "something stands after the document",
            (Self::CommaOrEnd, _) => "a comma or the end of the container is expected",
            (Self::Name | Self::NameOrEnd, _) => "a member's name is expected",
            (Self::Colon, _) => "a colon is expected",
            (Self::Value, Kind::Outside) => "a value is expected (is there a byte order mark, or a content coding?)",
            _ => "a value is expected",
        }
    }
}

/// What follows the first byte of a literal.
pub(super) fn literal(first: u8) -> Option<&'static [u8]> {
    match first {
        b't' => Some(b"rue"),
        b'f' => Some(b"alse"),
        b'n' => Some(b"ull"),
        _ => None,
    }
}
