//! The engine against the sum of what it cannot do without: the calls of AES-GCM, one reading of the JSON, and base64.
//!
//! The floor reads and writes no document, and its tokens are the shortest there are: a nonce, the bare value without
//! padding or associated data, and the tag.

use std::hint::black_box;

use aes_gcm::aead::{Aead as _, Generate as _, KeyInit as _};
use aes_gcm::{AeadInOut as _, Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fieldseal::FieldCipher;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::documents::{FIELDS, record, stored_list};
use super::http::Failure;
use super::measure::{compare, report};
use super::naive::Naive;

const RECORDS: usize = 1000;

/// `record_vs_floor`: nonces are taken as the documentation of `aes-gcm` has it, each from the operating system.
/// `record_vs_floor_thread_nonces`: the floor in place, with nonces from the thread's generator.
pub(crate) fn record_vs_floor(cipher: &FieldCipher) -> Result<(), Failure> {
    let record = record();
    let parsed: Value = serde_json::from_slice(&record)?;
    let values: Vec<&str> = FIELDS.iter().map(|&field| parsed[field].as_str().unwrap_or_default()).collect();
    let raw = Aes256Gcm::new(&[7; 32].into());
    let ours = || cipher.encrypt_json(black_box(&record));
    let mut sealed = Vec::new();
    let documented = || -> Result<IgnoredAny, Failure> {
        for value in black_box(&values) {
            let nonce = aes_gcm::aead::Nonce::<Aes256Gcm>::generate();
            sealed.clear();
            sealed.extend_from_slice(&nonce);
            sealed.extend_from_slice(&raw.encrypt(&nonce, value.as_bytes())?);
            black_box(STANDARD.encode(&sealed));
        }
        Ok(serde_json::from_slice(black_box(&record))?)
    };
    let [time, floor] = compare(100, ours, documented);
    report("record_vs_floor", time / floor, &[("ours_ns", time), ("floor_ns", floor)]);

    let (mut sealed, mut text) = (Vec::new(), String::new());
    let in_place = || -> Result<IgnoredAny, Failure> {
        for value in black_box(&values) {
            let nonce: [u8; 12] = rand::random();
            sealed.clear();
            sealed.extend_from_slice(&nonce);
            sealed.extend_from_slice(value.as_bytes());
            let tag = raw.encrypt_inout_detached(&nonce.into(), b"", (&mut sealed[12..]).into())?;
            sealed.extend_from_slice(&tag);
            text.clear();
            STANDARD.encode_string(&sealed, &mut text);
            black_box(&text);
        }
        Ok(serde_json::from_slice(black_box(&record))?)
    };
    let [time, floor] = compare(100, ours, in_place);
    report("record_vs_floor_thread_nonces", time / floor, &[("ours_ns", time), ("floor_ns", floor)]);
    Ok(())
}

/// `list_vs_floor`: as the documentation of `aes-gcm` has it. `list_vs_floor_in_place`: the floor in place.
pub(crate) fn list_vs_floor(cipher: &FieldCipher, naive: &Naive) -> Result<(), Failure> {
    let stored = stored_list(cipher, RECORDS)?;
    // What the floor reads and opens: the same list as it is stored by raw calls.
    let floor_stored = naive.encrypt_list(&super::documents::list(RECORDS))?;
    let records: Vec<Value> = serde_json::from_slice(&floor_stored)?;
    let texts: Vec<&str> = records
        .iter()
        .flat_map(|record| FIELDS.iter().map(|&field| record[field].as_str().unwrap_or_default()))
        .collect();
    let raw = Aes256Gcm::new(&[7; 32].into());
    let ours = || cipher.decrypt_json(black_box(&stored));
    let documented = || -> Result<IgnoredAny, Failure> {
        for text in black_box(&texts) {
            let sealed = STANDARD.decode(text)?;
            let (nonce, sealed) = sealed.split_first_chunk::<12>().ok_or("too short")?;
            black_box(raw.decrypt(&Nonce::from(*nonce), sealed)?);
        }
        Ok(serde_json::from_slice(black_box(&floor_stored))?)
    };
    let [time, floor] = compare(1, ours, documented);
    report("list_vs_floor", time / floor, &[("ours_us", time / 1e3), ("floor_us", floor / 1e3)]);

    let mut sealed = Vec::new();
    let in_place = || -> Result<IgnoredAny, Failure> {
        for text in black_box(&texts) {
            sealed.clear();
            STANDARD.decode_vec(text, &mut sealed)?;
            let (nonce, rest) = sealed.split_first_chunk_mut::<12>().ok_or("too short")?;
            let (value, tag) = rest.split_last_chunk_mut::<16>().ok_or("too short")?;
            raw.decrypt_inout_detached(&Nonce::from(*nonce), b"", (&mut *value).into(), &(*tag).into())?;
            black_box(value);
        }
        Ok(serde_json::from_slice(black_box(&floor_stored))?)
    };
    let [time, floor] = compare(1, ours, in_place);
    report("list_vs_floor_in_place", time / floor, &[("ours_us", time / 1e3), ("floor_us", floor / 1e3)]);
    Ok(())
}
