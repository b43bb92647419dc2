//! Which record a value belongs to.

use std::time::Duration;

/// Binds tokens to the record that holds them, by the record's id: a value that was swapped between two rows, by whoever
/// writes to the storage, does not open.
///
/// A record is an object at one of the binding's paths, `$` and `$[*]` unless others are given: a document of its own, or
/// an element of a list. Every tagged value in it, at any depth, is bound to the text of the member that is the id: a
/// string or a whole number, so that `7` and `"7"` are one id, and a UUID is the same however it is written. An id has
/// 1,024 bytes at most, and cannot be changed by a patch. A tagged value that stands in no record is refused. A record is
/// held whole while it is read: it has 1 MiB at most and becomes 8 MiB at most, and 16 stand in each other.
///
/// In a path of records a wildcard stands for the elements of an array.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{DataKey, Keys, SecretKey};
/// use fieldseal::policy::RecordBinding;
/// use fieldseal::{Field, FieldCipher, Policy, Tag};
///
/// let policy = Policy::builder("customers")
///     .bind_records(RecordBinding::required("id").path("$").path("$.items[*]"))
///     .field(Field::new("phone", Tag::Phone))
///     .build()?;
/// let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
///
/// let stored = String::from_utf8(cipher.encrypt_json(br#"{"id":7,"phone":"+65 9123 4567"}"#)?).unwrap();
/// assert!(cipher.decrypt_json(stored.as_bytes()).is_ok());
/// let swapped = stored.replace("\"id\":7", "\"id\":8");
/// assert!(cipher.decrypt_json(swapped.as_bytes()).is_err());
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct RecordBinding {
    pub(super) member: String,
    pub(super) paths: Vec<String>,
    unbound_for: Option<Duration>,
}

impl RecordBinding {
    /// The paths of one that is given none.
    pub(super) const DEFAULT_PATHS: [&str; 2] = ["$", "$[*]"];

    /// Every record has a member called `member`, which is its id, before it is stored: made by the client, or by what
    /// stands around the layer. A record without is refused.
    pub fn required(member: impl Into<String>) -> Self {
        Self { member: member.into(), paths: Vec::new(), unbound_for: None }
    }

    /// The service makes ids as it stores records. One that comes without an id is encrypted unbound, and bound the next
    /// time it is written with one, or by a job that re-encrypts its table.
    ///
    /// An unbound token opens in any record for as long as the key that it was made with is not older than `max_age`.
    /// After that it is refused, so that the doors which are left open for it close with the rotation of keys; bind those
    /// that are left by a job before, and choose `max_age` longer than keys are primary. Under a key that is older than that
    /// nothing is written unbound. Keys that come from no keyring have no age, and make and open no unbound token.
    pub fn upgrade(member: impl Into<String>, max_age: Duration) -> Self {
        Self { unbound_for: Some(max_age), ..Self::required(member) }
    }

    /// Adds a path at which documents hold records.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Returns the name of the member that is a record's id.
    #[must_use]
    pub fn member(&self) -> &str {
        &self.member
    }

    /// Returns how old a key may be whose unbound tokens still open; nothing where none do.
    #[must_use]
    pub fn unbound_for(&self) -> Option<Duration> {
        self.unbound_for
    }
}
