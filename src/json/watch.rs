//! Untagged strings that must not pass inward: tokens, wherever they stand, and operations of a JSON Patch that is sent
//! as something else.

use super::string;
use super::transformer::Transformer;
use super::visitor::{Flow, Visitor};
use crate::error::{Error, ErrorKind};

/// Longer than any token that is not escaped character by character.
const LONGEST_HELD: usize = 4 << 20;
const OPERATIONS: [&[u8]; 6] = [b"add", b"remove", b"replace", b"move", b"copy", b"test"];

/// What the member whose value comes next is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    Nothing,
    /// `op`, which names an operation of a JSON Patch.
    Operation,
    /// `path`, which points at its target.
    Pointer,
}

/// What an object has shown so far of being an operation of a JSON Patch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    operation: bool,
    pointer: bool,
}

impl Watch {
    /// What the member called `name`, in its raw spelling, may be.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            [b'o', b'p'] => Self::Operation,
            [b'p', b'a', b't', b'h'] => Self::Pointer,
            _ => Self::Nothing,
        }
    }

    /// The same for a name with escapes in it.
    #[cold]
    pub(super) fn of_escaped(name: &[u8]) -> Self {
        let mut plain = Vec::new();
        // Four characters with six bytes each.
        if name.len() <= 24 && string::unescape(name, &mut plain) { Self::of(&plain) } else { Self::Nothing }
    }
}

/// The part of an untagged string that earlier chunks held, where it may have to be looked at.
#[derive(Default)]
pub(super) struct Suspect {
    text: Vec<u8>,
    is_held: bool,
}

impl Transformer {
    /// The length, in raw text, from which on an untagged string is looked at.
    pub(super) fn shortest_suspect(&self, visitor: &impl Visitor) -> usize {
        visitor.mark().filter(|_| self.flow == Flow::Inward).map_or(usize::MAX, |mark| mark.shortest)
    }

    /// Looks at an untagged string that stands whole in a chunk, and is long enough or watched.
    #[cold]
    pub(super) fn look_at(
        &self,
        text: &[u8],
        watch: Watch,
        marks: &mut Marks,
        visitor: &impl Visitor,
    ) -> Result<(), Error> {
        if self.flow == Flow::Outward {
            return Ok(());
        }
        if let Some(mark) = visitor.mark()
            && may_begin_with(text, mark.text)
        {
            let mut plain = Vec::new();
            // A lone surrogate stands in no token.
            if string::unescape(text, &mut plain) && plain.starts_with(mark.text) {
                visitor.untagged(&plain)?;
            }
        }
        match watch {
            Watch::Nothing => return Ok(()),
            Watch::Operation => marks.operation |= OPERATIONS.contains(&text) || text.contains(&b'\\'),
            Watch::Pointer => marks.pointer |= matches!(text.first(), None | Some(b'/' | b'\\')),
        }
        if self.finds_patches && marks.operation && marks.pointer {
            let message = "an operation of a JSON Patch stands in a document of another media type: send it as \
                           `application/json-patch+json`";
            return Err(Error::new(ErrorKind::Refused, message));
        }
        Ok(())
    }

    /// Holds the beginning of an untagged string that goes on in the next chunk, where it has to be looked at.
    pub(super) fn suspect(&mut self, part: &[u8], watch: Watch, visitor: &impl Visitor) {
        let is_held = self.flow == Flow::Inward
            && (watch != Watch::Nothing || visitor.mark().is_some_and(|mark| may_begin_with(part, mark.text)));
        self.suspect.is_held = is_held;
        self.suspect.text.clear();
        if is_held {
            self.suspect.text.extend_from_slice(part);
        }
    }

    /// Goes on holding it, and looks at it where it `ended`.
    pub(super) fn go_on_suspecting(
        &mut self,
        part: &[u8],
        ended: bool,
        watch: Watch,
        marks: &mut Marks,
        visitor: &impl Visitor,
    ) -> Result<(), Error> {
        if !self.suspect.is_held {
            return Ok(());
        }
        if self.suspect.text.len() + part.len() > LONGEST_HELD {
            let message = "an untagged string of more than 4 MiB begins like an encrypted token";
            return Err(Error::new(ErrorKind::Refused, message));
        }
        self.suspect.text.extend_from_slice(part);
        let is_out =
            watch == Watch::Nothing && visitor.mark().is_none_or(|mark| !may_begin_with(&self.suspect.text, mark.text));
        if ended {
            self.suspect.is_held = false;
            return self.look_at(&self.suspect.text, watch, marks, visitor);
        }
        self.suspect.is_held = !is_out;
        Ok(())
    }
}

/// Returns whether a string whose raw text begins with `text` may begin with `mark`, or does.
fn may_begin_with(text: &[u8], mark: &[u8]) -> bool {
    let mut rest = text;
    for &wanted in mark {
        let (byte, length) = match rest {
            [] | [b'\\'] => return true,
            [b'\\', b'u', digits @ ..] => {
                let Some(digits) = digits.get(..4) else { return true };
                let code = str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
                (code, 6)
            }
            // No other escape stands for a character of the mark.
            [byte, ..] => (Some(u32::from(*byte)), 1),
        };
        if byte != Some(u32::from(wanted)) {
            return false;
        }
        rest = &rest[length..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_mark_is_seen_however_it_is_cut() {
        for text in ["fs1.", "\\u0066s1.", "f\\u00731.", "\\u0066\\u0073\\u0031\\u002E", "fs1.more"] {
            for end in 0..=text.len() {
                assert!(may_begin_with(&text.as_bytes()[..end], b"fs1."), "{}", &text[..end]);
            }
        }
        for text in ["Fs1.", "fs2.", "\\u0067", "\\n", "fs1,", " fs1."] {
            assert!(!may_begin_with(text.as_bytes(), b"fs1."), "{text}");
        }
    }
}
