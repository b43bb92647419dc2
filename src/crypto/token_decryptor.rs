//! Decrypts the tokens of one document.

use std::fmt;
use std::ops::Range;

use super::associated_data::AssociatedData;
use super::data_key::DataKey;
use super::key_id::KeyId;
use super::padding;
use super::token::{self, HEADER_LENGTH, Token};
use super::xaes::{NONCE_LENGTH, PREFIX_LENGTH, PrefixKey};
use crate::error::Error;
use crate::secret::SecretBuffer;

/// Where in a binary token the encrypted value begins.
const SEALED_AT: usize = HEADER_LENGTH + NONCE_LENGTH;

/// Opens tokens. Keeps the key derived for the last prefix, since the values of one record share it.
#[derive(Default)]
pub(crate) struct TokenDecryptor {
    last: Option<Box<Prefix>>,
    buffer: SecretBuffer,
    /// Whether the buffer holds a token that was read, and not opened.
    is_read: bool,
    /// Where in the buffer the value stands that was opened last.
    opened: Range<usize>,
    /// Whether it looks for the mark of decoys.
    watches_decoys: bool,
    is_decoy: bool,
}

struct Prefix {
    key_id: KeyId,
    bytes: [u8; PREFIX_LENGTH],
    key: PrefixKey,
}

impl TokenDecryptor {
    /// Reads `token`, in text or binary form, to be [opened](Self::open). Returns false where a text is not canonical
    /// base64url.
    pub(crate) fn read(&mut self, token: &[u8]) -> bool {
        self.opened = 0..0;
        self.is_decoy = false;
        self.is_read = token::read(token, &mut self.buffer);
        self.is_read
    }

    /// Decrypts the token that was [read](Self::read) with the key that `key_of` finds for its id. The value is then what
    /// was [`opened`](Self::opened). A token that does not open in one place may be tried in another.
    ///
    /// # Errors
    ///
    /// Every fault of the token is the same error. What `key_of` returns is passed on.
    pub(crate) fn open<'k>(
        &mut self,
        place: &AssociatedData,
        key_of: impl FnOnce(KeyId) -> Result<&'k DataKey, Error>,
    ) -> Result<(), Error> {
        let Self { last, buffer, is_read, opened, watches_decoys, is_decoy } = self;
        let Some(token) = is_read.then(|| Token::parse(buffer.as_mut_slice())).flatten() else {
            return Err(Error::decryption());
        };
        let key_id = token.key_id();
        // Asked for each token, so that a key that is not there to open with never opens by way of the derived one.
        let key = key_of(key_id)?;
        let prefix = match last {
            Some(last) => {
                if last.key_id != key_id || last.bytes != token.prefix {
                    key.xaes().derive_to(&token.prefix, &mut last.key);
                    (last.key_id, last.bytes) = (key_id, token.prefix);
                }
                last
            }
            None => {
                last.insert(Box::new(Prefix { key_id, bytes: token.prefix, key: key.xaes().derive(&token.prefix) }))
            }
        };
        prefix
            .key
            .decrypt(&token.suffix, &place.with(token.header), token.sealed, &token.tag)
            .map_err(|_| Error::decryption())?;
        *is_read = false;
        *is_decoy = *watches_decoys && key.is_decoy(&token.prefix, &token.suffix);
        let value = padding::unpad(token.sealed).ok_or_else(Error::decryption)?;
        *opened = SEALED_AT..SEALED_AT + value.len();
        Ok(())
    }

    /// Returns the value of the last token, or nothing where that did not open.
    pub(crate) fn opened(&self) -> &[u8] {
        &self.buffer.as_slice()[self.opened.clone()]
    }
}

impl TokenDecryptor {
    /// Has what is opened from now on looked at for the mark of decoys.
    pub(crate) fn watch_decoys(&mut self) {
        self.watches_decoys = true;
    }

    /// Returns the key of the token that was opened last.
    pub(crate) fn key_id(&self) -> Option<KeyId> {
        self.last.as_ref().map(|last| last.key_id)
    }

    /// Returns whether what was opened last is a decoy, where that is watched for.
    pub(crate) fn is_decoy(&self) -> bool {
        self.is_decoy
    }
}

impl fmt::Debug for TokenDecryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenDecryptor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::crypto::associated_data::Place;
    use crate::crypto::token_encryptor::TokenEncryptor;
    use crate::secret::SecretKey;

    const PLACE: Place<'static> =
        Place { tenant: Some("acme"), collection: "customers", field: "phone", record: Some("42"), subject: None };

    #[test]
    fn no_single_bit_of_a_token_can_change() {
        let key = Arc::new(DataKey::new(&SecretKey::from_bytes(&[7; 32])));
        let token = TokenEncryptor::new(Arc::clone(&key), false)
            .encrypt(&AssociatedData::new(&PLACE), 32, b"1.10")
            .unwrap()
            .to_vec();
        let mut decryptor = TokenDecryptor::default();
        assert!(decryptor.open(&AssociatedData::new(&PLACE), |_| Ok(&key)).is_err());
        assert!(decryptor.read(&token));
        decryptor.open(&AssociatedData::new(&PLACE), |_| Ok(&key)).unwrap();
        assert_eq!(decryptor.opened(), b"1.10");
        let again = decryptor.open(&AssociatedData::new(&PLACE), |_| unreachable!("what was opened is no token"));
        assert!(again.is_err());
        for bit in 0..token.len() * 8 {
            let mut changed = token.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            decryptor.read(&changed);
            assert!(decryptor.open(&AssociatedData::new(&PLACE), |_| Ok(&key)).is_err(), "bit {bit}");
            assert_eq!(decryptor.opened(), b"");
        }
    }

    #[test]
    fn no_part_of_the_place_can_change() {
        let key = Arc::new(DataKey::new(&SecretKey::from_bytes(&[7; 32])));
        let token = TokenEncryptor::new(Arc::clone(&key), false)
            .encrypt(&AssociatedData::new(&PLACE), 32, b"1.10")
            .unwrap()
            .to_vec();
        let mut decryptor = TokenDecryptor::default();
        decryptor.read(&token);
        for place in [
            Place { tenant: None, ..PLACE },
            Place { tenant: Some("acmf"), ..PLACE },
            Place { collection: "customer", ..PLACE },
            Place { field: "phones", ..PLACE },
            Place { record: None, ..PLACE },
            Place { record: Some("43"), ..PLACE },
            Place { subject: Some(""), ..PLACE },
        ] {
            assert!(decryptor.open(&AssociatedData::new(&place), |_| Ok(&key)).is_err());
        }
        decryptor.open(&AssociatedData::new(&PLACE), |_| Ok(&key)).unwrap();
    }

    #[test]
    fn tokens_of_two_keys_open_though_their_prefix_is_the_same() {
        let data = AssociatedData::new(&PLACE);
        let keys = [[7; 32], [8; 32]].map(|bytes| DataKey::new(&SecretKey::from_bytes(&bytes)));
        let mut decryptor = TokenDecryptor::default();
        for key in [&keys[0], &keys[1], &keys[0]] {
            let mut header = [token::VERSION; HEADER_LENGTH];
            header[1..].copy_from_slice(&key.id().0);
            let mut sealed = *b"1.10                            ";
            let tag = key.xaes().derive(&[0x5a; PREFIX_LENGTH]).encrypt(&[1; 12], &data.with(header), &mut sealed);
            let token = [&header[..], &[0x5a; PREFIX_LENGTH], &[1; 12], &sealed, &tag].concat();
            assert!(decryptor.read(&token));
            decryptor.open(&data, |id| Ok(keys.iter().find(|key| key.id() == id).unwrap())).unwrap();
            assert_eq!((decryptor.opened(), decryptor.key_id()), (&b"1.10"[..], Some(key.id())));
        }
    }
}
