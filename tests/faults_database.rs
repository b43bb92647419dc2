//! Proves that a database which goes away in the middle of requests loses no write that was acknowledged, ends up with
//! none half and none in plaintext, and that the service works again without a restart, its keyring in the same
//! database included.
#![cfg(all(feature = "layer", feature = "postgres"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/shop.rs"]
mod shop;
#[path = "support/tables.rs"]
mod tables;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use fieldseal::keys::{Keyring, KeyringTable, Keys, LocalKek, SecretKey, Timing};
use fieldseal::{FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::StatusCode;
use proxy::{Line, Proxy};
use shop::{Customer, Ledger};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tables::TestDatabase;
use tokio::net::TcpListener;

const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(2);
const CLIENTS: u64 = 6;

async fn store(
    State(pool): State<PgPool>,
    Path(id): Path<i64>,
    Json(customer): Json<Customer>,
) -> Result<Json<Customer>, StatusCode> {
    let insert = "INSERT INTO customers VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE
        SET name = excluded.name, phone = excluded.phone, tier = excluded.tier";
    let Customer { name, phone, tier } = &customer;
    let stored = sqlx::query(insert).bind(id).bind(name).bind(phone).bind(tier).execute(&pool).await;
    stored.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Json(customer))
}

async fn read(State(pool): State<PgPool>, Path(id): Path<i64>) -> Result<Json<Customer>, StatusCode> {
    let select = "SELECT name, phone, tier FROM customers WHERE id = $1";
    let found = sqlx::query_as(select).bind(id).fetch_optional(&pool).await;
    let found = found.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let (name, phone, tier) = found.ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(Customer { name, phone, tier }))
}

fn kek() -> LocalKek {
    LocalKek::new(&SecretKey::from_bytes(&[7; 32]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_database_that_goes_away_in_the_middle_of_requests_loses_nothing_that_was_acknowledged() {
    let database = TestDatabase::postgres().await;
    database.run("CREATE TABLE customers (id BIGINT PRIMARY KEY, name TEXT, phone TEXT, tier TEXT)").await;
    let (_, target) = database.url.rsplit_once('@').unwrap();
    let (host, name) = target.split_once('/').unwrap();
    let proxy = Proxy::before(host).await;
    let url = database.url.replace(target, &format!("{}/{name}", proxy.address));
    let pool = PgPoolOptions::new().max_connections(8).acquire_timeout(SECOND).connect(&url).await.unwrap();

    let table = KeyringTable::new(pool.clone(), "customers");
    table.create_if_missing().await.unwrap();
    let mut keyring = Keyring::create("customers", &kek()).await.unwrap();
    let short = Timing { refresh: SECOND, lease: Some(LEASE), ..Timing::default() };
    keyring.set_timing(short).unwrap();
    keyring.save(&table).await.unwrap();
    let keys = Keys::open(table, kek()).await.unwrap();
    tokio::spawn(keys.keep_fresh(|period| tokio::time::sleep(period / 20)));
    let policy = Policy::new("customers", [("name", Tag::Name), ("phone", Tag::Phone)]).unwrap();
    let layer = FieldEncryptionLayer::new(FieldCipher::new(policy, keys)).unwrap();
    let app = Router::new().route("/customers/{id}", post(store).get(read)).with_state(pool).layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let is_over = Arc::clone(&is_over);
            tokio::spawn(async move {
                let mut ledger = Ledger::default();
                // No row is written twice: a later write would hide that an earlier one was lost.
                ledger.write(address, client * 1_000_000.., || is_over.load(Ordering::Relaxed)).await;
                ledger
            })
        })
        .collect();

    let mut recoveries = Vec::new();
    // Longer than the lease, so that the keyring, which is in the same database, is out of reach for too long as well.
    for (line, time) in [(Line::Cut, SECOND), (Line::Silent, SECOND), (Line::Cut, LEASE * 2), (Line::Silent, LEASE * 2)]
    {
        tokio::time::sleep(SECOND / 2).await;
        proxy.set(line);
        tokio::time::sleep(time).await;
        proxy.set(Line::Through);
        let mended = Instant::now();
        let mut probe = Ledger::default();
        while probe.acknowledged == 0 {
            probe.write_row(&shop::client(), address, 1_000_000_000).await;
            assert!(mended.elapsed() < 20 * SECOND, "{line:?}: it does not recover");
        }
        recoveries.push(mended.elapsed().as_millis());
    }
    // The server itself ends connections, in whatever they are doing.
    let cut = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for _ in 0..20 {
        let _ = sqlx::query(cut).execute(&database.sql).await;
        tokio::time::sleep(SECOND / 20).await;
    }
    tokio::time::sleep(SECOND / 2).await;
    is_over.store(true, Ordering::Relaxed);

    let [mut acknowledged, mut refused, mut unanswered] = [0; 3];
    for client in clients {
        let mut ledger = client.await.unwrap();
        ledger.check(address).await;
        acknowledged += ledger.acknowledged;
        refused += ledger.refused;
        unanswered += ledger.unanswered;
    }
    let plain =
        format!("SELECT count(*) FROM customers WHERE name || phone LIKE '%{}%' OR phone LIKE '+65%'", shop::CANARY);
    let (plain,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(plain)).fetch_one(&database.sql).await.unwrap();
    println!(
        "database gone: {acknowledged} writes acknowledged, {refused} refused, 0 lost, {plain} in plaintext; recovery after \
         {recoveries:?} ms"
    );
    assert_eq!((plain, unanswered), (0, 0));
    assert!(acknowledged > 100 && refused > 0);
}
