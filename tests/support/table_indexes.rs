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

fn cipher(index_key: u8) -> FieldCipher {
    let phone = Field::new("phone", Tag::Phone).blind_index(BlindIndex::new(Normalizer::exact()));
    let policy = Policy::builder("customers").field(phone).build().unwrap();
    FieldCipher::new(policy, keys(1)).with_index_keys(keys(index_key)).unwrap()
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

pub(crate) async fn an_index_of_several_fields_moves_with_them(database: TestDatabase) {
    let cipher = |index_key: u8| {
        let exact = |index: CompoundIndex, field: &str| index.part(field, Normalizer::exact());
        let policy = Policy::builder("customers")
            .field(Field::new("postcode", Tag::Address))
            .field(Field::new("year", Tag::DateOfBirth))
            .compound_index(exact(exact(CompoundIndex::new("both"), "postcode"), "year"))
            .build()
            .unwrap();
        FieldCipher::new(policy, keys(1)).with_index_keys(keys(index_key)).unwrap()
    };
    let table = |index_key: u8| EncryptedTable::new("people", cipher(index_key)).document("profile");
    let term = |index_key: u8| {
        cipher(index_key).compound_lookup("both", &[("postcode", "570123"), ("year", "1980")]).unwrap().remove(0)
    };
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
    assert_eq!(Job::dangerous_decrypt_to_plaintext(table(3)).run(pool().await).await.unwrap().moved(), 2);
    assert_eq!(profiles().await, before);
}
