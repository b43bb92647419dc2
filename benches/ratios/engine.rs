//! The engine on whole documents.

use std::hint::black_box;

use fieldseal::FieldCipher;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::documents::{list, list_without_fields, list_without_persons, record, stored_list, strict_cipher};
use super::http::Failure;
use super::measure::{compare, report};
use super::naive::Naive;

pub(crate) fn encrypt_record_vs_naive(cipher: &FieldCipher, naive: &Naive) -> Result<(), Failure> {
    let record = record();
    let [ours, theirs] = compare(100, || cipher.encrypt_json(black_box(&record)), || naive.encrypt(black_box(&record)));
    report("encrypt_record_vs_naive", theirs / ours, &[("ours_ns", ours), ("naive_ns", theirs)]);
    Ok(())
}

pub(crate) fn decrypt_list_vs_naive(cipher: &FieldCipher, naive: &Naive) -> Result<(), Failure> {
    let (stored, naively_stored) = (stored_list(cipher, 1000)?, naive.encrypt_list(&list(1000))?);
    let [ours, theirs] =
        compare(1, || cipher.decrypt_json(black_box(&stored)), || naive.decrypt_list(black_box(&naively_stored)));
    report("decrypt_list_vs_naive", theirs / ours, &[("ours_us", ours / 1e3), ("naive_us", theirs / 1e3)]);
    Ok(())
}

/// A list of 1 MB that holds no tagged field.
pub(crate) fn json_pass(cipher: &FieldCipher) -> Result<(), Failure> {
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
    report("json_pass_gbps", gigabytes(ours), &[]);
    report("json_pass_vs_value", value / ours_again, &[("value_gbps", gigabytes(value))]);
    Ok(())
}

/// What it costs to look for personal data that is not tagged: in a list of 1 MB without tagged fields, and in a record
/// with six.
pub(crate) fn strict_pass(cipher: &FieldCipher) -> Result<(), Failure> {
    let strict = strict_cipher()?;
    let list = list_without_persons(1 << 20);
    let [looking, passing] =
        compare(2, || strict.encrypt_json(black_box(&list)), || cipher.encrypt_json(black_box(&list)));
    let gigabytes = |nanoseconds: f64| list.len() as f64 / nanoseconds;
    report(
        "strict_pass_vs_json_pass",
        looking / passing,
        &[("strict_gbps", gigabytes(looking)), ("pass_gbps", gigabytes(passing))],
    );
    let record = record();
    let [looking, passing] =
        compare(1000, || strict.encrypt_json(black_box(&record)), || cipher.encrypt_json(black_box(&record)));
    report("strict_pass_of_record", looking / passing, &[("strict_ns", looking), ("pass_ns", passing)]);
    Ok(())
}
