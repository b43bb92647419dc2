//! The TOML form of a policy.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize, Serializer};
use toml::Spanned;
use toml::value::Datetime;

use super::entry::{FieldEntry, Format, PartEntry, RecordEntry, StrictEntry, TagEntry, is_false};
use super::lint::{self, Place};
use super::policy::Policy;
use super::tag::Tag;
use crate::error::{Error, ErrorKind};
use crate::text::Normalizer;
use crate::timestamp::Timestamp;

/// TOML tells where each part stands.
enum Toml {}

impl Format for Toml {
    type At<T> = Spanned<T>;
    type Mark = Range<usize>;
    type Moment = Datetime;
    const TAGS: &'static str = "[tags]";

    fn take<T>(part: Spanned<T>) -> (T, Range<usize>) {
        let span = part.span();
        (part.into_inner(), span)
    }

    fn look<T>(part: &Spanned<T>) -> &T {
        part.get_ref()
    }

    fn put<T>(part: T) -> Spanned<T> {
        Spanned::new(0..0, part)
    }

    fn moment(moment: Timestamp) -> Option<Datetime> {
        moment.to_string().parse().ok()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    collection: Spanned<String>,
    #[serde(default)]
    fresh_prefix_per_field: bool,
    record: Option<RecordEntry>,
    strict: Option<StrictEntry>,
    #[serde(default)]
    compound_indexes: BTreeMap<String, Spanned<Vec<PartEntry>>>,
    #[serde(default)]
    tags: BTreeMap<Spanned<String>, TagEntry<Toml>>,
    #[serde(default)]
    fields: BTreeMap<Spanned<String>, FieldEntry<Toml>>,
}

/// What [`Document`] reads, with the fields in the order of the policy.
#[derive(Serialize)]
struct Written<'p> {
    collection: &'p str,
    #[serde(skip_serializing_if = "is_false")]
    fresh_prefix_per_field: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<RecordEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<StrictEntry>,
    #[serde(serialize_with = "in_order")]
    fields: Vec<(&'p str, FieldEntry<Toml>)>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<&'p str, TagEntry<Toml>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    compound_indexes: BTreeMap<&'p str, Vec<PartEntry>>,
}

fn in_order<S: Serializer>(fields: &[(&str, FieldEntry<Toml>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(name, entry)| (name, entry)))
}

impl Policy {
    /// Reads a policy from TOML. Normal forms are those of [`Normalizer::by_name`], such as `email:ignore_case` and
    /// `phone:SG`.
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
    ///     strict = { untagged = "refuse", except = ["$.order_number"] } # or "report": see `Strict`
    ///
    ///     [fields.name]
    ///     tag = "name"
    ///
    ///     [fields.phone]
    ///     tag = "phone"
    ///     paths = ["$..phone"]
    ///     parameters = ["mobile"] # what queries call it, too
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
        Self::from_toml_with(text, &[])
    }

    /// Reads a policy from TOML, in which `custom:NAME` is the normal form of that name among `normalizers`, functions of
    /// your own.
    ///
    /// The file says no version, so that of the function is the one that values are indexed by.
    ///
    /// # Errors
    ///
    /// As [`from_toml`](Self::from_toml), and where two of `normalizers` have the name that is asked for.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::Policy;
    /// use fieldseal::policy::Normalizer;
    ///
    /// let plate = Normalizer::custom("plate", 1, |text| Some(text.replace(' ', "").to_ascii_uppercase()))?;
    /// let policy = Policy::from_toml_with(
    ///     r#"
    ///     collection = "cars"
    ///
    ///     [fields.plate]
    ///     tag = "national_id"
    ///     index = { normal_form = "custom:plate" }
    /// "#,
    ///     &[plate],
    /// )?;
    /// assert_eq!(policy.fields()[0].index_name().as_deref(), Some("plate_index"));
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn from_toml_with(text: &str, normalizers: &[Normalizer]) -> Result<Self, Error> {
        let document: Document =
            toml::from_str(text).map_err(|error| error_at(text, error.span().unwrap_or(0..0), error.message()))?;
        let Document { collection, fresh_prefix_per_field, record, strict, compound_indexes, tags, fields } = document;
        let collection_span = collection.span();
        let mut builder = Self::builder(collection.into_inner());
        if fresh_prefix_per_field {
            builder = builder.fresh_prefix_per_field();
        }
        if let Some(record) = record {
            builder = builder.bind_records(record.binding());
        }
        if let Some(strict) = strict {
            builder = builder.strict(strict.strict());
        }
        for (name, parts) in compound_indexes {
            let span = parts.span();
            let index = PartEntry::index(name, parts.into_inner(), normalizers);
            builder = builder.compound_index(index.map_err(|problem| error_at(text, span, &problem))?);
        }
        for (name, TagEntry { pad_to }) in &tags {
            if let Some(bytes) = pad_to
                && let Some(problem) = lint::minimum_problem(*bytes.get_ref())
            {
                return Err(error_at(text, bytes.span(), &format!("tag `{}`: {problem}", name.get_ref())));
            }
            if !fields.values().any(|field| field.has_tag(name.get_ref())) {
                let message = format!("tag `{}` is declared, but no field has it", name.get_ref());
                return Err(error_at(text, name.span(), &message));
            }
        }
        let mut spans = Vec::new();
        let mut fields: Vec<_> = fields.into_iter().collect();
        fields.sort_by_key(|(name, _)| name.span().start);
        for (name, entry) in fields {
            let span = name.span();
            let own = |tag: &str| tags.get(tag).map(TagEntry::minimum);
            let field = entry.into_field(name.get_ref(), own, normalizers);
            let (field, paths) = field.map_err(|(message, span)| error_at(text, span, &message))?;
            spans.push((span, paths));
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

    /// Writes the policy in the form that [`from_toml`](Self::from_toml) reads.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] where a part of it is a function of your own, which no file can describe: a mask, a normal
    /// form, a check.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::{Field, Policy, Tag};
    ///
    /// let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    /// assert_eq!(policy.to_toml()?, "collection = \"customers\"\n\n[fields.phone]\ntag = \"phone\"\n");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn to_toml(&self) -> Result<String, Error> {
        let fault = |problem| Error::new(ErrorKind::Policy, problem);
        let field = |field| FieldEntry::of(field).map_err(fault);
        let is_own = |tag: &&Tag| matches!(tag, Tag::Custom(_));
        let index = |index| PartEntry::of(index).map_err(fault);
        let written = Written {
            collection: self.collection(),
            fresh_prefix_per_field: self.fresh_prefix_per_field(),
            record: self.record_binding().map(RecordEntry::of),
            strict: self.strict().map(StrictEntry::of),
            fields: self.fields().iter().map(|own| Ok((own.name(), field(own)?))).collect::<Result<_, Error>>()?,
            tags: self
                .fields()
                .iter()
                .map(super::Field::tag)
                .filter(is_own)
                .map(|tag| (tag.name(), TagEntry::plain()))
                .collect(),
            compound_indexes: self
                .compound_indexes()
                .iter()
                .map(|own| Ok((own.name(), index(own)?)))
                .collect::<Result<_, Error>>()?,
        };
        toml::to_string(&written).map_err(|error| fault(error.to_string()))
    }
}

fn error_at(text: &str, span: Range<usize>, message: &str) -> Error {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    Error::new(ErrorKind::Policy, format!("policy, line {line}: {message}"))
}
