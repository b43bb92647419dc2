//! The token of version 1: binary form, text form, grammar.

use super::base64url;
use super::key_id::KeyId;
use super::padding;
use super::xaes::{NONCE_LENGTH, PREFIX_LENGTH, SUFFIX_LENGTH, TAG_LENGTH};
use crate::secret::SecretBuffer;

/// The version byte: XAES-256-GCM.
pub(crate) const VERSION: u8 = 0x01;
/// What every token in text form begins with. No binary token begins so: `f` is not a version.
pub(crate) const TEXT_MARK: &str = "fs1.";
/// The length of the shortest text form.
pub(crate) const SHORTEST_TEXT: usize = TEXT_MARK.len() + (OVERHEAD + padding::SMALLEST).div_ceil(3) * 4;
/// Version and key id.
pub(crate) const HEADER_LENGTH: usize = 1 + KeyId::LENGTH;
/// What a token has beside the padded value.
pub(crate) const OVERHEAD: usize = HEADER_LENGTH + NONCE_LENGTH + TAG_LENGTH;

/// A binary token that keeps to the grammar, in its parts.
pub(crate) struct Token<'a> {
    pub(crate) header: [u8; HEADER_LENGTH],
    pub(crate) prefix: [u8; PREFIX_LENGTH],
    pub(crate) suffix: [u8; SUFFIX_LENGTH],
    pub(crate) sealed: &'a mut [u8],
    pub(crate) tag: [u8; TAG_LENGTH],
}

impl<'a> Token<'a> {
    /// Takes a binary token apart, or returns nothing where it is none by syntax.
    pub(crate) fn parse(binary: &'a mut [u8]) -> Option<Self> {
        let (&mut header, rest) = binary.split_first_chunk_mut()?;
        let (&mut prefix, rest) = rest.split_first_chunk_mut()?;
        let (&mut suffix, rest) = rest.split_first_chunk_mut()?;
        let (sealed, &mut tag) = rest.split_last_chunk_mut()?;
        let known = header[0] == VERSION && padding::is_padded_length(sealed.len());
        known.then_some(Self { header, prefix, suffix, sealed, tag })
    }

    pub(crate) fn key_id(&self) -> KeyId {
        KeyId(*self.header.last_chunk().expect("a header ends with a key id"))
    }
}

/// Takes the key id and the nonce, its prefix and its suffix, out of `token`, in text or binary form; nothing where it is
/// none by its syntax.
pub(crate) fn nonce_of(token: &[u8]) -> Option<(KeyId, [u8; PREFIX_LENGTH], [u8; SUFFIX_LENGTH])> {
    let mut buffer = SecretBuffer::default();
    let is_read = read(token, &mut buffer);
    let token = Token::parse(buffer.as_mut_slice()).filter(|_| is_read)?;
    Some((token.key_id(), token.prefix, token.suffix))
}

/// Appends the text form of `binary` to `out`.
pub(crate) fn write_text(binary: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(TEXT_MARK.as_bytes());
    base64url::append(binary, out);
}

/// Decodes `token`, in text or binary form, into `buffer`. Returns false where the text is not canonical base64url.
pub(crate) fn read(token: &[u8], buffer: &mut SecretBuffer) -> bool {
    let Some(text) = token.strip_prefix(TEXT_MARK.as_bytes()) else {
        buffer.overwrite(token.len()).copy_from_slice(token);
        return true;
    };
    let Some(length) = decoded_length(text.len()) else { return false };
    base64url::decode(text, buffer.overwrite(length)) == Some(length)
}

/// Returns the key id of `text` where it satisfies the whole grammar of the text form. Looks at no key.
pub(crate) fn recognize(text: &[u8]) -> Option<KeyId> {
    let mut buffer = SecretBuffer::default();
    let is_text = text.starts_with(TEXT_MARK.as_bytes()) && read(text, &mut buffer);
    is_text.then_some(())?;
    Token::parse(buffer.as_mut_slice()).map(|token| token.key_id())
}

/// Returns `token` in binary form, whichever it comes in; nothing where it is none by its syntax.
#[cfg(any(feature = "diesel", feature = "sea-orm", feature = "sqlx"))]
pub(crate) fn to_binary(token: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = SecretBuffer::default();
    let is_read = read(token, &mut buffer);
    Token::parse(buffer.as_mut_slice()).filter(|_| is_read)?;
    Some(buffer.as_slice().to_vec())
}

/// Returns the key id that `token`, in text or binary form, begins with. A text may go on in any way, a binary token
/// must have the length of one.
#[cfg(any(feature = "breach", feature = "sqlite", feature = "postgres", feature = "redact"))]
pub(crate) fn claimed_key_id(token: &[u8]) -> Option<KeyId> {
    let mut header = [0; HEADER_LENGTH];
    match token.strip_prefix(TEXT_MARK.as_bytes()) {
        Some(text) => {
            let length = base64url::decode(text.get(..HEADER_LENGTH / 3 * 4)?, &mut header)?;
            (length == HEADER_LENGTH).then_some(())?;
        }
        None if !padding::is_padded_length(token.len().checked_sub(OVERHEAD)?) => return None,
        None => header = *token.first_chunk()?,
    }
    (header[0] == VERSION).then(|| KeyId(*header.last_chunk().expect("a header ends with a key id")))
}

/// Whether some token in text form has `length` characters.
#[cfg(feature = "redact")]
pub(crate) fn is_text_length(length: usize) -> bool {
    let binary = length.checked_sub(TEXT_MARK.len()).and_then(decoded_length);
    binary.and_then(|binary| binary.checked_sub(OVERHEAD)).is_some_and(padding::is_padded_length)
}

/// The exact number of bytes in `length` characters of base64 without padding; a length that leaves one character
/// over has none.
fn decoded_length(length: usize) -> Option<usize> {
    let longest = OVERHEAD + padding::LONGEST_VALUE;
    (length % 4 != 1 && length / 4 * 3 <= longest).then(|| length / 4 * 3 + (length % 4).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_of(length: usize) -> Vec<u8> {
        let mut binary = vec![0xff; OVERHEAD + length];
        binary[0] = VERSION;
        let mut text = Vec::new();
        write_text(&binary, &mut text);
        text
    }

    #[test]
    fn the_grammar_takes_every_padded_length_and_no_other() {
        for length in 0..300 {
            assert_eq!(recognize(&token_of(length)).is_some(), padding::is_padded_length(length), "{length}");
        }
    }

    #[test]
    fn the_header_is_a_clean_prefix_of_the_text() {
        let text = token_of(32);
        assert_eq!((text.len(), SHORTEST_TEXT), (112, 112));
        assert_eq!(recognize(&text).unwrap().token_prefix().as_bytes(), &text[..16]);
    }

    #[cfg(any(feature = "breach", feature = "sqlite", feature = "postgres", feature = "redact"))]
    #[test]
    fn a_binary_token_has_the_length_of_one() {
        let mut binary = vec![0xff; OVERHEAD + 32];
        binary[0] = VERSION;
        assert!(claimed_key_id(&binary).is_some());
        assert_eq!(claimed_key_id(&binary[..binary.len() - 1]), None);
        binary[0] = VERSION + 1;
        assert_eq!(claimed_key_id(&binary), None);
    }

    #[test]
    fn other_spellings_are_no_tokens() {
        let good = String::from_utf8(token_of(36)).unwrap();
        assert!(recognize(good.as_bytes()).is_some());
        let last = good.len() - 1;
        for bad in [
            good.replace("fs1.", "fs2."),
            good.replace("fs1.", "FS1."),
            good.replace('_', "/"),
            format!("{good}="),
            format!("{good}\n"),
            format!(" {good}"),
            good[..last].to_owned(),
            format!("{}-", &good[..last]),
            good.replace("fs1.Af", "fs1.Ag"),
        ] {
            assert!(recognize(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_a_text_decodes_to_is_known_by_its_length() {
        for length in 0..100_usize {
            assert_eq!(decoded_length((length * 4).div_ceil(3)), Some(length));
            assert_eq!(decoded_length(length * 4 + 1), None);
        }
        // What is longer than any token is not decoded at all.
        let longest = ((OVERHEAD + padding::LONGEST_VALUE) * 4).div_ceil(3);
        assert_eq!(decoded_length(longest), Some(OVERHEAD + padding::LONGEST_VALUE));
        assert_eq!(decoded_length(longest + 4), None);
    }
}
