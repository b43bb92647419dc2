//! The measuring that the Rust programs share: medians of seven runs over all records, checked once.

use std::error::Error;
use std::time::Instant;
use std::{env, fs};

#[expect(dead_code, reason = "other comparisons use the rest")]
#[path = "../../../ratios/documents.rs"]
mod documents;

pub type Failure = Box<dyn Error>;

/// The six tagged fields of a record.
pub const FIELDS: [&str; 6] = documents::FIELDS;

/// The record of the other comparisons.
pub fn record() -> Vec<u8> {
    documents::record()
}

/// A cipher for its fields.
pub fn cipher() -> Result<fieldseal::FieldCipher, fieldseal::Error> {
    documents::cipher()
}

/// Returns what `work` makes of all records, and the median of how many of them it does in a second.
fn rate(records: &[Vec<u8>], work: impl Fn(&[u8]) -> Result<Vec<u8>, Failure>) -> Result<(Vec<Vec<u8>>, f64), Failure> {
    let (mut results, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let start = Instant::now();
        results = records.iter().map(|record| work(record)).collect::<Result<_, _>>()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok((results, records.len() as f64 / seconds[3]))
}

/// Measures both ways on the file that the last argument names.
pub fn measure(
    name: &str,
    encrypt: impl Fn(&[u8]) -> Result<Vec<u8>, Failure>,
    decrypt: impl Fn(&[u8]) -> Result<Vec<u8>, Failure>,
) -> Result<(), Failure> {
    let file = env::args().next_back().ok_or("the last argument is a file of records")?;
    let records: Vec<_> = fs::read(file)?.trim_ascii_end().split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let (stored, encrypted) = rate(&records, encrypt)?;
    let (opened, decrypted) = rate(&stored, decrypt)?;
    for (before, (stored, after)) in records.iter().zip(stored.iter().zip(&opened)) {
        let [before, after] = [before, after].map(|text| serde_json::from_slice::<serde_json::Value>(text));
        assert!(before? == after?, "a record came back otherwise");
        assert!(!String::from_utf8_lossy(stored).contains("Bishan"), "a record was stored in the clear");
    }
    println!("peer {name} {encrypted:.0} {decrypted:.0}");
    Ok(())
}
