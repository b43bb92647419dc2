//! A policy and its builder.

use std::borrow::Cow;
#[cfg(any(feature = "layer", feature = "openapi"))]
use std::iter;
use std::sync::Arc;

use super::automaton::Automaton;
use super::compound_index::CompoundIndex;
use super::field::{Field, FieldIndex};
#[cfg(any(feature = "layer", feature = "openapi"))]
use super::lint::plain_name;
use super::lint::{self, Checked, Fault};
#[cfg(feature = "layer")]
use super::path::{Path, Segment, Selector};
use super::record_binding::RecordBinding;
use super::strict::Strict;
use crate::error::{Error, ErrorKind};

/// The tagged fields of one collection.
///
/// # Example
///
/// ```
/// use fieldseal::{Field, Policy, Tag};
///
/// let policy = Policy::builder("customers")
///     .field(Field::new("name", Tag::Name))
///     .field(Field::new("phone", Tag::Phone).path("$..phone").path("$..mobile"))
///     .build()?;
/// assert_eq!(policy.collection(), "customers");
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Debug)]
pub struct Policy {
    collection: String,
    fields: Vec<Field>,
    fresh_prefix_per_field: bool,
    records: Option<RecordBinding>,
    compounds: Vec<CompoundIndex>,
    strict: Option<Strict>,
    checked: Checked,
}

impl Policy {
    /// Makes a policy of `fields`, each a name and a tag or a whole [`Field`], for `collection`, as
    /// [`builder`](Self::builder) does.
    ///
    /// # Errors
    ///
    /// Those of [`PolicyBuilder::build`].
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::{Policy, Tag};
    ///
    /// let policy = Policy::new("customers", [("name", Tag::Name), ("phone", Tag::Phone)])?;
    /// assert_eq!(policy.fields()[1].paths(), ["$..['phone']"]); // any member called `phone`, at any depth
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn new(
        collection: impl Into<String>,
        fields: impl IntoIterator<Item = impl Into<Field>>,
    ) -> Result<Self, Error> {
        fields.into_iter().map(Into::into).fold(Self::builder(collection), PolicyBuilder::field).build()
    }

    /// Starts a policy for `collection`, the name that all its tokens are bound to. A table may be renamed later; this
    /// name may not.
    pub fn builder(collection: impl Into<String>) -> PolicyBuilder {
        PolicyBuilder {
            collection: collection.into(),
            fields: Vec::new(),
            fresh_prefix_per_field: false,
            records: None,
            compounds: Vec::new(),
            strict: None,
        }
    }

    /// Returns the name that all tokens are bound to.
    #[must_use]
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// Returns the fields, in the order in which they were added.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(crate) fn field(&self, index: FieldIndex) -> &Field {
        &self.fields[usize::from(index.0)]
    }

    /// The least length, in bytes, that values of `field` are padded to.
    #[inline]
    pub(crate) fn minimum(&self, field: FieldIndex) -> usize {
        self.checked.briefs[usize::from(field.0)].minimum
    }

    /// Whether the values at `index` are those of a field, and nothing is done with them than to encrypt them.
    #[inline]
    pub(crate) fn only_encrypts(&self, index: FieldIndex) -> bool {
        self.checked.briefs.get(usize::from(index.0)).is_some_and(|brief| brief.is_only_encrypted)
    }

    /// The fields that every whole document must hold.
    pub(crate) fn required(&self) -> impl Iterator<Item = FieldIndex> {
        (0..).map(FieldIndex).zip(&self.checked.briefs).filter(|(_, brief)| brief.is_required).map(|(field, _)| field)
    }

    /// Returns the field whose blind index stands at `index`, where that is a place of one; of several fields the first.
    pub(crate) fn indexed_by(&self, index: FieldIndex) -> Option<FieldIndex> {
        let sibling = usize::from(index.0).checked_sub(self.fields.len())?;
        let own = self.checked.indexed.get(sibling).copied();
        own.or_else(|| self.checked.parts[sibling - self.checked.indexed.len()].first().copied())
    }

    /// Returns the blind indexes of several fields, in the order in which they were added.
    pub fn compound_indexes(&self) -> &[CompoundIndex] {
        &self.compounds
    }

    /// Whether some member is a blind index.
    pub(crate) fn has_indexes(&self) -> bool {
        !self.checked.indexed.is_empty() || !self.compounds.is_empty()
    }

    /// The blind indexes of several fields each, in order, with those fields.
    pub(crate) fn compounds(&self) -> impl ExactSizeIterator<Item = (&CompoundIndex, &[FieldIndex])> {
        self.compounds.iter().zip(self.checked.parts.iter().map(Vec::as_slice))
    }

    /// Whether `field` is a part of an index of several.
    pub(crate) fn is_part(&self, field: FieldIndex) -> bool {
        self.checked.parts.iter().any(|parts| parts.contains(&field))
    }

    /// The fields with a blind index, in order.
    pub(crate) fn indexed(&self) -> &[FieldIndex] {
        &self.checked.indexed
    }

    /// Returns what the value at `index` is called: the name of a field, or of a blind index.
    pub(crate) fn place_name(&self, index: FieldIndex) -> Cow<'_, str> {
        let compound = usize::from(index.0).checked_sub(self.fields.len() + self.checked.indexed.len());
        match (compound, self.indexed_by(index)) {
            (Some(compound), _) => self.compounds[compound].name().into(),
            (None, Some(field)) => self.field(field).index_name().unwrap_or_default(),
            (None, None) => self.field(index).name().into(),
        }
    }

    pub(crate) fn field_named(&self, name: &str) -> Option<FieldIndex> {
        let place = self.fields.iter().position(|field| field.name == name)?;
        u16::try_from(place).ok().map(FieldIndex)
    }

    pub(crate) fn fresh_prefix_per_field(&self) -> bool {
        self.fresh_prefix_per_field
    }

    /// Returns how tokens are bound to the records that hold them, where they are.
    #[must_use]
    pub fn record_binding(&self) -> Option<&RecordBinding> {
        self.records.as_ref()
    }

    /// Returns what becomes of personal data that is not tagged, where it is looked for.
    #[must_use]
    pub fn strict(&self) -> Option<&Strict> {
        self.strict.as_ref()
    }

    /// Selects where it is not looked for.
    pub(crate) fn exceptions(&self) -> Option<&Arc<Automaton>> {
        self.checked.exceptions.as_ref()
    }

    pub(crate) fn automaton(&self) -> &Automaton {
        &self.checked.automaton
    }

    /// Returns the field, or the place of a blind index, that people call `name`, in any case and any style: `contact_number`, `contactNumber`.
    #[cfg(any(feature = "layer", feature = "openapi"))]
    pub(crate) fn field_called(&self, name: &str) -> Option<FieldIndex> {
        self.checked.called.get(&*plain_name(name)).copied()
    }

    /// Whether a path of `field`, or of the field with that blind index, leads through a member called `name`.
    #[cfg(feature = "layer")]
    pub(crate) fn is_step(&self, field: FieldIndex, name: &str) -> bool {
        let field = self.field(self.indexed_by(field).unwrap_or(field));
        let paths = field.paths().iter().filter_map(|path| Path::parse(path).ok());
        let is_own = |segment: &Segment| matches!(&segment.selector, Selector::Name(own) if own == name);
        paths.flat_map(|path| path.segments.into_iter().rev().skip(1)).any(|segment| is_own(&segment))
    }

    /// Returns what people call the fields and blind indexes, as [`plain_name`](super::plain_name).
    #[cfg(feature = "redact")]
    pub(crate) fn plain_names(&self) -> impl Iterator<Item = &str> {
        self.checked.called.keys().map(String::as_str)
    }

    /// Returns the field, or the place of a blind index, that a parameter called `name` asks for: alone or as a part of a
    /// compound name such as `customer[phone]`, `filter.phone`, `phone__eq` or `phone!`; or spelled with other signs, `contact.number`.
    #[cfg(any(feature = "layer", feature = "openapi"))]
    pub(crate) fn field_asked_for(&self, name: &str) -> Option<FieldIndex> {
        let is_between = |c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-');
        let parts = name.split(is_between).flat_map(|part| part.split("__"));
        // PHP has an underscore for any sign in a name, up to a bracket.
        let joined = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        let up_to_bracket = name.split('[').next().unwrap_or_default();
        // The name of a field may hold any character, so the whole is looked at as well as the parts.
        let found = iter::once(name).chain(parts).find_map(|part| self.field_called(part));
        found.or_else(|| [name, up_to_bracket].into_iter().find_map(|name| self.field_called(&joined(name))))
    }
}

/// Builds a [`Policy`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PolicyBuilder {
    collection: String,
    fields: Vec<Field>,
    fresh_prefix_per_field: bool,
    records: Option<RecordBinding>,
    compounds: Vec<CompoundIndex>,
    strict: Option<Strict>,
}

impl PolicyBuilder {
    /// Adds a field.
    pub fn field(mut self, mut field: Field) -> Self {
        if field.paths.is_empty() {
            field.paths.push(Field::default_path(&field.name));
        }
        let index_name = field.index_name().map(Cow::into_owned);
        if let Some(index) = &mut field.index {
            index.name = index_name;
        }
        self.fields.push(field);
        self
    }

    /// Draws a nonce prefix for each field, so that the tokens of one document show no link to each other.
    ///
    /// Unless this is called, the fields of one document share a prefix, which tells a thief that they were written
    /// together, and the key derived for it. It costs one call of the system's generator and one key derivation for
    /// each field instead of each document.
    pub fn fresh_prefix_per_field(mut self) -> Self {
        self.fresh_prefix_per_field = true;
        self
    }

    /// Adds a blind index of several fields.
    pub fn compound_index(mut self, index: CompoundIndex) -> Self {
        self.compounds.push(index);
        self
    }

    /// Binds tokens to the records that hold them.
    ///
    /// Tokens that stand already are then those of no record: a job re-encrypts them, see
    /// [`RecordBinding::upgrade`].
    pub fn bind_records(mut self, mut binding: RecordBinding) -> Self {
        if binding.paths.is_empty() {
            binding.paths = RecordBinding::DEFAULT_PATHS.map(str::to_owned).to_vec();
        }
        self.records = Some(binding);
        self
    }

    /// Looks for personal data where nothing is tagged, on the way in, and refuses or reports it. Nobody looks unless this is
    /// called.
    pub fn strict(mut self, strict: Strict) -> Self {
        self.strict = Some(strict);
        self
    }

    /// Checks and compiles the policy.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`], and the message names the field and the place in its path: a path outside the subset,
    /// two fields that can select the same value, a path that can never apply, a name that stands twice or is too
    /// long, a minimum that is not a power of two, a field that should not be encrypted (a password, a card
    /// verification code).
    pub fn build(self) -> Result<Policy, Error> {
        self.check().map_err(|fault| Error::new(ErrorKind::Policy, fault.message))
    }

    pub(crate) fn check(self) -> Result<Policy, Fault> {
        let Self { collection, fields, fresh_prefix_per_field, records, compounds, strict } = self;
        let checked = lint::check(&collection, &fields, &compounds, records.as_ref(), strict.as_ref())?;
        Ok(Policy { collection, fields, fresh_prefix_per_field, records, compounds, strict, checked })
    }
}
