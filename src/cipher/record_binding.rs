//! The records that values stand in, where the policy binds tokens to them.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::crypto::associated_data::AssociatedData;
use crate::crypto::key_id::KeyId;
use crate::error::{Error, ErrorKind};
use crate::json::Place;
use crate::keys::KeySet;
use crate::policy::{FieldIndex, RecordBinding};
use crate::timestamp::Timestamp;

/// The longest id, in bytes.
pub(super) const LONGEST_ID: usize = 1024;

/// The record that a value stands in.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Owner {
    Record(String),
    /// It has no id.
    Nameless,
    /// Its id is none, and this is why.
    Unfit(&'static str),
}

/// The records around the value that is being read.
pub(super) struct Records {
    /// None where tokens are not bound to records.
    member: Option<String>,
    /// The record that the whole document is meant for, by what came beside it.
    own: Option<String>,
    /// What values belong to that stand in no record of the document.
    base: Option<Owner>,
    stack: Vec<Owner>,
    /// Where the tokens of a field belong, as long as its values stand in one record.
    place: Option<(FieldIndex, AssociatedData)>,
}

impl Records {
    /// Starts outside of every record.
    pub(super) fn new(binding: Option<&RecordBinding>, own: Option<&str>) -> Self {
        let member = binding.map(|binding| binding.member().to_owned());
        Self { member, own: own.map(canonical), base: None, stack: Vec::new(), place: None }
    }

    /// Says that values stand by themselves, in the record that they are meant for.
    pub(super) fn set_single(&mut self) {
        self.set_target(Place::OwnRecord);
    }

    /// Says where in the document that is changed values stand.
    pub(super) fn set_target(&mut self, place: Place) {
        let own = || self.own.clone().map_or(Owner::Nameless, Owner::Record);
        self.base = match place {
            Place::Document => None,
            Place::OwnRecord => Some(own()),
            Place::Elsewhere => Some(Owner::Nameless),
        };
        self.place = None;
    }

    /// Says that documents are many, none of which is the one that a request is meant for.
    pub(super) fn set_many(&mut self) {
        self.own = None;
    }

    pub(super) fn member(&self) -> Option<&str> {
        self.member.as_deref()
    }

    /// Returns where the tokens of `field` belong in the record that the next value stands in, made by `make` where the
    /// value before it stood elsewhere: the values of a list have one place.
    pub(super) fn place(
        &mut self,
        field: FieldIndex,
        make: impl FnOnce(Option<&str>) -> AssociatedData,
    ) -> &AssociatedData {
        let kept = self.place.take().filter(|(other, _)| *other == field);
        let place = kept.unwrap_or_else(|| {
            let record = match self.owner() {
                Some(Owner::Record(id)) => Some(&**id),
                _ => None,
            };
            (field, make(record))
        });
        &self.place.insert(place).1
    }

    /// Says that values stand in the row with this key.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn set_row(&mut self, key: &str) {
        self.base = Some(Owner::Record(canonical(key)));
        self.place = None;
    }

    /// # Errors
    ///
    /// [`ErrorKind::Refused`] where the record is another than the one that it is meant for.
    pub(super) fn begin(&mut self, record: &[u8], is_root: bool) -> Result<(), Error> {
        let Some(member) = &self.member else { return Ok(()) };
        self.place = None;
        let own = self.own.as_ref().filter(|_| is_root);
        let owner = match (id_of(record, member), own) {
            (Owner::Record(id), Some(own)) if id != *own => {
                let message = format!("the document has another id (`{member}`) than the record that it is meant for");
                return Err(Error::new(ErrorKind::Refused, message));
            }
            (Owner::Nameless, Some(own)) => Owner::Record(own.clone()),
            (Owner::Nameless, None) if is_root => match &self.base {
                Some(Owner::Record(row)) => Owner::Record(row.clone()),
                _ => Owner::Nameless,
            },
            (owner, _) => owner,
        };
        self.stack.push(owner);
        Ok(())
    }

    pub(super) fn end(&mut self) {
        self.stack.pop();
        self.place = None;
    }

    /// Whether the next value is bound to a record.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn binds(&self) -> bool {
        matches!(self.owner(), Some(Owner::Record(_)))
    }

    /// Returns what the next value belongs to; nothing where it stands in no record.
    pub(super) fn owner(&self) -> Option<&Owner> {
        self.stack.last().or(self.base.as_ref())
    }

    /// Returns the record that the next value is to be bound to; nothing where it is to be bound to none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`], and the message names `field`.
    pub(super) fn to_bind_to(&self, binding: &RecordBinding, field: &str) -> Result<Option<&str>, Error> {
        let member = binding.member();
        let problem = match self.owner() {
            Some(Owner::Record(id)) => return Ok(Some(id)),
            Some(Owner::Nameless) if binding.unbound_for().is_some() => return Ok(None),
            Some(Owner::Nameless) => {
                format!("stands in a record without an id, which its token is bound to: `{member}`")
            }
            Some(Owner::Unfit(problem)) => format!("stands in a record whose id, `{member}`, {problem}"),
            None => "stands in none of the records that its token could be bound to: name their path".to_owned(),
        };
        Err(Error::new(ErrorKind::Refused, format!("the value of `{field}` {problem}")))
    }
}

/// Returns whether the key `id` was made no longer than `unbound_for` ago. One that comes from no keyring has no age.
pub(super) fn is_young(keys: &KeySet, id: KeyId, unbound_for: Duration) -> bool {
    let now = Timestamp::from(SystemTime::now());
    keys.created(id).is_some_and(|created| created.after(unbound_for) >= now)
}

/// Finds the id of `record`, the JSON text of an object.
fn id_of(record: &[u8], member: &str) -> Owner {
    let mut deserializer = serde_json::Deserializer::from_slice(record);
    match deserializer.deserialize_map(IdVisitor(member)) {
        Ok(Found::Once(id)) => id_text(id),
        Ok(Found::Nowhere) => Owner::Nameless,
        Ok(Found::Twice) => Owner::Unfit("stands twice"),
        // A name with a lone surrogate in it: what reads it as which name is not known.
        Err(_) => Owner::Unfit("cannot be told from its other members"),
    }
}

fn id_text(value: &RawValue) -> Owner {
    let text = value.get();
    // What is larger, or a zero with a sign, comes back from most services as another number.
    let is_whole_number = text != "-0" && (text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok());
    let id: Cow<'_, str> = match text.as_bytes().first() {
        Some(b'n') => return Owner::Nameless,
        Some(b'"') => match serde_json::from_str::<String>(text) {
            Ok(id) => id.into(),
            Err(_) => return Owner::Unfit("is no text"),
        },
        _ if is_whole_number => text.into(),
        _ => return Owner::Unfit("is neither text nor a whole number"),
    };
    match id.len() {
        0 => Owner::Unfit("is empty"),
        1..=LONGEST_ID => Owner::Record(canonical(&id)),
        _ => Owner::Unfit("is longer than 1,024 bytes"),
    }
}

/// Writes a UUID in its one form (RFC 9562, section 4): in lower case, with hyphens, without braces or the prefix of a URN.
/// Leaves any other id as it is.
pub(super) fn canonical(id: &str) -> String {
    let bare = id.strip_prefix('{').and_then(|id| id.strip_suffix('}'));
    let bare = bare.or_else(|| id.strip_prefix("urn:uuid:")).unwrap_or(id);
    let is_hyphen = |at: usize| bare.len() == 36 && matches!(at, 8 | 13 | 18 | 23);
    let is_uuid = matches!(bare.len(), 32 | 36)
        && bare
            .bytes()
            .enumerate()
            .all(|(at, byte)| if is_hyphen(at) { byte == b'-' } else { byte.is_ascii_hexdigit() });
    if !is_uuid {
        return id.to_owned();
    }
    let digits = bare.replace('-', "").to_ascii_lowercase();
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

enum Found<'a> {
    Nowhere,
    Once(&'a RawValue),
    Twice,
}

struct IdVisitor<'m>(&'m str);

impl<'de> Visitor<'de> for IdVisitor<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Found::Nowhere;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == self.0 {
                let value = map.next_value()?;
                found = if matches!(found, Found::Nowhere) { Found::Once(value) } else { Found::Twice };
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_text_or_a_whole_number_and_stands_once() {
        let id = |text: &str| match id_of(text.as_bytes(), "id") {
            Owner::Record(id) => id,
            Owner::Nameless => "none".to_owned(),
            Owner::Unfit(problem) => problem.to_owned(),
        };
        for (record, expected) in [
            (r#"{"id":7}"#, "7"),
            (r#"{"a":{"id":1},"id":"7","b":[]}"#, "7"),
            (r#"{"\u0069d":"\u0037"}"#, "7"),
            (r#"{"id":"0B1F2C3D-1F2E-4D3C-8B4A-5F6E7D8C9B0A"}"#, "0b1f2c3d-1f2e-4d3c-8b4a-5f6e7d8c9b0a"),
            (r#"{"id":"ORDER-7"}"#, "ORDER-7"),
            (r#"{"ID":7}"#, "none"),
            (r#"{"id":null}"#, "none"),
            (r#"{"id":1,"id":2}"#, "stands twice"),
            (r#"{"id":1.0}"#, "is neither text nor a whole number"),
            (r#"{"id":1e3}"#, "is neither text nor a whole number"),
            (r#"{"id":-0}"#, "is neither text nor a whole number"),
            (r#"{"id":18446744073709551616}"#, "is neither text nor a whole number"),
            (r#"{"id":18446744073709551615}"#, "18446744073709551615"),
            (r#"{"id":-7}"#, "-7"),
            (r#"{"id":"0b1f2c3d1f2e4d3c8b4a5f6e7d8c9b0a"}"#, "0b1f2c3d-1f2e-4d3c-8b4a-5f6e7d8c9b0a"),
            (r#"{"id":"{0B1F2C3D-1F2E-4D3C-8B4A-5F6E7D8C9B0A}"}"#, "0b1f2c3d-1f2e-4d3c-8b4a-5f6e7d8c9b0a"),
            (r#"{"id":"urn:uuid:0b1f2c3d-1f2e-4d3c-8b4a-5f6e7d8c9b0a"}"#, "0b1f2c3d-1f2e-4d3c-8b4a-5f6e7d8c9b0a"),
            (r#"{"id":{}}"#, "is neither text nor a whole number"),
            (r#"{"id":""}"#, "is empty"),
        ] {
            assert_eq!(id(record), expected, "{record}");
        }
        assert_eq!(id(&format!(r#"{{"id":"{}"}}"#, "7".repeat(1025))), "is longer than 1,024 bytes");
    }
}
