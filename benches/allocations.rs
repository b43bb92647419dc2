//! cargo bench --bench allocations
//!
//! Heap allocations of the ways to encrypt a record. A program of its own, since its allocator counts all that it does.

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]
#![expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]

#[expect(dead_code, reason = "of the documents of the ratios, not all are needed")]
#[path = "ratios/documents.rs"]
mod documents;

use std::hint::black_box;

use allocation_counter::measure;
use documents::{cipher, record};

const RECORDS: u32 = 1000;

fn main() -> Result<(), fieldseal::Error> {
    let (cipher, record) = (cipher()?, record());
    let line = [&record[..], b"\n"].concat();
    let mut out = Vec::new();
    let reused = per_record(|| {
        out.clear();
        let mut encryptor = cipher.json_encryptor();
        encryptor.feed(black_box(&record), &mut out)?;
        encryptor.finish(&mut out)
    })?;
    let whole = per_record(|| cipher.encrypt_json(black_box(&record)).map(drop))?;
    let mut lines = cipher.ndjson_encryptor();
    let lines = per_record(|| {
        out.clear();
        lines.feed(black_box(&line), &mut out)
    })?;
    let stored = cipher.encrypt_json(&record)?;
    let decrypted = per_record(|| {
        out.clear();
        let mut decryptor = cipher.json_decryptor();
        decryptor.feed(black_box(&stored), &mut out)?;
        decryptor.finish(&mut out)
    })?;
    println!("ratio allocs_per_record {reused:.2}");
    println!("  allocs_per_record.encrypt_json {whole:.2}");
    println!("  allocs_per_record.line_of_ndjson {lines:.2}");
    println!("  allocs_per_record.decrypt_reused {decrypted:.2}");
    Ok(())
}

/// Returns how many allocations one record takes once a first one has brought what is kept.
fn per_record(mut work: impl FnMut() -> Result<(), fieldseal::Error>) -> Result<f64, fieldseal::Error> {
    work()?;
    let mut result = Ok(());
    let counted = measure(|| result = (0..RECORDS).try_for_each(|_| work()));
    result?;
    Ok(counted.count_total as f64 / f64::from(RECORDS))
}
