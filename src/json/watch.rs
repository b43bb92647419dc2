//! Untagged strings that must not pass inward: tokens, wherever they stand, and operations of a JSON Patch that is sent
//! as something else.

use memchr::memchr;

use super::string;
use super::trail::Part;
use super::transformer::Transformer;
use super::visitor::{Flow, Visitor};
use crate::error::{Error, ErrorKind};
use crate::policy::FieldIndex;
use crate::secret::SecretBuffer;

/// Longer than any token that is not escaped character by character.
const LONGEST_HELD: usize = 4 << 20;
/// Longer than the name of any operation, however it is spelled.
const LONGEST_HEAD: usize = 64;
/// The length of the longest name of an operation, spelled without escapes.
const LONGEST_OPERATION: usize = "replace".len();
pub(super) const OPERATIONS: [&[u8]; 6] = [b"add", b"remove", b"replace", b"move", b"copy", b"test"];

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
    /// It is the value of `op`, or stands where an array has it.
    pub(super) is_operation: bool,
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

    /// Returns whether a string that begins like `text` is worth a closer look.
    #[inline]
    pub(super) fn wants(self, text: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Operation => {
                let is_begun = matches!(text.first(), Some(b'a' | b'r' | b'm' | b'c' | b't' | b'\\'));
                is_begun && (text.len() <= LONGEST_OPERATION || memchr(b'\\', text).is_some())
            }
            Self::Pointer => matches!(text.first(), None | Some(b'/' | b'\\')),
        }
    }

    /// What the element at `index` of an array may be: an operation is also read from its members in their order.
    #[inline]
    pub(super) fn of_element(index: u32) -> Self {
        match index {
            0 => Self::Operation,
            1 => Self::Pointer,
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

/// What earlier chunks held of a string that has to be looked at.
#[derive(Default)]
pub(super) struct Suspect {
    /// Its beginning, as it is spelled.
    head: SecretBuffer,
    /// What has to be looked at again with more behind it, without escapes.
    plain: SecretBuffer,
    /// The escape that the chunk before ended in.
    escape: SecretBuffer,
}

impl Transformer {
    /// The length, in raw text, from which on an untagged string is looked at.
    pub(super) fn shortest_suspect(&self, visitor: &impl Visitor) -> usize {
        visitor.shortest_untagged().filter(|_| self.flow == Flow::Inward).unwrap_or(usize::MAX)
    }

    /// Looks at a name that stands whole in a chunk, and is long enough, or may name an operation.
    #[cold]
    pub(super) fn look_at_name(&mut self, name: &[u8], marks: &mut Marks, visitor: &impl Visitor) -> Result<(), Error> {
        self.look_at(name, Watch::Nothing, false, marks, visitor)?;
        if marks.is_operation { self.mark_around(name) } else { Ok(()) }
    }

    /// Looks at a string that stands whole in a chunk, and is long enough or watched.
    #[cold]
    pub(super) fn look_at_value(
        &mut self,
        text: &[u8],
        watch: Watch,
        tagged: Option<(FieldIndex, usize)>,
        marks: &mut Marks,
        visitor: &impl Visitor,
    ) -> Result<(), Error> {
        match tagged {
            None => self.look_at(text, watch, true, marks, visitor),
            _ if self.leaves_to_others(tagged) => Ok(()),
            Some(_) => self.look_at(text, Watch::Nothing, false, marks, visitor),
        }
    }

    /// Whether others look at a string that begins or ends here: the visitor sees a tagged one whole, and a record is read
    /// once more.
    pub(super) fn leaves_to_others(&self, tagged: Option<(FieldIndex, usize)>) -> bool {
        tagged.is_some_and(|(field, depth)| depth == self.outer.len() || field.in_record().is_some())
    }

    /// Looks at a string; at one that `is_untagged` for personal data as well.
    fn look_at(
        &mut self,
        text: &[u8],
        watch: Watch,
        is_untagged: bool,
        marks: &mut Marks,
        visitor: &impl Visitor,
    ) -> Result<(), Error> {
        if self.flow == Flow::Outward {
            return Ok(());
        }
        if text.len() >= self.shortest_suspect(visitor) {
            let mut unescaped = SecretBuffer::default();
            let plain = if memchr(b'\\', text).is_none() {
                text
            } else {
                unescape(text, &mut unescaped);
                unescaped.as_slice()
            };
            visitor.untagged(plain, None)?;
            if let Some(trail) = self.trail.as_mut().filter(|_| is_untagged) {
                trail.look(Part::Value, plain, visitor)?;
            }
        }
        self.mark(text, watch, marks)
    }

    /// Takes note of what `text` says of its object, or its array, being an operation of a JSON Patch.
    fn mark(&self, text: &[u8], watch: Watch, marks: &mut Marks) -> Result<(), Error> {
        match watch {
            Watch::Nothing => return Ok(()),
            Watch::Operation => marks.operation |= is_operation(text),
            Watch::Pointer => marks.pointer |= matches!(text.first(), None | Some(b'/' | b'\\')),
        }
        self.check_marks(*marks)
    }

    /// Takes note of a member called `name` where an operation may be named: what reads an enumeration takes
    /// `{"replace": null}` for `"replace"`.
    #[cold]
    pub(super) fn mark_around(&mut self, name: &[u8]) -> Result<(), Error> {
        let Some(around) = self.outer.last_mut() else { return Ok(()) };
        around.marks.operation |= is_operation(name);
        let marks = around.marks;
        self.check_marks(marks)
    }

    fn check_marks(&self, marks: Marks) -> Result<(), Error> {
        if self.flow == Flow::Inward && self.finds_patches && marks.operation && marks.pointer {
            let message = "an operation of a JSON Patch stands in a document of another media type: send it as \
                           `application/json-patch+json`";
            return Err(Error::new(ErrorKind::Refused, message));
        }
        Ok(())
    }

    /// Begins with a string that goes on in the next chunk.
    pub(super) fn suspect(&mut self, part: &[u8], is_untagged: bool, visitor: &impl Visitor) -> Result<(), Error> {
        if let Some(trail) = &mut self.trail {
            trail.begin_text(is_untagged.then_some(Part::Value));
        }
        self.suspect.head.clear();
        self.suspect.plain.clear();
        self.suspect.escape.clear();
        self.go_on_suspecting(part, visitor)
    }

    /// Goes on with one more part of it.
    pub(super) fn go_on_suspecting(&mut self, part: &[u8], visitor: &impl Visitor) -> Result<(), Error> {
        if self.flow == Flow::Outward {
            return Ok(());
        }
        let Suspect { head, plain, escape } = &mut self.suspect;
        let room = LONGEST_HEAD.saturating_sub(head.len());
        head.extend_from_slice(&part[..part.len().min(room)]);
        if visitor.shortest_untagged().is_none() {
            return Ok(());
        }
        let known = plain.len();
        if escape.is_empty() {
            let read = unescape(part, plain);
            escape.extend_from_slice(&part[read..]);
        } else {
            escape.extend_from_slice(part);
            let read = unescape(escape.as_slice(), plain);
            escape.remove_front(read);
        }
        if let Some(trail) = &mut self.trail {
            trail.go_on_text(&plain.as_slice()[known..], false, visitor)?;
        }
        let seen = visitor.untagged(plain.as_slice(), Some(known))?;
        plain.remove_front(seen);
        if plain.len() > LONGEST_HELD {
            let message = "an untagged string of more than 4 MiB begins like an encrypted token";
            return Err(Error::new(ErrorKind::Refused, message));
        }
        Ok(())
    }

    /// Looks at the string once more, since it ended.
    pub(super) fn end_suspecting(
        &mut self,
        watch: Watch,
        marks: &mut Marks,
        visitor: &impl Visitor,
    ) -> Result<(), Error> {
        if self.flow == Flow::Outward {
            return Ok(());
        }
        visitor.untagged(self.suspect.plain.as_slice(), None)?;
        if let Some(trail) = &mut self.trail {
            trail.go_on_text(&[], true, visitor)?;
        }
        self.mark(self.suspect.head.as_slice(), watch, marks)
    }
}

/// Returns whether `text`, as it is spelled, names an operation of a JSON Patch.
fn is_operation(text: &[u8]) -> bool {
    if OPERATIONS.contains(&text) {
        return true;
    }
    let mut plain = SecretBuffer::default();
    text.len() < LONGEST_HEAD
        && memchr(b'\\', text).is_some()
        && unescape(text, &mut plain) == text.len()
        && OPERATIONS.contains(&plain.as_slice())
}

/// Appends what `text` stands for, as far as it has come, and returns how much of it that was: it may end within an
/// escape. Characters beyond ASCII that are written as escapes become a byte that stands in no text.
fn unescape(text: &[u8], out: &mut SecretBuffer) -> usize {
    let mut at = 0;
    while let Some(length) = memchr(b'\\', &text[at..]) {
        out.extend_from_slice(&text[at..at + length]);
        at += length;
        let (byte, length) = match text[at + 1..] {
            [] => return at,
            [b'u', ..] if text.len() < at + 6 => return at,
            [b'u', ..] => {
                let code =
                    str::from_utf8(&text[at + 2..at + 6]).ok().and_then(|code| u8::from_str_radix(code, 16).ok());
                (code.filter(u8::is_ascii).unwrap_or(0xff), 6)
            }
            [b'b' | b'f' | b'n' | b'r' | b't', ..] => (b' ', 2),
            [itself, ..] => (itself, 2),
        };
        out.extend_from_slice(&[byte]);
        at += length;
    }
    out.extend_from_slice(&text[at..]);
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_however_it_is_cut() {
        let text = br#"f\u0073\u0031\u002E \\ \" \/ \n \u00e9 \ud83d\ude00 x"#;
        let mut whole = SecretBuffer::default();
        assert_eq!(unescape(text, &mut whole), text.len());
        assert_eq!(whole.as_slice(), b"fs1. \\ \" /   \xff \xff\xff x");
        let mut ending = SecretBuffer::default();
        assert_eq!(unescape(br"fs\u0031", &mut ending), 8, "an escape may be the last");
        assert_eq!(ending.as_slice(), b"fs1");
        for length in 1..text.len() {
            let (mut held, mut plain) = (Vec::new(), SecretBuffer::default());
            for piece in text.chunks(length) {
                held.extend_from_slice(piece);
                let read = unescape(&held, &mut plain);
                held.drain(..read);
            }
            assert_eq!((plain.as_slice(), &held[..]), (whole.as_slice(), &b""[..]), "pieces of {length}");
        }
    }
}
