//! Documents: whole or in chunks, by lines, as patches, and as searches.

use super::decryption::Decryption;
use super::encryption::Encryption;
use super::field_cipher::FieldCipher;
use super::stream::{JsonStream, Stream};
use super::wanted::Wanted;
use crate::error::Error;
use crate::json::Framing;

impl FieldCipher {
    /// Encrypts the tagged values of a JSON document. Every other byte stays as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind`](crate::ErrorKind)`::Malformed`, `TooLarge` (a value over 1 MiB), `TokenSubmitted`,
    /// `KeyUnavailable` (no primary key) and `Randomness`.
    pub fn encrypt_json(&self, document: &[u8]) -> Result<Vec<u8>, Error> {
        Stream::encrypting(Encryption::new(self.lent()), Framing::Single).run(document)
    }

    /// Decrypts the tagged values of a JSON document. Every other byte stays as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind`](crate::ErrorKind)`::Malformed`, `Decryption`, `NotEncrypted` and `KeyUnavailable`.
    pub fn decrypt_json(&self, document: &[u8]) -> Result<Vec<u8>, Error> {
        Stream::decrypting(Decryption::new(self.lent()), Framing::Single).run(document)
    }

    /// Encrypts a JSON document that comes in chunks.
    #[must_use]
    pub fn json_encryptor(&self) -> JsonStream {
        JsonStream::encrypting(Encryption::new(self.held()), Framing::Single)
    }

    /// Decrypts a JSON document that comes in chunks.
    #[must_use]
    pub fn json_decryptor(&self) -> JsonStream {
        JsonStream::decrypting(Decryption::new(self.held()), Framing::Single)
    }

    /// Encrypts newline-delimited JSON, a document a line, that comes in chunks.
    #[must_use]
    pub fn ndjson_encryptor(&self) -> JsonStream {
        JsonStream::encrypting(Encryption::new(self.held()).for_lines(), Framing::Lines)
    }

    /// Decrypts newline-delimited JSON, a document a line, that comes in chunks.
    #[must_use]
    pub fn ndjson_decryptor(&self) -> JsonStream {
        JsonStream::decrypting(Decryption::new(self.held()), Framing::Lines)
    }

    /// Encrypts a JSON Merge Patch (RFC 7396). `null` removes a member, so it stays `null` for every field; an object
    /// at a tagged field is refused, since it would replace the stored value by a part of it.
    ///
    /// # Errors
    ///
    /// As [`encrypt_json`](Self::encrypt_json), and [`ErrorKind::Refused`](crate::ErrorKind::Refused).
    pub fn encrypt_merge_patch(&self, patch: &[u8]) -> Result<Vec<u8>, Error> {
        let encryption = Encryption::new(self.lent()).for_merge_patch();
        Stream::encrypting(encryption, Framing::Single).run(patch)
    }

    #[cfg(feature = "layer")]
    pub(crate) fn merge_patch_encryptor(&self) -> JsonStream {
        JsonStream::encrypting(Encryption::new(self.held()).for_merge_patch(), Framing::Single)
    }

    /// Encrypts a merge patch that may be taken for a whole document.
    #[cfg(feature = "layer")]
    pub(crate) fn whole_merge_patch_encryptor(&self) -> JsonStream {
        JsonStream::encrypting(Encryption::new(self.held()).for_whole_merge_patch(), Framing::Single)
    }

    /// Encrypts a document that holds only what changes.
    #[cfg(feature = "layer")]
    pub(crate) fn partial_encryptor(&self) -> JsonStream {
        JsonStream::encrypting(Encryption::new(self.held()).for_part(), Framing::Single)
    }

    /// The same for a document a line.
    #[cfg(feature = "layer")]
    pub(crate) fn partial_ndjson_encryptor(&self) -> JsonStream {
        JsonStream::encrypting(Encryption::new(self.held()).for_part().for_lines(), Framing::Lines)
    }

    /// Rewrites a JSON document whose members are what is looked for: each that is a field with a blind index becomes one
    /// that asks for the index, or for any of several, separated by commas. Only paths tell fields: a member that is called
    /// like one and stands elsewhere passes, which the layer refuses.
    ///
    /// # Errors
    ///
    /// As [`encrypt_json`](Self::encrypt_json), and [`ErrorKind::Refused`](crate::ErrorKind::Refused) for a tagged field
    /// without an index or with a truncated one, for a blind index that is sent, and for a value without a normal form.
    pub fn encrypt_search(&self, search: &[u8]) -> Result<Vec<u8>, Error> {
        let encryption = Encryption::new(self.lent()).for_search(Wanted::default());
        Stream::encrypting(encryption, Framing::Single).run(search)
    }

    #[cfg(feature = "layer")]
    pub(crate) fn search_encryptor(&self, wanted: Wanted) -> JsonStream {
        JsonStream::encrypting(Encryption::new(self.held()).for_search(wanted), Framing::Single)
    }

    /// Encrypts a JSON Patch (RFC 6902): the values of `add` and `replace` wherever they are, or hold, tagged ones.
    ///
    /// # Errors
    ///
    /// As [`encrypt_json`](Self::encrypt_json), and [`ErrorKind::Refused`](crate::ErrorKind::Refused): `test` of a
    /// tagged value, `move` and `copy` between places with different protection, a change to a part of a value that is
    /// encrypted whole, and a shift of elements that the policy tells apart by their index.
    ///
    /// # Example
    ///
    /// ```
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// # use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};
    /// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    /// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// let patch = cipher.encrypt_json_patch(br#"[{"op":"replace","path":"/phone","value":"+65 8123 4567"}]"#)?;
    /// assert!(!patch.windows(4).any(|part| part == b"8123"));
    ///
    /// let copy = cipher.encrypt_json_patch(br#"[{"op":"copy","from":"/note","path":"/phone"}]"#);
    /// assert_eq!(copy.unwrap_err().kind(), ErrorKind::Refused);
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn encrypt_json_patch(&self, patch: &[u8]) -> Result<Vec<u8>, Error> {
        Encryption::new(self.lent()).json_patch(patch, usize::MAX)
    }

    /// The same, but fails with [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) where that would be longer.
    #[cfg(feature = "layer")]
    pub(crate) fn encrypt_json_patch_within(&self, patch: &[u8], longest_out: usize) -> Result<Vec<u8>, Error> {
        Encryption::new(self.lent()).json_patch(patch, longest_out)
    }
}
