//! The transformer: chunk in, chunk out, split anywhere.

use super::DEEPEST;
use super::number::{self, NumberState};
use super::string::{self, Fault, Scan, StringState};
use crate::error::{Error, ErrorKind};
use crate::policy::{Automaton, FieldIndex, State};
use crate::secret::SecretBuffer;

/// What is done with tagged values.
pub(crate) trait Visitor {
    /// Writes to `out` what takes the place of `value`, the JSON text of a value of `field`.
    fn value(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error>;

    /// Is told that a document ended.
    fn end_document(&mut self) {}
}

/// How documents follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One document.
    Single,
    /// Newline-delimited JSON: a document a line, no line break within one, empty lines skipped.
    Lines,
}

/// Rewrites tagged values of JSON documents that arrive in chunks.
///
/// Strict: what RFC 8259 does not allow is refused, and so is nesting deeper than [`DEEPEST`]. Everything that is not
/// the text of a tagged value comes out as it came in. What is held back between chunks is a tagged value at most,
/// and no more than `longest_value` of it.
#[derive(Debug)]
pub(crate) struct Transformer {
    framing: Framing,
    /// What the automaton says of a document's root.
    root: State,
    longest_value: usize,
    position: Position,
    /// The containers around the innermost one.
    outer: Vec<Container>,
    /// The part of the tagged value that earlier chunks held.
    held: SecretBuffer,
    /// The part of the member's name that earlier chunks held, as far as it could match.
    name: Vec<u8>,
    name_has_escapes: bool,
    /// How many bytes earlier chunks held.
    passed: u64,
}

/// Where in a document the transformer stands.
#[derive(Clone, Copy, Debug)]
struct Position {
    expects: Expects,
    /// The token that the chunk before ended in.
    begun: Option<Begun>,
    innermost: Container,
    /// What the automaton says of the value that comes next or is being read.
    here: State,
    /// The tagged value that is being read, and how many containers are open around it.
    tagged: Option<(FieldIndex, usize)>,
}

/// Which token comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expects {
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
    /// None: the document was refused, or the input ended.
    Nothing,
}

/// A token of which a part has been read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Begun {
    Name(StringState),
    Text(StringState),
    Number(NumberState),
    /// With the rest of it.
    Literal(&'static [u8]),
}

/// An object, an array, or what stands around a document.
#[derive(Clone, Copy, Debug)]
struct Container {
    kind: Kind,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Outside,
    Object,
    /// With the index of the element that comes next or is being read.
    Array(u32),
}

impl Transformer {
    pub(crate) fn new(framing: Framing, longest_value: usize) -> Self {
        Self::at(State::START, framing, longest_value)
    }

    /// Makes a transformer for a part of a document that stands at `root` in the whole.
    pub(crate) fn at(root: State, framing: Framing, longest_value: usize) -> Self {
        let innermost = Container { kind: Kind::Outside, state: State::DEAD };
        Self {
            framing,
            root,
            longest_value,
            position: Position { expects: Expects::Value, begun: None, innermost, here: root, tagged: None },
            outer: Vec::with_capacity(16),
            held: SecretBuffer::default(),
            name: Vec::new(),
            name_has_escapes: false,
            passed: 0,
        }
    }

    /// Takes the next chunk and appends to `out` what is finished.
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
    ) -> Result<(), Error> {
        // Until the chunk turns out to be good, nothing more is expected.
        let position = self.position;
        self.position.expects = Expects::Nothing;
        let (position, done) = self.read(position, automaton, visitor, input, out)?;
        let rest = &input[done..];
        if position.tagged.is_some() {
            self.hold(rest)?;
        } else {
            out.extend_from_slice(rest);
        }
        self.position = position;
        self.passed += input.len() as u64;
        Ok(())
    }

    /// Ends the input.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`] where the document is not complete, and what the visitor returns.
    pub(crate) fn finish(&mut self, visitor: &mut impl Visitor, out: &mut Vec<u8>) -> Result<(), Error> {
        let Position { expects, begun, innermost, tagged, here: _ } = self.position;
        self.position.expects = Expects::Nothing;
        let is_outside = innermost.kind == Kind::Outside;
        match (expects, begun, self.framing) {
            // Only here does a number end with nothing after it.
            (_, Some(Begun::Number(state)), _) if is_outside && state.is_complete() => {
                if let Some((field, _)) = tagged {
                    self.rewrite(field, visitor, &[], out)?;
                }
                visitor.end_document();
            }
            (Expects::CommaOrEnd, None, _) if is_outside => visitor.end_document(),
            (Expects::Value, None, Framing::Lines) if is_outside => {}
            _ => return Err(self.malformed((0, "the document ends early"))),
        }
        Ok(())
    }

    /// Reads one chunk, and returns where it stands then and up to where the chunk was written out.
    fn read(
        &mut self,
        mut position: Position,
        automaton: &Automaton,
        visitor: &mut impl Visitor,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(Position, usize), Error> {
        let mut at = 0;
        let mut done = 0;
        if let Some(begun) = position.begun.take() {
            position.begun = self.go_on(begun, automaton, &mut position, input, &mut at)?;
            if position.begun.is_some() {
                return Ok((position, done));
            }
        }
        let Position { mut expects, mut begun, mut innermost, mut here, mut tagged } = position;
        loop {
            // One turn reads a comma, a name with its colon, and a value, as far as each is expected.
            if expects == Expects::CommaOrEnd {
                // A value ended before `at`.
                if let Some((field, depth)) = tagged
                    && depth == self.outer.len()
                {
                    self.rewrite(field, visitor, &input[done..at], out)?;
                    tagged = None;
                    done = at;
                }
                let Some(&byte) = input.get(at) else { break };
                match (byte, innermost.kind) {
                    (b',', Kind::Object) => expects = Expects::Name,
                    (b',', Kind::Array(index)) => {
                        // Paths name no index as large as the last, so staying there changes nothing.
                        let index = index.saturating_add(1);
                        innermost.kind = Kind::Array(index);
                        here = automaton.element(innermost.state, index);
                        expects = Expects::Value;
                    }
                    (b'}', Kind::Object) | (b']', Kind::Array(_)) => innermost = self.close(),
                    _ => (expects, here) = self.skip_blank(byte, at, expects, here, innermost, visitor)?,
                }
                at += 1;
            }
            if matches!(expects, Expects::Name | Expects::NameOrEnd) {
                let Some(&byte) = input.get(at) else { break };
                at += 1;
                if byte == b'"' {
                    let mut has_escapes = false;
                    let scan = string::scan(input, at, StringState::Text, &mut has_escapes);
                    match scan.map_err(|fault| self.malformed(fault))? {
                        Scan::End(quote) => {
                            let name = &input[at..quote];
                            here = if has_escapes {
                                self.begin_name(automaton, name, has_escapes);
                                self.held_member(automaton, innermost.state)
                            } else {
                                automaton.member(innermost.state, name)
                            };
                            at = quote + 1;
                            expects = Expects::Colon;
                        }
                        Scan::More(state) => {
                            self.begin_name(automaton, &input[at..], has_escapes);
                            begun = Some(Begun::Name(state));
                            break;
                        }
                    }
                } else if byte == b'}' && expects == Expects::NameOrEnd {
                    innermost = self.close();
                    expects = Expects::CommaOrEnd;
                } else {
                    (expects, here) = self.skip_blank(byte, at - 1, expects, here, innermost, visitor)?;
                }
            }
            if expects == Expects::Colon {
                let Some(&byte) = input.get(at) else { break };
                match byte {
                    b':' => expects = Expects::Value,
                    _ => (expects, here) = self.skip_blank(byte, at, expects, here, innermost, visitor)?,
                }
                at += 1;
            }
            if matches!(expects, Expects::Value | Expects::ValueOrEnd) {
                let Some(&byte) = input.get(at) else { break };
                if byte == b']' && expects == Expects::ValueOrEnd {
                    innermost = self.close();
                    expects = Expects::CommaOrEnd;
                    at += 1;
                    continue;
                }
                if let Some(field) = automaton.field(here)
                    && tagged.is_none()
                    && !is_blank(byte)
                {
                    out.extend_from_slice(&input[done..at]);
                    done = at;
                    tagged = Some((field, self.outer.len()));
                    here = State::DEAD;
                }
                at += 1;
                if byte == b'"' {
                    let scan = string::scan(input, at, StringState::Text, &mut false);
                    match scan.map_err(|fault| self.malformed(fault))? {
                        Scan::End(quote) => at = quote + 1,
                        Scan::More(state) => {
                            begun = Some(Begun::Text(state));
                            break;
                        }
                    }
                    expects = Expects::CommaOrEnd;
                } else if matches!(byte, b'0'..=b'9' | b'-') {
                    let scan = number::scan(input, at, NumberState::first(byte));
                    match scan.map_err(|fault| self.malformed(fault))? {
                        Scan::End(end) => at = end,
                        Scan::More(state) => {
                            begun = Some(Begun::Number(state));
                            break;
                        }
                    }
                    expects = Expects::CommaOrEnd;
                } else if byte == b'{' {
                    self.open(innermost, at - 1)?;
                    innermost = Container { kind: Kind::Object, state: here };
                    expects = Expects::NameOrEnd;
                } else if byte == b'[' {
                    self.open(innermost, at - 1)?;
                    innermost = Container { kind: Kind::Array(0), state: here };
                    here = automaton.element(here, 0);
                    expects = Expects::ValueOrEnd;
                } else if is_blank(byte) {
                    (expects, here) = self.skip_blank(byte, at - 1, expects, here, innermost, visitor)?;
                } else {
                    let rest = literal(byte).ok_or_else(|| self.malformed((at - 1, "a value is expected")))?;
                    begun = self.go_on_in_literal(rest, input, &mut at)?;
                    if begun.is_some() {
                        break;
                    }
                    expects = Expects::CommaOrEnd;
                }
            } else if expects == Expects::Nothing {
                return Err(self.malformed((at, "the document was refused before")));
            }
        }
        Ok((Position { expects, begun, innermost, here, tagged }, done))
    }

    /// Reads on in the token that the chunk before ended in. Returns it again where this chunk ends in it too.
    fn go_on(
        &mut self,
        begun: Begun,
        automaton: &Automaton,
        position: &mut Position,
        input: &[u8],
        at: &mut usize,
    ) -> Result<Option<Begun>, Error> {
        match begun {
            Begun::Name(state) => {
                let scan = string::scan(input, *at, state, &mut self.name_has_escapes);
                match scan.map_err(|fault| self.malformed(fault))? {
                    Scan::End(quote) => {
                        self.hold_name(automaton, &input[..quote]);
                        position.here = self.held_member(automaton, position.innermost.state);
                        position.expects = Expects::Colon;
                        *at = quote + 1;
                    }
                    Scan::More(state) => {
                        self.hold_name(automaton, input);
                        return Ok(Some(Begun::Name(state)));
                    }
                }
            }
            Begun::Text(state) => {
                let scan = string::scan(input, *at, state, &mut false);
                match scan.map_err(|fault| self.malformed(fault))? {
                    Scan::End(quote) => *at = quote + 1,
                    Scan::More(state) => return Ok(Some(Begun::Text(state))),
                }
                position.expects = Expects::CommaOrEnd;
            }
            Begun::Number(state) => {
                match number::scan(input, *at, state).map_err(|fault| self.malformed(fault))? {
                    Scan::End(end) => *at = end,
                    Scan::More(state) => return Ok(Some(Begun::Number(state))),
                }
                position.expects = Expects::CommaOrEnd;
            }
            Begun::Literal(rest) => {
                if let Some(begun) = self.go_on_in_literal(rest, input, at)? {
                    return Ok(Some(begun));
                }
                position.expects = Expects::CommaOrEnd;
            }
        }
        Ok(None)
    }

    fn go_on_in_literal(&self, rest: &'static [u8], input: &[u8], at: &mut usize) -> Result<Option<Begun>, Error> {
        let length = rest.len().min(input.len() - *at);
        if let Some(place) = (0..length).find(|&place| input[*at + place] != rest[place]) {
            return Err(self.malformed((*at + place, "a value is expected")));
        }
        *at += length;
        Ok((length < rest.len()).then(|| Begun::Literal(&rest[length..])))
    }

    /// Passes over white space between tokens. A line break ends a document where each has a line of its own.
    #[cold]
    fn skip_blank(
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
                visitor.end_document();
                Ok((Expects::Value, self.root))
            }
            (Expects::Value, Kind::Outside) => Ok((expects, here)),
            _ => Err(self.malformed((at, "a line break stands within a line's document"))),
        }
    }

    fn open(&mut self, around: Container, at: usize) -> Result<(), Error> {
        if self.outer.len() == DEEPEST {
            return Err(self.malformed((at, "objects and arrays are nested deeper than 128")));
        }
        self.outer.push(around);
        Ok(())
    }

    fn close(&mut self) -> Container {
        self.outer.pop().expect("each container was pushed what stands around it")
    }

    /// The state of the member whose name is held.
    fn held_member(&self, automaton: &Automaton, parent: State) -> State {
        if self.name.len() > longest_spelling(automaton) {
            return automaton.other_member(parent);
        }
        if !self.name_has_escapes {
            return automaton.member(parent, &self.name);
        }
        let mut name = Vec::with_capacity(self.name.len());
        // A name with a lone surrogate in it is none that a path can mention.
        match string::unescape(&self.name, &mut name) {
            true => automaton.member(parent, &name),
            false => automaton.other_member(parent),
        }
    }

    fn begin_name(&mut self, automaton: &Automaton, part: &[u8], has_escapes: bool) {
        self.name.clear();
        self.name_has_escapes = has_escapes;
        self.hold_name(automaton, part);
    }

    /// Keeps as much of a name as it takes to tell that it is too long to match.
    fn hold_name(&mut self, automaton: &Automaton, part: &[u8]) {
        let room = (longest_spelling(automaton) + 1).saturating_sub(self.name.len());
        self.name.extend_from_slice(&part[..part.len().min(room)]);
    }

    /// Hands a tagged value, of which `rest` is not held yet, to the visitor.
    #[inline(never)]
    fn rewrite(
        &mut self,
        field: FieldIndex,
        visitor: &mut impl Visitor,
        rest: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if self.held.is_empty() {
            self.check_length(rest.len())?;
            return visitor.value(field, rest, out);
        }
        self.hold(rest)?;
        visitor.value(field, self.held.as_slice(), out)?;
        self.held.clear();
        Ok(())
    }

    fn hold(&mut self, part: &[u8]) -> Result<(), Error> {
        self.check_length(self.held.len() + part.len())?;
        self.held.extend_from_slice(part);
        Ok(())
    }

    fn check_length(&self, length: usize) -> Result<(), Error> {
        if length > self.longest_value {
            return Err(Error::new(ErrorKind::TooLarge, "a tagged value is longer than 1 MiB"));
        }
        Ok(())
    }

    #[cold]
    fn malformed(&self, (at, message): Fault) -> Error {
        let offset = self.passed + at as u64;
        Error::new(ErrorKind::Malformed, format!("not valid JSON at byte {offset}: {message}"))
    }
}

impl Expects {
    /// What is missing where something else stands.
    fn missing(self, innermost: Kind) -> &'static str {
        match (self, innermost) {
            (Self::CommaOrEnd, Kind::Outside) => "something stands after the document",
            (Self::CommaOrEnd, _) => "a comma or the end of the container is expected",
            (Self::Name | Self::NameOrEnd, _) => "a member's name is expected",
            (Self::Colon, _) => "a colon is expected",
            _ => "a value is expected",
        }
    }
}

/// What follows the first byte of a literal.
fn literal(first: u8) -> Option<&'static [u8]> {
    match first {
        b't' => Some(b"rue"),
        b'f' => Some(b"alse"),
        b'n' => Some(b"ull"),
        _ => None,
    }
}

/// White space of RFC 8259, section 2.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The most bytes in which a name that a path mentions can be written: each as an escape of six.
fn longest_spelling(automaton: &Automaton) -> usize {
    6 * automaton.longest_name()
}
