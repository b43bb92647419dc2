//! A customer looked up by phone through HTTP, in `SQLite`: by its blind index behind the layer, and by a plaintext
//! column without.

use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use axum::{Json, Router};
use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::policy::{BlindIndex, Normalizer};
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::http::{Failure, rates, serve};
use super::measure::report;

const ROWS: u32 = 10_000;

/// What is asked for.
pub(crate) const LOOKUP: &str = "/customers?phone=%2B6590004321";

#[derive(Serialize)]
pub(crate) struct Customer {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) phone: String,
    pub(crate) tier: String,
}

/// What the service is asked for: the value, or behind the layer its index.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    pub(crate) phone: Option<String>,
    pub(crate) phone_index: Option<String>,
}

type Database = Arc<Mutex<Connection>>;

/// `lookup_vs_plain`: with the database in a file, as the examples have it, and beside it in memory.
pub(crate) fn lookup_vs_plain() -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let [plain, indexed] = ["plain", "indexed"].map(|name| Connection::open(directory.path().join(name)));
    compare("lookup_vs_plain", [plain?, indexed?])?;
    compare("lookup_vs_plain_in_memory", [Connection::open_in_memory()?, Connection::open_in_memory()?])
}

fn compare(name: &str, [mut plain, mut indexed]: [Connection; 2]) -> Result<(), Failure> {
    let cipher = cipher()?;
    let layer = FieldEncryptionLayer::new(cipher.clone())?;
    fill(&mut plain, None)?;
    fill(&mut indexed, Some(&cipher))?;
    let servers = [serve(service(plain))?, serve(service(indexed).layer(layer))?];
    let [plain, indexed] = rates(servers, LOOKUP)?;
    report(name, indexed / plain, &[("plain_per_s", plain), ("index_per_s", indexed)]);
    Ok(())
}

pub(crate) fn cipher() -> Result<FieldCipher, fieldseal::Error> {
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone).blind_index(BlindIndex::new(Normalizer::exact())))
        .build()?;
    let keys = |byte| Keys::from_data_key(DataKey::dangerous_test_key(&SecretKey::from_bytes(&[byte; 32])));
    FieldCipher::new(policy, keys(7)).with_index_keys(keys(8))
}

/// Returns each customer's name, phone, and what is searched: the phone, or its index.
pub(crate) fn rows(cipher: Option<&FieldCipher>) -> Result<Vec<[String; 3]>, Failure> {
    let row = |row| {
        let (name, phone) = (format!("Tan Wei Ming {row}"), format!("+659000{row:04}"));
        let Some(cipher) = cipher else { return Ok([name, phone.clone(), phone]) };
        let index = cipher.blind_index("phone", &phone)?.ok_or("the field has an index")?;
        let mut row = cipher.value_encryptor();
        Ok([row.encrypt("name", &name)?, row.encrypt("phone", &phone)?, index])
    };
    (0..ROWS).map(row).collect()
}

/// Makes a table of customers, with the column that is searched last.
fn fill(database: &mut Connection, cipher: Option<&FieldCipher>) -> Result<(), Failure> {
    database.execute_batch(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name, phone, tier, wanted); CREATE UNIQUE INDEX by_wanted ON customers (wanted)",
    )?;
    let transaction = database.transaction()?;
    for row in rows(cipher)? {
        let insert = "INSERT INTO customers (name, phone, tier, wanted) VALUES (?1, ?2, 'gold', ?3)";
        transaction.execute(insert, row)?;
    }
    transaction.commit()?;
    Ok(())
}

fn service(database: Connection) -> Router {
    let find = |State(database): State<Database>, Query(wanted): Query<Wanted>| async move {
        let database = database.lock().expect("no handler panics");
        let select = "SELECT id, name, phone, tier FROM customers WHERE wanted = ?1";
        let mut select = database.prepare_cached(select).expect("the table is there");
        let customers: Vec<Customer> = select
            .query_map([wanted.phone_index.or(wanted.phone)], |row| {
                Ok(Customer { id: row.get(0)?, name: row.get(1)?, phone: row.get(2)?, tier: row.get(3)? })
            })
            .and_then(Iterator::collect)
            .expect("the columns are there");
        assert_eq!(customers.len(), 1, "one customer has the number");
        ([(CONTENT_TYPE, "application/json")], Json(customers))
    };
    Router::new().route("/customers", get(find)).with_state(Arc::new(Mutex::new(database)))
}
