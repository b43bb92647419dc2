//! The one error of this crate.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// The error of every fallible operation in this crate.
///
/// [`kind`](Error::kind) says who must act; [`Display`](fmt::Display) says what happened. A message may name a field,
/// a path, a key id or a position. It never holds a value, a token or a key.
///
/// # Example
///
/// ```
/// use fieldseal::{ErrorKind, Policy};
///
/// let error = Policy::builder("").build().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Policy);
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// Where in the document it is, for its sender.
    pointer: Option<String>,
}

/// Who must act on an [`Error`], and on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The sender: the document is not valid JSON (RFC 8259), or not what its media type says.
    Malformed,
    /// The sender: a tagged value or a body that must be held whole is over its limit.
    TooLarge,
    /// The sender: the body's media type, character set or content coding cannot be looked into.
    UnsupportedMediaType,
    /// The sender, and the operator: what was handed in for encryption holds a token. Somebody out there may hold the
    /// storage, or a component encrypts twice.
    TokenSubmitted,
    /// The sender: a value does not keep to the rules of its field. The message names the field and the rule.
    Validation,
    /// The sender, and the developer: a value that nobody tagged looks personal, and the policy is
    /// [strict](crate::policy::Strict). The message names its path.
    Unprotected,
    /// The sender: a well-formed request asks for what would let a tagged value pass unprotected, or lose it.
    Refused,
    /// The sender: nothing that is stored has the value that is looked up.
    NotFound,
    /// The operator: a stored token does not open. It was changed, moved to another place, or made under another
    /// context; the message names its field, and on purpose not which of these.
    Decryption,
    /// The operator: a tagged field in storage holds something that is not a token.
    NotEncrypted,
    /// The operator: the service behind the layer answered with something that cannot be looked into.
    Service,
    /// The operator: the key that is needed is not in the keyring, is disabled, or there is no primary key.
    KeyUnavailable,
    /// Nobody: the key of the person whom the value is about was erased, and the value with it.
    Erased,
    /// The operator: the keyring or a key file is missing, cut short, altered, older than one already seen, or open
    /// to other users.
    Keyring,
    /// The operator: a step of a rotation is taken before its time, and the message says when that is.
    TooEarly,
    /// The key service: it failed to wrap or unwrap a key.
    KeyService,
    /// The operator: a database failed, or a table cannot be worked on.
    Database,
    /// The operator: the operating system gave no randomness.
    Randomness,
    /// The operator: the operating system does not keep the memory of this process out of swap or core dumps. The message
    /// says what it has to be given.
    Memory,
    /// The developer: the policy is not usable.
    Policy,
    /// The caller: the value cannot be written as JSON, or the JSON does not fit the type asked for, or the field or
    /// context named is not one that the policy knows.
    InvalidValue,
}

#[cfg(all(feature = "metrics", feature = "layer"))]
impl ErrorKind {
    /// The word that stands for it in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::TokenSubmitted => "token_submitted",
            Self::Validation => "validation",
            Self::Unprotected => "unprotected",
            Self::Refused => "refused",
            Self::NotFound => "not_found",
            Self::Decryption => "decryption",
            Self::NotEncrypted => "not_encrypted",
            Self::Service => "service",
            Self::KeyUnavailable => "key_unavailable",
            Self::Erased => "erased",
            Self::Keyring => "keyring",
            Self::TooEarly => "too_early",
            Self::KeyService => "key_service",
            Self::Database => "database",
            Self::Randomness => "randomness",
            Self::Memory => "memory",
            Self::Policy => "policy",
            Self::InvalidValue => "invalid_value",
        }
    }
}

impl Error {
    /// Returns who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), source: None, pointer: None }))
    }

    #[must_use]
    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Points at where in the document it is: a JSON Pointer as the fragment of a URI (RFC 6901, section 6).
    #[must_use]
    pub(crate) fn with_pointer(mut self, pointer: Option<String>) -> Self {
        self.0.pointer = pointer;
        self
    }

    #[cfg(feature = "layer")]
    pub(crate) fn pointer(&self) -> Option<&str> {
        self.0.pointer.as_deref()
    }

    /// Makes what is wrong with a value of the caller's a refusal of what somebody sent.
    pub(crate) fn into_refusal(self) -> Self {
        match self.kind() {
            ErrorKind::InvalidValue => Self::new(ErrorKind::Refused, self.to_string()),
            _ => self,
        }
    }

    pub(crate) fn decryption() -> Self {
        Self::new(ErrorKind::Decryption, "the stored value does not open in this place")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, message, source, pointer: _ } = &*self.0;
        f.debug_struct("Error").field("kind", kind).field("message", message).field("source", source).finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(all(test, feature = "metrics", feature = "layer"))]
mod tests {
    use super::*;

    #[test]
    fn the_words_in_metrics_are_the_kinds_in_snake_case() {
        for kind in [
            ErrorKind::Malformed,
            ErrorKind::TooLarge,
            ErrorKind::UnsupportedMediaType,
            ErrorKind::TokenSubmitted,
            ErrorKind::Validation,
            ErrorKind::Unprotected,
            ErrorKind::Refused,
            ErrorKind::Decryption,
            ErrorKind::NotEncrypted,
            ErrorKind::Service,
            ErrorKind::KeyUnavailable,
            ErrorKind::Erased,
            ErrorKind::Keyring,
            ErrorKind::TooEarly,
            ErrorKind::KeyService,
            ErrorKind::Database,
            ErrorKind::Randomness,
            ErrorKind::Memory,
            ErrorKind::Policy,
            ErrorKind::InvalidValue,
        ] {
            let (word, name) = (kind.name(), format!("{kind:?}"));
            assert_eq!(word.replace('_', ""), name.to_lowercase());
            assert_eq!(word.matches('_').count(), name.chars().filter(char::is_ascii_uppercase).count() - 1);
        }
    }
}
