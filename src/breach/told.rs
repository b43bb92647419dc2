//! A report for a person at a terminal.

use std::fmt;

use super::report::{PlaceLine, Report};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records: u64 = self.tables.iter().map(|table| table.records).sum();
        let end = if self.is_complete { "read to its end" } else { "NOT read to its end" };
        writeln!(f, "dump       {}, {} bytes, {records} records, {end}", self.form, self.bytes)?;
        for keyring in &self.keyrings {
            let proof = if keyring.is_authenticated { "authenticated" } else { "NOT authenticated" };
            writeln!(f, "keyring    {} at revision {}, {proof}", keyring.name, keyring.revision)?;
        }
        let at = self.at.as_ref().map(|at| format!(", at {at}")).unwrap_or_default();
        writeln!(f, "thief had  {}{at}", self.thief_had.join(", "))?;

        let people = self.people;
        writeln!(f, "\npeople     {} (records with at least one token or tagged value in the clear)", people.touched)?;
        writeln!(f, "{:>10}  exposed: {} of them with values in the clear", people.exposed, people.in_the_clear)?;
        writeln!(f, "{:>10}  under keys that are not in the keyring", people.unknown_key)?;
        writeln!(f, "{:>10}  closed, under keys that are alive", people.alive)?;
        writeln!(f, "{:>10}  closed, under forgotten keys", people.forgotten)?;
        writeln!(f, "{:>10}  closed for ever, under shredded keys", people.shredded)?;
        if self.tables.len() > 1 {
            for table in &self.tables {
                let (name, people) = (&table.table, table.people);
                let readable = people.exposed_or_unknown();
                writeln!(
                    f,
                    "           {name}: {} of {} records, {readable} exposed or unknown",
                    people.touched, table.records
                )?;
            }
        }

        writeln!(f, "\nfields")?;
        for place in &self.places {
            writeln!(f, "  {}", told(place))?;
        }
        writeln!(f, "\nkeys")?;
        for key in &self.keys {
            let id = key.id.as_deref().unwrap_or("(further keys)  ");
            let (standing, tokens, people) = (key.standing, key.tokens, key.people);
            writeln!(f, "  {id}  {standing}: {tokens} tokens of {people} people; {}", key.meaning)?;
            if let Some(receipt) = &key.receipt {
                writeln!(f, "                    receipt: {receipt}")?;
            }
        }

        let notice = &self.notice;
        writeln!(f, "\nnotice")?;
        let reached = |is_reached| if is_reached { "reached" } else { "not reached" };
        let (taken, exposed) = (notice.taken_at_most, notice.exposed_at_most);
        let threshold = notice.threshold;
        writeln!(
            f,
            "  data taken of at most {taken} people: threshold of {threshold} {}",
            reached(notice.taken_reaches_threshold)
        )?;
        let least = notice.exposed_at_least;
        let is_reached = reached(notice.exposed_reaches_threshold);
        writeln!(f, "  exposed at least {least}, at most {exposed} people: threshold of {threshold} {is_reached}")?;
        match (&notice.assessed, &notice.notify_by) {
            (Some(assessed), Some(by)) => {
                let days = notice.days;
                writeln!(f, "  assessed on {assessed}: where there is a duty, notify by {by} ({days} calendar days)")?;
            }
            _ => writeln!(f, "  where there is a duty, notify within {} calendar days of the assessment", notice.days)?,
        }
        if !self.notes.is_empty() {
            writeln!(f, "\nto know")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  - {note}"))
    }
}

fn told(place: &PlaceLine) -> String {
    let mut parts = vec![format!("{} people", place.people.touched), format!("{} tokens", place.tokens)];
    let others = [
        (place.damaged, "of them cut short or altered"),
        (place.in_the_clear, "values in the clear"),
        (place.indexes, "blind indexes"),
        (place.people.exposed, "people exposed"),
        (place.people.unknown_key, "people under unknown keys"),
    ];
    parts.extend(others.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    format!("{}: {}", place.name(), parts.join(", "))
}

impl PlaceLine {
    /// Where it is, with the name of its field where that is another.
    pub(super) fn name(&self) -> String {
        let table = if self.table.is_empty() { String::new() } else { format!("{}.", self.table) };
        match self.field.as_ref().filter(|field| **field != self.place) {
            Some(field) => format!("{table}{} ({field})", self.place),
            None => format!("{table}{}", self.place),
        }
    }
}
