//! The ways in which a plaintext could stand in a file.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spelling {
    Utf8,
    JsonEscapes,
    Base64,
    Hexadecimal,
    Utf16,
}

impl Spelling {
    pub(crate) const ALL: [Self; 5] = [Self::Utf8, Self::JsonEscapes, Self::Base64, Self::Hexadecimal, Self::Utf16];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::JsonEscapes => r"JSON escapes \uXXXX",
            Self::Base64 => "base64",
            Self::Hexadecimal => "hexadecimal",
            Self::Utf16 => "UTF-16",
        }
    }
}

/// Hands every spelling of `text` to `each`. Some texts are spelt the same in several ways.
pub(crate) fn spell(text: &str, mut each: impl FnMut(Spelling, &[u8])) {
    each(Spelling::Utf8, text.as_bytes());
    let levels: [fn(u16) -> bool; 3] = [|_| false, |unit| unit > 0x7f, |_| true];
    for is_escaped in levels {
        each(Spelling::JsonEscapes, escape(text, is_escaped, |unit| format!("\\u{unit:04x}")).as_bytes());
        each(Spelling::JsonEscapes, escape(text, is_escaped, |unit| format!("\\u{unit:04X}")).as_bytes());
    }
    for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        for offset in 0..3 {
            each(Spelling::Base64, base64_at(&alphabet, offset, text.as_bytes()).as_bytes());
        }
    }
    let halves = text.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits: String = halves.filter_map(|half| char::from_digit(half.into(), 16)).collect();
    each(Spelling::Hexadecimal, digits.as_bytes());
    each(Spelling::Hexadecimal, digits.to_ascii_uppercase().as_bytes());
    for order in [u16::to_le_bytes, u16::to_be_bytes] {
        each(Spelling::Utf16, &text.encode_utf16().flat_map(order).collect::<Vec<_>>());
    }
}

/// What stands between the quotation marks of a JSON string. Quotation marks in it and backslashes must be escaped.
fn escape(text: &str, is_escaped: fn(u16) -> bool, escaped: impl Fn(u16) -> String) -> String {
    let mut units = Vec::new();
    for unit in text.encode_utf16() {
        match unit {
            unit if is_escaped(unit) => units.extend(escaped(unit).encode_utf16()),
            0x22 | 0x5c => units.extend([0x5c, unit]),
            unit => units.push(unit),
        }
    }
    String::from_utf16_lossy(&units)
}

/// What base64 makes of `text` in the middle of other bytes, `offset` bytes behind a multiple of three: without the
/// characters that depend on those bytes.
fn base64_at(alphabet: &GeneralPurpose, offset: usize, text: &[u8]) -> String {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(text);
    let mut encoded = alphabet.encode(&bytes);
    if !bytes.len().is_multiple_of(3) {
        encoded.pop();
    }
    encoded.split_off([0, 2, 3][offset])
}
