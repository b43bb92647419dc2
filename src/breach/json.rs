//! Dumps in JSON: one document, or one after the other.

use std::io::Read;

use serde::de::IgnoredAny;

use super::input::Input;
use super::survey::Survey;
use super::walk::{Records, Walk};

/// Reads to the end. Each document is a record where the first line is a whole one and others follow; else its elements
/// are.
pub(super) fn read(input: &mut Input<impl Read>, survey: &mut Survey, beginning: &[u8]) -> Result<(), String> {
    let unreadable = |error| format!("it cannot be read to its end: {error}");
    if beginning.starts_with(b"\xef\xbb\xbf") {
        input.take(3);
    }
    let table = survey.tally.table("");
    let are_lines = are_lines(beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning));
    let records = if are_lines { Records::None } else { Records::Elements };
    let mut number = 0_u64;
    while let Some(first) = input.skip_blanks().map_err(unreadable)? {
        number += 1;
        if !matches!(first, b'{' | b'[') {
            return Err(format!("what follows document {} is no JSON document", number - 1));
        }
        let around = survey.tally.begin_record();
        let read = Walk::new(survey, table, records).read(&mut serde_json::Deserializer::from_reader(&mut *input));
        // The elements of an array are counted each; what stands beside them is a record where something was found.
        if records == Records::None && read.is_ok() || survey.tally.has_found() {
            survey.tally.end_record(table, around);
        } else {
            survey.tally.resume(around);
        }
        read.map_err(|error| {
            // Nothing of the document is told: a message of the parser may hold some of it.
            let (line, column) = (error.line(), error.column());
            if error.is_eof() {
                format!("it is cut short within document {number}")
            } else {
                format!("document {number} is no JSON at its line {line}, column {column}")
            }
        })?;
    }
    Ok(())
}

/// Whether the first line is a whole document, and another one begins behind it.
fn are_lines(beginning: &[u8]) -> bool {
    let beginning = beginning.trim_ascii_start();
    let Some(end) = memchr::memchr(b'\n', beginning) else { return false };
    let (first, rest) = beginning.split_at(end);
    serde_json::from_slice::<IgnoredAny>(first).is_ok() && matches!(rest.trim_ascii_start().first(), Some(b'{' | b'['))
}
