//! What happened to protected fields, for those who watch over them: who must look, never at what.

use std::fmt;

use crate::crypto::key_id::KeyId;

/// Receives every event that somebody should look at.
///
/// Called while a request is handled, so it must return at once: hand over to a queue where it could block. Unless
/// another is given to [`FieldCipher::with_audit`](crate::FieldCipher::with_audit), events go to `tracing` at level
/// `WARN` under the target `fieldseal::audit`.
///
/// # Example
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use fieldseal::audit::{Audit, AuditEvent, AuditKind};
///
/// #[derive(Default)]
/// struct Tripwire(AtomicU64);
///
/// impl Audit for Tripwire {
///     fn record(&self, event: &AuditEvent<'_>) {
///         if event.kind == AuditKind::TokenSubmitted {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// ```
pub trait Audit: Send + Sync {
    /// Takes note of `event`.
    fn record(&self, event: &AuditEvent<'_>);
}

/// One event. It names places and keys, never a value or a token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AuditEvent<'a> {
    /// What happened.
    pub kind: AuditKind,
    /// The collection of the policy; empty where it happened to a person, and with them to all collections.
    pub collection: &'a str,
    /// The field of the policy; empty where it happened at a place that is not tagged.
    pub field: &'a str,
    /// Who it was, as [`Reveal::by`](crate::policy::Reveal::by) names them; nothing where nobody did.
    pub who: Option<&'a str>,
    /// The key that the token names, where there is one.
    pub key_id: Option<KeyId>,
    /// Where in the document it happened, where that is no field: a path of RFC 9535 in which names that may be data are
    /// wildcards.
    pub path: Option<&'a str>,
    /// What stands there by its looks: `email`, `phone` or `card_number`.
    pub looks_like: Option<&'a str>,
    /// How many values it happened to in one document or stream.
    pub count: u64,
}

impl<'a> AuditEvent<'a> {
    /// An event at a field, or at none.
    pub(crate) fn new(
        kind: AuditKind,
        collection: &'a str,
        field: &'a str,
        who: Option<&'a str>,
        key_id: Option<KeyId>,
        count: u64,
    ) -> Self {
        Self { kind, collection, field, who, key_id, path: None, looks_like: None, count }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuditKind {
    /// A sender handed in a token, and was refused. Tokens stand only in storage, so whoever
    /// sends one holds some of it, or a component encrypts twice.
    TokenSubmitted,
    /// A stored token did not open: it was changed, moved, or made in another context.
    DecryptionFailed,
    /// A stored token names a key that is unknown or gone.
    KeyUnavailable,
    /// A stored token needs a key that is disabled: its end is being rehearsed, and something would be lost.
    DisabledKeyUsed,
    /// A stored token needs the key of a person that was erased: nobody reads it any more, and its row can be deleted.
    ErasedRead,
    /// The key of a person was erased: its id is that of the tokens which are noise now. At level `INFO`.
    Erased,
    /// A tagged field in storage held something that is not a token.
    NotEncrypted,
    /// The same, where the policy still allows it: the value passed as it is.
    PlaintextRead,
    /// A stored token that could not be read, as another event says, was shown as `null`, since
    /// [`Field::null_if_unreadable`](crate::Field::null_if_unreadable) allows it: nobody but the audit learns of it.
    ShownAsNull,
    /// A handler opened a value with an `Opener`. At level `INFO`.
    Opened,
    /// A lookup by a truncated index found records that do not match, and they were left out of the response; counted
    /// for the field that does not match. At level `INFO`.
    FalseMatchDropped,
    /// Somebody whom a `Reveal` names was shown values plain. At level `INFO`.
    Revealed,
    /// A value that nobody tagged looks personal, and was refused or passed, as [`Strict`](crate::policy::Strict) has it.
    UntaggedPersonal,
    /// A [decoy](crate::docs::decoys) was opened, which belongs to nobody: whoever asked for it goes through records that
    /// are not theirs. Told once for each response, at the first value.
    DecoyOpened,
}

impl AuditKind {
    /// The word that stands for it in logs and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TokenSubmitted => "token_submitted",
            Self::DecryptionFailed => "decryption_failed",
            Self::KeyUnavailable => "key_unavailable",
            Self::DisabledKeyUsed => "disabled_key_used",
            Self::ErasedRead => "erased_read",
            Self::Erased => "erased",
            Self::NotEncrypted => "not_encrypted",
            Self::ShownAsNull => "shown_as_null",
            Self::PlaintextRead => "plaintext_read",
            Self::Opened => "opened",
            Self::FalseMatchDropped => "false_match_dropped",
            Self::Revealed => "revealed",
            Self::UntaggedPersonal => "untagged_personal",
            Self::DecoyOpened => "decoy_opened",
        }
    }
}

impl fmt::Display for AuditKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Sends events to `tracing`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TracingAudit;

impl Audit for TracingAudit {
    fn record(&self, event: &AuditEvent<'_>) {
        let &AuditEvent { kind, collection, field, who, key_id, path, looks_like, count } = event;
        let key_id = key_id.map(tracing::field::display);
        if matches!(kind, AuditKind::Revealed | AuditKind::Opened | AuditKind::FalseMatchDropped | AuditKind::Erased) {
            tracing::info!(target: "fieldseal::audit", kind = kind.name(), collection, field, who, key_id, count);
            return;
        }
        let kind = kind.name();
        tracing::warn!(target: "fieldseal::audit", kind, collection, field, who, key_id, path, looks_like, count);
    }
}
