//! Strings of RFC 8259, section 7: scanned in pieces, and unescaped.

use zeroize::Zeroizing;

use super::special;

/// Where the scan of a string stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum StringState {
    Text,
    /// After a backslash.
    Escape,
    /// Within `\uXXXX`: so many digits are missing.
    Hexadecimal(u8),
    /// Within a UTF-8 sequence: so many bytes are missing, and the next one is from `low` to `high`.
    Utf8 {
        missing: u8,
        low: u8,
        high: u8,
    },
}

/// How far a scan came.
pub(super) enum Scan<S> {
    /// It ended at this place: a string before its closing quote, a number before what follows it.
    End(usize),
    /// The piece ended first, in this state.
    More(S),
}

/// What is wrong, and where in the piece.
pub(super) type Fault = (usize, &'static str);

/// Scans the text of a string from `at` on. Sets `has_escapes` where it passes one.
#[expect(clippy::inline_always, reason = "measured: most strings end within the first 16 bytes")]
#[inline(always)]
pub(super) fn scan(
    input: &[u8],
    at: usize,
    state: StringState,
    has_escapes: &mut bool,
) -> Result<Scan<StringState>, Fault> {
    if state == StringState::Text {
        let (at, byte) = skip_plain(input, at);
        if byte == Some(b'"') {
            return Ok(Scan::End(at));
        }
        return scan_special(input, at, state, has_escapes);
    }
    scan_special(input, at, state, has_escapes)
}

/// Scans the text of a string of which all before `special` stands for itself.
#[inline]
pub(super) fn scan_from(input: &[u8], special: usize) -> Result<Scan<StringState>, Fault> {
    match input.get(special) {
        Some(b'"') => Ok(Scan::End(special)),
        _ => scan_special(input, special, StringState::Text, &mut false),
    }
}

/// Scans on where an escape, a character beyond ASCII or the end of the piece is near.
#[inline(never)]
fn scan_special(
    input: &[u8],
    mut at: usize,
    mut state: StringState,
    has_escapes: &mut bool,
) -> Result<Scan<StringState>, Fault> {
    while let Some(&byte) = input.get(at) {
        state = match state {
            StringState::Text => match byte {
                b'"' => return Ok(Scan::End(at)),
                b'\\' => {
                    *has_escapes = true;
                    StringState::Escape
                }
                0..0x20 => return Err((at, "a control character stands in a string")),
                0x20..0x80 => {
                    (at, _) = skip_plain(input, at);
                    continue;
                }
                _ => match utf8_rest(byte) {
                    Some((missing, low, high)) => StringState::Utf8 { missing, low, high },
                    None => return Err((at, "a string is not valid UTF-8")),
                },
            },
            StringState::Escape => match byte {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => StringState::Text,
                b'u' => StringState::Hexadecimal(4),
                _ => return Err((at, "there is no such escape")),
            },
            StringState::Hexadecimal(missing) => match (byte.is_ascii_hexdigit(), missing) {
                (false, _) => return Err((at, "`\\u` needs four hexadecimal digits")),
                (true, 1) => StringState::Text,
                (true, _) => StringState::Hexadecimal(missing - 1),
            },
            StringState::Utf8 { missing, low, high } => match (low..=high).contains(&byte) {
                false => return Err((at, "a string is not valid UTF-8")),
                true if missing == 1 => StringState::Text,
                true => StringState::Utf8 { missing: missing - 1, low: 0x80, high: 0xbf },
            },
        };
        at += 1;
    }
    Ok(Scan::More(state))
}

/// Skips bytes that stand for themselves, 16 at a time. Returns where the next one stands that does not, and which it is.
#[expect(clippy::inline_always, reason = "measured: most strings end within one turn of the loop")]
#[inline(always)]
fn skip_plain(input: &[u8], mut at: usize) -> (usize, Option<u8>) {
    while let Some(bytes) = input.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        if let Some(index) = special::first(bytes) {
            return (at + index, Some(bytes[index % 16]));
        }
        at += 16;
    }
    while let Some(&byte) = input.get(at) {
        if !matches!(byte, 0x20..0x80) || matches!(byte, b'"' | b'\\') {
            return (at, Some(byte));
        }
        at += 1;
    }
    (at, None)
}

/// What must follow the first byte of a UTF-8 sequence (RFC 3629, section 4): how many bytes, and the range of the next.
#[inline]
fn utf8_rest(first: u8) -> Option<(u8, u8, u8)> {
    Some(match first {
        0xc2..=0xdf => (1, 0x80, 0xbf),
        0xe0 => (2, 0xa0, 0xbf),
        0xed => (2, 0x80, 0x9f),
        0xe1..=0xef => (2, 0x80, 0xbf),
        0xf0 => (3, 0x90, 0xbf),
        0xf1..=0xf3 => (3, 0x80, 0xbf),
        0xf4 => (3, 0x80, 0x8f),
        _ => return None,
    })
}

/// Appends the characters that the text of a valid string stands for. Returns false where a surrogate stands alone,
/// which no text in UTF-8 can hold.
pub(crate) fn unescape(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let (plain, length) = match rest[at + 1] {
            b'b' => (0x08, 2),
            b'f' => (0x0c, 2),
            b'n' => (b'\n', 2),
            b'r' => (b'\r', 2),
            b't' => (b'\t', 2),
            b'u' => {
                let Some((character, length)) = unescape_unicode(&rest[at..]) else { return false };
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[at + length..];
                continue;
            }
            itself => (itself, 2),
        };
        out.push(plain);
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest);
    true
}

/// Returns what `text` stands for, where it holds escapes, and all of them stand for text.
pub(crate) fn unescaped(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    memchr::memchr(b'\\', text)?;
    // No escape is shorter than what it stands for.
    let mut plain = Zeroizing::new(Vec::with_capacity(text.len()));
    unescape(text, &mut plain).then_some(plain)
}

/// Reads `\uXXXX` or a surrogate pair of two, and returns the character and how long it was written.
fn unescape_unicode(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    };
    match unit(0)? {
        high @ 0xd800..0xdc00 => match unit(6)? {
            low @ 0xdc00..0xe000 => Some((char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12)),
            _ => None,
        },
        code => Some((char::from_u32(code)?, 6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unescapes_as_serde_json_does() {
        for text in
            [r"", r"plain", r#"\"\\\/\b\f\n\r\t"#, r"\u0041\u00e9\u674e", r"\ud83d\ude00!", r"a\u0000b", "é\\u00E9"]
        {
            let mut out = Vec::new();
            assert!(unescape(text.as_bytes(), &mut out));
            let expected: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!(out, expected.as_bytes());
        }
        for lone in [r"\ud800", r"\udc00", r"x\ud83dA", r"\ud83d\u0041", r"\ud83d\n"] {
            assert!(!unescape(lone.as_bytes(), &mut Vec::new()), "{lone}");
        }
    }

    #[test]
    fn the_first_special_byte_is_found_at_every_place() {
        for special in [b'"', b'\\', 0x00, 0x1f, 0x80, 0xff] {
            for place in 0..20 {
                let mut input = *b" !#[]^_`~\x7f0123456789";
                input[place] = special;
                assert_eq!(skip_plain(&input, 0), (place, input.get(place).copied()), "{special:#x}");
            }
        }
    }
}
