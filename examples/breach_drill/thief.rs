//! The thief: takes the files, and looks for whatever is worth something.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tower::BoxError;

use crate::customer::{COLUMNS, Cell, Customer};
use crate::directory::{Directory, log_of};
use crate::people::Account;
use crate::report;
use crate::search::{ANCHOR, Needles};
use crate::spelling::Spelling;
use crate::token::is_token;

/// How many plaintexts are looked for in one round: their spellings take about 100 MB.
const ROUND: usize = 50_000;

/// The stolen files.
pub(crate) struct Loot {
    pub(crate) files: [(PathBuf, Vec<u8>); 2],
}

/// What the thief found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) plaintexts: usize,
    pub(crate) spellings: usize,
    pub(crate) hits: usize,
    pub(crate) examples: Vec<(PathBuf, usize, Spelling)>,
    /// Tagged cells that are tokens, and those that are none.
    pub(crate) token_cells: usize,
    pub(crate) plain_cells: usize,
    /// What one row holds in storage, and what its customer sees.
    pub(crate) row: Vec<(&'static str, String, String)>,
}
