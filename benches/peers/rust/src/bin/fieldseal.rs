//! This crate, by its standalone API.

use peers::{Failure, cipher, measure};

fn main() -> Result<(), Failure> {
    let cipher = cipher()?;
    measure("fieldseal", |record| Ok(cipher.encrypt_json(record)?), |record| Ok(cipher.decrypt_json(record)?))
}
