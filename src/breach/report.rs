//! What a survey comes to: names of places and keys, and numbers.

use std::collections::HashMap;

use serde::Serialize;

use super::notice::{Duty, Notice};
use super::reach::Standing;
use super::survey::Survey;
use super::tally::{KeyTally, People, presentable};
use crate::keys::{KeyEntry, KeyringListing};
use crate::timestamp::Timestamp;

/// What a stolen dump exposes. It names tables, columns, fields and keys, and never a value or a token.
///
/// [`Display`](std::fmt::Display) writes it for a person, `serde` as JSON, and [`to_html`](Self::to_html) as a page.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The form of the dump.
    pub form: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether it was read to its end. If not, all figures are lower bounds.
    pub is_complete: bool,
    /// Why not.
    pub fault: Option<String>,
    /// The keyrings that were asked.
    pub keyrings: Vec<KeyringLine>,
    /// What the thief had.
    pub thief_had: Vec<String>,
    /// When it happened, where that is known.
    pub at: Option<String>,
    /// People, by the worst that became of their values.
    pub people: People,
    /// The same, table by table.
    pub tables: Vec<TableLine>,
    /// Tokens that stand beside all records.
    pub beside: Beside,
    /// Columns and places in documents.
    pub places: Vec<PlaceLine>,
    /// Keys that something was found under.
    pub keys: Vec<KeyLine>,
    /// The figures that a duty to notify asks for.
    pub notice: Notice,
    /// What to know before the figures are used.
    pub notes: Vec<String>,
}

/// A keyring that was asked.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct KeyringLine {
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: u64,
    /// Whether a key-encryption key proved that it was not altered.
    pub is_authenticated: bool,
}

/// One table.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TableLine {
    /// Its name; empty where there is but one.
    pub table: String,
    /// Its records.
    pub records: u64,
    /// The people in it.
    pub people: People,
}

/// Heads of tokens that stand beside the records: in deleted rows, comments, other statements. Each may be of one person
/// more.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Beside {
    /// All of them.
    pub tokens: u64,
    /// Those under keys in reach of the thief.
    pub in_reach: u64,
    /// Those under keys that are not in the keyring.
    pub unknown_key: u64,
}

/// One column, or one place in documents.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlaceLine {
    /// The table.
    pub table: String,
    /// The column, or the path of the member.
    pub place: String,
    /// The field of the policy that it is, where it is one.
    pub field: Option<String>,
    /// How many tokens stand there.
    pub tokens: u64,
    /// How many of them were cut short or altered.
    pub damaged: u64,
    /// How many values stand there in the clear, though the policy tags them.
    pub in_the_clear: u64,
    /// How many blind indexes stand there.
    pub indexes: u64,
    /// The people who have a token or a value there, by the worst that became of it.
    pub people: People,
}

/// One key.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct KeyLine {
    /// Its id; nothing for all further unknown ones together.
    pub id: Option<String>,
    /// What is known of it.
    pub standing: Standing,
    /// What that means.
    pub meaning: String,
    /// The keyring that it is in.
    pub keyring: Option<String>,
    /// Its state there.
    pub state: Option<String>,
    /// When it was made.
    pub created: Option<String>,
    /// When its state last changed.
    pub changed: Option<String>,
    /// The key-encryption keys that ever wrapped it.
    pub keks: Vec<String>,
    /// What the key service said when it destroyed the last of them.
    pub receipt: Option<String>,
    /// How many tokens are under it.
    pub tokens: u64,
    /// How many people have one.
    pub people: u64,
}

impl Report {
    /// Returns whether anything can be read, or may be: in the clear, under a key in reach or under one that is not known.
    #[must_use]
    pub fn is_anything_exposed(&self) -> bool {
        self.people.exposed_or_unknown() + self.beside.in_reach + self.beside.unknown_key > 0
    }

    pub(super) fn of(mut survey: Survey, duty: &Duty) -> Self {
        let version = usize::from(survey.marks.holds_keyring);
        let beside = beside(&mut survey, version);
        let Survey { listings, reach, policy, tally, form, length, marks, fault, mut notes, .. } = survey;
        let tables: Vec<_> = tally
            .tables
            .iter()
            .filter(|table| table.rows > 0)
            .map(|table| TableLine { table: table.name.clone(), records: table.rows, people: table.people[version] })
            .collect();
        let mut people = People::default();
        for table in &tables {
            people.add(table.people);
        }
        let name = |place: usize| tally.tables.get(place).map(|table| table.name.clone()).unwrap_or_default();
        let places = tally.places.iter().map(|place| PlaceLine {
            table: name(place.table),
            place: place.path.clone(),
            field: place.field.clone(),
            tokens: place.tokens,
            damaged: place.damaged,
            in_the_clear: place.in_the_clear,
            indexes: place.indexes,
            people: place.people[version],
        });
        let places: Vec<_> = places.collect();
        let mut keys: Vec<_> = tally.keys.iter().filter(|key| key.tokens > 0).collect();
        keys.sort_by_key(|key| (key.standings[version], std::cmp::Reverse(key.tokens)));
        let keys: Vec<_> = keys.into_iter().map(|key| key_line(key, version, &listings)).collect();
        let keyrings = listings.iter().map(|listing| KeyringLine {
            name: listing.name().to_owned(),
            revision: listing.revision(),
            is_authenticated: listing.is_authenticated(),
        });
        let notice = Notice::of(duty, people, beside);
        let mut report = Self {
            form: form.map_or("rows", super::Form::name).to_owned(),
            bytes: length,
            is_complete: fault.is_none(),
            fault: fault.as_deref().map(presentable),
            keyrings: keyrings.collect(),
            thief_had: reach.told(),
            at: reach.moment().map(|moment| moment.to_string()),
            people,
            tables,
            beside,
            places,
            keys,
            notice,
            notes: Vec::new(),
        };
        if marks.holds_keyring {
            report.thief_had.insert(1, "a keyring, which stands in the dump".to_owned());
        }
        notes.extend(report.noted(policy.is_some(), marks.holds_keyring, reach.has_kek(), reach.moment(), &listings));
        report.notes = notes;
        report
    }

    /// What to know before the figures are used.
    fn noted(
        &self,
        has_policy: bool,
        holds_keyring: bool,
        has_kek: bool,
        at: Option<Timestamp>,
        listings: &[KeyringListing],
    ) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |applies: bool, text: String| notes.extend(applies.then_some(text));
        if let Some(fault) = &self.fault {
            note(true, format!("The dump was not read to its end, so every figure is a lower bound: {fault}."));
        }
        for keyring in self.keyrings.iter().filter(|keyring| !keyring.is_authenticated) {
            let name = &keyring.name;
            note(
                true,
                format!(
                    "Keyring `{name}` was read without its key-encryption key: nothing proves what it says of keys."
                ),
            );
        }
        let nothing = self.people.touched == 0 && self.beside.tokens == 0;
        note(
            nothing,
            "No token was found: make sure that this is the dump, and that nothing in it is packed.".to_owned(),
        );
        note(!has_policy, "No policy was given, so values in the clear were not looked for.".to_owned());
        note(
            holds_keyring && !has_kek,
            "A keyring stands in the dump, so the thief has one: every key of it hangs on its key-encryption key alone."
                .to_owned(),
        );
        let unknown = self.keys.iter().filter(|key| key.standing == Standing::Unknown).count();
        note(unknown > 0, format!("{unknown} keys are not in the keyring. They are counted as if they were exposed."));
        let many = self.tables.iter().filter(|table| table.people.touched > 0).count();
        note(
            many > 1,
            format!(
                "{many} tables hold people, and each row counts as one: who stands in several is counted that often."
            ),
        );
        let beside = self.beside.tokens;
        note(
            beside > 0,
            format!("{beside} tokens stand beside the records, such as in deleted rows. Each may be of one more."),
        );
        let indexes: u64 = self.places.iter().map(|place| place.indexes).sum();
        note(
            indexes > 0,
            format!("{indexes} blind indexes show which rows have equal values; whoever has their key can try values."),
        );
        let entries = listings.iter().flat_map(KeyringListing::keys);
        for entry in entries.filter(|entry| at.is_some_and(|at| entry.created() > at)) {
            let (id, created) = (entry.id().to_string(), entry.created());
            let is_found = self.keys.iter().any(|key| key.id.as_ref() == Some(&id));
            let text =
                format!("Key {id} was made at {created}, after the time of the theft that was given: that is wrong.");
            note(is_found, text);
        }
        notes
    }
}

/// Counts the heads of tokens that no record holds.
fn beside(survey: &mut Survey, version: usize) -> Beside {
    let Survey { marks, tally, .. } = survey;
    // Many keys may share one place, of which records hold only so many together.
    let mut found: HashMap<usize, [u64; 2]> = HashMap::new();
    for (id, count) in &marks.texts {
        found.entry(tally.key(*id)).or_default()[0] += count;
    }
    for (id, count) in &marks.binaries {
        found.entry(tally.key(*id)).or_default()[1] += count;
    }
    if let Some(further) = tally.keys.iter().position(|key| key.id.is_none()) {
        found.entry(further).or_default()[0] += marks.further_texts;
    }
    let mut beside = Beside::default();
    for (key, [texts, binaries]) in found {
        let key = &mut tally.keys[key];
        let rest = texts.saturating_sub(key.texts) + binaries.saturating_sub(key.binaries);
        key.tokens += rest;
        beside.tokens += rest;
        match key.standings[version] {
            Standing::InReach => beside.in_reach += rest,
            Standing::Unknown => beside.unknown_key += rest,
            _ => {}
        }
    }
    beside
}

fn key_line(key: &KeyTally, version: usize, listings: &[KeyringListing]) -> KeyLine {
    let entry = |listing: &'_ KeyringListing| listing.keys().iter().position(|entry| Some(entry.id()) == key.id);
    let found = listings.iter().find_map(|listing| Some((listing, &listing.keys()[entry(listing)?])));
    let of = |told: fn(&KeyEntry) -> String| found.map(|(_, entry)| told(entry));
    let keks = found.map(|(_, entry)| [entry.former_keks(), &[entry.kek().to_owned()]].concat());
    KeyLine {
        id: key.id.map(|id| id.to_string()),
        standing: key.standings[version],
        meaning: key.standings[version].told().to_owned(),
        keyring: found.map(|(listing, _)| listing.name().to_owned()),
        state: of(|entry| entry.state().to_string()),
        created: of(|entry| entry.created().to_string()),
        changed: of(|entry| entry.changed().to_string()),
        keks: keks.unwrap_or_default(),
        receipt: found.and_then(|(_, entry)| entry.receipt().map(str::to_owned)),
        tokens: key.tokens,
        people: key.people,
    }
}
