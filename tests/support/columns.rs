//! What the tests of column types share.
#![allow(dead_code, clippy::unwrap_used, reason = "each library takes what it needs")]

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::policy::{BlindIndex, Normalizer};
use fieldseal::{Field, FieldCipher, Policy, Tag};

pub(crate) const PHONE: &str = "+65 9123 4567";

/// A table of text, bytes, an index, and what may be missing.
pub(crate) const SQLITE_TABLE: &str = "CREATE TABLE customers (id INTEGER PRIMARY KEY, phone TEXT NOT NULL, phone_index TEXT, email BLOB NOT NULL, points TEXT)";
pub(crate) const POSTGRES_TABLE: &str = "CREATE TABLE customers (id BIGINT PRIMARY KEY, phone TEXT NOT NULL, phone_index TEXT, email BYTEA NOT NULL, points TEXT)";

pub(crate) fn cipher() -> FieldCipher {
    let policy = Policy::builder("customers")
        .field(Field::new("phone", Tag::Phone).blind_index(BlindIndex::new(Normalizer::exact())))
        .field(Field::new("email", Tag::Email))
        .field(Field::new("points", Tag::Text))
        .build()
        .unwrap();
    let keys = |byte| Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[byte; 32])));
    FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap()
}

/// The address of the server that the tests are given, and the name and address of a database of its own on it, which is
/// still to be made.
pub(crate) fn postgres() -> (String, String, String) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = env::var("FIELDSEAL_TEST_POSTGRES").expect("the address of a PostgreSQL server");
    let name = format!("columns_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let (base, _) = server.rsplit_once('/').unwrap();
    let address = format!("{base}/{name}");
    (server, name, address)
}
