//! The name of a member that does not stand whole and plain in one chunk.

use zeroize::Zeroizing;

use super::string;
use crate::policy::{Automaton, State};
use crate::secret::SecretBuffer;

/// Names that `serde_json` gives a meaning of its own where a build turns its features on: the text behind them is read
/// as a document or a number, past every policy.
pub(super) const RESERVED: &[u8] = b"$serde_json::private::";

/// The part of a name that has been read, as far as it could match.
#[derive(Default)]
pub(super) struct Name {
    /// Within a tagged object, names are as personal as values.
    held: SecretBuffer,
    pub(super) has_escapes: bool,
}

impl Name {
    /// Starts another name.
    pub(super) fn begin(&mut self, automaton: &Automaton, part: &[u8], has_escapes: bool) {
        self.held.clear();
        self.has_escapes = has_escapes;
        self.push(automaton, part);
    }

    /// Keeps as much of the name as it takes to tell that it is too long to match.
    pub(super) fn push(&mut self, automaton: &Automaton, part: &[u8]) {
        let room = (longest_spelling(automaton) + 1).saturating_sub(self.held.len());
        self.held.extend_from_slice(&part[..part.len().min(room)]);
    }

    /// The name as it is spelled, as far as it is held.
    pub(super) fn held(&self) -> &[u8] {
        self.held.as_slice()
    }

    /// Returns the state of the member of this name in an object at `parent`, and whether the name is reserved.
    pub(super) fn member(&self, automaton: &Automaton, parent: State) -> (State, bool) {
        if !self.has_escapes {
            return (automaton.member(parent, self.held()), is_reserved(self.held()));
        }
        let mut name = Zeroizing::new(Vec::with_capacity(self.held.len()));
        // A name with a lone surrogate in it, or cut short within an escape, is none that a path can mention.
        let is_text = self.held.len() <= longest_spelling(automaton) && string::unescape(self.held(), &mut name);
        let state = if is_text { automaton.member(parent, &name) } else { automaton.other_member(parent) };
        (state, spells_reserved(self.held()))
    }
}

/// Returns whether `name` means something to `serde_json`.
#[inline]
pub(super) fn is_reserved(name: &[u8]) -> bool {
    name.len() >= RESERVED.len() && name.starts_with(RESERVED)
}

/// Returns whether `text` begins with a spelling of a reserved name, however it is escaped. It may be cut short.
fn spells_reserved(text: &[u8]) -> bool {
    let mut rest = text;
    RESERVED.iter().all(|&wanted| {
        let (byte, length) = match rest {
            [b'\\', b'u', digits @ ..] => {
                let digits = digits.get(..4).and_then(|digits| str::from_utf8(digits).ok());
                (digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()), 6)
            }
            [byte, ..] => (Some(u32::from(*byte)), 1),
            [] => (None, 0),
        };
        rest = rest.get(length..).unwrap_or_default();
        byte == Some(u32::from(wanted))
    })
}

/// The most bytes in which a name that a path mentions, or the beginning of a reserved one, can be written: each as an
/// escape of six.
fn longest_spelling(automaton: &Automaton) -> usize {
    6 * automaton.longest_name().max(RESERVED.len())
}
