//! Proves that a sender who knows both parsers gets no tagged plaintext past the transformer: whatever the service's
//! `serde_json` makes of the document that went in, the tagged members of it hold tokens.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};
use serde::Deserialize;
use serde_json::Value;

const PLAINTEXT: &str = "+65 9123 4567";

fn cipher_of(fields: &[(&str, &str)]) -> FieldCipher {
    let policy = fields.iter().fold(Policy::builder("customers"), |policy, (name, path)| {
        policy.field(Field::new(*name, Tag::Text).path(*path))
    });
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[7; 32])));
    FieldCipher::new(policy.build().unwrap(), keys)
}

fn cipher() -> FieldCipher {
    cipher_of(&[("phone", "$..phone")])
}

/// Feeds `document` whole, in two chunks cut anywhere, and byte by byte, and hands each output to `check`.
fn for_every_output(cipher: &FieldCipher, document: &[u8], mut check: impl FnMut(&[u8])) {
    let mut feed = |cuts: &[usize]| {
        let (mut out, mut start, mut stream) = (Vec::new(), 0, cipher.json_encryptor());
        for &cut in cuts.iter().chain([&document.len()]) {
            stream
                .feed(&document[start..cut], &mut out)
                .unwrap_or_else(|error| panic!("{}: {error}", document.escape_ascii()));
            start = cut;
        }
        stream.finish(&mut out).unwrap();
        check(&out);
    };
    feed(&[]);
    for cut in 0..=document.len() {
        feed(&[cut]);
    }
    feed(&(1..document.len()).collect::<Vec<_>>());
}

/// Collects what a service finds under `name` at any depth.
fn found<'v>(value: &'v Value, name: &str, values: &mut Vec<&'v Value>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| found(element, name, values)),
        Value::Object(members) => {
            for (member, value) in members {
                if member == name {
                    values.push(value);
                }
                found(value, name, values);
            }
        }
        _ => {}
    }
}

/// Asserts that a service that reads `output` finds `count` values under `name`, and that each is a token.
#[track_caller]
fn assert_hidden(output: &[u8], name: &str, count: usize) {
    let text = str::from_utf8(output).unwrap();
    assert!(!text.contains(PLAINTEXT), "{text}");
    let document: Value = serde_json::from_slice(output).unwrap();
    let mut values = Vec::new();
    found(&document, name, &mut values);
    assert_eq!(values.len(), count, "{text}");
    for value in values {
        assert!(value.as_str().is_some_and(|value| value.starts_with("fs1.")), "a service finds {value} in {text}");
    }
}

/// Every way to write each character of `name` raw or as an escape, in both cases of the digits.
fn spellings(name: &str) -> Vec<String> {
    let units = |c: char| c.encode_utf16(&mut [0; 2]).to_vec();
    let lower = |c: char| units(c).iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat();
    let upper = |c: char| units(c).iter().map(|unit| format!("\\u{unit:04X}")).collect::<Vec<_>>().concat();
    let mut spellings = vec![String::new()];
    for c in name.chars() {
        let raw = match c {
            '"' | '\\' => format!("\\{c}"),
            '\n' => "\\n".to_owned(),
            c => c.to_string(),
        };
        let mut ways = vec![raw, lower(c), upper(c)];
        if c == '/' {
            ways.push("\\/".to_owned());
        }
        ways.dedup();
        spellings = spellings.iter().flat_map(|before| ways.iter().map(move |way| format!("{before}{way}"))).collect();
    }
    spellings
}

#[test]
fn no_spelling_of_a_name_hides_it() {
    for name in ["phone", "a/\"\\", "\u{e9}\u{674e}", "\u{1f600}x", "k\n"] {
        let quoted = name.replace('\\', "\\\\").replace('\n', "\\n");
        let cipher = cipher_of(&[("phone", &format!("$..['{quoted}']"))]);
        let all = spellings(name);
        assert!(all.len() >= 6);
        for spelling in all {
            let document = format!("{{\"{spelling}\":\"{PLAINTEXT}\"}}");
            assert_hidden(&cipher.encrypt_json(document.as_bytes()).unwrap(), name, 1);
        }
    }
}

#[test]
fn no_chunk_hides_a_name() {
    let cipher = cipher_of(&[
        ("phone", "$..phone"),
        ("other", "$..['a much longer name than phone']"),
        ("wide", "$..['\u{1f600}']"),
    ]);
    for name in ["phone", "ph\\u006fne", "\\u0070\\u0068\\u006f\\u006e\\u0065", "\\u0070hone", "phon\\u0065"] {
        let document = format!("{{\"x\":{{\"{name}\" : \"{PLAINTEXT}\"}},\"{name}\":[\"{PLAINTEXT}\"]}}");
        for_every_output(&cipher, document.as_bytes(), |output| assert_hidden(output, "phone", 2));
    }
    for name in ["\u{1f600}", "\\ud83d\\ude00", "\\uD83D\\uDE00"] {
        let document = format!("{{\"{name}\":\"{PLAINTEXT}\"}}");
        for_every_output(&cipher, document.as_bytes(), |output| assert_hidden(output, "\u{1f600}", 1));
    }
}

#[test]
fn a_name_at_the_bound_of_what_is_held_of_names_is_compared_whole() {
    // The longest spelling of the longest name is the bound; one byte more is another name.
    for length in 1..=24 {
        let name: String = ('a'..='z').cycle().take(length).collect();
        let cipher = cipher_of(&[("phone", &format!("$..['{name}']"))]);
        let escaped = name.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect::<Vec<_>>().concat();
        for spelling in [&name, &escaped] {
            let document = format!("{{\"{spelling}\":\"{PLAINTEXT}\"}}");
            for_every_output(&cipher, document.as_bytes(), |output| assert_hidden(output, &name, 1));
            for longer in [
                format!("{spelling}x"),
                format!("x{spelling}"),
                format!("{spelling}\\u0000"),
                spelling.repeat(2),
                spelling.repeat(13),
            ] {
                let document = format!("{{\"{longer}\":1,\"{spelling}\":\"{PLAINTEXT}\"}}");
                for_every_output(&cipher, document.as_bytes(), |output| {
                    assert_hidden(output, &name, 1);
                    assert!(output.starts_with(format!("{{\"{longer}\":1,").as_bytes()));
                });
            }
        }
    }
}

#[test]
fn names_that_share_length_and_ends_are_told_apart() {
    let names: Vec<String> = (0..40).map(|number| format!("p{number:03}e")).collect();
    let paths: Vec<_> = names.iter().step_by(2).map(|name| (name.clone(), format!("$.{name}"))).collect();
    let fields: Vec<_> = paths.iter().map(|(name, path)| (&**name, &**path)).collect();
    let cipher = cipher_of(&fields);
    let members: Vec<_> = names.iter().map(|name| format!("\"{name}\":\"x\"")).collect();
    let stored: Value =
        serde_json::from_slice(&cipher.encrypt_json(format!("{{{}}}", members.join(",")).as_bytes()).unwrap()).unwrap();
    for (number, name) in names.iter().enumerate() {
        let is_token = stored[name].as_str().unwrap().starts_with("fs1.");
        assert_eq!(is_token, number % 2 == 0, "{name}");
    }
}

#[test]
fn a_repeated_name_hides_nothing_whichever_one_a_service_takes() {
    let cipher = cipher();
    let document = format!(
        "{{\"phone\":\"{PLAINTEXT}\",\"ph\\u006fne\":\"{PLAINTEXT}\",\"phone\":null,\"phone\":[\"{PLAINTEXT}\"],\"phone\":\"{PLAINTEXT}\"}}"
    );
    for_every_output(&cipher, document.as_bytes(), |output| {
        assert_hidden(output, "phone", 1);
        assert_eq!(str::from_utf8(output).unwrap().matches("\"fs1.").count(), 4);
    });
}

#[test]
fn a_name_with_a_lone_surrogate_is_none_that_a_service_can_read() {
    let cipher = cipher();
    for name in ["phone\\ud800", "\\udc00phone", "ph\\ud83done", "phone\\ud83d\\ud83d", "\\ude00\\ud83dphone"] {
        let document = format!("{{\"{name}\":1,\"phone\":\"{PLAINTEXT}\"}}");
        for_every_output(&cipher, document.as_bytes(), |output| {
            assert!(!str::from_utf8(output).unwrap().contains(PLAINTEXT));
            assert!(serde_json::from_slice::<Value>(output).is_err(), "a service would read it");
        });
    }
    // Below such a name the policy still holds.
    let document = format!("{{\"\\ud800\":{{\"phone\":\"{PLAINTEXT}\"}}}}");
    for_every_output(&cipher, document.as_bytes(), |output| {
        assert!(!str::from_utf8(output).unwrap().contains(PLAINTEXT));
    });
}

#[test]
fn a_name_that_only_looks_alike_is_another_name_to_both() {
    let cipher = cipher();
    for name in [
        "Phone",
        "PHONE",
        " phone",
        "phone ",
        "phone\\u0000",
        "\\u0000phone",
        "phone\\t",
        "\u{feff}phone",
        "pho\u{200b}ne",
        "ph\u{43e}ne",
        "\u{ff50}hone",
        "phon\u{65}\u{301}",
        "pho\u{ad}ne",
        "phone[]",
        "phone.x",
        "$..phone",
        "\\\\u0070hone",
    ] {
        let document = format!("{{\"{name}\":\"x\",\"phone\":\"{PLAINTEXT}\"}}");
        for_every_output(&cipher, document.as_bytes(), |output| {
            assert_hidden(output, "phone", 1);
            assert!(output.starts_with(format!("{{\"{name}\":\"x\",").as_bytes()), "{name}");
        });
    }
}

#[test]
fn white_space_hides_nothing() {
    let cipher = cipher();
    for blank in [" ", "\t", "\n", "\r", "\r\n", " \t\r\n \n\n"] {
        let b = blank;
        let document = format!(
            "{b}[{b}{{{b}\"phone\"{b}:{b}\"{PLAINTEXT}\"{b},{b}\"x\"{b}:{b}{{{b}\"phone\"{b}:{b}[{b}\"{PLAINTEXT}\"{b}]{b}}}{b}}}{b}]{b}"
        );
        for_every_output(&cipher, document.as_bytes(), |output| assert_hidden(output, "phone", 2));
    }
}

#[test]
fn what_stands_before_a_tagged_member_hides_nothing() {
    let cipher = cipher();
    for before in [
        "0",
        "-0.0e-0",
        "1e400",
        "123456789012345678901234567890",
        "true",
        "false",
        "null",
        "\"\"",
        "\"\\\\\"",
        "\"\\\"\"",
        "\"\\u0022\"",
        "\"\\\\\\\"\"",
        "[]",
        "{}",
        "[[],{}]",
        "{\"phone\":null}",
        "[[[]]]",
        "\"{\\\"phone\\\":\"",
        "\"\u{2028}\"",
        "\"//\"",
        "\"/*\"",
    ] {
        let document =
            format!("{{\"a\":{before},\"phone\":\"{PLAINTEXT}\",\"b\":[{before},{{\"phone\":\"{PLAINTEXT}\"}}]}}");
        for_every_output(&cipher, document.as_bytes(), |output| {
            let document: Value = match serde_json::from_slice(output) {
                Ok(document) => document,
                Err(_) if before == "1e400" => return,
                Err(error) => panic!("{error}"),
            };
            assert!(document["phone"].as_str().unwrap().starts_with("fs1."));
            assert!(document["b"][1]["phone"].as_str().unwrap().starts_with("fs1."));
        });
    }
}

#[test]
fn a_long_number_is_one_value() {
    let cipher = cipher();
    for number in ["9".repeat(100_000), format!("-0.{}", "0".repeat(50_000)), format!("1e{}", "9".repeat(50_000))] {
        let document = format!("{{\"phone\":{number},\"x\":{number}}}");
        let mut stream = cipher.json_encryptor();
        let mut out = Vec::new();
        for chunk in document.as_bytes().chunks(777) {
            stream.feed(chunk, &mut out).unwrap();
        }
        stream.finish(&mut out).unwrap();
        assert!(out.starts_with(b"{\"phone\":\"fs1.") && out.ends_with(format!("\",\"x\":{number}}}").as_bytes()));
        assert_eq!(cipher.decrypt_json(&out).unwrap(), document.as_bytes());
    }
}

#[test]
fn an_index_is_neither_lost_nor_wrapped() {
    let cipher = cipher_of(&[
        ("one", "$.list[1]"),
        ("last", "$.list[4294967294]"),
        ("byte", "$.list[256]"),
        ("word", "$.list[65536]"),
    ]);
    let elements: Vec<_> = (0..70_000).map(|number| number.to_string()).collect();
    let document = format!("{{\"list\":[{}]}}", elements.join(","));
    let stored: Value = serde_json::from_slice(&cipher.encrypt_json(document.as_bytes()).unwrap()).unwrap();
    let tagged: Vec<_> = (0..70_000).filter(|&index| stored["list"][index].is_string()).collect();
    assert_eq!(tagged, [1, 256, 65_536]);
}

#[test]
fn a_line_is_what_every_reader_of_lines_takes_for_one() {
    let cipher = cipher();
    let run = |input: &str| {
        let mut out = Vec::new();
        let mut stream = cipher.ndjson_encryptor();
        stream.feed(input.as_bytes(), &mut out).and_then(|()| stream.finish(&mut out)).map(|()| out)
    };
    let record = format!("{{\"phone\":\"{PLAINTEXT}\"}}");
    // What some readers break lines at, between documents.
    for separator in
        ["\r", " ", ",", "\u{b}", "\u{c}", "\u{1c}", "\u{1e}", "\u{85}", "\u{2028}", "\u{2029}", "\0", "\\n", "\r\r"]
    {
        let error = run(&format!("{record}{separator}{record}\n")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{separator:?}");
    }
    // A line break within a document.
    for broken in [
        "{\"phone\":\n1}",
        "{\n\"phone\":1}",
        "[1,\n2]",
        "{\"phone\":1\n}",
        "{\"phone\":1,\r\n\"x\":2}",
        "{\"phone\":\"a\nb\"}",
        "\"\\\n\"",
    ] {
        assert_eq!(run(broken).unwrap_err().kind(), ErrorKind::Malformed, "{broken:?}");
    }
    for separator in ["\n", "\r\n", "\n\n", "\n \t\r\n", "\r\r\n"] {
        let output = run(&format!("{record}{separator}{record}{separator}[{record}]")).unwrap();
        let mut lines = 0;
        for line in str::from_utf8(&output).unwrap().lines().filter(|line| !line.trim().is_empty()) {
            assert_hidden(line.as_bytes(), "phone", 1);
            lines += 1;
        }
        assert_eq!(lines, 3, "{separator:?}");
    }
}

#[test]
fn depth_hides_nothing() {
    let cipher = cipher();
    for depth in [1, 2, 15, 16, 17, 60, 124, 125] {
        let document =
            format!("{}{{\"phone\":\"{PLAINTEXT}\"}}{}", "[{\"x\":".repeat(depth / 2), "}]".repeat(depth / 2));
        assert_hidden(&cipher.encrypt_json(document.as_bytes()).unwrap(), "phone", 1);
    }
    let above = format!("{{\"phone\":{}{}}}", "[".repeat(128), "]".repeat(128));
    assert_eq!(cipher.encrypt_json(above.as_bytes()).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn a_document_in_a_string_is_a_string() {
    let cipher = cipher();
    // Two layers of JSON are two documents; what the service reads in the first is a text, and that is untagged.
    let document = "{\"payload\":\"{\\\"phone\\\":1}\"}";
    assert_eq!(cipher.encrypt_json(document.as_bytes()).unwrap(), document.as_bytes());
}

/// With its feature `raw_value`, `serde_json` takes an object whose first name is this for the document in its text.
/// Cargo turns a feature on for everybody in the build, so a service has it as soon as any dependency does.
#[test]
fn a_document_that_serde_json_reads_out_of_a_string_does_not_pass() {
    let inner = format!("{{\\\"phone\\\":\\\"{PLAINTEXT}\\\"}}");
    let plain = "$serde_json::private::RawValue";
    let escaped = |from: usize, to: usize| -> String {
        let spell = |(at, c): (usize, char)| {
            if (from..to).contains(&at) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }
        };
        plain.chars().enumerate().map(spell).collect::<Vec<_>>().concat()
    };
    let mut names: Vec<String> = (0..=plain.len()).map(|to| escaped(0, to)).collect();
    names.extend((0..plain.len()).map(|from| escaped(from, plain.len())));
    names.extend((0..plain.len()).map(|at| escaped(at, at + 1)));
    for name in names {
        for document in [
            format!("{{\"{name}\":\"{inner}\"}}"),
            format!("{{\"customer\":{{\"{name}\":\"{inner}\"}}}}"),
            format!("[{{\"{name}\":\"{inner}\"}}]"),
        ] {
            for cut in [0, 5, document.len() / 2, document.len()] {
                let (mut stream, mut stored) = (cipher().json_encryptor(), Vec::new());
                let (one, other) = document.as_bytes().split_at(cut);
                let result = stream
                    .feed(one, &mut stored)
                    .and_then(|()| stream.feed(other, &mut stored))
                    .and_then(|()| stream.finish(&mut stored));
                if let Err(error) = result {
                    assert_eq!(error.kind(), ErrorKind::Refused);
                    continue;
                }
                let read: Value = serde_json::from_slice(&stored).unwrap();
                let mut values = Vec::new();
                found(&read, "phone", &mut values);
                assert!(values.iter().all(|value| *value != PLAINTEXT), "a service reads {read} in {document}");
            }
        }
    }
}

#[test]
fn a_name_that_only_begins_like_a_reserved_one_passes() {
    for name in
        ["$", "$serde_json", "$serde_json::", "$serde", "serde_json::private::RawValue", "$$serde_json::private::x"]
    {
        let document = format!("{{\"{name}\":1}}");
        for_every_output(&cipher(), document.as_bytes(), |output| assert_eq!(output, document.as_bytes()));
    }
}

#[derive(Debug, Deserialize)]
struct Customer {
    #[expect(dead_code, reason = "only there to be read")]
    id: u64,
    phone: String,
}

#[derive(Debug, Deserialize)]
struct Order {
    customer: Customer,
}

/// What `#[derive(Deserialize)]` makes of a struct takes an array too, with the members in their order and no names.
#[test]
fn a_record_written_as_an_array_does_not_pass_where_the_policy_knows_a_member() {
    let order = format!("{{\"customer\":[7,\"{PLAINTEXT}\"]}}");
    if let Ok(stored) = cipher_of(&[("phone", "$.customer.phone")]).encrypt_json(order.as_bytes()) {
        let read: Result<Order, _> = serde_json::from_slice(&stored);
        assert!(read.as_ref().map_or(true, |order| order.customer.phone != PLAINTEXT), "a service reads {read:?}");
    }
    let customer = format!("[7,\"{PLAINTEXT}\"]");
    if let Ok(stored) = cipher_of(&[("phone", "$.phone")]).encrypt_json(customer.as_bytes()) {
        let read: Result<Customer, _> = serde_json::from_slice(&stored);
        assert!(read.as_ref().map_or(true, |customer| customer.phone != PLAINTEXT), "a service reads {read:?}");
    }
}

/// Another field's path that holds at any depth takes nothing from what this one knows.
#[test]
fn a_record_written_as_an_array_does_not_pass_beside_a_path_that_holds_at_any_depth() {
    let order = format!("{{\"customer\":[7,\"{PLAINTEXT}\"]}}");
    let cipher = cipher_of(&[("phone", "$.customer.phone"), ("email", "$..email")]);
    if let Ok(stored) = cipher.encrypt_json(order.as_bytes()) {
        let read: Result<Order, _> = serde_json::from_slice(&stored);
        assert!(read.as_ref().map_or(true, |order| order.customer.phone != PLAINTEXT), "a service reads {read:?}");
    }
}

/// As a list of orders it would not be protected either: `$.customer.phone` names no element.
#[test]
fn an_order_written_as_an_array_does_not_pass_beside_a_path_that_holds_at_any_depth() {
    let cipher = cipher_of(&[("phone", "$.customer.phone"), ("email", "$..email")]);
    for order in [
        format!("[{{\"id\":7,\"phone\":\"{PLAINTEXT}\"}}]"),
        format!("[{{\"customer\":{{\"phone\":\"{PLAINTEXT}\"}}}}]"),
        format!("[[7,\"{PLAINTEXT}\"]]"),
    ] {
        assert_eq!(cipher.encrypt_json(order.as_bytes()).unwrap_err().kind(), ErrorKind::Refused, "{order}");
    }
    let lists = cipher_of(&[("phone", "$[*].customer.phone"), ("email", "$..email")]);
    lists.encrypt_json(b"[{\"customer\":{\"phone\":\"x\"}}]").unwrap();
}

/// `$.customers[*].phone` names a list of objects, which is where lists of records stand.
#[test]
fn a_record_written_as_an_array_does_not_pass_in_a_list_of_records() {
    #[derive(Debug, Deserialize)]
    struct Import {
        customers: Vec<Customer>,
    }
    let import = format!("{{\"customers\":[{{\"id\":1,\"phone\":\"x\"}},[7,\"{PLAINTEXT}\"]]}}");
    if let Ok(stored) = cipher_of(&[("phone", "$.customers[*].phone")]).encrypt_json(import.as_bytes()) {
        let read: Result<Import, _> = serde_json::from_slice(&stored);
        let is_hidden = |import: &Import| import.customers.iter().all(|customer| customer.phone != PLAINTEXT);
        assert!(read.as_ref().map_or(true, is_hidden), "a service reads {read:?}");
    }
    let list = format!("[[7,\"{PLAINTEXT}\"]]");
    if let Ok(stored) = cipher_of(&[("phone", "$[*].phone")]).encrypt_json(list.as_bytes()) {
        let read: Result<Vec<Customer>, _> = serde_json::from_slice(&stored);
        assert!(read.as_ref().map_or(true, |list| list[0].phone != PLAINTEXT), "a service reads {read:?}");
    }
}

/// The same in a patch: what is added to a list of records is a record.
#[test]
fn a_record_written_as_an_array_does_not_pass_in_a_patch() {
    let record = format!("[7,\"{PLAINTEXT}\"]");
    for (path, pointer) in [
        ("$.customer.phone", "/customer"),
        ("$.customers[0].phone", "/customers/0"),
        ("$.customers[*].phone", "/customers/-"),
    ] {
        let patch = format!("[{{\"op\":\"add\",\"path\":\"{pointer}\",\"value\":{record}}}]");
        if let Ok(stored) = cipher_of(&[("phone", path)]).encrypt_json_patch(patch.as_bytes()) {
            assert!(!str::from_utf8(&stored).unwrap().contains(PLAINTEXT), "{patch} passes under {path}");
        }
    }
    let merge = format!("{{\"customer\":{record}}}");
    let result = cipher_of(&[("phone", "$.customer.phone")]).encrypt_merge_patch(merge.as_bytes());
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Refused);
}

/// Under a path that holds at any depth an array can be a list of records too, so it passes: SECURITY.md states it.
#[test]
fn a_list_of_records_passes_under_a_path_that_holds_at_any_depth() {
    let list = format!("{{\"customers\":[{{\"phone\":\"{PLAINTEXT}\"}}]}}");
    assert_hidden(&cipher().encrypt_json(list.as_bytes()).unwrap(), "phone", 1);
}
