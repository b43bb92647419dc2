//! A shop whose storage is a list in memory, and what its people do with it.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::policy::{Reveal, Shown};
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower::BoxError;
use tracing::Instrument;

use super::telemetry::SHOP;

#[derive(Clone, Serialize, Deserialize)]
struct Customer {
    name: String,
    phone: String,
}

type Storage = Arc<Mutex<Vec<Customer>>>;

fn shop(storage: Storage) -> Result<Router, fieldseal::Error> {
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone))
        .build()?;
    // For one run only. In earnest it comes from a keyring, see the example `axum_service`.
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate()?));
    let layer = FieldEncryptionLayer::new(FieldCipher::new(policy, keys))?.reveal(Reveal::all(Shown::Masked));
    Ok(Router::new()
        .route("/customers", get(list).post(create))
        .with_state(storage)
        .layer(layer)
        .layer(middleware::from_fn(authenticate))
        .layer(middleware::from_fn(trace)))
}

async fn list(State(storage): State<Storage>) -> Json<Vec<Customer>> {
    Json(storage.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

async fn create(State(storage): State<Storage>, Json(customer): Json<Customer>) -> StatusCode {
    storage.lock().unwrap_or_else(PoisonError::into_inner).push(customer);
    StatusCode::CREATED
}

/// Stands for yours: who may see values plain is named, for the audit.
async fn authenticate(mut request: Request, next: Next) -> Response {
    let who = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if let Some(who) = who {
        let reveal = Reveal::all(Shown::Plain).by(who);
        request.extensions_mut().insert(reveal);
    }
    next.run(request).await
}

/// Tells the method and the path, and never the query, which may hold what nobody should log.
async fn trace(request: Request, next: Next) -> Response {
    let span = tracing::info_span!(target: SHOP, "request", method = %request.method(), path = request.uri().path());
    next.run(request).instrument(span).await
}

/// Serves a shop on a free port, and asks it for what a day brings.
pub(crate) async fn spend_a_day() -> Result<(), BoxError> {
    let storage = Storage::default();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/customers", listener.local_addr()?);
    let server = tokio::spawn(axum::serve(listener, shop(Arc::clone(&storage))?).into_future());
    for customer in [r#"{"name":"Tan Wei Ming","phone":"+65 9123 4567"}"#, r#"{"name":"李小龍","phone":"8123 4567"}"#]
    {
        assert_eq!(send(&url, Method::POST, None, customer.to_owned()).await?.0, StatusCode::CREATED);
    }
    // An agent sees masks, a supervisor values.
    send(&url, Method::GET, None, String::new()).await?;
    let (_, seen) = send(&url, Method::GET, Some("siti@example.sg"), String::new()).await?;
    assert!(seen.windows(9).any(|part| part == b"9123 4567"), "a supervisor sees values");
    // Somebody has got hold of the storage.
    let stolen = storage.lock().unwrap_or_else(PoisonError::into_inner)[0].phone.clone();
    let body = format!(r#"{{"name":"Mallory","phone":"{stolen}"}}"#);
    assert_eq!(send(&url, Method::POST, Some("mallory"), body).await?.0, StatusCode::UNPROCESSABLE_ENTITY);
    server.abort();
    Ok(())
}

async fn send(url: &str, method: Method, who: Option<&str>, body: String) -> Result<(StatusCode, Bytes), BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let mut request = Request::builder().method(method).uri(url).header(CONTENT_TYPE, "application/json");
    if let Some(who) = who {
        request = request.header(AUTHORIZATION, format!("Bearer {who}"));
    }
    let response = client.request(request.body(Body::from(body))?).await?;
    Ok((response.status(), response.into_body().collect().await?.to_bytes()))
}
