//! One customer of the examples through HTTP and `SQLite`, with the layer and without.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use super::http::{Failure, post_and_get, serve};

/// `layer_vs_bare_sqlite`: the service of `examples/axum_service.rs`, with its database in a file as there, and beside it
/// in memory, where nothing hides what the layer takes.
pub(crate) fn layer_vs_bare_sqlite() -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let [bare, layered] = ["bare", "layered"].map(|name| Connection::open(directory.path().join(name)));
    compare("layer_vs_bare_sqlite", [bare?, layered?])?;
    compare("layer_vs_bare_sqlite_in_memory", [Connection::open_in_memory()?, Connection::open_in_memory()?])
}

fn compare(name: &str, [bare, layered]: [Connection; 2]) -> Result<(), Failure> {
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone))
        .build()?;
    let cipher =
        FieldCipher::new(policy, Keys::from_data_key(DataKey::dangerous_test_key(&SecretKey::from_bytes(&[7; 32]))));
    let layer = FieldEncryptionLayer::new(cipher)?;
    for database in [&bare, &layered] {
        database.execute_batch("CREATE TABLE customers (id INTEGER PRIMARY KEY, name, phone, tier)")?;
    }
    let servers: [SocketAddr; 2] = [serve(service(bare))?, serve(service(layered).layer(layer))?];
    post_and_get(name, servers, ["customer", "/customers/1"])
}

#[derive(Serialize, Deserialize)]
struct Customer {
    #[serde(default)]
    id: i64,
    name: String,
    phone: String,
    tier: String,
}

type Database = Arc<Mutex<Connection>>;

fn service(database: Connection) -> Router {
    Router::new()
        .route("/customers", post(create))
        .route("/customers/{id}", get(read))
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

fn query(database: &Database, sql: &str, values: impl rusqlite::Params) -> Result<Vec<Customer>, StatusCode> {
    let customer = |row: &Row<'_>| {
        Ok(Customer { id: row.get("id")?, name: row.get("name")?, phone: row.get("phone")?, tier: row.get("tier")? })
    };
    let database = database.lock().expect("no handler panics");
    let rows = database.prepare_cached(sql).and_then(|mut sql| sql.query_map(values, customer)?.collect());
    rows.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
