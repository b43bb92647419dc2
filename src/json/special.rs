//! Bytes of a string that do not stand for themselves: control characters, quotes, backslashes, and what is not ASCII.

#[cfg(target_arch = "x86_64")]
pub(super) use self::vectors::{first, in_block};
#[cfg(not(target_arch = "x86_64"))]
pub(super) use self::words::{first, in_block};

/// By the vector instructions that every processor of the architecture has.
#[cfg(target_arch = "x86_64")]
mod vectors {
    use safe_arch::{
        cmp_eq_mask_i8_m128i, cmp_lt_mask_i8_m128i, load_unaligned_m128i, move_mask_i8_m128i, set_splat_i8_m128i,
    };

    /// Returns where among `bytes` the first one stands that is special.
    #[inline]
    pub(in super::super) fn first(bytes: &[u8; 16]) -> Option<usize> {
        let special = special(bytes);
        (special != 0).then(|| special.trailing_zeros() as usize)
    }

    /// Sets a bit for each of `bytes` that is special, the lowest one for the first.
    #[inline]
    pub(in super::super) fn in_block(bytes: &[u8; 64]) -> u64 {
        let (quarters, _) = bytes.as_chunks();
        let [first, second, third, fourth] = [0, 1, 2, 3].map(|quarter| u64::from(special(&quarters[quarter])));
        first | second << 16 | (third | fourth << 16) << 32
    }

    #[inline]
    fn special(bytes: &[u8; 16]) -> u32 {
        let splat = |byte: u8| set_splat_i8_m128i(byte.cast_signed());
        let bytes = load_unaligned_m128i(bytes);
        let backslashes = cmp_eq_mask_i8_m128i(bytes, splat(b'\\'));
        // This bit tells a quote from a space, and turns control characters into others of them. As signed numbers, bytes
        // beyond ASCII are below zero.
        let others = cmp_lt_mask_i8_m128i(bytes ^ splat(b'"' ^ b' '), splat(b' ' + 1));
        move_mask_i8_m128i(backslashes | others).cast_unsigned()
    }
}

/// By words of eight bytes.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod words {
    /// Returns where among `bytes` the first one stands that is special.
    #[inline]
    pub(in super::super) fn first(bytes: &[u8; 16]) -> Option<usize> {
        let (words, _) = bytes.as_chunks();
        words.iter().zip([0, 8]).find_map(|(word, at)| {
            let special = special(u64::from_le_bytes(*word));
            (special != 0).then(|| at + special.trailing_zeros() as usize / 8)
        })
    }

    /// Sets a bit for each of `bytes` that is special, the lowest one for the first.
    #[inline]
    pub(in super::super) fn in_block(bytes: &[u8; 64]) -> u64 {
        // By this, the low bit of each byte moves into the highest byte.
        const GATHER: u64 = 0x0102_0408_1020_4080;
        let (words, _) = bytes.as_chunks();
        words.iter().rev().fold(0, |all, word| {
            let special = special(u64::from_le_bytes(*word));
            all << 8 | (special >> 7).wrapping_mul(GATHER) >> 56
        })
    }

    /// Sets the high bit of each special byte, and no other.
    #[inline]
    fn special(word: u64) -> u64 {
        const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
        const LOWS: u64 = !HIGHS;
        const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
        const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
        // Nothing is carried from one byte to the next.
        const UP_FROM_BLANK: u64 = u64::from_ne_bytes([0x80 - b' '; 8]);
        let low = word & LOWS;
        let others = (low + UP_FROM_BLANK) & ((low ^ QUOTES) + LOWS) & ((low ^ BACKSLASHES) + LOWS);
        (word | !others) & HIGHS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_special_byte_is_found_at_every_place() {
        let plain = *b" !#[]^_`~\x7f012345";
        for find in [first, words::first] {
            assert_eq!(find(&plain), None);
            for (place, special) in (0..16).flat_map(|place| (0..=u8::MAX).map(move |byte| (place, byte))) {
                let mut bytes = plain;
                bytes[place] = special;
                // What stands behind it does not count.
                bytes[place + 1..].fill(b'"');
                let is_special = !(b' '..0x80).contains(&special) || matches!(special, b'"' | b'\\');
                let next = (place < 15).then_some(place + 1);
                assert_eq!(find(&bytes), if is_special { Some(place) } else { next }, "{special:#x} at {place}");
            }
        }
    }

    #[test]
    fn every_special_byte_of_a_block_is_told() {
        for byte in 0..=u8::MAX {
            let is_special = !(b' '..0x80).contains(&byte) || matches!(byte, b'"' | b'\\');
            for place in 0..63 {
                let mut bytes = [b'a'; 64];
                (bytes[place], bytes[63]) = (byte, b'"');
                let expected = 1 << 63 | u64::from(is_special) << place;
                for find in [in_block, words::in_block] {
                    assert_eq!(find(&bytes), expected, "{byte:#x} at {place}");
                }
            }
        }
    }
}
