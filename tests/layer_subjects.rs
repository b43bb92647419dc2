//! Proves that the layer writes and reads under the key of the person whom a request is about, that nobody reads or writes
//! about who was erased, and that a request without a key, or with one that the layer was not told of, goes nowhere.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::{self, Next};
use axum::routing::get;
use fieldseal::keys::{Keys, MemorySubjectKeys, Subject, SubjectKeys};
use fieldseal::layer::Tenant;
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::header::CONTENT_TYPE;
use support::{JSON, Reply, Server, keys, masked};

/// What is stored of each person.
type Rows = Arc<Mutex<HashMap<String, String>>>;

fn layer(phone: Field) -> FieldEncryptionLayer {
    let policy = Policy::builder("customers").field(phone).build().unwrap();
    FieldEncryptionLayer::new(FieldCipher::new(policy, Keys::none())).unwrap()
}

fn phone() -> Field {
    Field::new("phone", Tag::Phone)
}

fn subjects() -> SubjectKeys {
    SubjectKeys::new(MemorySubjectKeys::default(), keys(7))
}

fn subject(id: &str) -> Subject {
    Subject::new(id).unwrap()
}

/// A service as a user writes it, whose sender is who the header says.
async fn serve(layer: FieldEncryptionLayer, subjects: &SubjectKeys, rows: &Rows) -> Server {
    let id = |headers: &HeaderMap| headers["x-subject"].to_str().unwrap().to_owned();
    let read = move |State(rows): State<Rows>, headers: HeaderMap| async move {
        ([(CONTENT_TYPE, JSON)], rows.lock().unwrap()[&id(&headers)].clone())
    };
    let write = move |State(rows): State<Rows>, headers: HeaderMap, body: String| async move {
        rows.lock().unwrap().insert(id(&headers), body);
    };
    let prepare = async |State(subjects): State<SubjectKeys>, mut request: Request, next: Next| {
        let headers = request.headers().clone();
        let header = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        if let Some(id) = header("x-subject") {
            if !request.method().is_safe() {
                // What is wrong with it is left to the layer to say.
                let _ = subjects.find_or_create(&subject(&id)).await;
            }
            request.extensions_mut().insert(subjects.find(&subject(&id)).await.unwrap());
        }
        if let Some(tenant) = header("x-tenant") {
            request.extensions_mut().insert(Tenant::new(tenant));
        }
        next.run(request).await
    };
    let router = Router::new().route("/profile", get(read).put(write)).with_state(Arc::clone(rows));
    Server::router(router.layer(layer).layer(middleware::from_fn_with_state(subjects.clone(), prepare))).await
}

async fn put(server: &Server, id: &str, phone: &str) -> Reply {
    let request = server.request("PUT", "/profile").header(CONTENT_TYPE, JSON).header("x-subject", id);
    server.send(request.body(Body::from(format!(r#"{{"phone":"{phone}"}}"#))).unwrap()).await
}

async fn read(server: &Server, id: &str) -> Reply {
    server.send(server.request("GET", "/profile").header("x-subject", id).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn who_is_erased_is_answered_with_410_and_everybody_else_is_served() {
    let (subjects, rows) = (subjects(), Rows::default());
    let server = serve(layer(phone()).subjects(), &subjects, &rows).await;
    for (id, phone) in [("7", "+65 9123 4567"), ("8", "+65 8123 4567")] {
        assert_eq!(put(&server, id, phone).await.status, 200);
        assert_eq!(masked(rows.lock().unwrap()[id].as_bytes()), r#"{"phone":"<112>"}"#);
        assert_eq!(read(&server, id).await.body, format!(r#"{{"phone":"{phone}"}}"#));
    }
    // A row that is shown to another person opens for nobody.
    let swapped = rows.lock().unwrap()["8"].clone();
    let own = rows.lock().unwrap().insert("7".to_owned(), swapped).unwrap();
    read(&server, "7").await.refusal(500, "unreadable");
    rows.lock().unwrap().insert("7".to_owned(), own.clone());

    subjects.erase(&subject("7"), "request").await.unwrap();
    let detail = read(&server, "7").await.refusal(410, "erased");
    assert_eq!(detail, "The person whom this is about was erased.");
    put(&server, "7", "+65 9999 9999").await.refusal(410, "erased");
    assert_eq!(rows.lock().unwrap()["7"], own, "nothing is stored");
    assert_eq!(read(&server, "8").await.body, r#"{"phone":"+65 8123 4567"}"#);
}

#[tokio::test]
async fn who_is_erased_is_shown_as_null_where_the_policy_says_so() {
    let (subjects, rows) = (subjects(), Rows::default());
    let server = serve(layer(phone().null_if_unreadable()).subjects(), &subjects, &rows).await;
    put(&server, "7", "+65 9123 4567").await;
    subjects.erase(&subject("7"), "request").await.unwrap();
    let reply = read(&server, "7").await;
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, &br#"{"phone":null}"#[..]));
}

#[tokio::test]
async fn a_request_without_a_key_or_with_one_that_nobody_asked_for_goes_nowhere() {
    let (subjects, rows) = (subjects(), Rows::default());
    let server = serve(layer(phone()).subjects(), &subjects, &rows).await;
    let request = server.request("PUT", "/profile").header(CONTENT_TYPE, JSON);
    server.send(request.body(Body::from(r#"{"phone":"1"}"#)).unwrap()).await.refusal(500, "misconfigured");

    let server = serve(layer(phone()), &subjects, &rows).await;
    put(&server, "7", "+65 9123 4567").await.refusal(500, "misconfigured");

    // The subject is of no tenant, and the request is.
    let server = serve(layer(phone()).tenants().subjects(), &subjects, &rows).await;
    let request = server.request("PUT", "/profile").header(CONTENT_TYPE, JSON);
    let request = request.header("x-subject", "7").header("x-tenant", "acme");
    server.send(request.body(Body::from(r#"{"phone":"1"}"#)).unwrap()).await.refusal(500, "misconfigured");
    assert!(rows.lock().unwrap().is_empty());
}
