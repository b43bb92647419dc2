//! Proves that untagged bytes come out as they went in, and that nothing but a tagged value is held back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};

/// Everything that a parser which builds values would lose: order, duplicates, digits, escapes, white space.
const AWKWARD: &str = concat!(
    "\r\n\t {  \"z\" : 1.10 , \"a\":1e400,\"a\" :-0,\t\"A\":0.0,\"long\":123456789012345678901234567890,\n",
    "\"esc\":\"\\u0041\\/\\u00e9\u{e9}\\ud83d\\ude00\\ud800\\b\\f\",\"\\u0061\":[ ],\"\":{ },\"e\":1E+05,\"z\":null,",
    "\"nested\" : [ [ ] , { \"x\" : [ true , false ] } ] , \"del\":\"\u{7f}\u{80}\u{2028}\u{feff}\" }\n \t\r"
);

fn cipher(fields: &[(&str, &str)]) -> FieldCipher {
    let policy = fields.iter().fold(Policy::builder("customers"), |policy, (name, path)| {
        policy.field(Field::new(*name, Tag::Text).path(*path))
    });
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[7; 32])));
    FieldCipher::new(policy.build().unwrap(), keys)
}

/// Takes the tokens out, and returns what stands between them.
fn between_tokens(output: &[u8]) -> Vec<&str> {
    let mut rest = str::from_utf8(output).unwrap();
    let mut parts = Vec::new();
    while let Some(at) = rest.find("\"fs1.") {
        parts.push(&rest[..at]);
        rest = &rest[at + 1..];
        rest = &rest[rest.find('"').unwrap() + 1..];
    }
    parts.push(rest);
    parts
}

#[test]
fn a_policy_that_matches_nothing_changes_no_byte() {
    let cipher = cipher(&[("phone", "$..phone"), ("other", "$..customer.list[3]['no such']")]);
    let documents = [
        AWKWARD,
        "0",
        " null\n",
        "\"\\ud800\"",
        "[]",
        "[ 1.0 , 1.00 ]",
        "{\"Phone\":1,\"phone \":2,\"phones\":3,\"pho\":4}",
    ];
    for document in documents {
        assert_eq!(cipher.encrypt_json(document.as_bytes()).unwrap(), document.as_bytes());
        assert_eq!(cipher.decrypt_json(document.as_bytes()).unwrap(), document.as_bytes());
    }
    let lines = format!("{}\r\n\n{}\n \n", AWKWARD.trim().replace('\n', " "), "{\"x\":1}");
    let mut out = Vec::new();
    let mut stream = cipher.ndjson_encryptor();
    stream.feed(lines.as_bytes(), &mut out).unwrap();
    stream.finish(&mut out).unwrap();
    assert_eq!(out, lines.as_bytes());
}

#[test]
fn every_byte_around_a_token_is_the_one_that_came() {
    let cipher = cipher(&[("phone", "$..phone")]);
    let before = AWKWARD.trim_end().strip_suffix('}').unwrap();
    let document = format!("{before}, \"phone\"\t:\r\n [ 1 , 2.0 ] \t,\"phone\":\"x\"\n}}\r\n");
    let stored = cipher.encrypt_json(document.as_bytes()).unwrap();
    let expected = [&*format!("{before}, \"phone\"\t:\r\n "), " \t,\"phone\":", "\n}\r\n"];
    assert_eq!(between_tokens(&stored), expected);
    assert_eq!(cipher.decrypt_json(&stored).unwrap(), document.as_bytes());
}

#[test]
fn white_space_around_a_tagged_value_is_not_part_of_it() {
    let cipher = cipher(&[("phone", "$.phone")]);
    for value in ["\"x\"", "7", "[ 1 ]", "{ }", "true"] {
        for blank in ["", " ", "\n", "\t\r\n  "] {
            let document = format!("{{\"phone\":{blank}{value}{blank}}}");
            let stored = cipher.encrypt_json(document.as_bytes()).unwrap();
            assert_eq!(between_tokens(&stored), [&*format!("{{\"phone\":{blank}"), &*format!("{blank}}}")]);
            let token = stored[9 + blank.len() + 1..stored.len() - 2 - blank.len()].to_vec();
            let opened: Box<serde_json::value::RawValue> = cipher.decrypt_value("phone", &token).unwrap();
            assert_eq!(opened.get(), value);
        }
    }
}

#[test]
fn every_occurrence_of_a_repeated_name_is_encrypted() {
    let cipher = cipher(&[("phone", "$.phone"), ("inner", "$.x.phone"), ("all", "$.all[*]")]);
    let document =
        br#"{"phone":1,"x":{"phone":2,"phone":3},"ph\u006fne":4,"\u0070hone":5,"all":[6],"all":[7,8],"phone":null}"#;
    let stored = cipher.encrypt_json(document).unwrap();
    let expected = [
        r#"{"phone":"#,
        r#","x":{"phone":"#,
        r#","phone":"#,
        r#"},"ph\u006fne":"#,
        r#","\u0070hone":"#,
        r#","all":["#,
        r#"],"all":["#,
        ",",
        r#"],"phone":null}"#,
    ];
    assert_eq!(between_tokens(&stored), expected);
    assert_eq!(cipher.decrypt_json(&stored).unwrap(), document);
}

#[test]
fn names_are_compared_after_unescaping_and_by_every_byte() {
    let cipher = cipher(&[("t", "$['a/\"\\\\\u{e9}\u{1f600}\\n']")]);
    let same = [
        "a/\\\"\\\\\u{e9}\u{1f600}\\n",
        "\\u0061\\/\\u0022\\u005c\\u00e9\\ud83d\\ude00\\u000a",
        "a\\u002F\\u0022\\u005C\\u00E9\\uD83D\\uDE00\\u000A",
        "a\\/\\\"\\\\\\u00E9\u{1f600}\\n",
    ];
    for name in same {
        let stored = cipher.encrypt_json(format!("{{\"{name}\":1}}").as_bytes()).unwrap();
        assert_eq!(between_tokens(&stored), [&*format!("{{\"{name}\":"), "}"], "{name}");
    }
    let others = [
        "A/\\\"\\\\\u{e9}\u{1f600}\\n",
        "a/\\\"\\\\e\u{301}\u{1f600}\\n",
        "a/\\\"\\\\\u{e9}\u{1f600}\\\\n",
        "a/\\\"\\\\\u{e9}\u{1f600}",
        "a/\\\"\\\\\u{e9}\u{1f600}\\n\\u0000",
        "a/\\\"\\\\\u{e9}\u{1f600}\\n ",
        "a/\\\"\\\\\u{e9}\\ud83d\\n",
        "a/\\\"\\\\\u{e9}\\ude00\\ud83d\\n",
        "a/\\\"\\\\\\\\u00e9\u{1f600}\\n",
    ];
    for name in others {
        let document = format!("{{\"{name}\":1}}");
        assert_eq!(cipher.encrypt_json(document.as_bytes()).unwrap(), document.as_bytes(), "{name}");
    }
}

#[test]
fn an_untagged_document_is_passed_on_as_it_comes() {
    let cipher = cipher(&[("phone", "$..phone")]);
    let record = "{\"name\":\"\u{674e}\\u0041\",\"n\":[1.5e3,-2,true,null],\"phones\":{\"x\":\"\"}}";
    let document = format!("[{}]", vec![record; 20_000].join(","));
    for size in [1, 7, 64, 4096] {
        let part = &document.as_bytes()[..document.len().min(size * 20_000)];
        let mut stream = cipher.json_encryptor();
        let mut out = Vec::new();
        let mut fed = 0;
        for chunk in part.chunks(size) {
            stream.feed(chunk, &mut out).unwrap();
            fed += chunk.len();
            assert_eq!(out.len(), fed, "bytes are held back after {fed}");
        }
        assert_eq!(out, part);
    }
}

#[test]
fn an_endless_name_is_passed_on_and_not_gathered() {
    let cipher = cipher(&[("phone", "$..phone")]);
    for part in [&[b'a'; 4096][..], "\u{674e}".repeat(1000).as_bytes(), "\\u0070".repeat(700).as_bytes()] {
        let mut stream = cipher.json_encryptor();
        let mut out = Vec::new();
        stream.feed(b"{\"", &mut out).unwrap();
        stream.feed(part, &mut out).unwrap();
        let early = format!("{stream:?}").len();
        for _ in 0..1000 {
            stream.feed(part, &mut out).unwrap();
        }
        assert_eq!(out.len(), 2 + 1001 * part.len());
        let late = format!("{stream:?}").len();
        assert!(late < early + 200, "what the stream holds grew from {early} to {late}");
        stream.feed(b"\":{\"phone\":7}}", &mut out).unwrap();
        stream.finish(&mut out).unwrap();
        assert!(out.ends_with(b"\"}}"), "the value below the long name is encrypted");
    }
}

#[test]
fn a_tagged_value_is_held_back_whole() {
    let cipher = cipher(&[("phone", "$..phone")]);
    for value in [
        "\"+65 9123 4567 \\u0041\u{674e}\"",
        "-123.456e-7",
        "[1,[2,{\"phone\":\"x\"}],\"]\"]",
        "{\"phone\":{\"phone\":\"}\"},\"a\":\"+65\"}",
        "true",
        "false",
        "null",
    ] {
        let mut stream = cipher.json_encryptor();
        let mut out = Vec::new();
        stream.feed(b"{\"x\":0,\"phone\": ", &mut out).unwrap();
        for byte in value.as_bytes().chunks(1) {
            assert_eq!(out, b"{\"x\":0,\"phone\": ", "before the end of {value}");
            stream.feed(byte, &mut out).unwrap();
        }
        stream.feed(b" ", &mut out).unwrap();
        assert!(out.len() > 16, "{value} is written out at its end");
        stream.feed(b",\"y\":1}", &mut out).unwrap();
        stream.finish(&mut out).unwrap();
        assert!(out.ends_with(b" ,\"y\":1}"));
        let opened = cipher.decrypt_json(&out).unwrap();
        assert_eq!(opened, format!("{{\"x\":0,\"phone\": {value} ,\"y\":1}}").as_bytes());
    }
}

#[test]
fn a_tagged_value_that_ends_early_never_comes_out() {
    let cipher = cipher(&[("phone", "$..phone")]);
    for value in ["\"+65 9123 4567", "[\"+65 9123 4567\"", "{\"a\":\"+65 9123 4567\"", "6591234567"] {
        let mut stream = cipher.json_encryptor();
        let mut out = Vec::new();
        stream.feed(b"[{\"phone\":", &mut out).unwrap();
        stream.feed(value.as_bytes(), &mut out).unwrap();
        assert_eq!(stream.finish(&mut out).unwrap_err().kind(), ErrorKind::Malformed);
        let written = String::from_utf8(out).unwrap();
        assert!(!written.contains("9123") && !written.contains("65"), "{written}");
    }
}

#[test]
fn a_value_that_never_ends_is_refused_at_the_bound() {
    let cipher = cipher(&[("phone", "$..phone")]);
    for (open, part) in [("\"", "5"), ("", "5"), ("[", " ")] {
        let mut stream = cipher.json_encryptor();
        let mut out = Vec::new();
        stream.feed(format!("{{\"phone\":{open}").as_bytes(), &mut out).unwrap();
        let part = part.repeat(65_536);
        let mut fed = 0;
        let error = loop {
            match stream.feed(part.as_bytes(), &mut out) {
                Ok(()) => fed += part.len(),
                Err(error) => break error,
            }
            assert!(fed <= 1 << 20, "more than 1 MiB is held back");
        };
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert_eq!(out, b"{\"phone\":");
    }
}
