//! Clients that create, update and read customers, and check each answer against what they sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinHandle;
use tower::BoxError;

pub(crate) const CLIENTS: i64 = 4;
/// How many customers each client has.
const CUSTOMERS: i64 = 250;

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    failed: AtomicU64,
    updates: AtomicU64,
    lost: AtomicU64,
    is_over: AtomicBool,
}

pub(crate) struct Load {
    counts: Arc<Counts>,
    clients: Vec<JoinHandle<()>>,
}

/// What the clients saw.
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) updates: u64,
    pub(crate) lost: u64,
}

impl Load {
    /// Starts the clients, and returns when each has created its customers.
    pub(crate) async fn start(address: SocketAddr) -> Result<Self, BoxError> {
        let counts = Arc::new(Counts::default());
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let client = Shopper::create(address, number, Arc::clone(&counts)).await;
            clients.push(tokio::spawn(client.shop()));
        }
        Ok(Self { counts, clients })
    }

    pub(crate) async fn stop(self) -> Outcome {
        self.counts.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            if client.await.is_err() {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { requests, failed, updates, lost, .. } = &*self.counts;
        Outcome { requests: count(requests), failed: count(failed), updates: count(updates), lost: count(lost) }
    }
}

/// One client with customers of its own, whose last phone it remembers.
struct Shopper {
    http: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    first: i64,
    phones: Vec<String>,
    counts: Arc<Counts>,
}

impl Shopper {
    async fn create(address: SocketAddr, number: i64, counts: Arc<Counts>) -> Self {
        let http = Client::builder(TokioExecutor::new()).build_http();
        let mut shopper = Self { http, address, first: number * CUSTOMERS, phones: Vec::new(), counts };
        for index in 0..CUSTOMERS {
            let phone = format!("+65 9000 {index:04}");
            shopper.send(&Method::POST, index, Some(&phone)).await;
            shopper.phones.push(phone);
        }
        shopper
    }

    async fn shop(mut self) {
        let mut round = 0_i64;
        while !self.counts.is_over.load(Ordering::Relaxed) {
            round += 1;
            let index = round * 7 % CUSTOMERS;
            let phone = format!("+65 8{:03} {:04}", round % 1000, index);
            if self.send(&Method::PUT, index, Some(&phone)).await {
                self.phones[usize::try_from(index).unwrap_or_default()] = phone;
                self.counts.updates.fetch_add(1, Ordering::Relaxed);
            }
            self.check(round * 11 % CUSTOMERS).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for index in 0..CUSTOMERS {
            self.check(index).await;
        }
    }

    /// Reads a customer, who must have the phone that was last saved.
    async fn check(&self, index: i64) {
        self.send(&Method::GET, index, None).await;
    }

    /// Returns whether the answer was good and held the right phone.
    async fn send(&self, method: &Method, index: i64, phone: Option<&str>) -> bool {
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        let expected =
            phone.map_or_else(|| self.phones[usize::try_from(index).unwrap_or_default()].clone(), str::to_owned);
        let body = phone.map(|phone| format!(r#"{{"name":"陈伟明 {index}","phone":"{phone}"}}"#)).unwrap_or_default();
        let answer = self.answer(method, index, body).await;
        let text = answer.unwrap_or_else(|error| {
            eprintln!("a request failed: {error}");
            self.counts.failed.fetch_add(1, Ordering::Relaxed);
            String::new()
        });
        let is_right = text.contains(&format!(r#""phone":"{expected}""#));
        if !text.is_empty() && !is_right {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
        is_right
    }

    async fn answer(&self, method: &Method, index: i64, body: String) -> Result<String, BoxError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}/customers/{}", self.address, self.first + index))
            .header("content-type", "application/json")
            .body(Full::from(body))?;
        let response = self.http.request(request).await?;
        let status = response.status();
        let text = String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec())?;
        if status.is_success() { Ok(text) } else { Err(format!("status {status}: {text}").into()) }
    }
}
