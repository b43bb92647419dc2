//! Proves with real files that neither the live database nor a copy of it nor a backup of the keys opens a field of who
//! was erased, that those of everybody else open, and that a key table in `SQLite` keeps what it is given.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/key_table_cases.rs"]
mod key_table_cases;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fieldseal::keys::{
    DataKey, KeyService, KeyServices, Keyring, KeyringFile, Keys, LocalKek, SecretKey, Subject, SubjectKeyStore,
    SubjectKeyTable, SubjectKeys, Timing,
};
use fieldseal::{Error, ErrorKind, Field, FieldCipher, Policy, Tag};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tempfile::TempDir;

#[tokio::test]
async fn a_table_keeps_what_it_is_given_and_changes_what_is_expected() {
    let place = Place::new();
    key_table_cases::keeps_what_it_is_given_and_changes_what_is_expected(&place.table("keys.db").await).await;
}

#[tokio::test]
async fn keys_are_wrapped_again_in_batches_while_others_come_and_go() {
    let place = Place::new();
    key_table_cases::keys_are_wrapped_again_while_others_come_and_go(&place.table("keys.db").await).await;
}

#[tokio::test]
async fn what_stands_in_the_table_and_is_none_is_told() {
    let place = Place::new();
    let (table, pool) = (place.table("keys.db").await, place.pool("keys.db").await);
    let subjects = place.subjects("keys.db", "keyring.json", &["kek-1"]).await;
    subjects.find_or_create(&subject("7")).await.unwrap();
    sqlx::query("UPDATE fieldseal_subject_keys SET entry = x'0102'").execute(&pool).await.unwrap();
    assert_eq!(table.get(&[subject("7")]).await.unwrap_err().kind(), ErrorKind::Keyring);
    sqlx::query("DROP TABLE fieldseal_subject_keys").execute(&pool).await.unwrap();
    assert_eq!(table.get(&[subject("7")]).await.unwrap_err().kind(), ErrorKind::KeyUnavailable);
}

#[tokio::test]
async fn a_key_that_was_erased_is_overwritten_in_the_file() {
    let place = Place::new();
    let subjects = place.subjects("keys.db", "keyring.json", &["kek-1"]).await;
    let ids: Vec<_> = (0..60).map(|id| id.to_string()).collect();
    for id in &ids {
        subjects.find_or_create(&subject(id)).await.unwrap();
    }
    let table = place.table("keys.db").await;
    let mut wrapped = Vec::new();
    for id in &ids {
        wrapped.push(entry(&table, id).await);
    }
    for id in ids.iter().step_by(2) {
        subjects.erase(&subject(id), "request").await.unwrap();
    }
    let file = fs::read(place.path("keys.db")).unwrap();
    // The last bytes: of what is no longer a row, SQLite overwrites the first ones in any case.
    let is_there = |entry: &[u8]| file.windows(32).any(|window| *window == entry[entry.len() - 32..]);
    let there: Vec<_> = wrapped.iter().map(|entry| is_there(entry)).collect();
    assert_eq!(there, [false, true].repeat(30));
}

/// The database of a shop, its keys, a backup of each, and two customers of whom one goes.
#[tokio::test]
async fn every_copy_of_who_was_erased_is_noise_and_everybody_else_opens() {
    let place = Place::new();
    let subjects = place.subjects("keys.db", "keyring.json", &["kek-1"]).await;
    for (id, phone) in [("7", TAN), ("8", LIM)] {
        let key = subjects.find_or_create(&subject(id)).await.unwrap();
        place.write("shop.db", id, &cipher().for_subject(&key).unwrap().encrypt_value("phone", phone).unwrap());
    }
    for file in ["shop.db", "keys.db", "keyring.json", "kek-1"] {
        fs::copy(place.path(file), place.path(&format!("backup-{file}"))).unwrap();
    }
    // Both are there to lose.
    assert_eq!(place.phone("shop.db", "7", &subjects).await.unwrap(), TAN);
    let wrapped = entry(&place.table("keys.db").await, "7").await;
    assert!(
        fs::read(place.path("keys.db")).unwrap().windows(72).any(|window| *window == wrapped[wrapped.len() - 72..])
    );

    subjects.erase(&subject("7"), "request 2026-118").await.unwrap();
    fs::copy(place.path("shop.db"), place.path("export.db")).unwrap();
    // Nothing is left of the wrapped key in the file of the table either.
    assert!(
        !fs::read(place.path("keys.db")).unwrap().windows(72).any(|window| *window == wrapped[wrapped.len() - 72..])
    );
    let restarted = place.subjects("keys.db", "keyring.json", &["kek-1"]).await;
    for subjects in [&subjects, &restarted] {
        for shop in ["shop.db", "backup-shop.db", "export.db"] {
            let error = place.phone(shop, "7", subjects).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Erased, "{shop}");
            assert_eq!(place.phone(shop, "8", subjects).await.unwrap(), LIM, "{shop}");
        }
    }

    // The epoch has not ended: who has a backup of the table, the keyring and its key-encryption key has the person.
    let thief = place.subjects("backup-keys.db", "backup-keyring.json", &["kek-1"]).await;
    assert_eq!(place.phone("backup-shop.db", "7", &thief).await.unwrap(), TAN);

    // The next epoch begins, under a key-encryption key of its own, and the old one is shredded: here, a file is deleted.
    let store = KeyringFile::new(place.path("keyring.json"));
    let [old_kek, new_kek] = [place.kek("kek-1"), LocalKek::create_file(place.path("kek-2")).unwrap()];
    let mut keyring = Keyring::load(&store, &old_kek).await.unwrap();
    let old = keyring.keys()[0].id();
    let new = keyring.add_key(&new_kek).await.unwrap();
    keyring.authenticate_by(&new_kek).await.unwrap();
    keyring.promote(new).unwrap();
    keyring.save(&store).await.unwrap();
    let subjects = place.subjects("keys.db", "keyring.json", &["kek-1", "kek-2"]).await;
    assert_eq!(subjects.rewrap().await.unwrap(), 1, "the one who is left; a tombstone is not wrapped");
    // Moments are told in whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for _ in 0..2 {
        let began = SystemTime::now();
        let left = subjects.rewrap().await.unwrap();
        keyring.record_scan(old, began, left).unwrap();
    }
    keyring.disable(old).unwrap();
    keyring.forget(old).unwrap();
    assert_eq!(keyring.shred(old_kek.name(), "the file was deleted").unwrap(), [old]);
    keyring.save(&store).await.unwrap();
    fs::remove_file(place.path("kek-1")).unwrap();
    fs::remove_file(place.path("backup-kek-1")).unwrap();

    // The old table beside the keyring of today, the old one and its old keyring, the table of today beside either.
    let living = place.subjects("keys.db", "keyring.json", &["kek-2"]).await;
    let restored = place.subjects("backup-keys.db", "keyring.json", &["kek-2"]).await;
    for shop in ["shop.db", "backup-shop.db", "export.db"] {
        assert_eq!(place.phone(shop, "8", &living).await.unwrap(), LIM, "{shop}");
        assert_eq!(place.phone(shop, "7", &living).await.unwrap_err().kind(), ErrorKind::Erased, "{shop}");
        assert_eq!(place.phone(shop, "7", &restored).await.unwrap_err().kind(), ErrorKind::KeyUnavailable, "{shop}");
    }
    let old_keyring = KeyringFile::new(place.path("backup-keyring.json"));
    assert!(Keys::open(old_keyring, place.kek("kek-2")).await.is_err());
}

const TAN: &str = "+65 9123 4567";
const LIM: &str = "+65 8123 4567";

#[tokio::test]
async fn a_key_that_does_not_open_keeps_no_other_from_being_wrapped_again() {
    let place = Place::new();
    let subjects = place.subjects("keys.db", "keyring.json", &["kek"]).await;
    subjects.find_or_create(&subject("8")).await.unwrap();
    let other_keyring = Keys::from_data_key(DataKey::new(&SecretKey::generate().unwrap()));
    let foreign = SubjectKeys::new(place.table("keys.db").await, other_keyring);
    foreign.find_or_create(&subject("9")).await.unwrap();

    let (store, kek) = (KeyringFile::new(place.path("keyring.json")), place.kek("kek"));
    let mut keyring = Keyring::load(&store, &kek).await.unwrap();
    let new = keyring.add_key(&kek).await.unwrap();
    keyring.promote(new).unwrap();
    keyring.save(&store).await.unwrap();
    let subjects = place.subjects("keys.db", "keyring.json", &["kek"]).await;
    let error = subjects.rewrap().await.unwrap_err();
    let id = foreign.erase(&subject("9"), "of another keyring").await.unwrap().key_id();
    assert!(error.to_string().contains(&format!("the subject key {id} could not be wrapped")), "{error}");
    assert_eq!(subjects.rewrap().await.unwrap(), 0, "the other one was wrapped before");
}

fn subject(id: &str) -> Subject {
    Subject::new(id).unwrap()
}

fn cipher() -> FieldCipher {
    let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build().unwrap();
    FieldCipher::new(policy, Keys::none())
}

async fn entry(table: &SubjectKeyTable, id: &str) -> Vec<u8> {
    table.get(&[subject(id)]).await.unwrap().remove(0).unwrap().to_bytes()
}

/// A directory with databases, keyrings and keys in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, file: &str) -> PathBuf {
        Path::join(self.0.path(), file)
    }

    fn kek(&self, file: &str) -> LocalKek {
        LocalKek::from_file(self.path(file)).unwrap()
    }

    async fn pool(&self, file: &str) -> SqlitePool {
        let options = SqliteConnectOptions::new().filename(self.path(file)).create_if_missing(true);
        let options = options.journal_mode(SqliteJournalMode::Delete).synchronous(SqliteSynchronous::Off);
        SqlitePoolOptions::new().max_connections(4).connect_with(options).await.unwrap()
    }

    async fn table(&self, file: &str) -> SubjectKeyTable {
        let table = SubjectKeyTable::from(self.pool(file).await);
        table.create_if_missing().await.unwrap();
        table.create_if_missing().await.unwrap();
        table
    }

    /// As a process that starts has them. The keyring is made where there is none.
    async fn subjects(&self, table: &str, keyring: &str, keks: &[&str]) -> SubjectKeys {
        let store = KeyringFile::new(self.path(keyring));
        if !store.path().exists() {
            let kek = LocalKek::create_file(self.path(keks[0])).unwrap();
            let mut keyring = Keyring::create("subjects", &kek).await.unwrap();
            keyring.set_timing(Timing::single_process()).unwrap();
            keyring.save(&store).await.unwrap();
        }
        let services = KeyServices::from(self.kek(keks[0]));
        let services = keks[1..].iter().fold(services, |services, kek| services.and(self.kek(kek)));
        SubjectKeys::new(self.table(table).await, Keys::open(store, services).await.unwrap())
    }

    fn write(&self, file: &str, id: &str, phone: &str) {
        let database = rusqlite::Connection::open(self.path(file)).unwrap();
        database.execute_batch("CREATE TABLE IF NOT EXISTS customers (id TEXT PRIMARY KEY, phone TEXT)").unwrap();
        database.execute("INSERT INTO customers VALUES (?, ?)", [id, phone]).unwrap();
    }

    /// Reads a phone from a copy of the database, as a service does.
    async fn phone(&self, file: &str, id: &str, subjects: &SubjectKeys) -> Result<String, Error> {
        let token: String = {
            let database = rusqlite::Connection::open(self.path(file)).unwrap();
            database.query_row("SELECT phone FROM customers WHERE id = ?", [id], |row| row.get(0)).unwrap()
        };
        cipher().for_subject(&subjects.find(&subject(id)).await?)?.decrypt_value("phone", token)
    }
}
