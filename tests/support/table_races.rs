//! Jobs beside other jobs, and beside an application and an operator who do not wait, on every kind of database.
#![allow(dead_code, clippy::unwrap_used, reason = "each file of tests uses a part of this, and only tests use it")]

use std::time::Duration;

use fieldseal::keys::{Keyring, KeyringFile, Keys, LocalKek, SecretKey};
use fieldseal::reencrypt::{EncryptedTable, Job};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Scope, Tag};
use sqlx::AssertSqlSafe;

use super::tables::{Keychain, TestDatabase, scan};

pub(crate) fn kek() -> LocalKek {
    LocalKek::new(&SecretKey::from_bytes(&[7; 32]))
}

fn named(table: &str, cipher: &FieldCipher) -> EncryptedTable {
    EncryptedTable::new(table, cipher.clone()).column("name", "name").unwrap()
}

/// Calls `act` after the first batch, when the second one is read and encrypted and waits to be written.
fn between_batches(job: Job, act: impl Future<Output = ()> + Send + 'static) -> Job {
    let (runtime, mut act) = (tokio::runtime::Handle::current(), Some(Box::pin(act)));
    job.batch_size(1).watch(move |_| {
        if let Some(act) = act.take() {
            std::thread::sleep(Duration::from_millis(500));
            tokio::task::block_in_place(|| runtime.block_on(act));
        }
        true
    })
}

async fn refused(database: &TestDatabase, job: Job) {
    let error = job.run(database.pool().await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(error.to_string().contains("is being worked on by job"), "{error}");
}

pub(crate) async fn a_job_goes_on_from_its_own_checkpoint_only(database: TestDatabase) {
    let keychain = Keychain::new(database.path("keyring.json")).await;
    let cipher = keychain.cipher().await;
    database.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, phone TEXT, profile TEXT)").await;
    for id in 0..4 {
        let document = r#"{"contact":{"name":"Tan"}}"#;
        database.run(&format!("INSERT INTO customers VALUES ({id}, 'Tan', '+65 9', '{document}')")).await;
    }
    let encrypt = |table: EncryptedTable| Job::encrypt_plaintext(table).batch_size(2).worker("the one");
    let two = named("customers", &cipher).column("phone", "phone").unwrap();
    encrypt(two).watch(|_| false).run(database.pool().await).await.unwrap();

    // Another column, another content, another table by name alone: each is another job, and waits its turn.
    refused(&database, encrypt(named("customers", &cipher))).await;
    refused(&database, encrypt(named("customers", &cipher).document("phone"))).await;
    refused(&database, encrypt(named("customers", &cipher).column("phone", "name").unwrap())).await;
    let all = named("customers", &cipher).column("phone", "phone").unwrap().document("profile");
    refused(&database, encrypt(all.clone())).await;
    let aliases: &[_] =
        if database.is_postgres() { &["public.customers"] } else { &["main.customers", "Customers", "MAIN.CUSTOMERS"] };
    for alias in aliases {
        refused(&database, Job::dangerous_decrypt_to_plaintext(named(alias, &cipher))).await;
    }
    let acme = cipher.in_scope(Scope::new().tenant("acme")).unwrap();
    refused(&database, encrypt(named("customers", &acme).column("phone", "phone").unwrap())).await;

    // The same columns in another order, of the same table by another name, are the same job.
    let same = EncryptedTable::new(aliases[0], cipher.clone()).column("phone", "phone").unwrap();
    let rest = encrypt(same.column("name", "name").unwrap()).run(database.pool().await).await.unwrap();
    assert_eq!((rest.moved(), rest.found().rows()), (2, 2));
    let rest = encrypt(all.clone()).run(database.pool().await).await.unwrap();
    assert_eq!((rest.moved(), rest.found().rows()), (4, 4));
    assert_eq!(scan(&database, &all).await.plaintexts().count(), 0);
}

pub(crate) async fn a_job_of_one_tenant_never_goes_on_from_that_of_another(database: TestDatabase) {
    let mut keychain = Keychain::new(database.path("keyring.json")).await;
    let of = |cipher: FieldCipher| ["acme", "globex"].map(|t| cipher.in_scope(Scope::new().tenant(t)).unwrap());
    let ciphers = of(keychain.cipher().await);
    database.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)").await;
    for id in 0..4 {
        let token = ciphers[id % 2].encrypt_value("name", "Tan").unwrap();
        database.run(&format!("INSERT INTO customers VALUES ({id}, '{token}')")).await;
    }
    keychain.rotate().await;
    let [acme, globex] = of(keychain.cipher().await).map(|cipher| named("customers", &cipher));
    let reencrypt = |table: &EncryptedTable| Job::reencrypt(table.clone()).batch_size(2).worker("the one");
    reencrypt(&acme).watch(|_| false).run(database.pool().await).await.unwrap();
    refused(&database, reencrypt(&globex)).await;
    for (table, moved) in [(&acme, 1), (&globex, 2)] {
        assert_eq!(reencrypt(table).run(database.pool().await).await.unwrap().moved(), moved);
    }
    assert_eq!(scan(&database, &acme).await.tokens_under(keychain.ids()[0]), 0);
}

pub(crate) async fn a_batch_that_waited_is_written_under_the_key_in_force_when_it_is_written(database: TestDatabase) {
    let keychain = Keychain::new(database.path("keyring.json")).await;
    let store = KeyringFile::new(database.path("keyring.json"));
    let keys = Keys::open(store.clone(), kek()).await.unwrap();
    let policy = Policy::builder("customers").field(Field::new("name", Tag::Name)).build().unwrap();
    database.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)").await;
    database.run("INSERT INTO customers VALUES (1, 'Tan'), (2, 'Lim')").await;
    let table = named("customers", &FieldCipher::new(policy, keys.clone()));
    let [old, new] = keychain.ids();
    let job = between_batches(Job::encrypt_plaintext(table.clone()), async move {
        let mut keyring = Keyring::load(&store, &kek()).await.unwrap();
        keyring.promote_without_waiting(new).unwrap();
        keyring.save(&store).await.unwrap();
        keys.reload().await.unwrap();
    });
    assert_eq!(job.run(database.pool().await).await.unwrap().moved(), 2);
    let found = scan(&database, &table).await;
    assert_eq!((found.tokens_under(old), found.tokens_under(new)), (1, 1));
}

/// Pauses between batches are longer than a writer may hold a key: what is written after one is under the new key.
pub(crate) async fn a_slow_job_takes_its_key_after_the_pause(database: TestDatabase) {
    let keychain = Keychain::new(database.path("keyring.json")).await;
    let store = KeyringFile::new(database.path("keyring.json"));
    let keys = Keys::open(store.clone(), kek()).await.unwrap();
    let policy = Policy::builder("customers").field(Field::new("name", Tag::Name)).build().unwrap();
    database.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)").await;
    database.run("INSERT INTO customers VALUES (1, 'Tan'), (2, 'Lim'), (3, 'Ng')").await;
    let table = named("customers", &FieldCipher::new(policy, keys.clone()));
    let [old, new] = keychain.ids();
    let mut keyring = Keyring::load(&store, &kek()).await.unwrap();
    let job = Job::encrypt_plaintext(table.clone()).batch_size(2).rows_per_second(1);
    let (pool, operator) = (database.pool().await, async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        keyring.promote_without_waiting(new).unwrap();
        keyring.save(&store).await.unwrap();
        keys.reload().await.unwrap();
    });
    let (report, ()) = tokio::join!(job.run(pool), operator);
    assert_eq!(report.unwrap().moved(), 3);
    let found = scan(&database, &table).await;
    assert_eq!((found.tokens_under(old), found.tokens_under(new)), (2, 1));
}

/// `definition` is that of a column whose values `read` and `update` compare as equal.
pub(crate) async fn an_update_to_what_compares_as_equal_is_never_overwritten(
    database: &TestDatabase,
    cipher: &FieldCipher,
    (table, definition): (&str, &str),
    [read, update]: [&str; 2],
) {
    database.run(&format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY, name {definition})")).await;
    database.run(&format!("INSERT INTO {table} VALUES (1, '{update}'), (2, '{read}')")).await;
    let is_document = read.starts_with('{');
    let encrypted = EncryptedTable::new(table, cipher.clone());
    let encrypted = if is_document { encrypted.document("name") } else { encrypted.column("name", "name").unwrap() };
    let (sql, statement) = (database.sql.clone(), format!("UPDATE {table} SET name = '{update}' WHERE id = 2"));
    let job = between_batches(Job::encrypt_plaintext(encrypted), async move {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&sql).await.unwrap();
    });
    assert_eq!(job.run(database.pool().await).await.unwrap().moved(), 2);
    for stored in database.column("name", table, "id").await.into_values().flatten() {
        let opened = if is_document {
            String::from_utf8(cipher.decrypt_json(stored.as_bytes()).unwrap()).unwrap()
        } else {
            cipher.decrypt_value("name", stored).unwrap()
        };
        assert_eq!(opened, update, "{definition}");
    }
}

pub(crate) async fn a_job_can_be_handed_to_a_task_of_its_own(database: TestDatabase) {
    let keychain = Keychain::new(database.path("keyring.json")).await;
    database.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)").await;
    database.run("INSERT INTO customers VALUES (1, 'Tan')").await;
    let job = Job::encrypt_plaintext(named("customers", &keychain.cipher().await)).rows_per_second(1000);
    let report = tokio::spawn(job.watch(|_| true).run(database.pool().await)).await.unwrap();
    assert_eq!(report.unwrap().moved(), 1);
}
