//! The transformer: chunk in, chunk out, split anywhere.

use super::DEEPEST;
use super::number::NumberState;
use super::string::{self, Scan, StringState};
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
    expects: Expects,
    open: Vec<Container>,
    /// What the automaton says of the value that comes next or is being read.
    here: State,
    /// The tagged value that is being read, and how many containers are open around it.
    tagged: Option<(FieldIndex, usize)>,
    /// The part of the tagged value that earlier chunks held.
    held: SecretBuffer,
    /// The part of the member's name that earlier chunks held, as far as it could match.
    name: Vec<u8>,
    name_has_escapes: bool,
    /// How many bytes earlier chunks held.
    passed: u64,
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expects {
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    NameText(StringState),
    Colon,
    CommaOrEnd,
    StringText(StringState),
    Number(NumberState),
    Literal(&'static [u8]),
    /// Nothing: the document was refused.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Container {
    state: State,
    /// The index of the element that comes next or is being read; objects have none.
    index: Option<u32>,
}

/// What is wrong, and where in the chunk.
type Fault = (usize, &'static str);

/// The chunk that is being read.
struct Chunk<'a> {
    input: &'a [u8],
    at: usize,
    /// Up to where it was written out. Within a tagged value: where the value, or the rest of it, begins.
    done: usize,
}

impl Transformer {
    pub(crate) fn new(framing: Framing, longest_value: usize) -> Self {
        Self::at(State::START, framing, longest_value)
    }

    /// Makes a transformer for a part of a document that stands at `root` in the whole.
    pub(crate) fn at(root: State, framing: Framing, longest_value: usize) -> Self {
        Self {
            framing,
            root,
            longest_value,
            expects: Expects::Value,
            open: Vec::new(),
            here: root,
            tagged: None,
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
        let mut chunk = Chunk { input, at: 0, done: 0 };
        let result = self.read(automaton, visitor, &mut chunk, out);
        self.settle(result)?;
        let rest = &input[chunk.done..];
        if self.tagged.is_some() {
            self.hold(rest).or_else(|error| self.settle(Err(error)))?;
        } else {
            out.extend_from_slice(rest);
        }
        self.passed += input.len() as u64;
        Ok(())
    }

    /// Ends the input.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`] where the document is not complete, and what the visitor returns.
    pub(crate) fn finish(&mut self, visitor: &mut impl Visitor, out: &mut Vec<u8>) -> Result<(), Error> {
        if let Expects::Number(state) = self.expects
            && state.is_complete()
        {
            let mut chunk = Chunk { input: &[], at: 0, done: 0 };
            let result = self.end_value(visitor, &mut chunk, out);
            self.settle(result)?;
        }
        let is_between = self.open.is_empty() && self.tagged.is_none();
        match (self.expects, self.framing) {
            (Expects::CommaOrEnd, _) if is_between => visitor.end_document(),
            (Expects::Value, Framing::Lines) if is_between => {}
            _ => return Err(self.malformed((0, "the document ends early"))),
        }
        self.expects = Expects::Nothing;
        Ok(())
    }

    fn settle<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            self.expects = Expects::Nothing;
        }
        result
    }

    fn malformed(&self, (at, message): Fault) -> Error {
        let offset = self.passed + at as u64;
        Error::new(ErrorKind::Malformed, format!("not valid JSON at byte {offset}: {message}"))
    }

    fn read(
        &mut self,
        automaton: &Automaton,
        visitor: &mut impl Visitor,
        chunk: &mut Chunk<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let input = chunk.input;
        while let Some(&byte) = input.get(chunk.at) {
            match self.expects {
                Expects::StringText(state) => {
                    match string::scan(input, chunk.at, state, &mut false).map_err(|fault| self.malformed(fault))? {
                        Scan::End(quote) => {
                            chunk.at = quote + 1;
                            self.end_value(visitor, chunk, out)?;
                        }
                        Scan::More(state) => {
                            self.expects = Expects::StringText(state);
                            return Ok(());
                        }
                    }
                }
                Expects::NameText(state) => {
                    if !self.read_name(automaton, chunk, state)? {
                        return Ok(());
                    }
                }
                Expects::Number(state) => match state.next(byte) {
                    Some(next) => {
                        self.expects = Expects::Number(next);
                        chunk.at += 1;
                    }
                    None if state.is_complete() => self.end_value(visitor, chunk, out)?,
                    None => return Err(self.malformed((chunk.at, "a number is not complete"))),
                },
                Expects::Literal(rest) => {
                    if byte != rest[0] {
                        return Err(self.malformed((chunk.at, "a value is expected")));
                    }
                    chunk.at += 1;
                    match &rest[1..] {
                        [] => self.end_value(visitor, chunk, out)?,
                        rest => self.expects = Expects::Literal(rest),
                    }
                }
                _ if matches!(byte, b' ' | b'\t' | b'\r') => chunk.at += 1,
                _ if byte == b'\n' => self.break_line(visitor, chunk)?,
                Expects::Value | Expects::ValueOrEnd => self.begin_value(automaton, visitor, chunk, out, byte)?,
                Expects::Name | Expects::NameOrEnd => match byte {
                    b'"' => {
                        chunk.at += 1;
                        self.name.clear();
                        self.name_has_escapes = false;
                        self.expects = Expects::NameText(StringState::Text);
                    }
                    b'}' if self.expects == Expects::NameOrEnd => self.close(visitor, chunk, out)?,
                    _ => return Err(self.malformed((chunk.at, "a member's name is expected"))),
                },
                Expects::Colon => {
                    if byte != b':' {
                        return Err(self.malformed((chunk.at, "a colon is expected")));
                    }
                    chunk.at += 1;
                    self.expects = Expects::Value;
                }
                Expects::CommaOrEnd => self.follow_value(automaton, visitor, chunk, out, byte)?,
                Expects::Nothing => return Err(self.malformed((chunk.at, "the document was refused before"))),
            }
        }
        Ok(())
    }

    /// Reads on in a member's name. Returns false where the chunk ended first.
    fn read_name(&mut self, automaton: &Automaton, chunk: &mut Chunk<'_>, state: StringState) -> Result<bool, Error> {
        let start = chunk.at;
        let scan = string::scan(chunk.input, start, state, &mut self.name_has_escapes);
        let scan = scan.map_err(|fault| self.malformed(fault))?;
        let parent = self.open.last().map_or(State::DEAD, |object| object.state);
        // The longest spelling of a name writes each byte of it as an escape of six.
        let longest = 6 * automaton.longest_name();
        let text = match scan {
            Scan::End(quote) => &chunk.input[start..quote],
            Scan::More(_) => &chunk.input[start..],
        };
        let is_whole = self.name.is_empty() && matches!(scan, Scan::End(_));
        if !is_whole && parent != State::DEAD && self.name.len() <= longest {
            self.name.extend_from_slice(&text[..text.len().min(longest + 1)]);
        }
        match scan {
            Scan::More(state) => {
                self.expects = Expects::NameText(state);
                Ok(false)
            }
            Scan::End(quote) => {
                let name = if is_whole { text } else { &self.name };
                self.here = if parent == State::DEAD {
                    State::DEAD
                } else if !self.name_has_escapes {
                    automaton.member(parent, name)
                } else if name.len() <= longest {
                    let mut unescaped = Vec::new();
                    match string::unescape(name, &mut unescaped) {
                        true => automaton.member(parent, &unescaped),
                        false => automaton.other_member(parent),
                    }
                } else {
                    automaton.other_member(parent)
                };
                chunk.at = quote + 1;
                self.expects = Expects::Colon;
                Ok(true)
            }
        }
    }

    fn begin_value(
        &mut self,
        automaton: &Automaton,
        visitor: &mut impl Visitor,
        chunk: &mut Chunk<'_>,
        out: &mut Vec<u8>,
        byte: u8,
    ) -> Result<(), Error> {
        if byte == b']' && self.expects == Expects::ValueOrEnd {
            return self.close(visitor, chunk, out);
        }
        if self.tagged.is_none()
            && let Some(field) = automaton.field(self.here)
        {
            out.extend_from_slice(&chunk.input[chunk.done..chunk.at]);
            chunk.done = chunk.at;
            self.tagged = Some((field, self.open.len()));
        }
        let here = if self.tagged.is_some() { State::DEAD } else { self.here };
        self.expects = match byte {
            b'"' => Expects::StringText(StringState::Text),
            b'{' => {
                self.open(Container { state: here, index: None }, chunk)?;
                Expects::NameOrEnd
            }
            b'[' => {
                self.open(Container { state: here, index: Some(0) }, chunk)?;
                self.here = automaton.element(here, 0);
                Expects::ValueOrEnd
            }
            b't' => Expects::Literal(b"rue"),
            b'f' => Expects::Literal(b"alse"),
            b'n' => Expects::Literal(b"ull"),
            _ => match NumberState::first(byte) {
                Some(state) => Expects::Number(state),
                None => return Err(self.malformed((chunk.at, "a value is expected"))),
            },
        };
        chunk.at += 1;
        Ok(())
    }

    /// What comes after a value: a comma, the end of the container, or, outside of any, nothing.
    fn follow_value(
        &mut self,
        automaton: &Automaton,
        visitor: &mut impl Visitor,
        chunk: &mut Chunk<'_>,
        out: &mut Vec<u8>,
        byte: u8,
    ) -> Result<(), Error> {
        match (byte, self.open.last_mut()) {
            (b',', Some(Container { index: None, .. })) => self.expects = Expects::Name,
            (b',', Some(Container { index: Some(index), state })) => {
                // Paths name no index this large, so staying there changes nothing.
                *index = index.saturating_add(1);
                self.here = automaton.element(*state, *index);
                self.expects = Expects::Value;
            }
            (b'}', Some(Container { index: None, .. })) | (b']', Some(Container { index: Some(_), .. })) => {
                return self.close(visitor, chunk, out);
            }
            (_, Some(_)) => return Err(self.malformed((chunk.at, "a comma or the end of the container is expected"))),
            (_, None) => return Err(self.malformed((chunk.at, "something stands after the document"))),
        }
        chunk.at += 1;
        Ok(())
    }

    fn break_line(&mut self, visitor: &mut impl Visitor, chunk: &mut Chunk<'_>) -> Result<(), Error> {
        if self.framing == Framing::Lines {
            match self.expects {
                Expects::CommaOrEnd if self.open.is_empty() => {
                    visitor.end_document();
                    self.expects = Expects::Value;
                    self.here = self.root;
                }
                Expects::Value if self.open.is_empty() => {}
                _ => return Err(self.malformed((chunk.at, "a line break stands within a line's document"))),
            }
        }
        chunk.at += 1;
        Ok(())
    }

    fn open(&mut self, container: Container, chunk: &Chunk<'_>) -> Result<(), Error> {
        if self.open.len() == DEEPEST {
            return Err(self.malformed((chunk.at, "objects and arrays are nested deeper than 128")));
        }
        self.open.push(container);
        Ok(())
    }

    fn close(&mut self, visitor: &mut impl Visitor, chunk: &mut Chunk<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.open.pop();
        chunk.at += 1;
        self.end_value(visitor, chunk, out)
    }

    /// Ends a value before `chunk.at`; a tagged one goes to the visitor.
    #[inline]
    fn end_value(&mut self, visitor: &mut impl Visitor, chunk: &mut Chunk<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.expects = Expects::CommaOrEnd;
        match self.tagged {
            Some((field, depth)) if depth == self.open.len() => self.rewrite(field, visitor, chunk, out),
            _ => Ok(()),
        }
    }

    fn rewrite(
        &mut self,
        field: FieldIndex,
        visitor: &mut impl Visitor,
        chunk: &mut Chunk<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let rest = &chunk.input[chunk.done..chunk.at];
        let value = if self.held.is_empty() {
            self.check_length(rest.len())?;
            rest
        } else {
            self.hold(rest)?;
            self.held.as_slice()
        };
        visitor.value(field, value, out)?;
        self.held.clear();
        self.tagged = None;
        chunk.done = chunk.at;
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
}
