//! The cipher of what reads and writes: lent for one document, or held for those that come in chunks.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use super::field_cipher::FieldCipher;
use crate::error::Error;
use crate::keys::{HeldKeys, PrimaryKey, Term};
use crate::policy::Policy;

/// Lent, it costs no counter that threads share.
#[derive(Debug)]
pub(super) enum CipherRef<'c> {
    Lent(&'c FieldCipher),
    Held(FieldCipher),
}

impl FieldCipher {
    pub(super) fn lent(&self) -> CipherRef<'_> {
        CipherRef::Lent(self)
    }

    pub(super) fn held(&self) -> CipherRef<'static> {
        CipherRef::Held(self.clone())
    }
}

impl<'c> CipherRef<'c> {
    /// The policy, for as long as the cipher is there.
    pub(super) fn policy_ref(&self) -> Cow<'c, Arc<Policy>> {
        match self {
            Self::Lent(cipher) => Cow::Borrowed(cipher.shared_policy()),
            Self::Held(cipher) => Cow::Owned(Arc::clone(cipher.shared_policy())),
        }
    }

    /// Returns the keys of this moment, to decrypt with.
    pub(super) fn keys_now(&self) -> HeldKeys {
        let keys = self.keys().current();
        match self {
            Self::Lent(_) => keys,
            Self::Held(_) => keys.for_long(),
        }
    }

    /// Returns the key of this moment to encrypt with, and for how long it may be used.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyUnavailable`](crate::ErrorKind::KeyUnavailable) where the lease is over, or there is no such key.
    pub(super) fn primary_now(&self) -> Result<(PrimaryKey, Term), Error> {
        let keys = self.keys().current_for_encryption()?;
        let term = self.keys().term(&keys);
        // Whoever is lent a cipher is done before the thread does something else.
        let primary = match self {
            Self::Lent(_) => keys.into_primary(),
            Self::Held(_) => keys.into_primary_alone(),
        };
        Ok((primary?, term))
    }
}

impl Deref for CipherRef<'_> {
    type Target = FieldCipher;

    fn deref(&self) -> &FieldCipher {
        match self {
            Self::Lent(cipher) => cipher,
            Self::Held(cipher) => cipher,
        }
    }
}
