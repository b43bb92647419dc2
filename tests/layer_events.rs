//! Proves that streams of documents, as server-sent events and as lines, reach the client decrypted, each document as soon
//! as it is whole.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use bytes::Bytes;
use fieldseal::FieldEncryptionLayer;
use fieldseal::policy::{Reveal, Shown};
use futures_util::{StreamExt, stream};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;
use support::{Frames, Recorder, Reply, Server, channel, cipher, layer, token, within};

const EVENTS: &str = "text/event-stream";

/// What a client gets of `stored`, cut into frames.
async fn events(
    layer: FieldEncryptionLayer,
    stored: &[u8],
    lengths: &'static [usize],
) -> Result<Reply, tower::BoxError> {
    let stored = stored.to_vec();
    let recorder = Recorder::new(move |_| {
        let body = Frames::cut(&stored, lengths).into_body();
        Response::builder().header(CONTENT_TYPE, EVENTS).header(CONTENT_LENGTH, stored.len()).body(body).unwrap()
    });
    let server = Server::hyper(layer, &recorder).await;
    server.try_send(server.request("GET", "/events").body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn the_data_of_events_are_decrypted_and_all_else_passes() {
    let phone = token("phone", "+65 9123 4567");
    let remark = cipher().encrypt_value("remark", &serde_json::json!({"a": 1})).unwrap();
    let spread = cipher().encrypt_json(b"{\"remark\": {\"a\":\n1,\r\"b\": 2}}").unwrap();
    let spread = String::from_utf8(spread).unwrap();
    for (stored, sent) in [
        (format!("data: {{\"phone\": \"{phone}\"}}\n\n"), "data: {\"phone\": \"+65 9123 4567\"}\n\n".to_owned()),
        (
            format!("\u{feff}: hi\r\n\r\nid: 1\r\nevent: new\r\ndata:{{\"id\": 1.10,\r\ndata: \"phone\":\"{phone}\"}}\r\nretry: 5\r\n\r\n"),
            "\u{feff}: hi\r\n\r\nid: 1\r\nevent: new\r\ndata:{\"id\": 1.10,\r\ndata: \"phone\":\"+65 9123 4567\"}\r\nretry: 5\r\n\r\n".to_owned(),
        ),
        (format!("\u{feff}data: {{\"phone\":\"{phone}\"}}\r\rdata: 2\r\r"), "\u{feff}data: {\"phone\":\"+65 9123 4567\"}\r\rdata: 2\r\r".to_owned()),
        ("data: [DONE]\n\ndata\ndata:\ndata: {\"a\":1}\ndata\n\n: ping\n".to_owned(), "data: [DONE]\n\ndata\ndata:\ndata: {\"a\":1}\ndata\n\n: ping\n".to_owned()),
        // Text that is no document, and places that are not tagged, open nothing.
        (format!("data: {phone}\n\nevent: {phone}\ndata: \"{phone}\"\n\n"), format!("data: {phone}\n\nevent: {phone}\ndata: \"{phone}\"\n\n")),
        (format!("datum: {{\"phone\":\"{phone}\"}}\n\n"), format!("datum: {{\"phone\":\"{phone}\"}}\n\n")),
        // A value that was encrypted whole brings its lines.
        (format!("data: {spread}\nid: 7\n\n"), "data: {\"remark\": {\"a\":\ndata: 1,\ndata: \"b\": 2}}\nid: 7\n\n".to_owned()),
        (format!("data\ndata: {{\"remark\":\"{remark}\"}}\n\n"), "data\ndata: {\"remark\":{\"a\":1}}\n\n".to_owned()),
        // What no blank line follows.
        (format!("data: {{\"phone\":\"{phone}\"}}"), "data: {\"phone\":\"+65 9123 4567\"}".to_owned()),
    ] {
        for lengths in [&[usize::MAX][..], &[1], &[3, 50]] {
            let reply = events(layer(), stored.as_bytes(), lengths).await.unwrap();
            assert_eq!(reply.text(), sent);
            assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
            assert!(!reply.headers.contains_key(CONTENT_LENGTH));
        }
    }
}

#[tokio::test]
async fn masks_hold_in_events_and_left_out_members_leave_no_line() {
    let phone = token("phone", "+65 9123 4567");
    let stored = format!("data: {{\"id\":1,\ndata: \"phone\":\"{phone}\",\ndata: \"x\":2}}\n\n");
    let masked = events(layer().reveal(Reveal::all(Shown::Masked)), stored.as_bytes(), &[99]).await.unwrap();
    assert_eq!(masked.text(), "data: {\"id\":1,\ndata: \"phone\":\"+65 •••• 4567\",\ndata: \"x\":2}\n\n");
    let absent = events(layer().reveal(Reveal::all(Shown::Absent)), stored.as_bytes(), &[99]).await.unwrap();
    let data: String = absent.text().lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&data).unwrap(), serde_json::json!({"id": 1, "x": 2}));
}

#[tokio::test]
async fn an_event_that_does_not_open_breaks_the_stream() {
    let phone = token("phone", "+65 9123 4567");
    for bad in [
        "data: {\"phone\": \"+65 9123 4567\"}\n\n".to_owned(),
        format!("data: {{\"name\": \"{phone}\"}}\n\n"),
        format!("data: \"{}\n\n", "x".repeat(2 << 20)),
    ] {
        let stored = format!("data: {{\"phone\": \"{phone}\"}}\n\n{bad}");
        assert!(events(layer(), stored.as_bytes(), &[1000]).await.is_err());
    }
}

#[tokio::test]
async fn requests_cannot_be_events() {
    let server = Server::axum(layer(), &Recorder::echoing()).await;
    server.post(EVENTS, "data: {\"phone\":\"9123\"}\n\n").await.refusal(415, "unsupported_media_type");
}

/// Reads from `body` until it holds `expected`, which no more follows for now.
async fn expect(body: &mut hyper::body::Incoming, expected: &str) {
    let mut read = Vec::new();
    while read.len() < expected.len() {
        let frame = within(body.frame()).await.unwrap().unwrap();
        read.extend_from_slice(&frame.into_data().unwrap());
    }
    assert_eq!(String::from_utf8(read).unwrap(), expected);
}

#[tokio::test]
async fn what_is_whole_is_handed_on_while_the_service_pauses() {
    let phone = token("phone", "+65 9123 4567");
    for (media_type, stored, sent) in [
        (EVENTS, format!("data: {{\"phone\": \"{phone}\"}}\n\n"), "data: {\"phone\": \"+65 9123 4567\"}\n\n"),
        (EVENTS, ": ping\n".to_owned(), ": ping\n"),
        ("application/x-ndjson", format!("{{\"phone\": \"{phone}\"}}\n"), "{\"phone\": \"+65 9123 4567\"}\n"),
    ] {
        let (sender, body) = channel();
        let body = std::sync::Mutex::new(Some(body));
        let recorder = Recorder::new(move |_| {
            let body = body.lock().unwrap().take().unwrap();
            Response::builder().header(CONTENT_TYPE, media_type).body(body).unwrap()
        });
        let server = Server::hyper(layer(), &recorder).await;
        // The head comes before anything else.
        let response = server.open(server.request("GET", "/events").body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK);
        let mut body = response.into_body();
        for _ in 0..3 {
            sender.send(Bytes::from(stored.clone())).await.unwrap();
            expect(&mut body, sent).await;
        }
        drop(sender);
        assert!(within(body.frame()).await.is_none());
    }
}

#[tokio::test]
async fn a_limit_on_bodies_does_not_end_a_stream_of_events() {
    let reply = events(layer().body_limit(100), "data: 1\n\n".repeat(1000).as_bytes(), &[500]).await.unwrap();
    assert_eq!(reply.body.len(), 9000);
}

#[tokio::test]
async fn lines_that_are_all_there_are_answered_whole() {
    let token = token("phone", "+65 9123 4567");
    for (lines, status) in [(format!("{{\"phone\":\"{token}\"}}\n"), 200), (format!("{{\"name\":\"{token}\"}}\n"), 500)]
    {
        let server = Server::hyper(layer(), &Recorder::answering("application/x-ndjson", lines)).await;
        let reply = server.get("/customers").await;
        assert_eq!(reply.status.as_u16(), status);
        assert!(reply.headers.contains_key(CONTENT_LENGTH));
    }
}

#[tokio::test]
async fn lines_of_a_request_that_pauses_reach_the_service_together() {
    let recorder = Recorder::echoing();
    let server = Server::hyper(layer(), &recorder).await;
    let (sender, body) = channel();
    let request = server.request("POST", "/").header(CONTENT_TYPE, "application/x-ndjson").body(body).unwrap();
    let sending = tokio::spawn(async move {
        for line in ["{\"phone\":\"9123\"}\n", "{\"phone\":"] {
            sender.send(line.into()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    server.send(request).await.refusal(400, "malformed");
    sending.await.unwrap();
    assert_eq!(recorder.calls(), 0);
}

/// A handler as axum's documentation has it, and a client that knows nothing of the layer.
#[tokio::test]
async fn the_events_of_axum_reach_a_client() {
    let phone = token("phone", "+65 9123 4567");
    let handler = move || async move {
        let event = Event::default().event("customer").json_data(serde_json::json!({"id": 7, "phone": phone})).unwrap();
        let events = stream::iter([event.clone(), event]).then(|event| async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            Ok::<_, Infallible>(event)
        });
        Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_millis(10)))
    };
    let server = Server::router(Router::new().route("/events", get(handler)).layer(layer())).await;
    let text = within(async { reqwest::get(server.uri("/events")).await.unwrap().text().await.unwrap() }).await;
    let events: Vec<&str> = text.split("\n\n").filter(|event| event.starts_with("event:")).collect();
    assert_eq!(events, ["event: customer\ndata: {\"id\":7,\"phone\":\"+65 9123 4567\"}"; 2]);
    assert!(text.contains(":\n\n"), "comments that keep the connection alive pass");
}
