//! Counts, as records go by: nothing of a record is kept.

use std::collections::HashMap;

use serde::Serialize;

use super::reach::Standing;
use crate::crypto::key_id::KeyId;
use crate::crypto::token::TEXT_MARK;

/// How many places, tables and unknown keys are told apart. A dump that somebody made up must not fill the memory.
const MOST: usize = 1000;
/// How many findings of one record are held before they are put together.
const MOST_FOUND: usize = 4096;

/// What a key is, with the keyring that a thief may have got from the dump itself, and without.
pub(super) type Standings = [Standing; 2];

/// People, each counted once: by the worst that became of any of their values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct People {
    /// Records that hold at least one token, or a tagged value in the clear: all of the below together.
    pub touched: u64,
    /// Those of whom a value can be read: in the clear, or under a key in reach of the thief.
    pub exposed: u64,
    /// The others of whom a value is under a key that is not in the keyring.
    pub unknown_key: u64,
    /// The others of whom a value is under a key that lives.
    pub alive: u64,
    /// The others of whom a value is under a forgotten key.
    pub forgotten: u64,
    /// The others: all that was stolen of them is under shredded keys.
    pub shredded: u64,
    /// Of those that are exposed, whom a value in the clear was found of.
    pub in_the_clear: u64,
}

impl People {
    fn count(&mut self, worst: Standing, in_the_clear: bool) {
        self.touched += 1;
        self.in_the_clear += u64::from(in_the_clear);
        *self.of(worst) += 1;
    }

    /// Those of whom this is the worst that became of a value.
    pub(super) fn with(mut self, standing: Standing) -> u64 {
        *self.of(standing)
    }

    fn of(&mut self, standing: Standing) -> &mut u64 {
        match standing {
            Standing::InReach => &mut self.exposed,
            Standing::Unknown => &mut self.unknown_key,
            Standing::Alive => &mut self.alive,
            Standing::Forgotten => &mut self.forgotten,
            Standing::Shredded => &mut self.shredded,
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        let Self { touched, exposed, unknown_key, alive, forgotten, shredded, in_the_clear } = other;
        self.touched += touched;
        self.exposed += exposed;
        self.unknown_key += unknown_key;
        self.alive += alive;
        self.forgotten += forgotten;
        self.shredded += shredded;
        self.in_the_clear += in_the_clear;
    }

    /// Those of whom a value can be read, or may be.
    #[must_use]
    pub fn exposed_or_unknown(&self) -> u64 {
        self.exposed + self.unknown_key
    }
}

pub(super) struct TableTally {
    pub(super) name: String,
    pub(super) rows: u64,
    pub(super) people: [People; 2],
}

/// One column, or one place in documents.
#[derive(Default)]
pub(super) struct PlaceTally {
    pub(super) table: usize,
    pub(super) path: String,
    pub(super) field: Option<String>,
    pub(super) tokens: u64,
    pub(super) damaged: u64,
    pub(super) in_the_clear: u64,
    pub(super) indexes: u64,
    pub(super) people: [People; 2],
}

pub(super) struct KeyTally {
    /// Nothing for all unknown keys that are too many to be told apart.
    pub(super) id: Option<KeyId>,
    pub(super) standings: Standings,
    pub(super) tokens: u64,
    /// Of the tokens, those in text form, and those in binary form.
    pub(super) texts: u64,
    pub(super) binaries: u64,
    pub(super) people: u64,
}

/// A name or message from a dump that somebody made up: no token, nothing that moves the cursor of a terminal or turns
/// text around, and not without end.
pub(super) fn presentable(text: &str) -> String {
    const LONGEST: usize = 1024;
    if text.contains(TEXT_MARK) {
        return "*".to_owned();
    }
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown = text.chars().take(LONGEST).map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c });
    shown.collect()
}

pub(super) struct Tally {
    pub(super) tables: Vec<TableTally>,
    pub(super) places: Vec<PlaceTally>,
    pub(super) keys: Vec<KeyTally>,
    keys_by_id: HashMap<KeyId, usize>,
    places_by_path: HashMap<(usize, String), usize>,
    record: Record,
}

/// What was found in one record: the places, each with a key or in the clear.
#[derive(Default)]
pub(super) struct Record {
    found: Vec<(usize, Option<usize>)>,
}

impl Tally {
    pub(super) fn new(keys: impl Iterator<Item = (KeyId, Standings)>) -> Self {
        let keys = keys.map(|(id, standings)| KeyTally {
            id: Some(id),
            standings,
            tokens: 0,
            texts: 0,
            binaries: 0,
            people: 0,
        });
        let keys: Vec<_> = keys.collect();
        let keys_by_id = keys.iter().enumerate().filter_map(|(place, key)| Some((key.id?, place))).collect();
        let (tables, places, places_by_path) = (Vec::new(), Vec::new(), HashMap::new());
        Self { tables, places, keys, keys_by_id, places_by_path, record: Record::default() }
    }

    /// Returns the place in the list of the table called `name`.
    pub(super) fn table(&mut self, name: &str) -> usize {
        let name = &*presentable(name);
        if let Some(place) = self.tables.iter().position(|table| table.name == name) {
            return place;
        }
        let name = if self.tables.len() < MOST { name } else { "(further tables)" };
        if self.tables.len() > MOST {
            return MOST;
        }
        self.tables.push(TableTally { name: name.to_owned(), rows: 0, people: [People::default(); 2] });
        self.tables.len() - 1
    }

    pub(super) fn place(&mut self, table: usize, path: &str, field: Option<&str>) -> usize {
        let key = (table, path.to_owned());
        if let Some(&place) = self.places_by_path.get(&key) {
            return place;
        }
        if self.places.len() > MOST {
            return MOST;
        }
        let (path, field) = if self.places.len() < MOST { (path, field) } else { ("(further places)", None) };
        self.places.push(PlaceTally {
            table,
            path: presentable(path),
            field: field.map(str::to_owned),
            ..PlaceTally::default()
        });
        self.places_by_path.insert(key, self.places.len() - 1);
        self.places.len() - 1
    }

    pub(super) fn knows(&self, id: KeyId) -> bool {
        self.keys_by_id.get(&id).is_some_and(|&place| self.keys[place].standings[0] != Standing::Unknown)
    }

    pub(super) fn key(&mut self, id: KeyId) -> usize {
        if let Some(&place) = self.keys_by_id.get(&id) {
            return place;
        }
        let unknown =
            |id| KeyTally { id, standings: [Standing::Unknown; 2], tokens: 0, texts: 0, binaries: 0, people: 0 };
        match self.keys.iter().position(|key| key.id.is_none()) {
            Some(rest) => rest,
            None if self.keys_by_id.len() >= MOST => {
                self.keys.push(unknown(None));
                self.keys.len() - 1
            }
            None => {
                self.keys.push(unknown(Some(id)));
                self.keys_by_id.insert(id, self.keys.len() - 1);
                self.keys.len() - 1
            }
        }
    }

    pub(super) fn token(&mut self, place: usize, id: KeyId, is_text: bool, is_whole: bool) {
        let key = self.key(id);
        self.keys[key].tokens += 1;
        self.keys[key].texts += u64::from(is_text);
        self.keys[key].binaries += u64::from(!is_text);
        self.places[place].tokens += 1;
        self.places[place].damaged += u64::from(!is_whole);
        self.record.push((place, Some(key)));
    }

    pub(super) fn in_the_clear(&mut self, place: usize) {
        self.places[place].in_the_clear += 1;
        self.record.push((place, None));
    }

    /// Begins a record, and returns the one around it, which goes on when this one ends.
    pub(super) fn begin_record(&mut self) -> Record {
        std::mem::take(&mut self.record)
    }

    /// Goes on with `around`, where the record that began last is none.
    pub(super) fn resume(&mut self, around: Record) {
        self.record = around;
    }

    /// Returns whether anything was found in the record so far.
    pub(super) fn has_found(&self) -> bool {
        !self.record.found.is_empty()
    }

    /// Counts the record that began last, of `table`, and goes on with `around`.
    pub(super) fn end_record(&mut self, table: usize, around: Record) {
        let mut found = std::mem::replace(&mut self.record, around).found;
        self.tables[table].rows += 1;
        if found.is_empty() {
            return;
        }
        found.sort_unstable();
        found.dedup();
        for version in 0..2 {
            let standing = |key: Option<usize>| key.map_or(Standing::InReach, |key| self.keys[key].standings[version]);
            let in_the_clear = found.iter().any(|(_, key)| key.is_none());
            let worst = found.iter().map(|&(_, key)| standing(key)).min();
            self.tables[table].people[version].count(worst.unwrap_or(Standing::Shredded), in_the_clear);
            for of_place in found.chunk_by(|one, other| one.0 == other.0) {
                let worst = of_place.iter().map(|&(_, key)| standing(key)).min();
                let in_the_clear = of_place.iter().any(|(_, key)| key.is_none());
                let place = &mut self.places[of_place[0].0];
                place.people[version].count(worst.unwrap_or(Standing::Shredded), in_the_clear);
            }
        }
        let mut keys: Vec<_> = found.into_iter().filter_map(|(_, key)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            self.keys[key].people += 1;
        }
    }
}

impl Record {
    fn push(&mut self, finding: (usize, Option<usize>)) {
        if self.found.len() >= MOST_FOUND {
            self.found.sort_unstable();
            self.found.dedup();
        }
        self.found.push(finding);
    }
}
