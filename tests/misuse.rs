//! Proves that what a developer in a hurry can do wrong is told, as early as it can be seen: `docs::misuse` has the list.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io;
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::routing::get;
use axum::{Json, Router};
use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::layer::Tenant;
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use support::{Recorder, Server, cipher, keys, layer, policy};
use tracing_subscriber::fmt::MakeWriter;

const JSON: &str = "application/json";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// Returns what is logged at level `WARN` and above while `work` is done.
fn warnings(work: impl FnOnce()) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_ansi(false).without_time();
    tracing::subscriber::with_default(subscriber.with_writer(log.clone()).finish(), work);
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

#[tokio::test]
async fn two_layers_for_one_collection_are_no_clients_fault_whatever_is_asked() {
    let recorder = Recorder::echoing();
    let handler = {
        let recorder = recorder.clone();
        move |request: Request| recorder.handle(request)
    };
    let nested = Router::new().fallback(handler).layer(layer());
    let server = Server::router(Router::new().nest("/api", nested).layer(layer())).await;
    server.get("/api/customers").await.refusal(500, "misconfigured");
    let request = server.request("POST", "/api/customers").header("content-type", JSON);
    server.send(request.body("{}".into()).unwrap()).await.refusal(500, "misconfigured");
    assert_eq!(recorder.calls(), 0);
}

#[tokio::test]
async fn layers_for_two_collections_may_stand_around_what_is_read() {
    let orders = FieldEncryptionLayer::new(FieldCipher::new(policy("orders"), keys(9))).unwrap();
    let router = Router::new().route("/", get(|| async { Json(1) })).layer(orders).layer(layer());
    assert_eq!(Server::router(router).await.get("/").await.text(), "1");
}

#[tokio::test]
async fn authentication_that_runs_inside_of_the_layer_sets_no_tenant_for_it() {
    let authenticate = |mut request: Request, next: Next| async move {
        request.extensions_mut().insert(Tenant::new("acme"));
        next.run(request).await
    };
    let router = Router::new().route("/", get(|| async { Json(1) }));
    let inside = router.layer(middleware::from_fn(authenticate)).layer(layer().tenants());
    Server::router(inside).await.get("/").await.refusal(500, "misconfigured");
}

#[test]
fn a_field_that_no_document_holds_is_told_once_after_a_thousand_documents() {
    let policy = || {
        let nickname = Field::new("nickname", Tag::Name).path("$.custmer.nickname");
        Policy::builder("customers").field(Field::new("phone", Tag::Phone)).field(nickname).build().unwrap()
    };
    let cipher = FieldCipher::new(policy(), keys(7));
    let document = br#"{"phone":"+65 9123 4567","nickname":"Ah Ming"}"#;
    let write = |count: u32| warnings(|| (0..count).for_each(|_| drop(cipher.encrypt_json(document).unwrap())));
    assert_eq!(write(999), "");
    let told = write(1);
    assert!(told.contains("fields=\"nickname\"") && told.contains("collection=\"customers\""), "{told}");
    assert!(!told.contains("Ah Ming"));
    assert_eq!(write(1500), "");

    // Reading counts as well, and a copy of the cipher for one tenant or sender is the same cipher.
    let cipher = FieldCipher::new(policy(), keys(7));
    let stored = cipher.encrypt_json(br#"{"phone":"1","custmer":{"nickname":"a"}}"#).unwrap();
    let acme = cipher.in_scope(fieldseal::Scope::new()).unwrap();
    assert_eq!(warnings(|| (0..1500).for_each(|_| drop(acme.decrypt_json(&stored).unwrap()))), "");
    let lines = FieldCipher::new(policy(), keys(7));
    let told = warnings(|| lines.ndjson_encryptor().feed(&b"{}\n".repeat(1000), &mut Vec::new()).unwrap());
    assert!(told.contains("fields=\"phone, nickname\""), "{told}");
}

#[test]
fn a_placeholder_for_a_key_is_told_when_the_layer_is_made_for_development() {
    let make = |key: DataKey| {
        warnings(|| {
            drop(FieldEncryptionLayer::new(FieldCipher::new(policy("customers"), Keys::from_data_key(key))).unwrap());
        })
    };
    let secret = SecretKey::from_bytes(&[7; 32]);
    let told = make(DataKey::new(&secret));
    assert!(told.contains("is a placeholder") && told.contains("a build for release refuses it"), "{told}");
    assert_eq!(make(DataKey::dangerous_test_key(&secret)), "");
    assert_eq!(make(DataKey::new(&SecretKey::generate().unwrap())), "");
}

#[test]
fn limits_that_can_hardly_be_meant_are_told() {
    let layer = || FieldEncryptionLayer::new(cipher()).unwrap();
    for (told, says) in [
        (warnings(|| drop(layer().body_limit(0))), "`body_limit` is 0"),
        (warnings(|| drop(layer().whole_body_limit(0))), "`whole_body_limit` is 0"),
        (warnings(|| drop(layer().whole_body_limit(u64::MAX))), "over 64 MiB"),
        (warnings(|| drop(layer().body_limit(1 << 40).whole_body_limit(1 << 30))), "over 64 MiB"),
    ] {
        assert!(told.contains(says), "{says}: {told}");
    }
    assert_eq!(warnings(|| drop(layer().body_limit(1 << 20).whole_body_limit(1 << 30))), "");
    assert_eq!(warnings(|| drop(layer().body_limit(u64::MAX).whole_body_limit(1 << 20))), "");
}
