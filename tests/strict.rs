//! Proves that a strict policy lets no untagged value through that looks personal, whichever way it is sent, that it says
//! where such a value stands and never what it is, and that it leaves everything else alone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use fieldseal::audit::{Audit, AuditEvent, AuditKind};
use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::policy::{RecordBinding, Strict};
use fieldseal::{Error, ErrorKind, Field, FieldCipher, Policy, Tag};
use proptest::prelude::*;

const PHONE: &str = "+65 9123 4567";
const EMAIL: &str = "weiming.tan@example.sg";
const CARD: &str = "4111111111111111";

fn cipher(strict: Strict) -> FieldCipher {
    let policy = Policy::builder("customers")
        .field(Field::new("phone", Tag::Phone))
        .field(Field::new("address", Tag::Address).path("$..address"))
        .strict(strict);
    FieldCipher::new(policy.build().unwrap(), keys())
}

fn keys() -> Keys {
    Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[7; 32])))
}

/// Encrypts `document` in chunks of `size` bytes.
fn in_chunks(cipher: &FieldCipher, document: &[u8], size: usize) -> Result<Vec<u8>, Error> {
    let (mut stream, mut stored) = (cipher.json_encryptor(), Vec::new());
    for chunk in document.chunks(size) {
        stream.feed(chunk, &mut stored)?;
    }
    stream.finish(&mut stored)?;
    Ok(stored)
}

fn assert_refused(result: Result<Vec<u8>, Error>, path: &str, noun: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unprotected, "{error}");
    let message = error.to_string();
    assert!(message.starts_with(&format!("`{path}` ")) && message.contains(noun), "{path}: {message}");
    for value in ["9123", "4567", "weiming", "4111"] {
        assert!(!format!("{error:?} {message}").contains(value), "{message}");
    }
}

#[test]
fn a_value_that_looks_personal_is_refused_wherever_it_stands_and_however_it_is_cut() {
    let cipher = cipher(Strict::refuse());
    for (document, path, noun) in [
        (format!(r#"{{"mobile":"{PHONE}"}}"#), "$.mobile", "a telephone number"),
        (format!(r#"{{"phone":"1","contact":{{"mail":"{EMAIL}"}}}}"#), "$.contact.mail", "an email address"),
        (format!(r#"{{"payments":[{{}},{{"card":"{CARD}"}}]}}"#), "$.payments[1].card", "a card number"),
        (format!(r#"{{"payments":[[1,2],[3,{CARD}]]}}"#), "$.payments[1][1]", "a card number"),
        (CARD.to_owned(), "$", "a card number"),
        (format!("\"{EMAIL}\""), "$", "an email address"),
        (format!(r#"["rings twice","call me at {PHONE} after six"]"#), "$[1]", "a telephone number"),
        (format!(r#"{{"members":{{"{EMAIL}":{{"since":2019}}}}}}"#), "$.members.*", "an email address"),
        (
            format!(r#"{{"members":{{"Tan Wei Ming":{{"remark":"{PHONE}"}}}}}}"#),
            "$.members.*.remark",
            "a telephone number",
        ),
        (format!(r#"{{"order-no":"{CARD}"}}"#), "$['order-no']", "a card number"),
        (r#"{"mail":"weiming.tan\u0040example.sg"}"#.to_owned(), "$.mail", "an email address"),
        (r#"{"\u006dail":"weiming.tan@example\u002Esg"}"#.to_owned(), "$.mail", "an email address"),
        (r#"{"note":"ring\n+65 9123 \u0034567"}"#.to_owned(), "$.note", "a telephone number"),
        (format!(r#"{{"note":"{} {PHONE} {}"}}"#, "é".repeat(900), "x ".repeat(900)), "$.note", "a telephone number"),
        (format!(r#"{{"address":{{"mail":"{EMAIL}"}},"mail":"{EMAIL}"}}"#), "$.mail", "an email address"),
    ] {
        assert_refused(cipher.encrypt_json(document.as_bytes()), path, noun);
        for size in [1, 3, 10, 600] {
            assert_refused(in_chunks(&cipher, document.as_bytes(), size), path, noun);
        }
    }
}

#[test]
fn a_name_that_may_be_data_is_not_shown_whatever_it_is_made_of() {
    let cipher = cipher(Strict::refuse());
    let spelled = |length: usize| r"\u0061".repeat(length);
    for (name, shown) in [
        ("a1234".to_owned(), ".a1234"),
        ("a91234".to_owned(), ".*"),
        ("1a".to_owned(), ".*"),
        (String::new(), ".*"),
        ("weiming tan".to_owned(), ".*"),
        ("a".repeat(40), &format!(".{}", "a".repeat(40))),
        ("a".repeat(41), ".*"),
        ("a".repeat(400), ".*"),
        (spelled(40), &format!(".{}", "a".repeat(40))),
        // These are cut where an escape begins, and within one.
        (spelled(41), ".*"),
        (format!("aaa{}", spelled(41)), ".*"),
        (spelled(400), ".*"),
    ] {
        let document = format!(r#"{{"{name}":{{"remark":"{PHONE}"}}}}"#);
        for size in [1, 7, 5000] {
            let result = in_chunks(&cipher, document.as_bytes(), size);
            assert_refused(result, &format!("${shown}.remark"), "a telephone number");
        }
    }
}

#[test]
fn what_is_tagged_or_looks_like_nothing_passes_untouched() {
    let strict = cipher(Strict::refuse());
    let document = format!(
        r#"{{"phone":"{PHONE}","address":{{"line":"12 Bishan","mail":"{EMAIL}","{EMAIL}":{CARD}}},"id":"550e8400-e29b-41d4-a716-446655440000","at":"2026-11-26T10:00:00+08:00","ledger":123456789012345678901234567890,"total":54.30,"ids":[4111111111111112,1764150000000,-4111111111111111,4111111111111111.5,4111111111111111e3],"note":"naïve \u00e9 \ud83d\ude00"}}"#
    );
    for size in [1, 7, 5000] {
        let stored = in_chunks(&strict, document.as_bytes(), size).unwrap();
        assert_eq!(strict.decrypt_json(&stored).unwrap(), document.as_bytes());
    }
}

#[test]
fn nobody_looks_unless_the_policy_says_so() {
    let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build().unwrap();
    let document = format!(r#"{{"mail":"{EMAIL}","card":{CARD},"{PHONE}":null}}"#);
    assert_eq!(FieldCipher::new(policy, keys()).encrypt_json(document.as_bytes()).unwrap(), document.as_bytes());
}

#[test]
fn exceptions_hold_for_what_their_paths_select_and_what_stands_in_it_alone() {
    let strict = Strict::refuse().except("$.shop").except("$.orders[*].number").except("$..['contact.mail']");
    let cipher = cipher(strict);
    let passes = |document: String| {
        for size in [1, 5, 5000] {
            assert_eq!(in_chunks(&cipher, document.as_bytes(), size).unwrap(), document.as_bytes());
        }
    };
    passes(format!(r#"{{"shop":"{EMAIL}"}}"#));
    passes(format!(r#"{{"shop":{{"mails":["{EMAIL}",{CARD}],"{EMAIL}":[]}}}}"#));
    passes(format!(r#"{{"orders":[{{"number":{CARD}}},{{"number":"{CARD}"}}]}}"#));
    passes(format!(r#"{{"a":[{{"contact.mail":"{EMAIL}"}},{{"\u0063ontact.mail":"{EMAIL}"}}]}}"#));
    for (document, path) in [
        (format!(r#"{{"shop":1,"mail":"{EMAIL}"}}"#), "$.mail"),
        (format!(r#"{{"a":{{"shop":"{EMAIL}"}}}}"#), "$.a.shop"),
        (format!(r#"{{"shop":{{}},"orders":[{{"number":1,"note":"{EMAIL}"}}]}}"#), "$.orders[0].note"),
        (format!(r#"{{"orders":{{"number":{{"a":[]}}}},"mails":["{EMAIL}"]}}"#), "$.mails[0]"),
        (format!(r#"{{"contact":{{"mail":"{EMAIL}"}}}}"#), "$.contact.mail"),
    ] {
        let error = cipher.encrypt_json(document.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("`{path}` ")), "{error}");
        assert_eq!(in_chunks(&cipher, document.as_bytes(), 1).unwrap_err().to_string(), error.to_string());
    }
}

#[test]
fn an_exception_holds_for_a_long_name_in_any_spelling() {
    let name = "a".repeat(100);
    let cipher = cipher(Strict::refuse().except(format!("$.{name}")));
    let escaped = r"\u0061".repeat(100);
    for size in [1, 7, 5000] {
        for name in [&name, &escaped] {
            let document = format!(r#"{{"{name}":"{EMAIL}"}}"#);
            assert_eq!(in_chunks(&cipher, document.as_bytes(), size).unwrap(), document.as_bytes());
        }
        for other in [&name[1..], &escaped[6..], &format!("{escaped}a")] {
            let document = format!(r#"{{"{other}":"{EMAIL}"}}"#);
            assert_refused(in_chunks(&cipher, document.as_bytes(), size), "$.*", "an email address");
        }
    }
}

#[test]
fn exceptions_that_are_no_paths_or_never_apply_are_refused_when_the_policy_is_made() {
    let build = |strict| {
        let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).strict(strict).build();
        policy.unwrap_err().to_string()
    };
    assert!(build(Strict::refuse().except("order_number")).contains("exception `order_number`"));
    assert!(
        build(Strict::report().except("$.shop").except("$.shop.mail")).contains("`$.shop.mail` lies inside another")
    );
}

#[test]
fn records_lines_and_patches_are_looked_at_as_well() {
    let policy = Policy::builder("customers")
        .field(Field::new("phone", Tag::Phone))
        .bind_records(RecordBinding::required("id").path("$").path("$.items[*]"))
        .strict(Strict::refuse().except("$.items[*].hotline"))
        .build()
        .unwrap();
    let bound = FieldCipher::new(policy, keys());
    let item =
        |member: &str| format!(r#"{{"id":1,"items":[{{"id":2}},{{"id":7,"phone":"{PHONE}","{member}":"{PHONE}"}}]}}"#);
    assert!(bound.encrypt_json(item("hotline").as_bytes()).is_ok());
    for size in [1, 1000] {
        assert_refused(in_chunks(&bound, item("note").as_bytes(), size), "$.items[1].note", "a telephone number");
    }

    let cipher = cipher(Strict::refuse().except("$.shop"));
    let (mut lines, mut stored) = (cipher.ndjson_encryptor(), Vec::new());
    lines.feed(b"{\"a\":[{\"b\":1}]}\n", &mut stored).unwrap();
    let result = lines.feed(format!("{{\"mail\":\"{EMAIL}\"}}\n").as_bytes(), &mut stored);
    assert_refused(result.map(|()| stored), "$.mail", "an email address");
    assert_refused(cipher.encrypt_merge_patch(format!(r#"{{"mail":"{EMAIL}"}}"#).as_bytes()), "$.mail", "an email");

    let patch = |operation: String| cipher.encrypt_json_patch(format!("[{operation}]").as_bytes());
    for (operation, path) in [
        (format!(r#"{{"op":"add","path":"/mail","value":"{EMAIL}"}}"#), "$.mail"),
        (format!(r#"{{"op":"replace","path":"/a/0","value":{{"b":["{EMAIL}"]}}}}"#), "$.a[0].b[0]"),
        (format!(r#"{{"op":"add","path":"/a/-","value":"{EMAIL}"}}"#), "$.a[4294967295]"),
        (format!(r#"{{"op":"test","path":"/mail","value":"{EMAIL}"}}"#), "$.mail"),
        (format!(r#"{{"op":"add","path":"/members/{EMAIL}","value":1}}"#), "$.members.*"),
        (format!(r#"{{"op":"move","from":"/a","path":"/{EMAIL}"}}"#), "$.*"),
    ] {
        assert_refused(patch(operation), path, "an email address");
    }
    assert_refused(patch(format!(r#"{{"op":"add","path":"/a","value":{CARD}}}"#)), "$.a", "a card number");
    assert!(patch(format!(r#"{{"op":"add","path":"/phone","value":"{PHONE}"}}"#)).is_ok());
    assert!(patch(format!(r#"{{"op":"add","path":"/shop/mail","value":"{EMAIL}"}}"#)).is_ok());
    // What stands there already can be taken away.
    assert!(patch(format!(r#"{{"op":"remove","path":"/members/{EMAIL}"}}"#)).is_ok());
}

#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Vec<(String, String, u64)>>>);

impl Audit for Ledger {
    fn record(&self, event: &AuditEvent<'_>) {
        assert_eq!((event.kind, event.collection, event.field), (AuditKind::UntaggedPersonal, "customers", ""));
        assert!(event.key_id.is_none());
        let (path, looks_like) = (event.path.unwrap().to_owned(), event.looks_like.unwrap().to_owned());
        self.0.lock().unwrap().push((path, looks_like, event.count));
    }
}

#[test]
fn a_report_lets_everything_pass_and_tells_each_place_once_a_document() {
    let ledger = Ledger::default();
    let cipher = cipher(Strict::report().except("$.shop")).with_audit(ledger.clone());
    let item = format!(r#"{{"note":"{PHONE}","card":{CARD},"Tan Wei Ming":"{EMAIL}"}}"#);
    let document = format!(r#"{{"items":[{}],"shop":"{EMAIL}"}}"#, vec![&item[..]; 30].join(","));
    let told = |path: &str, looks_like: &str, count| (path.to_owned(), looks_like.to_owned(), count);
    let expected = [
        told("$.items[*].note", "phone", 30),
        told("$.items[*].card", "card_number", 30),
        told("$.items[*].*", "email", 30),
    ];
    for size in [1, 100, 10_000] {
        assert_eq!(in_chunks(&cipher, document.as_bytes(), size).unwrap(), document.as_bytes());
        assert_eq!(ledger.0.lock().unwrap().drain(..).collect::<Vec<_>>(), expected, "{size}");
    }
    // A document that holds something else at each of many places tells a bounded number of them.
    let many: Vec<_> =
        (0..300).map(|at| format!(r#""{}{}":"{EMAIL}""#, "m".repeat(at % 30), "n".repeat(at / 30 + 1))).collect();
    cipher.encrypt_json(format!("{{{}}}", many.join(",")).as_bytes()).unwrap();
    let events: Vec<_> = ledger.0.lock().unwrap().drain(..).collect();
    assert_eq!((events.len(), events.iter().map(|event| event.2).sum::<u64>()), (64, 300));
    // Each line is a document, and each operation of a patch tells for itself.
    let (mut lines, mut stored) = (cipher.ndjson_encryptor(), Vec::new());
    lines.feed(format!("\"{EMAIL}\"\n\"{EMAIL}\"").as_bytes(), &mut stored).unwrap();
    lines.finish(&mut stored).unwrap();
    cipher.encrypt_json_patch(format!(r#"[{{"op":"add","path":"/a/b","value":[{CARD},{CARD}]}}]"#).as_bytes()).unwrap();
    let events: Vec<_> = ledger.0.lock().unwrap().drain(..).collect();
    assert_eq!(events, [told("$", "email", 1), told("$", "email", 1), told("$.a.b[*]", "card_number", 2)]);
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        (-99_999_999_999_i64..99_999_999_999).prop_map(serde_json::Value::from),
        "[a-z \"\\\\é]{0,12}".prop_map(serde_json::Value::from),
        Just(serde_json::Value::from(PHONE)),
        Just(serde_json::Value::from(EMAIL)),
        Just(serde_json::Value::from(4_111_111_111_111_111_u64)),
    ];
    let name = prop_oneof!["[a-z]{1,4}", "[a-z\"\\\\é]{1,4}", Just("phone".to_owned()), Just("shop".to_owned())];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            proptest::collection::vec((name.clone(), inner), 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// How many values look personal where nothing is tagged or excepted, by a reading of its own.
fn count(value: &serde_json::Value) -> u64 {
    match value {
        serde_json::Value::Array(elements) => elements.iter().map(count).sum(),
        serde_json::Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !["phone", "address", "shop"].contains(&&name[..]))
            .map(|(_, value)| count(value))
            .sum(),
        value => [PHONE.into(), EMAIL.into(), 4_111_111_111_111_111_u64.into()].contains(value).into(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_untagged_value_is_found_and_no_other(value in json(), size in 1_usize..40) {
        let ledger = Ledger::default();
        let cipher = cipher(Strict::report().except("$..shop")).with_audit(ledger.clone());
        let document = serde_json::to_vec(&value).unwrap();
        in_chunks(&cipher, &document, size).unwrap();
        let found: u64 = ledger.0.lock().unwrap().iter().map(|event| event.2).sum();
        prop_assert_eq!(found, count(&value), "{}", value);
    }
}
