//! AES-256-GCM (NIST SP 800-38D) for messages as short as a field.
//!
//! `aes-gcm` crosses into code for the processor's instructions about ten times a message, which for 32 bytes is most of
//! its time: 167 ns, against 72 here. This composes the same primitives, `aes` and `polyval`, so that a message takes
//! one call of each: all counter blocks at once, and all of associated data, ciphertext and lengths at once, as
//! POLYVAL, to which RFC 8452, appendix A, reduces GHASH. Longer messages go to `aes-gcm`.

use std::borrow::Cow;

use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut, KeyInit, consts::U12,
    consts::U16,
};
use aes::{Aes256Enc, Block};
use aes_gcm::{AeadInOut, AesGcm};
use ctutils::CtEq;
use polyval::Polyval;
use polyval::universal_hash::UniversalHash;
use zeroize::Zeroize;

use super::xaes::{KEY_LENGTH, TAG_LENGTH, Unauthentic};

pub(super) const BLOCK: usize = 16;
/// The longest message that is taken here, in blocks.
const LONGEST_MESSAGE: usize = 8;
/// The most blocks of associated data, ciphertext and lengths.
const LONGEST_HASHED: usize = 16;
/// POLYVAL takes four blocks at a time.
const PARALLEL: usize = 4;

/// What is authenticated beside a message, which can be laid out once for many messages.
pub(crate) trait Associated {
    /// In bytes.
    fn length(&self) -> usize;

    /// Writes the blocks, each [`reversed`], the last one filled up with zeros.
    fn lay_out(&self, blocks: &mut [Block]);

    fn to_bytes(&self) -> Cow<'_, [u8]>;
}

impl Associated for [u8] {
    fn length(&self) -> usize {
        self.len()
    }

    fn lay_out(&self, blocks: &mut [Block]) {
        reverse(self, blocks);
    }

    fn to_bytes(&self) -> Cow<'_, [u8]> {
        self.into()
    }
}

/// AES-256-GCM under one key, with nonces of 96 bits and tags of 128.
pub(super) struct Gcm {
    cipher: Aes256Enc,
    polyval: Polyval,
    /// The message that is being worked on. It stands here since to make room for each costs as much as to hash it, and is
    /// empty while this is moved to where it is used.
    pass: Pass,
}

impl Gcm {
    pub(super) fn new(key: &[u8; KEY_LENGTH]) -> Self {
        let cipher = Aes256Enc::new(key.into());
        Self { polyval: polyval(&cipher), cipher, pass: Pass::default() }
    }

    /// Goes on under another key, without being moved: most of it is the room for a message.
    pub(super) fn set_key(&mut self, key: &[u8; KEY_LENGTH]) {
        self.cipher = Aes256Enc::new(key.into());
        self.polyval = polyval(&self.cipher);
    }

    /// Encrypts `message` in place and returns the tag.
    pub(super) fn encrypt(
        &mut self,
        nonce: &[u8; 12],
        associated_data: &(impl Associated + ?Sized),
        message: &mut [u8],
    ) -> [u8; TAG_LENGTH] {
        let Self { cipher, polyval, pass } = self;
        if !pass.lay_out(nonce, associated_data, message) {
            return self
                .for_long_messages()
                .encrypt_inout_detached(nonce.into(), &associated_data.to_bytes(), message.into())
                .expect("AES-GCM only refuses messages over 64 GiB, and a token holds 1 MiB at most")
                .into();
        }
        pass.draw_key_stream(cipher);
        pass.apply_key_stream(message);
        pass.take_in(message);
        pass.tag(polyval).to_be_bytes()
    }

    /// Decrypts `message` in place; after a failure it still holds the ciphertext.
    pub(super) fn decrypt(
        &mut self,
        nonce: &[u8; 12],
        associated_data: &(impl Associated + ?Sized),
        message: &mut [u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<(), Unauthentic> {
        let Self { cipher, polyval, pass } = self;
        if !pass.lay_out(nonce, associated_data, message) {
            return self
                .for_long_messages()
                .decrypt_inout_detached(nonce.into(), &associated_data.to_bytes(), message.into(), tag.into())
                .map_err(|_| Unauthentic);
        }
        pass.take_in(message);
        pass.draw_key_stream(cipher);
        if !bool::from(pass.tag(polyval).to_be_bytes().ct_eq(tag)) {
            return Err(Unauthentic);
        }
        pass.apply_key_stream(message);
        Ok(())
    }

    #[cold]
    fn for_long_messages(&self) -> Box<AesGcm<Aes256Enc, U12>> {
        Box::new(AesGcm::from(self.cipher.clone()))
    }
}

/// Makes the hash under the key that GCM takes from the encrypted block of zeros.
fn polyval(cipher: &Aes256Enc) -> Polyval {
    let mut hash_key = Block::default();
    cipher.encrypt_block(&mut hash_key);
    let mut polyval_key = multiply_by_x(u128::from_be_bytes(hash_key.into())).to_le_bytes();
    let polyval = Polyval::new(&polyval_key.into());
    hash_key.zeroize();
    polyval_key.zeroize();
    polyval
}

/// The blocks of one message. What an earlier one left behind is overwritten as far as the next one reaches.
#[derive(Default)]
struct Pass {
    /// The mask of the tag, then the key stream.
    stream: [[u8; BLOCK]; 1 + LONGEST_MESSAGE],
    /// What POLYVAL takes in. Blocks of zeros in front change nothing, and fill the last step of four up.
    hashed: [Block; LONGEST_HASHED],
    hashed_length: usize,
    /// Where the blocks of the message begin.
    message_at: usize,
    message_blocks: usize,
}

impl Pass {
    /// Lays the counter blocks, `associated_data` and the lengths out, well before they are read: what was just written
    /// in parts cannot be read as one without waiting. Returns false where something is too long for this.
    #[expect(clippy::inline_always, reason = "measured: a message takes three calls less")]
    #[inline(always)]
    fn lay_out(&mut self, nonce: &[u8; 12], associated_data: &(impl Associated + ?Sized), message: &[u8]) -> bool {
        let data_length = associated_data.length();
        let (data_blocks, message_blocks) = (data_length.div_ceil(BLOCK), message.len().div_ceil(BLOCK));
        let hashed_length = (data_blocks + message_blocks + 1).next_multiple_of(PARALLEL);
        if message_blocks > LONGEST_MESSAGE || hashed_length > LONGEST_HASHED {
            return false;
        }
        for (counter, block) in (1_u32..).zip(&mut self.stream[..=message_blocks]) {
            block[..12].copy_from_slice(nonce);
            block[12..].copy_from_slice(&counter.to_be_bytes());
        }
        let message_at = hashed_length - 1 - message_blocks;
        self.hashed[..message_at - data_blocks].fill(Block::default());
        associated_data.lay_out(&mut self.hashed[message_at - data_blocks..message_at]);
        let bits = |bytes: usize| u128::try_from(bytes * 8).expect("a length fits in 128 bits");
        self.hashed[hashed_length - 1] = reversed(bits(data_length) << 64 | bits(message.len()));
        (self.hashed_length, self.message_at, self.message_blocks) = (hashed_length, message_at, message_blocks);
        true
    }

    #[expect(clippy::inline_always, reason = "measured: a message takes three calls less")]
    #[inline(always)]
    fn draw_key_stream(&mut self, cipher: &Aes256Enc) {
        cipher.encrypt_with_backend(EachBlock(&mut self.stream[..=self.message_blocks]));
    }

    fn apply_key_stream(&self, message: &mut [u8]) {
        let (chunks, rest) = message.as_chunks_mut();
        for (chunk, stream) in chunks.iter_mut().zip(&self.stream[1..]) {
            *chunk = (u128::from_ne_bytes(*chunk) ^ u128::from_ne_bytes(*stream)).to_ne_bytes();
        }
        let last = &self.stream[self.message_blocks];
        rest.iter_mut().zip(last).for_each(|(byte, stream)| *byte ^= stream);
    }

    /// Lays the ciphertext out.
    fn take_in(&mut self, ciphertext: &[u8]) {
        reverse(ciphertext, &mut self.hashed[self.message_at..]);
    }

    #[expect(clippy::inline_always, reason = "measured: a message takes three calls less")]
    #[inline(always)]
    fn tag(&self, polyval: &mut Polyval) -> u128 {
        polyval.update(&self.hashed[..self.hashed_length]);
        // Measured: ended as a copy of which only the result is used, so that nothing else of it is copied.
        let hash = polyval.finalize_reset();
        u128::from_le_bytes(hash.into()) ^ u128::from_be_bytes(self.stream[0])
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // With the ciphertext, the key stream gives the message away.
        self.stream.as_flattened_mut().zeroize();
    }
}

/// Encrypts block after block in one go, so that the processor works on many at a time.
pub(super) struct EachBlock<'a>(pub(super) &'a mut [[u8; BLOCK]]);

impl BlockSizeUser for EachBlock<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for EachBlock<'_> {
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        for block in self.0 {
            backend.encrypt_block(InOut::from(<&mut Block>::from(block)));
        }
    }
}

/// The bytes behind the last whole block, with zeros behind them.
fn padded(rest: &[u8]) -> Option<[u8; BLOCK]> {
    (!rest.is_empty()).then(|| {
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        block
    })
}

/// GHASH's blocks, written backwards, are POLYVAL's.
fn reversed(block: u128) -> Block {
    block.to_le_bytes().into()
}

/// Writes the blocks of `bytes`, each [`reversed`], the last one filled up with zeros.
#[inline]
pub(super) fn reverse(bytes: &[u8], blocks: &mut [Block]) {
    let (chunks, rest) = bytes.as_chunks();
    for (place, chunk) in blocks.iter_mut().zip(chunks) {
        *place = reversed(u128::from_be_bytes(*chunk));
    }
    if let (Some(last), Some(place)) = (padded(rest), blocks.get_mut(chunks.len())) {
        *place = reversed(u128::from_be_bytes(last));
    }
}

/// `mulX_POLYVAL` of RFC 8452, appendix A, in constant time.
fn multiply_by_x(element: u128) -> u128 {
    let carry = element >> 127;
    (element << 1) ^ carry ^ (carry << 127) ^ (carry << 126) ^ (carry << 121)
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    /// Every length around the bounds, against the crate that is used beyond them.
    #[test]
    fn agrees_with_aes_gcm_at_every_length() {
        let mut random = StdRng::seed_from_u64(1);
        let lengths = |longest: usize| (0..=longest).chain([longest + 1, longest + 15, longest + 16, longest + 1000]);
        for message_length in lengths(LONGEST_MESSAGE * BLOCK) {
            for data_length in lengths(100).step_by(3).chain([LONGEST_HASHED * BLOCK - 32, 1000]) {
                let (mut key, mut nonce) = ([0; KEY_LENGTH], [0; 12]);
                random.fill_bytes(&mut key);
                random.fill_bytes(&mut nonce);
                let (mut data, mut message) = (vec![0; data_length], vec![0; message_length]);
                random.fill_bytes(&mut data);
                random.fill_bytes(&mut message);
                let (mut gcm, peer) = (Gcm::new(&key), AesGcm::<Aes256Enc, U12>::new(&key.into()));
                let (plain, mut theirs) = (message.clone(), message.clone());
                let tag = gcm.encrypt(&nonce, &data[..], &mut message);
                let their_tag = peer.encrypt_inout_detached(&nonce.into(), &data, (&mut theirs[..]).into()).unwrap();
                assert_eq!((&message, tag), (&theirs, their_tag.into()), "{message_length} and {data_length} bytes");
                gcm.decrypt(&nonce, &data[..], &mut message, &tag).unwrap();
                assert_eq!(message, plain);
            }
        }
    }

    #[test]
    fn no_bit_can_change_and_nothing_is_decrypted_before_that_is_known() {
        let mut random = StdRng::seed_from_u64(2);
        let mut gcm = Gcm::new(&[7; KEY_LENGTH]);
        for _ in 0..20 {
            let (message_length, data_length) = (random.random_range(0..80), random.random_range(0..80));
            let (data, mut message) = (vec![3; data_length], vec![5; message_length]);
            let tag = gcm.encrypt(&[9; 12], &data[..], &mut message);
            let parts = [&message[..], &data, &tag, &[9; 12]].concat();
            for bit in 0..parts.len() * 8 {
                let mut changed = parts.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let (message, rest) = changed.split_at_mut(message_length);
                let (data, rest) = rest.split_at(data_length);
                let (tag, nonce) = rest.split_at(TAG_LENGTH);
                let before = message.to_vec();
                let opened = gcm.decrypt(nonce.try_into().unwrap(), data, message, tag.try_into().unwrap());
                assert!(opened.is_err(), "bit {bit}");
                assert_eq!(message, before);
            }
        }
    }

    /// RFC 8452, appendix A: `mulX_POLYVAL` of two values, written with the lowest byte first.
    #[test]
    fn multiplies_by_x_as_rfc_8452_shows() {
        let element = |digits: &str| u128::from_str_radix(digits, 16).unwrap().swap_bytes();
        for (from, to) in [
            ("01000000000000000000000000000000", "02000000000000000000000000000000"),
            ("9c98c04df9387ded828175a92ba652d8", "3931819bf271fada0503eb52574ca572"),
        ] {
            assert_eq!(multiply_by_x(element(from)), element(to));
        }
    }
}
