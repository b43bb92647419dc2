//! Decoys: records that belong to nobody, whose tokens have a mark that only the keys tell.

use super::decryption::Decryption;
use super::field_cipher::FieldCipher;
use crate::audit::AuditKind;
use crate::crypto::token;
use crate::crypto::token_decryptor::TokenDecryptor;
use crate::error::Error;
use crate::policy::FieldIndex;

/// What becomes of a response with a decoy in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Watch {
    /// It passes, and nobody looks.
    #[default]
    Off,
    /// It passes, and the audit is told.
    Alarm,
    /// It fails, and the audit is told.
    Refuse,
}

impl FieldCipher {
    /// Returns a cipher that tells the audit where a [decoy](crate::docs::decoys) is opened
    /// ([`AuditKind::DecoyOpened`]): once for each document, stream or value, and at once.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use fieldseal::audit::{Audit, AuditEvent, AuditKind};
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// # use fieldseal::{FieldCipher, Policy, Tag};
    ///
    /// struct Alarm(Arc<AtomicU64>);
    ///
    /// impl Audit for Alarm {
    ///     fn record(&self, event: &AuditEvent<'_>) {
    ///         self.0.fetch_add(u64::from(event.kind == AuditKind::DecoyOpened), Ordering::Relaxed);
    ///     }
    /// }
    ///
    /// # let policy = Policy::new("customers", [("phone", Tag::Phone)])?;
    /// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// let decoy = cipher.making_decoys().encrypt_json(br#"{"phone":"+65 9123 4567"}"#)?;
    /// let alarms = Arc::new(AtomicU64::new(0));
    /// let cipher = cipher.with_audit(Alarm(Arc::clone(&alarms))).alarm_on_decoys();
    /// assert_eq!(cipher.decrypt_json(&decoy)?, br#"{"phone":"+65 9123 4567"}"#);
    /// assert_eq!(alarms.load(Ordering::Relaxed), 1);
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    #[must_use]
    pub fn alarm_on_decoys(&self) -> Self {
        self.watching(Watch::Alarm)
    }

    /// Does the same, and fails where a decoy is opened, as if its token were damaged: nobody gets a response that has one
    /// in it, also where [`Field::null_if_unreadable`](crate::Field::null_if_unreadable) would let it pass.
    #[must_use]
    pub fn refuse_decoys(&self) -> Self {
        self.watching(Watch::Refuse)
    }

    /// Returns a cipher that makes decoys of all that it encrypts.
    #[must_use]
    pub fn making_decoys(&self) -> Self {
        self.with_decoys(self.watch(), true)
    }

    /// Returns whether `token`, in text or binary form, has the mark of a decoy. It is not opened: somebody who can write
    /// to the storage can give a mark to a token that opens nowhere.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyUnavailable`](crate::ErrorKind::KeyUnavailable) where the key is not there.
    /// [`ErrorKind::Decryption`](crate::ErrorKind::Decryption) where it is no token.
    pub fn is_decoy(&self, token: impl AsRef<[u8]>) -> Result<bool, Error> {
        let (id, prefix, suffix) = token::nonce_of(token.as_ref()).ok_or_else(Error::decryption)?;
        Ok(self.keys().current().for_decryption(id)?.is_decoy(&prefix, &suffix))
    }

    fn watching(&self, watch: Watch) -> Self {
        self.with_decoys(watch, self.makes_decoys())
    }

    /// What opens tokens, and looks at them as far as this cipher does.
    pub(super) fn token_decryptor(&self) -> TokenDecryptor {
        let mut tokens = TokenDecryptor::default();
        if self.watch() != Watch::Off {
            tokens.watch_decoys();
        }
        tokens
    }
}

impl Decryption<'_> {
    /// Raises the alarm where the token of `field` that was opened last is a decoy.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decryption`](crate::ErrorKind::Decryption) where decoys are refused.
    pub(super) fn watch(&mut self, field: FieldIndex) -> Result<(), Error> {
        if !self.tokens.is_decoy() {
            return Ok(());
        }
        if !std::mem::replace(&mut self.is_alarmed, true) {
            self.cipher.record(AuditKind::DecoyOpened, field, self.tokens.key_id());
        }
        match self.cipher.watch() {
            Watch::Refuse => Err(self.in_place(field, &Error::decryption())),
            Watch::Alarm | Watch::Off => Ok(()),
        }
    }

    /// Looks for decoys without an alarm, for who moves tokens and must not lose the mark.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn noting_decoys(mut self) -> Self {
        self.tokens.watch_decoys();
        self
    }
}
