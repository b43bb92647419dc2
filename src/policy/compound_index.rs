//! How rows are found by several fields at once, although each is encrypted.

use crate::text::Normalizer;

/// Asks for one blind index of several fields: a member, behind the last one of the object that holds them, by which
/// objects are found that have equal values in all of them.
///
/// For what is too common alone and rare together: a postcode and a year of birth. A thief sees which rows agree in all
/// parts, and nothing of the parts. It is full, like [`BlindIndex::new`](super::BlindIndex::new), and made under the same
/// keys. All parts stand in one object, and are written together: a change of some of them is refused. An object in which
/// one is missing or empty has the index `null`. Through the layer, a part that has an index of its own is looked up by that
/// one.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{DataKey, Keys, SecretKey};
/// use fieldseal::policy::{CompoundIndex, Normalizer};
/// use fieldseal::{Field, FieldCipher, Policy, Tag};
///
/// let policy = Policy::builder("customers")
///     .field(Field::new("postcode", Tag::Address))
///     .field(Field::new("birth_year", Tag::DateOfBirth))
///     .compound_index(
///         CompoundIndex::new("place_and_year")
///             .part("postcode", Normalizer::exact())
///             .part("birth_year", Normalizer::exact()),
///     )
///     .build()?;
/// let keys = || Ok::<_, fieldseal::Error>(Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
/// let cipher = FieldCipher::new(policy, keys()?).with_index_keys(keys()?)?;
///
/// let stored = cipher.encrypt_json(br#"{"birth_year":"1980","postcode":"570123"}"#)?;
/// let terms = cipher.compound_lookup("place_and_year", &[("postcode", "570123"), ("birth_year", "1980")])?;
/// assert!(String::from_utf8(stored).unwrap().ends_with(&format!(r#","place_and_year":"{}"}}"#, terms[0])));
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CompoundIndex {
    pub(super) name: String,
    pub(super) parts: Vec<(String, Normalizer)>,
}

impl CompoundIndex {
    /// Starts an index in a member called `name`. Indexes are bound to it.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), parts: Vec::new() }
    }

    /// Adds a field, over the normal form that `normalizer` makes of its values. The order of parts belongs to the index.
    pub fn part(mut self, field: impl Into<String>, normalizer: Normalizer) -> Self {
        self.parts.push((field.into(), normalizer));
        self
    }

    /// Returns the name of the member that holds it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fields and their normal forms, in order.
    pub(crate) fn parts(&self) -> &[(String, Normalizer)] {
        &self.parts
    }

    /// Names the fields and the versions of their normal forms: each text with its length before it.
    pub(crate) fn normal_form(&self) -> String {
        let texts = self.parts.iter().flat_map(|(field, normalizer)| [&**field, normalizer.id()]);
        texts.fold(String::new(), |form, text| format!("{form}{}:{text}", text.len()))
    }
}
