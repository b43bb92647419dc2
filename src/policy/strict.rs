//! What becomes of personal data that nobody tagged.

use std::sync::Arc;

use super::automaton::{Automaton, Conflict};
use super::field::FieldIndex;
use super::path::Path;
use super::subsets::too_many_states;

/// Looks for personal data where nothing is tagged, on the way in: strings that are, or hold, an email address, a
/// telephone number (international, or North American) or a card's number, and numbers that are one of a card.
///
/// It finds what nobody thought of when the policy was written: a phone in a remark, a field that was added last week. It
/// judges the value alone and never sees names, addresses or other local telephone numbers, so it is a second line, and no
/// reason to leave a tag out. [`docs::strict`](crate::docs::strict) says what it takes for what.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{DataKey, Keys, SecretKey};
/// use fieldseal::policy::Strict;
/// use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};
///
/// let policy = Policy::builder("customers")
///     .field(Field::new("phone", Tag::Phone))
///     .strict(Strict::refuse().except("$.shop.hotline"))
///     .build()?;
/// let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
///
/// assert!(cipher.encrypt_json(br#"{"phone": "+65 9123 4567", "shop": {"hotline": "+65 6123 4567"}}"#).is_ok());
/// let error = cipher.encrypt_json(br#"{"remarks": ["rings twice", "or call +65 9123 4567"]}"#).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Unprotected);
/// assert!(error.to_string().contains("$.remarks[1]"));
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Strict {
    refuses: bool,
    exceptions: Vec<String>,
}

impl Strict {
    /// Refuses what holds such a value, with [`ErrorKind::Unprotected`](crate::ErrorKind::Unprotected): 422 in the layer.
    pub fn refuse() -> Self {
        Self { refuses: true, exceptions: Vec::new() }
    }

    /// Lets it pass, and tells the audit where it stands
    /// ([`AuditKind::UntaggedPersonal`](crate::audit::AuditKind::UntaggedPersonal)): to find out what refusing would do.
    pub fn report() -> Self {
        Self { refuses: false, exceptions: Vec::new() }
    }

    /// Does not look at what `path` selects, and what stands in it: the hotline of a shop, numbers of orders. Paths are
    /// those of [fields](crate::Field::path).
    pub fn except(mut self, path: impl Into<String>) -> Self {
        self.exceptions.push(path.into());
        self
    }

    pub(crate) fn refuses(&self) -> bool {
        self.refuses
    }

    #[cfg(any(feature = "toml", feature = "openapi"))]
    pub(super) fn exceptions(&self) -> &[String] {
        &self.exceptions
    }

    /// Compiles the exceptions; there may be none.
    pub(super) fn check(&self) -> Result<Option<Arc<Automaton>>, String> {
        let mut paths = Vec::new();
        for text in &self.exceptions {
            let path = Path::parse(text)
                .map_err(|error| format!("exception `{text}`, character {}: {}", error.column, error.message))?;
            paths.push((FieldIndex(0), path));
        }
        if paths.is_empty() {
            return Ok(None);
        }
        let automaton = Automaton::new(&paths, &(0..0)).map_err(|conflict| match conflict {
            Conflict::Unreachable(path) => {
                format!("the exception `{}` lies inside another one, and would never apply", self.exceptions[path])
            }
            Conflict::TooManyStates(path) => too_many_states("strict", &self.exceptions[path]),
            Conflict::Overlap(..) => unreachable!("all exceptions are of one field"),
        })?;
        Ok(Some(Arc::new(automaton)))
    }
}
