//! The rules of a field as documents describe them: its index, its validation, its mask.

use serde::{Deserialize, Serialize};

use super::blind_index::BlindIndex;
use super::entry::is_false;
use super::field::Field;
use crate::text::{Mask, Normalizer, Rule, Validation};

/// `index = { normal_form = "phone:SG" }`
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IndexEntry {
    normal_form: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<u8>,
    #[serde(default, skip_serializing_if = "is_false")]
    accept_frequency_leak: bool,
}

/// `validate = { required = true, max_length = 100 }`
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValidationEntry {
    #[serde(default, skip_serializing_if = "is_false")]
    required: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    plain_text: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    one_script_per_word: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    normal_form: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical: Option<String>,
}

impl IndexEntry {
    /// Adds the index to `field`, or says what is wrong with it.
    pub(super) fn add_to(self, field: Field, own: &[Normalizer]) -> Result<Field, String> {
        let Self { normal_form, name, bits, classes, accept_frequency_leak } = self;
        let normalizer = normalizer(&normal_form, own)?;
        let mut index = match bits {
            Some(bits) => BlindIndex::truncated(normalizer, bits),
            None => BlindIndex::new(normalizer),
        };
        if let Some(name) = name {
            index = index.named(name);
        }
        if let Some(classes) = classes {
            index = index.partitions(classes);
        }
        Ok(field.blind_index(if accept_frequency_leak { index.accept_frequency_leak() } else { index }))
    }

    /// Describes `index`, or says what of it no file can.
    pub(super) fn of(index: &BlindIndex, field: &str) -> Result<Self, String> {
        let BlindIndex { name, normalizer, bits, partitions, accepts_frequency_leak } = index;
        Ok(Self {
            normal_form: normal_form(normalizer)?,
            name: name.clone().filter(|name| *name != BlindIndex::usual_name(field)),
            bits: (!index.is_full()).then_some(*bits),
            classes: (*partitions != 1).then_some(*partitions),
            accept_frequency_leak: *accepts_frequency_leak,
        })
    }
}

impl ValidationEntry {
    /// Adds the rules to `field`, the cheapest first, or says what is wrong with them.
    pub(super) fn add_to(self, field: Field, own: &[Normalizer]) -> Result<Field, String> {
        let Self { required, plain_text, one_script_per_word, min_length, max_length, normal_form, canonical } = self;
        let mut validation = Validation::new();
        if required {
            validation = validation.required();
        }
        if let Some(characters) = min_length {
            validation = validation.min_length(characters);
        }
        if let Some(characters) = max_length {
            validation = validation.max_length(characters);
        }
        if plain_text {
            validation = validation.plain_text();
        }
        if one_script_per_word {
            validation = with_one_script_per_word(validation)?;
        }
        if let Some(form) = normal_form {
            validation = validation.normal_form(normalizer(&form, own)?);
        }
        if let Some(form) = canonical {
            validation = validation.canonical(normalizer(&form, own)?);
        }
        Ok(field.validate(validation))
    }

    /// Describes `validation`, or says what of it no file can. Which rule is told where a value breaks two may change.
    pub(super) fn of(validation: &Validation) -> Result<Self, String> {
        let mut entry = Self { required: validation.is_required(), ..Self::default() };
        for rule in validation.rules() {
            if entry.canonical.is_some() {
                return Err("has a rule behind `canonical`, which no file can describe".to_owned());
            }
            let is_repeated = match rule {
                Rule::MinLength(characters) => entry.min_length.replace(*characters).is_some(),
                Rule::MaxLength(characters) => entry.max_length.replace(*characters).is_some(),
                Rule::PlainText => std::mem::replace(&mut entry.plain_text, true),
                #[cfg(feature = "normal-forms")]
                Rule::OneScriptPerWord => std::mem::replace(&mut entry.one_script_per_word, true),
                Rule::NormalForm(normalizer) => entry.normal_form.replace(normal_form(normalizer)?).is_some(),
                Rule::Canonical(normalizer) => entry.canonical.replace(normal_form(normalizer)?).is_some(),
                Rule::Check(name, _) => return Err(format!("has the check `{name}`, which no file can describe")),
            };
            if is_repeated {
                return Err("has a rule twice, which no file can describe".to_owned());
            }
        }
        Ok(entry)
    }
}

#[cfg(feature = "normal-forms")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it fails")]
fn with_one_script_per_word(validation: Validation) -> Result<Validation, String> {
    Ok(validation.one_script_per_word())
}

#[cfg(not(feature = "normal-forms"))]
fn with_one_script_per_word(_: Validation) -> Result<Validation, String> {
    Err("`one_script_per_word` needs the feature `normal-forms`".to_owned())
}

/// Finds a mask by the name of its function.
pub(super) fn mask(name: &str) -> Result<Mask, String> {
    Ok(match name {
        "phone" => Mask::phone(),
        "email" => Mask::email(),
        "card" => Mask::card(),
        "name" => Mask::name(),
        "national_id" => Mask::national_id(),
        "hidden" => Mask::hidden(),
        _ => return Err(format!("there is no mask `{name}`; use phone, email, card, name, national_id or hidden")),
    })
}

/// The name by which [`normalizer`] finds this normal form.
pub(super) fn normal_form(wanted: &Normalizer) -> Result<String, String> {
    let name = wanted.id().split_once('@').map_or(wanted.id(), |(name, _)| name);
    match normalizer(name, &[]) {
        Ok(found) if found.id() == wanted.id() => Ok(name.to_owned()),
        _ => Err(format!("has the normal form `{}`, which no file can describe", wanted.id())),
    }
}

/// Finds a normal form by its name: one of the application's `own`, which begin with `custom:`, or one that is known.
pub(super) fn normalizer(name: &str, own: &[Normalizer]) -> Result<Normalizer, String> {
    if !name.starts_with("custom:") {
        return Normalizer::by_name(name).map_err(|error| error.to_string());
    }
    let called = |normalizer: &&Normalizer| normalizer.id().split_once('@').is_some_and(|(id, _)| id == name);
    let mut found = own.iter().filter(called);
    match (found.next(), found.next()) {
        (Some(normalizer), None) => Ok(normalizer.clone()),
        (Some(_), Some(_)) => Err(format!("there are several normal forms `{name}`: give one version of it")),
        (None, _) => Err(format!("the normal form `{name}` is a function: give it to `Policy::from_toml_with`")),
    }
}
