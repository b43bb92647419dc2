//! What the tests of the layer share: a policy, a service that records what reaches it, servers on loopback, a client.
#![allow(dead_code, clippy::unwrap_used, reason = "each file of tests uses a part of this, and only tests use it")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use fieldseal::audit::{Audit, AuditEvent, AuditKind};
use fieldseal::keys::{DataKey, KeyId, Keys, SecretKey};
use fieldseal::layer::FieldBody;
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, TRAILER};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tower::{BoxError, Layer, Service};

pub(crate) const JSON: &str = "application/json";
pub(crate) const CUSTOMER: &str = r#"{"id": 7, "name": "Tan Wei Ming", "phone": "+65 9123 4567", "vip": true}"#;
/// What the service sees of [`CUSTOMER`], [`masked`].
pub(crate) const STORED_CUSTOMER: &str = r#"{"id": 7, "name": "<112>", "phone": "<112>", "vip": true}"#;
/// No refusal, log or error may hold any of these; the tests' values are made of them.
pub(crate) const CANARIES: [&str; 5] = ["Tan Wei", "9123", "Bedok", "tan.wei", "fs1."];

/// Fails a test that hangs.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("nothing takes this long")
}

pub(crate) fn policy(collection: &str) -> Policy {
    Policy::builder(collection)
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone))
        .field(Field::new("email", Tag::Email))
        .field(Field::new("address", Tag::Address))
        .field(Field::new("remark", Tag::Text).encrypt_null())
        .build()
        .unwrap()
}

pub(crate) fn keys(byte: u8) -> Keys {
    Keys::from_data_key(DataKey::dangerous_test_key(&SecretKey::from_bytes(&[byte; 32])))
}

pub(crate) fn cipher() -> FieldCipher {
    FieldCipher::new(policy("customers"), keys(7))
}

pub(crate) fn layer() -> FieldEncryptionLayer {
    FieldEncryptionLayer::new(cipher()).unwrap()
}

pub(crate) fn token(field: &str, value: &str) -> String {
    cipher().encrypt_value(field, value).unwrap()
}

/// Returns `document` with every token replaced by its length in angle brackets.
pub(crate) fn masked(document: &[u8]) -> String {
    let mut rest = str::from_utf8(document).unwrap();
    let mut masked = String::new();
    while let Some(at) = rest.find("fs1.") {
        let body = &rest[at + 4..];
        let end = body.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').unwrap_or(body.len());
        masked.push_str(&rest[..at]);
        masked.extend(["<", &(end + 4).to_string(), ">"]);
        rest = &body[end..];
    }
    masked + rest
}

/// Keeps the events of a cipher.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<Entry>>>, Arc<Mutex<Vec<Option<String>>>>, Arc<Mutex<Vec<u64>>>);

/// What happened, in which collection, to which field, and by which key.
pub(crate) type Entry = (AuditKind, String, String, Option<KeyId>);

impl Ledger {
    pub(crate) fn events(&self) -> Vec<Entry> {
        self.0.lock().unwrap().clone()
    }

    /// How many values each event happened to.
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.2.lock().unwrap().clone()
    }

    /// Who each event tells of.
    pub(crate) fn who(&self) -> Vec<Option<String>> {
        self.1.lock().unwrap().clone()
    }
}

impl Audit for Ledger {
    fn record(&self, event: &AuditEvent<'_>) {
        let (collection, field) = (event.collection.to_owned(), event.field.to_owned());
        self.0.lock().unwrap().push((event.kind, collection, field, event.key_id));
        self.1.lock().unwrap().push(event.who.map(str::to_owned));
        self.2.lock().unwrap().push(event.count);
    }
}

/// What the service saw of a request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    /// Whether the request could still be turned into another protocol.
    pub(crate) can_upgrade: bool,
    /// The body, or what it failed with.
    pub(crate) body: Result<Bytes, String>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Received {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.body.as_ref().unwrap()
    }
}

type Answer = dyn Fn(&Received) -> Response<Body> + Send + Sync;

/// A service that takes note of what reaches it, and answers from memory.
#[derive(Clone)]
pub(crate) struct Recorder {
    calls: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Answer>,
}

impl Recorder {
    pub(crate) fn new(answer: impl Fn(&Received) -> Response<Body> + Send + Sync + 'static) -> Self {
        Self { calls: Arc::default(), received: Arc::default(), answer: Arc::new(answer) }
    }

    /// Answers with the body it received and its type.
    pub(crate) fn echoing() -> Self {
        Self::new(|received| {
            let mut response = Response::new(Body::from(received.body.clone().unwrap_or_default()));
            if let Some(media_type) = received.headers.get(CONTENT_TYPE) {
                response.headers_mut().insert(CONTENT_TYPE, media_type.clone());
            }
            response
        })
    }

    pub(crate) fn answering(media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self::new(move |_| Response::builder().header(CONTENT_TYPE, media_type).body(body.clone().into()).unwrap())
    }

    /// How often the service was called, counted before it reads a body.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Returns what the service saw of the only request that reached it.
    pub(crate) fn only(&self) -> Received {
        assert_eq!(self.calls(), 1);
        self.received().pop().unwrap()
    }

    pub(crate) async fn handle<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let (head, body) = request.into_parts();
        let (body, trailers) = match body.collect().await {
            Ok(whole) => {
                let trailers = whole.trailers().cloned();
                (Ok(whole.to_bytes()), trailers)
            }
            Err(error) => (Err(Into::<BoxError>::into(error).to_string()), None),
        };
        let can_upgrade = head.extensions.get::<hyper::upgrade::OnUpgrade>().is_some();
        let http::request::Parts { method, uri, version, headers, .. } = head;
        let received = Received { method, uri, version, headers, can_upgrade, body, trailers };
        let response = (self.answer)(&received);
        self.received.lock().unwrap().push(received);
        response
    }
}

/// A server on loopback; it ends with the test, at the latest.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    client: Client<HttpConnector, Body>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves `recorder` behind `layer` with axum.
    pub(crate) async fn axum(layer: FieldEncryptionLayer, recorder: &Recorder) -> Self {
        let recorder = recorder.clone();
        Self::router(
            Router::new().fallback(move |request: axum::extract::Request| recorder.handle(request)).layer(layer),
        )
        .await
    }

    pub(crate) async fn router(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, (stop, mut stopped)) = (listener.local_addr().unwrap(), watch::channel(false));
        let task = tokio::spawn(async move {
            let stopped = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
            axum::serve(listener, router).with_graceful_shutdown(stopped).await.unwrap();
        });
        Self { address, client: client(), stop, task }
    }

    /// Serves `recorder` behind `layer` with nothing but hyper.
    pub(crate) async fn hyper(layer: FieldEncryptionLayer, recorder: &Recorder) -> Self {
        let recorder = recorder.clone();
        let service = tower::service_fn(move |request: Request<FieldBody<Incoming>>| {
            let response = recorder.clone().handle(request);
            async move { Ok::<_, Infallible>(response.await) }
        });
        Self::service(layer.layer(service)).await
    }

    /// Serves `service` with nothing but hyper.
    pub(crate) async fn service<S, R>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        S::Future: Send,
        R: http_body::Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, (stop, mut stopped)) = (listener.local_addr().unwrap(), watch::channel(false));
        let task = tokio::spawn(async move {
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http2().enable_connect_protocol();
            let connections = GracefulShutdown::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let service = TowerToHyperService::new(service.clone());
                        let io = TokioIo::new(accepted.unwrap().0);
                        let connection = builder.serve_connection_with_upgrades(io, service).into_owned();
                        let connection = connections.watch(connection);
                        tokio::spawn(async move { drop(connection.await) });
                    }
                    _ = stopped.wait_for(|stopped| *stopped) => break,
                }
            }
            drop(listener);
            connections.shutdown().await;
        });
        Self { address, client: client(), stop, task }
    }

    pub(crate) fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(self.uri(path))
    }

    pub(crate) async fn post(&self, media_type: &str, body: impl Into<Body>) -> Reply {
        self.send(self.request("POST", "/customers").header(CONTENT_TYPE, media_type).body(body.into()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(self.request("GET", path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        self.try_send(request).await.unwrap()
    }

    /// Fails where no whole response comes back.
    pub(crate) async fn try_send(&self, request: Request<Body>) -> Result<Reply, BoxError> {
        Ok(within(Reply::read(within(self.client.request(request)).await?)).await?)
    }

    /// Sends `request` and returns as soon as the response begins.
    pub(crate) async fn open(&self, request: Request<Body>) -> Response<Incoming> {
        within(self.client.request(request)).await.unwrap()
    }

    /// Sends `bytes` as they are and returns all that comes back until the server closes the connection.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> RawReply {
        let mut stream = self.connect().await;
        within(stream.write_all(bytes.as_ref())).await.unwrap();
        RawReply::read(&mut stream).await
    }

    /// The same, where the server may close the connection without a word, or before all is sent.
    pub(crate) async fn raw_or_nothing(&self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        let (mut stream, mut all) = (self.connect().await, Vec::new());
        drop(within(stream.write_all(bytes.as_ref())).await);
        drop(within(stream.read_to_end(&mut all)).await);
        all
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Stops accepting, and waits until no connection is left.
    pub(crate) async fn stop(mut self) {
        self.client = client();
        self.stop.send(true).unwrap();
        within(&mut self.task).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build(HttpConnector::new())
}

pub(crate) fn http_2_client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).http2_only(true).build(HttpConnector::new())
}

/// A response that a client read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

/// The layer's own answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) detail: String,
    /// What `errors` points at.
    pub(crate) pointer: Option<String>,
}

impl Reply {
    pub(crate) async fn read(response: Response<Incoming>) -> Result<Self, hyper::Error> {
        let (head, body) = response.into_parts();
        let whole = body.collect().await?;
        let trailers = whole.trailers().cloned();
        Ok(Self { status: head.status, headers: head.headers, body: whole.to_bytes(), trailers })
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    /// Reads the layer's own answer, and checks all that holds for each of them.
    pub(crate) fn problem(&self) -> Problem {
        let text = self.text();
        assert_eq!(self.headers.get(CONTENT_TYPE).unwrap(), "application/problem+json", "{text}");
        assert_eq!(self.headers.get(CACHE_CONTROL).unwrap(), "no-store");
        assert!(CANARIES.iter().all(|canary| !text.contains(canary)), "{text}");
        let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap();
        let errors = members.get("errors");
        assert_eq!(members.len(), 4 + usize::from(errors.is_some()), "{text}");
        let pointer = errors.map(|errors| {
            let pointer = errors[0]["pointer"].as_str().unwrap();
            assert_eq!(*errors, serde_json::json!([{ "detail": members["detail"], "pointer": pointer }]));
            pointer.to_owned()
        });
        assert_eq!(members["title"], self.status.canonical_reason().unwrap());
        assert_eq!(members["status"], self.status.as_u16());
        let text = |name: &str| members[name].as_str().unwrap().to_owned();
        assert!(!text("detail").is_empty());
        Problem { status: self.status.as_u16(), code: text("code"), detail: text("detail"), pointer }
    }

    /// Checks that this is the layer's own answer with this status and code, and returns its detail.
    #[track_caller]
    pub(crate) fn refusal(&self, status: u16, code: &str) -> String {
        let problem = self.problem();
        assert_eq!((problem.status, &*problem.code), (status, code), "{}", problem.detail);
        problem.detail
    }
}

/// What came over the wire until the connection was closed.
#[derive(Clone, Debug)]
pub(crate) struct RawReply {
    /// The status line and the fields, in lower case.
    pub(crate) head: String,
    /// All that came after the first head.
    pub(crate) rest: Vec<u8>,
}

impl RawReply {
    pub(crate) async fn read(stream: &mut TcpStream) -> Self {
        Self::read_or_nothing(stream).await.expect("a whole head came")
    }

    /// Returns nothing where the server closed the connection without a word.
    pub(crate) async fn read_or_nothing(stream: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        // A connection that is broken off ends what can be read as well as one that is closed.
        drop(within(stream.read_to_end(&mut bytes)).await);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = str::from_utf8(&bytes[..end]).unwrap().to_lowercase();
        Some(Self { head, rest: bytes.split_off(end) })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.rest).unwrap()
    }
}

/// A body that is sent frame by frame, and tells no length beforehand unless asked to.
#[derive(Default)]
pub(crate) struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
    length: SizeHint,
}

impl Frames {
    /// Cuts `body` into pieces whose lengths go round `lengths`.
    pub(crate) fn cut(body: &[u8], lengths: &[usize]) -> Self {
        let (mut rest, mut lengths, mut frames) = (body, lengths.iter().cycle(), VecDeque::new());
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(rest.len().min(*lengths.next().unwrap()));
            frames.push_back(Ok(Frame::data(Bytes::copy_from_slice(piece))));
            rest = others;
        }
        Self { frames, length: SizeHint::default() }
    }

    pub(crate) fn of_length(mut self, length: usize) -> Self {
        self.length = SizeHint::with_exact(length as u64);
        self
    }

    pub(crate) fn and_trailers(mut self, trailers: HeaderMap) -> Self {
        self.frames.push_back(Ok(Frame::trailers(trailers)));
        self
    }

    pub(crate) fn and_failure(mut self) -> Self {
        self.frames.push_back(Err("the storage went away".into()));
        self
    }

    pub(crate) fn into_body(self) -> Body {
        Body::new(self)
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.frames.pop_front())
    }

    fn size_hint(&self) -> SizeHint {
        self.length
    }
}

/// A body whose frames come through a channel, as they are made.
pub(crate) struct ChannelBody(mpsc::Receiver<Bytes>);

pub(crate) fn channel() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Body::new(ChannelBody(receiver)))
}

impl http_body::Body for ChannelBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

/// Trailers by these names, and the header that announces them.
pub(crate) fn trailers(fields: &[(&'static str, &'static str)]) -> (HeaderMap, (http::HeaderName, String)) {
    let map = fields.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    (map, (TRAILER, names.join(", ")))
}

/// A list of customers of about `length` bytes, in whose text every length of a UTF-8 sequence stands.
pub(crate) fn list(length: usize) -> Vec<u8> {
    let mut list = Vec::with_capacity(length + 256);
    list.push(b'[');
    for id in 0.. {
        let customer = format!(
            r#"{{"id": {id}, "name": "Tan Wei Ming \u00e9é€😀", "phone": "+65 9123 {id:04}", "due":1.10, "note": "é€😀"}}"#
        );
        list.extend_from_slice(customer.as_bytes());
        if list.len() >= length {
            break;
        }
        list.extend_from_slice(b",\n ");
    }
    list.push(b']');
    list
}
