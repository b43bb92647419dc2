//! Proves that values of live tables move on `SQLite` without a lost update, whatever happens meanwhile.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/table_cases.rs"]
mod table_cases;
#[path = "support/table_evidence.rs"]
mod table_evidence;
#[path = "support/table_indexes.rs"]
mod table_indexes;
#[path = "support/table_kills.rs"]
mod table_kills;
#[path = "support/table_races.rs"]
mod table_races;
#[path = "support/table_records.rs"]
mod table_records;
#[path = "support/tables.rs"]
mod tables;

use fieldseal::ErrorKind;
use fieldseal::reencrypt::{EncryptedTable, Job};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tables::{Keychain, TestDatabase, scan};

#[tokio::test]
async fn a_table_is_encrypted_moved_to_another_key_and_back_to_what_it_was() {
    table_cases::a_table_is_encrypted_moved_to_another_key_and_back_to_what_it_was(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn a_dry_run_counts_and_changes_nothing() {
    table_cases::a_dry_run_counts_and_changes_nothing(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn a_job_that_was_stopped_goes_on_where_it_was() {
    table_cases::a_job_that_was_stopped_goes_on_where_it_was(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn a_job_is_given_up_with_the_statements_that_are_told() {
    table_cases::a_job_is_given_up_with_the_statements_that_are_told(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn what_is_no_token_or_does_not_open_is_reported_and_left_alone() {
    table_cases::what_is_no_token_or_does_not_open_is_reported_and_left_alone(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn keys_of_every_kind_tell_rows_apart() {
    table_cases::keys_of_every_kind_tell_rows_apart(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn a_table_that_cannot_be_worked_on_is_refused_before_the_first_write() {
    table_cases::a_table_that_cannot_be_worked_on_is_refused_before_the_first_write(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn rows_that_change_under_the_job_are_never_overwritten() {
    table_cases::rows_that_change_under_the_job_are_never_overwritten(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn the_rate_is_held() {
    table_cases::the_rate_is_held(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn a_token_that_does_not_open_counts_under_the_key_that_it_names() {
    table_evidence::a_token_that_does_not_open_counts_under_the_key_that_it_names(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_left_alone_and_counted() {
    table_evidence::a_document_that_cannot_be_read_is_left_alone_and_counted(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn plaintext_that_begins_like_a_token_is_encrypted() {
    table_evidence::plaintext_that_begins_like_a_token_is_encrypted(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn a_token_that_was_cut_short_is_never_encrypted_as_plaintext() {
    table_evidence::a_token_that_was_cut_short_is_never_encrypted_as_plaintext(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn an_index_comes_moves_and_goes_with_its_value() {
    table_indexes::an_index_comes_moves_and_goes_with_its_value(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn an_index_of_several_fields_moves_with_them() {
    table_indexes::an_index_of_several_fields_moves_with_them(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn a_column_of_indexes_follows_the_column_of_its_values() {
    table_indexes::a_column_of_indexes_follows_the_column_of_its_values(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_named_by_its_column() {
    table_indexes::a_value_that_does_not_fit_is_named_by_its_column(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn a_column_of_indexes_follows_the_columns_of_its_parts() {
    table_indexes::a_column_of_indexes_follows_the_columns_of_its_parts(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn values_are_bound_to_their_rows() {
    table_records::values_are_bound_to_their_rows(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn a_job_goes_on_from_its_own_checkpoint_only() {
    table_races::a_job_goes_on_from_its_own_checkpoint_only(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn a_job_of_one_tenant_never_goes_on_from_that_of_another() {
    table_races::a_job_of_one_tenant_never_goes_on_from_that_of_another(TestDatabase::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_waited_is_written_under_the_key_in_force_when_it_is_written() {
    table_races::a_batch_that_waited_is_written_under_the_key_in_force_when_it_is_written(TestDatabase::sqlite().await)
        .await;
}

#[tokio::test]
async fn a_slow_job_takes_its_key_after_the_pause() {
    table_races::a_slow_job_takes_its_key_after_the_pause(TestDatabase::sqlite().await).await;
}

#[tokio::test]
async fn a_job_can_be_handed_to_a_task_of_its_own() {
    table_races::a_job_can_be_handed_to_a_task_of_its_own(TestDatabase::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_to_what_a_collation_takes_for_equal_is_never_overwritten() {
    let database = TestDatabase::sqlite().await;
    let cipher = Keychain::new(database.path("keyring.json")).await.cipher().await;
    for (collation, values) in [("NOCASE", ["Ann", "ann"]), ("RTRIM", ["ann", "ann  "]), ("BINARY", ["Ann", "ann"])] {
        let definition = format!("TEXT COLLATE {collation}");
        table_races::an_update_to_what_compares_as_equal_is_never_overwritten(
            &database,
            &cipher,
            (&format!("by_{collation}"), &definition),
            values,
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kill_loses_an_update_or_a_row() {
    table_kills::no_kill_loses_an_update_or_a_row(TestDatabase::sqlite().await).await;
}

#[test]
#[ignore = "a worker process, which the other tests start"]
fn worker_process() {
    table_kills::work();
}

#[tokio::test]
async fn a_full_disk_stops_the_job_and_half_a_batch_is_never_stored() {
    let database = TestDatabase::sqlite().await;
    let keychain = Keychain::new(database.path("keyring.json")).await;
    database.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)").await;
    for id in 0..2000 {
        database.run(&format!("INSERT INTO customers VALUES ({id}, 'Tan {id}')")).await;
    }
    let table = EncryptedTable::new("customers", keychain.cipher().await).column("name", "name").unwrap();
    // Room for some batches and not for all: the limit is one of a connection, so the job has one of its own.
    let pages: (i64,) = sqlx::query_as("PRAGMA page_count").fetch_one(&database.sql).await.unwrap();
    let options: SqliteConnectOptions = database.url.parse().unwrap();
    let options = options.pragma("max_page_count", (pages.0 + 20).to_string());
    let full = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let job = || Job::encrypt_plaintext(table.clone()).batch_size(100).worker("the one");
    let error = job().run(full).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("full") && !cause.contains("Tan"), "{cause}");

    let found = scan(&database, &table).await;
    let encrypted: u64 = found.tokens().map(|(_, _, count)| count).sum();
    assert!(encrypted.is_multiple_of(100) && (100..2000).contains(&encrypted), "{encrypted}");
    let rest = job().run(database.pool().await).await.unwrap();
    assert_eq!(rest.moved() + encrypted, 2000);
    assert_eq!(scan(&database, &table).await.plaintexts().count(), 0);
}
