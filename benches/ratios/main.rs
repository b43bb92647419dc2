//! cargo bench --bench ratios
//!
//! Prints one line each, `ratio NAME VALUE`. Both sides of a ratio run in turn in this process, and the medians are
//! compared; see `benches/README.md` for what each name means.

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]
#![expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
#![expect(clippy::unnecessary_wraps, reason = "all comparisons read alike")]

mod documents;
mod frequency;
mod http;
mod lookup;
mod measure;
mod memory;
mod naive;

use std::env;
use std::error::Error;
use std::hint::black_box;

use aes_gcm::aead::{Aead as _, Generate as _, KeyInit as _, Nonce};
use aes_gcm::{AeadInOut as _, Aes256Gcm};
use fieldseal::FieldCipher;
use serde::de::IgnoredAny;
use serde_json::Value;

use documents::{FIELDS, cipher, list, list_without_fields, record};
use measure::{compare, report};
use naive::Naive;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--load", address, kind, seconds] => return http::load(address, kind, seconds.parse()?),
        ["--stream"] => return memory::stream(),
        _ => {}
    }
    // `cargo bench NAME` runs only what has NAME in it.
    let wanted = arguments.iter().find(|argument| !argument.starts_with("--"));
    let is_wanted = |name: &str| wanted.is_none_or(|wanted| name.contains(wanted.as_str()));

    let (cipher, naive) = (cipher()?, Naive::new());
    if is_wanted("crypto_vs_raw") {
        crypto_vs_raw(&cipher)?;
    }
    if is_wanted("encrypt_record_vs_naive") {
        let record = record();
        let [ours, theirs] =
            compare(1000, || cipher.encrypt_json(black_box(&record)), || naive.encrypt(black_box(&record)));
        report("encrypt_record_vs_naive", theirs / ours, &[("ours_ns", ours), ("naive_ns", theirs)]);
    }
    if is_wanted("decrypt_list_vs_naive") {
        let list = list(1000);
        // Each record was stored by a request of its own, so no two share a nonce prefix.
        let records: Vec<_> = (0..1000).map(|_| cipher.encrypt_json(&record())).collect::<Result<_, _>>()?;
        let stored = [b"[", &records.join(&b',')[..], b"]"].concat();
        let naively_stored = naive.encrypt_list(&list)?;
        let [ours, theirs] =
            compare(3, || cipher.decrypt_json(black_box(&stored)), || naive.decrypt_list(black_box(&naively_stored)));
        report("decrypt_list_vs_naive", theirs / ours, &[("ours_us", ours / 1e3), ("naive_us", theirs / 1e3)]);
    }
    if is_wanted("json_pass") {
        json_pass(&cipher)?;
    }
    if is_wanted("layer_vs_bare") {
        http::layer_vs_bare(&cipher)?;
    }
    if is_wanted("lookup_vs_plain") {
        lookup::lookup_vs_plain()?;
    }
    if is_wanted("recovered_percent") {
        frequency::recovered_percent()?;
    }
    if is_wanted("stream_peak_kib") {
        memory::stream_peak()?;
    }
    Ok(())
}

/// Six values of one record as binary tokens, against six raw calls as the documentation of `aes-gcm` has them, with
/// nonces from the operating system; and, as a figure, against the same in place with nonces from the thread's
/// generator, which is cheaper and repeats where a process is forked or a machine restored.
fn crypto_vs_raw(cipher: &FieldCipher) -> Result<(), Box<dyn Error + Send + Sync>> {
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
    let [ours, theirs] = compare(1000, tokens, documented);
    report("crypto_vs_raw", ours / theirs, &[("ours_ns", ours), ("raw_ns", theirs)]);
    let [ours, theirs] = compare(1000, tokens, in_place);
    report("crypto_vs_raw_thread_nonces", ours / theirs, &[("ours_ns", ours), ("raw_ns", theirs)]);
    Ok(())
}

/// A list of 1 MB that holds no tagged field.
fn json_pass(cipher: &FieldCipher) -> Result<(), Box<dyn Error + Send + Sync>> {
    let list = list_without_fields(1 << 20);
    let [ours, ignored] =
        compare(2, || cipher.encrypt_json(black_box(&list)), || serde_json::from_slice::<IgnoredAny>(black_box(&list)));
    let [ours_again, value] = compare(
        1,
        || cipher.encrypt_json(black_box(&list)),
        || serde_json::from_slice::<Value>(black_box(&list)).and_then(|value| serde_json::to_vec(&value)),
    );
    let gigabytes = |nanoseconds: f64| list.len() as f64 / nanoseconds;
    report(
        "json_pass_vs_ignored",
        ignored / ours,
        &[("ours_gbps", gigabytes(ours)), ("ignored_gbps", gigabytes(ignored))],
    );
    report("json_pass_vs_value", value / ours_again, &[("value_gbps", gigabytes(value))]);
    Ok(())
}
