//! Proves that values of live tables move on `SQLite` without a lost update, whatever happens meanwhile.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/table_cases.rs"]
mod table_cases;
#[path = "support/table_kills.rs"]
mod table_kills;
#[path = "support/tables.rs"]
mod tables;

use tables::TestDatabase;

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

#[tokio::test(flavor = "multi_thread")]
async fn no_kill_loses_an_update_or_a_row() {
    table_kills::no_kill_loses_an_update_or_a_row(TestDatabase::sqlite().await).await;
}

#[test]
#[ignore = "a worker process, which the other tests start"]
fn worker_process() {
    table_kills::work();
}
