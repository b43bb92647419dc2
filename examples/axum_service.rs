//! cargo run --example axum_service [-- DIRECTORY]
//!
//! An ordinary axum service over SQLite, and the three lines that put it under the layer. Prints what to try, and runs
//! until Ctrl-C. Its files stay in DIRECTORY; unless that is given, in a temporary one that is removed at the end.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]
#![expect(clippy::doc_markdown, reason = "the first line is there to be copied")]

use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{env, fs};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use fieldseal::keys::{Keyring, KeyringFile, Keys, LocalKek};
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower::BoxError;

#[derive(Serialize, Deserialize)]
struct Customer {
    #[serde(default)]
    id: i64,
    name: String,
    phone: String,
    tier: String,
}

type Database = Arc<Mutex<Connection>>;

/// The service as it was before, and as it stays.
fn service(database: Connection) -> Router {
    Router::new()
        .route("/customers", post(create).get(list))
        .route("/customers/{id}", get(read).put(update))
        .with_state(Arc::new(Mutex::new(database)))
}

async fn create(
    State(database): State<Database>,
    Json(customer): Json<Customer>,
) -> Result<(StatusCode, Json<Customer>), StatusCode> {
    let insert = "INSERT INTO customers (name, phone, tier) VALUES (?1, ?2, ?3) RETURNING *";
    let values = [&customer.name, &customer.phone, &customer.tier];
    Ok((StatusCode::CREATED, Json(query(&database, insert, values)?.pop().ok_or(StatusCode::INTERNAL_SERVER_ERROR)?)))
}

async fn read(State(database): State<Database>, Path(id): Path<i64>) -> Result<Json<Customer>, StatusCode> {
    let found = query(&database, "SELECT * FROM customers WHERE id = ?1", [id])?.pop();
    found.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn update(
    State(database): State<Database>,
    Path(id): Path<i64>,
    Json(Customer { name, phone, tier, .. }): Json<Customer>,
) -> Result<Json<Customer>, StatusCode> {
    let update = "UPDATE customers SET name = ?2, phone = ?3, tier = ?4 WHERE id = ?1 RETURNING *";
    query(&database, update, (id, name, phone, tier))?.pop().map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn list(State(database): State<Database>) -> Result<Json<Vec<Customer>>, StatusCode> {
    query(&database, "SELECT * FROM customers ORDER BY id", []).map(Json)
}

fn query(database: &Database, sql: &str, values: impl rusqlite::Params) -> Result<Vec<Customer>, StatusCode> {
    let customer = |row: &Row<'_>| {
        Ok(Customer { id: row.get("id")?, name: row.get("name")?, phone: row.get("phone")?, tier: row.get("tier")? })
    };
    let database = database.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = database.prepare_cached(sql).and_then(|mut sql| sql.query_map(values, customer)?.collect());
    rows.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let temporary = tempfile::tempdir()?;
    let directory = env::args_os().nth(1).map_or(temporary.path().to_owned(), PathBuf::from);
    fs::create_dir_all(&directory)?;
    let database = Connection::open(directory.join("customers.db"))?;
    database.execute_batch("CREATE TABLE IF NOT EXISTS customers (id INTEGER PRIMARY KEY, name, phone, tier)")?;

    // The three lines.
    let keys = open_keys(&directory).await?;
    let cipher = FieldCipher::new(policy()?, keys);
    let app = service(database).layer(FieldEncryptionLayer::new(cipher)?);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/customers", listener.local_addr()?);
    let json = r#"{"name":"陈伟明","phone":"+65 9123 4567","tier":"gold"}"#;
    println!("Try, and stop with Ctrl-C:\n");
    println!("  curl -d '{json}' -H 'Content-Type: application/json' {url}");
    println!("  curl -X PUT -d '{json}' -H 'Content-Type: application/json' {url}/1");
    println!("  curl {url}\n\nWhat a thief of the database sees:\n");
    println!("  sqlite3 '{}' 'SELECT * FROM customers'", directory.join("customers.db").display());
    let stopped = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, app).with_graceful_shutdown(stopped).await?;
    Ok(())
}

fn policy() -> Result<Policy, fieldseal::Error> {
    let (name, phone) = (Field::new("name", Tag::Name), Field::new("phone", Tag::Phone));
    Policy::builder("customers").field(name).field(phone).build()
}

/// Opens the keyring, or makes one the first time. In earnest the key-encryption key lies in a key service, and at
/// least not beside the database.
async fn open_keys(directory: &FilePath) -> Result<Keys, fieldseal::Error> {
    let (kek, keyring) = (directory.join("kek"), KeyringFile::new(directory.join("keyring.json")));
    if !keyring.path().exists() {
        let kek = LocalKek::create_file(&kek)?;
        Keyring::create("customers", &kek).await?.save(&keyring).await?;
    }
    let keys = Keys::open(keyring, LocalKek::from_file(kek)?).await?;
    tokio::spawn(keys.keep_fresh(tokio::time::sleep));
    Ok(keys)
}
