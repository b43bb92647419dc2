//! Where a value stands that is refused, for who sent it.

use std::fmt::Write as _;

use super::pointer;
use super::trail::{LONGEST_SHOWN, Trail, shown};
use super::transformer::Transformer;
use super::visitor::Visitor;
use crate::error::{Error, ErrorKind};

impl Trail {
    /// Points at what is being read.
    pub(super) fn located(&self, error: Error, visitor: &impl Visitor) -> Error {
        error.with_pointer(self.pointer(visitor))
    }

    /// Writes the way as the fragment of a URI (RFC 6901, section 6); nothing where a name on it may be data.
    fn pointer(&self, visitor: &impl Visitor) -> Option<String> {
        let mut written = self.is_whole.then(|| "#".to_owned())?;
        for (index, name) in self.steps() {
            if let Some(index) = index {
                let _ = write!(written, "/{index}");
                continue;
            }
            let is_mentioned = |name: &&str| name.len() <= LONGEST_SHOWN && visitor.mentions(name);
            let name = shown(name).or_else(|| str::from_utf8(name).ok().filter(is_mentioned))?;
            pointer::push(&mut written, name);
        }
        Some(written)
    }
}

impl Transformer {
    /// Points at the tagged value that is refused, if there is a trail to it.
    #[cold]
    pub(super) fn located(&self, error: Error, visitor: &impl Visitor) -> Error {
        match &self.trail {
            Some(trail) if error.kind() == ErrorKind::Validation => trail.located(error, visitor),
            _ => error,
        }
    }

    /// Whether nothing has come yet of the one document that there is.
    #[cfg(feature = "layer")]
    pub(crate) fn begins(&self) -> bool {
        self.passed == 0 && self.framing == super::visitor::Framing::Single
    }
}
