//! Whether a subject has a key.

use crate::crypto::key_id::KeyId;
use crate::error::{Error, ErrorKind};
use crate::timestamp::Timestamp;

/// How a subject stood when its entry was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::keys) enum Standing {
    /// It has a key.
    Living,
    /// It was never given one.
    Unknown,
    Erased(Timestamp),
    /// The key was read so long ago that the subject may have been erased since.
    Expired,
}

impl Standing {
    /// Says why there is no key to encrypt with.
    pub(in crate::keys) fn no_primary(self) -> Error {
        let message = match self {
            Self::Erased(at) => return Error::erased(at),
            Self::Expired => EXPIRED,
            Self::Living | Self::Unknown => {
                "the subject has no key to encrypt with: prepare it with `SubjectKeys::find_or_create`"
            }
        };
        Error::new(ErrorKind::KeyUnavailable, message)
    }

    /// Says why there is no key `id` to decrypt with.
    pub(in crate::keys) fn no_key(self, id: KeyId) -> Error {
        let message = match self {
            Self::Erased(at) => return Error::erased(at),
            Self::Expired => EXPIRED.to_owned(),
            // It is another subject's, or nobody's: what does not open in its place is one error.
            Self::Living => return Error::decryption(),
            Self::Unknown => {
                format!("the subject has no key, and the value needs key {id}: look for another key table")
            }
        };
        Error::new(ErrorKind::KeyUnavailable, message)
    }
}

impl Error {
    pub(in crate::keys) fn erased(at: Timestamp) -> Self {
        let message = format!("the key of the subject was erased at {at}, and the value with it");
        Self::new(ErrorKind::Erased, message)
    }
}

const EXPIRED: &str = "the subject's key was prepared too long ago, and may have been erased since: prepare it for each \
                       request, with `SubjectKeys::find` or `find_or_create`";
