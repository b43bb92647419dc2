//! Bytes of a string that do not stand for themselves: control characters, quotes, backslashes, and what is not ASCII.

#[cfg(target_arch = "x86_64")]
pub(super) use self::vectors::{all, first};
#[cfg(not(target_arch = "x86_64"))]
pub(super) use self::words::{all, first};

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
    pub(in super::super) fn all(bytes: &[u8; 32]) -> u32 {
        let (halves, _) = bytes.as_chunks();
        special(&halves[0]) | special(&halves[1]) << 16
    }

    #[inline]
    fn special(bytes: &[u8; 16]) -> u32 {
        let bytes = load_unaligned_m128i(bytes);
        let is = |byte: u8| cmp_eq_mask_i8_m128i(bytes, set_splat_i8_m128i(byte.cast_signed()));
        // As signed numbers, bytes beyond ASCII are below zero.
        let others = cmp_lt_mask_i8_m128i(bytes, set_splat_i8_m128i(b' '.cast_signed()));
        move_mask_i8_m128i(is(b'"') | is(b'\\') | others).cast_unsigned()
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
    pub(in super::super) fn all(bytes: &[u8; 32]) -> u32 {
        let is_special = |byte: &u8| !(b' '..0x80).contains(byte) || matches!(byte, b'"' | b'\\');
        bytes.iter().rev().fold(0, |all, byte| all << 1 | u32::from(is_special(byte)))
    }

    /// Sets the high bit of each special byte. A borrow can set bits above the first one too; only the first counts.
    #[inline]
    fn special(word: u64) -> u64 {
        const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
        const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
        const BLANKS: u64 = u64::from_ne_bytes([b' '; 8]);
        const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
        const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
        let special = word.wrapping_sub(BLANKS)
            | (word ^ QUOTES).wrapping_sub(ONES)
            | (word ^ BACKSLASHES).wrapping_sub(ONES)
            | word;
        special & HIGHS
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
    fn every_special_byte_of_a_window_is_told() {
        for byte in 0..=u8::MAX {
            let is_special = !(b' '..0x80).contains(&byte) || matches!(byte, b'"' | b'\\');
            for place in 0..31 {
                let mut bytes = [b'a'; 32];
                (bytes[place], bytes[31]) = (byte, b'"');
                let expected = 1 << 31 | u32::from(is_special) << place;
                for find in [all, words::all] {
                    assert_eq!(find(&bytes), expected, "{byte:#x} at {place}");
                }
            }
        }
    }
}
