//! Proves that an index of several fields finds the rows that agree in all of them, that it is never left behind by a
//! change, and that it comes and goes without touching another byte.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::policy::{CompoundIndex, Normalizer, PolicyBuilder, RecordBinding};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};

fn keys(byte: u8) -> Keys {
    Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[byte; 32])))
}

fn builder() -> PolicyBuilder {
    Policy::builder("customers")
        .field(Field::new("postcode", Tag::Address))
        .field(Field::new("birth_year", Tag::DateOfBirth))
        .field(Field::new("phone", Tag::Phone))
}

fn index() -> CompoundIndex {
    let digits = |text: &str| Some(text.chars().filter(char::is_ascii_digit).collect());
    CompoundIndex::new("place_and_year")
        .part("postcode", Normalizer::custom("digits", 1, digits).unwrap())
        .part("birth_year", Normalizer::exact())
}

fn cipher() -> FieldCipher {
    let policy = builder().compound_index(index()).build().unwrap();
    FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap()
}

fn stored(document: &str) -> String {
    String::from_utf8(cipher().encrypt_json(document.as_bytes()).unwrap()).unwrap()
}

fn term(postcode: &str, year: &str) -> String {
    cipher().compound_lookup("place_and_year", &[("birth_year", year), ("postcode", postcode)]).unwrap().remove(0)
}

/// Computed by another implementation: HKDF-SHA-256 and HMAC-SHA-256 of Python's standard library, see `docs::index`.
#[test]
fn an_index_has_the_specified_bytes() {
    let exact = |name: &str| CompoundIndex::new(name).part("postcode", Normalizer::exact());
    let policy =
        builder().compound_index(exact("place_and_year").part("birth_year", Normalizer::exact())).build().unwrap();
    let cipher = FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap();
    let terms = cipher.compound_lookup("place_and_year", &[("postcode", "570123"), ("birth_year", "1980")]).unwrap();
    assert_eq!(terms, ["fi1.j-MhP9YIP5phfwAY04N-1Ps"]);
}

#[test]
fn the_index_stands_at_the_end_of_the_object_that_holds_the_parts() {
    let index = term("570123", "1980");
    for (document, end) in [
        (r#"{"postcode":"570123","birth_year":"1980"}"#, format!(r#"","place_and_year":"{index}"}}"#)),
        (
            r#"{ "birth_year":"1980", "id":7, "postcode" : "S 570 123", "x":[{}] }"#,
            format!(r#" ,"place_and_year":"{index}"}}"#),
        ),
        (
            r#"[{"a":{"postcode":"570123","birth_year":"1980"}} , 1]"#,
            format!(r#"","place_and_year":"{index}"}}}} , 1]"#),
        ),
    ] {
        let stored = stored(document);
        assert!(stored.ends_with(&end), "{stored}");
        assert_eq!(cipher().decrypt_json(stored.as_bytes()).unwrap(), document.as_bytes());
        for length in [1, 3, 10] {
            let mut stream = cipher().json_encryptor();
            let mut out = Vec::new();
            document.as_bytes().chunks(length).for_each(|chunk| stream.feed(chunk, &mut out).unwrap());
            stream.finish(&mut out).unwrap();
            assert!(out.ends_with(end.as_bytes()), "pieces of {length}");
        }
    }
    let index = cipher().compound_index("place_and_year", &[("postcode", "570123"), ("birth_year", "1980")]).unwrap();
    assert_eq!(index, Some(term("570123", "1980")));
    // Other values, the same values in the other places, or another order of parts: another index.
    assert_ne!(term("570124", "1980"), term("570123", "1980"));
    assert_ne!(term("1980", "570123"), term("570123", "1980"));
    assert_ne!(term("5701", "231980"), term("570123", "1980"));
}

#[test]
fn several_indexes_stand_beside_their_own_parts_alone() {
    let policy = builder()
        .field(Field::new("note", Tag::Text).path("$.visits[*].note"))
        .field(Field::new("place", Tag::Text).path("$.visits[*].place"))
        .compound_index(index())
        .compound_index(
            CompoundIndex::new("phone_and_year")
                .part("phone", Normalizer::exact())
                .part("birth_year", Normalizer::exact()),
        )
        .compound_index(
            CompoundIndex::new("visit").part("note", Normalizer::exact()).part("place", Normalizer::exact()),
        )
        .build()
        .unwrap();
    let cipher = FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap();
    let document = r#"{"visits":[{"note":"a","place":"b"}],"postcode":"570123","birth_year":"1980","phone":"9123"}"#;
    let stored = cipher.encrypt_json(document.as_bytes()).unwrap();
    let read: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    for (holder, name, parts) in [
        (&read, "place_and_year", [("postcode", "570123"), ("birth_year", "1980")]),
        (&read, "phone_and_year", [("phone", "9123"), ("birth_year", "1980")]),
        (&read["visits"][0], "visit", [("note", "a"), ("place", "b")]),
    ] {
        assert_eq!(holder[name].as_str(), Some(&cipher.compound_lookup(name, &parts).unwrap()[0][..]), "{name}");
        assert_eq!(String::from_utf8_lossy(&stored).matches(&format!("\"{name}\":")).count(), 1, "{name}");
    }
    assert_eq!(cipher.decrypt_json(&stored).unwrap(), document.as_bytes());
}

#[test]
fn what_lacks_a_part_has_no_index() {
    for document in [
        r#"{"postcode":"570123"}"#,
        r#"{"postcode":"570123","birth_year":null}"#,
        r#"{"postcode":"","birth_year":"1980"}"#,
        r#"{"postcode":570123,"birth_year":"1980"}"#,
    ] {
        assert!(stored(document).ends_with(r#","place_and_year":null}"#), "{document}");
    }
    for document in [r#"{"phone":"9123"}"#, "{}", r#"{"a":{}}"#] {
        assert!(!stored(document).contains("place_and_year"), "{document}");
    }
    let fault = |values: &[(&str, &str)]| {
        let error = cipher().compound_lookup("place_and_year", values).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidValue);
        error.to_string()
    };
    assert!(fault(&[("postcode", "570123")]).contains("each of its parts"));
    assert!(fault(&[("postcode", "570123"), ("birth_year", "1980"), ("phone", "1")]).contains("each of its parts"));
    assert!(fault(&[("postcode", "x"), ("birth_year", "1980")]).contains("have no index"));
    assert_eq!(cipher().compound_lookup("other", &[]).unwrap_err().kind(), ErrorKind::InvalidValue);
}

#[test]
fn parts_change_together_or_not_at_all() {
    let refused = |result: Result<Vec<u8>, fieldseal::Error>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(!error.to_string().contains("570123"));
        error.to_string()
    };
    let cipher = cipher();
    assert!(refused(cipher.encrypt_merge_patch(br#"{"postcode":"570123"}"#)).contains("send `birth_year` too"));
    assert!(refused(cipher.encrypt_merge_patch(br#"{"birth_year":null}"#)).contains("send `postcode` too"));
    let both = cipher.encrypt_merge_patch(br#"{"postcode":"570123","birth_year":"1980"}"#).unwrap();
    assert!(both.ends_with(format!(r#","place_and_year":"{}"}}"#, term("570123", "1980")).as_bytes()));
    for operation in [
        r#"{"op":"replace","path":"/postcode","value":"570123"}"#,
        r#"{"op":"remove","path":"/birth_year"}"#,
        r#"{"op":"move","from":"/postcode","path":"/a/postcode"}"#,
        r#"{"op":"add","path":"/place_and_year","value":"570123"}"#,
    ] {
        refused(cipher.encrypt_json_patch(format!("[{operation}]").as_bytes()));
    }
    let whole = br#"[{"op":"add","path":"/people/-","value":{"postcode":"570123","birth_year":"1980"}}]"#;
    let whole = String::from_utf8(cipher.encrypt_json_patch(whole).unwrap()).unwrap();
    assert!(whole.contains(&term("570123", "1980")), "{whole}");
    for sent in [r#"{"place_and_year":"fi1.x"}"#, r#"{"postcode":"570123","birth_year":"1980","place_and_year":null}"#]
    {
        assert!(refused(cipher.encrypt_json(sent.as_bytes())).contains("cannot be sent"));
    }
    assert!(
        refused(cipher.encrypt_json(br#"{"postcode":"570123","postcode":"1","birth_year":"1980"}"#)).contains("twice")
    );
}

#[test]
fn an_index_that_cannot_hold_is_refused() {
    let fault = |index: CompoundIndex| builder().compound_index(index).build().unwrap_err().to_string();
    let part = |index: CompoundIndex, field: &str| index.part(field, Normalizer::exact());
    assert!(fault(CompoundIndex::new("x")).contains("two to eight"));
    assert!(fault(part(CompoundIndex::new("x"), "phone")).contains("two to eight"));
    assert!(fault(part(part(CompoundIndex::new("x"), "phone"), "phone")).contains("two to eight"));
    assert!(fault(part(part(CompoundIndex::new("x"), "phone"), "email")).contains("no field"));
    assert!(fault(part(part(CompoundIndex::new(""), "phone"), "postcode")).contains("is empty"));
    assert!(fault(part(part(CompoundIndex::new("birth_year"), "phone"), "postcode")).contains("can select the same"));
    let apart = builder().field(Field::new("city", Tag::Address).path("$.home.city"));
    let apart = apart.compound_index(part(part(CompoundIndex::new("x"), "phone"), "city")).build();
    assert!(apart.unwrap_err().to_string().contains("different objects"));
    let twice = builder().compound_index(index()).compound_index(index()).build();
    assert!(twice.unwrap_err().to_string().contains("stands twice"));
}

#[test]
fn records_and_indexes_go_together() {
    let policy = builder().compound_index(index()).bind_records(RecordBinding::required("id")).build().unwrap();
    let cipher = FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap();
    let document = r#"[{"id":7,"postcode":"570123","birth_year":"1980"}]"#;
    let stored = cipher.encrypt_json(document.as_bytes()).unwrap();
    assert!(stored.ends_with(format!(r#","place_and_year":"{}"}}]"#, term("570123", "1980")).as_bytes()));
    assert_eq!(cipher.decrypt_json(&stored).unwrap(), document.as_bytes());
}
