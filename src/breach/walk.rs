//! JSON documents, member by member, with the path of each: names of members and no values.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::survey::Survey;
use crate::policy::{Policy, State};

/// How long a name may be that is shown.
const LONGEST_NAME: usize = 64;
/// How long a path may grow.
const LONGEST_PATH: usize = 1024;

/// Which parts of a document are records.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Records {
    /// None: it is a part of one.
    None,
    /// The elements of the document, where it is an array, or of the arrays that are its members; and what stands beside
    /// those together.
    Elements,
}

/// A walk through one document.
pub(super) struct Walk<'s> {
    survey: &'s mut Survey,
    table: usize,
    path: String,
    records: Records,
    depth: usize,
}

/// Walks through the document in a cell of the column called `path`. Returns false where it is no JSON, and nothing of it
/// was counted then.
pub(super) fn document(survey: &mut Survey, text: &[u8], table: usize, path: String, state: Option<State>) -> bool {
    let is_json = serde_json::from_slice::<IgnoredAny>(text).is_ok();
    if is_json {
        let mut walk = Walk { survey, table, path, records: Records::None, depth: 0 };
        let mut source = serde_json::Deserializer::from_slice(text);
        // It was read once already.
        let _ = Value { walk: &mut walk, state }.deserialize(&mut source);
    }
    is_json
}

impl<'s> Walk<'s> {
    pub(super) fn new(survey: &'s mut Survey, table: usize, records: Records) -> Self {
        Self { survey, table, path: String::new(), records, depth: 0 }
    }

    /// Walks through the document that `source` begins with.
    pub(super) fn read<'de, R: serde_json::de::Read<'de>>(
        &mut self,
        source: &mut serde_json::Deserializer<R>,
    ) -> Result<(), serde_json::Error> {
        let state = self.survey.policy.as_deref().map(|policy| policy.automaton().start());
        Value { walk: self, state }.deserialize(source)
    }

    fn text(&mut self, state: Option<State>, text: &str) {
        let field = self.survey.field_at(state);
        let is_found =
            text.contains(crate::crypto::token::TEXT_MARK) || text.starts_with(crate::crypto::index_key::INDEX_MARK);
        if field.is_none() && !is_found || text.is_empty() {
            return;
        }
        let place = self.place(state);
        if self.survey.field_at(state).is_some() {
            self.survey.tagged(place, text.as_bytes());
        } else {
            self.survey.untagged(place, text.as_bytes());
        }
    }

    /// Counts a value that is no string.
    fn other(&mut self, state: Option<State>) {
        if self.survey.field_at(state).is_some() {
            let place = self.place(state);
            self.survey.tally.in_the_clear(place);
        }
    }

    fn place(&mut self, state: Option<State>) -> usize {
        let field = self.survey.field_at(state).map(str::to_owned);
        self.survey.tally.place(self.table, &self.path, field.as_deref())
    }

    /// Adds the name of a member to the path. A name that may be a value is not shown.
    fn enter(&mut self, name: &str) -> usize {
        let length = self.path.len();
        if length < LONGEST_PATH {
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(if is_shown(name) { name } else { "*" });
        }
        length
    }
}

/// Whether `name` looks like the name of a column rather than like somebody's.
pub(super) fn is_shown(name: &str) -> bool {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '$' | '@'));
    begins
        && name.len() <= LONGEST_NAME
        && !name.contains(crate::crypto::token::TEXT_MARK)
        && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | ':' | '$'))
}

/// A value of a document.
struct Value<'w, 's> {
    walk: &'w mut Walk<'s>,
    state: Option<State>,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.walk.text(self.state, text);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.walk.other(self.state);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.walk.other(self.state);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.walk.other(self.state);
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.walk.other(self.state);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { walk, state } = self;
        if walk.survey.field_at(state).is_some() {
            walk.other(state);
            while elements.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let are_records = walk.records == Records::Elements && walk.depth <= 1;
        let (path, table) = (walk.path.len(), walk.table);
        let outer = are_records.then(|| std::mem::take(&mut walk.path));
        if let Some(name) = outer.as_ref().filter(|name| !name.is_empty()) {
            walk.table = walk.survey.tally.table(name);
        } else if outer.is_none() {
            walk.path.push_str("[*]");
        }
        walk.depth += 2;
        let mut index = 0;
        let outcome = loop {
            let automaton = walk.survey.policy.as_deref().map(Policy::automaton);
            let state = automaton.zip(state).map(|(automaton, state)| automaton.element(state, index));
            let around = are_records.then(|| walk.survey.tally.begin_record());
            let next = elements.next_element_seed(Value { walk, state });
            let is_element = matches!(next, Ok(Some(())));
            if let Some(around) = around {
                // What was read of a record that is cut short counts, too.
                if is_element || next.is_err() && walk.survey.tally.has_found() {
                    walk.survey.tally.end_record(walk.table, around);
                } else {
                    walk.survey.tally.resume(around);
                }
            }
            match next {
                Ok(Some(())) => index = index.saturating_add(1),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        walk.depth -= 2;
        walk.table = table;
        match outer {
            Some(outer) => walk.path = outer,
            None => walk.path.truncate(path),
        }
        outcome
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { walk, state } = self;
        if walk.survey.field_at(state).is_some() {
            walk.other(state);
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        walk.depth += 1;
        let mut outcome = Ok(());
        loop {
            let name = Name { walk, state };
            match members.next_key_seed(name) {
                Ok(Some((length, state))) => {
                    outcome = members.next_value_seed(Value { walk, state });
                    walk.path.truncate(length);
                    if outcome.is_err() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        walk.depth -= 1;
        outcome
    }
}

/// The name of a member, which goes to the path.
struct Name<'w, 's> {
    walk: &'w mut Walk<'s>,
    state: Option<State>,
}

impl<'de> DeserializeSeed<'de> for Name<'_, '_> {
    /// The length of the path without it, and the state of the member.
    type Value = (usize, Option<State>);

    fn deserialize<D: serde::Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        source.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_, '_> {
    type Value = (usize, Option<State>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let Self { walk, state } = self;
        let automaton = walk.survey.policy.as_deref().map(Policy::automaton);
        let state = automaton.zip(state).map(|(automaton, state)| automaton.member(state, name.as_bytes()));
        Ok((walk.enter(name), state))
    }
}
