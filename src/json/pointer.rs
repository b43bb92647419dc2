//! JSON Pointer (RFC 6901), held against the paths of a policy.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::trail::Trail;
use super::visitor::{Place, Visitor};
use crate::error::{Error, ErrorKind};
use crate::policy::{Automaton, FieldIndex, State};

/// What stands where a pointer points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    /// A value of this field.
    Field(FieldIndex),
    /// A part of a tagged value.
    Within,
    /// Something untagged, below which tagged values can stand unless the state is dead.
    Untagged(State),
}

/// Goes on with a pointer in the fragment of a URI, to the member called `name` (RFC 6901, sections 3 and 6).
pub(super) fn push(pointer: &mut String, name: &str) {
    pointer.push('/');
    for byte in name.bytes() {
        match byte {
            b'~' => pointer.push_str("~0"),
            b'/' => pointer.push_str("~1"),
            b'!' | b'$' | b'&'..=b';' | b'=' | b'?'..=b'Z' | b'_' | b'a'..=b'z' => pointer.push(char::from(byte)),
            _ => {
                let _ = write!(pointer, "%{byte:02X}");
            }
        }
    }
}

/// Finds what `pointer` points at.
///
/// A pointer does not say whether a token that is a number names a member or an element. Where that matters, what is
/// tagged wins; where both are tagged and differ, the pointer is refused.
pub(super) fn resolve(automaton: &Automaton, pointer: &str) -> Result<Target, Error> {
    let mut state = automaton.start();
    for token in tokens(pointer)? {
        if automaton.field(state).is_some() {
            return Ok(Target::Within);
        }
        state = step(automaton, state, &token?)?;
    }
    Ok(automaton.field(state).map_or(Target::Untagged(state), Target::Field))
}

fn step(automaton: &Automaton, state: State, token: &str) -> Result<State, Error> {
    let member = automaton.member(state, token.as_bytes());
    let Some(index) = index(token) else { return Ok(member) };
    match (member, automaton.element(state, index)) {
        (member, element) if member == element => Ok(member),
        (State::DEAD, element) => Ok(element),
        (member, State::DEAD) => Ok(member),
        // An object with numbers for names would be no list of records.
        (member, element) if automaton.holds_alike(member, element) => Ok(element),
        _ => Err(refused("a pointer can mean a tagged member and a tagged element")),
    }
}

/// Goes along `trail` to where `pointer` points, and looks at names on the way where `adds` says that they may be new.
pub(super) fn follow(mut trail: Trail, pointer: &str, adds: bool, visitor: &impl Visitor) -> Result<Trail, Error> {
    for token in tokens(pointer)? {
        let token = token?;
        trail.open();
        match index(&token) {
            Some(index) => trail.element(index),
            None => trail.follow(token.as_bytes(), adds, visitor)?,
        }
    }
    Ok(trail)
}

/// Refuses to take what stands at `from` to `path` where values would come into another record, in which they do not open.
pub(super) fn check_records(automaton: &Automaton, from: &str, path: &str, target: Target) -> Result<(), Error> {
    let holds_none = match target {
        Target::Untagged(state) => automaton.holds_alike(state, State::DEAD) || state.record().is_some(),
        Target::Field(_) | Target::Within => false,
    };
    let is_own = |pointer| Ok::<_, Error>(place(automaton, pointer)? == Place::OwnRecord);
    if holds_none || !automaton.knows_records() || (is_own(from)? && is_own(path)?) {
        return Ok(());
    }
    Err(refused("values are bound to their records, and do not open in another"))
}

/// Returns where in the document `pointer` points.
pub(super) fn place(automaton: &Automaton, pointer: &str) -> Result<Place, Error> {
    let mut state = automaton.start();
    let Some((parent, _)) = pointer.rsplit_once('/') else { return Ok(Place::Document) };
    let is_own = state.record().is_some();
    for token in tokens(parent)? {
        state = step(automaton, state, &token?)?;
        if state.record().is_some() {
            return Ok(Place::Elsewhere);
        }
    }
    Ok(if is_own { Place::OwnRecord } else { Place::Elsewhere })
}

/// Refuses `pointer` where it points at the id of a record, called `member`: values that are bound to it would be lost.
pub(super) fn check_id(automaton: &Automaton, pointer: &str, member: &str) -> Result<(), Error> {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return Ok(()) };
    let is_record = matches!(resolve(automaton, parent)?, Target::Untagged(state) if state.record().is_some());
    if is_record && unescape(last)? == member {
        return Err(refused("values are bound to the id of their record, which cannot be changed"));
    }
    Ok(())
}

/// Refuses `pointer` where adding or removing an element there would move others to places that the policy treats
/// otherwise.
pub(super) fn check_shift(automaton: &Automaton, pointer: &str) -> Result<(), Error> {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return Ok(()) };
    match resolve(automaton, parent)? {
        Target::Untagged(state) if index(last).is_some() && automaton.tells_elements_apart(state) => {
            Err(refused("elements would move between places that the policy tells apart"))
        }
        _ => Ok(()),
    }
}

pub(super) fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::Refused, format!("this JSON Patch cannot be applied to encrypted fields: {message}"))
}

fn tokens(pointer: &str) -> Result<impl Iterator<Item = Result<Cow<'_, str>, Error>>, Error> {
    let rest = match pointer {
        "" => None,
        pointer => Some(pointer.strip_prefix('/').ok_or_else(malformed)?),
    };
    Ok(rest.into_iter().flat_map(|rest| rest.split('/')).map(unescape))
}

/// RFC 6901, section 4: first `~1` becomes `/`, then `~0` becomes `~`.
fn unescape(token: &str) -> Result<Cow<'_, str>, Error> {
    let mut rest = token;
    while let Some(at) = rest.find('~') {
        rest = &rest[at + 1..];
        if !rest.starts_with(['0', '1']) {
            return Err(malformed());
        }
    }
    Ok(if token.contains('~') { token.replace("~1", "/").replace("~0", "~").into() } else { token.into() })
}

fn malformed() -> Error {
    Error::new(ErrorKind::Malformed, "a JSON Pointer is not valid (RFC 6901)")
}

/// The index that a token stands for in an array. `-`, the place after the last element, is an index that no path
/// mentions. A leading zero or plus is not allowed, but a service may read past it, so it is a number here too.
fn index(token: &str) -> Option<u32> {
    let digits = token.strip_prefix('+').unwrap_or(token);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match token {
        "-" => Some(u32::MAX),
        _ if is_number => Some(digits.parse().unwrap_or(u32::MAX)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 6901, section 6, and what else a fragment may not hold (RFC 3986, section 3.5).
    #[test]
    fn a_pointer_is_written_as_the_fragment_of_a_uri() {
        for (name, expected) in [
            ("foo", "#/foo"),
            ("", "#/"),
            ("a/b", "#/a~1b"),
            ("c%d", "#/c%25d"),
            ("e^f", "#/e%5Ef"),
            ("g|h", "#/g%7Ch"),
            ("i\\j", "#/i%5Cj"),
            ("k\"l", "#/k%22l"),
            (" ", "#/%20"),
            ("m~n", "#/m~0n"),
            ("~1", "#/~01"),
            ("\u{e9}#[]<>`{}\n", "#/%C3%A9%23%5B%5D%3C%3E%60%7B%7D%0A"),
            ("-._!$&'()*+,;=:@?09AZaz", "#/-._!$&'()*+,;=:@?09AZaz"),
        ] {
            let mut pointer = "#".to_owned();
            push(&mut pointer, name);
            assert_eq!(pointer, expected);
        }
    }
}
