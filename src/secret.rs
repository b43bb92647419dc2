//! Secrets in memory: a 256-bit key and a growing buffer, both overwritten when they are dropped.

use std::fmt;
use std::io;
#[cfg(feature = "layer")]
use std::mem;

use zeroize::{Zeroize, Zeroizing, zeroize_stack};

use crate::crypto::random;
use crate::error::Error;

/// 256 bits of key material, overwritten when dropped.
///
/// There is no `Clone`, `PartialEq` or `Serialize`, and `Debug` prints `[REDACTED]`. The one door to the bytes is
/// [`expose_secret`](SecretKey::expose_secret).
///
/// # Example
///
/// ```
/// let key = fieldseal::keys::SecretKey::generate()?;
/// assert_eq!(format!("{key:?}"), "SecretKey([REDACTED])");
/// # Ok::<(), fieldseal::Error>(())
/// ```
pub struct SecretKey(Box<[u8; 32]>);

impl SecretKey {
    /// Draws a key from the operating system's generator, hedged with the moment: one that repeats, as after a snapshot was
    /// restored, makes no key twice as soon as the clock has moved.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Randomness`](crate::ErrorKind::Randomness) where the generator fails; there is no fall-back.
    pub fn generate() -> Result<Self, Error> {
        let mut key = Self(Box::new([0; 32]));
        on_clean_stack::<DERIVATION, _>(|| random::fill(&mut key.0[..]))?;
        Ok(key)
    }

    /// Copies a key from `bytes`, which stay the caller's to overwrite.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut key = Self(Box::new([0; 32]));
        key.0.copy_from_slice(bytes);
        key
    }

    /// Whether it was surely not drawn at random: text, bytes that count, or the same few again and again.
    pub(crate) fn is_placeholder(&self) -> bool {
        let bytes = &self.0[..];
        let mut distinct = Zeroizing::new(bytes.to_vec());
        distinct.sort_unstable();
        let distinct = distinct.chunk_by(PartialEq::eq).count();
        let step = bytes[1].wrapping_sub(bytes[0]);
        // Of random keys, one in 2^45 at most is taken for one of these.
        distinct <= 8
            || bytes.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step)
            || bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
    }

    /// Returns the bytes of the key.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey([REDACTED])")
    }
}

/// Does `work` and overwrites `ROOM` bytes of what it left on the stack: what cryptography computes with, and where a key
/// stood before it was moved to its place. What `work` returns must hold no secret but behind a pointer.
pub(crate) fn on_clean_stack<const ROOM: usize, T>(work: impl FnOnce() -> T) -> T {
    let done = in_frame_of_its_own(work);
    zeroize_stack::<ROOM>();
    done
}

/// More than to derive all keys from one takes, without optimisation too.
pub(crate) const DERIVATION: usize = 32 * 1024;
/// More than one authentication code takes.
pub(crate) const CODE: usize = 4 * 1024;

#[inline(never)]
fn in_frame_of_its_own<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// The least room that a buffer grows to: most values and tokens fit, so that it grows once.
const LEAST_ROOM: usize = 256;

/// Plaintext that this crate owns: a byte buffer that overwrites what it held when it grows, clears or drops.
#[derive(Default)]
pub(crate) struct SecretBuffer(Vec<u8>);

impl SecretBuffer {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes room for `additional` bytes without leaving a copy behind, which `Vec::reserve` would.
    #[inline]
    pub(crate) fn reserve(&mut self, additional: usize) {
        let needed = self.0.len() + additional;
        if needed > self.0.capacity() {
            self.grow(needed);
        }
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        let mut larger = Vec::with_capacity(needed.next_power_of_two().max(LEAST_ROOM));
        larger.extend_from_slice(&self.0);
        *self = Self(larger);
    }

    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Makes the buffer `length` bytes long, whatever it held, for the caller to overwrite them all.
    pub(crate) fn overwrite(&mut self, length: usize) -> &mut [u8] {
        self.reserve(length.saturating_sub(self.0.len()));
        self.0.resize(length, 0);
        &mut self.0
    }

    /// The bytes, for what writes to a vector. Where that outgrows its room, it leaves a copy behind.
    #[cfg(feature = "layer")]
    pub(crate) fn as_mut_vec(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// Takes the bytes out: they are no longer this crate's to overwrite.
    #[cfg(feature = "layer")]
    pub(crate) fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.0)
    }

    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Takes the first `length` bytes away. What moved up leaves no copy beyond the buffer's own room.
    pub(crate) fn remove_front(&mut self, length: usize) {
        if length == 0 {
            return;
        }
        self.0.copy_within(length.., 0);
        self.0.truncate(self.0.len() - length);
    }

    /// Keeps the first `length` bytes. What stood behind them is overwritten at the next use, or on drop.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    /// Empties the buffer. What it held is overwritten at the next use, or on drop.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Drop for SecretBuffer {
    fn drop(&mut self) {
        // To overwrite no bytes at all costs more than many: a masked store to where no memory is stalls the processor.
        if self.0.capacity() > 0 {
            self.0.zeroize();
        }
    }
}

impl io::Write for SecretBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for SecretBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBuffer([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let key = SecretKey::from_bytes(&[0x41; 32]);
        let mut buffer = SecretBuffer::default();
        buffer.extend_from_slice(b"Tan Wei Ming");
        assert_eq!(format!("{key:?} {buffer:?}"), "SecretKey([REDACTED]) SecretBuffer([REDACTED])");
    }
}
