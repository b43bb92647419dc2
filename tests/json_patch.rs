//! Proves that a patch that is let through does to the stored document what it would have done to the plain one, and
//! that no other part of a patch carries plaintext inward.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::similar_names, reason = "a patch has paths")]

use std::cell::Cell;

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

const PLAINTEXT: &str = "+65 9123 4567";

/// Paths of one policy, each a field of its own.
const POLICIES: &[&[&str]] = &[
    &["$..a"],
    &["$.a"],
    &["$.a.b"],
    &["$.b[*].a", "$.c"],
    &["$.b[0]"],
    &["$.b[1].a", "$.a"],
    &["$.*.a"],
    &["$..b.c", "$.a"],
    &["$..[0]"],
    &["$.b.*"],
    &["$.b[*]", "$.a..c"],
    &["$[1].a", "$[0]..b"],
];

fn cipher_of(paths: &[&str]) -> FieldCipher {
    let policy = paths.iter().enumerate().fold(Policy::builder("documents"), |policy, (number, path)| {
        policy.field(Field::new(format!("field {number}"), Tag::Text).path(*path))
    });
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[7; 32])));
    FieldCipher::new(policy.build().unwrap(), keys)
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        (0..5u8).prop_map(|number| json!(number)),
        select(&["", "x", "y/z", "~1"][..]).prop_map(|text| json!(text)),
    ];
    let name = select(&["a", "b", "c", "a/b", "~"][..]);
    leaf.prop_recursive(3, 16, 3, move |value| {
        prop_oneof![
            2 => vec(value.clone(), 0..4).prop_map(Value::Array),
            3 => vec((name.clone(), value), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())),
        ]
    })
}

/// A place: one that the document has, one below or beside it, or any.
#[derive(Clone, Debug)]
enum Spot {
    There(Index),
    Below(Index, &'static str),
    Any(Vec<&'static str>),
}

fn spot() -> impl Strategy<Value = Spot> {
    let token = || select(&["a", "b", "c", "0", "1", "2", "-", "a~1b", "~0"][..]);
    prop_oneof![
        4 => any::<Index>().prop_map(Spot::There),
        4 => (any::<Index>(), token()).prop_map(|(at, token)| Spot::Below(at, token)),
        1 => vec(token(), 0..4).prop_map(Spot::Any),
    ]
}

fn escaped(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

fn pointers(value: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    match value {
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, element)| pointers(element, &format!("{here}/{index}"), all));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| pointers(member, &format!("{here}/{}", escaped(name)), all));
        }
        _ => {}
    }
}

fn pointer(spot: &Spot, document: &Value) -> String {
    let mut all = Vec::new();
    pointers(document, "", &mut all);
    match spot {
        Spot::There(at) => at.get(&all).clone(),
        Spot::Below(at, token) => format!("{}/{token}", at.get(&all)),
        Spot::Any(tokens) => tokens.iter().flat_map(|token| ["/", token]).collect(),
    }
}

fn tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect()
}

/// The index that RFC 6901, section 4, lets a token stand for, where `length` is the first that is too large.
fn index(token: &str, length: usize) -> Option<usize> {
    let is_canonical = token == "0"
        || (!token.starts_with('0') && !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()));
    token.parse().ok().filter(|&index| is_canonical && index < length)
}

fn at<'v>(document: &'v mut Value, tokens: &[String]) -> Option<&'v mut Value> {
    tokens.iter().try_fold(document, |value, token| match value {
        Value::Array(elements) => index(token, elements.len()).map(|index| &mut elements[index]),
        Value::Object(members) => members.get_mut(token),
        _ => None,
    })
}

/// Whether a token that can be an index names a member: to a pointer alone, that is the same.
fn is_ambiguous(document: &mut Value, pointer: &str) -> bool {
    let tokens = tokens(pointer);
    (0..tokens.len()).any(|at_token| {
        let can_be_index = tokens[at_token] == "-" || tokens[at_token].bytes().all(|byte| byte.is_ascii_digit());
        can_be_index && at(document, &tokens[..at_token]).is_some_and(|parent| parent.is_object())
    })
}

fn add(document: &mut Value, pointer: &[String], value: Value) -> Option<()> {
    let Some((last, parent)) = pointer.split_last() else {
        *document = value;
        return Some(());
    };
    match at(document, parent)? {
        Value::Array(elements) => {
            let place = if last == "-" { elements.len() } else { index(last, elements.len() + 1)? };
            elements.insert(place, value);
        }
        Value::Object(members) => drop(members.insert(last.clone(), value)),
        _ => return None,
    }
    Some(())
}

fn remove(document: &mut Value, pointer: &[String]) -> Option<Value> {
    let (last, parent) = pointer.split_last()?;
    match at(document, parent)? {
        Value::Array(elements) => index(last, elements.len()).map(|index| elements.remove(index)),
        Value::Object(members) => members.remove(last),
        _ => None,
    }
}

/// RFC 6902, section 4. Nothing where an operation fails.
fn apply(mut document: Value, patch: &Value) -> Option<Value> {
    for operation in patch.as_array()? {
        let path = tokens(operation["path"].as_str()?);
        let from = || operation["from"].as_str().map(tokens);
        let value = || operation.get("value").cloned();
        match operation["op"].as_str()? {
            "add" => add(&mut document, &path, value()?)?,
            "remove" => drop(remove(&mut document, &path)?),
            "replace" => *at(&mut document, &path)? = value()?,
            "move" => {
                let from = from()?;
                if path.starts_with(&from) && path != from {
                    return None;
                }
                if path == from {
                    at(&mut document, &path)?;
                } else {
                    let value = remove(&mut document, &from)?;
                    add(&mut document, &path, value)?;
                }
            }
            "copy" => {
                let value = at(&mut document, &from()?)?.clone();
                add(&mut document, &path, value)?;
            }
            "test" => (*at(&mut document, &path)? == value()?).then_some(())?,
            _ => return None,
        }
    }
    Some(document)
}

/// RFC 7396, section 2.
fn merge(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut members = if let Value::Object(members) = target { members } else { Map::new() };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            let target = members.remove(name).unwrap_or(Value::Null);
            members.insert(name.clone(), merge(target, value));
        }
    }
    Value::Object(members)
}

/// Nothing where the document is refused, as one with an array is where the policy knows the members of an object.
fn encrypted(cipher: &FieldCipher, document: &Value) -> Option<Value> {
    match cipher.encrypt_json(document.to_string().as_bytes()) {
        Ok(stored) => Some(serde_json::from_slice(&stored).unwrap()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            None
        }
    }
}

fn decrypted(cipher: &FieldCipher, document: &Value) -> Value {
    let opened = cipher.decrypt_json(document.to_string().as_bytes());
    let opened = opened.unwrap_or_else(|error| panic!("what is stored then does not open: {error}: {document}"));
    serde_json::from_slice(&opened).unwrap()
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 5000,
        ..ProptestConfig::with_cases(cases)
    })
}

#[test]
fn a_json_patch_does_to_what_is_stored_what_it_does_to_the_plain_document() {
    let ciphers: Vec<_> = POLICIES.iter().map(|paths| cipher_of(paths)).collect();
    let operation =
        (select(&["add", "add", "replace", "remove", "move", "copy", "test"][..]), spot(), spot(), document());
    let inputs = (0..POLICIES.len(), document(), vec(operation, 1..4));
    let (applied, refused) = (Cell::new(0), Cell::new(0));
    let result = runner(8000).run(&inputs, |(policy, document, operations)| {
        let cipher = &ciphers[policy];
        let mut moving = document.clone();
        let mut patch = Vec::new();
        for (op, path, from, value) in &operations {
            let (path, from) = (pointer(path, &moving), pointer(from, &moving));
            if is_ambiguous(&mut moving, &path) || is_ambiguous(&mut moving, &from) {
                continue;
            }
            let operation = match *op {
                "remove" => json!({"op": op, "path": path}),
                "move" | "copy" => json!({"op": op, "from": from, "path": path}),
                "test" => json!({"op": op, "path": path, "value": moving.pointer(&path).unwrap_or(value)}),
                op => json!({"op": op, "path": path, "value": value}),
            };
            if let Some(next) = apply(moving.clone(), &json!([operation])) {
                moving = next;
                patch.push(operation);
            }
        }
        let patch = Value::Array(patch);
        assert_eq!(apply(document.clone(), &patch), Some(moving.clone()));
        let Some(stored) = encrypted(cipher, &document) else { return Ok(()) };
        let stored_patch = match cipher.encrypt_json_patch(patch.to_string().as_bytes()) {
            Ok(patch) => patch,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
                refused.set(refused.get() + 1);
                return Ok(());
            }
        };
        let stored_patch = serde_json::from_slice(&stored_patch).unwrap();
        let stored = apply(stored, &stored_patch);
        let stored = stored.unwrap_or_else(|| panic!("the patch does not apply to what is stored: {patch}"));
        assert_eq!(decrypted(cipher, &stored), moving, "{:?}", POLICIES[policy]);
        applied.set(applied.get() + usize::from(patch != json!([])));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(applied.get() > 2300 && refused.get() > 300, "{} applied, {} refused", applied.get(), refused.get());
}

#[test]
fn a_merge_patch_does_to_what_is_stored_what_it_does_to_the_plain_document() {
    let ciphers: Vec<_> = POLICIES.iter().map(|paths| cipher_of(paths)).collect();
    let (applied, refused) = (Cell::new(0), Cell::new(0));
    let result = runner(5000).run(&(0..POLICIES.len(), document(), document()), |(policy, document, patch)| {
        let cipher = &ciphers[policy];
        let Some(stored) = encrypted(cipher, &document) else { return Ok(()) };
        match cipher.encrypt_merge_patch(patch.to_string().as_bytes()) {
            Ok(stored_patch) => {
                let stored = merge(stored, &serde_json::from_slice(&stored_patch).unwrap());
                assert_eq!(decrypted(cipher, &stored), merge(document, &patch), "{:?} {patch}", POLICIES[policy]);
                applied.set(applied.get() + 1);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
                refused.set(refused.get() + 1);
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(applied.get() > 2000 && refused.get() > 100, "{} applied, {} refused", applied.get(), refused.get());
}

#[test]
fn in_a_merge_patch_a_null_within_an_array_is_a_value() {
    let policy = Policy::builder("documents").field(Field::new("list", Tag::Text).path("$.list[*]").encrypt_null());
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[7; 32])));
    let cipher = FieldCipher::new(policy.build().unwrap(), keys);
    let stored = cipher.encrypt_merge_patch(br#"{"list":[null,1]}"#).unwrap();
    let stored: Value = serde_json::from_slice(&stored).unwrap();
    assert!(stored["list"][1].is_string());
    assert!(stored["list"][0].is_string(), "the field encrypts null, and RFC 7396 removes only members: {stored}");
}

/// A pointer does not tell an element from a member, so a token may come to stand where it is not opened; plaintext
/// never comes to stand where tokens belong.
#[test]
fn a_number_in_a_pointer_is_taken_for_what_is_tagged() {
    for paths in [&["$['0']"][..], &["$[0]"], &["$.list['0']"], &["$.list[0]"], &["$..['0']"]] {
        let cipher = cipher_of(paths);
        let path = if paths[0].contains("list") { "/list/0" } else { "/0" };
        let patch = format!("[{{\"op\":\"add\",\"path\":\"{path}\",\"value\":\"{PLAINTEXT}\"}}]");
        match cipher.encrypt_json_patch(patch.as_bytes()) {
            Ok(stored) => assert!(!str::from_utf8(&stored).unwrap().contains(PLAINTEXT), "{paths:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Refused, "{paths:?}"),
        }
    }
    let cipher = cipher_of(&["$['0']", "$[0]"]);
    let patch = format!("[{{\"op\":\"replace\",\"path\":\"/0\",\"value\":\"{PLAINTEXT}\"}}]");
    assert_eq!(cipher.encrypt_json_patch(patch.as_bytes()).unwrap_err().kind(), ErrorKind::Refused);
}

#[test]
fn a_pointer_in_another_spelling_is_the_same_place_or_refused() {
    let cipher = cipher_of(&["$.phone", "$['a/b~']", "$.list[1]", "$['1']", "$..deep"]);
    for path in [
        "/phone",
        "/\\u0070hone",
        "\\u002fphone",
        "/a~1b~0",
        "/a~1b\\u007e0",
        // Not allowed, and read all the same by a parser of numbers.
        "/list/01",
        "/list/+1",
        "/list/00000000000000000001",
        "/list/1",
        "/1",
        "/deep",
        "/x/0/deep",
        "/list/-/deep",
    ] {
        for op in ["add", "replace", "\\u0061dd"] {
            let patch = format!("[{{\"op\":\"{op}\",\"path\":\"{path}\",\"value\":\"{PLAINTEXT}\"}}]");
            match cipher.encrypt_json_patch(patch.as_bytes()) {
                Ok(stored) => assert!(!str::from_utf8(&stored).unwrap().contains(PLAINTEXT), "{patch}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Refused, "{patch}"),
            }
        }
    }
    for (path, kind) in [
        ("phone", ErrorKind::Malformed),
        ("#/phone", ErrorKind::Malformed),
        ("/a~b", ErrorKind::Malformed),
        ("/a~2", ErrorKind::Malformed),
        ("/phone~", ErrorKind::Malformed),
        ("/phone/", ErrorKind::Refused),
        ("/phone/0", ErrorKind::Refused),
        ("/list/1/x", ErrorKind::Refused),
    ] {
        let patch = format!("[{{\"op\":\"add\",\"path\":\"{path}\",\"value\":\"{PLAINTEXT}\"}}]");
        assert_eq!(cipher.encrypt_json_patch(patch.as_bytes()).unwrap_err().kind(), kind, "{path}");
    }
    // Not the element of the policy, to any reader of RFC 6901.
    for path in ["/list/1 ", "/list/\\u0661", "/list/4294967297", "/list/18446744073709551617", "/ phone", "/Phone"] {
        let patch = format!("[{{\"op\":\"replace\",\"path\":\"{path}\",\"value\":7}}]");
        assert_eq!(cipher.encrypt_json_patch(patch.as_bytes()).unwrap(), patch.as_bytes(), "{path}");
    }
}

#[test]
fn an_operation_that_is_not_one_object_with_one_of_each_member_is_malformed() {
    let cipher = cipher_of(&["$.phone"]);
    for patch in [
        "{}",
        "null",
        "[[]]",
        "[null]",
        "[7]",
        "[{}]",
        r#"{"op":"remove","path":"/x"}"#,
        r#"[{"op":"add","path":"/phone"}]"#,
        r#"[{"op":"add","value":1}]"#,
        r#"[{"path":"/x","value":1}]"#,
        r#"[{"op":"Add","path":"/x","value":1}]"#,
        r#"[{"op":"append","path":"/x","value":1}]"#,
        r#"[{"op":["add"],"path":"/x","value":1}]"#,
        r#"[{"op":"add","path":["x"],"value":1}]"#,
        r#"[{"op":"add","path":null,"value":1}]"#,
        r#"[{"op":"add","path":"/\ud800","value":1}]"#,
        r#"[{"op":"move","path":"/x"}]"#,
        r#"[{"op":"copy","path":"/x","from":7}]"#,
        r#"[{"op":"test","path":"/x"}]"#,
        r#"[{"op":"test","op":"add","path":"/phone","value":1}]"#,
        r#"[{"op":"add","path":"/x","path":"/phone","value":1}]"#,
        r#"[{"op":"add","path":"/x","p\u0061th":"/phone","value":1}]"#,
        r#"[{"op":"add","path":"/phone","value":1,"value":2}]"#,
        r#"[{"op":"add","path":"/phone","value":1}] []"#,
        r#"[{"op":"add","path":"/phone","value":1},]"#,
        "[{\"op\":\"add\",\"path\":\"/phone\",\"value\":\"\u{1}\"}]",
        // A derived struct takes an array of its members too, and another library has them in another order.
        r#"[["replace","/phone",null,"x"]]"#,
        r#"[["copy","/x","/phone",null]]"#,
        r#"[["move","/x","/y"]]"#,
        r#"[["add","/x","/phone",1]]"#,
    ] {
        let error = cipher.encrypt_json_patch(patch.as_bytes()).map(drop).expect_err(patch);
        assert_eq!(error.kind(), ErrorKind::Malformed, "{patch}");
    }
    for patch in ["[]", " [ ] ", r#"[ {"path" : "/phone" , "op":"remove"} ]"#] {
        assert_eq!(cipher.encrypt_json_patch(patch.as_bytes()).unwrap(), patch.as_bytes());
    }
}

#[test]
fn what_an_operation_does_not_use_carries_no_plaintext() {
    let cipher = cipher_of(&["$.phone", "$.home.address"]);
    for patch in [
        format!(r#"[{{"op":"remove","path":"/phone","value":"{PLAINTEXT}"}}]"#),
        format!(r#"[{{"op":"copy","from":"/phone","path":"/phone","value":"{PLAINTEXT}"}}]"#),
        format!(r#"[{{"op":"move","from":"/phone","path":"/phone","value":"{PLAINTEXT}"}}]"#),
        format!(r#"[{{"op":"replace","path":"/phone","from":"{PLAINTEXT}","value":1}}]"#),
        format!(r#"[{{"op":"remove","path":"/phone","old":"{PLAINTEXT}"}}]"#),
        format!(r#"[{{"op":"replace","path":"/phone","value":1,"oldValue":"{PLAINTEXT}"}}]"#),
        format!(r#"[{{"op":"remove","path":"/x","phone":"{PLAINTEXT}"}}]"#),
    ] {
        if let Ok(stored) = cipher.encrypt_json_patch(patch.as_bytes()) {
            assert!(!str::from_utf8(&stored).unwrap().contains(PLAINTEXT), "passed: {patch}");
        }
    }
}

#[test]
fn a_document_that_serde_json_reads_out_of_a_string_does_not_pass_in_a_patch() {
    let cipher = cipher_of(&["$..phone"]);
    let inner = format!("{{\\\"phone\\\":\\\"{PLAINTEXT}\\\"}}");
    let value = format!("{{\"$serde_json::private::RawValue\":\"{inner}\"}}");
    let patch = format!("[{{\"op\":\"add\",\"path\":\"/customer\",\"value\":{value}}}]");
    for result in [
        cipher.encrypt_json_patch(patch.as_bytes()),
        cipher.encrypt_merge_patch(format!("{{\"customer\":{value}}}").as_bytes()),
    ] {
        let Ok(stored) = result else { continue };
        let read: Value = serde_json::from_slice(&stored).unwrap();
        assert!(!read.to_string().contains(&format!("\"phone\":\"{PLAINTEXT}\"")), "a service reads {read}");
    }
}
