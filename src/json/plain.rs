//! Members of which nothing is to be known but that they are valid: most of most documents.

use super::name::RESERVED;
use super::watch::OPERATIONS;
use super::{number, special, string};
use crate::policy::{Automaton, Names};

/// Which members are passed over: those with a shorter name that is surely none of `names`, and a shorter value.
#[derive(Clone, Copy)]
pub(super) struct Plain {
    names: Names,
    shortest_name: usize,
    shortest_value: usize,
}

/// Before what the passing over stopped.
pub(super) enum Stop {
    /// The text of a name that ends at this place, and is no plain one.
    Name(usize),
    /// The text of a name with escapes, or characters beyond ASCII, in it, or which this chunk ends in.
    RareName,
    /// What stands behind a plain name, and is no colon.
    Colon,
    /// A value behind a plain name.
    Value,
    /// What follows a value.
    End,
}

impl Plain {
    /// Of an object in which strings are looked at that are as long as `shortest_suspect`, and which may stand in the place
    /// of an operation of a JSON Patch.
    pub(super) fn among(automaton: &Automaton, shortest_suspect: usize, is_operation: bool) -> Self {
        let names = automaton.mentioned().with(b"op").with(b"path");
        let operations: &[&[u8]] = if is_operation { &OPERATIONS } else { &[] };
        let names = operations.iter().fold(names, |names, name| names.with(name));
        Self { names, shortest_name: shortest_suspect.min(RESERVED.len()), shortest_value: shortest_suspect }
    }

    /// Passes over members, written without white space, from the text of a name at `at` on. Returns where it stopped.
    #[expect(clippy::inline_always, reason = "measured: where the reading stands stays in registers")]
    #[inline(always)]
    pub(super) fn pass(self, input: &[u8], mut at: usize) -> (Stop, usize) {
        while let Some(window) = input.get(at..).and_then(|rest| rest.first_chunk::<32>()) {
            // One look at a name and mostly its value: where the next name stands is known sooner than by two.
            let special = special::all(window);
            let length = special.trailing_zeros() as usize;
            if length == window.len() {
                break;
            }
            if window[length % 32] != b'"' {
                return (Stop::RareName, at);
            }
            let quote = at + length;
            let name = &window[..length % 32];
            if length >= self.shortest_name || self.names.may_hold(name) {
                return (Stop::Name(quote), at);
            }
            if input.get(quote + 1) != Some(&b':') {
                return (Stop::Colon, quote + 1);
            }
            let value = quote + 2;
            let end = match input.get(value) {
                Some(b'"') => {
                    // Behind the end of the name and the beginning of the value.
                    let behind = without_lowest(without_lowest(special));
                    let end = if behind == 0 {
                        string::end_of_plain(input, (at + 32).max(value + 1))
                    } else {
                        let length = behind.trailing_zeros() as usize;
                        (window[length % 32] == b'"').then_some(at + length)
                    };
                    end.filter(|quote| quote - value <= self.shortest_value).map(|quote| quote + 1)
                }
                Some(b'1'..=b'9') => number::end_of_plain(input, value + 1),
                Some(b't' | b'n') if matches!(input.get(value..value + 4), Some(b"true" | b"null")) => Some(value + 4),
                Some(b'f') if input.get(value..value + 5) == Some(b"false") => Some(value + 5),
                _ => None,
            };
            let Some(end) = end else { return (Stop::Value, value) };
            if input.get(end..end + 2) != Some(b",\"") {
                return (Stop::End, end);
            }
            at = end + 2;
        }
        (Stop::at_name(input, at), at)
    }
}

impl Stop {
    /// Before the text of a name at `at`, which may be a plain one.
    #[expect(clippy::inline_always, reason = "as `Plain::pass`")]
    #[inline(always)]
    pub(super) fn at_name(input: &[u8], at: usize) -> Self {
        string::end_of_plain(input, at).map_or(Self::RareName, Self::Name)
    }
}

fn without_lowest(bits: u32) -> u32 {
    bits & bits.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Policy, Tag};

    /// Passes over the members of `object`, and returns before what that stopped, and where.
    fn stopped(object: &str, shortest_suspect: usize, is_operation: bool) -> (char, usize) {
        let policy = Policy::new("customers", [("phone", Tag::Phone)]).unwrap();
        let plain = Plain::among(policy.automaton(), shortest_suspect, is_operation);
        // So that a window reaches over every name.
        let input = format!("{object}{}", " ".repeat(32));
        let (stop, at) = plain.pass(input.as_bytes(), 2);
        let kind = match stop {
            Stop::Name(quote) => {
                assert_eq!(input.as_bytes()[quote], b'"');
                'n'
            }
            Stop::RareName => 'r',
            Stop::Colon => 'c',
            Stop::Value => 'v',
            Stop::End => 'e',
        };
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
            (r#""a":1,"b":"#, "[]}", 'v'),
            // Rare forms of numbers, and what is none, are for the reading.
            (r#""a":1,"b":"#, "0}", 'v'),
            (r#""a":1,"b":"#, "-1}", 'v'),
            (r#""a":1,"b":"#, "1e5}", 'v'),
            (r#""a":1,"b":"#, "1.5E5}", 'v'),
            (r#""a":1,"b":"#, "1.}", 'v'),
            (r#""a":1,"b":"#, "1.5.5}", 'v'),
            (r#""a":1,"b":"#, "trux}", 'v'),
            (r#""a":1,"b":1"#, "}", 'e'),
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
    fn what_is_as_long_as_a_suspect_is_left_to_be_looked_at() {
        for length in [19, 20, 21, 40] {
            let value = format!(r#"{{"a":"{}"}}"#, "v".repeat(length));
            assert_eq!(stopped(&value, 20, false).0, if length < 20 { 'e' } else { 'v' }, "{value}");
            let name = format!(r#"{{"{}":1}}"#, "n".repeat(length));
            assert_eq!(stopped(&name, 20, false).0, if length < 20 { 'e' } else { 'n' }, "{name}");
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
