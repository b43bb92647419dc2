//! Proves that a fleet of three service processes, each with its own keys in memory, goes through ten rotations under
//! load without a failed request.
#![cfg(all(feature = "layer", feature = "sqlite"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/tables.rs"]
mod tables;

use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use fieldseal::keys::{Keyring, KeyringFile, Keys, LocalKek, SecretKey, Timing};
use fieldseal::reencrypt::{EncryptedTable, Job};
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag, Timestamp};
use http::StatusCode;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use sqlx::AnyPool;
use tables::TestDatabase;
use tokio::net::TcpListener;

const REPLICA: &str = "FIELDSEAL_TEST_REPLICA";
const ROTATIONS: usize = 10;
const CUSTOMERS: usize = 60;

#[derive(Serialize, Deserialize, sqlx::FromRow)]
struct Customer {
    phone: String,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute: scripts/test"]
async fn ten_rotations_under_load_fail_no_request() {
    let database = TestDatabase::sqlite().await;
    database.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, phone TEXT)").await;
    let path = database.path("keyring.json");
    let store = KeyringFile::new(&path);
    let mut keyring = Keyring::create("fleet", &kek()).await.unwrap();
    let second = Duration::from_secs(1);
    let timing = Timing {
        refresh: second,
        lease: Some(2 * second),
        longest_request: Duration::from_secs(1),
        clock_skew: Duration::ZERO,
        rehearsal: Duration::ZERO,
    };
    keyring.set_timing(timing).unwrap();
    keyring.save(&store).await.unwrap();

    let replicas: Vec<_> = (0..3).map(|_| Replica::start(&database.url, path.to_str().unwrap())).collect();
    let counts = Arc::new([const { AtomicU64::new(0) }; 2]);
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CUSTOMERS)
        .step_by(CUSTOMERS / 3)
        .map(|first| {
            let addresses: Vec<_> = replicas.iter().map(|replica| replica.address.clone()).collect();
            tokio::spawn(shop(first, addresses, Arc::clone(&counts), Arc::clone(&is_over)))
        })
        .collect();

    for _ in 0..ROTATIONS {
        let old = keyring.keys().iter().find(|entry| entry.state().can_encrypt()).unwrap().id();
        let new = keyring.add_key(&kek()).await.unwrap();
        keyring.save(&store).await.unwrap();
        until(keyring.promotable_at(new).unwrap()).await;
        keyring.promote(new).unwrap();
        keyring.save(&store).await.unwrap();
        until(keyring.scannable_at(old).unwrap().unwrap()).await;
        // The operator's process, which has read the keyring just now.
        let keys = Keys::open(store.clone(), kek()).await.unwrap();
        let cipher = FieldCipher::new(policy(), keys);
        let table = EncryptedTable::new("customers", cipher).column("phone", "phone").unwrap();
        Job::reencrypt(table.clone()).run(database.pool().await).await.unwrap();
        for _ in 0..2 {
            let scan = table.scan(database.pool().await).await.unwrap();
            assert_eq!((scan.tokens_under(old), scan.unreadable()), (0, 0));
            keyring.record_scan(old, scan.began(), 0).unwrap();
        }
        keyring.disable(old).unwrap();
        keyring.forget(old).unwrap();
        keyring.save(&store).await.unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let [requests, failed] = [0, 1].map(|index: usize| counts[index].load(Ordering::Relaxed));
    println!("rotations: {ROTATIONS}, replicas: {}, requests: {requests}, failed: {failed}", replicas.len());
    assert_eq!(failed, 0);
    assert!(requests > 1000, "{requests}");
}

/// Writes through one replica and reads through the next, on and on.
async fn shop(first: usize, addresses: Vec<String>, counts: Arc<[AtomicU64; 2]>, is_over: Arc<AtomicBool>) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut round = 0;
    while !is_over.load(Ordering::Relaxed) {
        let id = first + round % (CUSTOMERS / 3);
        let phone = format!("+65 9{round:07}");
        for (method, address) in [("POST", round), ("GET", round + 1)] {
            let request = Request::builder()
                .method(method)
                .uri(format!("http://{}/customers/{id}", addresses[address % addresses.len()]))
                .header("content-type", "application/json")
                .body(Full::from(if method == "POST" { format!(r#"{{"phone":"{phone}"}}"#) } else { String::new() }))
                .unwrap();
            let response = client.request(request).await.unwrap();
            let status = response.status();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            counts[0].fetch_add(1, Ordering::Relaxed);
            if status != StatusCode::OK || body != format!(r#"{{"phone":"{phone}"}}"#) {
                println!("{method} {id}: {status} {}", String::from_utf8_lossy(&body));
                counts[1].fetch_add(1, Ordering::Relaxed);
            }
        }
        round += 1;
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// A service process, killed when it is dropped.
struct Replica {
    process: Child,
    address: String,
    /// Kept open, so that the process can go on writing to it.
    _output: BufReader<ChildStdout>,
}

impl Replica {
    fn start(url: &str, keyring: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "replica_process", "--include-ignored", "--nocapture"])
            .env(REPLICA, format!("{url}\n{keyring}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "a replica ended before it listened");
            if let Some((_, address)) = line.split_once("listening on ") {
                break address.trim().to_owned();
            }
        };
        Self { process, address, _output: output }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "a service process, which the other test starts"]
fn replica_process() {
    let Ok(orders) = env::var(REPLICA) else { return };
    let (url, keyring) = orders.split_once('\n').unwrap();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        sqlx::any::install_default_drivers();
        let pool = sqlx::any::AnyPoolOptions::new().max_connections(1).connect(url).await.unwrap();
        sqlx::raw_sql("PRAGMA busy_timeout = 30000").execute(&pool).await.unwrap();
        let keys = Keys::open(KeyringFile::new(keyring), kek()).await.unwrap();
        tokio::spawn(keys.keep_fresh(tokio::time::sleep));
        let app = Router::new()
            .route("/customers/{id}", post(store).get(read))
            .with_state(pool)
            .layer(FieldEncryptionLayer::new(FieldCipher::new(policy(), keys)).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("listening on {}", listener.local_addr().unwrap());
        axum::serve(listener, app).await.unwrap();
    });
}

async fn store(State(pool): State<AnyPool>, Path(id): Path<i64>, Json(customer): Json<Customer>) -> Json<Customer> {
    let insert =
        "INSERT INTO customers VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET phone = excluded.phone RETURNING phone";
    sqlx::query_as(insert).bind(id).bind(customer.phone).fetch_one(&pool).await.map(Json).unwrap()
}

async fn read(State(pool): State<AnyPool>, Path(id): Path<i64>) -> Json<Customer> {
    sqlx::query_as("SELECT phone FROM customers WHERE id = $1").bind(id).fetch_one(&pool).await.map(Json).unwrap()
}

fn policy() -> Policy {
    Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build().unwrap()
}

fn kek() -> LocalKek {
    LocalKek::new(&SecretKey::from_bytes(&[7; 32]))
}

async fn until(moment: Timestamp) {
    let wait = SystemTime::from(moment).duration_since(SystemTime::now()).unwrap_or_default();
    tokio::time::sleep(wait + Duration::from_millis(20)).await;
}
