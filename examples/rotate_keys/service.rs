//! An ordinary axum service with a table of customers, in SQLite or PostgreSQL.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use fieldseal::FieldEncryptionLayer;
use fieldseal::reencrypt::Database;
use serde::{Deserialize, Serialize};
use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::net::TcpListener;
use tower::BoxError;

#[derive(Serialize, Deserialize, sqlx::FromRow)]
struct Customer {
    #[serde(default)]
    id: i64,
    name: String,
    phone: String,
}

pub(crate) struct Service {
    url: String,
    pool: AnyPool,
    address: SocketAddr,
}

impl Service {
    pub(crate) async fn start(url: &str, layer: FieldEncryptionLayer) -> Result<Self, BoxError> {
        sqlx::any::install_default_drivers();
        let is_sqlite = url.starts_with("sqlite");
        // SQLite has one writer at a time anyway.
        let options = AnyPoolOptions::new().max_connections(if is_sqlite { 1 } else { 8 });
        let options = options.acquire_timeout(Duration::from_secs(30));
        let pool = options.connect(url).await?;
        if is_sqlite {
            sqlx::raw_sql("PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 30000").execute(&pool).await?;
        }
        let table = "CREATE TABLE customers (id BIGINT PRIMARY KEY, name TEXT NOT NULL, phone TEXT NOT NULL)";
        sqlx::raw_sql(table).execute(&pool).await?;

        let app = Router::new()
            .route("/customers/{id}", post(create).put(update).get(read))
            .route("/customers", get(list))
            .with_state(pool.clone())
            .layer(layer);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { url: url.to_owned(), pool, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every token that stands in the database, with its field.
    pub(crate) async fn steal(&self) -> Result<Vec<(&'static str, String)>, BoxError> {
        let rows: Vec<Customer> = sqlx::query_as("SELECT id, name, phone FROM customers").fetch_all(&self.pool).await?;
        Ok(rows.into_iter().flat_map(|row| [("name", row.name), ("phone", row.phone)]).collect())
    }

    /// The database for the re-encryption job.
    pub(crate) async fn database(&self) -> Result<Database, BoxError> {
        if self.url.starts_with("postgres") {
            return Ok(sqlx::PgPool::connect(&self.url).await?.into());
        }
        let options = self.url.parse::<SqliteConnectOptions>()?.busy_timeout(Duration::from_secs(30));
        Ok(SqlitePoolOptions::new().max_connections(2).connect_with(options).await?.into())
    }

    pub(crate) async fn clean_up(&self) -> Result<(), BoxError> {
        for table in ["customers", "fieldseal_ranges", "fieldseal_jobs"] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP TABLE {table}"))).execute(&self.pool).await?;
        }
        Ok(())
    }
}

type Answer = Result<Json<Customer>, StatusCode>;

async fn create(State(pool): State<AnyPool>, Path(id): Path<i64>, Json(customer): Json<Customer>) -> Answer {
    let insert = "INSERT INTO customers (id, name, phone) VALUES ($1, $2, $3) RETURNING id, name, phone";
    let query = sqlx::query_as(insert).bind(id).bind(customer.name).bind(customer.phone);
    query.fetch_one(&pool).await.map(Json).map_err(internal)
}

async fn update(State(pool): State<AnyPool>, Path(id): Path<i64>, Json(customer): Json<Customer>) -> Answer {
    let update = "UPDATE customers SET name = $2, phone = $3 WHERE id = $1 RETURNING id, name, phone";
    let query = sqlx::query_as(update).bind(id).bind(customer.name).bind(customer.phone);
    query.fetch_one(&pool).await.map(Json).map_err(internal)
}

async fn read(State(pool): State<AnyPool>, Path(id): Path<i64>) -> Answer {
    let select = "SELECT id, name, phone FROM customers WHERE id = $1";
    sqlx::query_as(select).bind(id).fetch_one(&pool).await.map(Json).map_err(internal)
}

async fn list(State(pool): State<AnyPool>) -> Result<Json<Vec<Customer>>, StatusCode> {
    let select = "SELECT id, name, phone FROM customers ORDER BY id LIMIT 100";
    sqlx::query_as(select).fetch_all(&pool).await.map(Json).map_err(internal)
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn internal(error: sqlx::Error) -> StatusCode {
    eprintln!("the database failed: {error}");
    StatusCode::INTERNAL_SERVER_ERROR
}
