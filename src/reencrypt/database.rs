//! What a job asks of a database.

use std::fmt;

use super::row::{Change, Row, RowKey};
use super::table::EncryptedTable;
use crate::database_cause::DatabaseCause;
use crate::error::{Error, ErrorKind};

/// A database whose tables can be worked on: made from a pool of `sqlx`.
#[derive(Clone)]
pub enum Database {
    /// `SQLite`.
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
    /// PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
}

#[cfg(feature = "sqlite")]
impl From<sqlx::SqlitePool> for Database {
    fn from(pool: sqlx::SqlitePool) -> Self {
        Self::Sqlite(pool)
    }
}

#[cfg(feature = "postgres")]
impl From<sqlx::PgPool> for Database {
    fn from(pool: sqlx::PgPool) -> Self {
        Self::Postgres(pool)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "Database(SQLite)",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "Database(PostgreSQL)",
        })
    }
}

/// The statements of one kind of database.
pub(super) trait Statements: Sync {
    /// A transaction in which one batch is written and accounted for.
    type Batch<'a>: Batch + Send
    where
        Self: 'a;

    /// Looks at the table, and refuses one that cannot be worked on.
    fn look_at(&self, table: &EncryptedTable) -> impl Future<Output = Result<Shape, Error>> + Send;

    /// Counts the rows.
    fn count(&self, shape: &Shape) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Returns up to `limit` rows after the key `after` and up to `until`, in the order of their keys.
    fn read(
        &self,
        shape: &Shape,
        after: Option<&RowKey>,
        until: Option<&RowKey>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Row>, Error>> + Send;

    /// Takes up the unfinished job `job`, or begins it and divides the table into ranges of about `range` rows.
    fn begin(&self, shape: &Shape, job: &str, range: u32) -> impl Future<Output = Result<(), Error>> + Send;

    /// Takes a range that nobody works on.
    fn claim(&self, job: &str, worker: &str, seconds: i64) -> impl Future<Output = Result<Claim, Error>> + Send;

    /// Ends the job, all of whose ranges are done.
    fn end(&self, job: &str) -> impl Future<Output = Result<(), Error>> + Send;

    /// Begins a transaction.
    fn batch(&self) -> impl Future<Output = Result<Self::Batch<'_>, Error>> + Send;
}

/// A transaction of one batch.
pub(super) trait Batch: Sized {
    /// Replaces rows that still are what they were. Returns the keys of the others.
    fn write(&mut self, shape: &Shape, changes: &[Change]) -> impl Future<Output = Result<Vec<RowKey>, Error>> + Send;

    /// Reads rows again.
    fn read_again(&mut self, shape: &Shape, keys: &[RowKey]) -> impl Future<Output = Result<Vec<Row>, Error>> + Send;

    /// Writes down how far the range is, and renews its lease. Returns false where somebody else has it.
    fn account(&mut self, lease: &Lease, step: &Step) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Makes everything of the batch lasting.
    fn commit(self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// What a table turned out to be.
pub(super) struct Shape {
    pub(super) table: EncryptedTable,
    /// Which table that is, whatever it was called: its schema and name in `SQLite`, its object identifier in PostgreSQL.
    pub(super) place: String,
    /// The columns of the primary key, each with its type as the database calls it.
    pub(super) key: Vec<(String, String)>,
    /// The types of the job's columns. What `SQLite` stores has a type value by value.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "types are of no use there"))]
    pub(super) types: Vec<String>,
}

impl Shape {
    pub(super) fn busy(&self, job: &str) -> Error {
        let name = job.replace('\'', "''");
        self.table.fault(format!(
            "is being worked on by job `{job}`: let that one end first, or give it up, which keeps what it has done: \
             DELETE FROM fieldseal_ranges WHERE job = '{name}'; DELETE FROM fieldseal_jobs WHERE job = '{name}';"
        ))
    }
}

/// A range of keys that one worker works on.
pub(super) struct Lease {
    pub(super) job: String,
    pub(super) worker: String,
    pub(super) number: i64,
    pub(super) seconds: i64,
    /// The last key that was worked on, or after which the range begins.
    pub(super) after: Option<RowKey>,
    /// The last key of the range. None for the last one, to which rows may still come.
    pub(super) until: Option<RowKey>,
}

/// What came of asking for a range.
pub(super) enum Claim {
    Taken(Lease),
    /// Others work on what is left.
    Wait,
    Done,
}

/// What one batch did to its range.
pub(super) struct Step {
    pub(super) at: Option<RowKey>,
    pub(super) moved: u64,
    pub(super) is_done: bool,
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
pub(super) fn fault(what: &str, error: sqlx::Error) -> Error {
    Error::new(ErrorKind::Database, format!("the database failed while {what}")).with_source(DatabaseCause::of(&error))
}

pub(super) fn key_to_text(key: &RowKey) -> String {
    serde_json::to_string(key).expect("integers, texts and bytes can be written as JSON")
}

pub(super) fn key_of_text(text: &str) -> Result<RowKey, Error> {
    let message = "the table `fieldseal_ranges` holds what is no key: drop the job's rows from it and begin again";
    serde_json::from_str(text).map_err(|_| Error::new(ErrorKind::Database, message))
}
