//! A data key and what is derived from it.

use std::fmt;

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes256Enc, Block};
use ctutils::CtEq;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::index_key::IndexKey;
use super::key_id::KeyId;
use super::random;
use super::xaes::{PREFIX_LENGTH, SUFFIX_LENGTH, Xaes256Gcm};
use crate::error::Error;
use crate::secret::{DERIVATION, SecretKey, on_clean_stack};

/// A data key that is ready to encrypt and decrypt fields.
///
/// Everything that it uses is derived from 256 secret bits with HKDF-SHA-256 (RFC 5869), each under a label of its
/// own, and overwritten when the key is dropped.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{DataKey, SecretKey};
///
/// let key = DataKey::new(&SecretKey::generate()?);
/// assert_eq!(format!("{key:?}"), format!("DataKey({})", key.id()));
/// # Ok::<(), fieldseal::Error>(())
/// ```
pub struct DataKey {
    commitment: [u8; 32],
    /// In one place, so that no copy stays behind where this is moved.
    working: Box<Working>,
    /// Whether anybody could guess it, and nobody said that this is meant.
    #[cfg_attr(not(feature = "layer"), expect(dead_code, reason = "the layer refuses it"))]
    is_placeholder: bool,
}

struct Working {
    xaes: Xaes256Gcm,
    hedge: Aes256Enc,
    decoy: Aes256Enc,
    index: IndexKey,
    /// Wraps the keys of data subjects.
    wrap: Xaes256Gcm,
}

impl DataKey {
    /// Derives the working keys from `secret`.
    #[must_use]
    pub fn new(secret: &SecretKey) -> Self {
        on_clean_stack::<DERIVATION, _>(|| Self::derived_from(secret))
    }

    fn derived_from(secret: &SecretKey) -> Self {
        let derivation = Hkdf::<Sha256>::new(Some(b"fieldseal/v1/data-key"), secret.expose_secret());
        let expand = |label: &str| {
            let mut key = Zeroizing::new([0; 32]);
            derivation.expand(label.as_bytes(), &mut key[..]).expect("32 bytes are within HKDF-SHA-256's 8,160");
            key
        };
        let commitment = *expand("fieldseal/v1/commit");
        let working = Working {
            index: IndexKey::new(secret, commitment[0]),
            xaes: Xaes256Gcm::new(&expand("fieldseal/v1/xaes-256-gcm")),
            hedge: Aes256Enc::new((&*expand("fieldseal/v1/nonce-hedge")).into()),
            decoy: Aes256Enc::new((&*expand("fieldseal/v1/decoy")).into()),
            wrap: Xaes256Gcm::new(&expand("fieldseal/v1/wrap-subject")),
        };
        Self { commitment, working: Box::new(working), is_placeholder: secret.is_placeholder() }
    }

    /// The same for a key that is written down in some source code, such as 32 equal bytes. Whoever reads that decrypts
    /// everything: for tests alone. A key made by [`new`](Self::new) from such bytes is refused by
    /// `FieldEncryptionLayer::new` in a build for release, and warned of in one for development.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::keys::{DataKey, Keys, SecretKey};
    ///
    /// let keys = Keys::from_data_key(DataKey::dangerous_test_key(&SecretKey::from_bytes(&[7; 32])));
    /// ```
    #[must_use]
    pub fn dangerous_test_key(secret: &SecretKey) -> Self {
        Self { is_placeholder: false, ..Self::new(secret) }
    }

    #[cfg(feature = "layer")]
    pub(crate) fn is_placeholder(&self) -> bool {
        self.is_placeholder
    }

    /// Returns the id that tokens under this key carry.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(*self.commitment.first_chunk().expect("a commitment has 32 bytes"))
    }

    /// Returns the public commitment to the key: 32 bytes that no other key has.
    #[must_use]
    pub fn commitment(&self) -> &[u8; 32] {
        &self.commitment
    }

    /// Returns whether this is the key that `commitment` was made from. Takes the same time whatever differs.
    pub(crate) fn is_committed_to_by(&self, commitment: &[u8; 32]) -> bool {
        self.commitment.ct_eq(commitment).into()
    }

    pub(crate) fn index(&self) -> &IndexKey {
        &self.working.index
    }

    pub(crate) fn xaes(&self) -> &Xaes256Gcm {
        &self.working.xaes
    }

    /// Returns the cipher that wraps the keys of data subjects.
    pub(crate) fn wrap(&self) -> &Xaes256Gcm {
        &self.working.wrap
    }

    /// Draws the nonce prefix of one document.
    ///
    /// Sixteen bytes of the system's generator are mixed with the wall clock and a counter and go through a keyed
    /// permutation, so that a machine restored from a snapshot whose generator repeats still draws another prefix as soon
    /// as its clock has moved. Uniform bytes stay uniform under a permutation.
    pub(crate) fn draw_prefix(&self) -> Result<[u8; PREFIX_LENGTH], Error> {
        let mut system = [0; 16];
        random::fill_from_system(&mut system)?;
        Ok(self.hedged_prefix(system, &random::moment()))
    }

    fn hedged_prefix(&self, system: [u8; 16], moment: &[u8; 16]) -> [u8; PREFIX_LENGTH] {
        let mut block = Block::from(system);
        block.iter_mut().zip(moment).for_each(|(byte, moment)| *byte ^= moment);
        self.working.hedge.encrypt_block(&mut block);
        *block.first_chunk().expect("a block has 16 bytes")
    }
}

const BLOCK_LENGTH: usize = 16;
/// How many bytes of the suffix of a decoy are random. The others are its mark.
const DRAWN: usize = 6;

impl DataKey {
    /// Returns the nonce suffix of a decoy under `prefix`: of `suffix`, the last bytes give way to a mark that only who has
    /// this key can tell from chance.
    pub(crate) fn decoy_suffix(
        &self,
        prefix: &[u8; PREFIX_LENGTH],
        mut suffix: [u8; SUFFIX_LENGTH],
    ) -> [u8; SUFFIX_LENGTH] {
        let mark = self.decoy_mark(prefix, &suffix);
        suffix[DRAWN..].copy_from_slice(&mark);
        suffix
    }

    /// Returns whether a token with this nonce was made as a decoy; wrong for one of 2^48 others.
    pub(crate) fn is_decoy(&self, prefix: &[u8; PREFIX_LENGTH], suffix: &[u8; SUFFIX_LENGTH]) -> bool {
        self.decoy_mark(prefix, suffix)[..].ct_eq(&suffix[DRAWN..]).into()
    }

    /// One block of AES over what a generator drew of the nonce, as much as a block holds.
    fn decoy_mark(&self, prefix: &[u8; PREFIX_LENGTH], suffix: &[u8; SUFFIX_LENGTH]) -> [u8; SUFFIX_LENGTH - DRAWN] {
        let mut block = Block::default();
        let (of_prefix, drawn) = block.split_at_mut(BLOCK_LENGTH - DRAWN);
        of_prefix.copy_from_slice(&prefix[PREFIX_LENGTH - of_prefix.len()..]);
        drawn.copy_from_slice(&suffix[..DRAWN]);
        self.working.decoy.encrypt_block(&mut block);
        *block.first_chunk().expect("a block has 16 bytes")
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeating_system_generator_still_gives_other_prefixes() {
        let key = DataKey::new(&SecretKey::from_bytes(&[7; 32]));
        let repeated = [0x5a; 16];
        let first = key.hedged_prefix(repeated, &random::moment());
        assert_ne!(first, key.hedged_prefix(repeated, &random::moment()));
        assert_eq!(key.hedged_prefix(repeated, &[1; 16]), key.hedged_prefix(repeated, &[1; 16]));
    }

    #[test]
    fn another_key_has_another_commitment() {
        let [one, other] = [[7; 32], [8; 32]].map(|bytes| DataKey::new(&SecretKey::from_bytes(&bytes)));
        assert!(one.is_committed_to_by(one.commitment()));
        assert!(!one.is_committed_to_by(other.commitment()));
    }

    #[test]
    fn whatever_the_moment_another_draw_of_the_system_gives_another_prefix() {
        let key = DataKey::new(&SecretKey::from_bytes(&[7; 32]));
        for moment in [[0; 16], [0xff; 16], [0x5a; 16]] {
            assert_ne!(key.hedged_prefix([0xa5; 16], &moment), key.hedged_prefix([0xff; 16], &moment));
            assert_ne!(key.hedged_prefix([0xa5; 16], &moment), key.hedged_prefix([0; 16], &moment));
        }
    }
}
