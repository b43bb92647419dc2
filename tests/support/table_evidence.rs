//! What a scan proves, and what it does not, on every kind of database.
#![allow(dead_code, clippy::unwrap_used, reason = "each file of tests uses a part of this, and only tests use it")]

use std::time::SystemTime;

use fieldseal::keys::{Keyring, KeyringFile, Keys, LocalKek, SecretKey};
use fieldseal::reencrypt::{EncryptedTable, Job, Place};
use fieldseal::{Field, FieldCipher, Policy, Scope, Tag, Timestamp};

use super::tables::{Keychain, TestDatabase, scan};

fn kek() -> LocalKek {
    LocalKek::new(&SecretKey::from_bytes(&[7; 32]))
}

/// The keyring of the test's keychain.
fn store(database: &TestDatabase) -> KeyringFile {
    KeyringFile::new(database.path("keyring.json"))
}

fn names(cipher: &FieldCipher) -> EncryptedTable {
    EncryptedTable::new("customers", cipher.clone()).column("name", "name").unwrap()
}

fn shown(places: &[Place]) -> Vec<(&str, &str)> {
    places.iter().map(|place| (place.key.as_str(), place.field.as_str())).collect()
}

pub(crate) async fn a_token_that_does_not_open_counts_under_the_key_that_it_names(database: TestDatabase) {
    let mut keychain = Keychain::new(database.path("keyring.json")).await;
    let [old, _] = keychain.ids();
    database.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)").await;
    let of = |cipher: FieldCipher| ["acme", "globex"].map(|t| cipher.in_scope(Scope::new().tenant(t)).unwrap());
    for (id, cipher) in of(keychain.cipher().await).iter().enumerate() {
        let token = cipher.encrypt_value("name", "Tan").unwrap();
        database.run(&format!("INSERT INTO customers VALUES ({id}, '{token}')")).await;
    }
    let new = keychain.rotate().await;
    // In the scope of one tenant, the tokens of another do not open.
    let [acme, globex] = of(keychain.cipher().await).map(|cipher| names(&cipher));
    Job::reencrypt(acme.clone()).run(database.pool().await).await.unwrap();
    let found = scan(&database, &acme).await;
    assert_eq!((found.tokens_under(old), found.tokens_under(new), found.unreadable()), (1, 1, 1));
    assert_eq!((found.unreadable_under(old), found.unreadable_without_key()), (1, 0));

    // Nor do they where their key is disabled.
    let mut keyring = Keyring::load(&store(&database), &kek()).await.unwrap();
    keyring.disable(old).unwrap();
    keyring.save(&store(&database)).await.unwrap();
    let found = scan(&database, &names(&of(keychain.cipher().await)[1])).await;
    assert_eq!((found.tokens_under(old), found.unreadable()), (1, 2));
    keyring.record_scan(old, found.began(), found.tokens_under(old)).unwrap();
    assert_eq!(keyring.keys()[0].clean_scans().len(), 0);

    // What names no key may be under any.
    database.run("UPDATE customers SET name = 'fs1.cut' WHERE id = 1").await;
    let found = scan(&database, &globex).await;
    assert_eq!((found.tokens_under(old), found.unreadable_without_key()), (0, 1));
    assert!(found.to_string().contains("1 of them name no key"), "{found}");
}

pub(crate) async fn a_document_that_cannot_be_read_is_left_alone_and_counted(database: TestDatabase) {
    let mut keychain = Keychain::new(database.path("keyring.json")).await;
    let cipher = keychain.cipher().await;
    database.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, profile TEXT)").await;
    let token = cipher.encrypt_value("name", "Tan").unwrap();
    let deep = format!(r#"{{"profile":{}{}}}"#, "[".repeat(1024), "]".repeat(1024));
    let good = format!(r#"{{"contact":{{"name":"{token}"}}}}"#);
    for (id, document) in [(1, &*deep), (2, &*good), (3, "not json"), (4, &good[..good.len() - 1])] {
        database.run(&format!("INSERT INTO customers VALUES ({id}, '{document}')")).await;
    }
    let new = keychain.rotate().await;
    let table = EncryptedTable::new("customers", keychain.cipher().await).document("profile");
    let report = Job::reencrypt(table.clone()).run(database.pool().await).await.unwrap();
    assert_eq!((report.moved(), report.found().rows()), (1, 4));
    let left = [("1", "profile"), ("3", "profile"), ("4", "profile")];
    assert_eq!(shown(report.found().unreadable_places()), left);
    let found = scan(&database, &table).await;
    assert_eq!((found.rows(), found.unreadable(), found.unreadable_without_key()), (4, 3, 3));
    assert_eq!(shown(found.unreadable_places()), left);
    assert_eq!((found.tokens_under(new), found.tokens_under(keychain.ids()[0])), (1, 1));
    let stored = database.column("profile", "customers", "id").await;
    assert_eq!((stored["1"].as_deref(), stored["3"].as_deref()), (Some(&*deep), Some("not json")));

    let dump = "COPY public.customers (id, profile) FROM stdin;\n1\tnot json\n2\t{}\n\\.\n";
    let found = table.scan_dump(dump.as_bytes()).unwrap();
    assert_eq!((found.rows(), shown(found.unreadable_places())), (2, vec![("line 2", "profile")]));
}

pub(crate) async fn plaintext_that_begins_like_a_token_is_encrypted(database: TestDatabase) {
    let keychain = Keychain::new(database.path("keyring.json")).await;
    let cipher = keychain.cipher().await;
    let token = cipher.encrypt_value("name", "Tan").unwrap();
    let binary = if database.is_postgres() { "bytea" } else { "BLOB" };
    let bytes = if database.is_postgres() { "'fs1.'::bytea" } else { "CAST('fs1.' AS BLOB)" };
    database
        .run(&format!("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, phone {binary}, profile TEXT)"))
        .await;
    let document = r#"{"contact":{"name":"fs1.hello"}}"#;
    database
        .run(&format!(
            "INSERT INTO customers VALUES (1, 'fs1.hello', {bytes}, '{document}'), (2, '{token}', NULL, NULL)"
        ))
        .await;
    let table = super::tables::customers(&cipher);
    let report = Job::encrypt_plaintext(table.clone()).run(database.pool().await).await.unwrap();
    assert_eq!((report.moved(), report.found().unreadable()), (1, 0));
    let found = scan(&database, &table).await;
    assert_eq!((found.tokens_under(keychain.ids()[0]), found.plaintexts().count(), found.unreadable()), (4, 0, 0));
    let names = database.column("name", "customers", "id").await;
    assert_eq!(cipher.decrypt_value::<String>("name", names["1"].as_ref().unwrap()).unwrap(), "fs1.hello");
    assert_eq!(names["2"].as_ref(), Some(&token));

    // Until that is done, it is read as any plaintext; what has the form of a token is not.
    let end = Timestamp::from(SystemTime::now() + std::time::Duration::from_secs(60));
    let field = Field::new("name", Tag::Name).allow_plaintext_until(end);
    let policy = Policy::builder("customers").field(field).build().unwrap();
    let lenient = FieldCipher::new(policy, Keys::open(store(&database), kek()).await.unwrap());
    let document = br#"{"name":"fs1.hello"}"#;
    assert_eq!(lenient.decrypt_json(document).unwrap(), document);
    let mut broken = token;
    broken.replace_range(60..61, if &broken[60..61] == "A" { "B" } else { "A" });
    lenient.decrypt_json(format!(r#"{{"name":"{broken}"}}"#).as_bytes()).unwrap_err();
}

pub(crate) async fn a_token_that_was_cut_short_is_never_encrypted_as_plaintext(database: TestDatabase) {
    let mut keychain = Keychain::new(database.path("keyring.json")).await;
    let [old, _] = keychain.ids();
    let binary = if database.is_postgres() { "bytea" } else { "BLOB" };
    database
        .run(&format!("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, phone {binary}, profile TEXT)"))
        .await;
    let cipher = keychain.cipher().await;
    let token = cipher.encrypt_value("name", "Tan").unwrap();
    let unknown = format!("fs1.AQ{}", "A".repeat(98));
    let documents = [&token[..60], &token[..15]].map(|name| format!(r#"{{"contact":{{"name":"{name}"}}}}"#));
    let [damaged, too_short] = documents;
    database
        .run(&format!(
            "INSERT INTO customers VALUES (1, '{}', NULL, NULL), (2, '{}', NULL, NULL), (3, NULL, NULL, '{damaged}'),
                (4, '{} x', NULL, NULL), (5, '{}', NULL, NULL), (6, '{unknown}', NULL, NULL), (7, NULL, NULL, '{too_short}')",
            &token[..100],
            &token[..16],
            &token[..100],
            &token[..15]
        ))
        .await;
    // Under whichever key it is, and whatever that may still do.
    keychain.rotate().await;
    let table = super::tables::customers(&keychain.cipher().await);
    let report = Job::encrypt_plaintext(table.clone()).run(database.pool().await).await.unwrap();
    let damaged = ["1", "2", "3"].map(|key| (key, "name"));
    assert_eq!((report.moved(), report.found().unreadable_under(old)), (4, 3));
    assert_eq!(shown(report.found().unreadable_places()), damaged);
    let names = database.column("name", "customers", "id").await;
    assert_eq!(names["1"].as_deref(), Some(&token[..100]));

    let found = scan(&database, &table).await;
    assert_eq!((found.plaintexts().count(), found.unreadable(), found.unreadable_under(old)), (0, 3, 3));
    assert_eq!(shown(found.unreadable_places()), damaged);
}
