//! Randomness: keys and nonce prefixes from the operating system, hedged with the moment; nonce suffixes from the
//! thread's generator.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use hkdf::Hkdf;
use rand::rngs::SysRng;
use rand::{Rng, RngExt, TryRng};
use sha2::Sha256;
use zeroize::Zeroizing;

#[cfg(test)]
use super::repeated;
use super::xaes::SUFFIX_LENGTH;
use crate::error::{Error, ErrorKind};

/// Fills `bytes`, 8,160 at most, for a key, a nonce of its own, or a name that nothing else has.
///
/// Twice the secret bits of a key come from the operating system's generator, and go with the moment through
/// HKDF-SHA-256, so that a machine restored from a snapshot whose generator repeats does not draw the same again. There is
/// no fall-back.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    let mut system = Zeroizing::new([0; 64]);
    fill_from_system(&mut system[..])?;
    Hkdf::<Sha256>::new(Some(&moment()), &system[..])
        .expand_multi_info(&[b"fieldseal/v1/draw", &bytes.len().to_be_bytes()], bytes)
        .expect("no more is asked for than HKDF-SHA-256's 8,160 bytes");
    Ok(())
}

/// Fills `bytes` from the operating system's generator as it is: what is made of them must be hedged.
pub(super) fn fill_from_system(bytes: &mut [u8]) -> Result<(), Error> {
    #[cfg(test)]
    if let Some(works) = repeated::fill_from_system(bytes) {
        return works.then_some(()).ok_or_else(failed);
    }
    SysRng.try_fill_bytes(bytes).map_err(|error| failed().with_source(error))
}

#[cold]
fn failed() -> Error {
    Error::new(ErrorKind::Randomness, "the operating system's random generator failed")
}

/// How many moments one thread tells apart before its numbers run into those of the next.
const MOMENTS_OF_THREAD: u64 = 1 << 40;

thread_local! {
    /// The number of the next moment. Each thread has a range of its own, so that none waits for another's count.
    static NEXT: Cell<u64> = {
        static THREADS: AtomicU64 = AtomicU64::new(0);
        Cell::new(THREADS.fetch_add(1, Ordering::Relaxed).wrapping_mul(MOMENTS_OF_THREAD))
    };
}

/// What tells this moment from any other: nanoseconds of the wall clock, and a counter of the process.
pub(super) fn moment() -> [u8; 16] {
    #[cfg(test)]
    if let Some(moment) = repeated::moment() {
        return moment;
    }
    let count = NEXT.get();
    NEXT.set(count.wrapping_add(1));
    moment_of(nanoseconds(), count)
}

/// The lower half of the wall clock, which repeats after 584 years. One before 1970 is wrong, but the hedge only ever adds
/// to the system's generator.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
pub(super) fn nanoseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

pub(super) fn moment_of(nanoseconds: u64, count: u64) -> [u8; 16] {
    let mut moment = [0; 16];
    moment[..8].copy_from_slice(&nanoseconds.to_be_bytes());
    moment[8..].copy_from_slice(&count.to_be_bytes());
    moment
}

/// Draws the part of a nonce that tells the fields of one document apart.
///
/// The thread's generator is enough here: it may repeat after a fork or a restored snapshot, but never under a prefix
/// that the system's generator drew anew.
pub(crate) fn suffix() -> [u8; SUFFIX_LENGTH] {
    #[cfg(test)]
    if let Some(suffix) = repeated::suffix() {
        return suffix;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_threads_count_the_same_moments() {
        let count = || std::thread::spawn(|| moment()[8..].to_vec()).join().unwrap();
        assert_ne!(count(), count());
    }

    #[test]
    fn fractions_spread_from_0_to_1() {
        let drawn: Vec<f64> = (0..100).map(|_| fraction()).collect();
        assert!(drawn.iter().all(|fraction| (0.0..=1.0).contains(fraction)));
        // Wrong for one run of 2^99.
        assert!(drawn.iter().any(|&fraction| fraction < 0.5) && drawn.iter().any(|&fraction| fraction > 0.5));
    }
}
