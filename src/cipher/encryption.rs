//! The way in: values become tokens.

use std::sync::Arc;

use super::cipher_ref::CipherRef;
use super::parts::Objects;
use super::record_binding::Records;
use super::strictness;
use super::wanted::Wanted;
use crate::crypto::padding::LONGEST_VALUE;
use crate::crypto::token::{self, SHORTEST_TEXT};
use crate::crypto::token_encryptor::TokenEncryptor;
use crate::crypto::token_search::{self, Reach};
use crate::error::{Error, ErrorKind};
use crate::json::{self, Cut, Longest, Member, Place, Sibling, Visitor};
use crate::keys::{PrimaryKey, Term};
use crate::metrics::{Counted, Tally};
use crate::policy::{FieldIndex, Policy};
use crate::text::SHORTEST_MATCH;

/// Encrypts the values of documents or rows, each under the primary key of the moment of its first.
#[derive(Debug)]
pub(super) struct Encryption<'c> {
    cipher: CipherRef<'c>,
    /// Made with the first value, under the primary key of that moment.
    pub(super) tokens: Option<(TokenEncryptor<PrimaryKey>, Term)>,
    kind: Kind,
    /// Whether a merge patch may be stored as it is.
    is_whole_patch: bool,
    /// What a search asks for.
    wanted: Wanted,
    /// Which fields with a validation the document has held so far.
    present: Vec<FieldIndex>,
    pub(super) records: Records,
    /// What was seen of the parts of indexes of several fields.
    pub(super) objects: Objects,
    encrypted: Tally,
    /// Whether the next value is to be a decoy, whatever the cipher makes.
    pub(super) as_decoy: bool,
}

/// What the documents are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Whole,
    /// Only what changes, but for that as `Whole`.
    #[cfg(feature = "layer")]
    Partial,
    MergePatch,
    JsonPatch,
    /// Their members are what is looked for.
    Search,
    /// What is stored, and not sent.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    Stored,
}

impl<'c> Encryption<'c> {
    pub(super) fn new(cipher: CipherRef<'c>) -> Self {
        let records = cipher.records(true);
        let encrypted = Tally::new(cipher.meters(), Counted::Encrypted);
        Self {
            cipher,
            tokens: None,
            kind: Kind::Whole,
            is_whole_patch: false,
            wanted: Wanted::default(),
            present: Vec::new(),
            records,
            objects: Vec::new(),
            encrypted,
            as_decoy: false,
        }
    }

    pub(super) fn for_single_values(mut self) -> Self {
        self.records.set_single();
        self
    }

    /// For documents that follow each other.
    pub(super) fn for_lines(mut self) -> Self {
        self.records.set_many();
        self
    }

    pub(super) fn for_merge_patch(self) -> Self {
        Self { kind: Kind::MergePatch, ..self }
    }

    /// For a merge patch that is not sent to change anything: what reads JSON may take it for a whole document.
    #[cfg(feature = "layer")]
    pub(super) fn for_whole_merge_patch(self) -> Self {
        Self { is_whole_patch: true, ..self.for_merge_patch() }
    }

    #[cfg(feature = "layer")]
    pub(super) fn for_part(self) -> Self {
        Self { kind: Kind::Partial, ..self }
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn for_stored(self) -> Self {
        Self { kind: Kind::Stored, ..self }
    }

    pub(super) fn for_search(self, wanted: Wanted) -> Self {
        Self { kind: Kind::Search, wanted, ..self }
    }

    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Whether documents hold only what changes.
    pub(super) fn is_partial(&self) -> bool {
        match self.kind {
            #[cfg(feature = "layer")]
            Kind::Partial => true,
            kind => kind == Kind::MergePatch,
        }
    }

    pub(super) fn cipher(&self) -> &CipherRef<'c> {
        &self.cipher
    }

    pub(super) fn policy(&self) -> &Arc<Policy> {
        self.cipher.shared_policy()
    }

    pub(super) fn json_patch(mut self, patch: &[u8], longest_out: usize) -> Result<Vec<u8>, Error> {
        self.kind = Kind::JsonPatch;
        let policy = Arc::clone(self.policy());
        let mut out = Vec::with_capacity(patch.len() * 2);
        let longest = Longest { value: LONGEST_VALUE, out: longest_out };
        json::transform_patch(&policy, &mut self, patch, longest, &mut out)?;
        Ok(out)
    }

    /// Encrypts one value and returns the binary token.
    pub(super) fn encrypt(&mut self, field: FieldIndex, value: &[u8]) -> Result<&[u8], Error> {
        self.refuse_token(field, value)?;
        let Self { cipher, tokens, records, encrypted, as_decoy, .. } = self;
        let (tokens, _) = if let Some(tokens) = tokens {
            tokens
        } else {
            let (primary, term) = cipher.primary_now()?;
            tokens.insert((TokenEncryptor::new(primary, cipher.policy().fresh_prefix_per_field()), term))
        };
        let policy = cipher.policy();
        let minimum = policy.minimum(field);
        let place = if let Some(binding) = policy.record_binding() {
            let is_bound = records.to_bind_to(binding, policy.field(field).name())?.is_some();
            if !is_bound && !cipher.opens_unbound(tokens.key_id(), binding) {
                let message = "the policy does not let unbound tokens of the primary key be opened, which is older than \
                               that, or has no age: promote a new one, or send the id of the record";
                return Err(Error::new(ErrorKind::KeyUnavailable, message));
            }
            records.place(field, |record| cipher.place_in(field, record))
        } else {
            cipher.place(field)
        };
        tokens.set_decoys(cipher.makes_decoys() || *as_decoy);
        let token = tokens.encrypt(place, minimum, value)?;
        encrypted.add(field);
        Ok(token)
    }

    /// Fails where the key of the document that is being encrypted may be out of force by the time it is stored.
    pub(super) fn check_term(&self) -> Result<(), Error> {
        self.tokens.as_ref().map_or(Ok(()), |(_, term)| term.check())
    }

    /// Takes the key anew where a row ends, if it was taken a while ago.
    pub(super) fn renew(&mut self) {
        self.tokens.take_if(|(_, term)| term.is_over());
    }

    /// Whether a `null` stands for a value that a JSON Patch removes. Nothing is written for that; before every other value
    /// there is the operation that it stands in.
    fn is_removal(&self, out: &[u8]) -> bool {
        self.kind == Kind::JsonPatch && out.is_empty()
    }

    /// Takes note that the document holds a value of `field`.
    pub(super) fn note_present(&mut self, field: FieldIndex) {
        if !self.is_present(field) {
            self.present.push(field);
        }
    }

    pub(super) fn is_present(&self, field: FieldIndex) -> bool {
        self.present.contains(&field)
    }

    fn write(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if self.cipher.masks() {
            self.refuse_masked(field, value)?;
        }
        let canonical = self.validated(field, value)?;
        let value = canonical.as_ref().map_or(value, |canonical| &canonical[..]);
        self.note_part(field, value)?;
        self.write_token(field, value, out)?;
        self.write_index(field, value, out)
    }

    fn write_token(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let token = self.encrypt(field, value)?;
        out.push(b'"');
        token::write_text(token, out);
        out.push(b'"');
        Ok(())
    }
}

impl Visitor for Encryption<'_> {
    fn value(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.cipher.coverage().note(field);
        let policy = self.cipher.policy();
        // Most values of most documents.
        if self.kind == Kind::Whole && policy.only_encrypts(field) && value != b"null" && !self.cipher.masks() {
            return self.write_token(field, value, out);
        }
        if let Some(indexed) = policy.indexed_by(field) {
            let (index, field) = (policy.place_name(field), policy.field(indexed).name());
            let message = format!("`{index}` is made from `{field}`, and cannot be sent");
            return Err(Error::new(ErrorKind::Refused, message));
        }
        let policy = policy.field(field);
        if self.kind == Kind::Search && policy.index().is_none() && self.policy().is_part(field) {
            return self.write_terms_of_parts(field, value, out);
        }
        if self.kind == Kind::Search {
            return self.write_terms(field, value, out);
        }
        if value == b"null" && policy.is_null_if_unreadable() && !self.is_removal(out) {
            let message = format!(
                "field `{}` takes no `null`, which may stand for a value that could not be read: send what changes alone, \
                 as a patch (`PATCH` with `application/merge-patch+json`), or clear it by the `remove` operation of a JSON \
                 Patch",
                policy.name()
            );
            return Err(Error::new(ErrorKind::Refused, message));
        }
        let is_merge_patch = self.kind == Kind::MergePatch;
        // In a merge patch it removes the member.
        if value == b"null" && (is_merge_patch || !policy.encrypts_null()) {
            self.validated(field, value)?;
            self.note_part(field, value)?;
            out.extend_from_slice(value);
            return self.write_index(field, value, out);
        }
        if is_merge_patch && value.starts_with(b"{") {
            let message =
                format!("a merge patch cannot change a part of `{}`, which is encrypted whole", policy.name());
            return Err(Error::new(ErrorKind::Refused, message));
        }
        self.write(field, value, out)
    }

    fn within_array(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        // A merge patch replaces arrays whole, so there `null` is a value like any other.
        let policy = self.policy();
        let is_null = value == b"null" && self.kind != Kind::Search;
        if is_null && policy.indexed_by(field).is_none() && policy.field(field).encrypts_null() {
            return self.write(field, value, out);
        }
        self.value(field, value, out)
    }

    fn changes_members(&self) -> bool {
        self.kind == Kind::Search
    }

    fn member(&self, field: FieldIndex) -> Member<'_> {
        let policy = self.cipher.policy();
        let name = if policy.indexed_by(field).is_some() { None } else { policy.field(field).index_name() };
        match name {
            Some(name) => Member::Named(name),
            None if policy.is_part(field) => self.member_of_parts(field),
            None => Member::Kept,
        }
    }

    fn sibling(&self, field: FieldIndex) -> Sibling<'_> {
        let policy = self.cipher.policy();
        if policy.indexed_by(field).is_some() {
            return Sibling::IsOne;
        }
        if policy.is_part(field) {
            return Sibling::Joined;
        }
        policy.field(field).index_name().map_or(Sibling::Nothing, Sibling::Follows)
    }

    fn too_long(&self, field: FieldIndex) -> Error {
        let field = self.policy().place_name(field);
        Error::new(ErrorKind::TooLarge, format!("a value of `{field}` is longer than 1 MiB"))
    }

    fn shortest_untagged(&self) -> Option<usize> {
        Some(if self.policy().strict().is_some() { SHORTEST_MATCH } else { SHORTEST_TEXT })
    }

    /// Tokens stand only in storage. One that comes in where nothing is tagged may still be on its way to a place where
    /// it would be opened: by an alias, from an array, in a copy that the service makes.
    fn untagged(&self, text: &[u8], known: Option<usize>) -> Result<usize, Error> {
        if known.is_none() && text.len() < SHORTEST_TEXT {
            return Ok(text.len());
        }
        let whole = Reach { complete: text.len(), left: text.len() };
        let Reach { complete, left } = known.map_or(whole, |known| token_search::reach(text, known));
        self.cipher.refuse_token(&text[..complete])?;
        Ok(left)
    }

    fn looks_personal(&self, text: &[u8], cut: Cut) -> Option<&'static str> {
        strictness::looks(text, cut)
    }

    fn found_personal(&self, what: &'static str, path: &str, count: u64) -> Result<(), Error> {
        self.cipher.found_personal(what, path, count)
    }

    fn mentions(&self, name: &str) -> bool {
        self.policy().automaton().mentions(name.as_bytes())
    }

    fn joins_parts(&self) -> bool {
        self.policy().compounds().len() > 0
    }

    fn begin_parts(&mut self) {
        self.objects.push(Vec::new());
    }

    fn end_parts(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.kind == Kind::Search { self.check_parts() } else { self.write_compounds(out) }
    }

    fn begin_record(&mut self, record: &[u8], is_root: bool) -> Result<(), Error> {
        self.records.begin(record, is_root)
    }

    fn end_record(&mut self) {
        self.records.end();
    }

    fn record_member(&self) -> Option<&str> {
        self.records.member()
    }

    fn begin_target(&mut self, place: Place) {
        self.records.set_target(place);
    }

    fn end_document(&mut self) -> Result<(), Error> {
        if self.kind == Kind::Whole || self.is_whole_patch {
            self.check_required()?;
        }
        self.cipher.coverage().end_document(self.policy());
        self.present.clear();
        self.renew();
        if let Some((tokens, _)) = &mut self.tokens {
            tokens.end_prefix();
        }
        Ok(())
    }
}
