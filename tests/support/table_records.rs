//! Values that are bound to the row that they stand in.
#![allow(dead_code, reason = "each database takes the cases that it can")]

use std::time::Duration;

use fieldseal::keys::{Keyring, KeyringFile, Keys, LocalKek, SecretKey, Timing};
use fieldseal::policy::RecordBinding;
use fieldseal::reencrypt::{EncryptedTable, Job};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};

use crate::tables::TestDatabase;

pub(crate) async fn values_are_bound_to_their_rows(database: TestDatabase) {
    let store = KeyringFile::new(database.path("keyring.json"));
    let kek = || LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
    let mut keyring = Keyring::create("shop", &kek()).await.unwrap();
    keyring.set_timing(Timing::single_process()).unwrap();
    keyring.save(&store).await.unwrap();
    let keys = Keys::open(store, kek()).await.unwrap();
    let cipher = |binding: Option<RecordBinding>| {
        let builder = Policy::builder("customers").field(Field::new("phone", Tag::Phone));
        let builder = if let Some(binding) = binding { builder.bind_records(binding) } else { builder };
        FieldCipher::new(builder.build().unwrap(), keys.clone())
    };
    let table = |cipher: &FieldCipher| {
        EncryptedTable::new("people", cipher.clone()).column("phone", "phone").unwrap().document("profile")
    };
    let required = cipher(Some(RecordBinding::required("id")));
    let upgrade = cipher(Some(RecordBinding::upgrade("id", Duration::from_secs(3600))));
    let kind = if database.is_postgres() { "JSONB" } else { "TEXT" };
    database.run(&format!("CREATE TABLE people (id INTEGER PRIMARY KEY, phone TEXT, profile {kind})")).await;
    for id in [7, 8] {
        let row = format!(r#"INSERT INTO people VALUES ({id}, '+65 {id}', '{{"phone": "+66 {id}"}}')"#);
        database.run(&row).await;
    }
    let pool = || database.pool();
    let columns = async || {
        let [phones, profiles] =
            [database.column("phone", "people", "id").await, database.column("profile", "people", "id").await];
        [phones, profiles].map(|column| column.into_values().map(Option::unwrap).collect::<Vec<_>>())
    };
    // Encrypted before tokens were bound to anything, then bound.
    assert_eq!(Job::encrypt_plaintext(table(&cipher(None))).run(pool().await).await.unwrap().moved(), 2);
    assert_eq!(table(&required).scan(pool().await).await.unwrap().unreadable(), 4);
    assert_eq!(Job::reencrypt(table(&upgrade)).run(pool().await).await.unwrap().moved(), 2);
    assert_eq!(Job::reencrypt(table(&upgrade)).run(pool().await).await.unwrap().moved(), 0);
    assert_eq!(table(&required).scan(pool().await).await.unwrap().unreadable(), 0);

    // Each opens in its row alone.
    let [phones, profiles] = columns().await;
    let seven = required.in_record("7").unwrap();
    assert_eq!(seven.decrypt_value::<String>("phone", &phones[0]).unwrap(), "+65 7");
    assert!(seven.decrypt_json(profiles[0].as_bytes()).is_ok());
    assert!(seven.decrypt_value::<String>("phone", &phones[1]).is_err());
    assert!(seven.decrypt_json(profiles[1].as_bytes()).is_err());
    database.run(&format!("UPDATE people SET phone = '{}' WHERE id = 7", phones[1])).await;
    let scan = table(&required).scan(pool().await).await.unwrap();
    assert_eq!(scan.unreadable(), 1);
    database.run(&format!("UPDATE people SET phone = '{}' WHERE id = 7", phones[0])).await;

    // And back.
    assert_eq!(Job::dangerous_decrypt_to_plaintext(table(&required)).run(pool().await).await.unwrap().moved(), 2);
    assert_eq!(columns().await[0], ["+65 7", "+65 8"]);

    // Nothing is bound to a key that is no id.
    database.run("CREATE TABLE pairs (a INTEGER, b INTEGER, phone TEXT, PRIMARY KEY (a, b))").await;
    database.run("INSERT INTO pairs VALUES (1, 2, '9123')").await;
    let pairs = EncryptedTable::new("pairs", required.clone()).column("phone", "phone").unwrap();
    let error = Job::encrypt_plaintext(pairs).run(pool().await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(error.to_string().contains("several columns"), "{error}");
}
