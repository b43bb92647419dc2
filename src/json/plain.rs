//! Members and elements of which nothing is to be known but that they are valid: most of most documents.

use super::name::RESERVED;
use super::number;
use super::position::{Container, Expects, Kind};
use super::specials::Specials;
use super::visitor::Flow;
use super::watch::{OPERATIONS, Watch};
use crate::policy::{Automaton, Names, State};

/// Which members are passed over: those with a shorter name that is surely none of `names`, and a shorter value.
#[derive(Clone, Copy)]
pub(super) struct Plain<'a> {
    automaton: &'a Automaton,
    /// Where no operation of a JSON Patch may be named, and where one may be.
    names: [Names; 2],
    shortest_name: usize,
    shortest_value: usize,
    flow: Flow,
}

/// Before what the passing over stopped.
pub(super) enum Stop {
    /// The text of a name that ends at this place, and is no plain one.
    Name(usize),
    /// The text of a name with escapes, or characters beyond ASCII, in it, or which this chunk ends in.
    RareName,
    /// What is expected behind what was passed over, and is no plain one, or not there yet.
    Before(Expects),
}

impl<'a> Plain<'a> {
    /// In a document in which strings are looked at that are as long as `shortest_suspect`.
    pub(super) fn new(automaton: &'a Automaton, shortest_suspect: usize, flow: Flow) -> Self {
        let names = automaton.mentioned().with(b"op").with(b"path");
        let names = [names, OPERATIONS.iter().fold(names, |names, name| names.with(name))];
        let shortest_name = shortest_suspect.min(RESERVED.len());
        Self { automaton, names, shortest_name, shortest_value: shortest_suspect, flow }
    }

    /// Passes over members, written without white space, from the text of a name at `at` on, over the containers in them, and
    /// over what follows these unless they stand in what `is_tagged`. Returns where it stopped, and the state of the value that
    /// may come there.
    #[expect(clippy::inline_always, reason = "measured: where the reading stands stays in registers")]
    #[expect(clippy::too_many_lines, reason = "measured: one loop that is not left between containers")]
    #[inline(always)]
    pub(super) fn pass(
        &self,
        input: &[u8],
        mut at: usize,
        innermost: &mut Container,
        outer: &mut Vec<Container>,
        is_tagged: bool,
        specials: &mut Specials,
    ) -> (Stop, usize, State) {
        'containers: loop {
            let here;
            let mut end = if let Kind::Array(index) = innermost.kind {
                here = self.automaton.element(innermost.state, index);
                let is_object = input.get(at..at + 2) == Some(b"{\"");
                let is_operation = index == 0 && !is_tagged && self.flow == Flow::Inward;
                if is_object && self.enter_object(here, is_operation, innermost, outer) {
                    at += 2;
                    continue 'containers;
                }
                let end = if here.is_looked_at() { None } else { self.end_of_element(index, input, at, specials) };
                let Some(end) = end else {
                    let expects = if index == 0 { Expects::ValueOrEnd } else { Expects::Value };
                    return (Stop::Before(expects), at, here);
                };
                end
            } else {
                here = self.automaton.other_member(innermost.state);
                if here.is_looked_at() {
                    return (Stop::at_name(input, at, specials), at, here);
                }
                let names = self.names[usize::from(innermost.marks.is_operation)];
                loop {
                    let Some(window) = input.get(at..).and_then(|rest| rest.first_chunk::<72>()) else {
                        return (Stop::at_name(input, at, specials), at, here);
                    };
                    // One look at a name and mostly its value: where the next name stands is known sooner than by two.
                    let special = specials.bits_from(input, at);
                    if special == 0 {
                        return (Stop::at_name(input, at, specials), at, here);
                    }
                    let length = special.trailing_zeros() as usize % 64;
                    let quote = at + length;
                    let [b'"', colon, byte, _] = four(window, length) else {
                        return (Stop::RareName, at, here);
                    };
                    let name = &window[..length];
                    if name.is_empty() || length >= self.shortest_name || names.may_hold(name) {
                        return (Stop::Name(quote), at, here);
                    }
                    if colon != b':' {
                        return (Stop::Before(Expects::Colon), quote + 1, here);
                    }
                    let value = quote + 2;
                    let end = if byte == b'"' {
                        // Behind the end of the name and the beginning of the value.
                        let behind = without_lowest(without_lowest(special));
                        if behind == 0 {
                            let quote = specials.next(input, value + 1);
                            let is_plain = input.get(quote) == Some(&b'"') && quote - value <= self.shortest_value;
                            is_plain.then_some(quote + 1)
                        } else {
                            let length = behind.trailing_zeros() as usize % 64;
                            let [closing, comma, next, _] = four(window, length);
                            let quote = at + length;
                            if closing != b'"' || quote - value > self.shortest_value {
                                return (Stop::Before(Expects::Value), value, here);
                            }
                            if [comma, next] != *b",\"" {
                                break quote + 1;
                            }
                            at = quote + 3;
                            continue;
                        }
                    } else if byte == b'{' && window[length + 3] == b'"' {
                        if self.enter_object(here, false, innermost, outer) {
                            at = value + 2;
                            continue 'containers;
                        }
                        None
                    } else if byte == b'[' {
                        if self.enter_array(here, innermost, outer) {
                            at = value + 1;
                            continue 'containers;
                        }
                        None
                    } else {
                        end_of_plain(input, value, byte)
                    };
                    let Some(end) = end else { return (Stop::Before(Expects::Value), value, here) };
                    if input.get(end..end + 2) != Some(b",\"") {
                        break end;
                    }
                    at = end + 2;
                }
            };
            if is_tagged {
                return (Stop::Before(Expects::CommaOrEnd), end, here);
            }
            while !innermost.has_parts
                && matches!((input.get(end), innermost.kind), (Some(b'}'), Kind::Object) | (Some(b']'), Kind::Array(_)))
                && let Some(around) = outer.pop()
            {
                *innermost = around;
                end += 1;
            }
            match &mut innermost.kind {
                Kind::Object if input.get(end..end + 2) == Some(b",\"") => at = end + 2,
                Kind::Array(index) if input.get(end) == Some(&b',') => {
                    *index = index.saturating_add(1);
                    at = end + 1;
                }
                _ => return (Stop::Before(Expects::CommaOrEnd), end, here),
            }
        }
    }

    /// Returns where the element ends that begins at `at`, with this index, if it is a plain one.
    #[expect(clippy::inline_always, reason = "as `pass`")]
    #[inline(always)]
    fn end_of_element(&self, index: u32, input: &[u8], at: usize, specials: &mut Specials) -> Option<usize> {
        let &byte = input.get(at)?;
        if byte != b'"' {
            return end_of_plain(input, at, byte);
        }
        let quote = specials.next(input, at + 1);
        let is_plain = input.get(quote) == Some(&b'"') && quote - at <= self.shortest_value;
        let is_wanted = is_plain && Watch::of_element(index).wants(&input[at + 1..quote]);
        (is_plain && !is_wanted).then_some(quote + 1)
    }

    /// Begins an object at `state`, unless more is to be known of it.
    #[inline]
    fn enter_object(
        &self,
        state: State,
        is_operation: bool,
        innermost: &mut Container,
        outer: &mut Vec<Container>,
    ) -> bool {
        let (deepest, _) = self.flow.deepest();
        if !state.is_plain_object() || outer.len() == deepest {
            return false;
        }
        outer.push(*innermost);
        *innermost = Container::new(Kind::Object, state);
        innermost.marks.is_operation = is_operation;
        true
    }

    /// Begins an array at `state`, unless it might be a record.
    #[inline]
    fn enter_array(&self, state: State, innermost: &mut Container, outer: &mut Vec<Container>) -> bool {
        let (deepest, _) = self.flow.deepest();
        if self.flow == Flow::Inward && self.automaton.is_object(state, false) || outer.len() == deepest {
            return false;
        }
        outer.push(*innermost);
        *innermost = Container::new(Kind::Array(0), state);
        true
    }
}

/// Returns where a number or a literal ends that begins at `at` with `first`, if it is of a plain form.
#[expect(clippy::inline_always, reason = "as `Plain::pass`")]
#[inline(always)]
fn end_of_plain(input: &[u8], at: usize, first: u8) -> Option<usize> {
    match first {
        b'1'..=b'9' => number::end_of_plain(input, at + 1),
        b't' | b'n' if matches!(input.get(at..at + 4), Some(b"true" | b"null")) => Some(at + 4),
        b'f' if input.get(at..at + 5) == Some(b"false") => Some(at + 5),
        _ => None,
    }
}

#[inline]
fn four(window: &[u8; 72], at: usize) -> [u8; 4] {
    [window[at], window[at + 1], window[at + 2], window[at + 3]]
}

impl Stop {
    /// Before the text of a name at `at`, which may be a plain one.
    #[expect(clippy::inline_always, reason = "as `Plain::pass`")]
    #[inline(always)]
    pub(super) fn at_name(input: &[u8], at: usize, specials: &mut Specials) -> Self {
        let end = specials.next(input, at);
        if input.get(end) == Some(&b'"') { Self::Name(end) } else { Self::RareName }
    }
}

fn without_lowest(bits: u64) -> u64 {
    bits & bits.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Policy, Tag};

    /// Passes over what stands in `object`, and returns before what that stopped, where, and in how many containers.
    fn stopped_within(
        object: &str,
        shortest_suspect: usize,
        is_operation: bool,
        is_tagged: bool,
    ) -> (char, usize, usize) {
        let policy = Policy::new("customers", [("phone", Tag::Phone)]).unwrap();
        let automaton = policy.automaton();
        let plain = Plain::new(automaton, shortest_suspect, Flow::Inward);
        // So that a window reaches over every name.
        let input = format!("{object}{}", " ".repeat(72));
        let mut innermost = Container::new(Kind::Object, automaton.start());
        innermost.marks.is_operation = is_operation;
        let mut outer = vec![Container::new(Kind::Outside, State::DEAD)];
        let mut specials = Specials::new();
        let (stop, at, _) = plain.pass(input.as_bytes(), 2, &mut innermost, &mut outer, is_tagged, &mut specials);
        let kind = match stop {
            Stop::Name(quote) => {
                assert_eq!(input.as_bytes()[quote], b'"');
                'n'
            }
            Stop::RareName => 'r',
            Stop::Before(Expects::Colon) => 'c',
            Stop::Before(Expects::ValueOrEnd) => 'f',
            Stop::Before(Expects::Value) if innermost.kind == Kind::Object => 'v',
            Stop::Before(Expects::Value) => 'l',
            Stop::Before(expects) => {
                assert_eq!(expects, Expects::CommaOrEnd);
                'e'
            }
        };
        (kind, at, outer.len())
    }

    /// The same for `object` alone.
    fn stopped(object: &str, shortest_suspect: usize, is_operation: bool) -> (char, usize) {
        let (kind, at, _) = stopped_within(object, shortest_suspect, is_operation, false);
        (kind, at)
    }

    #[test]
    fn members_are_passed_over_up_to_one_that_is_not_plain() {
        for (passed, rest, kind) in [
            (r#""a":1,"b":"","#, r#""phone":1}"#, 'n'),
            (r#""a":1.50,"b":"x","#, r#""op":"add"}"#, 'n'),
            (r#""a":true,"#, r#""path":"/a"}"#, 'n'),
            (r#""a":null,"#, r#""$serde_json::private::RawValue":1}"#, 'n'),
            (r#""a":false,"#, r#""ph\u006fne":1}"#, 'r'),
            (r#""a":10,"#, r#""é":1}"#, 'r'),
            (r#""a":10,"#, "\"\u{1}\":1}", 'r'),
            (r#""a":1,"b""#, " :1}", 'c'),
            (r#""a":1,"b":"#, " 1}", 'v'),
            (r#""a":1,"b":"#, r#""x\n","c":1}"#, 'v'),
            (r#""a":1,"b":"#, r#""é","c":1}"#, 'v'),
            (r#""a":1,"b":"#, "\"\u{1}\"}", 'v'),
            (r#""a":1,"b":"#, "{}}", 'v'),
            (r#""a":1,"b":["#, "]}", 'f'),
            // Rare forms of numbers, and what is none, are for the reading.
            (r#""a":1,"b":"#, "0}", 'v'),
            (r#""a":1,"b":"#, "-1}", 'v'),
            (r#""a":1,"b":"#, "1e5}", 'v'),
            (r#""a":1,"b":"#, "1.5E5}", 'v'),
            (r#""a":1,"b":"#, "1.}", 'v'),
            (r#""a":1,"b":"#, "1.5.5}", 'v'),
            (r#""a":1,"b":"#, "trux}", 'v'),
            (r#""a":1,"#, r#""":1}"#, 'n'),
            (r#""a":1,"b":1}"#, " ", 'e'),
            (r#""a":1,"b":"x""#, " }", 'e'),
            (r#""a":1,"b":true"#, "x}", 'e'),
            (r#""a":1,"b":1"#, r#", "c":1}"#, 'e'),
        ] {
            // Within a window, at its end, and beyond.
            for length in [1, 5, 8, 9, 10, 11, 20, 40, 100] {
                let first = format!(r#"{{"{}":"{}",{passed}"#, "n".repeat(length.min(20)), "v".repeat(length));
                let text = usize::from(matches!(kind, 'n' | 'r'));
                let all = format!("{first}{rest}");
                assert_eq!(stopped(&all, usize::MAX, false), (kind, first.len() + text), "{all}");
            }
        }
    }

    #[test]
    fn containers_are_passed_over_up_to_what_is_not_plain() {
        for (passed, rest, kind, depth) in [
            (r#"{"a":{"b":{"c":1},"d":[{"e":1},{"f":[1,"x",true]}]},"g":1}"#, "", 'e', 0),
            (r#"{"a":{"b":{"c":1},""#, r#"phone":1}}"#, 'n', 2),
            (r#"{"a":[{"b":1},{""#, r#"phone":1}]}"#, 'n', 3),
            (r#"{"a":[{"b":1}]}"#, "}", 'e', 0),
            (r#"{"a":{"b":1}"#, "]", 'e', 1),
            (r#"{"a":[1"#, "}", 'e', 2),
            (r#"{"a":[1],""#, "b", 'r', 1),
            (r#"{"a":["#, "]}", 'f', 2),
            (r#"{"a":["#, "[1]]}", 'f', 2),
            (r#"{"a":["#, "{}]}", 'f', 2),
            (r#"{"a":[1,"#, "]}", 'l', 2),
            (r#"{"a":[1,"#, "[1]]}", 'l', 2),
            (r#"{"a":[1,"#, r#" "b"]}"#, 'l', 2),
            (r#"{"a":[1,2,"#, r#""\n"]}"#, 'l', 2),
            (r#"{"a":[1,2,"#, "01]}", 'l', 2),
            // An operation of a JSON Patch, as an array has it, or as its first element.
            (r#"{"a":["#, r#""add","/a"]}"#, 'f', 2),
            (r#"{"a":["x","#, r#""/a"]}"#, 'l', 2),
            (r#"{"a":["x","b","add","/a"]}"#, "", 'e', 0),
            (r#"{"a":[{""#, r#"add":1},"/a"]}"#, 'n', 3),
            (r#"{"a":[{"b":1},{"add":1}]}"#, "", 'e', 0),
        ] {
            let all = format!("{passed}{rest}");
            assert_eq!(stopped_within(&all, usize::MAX, false, false), (kind, passed.len(), depth), "{all}");
        }
    }

    #[test]
    fn no_container_ends_within_what_is_tagged() {
        let stopped = stopped_within(r#"{"a":{"b":[1]},"c":1}"#, usize::MAX, false, true);
        assert_eq!(stopped, ('e', r#"{"a":{"b":[1"#.len(), 3));
    }

    #[test]
    fn containers_are_passed_over_as_deep_as_they_may_be() {
        let (deepest, _) = Flow::Inward.deepest();
        // One stands around the first object.
        for depth in [deepest - 2, deepest - 1, deepest, deepest + 1] {
            for (beginning, closing) in [(r#""a":{"#, "}"), (r#""a":[{"#, "}]")] {
                let containers = depth / closing.len();
                let object = format!("{{{}\"b\":1{}}}", beginning.repeat(containers), closing.repeat(containers));
                let is_too_deep = containers * closing.len() > deepest - 1;
                let (kind, at, outer) = stopped_within(&object, usize::MAX, false, false);
                assert_eq!(kind == 'e', !is_too_deep, "{depth}");
                assert_eq!((at == object.len(), outer), (!is_too_deep, if is_too_deep { deepest } else { 0 }));
            }
        }
    }

    #[test]
    fn what_is_as_long_as_a_suspect_is_left_to_be_looked_at() {
        for length in [19, 20, 21, 40] {
            let value = format!(r#"{{"a":"{}"}}"#, "v".repeat(length));
            assert_eq!(stopped(&value, 20, false).0, if length < 20 { 'e' } else { 'v' }, "{value}");
            let name = format!(r#"{{"{}":1}}"#, "n".repeat(length));
            assert_eq!(stopped(&name, 20, false).0, if length < 20 { 'e' } else { 'n' }, "{name}");
            let element = format!(r#"{{"a":[1,"{}"]}}"#, "v".repeat(length));
            assert_eq!(stopped(&element, 20, false).0, if length < 20 { 'e' } else { 'l' }, "{element}");
        }
    }

    #[test]
    fn the_names_of_operations_are_left_to_be_looked_at_where_one_may_stand() {
        for operation in ["add", "remove", "replace", "move", "copy", "test"] {
            let object = format!(r#"{{"{operation}":1}}"#);
            assert_eq!(stopped(&object, usize::MAX, true).0, 'n', "{object}");
        }
    }
}
