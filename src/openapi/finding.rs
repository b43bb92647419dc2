//! What a check finds.

use std::fmt;

/// Something in a description that does not fit the policy, or looks personal and is not tagged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub(super) kind: FindingKind,
    pub(super) pointer: String,
    pub(super) path: Option<String>,
    pub(super) field: Option<String>,
    pub(super) message: String,
}

/// What kind of a [`Finding`] it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// A path of the policy selects nothing that the description has.
    NotDescribed,
    /// The description tags what no path of the policy selects.
    NotInPolicy,
    /// The policy selects what the description does not tag, though it tags others, or says is not personal.
    NotTagged,
    /// The description tags it in another way than the policy.
    TagDiffers,
    /// It looks personal, and neither the policy nor the description says anything about it.
    LooksPersonal,
    /// A parameter asks for a field that has no blind index.
    NoIndex,
    /// A body with such fields is no JSON, so that nothing in it is encrypted.
    NotRead,
}

impl FindingKind {
    /// Returns the name, as the program `fieldseal` writes it.
    ///
    /// # Example
    ///
    /// ```
    /// assert_eq!(fieldseal::openapi::FindingKind::LooksPersonal.name(), "looks_personal");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotDescribed => "not_described",
            Self::NotInPolicy => "not_in_policy",
            Self::NotTagged => "not_tagged",
            Self::TagDiffers => "tag_differs",
            Self::LooksPersonal => "looks_personal",
            Self::NoIndex => "no_index",
            Self::NotRead => "not_read",
        }
    }
}

impl Finding {
    /// Returns what kind of a finding it is.
    #[must_use]
    pub fn kind(&self) -> FindingKind {
        self.kind
    }

    /// Returns where in the description it is: a JSON Pointer (RFC 6901). Empty where it is nowhere.
    #[must_use]
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// Returns a path at which a document holds it, of several perhaps.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Returns the field that it is about.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// Returns what is the matter, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind: _, pointer, path, field: _, message } = self;
        let path = path.as_deref().unwrap_or_default();
        match (&**pointer, path) {
            ("", path) => write!(f, "{path}: {message}"),
            (pointer, "") => write!(f, "{pointer}: {message}"),
            (pointer, path) => write!(f, "{pointer} ({path}): {message}"),
        }
    }
}
