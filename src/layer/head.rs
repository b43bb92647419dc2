//! Tokens in the head of a request: from there it would be a small step into a column.

use std::sync::LazyLock;

use http::request;
use memchr::memmem::Finder;

use crate::cipher::FieldCipher;
use crate::error::Error;

static MARK: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("fs1."));

/// Refuses a token in the path, the query or a header.
pub(super) fn refuse_tokens(cipher: &FieldCipher, head: &request::Parts) -> Result<(), Error> {
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    check(cipher, target.as_bytes())?;
    if target.contains('%') {
        check(cipher, &decoded(target))?;
    }
    head.headers.values().try_for_each(|value| check(cipher, value.as_bytes()))
}

/// Looks at each run of the characters that a token is made of, wherever in it the mark stands.
fn check(cipher: &FieldCipher, text: &[u8]) -> Result<(), Error> {
    let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    MARK.find_iter(text).try_for_each(|start| {
        let rest = &text[start..];
        let sealed = rest[MARK.needle().len()..].iter().take_while(|&byte| is_inside(byte)).count();
        cipher.refuse_token(&rest[..MARK.needle().len() + sealed])
    })
}

/// Percent-decodes path and query as one, whatever separates their parts.
fn decoded(target: &str) -> Vec<u8> {
    let whole = target.replace(['&', '='], "/");
    form_urlencoded::parse(whole.as_bytes()).flat_map(|(name, _)| name.into_owned().into_bytes()).collect()
}
