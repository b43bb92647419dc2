//! Where the special bytes of a chunk stand, found well before the reading asks for them.

use super::special;

/// How many bytes are looked at in one go: their bits stay near.
const COVERED: usize = 512;
const BLOCK: usize = 64;
/// How far one look at the bits reaches at least.
const REACH: usize = BLOCK - 7;

/// A bit for each byte of a part of a chunk: whether it is special. Behind the chunk, all are.
///
/// The reading asks from where it stands, so that it waits for one load and no vectors until it knows where a string ends.
pub(super) struct Specials {
    /// Where in the chunk the part begins.
    start: usize,
    bits: [u8; COVERED / 8],
}

impl Specials {
    pub(super) fn new() -> Self {
        // A part that holds nothing which is asked for.
        Self { start: usize::MAX / 2, bits: [0; _] }
    }

    /// Returns the bits of the bytes from `at` on, the lowest for the first. No bit means that none of the next [`REACH`] is
    /// special.
    #[expect(clippy::inline_always, reason = "measured: where the reading stands stays in registers")]
    #[inline(always)]
    pub(super) fn bits_from(&mut self, input: &[u8], at: usize) -> u64 {
        let mut place = at.wrapping_sub(self.start);
        if place > COVERED - REACH {
            self.look(input, at);
            place = 0;
        }
        let bits = self.bits[place / 8..].first_chunk().expect("so many are covered behind it");
        u64::from_le_bytes(*bits) >> (place % 8)
    }

    /// Returns where the first special byte stands from `at` on, or the end of the chunk.
    #[expect(clippy::inline_always, reason = "as `bits_from`")]
    #[inline(always)]
    pub(super) fn next(&mut self, input: &[u8], mut at: usize) -> usize {
        loop {
            let bits = self.bits_from(input, at);
            if bits != 0 {
                return at + bits.trailing_zeros() as usize;
            }
            at += REACH;
        }
    }

    /// Looks at the part that begins at `at`.
    #[inline(never)]
    fn look(&mut self, input: &[u8], at: usize) {
        self.start = at;
        let rest = input.get(at..).unwrap_or_default();
        let (all, _) = self.bits.as_chunks_mut();
        if let Some(part) = rest.first_chunk::<COVERED>() {
            let (blocks, _) = part.as_chunks();
            for (bits, block) in all.iter_mut().zip(blocks) {
                *bits = special::in_block(block).to_le_bytes();
            }
        } else {
            let (blocks, tail) = rest.as_chunks();
            let (looked_at, others) = all.split_at_mut(blocks.len());
            for (bits, block) in looked_at.iter_mut().zip(blocks) {
                *bits = special::in_block(block).to_le_bytes();
            }
            others.fill([u8::MAX; 8]);
            others[0] = in_tail(input, tail).to_le_bytes();
        }
    }
}

/// The bits of the last bytes of a chunk, fewer than a block, and of what would stand behind them.
fn in_tail(input: &[u8], tail: &[u8]) -> u64 {
    let bits = match input.last_chunk() {
        _ if tail.is_empty() => 0,
        // Looked at together with what stands before them, so that they need not be copied.
        Some(last) => special::in_block(last) >> (BLOCK - tail.len()),
        None => {
            let mut block = [0; BLOCK];
            block[..tail.len()].copy_from_slice(tail);
            special::in_block(&block)
        }
    };
    bits | u64::MAX << tail.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_special_byte_is_found_from_every_place() {
        for length in (0..200).chain(500..600).chain([1023, 1024, 1025, 3000]) {
            for every in [1, 2, 3, 7, 57, 64, 65, 400, 5000] {
                let is_special = |place: usize| place % every == every / 2;
                let input: Vec<u8> = (0..length).map(|place| if is_special(place) { b'"' } else { b'a' }).collect();
                for step in [1, 5, 63, 64, 450, 456, 700] {
                    let mut specials = Specials::new();
                    for at in (0..=length).step_by(step) {
                        let next = (at..length).find(|&place| is_special(place)).unwrap_or(length);
                        assert_eq!(specials.next(&input, at), next, "{every} of {length} from {at} by {step}");
                    }
                }
            }
        }
    }

    #[test]
    fn one_look_tells_of_every_byte_that_it_reaches() {
        for length in [0, 10, 63, 64, 65, 130, 520, 900] {
            let input: Vec<u8> = (0..length).map(|place| if place * place % 7 == 2 { b'\\' } else { b'a' }).collect();
            let mut specials = Specials::new();
            for at in 0..=length {
                let bits = specials.bits_from(&input, at);
                for place in 0..REACH {
                    let is_special = input.get(at + place).is_none_or(|byte| *byte == b'\\');
                    assert_eq!(bits >> place & 1 == 1, is_special, "{place} behind {at} of {length}");
                }
            }
        }
    }
}
