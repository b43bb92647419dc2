//! Members that are left out of their object, or stand in it under another name.

use std::borrow::Cow;
use std::mem;

use super::position::{Begun, Container, Expects, Kind, Position};
use super::transformer::Transformer;
use super::visitor::Visitor;
use crate::error::Error;
use crate::policy::FieldIndex;
use crate::secret::SecretBuffer;

/// How much of a member may come before its value.
const LONGEST_BEGINNING: usize = 64 * 1024;

/// What becomes of a tagged member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Member<'v> {
    /// It stays, with what the visitor makes of its value.
    Kept,
    /// It is left out, and its value is not looked at.
    Omitted,
    /// It is left out, once the visitor has seen its value, for which it writes nothing.
    Taken,
    /// It stands under this name, which needs no escapes.
    Named(Cow<'v, str>),
}

/// The member that is being read.
#[derive(Default)]
pub(super) struct Members {
    /// Where in the output it begins, with the comma before it.
    start: usize,
    /// Whether no member was written before it.
    is_first: bool,
    /// Its beginning, where the chunk before ended in that, and `is_held`.
    held: SecretBuffer,
    is_held: bool,
    /// Whether its value is left out.
    is_omitted: bool,
}

impl Members {
    /// Begins the first member of an object, at `start` in the output.
    pub(super) fn open(&mut self, start: usize) {
        (self.start, self.is_first) = (start, true);
    }

    /// Begins another member, whose comma stands at `start` in the output.
    pub(super) fn follow(&mut self, start: usize) {
        (self.start, self.is_first) = (start, false);
    }

    /// Returns whether the value that ended is left out.
    pub(super) fn take_omitted(&mut self) -> bool {
        mem::take(&mut self.is_omitted)
    }

    /// Puts what is held back to the end of the output, where it goes on.
    pub(super) fn go_on(&mut self, out: &mut Vec<u8>) {
        if mem::take(&mut self.is_held) {
            self.start = out.len();
            out.extend_from_slice(self.held.as_slice());
            self.held.clear();
        }
    }
}

impl Transformer {
    /// Decides on the member whose value comes next. Its name and colon are at the end of `out`.
    pub(super) fn place_member(
        &mut self,
        field: FieldIndex,
        visitor: &impl Visitor,
        around: &mut Container,
        out: &mut Vec<u8>,
    ) {
        let Members { start, is_first, is_omitted, .. } = &mut self.members;
        match visitor.member(field) {
            Member::Kept => {}
            member @ (Member::Omitted | Member::Taken) => {
                out.truncate(*start);
                *is_omitted = member == Member::Omitted;
                // The comma behind it goes as well, since there is none before it.
                around.skips_comma = *is_first;
            }
            Member::Named(name) => {
                out.truncate(*start);
                if !*is_first {
                    out.push(b',');
                }
                out.push(b'"');
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
            }
        }
    }

    /// Holds the beginning of a member back at the end of a chunk, as long as it is not known whether it stays.
    pub(super) fn hold_member(&mut self, position: &Position, out: &mut Vec<u8>) -> Result<(), Error> {
        let is_name = matches!(position.begun, Some(Begun::Name(_)));
        let is_before_value = position.begun.is_none()
            && matches!(position.expects, Expects::Name | Expects::NameOrEnd | Expects::Colon | Expects::Value);
        if position.tagged.is_some() || position.innermost.kind != Kind::Object || !(is_name || is_before_value) {
            return Ok(());
        }
        // No longer there where a name that is too long to be a field's was let go.
        let Some(beginning) = out.get(self.members.start..) else { return Ok(()) };
        if beginning.len() <= LONGEST_BEGINNING {
            self.members.held.extend_from_slice(beginning);
            self.members.is_held = true;
            out.truncate(self.members.start);
        } else if is_name {
            self.members.start = usize::MAX;
        } else {
            return Err(self.malformed((0, "more than 64 KiB stand in a member before its value")));
        }
        Ok(())
    }
}
