//! What a statistician finds in bytes that should be random, and in lengths.

use std::collections::BTreeMap;

/// How far bytes are from being evenly spread: Pearson's chi-square as a standard normal deviate, by the approximation of
/// Wilson and Hilferty. A large one is uneven, a very negative one is more even than chance.
pub(crate) fn unevenness(bytes: impl Iterator<Item = u8>) -> f64 {
    let mut counts = [0_u32; 256];
    bytes.for_each(|byte| counts[usize::from(byte)] += 1);
    let expected = f64::from(counts.iter().sum::<u32>()) / 256.0;
    let chi_square: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
    let freedom = 255.0;
    let spread = 2.0 / (9.0 * freedom);
    ((chi_square / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// What a compressor knows when it codes a byte.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Context {
    /// How often each byte came before.
    Nothing,
    /// The same, behind the byte that stood before this one.
    LastByte,
    /// The same, at this place of the token.
    Place,
}

/// How many bits an adaptive arithmetic coder with the estimator of Krichevsky and Trofimov saves on `texts`. No code saves
/// more than `s` bits of random ones but with probability 2^-s, whatever it knows (Kraft's inequality).
pub(crate) fn saved_bits<'a>(texts: impl Iterator<Item = &'a [u8]>, context: Context) -> f64 {
    let mut counts = vec![([0.5_f64; 256], 128.0_f64); 256];
    let mut saved = 0.0;
    for text in texts {
        let mut last = 0;
        for (place, &byte) in text.iter().enumerate() {
            let (bytes, all) = &mut counts[match context {
                Context::Nothing => 0,
                Context::LastByte => usize::from(last),
                Context::Place => place.min(255),
            }];
            let count = &mut bytes[usize::from(byte)];
            saved += 8.0 + (*count / *all).log2();
            *count += 1.0;
            *all += 1.0;
            last = byte;
        }
    }
    saved
}

/// Shannon's entropy in bits.
pub(crate) fn entropy<T: Ord>(of: impl Iterator<Item = T>) -> f64 {
    let mut counts = BTreeMap::new();
    of.for_each(|it| *counts.entry(it).or_insert(0_u32) += 1);
    let all = f64::from(counts.values().sum::<u32>());
    let entropy: f64 = counts.values().map(|&count| f64::from(count) / all).map(|share| -share * share.log2()).sum();
    entropy.max(0.0)
}

/// How many bits one tells of the other.
pub(crate) fn mutual_information<A: Ord + Clone, B: Ord + Clone>(pairs: &[(A, B)]) -> f64 {
    let one = entropy(pairs.iter().map(|(one, _)| one));
    let other = entropy(pairs.iter().map(|(_, other)| other));
    (one + other - entropy(pairs.iter())).max(0.0)
}
