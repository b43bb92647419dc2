//! Proves that the layer keeps to HTTP, byte by byte where bytes matter: lengths, chunks, trailers, heads without
//! bodies, `Expect`, upgrades, readiness.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use bytes::Bytes;
use fieldseal::layer::FieldBody;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{Request, Response, Version};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use support::{
    CUSTOMER, Frames, JSON, RawReply, Recorder, Reply, STORED_CUSTOMER, Server, cipher, http_2_client, layer, list,
    masked, token, trailers, within,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

const CLOSE: &str = "host: x\r\nconnection: close\r\n";

fn stored() -> Vec<u8> {
    cipher().encrypt_json(CUSTOMER.as_bytes()).unwrap()
}

/// Takes a chunked body apart: its data, and what stands behind the last chunk.
fn unchunked(mut rest: &[u8]) -> (Vec<u8>, String) {
    let mut data = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").unwrap();
        let length = usize::from_str_radix(str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        rest = &rest[end + 2..];
        if length == 0 {
            return (data, str::from_utf8(rest).unwrap().to_lowercase());
        }
        data.extend_from_slice(&rest[..length]);
        assert_eq!(&rest[length..length + 2], b"\r\n");
        rest = &rest[length + 2..];
    }
}

/// Writes a chunked body of pieces of `length` bytes.
fn chunked(body: &[u8], length: usize, trailers: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in body.chunks(length) {
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    out
}

#[tokio::test]
async fn whole_bodies_have_their_own_length_in_both_directions() {
    let recorder = Recorder::echoing();
    for server in [Server::axum(layer(), &recorder).await, Server::hyper(layer(), &recorder).await] {
        let head = format!("POST /customers HTTP/1.1\r\n{CLOSE}content-type: application/json\r\n");
        let reply = server.raw(format!("{head}content-length: {}\r\n\r\n{CUSTOMER}", CUSTOMER.len())).await;
        assert!(reply.head.starts_with("http/1.1 200 ok\r\n"), "{}", reply.head);
        assert_eq!(reply.header("content-length"), Some(&*CUSTOMER.len().to_string()));
        assert_eq!(reply.header("transfer-encoding"), None);
        assert_eq!(reply.text(), CUSTOMER);
        assert_eq!(reply.head.matches("content-length").count(), 1);
        let seen = recorder.received().pop().unwrap();
        assert_eq!(masked(seen.bytes()), STORED_CUSTOMER);
        assert_eq!(seen.headers.get_all(CONTENT_LENGTH).iter().collect::<Vec<_>>(), [&*seen.bytes().len().to_string()]);
    }
    assert_eq!(recorder.calls(), 2);
}

#[tokio::test]
async fn chunked_bodies_that_are_held_whole_have_a_length_afterwards() {
    let recorder = Recorder::new(|received| {
        let body = Frames::cut(received.bytes(), &[3]).into_body();
        Response::builder().header(CONTENT_TYPE, JSON).body(body).unwrap()
    });
    let server = Server::hyper(layer(), &recorder).await;
    for length in [1, 7, 1000] {
        let head = format!("POST /customers HTTP/1.1\r\n{CLOSE}content-type: application/json\r\n");
        let body = chunked(CUSTOMER.as_bytes(), length, "");
        let reply = server.raw([format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes(), &body].concat()).await;
        assert_eq!(reply.header("content-length"), Some(&*CUSTOMER.len().to_string()));
        assert_eq!(reply.header("transfer-encoding"), None);
        assert_eq!(reply.text(), CUSTOMER);
        let seen = recorder.received().pop().unwrap();
        assert_eq!(masked(seen.bytes()), STORED_CUSTOMER);
        assert_eq!(seen.headers[CONTENT_LENGTH], seen.bytes().len().to_string());
        assert!(!seen.headers.contains_key(TRANSFER_ENCODING));
    }
}

#[tokio::test]
async fn bodies_that_flow_are_chunked() {
    let list = list(150_000);
    // The service tells the length of what it stores, which is not what goes out.
    let recorder = Recorder::new(|received| {
        let body = received.bytes().to_vec();
        let response = Response::builder().header(CONTENT_TYPE, JSON).header(CONTENT_LENGTH, body.len());
        response.body(body.into()).unwrap()
    });
    let server = Server::hyper(layer(), &recorder).await;
    let head = format!("POST /customers HTTP/1.1\r\n{CLOSE}content-type: application/json\r\n");
    for request in [
        [format!("{head}content-length: {}\r\n\r\n", list.len()).as_bytes(), &list].concat(),
        [format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes(), &chunked(&list, 997, "")].concat(),
    ] {
        let reply = server.raw(request).await;
        assert_eq!((reply.header("transfer-encoding"), reply.header("content-length")), (Some("chunked"), None));
        assert!(unchunked(&reply.rest) == (list.clone(), "\r\n".to_owned()));
        let seen = recorder.received().pop().unwrap();
        assert!(cipher().decrypt_json(seen.bytes()).unwrap() == list);
        assert!(!seen.headers.contains_key(CONTENT_LENGTH) && !seen.headers.contains_key(TRANSFER_ENCODING));
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_is_served() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let head = "POST /customers HTTP/1.0\r\ncontent-type: application/json\r\n";
    let reply = server.raw(format!("{head}content-length: {}\r\n\r\n{CUSTOMER}", CUSTOMER.len())).await;
    assert!(reply.head.starts_with("http/1.0 200 "), "{}", reply.head);
    assert_eq!(reply.header("content-length"), Some(&*CUSTOMER.len().to_string()));
    assert_eq!(reply.text(), CUSTOMER);
    assert_eq!(recorder.only().version, Version::HTTP_10);
}

#[tokio::test]
async fn one_connection_serves_on_after_refusals() {
    let recorder = Recorder::answering(JSON, stored());
    let server = Server::hyper(layer(), &recorder).await;
    let get = |target: &str, more: &str| format!("GET {target} HTTP/1.1\r\nhost: x\r\n{more}\r\n");
    let requests =
        [get("/?phone=9123", ""), get("/7", ""), get("/?phone", ""), get("/8", "connection: close\r\n")].concat();
    let mut stream = server.connect().await;
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut replies = String::new();
    within(stream.read_to_string(&mut replies)).await.unwrap();
    let statuses: Vec<&str> =
        replies.match_indices("HTTP/1.1 ").map(|(at, mark)| &replies[at + mark.len()..][..3]).collect();
    assert_eq!(statuses, ["422", "200", "422", "200"]);
    assert_eq!(replies.matches(CUSTOMER).count(), 2);
    let paths: Vec<String> = recorder.received().iter().map(|seen| seen.uri.path().to_owned()).collect();
    assert_eq!(paths, ["/7", "/8"]);
}

#[tokio::test]
async fn http_2_is_served_as_http_1_is() {
    let recorder = Recorder::echoing();
    for server in [Server::axum(layer(), &recorder).await, Server::hyper(layer(), &recorder).await] {
        for body in [Body::from(CUSTOMER), Frames::cut(CUSTOMER.as_bytes(), &[5]).into_body()] {
            let request = server.request("POST", "/customers").header(CONTENT_TYPE, JSON).body(body).unwrap();
            let reply = Reply::read(within(http_2_client().request(request)).await.unwrap()).await.unwrap();
            assert_eq!((reply.status.as_u16(), reply.text()), (200, CUSTOMER));
            assert_eq!(reply.headers[CONTENT_LENGTH], CUSTOMER.len().to_string());
            let seen = recorder.received().pop().unwrap();
            assert_eq!((seen.version, &*masked(seen.bytes())), (Version::HTTP_2, STORED_CUSTOMER));
            assert_eq!(seen.headers[CONTENT_LENGTH], seen.bytes().len().to_string());
        }
        let request = server.request("POST", "/").header(CONTENT_TYPE, JSON).body(Body::from("{\"phone\":")).unwrap();
        let reply = Reply::read(within(http_2_client().request(request)).await.unwrap()).await.unwrap();
        reply.refusal(400, "malformed");
        let request = server.request("GET", "/").body(Body::empty()).unwrap();
        let reply = Reply::read(within(http_2_client().request(request)).await.unwrap()).await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.text()), (200, ""));
    }
}

#[tokio::test]
async fn trailers_of_a_request_reach_the_service_without_digests() {
    for whole in [64 * 1024, 16] {
        let recorder = Recorder::echoing();
        let server = Server::hyper(layer().whole_body_limit(whole), &recorder).await;
        let head =
            format!("POST / HTTP/1.1\r\n{CLOSE}content-type: application/json\r\ntransfer-encoding: chunked\r\n");
        let sent = "x-count: 1\r\ncontent-digest: sha-256=:AAAA:\r\nrepr-digest: sha-256=:AAAA:\r\ndigest: a\r\ncontent-md5: a\r\nx-last: 2\r\n";
        let body = chunked(CUSTOMER.as_bytes(), 10, sent);
        let reply = server.raw([format!("{head}trailer: x-count, x-last\r\n\r\n").as_bytes(), &body].concat()).await;
        assert!(reply.head.starts_with("http/1.1 200 "), "{}", reply.head);
        let seen = recorder.only();
        assert_eq!(masked(seen.bytes()), STORED_CUSTOMER);
        let mut names: Vec<_> = seen
            .trailers
            .as_ref()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        names.sort_unstable();
        assert_eq!(names, [("x-count", "1"), ("x-last", "2")]);
        let sent = format!("x-count: {}\r\n", token("phone", "+65 9123 4567"));
        let body = chunked(CUSTOMER.as_bytes(), 10, &sent);
        let reply = server.raw([format!("{head}trailer: x-count\r\n\r\n").as_bytes(), &body].concat()).await;
        assert!(reply.head.starts_with("http/1.1 422 "), "{}", reply.head);
    }
}

#[tokio::test]
async fn trailers_of_a_response_reach_the_client_without_digests() {
    let (fields, announced) = trailers(&[
        ("x-count", "1"),
        ("content-digest", "a"),
        ("repr-digest", "a"),
        ("digest", "a"),
        ("content-md5", "a"),
    ]);
    let recorder = Recorder::new(move |_| {
        let body = Frames::cut(&stored(), &[10]).and_trailers(fields.clone()).into_body();
        let response = Response::builder().header(CONTENT_TYPE, JSON).header(&announced.0, &announced.1);
        response.body(body).unwrap()
    });
    for whole in [64 * 1024, 16] {
        for server in [
            Server::axum(layer().whole_body_limit(whole), &recorder).await,
            Server::hyper(layer().whole_body_limit(whole), &recorder).await,
        ] {
            let reply = server.raw(format!("GET / HTTP/1.1\r\n{CLOSE}te: trailers\r\n\r\n")).await;
            assert_eq!((reply.header("transfer-encoding"), reply.header("content-length")), (Some("chunked"), None));
            assert_eq!(unchunked(&reply.rest), (CUSTOMER.as_bytes().to_vec(), "x-count: 1\r\n\r\n".to_owned()));
            let request = server.request("GET", "/").body(Body::empty()).unwrap();
            let reply = Reply::read(within(http_2_client().request(request)).await.unwrap()).await.unwrap();
            assert_eq!(reply.text(), CUSTOMER);
            let fields = reply.trailers.unwrap();
            assert_eq!((fields.len(), &fields["x-count"]), (1, &"1".parse().unwrap()));
        }
    }
}

#[tokio::test]
async fn trailers_alone_reach_the_client() {
    let (fields, announced) = trailers(&[("x-count", "0")]);
    let recorder = Recorder::new(move |_| {
        let body = Frames::default().and_trailers(fields.clone()).into_body();
        Response::builder().header(CONTENT_TYPE, JSON).header(&announced.0, &announced.1).body(body).unwrap()
    });
    let server = Server::hyper(layer(), &recorder).await;
    let reply = server.raw(format!("GET / HTTP/1.1\r\n{CLOSE}te: trailers\r\n\r\n")).await;
    assert_eq!(unchunked(&reply.rest), (Vec::new(), "x-count: 0\r\n\r\n".to_owned()));
}

#[tokio::test]
async fn heads_that_speak_of_a_body_that_is_not_there_pass_as_heads() {
    let json = |status: u16| Response::builder().status(status).header(CONTENT_TYPE, JSON).header("x-kept", "1");
    let recorder = Recorder::new(move |received| {
        let status: u16 = received.uri.path()[1..].parse().unwrap();
        let body = if received.method == "HEAD" || status == 200 { Body::from(stored()) } else { Body::empty() };
        let response = json(status).header("content-digest", "sha-256=:AAAA:").header("content-encoding", "gzip");
        // RFC 9110, section 8.6, lets both speak of the length that is not sent.
        let tells_length = received.method == "HEAD" || status == 304;
        let response = if tells_length { response.header(CONTENT_LENGTH, stored().len()) } else { response };
        response.body(body).unwrap()
    });
    for server in [Server::axum(layer(), &recorder).await, Server::hyper(layer(), &recorder).await] {
        for (method, status) in [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304), ("HEAD", 304)] {
            let reply = server.raw(format!("{method} /{status} HTTP/1.1\r\n{CLOSE}\r\n")).await;
            assert!(reply.head.starts_with(&format!("http/1.1 {status} ")), "{}", reply.head);
            assert_eq!(reply.text(), "", "{method} {status}");
            assert_eq!(reply.header("content-length"), None, "{method} {status}: whose length?");
            assert_eq!((reply.header("content-type"), reply.header("x-kept")), (Some(JSON), Some("1")));
            assert_eq!(reply.header("content-digest"), None);
        }
        let reply = server.raw(format!("GET /200 HTTP/1.1\r\n{CLOSE}\r\n")).await;
        assert!(reply.head.starts_with("http/1.1 502 "), "this is not about codings: {}", reply.head);
    }
}

#[tokio::test]
async fn a_refusal_of_a_head_has_no_body() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let reply = server.raw(format!("HEAD /?phone=9123 HTTP/1.1\r\n{CLOSE}\r\n")).await;
    assert!(reply.head.starts_with("http/1.1 422 "), "{}", reply.head);
    assert_eq!((reply.text(), reply.header("content-type")), ("", Some("application/problem+json")));
    assert_eq!(recorder.calls(), 0);
}

#[tokio::test]
async fn a_refusal_on_the_wire_is_whole() {
    let server = Server::hyper(layer(), &Recorder::echoing()).await;
    let head = format!("POST / HTTP/1.1\r\n{CLOSE}content-type: application/json\r\n");
    let reply = server.raw(format!("{head}content-length: 1\r\n\r\n{{")).await;
    assert!(reply.head.starts_with("http/1.1 400 bad request\r\n"), "{}", reply.head);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!(reply.header("content-length"), Some(&*reply.rest.len().to_string()));
    let expected = r#"{"title":"Bad Request","status":400,"detail":"not valid JSON at byte 1: the document ends early","code":"malformed"}"#;
    assert_eq!(reply.text(), expected);
}

/// Reads one head, and nothing behind it.
async fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

#[tokio::test]
async fn a_body_that_is_asked_about_first_is_asked_for() {
    let recorder = Recorder::echoing();
    for server in [Server::axum(layer(), &recorder).await, Server::hyper(layer(), &recorder).await] {
        let mut stream = server.connect().await;
        let head = format!("POST / HTTP/1.1\r\n{CLOSE}content-type: application/json\r\nexpect: 100-continue\r\n");
        stream.write_all(format!("{head}content-length: {}\r\n\r\n", CUSTOMER.len()).as_bytes()).await.unwrap();
        assert_eq!(head_of(&mut stream).await, "http/1.1 100 continue\r\n\r\n");
        stream.write_all(CUSTOMER.as_bytes()).await.unwrap();
        let reply = RawReply::read(&mut stream).await;
        assert!(reply.head.starts_with("http/1.1 200 "), "{}", reply.head);
        assert_eq!(reply.text(), CUSTOMER);
        let seen = recorder.received().pop().unwrap();
        assert_eq!(masked(seen.bytes()), STORED_CUSTOMER);
        assert!(!seen.headers.contains_key("expect"), "the layer has answered that");
    }
}

#[tokio::test]
async fn a_body_that_would_be_refused_is_not_asked_for() {
    let recorder = Recorder::echoing();
    let server = Server::hyper(layer().body_limit(100).whole_body_limit(50), &recorder).await;
    for (target, fields, status) in [
        ("/", "content-type: text/plain\r\ncontent-length: 50\r\n", 415),
        ("/", "content-type: text/plain\r\ntransfer-encoding: chunked\r\n", 415),
        ("/", "content-length: 50\r\n", 415),
        ("/", "content-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 50\r\n", 415),
        ("/", "content-type: application/json\r\ncontent-range: bytes 0-49/100\r\ncontent-length: 50\r\n", 400),
        ("/?phone=9123", "content-type: application/json\r\ncontent-length: 50\r\n", 422),
        ("/", "content-type: application/json\r\ncontent-length: 101\r\n", 413),
        ("/", "content-type: application/json-patch+json\r\ncontent-length: 51\r\n", 413),
    ] {
        let mut stream = server.connect().await;
        let head = format!("POST {target} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n{fields}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // Not a byte of the body is sent, and the connection is not kept for one.
        let reply = RawReply::read(&mut stream).await;
        assert!(reply.head.starts_with(&format!("http/1.1 {status} ")), "{fields}: {}", reply.head);
        assert!(!reply.text().contains("HTTP/1.1") && reply.text().contains("\"code\""));
    }
    assert_eq!(recorder.calls(), 0);
}

#[tokio::test]
async fn an_upgrade_is_not_offered_to_the_service() {
    let recorder = Recorder::answering(JSON, stored());
    for server in [Server::axum(layer(), &recorder).await, Server::hyper(layer(), &recorder).await] {
        for (fields, kept) in [
            (
                "connection: Upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                Some("close"),
            ),
            (
                "connection: close, Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
                Some("close"),
            ),
            ("connection: Upgrade\r\nconnection: close\r\nupgrade: TLS/1.3, HTTP/3\r\n", Some("close")),
        ] {
            let reply = server.raw(format!("GET /customers/7 HTTP/1.1\r\nhost: x\r\n{fields}\r\n")).await;
            assert!(reply.head.starts_with("http/1.1 200 "), "{}", reply.head);
            assert_eq!(reply.header("upgrade"), None);
            assert_eq!(reply.text(), CUSTOMER);
            let seen = recorder.received().pop().unwrap();
            assert!(!seen.can_upgrade);
            assert!(!seen.headers.contains_key("upgrade") && !seen.headers.contains_key("http2-settings"));
            assert_eq!(seen.headers.get("connection").map(|value| value.to_str().unwrap()), kept);
        }
    }
    let calls = recorder.calls();
    let server = Server::hyper(layer(), &recorder).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await.unwrap();
    assert!(head_of(&mut stream).await.starts_with("http/1.1 200 "));
    assert!(!recorder.received()[calls].headers.contains_key("connection"));
}

#[tokio::test]
async fn without_the_layer_the_service_could_upgrade() {
    // Shows that the test above would see an upgrade if there were one.
    let recorder = Recorder::answering(JSON, "{}");
    let service = {
        let recorder = recorder.clone();
        service_fn(move |request: Request<Incoming>| {
            let response = recorder.clone().handle(request);
            async move { Ok::<_, Infallible>(response.await) }
        })
    };
    let server = Server::service(service).await;
    server.raw("GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n").await;
    assert!(recorder.only().can_upgrade && recorder.only().headers.contains_key("upgrade"));
}

#[tokio::test]
async fn an_upgrade_with_a_body_is_encrypted_like_any_other() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let head = "POST / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: h2c\r\ncontent-type: application/json\r\n";
    let reply = server.raw(format!("{head}content-length: {}\r\n\r\n{CUSTOMER}", CUSTOMER.len())).await;
    assert_eq!(reply.text(), CUSTOMER);
    assert_eq!(masked(recorder.only().bytes()), STORED_CUSTOMER);
}

#[tokio::test]
async fn a_service_that_switches_protocols_gives_no_answer() {
    let recorder = Recorder::new(|_| {
        let response = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket");
        response.body(Body::empty()).unwrap()
    });
    let server = Server::hyper(layer(), &recorder).await;
    let reply =
        server.raw("GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n").await;
    assert!(reply.head.starts_with("http/1.1 502 "), "{}", reply.head);
    assert_eq!(reply.header("upgrade"), None);
    assert_eq!(recorder.calls(), 1);
}

#[tokio::test]
async fn a_tunnel_is_refused() {
    let recorder = Recorder::answering("text/plain", "tunnel");
    let server = Server::hyper(layer(), &recorder).await;
    let reply =
        server.raw("CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\nconnection: close\r\n\r\n").await;
    assert!(reply.head.starts_with("http/1.1 422 "), "{}", reply.head);
    assert!(reply.text().contains("tunnel"), "{}", reply.text());
    // The same over HTTP/2, and a WebSocket of RFC 8441.
    let io = hyper_util::rt::TokioIo::new(server.connect().await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = within(hyper::client::conn::http2::handshake(executor, io)).await.unwrap();
    let connection = tokio::spawn(connection);
    // The server's settings, which allow the extended form, come with its first answer.
    let request = Request::builder().uri(server.uri("/?phone=9123")).body(http_body_util::Empty::<Bytes>::new());
    assert_eq!(within(sender.send_request(request.unwrap())).await.unwrap().status(), 422);
    for protocol in [None, Some(hyper::ext::Protocol::from_static("websocket"))] {
        let mut request = Request::builder().method("CONNECT");
        request = match protocol {
            None => request.uri("example.com:443"),
            Some(protocol) => request.uri(server.uri("/socket")).extension(protocol),
        };
        let request = request.body(http_body_util::Empty::<Bytes>::new()).unwrap();
        assert_eq!(within(sender.send_request(request)).await.unwrap().status(), 422);
    }
    drop(sender);
    within(connection).await.unwrap().unwrap();
    assert_eq!(recorder.calls(), 0);
}

/// A service that must be asked whether it is ready before each call, on the very instance that is called, and that is
/// ready only once its gate is open.
#[derive(Default)]
struct Strict {
    gate: Arc<Gate>,
    is_ready: bool,
}

#[derive(Default)]
struct Gate {
    is_open: AtomicBool,
    asked: AtomicUsize,
    calls: AtomicUsize,
    waiting: std::sync::Mutex<Vec<Waker>>,
}

impl Gate {
    fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
        self.waiting.lock().unwrap().drain(..).for_each(Waker::wake);
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { gate: Arc::clone(&self.gate), is_ready: false }
    }
}

impl Service<Request<FieldBody<Incoming>>> for Strict {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.gate.asked.fetch_add(1, Ordering::SeqCst);
        let mut waiting = self.gate.waiting.lock().unwrap();
        if !self.gate.is_open.load(Ordering::SeqCst) {
            waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<FieldBody<Incoming>>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without having been asked whether it is ready");
        self.gate.calls.fetch_add(1, Ordering::SeqCst);
        ready(Ok(Response::new("called".into())))
    }
}

#[tokio::test]
async fn a_service_is_called_only_when_it_is_ready() {
    let gate = Arc::new(Gate::default());
    let server = Server::service(layer().layer(Strict { gate: Arc::clone(&gate), is_ready: false })).await;
    let requests: Vec<_> = ["GET", "POST", "POST"]
        .into_iter()
        .map(|method| {
            let body = if method == "GET" { Body::empty() } else { Body::from(CUSTOMER) };
            let request = server.request(method, "/").header(CONTENT_TYPE, JSON).body(body).unwrap();
            tokio::spawn(async move { Reply::read(support::client().request(request).await.unwrap()).await.unwrap() })
        })
        .collect();
    within(async {
        while gate.asked.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(gate.calls.load(Ordering::SeqCst), 0);
    gate.open();
    for request in requests {
        assert_eq!(within(request).await.unwrap().text(), "called");
    }
    assert_eq!(gate.calls.load(Ordering::SeqCst), 3);
    assert_eq!(server.post(JSON, CUSTOMER).await.text(), "called");
    server.post(JSON, "{").await.refusal(400, "malformed");
    assert_eq!(server.get("/").await.text(), "called");
    assert_eq!(gate.calls.load(Ordering::SeqCst), 5);
}

#[derive(Clone)]
struct Broken;

impl Service<Request<FieldBody<Incoming>>> for Broken {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Err("broken for good".into()))
    }

    fn call(&mut self, _: Request<FieldBody<Incoming>>) -> Self::Future {
        panic!("called although it is broken");
    }
}

#[tokio::test]
async fn a_service_that_is_broken_for_good_fails_as_itself() {
    let mut layered = layer().layer(Broken);
    let error = std::future::poll_fn(|context| Service::<Request<Incoming>>::poll_ready(&mut layered, context)).await;
    assert_eq!(error.unwrap_err().to_string(), "broken for good");
    let server = Server::service(layered).await;
    assert!(server.try_send(server.request("GET", "/").body(Body::empty()).unwrap()).await.is_err());
}

/// A body that says when nothing more comes.
struct SaysItsEnd {
    pieces: VecDeque<Bytes>,
    /// How many pieces are left behind, unasked for.
    left: usize,
    fails_at_its_end: bool,
}

impl SaysItsEnd {
    fn of(pieces: &[&[u8]], left: usize) -> Self {
        let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
        Self { pieces, left, fails_at_its_end: false }
    }
}

impl http_body::Body for SaysItsEnd {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(match self.pieces.pop_front() {
            Some(piece) => Some(Ok(Frame::data(piece))),
            None => self.fails_at_its_end.then(|| Err("the digest is of another body".into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.len() == self.left
    }
}

#[tokio::test]
async fn a_body_that_says_its_end_is_whole_there() {
    let customer = CUSTOMER.as_bytes();
    for pieces in [&[customer][..], &[&customer[..20], &customer[20..]]] {
        let service = layer().layer(service_fn(async |request: Request<FieldBody<SaysItsEnd>>| {
            let stored = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(masked(&stored), STORED_CUSTOMER);
            let (begin, rest) = stored.split_at(if pieces.len() > 1 { 100 } else { stored.len() });
            let body = SaysItsEnd::of(&[begin, rest][..pieces.len()], 0);
            Ok::<_, Infallible>(Response::builder().header(CONTENT_TYPE, JSON).body(body).unwrap())
        }));
        let request = Request::post("/customers").header(CONTENT_TYPE, JSON).body(SaysItsEnd::of(pieces, 0)).unwrap();
        let reply = service.oneshot(request).await.unwrap();
        assert_eq!(reply.headers()[CONTENT_LENGTH], CUSTOMER.len().to_string());
        assert_eq!(reply.into_body().collect().await.unwrap().to_bytes(), CUSTOMER);
    }
}

#[tokio::test]
async fn a_body_that_fails_at_its_end_is_refused_whatever_it_said_before() {
    let customer = CUSTOMER.as_bytes();
    for pieces in [&[customer][..], &[&customer[..20], &customer[20..]]] {
        let service = layer().layer(service_fn(
            async |_: Request<FieldBody<SaysItsEnd>>| -> Result<Response<SaysItsEnd>, Infallible> {
                panic!("called with what is not authentic");
            },
        ));
        let body = SaysItsEnd { fails_at_its_end: true, ..SaysItsEnd::of(pieces, 0) };
        let request = Request::post("/customers").header(CONTENT_TYPE, JSON).body(body).unwrap();
        assert_eq!(service.oneshot(request).await.unwrap().status(), 400);
    }
}

#[tokio::test]
async fn a_document_that_is_cut_short_by_its_own_word_is_refused() {
    let service = layer().layer(service_fn(
        async |_: Request<FieldBody<SaysItsEnd>>| -> Result<Response<SaysItsEnd>, Infallible> {
            panic!("called with a part of a document");
        },
    ));
    let (begin, rest) = CUSTOMER.as_bytes().split_at(20);
    let body = SaysItsEnd::of(&[begin, rest], 1);
    let request = Request::post("/customers").header(CONTENT_TYPE, JSON).body(body).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), 400);
}
