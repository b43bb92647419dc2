//! The customers of a shop, over PostgreSQL.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use fieldseal::{FieldCipher, FieldEncryptionLayer, Policy, Tag, keys};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{FromRow, PgPool};
use tower::BoxError;

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS customers (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name TEXT NOT NULL,
        phone TEXT NOT NULL,
        email TEXT,
        tier TEXT NOT NULL
    )";

#[derive(FromRow, Serialize)]
struct Customer {
    id: i64,
    name: String,
    phone: String,
    email: Option<String>,
    tier: String,
}

#[derive(Deserialize)]
struct NewCustomer {
    name: String,
    phone: String,
    email: Option<String>,
    tier: String,
}

#[derive(Deserialize)]
struct Paging {
    #[serde(default)]
    after: i64,
    limit: Option<u8>,
}

#[derive(Serialize)]
struct Page {
    total: i64,
    customers: Vec<Customer>,
}

pub(crate) async fn app(pool: PgPool) -> Result<Router, BoxError> {
    sqlx::query(TABLE).execute(&pool).await?;
    let keys = keys::Keys::open(keys::KeyringFile::new("keyring.json"), keys::LocalKek::from_file("kek")?).await?;
    tokio::spawn(keys.keep_fresh(tokio::time::sleep));
    let policy = Policy::new("customers", [("name", Tag::Name), ("phone", Tag::Phone), ("email", Tag::Email)])?;
    Ok(Router::new()
        .route("/customers", get(list).post(create))
        .route("/customers/{id}", get(read).put(update).delete(delete))
        .layer(FieldEncryptionLayer::new(FieldCipher::new(policy, keys))?)
        .with_state(pool))
}

async fn create(
    State(pool): State<PgPool>,
    Json(new): Json<NewCustomer>,
) -> Result<(StatusCode, Json<Customer>), AppError> {
    new.check()?;
    let insert = "INSERT INTO customers (name, phone, email, tier) VALUES ($1, $2, $3, $4) RETURNING *";
    let query = sqlx::query_as(insert).bind(new.name).bind(new.phone).bind(new.email).bind(new.tier);
    Ok((StatusCode::CREATED, Json(query.fetch_one(&pool).await?)))
}

async fn read(State(pool): State<PgPool>, Path(id): Path<i64>) -> Result<Json<Customer>, AppError> {
    let select = "SELECT * FROM customers WHERE id = $1";
    Ok(Json(sqlx::query_as(select).bind(id).fetch_one(&pool).await?))
}

async fn update(
    State(pool): State<PgPool>,
    Path(id): Path<i64>,
    Json(new): Json<NewCustomer>,
) -> Result<Json<Customer>, AppError> {
    new.check()?;
    let update = "UPDATE customers SET name = $2, phone = $3, email = $4, tier = $5 WHERE id = $1 RETURNING *";
    let query = sqlx::query_as(update).bind(id).bind(new.name).bind(new.phone).bind(new.email).bind(new.tier);
    Ok(Json(query.fetch_one(&pool).await?))
}

async fn delete(State(pool): State<PgPool>, Path(id): Path<i64>) -> Result<StatusCode, AppError> {
    let deleted = sqlx::query("DELETE FROM customers WHERE id = $1").bind(id).execute(&pool).await?;
    if deleted.rows_affected() == 0 { Err(AppError::NotFound) } else { Ok(StatusCode::NO_CONTENT) }
}

async fn list(State(pool): State<PgPool>, Query(paging): Query<Paging>) -> Result<Json<Page>, AppError> {
    let select = "SELECT * FROM customers WHERE id > $1 ORDER BY id LIMIT $2";
    let query = sqlx::query_as(select).bind(paging.after).bind(i64::from(paging.limit.unwrap_or(50)));
    let customers = query.fetch_all(&pool).await?;
    let total = sqlx::query_scalar("SELECT count(*) FROM customers").fetch_one(&pool).await?;
    Ok(Json(Page { total, customers }))
}

impl NewCustomer {
    fn check(&self) -> Result<(), AppError> {
        match self.tier.as_str() {
            "basic" | "gold" => Ok(()),
            _ => Err(AppError::Invalid("the tier is basic or gold")),
        }
    }
}

enum AppError {
    NotFound,
    Invalid(&'static str),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for AppError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::RowNotFound => Self::NotFound,
            error => Self::Database(error),
        }
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no such customer"),
            Self::Invalid(message) => (StatusCode::UNPROCESSABLE_ENTITY, message),
            Self::Database(error) => {
                tracing::error!(%error, "the database failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong")
            }
        };
        (status, Json(json!({ "error": message }))).into_response()
    }
}
