//! Encrypts the values of one document.

use std::fmt;
use std::ops::Deref;

use super::associated_data::AssociatedData;
use super::data_key::DataKey;
use super::key_id::KeyId;
use super::padding;
use super::random;
use super::token::{HEADER_LENGTH, OVERHEAD, VERSION};
use super::xaes::{NONCE_LENGTH, PREFIX_LENGTH, PrefixKey, SUFFIX_LENGTH, TAG_LENGTH};
use crate::error::{Error, ErrorKind};
use crate::secret::SecretBuffer;

/// No derived key sees more messages than this.
const MESSAGES_PER_PREFIX: u32 = 1 << 16;
/// The suffixes of decoys have 48 random bits: of 256, two are alike once in 8 billion times.
const DECOYS_PER_PREFIX: u32 = 256;

/// Room for most tokens, so that the buffer does not grow with the first of them.
const USUAL_TOKEN: usize = 256;

/// Makes tokens under one data key. Values of one document share a nonce prefix and the key derived from it.
pub(crate) struct TokenEncryptor<K> {
    key: K,
    header: [u8; HEADER_LENGTH],
    prefix: Option<Box<Prefix>>,
    fresh_prefix_per_value: bool,
    /// Whether tokens get the mark of decoys.
    makes_decoys: bool,
    buffer: SecretBuffer,
}

struct Prefix {
    bytes: [u8; PREFIX_LENGTH],
    key: PrefixKey,
    messages_left: u32,
}

impl<K: Deref<Target = DataKey>> TokenEncryptor<K> {
    pub(crate) fn new(key: K, fresh_prefix_per_value: bool) -> Self {
        let mut header = [VERSION; HEADER_LENGTH];
        header[1..].copy_from_slice(&key.id().0);
        Self {
            key,
            header,
            prefix: None,
            fresh_prefix_per_value,
            makes_decoys: false,
            buffer: SecretBuffer::with_capacity(USUAL_TOKEN),
        }
    }

    /// The id that its tokens carry.
    pub(crate) fn key_id(&self) -> KeyId {
        self.key.id()
    }

    /// Has the next value begin under a prefix of its own, which shows no link to those before: where a document ends, and
    /// where a generator may have been copied.
    pub(crate) fn end_prefix(&mut self) {
        self.prefix = None;
    }

    /// Encrypts `value`, a JSON text with no white space around it, and returns the binary token.
    pub(crate) fn encrypt(&mut self, place: &AssociatedData, minimum: usize, value: &[u8]) -> Result<&[u8], Error> {
        let spent = self.prefix.as_ref().is_none_or(|prefix| prefix.messages_left == 0);
        if spent || self.fresh_prefix_per_value {
            let bytes = self.key.draw_prefix()?;
            let key = self.key.xaes().derive(&bytes);
            self.prefix = Some(Box::new(Prefix { bytes, key, messages_left: self.messages_per_prefix() }));
        }
        let mut suffix = random::suffix();
        if let Some(prefix) = self.prefix.as_ref().filter(|_| self.makes_decoys) {
            suffix = self.key.decoy_suffix(&prefix.bytes, suffix);
        }
        self.encrypt_with(place, minimum, value, suffix)
    }

    fn messages_per_prefix(&self) -> u32 {
        if self.makes_decoys { DECOYS_PER_PREFIX } else { MESSAGES_PER_PREFIX }
    }

    /// Has the tokens that follow marked as decoys, or not.
    pub(crate) fn set_decoys(&mut self, makes_decoys: bool) {
        self.makes_decoys = makes_decoys;
        if let Some(prefix) = self.prefix.as_mut().filter(|_| makes_decoys) {
            prefix.messages_left = prefix.messages_left.min(DECOYS_PER_PREFIX);
        }
    }

    fn encrypt_with(
        &mut self,
        place: &AssociatedData,
        minimum: usize,
        value: &[u8],
        suffix: [u8; SUFFIX_LENGTH],
    ) -> Result<&[u8], Error> {
        if value.len() > padding::LONGEST_VALUE {
            return Err(Error::new(ErrorKind::TooLarge, "a tagged value is longer than 1 MiB"));
        }
        let prefix = self.prefix.as_mut().expect("a prefix is drawn before a value is encrypted");
        let token = self.buffer.overwrite(OVERHEAD + padding::padded_length(value.len(), minimum));
        token[..HEADER_LENGTH].copy_from_slice(&self.header);
        let (nonce, rest) = token[HEADER_LENGTH..].split_at_mut(NONCE_LENGTH);
        nonce[..PREFIX_LENGTH].copy_from_slice(&prefix.bytes);
        nonce[PREFIX_LENGTH..].copy_from_slice(&suffix);
        let (padded, tag) = rest.split_at_mut(rest.len() - TAG_LENGTH);
        padded[..value.len()].copy_from_slice(value);
        padded[value.len()..].fill(padding::FILL);
        prefix.messages_left -= 1;
        tag.copy_from_slice(&prefix.key.encrypt(&suffix, &place.with(self.header), padded));
        Ok(token)
    }
}

impl<K: Deref<Target = DataKey>> fmt::Debug for TokenEncryptor<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEncryptor").field("key", &self.key.id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::associated_data::Place;
    use crate::secret::SecretKey;

    const PLACE: Place<'static> =
        Place { tenant: None, collection: "customers", field: "phone", record: None, subject: None };

    fn encryptor(fresh_prefix_per_value: bool) -> TokenEncryptor<Box<DataKey>> {
        let key = DataKey::new(&SecretKey::from_bytes(&[7; 32]));
        TokenEncryptor::new(Box::new(key), fresh_prefix_per_value)
    }

    fn nonce_of(encryptor: &mut TokenEncryptor<Box<DataKey>>) -> (Vec<u8>, Vec<u8>) {
        let token = encryptor.encrypt(&AssociatedData::new(&PLACE), 32, b"\"+65 9123 4567\"").unwrap();
        (token[9..21].to_vec(), token[21..33].to_vec())
    }

    #[test]
    fn values_of_one_document_share_a_prefix_and_no_suffix() {
        let mut encryptor = encryptor(false);
        let (first, other) = (nonce_of(&mut encryptor), nonce_of(&mut encryptor));
        assert_eq!(first.0, other.0);
        assert_ne!(first.1, other.1);
        encryptor.end_prefix();
        assert_ne!(first.0, nonce_of(&mut encryptor).0);
    }

    #[test]
    fn a_prefix_for_each_value_shows_no_link() {
        let mut encryptor = encryptor(true);
        assert_ne!(nonce_of(&mut encryptor).0, nonce_of(&mut encryptor).0);
    }

    #[test]
    fn a_prefix_is_redrawn_after_65_536_values() {
        let mut encryptor = encryptor(false);
        let first = nonce_of(&mut encryptor).0;
        encryptor.prefix.as_mut().unwrap().messages_left = 1;
        assert_eq!(first, nonce_of(&mut encryptor).0);
        assert_ne!(first, nonce_of(&mut encryptor).0);
    }

    #[test]
    fn a_prefix_with_decoys_is_redrawn_sooner_whatever_it_was_drawn_for() {
        let mut encryptor = encryptor(false);
        let first = nonce_of(&mut encryptor).0;
        encryptor.set_decoys(true);
        assert!((0..DECOYS_PER_PREFIX).all(|_| nonce_of(&mut encryptor).0 == first));
        assert_ne!(first, nonce_of(&mut encryptor).0);
    }

    #[test]
    fn writes_the_frozen_vectors() {
        #[derive(serde::Deserialize)]
        struct Vectors {
            tokens: Vec<Vector>,
        }
        #[derive(serde::Deserialize)]
        struct Vector {
            data_key: String,
            nonce: String,
            tenant: Option<String>,
            collection: String,
            field: String,
            record: Option<String>,
            subject: Option<String>,
            minimum: usize,
            value: String,
            token: String,
        }
        let file = include_str!("../../tests/vectors/v1/tokens.json");
        let vectors: Vectors = serde_json::from_str(file).unwrap();
        assert!(vectors.tokens.len() >= 20);
        for vector in vectors.tokens {
            let key = DataKey::new(&SecretKey::from_bytes(unhex(&vector.data_key)[..].try_into().unwrap()));
            let nonce = unhex(&vector.nonce);
            let mut encryptor = TokenEncryptor::new(Box::new(key), false);
            let bytes = *nonce.first_chunk().unwrap();
            let derived = encryptor.key.xaes().derive(&bytes);
            encryptor.prefix = Some(Box::new(Prefix { bytes, key: derived, messages_left: 1 }));
            let place = Place {
                tenant: vector.tenant.as_deref(),
                collection: &vector.collection,
                field: &vector.field,
                record: vector.record.as_deref(),
                subject: vector.subject.as_deref(),
            };
            let suffix = *nonce.last_chunk().unwrap();
            let binary = encryptor
                .encrypt_with(&AssociatedData::new(&place), vector.minimum, vector.value.as_bytes(), suffix)
                .unwrap()
                .to_vec();
            let mut text = Vec::new();
            super::super::token::write_text(&binary, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), vector.token, "{}", vector.value);
        }
    }

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }
}
