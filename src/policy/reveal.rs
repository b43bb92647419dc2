//! Who sees what of a value.

#[cfg(feature = "layer")]
use super::field::Field;

/// What somebody sees of the values of a field, from all of it to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shown {
    /// The value.
    Plain,
    /// What the field's [`Mask`](super::Mask) leaves of it.
    Masked,
    /// The token, as it is stored.
    Token,
    /// Nothing: the member is left out. An element of an array becomes `null`.
    Absent,
}

/// What somebody sees, field by field: made by the application's own authentication, and put into the extensions of a
/// request.
///
/// # Example
///
/// ```
/// use fieldseal::policy::{Reveal, Shown};
///
/// let agent = Reveal::all(Shown::Masked).field("card_last4", Shown::Absent);
/// let supervisor = Reveal::all(Shown::Plain).by("siti@example.sg");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Reveal {
    others: Shown,
    fields: Vec<(String, Shown)>,
    by: Option<String>,
}

impl Reveal {
    /// Shows every field in one way.
    pub fn all(shown: Shown) -> Self {
        Self { others: shown, fields: Vec::new(), by: None }
    }

    /// Shows `field` in another way than the others: by the name that the policy gives it, such as `payment.iban`, letter by
    /// letter. The layer refuses a request whose `Reveal` would hide a field that the policy does not have, since a
    /// misspelled name hides nothing: where several collections share one, hide all and name what is shown,
    /// `Reveal::all(Shown::Absent).field("name", Shown::Plain)`.
    /// [`FieldCipher::revealing`](crate::FieldCipher::revealing) passes over such names.
    pub fn field(mut self, field: impl Into<String>, shown: Shown) -> Self {
        self.fields.push((field.into(), shown));
        self
    }

    /// Names who sees it, for the audit: each document in which they see a field plain is told with the name, the field
    /// and how many values ([`AuditKind::Revealed`](crate::audit::AuditKind::Revealed)).
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.by = Some(who.into());
        self
    }

    pub(crate) fn who(&self) -> Option<&str> {
        self.by.as_deref()
    }

    /// Returns a field that is hidden more than the others, and that is none of `fields`.
    #[cfg(feature = "layer")]
    pub(crate) fn hidden_besides(&self, fields: &[Field]) -> Option<&str> {
        let hides = |shown: &Shown| *shown as u8 > self.others as u8;
        let is_known = |field: &str| fields.iter().any(|own| own.name() == field);
        let mut hidden = self.fields.iter().filter(|(field, shown)| hides(shown) && !is_known(field));
        hidden.next().map(|(field, _)| &**field)
    }

    /// The last word on the field called `name`.
    pub(crate) fn of(&self, name: &str) -> Shown {
        self.fields.iter().rev().find(|(field, _)| field == name).map_or(self.others, |(_, shown)| *shown)
    }
}

#[cfg(all(test, feature = "layer"))]
mod tests {
    use super::*;
    use crate::policy::Tag;

    #[test]
    fn a_name_that_is_no_fields_matters_where_it_is_to_hide_more_than_the_others() {
        let fields = [Field::new("phone", Tag::Phone)];
        for (others, shown, is_told) in [
            (Shown::Plain, Shown::Plain, false),
            (Shown::Plain, Shown::Masked, true),
            (Shown::Masked, Shown::Plain, false),
            (Shown::Masked, Shown::Masked, false),
            (Shown::Masked, Shown::Absent, true),
            (Shown::Absent, Shown::Absent, false),
        ] {
            let reveal = Reveal::all(others).field("phone", Shown::Absent).field("phnoe", shown);
            assert_eq!(reveal.hidden_besides(&fields), is_told.then_some("phnoe"), "{others:?}, {shown:?}");
        }
    }
}
