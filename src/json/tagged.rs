//! Tagged values, and records: held while they are split, and handed to the visitor once they are whole.

use std::mem;

use super::position::Kind;
use super::transformer::Transformer;
use super::visitor::Visitor;
use crate::error::{Error, ErrorKind};
use crate::policy::{Automaton, FieldIndex, State};

/// How much of a record is held.
const LONGEST_RECORD: usize = 1 << 20;
/// How long it may become: many short values become tokens of many times their length.
const LONGEST_REWRITTEN: usize = 8 << 20;
/// How deep records may stand in each other. Each is read once more than the one around it.
const DEEPEST_RECORD: u8 = 16;

impl Transformer {
    /// Hands a tagged value, of which `rest` is not held yet, to the visitor.
    #[inline(never)]
    pub(super) fn rewrite(
        &mut self,
        field: FieldIndex,
        around: Kind,
        visitor: &mut impl Visitor,
        rest: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if self.members.take_omitted() {
            self.held.clear();
            return Ok(());
        }
        let value = if self.held.is_empty() {
            self.check_length(field, visitor, rest.len())?;
            rest
        } else {
            self.hold(field, visitor, rest)?;
            self.held.as_slice()
        };
        let written = if self.is_within_array(around) {
            visitor.within_array(field, value, out)
        } else {
            visitor.value(field, value, out)
        };
        written.map_err(|error| self.located(error, visitor))?;
        self.held.clear();
        Ok(())
    }

    /// Rewrites a record, of which `rest` is not held yet and the root is at `root`: first the visitor looks for what its
    /// values are bound to.
    #[inline(never)]
    pub(super) fn rewrite_record(
        &mut self,
        root: State,
        around: Kind,
        automaton: &Automaton,
        visitor: &mut impl Visitor,
        rest: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mut held = mem::take(&mut self.held);
        let record = if held.is_empty() {
            check_record_length(rest.len())?;
            rest
        } else {
            check_record_length(held.len() + rest.len())?;
            held.extend_from_slice(rest);
            held.as_slice()
        };
        let mut inner = Self::at(root, self.flow, self.longest_value);
        inner.finds_patches = self.finds_patches;
        inner.records_around = self.records_around + 1;
        if inner.records_around > DEEPEST_RECORD {
            return Err(Error::new(ErrorKind::TooLarge, "records stand in each other deeper than 16"));
        }
        inner.is_within_array = self.is_within_array(around);
        inner.trail = self.trail.take();
        visitor.begin_record(record, self.is_at_root(automaton))?;
        let longest_out = out.len() + LONGEST_REWRITTEN;
        inner.feed(automaton, visitor, record, out, longest_out)?;
        if out.len() > longest_out {
            return Err(Error::new(ErrorKind::TooLarge, "a record becomes longer than 8 MiB"));
        }
        inner.finish(visitor, out)?;
        self.trail = inner.trail;
        visitor.end_record();
        held.clear();
        self.held = held;
        Ok(())
    }

    /// Whether what is read is a whole document, or stands in the place of one.
    fn is_at_root(&self, automaton: &Automaton) -> bool {
        self.outer.is_empty() && self.root == automaton.start()
    }

    fn is_within_array(&self, around: Kind) -> bool {
        let is_array = |kind| matches!(kind, Kind::Array(_));
        self.is_within_array || is_array(around) || self.outer.iter().any(|container| is_array(container.kind))
    }

    pub(super) fn hold(&mut self, field: FieldIndex, visitor: &impl Visitor, part: &[u8]) -> Result<(), Error> {
        let length = self.held.len() + part.len();
        if field.in_record().is_some() {
            check_record_length(length)?;
        } else {
            self.check_length(field, visitor, length)?;
        }
        self.held.extend_from_slice(part);
        Ok(())
    }

    fn check_length(&self, field: FieldIndex, visitor: &impl Visitor, length: usize) -> Result<(), Error> {
        if length > self.longest_value { Err(visitor.too_long(field)) } else { Ok(()) }
    }
}

fn check_record_length(length: usize) -> Result<(), Error> {
    if length > LONGEST_RECORD {
        let message = "a record is longer than 1 MiB, and is held whole since its values are bound to it: name the \
                       records of a list by a path of their own";
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::visitor::tests::Stub;
    use crate::json::visitor::{Flow, Framing};
    use crate::policy::{Field, Policy, RecordBinding, Tag};

    #[test]
    fn a_record_becomes_as_long_as_it_may_and_no_longer() {
        let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone));
        let policy = policy.bind_records(RecordBinding::required("id")).build().unwrap();
        let rewritten = |length: usize| {
            let text = br#"{"phone":1,"id":7}"#;
            let mut visitor = Stub { writes: vec![b'1'; length - text.len() + 1], ..Stub::default() };
            let mut transformer = Transformer::new(policy.automaton(), Flow::Inward, Framing::Single, usize::MAX);
            let mut out = Vec::new();
            transformer.feed(policy.automaton(), &mut visitor, text, &mut out, usize::MAX)?;
            transformer.finish(&mut visitor, &mut out)?;
            Ok::<_, Error>(out.len())
        };
        assert_eq!(rewritten(LONGEST_REWRITTEN).unwrap(), LONGEST_REWRITTEN);
        assert_eq!(rewritten(LONGEST_REWRITTEN + 1).unwrap_err().kind(), ErrorKind::TooLarge);
    }
}
