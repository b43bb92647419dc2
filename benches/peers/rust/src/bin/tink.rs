//! Tink's AEAD in Rust, through `serde_json::Value` and base64.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use peers::{FIELDS, Failure, measure};
use serde_json::Value;

fn main() -> Result<(), Failure> {
    tink_aead::init();
    let aead = tink_aead::new(&tink_core::keyset::Handle::new(&tink_aead::aes256_gcm_key_template())?)?;
    let through = |record: &[u8], change: &dyn Fn(&str, &str) -> Result<String, Failure>| {
        let mut record: Value = serde_json::from_slice(record)?;
        for field in FIELDS {
            let value = record[field].as_str().ok_or("a text stands in each field")?;
            record[field] = Value::String(change(field, value)?);
        }
        Ok(serde_json::to_vec(&record)?)
    };
    let encrypt =
        |field: &str, value: &str| Ok(URL_SAFE_NO_PAD.encode(aead.encrypt(value.as_bytes(), field.as_bytes())?));
    let decrypt = |field: &str, token: &str| {
        Ok(String::from_utf8(aead.decrypt(&URL_SAFE_NO_PAD.decode(token)?, field.as_bytes())?)?)
    };
    measure("tink-aead (Rust)", |record| through(record, &encrypt), |record| through(record, &decrypt))
}
