//! Digests of a body, which no longer hold once the body is rewritten.

use http::HeaderMap;

use super::header_names::HeaderNames;

/// `Content-Digest` and `Repr-Digest` of RFC 9530, `Digest` of RFC 3230, `Content-MD5` of RFC 1864.
pub(super) const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// Removes the digests from headers or trailers.
pub(super) fn remove(headers: &mut HeaderMap) {
    if HeaderNames::of(headers).has(HeaderNames::DIGEST) {
        remove_each(headers);
    }
}

/// The same where some are known to be there.
pub(super) fn remove_each(headers: &mut HeaderMap) {
    for name in DIGESTS {
        headers.remove(name);
    }
}
