//! Memory while a long list flows through the layer.

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::fs;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll};

use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, Response};
use bytes::Bytes;
use fieldseal::FieldEncryptionLayer;
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Empty};
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::documents::{cipher, record};
use super::measure::report;

type Failure = Box<dyn Error + Send + Sync>;

const CHUNK: usize = 16 * 1024;

/// `stream_peak_kib`: peak memory over the idle process while a list of 1 GB, or of `FIELDSEAL_BENCH_GB`, is decrypted in
/// chunks of 16 KiB.
pub(crate) fn stream_peak() -> Result<(), Failure> {
    let gigabytes: u64 = env::var("FIELDSEAL_BENCH_GB").map_or(Ok(1), |gigabytes| gigabytes.parse())?;
    let output = Command::new(env::current_exe()?).args(["--stream", &(gigabytes << 30).to_string()]).output()?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let figures: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [idle, peak, received] = figures[..] else { return Err("three figures are expected".into()) };
    report("stream_peak_kib", peak - idle, &[("idle_kib", idle), ("peak_kib", peak), ("decrypted_bytes", received)]);
    Ok(())
}

/// Lets a list of so many bytes flow through in a process of its own, and prints idle and peak memory in KiB and the bytes received.
#[expect(clippy::print_stdout, reason = "the other process reads it")]
pub(crate) fn stream(length: u64) -> Result<(), Failure> {
    let cipher = cipher()?;
    let stored = Bytes::from([&cipher.encrypt_json(&record())?[..], b","].concat());
    let service = FieldEncryptionLayer::new(cipher)?.layer(service_fn(move |_| {
        let list = List { record: stored.clone(), length, sent: 0, rest: Bytes::from_static(b"["), is_ended: false };
        async { Response::builder().header(CONTENT_TYPE, "application/json").body(list) }
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let idle = memory("VmRSS:")?;
    // The peak so far belongs to the start of the process.
    fs::write("/proc/self/clear_refs", "5")?;
    let received = runtime.block_on(async {
        let response = service.oneshot(Request::new(Empty::<Bytes>::new())).await?;
        let mut body = response.into_body();
        let mut received = 0;
        while let Some(frame) = body.frame().await {
            received += frame?.into_data().map_or(0, |data| data.len());
        }
        Ok::<_, Failure>(received)
    })?;
    println!("{idle} {} {received}", memory("VmHWM:")?);
    Ok(())
}

fn memory(name: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such figure")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// A list of stored records that comes in chunks of one length, whatever record they cut.
struct List {
    record: Bytes,
    length: u64,
    sent: u64,
    rest: Bytes,
    is_ended: bool,
}

impl Body for List {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        let mut chunk = self.rest.to_vec();
        while chunk.len() < CHUNK && self.sent + (chunk.len() as u64) < self.length {
            chunk.extend_from_slice(&self.record);
        }
        if self.sent + chunk.len() as u64 >= self.length {
            self.is_ended = true;
            // The last comma becomes the end of the list.
            chunk.pop();
            chunk.push(b']');
            self.rest = Bytes::new();
        } else {
            self.rest = Bytes::from(chunk.split_off(CHUNK));
        }
        self.sent += chunk.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(chunk)))))
    }
}
