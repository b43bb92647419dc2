//! What is left of an erasure.

use std::fmt;

use super::subject::Subject;
use crate::crypto::key_id::KeyId;
use crate::timestamp::Timestamp;

/// The record of an erasure. Keep it outside of the key table and its backups: after one of these was restored, whoever
/// was erased since has to be erased again.
///
/// `Display` writes it as a line.
#[derive(Clone, PartialEq, Eq)]
pub struct ErasureReceipt {
    pub(super) subject: Subject,
    pub(super) key_id: KeyId,
    pub(super) wrapped_by: Option<KeyId>,
    pub(super) erased_at: Timestamp,
    pub(super) why: String,
}

impl ErasureReceipt {
    /// Returns who was erased.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Returns the id of the key that is gone: tokens that carry it are noise.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Returns the id of the data key that wrapped it at the end. Backups of the key table hold the key until that one,
    /// and those before it, are gone from every copy of the keyring. Nothing where it was erased before, by an earlier
    /// call, whose receipt has it.
    #[must_use]
    pub fn wrapped_by(&self) -> Option<KeyId> {
        self.wrapped_by
    }

    /// Returns when the key was erased.
    #[must_use]
    pub fn erased_at(&self) -> Timestamp {
        self.erased_at
    }

    /// Returns why, as it was given.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for ErasureReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, key_id, wrapped_by, erased_at, why } = self;
        write!(f, "subject `{}`", subject.id())?;
        if let Some(tenant) = subject.tenant() {
            write!(f, " of tenant `{tenant}`")?;
        }
        write!(f, " erased at {erased_at}: key {key_id}")?;
        if let Some(by) = wrapped_by {
            write!(f, ", last wrapped by data key {by}")?;
        }
        write!(f, ": {why}")
    }
}

impl fmt::Debug for ErasureReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasureReceipt")
            .field("key_id", &self.key_id)
            .field("erased_at", &self.erased_at)
            .finish_non_exhaustive()
    }
}
