//! Tokens in the head of a request: from there it would be a small step into a column.

use http::{HeaderMap, request};
use zeroize::Zeroizing;

use crate::cipher::FieldCipher;
use crate::error::Error;
use crate::percent::decode;
use crate::secret::SecretBuffer;

/// Refuses a token in the method, the target or a header.
pub(super) fn refuse_tokens(cipher: &FieldCipher, head: &request::Parts) -> Result<(), Error> {
    check(cipher, head.method.as_str())?;
    if let Some(authority) = head.uri.authority() {
        check(cipher, authority.as_str())?;
    }
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    if is_short(target) {
        return refuse_tokens_in(cipher, &head.headers);
    }
    // Percent-decoded, path and query are looked at as one, whatever separates their parts.
    if target.contains('%') {
        let mut joined = Zeroizing::new(String::with_capacity(target.len()));
        joined.extend(target.chars().map(|character| if matches!(character, '&' | '=') { '/' } else { character }));
        check(cipher, &joined)?;
    } else {
        check(cipher, target)?;
    }
    refuse_tokens_in(cipher, &head.headers)
}

/// The same for headers or trailers alone.
pub(super) fn refuse_tokens_in(cipher: &FieldCipher, headers: &HeaderMap) -> Result<(), Error> {
    headers.values().filter(|value| !is_short(value)).try_for_each(|value| match value.to_str() {
        Ok(text) => check(cipher, text),
        Err(_) => cipher.refuse_token(value.as_bytes()),
    })
}

/// Whether `text` is shorter than any token. Without percent-encoding it only becomes shorter.
fn is_short(text: impl AsRef<[u8]>) -> bool {
    text.as_ref().len() < FieldCipher::SHORTEST_TOKEN
}

/// Looks at `text` as it is written, and without percent-encoding.
fn check(cipher: &FieldCipher, text: &str) -> Result<(), Error> {
    if is_short(text) {
        return Ok(());
    }
    cipher.refuse_token(text.as_bytes())?;
    if !text.contains('%') {
        return Ok(());
    }
    let mut decoded = SecretBuffer::with_capacity(text.len());
    for part in text.split('&').flat_map(|parameter| parameter.splitn(2, '=')) {
        decode(part, b' ', decoded.as_mut_vec());
    }
    cipher.refuse_token(decoded.as_slice())
}
