//! Proves that a keyring in PostgreSQL is replaced as a whole, and only by a change to what stands there.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

use fieldseal::ErrorKind;
use fieldseal::keys::{Keyring, KeyringStore as _, KeyringTable, Keys, LocalKek, SecretKey};
use sqlx::{Connection, PgConnection, PgPool};

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_keyring_is_created_changed_and_opened() {
    let (table, _) = table("customers").await;
    let mut keyring = Keyring::create("customers", &kek()).await.unwrap();
    keyring.save(&table).await.unwrap();
    keyring.save(&table).await.unwrap();
    let keys = Keys::open(table.clone(), kek()).await.unwrap();
    keyring.add_key(&kek()).await.unwrap();
    keyring.save(&table).await.unwrap();
    keys.reload().await.unwrap();
    assert_eq!(keys.revision(), Some(2));
    assert_eq!(Keyring::load(&table, &kek()).await.unwrap().to_json(), keyring.to_json());
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn of_two_changes_to_one_revision_the_second_is_refused() {
    let (table, _) = table("customers").await;
    let mut keyring = Keyring::create("customers", &kek()).await.unwrap();
    keyring.save(&table).await.unwrap();
    let mut other = Keyring::load(&table, &kek()).await.unwrap();
    for keyring in [&mut keyring, &mut other] {
        keyring.add_key(&kek()).await.unwrap();
    }
    keyring.save(&table).await.unwrap();
    let error = other.save(&table).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Keyring);
    assert!(error.to_string().contains("load it again and repeat the change"), "{error}");
    let mut new = Keyring::create("customers", &kek()).await.unwrap();
    let error = new.save(&table).await.unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    assert_eq!(Keyring::load(&table, &kek()).await.unwrap().to_json(), keyring.to_json());
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn many_who_save_at_once_leave_one_whole_change_each() {
    let (table, _) = table("customers").await;
    Keyring::create("customers", &kek()).await.unwrap().save(&table).await.unwrap();
    let savers = (0..8).map(|_| {
        let table = table.clone();
        tokio::spawn(async move {
            let mut saved = 0;
            for _ in 0..10 {
                let mut keyring = Keyring::load(&table, &kek()).await.unwrap();
                keyring.add_key(&kek()).await.unwrap();
                saved += usize::from(keyring.save(&table).await.is_ok());
            }
            saved
        })
    });
    let mut saved = 0;
    for saver in savers.collect::<Vec<_>>() {
        saved += saver.await.unwrap();
    }
    let keyring = Keyring::load(&table, &kek()).await.unwrap();
    assert!(saved > 0);
    assert_eq!((keyring.keys().len(), keyring.revision()), (1 + saved, 1 + saved as u64));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn what_is_missing_altered_or_out_of_reach_is_told() {
    let (table, pool) = table("customers").await;
    let error = Keyring::load(&table, &kek()).await.unwrap_err();
    assert!(error.to_string().contains("there is no keyring `customers`"), "{error}");
    let mut keyring = Keyring::create("customers", &kek()).await.unwrap();
    keyring.save(&table).await.unwrap();
    let keys = Keys::open(table.clone(), kek()).await.unwrap();

    sqlx::query("UPDATE fieldseal_keyrings SET document = replace(document, 'primary', 'enabled')")
        .execute(&pool)
        .await
        .unwrap();
    assert!(keys.reload().await.unwrap_err().to_string().contains("was altered or damaged"));
    sqlx::query("UPDATE fieldseal_keyrings SET document = repeat('x', 2000000)").execute(&pool).await.unwrap();
    assert_eq!(keys.reload().await.unwrap_err().kind(), ErrorKind::Keyring);
    pool.close().await;
    let error = keys.reload().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Keyring);
    assert!(error.to_string().contains("the keyring `customers` in PostgreSQL could not be read"), "{error}");
    assert!(keys.primary_id().is_some(), "the keys in use stay in use");
}

/// One that was longer could not be read again.
#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_document_is_as_long_as_can_be_read_and_no_longer() {
    let (table, _) = table("customers").await;
    let longest = vec![b'x'; 1 << 20];
    let too_long = vec![b'x'; (1 << 20) + 1];
    let error = table.replace(None, &too_long).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Keyring);
    assert!(error.to_string().contains("would be longer than 1048576 bytes"), "{error}");
    table.replace(None, &longest).await.unwrap().unwrap();
    assert_eq!(table.read().await.unwrap(), longest);
}

fn kek() -> LocalKek {
    LocalKek::new(&SecretKey::from_bytes(&[7; 32]))
}

/// The keyring called `name` in a database of its own.
async fn table(name: &str) -> (KeyringTable, PgPool) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = env::var("FIELDSEAL_TEST_POSTGRES").expect("the address of a PostgreSQL server");
    let database = format!("keyring_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(&server).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}"));
    sqlx::query(create).execute(&mut connection).await.unwrap();
    let options = server.parse::<sqlx::postgres::PgConnectOptions>().unwrap().database(&database);
    let pool = PgPool::connect_with(options).await.unwrap();
    let table = KeyringTable::new(pool.clone(), name);
    table.create_if_missing().await.unwrap();
    table.create_if_missing().await.unwrap();
    (table, pool)
}
