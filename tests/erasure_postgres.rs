//! Proves that a key table in PostgreSQL keeps what it is given, and that keys are wrapped again while others come and go.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/key_table_cases.rs"]
mod key_table_cases;

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

use fieldseal::ErrorKind;
use fieldseal::keys::{DataKey, Keys, SecretKey, Subject, SubjectKeyStore, SubjectKeyTable, SubjectKeys};
use sqlx::{Connection, PgConnection, PgPool};

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_table_keeps_what_it_is_given_and_changes_what_is_expected() {
    key_table_cases::keeps_what_it_is_given_and_changes_what_is_expected(&table().await.0).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn keys_are_wrapped_again_in_batches_while_others_come_and_go() {
    key_table_cases::keys_are_wrapped_again_while_others_come_and_go(&table().await.0).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_table_that_is_out_of_reach_is_told() {
    let (table, pool) = table().await;
    pool.close().await;
    let error = table.get(&[Subject::new("7").unwrap()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn what_the_database_says_of_a_row_is_not_told() {
    let (table, pool) = table().await;
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate().unwrap()));
    sqlx::query("ALTER TABLE fieldseal_subject_keys ADD CHECK (subject NOT LIKE '%@%')").execute(&pool).await.unwrap();
    let subject = Subject::new("tan.wei@example.com").unwrap();
    let error = SubjectKeys::new(table, keys).find_or_create(&subject).await.unwrap_err();
    let told = format!("{error} {error:?} {:?}", std::error::Error::source(&error).unwrap().to_string());
    // PostgreSQL tells the whole row in the detail, the person and their wrapped key.
    assert!(told.contains("23514") && !told.contains("tan.wei"), "{told}");
}

/// A table in a database of its own.
async fn table() -> (SubjectKeyTable, PgPool) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = env::var("FIELDSEAL_TEST_POSTGRES").expect("the address of a PostgreSQL server");
    let database = format!("erasure_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(&server).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}"));
    sqlx::query(create).execute(&mut connection).await.unwrap();
    let options = server.parse::<sqlx::postgres::PgConnectOptions>().unwrap().database(&database);
    let pool = PgPool::connect_with(options).await.unwrap();
    let table = SubjectKeyTable::from(pool.clone());
    table.create_if_missing().await.unwrap();
    table.create_if_missing().await.unwrap();
    (table, pool)
}
