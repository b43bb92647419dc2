//! A policy's fields, records and indexes as documents describe them, in whichever format.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::compound_index::CompoundIndex;
use super::entry_rules::{self, IndexEntry, ValidationEntry};
use super::field::Field;
use super::record_binding::RecordBinding;
use super::strict::Strict;
use super::tag::Tag;
use crate::text::Normalizer;
use crate::timestamp::Timestamp;

/// A format in which policies are written.
pub(crate) trait Format {
    /// A part, with where it stands where the format tells.
    type At<T>;
    /// Where a part stands.
    type Mark;
    /// A moment.
    type Moment: ToString;
    /// Where a file declares tags of its own.
    const TAGS: &'static str;

    fn take<T>(part: Self::At<T>) -> (T, Self::Mark);
    fn look<T>(part: &Self::At<T>) -> &T;
    fn put<T>(part: T) -> Self::At<T>;
    /// Returns `moment` where the format can write it.
    fn moment(moment: Timestamp) -> Option<Self::Moment>;
}

/// A field, but for its name.
#[derive(Deserialize, Serialize)]
#[serde(
    deny_unknown_fields,
    bound(
        deserialize = "F::At<String>: Deserialize<'de>, F::At<F::Moment>: Deserialize<'de>, F::At<IndexEntry>: \
                       Deserialize<'de>, F::At<ValidationEntry>: Deserialize<'de>",
        serialize = "F::At<String>: Serialize, F::At<F::Moment>: Serialize, F::At<IndexEntry>: Serialize, \
                     F::At<ValidationEntry>: Serialize"
    )
)]
pub(crate) struct FieldEntry<F: Format> {
    tag: F::At<String>,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    paths: Vec<F::At<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pad_to: Option<usize>,
    #[serde(default, skip_serializing_if = "is_false")]
    encrypt_null: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    null_if_unreadable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_plaintext_until: Option<F::At<F::Moment>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<F::At<IndexEntry>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validate: Option<F::At<ValidationEntry>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mask: Option<F::At<String>>,
}

/// What is wrong, and where.
type Misfit<F> = (String, <F as Format>::Mark);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
pub(super) fn is_false(value: &bool) -> bool {
    !value
}

impl<F: Format> FieldEntry<F> {
    /// Makes the field called `name`, with the marks of its paths; or says what is wrong and where. `own` finds a tag that
    /// the file declares, and what its values are padded to. `forms` are normal forms of the application's own.
    pub(crate) fn into_field(
        self,
        name: &str,
        own: impl Fn(&str) -> Option<Option<usize>>,
        forms: &[Normalizer],
    ) -> Result<(Field, Vec<F::Mark>), Misfit<F>> {
        let Self {
            tag,
            paths,
            parameters,
            pad_to,
            encrypt_null,
            null_if_unreadable,
            allow_plaintext_until,
            index,
            validate,
            mask,
        } = self;
        let fault = |mark, message: &str| (format!("field `{name}`: {message}"), mark);
        let (tag, place) = F::take(tag);
        let own = own(&tag);
        let Some(known) = find_tag(&tag, own.is_some()) else {
            let known = Tag::KNOWN.map(|tag| tag.to_string()).join(", ");
            return Err(fault(
                place,
                &format!("there is no tag `{tag}`; use {known}, or declare it under {}", F::TAGS),
            ));
        };
        let mut field = Field::new(name, known);
        if let Some(bytes) = pad_to.or(own.flatten()) {
            field = field.pad_to(bytes);
        }
        if encrypt_null {
            field = field.encrypt_null();
        }
        if null_if_unreadable {
            field = field.null_if_unreadable();
        }
        if let Some(end) = allow_plaintext_until {
            let (end, mark) = F::take(end);
            let moment = end.to_string().parse::<Timestamp>();
            let moment = moment.map_err(|_| fault(mark, "write the moment like 2026-11-24T03:41:00Z"))?;
            field = field.allow_plaintext_until(moment);
        }
        if let Some(index) = index {
            let (index, mark) = F::take(index);
            field = index.add_to(field, forms).map_err(|message| fault(mark, &message))?;
        }
        if let Some(validation) = validate {
            let (validation, mark) = F::take(validation);
            field = validation.add_to(field, forms).map_err(|message| fault(mark, &message))?;
        }
        if let Some(mask) = mask {
            let (label, mark) = F::take(mask);
            field = field.mask(entry_rules::mask(&label).map_err(|message| fault(mark, &message))?);
        }
        let (paths, marks): (Vec<_>, Vec<_>) = paths.into_iter().map(F::take).unzip();
        let field = parameters.into_iter().fold(field, Field::parameter);
        Ok((paths.into_iter().fold(field, Field::path), marks))
    }

    #[cfg(feature = "toml")]
    pub(super) fn has_tag(&self, name: &str) -> bool {
        F::look(&self.tag) == name
    }

    /// Describes `field`, or says what of it no file can: functions of the user's own.
    pub(crate) fn of(field: &Field) -> Result<Self, String> {
        let Field {
            name,
            tag,
            paths,
            parameters,
            minimum,
            encrypt_null,
            null_if_unreadable,
            plaintext_until,
            index,
            validation,
            mask,
        } = field;
        let fault = |problem: &str| format!("field `{name}`: {problem}");
        let label = mask.label();
        let is_default_mask = label.is_some() && label == tag.mask().label();
        let mask = match label {
            None => return Err(fault("has a mask of its own, which no file can describe")),
            Some(label) => (!is_default_mask).then(|| F::put(label.to_owned())),
        };
        let moment = |moment| F::moment(moment).ok_or_else(|| fault("has a moment which no file can describe"));
        let is_default_path = *paths == [Field::default_path(name)];
        Ok(Self {
            tag: F::put(tag.name().to_owned()),
            paths: if is_default_path { Vec::new() } else { paths.iter().cloned().map(F::put).collect() },
            parameters: parameters.clone(),
            pad_to: (*minimum != tag.minimum()).then_some(*minimum),
            encrypt_null: *encrypt_null,
            null_if_unreadable: *null_if_unreadable,
            allow_plaintext_until: plaintext_until.map(moment).transpose()?.map(F::put),
            index: index
                .as_ref()
                .map(|index| IndexEntry::of(index, name))
                .transpose()
                .map_err(|message| fault(&message))?
                .map(F::put),
            validate: validation
                .as_ref()
                .map(ValidationEntry::of)
                .transpose()
                .map_err(|message| fault(&message))?
                .map(F::put),
            mask,
        })
    }
}

/// A tag of the user's own.
#[derive(Deserialize, Serialize)]
#[serde(
    deny_unknown_fields,
    bound(deserialize = "F::At<usize>: Deserialize<'de>", serialize = "F::At<usize>: Serialize")
)]
pub(crate) struct TagEntry<F: Format> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pad_to: Option<F::At<usize>>,
}

impl<F: Format> TagEntry<F> {
    /// A tag about which nothing is said.
    pub(crate) fn plain() -> Self {
        Self { pad_to: None }
    }

    /// What values are padded to.
    pub(crate) fn minimum(&self) -> Option<usize> {
        self.pad_to.as_ref().map(|bytes| *F::look(bytes))
    }
}

/// `record = { id = "id" }`
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordEntry {
    id: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    paths: Vec<String>,
    /// In seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    unbound_for: Option<u64>,
}

impl RecordEntry {
    pub(crate) fn binding(self) -> RecordBinding {
        let Self { id, paths, unbound_for } = self;
        let binding = match unbound_for {
            Some(seconds) => RecordBinding::upgrade(id, Duration::from_secs(seconds)),
            None => RecordBinding::required(id),
        };
        paths.into_iter().fold(binding, RecordBinding::path)
    }

    pub(crate) fn of(binding: &RecordBinding) -> Self {
        let is_default = binding.paths == RecordBinding::DEFAULT_PATHS;
        let paths = if is_default { Vec::new() } else { binding.paths.clone() };
        Self { id: binding.member.clone(), paths, unbound_for: binding.unbound_for().map(|age| age.as_secs()) }
    }
}

/// `strict = { untagged = "refuse", except = ["$.order_number"] }`
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StrictEntry {
    untagged: Untagged,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    except: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Untagged {
    Refuse,
    Report,
}

impl StrictEntry {
    pub(crate) fn strict(self) -> Strict {
        let strict = match self.untagged {
            Untagged::Refuse => Strict::refuse(),
            Untagged::Report => Strict::report(),
        };
        self.except.into_iter().fold(strict, Strict::except)
    }

    pub(crate) fn of(strict: &Strict) -> Self {
        let untagged = if strict.refuses() { Untagged::Refuse } else { Untagged::Report };
        Self { untagged, except: strict.exceptions().to_vec() }
    }
}

/// `{ field = "phone", normal_form = "exact" }`
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartEntry {
    field: String,
    normal_form: String,
}

impl PartEntry {
    /// Makes the index called `name`.
    pub(crate) fn index(name: String, parts: Vec<Self>, forms: &[Normalizer]) -> Result<CompoundIndex, String> {
        parts.into_iter().try_fold(CompoundIndex::new(name), |index, Self { field, normal_form }| {
            Ok(index.part(field, entry_rules::normalizer(&normal_form, forms)?))
        })
    }

    pub(crate) fn of(index: &CompoundIndex) -> Result<Vec<Self>, String> {
        let fault = |message| format!("index `{}`: {message}", index.name());
        let part = |(field, normalizer): &(String, _)| {
            let normal_form = entry_rules::normal_form(normalizer).map_err(fault)?;
            Ok(Self { field: field.clone(), normal_form })
        };
        index.parts().iter().map(part).collect()
    }
}

fn find_tag(name: &str, is_declared: bool) -> Option<Tag> {
    let known = Tag::KNOWN.into_iter().find(|tag| tag.name() == name);
    known.or_else(|| is_declared.then(|| Tag::custom(name.to_owned())))
}
