//! The load: this program again, in a process of its own with one thread.

use std::env;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, yield_now};

use super::documents::record;
use super::http::Failure;

const SECONDS: f64 = 1.0;
const CONNECTIONS: u32 = 32;

/// Returns the requests a second that a server answers where each connection asks again as soon as it has its answer.
pub(crate) fn throughput(server: SocketAddr, kind: &str) -> Result<f64, Failure> {
    run(&["--load", &server.to_string(), kind])
}

/// Returns the 99th percentile in microseconds from when a request is due to when its answer is whole. Requests are due
/// at even distances, `rate` a second, whatever became of those before them.
pub(crate) fn p99(server: SocketAddr, kind: &str, rate: f64) -> Result<f64, Failure> {
    run(&["--paced-load", &server.to_string(), kind, &rate.to_string()])
}

fn run(arguments: &[&str]) -> Result<f64, Failure> {
    let output = Command::new(env::current_exe()?).args(arguments).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// The other process of [`throughput`].
#[expect(clippy::print_stdout, reason = "the other process reads it")]
pub(crate) fn load(server: &str, kind: &str) -> Result<(), Failure> {
    let (request, server) = (request(kind), server.parse()?);
    let started = Instant::now();
    let end = started + Duration::from_secs_f64(SECONDS);
    let counts = each_connection(|_| count_requests(server, Arc::clone(&request), end))?;
    println!("{}", f64::from(counts.iter().sum::<u32>()) / started.elapsed().as_secs_f64());
    Ok(())
}

/// The other process of [`p99`].
#[expect(clippy::print_stdout, reason = "the other process reads it")]
pub(crate) fn paced_load(server: &str, kind: &str, rate: f64) -> Result<(), Failure> {
    let (request, server) = (request(kind), server.parse()?);
    // Time for all connections to be made.
    let start = Instant::now() + Duration::from_millis(100);
    let latencies = each_connection(|connection| {
        let due = (connection..).step_by(CONNECTIONS as usize).map(move |number| f64::from(number) / rate);
        time_requests(server, Arc::clone(&request), start, due.take_while(|due| *due < SECONDS))
    })?;
    let mut latencies = latencies.concat();
    latencies.sort();
    let p99 = latencies.get(latencies.len() * 99 / 100).ok_or("no request was due")?;
    println!("{}", p99.as_secs_f64() * 1e6);
    Ok(())
}

fn each_connection<T: Send + 'static, F>(connection: impl Fn(u32) -> F) -> Result<Vec<T>, Failure>
where
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Awake all the time: a server that answers who sleeps has to wake it, and the slower it is, the more often.
        tokio::spawn(async {
            loop {
                yield_now().await;
            }
        });
        let connections: Vec<JoinHandle<_>> = (0..CONNECTIONS).map(|number| tokio::spawn(connection(number))).collect();
        let mut results = Vec::new();
        for connection in connections {
            results.push(connection.await??);
        }
        Ok(results)
    })
}

async fn count_requests(server: SocketAddr, request: Arc<Vec<u8>>, end: Instant) -> Result<u32, Failure> {
    let mut connection = Connection::open(server).await?;
    let mut count = 0;
    while Instant::now() < end {
        connection.ask(&request).await?;
        count += 1;
    }
    Ok(count)
}

/// Sends a request whenever one is due, in seconds from `start`, or as soon as the answer before it is there.
async fn time_requests(
    server: SocketAddr,
    request: Arc<Vec<u8>>,
    start: Instant,
    due: impl Iterator<Item = f64>,
) -> Result<Vec<Duration>, Failure> {
    let mut connection = Connection::open(server).await?;
    let mut latencies = Vec::new();
    for due in due {
        let due = start + Duration::from_secs_f64(due);
        // Timers of the runtime are a millisecond wide.
        while Instant::now() < due {
            yield_now().await;
        }
        connection.ask(&request).await?;
        latencies.push(due.elapsed());
    }
    Ok(latencies)
}

/// One request of a kind: `post` and `get` for one record, `customer` for one of the examples, or a path to get.
fn request(kind: &str) -> Arc<Vec<u8>> {
    let post = |target: &str, body: Vec<u8>| {
        let length = body.len();
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        [head.into_bytes(), body].concat()
    };
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes();
    Arc::new(match kind {
        "post" => post("/", record()),
        "get" => get("/"),
        "customer" => post("/customers", br#"{"name":"Tan Wei Ming","phone":"+65 9123 4567","tier":"gold"}"#.to_vec()),
        target => get(target),
    })
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(server: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024] })
    }

    /// Sends the request and reads until its answer is whole.
    async fn ask(&mut self, request: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(2 * filled, 0);
            }
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            filled += read;
            if is_complete(&self.buffer[..filled])? {
                return Ok(());
            }
        }
    }
}

/// Returns whether a whole response of success is there.
fn is_complete(response: &[u8]) -> Result<bool, Failure> {
    let Some(end) = response.windows(4).position(|part| part == b"\r\n\r\n") else { return Ok(false) };
    let head = std::str::from_utf8(&response[..end])?;
    if !head.starts_with("HTTP/1.1 20") {
        return Err(format!("unexpected answer: {head}").into());
    }
    if head.lines().any(|line| line == "transfer-encoding: chunked") {
        // No JSON holds a line end of its own here.
        return Ok(response.ends_with(b"\r\n0\r\n\r\n"));
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).ok_or("no length")?;
    Ok(response.len() >= end + 4 + length.parse::<usize>()?)
}
