//! Proves that a service under full load, of good and bad requests alike, fails none and does not grow: `scripts/soak 3600`
//! for an hour.
#![cfg(all(target_os = "linux", feature = "layer"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/shop.rs"]
mod shop;

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{Field, FieldCipher, Policy, Tag};
use shop::{CANARY, HttpClient, Shop, customer, send};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const CLIENTS: u64 = 8;
/// How much more memory the end may take than the middle: what an allocator keeps for itself goes up and down.
const MOST_GROWTH: f64 = 1.05;
const SLACK_KIB: u64 = 4096;

fn seconds() -> u64 {
    env::var("FIELDSEAL_SOAK_SECONDS").map_or(8, |seconds| seconds.parse().unwrap())
}

/// One round of all that clients do. Returns how many requests it made, and which of them went wrong.
async fn round(client: &HttpClient, address: SocketAddr, row: u64, token: &str) -> (u64, Vec<String>) {
    let customer = serde_json::to_string(&customer(row)).unwrap();
    let path = format!("/customers/{row}");
    let long = format!("[{}\"end\"]", format!("{customer},").repeat(800));
    let mut wrong = Vec::new();
    let exchanges: [(&str, &str, String, u16, &str); 9] = [
        ("POST", &path, customer.clone(), 200, &customer),
        ("GET", &path, String::new(), 200, &customer),
        ("GET", "/customers", String::new(), 200, CANARY),
        ("GET", "/export?rows=2000", String::new(), 200, CANARY),
        ("POST", &path, customer.replace('}', ""), 400, "malformed"),
        ("POST", &path, format!(r#"{{"name":"{token}","phone":"1","tier":"x"}}"#), 422, "token_submitted"),
        // Too long to be held whole, and not what the service takes.
        ("POST", &path, long, 422, ""),
        ("GET", "/customers/999999999", String::new(), 404, ""),
        ("GET", "/customers?phone=1", String::new(), 422, ""),
    ];
    let count = exchanges.len() as u64 + 1;
    for (method, path, body, status, part) in exchanges {
        match send(client, method, address, path, body.into_bytes()).await {
            Ok((found, body)) => {
                let text = String::from_utf8_lossy(&body);
                if found.as_u16() != status || !text.contains(part) || text.contains("fs1.") {
                    wrong.push(format!("{method} {path}: {found} {}", &text[..text.len().min(200)]));
                }
            }
            Err(error) => wrong.push(format!("{method} {path}: {error}")),
        }
    }
    // One who goes away in the middle of a request.
    if let Ok(mut stream) = TcpStream::connect(address).await {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n"
        );
        let _ = stream.write_all(format!("{head}{customer}").as_bytes()).await;
    }
    (count, wrong)
}

fn median(samples: &[u64]) -> u64 {
    let mut samples = samples.to_vec();
    samples.sort_unstable();
    samples[samples.len() / 2]
}

/// KiB an hour, by least squares.
#[expect(clippy::cast_precision_loss, reason = "figures of at most a few gigabytes")]
fn slope(samples: &[u64], interval: Duration) -> f64 {
    let n = samples.len() as f64;
    let (mean_x, mean_y) = ((n - 1.0) / 2.0, samples.iter().sum::<u64>() as f64 / n);
    let points = || samples.iter().enumerate().map(|(x, &y)| (x as f64 - mean_x, y as f64 - mean_y));
    let (above, below) = (points().map(|(x, y)| x * y).sum::<f64>(), points().map(|(x, _)| x * x).sum::<f64>());
    above / below / interval.as_secs_f64() * 3600.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_under_full_load_fails_no_request_and_does_not_grow() {
    let directory = tempfile::tempdir().unwrap();
    let shop = Shop::start(directory.path());
    let key = DataKey::new(&SecretKey::generate().unwrap());
    let policy = Policy::builder("customers").field(Field::new("name", Tag::Name)).build().unwrap();
    let token = FieldCipher::new(policy, Keys::from_data_key(key)).encrypt_value("name", CANARY).unwrap();
    let (requests, time) = (Arc::new(AtomicU64::new(0)), Duration::from_secs(seconds()));
    let began = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (address, requests, token) = (shop.address, Arc::clone(&requests), token.clone());
            tokio::spawn(async move {
                let (client, mut wrong) = (shop::client(), Vec::new());
                for round_number in 0.. {
                    let row = number * 1000 + round_number % 100;
                    let (count, failures) = round(&client, address, row, &token).await;
                    requests.fetch_add(count, Ordering::Relaxed);
                    wrong.extend(failures);
                    if began.elapsed() > time {
                        break;
                    }
                }
                wrong
            })
        })
        .collect();
    let (interval, mut samples) = (time / 200, Vec::new());
    let start = shop.resident();
    while began.elapsed() < time {
        tokio::time::sleep(interval).await;
        samples.push(shop.resident());
    }
    let end = shop.resident();
    let mut wrong = Vec::new();
    for client in clients {
        wrong.extend(client.await.unwrap());
    }
    // The first quarter fills caches and pools.
    let quarter = samples.len() / 4;
    let (middle, last) = (median(&samples[quarter..2 * quarter]), median(&samples[3 * quarter..]));
    println!(
        "soak: {} requests, {} failed, rss at start/median/end {start}/{}/{end} KiB, slope {:.0} KiB an hour after the first \
         quarter of {} s",
        requests.load(Ordering::Relaxed),
        wrong.len(),
        median(&samples),
        slope(&samples[quarter..], interval),
        seconds()
    );
    assert!(wrong.is_empty(), "{:#?}", &wrong[..wrong.len().min(20)]);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "KiB")]
    let most = (middle as f64 * MOST_GROWTH) as u64 + SLACK_KIB;
    assert!(last <= most, "memory grows: {middle} KiB in the second quarter, {last} KiB in the last");
    // Connections that were left are no longer held, but for those that a client keeps.
    let files = shop.open_files();
    assert!(files < 100, "{files} files and sockets are still open");
    shop::search(directory.path());
}

/// Not a test: the process that the test starts.
#[test]
fn shop_process() {
    shop::serve();
}
