//! Tagged values: held while they are split, and handed to the visitor once they are whole.

use super::position::Kind;
use super::transformer::Transformer;
use super::visitor::Visitor;
use crate::error::Error;
use crate::policy::FieldIndex;

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
        let is_array = |kind| matches!(kind, Kind::Array(_));
        if is_array(around) || self.outer.iter().any(|container| is_array(container.kind)) {
            visitor.within_array(field, value, out)?;
        } else {
            visitor.value(field, value, out)?;
        }
        self.held.clear();
        Ok(())
    }

    pub(super) fn hold(&mut self, field: FieldIndex, visitor: &impl Visitor, part: &[u8]) -> Result<(), Error> {
        self.check_length(field, visitor, self.held.len() + part.len())?;
        self.held.extend_from_slice(part);
        Ok(())
    }

    fn check_length(&self, field: FieldIndex, visitor: &impl Visitor, length: usize) -> Result<(), Error> {
        if length > self.longest_value { Err(visitor.too_long(field)) } else { Ok(()) }
    }
}
