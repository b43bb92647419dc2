//! The support desk: an ordinary service over SQLite, what its people may see, and what is on record of that.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header::AUTHORIZATION};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use fieldseal::audit::{Audit, AuditEvent};
use fieldseal::keys::Keys;
use fieldseal::policy::{BlindIndex, Normalizer, Reveal, Shown, Validation};
use fieldseal::{Error, Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Customer {
    #[serde(default)]
    id: i64,
    name: String,
    phone: String,
    phone_index: Option<String>,
}

#[derive(Deserialize)]
struct Wanted {
    phone_index: String,
}

type Database = Arc<Mutex<Connection>>;

/// The desk behind its layer, behind its authentication.
pub(crate) fn desk(
    database: Connection,
    keys: Keys,
    index_keys: Keys,
    audit: impl Audit + 'static,
) -> Result<Router, Error> {
    let cipher = FieldCipher::new(policy()?, keys).with_index_keys(index_keys)?.with_audit(audit);
    Ok(Router::new()
        .route("/customers", post(create).get(find))
        .route("/customers/{id}", get(read))
        .with_state(Arc::new(Mutex::new(database)))
        .layer(FieldEncryptionLayer::new(cipher)?.reveal(Reveal::all(Shown::Absent)))
        .layer(middleware::from_fn(authenticate)))
}

/// Digits make a number here; with the feature `normal-forms`, `Normalizer::phone("SG")` knows every plan.
fn policy() -> Result<Policy, Error> {
    let digits = |text: &str| {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        (8..=15).contains(&digits.len()).then(|| if digits.len() == 8 { format!("65{digits}") } else { digits })
    };
    let phone = Normalizer::custom("singapore", 1, digits)?;
    let name = Field::new("name", Tag::Name).validate(Validation::new().required().plain_text().max_length(100));
    let phone = Field::new("phone", Tag::Phone)
        .validate(Validation::new().required().normal_form(phone.clone()))
        .blind_index(BlindIndex::new(phone));
    Policy::builder("customers").field(name).field(phone).build()
}

/// Stands for yours: it knows two people by what they bear.
async fn authenticate(mut request: Request, next: Next) -> Result<Response, StatusCode> {
    let reveal = match request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()) {
        Some("Bearer agent") => Reveal::all(Shown::Masked),
        Some("Bearer supervisor") => Reveal::all(Shown::Plain).by("siti@example.sg"),
        _ => return Err(StatusCode::UNAUTHORIZED),
    };
    request.extensions_mut().insert(reveal);
    Ok(next.run(request).await)
}

async fn create(State(database): State<Database>, Json(customer): Json<Customer>) -> Result<StatusCode, StatusCode> {
    let insert = "INSERT INTO customers (name, phone, phone_index) VALUES (?1, ?2, ?3) RETURNING *";
    query(&database, insert, (customer.name, customer.phone, customer.phone_index)).map(|_| StatusCode::CREATED)
}

async fn find(
    State(database): State<Database>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<Customer>>, StatusCode> {
    // Any of several, separated by commas, while the index key is rotated.
    let select = "SELECT * FROM customers WHERE instr(',' || ?1 || ',', ',' || phone_index || ',')";
    query(&database, select, [wanted.phone_index]).map(Json)
}

async fn read(State(database): State<Database>, Path(id): Path<i64>) -> Result<Json<Customer>, StatusCode> {
    let found = query(&database, "SELECT * FROM customers WHERE id = ?1", [id])?.pop();
    found.map(Json).ok_or(StatusCode::NOT_FOUND)
}

fn query(database: &Database, sql: &str, values: impl rusqlite::Params) -> Result<Vec<Customer>, StatusCode> {
    let customer = |row: &Row<'_>| {
        let (id, name) = (row.get("id")?, row.get("name")?);
        Ok(Customer { id, name, phone: row.get("phone")?, phone_index: row.get("phone_index")? })
    };
    let database = database.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = database.prepare_cached(sql).and_then(|mut sql| sql.query_map(values, customer)?.collect());
    rows.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// What is on record: who saw which fields, and how many values.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<String>>>);

impl Record {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Audit for Record {
    fn record(&self, event: &AuditEvent<'_>) {
        let who = event.who.unwrap_or("somebody");
        let line = format!("{} {who}: {} values of {}.{}", event.kind, event.count, event.collection, event.field);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}
