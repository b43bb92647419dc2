//! Dumps as comma-separated values (RFC 4180), and with other signs between them.

use std::collections::HashSet;
use std::io::{self, Read};

use super::input::Input;
use super::survey::{Cell, LONGEST_CELL, Survey};
use super::walk::is_shown;

/// The signs that separate values.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Reads to the end.
pub(super) fn read(input: &mut Input<impl Read>, survey: &mut Survey) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("it cannot be read to its end: {error}");
    if input.rest().map_err(unreadable)?.starts_with(b"\xef\xbb\xbf") {
        input.take(3);
    }
    let separator = separator_of(input.rest().map_err(unreadable)?);
    let mut row = Row::default();
    if !row.read(input, separator)? {
        return Ok(());
    }
    let mut columns = row.names();
    let has_header = columns.is_some();
    let width = row.ends.len();
    let columns = columns.get_or_insert_with(|| (1..=width).map(|number| format!("(column {number})")).collect());
    survey.table("", columns);
    if !has_header {
        survey
            .notes
            .push("The first line is no header, so columns have numbers, and none is told to be a field.".into());
        survey.row(row.cells());
    }
    let mut uneven = 0_u64;
    while row.read(input, separator)? {
        if row.is_blank() {
            continue;
        }
        uneven += u64::from(row.ends.len() != width);
        survey.row(row.cells());
    }
    if row.is_cut {
        return Err("it is cut short within a quoted value".to_owned());
    }
    if uneven > 0 {
        return Err(format!(
            "{uneven} of its rows have another number of values than the first: it is cut short or damaged"
        ));
    }
    Ok(())
}

/// The sign that stands most often in the first line, outside of quotes.
fn separator_of(beginning: &[u8]) -> u8 {
    let mut counts = [0; SEPARATORS.len()];
    let mut is_quoted = false;
    for &byte in beginning {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => break,
            _ if is_quoted => {}
            byte => {
                if let Some(place) = SEPARATORS.iter().position(|&separator| separator == byte) {
                    counts[place] += 1;
                }
            }
        }
    }
    let most = counts.iter().max().copied().unwrap_or_default();
    SEPARATORS[counts.iter().position(|&count| count == most).unwrap_or_default()]
}

/// The values of one row, one after the other.
#[derive(Default)]
struct Row {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    is_cut: bool,
}

impl Row {
    /// Reads the next row. Returns whether there is one.
    fn read(&mut self, input: &mut Input<impl Read>, separator: u8) -> Result<bool, String> {
        let unreadable = |error: io::Error| format!("it cannot be read to its end: {error}");
        self.bytes.clear();
        self.ends.clear();
        if input.peek().map_err(unreadable)?.is_none() {
            return Ok(false);
        }
        let too_long = || format!("one of its rows is longer than {} MiB", LONGEST_CELL >> 20);
        loop {
            let is_end = |byte| matches!(byte, b'\n' | b'"') || byte == separator;
            if !input.until(is_end, &mut self.bytes, LONGEST_CELL).map_err(unreadable)? {
                return Err(too_long());
            }
            let begin = self.ends.last().copied().unwrap_or_default();
            match input.next().map_err(unreadable)? {
                Some(b'"') if self.bytes.len() == begin => {
                    self.quoted(input, &too_long)?;
                }
                // A quote within a value that does not begin with one stands for itself.
                Some(b'"') => self.bytes.push(b'"'),
                Some(b'\n') | None => {
                    if self.bytes.len() > begin && self.bytes.ends_with(b"\r") {
                        self.bytes.pop();
                    }
                    self.ends.push(self.bytes.len());
                    return Ok(true);
                }
                Some(_) => self.ends.push(self.bytes.len()),
            }
        }
    }

    /// Reads the rest of a quoted value, with its quote.
    fn quoted(&mut self, input: &mut Input<impl Read>, too_long: &dyn Fn() -> String) -> Result<(), String> {
        let unreadable = |error: io::Error| format!("it cannot be read to its end: {error}");
        loop {
            if !input.until(|byte| byte == b'"', &mut self.bytes, LONGEST_CELL).map_err(unreadable)? {
                return Err(too_long());
            }
            if input.next().map_err(unreadable)?.is_none() {
                self.is_cut = true;
                return Ok(());
            }
            if input.peek().map_err(unreadable)? != Some(b'"') {
                return Ok(());
            }
            input.take(1);
            self.bytes.push(b'"');
        }
    }

    fn values(&self) -> impl Iterator<Item = &[u8]> {
        let begins = [0].into_iter().chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| &self.bytes[begin..end])
    }

    fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.values().map(Cell::Text)
    }

    fn is_blank(&self) -> bool {
        self.bytes.is_empty() && self.ends.len() <= 1
    }

    /// The names of columns, where the row is a header: all of them look like names, and no two are alike.
    fn names(&self) -> Option<Vec<String>> {
        let names = self.values().map(|value| str::from_utf8(value).ok().map(str::trim).filter(|name| is_shown(name)));
        let names: Vec<String> = names.map(|name| name.map(str::to_owned)).collect::<Option<_>>()?;
        let distinct: HashSet<_> = names.iter().collect();
        (distinct.len() == names.len()).then_some(names)
    }
}
