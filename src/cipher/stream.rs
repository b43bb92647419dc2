//! Documents that come in chunks.

use std::borrow::Cow;
use std::sync::Arc;

use zeroize::Zeroize;
#[cfg(feature = "layer")]
use zeroize::Zeroizing;

use super::decryption::Decryption;
use super::encryption::Encryption;
#[cfg(feature = "layer")]
use super::field_cipher::FieldCipher;
use crate::crypto::padding::LONGEST_VALUE;
use crate::error::Error;
#[cfg(feature = "layer")]
use crate::error::ErrorKind;
use crate::json::{Cut, Flow, Framing, Member, Sibling, Trail, Transformer, Visitor};
use crate::policy::{FieldIndex, Policy};

/// The longest JSON text of a token that is looked at: base64 of the longest one, with room for escapes.
pub(super) const LONGEST_TOKEN: usize = 2 * LONGEST_VALUE;

/// Encrypts or decrypts JSON that comes in chunks, split anywhere.
///
/// Holds back no more than the tagged value that is being read. Each document is encrypted under the primary key of the
/// moment of its first tagged value. Output that was handed out before an error belongs to
/// a document that is not whole: throw it away, or break the connection.
///
/// # Example
///
/// ```
/// # use fieldseal::keys::{DataKey, Keys, SecretKey};
/// # use fieldseal::{Field, FieldCipher, Policy, Tag};
/// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
/// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
/// let mut stream = cipher.json_encryptor();
/// let mut stored = Vec::new();
/// for chunk in [&br#"{"phone": "+65 91"#[..], br#"23 4567"}"#] {
///     stream.feed(chunk, &mut stored)?;
/// }
/// stream.finish(&mut stored)?;
/// assert_eq!(cipher.decrypt_json(&stored)?, br#"{"phone": "+65 9123 4567"}"#);
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Debug)]
pub struct JsonStream(Stream<'static>);

impl JsonStream {
    pub(super) fn encrypting(encryption: Encryption<'static>, framing: Framing) -> Self {
        Self(Stream::encrypting(encryption, framing))
    }

    pub(super) fn decrypting(decryption: Decryption<'static>, framing: Framing) -> Self {
        Self(Stream::decrypting(decryption, framing))
    }

    /// Takes the next chunk and appends to `out` what is finished.
    ///
    /// # Errors
    ///
    /// As [`encrypt_json`](crate::FieldCipher::encrypt_json) and [`decrypt_json`](crate::FieldCipher::decrypt_json);
    /// after an error every call fails. [`ErrorKind::KeyUnavailable`](crate::ErrorKind::KeyUnavailable) also where one
    /// document takes longer to encrypt than the `longest_request` of a keyring whose
    /// [`Timing`](crate::keys::Timing) has a lease.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.0.feed(chunk, out, usize::MAX).map(drop)
    }

    /// The same, but stops where `out` is longer than `longest_out` after a tagged value: short values become tokens
    /// that are many times as long. Returns how much of the chunk was taken. Where a value in the first chunk is refused, the
    /// error points at it.
    #[cfg(feature = "layer")]
    pub(crate) fn feed_some(&mut self, chunk: &[u8], out: &mut Vec<u8>, longest_out: usize) -> Result<usize, Error> {
        let begins = self.0.transformer.begins();
        let fed = self.0.feed(chunk, out, longest_out);
        fed.map_err(|error| if begins { self.0.located(error, chunk) } else { error })
    }

    /// Ends the input.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`](crate::ErrorKind::Malformed) where the document is cut short, and as
    /// [`feed`](Self::feed).
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.0.finish(out)
    }

    /// The cipher, where it encrypts: what comes beside the documents must hold no token.
    #[cfg(feature = "layer")]
    pub(crate) fn inward(&self) -> Option<&FieldCipher> {
        match &self.0.direction {
            Direction::Encrypt(encryption) => Some(encryption.cipher()),
            Direction::Decrypt(_) => None,
        }
    }

    /// How much room a document of `length` bytes mostly takes when it is transformed.
    #[cfg(feature = "layer")]
    pub(crate) fn room_for(&self, length: usize) -> usize {
        self.0.room_for(length)
    }

    /// How much the next chunk of so many bytes can write of what is decrypted: what is carried over ends in it.
    #[cfg(feature = "layer")]
    pub(crate) fn secret_room_for(&self, length: usize) -> usize {
        self.0.secret_room_for(length)
    }
}

/// One document, or several, by a cipher that is lent or held.
#[derive(Debug)]
pub(super) struct Stream<'c> {
    policy: Cow<'c, Arc<Policy>>,
    transformer: Transformer,
    direction: Direction<'c>,
}

#[derive(Debug)]
enum Direction<'c> {
    Encrypt(Encryption<'c>),
    Decrypt(Decryption<'c>),
}

impl<'c> Stream<'c> {
    pub(super) fn encrypting(encryption: Encryption<'c>, framing: Framing) -> Self {
        let policy = encryption.cipher().policy_ref();
        let transformer = Transformer::new(policy.automaton(), Flow::Inward, framing, LONGEST_VALUE);
        let transformer = transformer.with_trail(Trail::of(&policy));
        Self { policy, transformer, direction: Direction::Encrypt(encryption) }
    }

    pub(super) fn decrypting(decryption: Decryption<'c>, framing: Framing) -> Self {
        let policy = decryption.cipher.policy_ref();
        let transformer = Transformer::new(policy.automaton(), Flow::Outward, framing, LONGEST_TOKEN);
        Self { policy, transformer, direction: Direction::Decrypt(decryption) }
    }

    fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>, longest_out: usize) -> Result<usize, Error> {
        self.direction.check_term()?;
        self.direction.end_prefix();
        self.transformer.feed(self.policy.automaton(), &mut self.direction, chunk, out, longest_out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.direction.check_term()?;
        self.transformer.finish(&mut self.direction, out)
    }

    fn room_for(&self, length: usize) -> usize {
        match self.direction {
            // A token is about three times as long as a short value.
            Direction::Encrypt(_) => length * 2 + 256,
            Direction::Decrypt(_) => length,
        }
    }

    #[cfg(feature = "layer")]
    fn secret_room_for(&self, length: usize) -> usize {
        match self.direction {
            Direction::Encrypt(_) => 0,
            Direction::Decrypt(_) => self.transformer.held_length() + length,
        }
    }

    pub(super) fn run(mut self, document: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(self.room_for(document.len()));
        let result = self.feed(document, &mut out, usize::MAX).and_then(|_| self.finish(&mut out));
        // Overwritten where it holds a part of a document that does not open as a whole.
        result.inspect_err(|_| out.zeroize())?;
        Ok(out)
    }

    /// Reads the `beginning` of a document once more, in which a value was refused, for where that stands.
    #[cfg(feature = "layer")]
    #[cold]
    fn located(&mut self, error: Error, beginning: &[u8]) -> Error {
        let Direction::Encrypt(encryption) = &mut self.direction else { return error };
        if error.kind() != ErrorKind::Validation || error.pointer().is_some() {
            return error;
        }
        let automaton = self.policy.automaton();
        let transformer = Transformer::new(automaton, Flow::Inward, Framing::Single, LONGEST_VALUE);
        let mut transformer = transformer.with_trail(Some(Trail::new()));
        let mut out = Zeroizing::new(Vec::with_capacity(beginning.len()));
        match transformer.feed(automaton, &mut Check(encryption), beginning, &mut out, usize::MAX) {
            Err(again) if again.to_string() == error.to_string() => again,
            _ => error,
        }
    }
}

/// Looks at values alone, and writes none.
#[cfg(feature = "layer")]
struct Check<'e, 'c>(&'e mut Encryption<'c>);

#[cfg(feature = "layer")]
impl Visitor for Check<'_, '_> {
    fn value(&mut self, field: FieldIndex, value: &[u8], _: &mut Vec<u8>) -> Result<(), Error> {
        self.0.validated(field, value).map(drop)
    }

    fn too_long(&self, field: FieldIndex) -> Error {
        self.0.too_long(field)
    }

    fn mentions(&self, name: &str) -> bool {
        self.0.mentions(name)
    }
}

impl Direction<'_> {
    /// Has the values of another chunk stand under another nonce prefix than those before. While a document waits for its
    /// next chunk, the process may fork and the machine may be cloned: both then go on with one prefix and one state of the
    /// generator, and with chunks that differ. What they do with a chunk that both have is the same.
    fn end_prefix(&mut self) {
        if let Self::Encrypt(Encryption { tokens: Some((tokens, _)), .. }) = self {
            tokens.end_prefix();
        }
    }

    fn check_term(&self) -> Result<(), Error> {
        match self {
            Self::Encrypt(encryption) => encryption.check_term(),
            Self::Decrypt(_) => Ok(()),
        }
    }
}

impl Visitor for Direction<'_> {
    fn value(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Encrypt(encryption) => encryption.value(field, value, out),
            Self::Decrypt(decryption) => decryption.value(field, value, out),
        }
    }

    fn within_array(&mut self, field: FieldIndex, value: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Encrypt(encryption) => encryption.within_array(field, value, out),
            Self::Decrypt(decryption) => decryption.within_array(field, value, out),
        }
    }

    fn changes_members(&self) -> bool {
        match self {
            Self::Encrypt(encryption) => encryption.changes_members(),
            Self::Decrypt(decryption) => decryption.changes_members(),
        }
    }

    fn member(&self, field: FieldIndex) -> Member<'_> {
        match self {
            Self::Encrypt(encryption) => encryption.member(field),
            Self::Decrypt(decryption) => decryption.member(field),
        }
    }

    fn sibling(&self, field: FieldIndex) -> Sibling<'_> {
        match self {
            Self::Encrypt(encryption) => encryption.sibling(field),
            Self::Decrypt(_) => Sibling::Nothing,
        }
    }

    fn too_long(&self, field: FieldIndex) -> Error {
        match self {
            Self::Encrypt(encryption) => encryption.too_long(field),
            Self::Decrypt(decryption) => decryption.too_long(field),
        }
    }

    fn shortest_untagged(&self) -> Option<usize> {
        match self {
            Self::Encrypt(encryption) => encryption.shortest_untagged(),
            Self::Decrypt(_) => None,
        }
    }

    fn untagged(&self, text: &[u8], known: Option<usize>) -> Result<usize, Error> {
        match self {
            Self::Encrypt(encryption) => encryption.untagged(text, known),
            Self::Decrypt(_) => Ok(text.len()),
        }
    }

    fn looks_personal(&self, text: &[u8], cut: Cut) -> Option<&'static str> {
        match self {
            Self::Encrypt(encryption) => encryption.looks_personal(text, cut),
            Self::Decrypt(_) => None,
        }
    }

    fn found_personal(&self, what: &'static str, path: &str, count: u64) -> Result<(), Error> {
        match self {
            Self::Encrypt(encryption) => encryption.found_personal(what, path, count),
            Self::Decrypt(_) => Ok(()),
        }
    }

    fn mentions(&self, name: &str) -> bool {
        match self {
            Self::Encrypt(encryption) => encryption.mentions(name),
            Self::Decrypt(_) => false,
        }
    }

    fn joins_parts(&self) -> bool {
        match self {
            Self::Encrypt(encryption) => encryption.joins_parts(),
            Self::Decrypt(_) => false,
        }
    }

    fn begin_parts(&mut self) {
        if let Self::Encrypt(encryption) = self {
            encryption.begin_parts();
        }
    }

    fn end_parts(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Encrypt(encryption) => encryption.end_parts(out),
            Self::Decrypt(_) => Ok(()),
        }
    }

    fn begin_record(&mut self, record: &[u8], is_root: bool) -> Result<(), Error> {
        match self {
            Self::Encrypt(encryption) => encryption.begin_record(record, is_root),
            Self::Decrypt(decryption) => decryption.begin_record(record, is_root),
        }
    }

    fn end_record(&mut self) {
        match self {
            Self::Encrypt(encryption) => encryption.end_record(),
            Self::Decrypt(decryption) => decryption.end_record(),
        }
    }

    fn end_document(&mut self) -> Result<(), Error> {
        match self {
            Self::Encrypt(encryption) => encryption.end_document(),
            Self::Decrypt(decryption) => decryption.end_document(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::crypto::repeated::{Clock, Machine};
    use crate::keys::{DataKey, Keys, SecretKey};
    use crate::{ErrorKind, FieldCipher, Policy, Tag};

    /// The texts of the tokens of two fields.
    fn tokens(document: &[u8]) -> [String; 2] {
        let document: serde_json::Value = serde_json::from_slice(document).unwrap();
        ["name", "phone"].map(|field| document[field].as_str().unwrap().to_owned())
    }

    #[test]
    fn a_machine_that_is_cloned_in_the_midst_of_a_document_repeats_no_nonce_in_the_chunks_that_follow() {
        let policy = Policy::new("customers", [("name", Tag::Name), ("phone", Tag::Phone)]);
        let key = DataKey::dangerous_test_key(&SecretKey::from_bytes(&[7; 32]));
        let cipher = FieldCipher::new(policy.unwrap(), Keys::from_data_key(key));
        let snapshot = Machine::new(Clock::Restored(0));
        let stored = [r#""+65 9123 4567"}"#, r#""+65 8234 5678"}"#].map(|rest| {
            let (mut machine, mut stream, mut stored) = (snapshot.clone(), cipher.json_encryptor(), Vec::new());
            machine.run(|| stream.feed(br#"{"name":"Tan Wei Ming","phone":"#, &mut stored)).unwrap();
            machine.wait(u64::from(rest.contains("8234")));
            machine.run(|| stream.feed(rest.as_bytes(), &mut stored)).unwrap();
            tokens(&stored)
        });
        let [[name, phone], [same_name, other_phone]] = stored;
        assert_eq!(name, same_name, "up to there, the two are one");
        // The mark and the header, and then 12 bytes of the nonce.
        let prefix = 16..32;
        assert_ne!(phone[prefix.clone()], other_phone[prefix.clone()]);
        assert_ne!(name[prefix.clone()], phone[prefix]);
    }

    #[test]
    fn nothing_is_encrypted_while_the_generator_fails_and_everything_after_that() {
        let policy = Policy::new("customers", [("phone", Tag::Phone)]);
        let key = DataKey::dangerous_test_key(&SecretKey::from_bytes(&[7; 32]));
        let cipher = FieldCipher::new(policy.unwrap(), Keys::from_data_key(key));
        let document = br#"{"phone":"+65 9123 4567"}"#;
        let (mut stream, mut stored) = (cipher.json_encryptor(), Vec::new());
        Machine::failing().run(|| {
            for failure in [
                cipher.encrypt_json(document).map(drop),
                cipher.encrypt_value("phone", "+65 9123 4567").map(drop),
                stream.feed(document, &mut stored),
            ] {
                assert_eq!(failure.unwrap_err().kind(), ErrorKind::Randomness);
            }
        });
        assert!(!String::from_utf8_lossy(&stored).contains("9123"));
        cipher.encrypt_json(document).unwrap();
    }
}
