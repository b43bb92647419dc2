//! The tokens of one record against bare AES-GCM.

use std::hint::black_box;

use aes_gcm::aead::{Aead as _, Generate as _, KeyInit as _, Nonce};
use aes_gcm::{AeadInOut as _, Aes256Gcm};
use fieldseal::FieldCipher;
use serde_json::Value;

use super::documents::{FIELDS, record};
use super::http::Failure;
use super::measure::{compare, report};

/// Six values of one record as binary tokens, against six raw calls as the documentation of `aes-gcm` has them, with
/// nonces from the operating system; and, as a figure, against the same in place with nonces from the thread's
/// generator, which is cheaper and repeats where a process is forked or a machine restored.
pub(crate) fn crypto_vs_raw(cipher: &FieldCipher) -> Result<(), Failure> {
    let record: Value = serde_json::from_slice(&record())?;
    let values: Vec<(&str, &str)> =
        FIELDS.iter().map(|&field| (field, record[field].as_str().unwrap_or_default())).collect();
    let raw = Aes256Gcm::new(&[7; 32].into());
    let tokens = || -> Result<usize, fieldseal::Error> {
        let mut row = cipher.value_encryptor();
        let mut length = 0;
        for (field, value) in black_box(&values) {
            length += black_box(row.encrypt_to_bytes(field, value)?).len();
        }
        Ok(length)
    };
    let documented = || -> Result<usize, aes_gcm::Error> {
        let mut length = 0;
        for (_, value) in black_box(&values) {
            let nonce = Nonce::<Aes256Gcm>::generate();
            length += nonce.len() + black_box(raw.encrypt(&nonce, value.as_bytes())?).len();
        }
        Ok(length)
    };
    let mut buffer = Vec::new();
    let in_place = || -> Result<usize, aes_gcm::Error> {
        let mut length = 0;
        for (_, value) in black_box(&values) {
            let nonce: [u8; 12] = rand::random();
            buffer.clear();
            buffer.extend_from_slice(value.as_bytes());
            let tag = raw.encrypt_inout_detached(&nonce.into(), b"", (&mut buffer[..]).into())?;
            length += nonce.len() + black_box(&buffer).len() + black_box(tag).len();
        }
        Ok(length)
    };
    let [ours, theirs] = compare(100, tokens, documented);
    report("crypto_vs_raw", ours / theirs, &[("ours_ns", ours), ("raw_ns", theirs)]);
    let [ours, theirs] = compare(100, tokens, in_place);
    report("crypto_vs_raw_thread_nonces", ours / theirs, &[("ours_ns", ours), ("raw_ns", theirs)]);
    Ok(())
}
