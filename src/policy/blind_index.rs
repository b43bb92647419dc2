//! How a field can be searched although it is encrypted.

use super::tag::Tag;
use crate::text::Normalizer;

/// The length of a full index in bits: no two values of a table share one by chance.
const FULL_BITS: u16 = 128;
/// The fewest bits of a truncated index.
const FEWEST_BITS: u16 = 8;
/// The most classes that the values of an index are spread over.
const MOST_PARTITIONS: u8 = 64;

/// Asks for a blind index of a field: a sibling member by which equal values are found without being read.
///
/// It holds HMAC-SHA-256 of the value's normal form under a key of its own, cut to 128 bits. Whoever steals the storage
/// sees **which rows have equal values, and how often each occurs**; who can also write through the application can test
/// guesses by registering them. So an index is for values of which nearly every row has its own, such as emails and
/// telephone numbers. One on a few values gives them away, and is refused; see
/// [`accept_frequency_leak`](Self::accept_frequency_leak).
///
/// # Example
///
/// ```
/// use fieldseal::policy::{BlindIndex, Normalizer};
/// use fieldseal::{Field, Policy, Tag};
///
/// let policy = Policy::builder("customers")
///     .field(Field::new("member_no", Tag::NationalId).blind_index(BlindIndex::new(Normalizer::exact())))
///     .build()?;
/// assert_eq!(policy.fields()[0].index_name().as_deref(), Some("member_no_index"));
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct BlindIndex {
    pub(super) name: Option<String>,
    pub(super) normalizer: Normalizer,
    pub(super) bits: u16,
    pub(super) partitions: u8,
    pub(super) accepts_frequency_leak: bool,
}

impl BlindIndex {
    /// The bits of a full one.
    pub(crate) const FULL: u16 = FULL_BITS;

    /// Asks for a full index of 128 bits, over the normal form that `normalizer` makes. Fit for a unique constraint,
    /// but for the time in which its key is rotated: until all rows have indexes under the new key, one value has two.
    pub fn new(normalizer: Normalizer) -> Self {
        Self { name: None, normalizer, bits: FULL_BITS, partitions: 1, accepts_frequency_leak: false }
    }

    /// Asks for an index cut to `bits`, 8 to 64, so that rows with other values share it.
    ///
    /// A lookup then finds rows that do not match, and each must be checked after decryption: with
    /// [`Lookup::confirm`](crate::Lookup::confirm), or by the layer's `drop_false_matches`. [`expected_false_matches`](Self::expected_false_matches) says how
    /// many. It hides little of a skewed distribution: a common value stays common.
    pub fn truncated(normalizer: Normalizer, bits: u16) -> Self {
        Self { bits, ..Self::new(normalizer) }
    }

    /// Calls the sibling member `name` instead of the field's name with `_index` behind it. Indexes are bound to it.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Lets each value fall at random into one of `classes`, 2 to 64, with an index of its own, so that a value that
    /// many rows share does not stand out as much. A lookup asks for all of them. Rules out unique constraints.
    pub fn partitions(mut self, classes: u8) -> Self {
        self.partitions = classes;
        self
    }

    /// Allows an index on values of which there are few, or a few are common: names, dates of birth, parts of card
    /// numbers. A thief who knows how common each value is reads most of them off the index.
    pub fn accept_frequency_leak(mut self) -> Self {
        self.accepts_frequency_leak = true;
        self
    }

    /// Returns how many rows of a table of `rows` a lookup by an index of `bits` finds on average that do not match,
    /// where nearly every row has a value of its own.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::BlindIndex;
    ///
    /// assert_eq!(BlindIndex::expected_false_matches(1_000_000, 128), 0.0);
    /// assert_eq!(BlindIndex::expected_false_matches(1 << 20, 16), 16.0);
    /// ```
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn expected_false_matches(rows: u64, bits: u16) -> f64 {
        let expected = rows as f64 * 0.5_f64.powi(bits.into());
        if expected < 1e-9 { 0.0 } else { expected }
    }

    pub(crate) fn normalizer(&self) -> &Normalizer {
        &self.normalizer
    }

    pub(crate) fn bits(&self) -> u16 {
        self.bits
    }

    /// What the sibling member of `field` is called unless it is given a name.
    pub(super) fn usual_name(field: &str) -> String {
        [field, "_index"].concat()
    }

    /// Whether only equal values share an index.
    pub(crate) fn is_full(&self) -> bool {
        self.bits == FULL_BITS
    }

    pub(crate) fn classes(&self) -> u8 {
        self.partitions
    }

    /// What is wrong with it on a field of this name and tag.
    pub(super) fn problem(&self, field: &str, tag: &Tag) -> Option<String> {
        let Self { name: _, normalizer: _, bits, partitions, accepts_frequency_leak } = self;
        if *bits != FULL_BITS && !(FEWEST_BITS..=64).contains(bits) {
            return Some(format!("a blind index has 128 bits, or is cut to 8 to 64, not {bits}"));
        }
        if !(1..=MOST_PARTITIONS).contains(partitions) {
            return Some(format!("values fall into 2 to {MOST_PARTITIONS} classes, not {partitions}"));
        }
        let reason = few_values(field, tag)?;
        (!accepts_frequency_leak).then(|| {
            format!("{reason}, so that an index gives them away; leave it out, or call `accept_frequency_leak`")
        })
    }
}

/// Why the values of a field can be guessed from how often each occurs.
fn few_values(field: &str, tag: &Tag) -> Option<&'static str> {
    match tag {
        Tag::CardFragment => return Some("a part of a card's number has some 10,000 values"),
        Tag::DateOfBirth => return Some("a date of birth has some 36,500 values"),
        Tag::Name => return Some("a few names are common"),
        _ => {}
    }
    let name: String = field.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let few = [
        "gender",
        "sex",
        "country",
        "nationality",
        "postcode",
        "postalcode",
        "zip",
        "zipcode",
        "status",
        "race",
        "religion",
        "title",
        "language",
        "birthyear",
        "maritalstatus",
        "bloodtype",
    ];
    few.contains(&&name[..]).then_some("the field has few values by its name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_each_bit_half_as_many_rows_match_by_chance() {
        for (rows, bits, expected) in
            [(1 << 20, 16, 16.0), (1 << 20, 20, 1.0), (1 << 20, 21, 0.5), (0, 16, 0.0), (1_000_000, 128, 0.0)]
        {
            let found = BlindIndex::expected_false_matches(rows, bits);
            assert!((found - expected).abs() < 1e-12, "{rows} rows and {bits} bits: {found}");
        }
    }
}
