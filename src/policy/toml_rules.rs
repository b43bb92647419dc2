//! The rules of a field in the TOML form of a policy: its index, its validation, its mask.

use serde::Deserialize;

use super::blind_index::BlindIndex;
use super::field::Field;
use crate::text::{Mask, Normalizer, Validation};

/// `index = { normal_form = "phone:SG" }`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexEntry {
    normal_form: String,
    name: Option<String>,
    bits: Option<u16>,
    classes: Option<u8>,
    #[serde(default)]
    accept_frequency_leak: bool,
}

/// `validate = { required = true, max_length = 100 }`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValidationEntry {
    #[serde(default)]
    required: bool,
    #[serde(default)]
    plain_text: bool,
    #[serde(default)]
    one_script_per_word: bool,
    min_length: Option<usize>,
    max_length: Option<usize>,
    normal_form: Option<String>,
    canonical: Option<String>,
}

impl IndexEntry {
    /// Adds the index to `field`, or says what is wrong with it.
    pub(super) fn add_to(self, field: Field) -> Result<Field, String> {
        let Self { normal_form, name, bits, classes, accept_frequency_leak } = self;
        let normalizer = normalizer(&normal_form)?;
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
}

impl ValidationEntry {
    /// Adds the rules to `field`, the cheapest first, or says what is wrong with them.
    pub(super) fn add_to(self, field: Field) -> Result<Field, String> {
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
            validation = validation.normal_form(normalizer(&form)?);
        }
        if let Some(form) = canonical {
            validation = validation.canonical(normalizer(&form)?);
        }
        Ok(field.validate(validation))
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

pub(super) fn normalizer(name: &str) -> Result<Normalizer, String> {
    Normalizer::by_name(name).map_err(|error| error.to_string())
}
