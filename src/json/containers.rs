//! Objects and arrays that open and close, and what must not stand in them on the way in.

use super::position::{Container, Kind};
use super::transformer::Transformer;
use super::visitor::Flow;
use crate::error::{Error, ErrorKind};
use crate::policy::{Automaton, State};

impl Transformer {
    #[inline]
    pub(super) fn open<const CAREFUL: bool>(&mut self, around: Container, at: usize) -> Result<(), Error> {
        let (deepest, message) = self.flow.deepest();
        if self.outer.len() == deepest {
            return Err(self.malformed((at, message)));
        }
        self.outer.push(around);
        if CAREFUL {
            self.follow_in();
        }
        Ok(())
    }

    #[inline]
    pub(super) fn close<const CAREFUL: bool>(&mut self) -> Container {
        if CAREFUL {
            self.follow_out();
        }
        self.outer.pop().expect("each container was pushed what stands around it")
    }

    /// The state of the member whose name is held.
    pub(super) fn member(&self, automaton: &Automaton, parent: State) -> Result<State, Error> {
        let (state, is_reserved) = self.name.member(automaton, parent);
        if is_reserved {
            self.check_reserved()?;
        }
        Ok(state)
    }

    #[cold]
    pub(super) fn check_reserved(&self) -> Result<(), Error> {
        match self.flow {
            Flow::Inward => Err(refused("the name of a member means something else to serde_json")),
            Flow::Outward => Ok(()),
        }
    }

    /// What `#[derive(Deserialize)]` makes of a struct is also read from an array, with no names that a path could
    /// match.
    pub(super) fn check_array(&self, automaton: &Automaton, state: State, around: Kind) -> Result<(), Error> {
        if self.flow == Flow::Inward && automaton.is_object(state, around != Kind::Object) {
            return Err(refused("an array stands where the policy knows the members of an object"));
        }
        Ok(())
    }

    /// Such an array may be taken for a list of objects. Its elements tell, unless all of them are objects.
    #[cold]
    #[inline(never)]
    pub(super) fn check_element(&self, byte: u8) -> Result<(), Error> {
        // An array there is checked by itself.
        if self.flow == Flow::Outward || matches!(byte, b'{' | b'[' | b'n') {
            return Ok(());
        }
        Err(refused("a value stands in a list where the policy knows the members of objects"))
    }
}

fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::Refused, message)
}
