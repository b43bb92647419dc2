//! Looks for a great many byte strings at once.

use crate::spelling::{Spelling, spell};

/// How many bits the filter has, as a power of two: 8 MiB, of which the needles of one round set a few hundredths.
const FILTER_BITS: u32 = 26;
/// By how many bytes a needle is found. None may be shorter.
pub(crate) const ANCHOR: usize = 8;

/// Byte strings in the order of their first eight bytes.
pub(crate) struct Needles {
    bytes: Vec<u8>,
    sorted: Vec<Needle>,
    filter: Vec<u64>,
}

#[derive(Clone, Copy)]
struct Needle {
    anchor: u64,
    start: usize,
    length: usize,
    spelling: Spelling,
}

impl Needles {
    /// Collects every spelling of every one of `plaintexts`, once.
    pub(crate) fn of(plaintexts: &[String]) -> Self {
        let (mut bytes, mut sorted) = (Vec::new(), Vec::new());
        for plaintext in plaintexts {
            spell(plaintext, |spelling, spelt| {
                if let Some(&anchor) = spelt.first_chunk() {
                    let (anchor, start, length) = (u64::from_be_bytes(anchor), bytes.len(), spelt.len());
                    sorted.push(Needle { anchor, start, length, spelling });
                    bytes.extend_from_slice(spelt);
                }
            });
        }
        let text = |needle: &Needle| &bytes[needle.start..][..needle.length];
        sorted.sort_unstable_by(|a, b| (a.anchor, text(a), a.spelling).cmp(&(b.anchor, text(b), b.spelling)));
        sorted.dedup_by(|a, b| text(a) == text(b));

        let mut filter = vec![0; 1 << (FILTER_BITS - 6)];
        for needle in &sorted {
            let (word, bit) = place(needle.anchor);
            filter[word] |= bit;
        }
        Self { bytes, sorted, filter }
    }

    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Calls `found` with the position and the spelling of every needle in `haystack`.
    pub(crate) fn search(&self, haystack: &[u8], mut found: impl FnMut(usize, Spelling)) {
        let Self { bytes, sorted, filter } = self;
        for (position, window) in haystack.windows(ANCHOR).enumerate() {
            let Some(&anchor) = window.first_chunk() else { return };
            let anchor = u64::from_be_bytes(anchor);
            let (word, bit) = place(anchor);
            if filter[word] & bit == 0 {
                continue;
            }
            let first = sorted.partition_point(|needle| needle.anchor < anchor);
            for needle in sorted[first..].iter().take_while(|needle| needle.anchor == anchor) {
                if haystack[position..].starts_with(&bytes[needle.start..][..needle.length]) {
                    found(position, needle.spelling);
                }
            }
        }
    }
}

/// The word and the bit of the filter that stand for an anchor (Fibonacci hashing).
fn place(anchor: u64) -> (usize, u64) {
    let hash = anchor.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS);
    let word = usize::try_from(hash >> 6).expect("at most 26 bits");
    (word, 1 << (hash & 63))
}
