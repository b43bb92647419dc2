//! Who sees what of a value.

/// What somebody sees of the values of a field.
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
    /// letter. **A name that the policy does not have changes nothing**, so a misspelled one hides nothing. Where that
    /// matters, hide all and name what is shown: `Reveal::all(Shown::Absent).field("name", Shown::Plain)`.
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

    /// The last word on the field called `name`.
    pub(crate) fn of(&self, name: &str) -> Shown {
        self.fields.iter().rev().find(|(field, _)| field == name).map_or(self.others, |(_, shown)| *shown)
    }
}
