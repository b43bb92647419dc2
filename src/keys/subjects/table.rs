//! The SQL table in which the keys of subjects stand.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

#[cfg(feature = "postgres")]
use sqlx::PgPool;
#[cfg(feature = "sqlite")]
use sqlx::SqlitePool;
use sqlx::{Connection as _, QueryBuilder};

use super::entry::SubjectKeyEntry;
use super::store::{SubjectKeyChange, SubjectKeyStore, SubjectKeyStoreFuture};
use super::subject::Subject;
use crate::crypto::key_id::KeyId;
use crate::database_cause::DatabaseCause;
use crate::error::{Error, ErrorKind};

/// A key table in `SQLite` (feature `sqlite`) or PostgreSQL (feature `postgres`): made from a pool of `sqlx`.
///
/// It is called `fieldseal_subject_keys`, and holds one row for each subject: `tenant` (empty for none), `subject`, the
/// `key_id` that tokens carry, `wrapped_by`, the id of a data key, which is `NULL` for a tombstone, and `entry`. Keep it in
/// another database than the one whose rows it can kill, and out of its backups.
///
/// # Example
///
/// ```no_run
/// # #[cfg(feature = "postgres")]
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use fieldseal::keys::{KeyringTable, Keys, LocalKek, SubjectKeyTable, SubjectKeys};
///
/// let pool = sqlx::PgPool::connect(&std::env::var("KEY_DATABASE_URL")?).await?;
/// let table = SubjectKeyTable::from(pool.clone());
/// table.create_if_missing().await?;
///
/// let keys = Keys::open(KeyringTable::new(pool, "subjects"), LocalKek::from_file("kek")?).await?;
/// tokio::spawn(keys.keep_fresh(tokio::time::sleep));
/// let subjects = SubjectKeys::new(table, keys);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SubjectKeyTable(Pool);

#[derive(Clone)]
enum Pool {
    #[cfg(feature = "sqlite")]
    Sqlite(SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(PgPool),
}

#[cfg(feature = "sqlite")]
impl From<SqlitePool> for SubjectKeyTable {
    fn from(pool: SqlitePool) -> Self {
        Self(Pool::Sqlite(pool))
    }
}

#[cfg(feature = "postgres")]
impl From<PgPool> for SubjectKeyTable {
    fn from(pool: PgPool) -> Self {
        Self(Pool::Postgres(pool))
    }
}

/// A row as it is stored.
type Stored = (String, String, Vec<u8>);

const CREATE: &str = "CREATE TABLE IF NOT EXISTS fieldseal_subject_keys (
    tenant text NOT NULL, subject text NOT NULL, key_id text NOT NULL UNIQUE, wrapped_by text, entry bytea NOT NULL,
    PRIMARY KEY (tenant, subject));
CREATE INDEX IF NOT EXISTS fieldseal_subject_keys_by_key ON fieldseal_subject_keys (wrapped_by);";
const SELECT: &str = "SELECT tenant, subject, entry FROM fieldseal_subject_keys WHERE ";
const INSERT: &str = "INSERT INTO fieldseal_subject_keys (tenant, subject, key_id, wrapped_by, entry) \
                      VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
const REPLACE: &str = "UPDATE fieldseal_subject_keys SET key_id = $3, wrapped_by = $4, entry = $5 \
                       WHERE tenant = $1 AND subject = $2 AND entry = $6";
/// By two ranges, which an index finds, where an inequality would look at every row.
const OTHERS: &str = "SELECT tenant, subject, entry FROM fieldseal_subject_keys \
                      WHERE wrapped_by < $1 OR wrapped_by > $1 LIMIT $2";

/// Runs the same statements on whichever database it is.
macro_rules! on {
    ($table:expr, $pool:ident => $body:expr) => {
        match &$table.0 {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite($pool) => $body,
            #[cfg(feature = "postgres")]
            Pool::Postgres($pool) => $body,
        }
    };
}

impl SubjectKeyTable {
    /// Makes the table where there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyUnavailable`] where the database cannot be reached or does not permit it.
    pub async fn create_if_missing(&self) -> Result<(), Error> {
        on!(self, pool => sqlx::raw_sql(CREATE).execute(pool).await.map(drop)).map_err(|error| unavailable(&error))
    }

    async fn find(&self, subjects: &[Subject]) -> Result<Vec<Option<SubjectKeyEntry>>, Error> {
        let mut stored: Vec<Stored> = Vec::with_capacity(subjects.len());
        for some in subjects.chunks(MOST_AT_ONCE) {
            stored.extend(
                on!(self, pool => {
                    let mut query = QueryBuilder::new(SELECT);
                    let mut alternatives = query.separated(" OR ");
                    for subject in some {
                        alternatives.push("(tenant = ").push_bind_unseparated(subject.tenant().unwrap_or_default());
                        alternatives.push_unseparated(" AND subject = ").push_bind_unseparated(subject.id());
                        alternatives.push_unseparated(")");
                    }
                    query.build_query_as::<Stored>().fetch_all(pool).await
                })
                .map_err(|error| unavailable(&error))?,
            );
        }
        let asked = subjects.iter().map(|subject| (subject.tenant().unwrap_or_default(), subject.id()));
        let stored = stored.iter().map(|(tenant, id, entry)| ((&**tenant, &**id), &**entry));
        in_order(asked, stored).map(|entry| entry.map(SubjectKeyEntry::from_bytes).transpose()).collect()
    }

    async fn add(&self, subject: &Subject, entry: &SubjectKeyEntry) -> Result<bool, sqlx::Error> {
        let rows = on!(self, pool => {
            let mut connection = pool.acquire().await?;
            if !self.wiping().is_empty() {
                sqlx::raw_sql(self.wiping()).execute(&mut *connection).await?;
            }
            let done = sqlx::query(INSERT)
                .bind(subject.tenant().unwrap_or_default())
                .bind(subject.id())
                .bind(entry.key_id().to_string())
                .bind(entry.wrapped_by().map(|by| by.to_string()))
                .bind(entry.to_bytes())
                .execute(&mut *connection)
                .await?;
            done.rows_affected()
        });
        Ok(rows == 1)
    }

    async fn swap(&self, changes: &[SubjectKeyChange]) -> Result<u64, sqlx::Error> {
        on!(self, pool => {
            let mut connection = pool.acquire().await?;
            if !self.wiping().is_empty() {
                sqlx::raw_sql(self.wiping()).execute(&mut *connection).await?;
            }
            let mut transaction = connection.begin().await?;
            let mut count = 0;
            for SubjectKeyChange { subject, expected, entry } in changes {
                let done = sqlx::query(REPLACE)
                    .bind(subject.tenant().unwrap_or_default())
                    .bind(subject.id())
                    .bind(entry.key_id().to_string())
                    .bind(entry.wrapped_by().map(|by| by.to_string()))
                    .bind(entry.to_bytes())
                    .bind(expected.to_bytes())
                    .execute(&mut *transaction)
                    .await?;
                count += done.rows_affected();
            }
            transaction.commit().await?;
            Ok(count)
        })
    }

    /// What has the database overwrite a row that it replaces, and what it leaves where it moves rows to make room for one;
    /// empty where nothing does.
    fn wiping(&self) -> &'static str {
        match self.0 {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => "PRAGMA secure_delete = ON",
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => "",
        }
    }

    async fn others(&self, data_key: KeyId, limit: u32) -> Result<Vec<(Subject, SubjectKeyEntry)>, Error> {
        let stored: Vec<Stored> = on!(self, pool => sqlx::query_as(OTHERS)
            .bind(data_key.to_string())
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await)
        .map_err(|error| unavailable(&error))?;
        let read = |(tenant, id, entry): Stored| {
            let subject = Subject::new(id)?;
            let subject = if tenant.is_empty() { subject } else { subject.of_tenant(tenant)? };
            Ok((subject, SubjectKeyEntry::from_bytes(&entry)?))
        };
        let read = |row| read(row).map_err(|error: Error| Error::new(ErrorKind::Keyring, error.to_string()));
        stored.into_iter().map(read).collect()
    }
}

fn unavailable(error: &sqlx::Error) -> Error {
    Error::key_table(DatabaseCause::of(error))
}

impl SubjectKeyStore for SubjectKeyTable {
    fn get<'a>(&'a self, subjects: &'a [Subject]) -> SubjectKeyStoreFuture<'a, Vec<Option<SubjectKeyEntry>>> {
        Box::pin(self.find(subjects))
    }

    fn insert<'a>(&'a self, subject: &'a Subject, entry: &'a SubjectKeyEntry) -> SubjectKeyStoreFuture<'a, bool> {
        Box::pin(async { self.add(subject, entry).await.map_err(|error| unavailable(&error)) })
    }

    fn replace<'a>(&'a self, changes: &'a [SubjectKeyChange]) -> SubjectKeyStoreFuture<'a, u64> {
        Box::pin(async { self.swap(changes).await.map_err(|error| unavailable(&error)) })
    }

    fn wrapped_by_others(
        &self,
        data_key: KeyId,
        limit: u32,
    ) -> SubjectKeyStoreFuture<'_, Vec<(Subject, SubjectKeyEntry)>> {
        Box::pin(self.others(data_key, limit))
    }
}

impl fmt::Debug for SubjectKeyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => "SubjectKeyTable(SQLite)",
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => "SubjectKeyTable(PostgreSQL)",
        })
    }
}

/// Returns what is stored under each of `asked`. By hashes: who sends a long list must not have it looked through once for
/// each of its subjects.
fn in_order<K: Eq + Hash, V: Copy>(
    asked: impl Iterator<Item = K>,
    stored: impl Iterator<Item = (K, V)>,
) -> impl Iterator<Item = Option<V>> {
    let stored: HashMap<K, V> = stored.collect();
    asked.map(move |key| stored.get(&key).copied())
}

/// How many subjects one statement asks for.
const MOST_AT_ONCE: usize = 200;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::hash::Hasher;

    use super::*;

    /// A key that counts with how many it is compared.
    struct Counted<'c>(usize, &'c Cell<usize>);

    impl PartialEq for Counted<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.1.set(self.1.get() + 1);
            self.0 == other.0
        }
    }

    impl Eq for Counted<'_> {}

    impl Hash for Counted<'_> {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    #[test]
    fn a_long_list_is_looked_through_once() {
        for length in [1_000, 2_000, 4_000, 8_000] {
            let count = Cell::new(0);
            let key = |id| Counted(id, &count);
            // The database answers in an order of its own, has some only, and is asked for one again and again.
            let stored = (0..length).rev().filter(|id| id % 3 > 0).map(|id| (key(id), id));
            let asked = (0..length).chain(std::iter::repeat_n(1, length));
            let found: Vec<_> = in_order(asked.clone().map(key), stored).collect();
            assert!(found.into_iter().eq(asked.map(|id| (id % 3 > 0).then_some(id))));
            assert!(count.get() < 4 * length, "{} comparisons for {length}", count.get());
        }
    }
}
