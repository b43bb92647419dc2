//! `fieldseal encrypt`, `fieldseal decrypt` and `fieldseal honey`.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use serde_json::json;

use crate::arguments::DocumentArguments;
use crate::failure::Failure;
use crate::output::Output;

#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Encrypt,
    Decrypt,
    /// The same as to encrypt, with the mark of decoys.
    Decoys,
}

/// The longest line that is held: a line is written whole or not at all.
const LONGEST_LINE: usize = 64 << 20;

pub(crate) async fn run(arguments: DocumentArguments, direction: Direction) -> Result<(), Failure> {
    let DocumentArguments { keyring, index, policy, tenant } = arguments;
    let mut cipher = keyring.cipher(&policy, &index, tenant.as_deref()).await?;
    if !matches!(direction, Direction::Decrypt) {
        index.check(&cipher)?;
    }
    if matches!(direction, Direction::Decoys) {
        cipher = cipher.making_decoys();
    }
    let (mut input, mut output) = (io::stdin().lock(), io::LineWriter::new(io::stdout().lock()));
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let mut limited = io::Read::take(&mut input, LONGEST_LINE as u64 + 1);
        if io::BufRead::read_until(&mut limited, b'\n', &mut line)? == 0 {
            break;
        }
        let fault = |error: &dyn std::fmt::Display| Failure::Failed(format!("line {number}: {error}"));
        if line.len() > LONGEST_LINE {
            output.flush().map_err(Failure::of_output)?;
            return Err(fault(&"is longer than 64 MiB"));
        }
        let end = if line.ends_with(b"\n") { line.len() - 1 } else { line.len() };
        let (text, end) = line.split_at(end);
        if text.iter().all(u8::is_ascii_whitespace) {
            output.write_all(&line).map_err(Failure::of_output)?;
            continue;
        }
        let moved = match direction {
            Direction::Encrypt | Direction::Decoys => cipher.encrypt_json(text),
            Direction::Decrypt => cipher.decrypt_json(text),
        };
        match moved {
            Ok(moved) => output.write_all(&moved).map_err(Failure::of_output)?,
            Err(error) => {
                // The lines before are whole, and are handed on.
                output.flush().map_err(Failure::of_output)?;
                return Err(fault(&error));
            }
        }
        output.write_all(end).map_err(Failure::of_output)?;
    }
    output.flush().map_err(Failure::of_output)
}

/// Says which lines of standard input hold decoys. Nothing is opened.
pub(crate) async fn find_decoys(arguments: DocumentArguments, output: &Output) -> Result<(), Failure> {
    let DocumentArguments { keyring, index, policy, tenant } = arguments;
    let cipher = keyring.cipher(&policy, &index, tenant.as_deref()).await?;
    let (mut lines, mut text) = (Vec::new(), String::new());
    for (number, line) in (1_u64..).zip(io::BufRead::lines(io::stdin().lock())) {
        let line = line?;
        // What stands between quotes holds a token whole, since none of its characters is escaped.
        let parts = line.split('"').filter(|part| part.starts_with("fs1."));
        // A token under a key that is gone tells nothing any more.
        if parts.filter_map(|part| cipher.is_decoy(part).ok()).any(|is_decoy| is_decoy) {
            lines.push(number);
            let _ = writeln!(text, "line {number}");
        }
    }
    output.data(&format!("{text}{} lines hold decoys", lines.len()), &json!({ "lines": lines }))
}
