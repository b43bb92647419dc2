//! Proves that a stored value that cannot be read is shown as `null` where the policy says so and nowhere else, that the
//! audit is told, and that the `null` never comes back to overwrite what is stored.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use fieldseal::audit::AuditKind;
use fieldseal::keys::{Keyring, KeyringFile, Keys, LocalKek, SecretKey};
use fieldseal::policy::{Reveal, Shown};
use fieldseal::{ErrorKind, Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::header::CONTENT_TYPE;
use support::{JSON, Ledger, Recorder, Server, keys};

const PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";

fn cipher() -> FieldCipher {
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone).null_if_unreadable())
        .build()
        .unwrap();
    FieldCipher::new(policy, keys(7))
}

/// One whose field is what stands in an array.
fn cards() -> FieldCipher {
    let cards = Field::new("card", Tag::CardFragment).path("$.cards[*]").path("$.customer.cards[*]");
    FieldCipher::new(Policy::builder("customers").field(cards.null_if_unreadable()).build().unwrap(), keys(7))
}

/// Three customers, of whom the second one's phone does not open.
fn damaged() -> String {
    let customer = |id| cipher().encrypt_json(format!(r#"{{"id":{id},"name":"Tan","phone":"{id}"}}"#).as_bytes());
    let [one, two, three] = [1, 2, 3].map(|id| String::from_utf8(customer(id).unwrap()).unwrap());
    format!("[{one},{},{three}]", two.replace("\"}", "A\"}"))
}

const SHOWN: &str =
    r#"[{"id":1,"name":"Tan","phone":"1"},{"id":2,"name":"Tan","phone":null},{"id":3,"name":"Tan","phone":"3"}]"#;

#[test]
fn a_damaged_token_is_shown_as_null_and_told() {
    let ledger = Ledger::default();
    let cipher = cipher().with_audit(ledger.clone());
    assert_eq!(cipher.decrypt_json(damaged().as_bytes()).unwrap(), SHOWN.as_bytes());
    let told: Vec<_> = ledger.events().into_iter().map(|(kind, _, field, _)| (kind, field)).collect();
    let phone = || "phone".to_owned();
    assert_eq!(told, [(AuditKind::DecryptionFailed, phone()), (AuditKind::ShownAsNull, phone())]);

    // A field that was not asked for still fails, and so does a single value.
    let stored = String::from_utf8(cipher.encrypt_json(br#"{"phone":"1","name":"Tan"}"#).unwrap()).unwrap();
    let error = cipher.decrypt_json(stored.replace("\"}", "A\"}").as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decryption);
    let token = cipher.encrypt_value("phone", "1").unwrap() + "A";
    assert_eq!(cipher.decrypt_value::<Option<String>>("phone", token).unwrap_err().kind(), ErrorKind::Decryption);
    // What is no token is not one that does not open.
    let error = cipher.decrypt_json(br#"{"phone":"+65 9123 4567"}"#).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotEncrypted);
}

#[test]
fn reasons_are_added_up_and_name_their_keys() {
    let ledger = Ledger::default();
    let other = FieldCipher::new(support::policy("customers"), keys(8));
    let unknown = other.encrypt_value("phone", "1").unwrap();
    let customers = vec![format!(r#"{{"phone":"{unknown}"}}"#); 100].join(",");
    let cipher = cipher().with_audit(ledger.clone());
    let shown = cipher.decrypt_json(format!("[{customers}]").as_bytes()).unwrap();
    assert_eq!(shown, format!("[{}]", vec![r#"{"phone":null}"#; 100].join(",")).as_bytes());
    let told: Vec<_> = ledger.events().into_iter().map(|(kind, _, _, key)| (kind, key.is_some())).collect();
    assert_eq!(told, [(AuditKind::KeyUnavailable, true), (AuditKind::ShownAsNull, false)]);
    assert_eq!(ledger.counts(), [100, 100]);

    // Each of them under a key that somebody made up.
    let made_up = |byte| {
        let token = FieldCipher::new(support::policy("customers"), keys(byte)).encrypt_value("phone", "1").unwrap();
        format!(r#"{{"phone":"{token}"}}"#)
    };
    let customers: Vec<_> = (100..200).map(made_up).collect();
    cipher.decrypt_json(format!("[{}]", customers.join(",")).as_bytes()).unwrap();
    assert_eq!(ledger.counts()[2..], [vec![1; 100], vec![100]].concat());
}

#[tokio::test]
async fn a_key_in_the_rehearsal_of_its_end_shows_nulls() {
    let directory = tempfile::tempdir().unwrap();
    let store = KeyringFile::new(directory.path().join("keyring.json"));
    let kek = LocalKek::new(&SecretKey::from_bytes(&[1; 32]));
    let mut keyring = Keyring::create("customers", &kek).await.unwrap();
    keyring.save(&store).await.unwrap();
    let keys = Keys::open(store.clone(), LocalKek::new(&SecretKey::from_bytes(&[1; 32]))).await.unwrap();
    let ledger = Ledger::default();
    let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone).null_if_unreadable());
    let cipher = FieldCipher::new(policy.build().unwrap(), keys.clone()).with_audit(ledger.clone());
    let stored = cipher.encrypt_json(br#"{"phone":"+65 9123 4567"}"#).unwrap();

    let old = keyring.keys()[0].id();
    let new = keyring.add_key(&kek).await.unwrap();
    keyring.promote_without_waiting(new).unwrap();
    keyring.disable(old).unwrap();
    keyring.save(&store).await.unwrap();
    keys.reload().await.unwrap();
    assert_eq!(cipher.decrypt_json(&stored).unwrap(), br#"{"phone":null}"#);
    let told: Vec<_> = ledger.events().into_iter().map(|(kind, _, _, key)| (kind, key)).collect();
    assert_eq!(told, [(AuditKind::DisabledKeyUsed, Some(old)), (AuditKind::ShownAsNull, None)]);

    keyring.enable(old).unwrap();
    keyring.save(&store).await.unwrap();
    keys.reload().await.unwrap();
    assert_eq!(cipher.decrypt_json(&stored).unwrap(), br#"{"phone":"+65 9123 4567"}"#);
}

#[test]
fn nobody_sees_anything_else_of_it() {
    let ledger = Ledger::default();
    let cipher = cipher().with_audit(ledger.clone());
    let seen =
        |reveal| String::from_utf8(cipher.revealing(&reveal).decrypt_json(damaged().as_bytes()).unwrap()).unwrap();
    let masked = seen(Reveal::all(Shown::Masked));
    assert!(masked.contains(r#""id":2,"name":"T•••","phone":null}"#), "{masked}");
    seen(Reveal::all(Shown::Plain).by("siti@example.sg"));
    let events = ledger.events().into_iter().zip(ledger.counts());
    let revealed: Vec<_> =
        events.filter(|((kind, ..), _)| *kind == AuditKind::Revealed).map(|((_, _, f, _), count)| (f, count)).collect();
    assert_eq!(revealed, [("name".to_owned(), 3), ("phone".to_owned(), 2)], "a null is no value that was shown");
}

#[test]
fn no_null_comes_in_but_a_removal() {
    let refused = |result: Result<Vec<u8>, fieldseal::Error>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("`remove`"), "{error}");
    };
    for (cipher, document) in [
        (cipher(), r#"{"phone":null}"#),
        (cipher(), r#"[{"phone":null}]"#),
        (cards(), r#"{"cards":[null]}"#),
        (cards(), r#"{"cards":["1",null]}"#),
    ] {
        refused(cipher.encrypt_json(document.as_bytes()));
        refused(cipher.encrypt_merge_patch(document.as_bytes()));
        for op in ["add", "replace"] {
            for path in ["", "/customer"] {
                let patch = format!(r#"[{{"op":"{op}","path":"{path}","value":{document}}}]"#);
                refused(cipher.encrypt_json_patch(patch.as_bytes()));
            }
        }
    }
    for (cipher, op, path, value) in [
        (cipher(), "add", "/phone", "null"),
        (cipher(), "replace", "/phone", " null "),
        (cards(), "add", "/cards/-", "null"),
        (cards(), "replace", "/cards/0", "null"),
    ] {
        let patch = format!(r#"[{{"value":{value},"op":"{op}","path":"{path}"}}]"#);
        refused(cipher.encrypt_json_patch(patch.as_bytes()));
        let patch = format!(r#"[{{"op":"remove","path":"/note"}},{{"op":"{op}","path":"{path}","value":{value}}}]"#);
        refused(cipher.encrypt_json_patch(patch.as_bytes()));
    }
    let cipher = cipher();
    for path in ["/phone", "/customer/phone"] {
        let patch = format!(r#"[{{"op":"remove","path":"{path}"}}]"#);
        assert_eq!(cipher.encrypt_json_patch(patch.as_bytes()).unwrap(), patch.as_bytes());
    }
    // Other fields take it as before.
    assert_eq!(cipher.encrypt_json(br#"{"name":null}"#).unwrap(), br#"{"name":null}"#);
}

#[tokio::test]
async fn the_list_still_comes_and_the_null_does_not_overwrite_what_is_stored() {
    let layer = || FieldEncryptionLayer::new(cipher()).unwrap();
    let stored = Recorder::answering(JSON, damaged());
    let server = Server::axum(layer(), &stored).await;
    let reply = server.get("/customers").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, SHOWN));

    // Nothing that holds the null reaches the service, which goes on storing the token.
    for (method, media_type, body) in [
        ("PUT", JSON, SHOWN),
        ("PUT", JSON, r#"{"id":2,"name":"Tan","phone":null}"#),
        ("PATCH", JSON, r#"{"phone":null}"#),
        ("PATCH", MERGE_PATCH, r#"{"phone":null}"#),
        ("PATCH", PATCH, r#"[{"op":"replace","path":"/phone","value":null}]"#),
        ("POST", "application/x-ndjson", "{\"id\":1}\n{\"phone\":null}\n"),
    ] {
        let request = server.request(method, "/customers/2").header(CONTENT_TYPE, media_type);
        let reply = server.send(request.body(body.into()).unwrap()).await;
        let detail = reply.refusal(422, "refused");
        assert!(detail.contains("`remove`") && detail.contains("`PATCH` with"), "{detail}");
    }
    assert_eq!(stored.calls(), 1);

    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let remove = r#"[{"op":"remove","path":"/phone"}]"#;
    let request = server.request("PATCH", "/customers/2").header(CONTENT_TYPE, PATCH).body(remove.into()).unwrap();
    assert_eq!(server.send(request).await.status, 200);
    assert_eq!(recorder.only().bytes(), remove.as_bytes());
}

#[test]
fn a_null_of_its_own_and_one_for_the_unreadable_are_not_both() {
    let field = Field::new("phone", Tag::Phone).null_if_unreadable().encrypt_null();
    let error = Policy::builder("customers").field(field).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Policy);
    assert!(error.to_string().contains("`phone`"), "{error}");
}

#[cfg(feature = "toml")]
#[test]
fn the_toml_form_says_it_too() {
    let text = "collection = \"customers\"\n[fields.phone]\ntag = \"phone\"\nnull_if_unreadable = true\n";
    let cipher = FieldCipher::new(Policy::from_toml(text).unwrap(), keys(7));
    assert_eq!(cipher.encrypt_json(br#"{"phone":null}"#).unwrap_err().kind(), ErrorKind::Refused);
}
