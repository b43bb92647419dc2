//! What is written where: data to standard output, messages to standard error.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde_json::Value;

use crate::failure::Failure;

/// How data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines for a person.
    Text,
    /// One JSON object.
    Json,
}

#[derive(Clone)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// Writes data: `text`, or `json` where that is asked for.
    pub(crate) fn data(&self, text: &str, json: &Value) -> Result<(), Failure> {
        let line = match self.format {
            Format::Text => text.trim_end().to_owned(),
            Format::Json => json.to_string(),
        };
        writeln!(io::stdout(), "{line}").map_err(Failure::of_output)
    }

    /// Says something to the person at the terminal.
    #[expect(clippy::unused_self, reason = "all that is written goes through here")]
    pub(crate) fn say(&self, message: &str) {
        let _ = writeln!(io::stderr(), "{message}");
    }

    /// Has the person confirm what cannot be undone, by typing `word`, unless `--yes` was given.
    #[expect(clippy::unused_self, reason = "all that is written goes through here")]
    pub(crate) fn confirm(&self, question: &str, word: &str, is_confirmed: bool) -> Result<(), Failure> {
        if is_confirmed {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::Usage(format!("{question} This cannot be undone: confirm it with --yes")));
        }
        let _ = write!(io::stderr(), "{question} This cannot be undone. Type {word} to go on: ");
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        if line.trim() == word { Ok(()) } else { Err(Failure::Failed("not confirmed: nothing was changed".to_owned())) }
    }
}
