//! The PostgreSQL table in which a keyring stands.

use std::fmt;

use sqlx::PgPool;

use super::store::{KeyringStore, KeyringStoreFuture};
use crate::database_cause::DatabaseCause;
use crate::error::{Error, ErrorKind};

/// A keyring as a row of a PostgreSQL table, for fleets that share no file system.
///
/// A change replaces the row in one statement, and only where it still holds what the change was made to. Whoever can
/// write the row can put an old keyring back, so give the replicas a [`Witness`](super::Witness); better still, keep it
/// in another database than the one whose theft it is to survive, or at least out of its backups.
///
/// # Example
///
/// ```no_run
/// use fieldseal::keys::{Keyring, KeyringTable, Keys, LocalKek};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = sqlx::PgPool::connect(&std::env::var("KEYRING_DATABASE_URL")?).await?;
/// let table = KeyringTable::new(pool, "customers");
/// table.create_if_missing().await?;
///
/// let kek = LocalKek::from_file("kek")?;
/// Keyring::create("customers", &kek).await?.save(&table).await?;
/// let keys = Keys::open(table, kek).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeyringTable {
    pool: PgPool,
    name: String,
}

impl KeyringTable {
    /// Names the row `name` of the table `fieldseal_keyrings`, which the search path of `pool` leads to.
    pub fn new(pool: PgPool, name: impl Into<String>) -> Self {
        Self { pool, name: name.into() }
    }

    /// Makes the table where there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the database cannot be reached or does not permit it.
    pub async fn create_if_missing(&self) -> Result<(), Error> {
        let table = "CREATE TABLE IF NOT EXISTS fieldseal_keyrings (name text PRIMARY KEY, document text NOT NULL)";
        sqlx::query(table).execute(&self.pool).await.map_err(|error| self.fault("could not be made", &error))?;
        Ok(())
    }

    async fn find(&self) -> Result<Option<Vec<u8>>, Error> {
        // A row that somebody else wrote may be of any length.
        let query = "SELECT CASE WHEN octet_length(document) <= $2 THEN document ELSE '' END \
                     FROM fieldseal_keyrings WHERE name = $1";
        let found: Option<(String,)> = sqlx::query_as(query)
            .bind(&self.name)
            .bind(LONGEST)
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| self.fault("could not be read", &error))?;
        Ok(found.map(|(document,)| document.into_bytes()))
    }

    async fn swap(&self, expected: Option<&[u8]>, document: &[u8]) -> Result<Result<(), Vec<u8>>, Error> {
        let text = |bytes| std::str::from_utf8(bytes).expect("the keyring writes JSON, which is UTF-8");
        if i32::try_from(document.len()).is_ok_and(|length| length > LONGEST) {
            let message = format!("{} would be longer than {LONGEST} bytes: begin another keyring", self.place());
            return Err(Error::new(ErrorKind::Keyring, message));
        }
        let query = match expected {
            None => sqlx::query("INSERT INTO fieldseal_keyrings VALUES ($1, $2) ON CONFLICT DO NOTHING"),
            Some(_) => sqlx::query("UPDATE fieldseal_keyrings SET document = $2 WHERE name = $1 AND document = $3"),
        };
        let query = query.bind(&self.name).bind(text(document));
        let query = expected.into_iter().fold(query, |query, expected| query.bind(text(expected).to_owned()));
        let done = query.execute(&self.pool).await.map_err(|error| self.fault("could not be written", &error))?;
        if done.rows_affected() == 1 {
            return Ok(Ok(()));
        }
        self.find().await?.map_or_else(|| Err(self.missing()), |found| Ok(Err(found)))
    }

    fn missing(&self) -> Error {
        let message = format!("there is no keyring `{}` in the table: create it, or look elsewhere", self.name);
        Error::new(ErrorKind::Keyring, message)
    }

    fn fault(&self, what: &str, error: &sqlx::Error) -> Error {
        let message = format!("{} {what}: see what the database says", self.place());
        Error::new(ErrorKind::Keyring, message).with_source(DatabaseCause::of(error))
    }
}

impl KeyringStore for KeyringTable {
    fn place(&self) -> String {
        format!("the keyring `{}` in PostgreSQL", self.name)
    }

    fn read(&self) -> KeyringStoreFuture<'_, Vec<u8>> {
        Box::pin(async { self.find().await?.ok_or_else(|| self.missing()) })
    }

    fn replace<'a>(
        &'a self,
        expected: Option<&'a [u8]>,
        document: &'a [u8],
    ) -> KeyringStoreFuture<'a, Result<(), Vec<u8>>> {
        Box::pin(self.swap(expected, document))
    }
}

impl fmt::Debug for KeyringTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringTable").field("name", &self.name).finish_non_exhaustive()
    }
}

/// 1 MiB: room for thousands of keys.
const LONGEST: i32 = 1 << 20;
