//! The key of a subject, prepared for a request.

use std::fmt;
use std::sync::Arc;

use super::standing::Standing;
use super::subject::Subject;
use crate::keys::handle::Keys;
use crate::keys::lease::Expiry;
use crate::timestamp::Timestamp;

/// The key of one subject, ready for [`FieldCipher::for_subject`](crate::FieldCipher::for_subject); or the knowledge
/// that there is none, with which nothing opens.
///
/// Prepare it for each request: it is refused once the lifetime of cached keys has passed, so that an erased key dies
/// wherever it is held. Cheap to clone.
#[derive(Clone)]
pub struct SubjectKey {
    pub(super) subject: Arc<Subject>,
    pub(super) keys: Keys,
    pub(super) standing: Standing,
    pub(super) expiry: Expiry,
}

impl SubjectKey {
    /// Returns whose key it is.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Returns whether there was a key when it was prepared.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.standing == Standing::Living
    }

    /// Returns when it was erased, if it was when it was prepared.
    #[must_use]
    pub fn erased_at(&self) -> Option<Timestamp> {
        match self.standing {
            Standing::Erased(at) => Some(at),
            Standing::Living | Standing::Unknown | Standing::Expired => None,
        }
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectKey")
            .field("key_id", &self.keys.primary_id())
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}
