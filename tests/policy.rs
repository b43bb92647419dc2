//! Proves that a policy that would do harm is refused with a message that points at the fault, and that paths select
//! what RFC 9535 says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{Error, ErrorKind, Field, FieldCipher, Policy, Tag};

fn build(fields: impl IntoIterator<Item = Field>) -> Result<Policy, Error> {
    Policy::new("customers", fields)
}

fn refusal(fields: impl IntoIterator<Item = Field>) -> String {
    let error = build(fields).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Policy);
    error.to_string()
}

fn field(name: &str) -> Field {
    Field::new(name, Tag::Text)
}

/// Asserts that `message` holds each of `parts`.
#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

fn cipher(policy: Policy) -> FieldCipher {
    FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[7; 32]))))
}

/// What `document` is refused with.
fn refused(paths: &[(&str, &str)], document: &str) -> ErrorKind {
    let cipher = cipher(build(paths.iter().map(|(name, path)| field(name).path(*path))).unwrap());
    cipher.encrypt_json(document.as_bytes()).unwrap_err().kind()
}

/// Encrypts `document` and puts `<NAME>` in the place of each token of a field.
fn seen(paths: &[(&str, &str)], document: &str) -> String {
    let cipher = cipher(build(paths.iter().map(|(name, path)| field(name).path(*path))).unwrap());
    let stored = cipher.encrypt_json(document.as_bytes()).unwrap();
    assert_eq!(cipher.decrypt_json(&stored).unwrap(), document.as_bytes());
    let mut rest = str::from_utf8(&stored).unwrap();
    let mut seen = String::new();
    while let Some(at) = rest.find("\"fs1.") {
        let length = rest[at + 1..].find('"').unwrap();
        let token = &rest[at + 1..=at + length];
        let names = || paths.iter().map(|(name, _)| *name);
        let opens = |name: &&str| cipher.decrypt_value::<serde_json::Value>(name, token).is_ok();
        let owner = names().find(opens).expect("a token opens as some field");
        write!(seen, "{}<{owner}>", &rest[..at]).unwrap();
        rest = &rest[at + length + 2..];
    }
    seen + rest
}

#[test]
fn a_field_without_a_path_is_a_member_of_its_name_at_any_depth() {
    let policy = build([field("phone")]).unwrap();
    assert_eq!(policy.fields()[0].paths(), ["$..['phone']"]);
    let cipher = cipher(policy);
    let stored = cipher.encrypt_json(br#"{"phone":1,"x":[{"phone":2}],"phones":3}"#).unwrap();
    let text = String::from_utf8(stored).unwrap();
    assert_eq!((text.matches("\"fs1.").count(), text.ends_with("\"phones\":3}")), (2, true), "{text}");
}

#[test]
fn a_field_with_an_awkward_name_needs_no_path_either() {
    for name in ["it's", "a\\b", "\\'", "a\"b", "姓名", "e\u{301}", " ", "'", "\\", "\\u0041", "😀"] {
        let key = serde_json::to_string(name).unwrap();
        let cipher = cipher(build([field(name)]).unwrap_or_else(|error| panic!("{name}: {error}")));
        let stored = cipher.encrypt_json(format!("{{{key}:1}}").as_bytes()).unwrap();
        assert!(str::from_utf8(&stored).unwrap().starts_with(&format!("{{{key}:\"fs1.")), "{name}");
    }
}

#[test]
fn a_name_that_looks_like_a_path_needs_one() {
    for name in ["$..x", "a.b[0]", "contacts[*].phone", "contacts.phone", "*"] {
        let error = build([field(name)]).unwrap_err();
        assert_says(&error.to_string(), &[name, "looks like a path", ".path(..)"]);
        assert!(build([field(name).path("$..contacts[*].phone")]).is_ok());
    }
}

#[test]
fn getters_return_what_was_given() {
    let policy = Policy::builder("orders")
        .field(Field::new("phone", Tag::Phone).path("$.phone").path("$.mobile"))
        .field(Field::new("nickname", Tag::custom("nickname")))
        .build()
        .unwrap();
    assert_eq!(policy.collection(), "orders");
    let [phone, nickname] = policy.fields() else { panic!("{policy:?}") };
    assert_eq!((phone.name(), phone.tag(), phone.paths().len()), ("phone", &Tag::Phone, 2));
    assert_eq!((nickname.name(), nickname.tag().name()), ("nickname", "nickname"));
}

#[test]
fn tags_are_written_as_in_a_policy_file() {
    let tags = [
        (Tag::Name, "name"),
        (Tag::Phone, "phone"),
        (Tag::Email, "email"),
        (Tag::Address, "address"),
        (Tag::CardFragment, "card_fragment"),
        (Tag::NationalId, "national_id"),
        (Tag::DateOfBirth, "date_of_birth"),
        (Tag::Text, "text"),
        (Tag::custom("blood type"), "blood type"),
    ];
    for (tag, name) in tags {
        assert_eq!((tag.name(), tag.to_string()), (name, name.to_owned()));
    }
}

#[test]
fn a_policy_has_1_to_256_fields() {
    assert_says(&refusal([]), &["1 to 256 fields", "has 0"]);
    let numbered = |count: usize| (0..count).map(|number| field(&format!("f{number}")));
    assert_eq!(build(numbered(256)).unwrap().fields().len(), 256);
    assert_says(&refusal(numbered(257)), &["1 to 256 fields", "has 257"]);
}

#[test]
fn each_of_many_fields_is_told_apart() {
    let cipher = cipher(build((0..256).map(|number| field(&format!("f{number}")))).unwrap());
    let members: Vec<_> = (0..256).map(|number| format!("\"f{number}\":{number}")).collect();
    let document = format!("{{{}}}", members.join(","));
    let stored = cipher.encrypt_json(document.as_bytes()).unwrap();
    assert_eq!(cipher.decrypt_json(&stored).unwrap(), document.as_bytes());
    let stored: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&stored).unwrap();
    for number in [0, 1, 127, 128, 254, 255] {
        let token = stored[&format!("f{number}")].as_str().unwrap();
        assert_eq!(cipher.decrypt_value::<u32>(&format!("f{number}"), token).unwrap(), number);
        let other = format!("f{}", (number + 1) % 256);
        assert_eq!(cipher.decrypt_value::<u32>(&other, token).unwrap_err().kind(), ErrorKind::Decryption);
    }
}

#[test]
fn names_have_1_to_255_bytes_and_no_control_character() {
    let long = "l".repeat(255);
    let too_long = "l".repeat(256);
    let wide = "\u{674e}".repeat(86);
    assert_eq!(wide.len(), 258);
    assert!(Policy::builder(&*long).field(field(&long)).build().is_ok());
    for (name, problem) in [
        ("", "is empty"),
        (&*too_long, "is longer than 255 bytes"),
        (&*wide, "is longer than 255 bytes"),
        ("a\nb", "holds a control character"),
        ("\0", "holds a control character"),
        ("a\u{7f}", "holds a control character"),
        ("\u{85}", "holds a control character"),
    ] {
        let collection = Policy::builder(name).field(field("phone")).build().unwrap_err();
        assert_says(&collection.to_string(), &["the collection's name", problem]);
        assert_says(&refusal([field(name).path("$.x")]), &["the name of a field", problem]);
        assert_says(
            &refusal([Field::new("phone", Tag::custom(name.to_owned()))]),
            &["field `phone`", "tag's name", problem],
        );
    }
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    assert_says(&refusal([field("phone"), field("name"), field("phone").path("$.mobile")]), &["`phone` stands twice"]);
    assert!(build([field("phone"), field("Phone")]).is_ok(), "names differ in case");
}

#[test]
fn padding_is_a_power_of_two_from_32_to_4096() {
    for bytes in [32, 64, 128, 256, 512, 1024, 2048, 4096] {
        assert!(build([field("phone").pad_to(bytes)]).is_ok(), "{bytes}");
    }
    for bytes in [0, 1, 16, 31, 33, 48, 96, 4095, 8192, usize::MAX] {
        assert_says(
            &refusal([field("phone").pad_to(bytes)]),
            &["field `phone`", "power of two from 32 to 4,096", &bytes.to_string()],
        );
    }
}

#[test]
fn a_parameter_is_that_of_one_field() {
    let with = |name: &str| {
        let phone = Field::new("phone", Tag::Phone).path("$.mobile");
        let email = Field::new("email", Tag::Email).parameter("e-mail").parameter(name);
        Policy::builder("customers").field(phone).field(email).build()
    };
    with("contact").unwrap();
    with("Email").unwrap();
    for (name, said) in [("", "is empty"), ("Phone", "another field"), ("mobile", "another field"), ("a\0", "control")]
    {
        let message = with(name).unwrap_err().to_string();
        assert!(message.starts_with("field `email`: the name of a parameter ") && message.contains(said), "{message}");
    }
}

#[test]
fn what_encryption_is_wrong_for_is_refused_by_name_and_by_path() {
    let passwords = [
        "password",
        "Password",
        "PASSWORD",
        "user_password",
        "userPassword",
        "pass-word",
        "passwd",
        "pwd",
        "passphrase",
        "password_hash",
        "passwordHash",
        "pass.word",
    ];
    let verification_codes = ["cvv", "CVV", "cvc", "cvv2", "c_v_c_2", "card_verification_code", "cardVerificationCode"];
    for (names, reason) in [(&passwords[..], "hashed (Argon2id)"), (&verification_codes[..], "PCI DSS")] {
        for name in names {
            assert_says(&refusal([field(name)]), &[&format!("field `{name}`"), reason]);
            let path = format!("$.customer['{name}']");
            assert_says(&refusal([field("secret").path(&*path)]), &["field `secret`", &path, reason]);
        }
    }
    for name in ["passport", "compass", "password_changed_at", "cvvs", "covid"] {
        assert!(build([field(name)]).is_ok(), "{name}");
    }
}

#[test]
fn a_path_outside_the_subset_is_refused_at_its_character() {
    for (path, character) in [
        ("", 1),
        ("phone", 1),
        (" $.a", 1),
        ("$", 2),
        ("$phone", 2),
        ("$ .a", 2),
        ("$.", 3),
        ("$..", 4),
        ("$...a", 4),
        ("$.a b", 4),
        ("$.a-b", 4),
        ("$.1a", 3),
        ("$.'a'", 3),
        ("$.[0]", 3),
        ("$[]", 3),
        ("$[a]", 3),
        ("$[-1]", 3),
        ("$[01]", 5),
        ("$[0,1]", 4),
        ("$[1:2]", 4),
        ("$[:", 4),
        ("$[::2]", 4),
        ("$[:2]", 4),
        ("$['a','b']", 6),
        ("$[*,0]", 4),
        ("$[?@.a]", 3),
        ("$[?(@.a == 1)]", 3),
        ("$[(@.length-1)]", 3),
        ("$['a", 5),
        ("$['a'", 6),
        ("$[\"a']", 7),
        ("$['\\x']", 6),
        ("$['\\\"']", 6),
        ("$['\\u00g0']", 8),
        ("$['\\ud800']", 10),
        ("$[4294967295]", 13),
        ("$.a.length()", 11),
        ("$.名.", 5),
        ("$.名[", 5),
        ("$.a\n", 4),
        ("@.a", 1),
        ("$^", 2),
        ("$.a~", 4),
    ] {
        let message = refusal([field("phone").path("$.good").path(path)]);
        assert_says(&message, &["field `phone`", &format!("path `{path}`"), &format!("character {character}:")]);
    }
}

#[test]
fn a_path_in_the_subset_is_taken_in_each_of_its_spellings() {
    for path in
        ["$.a", "$['a']", "$[\"a\"]", "$[ 'a' ]", "$[\t\"a\"\n]", "$['\\u0061']", "$..a", "$..['a']", "$..[ \"a\" ]"]
    {
        assert_eq!(seen(&[("f", path)], r#"{"a":1,"b":2}"#), r#"{"a":<f>,"b":2}"#, "{path}");
    }
    for path in ["$.*", "$[*]", "$[ * ]", "$..*", "$..[*]"] {
        assert_eq!(seen(&[("f", path)], r#"{"a":1,"b":[2]}"#), r#"{"a":<f>,"b":<f>}"#, "{path}");
    }
    for path in ["$[1]", "$[ 1 ]", "$..[1]"] {
        assert_eq!(seen(&[("f", path)], "[0,1,2]"), "[0,<f>,2]", "{path}");
    }
}

#[test]
fn a_child_segment_selects_one_level_down() {
    let document = r#"{"a":{"b":1,"a":{"b":2}},"b":3,"x":[{"b":4}]}"#;
    assert_eq!(seen(&[("f", "$.b")], document), r#"{"a":{"b":1,"a":{"b":2}},"b":<f>,"x":[{"b":4}]}"#);
    assert_eq!(seen(&[("f", "$.a.b")], document), r#"{"a":{"b":<f>,"a":{"b":2}},"b":3,"x":[{"b":4}]}"#);
    assert_eq!(seen(&[("f", "$.a.a.b")], document), r#"{"a":{"b":1,"a":{"b":<f>}},"b":3,"x":[{"b":4}]}"#);
    assert_eq!(seen(&[("f", "$.x[0].b")], document), r#"{"a":{"b":1,"a":{"b":2}},"b":3,"x":[{"b":<f>}]}"#);
    assert_eq!(refused(&[("f", "$.x.b")], document), ErrorKind::Refused);
}

#[test]
fn an_index_selects_elements_and_a_name_selects_members() {
    let document = r#"{"0":"member","list":["zero","one",["nested"]]}"#;
    assert_eq!(seen(&[("f", "$[0]")], document), document);
    assert_eq!(seen(&[("f", "$['0']")], document), r#"{"0":<f>,"list":["zero","one",["nested"]]}"#);
    assert_eq!(refused(&[("f", "$.list['0']")], document), ErrorKind::Refused);
    assert_eq!(seen(&[("f", "$.list[0]")], document), r#"{"0":"member","list":[<f>,"one",["nested"]]}"#);
    assert_eq!(seen(&[("f", "$..[0]")], document), r#"{"0":"member","list":[<f>,"one",[<f>]]}"#);
    assert_eq!(seen(&[("f", "$.list[2][0]")], document), r#"{"0":"member","list":["zero","one",[<f>]]}"#);
    assert_eq!(
        seen(&[("f", "$.list[3]"), ("g", "$.list[1]")], document),
        r#"{"0":"member","list":["zero",<g>,["nested"]]}"#
    );
}

#[test]
fn an_index_is_counted_by_elements_whatever_they_hold() {
    let document = r#"[[1,2,[3]],{"a":[4,5]},"x,y","]",null,{"b":{}},6]"#;
    assert_eq!(seen(&[("f", "$[6]")], document), r#"[[1,2,[3]],{"a":[4,5]},"x,y","]",null,{"b":{}},<f>]"#);
    assert_eq!(seen(&[("f", "$[1].a[1]")], document), r#"[[1,2,[3]],{"a":[4,<f>]},"x,y","]",null,{"b":{}},6]"#);
    let elements: Vec<_> = (0..300).map(|number| number.to_string()).collect();
    let document = format!("[{}]", elements.join(","));
    for index in [0, 1, 9, 254, 255, 256, 299] {
        let mut expected = elements.clone();
        expected[index] = "<f>".to_owned();
        assert_eq!(seen(&[("f", &format!("$[{index}]"))], &document), format!("[{}]", expected.join(",")));
    }
    assert_eq!(seen(&[("f", "$[4294967294]")], &document), document);
}

#[test]
fn a_wildcard_selects_every_member_and_every_element() {
    let document = r#"{"a":{"x":1,"y":[2,3]},"b":[4,{"x":5}]}"#;
    assert_eq!(seen(&[("f", "$.*.x")], document), r#"{"a":{"x":<f>,"y":[2,3]},"b":[4,{"x":5}]}"#);
    assert_eq!(seen(&[("f", "$.*[*]")], document), r#"{"a":{"x":<f>,"y":<f>},"b":[<f>,<f>]}"#);
    assert_eq!(seen(&[("f", "$.*.*.x")], document), r#"{"a":{"x":1,"y":[2,3]},"b":[4,{"x":<f>}]}"#);
    assert_eq!(seen(&[("f", "$.b[*].x")], document), r#"{"a":{"x":1,"y":[2,3]},"b":[4,{"x":<f>}]}"#);
    assert_eq!(seen(&[("f", "$.*")], r#"{"":1,"\ud800":2,"a":3}"#), r#"{"":<f>,"\ud800":<f>,"a":<f>}"#);
}

#[test]
fn a_slice_selects_elements_and_no_members() {
    let document = r#"{"a":{"x":1,"y":[2,3]},"b":[4,{"x":5}],"x":6}"#;
    assert_eq!(seen(&[("f", "$.*[:]")], document), r#"{"a":{"x":1,"y":[2,3]},"b":[<f>,<f>],"x":6}"#);
    let objects = document.replace("[4,", "[null,");
    assert_eq!(seen(&[("f", "$.b[ : ].x")], &objects), objects.replace("\"x\":5", "\"x\":<f>"));
    assert_eq!(refused(&[("f", "$.b[:].x")], document), ErrorKind::Refused, "its elements are no objects");
    assert_eq!(seen(&[("f", "$[:].x")], document), document);
    assert_eq!(seen(&[("f", "$[:].x"), ("g", "$.x")], document), document.replace("\"x\":6", "\"x\":<g>"));
    assert_eq!(seen(&[("f", "$[:].x"), ("g", "$.x")], r#"[{"x":1},{"y":{"x":2}}]"#), r#"[{"x":<f>},{"y":{"x":2}}]"#);
    assert_eq!(seen(&[("f", "$..[:]")], r#"{"a":[1,{"b":[2]}]}"#), r#"{"a":[<f>,<f>]}"#);
    // With a wildcard, these could select one value.
    let both = [("a", "$.list[:]"), ("n", "$[:].name")];
    assert_eq!(seen(&both, r#"{"list":[1,{"name":2}]}"#), r#"{"list":[<a>,<a>]}"#);
    assert_eq!(seen(&both, r#"[{"name":2,"list":[1]}]"#), r#"[{"name":<n>,"list":[1]}]"#);
}

#[test]
fn a_descendant_segment_selects_at_every_depth() {
    let document = r#"{"p":1,"a":{"p":{"p":2}},"b":[[{"p":3}],{"c":{"p":4}}],"c":{"p":5}}"#;
    // The value of `$.a.p` is encrypted whole, with the `p` in it.
    assert_eq!(
        seen(&[("f", "$..p")], document),
        r#"{"p":<f>,"a":{"p":<f>},"b":[[{"p":<f>}],{"c":{"p":<f>}}],"c":{"p":<f>}}"#
    );
    assert_eq!(
        seen(&[("f", "$.b..p")], document),
        r#"{"p":1,"a":{"p":{"p":2}},"b":[[{"p":<f>}],{"c":{"p":<f>}}],"c":{"p":5}}"#
    );
    assert_eq!(
        seen(&[("f", "$..c.p")], document),
        r#"{"p":1,"a":{"p":{"p":2}},"b":[[{"p":3}],{"c":{"p":<f>}}],"c":{"p":<f>}}"#
    );
    assert_eq!(
        seen(&[("f", "$..b..c..p")], document),
        r#"{"p":1,"a":{"p":{"p":2}},"b":[[{"p":3}],{"c":{"p":<f>}}],"c":{"p":5}}"#
    );
    assert_eq!(
        seen(&[("f", "$..p.p")], document),
        r#"{"p":1,"a":{"p":{"p":<f>}},"b":[[{"p":3}],{"c":{"p":4}}],"c":{"p":5}}"#
    );
    assert_eq!(seen(&[("f", "$..*")], document), r#"{"p":<f>,"a":<f>,"b":<f>,"c":<f>}"#);
    assert_eq!(seen(&[("f", "$..[1]")], "[0,[1,2],[3,[4,5]]]"), "[0,<f>,[3,<f>]]");
}

#[test]
fn names_are_taken_as_they_are_written_in_unicode() {
    let document =
        "{\"姓名\":1,\"\\u59d3\\u540d\":2,\"\u{e9}\":3,\"e\\u0301\":4,\"e\u{301}\":5,\"😀\":6,\"\\ud83d\\ude00\":7}";
    assert_eq!(seen(&[("f", "$.姓名")], document), document.replace(":1", ":<f>").replace(":2", ":<f>"));
    assert_eq!(seen(&[("f", "$.\u{e9}")], document), document.replace(":3", ":<f>"));
    assert_eq!(seen(&[("f", "$['e\u{301}']")], document), document.replace(":4", ":<f>").replace(":5", ":<f>"));
    assert_eq!(seen(&[("f", "$['\\uD83D\\uDE00']")], document), document.replace(":6", ":<f>").replace(":7", ":<f>"));
}

#[test]
fn fields_share_a_document_without_touching_each_other() {
    let paths = [
        ("name", "$..name"),
        ("phone", "$.contacts[*].phone"),
        ("first", "$.list[0]"),
        ("second", "$.list[1]"),
        ("address", "$.home.address"),
    ];
    let document = r#"{"name":"a","contacts":[{"phone":1,"name":"b"},{"phone":2}],"list":[1,2,3],"home":{"address":{"name":"c"}},"phone":3}"#;
    let expected = r#"{"name":<name>,"contacts":[{"phone":<phone>,"name":<name>},{"phone":<phone>}],"list":[<first>,<second>,3],"home":{"address":<address>},"phone":3}"#;
    assert_eq!(seen(&paths, document), expected);
}

#[test]
fn paths_that_can_select_one_value_for_two_fields_are_refused() {
    for (one, other) in [
        ("$..phone", "$.customer.phone"),
        ("$..phone", "$.customer.*"),
        ("$.*", "$[0]"),
        ("$..*", "$.a"),
        ("$..a", "$..b.a"),
        ("$.a", "$['\\u0061']"),
        ("$[0]", "$[*]"),
        ("$..[1]", "$.list[1]"),
        ("$.a..b", "$.a.x.b"),
        ("$..a.b", "$.a..b"),
    ] {
        let message = refusal([field("one").path(one), field("other").path(other)]);
        assert_says(&message, &["`one`", "`other`", "can select the same value"]);
        assert!(build([field("one").path(one).path(other)]).is_ok(), "one field may have both {one} and {other}");
    }
    for (one, other) in [("$.a", "$.b"), ("$[0]", "$[1]"), ("$.a.b", "$.b.a"), ("$[0]", "$['0']"), ("$..a", "$..A")] {
        assert!(build([field("one").path(one), field("other").path(other)]).is_ok(), "{one} and {other}");
    }
}

#[test]
fn a_path_inside_what_is_encrypted_whole_is_refused() {
    for (whole, inside) in [
        ("$.address", "$.address.postcode"),
        ("$..address", "$..address.postcode"),
        ("$.list[*]", "$.list[0].name"),
        ("$.*", "$.a.b"),
        ("$..address", "$.customer.address.lines[0]"),
    ] {
        for fields in [[("whole", whole), ("part", inside)], [("part", inside), ("whole", whole)]] {
            let message = refusal(fields.map(|(name, path)| field(name).path(path)));
            assert_says(&message, &["a path of `part`", "encrypted whole", "never apply"]);
        }
    }
    // Where the inner one still applies elsewhere, it stands; what is inside goes with the whole.
    let paths = [("whole", "$.address"), ("part", "$..postcode")];
    assert_eq!(seen(&paths, r#"{"address":{"postcode":1},"postcode":2}"#), r#"{"address":<whole>,"postcode":<part>}"#);
}

#[test]
fn paths_that_are_too_vague_are_refused_and_not_tried() {
    let vague = format!("$..a{}", ".*".repeat(30));
    let message = refusal([field("phone").path(vague.as_str())]);
    assert_says(&message, &[&format!("path `{vague}` of `phone`"), "use fewer wildcards and `..`"]);
    assert!(build([field("phone").path(format!("$..a{}", ".*".repeat(5)))]).is_ok());
}

#[test]
fn null_stays_null_unless_the_field_says_otherwise() {
    let policy = build([field("a"), field("b").encrypt_null()]).unwrap();
    let cipher = cipher(policy);
    let stored = String::from_utf8(cipher.encrypt_json(br#"{"a":null,"b":null}"#).unwrap()).unwrap();
    assert!(stored.starts_with(r#"{"a":null,"b":"fs1."#), "{stored}");
    assert_eq!(cipher.decrypt_json(stored.as_bytes()).unwrap(), br#"{"a":null,"b":null}"#);
}

#[cfg(feature = "toml")]
mod toml {
    use super::*;

    fn refusal(text: &str) -> String {
        let error = Policy::from_toml(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Policy, "{error}");
        error.to_string()
    }

    const GOOD: &str = r#"collection = "customers"
fresh_prefix_per_field = true

[tags.nickname]
pad_to = 64

[tags.phone]
pad_to = 128

[fields.phone]
tag = "phone"
paths = ["$..phone", "$..mobile"]

[fields.nickname]
tag = "nickname"
encrypt_null = true

[fields.alias]
tag = "nickname"
pad_to = 256

[fields."delivery address"]
tag = "address"
paths = ["$.deliveries[*]['address']"]

[fields.email]
tag = "email"
"#;

    fn token_length(cipher: &FieldCipher, field: &str) -> usize {
        cipher.encrypt_value(field, "x").unwrap().len()
    }

    #[test]
    fn every_part_of_a_policy_file_has_its_effect() {
        let policy = Policy::from_toml(GOOD).unwrap();
        assert_eq!((policy.collection(), policy.fields().len()), ("customers", 5));
        let field = |name: &str| policy.fields().iter().find(|field| field.name() == name).unwrap();
        assert_eq!(field("phone").paths(), ["$..phone", "$..mobile"]);
        assert_eq!(field("email").paths(), ["$..['email']"]);
        assert_eq!(field("nickname").tag(), &Tag::custom("nickname"));
        assert_eq!(field("delivery address").tag(), &Tag::Address);
        let cipher = cipher(policy);
        // 49 bytes beside the value, four characters for three bytes, and the mark.
        let length = |padded: usize| (4 * (49 + padded)).div_ceil(3) + 4;
        for (name, padded) in
            [("phone", 128), ("nickname", 64), ("alias", 256), ("delivery address", 128), ("email", 64)]
        {
            assert_eq!(token_length(&cipher, name), length(padded), "{name}");
        }
        let stored =
            cipher.encrypt_json(br#"{"phone":null,"nickname":null,"email":"a","deliveries":[{"address":"b"}]}"#);
        let stored = String::from_utf8(stored.unwrap()).unwrap();
        assert!(stored.starts_with(r#"{"phone":null,"nickname":"fs1."#), "{stored}");
        let prefixes: std::collections::HashSet<_> =
            stored.match_indices("fs1.").map(|(at, _)| &stored[at + 16..at + 32]).collect();
        assert_eq!(prefixes.len(), 3, "each token has a prefix of its own");
    }

    #[test]
    fn the_policies_that_are_shown_are_read() {
        for page in [include_str!("../README.md"), include_str!("../src/docs/rotation.md")] {
            let (_, shown) = page.split_once("```toml\n").unwrap();
            let policy = Policy::from_toml(shown.split_once("```").unwrap().0).unwrap();
            let names: Vec<_> = policy.fields().iter().map(Field::name).collect();
            assert_eq!((policy.collection(), names), ("customers", vec!["phone", "card_last4"]));
        }
    }

    #[test]
    fn what_is_left_out_has_the_defaults_of_the_builder() {
        let policy = Policy::from_toml("collection = \"c\"\n[fields.phone]\ntag = \"phone\"\n").unwrap();
        let cipher = cipher(policy);
        assert_eq!(token_length(&cipher, "phone"), 112);
        let stored =
            String::from_utf8(cipher.encrypt_json(br#"[{"phone":null},{"phone":1},{"phone":2}]"#).unwrap()).unwrap();
        let prefixes: Vec<_> = stored.match_indices("fs1.").map(|(at, _)| &stored[at + 16..at + 32]).collect();
        assert_eq!(prefixes.len(), 2);
        assert_eq!(prefixes[0], prefixes[1]);
        // A token made under the builder's policy opens under the file's.
        let built = Policy::builder("c").field(Field::new("phone", Tag::Phone)).build().unwrap();
        let token = super::cipher(built).encrypt_value("phone", "x").unwrap();
        assert_eq!(cipher.decrypt_value::<String>("phone", token).unwrap(), "x");
    }

    #[test]
    fn a_message_begins_with_the_line_of_the_fault() {
        let long = "l".repeat(256);
        for (text, line, parts) in [
            ("", 1, &["collection"][..]),
            ("collection = \"\"\n[fields.a]\ntag = \"name\"", 1, &["the collection's name is empty"]),
            ("\n\ncollection = \"c\"", 3, &["1 to 256 fields", "has 0"]),
            ("# one\ncollection = 7", 2, &["string"]),
            ("collection = \"c\"\ncollections = 1", 2, &["unknown field `collections`"]),
            ("collection = \"c\"\n\n[field.phone]\ntag = \"phone\"", 3, &["unknown field `field`"]),
            ("collection = \"c\"\nfresh_prefix_per_field = \"yes\"", 2, &["boolean"]),
            ("collection = \"c\"\n[fields.phone]\ntags = \"phone\"", 3, &["unknown field `tags`"]),
            ("collection = \"c\"\n[fields.phone]\npath = \"$.a\"\ntag = \"phone\"", 3, &["unknown field `path`"]),
            ("collection = \"c\"\n[fields.phone]\npad_to = 64", 2, &["missing field `tag`"]),
            (
                "collection = \"c\"\n[fields.phone]\ntag = \"fone\"",
                3,
                &["field `phone`", "no tag `fone`", "card_fragment", "[tags]"],
            ),
            ("collection = \"c\"\n[fields.phone]\ntag = \"Phone\"", 3, &["field `phone`", "no tag `Phone`"]),
            ("collection = \"c\"\n[fields.phone]\ntag = [\"phone\"]", 3, &["string"]),
            ("collection = \"c\"\n[fields.phone]\ntag = \"phone\"\npaths = \"$.a\"", 4, &["sequence"]),
            ("collection = \"c\"\n[fields.phone]\ntag = \"phone\"\npaths = [\n  \"$.a\",\n  7,\n]", 6, &["string"]),
            ("collection = \"c\"\n[fields.phone]\ntag = \"phone\"\npad_to = \"64\"", 4, &["usize"]),
            ("collection = \"c\"\n[fields.phone]\ntag = \"phone\"\npad_to = -1", 4, &["usize"]),
            ("collection = \"c\"\n[fields.phone]\ntag = \"phone\"\nencrypt_null = 1", 4, &["boolean"]),
            ("collection = \"c\"\n[fields.phone]\ntag = \"phone\"\n[fields.phone]\ntag = \"phone\"", 4, &["duplicate"]),
            ("collection = \"c\"\n[fields.phone]\ntag = \"phone\"\ntag = \"name\"", 4, &["duplicate"]),
            (
                "collection = \"c\"\n[fields.phone]\ntag = \"phone\"\npad_to = 40",
                2,
                &["field `phone`", "power of two", "40"],
            ),
            (
                "collection = \"c\"\n[fields.phone]\ntag = \"phone\"\npaths = [\n  \"$.a\",\n  \"$.b[?@]\",\n]",
                6,
                &["field `phone`", "path `$.b[?@]`", "character 5:", "outside the subset"],
            ),
            ("collection = \"c\"\n[fields.user_password]\ntag = \"text\"", 2, &["field `user_password`", "hashed"]),
            (
                "collection = \"c\"\n[fields.a]\ntag = \"text\"\npaths = [\"$.a\",\n\"$.cvv\"]",
                5,
                &["field `a`", "path `$.cvv`", "PCI DSS"],
            ),
            (
                "collection = \"c\"\n[fields.a]\ntag = \"text\"\n[fields.b]\ntag = \"text\"\npaths = [\"$.a\"]",
                4,
                &["`a` and `b`", "can select the same value"],
            ),
            (
                "collection = \"c\"\n[fields.b]\ntag = \"text\"\npaths = [\"$.a\"]\n[fields.a]\ntag = \"text\"\npaths = [\n\"$.x\",\n\"$.a.b\"]",
                9,
                &["a path of `a`", "encrypted whole"],
            ),
            ("collection = \"c\"\n[fields.\"\"]\ntag = \"text\"", 2, &["name of a field is empty"]),
            (&format!("collection = \"c\"\n[fields.{long}]\ntag = \"text\""), 2, &["longer than 255 bytes"]),
            ("collection = \"c\"\n[fields.\"a\\nb\"]\ntag = \"text\"", 2, &["control character"]),
            ("collection = \"c\"\n[tags.own]\npad = 64", 3, &["unknown field `pad`"]),
            (
                "collection = \"c\"\n[tags.nick_name]\npad_to = 64\n[fields.a]\ntag = \"name\"",
                2,
                &["tag `nick_name` is declared, but no field has it"],
            ),
            (
                "collection = \"c\"\n[tags.own]\npad_to = 48\n[fields.a]\ntag = \"own\"",
                3,
                &["tag `own`", "power of two", "48"],
            ),
            ("collection = \"c\n[fields.a]\ntag = \"own\"", 1, &[]),
            ("collection = \"c\"\nfields = 7", 2, &["map"]),
            ("collection = \"c\"\n[[fields]]\ntag = \"text\"", 2, &["map"]),
        ] {
            let message = refusal(text);
            assert!(message.starts_with(&format!("policy, line {line}: ")), "line {line} of {text}\ngave: {message}");
            assert_says(&message, parts);
        }
    }

    #[test]
    fn a_line_is_counted_by_line_feeds_whatever_the_line_holds() {
        let message =
            refusal("# \u{674e}\u{1f600}\r\ncollection = \"\u{674e}\"\r\n\r\n[fields.phone]\r\ntag = \"fone\"\r\n");
        assert!(message.starts_with("policy, line 5: "), "{message}");
    }

    #[test]
    fn a_tag_of_ones_own_must_be_declared_and_a_declared_one_must_be_sound() {
        let own = "collection = \"c\"\n[tags.blood_type]\n[fields.blood]\ntag = \"blood_type\"";
        let policy = Policy::from_toml(own).unwrap();
        assert_eq!(policy.fields()[0].tag(), &Tag::custom("blood_type"));
        let unsound = "collection = \"c\"\n[tags.blood_type]\npad_to = 7\n[fields.phone]\ntag = \"phone\"";
        assert_says(&refusal(unsound), &["line 3", "blood_type", "power of two"]);
    }

    #[test]
    fn fields_come_in_the_order_of_the_file() {
        let text = "collection = \"c\"\n[fields.zeta]\ntag = \"text\"\n[fields.alpha]\ntag = \"text\"\n[fields.mid]\ntag = \"text\"";
        let policy = Policy::from_toml(text).unwrap();
        let names: Vec<_> = policy.fields().iter().map(Field::name).collect();
        assert_eq!(names, ["zeta", "alpha", "mid"]);
    }

    #[test]
    fn the_end_of_plaintext_is_a_moment_in_one_form() {
        let text = |moment: &str| {
            format!("collection = \"c\"\n[fields.phone]\ntag = \"phone\"\nallow_plaintext_until = {moment}")
        };
        Policy::from_toml(&text("2027-01-31T00:00:00Z")).unwrap();
        for bad in
            ["2027-01-31", "2027-01-31T00:00:00", "2027-01-31T00:00:00+08:00", "true", "\"2027-01-31T00:00:00Z\""]
        {
            assert_says(&refusal(&text(bad)), &["line 4"]);
        }
    }

    #[test]
    fn a_field_has_its_index_its_rules_and_its_mask() {
        use fieldseal::ErrorKind;
        use fieldseal::keys::{DataKey, Keys, SecretKey};
        use fieldseal::policy::{Reveal, Shown};

        let text = |rules: &str| format!("collection = \"c\"\n[fields.phone]\ntag = \"phone\"\n{rules}\n");
        let policy = Policy::from_toml(&text(
            "index = { normal_form = \"exact\", name = \"found_by\" }\nvalidate = { min_length = 3 }\nmask = \"hidden\"",
        ));
        let keys = |byte| Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[byte; 32])));
        let cipher = FieldCipher::new(policy.unwrap(), keys(7)).with_index_keys(keys(8)).unwrap();
        let stored = cipher.encrypt_json(br#"{"phone":"91234567"}"#).unwrap();
        assert!(String::from_utf8_lossy(&stored).contains(r#","found_by":"fi1."#));
        let masked = cipher.revealing(&Reveal::all(Shown::Masked)).decrypt_json(&stored).unwrap();
        assert!(!String::from_utf8_lossy(&masked).contains("4567"));
        assert_eq!(cipher.encrypt_json(br#"{"phone":"9"}"#).unwrap_err().kind(), ErrorKind::Validation);
        for (rules, said) in [
            ("index = { normal_form = \"exact\", bits = 4 }", "line 2: field `phone`: a blind index has 128 bits"),
            ("\nindex = { normal_form = \"none\" }", "line 5: field `phone`: "),
            ("index = { normal_form = \"exact\", length = 4 }", "line 4: "),
            ("validate = { canonical = \"none\" }", "line 4: field `phone`: "),
            ("mask = \"stars\"", "line 4: field `phone`: there is no mask `stars`"),
        ] {
            let message = Policy::from_toml(&text(rules)).unwrap_err().to_string();
            assert!(message.contains(said), "{rules}: {message}");
        }
    }

    #[test]
    fn what_is_written_of_a_field_is_all_that_was_read() {
        let rules = "\
            [fields.phone]\ntag = \"phone\"\nencrypt_null = true\nmask = \"hidden\"\n\n\
            [fields.phone.index]\nnormal_form = \"exact\"\nname = \"found_by\"\nbits = 9\naccept_frequency_leak = true\n\n\
            [fields.phone.validate]\nrequired = true\nplain_text = true\nmin_length = 3\nmax_length = 20\n\
            canonical = \"exact\"\n\n\
            [fields.remark]\ntag = \"text\"\nmask = \"phone\"\n";
        let read = Policy::from_toml(&format!("collection = \"c\"\n{rules}")).unwrap();
        let written = read.to_toml().unwrap();
        for line in rules.lines().flat_map(|line| line.split(" = ")) {
            assert!(written.contains(line.trim_matches(['[', ']'])), "{line} is missing in {written}");
        }
        assert_eq!(Policy::from_toml(&written).unwrap().to_toml().unwrap(), written);
    }

    #[test]
    fn a_strict_policy_says_what_becomes_of_untagged_values_and_where_not() {
        let text =
            |strict: &str| format!("collection = \"c\"\n\n[strict]\n{strict}\n\n[fields.phone]\ntag = \"phone\"\n");
        for strict in ["untagged = \"report\"", "untagged = \"refuse\"\nexcept = [\"$.order_number\", \"$..shop\"]"] {
            let policy = Policy::from_toml(&text(strict)).unwrap();
            assert_eq!(policy.to_toml().unwrap(), text(strict));
            let stored = cipher(policy).encrypt_json(br#"{"mail":"weiming.tan@example.sg"}"#);
            assert_eq!(stored.is_ok(), strict.contains("report"));
        }
        for (strict, said) in [
            ("untagged = \"warn\"", "line 4: "),
            ("except = [\"$.a\"]", "line 3: "),
            ("untagged = \"refuse\"\nexcept = [\"a\"]", "exception `a`, character 1"),
        ] {
            assert!(refusal(&text(strict)).contains(said), "{}", refusal(&text(strict)));
        }
    }

    #[test]
    fn a_normal_form_of_the_applications_own_is_found_by_its_name() {
        use fieldseal::policy::Normalizer;

        let plate = |version, suffix: &'static str| {
            Normalizer::custom("plate", version, move |text| Some(text.replace(' ', "") + suffix)).unwrap()
        };
        let text = "collection = \"c\"\n[fields.plate]\ntag = \"text\"\nindex = { normal_form = \"custom:plate\" }\n\
                    validate = { canonical = \"custom:plate\" }\n[fields.town]\ntag = \"text\"\n[compound_indexes]\n\
                    both = [{ field = \"plate\", normal_form = \"custom:plate\" }, { field = \"town\", normal_form = \"exact\" }]\n";
        let other = Normalizer::custom("other", 1, |_| None).unwrap();
        let policy = Policy::from_toml_with(text, &[other.clone(), plate(2, "!")]).unwrap();
        let keys = |byte| Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[byte; 32])));
        let cipher = FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap();
        let stored = cipher.encrypt_json(br#"{"plate":"SBA 1","town":"Bedok"}"#).unwrap();
        assert_eq!(cipher.decrypt_json(&stored).unwrap(), br#"{"plate":"SBA1!","town":"Bedok"}"#);
        let stored = String::from_utf8(stored).unwrap();
        assert!(stored.contains("\"plate_index\":") && stored.contains("\"both\":"), "{stored}");

        for (normalizers, said) in [
            (&[][..], "line 9: the normal form `custom:plate` is a function"),
            (&[other][..], "give it to `Policy::from_toml_with`"),
            (&[plate(1, ""), plate(2, "")][..], "line 9: there are several normal forms `custom:plate`"),
        ] {
            let message = Policy::from_toml_with(text, normalizers).unwrap_err().to_string();
            assert!(message.contains(said), "{message}");
        }
    }

    #[cfg(feature = "normal-forms")]
    #[test]
    fn an_email_is_read_with_what_its_index_ignores() {
        let text = |form: &str| {
            format!(
                "collection = \"c\"\n\n[fields.email]\ntag = \"email\"\n\n[fields.email.index]\nnormal_form = \"{form}\"\n"
            )
        };
        for (form, written) in [
            ("email", "email"),
            ("email:ignore_case", "email:ignore_case"),
            ("email:ignore_subaddress+ignore_dots+ignore_case", "email:ignore_case+ignore_dots+ignore_subaddress"),
            ("phone:SG", "phone:SG"),
        ] {
            let policy = Policy::from_toml(&text(form)).unwrap();
            assert_eq!(policy.to_toml().unwrap(), text(written));
        }
        let keys = |byte| Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[byte; 32])));
        let policy = Policy::from_toml(&text("email:ignore_case")).unwrap();
        let cipher = FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap();
        let index = |text: &str| cipher.blind_index("email", text).unwrap();
        assert_eq!(index("Wei.Ming@example.sg"), index("wei.ming@EXAMPLE.sg"));
        assert_ne!(index("wei.ming@example.sg"), index("weiming@example.sg"));
        let parameters =
            "collection = \"c\"\n\n[fields.email]\ntag = \"email\"\nparameters = [\"contact\", \"login\"]\n";
        assert_eq!(Policy::from_toml(parameters).unwrap().to_toml().unwrap(), parameters);
        for form in ["email:", "email:ignore_spaces", "email:ignore_case+", "email:ignore_case,ignore_dots"] {
            let message = Policy::from_toml(&text(form)).unwrap_err().to_string();
            assert!(message.contains("behind the colon stand ignore_case"), "{message}");
        }
    }
}
