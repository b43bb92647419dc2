//! Targets of requests: what is looked up reaches the service as an index, or not at all.

use std::cell::RefCell;
use std::convert::Infallible;

use axum::body::Body;
use fieldseal::policy::{BlindIndex, Normalizer};
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::{Request, Response};
use tower::{Layer, ServiceExt};

use super::{head, keys, request};

fn layer() -> FieldEncryptionLayer {
    let digits =
        Normalizer::custom("digits", 1, |text| Some(text.chars().filter(char::is_ascii_digit).collect())).unwrap();
    let policy = Policy::builder("customers")
        .field(Field::new("phone", Tag::Phone).parameter("mobile").blind_index(BlindIndex::new(digits)))
        .field(Field::new("email", Tag::Email))
        .build()
        .unwrap();
    let cipher = FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap();
    let layer = FieldEncryptionLayer::new(cipher).unwrap();
    layer.lookup_path("/by-phone/{phone}").unwrap().search_path("/search").unwrap()
}

/// Whether the target is that of a search with a body, and the target, or the body.
pub fn run(data: &[u8]) {
    let mut rest = data;
    let Some(&[kind]) = head(&mut rest, 1) else { return };
    let Ok(text) = str::from_utf8(rest) else { return };
    let (target, body, media_type) = match kind % 3 {
        0 => (text, "", "application/json"),
        1 => ("/search", text, "application/x-www-form-urlencoded"),
        _ => ("/search", text, "application/json"),
    };
    let Ok(request) = Request::builder()
        .method(if body.is_empty() { "GET" } else { "POST" })
        .uri(target)
        .header("content-type", media_type)
        .body(Body::from(body.to_owned()))
    else {
        return;
    };
    let seen = RefCell::new(None);
    let service = layer().layer(tower::service_fn(|request: Request<_>| {
        seen.replace(Some(request));
        async { Ok::<_, Infallible>(Response::new(Body::empty())) }
    }));
    let response = request::block_on(service.oneshot(request)).unwrap();
    let Some(seen) = seen.take() else {
        assert!(response.status().is_client_error(), "{}", response.status());
        return;
    };
    let query = seen.uri().query().unwrap_or_default().to_owned();
    let path = seen.uri().path().to_owned();
    let body = request::block_on(request::collected(seen.into_body())).unwrap();
    check_pairs(query.as_bytes());
    let segments: Vec<&str> = path.split('/').collect();
    if let ["", "by-phone", value] = segments[..] {
        assert!(value.is_empty() || value.starts_with("fi1."), "a value passed in the path {path}");
    }
    match kind % 3 {
        1 => check_pairs(&body),
        2 if !body.is_empty() => check_search(&serde_json::from_slice(&body).unwrap_or_default()),
        _ => {}
    }
}

/// No parameter is called like a field, and what is called like an index holds one.
fn check_pairs(form: &[u8]) {
    for (name, value) in form_urlencoded::parse(form) {
        assert!(!is_field(&name), "`{name}` reached the service");
        assert!(name != "phone_index" || value.split(',').all(|term| term.starts_with("fi1.")), "no index: {value}");
    }
}

fn check_search(value: &serde_json::Value) {
    match value {
        serde_json::Value::Array(elements) => elements.iter().for_each(check_search),
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                assert!(!is_field(name), "`{name}` reached the service");
                check_search(value);
            }
        }
        _ => {}
    }
}

fn is_field(name: &str) -> bool {
    ["phone", "mobile", "email"].iter().any(|field| name.eq_ignore_ascii_case(field))
}
