//! The grammar of a token, read from its specification and not from the code that makes tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Version 1, key id 8, nonce 24, authentication tag 16.
const OVERHEAD: usize = 1 + 8 + 24 + 16;

/// Returns whether `cell` is a token of version 1 in text form. Looks at no key.
pub(crate) fn is_token(cell: &str) -> bool {
    // The decoder refuses what is not canonical.
    let Some(binary) = cell.strip_prefix("fs1.").and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()) else {
        return false;
    };
    let length = binary.len().saturating_sub(OVERHEAD);
    let is_padded = (32..=1 << 20).contains(&length) && length.is_multiple_of((1 << length.ilog2()) / 8);
    binary[0] == 1 && is_padded
}
