//! Proves that values of live tables move on PostgreSQL without a lost update, whatever happens meanwhile.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

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

use std::time::Duration;

use fieldseal::ErrorKind;
use fieldseal::keys::{Keyring, KeyringFile, Timing};
use fieldseal::reencrypt::{EncryptedTable, Job};
use rand::RngExt as _;
use tables::{Keychain, TestDatabase, scan};

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_table_is_encrypted_moved_to_another_key_and_back_to_what_it_was() {
    table_cases::a_table_is_encrypted_moved_to_another_key_and_back_to_what_it_was(TestDatabase::postgres().await)
        .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_dry_run_counts_and_changes_nothing() {
    table_cases::a_dry_run_counts_and_changes_nothing(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_job_that_was_stopped_goes_on_where_it_was() {
    table_cases::a_job_that_was_stopped_goes_on_where_it_was(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_job_is_given_up_with_the_statements_that_are_told() {
    table_cases::a_job_is_given_up_with_the_statements_that_are_told(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn what_is_no_token_or_does_not_open_is_reported_and_left_alone() {
    table_cases::what_is_no_token_or_does_not_open_is_reported_and_left_alone(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn keys_of_every_kind_tell_rows_apart() {
    table_cases::keys_of_every_kind_tell_rows_apart(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_table_that_cannot_be_worked_on_is_refused_before_the_first_write() {
    table_cases::a_table_that_cannot_be_worked_on_is_refused_before_the_first_write(TestDatabase::postgres().await)
        .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn rows_that_change_under_the_job_are_never_overwritten() {
    table_cases::rows_that_change_under_the_job_are_never_overwritten(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn the_rate_is_held() {
    table_cases::the_rate_is_held(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_token_that_does_not_open_counts_under_the_key_that_it_names() {
    table_evidence::a_token_that_does_not_open_counts_under_the_key_that_it_names(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_document_that_cannot_be_read_is_left_alone_and_counted() {
    table_evidence::a_document_that_cannot_be_read_is_left_alone_and_counted(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn plaintext_that_begins_like_a_token_is_encrypted() {
    table_evidence::plaintext_that_begins_like_a_token_is_encrypted(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_token_that_was_cut_short_is_never_encrypted_as_plaintext() {
    table_evidence::a_token_that_was_cut_short_is_never_encrypted_as_plaintext(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn an_index_comes_moves_and_goes_with_its_value() {
    table_indexes::an_index_comes_moves_and_goes_with_its_value(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn an_index_of_several_fields_moves_with_them() {
    table_indexes::an_index_of_several_fields_moves_with_them(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_column_of_indexes_follows_the_column_of_its_values() {
    table_indexes::a_column_of_indexes_follows_the_column_of_its_values(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_value_that_does_not_fit_is_named_by_its_column() {
    table_indexes::a_value_that_does_not_fit_is_named_by_its_column(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_column_of_indexes_follows_the_columns_of_its_parts() {
    table_indexes::a_column_of_indexes_follows_the_columns_of_its_parts(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn values_are_bound_to_their_rows() {
    table_records::values_are_bound_to_their_rows(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_job_goes_on_from_its_own_checkpoint_only() {
    table_races::a_job_goes_on_from_its_own_checkpoint_only(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_job_of_one_tenant_never_goes_on_from_that_of_another() {
    table_races::a_job_of_one_tenant_never_goes_on_from_that_of_another(TestDatabase::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_batch_that_waited_is_written_under_the_key_in_force_when_it_is_written() {
    table_races::a_batch_that_waited_is_written_under_the_key_in_force_when_it_is_written(
        TestDatabase::postgres().await,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_slow_job_takes_its_key_after_the_pause() {
    table_races::a_slow_job_takes_its_key_after_the_pause(TestDatabase::postgres().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_job_can_be_handed_to_a_task_of_its_own() {
    table_races::a_job_can_be_handed_to_a_task_of_its_own(TestDatabase::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn an_update_to_what_the_type_or_collation_takes_for_equal_is_never_overwritten() {
    let database = TestDatabase::postgres().await;
    let cipher = Keychain::new(database.path("keyring.json")).await.cipher().await;
    database.run("CREATE COLLATION no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)").await;
    let documents = [r#"{"x": 1.0, "contact": {"name": "Tan"}}"#, r#"{"x": 1.00, "contact": {"name": "Tan"}}"#];
    for (table, definition, values) in [
        ("folded", "text COLLATE no_case", ["Ann", "ann"]),
        ("narrow", "varchar(200) COLLATE no_case", ["Ann", "ann"]),
        ("plain", "text", ["Ann", "ann"]),
        ("binary_json", "jsonb", documents),
        ("text_json", "json", documents),
    ] {
        table_races::an_update_to_what_compares_as_equal_is_never_overwritten(
            &database,
            &cipher,
            (table, definition),
            values,
        )
        .await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_batch_that_waited_for_a_lock_too_long_is_not_stored() {
    let database = TestDatabase::postgres().await;
    let keychain = Keychain::new(database.path("keyring.json")).await;
    let store = KeyringFile::new(database.path("keyring.json"));
    let mut keyring = Keyring::load(&store, &table_races::kek()).await.unwrap();
    let second = Duration::from_secs(1);
    let timing = Timing { refresh: second, lease: Some(second), longest_request: second, ..keyring.timing() };
    keyring.set_timing(timing).unwrap();
    keyring.save(&store).await.unwrap();
    database.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)").await;
    database.run("INSERT INTO customers VALUES (1, 'Tan')").await;
    let table = EncryptedTable::new("customers", keychain.cipher().await).column("name", "name").unwrap();
    let mut application = database.sql.begin().await.unwrap();
    sqlx::query("SELECT id FROM customers FOR UPDATE").execute(&mut *application).await.unwrap();
    let job = || Job::encrypt_plaintext(table.clone()).worker("the one");
    let pool = database.pool().await;
    let (outcome, ()) = tokio::join!(job().run(pool), async {
        tokio::time::sleep(3 * second).await;
        application.rollback().await.unwrap();
    });
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::KeyUnavailable);
    assert_eq!(scan(&database, &table).await.plaintexts().count(), 1);
    assert_eq!(job().run(database.pool().await).await.unwrap().moved(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn no_kill_loses_an_update_or_a_row() {
    table_kills::no_kill_loses_an_update_or_a_row(TestDatabase::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn three_workers_move_each_row_exactly_once() {
    table_kills::three_workers_move_each_row_exactly_once(TestDatabase::postgres().await, 200_000).await;
}

#[test]
#[ignore = "a worker process, which the other tests start"]
fn worker_process() {
    table_kills::work();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_lost_connection_in_any_phase_loses_nothing() {
    let database = TestDatabase::postgres().await;
    let mut keychain = Keychain::new(database.path("keyring.json")).await;
    let cipher = keychain.cipher().await;
    database.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)").await;
    for chunk in (0..5000).collect::<Vec<_>>().chunks(1000) {
        let mut row = cipher.value_encryptor();
        let values = chunk.iter().map(|id| format!("({id}, '{}')", row.encrypt("name", &format!("Tan {id}")).unwrap()));
        let values = values.collect::<Vec<_>>().join(",");
        database.run(&format!("INSERT INTO customers VALUES {values}")).await;
    }
    let new = keychain.rotate().await;
    let table = EncryptedTable::new("customers", keychain.cipher().await).column("name", "name").unwrap();
    let pool = database.pool().await;
    let sql = database.sql.clone();
    let cutter = tokio::spawn(async move {
        let cut = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        loop {
            let pause = rand::rng().random_range(1..40);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            // It may cut off a connection of this pool, too.
            let _ = sqlx::query(cut).execute(&sql).await;
        }
    });
    let mut lost = 0;
    while lost < 50 {
        match Job::reencrypt(table.clone()).batch_size(20).worker("the one").run(pool.clone()).await {
            Ok(_) => database.run("UPDATE fieldseal_jobs SET finished = true").await,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Database, "{error}");
                lost += 1;
            }
        }
    }
    cutter.abort();
    let _ = cutter.await;
    let pool = database.pool().await;
    Job::reencrypt(table.clone()).worker("the one").run(pool).await.unwrap();
    let found = scan(&database, &table).await;
    assert_eq!((found.rows(), found.tokens_under(new), found.unreadable()), (5000, 5000, 0));
    println!("connections lost: {lost}");
}
