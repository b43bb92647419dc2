//! The transformer: chunk in, chunk out, split anywhere.

use std::fmt;
use std::mem;

use super::blank::is_blank;
use super::members::Members;
use super::name::{self, Name};
use super::number::{self, NumberState};
use super::plain::{Plain, Stop};
use super::position::{Begun, Container, Expects, Kind, Position, literal};
use super::specials::Specials;
use super::string::{self, Scan};
use super::trail::Trail;
use super::visitor::{Flow, Framing, Visitor};
use super::watch::{Suspect, Watch};
use crate::error::Error;
use crate::policy::{Automaton, State};
use crate::secret::SecretBuffer;

/// Rewrites tagged values of JSON documents that arrive in chunks.
///
/// Strict: what RFC 8259 does not allow is refused, and so is nesting deeper than [`Flow`] allows. Everything that is not
/// the text of a tagged value comes out as it came in. What is held back between chunks is a tagged value at most,
/// and no more than `longest_value` of it.
pub(crate) struct Transformer {
    pub(super) flow: Flow,
    pub(super) framing: Framing,
    /// What the automaton says of a document's root.
    pub(super) root: State,
    pub(super) longest_value: usize,
    pub(super) position: Position,
    /// The containers around the innermost one.
    pub(super) outer: Vec<Container>,
    /// The part of the tagged value that earlier chunks held.
    pub(super) held: SecretBuffer,
    pub(super) name: Name,
    pub(super) suspect: Suspect,
    pub(super) members: Members,
    /// Whether operations of a JSON Patch are out of place.
    pub(super) finds_patches: bool,
    /// Where it stands, if anybody looks for personal data that is not tagged.
    pub(super) trail: Option<Box<Trail>>,
    /// Whether this is a part of a document, whose end is not the document's.
    pub(super) is_part: bool,
    /// How many records stand around it.
    pub(super) records_around: u8,
    /// Whether it stands in an array, at any depth.
    pub(super) is_within_array: bool,
    /// How many bytes earlier chunks held.
    pub(super) passed: u64,
}

impl Transformer {
    pub(crate) fn new(automaton: &Automaton, flow: Flow, framing: Framing, longest_value: usize) -> Self {
        let part = Self::at(automaton.start(), flow, longest_value);
        Self { framing, finds_patches: true, is_part: false, ..part }
    }

    /// Makes a transformer for a part of a document that stands at `root` in the whole.
    pub(super) fn at(root: State, flow: Flow, longest_value: usize) -> Self {
        let innermost = Container::new(Kind::Outside, State::DEAD);
        let watch = Watch::Nothing;
        Self {
            flow,
            framing: Framing::Single,
            root,
            longest_value,
            position: Position { expects: Expects::Value, begun: None, innermost, here: root, watch, tagged: None },
            outer: Vec::with_capacity(16),
            held: SecretBuffer::default(),
            name: Name::default(),
            suspect: Suspect::default(),
            members: Members::default(),
            finds_patches: false,
            trail: None,
            is_part: true,
            records_around: 0,
            is_within_array: false,
            passed: 0,
        }
    }

    /// How much of a value is carried over to the next chunk.
    #[cfg(feature = "layer")]
    pub(crate) fn held_length(&self) -> usize {
        self.held.len()
    }

    /// Takes the next chunk and appends to `out` what is finished. Stops where `out` is longer than `longest_out` after
    /// a tagged value. Returns how much of the chunk was taken.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`] with the offset of the byte that is not valid, [`ErrorKind::TooLarge`], and what the
    /// visitor returns. After an error every call fails.
    pub(crate) fn feed(
        &mut self,
        automaton: &Automaton,
        visitor: &mut impl Visitor,
        input: &[u8],
        out: &mut Vec<u8>,
        longest_out: usize,
    ) -> Result<usize, Error> {
        // Until the chunk turns out to be good, nothing more is expected.
        let position = self.leave()?;
        let changes_members = visitor.changes_members();
        self.members.go_on(out);
        let (position, done, end) = if changes_members || self.trail.is_some() {
            self.read_with_care(position, automaton, visitor, input, out, longest_out)?
        } else {
            self.read::<false>(position, automaton, visitor, input, out, longest_out)?
        };
        let rest = &input[done..end];
        if let Some((field, _)) = position.tagged {
            self.hold(field, visitor, rest)?;
        } else {
            out.extend_from_slice(rest);
        }
        if changes_members {
            self.hold_member(&position, out)?;
        }
        self.position = position;
        self.passed += end as u64;
        Ok(end)
    }

    /// Measured: out of line, it leaves the other reading as fast as it was alone.
    #[inline(never)]
    fn read_with_care(
        &mut self,
        position: Position,
        automaton: &Automaton,
        visitor: &mut impl Visitor,
        input: &[u8],
        out: &mut Vec<u8>,
        longest_out: usize,
    ) -> Result<(Position, usize, usize), Error> {
        self.read::<true>(position, automaton, visitor, input, out, longest_out)
    }

    /// Reads one chunk, with care where members change or are followed on their trail. Returns where it stands then, up to
    /// where the chunk was written out, and up to where it was read.
    #[expect(clippy::too_many_lines, reason = "measured: in one function, where it stands stays in registers")]
    fn read<const CAREFUL: bool>(
        &mut self,
        mut position: Position,
        automaton: &Automaton,
        visitor: &mut impl Visitor,
        input: &[u8],
        out: &mut Vec<u8>,
        longest_out: usize,
    ) -> Result<(Position, usize, usize), Error> {
        let mut at = 0;
        let mut done = 0;
        if let Some(begun) = position.begun.take() {
            position.begun = self.go_on(begun, automaton, &mut position, visitor, input, &mut at)?;
            if position.begun.is_some() {
                return Ok((position, done, input.len()));
            }
        }
        let Position { mut expects, mut begun, mut innermost, mut here, mut watch, mut tagged } = position;
        let shortest = self.shortest_suspect(visitor);
        let plain = Plain::new(automaton, shortest, self.flow);
        let mut specials = Specials::new();
        let joins_parts = visitor.joins_parts();
        let changes_members = CAREFUL && visitor.changes_members();
        loop {
            // One turn reads a comma, a name with its colon, and a value, as far as each is expected.
            if expects == Expects::CommaOrEnd {
                // A value ended before `at`.
                if let Some((field, depth)) = tagged
                    && depth == self.outer.len()
                {
                    if let Some(root) = field.in_record() {
                        self.rewrite_record(root, innermost.kind, automaton, visitor, &input[done..at], out)?;
                    } else {
                        self.rewrite(field, innermost.kind, visitor, &input[done..at], out)?;
                    }
                    tagged = None;
                    done = at;
                    if out.len() > longest_out {
                        break;
                    }
                }
                let Some(&byte) = input.get(at) else { break };
                match (byte, innermost.kind) {
                    (b',', Kind::Object) => {
                        expects = Expects::Name;
                        if changes_members && tagged.is_none() {
                            if mem::take(&mut innermost.skips_comma) {
                                out.extend_from_slice(&input[done..at]);
                                done = at + 1;
                                self.members.open(out.len());
                            } else {
                                self.members.follow(out.len() + at - done);
                            }
                        }
                    }
                    (b',', Kind::Array(index)) => {
                        // Paths name no index as large as the last, so staying there changes nothing.
                        let index = index.saturating_add(1);
                        innermost.kind = Kind::Array(index);
                        here = automaton.element(innermost.state, index);
                        watch = Watch::of_element(index);
                        if CAREFUL {
                            self.follow_element(index);
                        }
                        expects = Expects::Value;
                    }
                    (b'}', Kind::Object) | (b']', Kind::Array(_)) => {
                        if innermost.has_parts {
                            out.extend_from_slice(&input[done..at]);
                            done = at;
                            visitor.end_parts(out)?;
                        }
                        innermost = self.close::<CAREFUL>();
                        watch = Watch::Nothing;
                    }
                    _ => (expects, here) = self.skip_blank(byte, at, expects, here, innermost, visitor)?,
                }
                at += 1;
            }
            if matches!(expects, Expects::Name | Expects::NameOrEnd) {
                let Some(&byte) = input.get(at) else { break };
                at += 1;
                if byte == b'"' {
                    let (stop, stopped, state) = if CAREFUL {
                        (Stop::at_name(input, at, &mut specials), at, automaton.other_member(innermost.state))
                    } else {
                        plain.pass(input, at, &mut innermost, &mut self.outer, tagged.is_some(), &mut specials)
                    };
                    (at, here, watch) = (stopped, state, innermost.watch());
                    match stop {
                        Stop::Name(quote) => {
                            let name = &input[at..quote];
                            if name.len() >= shortest || (innermost.marks.is_operation && Watch::Operation.wants(name))
                            {
                                self.look_at_name(name, &mut innermost.marks, visitor)?;
                            }
                            if CAREFUL {
                                self.follow_member(name, tagged.is_none(), visitor)?;
                            }
                            watch = Watch::of(name);
                            here = automaton.member(innermost.state, name);
                            if name::is_reserved(name) {
                                self.check_reserved()?;
                            }
                            at = quote + 1;
                            expects = Expects::Colon;
                        }
                        Stop::RareName => {
                            let position = Position { expects, begun, innermost, here, watch, tagged };
                            let position = self.read_rare_name(position, automaton, visitor, input, &mut at)?;
                            Position { expects, begun, innermost, here, watch, tagged } = position;
                            if begun.is_some() {
                                break;
                            }
                        }
                        Stop::Before(next) => expects = next,
                    }
                } else if byte == b'}' && expects == Expects::NameOrEnd {
                    if innermost.has_parts {
                        visitor.end_parts(out)?;
                    }
                    innermost = self.close::<CAREFUL>();
                    watch = Watch::Nothing;
                    expects = Expects::CommaOrEnd;
                } else {
                    (expects, here) = self.skip_blank(byte, at - 1, expects, here, innermost, visitor)?;
                }
            }
            if expects == Expects::Colon {
                let Some(&byte) = input.get(at) else { break };
                if byte == b':' {
                    expects = Expects::Value;
                } else {
                    (expects, here) = self.skip_blank(byte, at, expects, here, innermost, visitor)?;
                }
                at += 1;
            }
            if matches!(expects, Expects::Value | Expects::ValueOrEnd) {
                let Some(&byte) = input.get(at) else { break };
                if byte == b']' && expects == Expects::ValueOrEnd {
                    innermost = self.close::<CAREFUL>();
                    watch = Watch::Nothing;
                    expects = Expects::CommaOrEnd;
                    at += 1;
                    continue;
                }
                if here.is_looked_at() && tagged.is_none() && !is_blank(byte) {
                    if let Some(field) = automaton.field(here) {
                        out.extend_from_slice(&input[done..at]);
                        done = at;
                        tagged = Some((field, self.outer.len()));
                        here = State::DEAD;
                        if changes_members && innermost.kind == Kind::Object {
                            self.place_member(field, visitor, &mut innermost, out);
                        }
                    } else {
                        self.check_element(byte)?;
                    }
                }
                at += 1;
                if byte == b'"' {
                    let scan = string::scan_from(input, specials.next(input, at));
                    match scan.map_err(|fault| self.malformed(fault))? {
                        Scan::End(quote) => {
                            let text = &input[at..quote];
                            if text.len() >= shortest || watch.wants(text) {
                                self.look_at_value(text, watch, tagged, &mut innermost.marks, visitor)?;
                            }
                            at = quote + 1;
                        }
                        Scan::More(state) => {
                            if !self.leaves_to_others(tagged) {
                                self.suspect(&input[at..], tagged.is_none(), visitor)?;
                            }
                            begun = Some(Begun::Text(state));
                            break;
                        }
                    }
                    expects = Expects::CommaOrEnd;
                } else if matches!(byte, b'0'..=b'9' | b'-') {
                    let scan = number::scan(input, at, NumberState::first(byte));
                    let scan = scan.map_err(|fault| self.malformed(fault))?;
                    if CAREFUL {
                        self.look_at_number(&scan, &input[at - 1..], at - 1, tagged.is_none(), visitor)?;
                    }
                    match scan {
                        Scan::End(end) => at = end,
                        Scan::More(state) => {
                            begun = Some(Begun::Number(state));
                            break;
                        }
                    }
                    expects = Expects::CommaOrEnd;
                } else if byte == b'{' {
                    let is_untagged = tagged.is_none();
                    if let Some(record) = here.record()
                        && is_untagged
                    {
                        out.extend_from_slice(&input[done..at - 1]);
                        done = at - 1;
                        tagged = Some((record, self.outer.len()));
                        here = State::DEAD;
                    }
                    self.open::<CAREFUL>(innermost, at - 1)?;
                    innermost = Container::new(Kind::Object, here);
                    if here.has_parts() && joins_parts {
                        innermost.has_parts = true;
                        visitor.begin_parts();
                    }
                    innermost.marks.is_operation =
                        watch == Watch::Operation && is_untagged && self.flow == Flow::Inward;
                    if changes_members && tagged.is_none() {
                        self.members.open(out.len() + at - done);
                    }
                    expects = Expects::NameOrEnd;
                } else if byte == b'[' {
                    self.open::<CAREFUL>(innermost, at - 1)?;
                    self.check_array(automaton, here, innermost.kind)?;
                    innermost = Container::new(Kind::Array(0), here);
                    if CAREFUL {
                        self.follow_element(0);
                    }
                    watch = Watch::of_element(0);
                    here = automaton.element(here, 0);
                    expects = Expects::ValueOrEnd;
                } else if is_blank(byte) {
                    (expects, here) = self.skip_blank(byte, at - 1, expects, here, innermost, visitor)?;
                } else {
                    // Measured: not in a closure, which would borrow what then stands in no register.
                    let Some(rest) = literal(byte) else {
                        return Err(self.no_value(at - 1, expects, innermost.kind));
                    };
                    begun = self.go_on_in_literal(rest, input, &mut at)?;
                    if begun.is_some() {
                        break;
                    }
                    expects = Expects::CommaOrEnd;
                }
            }
        }
        let end = if begun.is_some() { input.len() } else { at };
        Ok((Position { expects, begun, innermost, here, watch, tagged }, done, end))
    }
}

impl fmt::Debug for Transformer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is held of a name or a value may be personal.
        f.debug_struct("Transformer")
            .field("framing", &self.framing)
            .field("passed", &self.passed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::members::Member;
    use crate::json::visitor::tests::Stub;
    use crate::policy::{Field, Policy, Strict, Tag};

    fn policy() -> Policy {
        let phone = Field::new("phone", Tag::Phone).path("$..phone");
        Policy::builder("customers").field(phone).strict(Strict::refuse()).build().unwrap()
    }

    fn rewritten(framing: Framing, visitor: &mut Stub, input: &str, length: usize) -> Result<String, Error> {
        let policy = policy();
        let mut transformer = Transformer::new(policy.automaton(), Flow::Inward, framing, usize::MAX);
        if visitor.personal != b"\0" {
            transformer = transformer.with_trail(Trail::of(&policy));
        }
        let mut all = Vec::new();
        for piece in input.as_bytes().chunks(length) {
            let mut out = Vec::new();
            transformer.feed(policy.automaton(), visitor, piece, &mut out, usize::MAX)?;
            all.extend(out);
        }
        transformer.finish(visitor, &mut all)?;
        Ok(String::from_utf8(all).unwrap())
    }

    fn refusal(framing: Framing, input: &str) -> String {
        rewritten(framing, &mut Stub::default(), input, usize::MAX).unwrap_err().to_string()
    }

    #[test]
    fn a_fault_is_told_with_its_byte() {
        for (input, opening) in [("[", 1), (r#"{"a":"#, 5)] {
            let message = refusal(Framing::Single, &input.repeat(129));
            assert!(message.starts_with(&format!("not valid JSON at byte {}: objects", 128 * opening)), "{message}");
        }
        for (input, at) in [("[\n1]", 1), ("{\"a\":\n1}", 5), ("[1,\n2]", 3)] {
            let message = refusal(Framing::Lines, input);
            assert!(message.starts_with(&format!("not valid JSON at byte {at}: a line break")), "{message}");
        }
    }

    #[test]
    fn after_a_fault_every_call_fails() {
        let (policy, mut visitor) = (policy(), Stub::default());
        for faulty in ["}", "[1,]", "{\"a\" 1", "\"\u{1}\"", "tru!"] {
            let mut transformer = Transformer::new(policy.automaton(), Flow::Inward, Framing::Single, usize::MAX);
            let mut feed = |input: &str| {
                let mut out = Vec::new();
                transformer.feed(policy.automaton(), &mut visitor, input.as_bytes(), &mut out, usize::MAX)
            };
            // In a token that goes on, and then at fault.
            feed(&faulty[..1]).and_then(|_| feed(&faulty[1..])).unwrap_err();
            let again = feed("1").unwrap_err().to_string();
            assert!(again.contains("the document ended, or was refused, before"), "{faulty}: {again}");
            let end = transformer.finish(&mut visitor, &mut Vec::new()).unwrap_err().to_string();
            assert!(end.contains("the document ended, or was refused, before"), "{faulty}: {end}");
        }
    }

    #[test]
    fn what_ends_before_its_end_is_not_complete() {
        for input in [r#"{"a":"#, "[1,", "1\n[1,", "[[],"] {
            let message = refusal(Framing::Lines, input);
            assert!(message.contains("the document ends early"), "{input}: {message}");
        }
        for input in ["[1", r#"{"a":1"#, "-", "1.", "1e", "tru", "\"a", ""] {
            let message = refusal(Framing::Single, input);
            assert!(message.contains("the document ends early"), "{input}: {message}");
        }
        for input in ["", "\n", "1\n", "1\n2", "1\n\n"] {
            assert_eq!(rewritten(Framing::Lines, &mut Stub::default(), input, 1).unwrap(), input);
        }
    }

    #[test]
    fn what_is_like_an_operation_of_a_patch_but_is_none_passes() {
        for input in [
            r#"{"path":"/a","edit":{"replace":1}}"#,
            r#"{"path":"/a","edit":{"replace":{"op":1}}}"#,
            r#"{"op":"other","path":"/a"}"#,
            r#"{"op":"REPLACE","path":"/a"}"#,
            r#"{"op":"replace","way":"/a"}"#,
        ] {
            for length in [1, 3, 100] {
                assert_eq!(rewritten(Framing::Single, &mut Stub::default(), input, length).unwrap(), input);
            }
        }
        for input in [r#"{"path":"/a","op":{"replace":1}}"#, r#"{"op":"r\u0065place","path":"/a"}"#] {
            assert!(refusal(Framing::Single, input).contains("an operation of a JSON Patch"), "{input}");
        }
    }

    #[test]
    fn a_member_keeps_its_name_where_the_visitor_changes_none() {
        let named = || Member::Named("other".into());
        let input = r#"{"a":1,"phone":1,"b":2}"#;
        for (changes_members, personal, expected) in [
            (false, &b"\0"[..], r#"{"a":1,"phone":"T","b":2}"#),
            (false, b"tan", r#"{"a":1,"phone":"T","b":2}"#),
            (true, b"tan", r#"{"a":1,"other":"T","b":2}"#),
        ] {
            for length in [1, 2, 3, 5, 8, 100] {
                let mut visitor = Stub { changes_members, member: named(), personal, ..Stub::default() };
                assert_eq!(rewritten(Framing::Single, &mut visitor, input, length).unwrap(), expected);
            }
        }
    }

    #[test]
    fn what_stands_before_a_value_is_held_up_to_64_kib_where_members_change() {
        let most = (64 << 10) - r#","phone""#.len();
        for (length, is_held) in [(most - 1, true), (most + 100, false)] {
            let input = format!(r#"{{"a":1,"phone"{}:1}}"#, " ".repeat(length));
            let mut visitor = Stub { changes_members: true, member: Member::Omitted, ..Stub::default() };
            let out = rewritten(Framing::Single, &mut visitor, &input, 50);
            assert_eq!(out.ok().as_deref(), is_held.then_some(r#"{"a":1}"#), "{length}");
        }
    }

    /// Only what comes before a value is held back with its member.
    #[test]
    fn a_long_value_flows_where_members_change() {
        let input = format!(r#"{{"a":"{}","phone":1}}"#, "a".repeat(200_000));
        let mut visitor = Stub { changes_members: true, member: Member::Omitted, ..Stub::default() };
        for length in [1000, 50_000] {
            let out = rewritten(Framing::Single, &mut visitor, &input, length).unwrap();
            assert_eq!(out, input.replace(r#","phone":1"#, ""));
        }
    }
}
