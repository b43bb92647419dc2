//! Proves that a blind index finds equal values and nothing else, that it comes and goes without touching another byte,
//! and that nobody can send one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;

use fieldseal::keys::{DataKey, Keyring, KeyringFile, Keys, LocalKek, SecretKey, Timing};
use fieldseal::policy::{BlindIndex, Normalizer};
use fieldseal::{Error, ErrorKind, Field, FieldCipher, Policy, Scope, Tag};
use proptest::prelude::*;
use serde_json::Value;

fn keys(byte: u8) -> Keys {
    Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[byte; 32])))
}

/// Digits alone count, as for a telephone number.
fn digits() -> Normalizer {
    let digits = |text: &str| Some(text.chars().filter(char::is_ascii_digit).collect());
    Normalizer::custom("digits", 1, digits).unwrap()
}

fn phone(collection: &str, field: &str, index: BlindIndex) -> Policy {
    let field = Field::new(field, Tag::Phone).path("$..phone").blind_index(index);
    Policy::builder(collection).field(Field::new("name", Tag::Name)).field(field).build().unwrap()
}

fn cipher_of(policy: Policy) -> FieldCipher {
    FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap()
}

fn cipher() -> FieldCipher {
    cipher_of(phone("customers", "phone", BlindIndex::new(digits())))
}

fn encrypted(document: &str) -> String {
    String::from_utf8(cipher().encrypt_json(document.as_bytes()).unwrap()).unwrap()
}

fn term(cipher: &FieldCipher, text: &str) -> String {
    let lookup = cipher.lookup("phone", text).unwrap();
    assert!(lookup.is_exact());
    assert_eq!(lookup.terms().len(), 1);
    lookup.terms()[0].clone()
}

/// Computed by another implementation: HKDF-SHA-256 and HMAC-SHA-256 of Python's standard library, see `docs::index`.
#[test]
fn an_index_has_the_specified_bytes() {
    let policy = phone("customers", "phone", BlindIndex::new(Normalizer::exact()));
    assert_eq!(term(&cipher_of(policy), "+6591234567"), "fi1.j-4nfHhKDL-xMWUAu7pe7Qw");
}

#[test]
fn the_index_stands_behind_its_token_and_leaves_with_it() {
    let document = r#"{ "id" : 7, "phone" : "+65 9123 4567" , "vip":true }"#;
    let stored = encrypted(document);
    let index = term(&cipher(), "6591234567");
    assert!(stored.contains(&format!(r#"","phone_index":"{index}" , "vip":true }}"#)), "{stored}");
    assert_eq!(index.len(), 27);
    assert_eq!(cipher().decrypt_json(stored.as_bytes()).unwrap(), document.as_bytes());
}

#[test]
fn wherever_storage_puts_the_index_it_leaves_no_trace() {
    let token = cipher().encrypt_value("phone", "1").unwrap();
    for (stored, shown) in [
        (r#"{"phone_index":"x","phone":"T"}"#, r#"{"phone":"1"}"#),
        (r#"{ "phone_index" : "x" , "a":1}"#, r#"{  "a":1}"#),
        (r#"{"phone_index":"x"}"#, "{}"),
        (r#"{"phone_index":null,"phone_index":"x"}"#, "{}"),
        (r#"{"phone_index":"x","phone_index":"y","a":1}"#, r#"{"a":1}"#),
        (
            r#"{"a":[1,{"phone_index":{"deep":[1,"]}"]},"b":2},{"phone":"T","phone_index":7}]}"#,
            r#"{"a":[1,{"b":2},{"phone":"1"}]}"#,
        ),
        (r#"{"a":1,"phone\u005findex":"x","b":{"c":2}}"#, r#"{"a":1,"b":{"c":2}}"#),
        (r#"{"a":{"b":1},"phone_index":"x"}"#, r#"{"a":{"b":1}}"#),
        (r#"["phone_index","x"]"#, r#"["phone_index","x"]"#),
        (r#"{"phone_indexes":1,"Phone_index":2}"#, r#"{"phone_indexes":1,"Phone_index":2}"#),
    ] {
        let stored = stored.replace("\"T\"", &format!("\"{token}\""));
        let whole = cipher().decrypt_json(stored.as_bytes()).unwrap();
        assert_eq!(str::from_utf8(&whole).unwrap(), shown, "{stored}");
        for length in 1..stored.len() {
            // What was finished is handed on at once, as a body that flows is.
            let (mut stream, mut all) = (cipher().json_decryptor(), Vec::new());
            for chunk in stored.as_bytes().chunks(length) {
                let mut out = Vec::new();
                stream.feed(chunk, &mut out).unwrap();
                all.extend(out);
            }
            stream.finish(&mut all).unwrap();
            assert_eq!(str::from_utf8(&all).unwrap(), shown, "{stored} in pieces of {length}");
        }
    }
}

#[test]
fn a_long_name_is_not_held_and_endless_white_space_is_refused() {
    let document = format!("{{\"{}\":1,\"b\":2}}", "n".repeat(200_000));
    let (mut stream, mut all) = (cipher().json_decryptor(), Vec::new());
    for chunk in document.as_bytes().chunks(1000) {
        stream.feed(chunk, &mut all).unwrap();
    }
    stream.finish(&mut all).unwrap();
    assert_eq!(all, document.as_bytes());
    let document = format!("{{\"a\":1,{}\"b\":2}}", " ".repeat(200_000));
    let mut stream = cipher().json_decryptor();
    let error = document.as_bytes().chunks(1000).try_for_each(|chunk| stream.feed(chunk, &mut Vec::new())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
}

#[test]
fn no_value_has_no_index_and_takes_the_stored_one_away() {
    assert_eq!(encrypted(r#"{"phone":null}"#), r#"{"phone":null,"phone_index":null}"#);
    assert!(encrypted(r#"{"phone":"none"}"#).ends_with(r#","phone_index":null}"#));
    let patch = cipher().encrypt_merge_patch(br#"{"phone":null}"#).unwrap();
    assert_eq!(patch, br#"{"phone":null,"phone_index":null}"#);
    assert_eq!(cipher().blind_index("phone", "none").unwrap(), None);
    assert_eq!(cipher().lookup("phone", "none").unwrap_err().kind(), ErrorKind::InvalidValue);
}

#[test]
fn an_index_that_is_sent_is_refused() {
    let index = term(&cipher(), "91234567");
    for document in [
        format!(r#"{{"phone_index":"{index}"}}"#),
        r#"{"a":[{"phone_inde\u0078":null}]}"#.to_owned(),
        r#"{"phone":"1","phone_index":{"a":1}}"#.to_owned(),
    ] {
        for result in [cipher().encrypt_json(document.as_bytes()), cipher().encrypt_merge_patch(document.as_bytes())] {
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.to_string().contains("`phone_index`")), (ErrorKind::Refused, true));
        }
    }
    for operation in [
        r#"{"op":"add","path":"/phone_index","value":"x"}"#,
        r#"{"op":"remove","path":"/phone_index"}"#,
        r#"{"op":"copy","from":"/a/phone_index","path":"/phone_index"}"#,
        r#"{"op":"test","path":"/phone_index","value":"x"}"#,
        r#"{"op":"move","from":"/a/phone","path":"/phone"}"#,
        r#"{"op":"add","path":"/customer","value":{"phone_index":1}}"#,
    ] {
        let error = cipher().encrypt_json_patch(format!("[{operation}]").as_bytes()).expect_err(operation);
        assert_eq!(error.kind(), ErrorKind::Refused, "{operation}");
    }
}

#[test]
fn a_json_patch_changes_the_index_with_the_value() {
    let index = term(&cipher(), "91234567");
    let patch = br#"[{"op":"replace","path":"/a~1b/phone","value":"9123 4567"},{"op":"remove","path":"/phone"},{"op":"add","path":"/x","value":[{"phone":"9123-4567"}]}]"#;
    let patch: Value = serde_json::from_slice(&cipher().encrypt_json_patch(patch).unwrap()).unwrap();
    let operations = patch.as_array().unwrap();
    let said = |at: usize, name: &str| operations[at][name].as_str().unwrap();
    assert_eq!(operations.len(), 5);
    assert!(said(0, "value").starts_with("fs1."));
    assert_eq!((said(1, "op"), said(1, "path"), said(1, "value")), ("add", "/a~1b/phone_index", &*index));
    assert_eq!((said(2, "op"), said(3, "path"), &operations[3]["value"]), ("remove", "/phone_index", &Value::Null));
    assert_eq!(operations[4]["value"][0]["phone_index"], index);
}

#[test]
fn what_is_no_text_has_no_index() {
    for value in ["7", "{\"a\":1}", "[1]", "true", r#""\ud800""#] {
        let error = cipher().encrypt_json(format!("{{\"phone\":{value}}}").as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{value}");
    }
    let policy = phone("customers", "phone", BlindIndex::new(Normalizer::custom("none", 1, |_| None).unwrap()));
    let error = cipher_of(policy).encrypt_json(br#"{"phone":"+65 9123 4567"}"#).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.to_string(), "the value of `phone` has no normal form `custom:none@1`");
}

#[test]
fn a_value_too_long_for_an_index_is_refused() {
    let cipher = cipher_of(phone("customers", "phone", BlindIndex::new(Normalizer::exact())));
    let document = |length: usize| format!("{{\"phone\":\"{}\"}}", "1".repeat(length));
    cipher.encrypt_json(document(65_535).as_bytes()).unwrap();
    assert_eq!(cipher.encrypt_json(document(65_536).as_bytes()).unwrap_err().kind(), ErrorKind::Refused);
    let long = "1".repeat(65_536);
    assert_eq!(cipher.blind_index("phone", &long).unwrap_err().kind(), ErrorKind::InvalidValue);
    assert_eq!(cipher.lookup("phone", &long).unwrap_err().kind(), ErrorKind::InvalidValue);
}

#[test]
fn nothing_is_encrypted_without_the_keys_for_its_index() {
    let cipher = FieldCipher::new(phone("customers", "phone", BlindIndex::new(digits())), keys(7));
    let error = cipher.encrypt_json(br#"{"phone":"1"}"#).unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("with_index_keys")), (ErrorKind::KeyUnavailable, true));
    assert_eq!(cipher.with_index_keys(keys(7)).unwrap_err().kind(), ErrorKind::Keyring);
}

#[test]
fn every_place_has_indexes_of_its_own() {
    let new = || BlindIndex::new(digits());
    let other_form = Normalizer::custom("digits", 2, |text| Some(text.chars().filter(char::is_ascii_digit).collect()));
    let customers = cipher();
    let terms = [
        term(&customers, "1"),
        term(&cipher_of(phone("staff", "phone", new())), "1"),
        term(&cipher_of(phone("customers", "phone", new().named("phone_hash"))), "1"),
        term(&cipher_of(phone("customers", "phone", BlindIndex::new(other_form.unwrap()))), "1"),
        term(&customers.in_scope(Scope::new().tenant("acme")).unwrap(), "1"),
        term(&customers.in_scope(Scope::new().tenant("globex")).unwrap(), "1"),
        term(&FieldCipher::new(phone("customers", "phone", new()), keys(7)).with_index_keys(keys(9)).unwrap(), "1"),
        cipher_of(phone("customers", "mobile", new())).lookup("mobile", "1").unwrap().terms()[0].clone(),
        term(&customers, "2"),
    ];
    assert_eq!(terms.iter().collect::<HashSet<_>>().len(), terms.len());
    assert!(customers.in_scope(Scope::new().tenant("")).unwrap().lookup("phone", "1").is_err());
}

#[test]
fn a_truncated_index_is_checked_after_decryption() {
    let cipher = cipher_of(phone("customers", "phone", BlindIndex::truncated(digits(), 9)));
    let mut by_index = std::collections::HashMap::<String, Vec<String>>::new();
    for number in 0..3000 {
        let value = number.to_string();
        let index = cipher.blind_index("phone", &value).unwrap().unwrap();
        by_index.entry(index).or_default().push(value);
    }
    assert!((300..=512).contains(&by_index.len()), "{} indexes of 9 bits", by_index.len());
    let lookup = cipher.lookup("phone", "1 7").unwrap();
    assert!(!lookup.is_exact());
    let found: Vec<String> = by_index[&lookup.terms()[0]]
        .iter()
        .filter_map(|value| lookup.confirm(cipher.encrypt_value("phone", value).unwrap()).unwrap())
        .collect();
    assert!(by_index[&lookup.terms()[0]].len() > 1);
    assert_eq!(found, ["17"]);
}

#[test]
fn a_value_falls_into_classes_that_a_lookup_asks_for_all() {
    let cipher = cipher_of(phone("customers", "phone", BlindIndex::new(digits()).partitions(4)));
    let stored: HashSet<_> = (0..200).map(|_| cipher.blind_index("phone", "1").unwrap().unwrap()).collect();
    let asked: HashSet<_> = cipher.lookup("phone", "1").unwrap().terms().iter().cloned().collect();
    assert_eq!((stored.len(), &stored), (4, &asked));
}

#[tokio::test]
async fn a_lookup_goes_on_finding_rows_while_the_index_key_is_rotated() -> Result<(), Error> {
    let directory = tempfile::tempdir().unwrap();
    let kek = || LocalKek::new(&SecretKey::from_bytes(&[1; 32]));
    let store = || KeyringFile::new(directory.path().join("index.json"));
    let mut keyring = Keyring::create("customers-index", &kek()).await?;
    keyring.set_timing(Timing::single_process())?;
    keyring.save(&store()).await?;
    let policy = phone("customers", "phone", BlindIndex::new(digits()));
    let keys = Keys::open(store(), kek()).await?;
    let cipher = FieldCipher::new(policy, self::keys(7)).with_index_keys(keys.clone())?;
    let old = cipher.blind_index("phone", "1")?.unwrap();
    let new = keyring.add_key(&kek()).await?;
    keyring.promote(new)?;
    keyring.save(&store()).await?;
    keys.reload().await?;
    let fresh = cipher.blind_index("phone", "1")?.unwrap();
    assert_ne!(old, fresh);
    let asked: HashSet<_> = cipher.lookup("phone", "1")?.terms().iter().cloned().collect();
    assert_eq!(asked, HashSet::from([old, fresh]));
    Ok(())
}

#[test]
fn an_index_that_would_give_values_away_is_refused_with_a_reason() {
    let build = |name: &str, tag: Tag, index: BlindIndex, paths: &[&str]| {
        let field = paths.iter().fold(Field::new(name, tag), |field, path| field.path(*path));
        Policy::builder("customers")
            .field(field.blind_index(index))
            .build()
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let new = || BlindIndex::new(Normalizer::exact());
    for (name, tag, index, paths, said) in [
        ("card_last4", Tag::CardFragment, new(), &[][..], "10,000"),
        ("born", Tag::DateOfBirth, new(), &[], "36,500"),
        ("name", Tag::Name, new(), &[], "common"),
        ("post_code", Tag::Text, new(), &[], "few values"),
        ("phone", Tag::Phone, new(), &["$..phone", "$..mobile"], "end in one name"),
        ("phone", Tag::Phone, new(), &["$.phones[*]"], "end in one name"),
        ("phone", Tag::Phone, new().named("a\"b"), &[], "quote"),
        ("phone", Tag::Phone, new().named("phone"), &[], "phone"),
        ("phone", Tag::Phone, new().partitions(0), &[], "classes"),
        ("phone", Tag::Phone, BlindIndex::truncated(Normalizer::exact(), 4), &[], "8 to 64"),
    ] {
        let message = build(name, tag, index, paths).unwrap_err();
        assert!(message.contains(said), "{message}");
    }
    build("name", Tag::Name, new().accept_frequency_leak(), &[]).unwrap();
    build("phone", Tag::Phone, new(), &["$.a.phone", "$.b[*].phone"]).unwrap();
}

#[test]
fn debug_shows_no_value() {
    let lookup = cipher().lookup("phone", "91234567").unwrap();
    let shown = format!("{lookup:?} {:?} {:?}", cipher(), BlindIndex::new(digits()));
    assert!(!shown.contains("9123") && !shown.contains(&lookup.terms()[0]), "{shown}");
}

proptest! {
    #[test]
    fn one_number_in_any_spelling_has_one_index(digits in "[0-9]{4,12}", blanks in "[ ()+-]{12}") {
        let spelled: String = digits.chars().zip(blanks.chars().cycle()).flat_map(|(a, b)| [b, a]).collect();
        prop_assert_eq!(term(&cipher(), &spelled), term(&cipher(), &digits));
        prop_assert_ne!(term(&cipher(), &format!("{digits}0")), term(&cipher(), &digits));
    }

    #[test]
    fn a_document_comes_back_byte_for_byte(
        before in "[ \\t]{0,3}", name in "[a-z]{1,8}", value in "[^\"\\\\\\x00-\\x1f]{0,40}", after in "[ \\n]{0,3}", length in 1..40_usize,
    ) {
        let document = format!("{{{before}\"{name}\":{before}[{{\"phone\"{before}:{after}\"{value}\"{before}}},1]{after},\"phone\":null}}");
        let stored = cipher().encrypt_json(document.as_bytes()).unwrap();
        prop_assert_eq!(&cipher().decrypt_json(&stored).unwrap(), document.as_bytes());
        let (mut stream, mut all) = (cipher().json_decryptor(), Vec::new());
        for chunk in stored.chunks(length) {
            stream.feed(chunk, &mut all).unwrap();
        }
        stream.finish(&mut all).unwrap();
        prop_assert_eq!(&all, document.as_bytes());
    }
}
