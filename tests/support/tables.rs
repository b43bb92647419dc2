//! What the tests of re-encryption share: a database of either kind, a table of customers, ciphers under two keys.
#![allow(dead_code, clippy::unwrap_used, reason = "each file of tests uses a part of this, and only tests use it")]

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use fieldseal::keys::{KeyId, Keyring, KeyringFile, Keys, LocalKek, SecretKey, Timing};
use fieldseal::reencrypt::{Database, EncryptedTable, Job, Scan};
use fieldseal::{Field, FieldCipher, Policy, Tag};
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, AssertSqlSafe};
use tempfile::TempDir;

/// A database of its own for one test.
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    /// For the statements of the test.
    pub(crate) sql: AnyPool,
    directory: TempDir,
}

impl TestDatabase {
    pub(crate) async fn sqlite() -> Self {
        sqlx::any::install_default_drivers();
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", directory.path().join("test.db").display());
        let sql = AnyPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
        sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&sql).await.unwrap();
        Self { url, sql, directory }
    }

    pub(crate) async fn postgres() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sqlx::any::install_default_drivers();
        let server = env::var("FIELDSEAL_TEST_POSTGRES").expect("the address of a PostgreSQL server");
        let name = format!("tables_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let pool = AnyPoolOptions::new().max_connections(1).connect(&server).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&pool).await.unwrap();
        let (base, _) = server.rsplit_once('/').unwrap();
        let url = format!("{base}/{name}");
        let sql = AnyPoolOptions::new().max_connections(4).connect(&url).await.unwrap();
        Self { url, sql, directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    pub(crate) async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.sql).await.unwrap();
    }

    /// A pool for the job, as an application would make it.
    pub(crate) async fn pool(&self) -> Database {
        open(&self.url).await
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The values of one column by their keys, as text.
    pub(crate) async fn column(&self, column: &str, table: &str, key: &str) -> BTreeMap<String, Option<String>> {
        let sql = format!("SELECT CAST({key} AS TEXT), CAST({column} AS TEXT) FROM {table}");
        let rows: Vec<(String, Option<String>)> =
            sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&self.sql).await.unwrap();
        rows.into_iter().collect()
    }
}

pub(crate) async fn open(url: &str) -> Database {
    #[cfg(feature = "postgres")]
    if url.starts_with("postgres") {
        return sqlx::PgPool::connect(url).await.unwrap().into();
    }
    #[cfg(feature = "sqlite")]
    {
        use std::time::Duration;

        use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
        let options: SqliteConnectOptions = url.parse().unwrap();
        let options = options.busy_timeout(Duration::from_secs(30));
        return SqlitePoolOptions::new().max_connections(2).connect_with(options).await.unwrap().into();
    }
    #[allow(unreachable_code, reason = "one of the two features is on")]
    {
        panic!("no driver for {url}")
    }
}

/// A keyring in a file, of which the keys take turns.
pub(crate) struct Keychain {
    store: KeyringFile,
    keyring: Keyring,
}

impl Keychain {
    pub(crate) async fn new(path: PathBuf) -> Self {
        let store = KeyringFile::new(path);
        let mut keyring = Keyring::create("tables", &kek()).await.unwrap();
        keyring.set_timing(Timing::single_process()).unwrap();
        keyring.add_key(&kek()).await.unwrap();
        keyring.save(&store).await.unwrap();
        Self { store, keyring }
    }

    pub(crate) fn ids(&self) -> [KeyId; 2] {
        [0, 1].map(|index| self.keyring.keys()[index].id())
    }

    pub(crate) async fn cipher(&self) -> FieldCipher {
        cipher(self.store.path().to_owned()).await
    }

    /// Makes the other key the primary one.
    pub(crate) async fn rotate(&mut self) -> KeyId {
        let ids = self.ids();
        let primary = self.keyring.keys().iter().position(|entry| entry.state().can_encrypt()).unwrap();
        self.keyring.promote_without_waiting(ids[1 - primary]).unwrap();
        self.keyring.save(&self.store).await.unwrap();
        ids[1 - primary]
    }
}

fn kek() -> LocalKek {
    LocalKek::new(&SecretKey::from_bytes(&[7; 32]))
}

/// The cipher for the keyring at `path`.
pub(crate) async fn cipher(path: PathBuf) -> FieldCipher {
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name).path("$.contact.name"))
        .field(Field::new("phone", Tag::Phone).path("$.contact.phone"))
        .build()
        .unwrap();
    FieldCipher::new(policy, Keys::open(KeyringFile::new(path), kek()).await.unwrap())
}

/// The table of customers: a name as text, a phone as bytes, and a document.
pub(crate) fn customers(cipher: &FieldCipher) -> EncryptedTable {
    EncryptedTable::new("customers", cipher.clone())
        .column("name", "name")
        .unwrap()
        .column("phone", "phone")
        .unwrap()
        .document("profile")
}

pub(crate) async fn reencrypt(database: &TestDatabase, table: &EncryptedTable) -> u64 {
    Job::reencrypt(table.clone()).run(database.pool().await).await.unwrap().moved()
}

pub(crate) async fn scan(database: &TestDatabase, table: &EncryptedTable) -> Scan {
    table.scan(database.pool().await).await.unwrap()
}
