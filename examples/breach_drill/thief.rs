//! The thief: takes the files, and looks for whatever is worth something.

use std::fs;

use rusqlite::Connection;
use tower::BoxError;

use crate::customer::{COLUMNS, Customer};
use crate::directory::{Directory, log_of};
use crate::people::Account;
use crate::plaintext::plaintexts;
use crate::report;
use crate::search::Needles;
use crate::spelling::Spelling;
use crate::token::is_token;

/// How many plaintexts are looked for in one round. Their spellings take less than 100 MB.
const ROUND: usize = 50_000;
const DATABASE: &str = "stolen.db";
const LOG: &str = "stolen.db-wal";

/// The stolen files, byte for byte.
pub(crate) struct Loot {
    database: Vec<u8>,
    log: Vec<u8>,
}

/// What the thief found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) plaintexts: usize,
    pub(crate) spellings: usize,
    pub(crate) hits: Vec<Hit>,
    pub(crate) tagged_cells: usize,
    /// Tagged cells that are no tokens.
    pub(crate) plain_cells: usize,
    /// The first customer's row as it lies in storage.
    pub(crate) row: Option<Customer>,
}

impl Findings {
    /// A tagged cell in the clear counts as a hit of its own, since its value may be too short to be looked for alone.
    pub(crate) fn total(&self) -> usize {
        self.hits.len() + self.plain_cells
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    pub(crate) file: &'static str,
    pub(crate) position: usize,
    pub(crate) spelling: Spelling,
}

/// Copies the database and its write-ahead log while the service has them open.
pub(crate) fn steal(directory: &Directory) -> Result<Loot, BoxError> {
    let (database, stolen) = (directory.database(), directory.path().join(DATABASE));
    fs::copy(&database, &stolen)?;
    fs::copy(log_of(&database), log_of(&stolen))?;
    Ok(Loot { database: fs::read(&stolen)?, log: fs::read(log_of(&stolen))? })
}

impl Loot {
    pub(crate) fn files(&self) -> [(&'static str, &[u8]); 2] {
        [(DATABASE, &self.database), (LOG, &self.log)]
    }

    pub(crate) fn size(&self) -> usize {
        self.database.len() + self.log.len()
    }

    /// Looks for everything that `accounts` have sent, in every byte and in every row.
    pub(crate) fn examine(&self, accounts: &[Account]) -> Result<Findings, BoxError> {
        let mut findings = Findings::default();
        self.search(&plaintexts(accounts), &mut findings);
        self.read_rows(accounts.len(), &mut findings)?;
        Ok(findings)
    }

    fn search(&self, plaintexts: &[String], findings: &mut Findings) {
        findings.plaintexts = plaintexts.len();
        let bar = report::bar("search what was stolen", plaintexts.len());
        for round in plaintexts.chunks(ROUND) {
            let needles = Needles::of(round);
            findings.spellings += needles.len();
            for (file, bytes) in self.files() {
                needles.search(bytes, |position, spelling| findings.hits.push(Hit { file, position, spelling }));
            }
            bar.inc(round.len() as u64);
        }
        bar.finish_and_clear();
    }

    /// Opens a copy of what was stolen, since SQLite would write the log into the database and remove it.
    fn read_rows(&self, expected: usize, findings: &mut Findings) -> Result<(), BoxError> {
        let directory = tempfile::tempdir()?;
        for (file, bytes) in self.files() {
            fs::write(directory.path().join(file), bytes)?;
        }
        let database = Connection::open(directory.path().join(DATABASE))?;
        let mut statement = database.prepare(&format!("SELECT {COLUMNS} FROM customers ORDER BY id"))?;
        let mut rows = 0;
        for customer in statement.query_map([], Customer::from_row)? {
            let customer = customer?;
            for cell in customer.cells().iter().filter(|cell| cell.is_tagged) {
                findings.tagged_cells += 1;
                findings.plain_cells += usize::from(!is_token(cell.text));
            }
            rows += 1;
            findings.row.get_or_insert(customer);
        }
        if rows != expected {
            return Err(format!("the stolen database holds {rows} customers instead of {expected}").into());
        }
        Ok(())
    }
}
