//! The TOML form of a policy.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::compound_index::CompoundIndex;
use super::field::Field;
use super::lint::{self, Place};
use super::policy::Policy;
use super::record_binding::RecordBinding;
use super::tag::Tag;
use super::toml_rules::{self, IndexEntry, ValidationEntry};
use crate::error::{Error, ErrorKind};
use crate::timestamp::Timestamp;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    collection: Spanned<String>,
    #[serde(default)]
    fresh_prefix_per_field: bool,
    record: Option<Spanned<RecordEntry>>,
    #[serde(default)]
    compound_indexes: BTreeMap<String, Spanned<Vec<PartEntry>>>,
    #[serde(default)]
    tags: BTreeMap<Spanned<String>, TagEntry>,
    #[serde(default)]
    fields: BTreeMap<Spanned<String>, FieldEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordEntry {
    id: String,
    #[serde(default)]
    paths: Vec<String>,
    /// In seconds.
    unbound_for: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartEntry {
    field: String,
    normal_form: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TagEntry {
    pad_to: Option<Spanned<usize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldEntry {
    tag: Spanned<String>,
    #[serde(default)]
    paths: Vec<Spanned<String>>,
    pad_to: Option<usize>,
    #[serde(default)]
    encrypt_null: bool,
    #[serde(default)]
    null_if_unreadable: bool,
    allow_plaintext_until: Option<Spanned<Datetime>>,
    index: Option<Spanned<IndexEntry>>,
    validate: Option<Spanned<ValidationEntry>>,
    mask: Option<Spanned<String>>,
}

impl Policy {
    /// Reads a policy from TOML.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`]; the message begins with the line.
    ///
    /// # Example
    ///
    /// ```
    /// let policy = fieldseal::Policy::from_toml(r#"
    ///     collection = "customers"
    ///     record = { id = "id", paths = ["$", "$.items[*]"] } # also unbound_for, in seconds: see `RecordBinding`
    ///
    ///     [fields.name]
    ///     tag = "name"
    ///
    ///     [fields.phone]
    ///     tag = "phone"
    ///     paths = ["$..phone"]
    ///
    ///     [fields.member_no]
    ///     tag = "national_id"
    ///     index = { normal_form = "exact" }                 # also name, bits, classes, accept_frequency_leak
    ///     validate = { required = true, max_length = 20 }   # also min_length, plain_text, one_script_per_word, normal_form, canonical
    ///     mask = "hidden"
    ///
    ///     [fields.nickname]
    ///     tag = "nickname"        # one of our own
    ///     encrypt_null = true     # or null_if_unreadable = true
    ///
    ///     [tags.nickname]
    ///     pad_to = 64
    ///
    ///     [compound_indexes]
    ///     phone_and_no = [
    ///         { field = "phone", normal_form = "exact" },
    ///         { field = "member_no", normal_form = "exact" },
    ///     ]
    /// "#)?;
    /// assert_eq!(policy.fields().len(), 4);
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let document: Document =
            toml::from_str(text).map_err(|error| error_at(text, error.span().unwrap_or(0..0), error.message()))?;
        let Document { collection, fresh_prefix_per_field, record, compound_indexes, tags, fields } = document;
        let collection_span = collection.span();
        let mut builder = Self::builder(collection.into_inner());
        if fresh_prefix_per_field {
            builder = builder.fresh_prefix_per_field();
        }
        if let Some(record) = record {
            let RecordEntry { id, paths, unbound_for } = record.into_inner();
            let binding = match unbound_for {
                Some(seconds) => RecordBinding::upgrade(id, Duration::from_secs(seconds)),
                None => RecordBinding::required(id),
            };
            builder = builder.bind_records(paths.into_iter().fold(binding, RecordBinding::path));
        }
        for (name, parts) in compound_indexes {
            let span = parts.span();
            let mut index = CompoundIndex::new(name);
            for PartEntry { field, normal_form } in parts.into_inner() {
                let normalizer =
                    toml_rules::normalizer(&normal_form).map_err(|problem| error_at(text, span.clone(), &problem))?;
                index = index.part(field, normalizer);
            }
            builder = builder.compound_index(index);
        }
        for (name, TagEntry { pad_to }) in &tags {
            if let Some(bytes) = pad_to
                && let Some(problem) = lint::minimum_problem(*bytes.get_ref())
            {
                return Err(error_at(text, bytes.span(), &format!("tag `{}`: {problem}", name.get_ref())));
            }
            if !fields.values().any(|field| field.tag.get_ref() == name.get_ref()) {
                let message = format!("tag `{}` is declared, but no field has it", name.get_ref());
                return Err(error_at(text, name.span(), &message));
            }
        }
        let mut spans = Vec::new();
        let mut fields: Vec<_> = fields.into_iter().collect();
        fields.sort_by_key(|(name, _)| name.span().start);
        for (name, entry) in fields {
            let FieldEntry {
                tag,
                paths,
                pad_to,
                encrypt_null,
                null_if_unreadable,
                allow_plaintext_until,
                index,
                validate,
                mask,
            } = entry;
            let name_span = name.span();
            let name = name.into_inner();
            let own = tags.get(tag.get_ref().as_str());
            let Some(known) = find_tag(tag.get_ref(), own.is_some()) else {
                let message = format!(
                    "field `{name}`: there is no tag `{}`; use {}, or declare it under [tags]",
                    tag.get_ref(),
                    Tag::KNOWN.map(|tag| tag.to_string()).join(", ")
                );
                return Err(error_at(text, tag.span(), &message));
            };
            let mut field = Field::new(name, known);
            if let Some(bytes) = pad_to.or(own.and_then(|own| own.pad_to.as_ref()).map(|bytes| *bytes.get_ref())) {
                field = field.pad_to(bytes);
            }
            if encrypt_null {
                field = field.encrypt_null();
            }
            if null_if_unreadable {
                field = field.null_if_unreadable();
            }
            if let Some(end) = allow_plaintext_until {
                let Ok(moment) = end.get_ref().to_string().parse::<Timestamp>() else {
                    let message = format!("field `{}`: write the moment like 2026-11-24T03:41:00Z", field.name());
                    return Err(error_at(text, end.span(), &message));
                };
                field = field.allow_plaintext_until(moment);
            }
            field = add_rules(text, field, (index, validate, mask))?;
            spans.push((name_span, paths.iter().map(Spanned::span).collect::<Vec<_>>()));
            for path in paths {
                field = field.path(path.into_inner());
            }
            builder = builder.field(field);
        }
        builder.check().map_err(|fault| {
            let span = match fault.place {
                Place::Collection => collection_span,
                Place::Field(field) => spans[field].0.clone(),
                // A field without a path of its own has one made of its name.
                Place::Path(field, path) => spans[field].1.get(path).unwrap_or(&spans[field].0).clone(),
            };
            error_at(text, span, &fault.message)
        })
    }
}

type Rules = (Option<Spanned<IndexEntry>>, Option<Spanned<ValidationEntry>>, Option<Spanned<String>>);

fn add_rules(text: &str, mut field: Field, (index, validation, mask): Rules) -> Result<Field, Error> {
    let fault = |span, message: String, name: &str| error_at(text, span, &format!("field `{name}`: {message}"));
    let name = field.name().to_owned();
    if let Some(index) = index {
        let span = index.span();
        field = index.into_inner().add_to(field).map_err(|message| fault(span, message, &name))?;
    }
    if let Some(validation) = validation {
        let span = validation.span();
        field = validation.into_inner().add_to(field).map_err(|message| fault(span, message, &name))?;
    }
    if let Some(mask) = mask {
        let found = toml_rules::mask(mask.get_ref()).map_err(|message| fault(mask.span(), message, &name))?;
        field = field.mask(found);
    }
    Ok(field)
}

fn find_tag(name: &str, is_declared: bool) -> Option<Tag> {
    let known = Tag::KNOWN.into_iter().find(|tag| tag.name() == name);
    known.or_else(|| is_declared.then(|| Tag::custom(name.to_owned())))
}

fn error_at(text: &str, span: Range<usize>, message: &str) -> Error {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    Error::new(ErrorKind::Policy, format!("policy, line {line}: {message}"))
}
