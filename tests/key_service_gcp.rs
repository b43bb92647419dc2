//! Proves that Google Cloud KMS can hold a key-encryption key, as far as its wire format goes.
//!
//! The peer is a mock of the two REST calls, written from their reference: there is no server of Google's to run. It
//! shows that the requests are formed and the answers read as documented; it shows nothing of permissions, quotas,
//! rotation, or of what Cloud KMS does with the associated data.
#![cfg(feature = "gcp-kms")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/key_service_cases.rs"]
mod cases;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cases::{Line, Proxy};
use fieldseal::keys::{GcpKms, KeyService, KeyServiceFuture, SecretKey, WrapContext, WrappedKey};
use google_cloud_kms_v1::client::KeyManagementService;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const TOO_MANY: &str = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

const DENIED: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The keys that were destroyed.
type Destroyed = Arc<Mutex<HashSet<String>>>;

/// Encrypts with a key made of the resource's name: `POST /v1/{name}:encrypt` and `:decrypt`.
async fn call(
    State(destroyed): State<Destroyed>,
    Path(target): Path<String>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let refuse = |code: StatusCode, status: &str| {
        let error = json!({ "error": { "code": code.as_u16(), "message": "refused", "status": status } });
        Err((code, Json(error)))
    };
    let bytes = |name: &str| STANDARD.decode(body[name].as_str().unwrap_or_default()).unwrap_or_default();
    let (name, action) = target.rsplit_once(':').unwrap();
    if destroyed.lock().unwrap().contains(name) {
        return refuse(StatusCode::BAD_REQUEST, "FAILED_PRECONDITION");
    }
    let mut key = [0x5a; 32];
    key.iter_mut().zip(name.bytes().rev()).for_each(|(key, byte)| *key ^= byte);
    let cipher = Aes256Gcm::new(&key.into());
    let aad = bytes("additionalAuthenticatedData");
    match action {
        "encrypt" => {
            let sealed = cipher.encrypt(&[1; 12].into(), Payload { msg: &bytes("plaintext"), aad: &aad }).unwrap();
            Ok(Json(json!({ "name": format!("{name}/cryptoKeyVersions/1"), "ciphertext": STANDARD.encode(sealed) })))
        }
        "decrypt" => match cipher.decrypt(&[1; 12].into(), Payload { msg: &bytes("ciphertext"), aad: &aad }) {
            Ok(plaintext) => Ok(Json(json!({ "plaintext": STANDARD.encode(plaintext), "usedPrimary": true }))),
            Err(_) => refuse(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        },
        _ => refuse(StatusCode::NOT_FOUND, "NOT_FOUND"),
    }
}

async fn mock() -> (String, Destroyed) {
    let destroyed = Destroyed::default();
    let app = Router::new().route("/v1/{*target}", post(call)).with_state(Arc::clone(&destroyed));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    (address, destroyed)
}

/// A key of the mock, which destroys it, as an operator would elsewhere.
struct Mocked(GcpKms, Destroyed);

impl KeyService for Mocked {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
        self.0.wrap(key, context)
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
        self.0.unwrap(wrapped, context)
    }

    fn destroy(&self) -> KeyServiceFuture<'_, String> {
        self.1.lock().unwrap().insert(self.name().to_owned());
        Box::pin(async { Ok("all versions destroyed".to_owned()) })
    }
}

async fn kek_at(address: &str, key: &str, destroyed: &Destroyed) -> Arc<Mocked> {
    let credentials = google_cloud_auth::credentials::anonymous::Builder::new().build();
    let builder = KeyManagementService::builder().with_endpoint(address).with_credentials(credentials);
    let client = builder.build().await.unwrap();
    let key = format!("projects/shop/locations/asia-southeast1/keyRings/customers/cryptoKeys/{key}");
    Arc::new(Mocked(GcpKms::new(client, key), Arc::clone(destroyed)))
}

async fn keks() -> [Arc<Mocked>; 2] {
    let (address, destroyed) = mock().await;
    [kek_at(&address, "spring", &destroyed).await, kek_at(&address, "autumn", &destroyed).await]
}

#[tokio::test]
async fn a_wrapped_key_is_bound_to_its_context() {
    let [kek, other] = keks().await;
    cases::is_bound_to_its_context(&kek, &other).await;
}

#[tokio::test]
async fn a_keyring_lives_under_it() {
    cases::holds_a_keyring(&keks().await[0]).await;
}

#[tokio::test]
async fn another_key_takes_over_without_a_change_to_any_token() {
    let [kek, other] = keks().await;
    cases::hands_over(kek, other).await;
}

#[tokio::test]
async fn a_stolen_keyring_opens_nothing_of_a_shredded_epoch() {
    let [spring, autumn] = keks().await;
    cases::an_epoch_dies(spring, autumn, async || {}).await;
}

#[tokio::test]
async fn a_service_that_is_away_is_missed_by_nobody_who_runs() {
    let (address, destroyed) = mock().await;
    let proxy = Proxy::before(&address).await;
    let kek = kek_at(&proxy.address(), "spring", &destroyed).await;
    cases::is_missed_by_nobody_who_runs(&proxy, kek, TOO_MANY).await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_not_shown() {
    let (address, destroyed) = mock().await;
    let proxy = Proxy::before(&address).await;
    let kek = kek_at(&proxy.address(), "spring", &destroyed).await;
    cases::shows_nothing_of_what_it_cannot_read(&proxy, &kek).await;
}

#[tokio::test]
async fn what_it_refuses_for_good_is_not_asked_again() {
    let (address, destroyed) = mock().await;
    let proxy = Proxy::before(&address).await;
    let kek = kek_at(&proxy.address(), "spring", &destroyed).await;
    let answers = [(TOO_MANY, true), (DENIED, false), (cases::GARBAGE, false), (cases::UNAVAILABLE, true)];
    cases::is_asked_again_where_that_may_help(&proxy, kek, &answers).await;
}

#[tokio::test]
async fn what_is_the_matter_is_told() {
    let destroyed = Destroyed::default();
    let proxy = Proxy::before("127.0.0.1:1").await;
    proxy.set(Line::Answering(DENIED));
    let denied = cases::cause(&kek_at(&proxy.address(), "spring", &destroyed).await).await;
    assert!(denied.contains("status 403"), "{denied}");
    proxy.set(Line::Answering(cases::GARBAGE));
    let garbage = cases::cause(&kek_at(&proxy.address(), "spring", &destroyed).await).await;
    assert!(garbage.contains("its answer cannot be read") || garbage.contains("status 200"), "{garbage}");
}
