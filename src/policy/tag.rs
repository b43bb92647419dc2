//! What kind of personal data a field holds.

use std::borrow::Cow;
use std::fmt;

use crate::text::Mask;

/// What kind of personal data a field holds. The tag sets the defaults of the field.
///
/// # Example
///
/// ```
/// use fieldseal::Tag;
///
/// assert_eq!(Tag::CardFragment.to_string(), "card_fragment");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tag {
    /// A person's name.
    Name,
    /// A telephone number.
    Phone,
    /// An email address.
    Email,
    /// A postal address, as one string or as an object.
    Address,
    /// A part of a payment card's number that may be kept, such as the last four digits.
    CardFragment,
    /// The number of an identity card, passport or the like.
    NationalId,
    /// A date of birth.
    DateOfBirth,
    /// Any other text.
    Text,
    /// A kind of the user's own, by name.
    Custom(Cow<'static, str>),
}

impl Tag {
    /// Every tag that has a meaning of its own.
    #[cfg(any(feature = "toml", feature = "openapi"))]
    pub(crate) const KNOWN: [Self; 8] = [
        Self::Name,
        Self::Phone,
        Self::Email,
        Self::Address,
        Self::CardFragment,
        Self::NationalId,
        Self::DateOfBirth,
        Self::Text,
    ];

    /// Returns a tag of the user's own.
    #[must_use]
    pub fn custom(name: impl Into<Cow<'static, str>>) -> Self {
        Self::Custom(name.into())
    }

    /// Returns the name as it stands in a policy file.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Name => "name",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Address => "address",
            Self::CardFragment => "card_fragment",
            Self::NationalId => "national_id",
            Self::DateOfBirth => "date_of_birth",
            Self::Text => "text",
            Self::Custom(name) => name,
        }
    }

    /// Returns what is shown of a value to who may not read it, unless the field has a mask of its own.
    #[must_use]
    pub fn mask(&self) -> Mask {
        match self {
            Self::Name => Mask::name(),
            Self::Phone => Mask::phone(),
            Self::Email => Mask::email(),
            Self::CardFragment => Mask::card(),
            Self::NationalId => Mask::national_id(),
            Self::Address | Self::DateOfBirth | Self::Text | Self::Custom(_) => Mask::hidden(),
        }
    }

    /// The fewest bytes that a value is padded to.
    pub(crate) fn minimum(&self) -> usize {
        match self {
            Self::Email => 64,
            Self::Address => 128,
            _ => 32,
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
