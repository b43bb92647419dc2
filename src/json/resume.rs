//! Tokens that the chunk before ended in, and what the input ends in.

use zeroize::Zeroizing;

use super::number;
use super::position::{Begun, Expects, Kind, Position};
use super::string::{self, Fault, Scan, StringState};
use super::trail::Part;
use super::transformer::Transformer;
use super::visitor::{Framing, Visitor};
use super::watch::Watch;
use crate::error::{Error, ErrorKind};
use crate::policy::Automaton;

impl Transformer {
    /// Takes the position away until what is done next turns out to be good. Fails where it never came back.
    pub(super) fn leave(&mut self) -> Result<Position, Error> {
        let position = self.position;
        self.position = Position { expects: Expects::Nothing, begun: None, ..position };
        match position.expects {
            Expects::Nothing => Err(self.malformed((0, "the document ended, or was refused, before"))),
            _ => Ok(position),
        }
    }

    #[cold]
    pub(super) fn malformed(&self, (at, message): Fault) -> Error {
        let offset = self.passed + at as u64;
        Error::new(ErrorKind::Malformed, format!("not valid JSON at byte {offset}: {message}"))
    }

    /// Says that a value is missing. Out of line, so that the reading keeps where it stands in registers.
    #[cold]
    #[inline(never)]
    pub(super) fn no_value(&self, at: usize, expects: Expects, innermost: Kind) -> Error {
        self.malformed((at, expects.missing(innermost)))
    }

    /// Ends the input.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`] where the document is not complete, and what the visitor returns.
    pub(crate) fn finish(&mut self, visitor: &mut impl Visitor, out: &mut Vec<u8>) -> Result<(), Error> {
        let Position { expects, begun, innermost, tagged, here: _, watch: _ } = self.leave()?;
        let is_outside = innermost.kind == Kind::Outside;
        match (expects, begun, self.framing) {
            // Only here does a number end with nothing after it.
            (_, Some(Begun::Number(state)), _) if is_outside && state.is_complete() => {
                if let Some((field, _)) = tagged {
                    self.rewrite(field, innermost.kind, visitor, &[], out)?;
                } else if let Some(trail) = &mut self.trail {
                    trail.end_number(visitor)?;
                }
                self.end_document(visitor)?;
            }
            (Expects::CommaOrEnd, None, _) if is_outside => self.end_document(visitor)?,
            (Expects::Value, None, Framing::Lines) if is_outside => {}
            _ => return Err(self.malformed((0, "the document ends early"))),
        }
        Ok(())
    }

    fn end_document(&mut self, visitor: &mut impl Visitor) -> Result<(), Error> {
        if self.is_part {
            return Ok(());
        }
        self.flush_trail(visitor)?;
        visitor.end_document()
    }

    /// Reads on in the token that the chunk before ended in. Returns it again where this chunk ends in it too.
    pub(super) fn go_on(
        &mut self,
        begun: Begun,
        automaton: &Automaton,
        position: &mut Position,
        visitor: &impl Visitor,
        input: &[u8],
        at: &mut usize,
    ) -> Result<Option<Begun>, Error> {
        match begun {
            Begun::Name(state) => {
                let scan = string::scan(input, *at, state, &mut self.name.has_escapes);
                let scan = scan.map_err(|fault| self.malformed(fault))?;
                self.follow_spelling(&scan, &input[*at..], *at);
                self.look_on(&scan, Watch::Nothing, position, visitor, &input[*at..], *at)?;
                match scan {
                    Scan::End(quote) => {
                        self.name.push(automaton, &input[*at..quote]);
                        if position.innermost.marks.is_operation {
                            let name = Zeroizing::new(self.name.held().to_vec());
                            self.mark_around(&name)?;
                        }
                        position.watch = Watch::of_escaped(self.name.held());
                        position.here = self.member(automaton, position.innermost.state)?;
                        position.expects = Expects::Colon;
                        *at = quote + 1;
                    }
                    Scan::More(state) => {
                        self.name.push(automaton, &input[*at..]);
                        return Ok(Some(Begun::Name(state)));
                    }
                }
            }
            Begun::Text(state) => {
                let scan = string::scan(input, *at, state, &mut false);
                let scan = scan.map_err(|fault| self.malformed(fault))?;
                self.look_on(&scan, position.watch, position, visitor, &input[*at..], *at)?;
                match scan {
                    Scan::End(quote) => *at = quote + 1,
                    Scan::More(state) => return Ok(Some(Begun::Text(state))),
                }
                position.expects = Expects::CommaOrEnd;
            }
            Begun::Number(state) => {
                let scan = number::scan(input, *at, state).map_err(|fault| self.malformed(fault))?;
                if position.tagged.is_none() {
                    self.look_on_at_number(&scan, &input[*at..], *at, visitor)?;
                }
                match scan {
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

    /// Reads a name with escapes, or characters beyond ASCII, in it, or which this chunk ends in: like one that began in
    /// the chunk before.
    #[cold]
    pub(super) fn read_rare_name(
        &mut self,
        mut position: Position,
        automaton: &Automaton,
        visitor: &impl Visitor,
        input: &[u8],
        at: &mut usize,
    ) -> Result<Position, Error> {
        self.suspect(&[], false, visitor)?;
        if let Some(trail) = &mut self.trail {
            trail.begin_text(position.tagged.is_none().then_some(Part::Name));
        }
        self.name.begin(automaton, &[], false);
        let begun = Begun::Name(StringState::Text);
        position.begun = self.go_on(begun, automaton, &mut position, visitor, input, at)?;
        Ok(position)
    }

    /// Looks at one more part of an untagged string, which begins at `at` in its chunk.
    fn look_on(
        &mut self,
        scan: &Scan<StringState>,
        watch: Watch,
        position: &mut Position,
        visitor: &impl Visitor,
        rest: &[u8],
        at: usize,
    ) -> Result<(), Error> {
        let watch = match position.tagged {
            None => watch,
            tagged if self.leaves_to_others(tagged) => return Ok(()),
            Some(_) => Watch::Nothing,
        };
        let (part, ended) = match scan {
            Scan::End(quote) => (&rest[..quote - at], true),
            Scan::More(_) => (rest, false),
        };
        self.go_on_suspecting(part, visitor)?;
        if ended { self.end_suspecting(watch, &mut position.innermost.marks, visitor) } else { Ok(()) }
    }

    pub(super) fn go_on_in_literal(
        &self,
        rest: &'static [u8],
        input: &[u8],
        at: &mut usize,
    ) -> Result<Option<Begun>, Error> {
        let length = rest.len().min(input.len() - *at);
        if let Some(place) = (0..length).find(|&place| input[*at + place] != rest[place]) {
            return Err(self.malformed((*at + place, "a value is expected")));
        }
        *at += length;
        Ok((length < rest.len()).then(|| Begun::Literal(&rest[length..])))
    }
}
