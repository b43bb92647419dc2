//! White space between tokens.

use super::position::{Container, Expects, Kind};
use super::transformer::Transformer;
use super::visitor::{Framing, Visitor};
use crate::error::Error;
use crate::policy::State;

/// White space of RFC 8259, section 2.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

impl Transformer {
    /// Passes over white space between tokens. A line break ends a document where each has a line of its own.
    #[cold]
    pub(super) fn skip_blank(
        &mut self,
        byte: u8,
        at: usize,
        expects: Expects,
        here: State,
        innermost: Container,
        visitor: &mut impl Visitor,
    ) -> Result<(Expects, State), Error> {
        if !is_blank(byte) {
            return Err(self.malformed((at, expects.missing(innermost.kind))));
        }
        if byte != b'\n' || self.framing == Framing::Single {
            return Ok((expects, here));
        }
        match (expects, innermost.kind) {
            (Expects::CommaOrEnd, Kind::Outside) => {
                self.flush_trail(visitor)?;
                visitor.end_document()?;
                Ok((Expects::Value, self.root))
            }
            (Expects::Value, Kind::Outside) => Ok((expects, here)),
            _ => Err(self.malformed((at, "a line break stands within a line's document"))),
        }
    }
}
