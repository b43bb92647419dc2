//! What a job or a scan found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::cipher::Finding;
use crate::keys::KeyId;

/// How many places of each kind a report names.
const PLACES_NAMED: usize = 100;

/// Everything that was looked at, counted. It names rows and columns, never a value.
#[derive(Clone, Debug)]
pub struct Scan {
    began: SystemTime,
    rows: u64,
    tokens: BTreeMap<(String, KeyId), u64>,
    plaintexts: BTreeMap<String, u64>,
    /// By the key that they name, where they have the form of a token so far.
    unreadable: BTreeMap<Option<KeyId>, u64>,
    plaintext_places: Vec<Place>,
    unreadable_places: Vec<Place>,
}

/// One value, by its row and its field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The parts of the primary key with commas between them.
    pub key: String,
    /// The field of the policy, or the column where a document cannot be read.
    pub field: String,
}

impl Scan {
    pub(super) fn begin() -> Self {
        Self {
            began: SystemTime::now(),
            rows: 0,
            tokens: BTreeMap::new(),
            plaintexts: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            plaintext_places: Vec::new(),
            unreadable_places: Vec::new(),
        }
    }

    /// Adds what was found later.
    pub(super) fn add(&mut self, other: Self) {
        let Self { began: _, rows, tokens, plaintexts, unreadable, plaintext_places, unreadable_places } = other;
        self.rows += rows;
        for (id, count) in unreadable {
            *self.unreadable.entry(id).or_default() += count;
        }
        for (place, count) in tokens {
            *self.tokens.entry(place).or_default() += count;
        }
        for (field, count) in plaintexts {
            *self.plaintexts.entry(field).or_default() += count;
        }
        for (places, others) in
            [(&mut self.plaintext_places, plaintext_places), (&mut self.unreadable_places, unreadable_places)]
        {
            places.extend(others);
            places.truncate(PLACES_NAMED);
        }
    }

    pub(super) fn count_row(&mut self) {
        self.rows += 1;
    }

    pub(super) fn count(&mut self, field: &str, finding: Finding, key: impl FnOnce() -> String) {
        let place = |places: &mut Vec<Place>| {
            if places.len() < PLACES_NAMED {
                places.push(Place { key: key(), field: field.to_owned() });
            }
        };
        match finding {
            Finding::Token(id) => *self.tokens.entry((field.to_owned(), id)).or_default() += 1,
            Finding::Plaintext => {
                *self.plaintexts.entry(field.to_owned()).or_default() += 1;
                place(&mut self.plaintext_places);
            }
            Finding::Unreadable(id) => {
                *self.unreadable.entry(id).or_default() += 1;
                place(&mut self.unreadable_places);
            }
        }
    }

    /// Returns when it began: what counts for [`Keyring::record_scan`](crate::keys::Keyring::record_scan).
    #[must_use]
    pub fn began(&self) -> SystemTime {
        self.began
    }

    /// Returns how many rows were looked at.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the number of tokens that open, by field and key.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, KeyId, u64)> {
        self.tokens.iter().map(|((field, id), count)| (field.as_str(), *id, *count))
    }

    /// Returns the number of tokens under the key `id` in all fields: those that open, and those that do not and name
    /// this key, such as those of another tenant, and all of them while the key is disabled.
    ///
    /// Where it is 0, that is evidence for [`Keyring::record_scan`](crate::keys::Keyring::record_scan) only if
    /// [`unreadable_without_key`](Self::unreadable_without_key) is 0 as well, and every other table, column and document
    /// that the keyring serves was scanned, too.
    #[must_use]
    pub fn tokens_under(&self, id: KeyId) -> u64 {
        let open: u64 = self.tokens.iter().filter(|((_, other), _)| *other == id).map(|(_, count)| count).sum();
        open + self.unreadable_under(id)
    }

    /// Returns the number of values that are not encrypted, by field.
    pub fn plaintexts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.plaintexts.iter().map(|(field, count)| (field.as_str(), *count))
    }

    /// Returns the number of tokens that do not open: broken, moved, in another scope, or under a key that is disabled
    /// or not there. A document that cannot be read counts as one.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable.values().sum()
    }

    /// Returns how many of them name the key `id`.
    #[must_use]
    pub fn unreadable_under(&self, id: KeyId) -> u64 {
        self.unreadable.get(&Some(id)).copied().unwrap_or_default()
    }

    /// Returns the keys that they name, and how many name each. One of them may be disabled, forgotten or of another keyring,
    /// or its tokens were changed or belong elsewhere.
    pub fn unreadable_keys(&self) -> impl Iterator<Item = (KeyId, u64)> {
        self.unreadable.iter().filter_map(|(id, &count)| Some(((*id)?, count)))
    }

    /// Returns how many of them name no key: each may be under any.
    #[must_use]
    pub fn unreadable_without_key(&self) -> u64 {
        self.unreadable.get(&None).copied().unwrap_or_default()
    }

    /// Returns the places of up to 100 values that are not encrypted.
    #[must_use]
    pub fn plaintext_places(&self) -> &[Place] {
        &self.plaintext_places
    }

    /// Returns the places of up to 100 tokens that do not open, and documents that cannot be read.
    #[must_use]
    pub fn unreadable_places(&self) -> &[Place] {
        &self.unreadable_places
    }
}

impl fmt::Display for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} rows", self.rows)?;
        for (field, id, count) in self.tokens() {
            writeln!(f, "{count} tokens of `{field}` under key {id}")?;
        }
        for (field, count) in self.plaintexts() {
            writeln!(f, "{count} values of `{field}` that are not encrypted")?;
        }
        for Place { key, field } in &self.unreadable_places {
            writeln!(f, "a value of `{field}` that does not open, in row {key}")?;
        }
        for (id, count) in self.unreadable_keys() {
            writeln!(f, "{count} tokens that do not open and name key {id}")?;
        }
        write!(f, "{} values that do not open", self.unreadable())?;
        match self.unreadable_without_key() {
            0 => Ok(()),
            count => write!(f, ", {count} of them name no key"),
        }
    }
}

/// How far one worker of a job is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// The rows that it has looked at.
    pub rows: u64,
    /// The rows of the table when it began. Of these it looks at fewer where others share the job, or where it goes on
    /// with one.
    pub rows_in_table: u64,
    /// The rows that it has changed.
    pub moved: u64,
    /// The rows a second, since it began.
    pub rows_per_second: f64,
    /// For how long it has worked.
    pub elapsed: Duration,
    /// Whether other workers hold all that is left: it waits until they are done, or say nothing for as long as their
    /// lease.
    pub waits: bool,
}

impl Progress {
    /// Returns how long it takes at this rate, at most: less where others share the job.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "a time for a person to read")]
        let seconds = self.rows_in_table.saturating_sub(self.rows) as f64 / self.rows_per_second.max(1e-3);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// What one worker of a job did.
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) found: Scan,
    pub(super) moved: u64,
    pub(super) contended: u64,
}

impl Report {
    /// Returns how many rows it changed, or would have changed in a dry run.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Returns how many rows were changed by others again and again while it tried, and were left alone. Run the job
    /// once more.
    #[must_use]
    pub fn contended(&self) -> u64 {
        self.contended
    }

    /// Returns what it found in its rows, before it changed them.
    #[must_use]
    pub fn found(&self) -> &Scan {
        &self.found
    }
}
