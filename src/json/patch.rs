//! JSON Patch (RFC 6902): each operation is held against the policy.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::pointer::{self, Target, check_records, check_shift, refused};
use super::trail::Trail;
use super::transformer::Transformer;
use super::visitor::{Cut, Flow, Sibling, Visitor};
use crate::error::{Error, ErrorKind};
use crate::policy::{Automaton, FieldIndex, Policy, State};

/// Limits of a patch, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Longest {
    /// Of the JSON text of a tagged value.
    pub(crate) value: usize,
    /// Of what the patch becomes.
    pub(crate) out: usize,
}

const UNLIMITED: Longest = Longest { value: usize::MAX, out: usize::MAX };

impl Longest {
    fn check_out(self, out: &[u8]) -> Result<(), Error> {
        if out.len() > self.out {
            let message = format!("a JSON Patch becomes longer than {} bytes when it is encrypted", self.out);
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    from: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
}

/// Tells `null` from a member that is not there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Rewrites the tagged values of the JSON Patch `body` and appends it to `out`.
///
/// What would carry plaintext past the policy, or change a part of what is encrypted whole, is refused.
///
/// # Errors
///
/// [`ErrorKind::Malformed`], [`ErrorKind::Refused`], and what the visitor returns.
pub(crate) fn transform_patch(
    policy: &Policy,
    visitor: &mut impl Visitor,
    body: &[u8],
    longest: Longest,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let automaton = policy.automaton();
    // The grammar, UTF-8 and depth are checked by our own parser, whatever serde_json lets pass.
    let look = |visitor: &mut Looked<'_, _>| {
        rewrite(automaton, State::DEAD, None, visitor, body, UNLIMITED, &mut Zeroizing::new(Vec::new()))
    };
    look(&mut Looked(None))?;
    let operations: Vec<&RawValue> = serde_json::from_slice(body).map_err(|_| malformed())?;
    let mut done = 0;
    for operation in operations {
        // An array would be read as the members in their order.
        let text = operation.get();
        let operation = text.starts_with('{').then(|| serde_json::from_str(text)).ok_or_else(malformed)?;
        let operation: Operation<'_> = operation.map_err(|_| malformed())?;
        let pointers = [Some(&operation.path), operation.from.as_ref()];
        for name in pointers.into_iter().flatten().flat_map(|pointer| pointer.split('/')) {
            visitor.untagged(name.as_bytes(), None)?;
        }
        let trail = Trail::of(policy);
        let adds = !matches!(&*operation.op, "remove" | "test");
        let mut trail = trail.map(|trail| pointer::follow(trail, &operation.path, adds, visitor)).transpose()?;
        let checked = check(automaton, &operation, &mut trail, visitor)?;
        let end = text.as_ptr().addr() - body.as_ptr().addr() + text.len();
        let follows = check_sibling(automaton, visitor, &operation)?;
        visitor.begin_target(pointer::place(automaton, &operation.path)?);
        if let Some(member) = visitor.record_member().filter(|_| operation.op != "test") {
            let from = operation.from.as_ref().filter(|_| operation.op == "move");
            for pointer in [Some(&operation.path), from].into_iter().flatten() {
                pointer::check_id(automaton, pointer, member)?;
            }
        }
        let Some((target, value)) = checked else {
            if let (Target::Field(field), "remove") = (pointer::resolve(automaton, &operation.path)?, &*operation.op) {
                // As much as to put nothing there, which the field may not allow.
                visitor.value(field, b"null", &mut Vec::new())?;
            }
            if let Some(beside) = follows.filter(|_| operation.op == "remove") {
                out.extend_from_slice(&body[done..end]);
                beside.write(b"null", out);
                done = end;
            }
            continue;
        };
        let value = value.get().as_bytes();
        let start = value.as_ptr().addr() - body.as_ptr().addr();
        out.extend_from_slice(&body[done..start]);
        match target {
            Target::Field(field) => {
                let token = out.len();
                visitor.value(field, value, out)?;
                if let Some(beside) = follows {
                    // A token has no comma in it, and a name no quote.
                    let token_end = token + out[token..].iter().position(|&byte| byte == b',').ok_or_else(malformed)?;
                    let sibling = out.split_off(token_end);
                    out.extend_from_slice(&body[start + value.len()..end]);
                    beside.write(sibling.get(beside.member..).unwrap_or_default(), out);
                    longest.check_out(out)?;
                    done = end;
                    continue;
                }
            }
            Target::Untagged(state) => rewrite(automaton, state, trail, visitor, value, longest, out)?,
            Target::Within => return Err(within()),
        }
        longest.check_out(out)?;
        done = start + value.len();
    }
    // Last, so that a token at a tagged place was told with its field.
    look(&mut Looked(Some(visitor)))?;
    out.extend_from_slice(&body[done..]);
    visitor.end_document()
}

/// Checks one operation, and returns where its value goes and the value, where it has one that is stored: what is only
/// compared takes the trail along which it is looked at.
fn check<'a>(
    automaton: &Automaton,
    operation: &Operation<'a>,
    trail: &mut Option<Trail>,
    visitor: &impl Visitor,
) -> Result<Option<(Target, &'a RawValue)>, Error> {
    let Operation { op, path, from, value } = operation;
    let target = pointer::resolve(automaton, path)?;
    if target == Target::Within {
        return Err(within());
    }
    if op != "replace" && op != "test" {
        check_shift(automaton, path)?;
    }
    match (&**op, from, *value) {
        // A member that an operation does not use would carry its content inward all the same.
        ("add" | "replace", None, Some(value)) => return Ok(Some((target, value))),
        ("test", None, Some(value)) => check_test(automaton, target, trail.take(), visitor, value)?,
        ("remove", None, None) => {}
        (op @ ("move" | "copy"), Some(from), None) => {
            if op == "move" {
                check_shift(automaton, from)?;
            }
            // The same field, or places below which the policy says the same. Anything else would leave a token where
            // it does not open, or plaintext where tokens belong.
            if pointer::resolve(automaton, from)? != target {
                return Err(refused("`move` and `copy` need the same protection at both ends"));
            }
            check_records(automaton, from, path, target)?;
        }
        _ => return Err(malformed()),
    }
    Ok(None)
}

/// Where the member stands that is made from the value at an operation's target.
struct Beside {
    pointer: String,
    /// The length of the comma, the name and the colon before its value.
    member: usize,
}

impl Beside {
    /// Appends an operation that puts `value` there, whatever stood there before.
    fn write(&self, value: &[u8], out: &mut Vec<u8>) {
        let path = serde_json::Value::from(&*self.pointer);
        out.extend_from_slice(format!(",{{\"op\":\"add\",\"path\":{path},\"value\":").as_bytes());
        out.extend_from_slice(value);
        out.push(b'}');
    }
}

/// Returns where the member stands that is made from the value at the target, where there is one, and refuses what
/// would part the two.
fn check_sibling(
    automaton: &Automaton,
    visitor: &impl Visitor,
    operation: &Operation<'_>,
) -> Result<Option<Beside>, Error> {
    let mut beside = None;
    for pointer in [Some(&operation.path), operation.from.as_ref()].into_iter().flatten() {
        let Target::Field(field) = pointer::resolve(automaton, pointer)? else { continue };
        match (visitor.sibling(field), &*operation.op) {
            (Sibling::Nothing, _) => {}
            (Sibling::Follows(name), "add" | "replace" | "remove") => {
                let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                let token = name.replace('~', "~0").replace('/', "~1");
                beside = Some(Beside { pointer: format!("{parent}/{token}"), member: name.len() + 4 });
            }
            (Sibling::Follows(_), _) => return Err(refused("a value with a blind index is written anew, not moved")),
            (Sibling::Joined, _) => {
                return Err(refused("a part of an index of several fields is written with the object that holds them"));
            }
            (Sibling::IsOne, _) => return Err(refused("a blind index is made from its field, and cannot be sent")),
        }
    }
    Ok(beside)
}

/// A stored token never equals a value, so the test would fail on every customer; and what it compares would pass
/// inward unencrypted.
fn check_test(
    automaton: &Automaton,
    target: Target,
    trail: Option<Trail>,
    visitor: &impl Visitor,
    value: &RawValue,
) -> Result<(), Error> {
    match target {
        Target::Untagged(state) => {
            let (value, mut unused) = (value.get().as_bytes(), Zeroizing::new(Vec::new()));
            rewrite(automaton, state, trail, &mut Untouched(visitor), value, UNLIMITED, &mut unused)
        }
        Target::Field(_) | Target::Within => Err(untestable()),
    }
}

/// Rewrites a value that stands at `root`.
fn rewrite(
    automaton: &Automaton,
    root: State,
    trail: Option<Trail>,
    visitor: &mut impl Visitor,
    value: &[u8],
    longest: Longest,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut transformer = Transformer::at(root, Flow::Inward, longest.value).with_trail(trail);
    transformer.feed(automaton, visitor, value, out, longest.out)?;
    longest.check_out(out)?;
    transformer.finish(visitor, out)?;
    transformer.flush_trail(visitor)
}

/// Looks at strings as another visitor does, or at none: for a document in which nothing is tagged.
struct Looked<'v, V>(Option<&'v V>);

impl<V: Visitor> Visitor for Looked<'_, V> {
    fn value(&mut self, _: FieldIndex, _: &[u8], _: &mut Vec<u8>) -> Result<(), Error> {
        Err(malformed())
    }

    fn too_long(&self, _: FieldIndex) -> Error {
        malformed()
    }

    fn shortest_untagged(&self) -> Option<usize> {
        self.0.and_then(V::shortest_untagged)
    }

    fn untagged(&self, text: &[u8], known: Option<usize>) -> Result<usize, Error> {
        self.0.map_or(Ok(text.len()), |visitor| visitor.untagged(text, known))
    }
}

/// Refuses every tagged value, and looks for personal data as another visitor does.
struct Untouched<'v, V>(&'v V);

impl<V: Visitor> Visitor for Untouched<'_, V> {
    fn value(&mut self, _: FieldIndex, _: &[u8], _: &mut Vec<u8>) -> Result<(), Error> {
        Err(untestable())
    }

    fn too_long(&self, _: FieldIndex) -> Error {
        untestable()
    }

    fn shortest_untagged(&self) -> Option<usize> {
        self.0.shortest_untagged()
    }

    fn looks_personal(&self, text: &[u8], cut: Cut) -> Option<&'static str> {
        self.0.looks_personal(text, cut)
    }

    fn found_personal(&self, what: &'static str, path: &str, count: u64) -> Result<(), Error> {
        self.0.found_personal(what, path, count)
    }
}

fn untestable() -> Error {
    refused("`test` cannot compare a tagged value")
}

fn within() -> Error {
    refused("a part of a value that is encrypted whole cannot be changed")
}

fn malformed() -> Error {
    let message =
        "not a valid JSON Patch (RFC 6902): an array of objects, each with the members of its operation and no other";
    Error::new(ErrorKind::Malformed, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::visitor::tests::Stub;
    use crate::policy::{Field, Tag};

    fn rewritten(tagged: &str, patch: &str, longest: usize) -> Result<String, Error> {
        let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone).path(tagged)).build().unwrap();
        let (longest, mut out) = (Longest { value: usize::MAX, out: longest }, Vec::new());
        transform_patch(&policy, &mut Stub::default(), patch.as_bytes(), longest, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn refused(tagged: &str, patch: &str) -> bool {
        rewritten(tagged, patch, usize::MAX).is_err_and(|error| error.kind() == ErrorKind::Refused)
    }

    #[test]
    fn a_patch_becomes_as_long_as_it_may_and_no_longer() {
        for patch in [
            r#"[{"op":"add","path":"/phone","value":1}]"#,
            r#"[{"op":"add","path":"/a","value":{"phone":1}}]"#,
            r#"[{"op":"add","path":"/a","value":[{"phone":1},{"phone":2,"b":[]}]}]"#,
            r#"[{"op":"add","path":"/a","value":1},{"op":"add","path":"/phone","value":2}]"#,
        ] {
            let whole = rewritten("$..phone", patch, usize::MAX).unwrap();
            // What follows the last value is as long as it was sent.
            let rest = patch.len() - patch.rfind('}').unwrap();
            let value_end = whole.len() - rest;
            for longest in 0..=value_end {
                match rewritten("$..phone", patch, longest) {
                    Ok(out) => assert!(longest == value_end && out == whole, "{patch} in {longest}"),
                    Err(error) => {
                        assert!(longest < value_end, "{patch} in {longest}");
                        assert_eq!(error.kind(), ErrorKind::TooLarge, "{patch} in {longest}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_token_is_refused_wherever_it_stands_in_a_patch() {
        for patch in [
            r#"[{"op":"add","path":"/a","value":"TOKEN"}]"#,
            r#"[{"op":"add","path":"/a","value":[{"TOKEN":1}]}]"#,
            r#"[{"op":"test","path":"/a","value":"TOKEN"}]"#,
            r#"[{"op":"test","path":"/a","value":{"b":["TOKEN"]}}]"#,
            r#"[{"op":"remove","path":"/TOKEN"}]"#,
            r#"[{"op":"copy","from":"/TOKEN","path":"/a"}]"#,
        ] {
            assert!(refused("$.phone", &patch.replace("TOKEN", "fs1.AQ")), "{patch}");
            assert_eq!(rewritten("$.phone", patch, usize::MAX).unwrap(), patch);
        }
    }

    #[test]
    fn elements_are_moved_out_of_no_list_whose_places_differ_and_may_be_copied() {
        let (from, elsewhere) = (r#""from":"/b/0","path":"/c""#, r#""from":"/d/0","path":"/c""#);
        for tagged in ["$.b[1].phone", "$.b[1]"] {
            assert!(refused(tagged, &format!(r#"[{{"op":"move",{from}}}]"#)), "{tagged}");
            for good in [
                format!(r#"[{{"op":"copy",{from}}}]"#),
                format!(r#"[{{"op":"copy",{elsewhere}}}]"#),
                format!(r#"[{{"op":"move",{elsewhere}}}]"#),
            ] {
                assert_eq!(rewritten(tagged, &good, usize::MAX).unwrap(), good, "{tagged}");
            }
        }
    }

    #[test]
    fn a_number_names_the_member_or_the_element_whichever_is_tagged() {
        for (tagged, pointer) in [
            ("$['2019'].phone", "/2019/phone"),
            ("$.years['2019']", "/years/2019"),
            ("$.years[2019]", "/years/2019"),
            ("$[1].phone", "/1/phone"),
            ("$.*.phone", "/1/phone"),
        ] {
            let patch = format!(r#"[{{"op":"replace","path":"{pointer}","value":1}}]"#);
            let expected = format!(r#"[{{"op":"replace","path":"{pointer}","value":"T"}}]"#);
            assert_eq!(rewritten(tagged, &patch, usize::MAX).unwrap(), expected);
        }
    }
}
