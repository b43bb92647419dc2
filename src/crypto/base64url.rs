//! base64url (RFC 4648, section 5) without padding, canonical: no padding and no spare bits are taken.

use base64_simd::{AsOut as _, URL_SAFE_NO_PAD};

/// Appends the text of `bytes` to `out`.
pub(crate) fn append(bytes: &[u8], out: &mut Vec<u8>) {
    // The crate makes room for no more than it writes, so a vector that many texts are added to would move each time.
    out.reserve(URL_SAFE_NO_PAD.encoded_length(bytes.len()));
    URL_SAFE_NO_PAD.encode_append(bytes, out);
}

/// Decodes `text` into the beginning of `buffer` and returns the number of bytes, or nothing where it is not canonical
/// or has more of them than the buffer.
pub(crate) fn decode(text: &[u8], buffer: &mut [u8]) -> Option<usize> {
    // Checked here, since the crate panics where the buffer is too short.
    let length = URL_SAFE_NO_PAD.decoded_length(text).ok().filter(|&length| length <= buffer.len())?;
    URL_SAFE_NO_PAD.decode(text, buffer[..length].as_out()).ok().map(|bytes| bytes.len())
}
