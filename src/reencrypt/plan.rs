//! What a job does to a batch of rows.

use super::database::{Batch, Lease, Shape, Statements, Step};
use super::report::Scan;
use super::row::{Cell, Change, KeyPart, Row, RowKey, shown};
use super::table::{Content, EncryptedTable};
use crate::cipher::{CellValue, Direction, FieldCipher, Finding, IndexCell, Migration};
use crate::error::{Error, ErrorKind};
use crate::keys::{KeyId, Term};

/// How often a row that others change at the same time is read again.
const ATTEMPTS: usize = 5;

/// What is done to which rows.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) table: EncryptedTable,
    pub(super) direction: Direction,
    pub(super) batch: u32,
}

impl Plan {
    /// Reads the rows of a batch, and encrypts what is to take their place.
    pub(super) async fn prepare(
        &self,
        database: &impl Statements,
        shape: &Shape,
        lease: &Lease,
        after: Option<RowKey>,
    ) -> Result<Prepared, Error> {
        let rows = database.read(shape, after.as_ref(), lease.until.as_ref(), self.batch).await?;
        let is_done = rows.len() < usize::try_from(self.batch).unwrap_or(usize::MAX);
        let at = rows.last().map(|row| row.key.clone());
        let mut found = Scan::begin();
        let batch = self.change(rows, Some(&mut found))?;
        Ok(Prepared { batch, found, at, is_done })
    }

    /// Writes a batch in one transaction, and returns how many rows were moved and how many could not be, or nothing
    /// where the lease was lost.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyUnavailable`] where it waited in the database for so long that a scan may have found nothing left
    /// under its key: nothing of it is stored.
    pub(super) async fn write(
        &self,
        database: &impl Statements,
        shape: &Shape,
        lease: &Lease,
        mut encrypted: Encrypted,
        mut step: Step,
    ) -> Result<Option<(u64, u64)>, Error> {
        let mut batch = database.batch().await?;
        let mut missed = Vec::new();
        let mut terms = Vec::new();
        for _ in 0..ATTEMPTS {
            if encrypted.is_stale(&self.table.cipher) {
                let rows = encrypted.changes.into_iter().map(|change| change.old).collect();
                encrypted = self.change(rows, None)?;
            }
            terms.extend(encrypted.key.map(|(_, term)| term));
            missed = batch.write(shape, &encrypted.changes).await?;
            step.moved += u64::try_from(encrypted.changes.len() - missed.len()).unwrap_or(u64::MAX);
            if missed.is_empty() {
                break;
            }
            // Changed by others since they were read: by now they may be under the right key already, or gone.
            let again = batch.read_again(shape, &missed).await?;
            encrypted = self.change(again, None)?;
        }
        if !batch.account(lease, &step).await? {
            return Ok(None);
        }
        if step.moved > 0 && terms.iter().any(|term| term.check().is_err()) {
            let message = format!(
                "a batch of table `{}` waited in the database for longer than the `longest_request` of the keyring's \
                 timing: another key may be in force by now; nothing of it is stored",
                self.table.name
            );
            return Err(Error::new(ErrorKind::KeyUnavailable, message));
        }
        batch.commit().await?;
        Ok(Some((step.moved, u64::try_from(missed.len()).unwrap_or(u64::MAX))))
    }

    /// Returns the rows that have to change. What is found in them is added to `found`.
    pub(super) fn change(&self, rows: Vec<Row>, mut found: Option<&mut Scan>) -> Result<Encrypted, Error> {
        // A new one for each batch, so that no batch encrypts with keys older than their lease.
        let mut migration = Migration::new(&self.table.cipher, self.direction)?;
        let mut changes = Vec::new();
        for row in rows {
            let (mut new, mut unread) = (None, Vec::new());
            if self.table.cipher.policy().record_binding().is_some() {
                migration.begin_row(&self.record_id(&row.key)?);
            }
            let mut values = Vec::new();
            for (index, column) in self.table.columns.iter().enumerate() {
                let cell = &row.cells[index];
                let told = |error| self.in_row(&row, index, error);
                values.push(CellValue::Null);
                if let Some(made) = self.index_cell(&migration, column.content, &values, cell) {
                    let made = match made.map_err(told)? {
                        IndexCell::Stays => continue,
                        IndexCell::Empty => Cell::Null,
                        IndexCell::Holds(made) => Cell::Text(made.into()),
                    };
                    new.get_or_insert_with(|| row.cells.clone())[index] = made;
                    continue;
                }
                let Some(bytes) = cell.as_bytes() else { continue };
                let is_binary = matches!(cell, Cell::Binary(_));
                let moved = column.moved(&mut migration, bytes, is_binary, &mut unread);
                values[index] = migration.take_value();
                if let Some(moved) = moved.map_err(told)? {
                    let new = new.get_or_insert_with(|| row.cells.clone());
                    let not_text = || self.table.fault("holds what decrypts to no text");
                    new[index] = cell.with(moved).ok_or_else(not_text)?;
                }
            }
            let findings = migration.end_row();
            if let Some(found) = &mut found {
                found.count_row();
                for (field, finding) in findings {
                    found.count(self.table.cipher.policy().field(field).name(), finding, || shown(&row.key));
                }
                for column in unread {
                    found.count(column, Finding::Unreadable(None), || shown(&row.key));
                }
            }
            changes.extend(new.map(|new| Change { old: row, new }));
        }
        Ok(Encrypted { changes, key: migration.key() })
    }

    /// What becomes of the cell of a column that holds indexes; nothing for any other column.
    fn index_cell(
        &self,
        migration: &Migration,
        content: Content,
        values: &[CellValue],
        cell: &Cell,
    ) -> Option<Result<IndexCell, Error>> {
        match content {
            Content::Index(field, beside) => Some(migration.index_cell(field, &values[beside], cell.as_bytes())),
            Content::CompoundIndex(place) => {
                let (_, fields) = self.table.cipher.policy().compounds().nth(place)?;
                let parts = fields.iter().filter_map(|&field| self.table.columns_of(field).next());
                let parts: Vec<_> = parts.map(|place| &values[place]).collect();
                Some(migration.compound_cell(place, &parts, cell.as_bytes()))
            }
            Content::Field(_) | Content::Document => None,
        }
    }

    /// The key of a row as the id of the record that its values are bound to.
    fn record_id(&self, key: &RowKey) -> Result<String, Error> {
        match &key[..] {
            [id @ (KeyPart::Integer(_) | KeyPart::Text(_))] => Ok(id.to_string()),
            _ => Err(self.table.fault(
                "has a key of several columns, or of bytes: that is no id of a record, which its policy binds tokens to",
            )),
        }
    }

    /// The columns that hold the value which column number `at` is about.
    fn place(&self, at: usize) -> Vec<&str> {
        let name = |place: usize| &*self.table.columns[place].name;
        match self.table.columns[at].content {
            Content::Field(_) | Content::Document => vec![name(at)],
            Content::Index(_, beside) => vec![name(beside)],
            Content::CompoundIndex(place) => {
                let compound = self.table.cipher.policy().compounds().nth(place);
                let fields = compound.into_iter().flat_map(|(_, fields)| fields);
                fields.filter_map(|&field| self.table.columns_of(field).next()).map(name).collect()
            }
        }
    }

    fn in_row(&self, row: &Row, at: usize, error: Error) -> Error {
        let (kind, table, key) = (error.kind(), &self.table.name, shown(&row.key));
        let columns = self.place(at).join("`, `");
        let message = format!("table `{table}`, row {key}, column `{columns}` holds what cannot be moved");
        Error::new(kind, message).with_source(error)
    }
}

/// A batch that waits to be written.
pub(super) struct Prepared {
    pub(super) batch: Encrypted,
    pub(super) found: Scan,
    /// The last key that was read.
    pub(super) at: Option<RowKey>,
    pub(super) is_done: bool,
}

/// Rows that have to change, and what they were encrypted with.
pub(super) struct Encrypted {
    pub(super) changes: Vec<Change>,
    /// The key, and for how long it may be used. None where nothing is encrypted.
    key: Option<(KeyId, Term)>,
}

impl Encrypted {
    /// Returns whether another key encrypts by now, or may do so.
    fn is_stale(&self, cipher: &FieldCipher) -> bool {
        let stale = |(key, term): (KeyId, Term)| term.is_over() || cipher.keys().primary_id() != Some(key);
        !self.changes.is_empty() && self.key.is_some_and(stale)
    }
}
