//! Where untagged values stand, for a policy that looks for personal data there.

use std::fmt::Write as _;
use std::mem;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::number::NumberState;
use super::string::{self, Scan, StringState};
use super::transformer::Transformer;
use super::visitor::{Cut, Framing, Visitor};
use crate::error::Error;
use crate::policy::{Automaton, Policy, State};
use crate::secret::SecretBuffer;

/// How much of a long string is looked at together with what comes next.
const OVERLAP: usize = 512;
/// Names of more bytes are not shown.
pub(super) const LONGEST_SHOWN: usize = 40;
/// Names with more digits are not shown: they may be data.
const MOST_DIGITS_SHOWN: usize = 4;
/// What is found at more places of one document is counted for the last of these.
const MOST_PLACES: usize = 64;
/// Longer than the number of any card.
const LONGEST_NUMBER: usize = 24;

/// The way from a document's root to what is being read in it.
pub(crate) struct Trail {
    /// Selects where nobody looks.
    exceptions: Option<Arc<Automaton>>,
    refuses: bool,
    /// Whether the root is all that was sent, so that what stands in it can be pointed at.
    pub(super) is_whole: bool,
    /// The names on the way, one behind the other: within what turns out to be tagged, they may be personal.
    names: SecretBuffer,
    steps: Vec<Step>,
    /// What has come of a name with escapes, or of one that is cut.
    spelled: SecretBuffer,
    /// What has come of a string that is cut, and need be looked at again, without escapes.
    piece: SecretBuffer,
    /// What the string is that is cut; nothing where nobody looks at it.
    cut: Option<Part>,
    is_cut_before: bool,
    number: SecretBuffer,
    found: Vec<Found>,
}

/// An object or array on the way, and what in it is being read.
struct Step {
    state: State,
    is_excepted: bool,
    /// Where its name begins among the names.
    name: usize,
    /// Its index in an array.
    index: Option<u32>,
    here: State,
    is_here_excepted: bool,
}

/// What a string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Name,
    Value,
}

struct Found {
    path: String,
    what: &'static str,
    count: u64,
}

impl Trail {
    /// Begins at the root of a document; nothing where the policy looks for nothing.
    pub(crate) fn of(policy: &Policy) -> Option<Self> {
        let refuses = policy.strict()?.refuses();
        Some(Self { exceptions: policy.exceptions().map(Arc::clone), refuses, ..Self::new() })
    }

    /// Begins at the root of a document, for who only asks where something stands.
    pub(crate) fn new() -> Self {
        Self {
            exceptions: None,
            refuses: false,
            is_whole: false,
            names: SecretBuffer::with_capacity(256),
            steps: Vec::with_capacity(16),
            spelled: SecretBuffer::default(),
            piece: SecretBuffer::default(),
            cut: None,
            is_cut_before: false,
            number: SecretBuffer::default(),
            found: Vec::new(),
        }
    }

    pub(super) fn open(&mut self) {
        let (state, is_excepted) = match (self.steps.last(), &self.exceptions) {
            (Some(step), _) => (step.here, step.is_here_excepted),
            (None, Some(exceptions)) => (exceptions.start(), false),
            (None, None) => (State::DEAD, false),
        };
        let name = self.names.len();
        self.steps.push(Step {
            state,
            is_excepted,
            name,
            index: None,
            here: State::DEAD,
            is_here_excepted: is_excepted,
        });
    }

    pub(super) fn close(&mut self) {
        if let Some(step) = self.steps.pop() {
            self.names.truncate(step.name);
        }
    }

    pub(super) fn element(&mut self, index: u32) {
        let Some(step) = self.steps.last_mut() else { return };
        step.index = Some(index);
        if let Some(exceptions) = &self.exceptions {
            step.here = exceptions.element(step.state, index);
            step.is_here_excepted = step.is_excepted || exceptions.field(step.here).is_some();
        }
    }

    /// Goes on to the member called `name`, without escapes.
    pub(super) fn member(&mut self, name: &[u8]) {
        let Some(step) = self.steps.last_mut() else { return };
        self.names.truncate(step.name);
        // One that is too long is told from others by its length.
        self.names.extend_from_slice(&name[..name.len().min(LONGEST_SHOWN + 1)]);
        if let Some(exceptions) = &self.exceptions {
            step.here = exceptions.member(step.state, name);
            step.is_here_excepted = step.is_excepted || exceptions.field(step.here).is_some();
        }
    }

    /// The same, and looks at the name if `is_looked_at`.
    pub(super) fn follow(&mut self, name: &[u8], is_looked_at: bool, visitor: &impl Visitor) -> Result<(), Error> {
        self.member(name);
        if is_looked_at { self.look(Part::Name, name, visitor) } else { Ok(()) }
    }

    /// Goes on with the spelling of a name.
    pub(super) fn spell(&mut self, part: &[u8]) {
        let longest = self.exceptions.as_ref().map_or(0, |exceptions| exceptions.longest_name());
        let room = (6 * longest.max(LONGEST_SHOWN) + 1).saturating_sub(self.spelled.len());
        self.spelled.extend_from_slice(&part[..part.len().min(room)]);
    }

    /// Goes on to the member whose name was spelled.
    pub(super) fn end_spelling(&mut self) {
        let spelled = mem::take(&mut self.spelled);
        let mut name = Zeroizing::new(Vec::with_capacity(spelled.len()));
        // What is cut off within an escape is too long to be shown or excepted.
        let is_cut =
            spelled.as_slice().iter().rev().take(5).any(|byte| *byte == b'\\') && spelled.len() > 6 * LONGEST_SHOWN;
        if is_cut || !string::unescape(spelled.as_slice(), &mut name) {
            name.clear();
            name.resize(LONGEST_SHOWN + 1, b' ');
        }
        self.member(&name);
    }

    fn is_excepted(&self) -> bool {
        self.steps.last().is_some_and(|step| step.is_here_excepted)
    }

    /// The same for a name of which not all has come.
    fn is_unnamed_excepted(&self) -> bool {
        self.steps.last().is_some_and(|step| step.is_excepted)
    }

    /// Looks at a string or number that is whole, without escapes.
    pub(super) fn look(&mut self, part: Part, text: &[u8], visitor: &impl Visitor) -> Result<(), Error> {
        if self.is_excepted() {
            return Ok(());
        }
        match visitor.looks_personal(text, Cut { before: false, behind: false }) {
            Some(what) => self.tell(what, part, visitor),
            None => Ok(()),
        }
    }

    /// Begins with a string that comes in pieces; with none that nobody looks at.
    pub(super) fn begin_text(&mut self, part: Option<Part>) {
        self.cut = part.filter(|part| *part == Part::Name || !self.is_excepted());
        self.piece.clear();
        self.is_cut_before = false;
    }

    /// Looks at one more piece of it.
    pub(super) fn go_on_text(&mut self, piece: &[u8], is_last: bool, visitor: &impl Visitor) -> Result<(), Error> {
        let Some(part) = self.cut else { return Ok(()) };
        self.piece.extend_from_slice(piece);
        if !is_last && self.piece.len() < 2 * OVERLAP {
            return Ok(());
        }
        let cut = Cut { before: self.is_cut_before, behind: !is_last };
        let is_excepted = part == Part::Name && if is_last { self.is_excepted() } else { self.is_unnamed_excepted() };
        if is_excepted {
            self.cut = None;
            return Ok(());
        }
        if let Some(what) = visitor.looks_personal(self.piece.as_slice(), cut) {
            // It is told once of a string.
            self.cut = None;
            return self.tell(what, part, visitor);
        }
        self.piece.remove_front(self.piece.len().saturating_sub(OVERLAP));
        self.is_cut_before = true;
        Ok(())
    }

    pub(super) fn begin_number(&mut self, part: &[u8]) {
        self.number.clear();
        self.go_on_number(part);
    }

    pub(super) fn go_on_number(&mut self, part: &[u8]) {
        let room = LONGEST_NUMBER.saturating_sub(self.number.len());
        self.number.extend_from_slice(&part[..part.len().min(room)]);
    }

    pub(super) fn end_number(&mut self, visitor: &impl Visitor) -> Result<(), Error> {
        let number = mem::take(&mut self.number);
        self.look(Part::Value, number.as_slice(), visitor)
    }

    fn tell(&mut self, what: &'static str, part: Part, visitor: &impl Visitor) -> Result<(), Error> {
        if self.refuses {
            let told = visitor.found_personal(what, &self.path(part, true), 1);
            return told.map_err(|error| if part == Part::Value { self.located(error, visitor) } else { error });
        }
        let path = self.path(part, false);
        let is_full = self.found.len() == MOST_PLACES;
        match self.found.iter_mut().find(|found| found.what == what && found.path == path) {
            Some(found) => found.count += 1,
            None if is_full => self.found[MOST_PLACES - 1].count += 1,
            None => self.found.push(Found { path, what, count: 1 }),
        }
        Ok(())
    }

    /// Tells what was found since the last time.
    pub(super) fn flush(&mut self, visitor: &impl Visitor) -> Result<(), Error> {
        self.found.drain(..).try_for_each(|Found { path, what, count }| visitor.found_personal(what, &path, count))
    }

    /// Returns the index of each step, or its name, of which a long one is cut.
    pub(super) fn steps(&self) -> impl ExactSizeIterator<Item = (Option<u32>, &[u8])> {
        self.steps.iter().enumerate().map(|(place, step)| {
            let end = self.steps.get(place + 1).map_or(self.names.len(), |next| next.name);
            (step.index, &self.names.as_slice()[step.name..end])
        })
    }

    /// Writes the way in the syntax of RFC 9535. A name that may be data is a wildcard.
    fn path(&self, part: Part, has_indexes: bool) -> String {
        let mut path = "$".to_owned();
        for (place, (index, name)) in self.steps().enumerate() {
            let is_last = place + 1 == self.steps.len();
            if let Some(index) = index {
                let _ = if has_indexes { write!(path, "[{index}]") } else { path.write_str("[*]") };
                continue;
            }
            match shown(name) {
                Some(name) if !(is_last && part == Part::Name) => {
                    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                    let _ = if is_plain { write!(path, ".{name}") } else { write!(path, "['{name}']") };
                }
                _ => path.push_str(".*"),
            }
        }
        path
    }
}

/// Returns a name as it may be told to others: one that a program has for a member.
pub(super) fn shown(name: &[u8]) -> Option<&str> {
    let name = str::from_utf8(name).ok()?;
    let is_begin = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$');
    let is_rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:$".contains(&byte);
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    let is_shown = name.len() <= LONGEST_SHOWN
        && digits <= MOST_DIGITS_SHOWN
        && name.bytes().next().is_some_and(is_begin)
        && name.bytes().all(is_rest);
    is_shown.then_some(name)
}

impl Transformer {
    /// Looks for personal data where nothing is tagged, along `trail`.
    pub(crate) fn with_trail(mut self, trail: Option<Trail>) -> Self {
        let is_whole = self.framing == Framing::Single;
        self.trail = trail.map(|trail| Box::new(Trail { is_whole, ..trail }));
        self
    }

    /// Goes on to the member called `name`, and looks at that.
    pub(super) fn follow_member(
        &mut self,
        name: &[u8],
        is_untagged: bool,
        visitor: &impl Visitor,
    ) -> Result<(), Error> {
        self.trail.as_mut().map_or(Ok(()), |trail| trail.follow(name, is_untagged, visitor))
    }

    /// Goes on with the name of a member, and to that member where it ends.
    pub(super) fn follow_spelling(&mut self, scan: &Scan<StringState>, rest: &[u8], at: usize) {
        let Some(trail) = &mut self.trail else { return };
        match scan {
            Scan::End(quote) => {
                trail.spell(&rest[..quote - at]);
                trail.end_spelling();
            }
            Scan::More(_) => trail.spell(rest),
        }
    }

    pub(super) fn follow_element(&mut self, index: u32) {
        if let Some(trail) = &mut self.trail {
            trail.element(index);
        }
    }

    pub(super) fn follow_out(&mut self) {
        if let Some(trail) = &mut self.trail {
            trail.close();
        }
    }

    pub(super) fn follow_in(&mut self) {
        if let Some(trail) = &mut self.trail {
            trail.open();
        }
    }

    /// Looks at a number that stands whole in a chunk, or takes it for one that goes on.
    pub(super) fn look_at_number(
        &mut self,
        scan: &Scan<NumberState>,
        rest: &[u8],
        at: usize,
        is_untagged: bool,
        visitor: &impl Visitor,
    ) -> Result<(), Error> {
        let Some(trail) = self.trail.as_mut().filter(|_| is_untagged) else { return Ok(()) };
        match scan {
            Scan::End(end) => trail.look(Part::Value, &rest[..end - at], visitor),
            Scan::More(_) => {
                trail.begin_number(rest);
                Ok(())
            }
        }
    }

    /// Goes on with a number that is not tagged.
    pub(super) fn look_on_at_number(
        &mut self,
        scan: &Scan<NumberState>,
        rest: &[u8],
        at: usize,
        visitor: &impl Visitor,
    ) -> Result<(), Error> {
        let Some(trail) = &mut self.trail else { return Ok(()) };
        match scan {
            Scan::End(end) => {
                trail.go_on_number(&rest[..end - at]);
                trail.end_number(visitor)
            }
            Scan::More(_) => {
                trail.go_on_number(rest);
                Ok(())
            }
        }
    }

    /// Tells what was found.
    pub(super) fn flush_trail(&mut self, visitor: &impl Visitor) -> Result<(), Error> {
        self.trail.as_mut().map_or(Ok(()), |trail| trail.flush(visitor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::visitor::tests::Stub;
    use crate::policy::{Field, Strict, Tag};

    fn trail(strict: Strict) -> Trail {
        let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).strict(strict).build();
        Trail::of(&policy.unwrap()).unwrap()
    }

    /// A name may be what looks personal, whatever it is made of.
    #[test]
    fn a_name_that_looks_personal_is_not_shown_and_those_around_it_are() {
        let visitor = Stub { personal: b"tan", ..Stub::default() };
        let mut trail = trail(Strict::refuse());
        trail.open();
        trail.member(b"members");
        trail.open();
        let told = trail.follow(b"tan", true, &visitor).unwrap_err().to_string();
        assert!(told.contains("$.members.* is personal"), "{told}");
        trail.member(b"mail");
        let told = trail.look(Part::Value, b"tan", &visitor).unwrap_err().to_string();
        assert!(told.contains("$.members.mail is personal"), "{told}");
    }

    #[test]
    fn a_name_of_which_not_all_has_come_is_excepted_with_what_it_stands_in() {
        let visitor = Stub { personal: b"tan", ..Stub::default() };
        let mut trail = trail(Strict::refuse().except("$.shop"));
        let piece = "tan".repeat(OVERLAP);
        for (around, is_excepted) in [("shop", true), ("home", false)] {
            trail.open();
            trail.member(around.as_bytes());
            trail.open();
            trail.begin_text(Some(Part::Name));
            let told = trail.go_on_text(piece.as_bytes(), false, &visitor);
            assert_eq!(told.is_ok(), is_excepted, "{around}");
            trail.close();
            trail.close();
        }
    }

    #[test]
    fn an_exception_holds_for_a_name_that_ends_in_an_escape() {
        // As they are spelled, these are 4, 51 and 240 bytes long.
        for length in [1, 48, 237] {
            let name = "a".repeat(length);
            let strict = Strict::refuse().except(format!("$['{name}/b']"));
            let mut trail = trail(strict);
            trail.open();
            trail.spell(format!(r"{name}\/b").as_bytes());
            trail.end_spelling();
            assert!(trail.is_excepted(), "{length}");
            trail.spell(format!(r"{name}\/c").as_bytes());
            trail.end_spelling();
            assert!(!trail.is_excepted(), "{length}");
        }
    }
}
