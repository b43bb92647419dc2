//! Stored values that move: to another key, from plaintext into tokens, or back.

use std::mem;

use memchr::memmem;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::decryption::Decryption;
use super::encryption::Encryption;
use super::field_cipher::FieldCipher;
use super::index_cell::CellValue;
use super::parts::{json_of, text_of};
use super::record_binding::Records;
use crate::crypto::index_key::INDEX_MARK;
use crate::crypto::key_id::KeyId;
use crate::crypto::padding::LONGEST_VALUE;
use crate::crypto::token::{self, TEXT_MARK};
use crate::error::{Error, ErrorKind};
use crate::json::{self, Flow, Framing, Member, Transformer, Visitor};
use crate::keys::Term;
use crate::policy::FieldIndex;

/// Where stored values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From tokens under any key to tokens under the primary key.
    Reencrypt,
    /// From plaintext to tokens.
    Encrypt,
    /// From tokens to plaintext.
    Decrypt,
    /// Nowhere: they are looked at.
    Look,
}

/// What one stored value was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Token(KeyId),
    Plaintext,
    /// A token that does not open here, with its key where it has the form of one.
    Unreadable(Option<KeyId>),
}

/// Moves the values of one row after the other.
pub(crate) struct Migration {
    pub(super) direction: Direction,
    decryption: Decryption<'static>,
    pub(super) encryption: Encryption<'static>,
    /// Opens what was encrypted. One of its own, since each keeps the key derived for the last nonce prefix.
    verification: Decryption<'static>,
    /// The key that encrypts, and for how long it may be used.
    primary: Option<(KeyId, Term)>,
    /// What was found in the row, field by field.
    findings: Vec<(FieldIndex, Finding)>,
    changed: bool,
    /// The blind indexes that the document should hold.
    indexes: Vec<Vec<u8>>,
    /// Whether something in it does not open, and so has no index that could be made anew.
    is_spoiled: bool,
    /// The value of the last cell.
    value: CellValue,
}

impl Migration {
    /// # Errors
    ///
    /// [`ErrorKind::KeyUnavailable`] where values are to be encrypted and there is no primary key.
    pub(crate) fn new(cipher: &FieldCipher, direction: Direction) -> Result<Self, Error> {
        let encrypts = matches!(direction, Direction::Reencrypt | Direction::Encrypt);
        let primary = || {
            let keys = cipher.keys().current_for_encryption()?;
            Ok((keys.primary()?.id(), cipher.keys().term(&keys)))
        };
        let primary = encrypts.then(primary).transpose()?;
        Ok(Self {
            direction,
            decryption: Decryption::new(cipher.held()).noting_decoys(),
            encryption: Encryption::new(cipher.held()).for_stored(),
            verification: Decryption::new(cipher.held()),
            primary,
            findings: Vec::new(),
            changed: false,
            indexes: Vec::new(),
            is_spoiled: false,
            value: CellValue::Unknown,
        })
    }

    /// Returns what tells the place of `field` in the scope of `cipher` from every other, in no form to be read again.
    pub(crate) fn place(cipher: &FieldCipher, field: FieldIndex) -> String {
        format!("{:?}", cipher.place(field))
    }

    /// Returns the key that encrypts, and for how long it may be used. None where nothing is encrypted.
    pub(crate) fn key(&self) -> Option<(KeyId, Term)> {
        self.primary
    }

    /// Whether the token that was opened last, under the key `id`, is to be made anew: under the primary key, or bound to
    /// its record.
    fn is_to_move(&self, id: KeyId) -> bool {
        let is_primary = self.primary.is_some_and(|(primary, _)| primary == id);
        !is_primary || (self.decryption.was_unbound() && self.encryption.records.binds())
    }

    /// Begins the row with this key, which is the id of the record that its values are bound to.
    pub(crate) fn begin_row(&mut self, key: &str) {
        self.each_records(|records| records.set_row(key));
    }

    fn each_records(&mut self, change: impl FnMut(&mut Records)) {
        let Self { decryption, encryption, verification, .. } = self;
        [&mut decryption.records, &mut encryption.records, &mut verification.records].into_iter().for_each(change);
    }

    /// Ends a row, and returns what was found in it.
    pub(crate) fn end_row(&mut self) -> Vec<(FieldIndex, Finding)> {
        self.encryption.end_document().expect("a part of a document lacks nothing");
        mem::take(&mut self.findings)
    }

    /// Moves the value of a column that holds `field` alone. Returns what takes its place, or nothing where it stays.
    ///
    /// # Errors
    ///
    /// What encrypting fails with, and [`ErrorKind::Decryption`] where a new token does not open. What cannot be read
    /// is no error, but a finding.
    pub(crate) fn cell(
        &mut self,
        field: FieldIndex,
        cell: &[u8],
        is_binary: bool,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let has_mark = cell.starts_with(TEXT_MARK.as_bytes());
        let is_token = if has_mark { self.is_token(cell) } else { is_binary && token::claimed_key_id(cell).is_some() };
        let finding = if is_token { self.open(field, cell) } else { (Finding::Plaintext, None) };
        self.findings.push((field, finding.0));
        self.value = match &finding.1 {
            Some(value) => CellValue::Known(value.clone()),
            None => CellValue::Unknown,
        };
        match (finding, self.direction) {
            ((Finding::Token(id), Some(value)), Direction::Reencrypt) if self.is_to_move(id) => {
                self.encrypt(field, &value, is_binary && !has_mark).map(Some)
            }
            ((Finding::Token(_), Some(value)), Direction::Decrypt) => Ok(Some(column_text(&value))),
            ((Finding::Plaintext, _), Direction::Encrypt) => {
                let text = std::str::from_utf8(cell).map_err(|_| not_text())?;
                let value = json_of(text);
                let token = self.encrypt(field, &value, is_binary)?;
                self.value = CellValue::Known(value);
                Ok(Some(token))
            }
            _ => Ok(None),
        }
    }

    /// Takes what is known of the value of the last cell.
    pub(crate) fn take_value(&mut self) -> CellValue {
        mem::replace(&mut self.value, CellValue::Unknown)
    }

    /// Moves the tagged values of a document. Returns the document that takes its place, or nothing where it stays.
    ///
    /// # Errors
    ///
    /// As [`cell`](Migration::cell), and where it cannot be read what [`leaves_alone`](Migration::leaves_alone) knows.
    pub(crate) fn document(&mut self, document: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        (self.changed, self.is_spoiled) = (false, false);
        self.indexes.clear();
        let policy = std::sync::Arc::clone(self.decryption.policy());
        let mut transformer = Transformer::new(policy.automaton(), Flow::Outward, Framing::Single, 2 * LONGEST_VALUE);
        let mut out = Zeroizing::new(Vec::with_capacity(document.len() * 2));
        transformer.feed(policy.automaton(), self, document, &mut out, usize::MAX)?;
        transformer.finish(self, &mut out)?;
        // The index of a value that does not open must not get lost.
        if self.is_spoiled && self.moves_indexes() {
            return Ok(None);
        }
        let holds = |index: &Vec<u8>| memmem::find(document, index).is_some();
        let changed = self.changed || !self.indexes.iter().all(holds);
        Ok(changed.then_some(out))
    }

    /// Whether blind indexes are made anew, with their values or because their key changed.
    pub(super) fn moves_indexes(&self) -> bool {
        match self.direction {
            Direction::Encrypt => self.decryption.policy().has_indexes(),
            Direction::Reencrypt => self.decryption.has_index_keys() && self.decryption.policy().has_indexes(),
            Direction::Decrypt | Direction::Look => false,
        }
    }

    /// Writes the index of `value` behind it.
    fn write_index(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if self.moves_indexes() {
            let start = out.len();
            self.encryption.note_part(field, value)?;
            self.encryption.write_index(field, value, out)?;
            self.note_indexes(&out[start..]);
        }
        Ok(())
    }

    /// Takes note of the indexes among `members`, which the document should hold.
    fn note_indexes(&mut self, members: &[u8]) {
        let values = members.split(|&byte| byte == b'"').filter(|part| part.starts_with(INDEX_MARK.as_bytes()));
        self.indexes.extend(values.map(<[u8]>::to_vec));
    }

    /// Returns whether `text`, which begins like a token, is taken for one. What is neither a token nor a damaged one is
    /// plaintext where plaintext is encrypted, and anywhere else a token that was broken.
    fn is_token(&self, text: &[u8]) -> bool {
        self.direction != Direction::Encrypt || token::recognize(text).is_some() || self.is_damaged(text)
    }

    /// Returns whether `text` is of the characters of a token alone and names a key of the keyring, as what is left of a
    /// token that was cut short does: no plaintext begins so by chance.
    fn is_damaged(&self, text: &[u8]) -> bool {
        let is_of_token = |&byte: &u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        text[TEXT_MARK.len()..].iter().all(is_of_token)
            && token::claimed_key_id(text).is_some_and(|id| self.decryption.knows(id))
    }

    /// Returns whether a document failed because it cannot be read: it is no JSON, too deep, or has a longer value where
    /// one is tagged than any token. What was found in it before that counts.
    pub(crate) fn leaves_alone(&self, error: &Error) -> bool {
        // A value that is too long to be encrypted is a fault of the job: it would stay in the clear.
        let is_long = error.kind() == ErrorKind::TooLarge && self.direction != Direction::Encrypt;
        is_long || error.kind() == ErrorKind::Malformed
    }

    fn open(&mut self, field: FieldIndex, token: &[u8]) -> (Finding, Option<Zeroizing<Vec<u8>>>) {
        let Some(id) = token::claimed_key_id(token) else { return (Finding::Unreadable(None), None) };
        match self.decryption.open(field, token) {
            Ok(value) => (Finding::Token(id), Some(Zeroizing::new(value.to_vec()))),
            Err(_) => (Finding::Unreadable(Some(id)), None),
        }
    }

    /// Encrypts, and opens what came of it, before it takes the place of what cannot be had again.
    fn encrypt(&mut self, field: FieldIndex, value: &[u8], is_binary: bool) -> Result<Zeroizing<Vec<u8>>, Error> {
        // What is made anew of a decoy is one. Plaintext that is encrypted was no token before.
        self.encryption.as_decoy = self.direction == Direction::Reencrypt && self.decryption.tokens.is_decoy();
        let binary = self.encryption.encrypt(field, value)?;
        let mut token = Zeroizing::new(Vec::new());
        if is_binary {
            token.extend_from_slice(binary);
        } else {
            token::write_text(binary, &mut token);
        }
        if self.verification.open(field, &token)? == value { Ok(token) } else { Err(Error::decryption()) }
    }
}

impl Visitor for Migration {
    fn value(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if self.decryption.policy().indexed_by(field).is_some() {
            out.extend_from_slice(value);
            return Ok(());
        }
        if value == b"null" {
            out.extend_from_slice(value);
            return self.write_index(field, value, out);
        }
        let mut unescaped = Zeroizing::new(Vec::new());
        let text = value.strip_prefix(b"\"").map(|text| &text[..text.len() - 1]);
        let text = text.map(|text| {
            let has_escapes = memchr::memchr(b'\\', text).is_some();
            if has_escapes && json::unescape(text, &mut unescaped) { &unescaped[..] } else { text }
        });
        let token = text.filter(|text| text.starts_with(TEXT_MARK.as_bytes()) && self.is_token(text));
        let (finding, opened) = token.map_or((Finding::Plaintext, None), |token| self.open(field, token));
        self.findings.push((field, finding));
        match (finding, opened, self.direction) {
            (Finding::Token(id), Some(opened), Direction::Reencrypt) if self.is_to_move(id) => {
                let token = self.encrypt(field, &opened, false)?;
                self.write(&token, out);
                self.write_index(field, &opened, out)?;
            }
            (Finding::Token(_), Some(opened), Direction::Reencrypt | Direction::Encrypt) => {
                out.extend_from_slice(value);
                self.write_index(field, &opened, out)?;
            }
            (Finding::Token(_), Some(opened), Direction::Decrypt) => {
                out.extend_from_slice(&opened);
                self.changed = true;
            }
            (Finding::Plaintext, _, Direction::Encrypt) => {
                let token = self.encrypt(field, value, false)?;
                self.write(&token, out);
                self.write_index(field, value, out)?;
            }
            _ => {
                self.is_spoiled = true;
                out.extend_from_slice(value);
            }
        }
        Ok(())
    }

    fn changes_members(&self) -> bool {
        self.moves_indexes() || (self.direction == Direction::Decrypt && self.decryption.policy().has_indexes())
    }

    fn member(&self, field: FieldIndex) -> Member<'_> {
        if self.decryption.policy().indexed_by(field).is_some() { Member::Omitted } else { Member::Kept }
    }

    fn joins_parts(&self) -> bool {
        self.moves_indexes() && self.encryption.joins_parts()
    }

    fn begin_parts(&mut self) {
        self.encryption.begin_parts();
    }

    fn end_parts(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        self.encryption.end_parts(out)?;
        self.note_indexes(&out[start..]);
        Ok(())
    }

    fn begin_record(&mut self, record: &[u8], is_root: bool) -> Result<(), Error> {
        let mut begun = Ok(());
        self.each_records(|records| begun = records.begin(record, is_root));
        begun
    }

    fn end_record(&mut self) {
        self.each_records(Records::end);
    }

    fn too_long(&self, _: FieldIndex) -> Error {
        Error::new(ErrorKind::TooLarge, "a tagged value is longer than 1 MiB")
    }
}

impl Migration {
    fn write(&mut self, token: &[u8], out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(token);
        out.push(b'"');
        self.changed = true;
    }
}

/// What a column held before its value was encrypted: the text of a string, and the JSON text of anything else.
fn column_text(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let raw: Option<&RawValue> = serde_json::from_slice(value).ok();
    let text = raw.and_then(|raw| text_of(raw.get().as_bytes()));
    Zeroizing::new(text.map_or_else(|| value.to_vec(), |mut text| mem::take(&mut *text).into_bytes()))
}

fn not_text() -> Error {
    Error::new(ErrorKind::InvalidValue, "a plaintext column holds bytes that are no text in UTF-8")
}
