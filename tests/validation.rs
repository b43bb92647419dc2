//! Proves that a value that does not keep to the rules of its field is refused before it is encrypted, by its rule and
//! without being shown, and that a normal form is what is stored.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::policy::{BlindIndex, Normalizer, Validation};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};

fn keys(byte: u8) -> Keys {
    Keys::from_data_key(DataKey::dangerous_test_key(&SecretKey::from_bytes(&[byte; 32])))
}

fn digits() -> Normalizer {
    let digits = |text: &str| {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        (digits.len() >= 8).then_some(digits)
    };
    Normalizer::custom("digits", 1, digits).unwrap()
}

fn cipher() -> FieldCipher {
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name).validate(Validation::new().required().plain_text().max_length(12)))
        .field(
            Field::new("phone", Tag::Phone)
                .validate(Validation::new().canonical(digits()))
                .blind_index(BlindIndex::new(digits())),
        )
        .field(Field::new("postcode", Tag::Text).validate(
            Validation::new().min_length(6).check("postcode", |text| text.bytes().all(|byte| byte.is_ascii_digit())),
        ))
        .field(Field::new("remark", Tag::Text))
        .build()
        .unwrap();
    FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap()
}

fn stored(document: &str) -> Result<String, fieldseal::Error> {
    let stored = cipher().encrypt_json(document.as_bytes())?;
    Ok(String::from_utf8(cipher().decrypt_json(&stored)?).unwrap())
}

#[test]
fn what_keeps_to_the_rules_is_stored_as_it_is() {
    for document in [
        r#"{"name":"李 Tan \u00e9","phone":null,"postcode":"570123","remark":7}"#,
        r#"[{"name":"Tan"},{"name":"Lim","postcode":null}]"#,
    ] {
        assert_eq!(stored(document).unwrap(), document);
    }
}

#[test]
fn what_does_not_is_refused_by_its_rule_and_not_shown() {
    for (document, said) in [
        (r#"{"name":"Tan Wei Ming Canary"}"#, "`name` is longer than 12 characters"),
        (r#"{"name":"Canary\u202e"}"#, "`name` holds a control character"),
        (r#"{"name":""}"#, "`name` is missing"),
        (r#"{"name":null}"#, "`name` is missing"),
        (r#"{"remark":"Canary"}"#, "`name` is missing"),
        (r#"{"name":7}"#, "`name` is no text"),
        (r#"{"name":"\ud800"}"#, "`name` is no text"),
        (r#"{"name":"Tan","phone":"Canary 1"}"#, "`phone` "),
        (r#"{"name":"Tan","postcode":"5701"}"#, "`postcode` is shorter than 6 characters"),
        (r#"{"name":"Tan","postcode":"Canary 57"}"#, "`postcode` fails the check `postcode`"),
    ] {
        let error = stored(document).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation, "{document}: {error}");
        let message = error.to_string();
        assert!(message.contains(said) && !format!("{error:?}").contains("Canary"), "{document}: {message}");
    }
}

#[test]
fn a_normal_form_is_stored_and_indexed() {
    let document = r#"{"name":"Tan","phone":"+65 \u0039123-4567"}"#;
    assert_eq!(stored(document).unwrap(), r#"{"name":"Tan","phone":"6591234567"}"#);
    let token = cipher().encrypt_value("phone", "+65 9123 4567").unwrap();
    assert_eq!(cipher().decrypt_value::<String>("phone", token).unwrap(), "6591234567");
    let index = cipher().lookup("phone", "(65) 9123 4567").unwrap().terms()[0].clone();
    let stored = cipher().encrypt_json(document.as_bytes()).unwrap();
    assert!(String::from_utf8(stored).unwrap().contains(&index));
}

#[test]
fn a_single_value_keeps_to_the_rules_too() {
    let error = cipher().encrypt_value("postcode", "x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert_eq!(cipher().encrypt_value("name", &7).unwrap_err().kind(), ErrorKind::Validation);
}

#[test]
fn a_patch_leaves_out_what_it_does_not_change_and_takes_away_nothing_that_is_required() {
    let cipher = cipher();
    assert!(cipher.encrypt_merge_patch(br#"{"remark":"x"}"#).is_ok());
    assert!(cipher.encrypt_json_patch(br#"[{"op":"remove","path":"/postcode"}]"#).is_ok());
    for error in [
        cipher.encrypt_merge_patch(br#"{"name":null}"#).unwrap_err(),
        cipher.encrypt_merge_patch(br#"{"postcode":"1"}"#).unwrap_err(),
        cipher.encrypt_json_patch(br#"[{"op":"remove","path":"/name"}]"#).unwrap_err(),
        cipher.encrypt_json_patch(br#"[{"op":"add","path":"/postcode","value":"1"}]"#).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Validation);
    }
}

#[test]
fn a_token_is_told_as_a_token() {
    let token = cipher().encrypt_value("postcode", "570123").unwrap();
    let error = stored(&format!(r#"{{"name":"Tan","postcode":"{token}"}}"#)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TokenSubmitted);
}

#[test]
fn each_line_is_a_document_of_its_own() {
    let mut stream = cipher().ndjson_encryptor();
    let mut out = Vec::new();
    let lines = b"{\"name\":\"Tan\"}\n{\"name\":\"Lim\"}\n{\"remark\":1}\n";
    let result = stream.feed(lines, &mut out).and_then(|()| stream.finish(&mut out));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Validation);
}

/// Through HTTP: the client learns the field and the rule, the service nothing.
#[cfg(feature = "layer")]
#[tokio::test]
async fn a_client_is_told_which_field_and_rule() {
    use axum::{Router, body::Body, http::Request, routing::any};
    use fieldseal::FieldEncryptionLayer;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    let app = Router::new().route("/", any(|stored: String| async move { stored }));
    let app = app.layer(FieldEncryptionLayer::new(cipher()).unwrap());
    for (method, body, status) in [
        ("POST", r#"{"name":"Tan","postcode":"1"}"#, 422),
        ("PUT", r#"{"postcode":"570123"}"#, 422),
        ("PATCH", r#"{"postcode":"1"}"#, 422),
        ("PATCH", r#"{"postcode":"570123"}"#, 200),
        ("POST", r#"{"name":"Tan"}"#, 200),
    ] {
        let request = Request::builder().method(method).uri("/").header("content-type", "application/json");
        let response = app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{method} {body}");
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        let answer = str::from_utf8(&answer).unwrap();
        assert_eq!(status == 422, answer.contains(r#""code":"invalid""#), "{answer}");
    }
}

/// axum's `Json` takes every media type that ends in `+json`, a merge patch among them.
#[cfg(feature = "layer")]
#[tokio::test]
async fn a_document_that_is_called_a_patch_is_held_to_what_is_required() {
    use axum::{Json, Router, body::Body, http::Request, routing::any};
    use fieldseal::FieldEncryptionLayer;
    use tower::ServiceExt;

    let app = Router::new().route("/", any(|Json(stored): Json<serde_json::Value>| async move { Json(stored) }));
    let app = app.layer(FieldEncryptionLayer::new(cipher()).unwrap());
    for (method, body, status) in [
        ("POST", r#"{"remark":"x"}"#, 422),
        ("PUT", "{}", 422),
        ("POST", r#"{"name":"Tan"}"#, 200),
        ("PATCH", r#"{"remark":"x"}"#, 200),
    ] {
        let request = Request::builder().method(method).uri("/").header("content-type", "application/merge-patch+json");
        let response = app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{method} {body}");
    }
}

#[cfg(all(feature = "normal-forms", feature = "toml"))]
#[test]
fn a_word_that_mixes_scripts_is_refused() {
    let policy = Policy::from_toml(
        "collection = \"customers\"\n[fields]\nname = { tag = \"name\", validate = { one_script_per_word = true } }",
    );
    let cipher = FieldCipher::new(policy.unwrap(), keys(7));
    cipher.encrypt_json(r#"{"name":"陈伟明 Tan Wei-Ming"}"#.as_bytes()).unwrap();
    let error = cipher.encrypt_json("{\"name\":\"T\u{430}n Wei Ming\"}".as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(error.to_string().ends_with("has a word that mixes scripts"), "{error}");
}
