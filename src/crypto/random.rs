//! Randomness: keys and nonce prefixes from the operating system, nonce suffixes from the thread's generator.

use rand::rngs::SysRng;
use rand::{Rng, RngExt, TryRng};

use super::xaes::SUFFIX_LENGTH;
use crate::error::{Error, ErrorKind};

/// Fills `bytes` from the operating system's generator. There is no fall-back.
pub(crate) fn fill_from_system(bytes: &mut [u8]) -> Result<(), Error> {
    SysRng.try_fill_bytes(bytes).map_err(|error| {
        Error::new(ErrorKind::Randomness, "the operating system's random generator failed").with_source(error)
    })
}

/// Draws the part of a nonce that tells the fields of one document apart.
///
/// The thread's generator is enough here: it may repeat after a fork or a restored snapshot, but never under a prefix
/// that the system's generator drew anew.
pub(crate) fn suffix() -> [u8; SUFFIX_LENGTH] {
    let mut generator = rand::rng();
    // By whole words: a third of what it takes to fill bytes of any number.
    let mut suffix = [0; SUFFIX_LENGTH];
    suffix[..8].copy_from_slice(&generator.next_u64().to_ne_bytes());
    suffix[8..].copy_from_slice(&generator.next_u32().to_ne_bytes());
    suffix
}

/// Draws a number below `bound`, evenly.
pub(crate) fn below(bound: u8) -> u8 {
    rand::rng().random_range(0..bound)
}

/// Draws a number from 0 to 1, to spread over time what would happen at once.
pub(crate) fn fraction() -> f64 {
    f64::from(rand::rng().next_u32()) / f64::from(u32::MAX)
}
