//! Padding that hides the length of a value: JSON white space up to a bucket.

/// The fewest bytes that any value is padded to.
pub(crate) const SMALLEST: usize = 32;
/// The largest minimum that a field can ask for.
pub(crate) const LARGEST_MINIMUM: usize = 4096;
/// The longest value that fits a token: 1 MiB of JSON text.
pub(crate) const LONGEST_VALUE: usize = 1 << 20;

/// What a value is padded with: no JSON text ends in it.
pub(crate) const FILL: u8 = b' ';

/// Returns whether a field may ask for `minimum` bytes: a power of two from 32 to 4,096.
pub(crate) fn is_minimum(minimum: usize) -> bool {
    (SMALLEST..=LARGEST_MINIMUM).contains(&minimum) && minimum.is_power_of_two()
}

/// Returns the length to which a value of `length` bytes is padded: at least `minimum`, and above that up to the next
/// eighth of the power of two below.
pub(crate) fn padded_length(length: usize, minimum: usize) -> usize {
    if length <= minimum { minimum } else { length.next_multiple_of(step(length)) }
}

/// Returns whether any value is ever padded to `length`.
pub(crate) fn is_padded_length(length: usize) -> bool {
    (SMALLEST..=LONGEST_VALUE).contains(&length) && length.is_multiple_of(step(length))
}

/// Returns the value without its padding, or nothing where this padding is not the one that its length asks for.
pub(crate) fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let length = length_without_fill(padded)?;
    let canonical = is_minimum(padded.len()) || padded.len() == padded_length(length, SMALLEST);
    canonical.then_some(&padded[..length])
}

/// Returns up to where something else stands than what a value is padded with. Nothing where that is within the first
/// bytes which make no whole sixteen: a value as short as that is padded to a power of two.
fn length_without_fill(padded: &[u8]) -> Option<usize> {
    const FILLS: u128 = u128::from_ne_bytes([FILL; 16]);
    let mut end = padded.len();
    // Sixteen bytes at a time as far as that goes: mostly all of a short value's padding.
    while let Some(&chunk) = padded[..end].last_chunk() {
        let others = u128::from_le_bytes(chunk) ^ FILLS;
        if others != 0 {
            return Some(end - others.leading_zeros() as usize / 8);
        }
        end -= 16;
    }
    None
}

/// An eighth of the largest power of two that is not above `length`.
fn step(length: usize) -> usize {
    (1 << length.ilog2()) / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_share_one_length() {
        for length in 1..=32 {
            assert_eq!(padded_length(length, 32), 32);
        }
        assert_eq!([33, 36, 37, 64, 65, 72, 73].map(|n| padded_length(n, 32)), [36, 36, 40, 64, 72, 72, 80]);
        assert_eq!([1, 64, 65].map(|n| padded_length(n, 64)), [64, 64, 72]);
    }

    #[test]
    fn padding_costs_an_eighth_at_most_and_fits_the_grammar() {
        for length in (33..5000).chain([LONGEST_VALUE - 1, LONGEST_VALUE]) {
            let padded = padded_length(length, SMALLEST);
            assert!(padded >= length && padded - length <= length / 8, "{length} became {padded}");
            assert!(is_padded_length(padded), "{padded}");
        }
        assert!([0, 1, 31, 33, 68, LONGEST_VALUE + (LONGEST_VALUE / 8)].iter().all(|&n| !is_padded_length(n)));
    }

    #[test]
    fn only_canonical_padding_is_taken_off() {
        for (length, minimum) in [(1, 32), (32, 32), (33, 32), (40, 64), (100, 128), (5000, 4096)] {
            let mut buffer = vec![b'7'; length];
            buffer.resize(padded_length(length, minimum), FILL);
            assert_eq!(unpad(&buffer), Some(&vec![b'7'; length][..]));
        }
        let too_long = [vec![b'7'; 33], vec![b' '; 7]].concat();
        assert!(is_padded_length(too_long.len()));
        assert_eq!(unpad(&too_long), None);
        assert_eq!(unpad(&[b' '; 32]), None);
    }
}
