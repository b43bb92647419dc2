//! Proves that a token which is bound to its record opens in that record alone, wherever records stand, and that nothing
//! is bound to the wrong one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use fieldseal::keys::{DataKey, Keyring, KeyringFile, Keys, LocalKek, SecretKey, Timing};
use fieldseal::policy::{BlindIndex, Normalizer, PolicyBuilder, RecordBinding};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Scope, Tag};

fn keys() -> Keys {
    Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[7; 32])))
}

fn builder(binding: RecordBinding) -> PolicyBuilder {
    Policy::builder("customers")
        .bind_records(binding)
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone))
}

fn cipher(binding: RecordBinding) -> FieldCipher {
    FieldCipher::new(builder(binding).build().unwrap(), keys())
}

fn required() -> FieldCipher {
    cipher(RecordBinding::required("id"))
}

fn stored(cipher: &FieldCipher, document: &str) -> String {
    String::from_utf8(cipher.encrypt_json(document.as_bytes()).unwrap()).unwrap()
}

fn opened(cipher: &FieldCipher, stored: &str) -> Result<String, ErrorKind> {
    let opened = cipher.decrypt_json(stored.as_bytes()).map_err(|error| error.kind())?;
    Ok(String::from_utf8(opened).unwrap())
}

fn refusal(cipher: &FieldCipher, document: &str) -> String {
    let error = cipher.encrypt_json(document.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{document}");
    error.to_string()
}

/// The tokens of a document, in their order.
fn tokens(stored: &str) -> Vec<&str> {
    stored.split('"').filter(|part| part.starts_with("fs1.")).collect()
}

const TWO: &str = r#"[{"id":7,"phone":"+65 9123 4567"}, {"phone":"+65 8123 4567", "id":"8"}]"#;

#[test]
fn what_does_not_open_is_told_with_its_field_and_never_with_its_id() {
    let stored = stored(&required(), r#"{"id":4711,"phone":"9123"}"#);
    let token = tokens(&stored)[0];
    for (document, said) in [
        (stored.replace("4711", "4712"), "does not open in the record that it stands in"),
        (
            format!(r#"{{"items":[{stored}]}}"#),
            "does not open in a record without an id, `id`: name the paths of all records",
        ),
        (
            format!("[[{stored}]]"),
            "stands in none of the records that tokens are bound to: name the paths of all records",
        ),
        (format!(r#"{{"phone":"{token}"}}"#), "does not open in a record without an id, `id`: name"),
        (format!(r#"{{"id":4711,"id":4711,"phone":"{token}"}}"#), "stands in a record whose id, `id`, stands twice"),
    ] {
        let error = required().decrypt_json(document.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decryption, "{document}");
        let error = error.to_string();
        let place = "the stored value of `phone` in `customers` ";
        assert!(error.starts_with(&format!("{place}{said}")) && !error.contains("471"), "{error}");
    }
}

#[test]
fn tokens_that_were_swapped_between_two_records_do_not_open() {
    let cipher = required();
    let stored = stored(&cipher, TWO);
    assert_eq!(opened(&cipher, &stored).unwrap(), TWO);
    let [first, second] = tokens(&stored)[..] else { panic!("two tokens") };
    let swapped = stored.replace(first, "x").replace(second, first).replace('x', second);
    assert_eq!(opened(&cipher, &swapped), Err(ErrorKind::Decryption));
    assert_eq!(opened(&cipher, &stored.replace("\"id\":7", "\"id\":9")), Err(ErrorKind::Decryption));
    assert_eq!(opened(&cipher, &stored.replace("\"id\":7,", "")), Err(ErrorKind::Decryption));
}

#[test]
fn a_record_is_known_by_its_id_however_it_is_spelled() {
    let cipher = required();
    let token = cipher.in_record("7").unwrap().encrypt_value("phone", "9123").unwrap();
    for spelling in [r#""id":7"#, r#""id":"7""#, r#""\u0069d":"\u0037""#, r#""x":{"id":1},"id":7"#] {
        assert!(opened(&cipher, &format!(r#"{{{spelling},"phone":"{token}"}}"#)).is_ok(), "{spelling}");
        assert!(opened(&cipher, &format!(r#"{{"phone":"{token}", {spelling} }}"#)).is_ok(), "{spelling}");
    }
    for spelling in [r#""id":70"#, r#""id":7.0"#, r#""id":7,"id":7"#, r#""ID":7"#, r#""id":null"#, r#""id":[7]"#] {
        let document = format!(r#"{{{spelling},"phone":"{token}"}}"#);
        assert_eq!(opened(&cipher, &document), Err(ErrorKind::Decryption), "{spelling}");
        if spelling != r#""id":70"# {
            refusal(&cipher, &document.replace(&token, "9123"));
        }
    }
    let upper = r#"{"id":"0B1F2C3D-1F2E-4D3C-8B4A-5F6E7D8C9B0A","phone":"9123"}"#;
    let stored = stored(&cipher, upper);
    assert!(
        opened(
            &cipher,
            &stored.replace("0B1F2C3D-1F2E-4D3C-8B4A-5F6E7D8C9B0A", "0b1f2c3d-1f2e-4d3c-8b4a-5f6e7d8c9b0a")
        )
        .is_ok()
    );
}

#[test]
fn records_stand_where_the_policy_says() {
    let cipher = cipher(RecordBinding::required("id").path("$.items[*]").path("$.items[*].orders[*]"));
    let document = r#"{ "total": 2, "items": [ {"id":7,"phone":"1","address":{"name":"A"},
        "orders":[{"id":7,"phone":"2"},{"id":8,"phone":null}, 3, []]} , {"id":9,"tags":[{"phone":"3"}]} ] }"#;
    let stored = stored(&cipher, document);
    assert_eq!(tokens(&stored).len(), 4);
    assert_eq!(opened(&cipher, &stored).unwrap(), document);
    // However it is cut.
    for length in [1, 2, 3, 7, 64] {
        let mut stream = cipher.json_decryptor();
        let mut out = Vec::new();
        stored.as_bytes().chunks(length).for_each(|chunk| stream.feed(chunk, &mut out).unwrap());
        stream.finish(&mut out).unwrap();
        assert_eq!(out, document.as_bytes(), "pieces of {length}");
    }
    for outside in
        [r#"{"phone":"9123","id":1}"#, r#"{"items":{"id":1,"phone":"9123"}}"#, r#"[{"id":1,"phone":"9123"}]"#]
    {
        assert!(refusal(&cipher, outside).contains("none of the records"), "{outside}");
        assert!(!refusal(&cipher, outside).contains("9123"));
    }
    let lines = "{\"items\":[{\"id\":7,\"phone\":\"1\"}]}\n{\"items\":[]}\n";
    let mut stream = cipher.ndjson_encryptor();
    let mut out = Vec::new();
    stream.feed(lines.as_bytes(), &mut out).unwrap();
    stream.finish(&mut out).unwrap();
    assert_eq!(tokens(str::from_utf8(&out).unwrap()).len(), 1);
}

#[test]
fn a_patch_belongs_to_the_record_that_it_is_sent_to() {
    let cipher = required();
    let (merge, patch) = (br#"{"phone":"9123"}"#, br#"[{"op":"replace","path":"/phone","value":"9123"}]"#);
    for refused in [cipher.encrypt_merge_patch(merge), cipher.encrypt_json_patch(patch)] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("without an id"), "{error}");
    }
    let seven = cipher.in_record("7").unwrap();
    for written in [seven.encrypt_merge_patch(merge).unwrap(), seven.encrypt_json_patch(patch).unwrap()] {
        let written = String::from_utf8(written).unwrap();
        let record = |id: u32| format!(r#"{{"id":{id},"phone":"{}"}}"#, tokens(&written)[0]);
        assert!(opened(&cipher, &record(7)).is_ok(), "{written}");
        assert!(opened(&cipher, &record(8)).is_err());
    }
    // A document with an id of its own is that record and no other.
    assert!(seven.encrypt_json(br#"{"id":7,"phone":"9123"}"#).is_ok());
    assert!(refusal(&seven, r#"{"id":8,"phone":"9123"}"#).contains("another id"));
    // What a patch puts into a list is its own record, and what it changes there is one that is not known.
    let list = br#"[{"op":"add","path":"/-","value":{"id":8,"phone":"9123"}}]"#;
    let list = String::from_utf8(seven.encrypt_json_patch(list).unwrap()).unwrap();
    assert!(opened(&cipher, &format!(r#"{{"id":8,"phone":"{}"}}"#, tokens(&list)[0])).is_ok());
    let items =
        FieldCipher::new(builder(RecordBinding::required("id").path("$").path("$.items[*]")).build().unwrap(), keys());
    let within = br#"[{"op":"replace","path":"/items/3/phone","value":"9123"}]"#;
    assert_eq!(items.in_record("7").unwrap().encrypt_json_patch(within).unwrap_err().kind(), ErrorKind::Refused);
    // Values do not leave their record, but records move whole.
    let two = FieldCipher::new(builder(RecordBinding::required("id").path("$[*]")).build().unwrap(), keys());
    let moved = |from: &str, to: &str| {
        let patch = format!(r#"[{{"op":"move","from":"{from}","path":"{to}"}}]"#);
        two.encrypt_json_patch(patch.as_bytes()).map_err(|error| error.kind())
    };
    assert_eq!(moved("/0/phone", "/1/phone"), Err(ErrorKind::Refused));
    assert_eq!(moved("/0/home", "/1/home"), Err(ErrorKind::Refused));
    assert!(moved("/0", "/1").is_ok());
    // `test` of a record is refused as that of its values is.
    let test = br#"[{"op":"test","path":"","value":{"id":7,"phone":"9123"}}]"#;
    assert_eq!(seven.encrypt_json_patch(test).unwrap_err().kind(), ErrorKind::Refused);
}

#[test]
fn a_patch_in_disguise_is_refused_in_a_record_as_anywhere() {
    let cipher = required();
    for document in [
        r#"[{"id":1,"op":"replace","path":"/phone","value":"9123"}]"#,
        r#"{"id":1,"x":[{"op":"add","path":"/phone","value":"9123"}]}"#,
        r#"[{"id":1,"replace":null},"/phone","9123"]"#,
    ] {
        assert!(refusal(&cipher, document).contains("JSON Patch"), "{document}");
    }
    let token = cipher.in_record("7").unwrap().encrypt_value("phone", "9123").unwrap();
    for (document, said) in [
        (format!(r#"{{"id":7,"phone":"{token}"}}"#), "`phone`"),
        (format!(r#"{{"id":7,"note":"see {token}"}}"#), "nothing is tagged"),
        (format!(r#"{{"id":7,"{token}":1}}"#), "nothing is tagged"),
    ] {
        for length in [1, 5, 1000] {
            let mut stream = cipher.json_encryptor();
            let mut out = Vec::new();
            let mut fed = document.as_bytes().chunks(length).try_for_each(|chunk| stream.feed(chunk, &mut out));
            fed = fed.and_then(|()| stream.finish(&mut out));
            let error = fed.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TokenSubmitted);
            assert!(error.to_string().contains(said), "{error}, pieces of {length}");
        }
    }
}

#[test]
fn single_values_need_their_record() {
    let cipher = required();
    assert_eq!(cipher.encrypt_value("phone", "9123").unwrap_err().kind(), ErrorKind::Refused);
    let acme = cipher.in_scope(Scope::new().tenant("acme")).unwrap();
    let token = acme.in_record("7").unwrap().encrypt_value("phone", "9123").unwrap();
    assert_eq!(acme.in_record("7").unwrap().decrypt_value::<String>("phone", &token).unwrap(), "9123");
    for other in [&acme, &cipher.in_record("7").unwrap(), &acme.in_record("8").unwrap()] {
        assert!(other.decrypt_value::<String>("phone", &token).is_err());
    }
    assert!(opened(&acme, &format!(r#"{{"id":7,"phone":"{token}"}}"#)).is_ok());
}

#[tokio::test]
async fn an_unbound_token_opens_while_its_key_is_young() {
    let directory = tempfile::tempdir().unwrap();
    let store = KeyringFile::new(directory.path().join("keyring.json"));
    let kek = || LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
    let mut keyring = Keyring::create("shop", &kek()).await.unwrap();
    keyring.set_timing(Timing::single_process()).unwrap();
    keyring.save(&store).await.unwrap();
    let keys = Keys::open(store, kek()).await.unwrap();
    let upgrade = |age| {
        let policy = builder(RecordBinding::upgrade("id", Duration::from_secs(age))).build().unwrap();
        FieldCipher::new(policy, keys.clone())
    };
    let (day, none) = (upgrade(86_400), upgrade(0));
    let unbound = stored(&day, r#"{"phone":"9123"}"#);
    let with_id = |stored: &str, id: u32| stored.replace('{', &format!("{{\"id\":{id},"));
    for id in [7, 8] {
        assert!(opened(&day, &with_id(&unbound, id)).is_ok());
    }
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(opened(&none, &with_id(&unbound, 7)), Err(ErrorKind::Decryption));
    // What is written with an id is bound, whatever may be read.
    let bound = stored(&day, r#"{"id":7,"phone":"9123"}"#);
    for cipher in [&day, &none] {
        assert!(opened(cipher, &bound).is_ok());
        assert_eq!(opened(cipher, &bound.replace("\"id\":7", "\"id\":8")), Err(ErrorKind::Decryption));
        assert_eq!(opened(cipher, &bound.replace("\"id\":7,", "")), Err(ErrorKind::Decryption));
    }
    // What would not open again is not written: under a key that is too old, or has no age.
    let ageless = cipher(RecordBinding::upgrade("id", Duration::from_secs(86_400)));
    for cipher in [&none, &ageless] {
        let error = cipher.encrypt_json(br#"{"phone":"9123"}"#).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert!(error.to_string().contains("promote a new one"), "{error}");
        assert!(cipher.encrypt_json(br#"{"id":7,"phone":"9123"}"#).is_ok());
    }
}

#[test]
fn a_record_that_is_found_by_its_index_is_confirmed_by_its_id() {
    let index = BlindIndex::truncated(Normalizer::exact(), 16);
    let policy = Policy::builder("customers")
        .bind_records(RecordBinding::required("id"))
        .field(Field::new("remark", Tag::Text).blind_index(index))
        .build()
        .unwrap();
    let index_keys = Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[8; 32])));
    let cipher = FieldCipher::new(policy, keys()).with_index_keys(index_keys).unwrap();
    let stored = stored(&cipher, r#"{"id":7,"remark":"gate 7"}"#);
    let lookup = cipher.lookup("remark", "gate 7").unwrap();
    assert!(stored.contains(&lookup.terms()[0]));
    let token = tokens(&stored)[0];
    assert_eq!(lookup.confirm_in_record("7", token).unwrap().as_deref(), Some("gate 7"));
    assert!(lookup.confirm_in_record("8", token).is_err());
    assert!(lookup.confirm(token).is_err());
    assert_eq!(opened(&cipher, &stored).unwrap(), r#"{"id":7,"remark":"gate 7"}"#);
}

#[test]
fn a_binding_that_cannot_hold_is_refused() {
    let fault = |builder: PolicyBuilder| builder.build().unwrap_err().to_string();
    assert!(fault(builder(RecordBinding::required("phone"))).contains("tells records apart"));
    assert!(fault(builder(RecordBinding::required("")).field(Field::new("x", Tag::Text))).contains("is empty"));
    assert!(fault(builder(RecordBinding::required("id").path("items"))).contains("path of records `items`"));
    assert!(fault(builder(RecordBinding::required("id").path("$.phone.x"))).contains("inside a field"));
    let wild = Policy::builder("customers").bind_records(RecordBinding::required("id"));
    assert!(fault(wild.field(Field::new("all", Tag::Text).path("$.*"))).contains("a wildcard encrypts it"));
    let long = format!(r#"{{"id":7,"phone":"9123","note":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(required().encrypt_json(long.as_bytes()).unwrap_err().kind(), ErrorKind::TooLarge);
    let policy = "collection = \"customers\"\nrecord = { id = \"id\" }\n[fields.phone]\ntag = \"phone\"\n";
    #[cfg(feature = "toml")]
    assert_eq!(Policy::from_toml(policy).unwrap().record_binding().unwrap().member(), "id");
    let _ = policy;
}

#[test]
fn the_id_of_a_record_cannot_be_changed_under_its_values() {
    let seven = required().in_record("7").unwrap();
    for patch in [r#"{"id":8}"#, r#"{"id":"8","note":"x"}"#] {
        assert_eq!(seven.encrypt_merge_patch(patch.as_bytes()).unwrap_err().kind(), ErrorKind::Refused, "{patch}");
    }
    assert!(seven.encrypt_merge_patch(br#"{"id":7,"note":"x"}"#).is_ok());
    let patched = |operation: &str| seven.encrypt_json_patch(format!("[{operation}]").as_bytes());
    for operation in [
        r#"{"op":"replace","path":"/id","value":8}"#,
        r#"{"op":"remove","path":"/id"}"#,
        r#"{"op":"move","from":"/id","path":"/other"}"#,
        r#"{"op":"copy","from":"/other","path":"/i~00"}"#.replace("~00", "d").as_str(),
        r#"{"op":"add","path":"/3/id","value":8}"#,
    ] {
        assert_eq!(patched(operation).unwrap_err().kind(), ErrorKind::Refused, "{operation}");
    }
    for operation in [
        r#"{"op":"test","path":"/id","value":7}"#,
        r#"{"op":"copy","from":"/id","path":"/former"}"#,
        r#"{"op":"replace","path":"/a/id","value":8}"#,
    ] {
        assert!(patched(operation).is_ok(), "{operation}");
    }
    // Values do not go over into another record, in which they would not open.
    let lists = FieldCipher::new(
        Policy::builder("customers")
            .bind_records(RecordBinding::required("id").path("$").path("$.items[*]"))
            .field(Field::new("phone", Tag::Phone).path("$.phone").path("$.items[*].phone"))
            .build()
            .unwrap(),
        keys(),
    );
    let seven_of_lists = lists.in_record("7").unwrap();
    for (from, path, is_own) in [
        ("/phone", "/items/0/phone", false),
        ("/items/0/phone", "/phone", false),
        ("/items/0/phone", "/items/1/phone", false),
        ("/items/0", "/former", false),
        ("/phone", "/phone", true),
        ("/note", "/former", true),
    ] {
        let operation = format!(r#"[{{"op":"copy","from":"{from}","path":"{path}"}}]"#);
        assert_eq!(seven_of_lists.encrypt_json_patch(operation.as_bytes()).is_ok(), is_own, "{operation}");
    }
    // A document that takes the place of the whole is read like one that is sent.
    for whole in [r#"[{"phone":"9123"}]"#, r#"{"id":8,"phone":"9123"}"#] {
        let operation = format!(r#"{{"op":"replace","path":"","value":{whole}}}"#);
        assert_eq!(patched(&operation).unwrap_err().kind(), ErrorKind::Refused, "{whole}");
    }
}

#[test]
fn what_costs_too_much_is_refused() {
    let cipher = required();
    assert_eq!(cipher.in_record("9".repeat(1025)).unwrap_err().kind(), ErrorKind::InvalidValue);
    let policy = Policy::builder("customers").bind_records(RecordBinding::required("id"));
    let policy = policy.field(Field::new("n", Tag::Text).path("$.n[*]"));
    let numbers = FieldCipher::new(policy.build().unwrap(), keys());
    let long = format!(r#"{{"id":1,"n":[{}1]}}"#, "1,".repeat(300_000));
    assert_eq!(numbers.encrypt_json(long.as_bytes()).unwrap_err().kind(), ErrorKind::TooLarge);
    let nested = self::cipher(RecordBinding::required("id").path("$").path("$..x"));
    let deep = |depth: usize| format!("{}1{}", r#"{"id":1,"x":"#.repeat(depth), "}".repeat(depth));
    assert!(nested.encrypt_json(deep(16).as_bytes()).is_ok());
    assert_eq!(nested.encrypt_json(deep(17).as_bytes()).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(nested.decrypt_json(deep(1000).as_bytes()).unwrap_err().kind(), ErrorKind::TooLarge);
}
