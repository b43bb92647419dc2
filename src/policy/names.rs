//! Which names paths mention, told roughly and at once.

/// A bit out of 64 for each of some names. Most other names of a document are told by it to be none of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Names(u64);

impl Names {
    /// The same and `name`.
    pub(crate) fn with(self, name: &[u8]) -> Self {
        Self(self.0 | bit(name))
    }

    /// Returns false where `name` is surely none of them.
    #[inline]
    pub(crate) fn may_hold(self, name: &[u8]) -> bool {
        self.0 & bit(name) != 0
    }
}

/// By length, first and last byte.
#[inline]
fn bit(name: &[u8]) -> u64 {
    let (first, last) = (name.first().copied().unwrap_or(0), name.last().copied().unwrap_or(0));
    1 << ((name.len() + usize::from(first) * 5 + usize::from(last) * 3) % 64)
}
