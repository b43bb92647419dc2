//! Keyring documents: nothing but what was written by whoever holds the key is read.

use std::cell::RefCell;

use fieldseal::ErrorKind;
use fieldseal::keys::{Keyring, LocalKek, SecretKey};
use tokio::runtime::{Builder, Runtime};

/// The only keyrings that anybody ever wrote with the key of this target.
const WRITTEN: [&[u8]; 2] =
    [include_bytes!("../../seeds/keyring/new.json"), include_bytes!("../../seeds/keyring/rotated.json")];

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(Builder::new_current_thread().build().unwrap());
}

/// The key-encryption key under which they stand.
pub fn kek() -> LocalKek {
    LocalKek::new(&SecretKey::from_bytes(&[9; 32]))
}

/// A document.
pub fn run(data: &[u8]) {
    let kek = kek();
    let read = RUNTIME.with_borrow(|runtime| runtime.block_on(Keyring::from_json(data, &kek)));
    match read {
        Ok(keyring) => assert!(WRITTEN.contains(&&*keyring.to_json()), "a forgery was read"),
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Keyring | ErrorKind::KeyService), "{error:?}"),
    }
}
