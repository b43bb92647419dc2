//! The words after the program's name.

use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: breach_drill [--accounts NUMBER] [--dir DIR] [--no-layer]
  --accounts NUMBER  how many customers are made, 20000 unless given
  --dir DIR          where the files are kept; unless given, a temporary directory that is removed at the end
  --no-layer         run without encryption, to see what the thief finds then";

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) accounts: usize,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) with_layer: bool,
}

impl Arguments {
    /// Returns nothing where the words are not understood.
    pub(crate) fn parse(mut words: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut arguments = Self { accounts: 20_000, directory: None, with_layer: true };
        while let Some(word) = words.next() {
            match word.to_str()? {
                "--accounts" => {
                    let number = words.next()?.to_str()?.parse().ok()?;
                    arguments.accounts = Some(number).filter(|&number| number > 0)?;
                }
                "--dir" => arguments.directory = Some(words.next().filter(|path| !path.is_empty())?.into()),
                "--no-layer" => arguments.with_layer = false,
                _ => return None,
            }
        }
        Some(arguments)
    }
}
