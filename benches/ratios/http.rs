//! Requests a second through real HTTP on loopback: one server thread here, the load in a process of its own.

use std::env;
use std::error::Error;
use std::future::pending;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use bytes::Bytes;
use fieldseal::{FieldCipher, FieldEncryptionLayer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::documents::record;
use super::measure::{median, report};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

const RUNS: usize = 7;
const SECONDS: f64 = 1.0;
const CONNECTIONS: usize = 32;

/// `layer_vs_bare`: POST and GET of one record, of which the smaller ratio counts.
pub(crate) fn layer_vs_bare(cipher: &FieldCipher) -> Result<(), Failure> {
    let bare = serve(memory())?;
    let layered = serve(memory().layer(FieldEncryptionLayer::new(cipher.clone())?))?;
    let mut ratios = Vec::new();
    let mut figures = Vec::new();
    for kind in ["post", "get"] {
        let [bare, layered] = rates([bare, layered], kind)?;
        ratios.push(layered / bare);
        figures.push((kind, bare, layered));
    }
    let [post, get] = ratios[..] else { return Err("two kinds of request are measured".into()) };
    report(
        "layer_vs_bare",
        post.min(get),
        &[
            ("post", post),
            ("get", get),
            ("post_bare_per_s", figures[0].1),
            ("post_layer_per_s", figures[0].2),
            ("get_bare_per_s", figures[1].1),
            ("get_layer_per_s", figures[1].2),
        ],
    );
    Ok(())
}

/// The median requests a second of two servers that take turns. The first run warms up, and leaves the record that GET
/// asks for.
pub(crate) fn rates(servers: [SocketAddr; 2], kind: &str) -> Result<[f64; 2], Failure> {
    let mut rates = [Vec::new(), Vec::new()];
    for run in 0..=RUNS {
        for (rates, address) in rates.iter_mut().zip(servers) {
            let rate = run_load(address, kind)?;
            if run > 0 {
                rates.push(rate);
            }
        }
    }
    Ok(rates.map(median))
}

/// A service that only keeps the last body in memory.
fn memory() -> Router {
    type Kept = Arc<Mutex<Bytes>>;
    let keep = |State(kept): State<Kept>, body: Bytes| async move { *kept.lock().expect("no handler panics") = body };
    let give = |State(kept): State<Kept>| async move {
        ([(CONTENT_TYPE, "application/json")], kept.lock().expect("no handler panics").clone())
    };
    Router::new().route("/", post(keep).get(give)).with_state(Kept::default())
}

/// Serves `app` on a thread of its own until the process ends.
pub(crate) fn serve(app: Router) -> Result<SocketAddr, Failure> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            sender.send(listener.local_addr()?)?;
            axum::serve(listener, app).await?;
            pending::<Result<(), Failure>>().await
        })
    });
    Ok(receiver.recv()?)
}

/// Runs this program again as the load, and returns the requests a second that it counted.
fn run_load(address: SocketAddr, kind: &str) -> Result<f64, Failure> {
    let arguments = ["--load", &address.to_string(), kind, &SECONDS.to_string()].map(str::to_owned);
    let output = Command::new(env::current_exe()?).args(arguments).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// The load: so many connections, each with one request under way at a time.
#[expect(clippy::print_stdout, reason = "the other process reads it")]
pub(crate) fn load(address: &str, kind: &str, seconds: f64) -> Result<(), Failure> {
    let record = record();
    let request = match kind {
        "post" => {
            let length = record.len();
            let head = format!(
                "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
            );
            [head.into_bytes(), record].concat()
        }
        "get" => b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        target => format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes(),
    };
    let (request, address) = (Arc::new(request), address.parse::<SocketAddr>()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    let end = started + Duration::from_secs_f64(seconds);
    let count = runtime.block_on(async {
        let connections: Vec<_> =
            (0..CONNECTIONS).map(|_| tokio::spawn(connection(address, Arc::clone(&request), end))).collect();
        let mut count = 0;
        for connection in connections {
            count += connection.await??;
        }
        Ok::<_, Failure>(count)
    })?;
    println!("{}", f64::from(count) / started.elapsed().as_secs_f64());
    Ok(())
}

async fn connection(address: SocketAddr, request: Arc<Vec<u8>>, end: Instant) -> Result<u32, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut count = 0;
    while Instant::now() < end {
        stream.write_all(&request).await?;
        let mut filled = 0;
        loop {
            let read = stream.read(&mut buffer[filled..]).await?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            filled += read;
            if is_complete(&buffer[..filled])? {
                break;
            }
        }
        count += 1;
    }
    Ok(count)
}

/// Returns whether a whole response with status 200 is there.
fn is_complete(response: &[u8]) -> Result<bool, Failure> {
    let Some(end) = response.windows(4).position(|part| part == b"\r\n\r\n") else { return Ok(false) };
    let head = std::str::from_utf8(&response[..end])?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("unexpected answer: {head}").into());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).ok_or("no length")?;
    Ok(response.len() >= end + 4 + length.parse::<usize>()?)
}
