//! A shop in a process of its own, customers in SQLite behind the layer; and clients that keep a ledger of what it
//! acknowledged.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "each file of tests uses a part of this, and only tests use it"
)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::{self, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use fieldseal::keys::{Keyring, KeyringFile, KeyringStore, KeyringStoreFuture, Keys, LocalKek, SecretKey, Timing};
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower::BoxError;

const SHOP: &str = "FIELDSEAL_TEST_SHOP";
/// Stands in every name that a client sends, and nowhere else.
pub(crate) const CANARY: &str = "Tan Wei Ming";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Customer {
    pub(crate) name: String,
    pub(crate) phone: String,
    pub(crate) tier: String,
}

/// What the process does that [`Shop::start`] starts.
pub(crate) fn serve() {
    let Ok(orders) = env::var(SHOP) else { return };
    let [directory, kind] = orders.split('\n').collect::<Vec<_>>()[..] else { panic!("{orders}") };
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(async {
        let mut app = router(open_database(directory.as_ref()));
        if kind != "bare" {
            let cipher = cipher(directory.as_ref(), kind == "migrating").await;
            app = app.layer(FieldEncryptionLayer::new(cipher).unwrap());
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        println!("listening on {}", listener.local_addr().unwrap());
        let stopped = async move { _ = terminate.recv().await };
        axum::serve(listener, app).with_graceful_shutdown(stopped).await.unwrap();
        println!("every request is answered");
    });
}

/// A file that does not tell at once whether it is still the same, as a keyring in a database does not.
struct Remote(KeyringFile);

impl KeyringStore for Remote {
    fn place(&self) -> String {
        self.0.place()
    }

    fn read(&self) -> KeyringStoreFuture<'_, Vec<u8>> {
        self.0.read()
    }

    fn replace<'a>(
        &'a self,
        expected: Option<&'a [u8]>,
        document: &'a [u8],
    ) -> KeyringStoreFuture<'a, Result<(), Vec<u8>>> {
        self.0.replace(expected, document)
    }
}

/// While it migrates, a `tier` may still stand in plaintext, for a day from now on, and the lease is short.
async fn cipher(directory: &Path, migrating: bool) -> FieldCipher {
    let kek = || LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
    let store = Remote(KeyringFile::new(directory.join("keyring.json")));
    if !store.0.path().exists() {
        let mut keyring = Keyring::create("shop", &kek()).await.unwrap();
        if migrating {
            let second = Duration::from_secs(1);
            keyring.set_timing(Timing { refresh: second, lease: Some(10 * second), ..Timing::default() }).unwrap();
        }
        keyring.save(&store).await.unwrap();
    }
    let keys = Keys::open(store, kek()).await.unwrap();
    tokio::spawn(keys.keep_fresh(|period| tokio::time::sleep(period / 5)));
    let mut fields = vec![Field::new("name", Tag::Name), Field::new("phone", Tag::Phone)];
    if migrating {
        let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
        fields.push(Field::new("tier", Tag::Text).allow_plaintext_until(tomorrow));
    }
    FieldCipher::new(Policy::new("customers", fields).unwrap(), keys)
}

fn open_database(directory: &Path) -> Connection {
    let database = Connection::open(directory.join("shop.db")).unwrap();
    database.pragma_update(None, "journal_mode", "WAL").unwrap();
    database.execute_batch("CREATE TABLE IF NOT EXISTS customers (id INTEGER PRIMARY KEY, name, phone, tier)").unwrap();
    database
}

type Database = Arc<Mutex<Connection>>;

fn router(database: Connection) -> Router {
    let database = Arc::new(Mutex::new(database));
    Router::new()
        .route("/customers", get(list))
        .route("/customers/{id}", post(store).get(read))
        .route("/slow/{id}", post(store_slowly))
        .route("/export", get(export))
        .with_state(database)
}

async fn store(
    State(database): State<Database>,
    extract::Path(id): extract::Path<u64>,
    Json(customer): Json<Customer>,
) -> Result<Json<Customer>, StatusCode> {
    let insert = "INSERT OR REPLACE INTO customers VALUES (?1, ?2, ?3, ?4)";
    let Customer { name, phone, tier } = &customer;
    let stored = database.lock().unwrap().execute(insert, (id.cast_signed(), name, phone, tier));
    stored.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Json(customer))
}

async fn store_slowly(
    database: State<Database>,
    id: extract::Path<u64>,
    customer: Json<Customer>,
) -> Result<Json<Customer>, StatusCode> {
    tokio::time::sleep(Duration::from_millis(500)).await;
    store(database, id, customer).await
}

async fn read(
    State(database): State<Database>,
    extract::Path(id): extract::Path<u64>,
) -> Result<Json<Customer>, StatusCode> {
    let found = rows(&database, "WHERE id = ?1", [id.cast_signed()])?.pop();
    found.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn list(State(database): State<Database>) -> Result<Json<Vec<Customer>>, StatusCode> {
    rows(&database, "ORDER BY id LIMIT 50", []).map(Json)
}

#[derive(Deserialize)]
struct Export {
    rows: usize,
}

/// A list of so many rows, each the first one of the table, which is never held whole.
async fn export(
    State(database): State<Database>,
    Query(export): Query<Export>,
) -> Result<axum::response::Response, StatusCode> {
    let first = rows(&database, "ORDER BY id LIMIT 1", [])?.pop().ok_or(StatusCode::NOT_FOUND)?;
    let row: Bytes = serde_json::to_vec(&first).unwrap().into();
    let pieces = (0..export.rows).flat_map(move |at| [Bytes::from(if at == 0 { "[" } else { "," }), row.clone()]);
    let pieces = pieces.chain([Bytes::from("]")]).map(Ok::<_, BoxError>);
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    Ok(axum::response::Response::builder().header(CONTENT_TYPE, "application/json").body(body).unwrap())
}

fn rows(database: &Database, which: &str, values: impl rusqlite::Params) -> Result<Vec<Customer>, StatusCode> {
    let customer = |row: &rusqlite::Row<'_>| {
        Ok(Customer { name: row.get("name")?, phone: row.get("phone")?, tier: row.get("tier")? })
    };
    let database = database.lock().unwrap();
    let rows = database
        .prepare_cached(&format!("SELECT * FROM customers {which}"))
        .and_then(|mut sql| sql.query_map(values, customer)?.collect());
    rows.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// The shop's process, killed when it is dropped.
pub(crate) struct Shop {
    process: Child,
    pub(crate) address: SocketAddr,
    /// Kept open, so that the process can go on writing to it.
    output: BufReader<ChildStdout>,
}

impl Shop {
    pub(crate) fn start(directory: &Path) -> Self {
        Self::run(directory, "layer", Command::new(env::current_exe().unwrap()))
    }

    pub(crate) fn without_the_layer(directory: &Path) -> Self {
        Self::run(directory, "bare", Command::new(env::current_exe().unwrap()))
    }

    /// Starts it by a command that runs this program with the arguments that it is given.
    pub(crate) fn run(directory: &Path, kind: &str, mut command: Command) -> Self {
        let mut process = command
            .args(["--exact", "shop_process", "--nocapture"])
            .env(SHOP, format!("{}\n{kind}", directory.display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "the shop ended before it listened");
            if let Some((_, address)) = line.split_once("listening on ") {
                break address.trim().parse().unwrap();
            }
        };
        Self { process, address, output }
    }

    /// SIGKILL: no code of the process runs any more.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }

    pub(crate) fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// How many files and sockets the process holds open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn customer(number: u64) -> Customer {
    Customer { name: format!("{CANARY} {number}"), phone: format!("+65 9{number:07}"), tier: "gold".to_owned() }
}

/// What one client wrote: of each row, what was acknowledged last, and what was sent after that without an answer.
#[derive(Default)]
pub(crate) struct Ledger {
    rows: BTreeMap<u64, (Option<u64>, Vec<u64>)>,
    pub(crate) acknowledged: u64,
    pub(crate) unanswered: u64,
    pub(crate) refused: u64,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Ledger {
    /// Writes to `rows`, until the shop no longer answers or `is_over` says so.
    pub(crate) async fn write(
        &mut self,
        address: SocketAddr,
        rows: impl Iterator<Item = u64>,
        is_over: impl Fn() -> bool,
    ) {
        let client = client();
        for row in rows {
            let refused = self.refused;
            if is_over() || !self.write_row(&client, address, row).await {
                return;
            }
            if self.refused > refused {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Writes to one row. Returns whether there was an answer.
    pub(crate) async fn write_row(&mut self, client: &HttpClient, address: SocketAddr, row: u64) -> bool {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (sent, entry) = (customer(number), self.rows.entry(row).or_default());
        entry.1.push(number);
        match send(client, "POST", address, &format!("/customers/{row}"), serde_json::to_vec(&sent).unwrap()).await {
            Ok((StatusCode::OK, body)) => {
                assert_eq!(serde_json::from_slice::<Customer>(&body).unwrap(), sent);
                *entry = (Some(number), Vec::new());
                self.acknowledged += 1;
            }
            // It may have been stored before the answer was lost.
            Ok((status, _)) => {
                assert!(status.is_server_error(), "{status}");
                self.refused += 1;
            }
            Err(_) => {
                self.unanswered += 1;
                return false;
            }
        }
        true
    }

    /// Reads every row: what was acknowledged is there, or what was sent after it, and nothing else.
    pub(crate) async fn check(&mut self, address: SocketAddr) {
        let client = client();
        for (row, entry) in &mut self.rows {
            let (status, body) = send(&client, "GET", address, &format!("/customers/{row}"), Vec::new()).await.unwrap();
            let text = String::from_utf8_lossy(&body);
            if status == StatusCode::NOT_FOUND && entry.0.is_none() {
                continue;
            }
            let found =
                serde_json::from_slice::<Customer>(&body).unwrap_or_else(|_| panic!("row {row}: {status} {text}"));
            let number = entry.0.iter().chain(&entry.1).copied().find(|&number| customer(number) == found);
            assert!(number.is_some(), "row {row}: {entry:?} was sent, and {found:?} is there");
            *entry = (number, Vec::new());
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }
}

pub(crate) type HttpClient = Client<HttpConnector, Body>;

pub(crate) fn client() -> HttpClient {
    Client::builder(hyper_util::rt::TokioExecutor::new()).build(HttpConnector::new())
}

pub(crate) async fn send(
    client: &HttpClient,
    method: &str,
    address: SocketAddr,
    path: &str,
    body: Vec<u8>,
) -> Result<(StatusCode, Bytes), BoxError> {
    let request = Request::builder().method(method).uri(format!("http://{address}{path}"));
    let request = request.header(CONTENT_TYPE, "application/json").body(Body::from(body))?;
    let answer = async {
        let response = client.request(request).await?;
        let status = response.status();
        Ok::<_, BoxError>((status, response.into_body().collect().await?.to_bytes()))
    };
    tokio::time::timeout(Duration::from_secs(60), answer).await?
}

/// No file of the directory holds what a client sent; returns how many bytes they have.
pub(crate) fn search(directory: &Path) -> u64 {
    let mut length = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for canary in [CANARY, "+65 9"] {
            assert!(memchr::memmem::find(&bytes, canary.as_bytes()).is_none(), "{canary} is in the storage");
        }
        length += bytes.len() as u64;
    }
    length
}
