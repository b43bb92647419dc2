//! Moves the values of live tables: to another key, from plaintext into tokens for the first time, and back.
//!
//! | what | how |
//! |---|---|
//! | an application writes at the same time | a row is replaced only where it still is what was read; if not, it is read again |
//! | the job is killed | how far it is stands in the same transaction as the rows; begin it again |
//! | several workers (PostgreSQL) | each leases a range of keys; a range whose worker is silent is taken over |
//! | load | batches of a settable size, and rows a second at most |
//! | triggers, `updated_at`, other columns | only the named columns are written |
//! | a value that does not open, is no token, or is a document that cannot be read | it is left alone, and reported with its primary key |
//! | at the end | [`EncryptedTable::scan`] counts tokens by key, plaintext, and what does not open |
//!
//! Two clean scans are the evidence on which a key is [forgotten](crate::keys::Keyring::forget). A scan is clean for a key
//! where [`Scan::tokens_under`] is 0 and [`Scan::unreadable_without_key`] is 0. The evidence must cover every table that
//! the keyring serves, with every column, and whatever else holds tokens: files, queues, backups that are still to be
//! read. Scan them all, add up what was found under the key, and [record](crate::keys::Keyring::record_scan) the sum once,
//! as begun with the first of them. Two scans of one table say nothing about another.
//!
//! A table needs a primary key, of any type and any number of columns. Two tables, `fieldseal_jobs` and
//! `fieldseal_ranges`, are made beside it and hold no value; drop them when all is done.

mod database;
mod dump;
mod job;
mod job_name;
mod plan;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_sql;
mod report;
mod row;
#[cfg(feature = "sqlite")]
mod sqlite;
mod table;

pub use self::database::Database;
pub use self::job::Job;
pub use self::report::{Place, Progress, Report, Scan};
pub use self::table::EncryptedTable;
