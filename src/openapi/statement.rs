//! What `x-pii` says of a schema, and `x-pii-policy` of the whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::document::fault;
use crate::error::Error;
use crate::policy::{Field, FieldEntry, Format, PartEntry, Policy, RecordEntry, StrictEntry, Tag, TagEntry};
use crate::timestamp::Timestamp;

/// The extension that tags a schema.
pub(super) const X_PII: &str = "x-pii";
/// The extension that holds what a policy has beside its fields.
pub(super) const X_PII_POLICY: &str = "x-pii-policy";

/// JSON does not tell where a part stands.
pub(super) enum Json {}

impl Format for Json {
    type At<T> = T;
    type Mark = ();
    type Moment = String;
    const TAGS: &'static str = "`tags` of `x-pii-policy`";

    fn take<T>(part: T) -> (T, ()) {
        (part, ())
    }

    fn look<T>(part: &T) -> &T {
        part
    }

    fn put<T>(part: T) -> T {
        part
    }

    fn moment(moment: Timestamp) -> Option<String> {
        Some(moment.to_string())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Statement {
    NotPersonal,
    Tagged(Tagging),
}

/// A field as `x-pii` has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tagging {
    pub(super) name: Option<String>,
    /// What a field's entry in a policy file holds.
    pub(super) entry: Map<String, Value>,
}

impl Statement {
    /// Reads the `x-pii` at `pointer`.
    pub(super) fn read(pointer: &str, value: &Value) -> Result<Self, Error> {
        match value {
            Value::Bool(false) => Ok(Self::NotPersonal),
            Value::String(none) if none == "none" => Ok(Self::NotPersonal),
            Value::String(tag) => {
                let entry = Map::from_iter([("tag".to_owned(), Value::String(tag.clone()))]);
                Ok(Self::Tagged(Tagging { name: None, entry }))
            }
            Value::Object(members) => {
                let mut entry = members.clone();
                let name = match entry.remove("name") {
                    None => None,
                    Some(Value::String(name)) => Some(name),
                    Some(_) => return Err(fault(pointer, "`name` is the name of a field, a text")),
                };
                Ok(Self::Tagged(Tagging { name, entry }))
            }
            _ => Err(fault(pointer, "`x-pii` is a tag, an object with a `tag`, or false")),
        }
    }
}

impl Tagging {
    /// Describes `field`, but for its paths.
    pub(super) fn of(field: &Field) -> Result<Self, String> {
        let entry = FieldEntry::<Json>::of(field)?;
        let Ok(Value::Object(mut entry)) = serde_json::to_value(entry) else {
            return Err(format!("field `{}` cannot be described", field.name()));
        };
        entry.remove("paths");
        Ok(Self { name: Some(field.name().to_owned()), entry })
    }

    /// Makes the field called `name`.
    pub(super) fn field(&self, name: &str, pointer: &str, settings: &Settings) -> Result<Field, Error> {
        let entry: FieldEntry<Json> = serde_json::from_value(Value::Object(self.entry.clone()))
            .map_err(|error| fault(pointer, &format!("`{X_PII}`: {error}")))?;
        let own = |tag: &str| settings.tags.get(tag).map(TagEntry::minimum);
        let field = entry.into_field(name, own, &[]);
        field.map(|(field, _)| field).map_err(|(message, ())| fault(pointer, &message))
    }

    /// The shortest form: a tag alone, where nothing else is said.
    pub(super) fn value(&self) -> Value {
        if let (None, 1, Some(tag)) = (&self.name, self.entry.len(), self.entry.get("tag")) {
            return tag.clone();
        }
        let name = self.name.iter().map(|name| ("name".to_owned(), Value::String(name.clone())));
        Value::Object(name.chain(self.entry.clone()).collect())
    }
}

/// What a policy has beside its fields, as in a policy file.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) fresh_prefix_per_field: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) record: Option<RecordEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) strict: Option<StrictEntry>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) compound_indexes: BTreeMap<String, Vec<PartEntry>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, TagEntry<Json>>,
}

impl Settings {
    /// Reads the settings in the schema, or description, at `pointer`.
    pub(super) fn read(pointer: &str, holder: Option<&Value>) -> Result<Self, Error> {
        let Some(settings) = holder.and_then(|holder| holder.get(X_PII_POLICY)) else { return Ok(Self::default()) };
        Self::deserialize(settings).map_err(|error| fault(pointer, &format!("`{X_PII_POLICY}`: {error}")))
    }

    pub(super) fn of(policy: &Policy) -> Result<Self, String> {
        let indexes = policy.compound_indexes().iter();
        let own = policy.fields().iter().map(Field::tag).filter(|tag| matches!(tag, Tag::Custom(_)));
        Ok(Self {
            fresh_prefix_per_field: policy.fresh_prefix_per_field(),
            record: policy.record_binding().map(RecordEntry::of),
            strict: policy.strict().map(StrictEntry::of),
            compound_indexes: indexes
                .map(|index| Ok((index.name().to_owned(), PartEntry::of(index)?)))
                .collect::<Result<_, String>>()?,
            tags: own.map(|tag| (tag.name().to_owned(), TagEntry::plain())).collect(),
        })
    }
}
