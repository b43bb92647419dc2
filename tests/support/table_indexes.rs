//! Blind indexes of stored documents, made and unmade with their values, and anew under another key.
#![allow(dead_code, reason = "each database takes the cases that it can")]

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::policy::{BlindIndex, CompoundIndex, Normalizer};
use fieldseal::reencrypt::{EncryptedTable, Job};
use fieldseal::{Field, FieldCipher, Policy, Tag};
use serde_json::Value;

use crate::tables::TestDatabase;

fn keys(byte: u8) -> Keys {
    Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[byte; 32])))
}

fn policy(index: BlindIndex) -> Policy {
    Policy::builder("customers").field(Field::new("phone", Tag::Phone).blind_index(index)).build().unwrap()
}

fn full() -> BlindIndex {
    BlindIndex::new(Normalizer::exact())
}

fn cipher(index_key: u8) -> FieldCipher {
    FieldCipher::new(policy(full()), keys(1)).with_index_keys(keys(index_key)).unwrap()
}

fn table(index_key: u8) -> EncryptedTable {
    EncryptedTable::new("people", cipher(index_key)).document("profile")
}

fn term(index_key: u8, phone: &str) -> String {
    cipher(index_key).lookup("phone", phone).unwrap().terms()[0].clone()
}

pub(crate) async fn an_index_comes_moves_and_goes_with_its_value(database: TestDatabase) {
    let kind = if database.is_postgres() { "JSONB" } else { "TEXT" };
    database.run(&format!("CREATE TABLE people (id INTEGER PRIMARY KEY, profile {kind})")).await;
    let plain = [r#"{"a": 1, "phone": "9123"}"#, r#"[{"phone": "9123"}, {"phone": null}, 7]"#, "{}"];
    for (id, document) in plain.iter().enumerate() {
        database.run(&format!("INSERT INTO people VALUES ({id}, '{document}')")).await;
    }
    let profiles = async || -> Vec<Value> {
        let column = database.column("profile", "people", "id").await;
        column.values().map(|document| serde_json::from_str(document.as_ref().unwrap()).unwrap()).collect()
    };
    let before = profiles().await;
    let pool = || database.pool();
    let moved = Job::encrypt_plaintext(table(2)).run(pool().await).await.unwrap().moved();
    assert_eq!(moved, 2);
    let stored = profiles().await;
    assert_eq!(
        (&stored[0]["phone_index"], &stored[1][0]["phone_index"]),
        (&term(2, "9123").into(), &term(2, "9123").into())
    );
    assert_eq!(stored[1][1], serde_json::json!({"phone": null, "phone_index": null}));

    // Under the same key there is nothing to do, under another one the tokens stay and the indexes change.
    assert_eq!(Job::reencrypt(table(2)).run(pool().await).await.unwrap().moved(), 0);
    assert_eq!(Job::reencrypt(table(3)).run(pool().await).await.unwrap().moved(), 2);
    let rotated = profiles().await;
    assert_eq!(rotated[0]["phone"], stored[0]["phone"]);
    assert_eq!(rotated[0]["phone_index"], term(3, "9123"));

    // What does not open keeps its index.
    let broken = format!(r#"{{"phone": "fs1.{}", "phone_index": "fi1.x"}}"#, "A".repeat(108));
    database.run(&format!("INSERT INTO people VALUES (9, '{broken}')")).await;
    Job::reencrypt(table(2)).run(pool().await).await.unwrap();
    assert_eq!(profiles().await[3], serde_json::from_str::<Value>(&broken).unwrap());
    database.run("DELETE FROM people WHERE id = 9").await;

    Job::dangerous_decrypt_to_plaintext(table(2)).run(pool().await).await.unwrap();
    assert_eq!(profiles().await, before);
}

fn cipher_of_parts(index_key: u8) -> FieldCipher {
    let exact = |index: CompoundIndex, field: &str| index.part(field, Normalizer::exact());
    let policy = Policy::builder("customers")
        .field(Field::new("postcode", Tag::Address))
        .field(Field::new("year", Tag::DateOfBirth))
        .compound_index(exact(exact(CompoundIndex::new("both"), "postcode"), "year"))
        .build()
        .unwrap();
    FieldCipher::new(policy, keys(1)).with_index_keys(keys(index_key)).unwrap()
}

fn term_of_parts(index_key: u8, postcode: &str) -> String {
    let values = [("postcode", postcode), ("year", "1980")];
    cipher_of_parts(index_key).compound_lookup("both", &values).unwrap().remove(0)
}

pub(crate) async fn an_index_of_several_fields_moves_with_them(database: TestDatabase) {
    let table = |index_key: u8| EncryptedTable::new("people", cipher_of_parts(index_key)).document("profile");
    let term = |index_key: u8| term_of_parts(index_key, "570123");
    let kind = if database.is_postgres() { "JSONB" } else { "TEXT" };
    database.run(&format!("CREATE TABLE people (id INTEGER PRIMARY KEY, profile {kind})")).await;
    let plain = [r#"{"year": "1980", "a": 1, "postcode": "570123"}"#, r#"{"b": [{"postcode": "570123"}]}"#];
    for (id, document) in plain.iter().enumerate() {
        database.run(&format!("INSERT INTO people VALUES ({id}, '{document}')")).await;
    }
    let profiles = async || -> Vec<Value> {
        let column = database.column("profile", "people", "id").await;
        column.values().map(|document| serde_json::from_str(document.as_ref().unwrap()).unwrap()).collect()
    };
    let before = profiles().await;
    let pool = || database.pool();
    assert_eq!(Job::encrypt_plaintext(table(2)).run(pool().await).await.unwrap().moved(), 2);
    let stored = profiles().await;
    assert_eq!((&stored[0]["both"], &stored[1]["b"][0]["both"]), (&term(2).into(), &Value::Null));
    assert_eq!(Job::reencrypt(table(2)).run(pool().await).await.unwrap().moved(), 0);
    assert_eq!(Job::reencrypt(table(3)).run(pool().await).await.unwrap().moved(), 1);
    assert_eq!(profiles().await[0]["both"], term(3));
    // A job that another index key interrupts begins again.
    let stopped = Job::reencrypt(table(4)).batch_size(1).watch(|progress| progress.rows < 1);
    stopped.run(pool().await).await.unwrap();
    assert_eq!(profiles().await[0]["both"], term(4));
    database.run("DELETE FROM fieldseal_ranges").await;
    Job::reencrypt(table(3)).run(pool().await).await.unwrap_err();
    database.run("DELETE FROM fieldseal_jobs").await;
    assert_eq!(Job::reencrypt(table(3)).run(pool().await).await.unwrap().moved(), 1);
    assert_eq!(Job::dangerous_decrypt_to_plaintext(table(3)).run(pool().await).await.unwrap().moved(), 2);
    assert_eq!(profiles().await, before);
}

pub(crate) async fn a_column_of_indexes_follows_the_column_of_its_values(database: TestDatabase) {
    database.run("CREATE TABLE people (id INTEGER PRIMARY KEY, tel TEXT, tel_index VARCHAR(27))").await;
    database
        .run("INSERT INTO people VALUES (1, '9123', NULL), (2, NULL, 'stale'), (3, '', NULL), (4, '8123', 'stale')")
        .await;
    let table = |cipher| {
        let table = EncryptedTable::new("people", cipher).column("tel", "phone").unwrap();
        table.index_column("tel_index", "tel").unwrap()
    };
    let with = |index_key| table(cipher(index_key));
    let indexes = async || database.column("tel_index", "people", "id").await.into_values().collect::<Vec<_>>();
    let values = async || database.column("tel", "people", "id").await.into_values().collect::<Vec<_>>();
    let pool = || database.pool();
    let made = |index_key| [Some(term(index_key, "9123")), None, None, Some(term(index_key, "8123"))];
    let before = values().await;
    assert_eq!(Job::encrypt_plaintext(with(2)).run(pool().await).await.unwrap().moved(), 4);
    assert_eq!(indexes().await, made(2));

    // Under the same key there is nothing to do, under another one the tokens stay, and without keys all does.
    let stored = values().await;
    assert_eq!(Job::reencrypt(with(2)).run(pool().await).await.unwrap().moved(), 0);
    let without = FieldCipher::new(policy(full()), keys(1));
    assert_eq!(Job::reencrypt(table(without)).run(pool().await).await.unwrap().moved(), 0);
    // A dry run tells how many rows have an index of another key than the primary one.
    let left = async || Job::reencrypt(with(3)).dry_run().run(pool().await).await.unwrap().moved();
    assert_eq!((left().await, indexes().await), (2, made(2).to_vec()));
    assert_eq!(Job::reencrypt(with(3)).run(pool().await).await.unwrap().moved(), 2);
    assert_eq!((left().await, indexes().await, values().await), (0, made(3).to_vec(), stored));
    let scan = with(3).scan(pool().await).await.unwrap();
    assert_eq!((scan.rows(), scan.plaintexts().count(), scan.unreadable()), (4, 0, 0));

    // What does not open keeps its index.
    database.run(&format!("INSERT INTO people VALUES (9, 'fs1.{}', 'fi1.x')", "A".repeat(108))).await;
    Job::reencrypt(with(2)).run(pool().await).await.unwrap();
    assert_eq!(indexes().await[4].as_deref(), Some("fi1.x"));
    database.run("DELETE FROM people WHERE id = 9").await;

    Job::dangerous_decrypt_to_plaintext(with(2)).run(pool().await).await.unwrap();
    assert_eq!((indexes().await, values().await), (vec![None; 4], before));
    let spread = || {
        let policy = policy(full().partitions(8));
        table(FieldCipher::new(policy, keys(1)).with_index_keys(keys(2)).unwrap())
    };
    Job::encrypt_plaintext(spread()).run(pool().await).await.unwrap();
    assert_eq!(Job::reencrypt(spread()).run(pool().await).await.unwrap().moved(), 0, "any class will do");
    for column in ["name", "profile"] {
        assert!(EncryptedTable::new("people", cipher(2)).document("profile").index_column("i", column).is_err());
    }
}

/// Nobody finds one odd value among a million by the name of an index.
pub(crate) async fn a_value_that_does_not_fit_is_named_by_its_column(database: TestDatabase) {
    database.run("CREATE TABLE people (id INTEGER PRIMARY KEY, tel TEXT, tel_index TEXT, profile TEXT)").await;
    let digits = Normalizer::custom("digits", 1, |text| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.into()));
    let policy = policy(BlindIndex::new(digits.unwrap()));
    let cipher = FieldCipher::new(policy, keys(1)).with_index_keys(keys(2)).unwrap();
    let table = EncryptedTable::new("people", cipher).document("profile").column("tel", "phone").unwrap();
    let table = table.index_column("tel_index", "tel").unwrap();
    let people = [
        ("9123", r#"{"phone": "8123"}"#),
        ("n/a", r#"{"phone": "8124"}"#),
        ("9125", r#"{"a": [{"phone": "8125"}, {"phone": "unlisted"}]}"#),
    ];
    for (at, (tel, profile)) in people.iter().enumerate() {
        database.run(&format!("INSERT INTO people VALUES ({}, '{tel}', NULL, '{profile}')", 40 + at)).await;
    }
    for (row, column) in [(41, "tel"), (42, "profile")] {
        let job = Job::encrypt_plaintext(table.clone()).worker("one");
        let error = job.run(database.pool().await).await.unwrap_err();
        let (told, cause) = (error.to_string(), std::error::Error::source(&error).unwrap().to_string());
        assert!(told.contains(&format!("row {row}, column `{column}`")) && !told.contains("tel_index"), "{told}");
        assert!(cause.contains("no normal form"), "{cause}");
        assert!(!format!("{told} {error:?}").contains("n/a") && !format!("{error:?}").contains("unlisted"));
        let indexes = database.column("tel_index", "people", "id").await.into_values();
        assert_eq!(indexes.flatten().count(), 0, "a batch is moved whole, or not at all");
        database.run("UPDATE people SET tel = '9124' WHERE id = 41").await;
    }
}

pub(crate) async fn a_column_of_indexes_follows_the_columns_of_its_parts(database: TestDatabase) {
    let columns = "id INTEGER PRIMARY KEY, code TEXT, both_index TEXT, year TEXT";
    database.run(&format!("CREATE TABLE people ({columns})")).await;
    let rows = "(1, '570123', NULL, '1980'), (2, NULL, 'stale', '1980'), (3, '570124', 'stale', '1980'), (4, '', NULL, '1980')";
    database.run(&format!("INSERT INTO people VALUES {rows}")).await;
    let with = |index_key| {
        let table = EncryptedTable::new("people", cipher_of_parts(index_key));
        let table = table.column("year", "year").unwrap().column("code", "postcode").unwrap();
        table.compound_index_column("both_index", "both").unwrap()
    };
    let indexes = async || database.column("both_index", "people", "id").await.into_values().collect::<Vec<_>>();
    let values = async || database.column("code", "people", "id").await.into_values().collect::<Vec<_>>();
    let pool = || database.pool();
    let made = |key| [Some(term_of_parts(key, "570123")), None, Some(term_of_parts(key, "570124")), None];
    let before = values().await;
    assert_eq!(Job::encrypt_plaintext(with(2)).run(pool().await).await.unwrap().moved(), 4);
    assert_eq!(indexes().await, made(2));
    let stored = values().await;
    assert_eq!(Job::reencrypt(with(2)).run(pool().await).await.unwrap().moved(), 0);
    assert_eq!(Job::reencrypt(with(3)).run(pool().await).await.unwrap().moved(), 2);
    assert_eq!((indexes().await, values().await), (made(3).to_vec(), stored));

    // One part that does not open keeps the index of all.
    let broken =
        format!("INSERT INTO people SELECT 9, 'fs1.{}', 'fi1.x', year FROM people WHERE id = 1", "A".repeat(108));
    database.run(&broken).await;
    Job::reencrypt(with(2)).run(pool().await).await.unwrap();
    assert_eq!(indexes().await[4].as_deref(), Some("fi1.x"));
    database.run("DELETE FROM people WHERE id = 9").await;

    Job::dangerous_decrypt_to_plaintext(with(2)).run(pool().await).await.unwrap();
    assert_eq!((indexes().await, values().await), (vec![None; 4], before));
    let table = || EncryptedTable::new("people", cipher_of_parts(2)).column("code", "postcode").unwrap();
    let fault = |table: EncryptedTable| table.compound_index_column("i", "both").unwrap_err().to_string();
    assert!(fault(table()).contains("of `year` there is not one"));
    assert!(fault(table().document("profile")).contains("of `year` there is not one"));
    let twice = table().column("year", "year").unwrap().column("year_2", "year").unwrap();
    assert!(fault(twice).contains("of `year` there is not one"));
    assert!(table().compound_index_column("i", "other").is_err());
}
