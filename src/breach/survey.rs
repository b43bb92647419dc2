//! Goes through a stolen dump, record by record.

use std::io::Read;
use std::sync::Arc;

use super::form::Form;
use super::input::Input;
use super::marks::{self, Marks};
use super::notice::Duty;
use super::reach::{Reach, Standing};
use super::report::Report;
use super::tally::Tally;
use super::walk;
use super::{csv, json, sql};
use crate::copy_text;
use crate::crypto::index_key::INDEX_MARK;
use crate::crypto::token;
use crate::error::{Error, ErrorKind};
use crate::keys::KeyringListing;
use crate::policy::{Policy, State};

/// The longest cell or line that is held.
pub(super) const LONGEST_CELL: usize = 64 << 20;

/// Counts what of a stolen dump is exposed. It opens nothing, and needs no key.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
///
/// use fieldseal::breach::{Duty, Reach, Survey};
/// use fieldseal::keys::{Keyring, KeyringFile, KeyringListing, Keys, LocalKek, SecretKey};
/// use fieldseal::{FieldCipher, Policy, Tag};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fieldseal::Error> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("keyring.json");
/// let (kek, store) = (LocalKek::new(&SecretKey::generate()?), KeyringFile::new(path));
/// let mut keyring = Keyring::create("customers", &kek).await?;
/// keyring.save(&store).await?;
/// let policy = Arc::new(Policy::new("customers", [("phone", Tag::Phone)])?);
/// let cipher = FieldCipher::new(Arc::clone(&policy), Keys::open(store, kek).await?);
/// let token = cipher.encrypt_value("phone", "+65 9123 4567")?;
/// let dump = format!("id,phone\n1,{token}\n2,+65 8123 4567\n");
///
/// let mut survey = Survey::new(&[KeyringListing::from(&keyring)], Reach::new())?.policy(policy);
/// survey.read(dump.as_bytes(), None)?;
/// let report = survey.finish(&Duty::default());
/// assert_eq!((report.people.touched, report.people.alive, report.people.in_the_clear), (2, 1, 1));
/// # Ok(())
/// # }
/// ```
pub struct Survey {
    pub(super) listings: Vec<KeyringListing>,
    pub(super) reach: Reach,
    pub(super) policy: Option<Arc<Policy>>,
    /// Columns that are called otherwise than their field.
    columns: Vec<(String, String)>,
    pub(super) tally: Tally,
    table: Table,
    pub(super) form: Option<Form>,
    pub(super) length: u64,
    /// Heads of tokens that stand anywhere in the dump.
    pub(super) marks: Marks,
    /// Why the dump was not read to its end.
    pub(super) fault: Option<String>,
    pub(super) notes: Vec<String>,
}

/// One cell of a row.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// A text, a number, or a document as text.
    Text(&'a [u8]),
    /// Bytes.
    Binary(&'a [u8]),
}

impl std::fmt::Debug for Cell<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Text(_) => "Text([REDACTED])",
            Self::Binary(_) => "Binary([REDACTED])",
        })
    }
}

/// The table that rows come from.
#[derive(Default)]
struct Table {
    place: usize,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    field: Option<String>,
    /// Where it is counted, once something was found in it.
    place: Option<usize>,
}

impl Survey {
    /// Begins with what `keyrings` say of the keys, for a thief who had what `reach` says.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where `reach` names a key-encryption key that never wrapped a key of them.
    pub fn new(keyrings: &[KeyringListing], reach: Reach) -> Result<Self, Error> {
        reach.check(keyrings)?;
        let standings = keyrings.iter().flat_map(|listing| {
            let reach = &reach;
            listing.keys().iter().map(move |entry| {
                (entry.id(), [false, true].map(|holds_keyring| reach.standing(listing, entry, holds_keyring)))
            })
        });
        let tally = Tally::new(standings);
        Ok(Self {
            listings: keyrings.to_vec(),
            reach,
            policy: None,
            columns: Vec::new(),
            tally,
            table: Table::default(),
            form: None,
            length: 0,
            marks: Marks::new(),
            fault: None,
            notes: Vec::new(),
        })
    }

    /// Names the fields by `policy`, and counts their values that are in the clear.
    #[must_use]
    pub fn policy(mut self, policy: impl Into<Arc<Policy>>) -> Self {
        self.policy = Some(policy.into());
        self
    }

    /// Says that columns called `column` hold values of `field`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] where the policy has no such field, or there is no policy.
    pub fn column(mut self, column: impl Into<String>, field: &str) -> Result<Self, Error> {
        let is_known = self.policy.as_deref().is_some_and(|policy| policy.field_named(field).is_some());
        if !is_known {
            let message = format!("the policy has no field `{field}`");
            return Err(Error::new(ErrorKind::InvalidValue, message));
        }
        self.columns.push((column.into(), field.to_owned()));
        Ok(self)
    }

    /// Goes through `dump`, whose form is told by how it begins unless `form` is given. Memory stays the same however
    /// long it is.
    ///
    /// A dump that is cut short is counted as far as it goes, and the report says so. The rows of a database file are
    /// not read here: give them to [`table`](Self::table) and [`row`](Self::row), and the file to this method, which
    /// finds what stands beside them, such as deleted rows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`] where it is empty or packed. [`ErrorKind::Database`] where it cannot be read at all.
    pub fn read(&mut self, dump: impl Read, form: Option<Form>) -> Result<(), Error> {
        let unreadable = |error| Error::new(ErrorKind::Database, "the dump cannot be read").with_source(error);
        let mut input = Input::new(dump);
        let beginning = input.beginning().map_err(unreadable)?;
        let told = Form::of(beginning);
        let form = match form {
            // What is empty or packed is so in any form.
            Some(form) => told.map(|_| form)?,
            None => told?,
        };
        let beginning = beginning.to_vec();
        if matches!(form, Form::Raw | Form::Sqlite) {
            let ids = self.listings.iter().flat_map(KeyringListing::keys).map(crate::keys::KeyEntry::id);
            input.marks = Marks::new().with_binary(ids);
            input.marks.look(&beginning);
        }
        self.form = Some(form);
        let read = match form {
            Form::Sql => sql::read(&mut input, self),
            Form::Csv => csv::read(&mut input, self),
            Form::Json => json::read(&mut input, self, &beginning),
            Form::Sqlite | Form::Raw => Ok(()),
        };
        let drained = input.drain();
        if let Err(fault) = read {
            self.fault = Some(fault);
        } else if let Err(error) = drained {
            self.fault = Some(format!("it cannot be read to its end: {error}"));
        }
        input.marks.finish();
        self.length += input.length;
        self.marks = input.marks;
        Ok(())
    }

    /// Says that the rows that follow are of the table called `name` with these columns.
    pub fn table(&mut self, name: &str, columns: &[impl AsRef<str>]) {
        let columns = columns.iter().map(|column| {
            let name = column.as_ref();
            Column { name: name.to_owned(), field: self.field_of_column(name), place: None }
        });
        let columns = columns.collect();
        self.table = Table { place: self.tally.table(name), columns };
    }

    /// Counts one row of the table that was named last. Cells beyond its columns have no name.
    pub fn row<'c>(&mut self, cells: impl IntoIterator<Item = Cell<'c>>) {
        let around = self.tally.begin_record();
        for (at, cell) in cells.into_iter().enumerate() {
            self.cell(at, cell);
        }
        self.tally.end_record(self.table.place, around);
    }

    /// Returns the form of the dump that was read last.
    #[must_use]
    pub fn form(&self) -> Option<Form> {
        self.form
    }

    /// Says why what was read is not the whole dump.
    pub fn note_fault(&mut self, fault: impl Into<String>) {
        self.fault = Some(fault.into());
    }

    /// Counts what was found as the duty to notify asks for it.
    #[must_use]
    pub fn finish(self, duty: &Duty) -> Report {
        Report::of(self, duty)
    }

    fn field_of_column(&self, name: &str) -> Option<String> {
        let policy = self.policy.as_deref()?;
        if let Some((_, field)) = self.columns.iter().find(|(column, _)| column == name) {
            return Some(field.clone());
        }
        let automaton = policy.automaton();
        let by_path = automaton.field(automaton.member(automaton.start(), name.as_bytes()));
        let found = policy.field_named(name).or(by_path.filter(|field| policy.indexed_by(*field).is_none()));
        found.map(|field| policy.field(field).name().to_owned())
    }

    fn cell(&mut self, at: usize, cell: Cell<'_>) {
        match cell {
            Cell::Null | Cell::Text([]) | Cell::Binary([]) => {}
            Cell::Text(text) => match copy_text::bytes_of(text) {
                Some(bytes) => self.binary(at, &bytes),
                None => self.text(at, text),
            },
            Cell::Binary(bytes) => self.binary(at, bytes),
        }
    }

    fn binary(&mut self, at: usize, bytes: &[u8]) {
        let claimed = token::claimed_key_id(bytes).filter(|_| !bytes.starts_with(token::TEXT_MARK.as_bytes()));
        let is_tagged = self.table.columns.get(at).is_some_and(|column| column.field.is_some());
        // Chance makes a token under an unknown key of many a blob, so only a tagged column is taken at its word.
        match claimed.filter(|id| is_tagged || self.tally.knows(*id)) {
            Some(id) => {
                let place = self.place(at);
                self.tally.token(place, id, false, true);
            }
            None => self.text(at, bytes),
        }
    }

    fn text(&mut self, at: usize, text: &[u8]) {
        let field = self.table.columns.get(at).and_then(|column| column.field.as_ref());
        if field.is_some() {
            let place = self.place(at);
            self.tagged(place, text);
            return;
        }
        let is_document = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
        if is_document {
            let (table, path) = (self.table.place, self.column_name(at));
            let state = self.policy.as_deref().map(|policy| policy.automaton().start());
            if walk::document(self, text, table, path, state) {
                return;
            }
        }
        if marks::heads(text).next().is_some() || text.starts_with(INDEX_MARK.as_bytes()) {
            let place = self.place(at);
            self.untagged(place, text);
        }
    }

    /// Counts a value that the policy tags.
    pub(super) fn tagged(&mut self, place: usize, text: &[u8]) {
        if !self.untagged(place, text) && !text.is_empty() {
            self.tally.in_the_clear(place);
        }
    }

    /// Counts the tokens that stand anywhere in a text. Returns whether it holds nothing that is in the clear.
    pub(super) fn untagged(&mut self, place: usize, text: &[u8]) -> bool {
        let mut is_found = false;
        for (at, id) in marks::heads(text) {
            let run = text[at + token::TEXT_MARK.len()..].iter();
            let run = run.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')).count();
            let found = &text[at..at + token::TEXT_MARK.len() + run];
            self.tally.token(place, id, true, token::recognize(found).is_some());
            is_found |= at == 0;
        }
        if text.starts_with(INDEX_MARK.as_bytes()) {
            self.tally.places[place].indexes += 1;
            is_found = true;
        }
        is_found
    }

    fn column_name(&self, at: usize) -> String {
        self.table.columns.get(at).map_or_else(|| format!("(column {})", at + 1), |column| column.name.clone())
    }

    fn place(&mut self, at: usize) -> usize {
        if let Some(place) = self.table.columns.get(at).and_then(|column| column.place) {
            return place;
        }
        let name = self.column_name(at);
        let field = self.table.columns.get(at).and_then(|column| column.field.as_deref());
        let place = self.tally.place(self.table.place, &name, field);
        if let Some(column) = self.table.columns.get_mut(at) {
            column.place = Some(place);
        }
        place
    }

    /// The name of the field at `state`, where there is one that is no blind index.
    pub(super) fn field_at(&self, state: Option<State>) -> Option<&str> {
        let policy = self.policy.as_deref()?;
        let field = policy.automaton().field(state?)?;
        policy.indexed_by(field).is_none().then(|| policy.field(field).name())
    }
}

impl std::fmt::Debug for Survey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unknown = self.tally.keys.iter().filter(|key| key.standings[0] == Standing::Unknown).count();
        f.debug_struct("Survey")
            .field("form", &self.form)
            .field("length", &self.length)
            .field("unknown_keys", &unknown)
            .finish_non_exhaustive()
    }
}
