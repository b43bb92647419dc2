//! Proves that an outgoing client with the layer around it hands tokens to the storage and plaintext to its caller, and
//! fails where it can do neither.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::error::Error as StdError;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use fieldseal::audit::AuditKind;
use fieldseal::layer::{Client as ClientSide, ClientError, FieldBody, FieldEncryption};
use fieldseal::{ErrorKind, FieldCipher, FieldEncryptionLayer};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as TransportError};
use hyper_util::rt::TokioExecutor;
use support::{
    CANARIES, CUSTOMER, Frames, JSON, Ledger, Recorder, STORED_CUSTOMER, Server, cipher, keys, layer, list, masked,
    policy, token, within,
};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt};

type Protected<B> = FieldEncryption<Client<HttpConnector, FieldBody<B>>, ClientSide>;
type Outcome = Result<Response<FieldBody<Incoming>>, ClientError<TransportError>>;

fn around_client(layer: FieldEncryptionLayer) -> Protected<Full<Bytes>> {
    layer.for_client().layer(Client::builder(TokioExecutor::new()).build(HttpConnector::new()))
}

/// A storage over HTTP with no layer of its own.
async fn storage(recorder: &Recorder) -> Server {
    let recorder = recorder.clone();
    Server::router(Router::new().fallback(move |request: axum::extract::Request| recorder.handle(request))).await
}

async fn send(client: &mut Protected<Full<Bytes>>, request: http::request::Builder, body: impl Into<Bytes>) -> Outcome {
    let request = request.body(Full::new(body.into())).unwrap();
    within(client.ready().await.unwrap().call(request)).await
}

async fn read(response: Response<FieldBody<Incoming>>) -> (StatusCode, String) {
    let status = response.status();
    let body = within(response.into_body().collect()).await.unwrap().to_bytes();
    (status, String::from_utf8(body.into()).unwrap())
}

#[tokio::test]
async fn the_storage_gets_tokens_and_the_caller_gets_plaintext() {
    let recorder = Recorder::echoing();
    let storage = storage(&recorder).await;
    let mut client = around_client(layer());
    let request = storage.request("PUT", "/documents/7").header(CONTENT_TYPE, JSON).header("content-md5", "AAAA");
    let response = send(&mut client, request, CUSTOMER).await.unwrap();
    assert_eq!(response.headers()[CONTENT_LENGTH], CUSTOMER.len().to_string());
    assert_eq!(read(response).await, (StatusCode::OK, CUSTOMER.to_owned()));
    let seen = recorder.only();
    assert_eq!((seen.method.as_str(), seen.uri.path()), ("PUT", "/documents/7"));
    assert_eq!(masked(seen.bytes()), STORED_CUSTOMER);
    assert_eq!(cipher().decrypt_json(seen.bytes()).unwrap(), CUSTOMER.as_bytes());
    assert_eq!(seen.headers[CONTENT_LENGTH], seen.bytes().len().to_string());
    assert_eq!(seen.headers["accept-encoding"], "identity");
    assert!(!seen.headers.contains_key("content-md5"));
}

#[tokio::test]
async fn what_the_storage_says_otherwise_passes() {
    for (status, media_type, body) in
        [(404, "text/plain", "no such document"), (503, JSON, r#"{"error": "busy"}"#), (204, JSON, "")]
    {
        let recorder = Recorder::new(move |_| {
            Response::builder().status(status).header(CONTENT_TYPE, media_type).body(body.into()).unwrap()
        });
        let storage = storage(&recorder).await;
        let response = send(&mut around_client(layer()), storage.request("GET", "/documents/7"), "").await.unwrap();
        assert_eq!(response.headers()[CONTENT_TYPE], media_type);
        assert_eq!(read(response).await, (StatusCode::from_u16(status).unwrap(), body.to_owned()));
    }
}

/// Fails unless the exchange failed for this reason and says nothing of what was in it.
fn refused(outcome: Outcome, kind: ErrorKind) {
    let error = outcome.map(|response| response.status()).unwrap_err();
    let mut said = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        said.extend([" ", &error.to_string(), &format!("{error:?}")]);
        cause = error.source();
    }
    assert!(CANARIES.iter().all(|canary| !said.contains(canary)), "{said}");
    let ClientError::Protection(error) = error else { panic!("the layer did not refuse: {said}") };
    assert_eq!(error.kind(), kind, "{said}");
}

#[tokio::test]
async fn what_cannot_be_protected_never_leaves() {
    let recorder = Recorder::echoing();
    let storage = storage(&recorder).await;
    let ledger = Ledger::default();
    let cipher = cipher().with_audit(ledger.clone());
    let mut client = around_client(FieldEncryptionLayer::new(cipher).unwrap().body_limit(1000).whole_body_limit(500));
    let token = token("phone", "+65 9123 4567");
    let long = format!(r#"{{"phone": "9123", "note": "{}"}}"#, "x".repeat(1000));
    let patch = r#"[{"op":"test","path":"/phone","value":"9123"}]"#.to_owned();
    for (media_type, path, body, kind) in [
        (JSON, "/", format!(r#"{{"phone": "{token}"}}"#), ErrorKind::TokenSubmitted),
        (JSON, "/", r#"{"phone": "+65 9123 4567""#.to_owned(), ErrorKind::Malformed),
        (JSON, "/", long, ErrorKind::TooLarge),
        (JSON, "/?phone=9123", "{}".to_owned(), ErrorKind::Refused),
        ("text/plain", "/", "Tan Wei Ming".to_owned(), ErrorKind::UnsupportedMediaType),
        ("application/json; charset=utf-16", "/", "{}".to_owned(), ErrorKind::UnsupportedMediaType),
        ("application/json-patch+json", "/", patch, ErrorKind::Refused),
        ("application/merge-patch+json", "/", r#"{"address": {"street": "Bedok"}}"#.to_owned(), ErrorKind::Refused),
    ] {
        let request = storage.request("PATCH", path).header(CONTENT_TYPE, media_type);
        refused(send(&mut client, request, body).await, kind);
    }
    let request = storage.request("POST", "/").header(CONTENT_TYPE, JSON).header("content-encoding", "gzip");
    refused(send(&mut client, request, "Tan Wei Ming").await, ErrorKind::UnsupportedMediaType);
    assert_eq!(recorder.calls(), 0);
    assert_eq!(ledger.events().iter().map(|event| event.0).collect::<Vec<_>>(), [AuditKind::TokenSubmitted]);
}

#[tokio::test]
async fn what_cannot_be_opened_is_an_error() {
    let token = token("phone", "+65 9123 4567");
    let other = FieldCipher::new(policy("customers"), keys(8)).encrypt_value("phone", "+65 9123 4567").unwrap();
    for (media_type, body, kind) in [
        (JSON, format!(r#"{{"phone": "{}"}}"#, token.replace("fs1.A", "fs1.B")), ErrorKind::Decryption),
        (JSON, format!(r#"{{"name": "{token}"}}"#), ErrorKind::Decryption),
        (JSON, format!(r#"{{"phone": "{other}"}}"#), ErrorKind::KeyUnavailable),
        (JSON, r#"{"phone": "+65 9123 4567"}"#.to_owned(), ErrorKind::NotEncrypted),
        (JSON, format!(r#"{{"phone": "{token}""#), ErrorKind::Service),
        ("application/json; charset=utf-16", format!(r#"{{"phone": "{token}"}}"#), ErrorKind::Service),
    ] {
        let recorder = Recorder::answering(media_type, body);
        let storage = storage(&recorder).await;
        refused(send(&mut around_client(layer()), storage.request("GET", "/documents/7"), "").await, kind);
        assert_eq!(recorder.calls(), 1);
    }
    for (name, value) in [("content-encoding", "gzip"), ("content-range", "bytes 0-9/100")] {
        let recorder = Recorder::new(move |_| {
            Response::builder().header(CONTENT_TYPE, JSON).header(name, value).body("Tan Wei Ming".into()).unwrap()
        });
        let storage = storage(&recorder).await;
        refused(send(&mut around_client(layer()), storage.request("GET", "/"), "").await, ErrorKind::Service);
    }
}

#[tokio::test]
async fn a_storage_that_is_not_there_is_the_clients_own_failure() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let request = Request::builder().method("POST").uri(format!("http://{closed}/")).header(CONTENT_TYPE, JSON);
    let error = send(&mut around_client(layer()), request, CUSTOMER).await.unwrap_err();
    assert!(CANARIES.iter().all(|canary| !format!("{error} {error:?}").contains(canary)));
    let ClientError::Service(error) = error else { panic!("not the layer's: {error:?}") };
    assert!(error.is_connect());
}

#[tokio::test]
async fn a_storage_that_goes_away_unanswered_is_the_clients_own_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gone = tokio::spawn(async move { drop(listener.accept().await.unwrap()) });
    let request = Request::builder().method("POST").uri(format!("http://{address}/")).header(CONTENT_TYPE, JSON);
    let error = send(&mut around_client(layer()), request, CUSTOMER).await.unwrap_err();
    assert!(matches!(error, ClientError::Service(_)), "{error:?}");
    gone.await.unwrap();
}

#[tokio::test]
async fn a_storage_that_breaks_off_gives_no_whole_document() {
    let document = cipher().encrypt_json(CUSTOMER.as_bytes()).unwrap();
    let recorder = Recorder::new(move |_| {
        let body = Frames::cut(&document[..50], &[10]).and_failure().into_body();
        Response::builder().header(CONTENT_TYPE, JSON).body(body).unwrap()
    });
    let storage = storage(&recorder).await;
    let outcome = send(&mut around_client(layer()), storage.request("GET", "/"), "").await;
    assert!(outcome.is_err());
}

#[tokio::test]
async fn a_long_document_flows_out_and_back() {
    let list = list(1_000_000);
    let recorder = Recorder::echoing();
    let storage = storage(&recorder).await;
    let mut client = around_client(layer());
    let request = storage.request("PUT", "/documents").header(CONTENT_TYPE, JSON);
    let response = send(&mut client, request, list.clone()).await.unwrap();
    assert!(!response.headers().contains_key(CONTENT_LENGTH), "the length of what is stored");
    assert!(read(response).await.1.as_bytes() == list);
    let seen = recorder.only();
    assert!(cipher().decrypt_json(seen.bytes()).unwrap() == list);
    assert_eq!(seen.headers[TRANSFER_ENCODING], "chunked");
    assert!(!seen.headers.contains_key(CONTENT_LENGTH));
}

#[tokio::test]
async fn a_fault_in_an_upload_that_flows_is_the_layers_refusal() {
    let token = token("phone", "+65 9123 4567");
    let list = String::from_utf8(list(200_000)).unwrap();
    let start = &list[..list.len() - 1];
    for (end, kind) in [
        (format!(r#",{{"phone": "{token}"}}]"#), ErrorKind::TokenSubmitted),
        (",Tan Wei Ming]".to_owned(), ErrorKind::Malformed),
        (",".to_owned(), ErrorKind::Malformed),
    ] {
        let recorder = Recorder::echoing();
        let storage = storage(&recorder).await;
        let mut client: Protected<Body> =
            layer().for_client().layer(Client::builder(TokioExecutor::new()).build(HttpConnector::new()));
        let body = Frames::cut(format!("{start}{end}").as_bytes(), &[10_000]).into_body();
        let request = storage.request("PUT", "/documents").header(CONTENT_TYPE, JSON).body(body).unwrap();
        refused(within(client.ready().await.unwrap().call(request)).await, kind);
        storage.stop().await;
        assert!(recorder.received().iter().all(|seen| seen.body.is_err()));
    }
}

#[tokio::test]
async fn a_fault_in_an_answer_that_flows_ends_in_an_error() {
    let stored = cipher().encrypt_json(&list(200_000)).unwrap();
    let cut = stored[..stored.len() - 1].to_vec();
    let spoilt = [&cut[..], br#",{"phone": "Tan Wei Ming"}]"#].concat();
    for body in [cut, spoilt] {
        let recorder = Recorder::answering(JSON, body);
        let storage = storage(&recorder).await;
        let response = send(&mut around_client(layer()), storage.request("GET", "/"), "").await.unwrap();
        assert_eq!(response.status(), 200);
        let error = within(response.into_body().collect()).await.unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(CANARIES.iter().all(|canary| !said.contains(canary)), "{said}");
    }
}

#[tokio::test]
async fn a_storage_that_switches_protocols_is_refused() {
    let recorder = Recorder::new(|_| {
        let response = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket");
        response.body(Body::empty()).unwrap()
    });
    let storage = storage(&recorder).await;
    let request = storage.request("GET", "/").header("connection", "upgrade").header("upgrade", "websocket");
    refused(send(&mut around_client(layer()), request, "").await, ErrorKind::Service);
    assert!(!recorder.only().headers.contains_key("upgrade"));
}

#[tokio::test]
async fn layers_on_both_ends_are_told() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let request = server.request("POST", "/customers").header(CONTENT_TYPE, JSON);
    let response = send(&mut around_client(layer()), request, CUSTOMER).await.unwrap();
    let (status, body) = read(response).await;
    assert_eq!(status, 422);
    assert!(body.contains("token_submitted"), "{body}");
    assert_eq!(recorder.calls(), 0);
}

#[tokio::test]
async fn a_refused_exchange_leaves_the_client_usable() {
    let recorder = Recorder::echoing();
    let storage = storage(&recorder).await;
    let mut client = around_client(layer());
    for _ in 0..3 {
        let request = storage.request("POST", "/").header(CONTENT_TYPE, JSON);
        refused(send(&mut client, request, "{").await, ErrorKind::Malformed);
        let request = storage.request("POST", "/").header(CONTENT_TYPE, JSON);
        assert_eq!(read(send(&mut client, request, CUSTOMER).await.unwrap()).await.1, CUSTOMER);
    }
    assert_eq!(recorder.calls(), 3);
}
