//! The command line: keyrings, rotation, scans, re-encryption, breach reports, NDJSON through a pipe, and descriptions of APIs.

#![forbid(unsafe_code)]

mod arguments;
mod breach;
mod document;
mod failure;
mod kek;
mod keyring;
mod keys;
mod openapi;
mod output;
mod table;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use fieldseal::memory;

use crate::arguments::{Arguments, Command, HoneyCommand};
use crate::failure::Failure;
use crate::output::Output;

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { format, lock_memory, command } = Arguments::parse();
    let output = Output::new(format);
    let outcome = match guard_memory(lock_memory) {
        Ok(()) => run(command, &output).await,
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

/// Keeps keys and values off the disk, before there are any.
fn guard_memory(is_locked: bool) -> Result<(), Failure> {
    if cfg!(unix) {
        memory::forbid_core_dumps()?;
    }
    if is_locked {
        memory::lock()?;
    }
    Ok(())
}

async fn run(command: Command, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Keys(keys) => keys::run(keys, output).await,
        Command::Scan(scan) => table::scan(scan, output).await,
        Command::Reencrypt(job) => table::reencrypt(job, output).await,
        Command::BreachReport(arguments) => breach::report(arguments, output).await,
        Command::Encrypt(document) => document::run(document, document::Direction::Encrypt).await,
        Command::Decrypt(document) => document::run(document, document::Direction::Decrypt).await,
        Command::Honey { command: HoneyCommand::Make(document) } => {
            document::run(document, document::Direction::Decoys).await
        }
        Command::Honey { command: HoneyCommand::Find(document) } => document::find_decoys(document, output).await,
        Command::Openapi { command } => openapi::run(command, output),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "fieldseal", &mut script);
            std::io::Write::write_all(&mut std::io::stdout(), &script).map_err(Failure::of_output)
        }
    }
}
