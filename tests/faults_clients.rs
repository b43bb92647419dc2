//! Proves that clients which stay silent, send a byte now and then, or stop reading cost a service little memory and none
//! of it for good, and keep nobody else from being served; and that a deadline around the layer ends what is too slow.
#![cfg(all(target_os = "linux", feature = "layer"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::env;
use std::process::Command;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::StatusCode;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use shop::{Shop, customer, send};
use support::{Recorder, Server, layer, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tower::Layer as _;

/// `FIELDSEAL_FAULTS_CONNECTIONS=10000` needs `ulimit -n 20000`, and takes a minute.
fn connections() -> u64 {
    env::var("FIELDSEAL_FAULTS_CONNECTIONS").map_or(500, |connections| connections.parse().unwrap())
}

/// Starts a shop that may have as many connections as the system lets it.
fn start(directory: &tempfile::TempDir, kind: &str) -> Shop {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n $(ulimit -Hn); exec \"$0\" \"$@\""]).arg(env::current_exe().unwrap());
    Shop::run(directory.path(), kind, command)
}

fn head(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n")
}

/// What each connection does before it stays as it is.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Has one request answered, and stays open.
    Idle,
    /// Sends the head of a long request and the beginning of its body, a byte at a time.
    Slow,
    /// Asks for a long answer, and reads the beginning of it.
    Deaf,
}

impl Manner {
    async fn connect(self, shop: &Shop) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("`ulimit -n` allows for that many connections");
        // What the system itself takes in for who does not read is of no interest.
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let mut stream = within(socket.connect(shop.address)).await.unwrap();
        let body = serde_json::to_string(&customer(1)).unwrap();
        match self {
            Self::Idle => {
                stream.write_all(format!("{}{body}", head("/customers/1", body.len())).as_bytes()).await.unwrap();
                let (mut answer, mut part) = (Vec::new(), [0; 1024]);
                while !answer.ends_with(body.as_bytes()) {
                    let length = within(stream.read(&mut part)).await.unwrap();
                    assert!(length > 0, "{}", String::from_utf8_lossy(&answer));
                    answer.extend_from_slice(&part[..length]);
                }
            }
            Self::Slow => {
                stream.write_all(head("/customers/1", 1_000_000).as_bytes()).await.unwrap();
                stream.write_all(&body.as_bytes()[..body.len() - 1]).await.unwrap();
            }
            Self::Deaf => {
                stream.write_all(b"GET /export?rows=100000000 HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
                within(stream.read_exact(&mut [0; 1024])).await.unwrap();
            }
        }
        stream
    }
}

/// Opens so many connections, and returns how many bytes of memory each takes in the service's process.
async fn cost(shop: &Shop, manner: Manner, connections: u64) -> u64 {
    let client = shop::client();
    let serve = async || {
        let answer = send(&client, "GET", shop.address, "/customers/1", Vec::new()).await.unwrap();
        assert_eq!(answer.0, StatusCode::OK, "{manner:?}");
    };
    // What the process takes at its first requests is of no connection.
    for _ in 0..50 {
        drop(Manner::Idle.connect(shop).await);
    }
    serve().await;
    let (before, files) = (shop.resident(), shop.open_files());
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(manner.connect(shop).await);
    }
    if let Manner::Slow = manner {
        // A byte now and then: each is taken in, and holds nobody up.
        for byte in [" ", "\n", " "] {
            for stream in &mut streams {
                stream.write_all(byte.as_bytes()).await.unwrap();
            }
            serve().await;
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    serve().await;
    let after = shop.resident();
    assert!(shop.open_files() as u64 >= connections);
    drop(streams);
    within(async {
        while shop.open_files() > files + 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    serve().await;
    after.saturating_sub(before) * 1024 / connections
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_do_nothing_cost_little_and_nothing_once_they_are_gone() {
    let mut figures = Vec::new();
    for kind in ["bare", "layer"] {
        let directory = tempfile::tempdir().unwrap();
        let shop = start(&directory, kind);
        let few = connections().min(30);
        for (manner, connections, most) in
            [(Manner::Idle, connections(), 64), (Manner::Slow, connections(), 64), (Manner::Deaf, few, 512)]
        {
            let each = cost(&shop, manner, connections).await;
            println!("{kind}: {connections} connections, {manner:?}: {each} bytes of memory each");
            assert!(each < most * 1024, "{kind}, {manner:?}: {each} bytes");
            figures.push(each);
        }
    }
    // The layer holds nothing for a connection, but for a request that is under way.
    assert!(figures[3] < figures[0] + 16 * 1024, "{figures:?}");
}

/// What a service puts around the layer.
async fn deadline(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(Duration::from_millis(300), next.run(request)).await;
    answer.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
}

#[tokio::test]
async fn a_deadline_around_the_layer_ends_a_body_that_is_too_slow() {
    for whole_body_limit in [64 * 1024, 0] {
        let recorder = Recorder::echoing();
        let router = {
            let recorder = recorder.clone();
            axum::Router::new().route("/customers", post(move |request: Request| recorder.handle(request)))
        };
        let layer = layer().whole_body_limit(whole_body_limit);
        let server = Server::router(router.layer(layer).layer(from_fn(deadline))).await;
        let mut stream = server.connect().await;
        stream.write_all(head("/customers", 100).as_bytes()).await.unwrap();
        stream.write_all(br#"{"phone":"+65 9123"#).await.unwrap();
        let mut answer = [0; 12];
        within(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408");
        assert!(recorder.received().iter().all(|received| received.body.is_err()));
        assert_eq!(server.post(support::JSON, support::CUSTOMER).await.text(), support::CUSTOMER);
    }
}

#[tokio::test]
async fn a_head_that_is_too_slow_is_ended_by_the_server_in_front_of_the_layer() {
    let recorder = Recorder::echoing();
    let service = {
        let recorder = recorder.clone();
        tower::service_fn(move |request: http::Request<_>| {
            let response = recorder.clone().handle(request);
            async move { Ok::<_, std::convert::Infallible>(response.await) }
        })
    };
    let service = layer().layer(service);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let io = TokioIo::new(listener.accept().await.unwrap().0);
        let mut server = hyper::server::conn::http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(Duration::from_millis(300));
        drop(server.serve_connection(io, TowerToHyperService::new(service)).await);
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /customers HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    drop(within(stream.read_to_end(&mut Vec::new())).await);
    assert_eq!(recorder.calls(), 0);
}

/// Not a test: the process that the tests start.
#[test]
fn shop_process() {
    shop::serve();
}
