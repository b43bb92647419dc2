//! The customer service: plain axum over SQLite. It knows nothing of encryption.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use rusqlite::{Connection, params};
use serde::Deserialize;

use crate::customer::{COLUMNS, Customer, TABLE};

pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let database = Connection::open(path)?;
    database.pragma_update(None, "journal_mode", "wal")?;
    database.pragma_update(None, "synchronous", "normal")?;
    database.execute_batch(TABLE)?;
    Ok(database)
}

pub(crate) fn service(database: Connection) -> Router {
    Router::new()
        .route("/customers", post(create).get(list))
        .route("/customers/{id}", get(read).put(update))
        .with_state(Database(Arc::new(Mutex::new(database))))
}

#[derive(Clone)]
struct Database(Arc<Mutex<Connection>>);

impl Database {
    /// A statement takes microseconds, so it may block the task.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn create(State(database): State<Database>, Json(customer): Json<Customer>) -> Result<StatusCode, Failure> {
    let Customer { id, name, romanised_name, phone, email, address, card_last4, loyalty } = &customer;
    database
        .lock()
        .prepare_cached(&format!("INSERT INTO customers ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"))?
        .execute(params![id, name, romanised_name, phone, email, address, card_last4, loyalty.get()])?;
    Ok(StatusCode::CREATED)
}

async fn update(
    State(database): State<Database>,
    UrlPath(id): UrlPath<String>,
    Json(customer): Json<Customer>,
) -> Result<StatusCode, Failure> {
    let Customer { id: _, name, romanised_name, phone, email, address, card_last4, loyalty } = &customer;
    let changed = database
        .lock()
        .prepare_cached(
            "UPDATE customers SET name = ?2, romanised_name = ?3, phone = ?4, email = ?5, address = ?6,
             card_last4 = ?7, loyalty = ?8 WHERE id = ?1",
        )?
        .execute(params![id, name, romanised_name, phone, email, address, card_last4, loyalty.get()])?;
    Ok(if changed == 1 { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
}

async fn read(State(database): State<Database>, UrlPath(id): UrlPath<String>) -> Result<Json<Customer>, Failure> {
    let database = database.lock();
    let mut statement = database.prepare_cached(&format!("SELECT {COLUMNS} FROM customers WHERE id = ?1"))?;
    Ok(Json(statement.query_row([id], Customer::from_row)?))
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    after: String,
    limit: u32,
}

async fn list(State(database): State<Database>, Query(page): Query<Page>) -> Result<Json<Vec<Customer>>, Failure> {
    let database = database.lock();
    let select = format!("SELECT {COLUMNS} FROM customers WHERE id > ?1 ORDER BY id LIMIT ?2");
    let mut statement = database.prepare_cached(&select)?;
    let customers = statement.query_map(params![page.after, page.limit], Customer::from_row)?;
    Ok(Json(customers.collect::<rusqlite::Result<_>>()?))
}

struct Failure(rusqlite::Error);

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.0 {
            rusqlite::Error::QueryReturnedNoRows => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        status.into_response()
    }
}
