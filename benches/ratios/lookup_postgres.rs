//! The same lookup as in `lookup.rs`, in `PostgreSQL`.

use std::env;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use axum::{Json, Router};
use fieldseal::FieldEncryptionLayer;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::runtime::{Builder, Runtime};

use super::http::{Failure, rates, serve};
use super::lookup::{Customer, LOOKUP, Wanted, cipher, rows};
use super::measure::report;

const SELECT_PLAIN: &str = "SELECT id, name, phone, tier FROM plain WHERE wanted = $1";
const SELECT_INDEXED: &str = "SELECT id, name, phone, tier FROM indexed WHERE wanted = $1";

/// `lookup_vs_plain_postgres`: needs the address of a server in `FIELDSEAL_TEST_POSTGRES`, and says so where there is none.
pub(crate) fn lookup_vs_plain() -> Result<(), Failure> {
    let Ok(server) = env::var("FIELDSEAL_TEST_POSTGRES") else {
        println!("skipped: lookup_vs_plain_postgres needs PostgreSQL, whose address FIELDSEAL_TEST_POSTGRES holds");
        return Ok(());
    };
    let database = format!("bench_{}", std::process::id());
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut connection = runtime.block_on(PgConnection::connect(&server))?;
    let create = sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {database}")));
    runtime.block_on(create.execute(&mut connection))?;
    let compared = compare(&runtime, &server.parse::<PgConnectOptions>()?.database(&database));
    let drop = sqlx::query(AssertSqlSafe(format!("DROP DATABASE {database} WITH (FORCE)")));
    runtime.block_on(drop.execute(&mut connection))?;
    compared
}

fn compare(runtime: &Runtime, database: &PgConnectOptions) -> Result<(), Failure> {
    let cipher = cipher()?;
    let mut connection = runtime.block_on(PgConnection::connect_with(database))?;
    for (table, cipher) in [("plain", None), ("indexed", Some(&cipher))] {
        let rows = rows(cipher)?;
        let column = |column: fn(&[String; 3]) -> &String| rows.iter().map(column).cloned().collect::<Vec<_>>();
        let columns = [column(|row| &row[0]), column(|row| &row[1]), column(|row| &row[2])];
        runtime.block_on(fill(&mut connection, table, columns))?;
    }
    // Each server makes the connections of its pool on its own thread, when it needs them.
    let pool = || PgPoolOptions::new().max_connections(8).idle_timeout(None).max_lifetime(None);
    let [plain, indexed] = [(); 2].map(|()| pool().connect_lazy_with(database.clone()));
    let layer = FieldEncryptionLayer::new(cipher)?;
    let servers = [serve(service(plain, SELECT_PLAIN))?, serve(service(indexed, SELECT_INDEXED).layer(layer))?];
    let [plain, indexed] = rates(servers, LOOKUP)?;
    report("lookup_vs_plain_postgres", indexed / plain, &[("plain_per_s", plain), ("index_per_s", indexed)]);
    Ok(())
}

async fn fill(connection: &mut PgConnection, table: &str, columns: [Vec<String>; 3]) -> Result<(), sqlx::Error> {
    let table_of = format!(
        "CREATE TABLE {table} (id bigserial PRIMARY KEY, name text, phone text, tier text DEFAULT 'gold', wanted text UNIQUE)"
    );
    sqlx::query(AssertSqlSafe(table_of)).execute(&mut *connection).await?;
    let [names, phones, wanted] = columns;
    let insert =
        format!("INSERT INTO {table} (name, phone, wanted) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])");
    sqlx::query(AssertSqlSafe(insert)).bind(names).bind(phones).bind(wanted).execute(&mut *connection).await?;
    sqlx::query(AssertSqlSafe(format!("VACUUM ANALYZE {table}"))).execute(connection).await?;
    Ok(())
}

fn service(database: PgPool, select: &'static str) -> Router {
    let find = move |State(database): State<PgPool>, Query(wanted): Query<Wanted>| async move {
        let select = sqlx::query_as(select).bind(wanted.phone_index.or(wanted.phone));
        let found: Vec<(i64, String, String, String)> =
            select.fetch_all(&database).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        assert_eq!(found.len(), 1, "one customer has the number");
        let customers: Vec<Customer> =
            found.into_iter().map(|(id, name, phone, tier)| Customer { id, name, phone, tier }).collect();
        Ok::<_, StatusCode>(([(CONTENT_TYPE, "application/json")], Json(customers)))
    };
    Router::new().route("/customers", get(find)).with_state(database)
}
