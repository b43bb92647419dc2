//! A key as the key service returned it.

use std::fmt;

/// A wrapped key: bytes that only the key service that made them can read.
///
/// # Example
///
/// ```
/// let wrapped = fieldseal::keys::WrappedKey::from(vec![1, 2, 3]);
/// assert_eq!(wrapped.as_bytes(), [1, 2, 3]);
/// assert_eq!(format!("{wrapped:?}"), "WrappedKey(3 bytes)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey(Vec<u8>);

impl WrappedKey {
    /// The most bytes that a keyring takes. AWS KMS returns 6,144 at most, and others less.
    pub(super) const LONGEST: usize = 8192;

    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn fits(&self) -> bool {
        (1..=Self::LONGEST).contains(&self.0.len())
    }
}

impl From<Vec<u8>> for WrappedKey {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({} bytes)", self.0.len())
    }
}
