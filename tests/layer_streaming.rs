//! Proves that long bodies flow through the layer in both directions, in bounded memory, and that a fault on the way
//! never looks like a whole document.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use fieldseal::layer::FieldBody;
use fieldseal::policy::{CompoundIndex, Normalizer};
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use support::{
    CUSTOMER, Frames, JSON, RawReply, Recorder, Reply, STORED_CUSTOMER, Server, channel, cipher, keys, layer, list,
    masked, token, within,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::Notify;
use tower::{BoxError, Layer, Service, ServiceExt};

const NDJSON: &str = "application/x-ndjson";
const LENGTHS: [usize; 6] = [1, 7, 1013, 65_537, 3, 40_000];

/// Answers with what it received, in frames of these lengths.
fn echoing_in(lengths: &'static [usize]) -> Recorder {
    Recorder::new(move |received| match &received.body {
        Ok(body) => {
            let body = Frames::cut(body, lengths).into_body();
            Response::builder().header(CONTENT_TYPE, &received.headers[CONTENT_TYPE]).body(body).unwrap()
        }
        Err(_) => Response::builder().status(201).body("stored what came".into()).unwrap(),
    })
}

#[tokio::test]
async fn a_long_list_flows_in_and_out() {
    for (length, is_length_known) in [(2_000_000, false), (200_000, true)] {
        let list = list(length);
        let recorder = echoing_in(&LENGTHS);
        let server = Server::axum(layer(), &recorder).await;
        let body = if is_length_known { Body::from(list.clone()) } else { Frames::cut(&list, &LENGTHS).into_body() };
        let reply = server.post(JSON, body).await;
        assert_eq!(reply.status, 200);
        assert!(reply.body == list, "the client gets what it sent");
        assert!(!reply.headers.contains_key(CONTENT_LENGTH));
        let seen = recorder.only();
        assert!(!seen.headers.contains_key(CONTENT_LENGTH), "nobody knows how long it will be");
        assert!(cipher().decrypt_json(seen.bytes()).unwrap() == list, "the service gets what was sent");
        let seen = masked(seen.bytes());
        assert!(!seen.contains("+65 9123") && !seen.contains("Tan Wei"));
    }
}

#[tokio::test]
async fn a_long_list_flows_over_http_2() {
    let list = list(500_000);
    let recorder = echoing_in(&LENGTHS);
    let server = Server::hyper(layer(), &recorder).await;
    let request = server.request("POST", "/").header(CONTENT_TYPE, JSON).body(Frames::cut(&list, &LENGTHS).into_body());
    let reply = within(Reply::read(within(support::http_2_client().request(request.unwrap())).await.unwrap())).await;
    assert!(reply.unwrap().body == list);
    assert!(cipher().decrypt_json(recorder.only().bytes()).unwrap() == list);
}

#[tokio::test]
async fn a_document_can_be_cut_anywhere() {
    let document = concat!(
        r#" {"a":[1.10,{"\u0070hone" : "\ud83d\ude00 é€😀" ,"n":null}],"phone":-1.5e-7 ,"name":{"x":["]}",true]},"#,
        r#""email":[ ],"address":null,"z":123456789012345678901234567890} "#
    );
    let stored = concat!(
        r#" {"a":[1.10,{"\u0070hone" : "<112>" ,"n":null}],"phone":"<112>" ,"name":"<112>","#,
        r#""email":"<155>","address":null,"z":123456789012345678901234567890} "#
    );
    for lengths in [&[1][..], &[2], &[3], &[5, 1], &[64]] {
        for whole in [0, 1, 40, 64 * 1024] {
            let recorder = Recorder::echoing();
            let server = Server::axum(layer().whole_body_limit(whole), &recorder).await;
            let reply = server.post(JSON, Frames::cut(document.as_bytes(), lengths).into_body()).await;
            assert_eq!((reply.status.as_u16(), reply.text()), (200, document));
            assert_eq!(masked(recorder.only().bytes()), stored);
        }
    }
    for lengths in [&[1][..], &[2], &[3], &[5, 1], &[64]] {
        for whole in [0, 1, 40] {
            let recorder = echoing_in(lengths);
            let server = Server::hyper(layer().whole_body_limit(whole), &recorder).await;
            assert_eq!(server.post(JSON, document).await.text(), document);
        }
    }
}

#[tokio::test]
async fn the_limit_of_whole_bodies_is_64_kib_unless_set() {
    let document = |length: usize| format!(r#"{{"phone":"9123","note":"{}"}}"#, "x".repeat(length - 26));
    let small = document(100);
    for (limit, length, is_whole) in [
        (None, 65_536, true),
        (None, 65_537, false),
        (Some(99), 100, false),
        (Some(100), 100, true),
        (Some(0), 100, false),
    ] {
        let recorder = Recorder::answering(JSON, cipher().encrypt_json(small.as_bytes()).unwrap());
        let layer = limit.map_or(layer(), |limit| layer().whole_body_limit(limit));
        let server = Server::axum(layer, &recorder).await;
        let document = document(length);
        assert_eq!(document.len(), length);
        let reply = server.post(JSON, document.clone()).await;
        let seen = recorder.only();
        assert_eq!(masked(seen.bytes()), document.replace("9123", "<112>"));
        let told = seen.headers.get(CONTENT_LENGTH).map(|length| length.to_str().unwrap().to_owned());
        assert_eq!(told, is_whole.then(|| seen.bytes().len().to_string()));
        assert!(!seen.headers.contains_key(TRANSFER_ENCODING));
        // The stored form of the answer is longer than what is opened of it: 100 + 112 - 4 bytes.
        let told = reply.headers.get(CONTENT_LENGTH).map(|length| length.to_str().unwrap().to_owned());
        assert_eq!(told, limit.is_none().then(|| "100".to_owned()));
        assert_eq!(reply.text(), small);
    }
}

#[tokio::test]
async fn a_fault_in_a_request_that_flows_is_answered_by_the_layer() {
    let start = String::from_utf8(list(100_000)).unwrap();
    let start = &start[..start.len() - 1];
    let token = token("phone", "+65 9123 4567");
    for (end, status, code) in [
        (",".to_owned(), 400, "malformed"),
        (", Tan Wei Ming]".to_owned(), 400, "malformed"),
        ("] []".to_owned(), 400, "malformed"),
        (",\"\u{1}\"]".to_owned(), 400, "malformed"),
        (format!(r#",{{"phone": "{token}"}}]"#), 422, "token_submitted"),
        (format!(r#",{{"phone": "{}"}}]"#, "9".repeat(1 << 20)), 413, "too_large"),
    ] {
        for lengths in [&[16_384][..], &[100_100, 1]] {
            let recorder = echoing_in(&[1000]);
            let server = Server::axum(layer().whole_body_limit(1000), &recorder).await;
            let body = Frames::cut(format!("{start}{end}").as_bytes(), lengths).into_body();
            server.post(JSON, body).await.refusal(status, code);
            // A body that ends at once never flows; any other is broken off within the service.
            if let Some(seen) = recorder.received().first() {
                assert!(seen.body.is_err(), "the service takes the body for whole");
                let said = seen.body.as_ref().unwrap_err();
                assert!(!said.contains("Tan") && !said.contains("fs1.") && !said.contains("9123"), "{said}");
            }
            if lengths.len() == 1 {
                assert_eq!(recorder.calls(), 1, "this is about bodies that flow");
            }
        }
    }
}

#[tokio::test]
async fn a_service_that_fails_on_a_broken_body_is_not_what_the_client_hears_of() {
    let service =
        layer().whole_body_limit(16).layer(tower::service_fn(|request: Request<FieldBody<Incoming>>| async move {
            request.into_body().collect().await?;
            Ok::<_, BoxError>(Response::new(Body::empty()))
        }));
    let server = Server::service(service).await;
    server
        .post(JSON, Frames::cut(b"{\"phone\": \"9123\", \"name\" \"Tan Wei Ming\"}", &[20]).into_body())
        .await
        .refusal(400, "malformed");
    assert!(
        server
            .try_send(
                server
                    .request("POST", "/")
                    .header(CONTENT_TYPE, JSON)
                    .body(Frames::cut(&list(1000), &[20]).into_body())
                    .unwrap()
            )
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_fault_in_lines_that_flow_leaves_what_came_before_it() {
    let recorder = echoing_in(&[1000]);
    let server = Server::axum(layer().whole_body_limit(16), &recorder).await;
    let lines = "{\"phone\": \"9123\"}\n{\"phone\": \"9123\"}\n{\"phone\" \"Tan Wei Ming\"}\n";
    server.post(NDJSON, Frames::cut(lines.as_bytes(), &[10]).into_body()).await.refusal(400, "malformed");
    assert!(recorder.only().body.is_err());
}

/// A list in storage whose record number `bad` is as `spoil` makes it.
fn spoilt(records: usize, bad: usize, spoil: impl Fn(&str) -> String) -> (Vec<u8>, String) {
    let cipher = cipher();
    let record = |id: usize| format!(r#"{{"id": {id}, "phone": "+65 9123 {id:04}"}}"#);
    let before: Vec<String> = (0..bad).map(record).collect();
    let stored = (0..records).map(|id| {
        let stored = String::from_utf8(cipher.encrypt_json(record(id).as_bytes()).unwrap()).unwrap();
        if id == bad { spoil(&stored) } else { stored }
    });
    (format!("[{}]", stored.collect::<Vec<_>>().join(",")).into_bytes(), format!("[{},", before.join(",")))
}

#[tokio::test]
async fn a_fault_in_a_response_that_flows_breaks_it_off() {
    type Spoil = fn(&str) -> String;
    let spoils: [(&str, Spoil); 5] = [
        ("a bit", |stored| stored.replace("fs1.A", "fs1.B")),
        ("plaintext", |_| r#"{"phone": "Tan Wei Ming"}"#.to_owned()),
        ("another field's token", |_| format!(r#"{{"phone": "{}"}}"#, token("name", "Tan Wei Ming"))),
        ("no comma", |stored| stored.replace(", \"", " \"")),
        ("a byte that is no UTF-8", |stored| stored.replace("id", "\u{1}")),
    ];
    for (what, spoil) in spoils {
        let (stored, before) = spoilt(1000, 900, spoil);
        let goes_on = Arc::new(Notify::new());
        let recorder = Recorder::new({
            let (stored, goes_on) = (Bytes::from(stored), Arc::clone(&goes_on));
            move |_| {
                let (sender, body) = channel();
                let (goes_on, mut first) = (Arc::clone(&goes_on), stored.clone());
                let rest = first.split_off(100_000);
                tokio::spawn(async move {
                    drop(sender.send(first).await);
                    goes_on.notified().await;
                    drop(sender.send(rest).await);
                });
                Response::builder().header(CONTENT_TYPE, JSON).body(body).unwrap()
            }
        });
        for server in [Server::axum(layer(), &recorder).await, Server::hyper(layer(), &recorder).await] {
            for client in [support::client(), support::http_2_client()] {
                let request = server.request("GET", "/customers").body(Body::empty()).unwrap();
                let response = within(client.request(request)).await.unwrap();
                assert_eq!(response.status(), 200, "{what}");
                let (mut body, mut got) = (response.into_body(), Vec::new());
                let first = within(body.frame()).await.unwrap().unwrap();
                got.extend_from_slice(first.data_ref().unwrap());
                goes_on.notify_one();
                let end = loop {
                    match within(body.frame()).await {
                        Some(Ok(frame)) => got.extend_from_slice(frame.data_ref().unwrap()),
                        end => break end,
                    }
                };
                assert!(end.is_some_and(|end| end.is_err()), "{what}: the document looks whole");
                assert!(!got.is_empty(), "{what}: this is about bodies that flow");
                let got = String::from_utf8(got).unwrap();
                assert!(before.starts_with(&got) || got.starts_with(&before), "{what}");
                assert!(!got.contains("fs1.") && !got.contains("Tan Wei"), "{what}");
            }
            goes_on.notify_one();
            let reply = server.raw("GET /customers HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
            assert!(reply.head.starts_with("http/1.1 200 "), "{}", reply.head);
            assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
            assert!(!reply.rest.ends_with(b"0\r\n\r\n"), "{what}: the last chunk came");
        }
    }
}

#[tokio::test]
async fn a_service_that_fails_in_the_middle_of_a_response_breaks_it_off() {
    let (stored, _) = spoilt(1000, 0, str::to_owned);
    let recorder = Recorder::new(move |_| {
        let body = Frames::cut(&stored[..stored.len() - 1], &[10_000]).and_failure().into_body();
        Response::builder().header(CONTENT_TYPE, JSON).body(body).unwrap()
    });
    let server = Server::axum(layer(), &recorder).await;
    assert!(server.try_send(server.request("GET", "/").body(Body::empty()).unwrap()).await.is_err());
}

#[tokio::test]
async fn a_service_can_pipe_its_request_into_its_response() {
    let service = tower::service_fn(|request: Request<FieldBody<Incoming>>| async {
        Ok::<_, Infallible>(Response::builder().header(CONTENT_TYPE, JSON).body(request.into_body()).unwrap())
    });
    let server = Server::service(layer().layer(service)).await;
    let list = list(500_000);
    assert!(server.post(JSON, Frames::cut(&list, &LENGTHS).into_body()).await.body == list);
    let broken = [&list[..list.len() - 1], b",\"Tan Wei Ming"].concat();
    let request =
        server.request("POST", "/").header(CONTENT_TYPE, JSON).body(Frames::cut(&broken, &LENGTHS).into_body());
    assert!(server.try_send(request.unwrap()).await.is_err());
}

#[tokio::test]
async fn lines_pass_one_by_one_where_nothing_is_held_whole() {
    let (to_service, seen_by_service) = (channel(), Arc::new(tokio::sync::Mutex::new(Vec::new())));
    let service = {
        let seen = Arc::clone(&seen_by_service);
        tower::service_fn(move |request: Request<FieldBody<Incoming>>| {
            let seen = Arc::clone(&seen);
            async move {
                let body = request.into_body().map_frame(move |frame| {
                    seen.try_lock().unwrap().extend_from_slice(frame.data_ref().unwrap());
                    frame
                });
                Ok::<_, Infallible>(Response::builder().header(CONTENT_TYPE, NDJSON).body(body).unwrap())
            }
        })
    };
    let server = Server::service(layer().whole_body_limit(0).layer(service)).await;
    let (sender, body) = to_service;
    let request = server.request("POST", "/").header(CONTENT_TYPE, NDJSON).body(body).unwrap();
    sender.send("{\"phone\": \"9123 0\"}\n".into()).await.unwrap();
    let mut response = server.open(request).await.into_body();
    let (mut got, mut sent) = (Vec::new(), "{\"phone\": \"9123 0\"}\n".to_owned());
    for id in 1..5 {
        while got.len() < sent.len() {
            got.extend_from_slice(within(response.frame()).await.unwrap().unwrap().data_ref().unwrap());
        }
        assert_eq!(str::from_utf8(&got).unwrap(), sent);
        assert_eq!(masked(&seen_by_service.lock().await), "{\"phone\": \"<112>\"}\n".repeat(id));
        let line = format!("{{\"phone\": \"9123 {id}\"}}\n");
        sent.push_str(&line);
        sender.send(line.into()).await.unwrap();
    }
    drop(sender);
    while let Some(frame) = within(response.frame()).await {
        got.extend_from_slice(frame.unwrap().data_ref().unwrap());
    }
    assert_eq!(str::from_utf8(&got).unwrap(), sent);
}

/// A document without an end, which counts how much of it was asked for, and tells when it is let go.
struct Endless {
    first: Option<Bytes>,
    next: Bytes,
    asked: Arc<AtomicUsize>,
    is_dropped: Arc<AtomicBool>,
}

impl Endless {
    fn new(customer: &str) -> (Self, Arc<AtomicUsize>, Arc<AtomicBool>) {
        let (asked, is_dropped): (Arc<AtomicUsize>, Arc<AtomicBool>) = Default::default();
        // Little of it is tagged, so that it flows fast.
        let next = format!("{customer}, \"{}\",", "x".repeat(20_000)).into();
        let (first, counted, dropped) = (Some("[".into()), Arc::clone(&asked), Arc::clone(&is_dropped));
        (Self { first, next, asked: counted, is_dropped: dropped }, asked, is_dropped)
    }
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.first.take().unwrap_or_else(|| self.next.clone());
        self.asked.fetch_add(data.len(), Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::SeqCst);
    }
}

/// Waits until nothing more is asked for, and returns how much was.
async fn settled(asked: &AtomicUsize) -> usize {
    let (mut last, mut rounds) = (asked.load(Ordering::SeqCst), 0);
    while rounds < 5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = asked.load(Ordering::SeqCst);
        rounds = if now == last { rounds + 1 } else { 0 };
        last = now;
        assert!(now < MOST_ON_THE_WAY, "{now} bytes were asked for, and nobody reads");
    }
    last
}

/// More than the buffers of two sockets on loopback hold, and far less than a document without an end.
const MOST_ON_THE_WAY: usize = 64 << 20;

#[tokio::test]
async fn a_layer_reads_no_further_ahead_than_a_whole_body() {
    let (body, asked, is_dropped) = Endless::new(CUSTOMER);
    let frame = body.next.len();
    let service = tower::service_fn(|request: Request<FieldBody<Endless>>| async {
        Ok::<_, Infallible>(Response::builder().body(request.into_body()).unwrap())
    });
    let mut service = layer().whole_body_limit(50_000).layer(service);
    let request = Request::builder().header(CONTENT_TYPE, JSON).body(body).unwrap();
    let mut response = within(service.ready().await.unwrap().call(request)).await.unwrap().into_body();
    let ahead = asked.load(Ordering::SeqCst);
    assert!((50_000..=50_000 + frame).contains(&ahead), "{ahead}");
    for _ in 0..10 {
        let before = asked.load(Ordering::SeqCst);
        assert!(within(response.frame()).await.unwrap().is_ok());
        assert!(asked.load(Ordering::SeqCst) <= before + frame);
    }
    assert!(asked.load(Ordering::SeqCst) > ahead);
    drop(response);
    assert!(is_dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_frame_of_any_length_is_handed_on_in_pieces() {
    let list = list(1_000_000);
    let service = tower::service_fn(|request: Request<FieldBody<http_body_util::Full<Bytes>>>| async {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let mut service = layer().whole_body_limit(0).layer(service);
    let body = http_body_util::Full::new(Bytes::from([b"[".as_slice(), &list, b"]"].concat()));
    let request = Request::builder().header(CONTENT_TYPE, JSON).body(body).unwrap();
    let mut response = within(service.ready().await.unwrap().call(request)).await.unwrap().into_body();
    let mut got = Vec::new();
    while let Some(frame) = within(response.frame()).await {
        got.extend_from_slice(frame.unwrap().data_ref().unwrap());
    }
    assert!(cipher().decrypt_json(&got).unwrap()[1..=list.len()] == list);
    assert!(response.is_end_stream());
}

/// A list of single digits becomes tokens of thousands of characters each: 60 KiB become 170 MB.
#[tokio::test]
async fn what_becomes_many_times_as_long_is_not_held_whole() {
    const MOST: usize = (1 << 20) + (16 << 10);
    let phones = Field::new("phones", Tag::Phone).path("$.phones[*]").pad_to(4096);
    let policy = Policy::builder("customers").field(phones).build().unwrap();
    let layer = FieldEncryptionLayer::new(FieldCipher::new(policy, keys(7))).unwrap();
    let document = |length| format!("{{\"phones\":[{}1]}}", "1,".repeat(length));
    // Here each object of eight bytes gets a hundred members with long names.
    let indexed = |number| {
        let index = CompoundIndex::new(format!("{number}{}", "i".repeat(200)));
        index.part("a", Normalizer::exact()).part("b", Normalizer::exact())
    };
    let builder = Policy::builder("customers").field(Field::new("a", Tag::Phone)).field(Field::new("b", Tag::Phone));
    let policy = (100..200).map(indexed).fold(builder, fieldseal::policy::PolicyBuilder::compound_index).build();
    let cipher = FieldCipher::new(policy.unwrap(), keys(7)).with_index_keys(keys(8)).unwrap();
    let with_indexes = FieldEncryptionLayer::new(cipher).unwrap();
    let objects = |length| format!("[{}{{}}]", r#"{"a":1},"#.repeat(length));
    let longest = Arc::new(AtomicUsize::new(0));
    let total = Arc::new(AtomicUsize::new(0));
    let service = tower::service_fn(|request: Request<FieldBody<Body>>| {
        let (longest, total) = (Arc::clone(&longest), Arc::clone(&total));
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                let length = frame.unwrap().data_ref().map_or(0, Bytes::len);
                longest.fetch_max(length, Ordering::SeqCst);
                total.fetch_add(length, Ordering::SeqCst);
            }
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }
    });
    for (layer, document, least) in [
        (&layer, document(4_000), 20 << 20),
        (&layer, document(30_000), 100 << 20),
        (&with_indexes, objects(1_000), 20 << 20),
    ] {
        let request = Request::post("/").header(CONTENT_TYPE, JSON).body(Body::from(document)).unwrap();
        assert_eq!(layer.layer(service).oneshot(request).await.unwrap().status(), 200);
        let (longest, total) = (longest.load(Ordering::SeqCst), total.swap(0, Ordering::SeqCst));
        assert!(total > least && longest < MOST, "{total} bytes, {longest} in one frame");
    }

    // A patch is only understood whole, so it has to stay within that.
    let patch = format!("[{{\"op\":\"add\",\"path\":\"\",\"value\":{}}}]", document(30_000));
    let request = Request::patch("/").header(CONTENT_TYPE, "application/json-patch+json").body(Body::from(patch));
    let service =
        tower::service_fn(|_: Request<FieldBody<Body>>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
    assert_eq!(layer.layer(service).oneshot(request.unwrap()).await.unwrap().status(), 413);
}

#[tokio::test]
async fn a_body_that_broke_off_has_no_end_however_often_it_is_asked() {
    let (stored, _) = spoilt(3_000, 2_900, |token| token.replace("fs1.", "fs1.A"));
    let service = tower::service_fn(move |_: Request<FieldBody<Body>>| {
        let body = Frames::cut(&stored, &[500]).into_body();
        async { Ok::<_, Infallible>(Response::builder().header(CONTENT_TYPE, JSON).body(body).unwrap()) }
    });
    let request = Request::get("/").body(Body::empty()).unwrap();
    let mut body = layer().layer(service).oneshot(request).await.unwrap().into_body();
    while let Some(Ok(_)) = body.frame().await {}
    for _ in 0..3 {
        assert!(matches!(body.frame().await, Some(Err(_))));
        assert!(!body.is_end_stream());
    }
}

#[tokio::test]
async fn a_client_that_reads_slowly_holds_the_service_back() {
    let stored = String::from_utf8(cipher().encrypt_json(CUSTOMER.as_bytes()).unwrap()).unwrap();
    let (body, asked, is_dropped) = Endless::new(&stored);
    let body = Arc::new(Mutex::new(Some(body)));
    let recorder = Recorder::new(move |_| {
        let body = body.lock().unwrap().take().map_or(Body::from("{}"), Body::new);
        Response::builder().header(CONTENT_TYPE, JSON).body(body).unwrap()
    });
    let server = Server::axum(layer(), &recorder).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    stream.write_all(b"GET /customers HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut some = vec![0; 4096];
    within(stream.read_exact(&mut some)).await.unwrap();
    let held_back = settled(&asked).await;
    // It was the client that held it back: as soon as it reads, more comes.
    let mut read = 0;
    while asked.load(Ordering::SeqCst) == held_back {
        read += within(stream.read(&mut some)).await.unwrap();
        assert!(read < MOST_ON_THE_WAY);
    }
    drop(stream);
    within(async {
        while !is_dropped.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(server.get("/other").await.text(), "{}");
}

#[tokio::test]
async fn a_service_that_reads_slowly_holds_the_client_back() {
    let (body, asked, is_dropped) = Endless::new(CUSTOMER);
    let may_read = Arc::new(Notify::new());
    let service = {
        let may_read = Arc::clone(&may_read);
        tower::service_fn(move |request: Request<FieldBody<Incoming>>| {
            let may_read = Arc::clone(&may_read);
            async move {
                may_read.notified().await;
                let mut body = request.into_body();
                let first = body.frame().await.unwrap()?;
                // The rest is let go unread, which is no fault of the request.
                Ok::<_, BoxError>(Response::new(Body::from(masked(&first.into_data().unwrap()[..800]))))
            }
        })
    };
    let server = Server::service(layer().layer(service)).await;
    let request = server.request("POST", "/").header(CONTENT_TYPE, JSON).body(Body::new(body)).unwrap();
    let response = {
        let client = support::client();
        tokio::spawn(async move { client.request(request).await })
    };
    settled(&asked).await;
    assert!(asked.load(Ordering::SeqCst) > 64 * 1024);
    may_read.notify_one();
    let reply = within(Reply::read(within(response).await.unwrap().unwrap())).await.unwrap();
    assert!(reply.text().starts_with(&format!("[{STORED_CUSTOMER},")), "{}", reply.text());
    within(async {
        while !is_dropped.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_the_service_uncalled() {
    let recorder = Recorder::echoing();
    let server = Server::hyper(layer(), &recorder).await;
    for client in [support::client(), support::http_2_client()] {
        let (sender, body) = channel();
        let request = server.request("POST", "/customers").header(CONTENT_TYPE, JSON).body(body).unwrap();
        let sending = tokio::spawn(async move { client.request(request).await });
        for piece in ["{\"phone\": \"+65", " 9123 45"] {
            within(sender.send(piece.into())).await.unwrap();
        }
        // The channel holds one piece, so the first has been taken by now, and the connection stands.
        within(sender.send("67\"".into())).await.unwrap();
        sending.abort();
        assert!(within(sending).await.unwrap_err().is_cancelled());
    }
    assert_eq!(server.post(JSON, CUSTOMER).await.text(), CUSTOMER);
    let seen = recorder.clone();
    server.stop().await;
    assert_eq!(masked(seen.only().bytes()), STORED_CUSTOMER);
}

#[tokio::test]
async fn a_future_that_is_dropped_drops_the_body_and_calls_nothing() {
    let (sender, body) = channel();
    let recorder = Recorder::echoing();
    let service = {
        let recorder = recorder.clone();
        tower::service_fn(move |request: Request<FieldBody<Body>>| {
            let response = recorder.clone().handle(request);
            async move { Ok::<_, Infallible>(response.await) }
        })
    };
    let mut service = layer().layer(service);
    let request = Request::builder().header(CONTENT_TYPE, JSON).body(body).unwrap();
    let mut future = Box::pin(service.ready().await.unwrap().call(request));
    sender.send("{\"phone\": \"9123".into()).await.unwrap();
    assert!(std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await.is_pending());
    drop(future);
    assert!(sender.is_closed());
    assert_eq!(recorder.calls(), 0);
    let request = Request::builder().header(CONTENT_TYPE, JSON).body(Body::from(CUSTOMER)).unwrap();
    assert!(service.ready().await.unwrap().call(request).await.is_ok());
    assert_eq!(masked(recorder.only().bytes()), STORED_CUSTOMER);
}

#[tokio::test]
async fn a_slow_sender_does_not_hold_up_others() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let mut slow = server.connect().await;
    let head = "POST /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let half = CUSTOMER.len() / 2;
    slow.write_all(format!("{head}content-length: {}\r\n\r\n{}", CUSTOMER.len(), &CUSTOMER[..half]).as_bytes())
        .await
        .unwrap();
    for _ in 0..3 {
        assert_eq!(server.post(JSON, CUSTOMER).await.text(), CUSTOMER);
    }
    assert_eq!(recorder.calls(), 3);
    slow.write_all(&CUSTOMER.as_bytes()[half..]).await.unwrap();
    let reply = RawReply::read(&mut slow).await;
    assert_eq!(reply.text(), CUSTOMER);
    assert_eq!(recorder.calls(), 4);
}
