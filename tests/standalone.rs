//! Proves what the standalone API promises for values, records, documents and lines: what opens where, what is refused,
//! how long tokens are, and that neither errors nor `Debug` show a value.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashSet};
use std::error::Error as StdError;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fieldseal::audit::{Audit, AuditEvent, AuditKind};
use fieldseal::keys::{DataKey, KeyId, Keys, SecretKey};
use fieldseal::{Error, ErrorKind, Field, FieldCipher, JsonStream, Policy, Scope, Tag};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// The longest JSON text that a token holds.
const LONGEST: usize = 1 << 20;

fn data_key(byte: u8) -> DataKey {
    DataKey::new(&SecretKey::from_bytes(&[byte; 32]))
}

fn keys(byte: u8) -> Keys {
    Keys::from_data_key(data_key(byte))
}

fn policy_of(collection: &str) -> Policy {
    Policy::builder(collection)
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone))
        .field(Field::new("email", Tag::Email))
        .field(Field::new("address", Tag::Address))
        .field(Field::new("card", Tag::CardFragment))
        .field(Field::new("national_id", Tag::NationalId))
        .field(Field::new("born", Tag::DateOfBirth))
        .field(Field::new("note", Tag::Text))
        .build()
        .unwrap()
}

fn cipher() -> FieldCipher {
    FieldCipher::new(policy_of("customers"), keys(7))
}

/// Kind, collection, field, key id.
type Event = (AuditKind, String, String, Option<KeyId>);

/// Keeps the events.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Event>>>);

impl Audit for Log {
    fn record(&self, event: &AuditEvent<'_>) {
        let (collection, field) = (event.collection.to_owned(), event.field.to_owned());
        self.0.lock().unwrap().push((event.kind, collection, field, event.key_id));
    }
}

impl Log {
    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn stream(mut stream: JsonStream, input: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    stream.feed(input, &mut out)?;
    stream.finish(&mut out)?;
    Ok(out)
}

/// Finds the tokens in a text.
fn tokens(text: &[u8]) -> Vec<&str> {
    let text = str::from_utf8(text).unwrap();
    text.match_indices("\"fs1.").map(|(at, _)| text[at + 1..].split('"').next().unwrap()).collect()
}

/// The 16 characters of a token that its nonce prefix is written in.
fn prefix(token: &str) -> &str {
    &token[16..32]
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Customer {
    id: u64,
    name: String,
    phone: Option<String>,
    address: Address,
    note: f64,
    vip: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Address {
    lines: Vec<String>,
    postcode: u32,
}

fn customer() -> Customer {
    Customer {
        id: 7,
        name: "Tan \"Wei\" Ming \\ \u{674e}\n\u{1f600}\u{0}".to_owned(),
        phone: Some("+65 9123 4567".to_owned()),
        address: Address { lines: vec!["1 Raffles Place".to_owned(), String::new()], postcode: 48616 },
        note: 1.5e300,
        vip: true,
    }
}

// Values

#[test]
fn values_of_every_serde_type_come_back() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Unit,
        New(u8),
        Tuple(u8, String),
        Struct { a: Option<bool> },
    }

    #[track_caller]
    fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
        let cipher = cipher();
        let text = cipher.encrypt_value("note", value).unwrap();
        assert_eq!(cipher.decrypt_value::<T>("note", &text).unwrap(), *value);
        let binary = cipher.encrypt_value_to_bytes("note", value).unwrap();
        assert_eq!(cipher.decrypt_value::<T>("note", &binary).unwrap(), *value);
    }

    check(&"Tan Wei Ming".to_owned());
    check(&String::new());
    check(&"\"\\\u{0}\u{1f}\u{7f}\u{e9}\u{674e}\u{1f600}".to_owned());
    check(&'\u{1f600}');
    check(&u64::MAX);
    check(&i64::MIN);
    check(&u128::MAX);
    check(&0.1f64);
    check(&f64::MIN_POSITIVE);
    check(&-0.0f32);
    check(&true);
    check(&());
    check(&None::<String>);
    check(&Some("x".to_owned()));
    check(&vec![1, 2, 3]);
    check(&Vec::<u8>::new());
    check(&(1, "a".to_owned(), [false; 3]));
    check(&BTreeMap::from([("a".to_owned(), 1), (String::new(), 2)]));
    check(&[Kind::Unit, Kind::New(1), Kind::Tuple(2, "x".to_owned()), Kind::Struct { a: Some(true) }]);
    check(&customer());
    check(&serde_json::json!({"b": [1, {"c": null}], "a": "x"}));
}

#[test]
fn a_value_comes_back_as_the_same_json_text() {
    let cipher = cipher();
    for text in [
        "1.10",
        "1e400",
        "123456789012345678901234567890",
        "\"\\u0041\\/\\ud800\"",
        "{\"a\":1,\"a\":2}",
        "[ 1 ,2]",
        "-0",
    ] {
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        let token = cipher.encrypt_value("note", &raw).unwrap();
        let opened: Box<RawValue> = cipher.decrypt_value("note", &token).unwrap();
        assert_eq!(opened.get(), text);
        assert_eq!(
            cipher.decrypt_json(format!("{{\"note\":\"{token}\"}}").as_bytes()).unwrap(),
            format!("{{\"note\":{text}}}").as_bytes()
        );
    }
}

#[test]
fn both_forms_of_a_token_open_and_name_the_key() {
    let cipher = cipher();
    let id = data_key(7).id();
    let text = cipher.encrypt_value("phone", "+65 9123 4567").unwrap();
    let binary = cipher.encrypt_value_to_bytes("phone", "+65 9123 4567").unwrap();
    assert_eq!((text.len(), binary.len()), (112, 81));
    assert!(text.starts_with(&id.token_prefix()));
    assert_eq!(binary[0], 1);
    assert_eq!(u64::from_be_bytes(binary[1..9].try_into().unwrap()), u64::from_str_radix(&id.to_string(), 16).unwrap());
    for token in [text.as_bytes(), &binary] {
        assert_eq!(cipher.decrypt_value::<String>("phone", token).unwrap(), "+65 9123 4567");
    }
}

#[test]
fn the_values_of_a_row_share_a_prefix_and_open_one_by_one() {
    let cipher = cipher();
    let mut row = cipher.value_encryptor();
    let stored =
        [row.encrypt("name", "a").unwrap(), row.encrypt("phone", "b").unwrap(), row.encrypt("email", "c").unwrap()];
    assert!(stored.iter().all(|token| prefix(token) == prefix(&stored[0])));
    let other = cipher.value_encryptor().encrypt("name", "a").unwrap();
    assert_ne!(prefix(&other), prefix(&stored[0]));
    let mut row = cipher.value_decryptor();
    for (field, token, value) in
        [("phone", &stored[1], "b"), ("name", &stored[0], "a"), ("name", &other, "a"), ("email", &stored[2], "c")]
    {
        assert_eq!(row.decrypt::<String>(field, token).unwrap(), value);
    }
    assert_eq!(row.decrypt::<String>("name", &stored[1]).unwrap_err().kind(), ErrorKind::Decryption);
    assert_eq!(row.decrypt::<String>("name", &stored[0]).unwrap(), "a", "a failure before changes nothing");
}

#[test]
fn a_value_encryptor_goes_on_after_a_refusal() {
    let cipher = cipher();
    let mut row = cipher.value_encryptor();
    let token = row.encrypt("name", "a").unwrap();
    assert_eq!(row.encrypt("name", &token).unwrap_err().kind(), ErrorKind::TokenSubmitted);
    assert_eq!(row.encrypt("nobody", "x").unwrap_err().kind(), ErrorKind::InvalidValue);
    assert_eq!(row.encrypt("name", &"x".repeat(LONGEST)).unwrap_err().kind(), ErrorKind::TooLarge);
    let next = row.encrypt("name", "b").unwrap();
    assert_eq!(cipher.decrypt_value::<String>("name", next).unwrap(), "b");
}

#[test]
fn a_field_that_the_policy_does_not_have_is_named() {
    let cipher = cipher();
    let token = cipher.encrypt_value("phone", "x").unwrap();
    for field in ["nobody", "", "Phone", "phone "] {
        let encrypt = cipher.encrypt_value(field, "x").unwrap_err();
        let decrypt = cipher.decrypt_value::<String>(field, &token).unwrap_err();
        for error in [encrypt, decrypt] {
            assert_eq!(error.kind(), ErrorKind::InvalidValue);
            assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
        }
    }
}

// Documents, records, lines

#[test]
fn records_come_back_and_untagged_members_stay_readable() {
    let cipher = cipher();
    let stored = cipher.encrypt_record(&customer()).unwrap();
    assert_eq!(cipher.decrypt_record::<Customer>(&stored).unwrap(), customer());
    let seen: serde_json::Value = serde_json::from_str(&stored).unwrap();
    assert_eq!((&seen["id"], &seen["vip"]), (&7.into(), &true.into()));
    for field in ["name", "phone", "address", "note"] {
        assert!(seen[field].as_str().unwrap().starts_with("fs1."), "{field}");
    }
    let absent = Customer { phone: None, ..customer() };
    let stored = cipher.encrypt_record(&absent).unwrap();
    assert!(stored.contains("\"phone\":null"));
    assert_eq!(cipher.decrypt_record::<Customer>(stored.as_bytes()).unwrap(), absent);
    let list = vec![customer(), absent];
    assert_eq!(cipher.decrypt_record::<Vec<Customer>>(cipher.encrypt_record(&list).unwrap()).unwrap(), list);
}

#[test]
fn a_document_and_its_values_are_the_same_tokens() {
    let cipher = cipher();
    let token = cipher.encrypt_value("phone", "+65 9123 4567").unwrap();
    let document = format!("{{\"phone\":\"{token}\"}}");
    assert_eq!(cipher.decrypt_json(document.as_bytes()).unwrap(), br#"{"phone":"+65 9123 4567"}"#);
    let stored = cipher.encrypt_json(br#"{"phone":"+65 9123 4567"}"#).unwrap();
    assert_eq!(cipher.decrypt_value::<String>("phone", tokens(&stored)[0]).unwrap(), "+65 9123 4567");
}

#[test]
fn a_token_is_opened_only_where_the_policy_tags_it() {
    let cipher = cipher();
    let token = cipher.encrypt_value("phone", "+65 9123 4567").unwrap();
    let document = format!("{{\"bio\":\"{token}\",\"list\":[\"{token}\"],\"{token}\":1,\"phone\":\"{token}\"}}");
    let opened = cipher.decrypt_json(document.as_bytes()).unwrap();
    let expected = document.replace(&format!("\"phone\":\"{token}\""), "\"phone\":\"+65 9123 4567\"");
    assert_eq!(opened, expected.as_bytes());
}

#[test]
fn a_stored_token_opens_however_it_is_spelled() {
    let cipher = cipher();
    let stored = String::from_utf8(cipher.encrypt_json(br#"{"phone":"+65 9123 4567"}"#).unwrap()).unwrap();
    let token = tokens(stored.as_bytes())[0];
    let escaped = |at: usize| format!("{}\\u{:04x}{}", &token[..at], token.as_bytes()[at], &token[at + 1..]);
    for at in 0..token.len() {
        let stored = stored.replace(token, &escaped(at));
        assert_eq!(cipher.decrypt_json(stored.as_bytes()).unwrap(), br#"{"phone":"+65 9123 4567"}"#, "{at}");
    }
    for spoilt in [format!("{token}\\n"), format!("{}\\ud800", &token[..token.len() - 1])] {
        let error = cipher.decrypt_json(stored.replace(token, &spoilt).as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decryption);
    }
}

#[test]
fn what_a_token_holds_is_not_looked_at_again() {
    let cipher = cipher();
    let token = cipher.encrypt_value("phone", "x").unwrap();
    for value in [format!("\" {token}\""), format!("\"{token}{token}\""), format!("\"\\n{token}.\"")] {
        let document = format!("{{\"phone\":{value}}}");
        let stored = cipher.encrypt_json(document.as_bytes()).unwrap();
        assert_eq!(tokens(&stored).len(), 1);
        assert_eq!(cipher.decrypt_json(&stored).unwrap(), document.as_bytes());
    }
}

#[test]
fn what_is_not_a_token_is_told_on_the_way_out() {
    let log = Log::default();
    let cipher = cipher().with_audit(log.clone());
    for value in [
        "\"+65 9123 4567\"",
        "\"\"",
        "7",
        "true",
        "false",
        "[]",
        "{}",
        "[null]",
        "\"FS1.AAAA\"",
        "\"fs1\"",
        "\" fs1.\"",
        "\"\\ud800\"",
    ] {
        let error = cipher.decrypt_json(format!("{{\"phone\":{value}}}").as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotEncrypted, "{value}");
        assert!(error.to_string().contains("`phone`"), "{error}");
        assert_eq!(log.take(), [(AuditKind::NotEncrypted, "customers".to_owned(), "phone".to_owned(), None)]);
    }
    let nothing = br#"{"phone":null}"#;
    assert_eq!(cipher.decrypt_json(nothing).unwrap(), nothing);
}

#[test]
fn a_merge_patch_removes_encrypts_or_is_refused() {
    let policy = Policy::builder("customers")
        .field(Field::new("phone", Tag::Phone).encrypt_null())
        .field(Field::new("address", Tag::Address))
        .build();
    let cipher = FieldCipher::new(policy.unwrap(), keys(7));
    let patch = cipher.encrypt_merge_patch(br#"{"phone":null,"address":"x","nickname":{"a":null}}"#).unwrap();
    let text = String::from_utf8(patch).unwrap();
    assert!(
        text.starts_with(r#"{"phone":null,"address":"fs1."#) && text.ends_with(r#","nickname":{"a":null}}"#),
        "{text}"
    );
    for patch in
        [r#"{"address":{"postcode":"1"}}"#, r#"{"address":{}}"#, r#"{"x":{"address": {"a":1}}}"#, "{\"address\":\t{}}"]
    {
        assert_eq!(cipher.encrypt_merge_patch(patch.as_bytes()).unwrap_err().kind(), ErrorKind::Refused, "{patch}");
    }
    assert!(cipher.encrypt_merge_patch(br#"{"address":[{}]}"#).is_ok());
}

#[test]
fn each_line_is_a_document_of_its_own() {
    let cipher = cipher();
    let lines =
        b"{\"name\":\"a\",\"phone\":\"b\"}\n\n{\"name\":\"c\",\"phone\":\"d\"}\r\n[{\"name\":1},{\"name\":2}]\n";
    let stored = stream(cipher.ndjson_encryptor(), lines).unwrap();
    assert_eq!(stream(cipher.ndjson_decryptor(), &stored).unwrap(), lines);
    let prefixes: Vec<_> = tokens(&stored).into_iter().map(prefix).collect();
    assert_eq!(prefixes.len(), 6);
    for pair in prefixes.chunks(2) {
        assert_eq!(pair[0], pair[1], "the values of one line share a prefix");
    }
    assert_eq!(prefixes.iter().collect::<HashSet<_>>().len(), 3, "no two lines share one");
    // Lines may be taken out, put in another order, or read as documents.
    for line in stored.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        cipher.decrypt_json(line).unwrap();
    }
}

// Nonces

#[test]
fn one_document_shares_a_prefix_and_two_never_do() {
    let cipher = cipher();
    let document = br#"[{"name":"a","phone":"b"},{"name":"c"}]"#;
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let stored = cipher.encrypt_json(document).unwrap();
        let prefixes: HashSet<_> = tokens(&stored).into_iter().map(|token| prefix(token).to_owned()).collect();
        assert_eq!(prefixes.len(), 1);
        assert!(seen.insert(prefixes.into_iter().next().unwrap()), "two documents share a prefix");
    }
}

#[test]
fn a_policy_can_ask_for_a_prefix_for_each_field() {
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone))
        .fresh_prefix_per_field();
    let cipher = FieldCipher::new(policy.build().unwrap(), keys(7));
    let document = br#"[{"name":"a","phone":"b"},{"name":"c","phone":"d"}]"#;
    let stored = cipher.encrypt_json(document).unwrap();
    let lines = stream(cipher.ndjson_encryptor(), document).unwrap();
    let mut row = cipher.value_encryptor();
    let row = [row.encrypt("name", "a").unwrap(), row.encrypt("phone", "b").unwrap()];
    let all = tokens(&stored).into_iter().chain(tokens(&lines)).chain(row.iter().map(String::as_str));
    let prefixes: Vec<_> = all.map(prefix).collect();
    assert_eq!((prefixes.len(), prefixes.iter().collect::<HashSet<_>>().len()), (10, 10));
    assert_eq!(cipher.decrypt_json(&stored).unwrap(), document);
}

#[test]
fn a_prefix_serves_65536_values_and_no_more() {
    let policy = Policy::builder("numbers").field(Field::new("number", Tag::Text).path("$[*]")).build().unwrap();
    let cipher = FieldCipher::new(policy, keys(7));
    let count = (1 << 16) + 3;
    let document = format!("[{}]", vec!["7"; count].join(","));
    let stored = cipher.encrypt_json(document.as_bytes()).unwrap();
    let tokens = tokens(&stored);
    assert_eq!(tokens.len(), count);
    assert!(tokens[..1 << 16].iter().all(|token| prefix(token) == prefix(tokens[0])));
    assert!(tokens[1 << 16..].iter().all(|token| prefix(token) == prefix(tokens[1 << 16])));
    assert_ne!(prefix(tokens[0]), prefix(tokens[1 << 16]));
    let nonces: HashSet<_> = tokens.iter().map(|token| &token[16..48]).collect();
    assert_eq!(nonces.len(), count, "a nonce repeats");
    assert_eq!(cipher.decrypt_json(&stored).unwrap(), document.as_bytes());
}

#[test]
fn the_same_value_never_gives_the_same_token() {
    let cipher = cipher();
    let mut row = cipher.value_encryptor();
    let tokens: HashSet<_> = (0..500)
        .flat_map(|_| {
            [cipher.encrypt_value("phone", "+65 9123 4567").unwrap(), row.encrypt("phone", "+65 9123 4567").unwrap()]
        })
        .collect();
    assert_eq!(tokens.len(), 1000);
    let ciphertexts: HashSet<_> = tokens.iter().map(|token| &token[48..]).collect();
    assert_eq!(ciphertexts.len(), 1000);
}

// Scopes

#[test]
fn a_token_opens_only_in_the_scope_it_was_made_in() {
    let scopes: Vec<Scope> = [None, Some(""), Some("a"), Some("b")]
        .into_iter()
        .flat_map(|tenant| [None, Some(""), Some("a")].map(|record| (tenant, record)))
        .flat_map(|(tenant, record)| [None, Some(""), Some("a")].map(|subject| (tenant, record, subject)))
        .map(|(tenant, record, subject)| {
            let scope = tenant.into_iter().fold(Scope::new(), Scope::tenant);
            let scope = record.into_iter().fold(scope, Scope::record);
            subject.into_iter().fold(scope, Scope::subject)
        })
        .collect();
    assert_eq!(scopes.len(), 36);
    let ciphers: Vec<_> = scopes.iter().map(|scope| cipher().in_scope(scope.clone()).unwrap()).collect();
    for (made, maker) in ciphers.iter().enumerate() {
        let text = maker.encrypt_value("phone", "x").unwrap();
        let binary = maker.encrypt_value_to_bytes("phone", "x").unwrap();
        let document = maker.encrypt_json(br#"{"phone":"x"}"#).unwrap();
        for (opened, opener) in ciphers.iter().enumerate() {
            let results = [
                opener.decrypt_value::<String>("phone", &text).map(drop),
                opener.decrypt_value::<String>("phone", &binary).map(drop),
                opener.decrypt_json(&document).map(drop),
                stream(opener.ndjson_decryptor(), &document).map(drop),
            ];
            for result in results {
                match result {
                    Ok(()) => assert_eq!(made, opened, "{:?} opened in {:?}", scopes[made], scopes[opened]),
                    Err(error) => {
                        assert_ne!(made, opened, "{:?} does not open", scopes[made]);
                        assert_eq!(error.kind(), ErrorKind::Decryption);
                    }
                }
            }
        }
    }
}

#[test]
fn a_token_opens_only_as_its_field_in_its_collection_under_its_key() {
    let log = Log::default();
    let token = cipher().encrypt_value("phone", "x").unwrap();
    let id = Some(data_key(7).id());
    let event = |kind, collection: &str, field: &str| [(kind, collection.to_owned(), field.to_owned(), id)];

    let other_field = cipher().with_audit(log.clone()).decrypt_value::<String>("name", &token).unwrap_err();
    assert_eq!(other_field.kind(), ErrorKind::Decryption);
    assert_eq!(log.take(), event(AuditKind::DecryptionFailed, "customers", "name"));

    let orders = FieldCipher::new(policy_of("orders"), keys(7)).with_audit(log.clone());
    let other_collection = orders.decrypt_value::<String>("phone", &token).unwrap_err();
    assert_eq!(other_collection.kind(), ErrorKind::Decryption);
    assert_eq!(log.take(), event(AuditKind::DecryptionFailed, "orders", "phone"));
    for (error, place) in [(other_field, "of `name` in `customers`"), (other_collection, "in `orders`")] {
        let error = error.to_string();
        assert!(error.contains(place) && error.ends_with(" does not open in this place"), "{error}");
    }

    let other_key = FieldCipher::new(policy_of("customers"), keys(8)).with_audit(log.clone());
    let error = other_key.decrypt_value::<String>("phone", &token).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert_eq!(log.take(), event(AuditKind::KeyUnavailable, "customers", "phone"));
}

#[test]
fn values_cannot_be_moved_to_another_place_of_the_document() {
    let cipher = cipher();
    let stored = cipher.encrypt_json(br#"{"name":"a","phone":"b"}"#).unwrap();
    let [name, phone] = tokens(&stored)[..] else { panic!() };
    let swapped = format!("{{\"name\":\"{phone}\",\"phone\":\"{name}\"}}");
    assert_eq!(cipher.decrypt_json(swapped.as_bytes()).unwrap_err().kind(), ErrorKind::Decryption);
}

#[test]
fn a_part_of_a_scope_has_65535_bytes_at_most() {
    let longest = "x".repeat(65_535);
    let too_long = "x".repeat(65_536);
    for part in [Scope::tenant, Scope::record, Scope::subject] {
        let scoped = cipher().in_scope(part(Scope::new(), longest.clone())).unwrap();
        let token = scoped.encrypt_value("phone", "x").unwrap();
        assert_eq!(scoped.decrypt_value::<String>("phone", &token).unwrap(), "x");
        let shorter = cipher().in_scope(part(Scope::new(), longest[1..].to_owned())).unwrap();
        assert_eq!(shorter.decrypt_value::<String>("phone", &token).unwrap_err().kind(), ErrorKind::Decryption);
        let error = cipher().in_scope(part(Scope::new(), too_long.clone())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidValue);
    }
}

#[test]
fn a_scope_replaces_the_one_before() {
    let both = cipher().in_scope(Scope::new().tenant("a")).unwrap().in_scope(Scope::new().record("1")).unwrap();
    let token = both.encrypt_value("phone", "x").unwrap();
    let record_alone = cipher().in_scope(Scope::new().record("1")).unwrap();
    assert_eq!(record_alone.decrypt_value::<String>("phone", &token).unwrap(), "x");
    let together = cipher().in_scope(Scope::new().tenant("a").record("1")).unwrap();
    assert!(together.decrypt_value::<String>("phone", &token).is_err());
}

// Tokens handed in

#[test]
fn a_token_that_is_handed_in_is_refused_and_audited_in_every_spelling() {
    let log = Log::default();
    let cipher = cipher().with_audit(log.clone());
    let elsewhere = FieldCipher::new(policy_of("orders"), keys(9)).in_scope(Scope::new().tenant("x")).unwrap();
    let sources = [
        cipher.encrypt_value("phone", "+65 9123 4567").unwrap(),
        cipher.encrypt_value("address", "1 Raffles Place").unwrap(),
        elsewhere.encrypt_value("name", &"long ".repeat(500)).unwrap(),
    ];
    let ids = [data_key(7).id(), data_key(7).id(), data_key(9).id()];
    for (token, id) in sources.iter().zip(ids) {
        let escaped = |start: usize, step: usize| -> String {
            let is_escaped = |at: usize| at >= start && (at - start).is_multiple_of(step);
            let spell = |(at, c): (usize, char)| {
                if is_escaped(at) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }
            };
            token.char_indices().map(spell).collect()
        };
        let all = token.len();
        for spelling in
            [token.clone(), escaped(0, 1), escaped(0, all), escaped(3, all), escaped(all - 1, all), escaped(50, 7)]
        {
            let document = format!("{{\"x\":1,\"phone\":\"{spelling}\"}}");
            let patch = format!("[{{\"op\":\"replace\",\"path\":\"/phone\",\"value\":\"{spelling}\"}}]");
            let raw: Box<RawValue> = serde_json::from_str(&format!("\"{spelling}\"")).unwrap();
            let results = [
                cipher.encrypt_json(document.as_bytes()).map(drop),
                cipher.encrypt_merge_patch(document.as_bytes()).map(drop),
                cipher.encrypt_json_patch(patch.as_bytes()).map(drop),
                stream(cipher.ndjson_encryptor(), document.as_bytes()).map(drop),
                cipher.encrypt_value("phone", &raw).map(drop),
                cipher.encrypt_value_to_bytes("phone", token).map(drop),
                cipher.encrypt_record(&BTreeMap::from([("phone", token)])).map(drop),
            ];
            for (way, result) in results.into_iter().enumerate() {
                let error = result.expect_err(&format!("way {way} let a token pass"));
                assert_eq!(error.kind(), ErrorKind::TokenSubmitted, "way {way}");
                assert!(error.to_string().contains("`phone`") && !error.to_string().contains("fs1."), "{error}");
            }
            let event = (AuditKind::TokenSubmitted, "customers".to_owned(), "phone".to_owned(), Some(id));
            assert_eq!(log.take(), vec![event; 7]);
        }
    }
}

#[test]
fn what_only_looks_like_a_token_is_a_value() {
    let log = Log::default();
    let cipher = cipher().with_audit(log.clone());
    let token = cipher.encrypt_value("phone", "+65 9123 4567").unwrap();
    for value in [
        "fs1.".to_owned(),
        "fs1.AQ".to_owned(),
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{token}="),
        format!("{token}A"),
        token[..token.len() - 1].to_owned(),
        token[1..].to_owned(),
        token.replace("fs1.", "FS1."),
        token.replace("fs1.", "fs2."),
        token.replace("fs1.A", "fs1.B"),
        format!("{token}{token}"),
        format!("{token}\0"),
        format!("\u{feff}{token}"),
        token.chars().rev().collect(),
    ] {
        let stored = cipher.encrypt_value("phone", &value).unwrap();
        assert_eq!(cipher.decrypt_value::<String>("phone", stored).unwrap(), value);
    }
    // The bytes of the binary form are a list of numbers in JSON.
    let binary = cipher.encrypt_value_to_bytes("phone", "x").unwrap();
    let stored = cipher.encrypt_value("phone", &binary).unwrap();
    assert_eq!(cipher.decrypt_value::<Vec<u8>>("phone", stored).unwrap(), binary);
    assert_eq!(log.take(), []);
}

/// Written to an untagged place it could still be moved to a tagged one, and be opened there.
#[test]
fn a_token_at_an_untagged_place_is_refused_and_audited_and_stays_closed() {
    let log = Log::default();
    let cipher = cipher().with_audit(log.clone());
    let token = cipher.encrypt_value("phone", "x").unwrap();
    for document in [format!("{{\"bio\":\"{token}\"}}"), format!("[1,\"{token}\"]"), format!("{{\"{token}\":[]}}")] {
        let results = [
            cipher.encrypt_json(document.as_bytes()),
            cipher.encrypt_merge_patch(document.as_bytes()),
            stream(cipher.ndjson_encryptor(), document.as_bytes()),
        ];
        for result in results {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TokenSubmitted);
            assert!(!error.to_string().contains("fs1."), "{error}");
        }
        let event = (AuditKind::TokenSubmitted, "customers".to_owned(), String::new(), Some(data_key(7).id()));
        assert_eq!(log.take(), vec![event; 3]);
        assert_eq!(cipher.decrypt_json(document.as_bytes()).unwrap(), document.as_bytes());
        assert_eq!(log.take(), []);
    }
    // Where the string ends before a token is whole, it is text.
    for text in ["fs1.", "fs1.AQ", &token[..token.len() - 1], &token.replace("fs1.", "fs1. , .")] {
        let document = format!("{{\"bio\":\"{text}\"}}");
        assert_eq!(cipher.encrypt_json(document.as_bytes()).unwrap(), document.as_bytes());
    }
}

/// A service that trims what it stores, or takes blanks out of it, would store the token.
#[test]
fn a_token_is_refused_whatever_stands_around_and_within_it_and_however_it_is_cut() {
    let cipher = cipher();
    let token = cipher.encrypt_value("phone", "x").unwrap();
    let escaped = token.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect::<Vec<_>>().concat();
    let (front, back) = token.split_at(50);
    for text in [
        format!(" {token}"),
        format!("{token}\\n"),
        format!("Ring {token}. Twice."),
        format!("{front} {back}"),
        format!("{front}\\t\u{a0}{back}"),
        format!("\\\"{token}\\\""),
        format!(" {escaped} "),
    ] {
        for document in [
            format!("[1,\"{text}\"]"),
            format!("{{\"bio\":\"{text}\"}}"),
            format!("{{\"{text}\":1}}"),
            format!("{{\"phone\":{{\"a\":[\"{text}\"]}}}}"),
            format!("{{\"phone\":{{\"{text}\":0}}}}"),
        ] {
            for length in [1, 7, 64, document.len()] {
                let mut stream = cipher.json_encryptor();
                let mut out = Vec::new();
                let result = document.as_bytes().chunks(length).try_for_each(|chunk| stream.feed(chunk, &mut out));
                let error = result.and_then(|()| stream.finish(&mut out)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TokenSubmitted, "{document} in pieces of {length}");
            }
        }
    }
}

/// A client's document stands deeper in what the service makes of it, and must not break the answers for everybody.
#[test]
fn what_came_in_can_be_read_within_a_document_of_the_service() {
    let cipher = cipher();
    let deepest = format!("{}{}", "[".repeat(128), "]".repeat(128));
    let stored = cipher.encrypt_json(deepest.as_bytes()).unwrap();
    let listed = [b"{\"data\":{\"items\":[", &stored[..], b"]}}"].concat();
    assert_eq!(cipher.decrypt_json(&listed).unwrap(), listed);
    let over = "[".repeat(1025);
    assert!(cipher.decrypt_json(over.as_bytes()).unwrap_err().to_string().contains("1,024"));
}

// Lengths

#[test]
fn short_fields_are_told_apart_by_no_length() {
    let cipher = cipher();
    let mut lengths = HashSet::new();
    for field in ["name", "phone", "card", "national_id", "born", "note"] {
        for value in
            ["", "4242", "+65 9123 4567", "Tan Wei Ming", "1990-01-31", "S1234567D", "thirty characters, no more at."]
        {
            assert!(value.len() <= 30);
            lengths.insert(cipher.encrypt_value(field, value).unwrap().len());
        }
        lengths.extend([
            cipher.encrypt_value(field, &7).unwrap().len(),
            cipher.encrypt_value(field, &None::<u8>).unwrap().len(),
        ]);
    }
    assert_eq!(lengths, HashSet::from([112]));
}

#[test]
fn each_tag_hides_the_lengths_that_are_usual_for_it() {
    let cipher = cipher();
    for (field, padded) in [("phone", 32), ("email", 64), ("address", 128)] {
        let length = |characters: usize| cipher.encrypt_value_to_bytes(field, &"x".repeat(characters)).unwrap().len();
        // A string has two quotes.
        for characters in [0, 1, padded / 2, padded - 3, padded - 2] {
            assert_eq!(length(characters), 49 + padded, "{field}, {characters}");
        }
        assert_eq!(length(padded - 1), 49 + padded + padded / 8, "{field}");
    }
}

#[test]
fn padding_adds_an_eighth_at_most_and_lengths_fall_into_steps() {
    let cipher = cipher();
    let mut row = cipher.value_encryptor();
    let mut lengths = HashSet::new();
    for characters in (31..1500).chain([4094, 4095, 65_534, 65_535, 1_000_000]) {
        let text = characters + 2;
        let padded = row.encrypt_to_bytes("note", &"x".repeat(characters)).unwrap().len() - 49;
        assert!(padded >= text && padded - text <= text / 8, "{text} became {padded}");
        if characters < 1500 {
            lengths.insert(padded);
        }
    }
    assert_eq!(lengths.len(), 5 * 8 + 4, "eight steps between powers of two from 32 on, up to 1,536");
}

#[test]
fn a_value_of_1_mib_is_the_longest() {
    let cipher = cipher();
    let mut row = cipher.value_encryptor();
    let longest = "x".repeat(LONGEST - 2);
    let document = |value: &str| format!("{{\"note\":\"{value}\"}}").into_bytes();

    let token = row.encrypt("note", &longest).unwrap();
    assert_eq!(row.encrypt_to_bytes("note", &longest).unwrap().len(), 49 + LONGEST);
    assert_eq!(cipher.decrypt_value::<String>("note", &token).unwrap(), longest);
    let stored = cipher.encrypt_json(&document(&longest)).unwrap();
    assert_eq!(cipher.decrypt_json(&stored).unwrap(), document(&longest));
    let mut in_chunks = Vec::new();
    let mut stream = cipher.json_encryptor();
    for chunk in document(&longest).chunks(100_003) {
        stream.feed(chunk, &mut in_chunks).unwrap();
    }
    stream.finish(&mut in_chunks).unwrap();
    let mut opened = Vec::new();
    let mut stream = cipher.json_decryptor();
    for chunk in in_chunks.chunks(100_003) {
        stream.feed(chunk, &mut opened).unwrap();
    }
    stream.finish(&mut opened).unwrap();
    assert_eq!(opened, document(&longest));
    let error = cipher.encrypt_value("note", &token).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TokenSubmitted | ErrorKind::TooLarge), "{error:?}");

    let too_long = format!("{longest}x");
    let all_digits = "7".repeat(LONGEST + 1);
    let number: Box<RawValue> = serde_json::from_str(&all_digits).unwrap();
    let mut split = cipher.json_encryptor();
    let results = [
        cipher.encrypt_value("note", &too_long).map(drop),
        cipher.encrypt_value_to_bytes("note", &too_long).map(drop),
        cipher.encrypt_value("note", &number).map(drop),
        // Escapes count as they are written.
        cipher.encrypt_value("note", &"\0".repeat(LONGEST / 6 + 1)).map(drop),
        cipher.encrypt_json(&document(&too_long)).map(drop),
        cipher.encrypt_json(format!("{{\"note\":{all_digits}}}").as_bytes()).map(drop),
        cipher.encrypt_json(format!("{{\"note\":[{}]}}", " ".repeat(LONGEST - 1)).as_bytes()).map(drop),
        cipher.encrypt_merge_patch(&document(&too_long)).map(drop),
        document(&too_long).chunks(4096).try_for_each(|chunk| split.feed(chunk, &mut Vec::new())),
        cipher
            .encrypt_json_patch(format!("[{{\"op\":\"add\",\"path\":\"/note\",\"value\":\"{too_long}\"}}]").as_bytes())
            .map(drop),
    ];
    for (way, result) in results.into_iter().enumerate() {
        assert_eq!(result.expect_err(&format!("way {way}")).kind(), ErrorKind::TooLarge, "way {way}");
    }
    // What is not tagged has no limit.
    let free = format!("{{\"bio\":\"{too_long}\"}}");
    assert_eq!(cipher.encrypt_json(free.as_bytes()).unwrap(), free.as_bytes());
}

#[test]
fn on_the_way_out_what_is_too_long_for_a_token_is_refused() {
    let cipher = cipher();
    let document = format!("{{\"note\":\"fs1.{}\"}}", "A".repeat(3 << 20));
    let error = cipher.decrypt_json(document.as_bytes()).unwrap_err();
    assert_ne!(error.kind(), ErrorKind::Malformed);
    // The document comes from storage, so no sender can act on it.
    assert!(matches!(error.kind(), ErrorKind::Decryption | ErrorKind::NotEncrypted), "{:?}: {error}", error.kind());
}

// What is said

/// Asserts that nothing that `error` shows holds any of `secrets`.
#[track_caller]
fn assert_silent(error: &Error, secrets: &[&str]) {
    let mut shown = vec![format!("{error}"), format!("{error:?}"), format!("{error:#?}")];
    let mut cause = error.source();
    while let Some(source) = cause {
        shown.extend([source.to_string(), format!("{source:?}")]);
        cause = source.source();
    }
    for shown in &shown {
        assert_hidden(shown, secrets);
    }
}

/// Asserts that `shown` holds none of `secrets`, as text or as a list of bytes.
#[track_caller]
fn assert_hidden(shown: &str, secrets: &[&str]) {
    for secret in secrets {
        let bytes: Vec<_> = secret.bytes().map(|byte| byte.to_string()).collect();
        for spelling in [(*secret).to_owned(), bytes.join(", ")] {
            if let Some(at) = shown.find(&spelling) {
                panic!("a secret is shown after {:?}", shown.get(at.saturating_sub(40)..at));
            }
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tier {
    Gold,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    #[expect(dead_code, reason = "no document has it right")]
    note: Option<u64>,
}

fn canary() -> impl Strategy<Value = String> {
    "[A-Z]{4}-canary-[a-z0-9]{6}".prop_map(|text| text)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 50, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_error_shows_a_value(canary in canary(), broken in 0..12usize, cut in any::<Index>()) {
        let cipher = cipher();
        let document = match broken {
            0 => format!("{{\"phone\":\"{canary}\x01\"}}"),
            1 => format!("{{\"phone\":\"{canary}\"]"),
            2 => format!("{{\"phone\":{canary}}}"),
            3 => format!("{{\"{canary}\":1,}}"),
            4 => format!("{{\"phone\":\"{canary}\\x\"}}"),
            5 => format!("{{\"phone\":{{\"{canary}\":tru}}}}"),
            6 => format!("{{\"phone\":\"{canary}\"}} {canary}"),
            7 => format!("{{\"phone\":\"{canary}"),
            8 => format!("{{{canary}:1}}"),
            9 => format!("[1 \"{canary}\"]"),
            10 => format!("{{\"phone\":[\"{canary}\",\"\u{e9}\\u00g\"]}}"),
            _ => format!("{{\"phone\":7{canary}}}"),
        };
        let part = canary[..8].to_owned();
        let secrets = [&*canary, &*part];
        let point = cut.index(document.len() + 1);
        for mut stream in [cipher.json_encryptor(), cipher.json_decryptor(), cipher.ndjson_encryptor(), cipher.ndjson_decryptor()] {
            let mut out = Vec::new();
            let result = stream
                .feed(&document.as_bytes()[..point], &mut out)
                .and_then(|()| stream.feed(&document.as_bytes()[point..], &mut out))
                .and_then(|()| stream.finish(&mut out));
            assert_silent(&result.unwrap_err(), &secrets);
        }
        for error in [cipher.encrypt_merge_patch(document.as_bytes()), cipher.encrypt_json_patch(document.as_bytes())] {
            assert_silent(&error.unwrap_err(), &secrets);
        }
        let plain = format!("{{\"phone\":\"{canary}\"}}");
        assert_silent(&cipher.decrypt_json(plain.as_bytes()).unwrap_err(), &secrets);
        assert_silent(&cipher.decrypt_record::<Customer>(&plain).unwrap_err(), &secrets);
        assert_silent(&cipher.decrypt_value::<String>("phone", &canary).unwrap_err(), &secrets);
    }

    #[test]
    fn a_value_of_another_type_is_not_quoted(canary in canary()) {
        let cipher = cipher();
        let part = canary[5..].to_owned();
        let secrets = [&*canary, &*part];
        let token = cipher.encrypt_value("note", &canary).unwrap();
        for error in [
            cipher.decrypt_value::<u64>("note", &token).map(drop).unwrap_err(),
            cipher.decrypt_value::<Vec<String>>("note", &token).map(drop).unwrap_err(),
            cipher.decrypt_value::<Customer>("note", &token).map(drop).unwrap_err(),
            cipher.decrypt_value::<Tier>("note", &token).map(drop).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidValue);
            assert!(error.to_string().contains("`note`"));
            assert_silent(&error, &secrets);
        }

        let stored = cipher.encrypt_json(format!("{{\"note\":\"{canary}\",\"{canary}\":1}}").as_bytes()).unwrap();
        for error in [
            cipher.decrypt_record::<Customer>(&stored).map(drop).unwrap_err(),
            cipher.decrypt_record::<Strict>(&stored).map(drop).unwrap_err(),
            cipher.decrypt_record::<BTreeMap<String, u64>>(&stored).map(drop).unwrap_err(),
            cipher.decrypt_record::<BTreeMap<String, Vec<Tier>>>(&stored).map(drop).unwrap_err(),
            cipher.decrypt_record::<Vec<u64>>(&stored).map(drop).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidValue);
            assert_silent(&error, &secrets);
        }
    }

    #[test]
    fn no_error_shows_a_token(canary in canary(), place in 4..112usize) {
        let cipher = cipher();
        let token = cipher.encrypt_value("phone", &canary).unwrap();
        let parts = [&token[4..16], &token[16..28], &token[48..64], &token[64..80], &token[100..112]];
        let other = if token.as_bytes()[place] == b'A' { "B" } else { "A" };
        let changed = format!("{}{other}{}", &token[..place], &token[place + 1..]);
        let changed_parts = [&changed[4..16], &changed[16..28], &changed[48..64], &changed[64..80], &changed[100..112]];
        let secrets = [&parts[..], &changed_parts[..]].concat();
        for token in [&token, &changed] {
            let document = format!("{{\"name\":\"{token}\"}}");
            assert_silent(&cipher.decrypt_json(document.as_bytes()).unwrap_err(), &secrets);
            assert_silent(&cipher.decrypt_value::<String>("name", token).unwrap_err(), &secrets);
            if let Err(error) = cipher.encrypt_json(document.as_bytes()) {
                assert_silent(&error, &secrets);
            }
        }
        assert_silent(&cipher.encrypt_value("name", &token).unwrap_err(), &secrets);
    }

    #[test]
    fn debug_shows_no_value_while_one_is_read(canary in canary(), shape in 0..6usize, back in 0..3usize) {
        let cipher = cipher();
        let document = match shape {
            0 => format!("{{\"phone\":\"{canary}"),
            1 => format!("{{\"phone\":{{\"a\":\"{canary}"),
            2 => format!("{{\"phone\":{{\"{canary}"),
            3 => format!("{{\"phone\":{{\"{canary}\":[1"),
            4 => format!("{{\"phone\":[\"x\",\"{canary}\""),
            _ => format!("{{\"phone\":\"{canary}\",\"name\":\"{canary}"),
        };
        let document = &document.as_bytes()[..document.len() - back];
        let secrets = [&canary[..8], &canary[5..12]];
        for cut in [document.len(), document.len() - 12] {
            let mut stream = cipher.json_encryptor();
            let mut out = Vec::new();
            stream.feed(&document[..cut], &mut out).unwrap();
            stream.feed(&document[cut..], &mut out).unwrap();
            assert_hidden(&format!("{stream:?}"), &secrets);
            assert!(!String::from_utf8(out).unwrap().contains(&canary));
        }
        let mut row = cipher.value_encryptor();
        let token = row.encrypt("note", &canary).unwrap();
        let mut opened = cipher.value_decryptor();
        opened.decrypt::<String>("note", &token).unwrap();
        let shown = format!("{cipher:?} {row:?} {opened:?}");
        assert_hidden(&shown, &secrets);
        assert_hidden(&shown, &[&token[16..28], &token[48..60]]);
    }
}

#[test]
fn what_a_type_says_of_its_own_failure_is_not_passed_on() {
    struct Talkative;
    impl Serialize for Talkative {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("the phone +65 9123 4567 cannot be written"))
        }
    }
    #[derive(Debug)]
    struct Chatty;
    impl<'de> Deserialize<'de> for Chatty {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let value = serde_json::Value::deserialize(deserializer)?;
            Err(serde::de::Error::custom(format!("{value} does not fit")))
        }
    }
    let cipher = cipher();
    let stored = cipher.encrypt_json(br#"{"phone":"+65 9123 4567"}"#).unwrap();
    for error in [
        cipher.encrypt_value("phone", &Talkative).map(drop).unwrap_err(),
        cipher.encrypt_record(&[Talkative]).map(drop).unwrap_err(),
        cipher.decrypt_value::<Chatty>("phone", tokens(&stored)[0]).map(drop).unwrap_err(),
        cipher.decrypt_record::<Chatty>(&stored).map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidValue);
        assert_silent(&error, &["9123", "4567"]);
    }
}

#[test]
fn what_cannot_be_json_is_an_invalid_value() {
    let cipher = cipher();
    let keyed = BTreeMap::from([((1, 2), 3)]);
    assert_eq!(cipher.encrypt_value("note", &keyed).unwrap_err().kind(), ErrorKind::InvalidValue);
    assert_eq!(cipher.encrypt_record(&keyed).unwrap_err().kind(), ErrorKind::InvalidValue);
}

#[test]
fn a_record_that_is_nested_too_deep_is_the_callers_error() {
    let cipher = cipher();
    let mut record = serde_json::json!(1);
    for _ in 0..200 {
        record = serde_json::json!([record]);
    }
    assert_eq!(cipher.encrypt_record(&record).unwrap_err().kind(), ErrorKind::InvalidValue);
}

#[test]
fn every_fault_of_a_token_is_the_same_error() {
    let cipher = cipher();
    let token = cipher.encrypt_value("phone", "x").unwrap();
    let other = cipher.encrypt_value("name", "x").unwrap();
    let expected = cipher.decrypt_value::<String>("phone", &other).unwrap_err();
    let binary = cipher.encrypt_value_to_bytes("phone", "x").unwrap();
    let faulty: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"fs1.".to_vec(),
        b"plain".to_vec(),
        token[..111].into(),
        token[..16].into(),
        format!("{token}A").into(),
        format!("{token}=").into(),
        token.replace("fs1.A", "fs1.C").into(),
        token[4..].into(),
        binary[..80].to_vec(),
        binary[..9].to_vec(),
        [&binary[..], b"\0"].concat(),
        [&b"\x02"[..], &binary[1..]].concat(),
        [&binary[..80], &[binary[80] ^ 1]].concat(),
        [&binary[..9], &[binary[9] ^ 1], &binary[10..]].concat(),
    ];
    for token in faulty {
        let error = cipher.decrypt_value::<String>("phone", &token).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (ErrorKind::Decryption, expected.to_string()),
            "{}",
            token.escape_ascii()
        );
    }
}

#[test]
fn a_cipher_is_shared_between_threads() {
    fn shareable<T: Send + Sync + Clone + 'static>(_: &T) {}
    fn sendable<T: Send + 'static>(_: &T) {}
    let cipher = cipher();
    shareable(&cipher);
    sendable(&cipher.json_encryptor());
    sendable(&cipher.value_encryptor());
    sendable(&cipher.value_decryptor());
    let prefixes: HashSet<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope
                    .spawn(|| (0..50).map(|_| cipher.encrypt_value("phone", "x").unwrap()[16..32].to_owned()).collect())
            })
            .collect();
        threads.into_iter().flat_map(|thread| -> Vec<String> { thread.join().unwrap() }).collect()
    });
    assert_eq!(prefixes.len(), 200);
}

#[test]
fn plaintext_that_is_stored_passes_only_where_and_as_long_as_the_policy_allows_it() {
    struct Events(Mutex<Vec<(AuditKind, String, u64)>>);
    impl Audit for &'static Events {
        fn record(&self, event: &AuditEvent<'_>) {
            self.0.lock().unwrap().push((event.kind, event.field.to_owned(), event.count));
        }
    }
    static EVENTS: Events = Events(Mutex::new(Vec::new()));

    let hour = Duration::from_secs(3600);
    let policy = |phone: Field| {
        Policy::builder("customers").field(phone).field(Field::new("email", Tag::Email)).build().unwrap()
    };
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[9; 32])));
    let cipher = |phone: Field| FieldCipher::new(policy(phone), keys.clone()).with_audit(&EVENTS);
    let phone = || Field::new("phone", Tag::Phone);
    let strict = cipher(phone());
    let lenient = cipher(phone().allow_plaintext_until(SystemTime::now() + hour));
    let late = cipher(phone().allow_plaintext_until(SystemTime::now() - hour));

    // A table that is half encrypted.
    let token = strict.encrypt_value("phone", "+65 9123 4567").unwrap();
    let list = format!(r#"[{{"phone":"+65 8123 4567"}},{{"phone":"{token}"}},{{"phone": 81234567}},{{"phone":""}}]"#);
    let opened = lenient.decrypt_json(list.as_bytes()).unwrap();
    let expected = r#"[{"phone":"+65 8123 4567"},{"phone":"+65 9123 4567"},{"phone": 81234567},{"phone":""}]"#;
    assert_eq!(String::from_utf8(opened).unwrap(), expected);
    assert_eq!(*EVENTS.0.lock().unwrap(), [(AuditKind::PlaintextRead, "phone".to_owned(), 3)]);

    for cipher in [&strict, &late] {
        assert_eq!(cipher.decrypt_json(list.as_bytes()).unwrap_err().kind(), ErrorKind::NotEncrypted);
    }
    let other = lenient.decrypt_json(br#"{"email":"tan@example.sg"}"#).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::NotEncrypted, "allowed for one field, not for all");
    // What looks like a token and does not open is never taken for plaintext, and inward nothing changes.
    let mut broken = token.clone();
    broken.replace_range(40..41, if &token[40..41] == "A" { "B" } else { "A" });
    let broken = lenient.decrypt_json(format!(r#"{{"phone":"{broken}"}}"#).as_bytes()).unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::Decryption);
    assert!(lenient.encrypt_json(br#"{"phone":"+65 8123 4567"}"#).unwrap().starts_with(br#"{"phone":"fs1."#));
}
