//! The way out: tokens become values.

use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::cipher_ref::CipherRef;
use super::parts::text_of;
use super::record_binding::{Owner, Records, is_young};
use crate::audit::AuditKind;
use crate::crypto::data_key::DataKey;
use crate::crypto::key_id::KeyId;
use crate::crypto::token::{self, TEXT_MARK};
use crate::crypto::token_decryptor::TokenDecryptor;
use crate::error::{Error, ErrorKind};
use crate::json::{self, Member, Visitor};
use crate::keys::{HeldKeys, KeyState, Term};
use crate::metrics::{Counted, Tally};
use crate::policy::{FieldIndex, Policy, Shown};
use crate::timestamp::Timestamp;

/// Decrypts the values of documents or rows, each with the keys of its start, or later ones where those do not do.
#[derive(Debug)]
pub(super) struct Decryption<'c> {
    pub(super) cipher: CipherRef<'c>,
    keys: HeldKeys,
    term: Term,
    pub(super) tokens: TokenDecryptor,
    /// Whether the alarm was raised that a decoy is among what is opened.
    pub(super) is_alarmed: bool,
    /// How many values of which fields passed although they are not encrypted.
    plaintexts: Vec<(FieldIndex, u64)>,
    pub(super) records: Records,
    /// Whether the last token was opened as one of no record, although tokens are bound to records.
    was_unbound: bool,
    /// The same of values that somebody who is named was shown plain.
    revealed: Vec<(FieldIndex, u64)>,
    /// The same of values that could not be read and were shown as `null`.
    nulls: Vec<(FieldIndex, u64)>,
    /// Why those could not be read, and how many.
    unreadable: Vec<(Reason, u64)>,
    decrypted: Tally,
}

/// Why a value of a field could not be read, and the key that its token names.
type Reason = (FieldIndex, AuditKind, Option<KeyId>);

/// What mends a list of records that is none by the policy.
const NAME_THE_PATH: &str = ": name the paths of all records in `bind_records`, those of lists too";

/// So many reasons are added up. Somebody who writes tokens can make up any number of keys for them.
const MOST_REASONS: usize = 64;

/// What was written of a stored value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    Value,
    /// Nothing, since it cannot be read, and the policy has that shown as `null`.
    Nothing,
}

/// Why a token was not decrypted.
struct Failure {
    error: Error,
    kind: AuditKind,
    key_id: Option<KeyId>,
}

impl<'c> Decryption<'c> {
    pub(super) fn new(cipher: CipherRef<'c>) -> Self {
        let keys = cipher.keys_now();
        let term = cipher.keys().term(&keys);
        let records = cipher.records(false);
        let decrypted = Tally::new(cipher.meters(), Counted::Decrypted);
        let tokens = cipher.token_decryptor();
        Self {
            cipher,
            keys,
            term,
            tokens,
            is_alarmed: false,
            plaintexts: Vec::new(),
            records,
            was_unbound: false,
            revealed: Vec::new(),
            nulls: Vec::new(),
            unreadable: Vec::new(),
            decrypted,
        }
    }

    pub(super) fn for_single_values(mut self) -> Self {
        self.records.set_single();
        self
    }

    pub(super) fn policy(&self) -> &Arc<Policy> {
        self.cipher.shared_policy()
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn has_index_keys(&self) -> bool {
        self.cipher.index_keys().is_some()
    }

    /// Decrypts one token, in text or binary form, and returns the JSON text of the value.
    pub(super) fn decrypt(&mut self, field: FieldIndex, token: &[u8]) -> Result<&[u8], Error> {
        self.tokens.read(token);
        self.try_decrypt(field).map_err(|failure| {
            self.cipher.record(failure.kind, field, failure.key_id);
            self.in_place(field, &failure.error)
        })?;
        self.watch(field)?;
        Ok(self.tokens.opened())
    }

    /// Decrypts the token that was read, and leaves it to the caller to tell the audit why it does not open.
    fn try_decrypt(&mut self, field: FieldIndex) -> Result<(), Failure> {
        let mut key_id = None;
        let opened = self.open_noting(field, &mut key_id);
        opened.inspect(|()| self.decrypted.add(field)).map_err(|error| {
            let is_disabled = || key_id.is_some_and(|id| self.keys.state_of(id) == Some(KeyState::Disabled));
            let kind = match error.kind() {
                ErrorKind::KeyUnavailable if is_disabled() => AuditKind::DisabledKeyUsed,
                ErrorKind::KeyUnavailable => AuditKind::KeyUnavailable,
                ErrorKind::Erased => AuditKind::ErasedRead,
                _ => AuditKind::DecryptionFailed,
            };
            Failure { error, kind, key_id }
        })
    }

    /// Says of which field a value does not open, and what is known of its record: neither the value nor the id.
    pub(super) fn in_place(&self, field: FieldIndex, error: &Error) -> Error {
        let policy = self.policy();
        let owner = policy.record_binding().map(|binding| (binding.member(), self.records.owner()));
        let problem = match (error.kind(), owner) {
            (ErrorKind::Decryption, Some((_, None))) => {
                format!("stands in none of the records that tokens are bound to{NAME_THE_PATH}")
            }
            (ErrorKind::Decryption, Some((member, Some(Owner::Nameless)))) => {
                format!(
                    "does not open in a record without an id, `{member}`{NAME_THE_PATH}, and open a single value `in_record`"
                )
            }
            (ErrorKind::Decryption, Some((member, Some(Owner::Unfit(problem))))) => {
                format!("stands in a record whose id, `{member}`, {problem}")
            }
            (ErrorKind::Decryption, Some((member, Some(Owner::Record(_))))) => {
                format!("does not open in the record that it stands in, by its id, `{member}`")
            }
            (ErrorKind::Decryption, None) => "does not open in this place".to_owned(),
            _ => format!("does not open: {error}"),
        };
        let (field, collection) = (policy.field(field).told(), policy.collection());
        let message = format!("the stored value of {field} in `{collection}` {problem}");
        Error::new(error.kind(), message)
    }

    /// The same without an event: for who looks through everything that is stored, and reports what it finds.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn open(&mut self, field: FieldIndex, token: &[u8]) -> Result<&[u8], Error> {
        self.tokens.read(token);
        self.open_noting(field, &mut None)?;
        Ok(self.tokens.opened())
    }

    /// Whether the token that was opened last is bound to no record, although tokens are.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn was_unbound(&self) -> bool {
        self.was_unbound
    }

    /// Opens the token that was read, and takes note of the key that it names.
    fn open_noting(&mut self, field: FieldIndex, key_id: &mut Option<KeyId>) -> Result<(), Error> {
        let Self { cipher, keys, tokens, records, was_unbound, .. } = self;
        *was_unbound = false;
        let Some(binding) = cipher.policy().record_binding() else {
            return tokens.open(cipher.place(field), |id| key_for(*key_id.insert(id), keys, cipher));
        };
        let is_bound = match records.owner() {
            Some(Owner::Record(_)) => true,
            Some(Owner::Nameless) => false,
            Some(Owner::Unfit(_)) | None => return Err(Error::decryption()),
        };
        if is_bound {
            let place = records.place(field, |record| cipher.place_in(field, record));
            match tokens.open(place, |id| key_for(*key_id.insert(id), keys, cipher)) {
                Err(error) if binding.unbound_for().is_some() && error.kind() == ErrorKind::Decryption => {}
                result => return result,
            }
        }
        let unbound_for = binding.unbound_for().ok_or_else(Error::decryption)?;
        *was_unbound = true;
        tokens.open(&cipher.place_in(field, None), |id| {
            key_for(*key_id.insert(id), keys, cipher)?;
            if is_young(keys, id, unbound_for) {
                keys.for_decryption(id).map(|key| &**key)
            } else {
                Err(Error::decryption())
            }
        })
    }

    /// Returns whether `id` is that of a key of the keyring, also one that came since the keys were taken.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn knows(&self, id: KeyId) -> bool {
        self.keys.knows(id) || self.cipher.keys().current().knows(id)
    }

    /// Takes the keys anew where a document or a row ends, so that what goes on for hours sees keys come and go.
    pub(super) fn renew(&mut self) {
        if self.term.is_over() {
            self.keys = self.cipher.keys_now();
            self.term = self.cipher.keys().term(&self.keys);
        }
    }

    fn takes_plaintext(&self, field: FieldIndex) -> bool {
        let end = self.cipher.policy().field(field).plaintext_until();
        end.is_some_and(|end| Timestamp::from(SystemTime::now()) < end)
    }

    /// Hands on a value that is not a token, where the policy still allows that.
    fn plaintext(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<Opened, Error> {
        if !self.takes_plaintext(field) {
            let (name, collection) = (self.policy().field(field).name(), self.policy().collection());
            let message = format!("field `{name}` in `{collection}` is stored without encryption");
            let error = Error::new(ErrorKind::NotEncrypted, message);
            self.cipher.record(AuditKind::NotEncrypted, field, None);
            return Err(error);
        }
        out.extend_from_slice(value);
        count(&mut self.plaintexts, field);
        Ok(Opened::Value)
    }
}

/// Counts one more value of `what`, a field and what else they have in common.
pub(super) fn count<T: PartialEq>(counts: &mut Vec<(T, u64)>, what: T) {
    match counts.iter_mut().find(|(other, _)| *other == what) {
        Some((_, count)) => *count += 1,
        None => counts.push((what, 1)),
    }
}

/// A key that came after `keys` were taken is looked for among those in force.
fn key_for<'k>(id: KeyId, keys: &'k mut HeldKeys, cipher: &CipherRef<'_>) -> Result<&'k DataKey, Error> {
    if keys.for_decryption(id).is_err() {
        *keys = cipher.keys_now();
    }
    keys.for_decryption(id).map(|key| &**key)
}

impl Drop for Decryption<'_> {
    fn drop(&mut self) {
        for &(field, count) in &self.plaintexts {
            self.cipher.record_many(AuditKind::PlaintextRead, field, None, count);
        }
        self.tell_reasons();
        for &(field, count) in &self.nulls {
            self.cipher.record_many(AuditKind::ShownAsNull, field, None, count);
        }
        for &(field, count) in &self.revealed {
            self.cipher.record_many(AuditKind::Revealed, field, None, count);
        }
    }
}

impl Visitor for Decryption<'_> {
    fn value(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.cipher.coverage().note(field);
        if value == b"null" {
            out.extend_from_slice(value);
            return Ok(());
        }
        let shown = self.cipher.shown(field);
        if shown != Shown::Plain {
            return self.show(field, shown, value, out);
        }
        match self.open_value(field, value, out)? {
            Opened::Nothing => out.extend_from_slice(b"null"),
            Opened::Value if self.cipher.who().is_some() => count(&mut self.revealed, field),
            Opened::Value => {}
        }
        Ok(())
    }

    fn changes_members(&self) -> bool {
        self.policy().has_indexes() || self.cipher.omits()
    }

    fn member(&self, field: FieldIndex) -> Member<'_> {
        self.cipher.coverage().note(field);
        let is_omitted = self.policy().indexed_by(field).is_some() || self.cipher.shown(field) == Shown::Absent;
        if is_omitted { Member::Omitted } else { Member::Kept }
    }

    fn too_long(&self, field: FieldIndex) -> Error {
        self.cipher.record(AuditKind::DecryptionFailed, field, None);
        self.in_place(field, &Error::decryption())
    }

    fn begin_record(&mut self, record: &[u8], is_root: bool) -> Result<(), Error> {
        self.records.begin(record, is_root)
    }

    fn end_record(&mut self) {
        self.records.end();
    }

    fn end_document(&mut self) -> Result<(), Error> {
        self.cipher.coverage().end_document(self.policy());
        self.renew();
        Ok(())
    }
}

impl Decryption<'_> {
    /// Writes what somebody sees of a value who does not see it plain.
    fn show(&mut self, field: FieldIndex, shown: Shown, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        match shown {
            Shown::Absent => out.extend_from_slice(b"null"),
            Shown::Token if value.starts_with(b"\"fs1.") => out.extend_from_slice(value),
            // What is stored without encryption is no token to be shown.
            Shown::Plain | Shown::Masked | Shown::Token => {
                let mut plain = Zeroizing::new(Vec::new());
                if self.open_value(field, value, &mut plain)? == Opened::Nothing {
                    out.extend_from_slice(b"null");
                    return Ok(());
                }
                let text = text_of(&plain);
                let masked = self.policy().field(field).masked(text.as_deref().map_or("", |text| text));
                out.extend_from_slice(&serde_json::to_vec(&masked).expect("text can be written as JSON"));
            }
        }
        Ok(())
    }

    /// Takes back what it would tell of how many values passed, for who reads a document twice.
    #[cfg(feature = "layer")]
    pub(super) fn forget_counts(&mut self) {
        self.plaintexts.clear();
        self.nulls.clear();
    }

    /// Writes the value of which `value`, as it is stored, is the token.
    pub(super) fn open_value(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<Opened, Error> {
        let Some(text) = value.strip_prefix(b"\"") else { return self.plaintext(field, value, out) };
        let mut text = &text[..text.len() - 1];
        let mut has_mark = text.starts_with(TEXT_MARK.as_bytes());
        let unescaped;
        // A storage that escapes what needs no escape still stores the same token. What reads as base64 has no escapes.
        if !(has_mark && self.tokens.read(text))
            && let Some(spelled) = json::unescaped(text)
        {
            unescaped = spelled;
            text = &unescaped;
            has_mark = text.starts_with(TEXT_MARK.as_bytes());
            self.tokens.read(text);
        }
        // Plaintext may begin like a token.
        if !has_mark || (self.takes_plaintext(field) && token::recognize(text).is_none()) {
            return self.plaintext(field, value, out);
        }
        match self.try_decrypt(field) {
            Ok(()) => {
                self.watch(field)?;
                out.extend_from_slice(self.tokens.opened());
                Ok(Opened::Value)
            }
            Err(failure) => self.leave(field, failure),
        }
    }

    /// Fails with a token that does not open, or leaves it, where an unreadable value is shown as `null`.
    #[cold]
    fn leave(&mut self, field: FieldIndex, failure: Failure) -> Result<Opened, Error> {
        let Failure { error, kind, key_id } = failure;
        if !self.policy().field(field).is_null_if_unreadable() {
            self.cipher.record(kind, field, key_id);
            return Err(self.in_place(field, &error));
        }
        if self.unreadable.len() == MOST_REASONS {
            self.tell_reasons();
        }
        count(&mut self.unreadable, (field, kind, key_id));
        count(&mut self.nulls, field);
        Ok(Opened::Nothing)
    }

    fn tell_reasons(&mut self) {
        for ((field, kind, key_id), count) in self.unreadable.drain(..) {
            self.cipher.record_many(kind, field, key_id, count);
        }
    }
}
