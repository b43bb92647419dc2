//! Mistakes of who sets a service up, told where they can first be seen.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::field_cipher::FieldCipher;
#[cfg(feature = "layer")]
use crate::error::{Error, ErrorKind};
use crate::policy::{FieldIndex, Policy};

/// After so many documents each field should have been there once.
const DOCUMENTS: u64 = 1000;

/// Which fields documents have held.
pub(super) struct Coverage {
    documents: AtomicU64,
    is_judged: AtomicBool,
    seen: Box<[AtomicBool]>,
}

impl Coverage {
    pub(super) fn new(policy: &Policy) -> Self {
        let seen = policy.fields().iter().map(|_| AtomicBool::new(false)).collect();
        Self { documents: AtomicU64::new(0), is_judged: AtomicBool::new(false), seen }
    }

    /// Takes note of a value of `field`, or of its blind index.
    pub(super) fn note(&self, field: FieldIndex) {
        // Looked at first: what is written by one thread alone is shared by all.
        if let Some(seen) = self.seen.get(usize::from(field.0)).filter(|seen| !seen.load(Ordering::Relaxed)) {
            seen.store(true, Ordering::Relaxed);
        }
    }

    /// Takes note of the end of a document, and tells once which fields none of the first thousand held.
    pub(super) fn end_document(&self, policy: &Policy) {
        if self.is_judged.load(Ordering::Relaxed) || self.documents.fetch_add(1, Ordering::Relaxed) + 1 < DOCUMENTS {
            return;
        }
        if self.is_judged.swap(true, Ordering::Relaxed) {
            return;
        }
        let fields = policy.fields().iter().zip(&self.seen).filter(|(_, seen)| !seen.load(Ordering::Relaxed));
        let fields: Vec<_> = fields.map(|(field, _)| field.name()).collect();
        if !fields.is_empty() {
            let (collection, fields) = (policy.collection(), fields.join(", "));
            tracing::warn!(
                target: "fieldseal",
                collection,
                fields,
                "none of {DOCUMENTS} documents held these fields at any of their paths: if they were sent by other names or \
                 elsewhere, they are stored unprotected"
            );
        }
    }
}

impl fmt::Debug for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coverage").finish_non_exhaustive()
    }
}

impl FieldCipher {
    /// Refuses a key that stands in some source code, unless this is a build for development.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`].
    #[cfg(feature = "layer")]
    pub(crate) fn check_key_is_random(&self, is_development: bool) -> Result<(), Error> {
        let keys = self.keys().current();
        let Some(key) = keys.primary().ok().filter(|key| key.is_placeholder()) else { return Ok(()) };
        let message = format!(
            "the data key {} is a placeholder and no random bytes, so that anybody can guess it: draw one with \
             `SecretKey::generate`, or open a keyring",
            key.id()
        );
        if is_development {
            tracing::warn!(target: "fieldseal", "{message}; a build for release refuses it");
            return Ok(());
        }
        Err(Error::new(ErrorKind::Keyring, message))
    }
}

#[cfg(all(test, feature = "layer"))]
mod tests {
    use super::*;
    use crate::keys::{DataKey, Keys, SecretKey};
    use crate::policy::{Field, Tag};

    fn cipher(key: DataKey) -> FieldCipher {
        let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build();
        let policy = policy.expect("one field makes a policy");
        FieldCipher::new(policy, Keys::from_data_key(key))
    }

    #[test]
    fn a_placeholder_for_a_key_is_refused_in_a_build_for_release_unless_it_is_meant() {
        let counting: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let falling = counting.map(|byte| 0xf3_u8.wrapping_sub(byte.wrapping_mul(3)));
        let repeated = *b"\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef";
        for bytes in [[0; 32], [7; 32], counting, falling, repeated, *b"an example key of thirty-2 bytes"] {
            let secret = SecretKey::from_bytes(&bytes);
            let made = cipher(DataKey::new(&secret));
            assert_eq!(made.check_key_is_random(false).unwrap_err().kind(), ErrorKind::Keyring, "{bytes:x?}");
            assert!(made.check_key_is_random(true).is_ok());
            assert!(cipher(DataKey::dangerous_test_key(&secret)).check_key_is_random(false).is_ok());
        }
        assert!(cipher(DataKey::new(&SecretKey::generate().unwrap())).check_key_is_random(false).is_ok());
    }
}
