//! Digests of a body, which no longer hold once the body is rewritten.

use http::HeaderMap;

/// `Content-Digest` and `Repr-Digest` of RFC 9530, `Digest` of RFC 3230, `Content-MD5` of RFC 1864.
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// Removes the digests from headers or trailers.
pub(super) fn remove(headers: &mut HeaderMap) {
    // Hardly ever is there one, and to look through the names costs less than to look four up.
    if !headers.keys().any(|name| DIGESTS.contains(&name.as_str())) {
        return;
    }
    for name in DIGESTS {
        headers.remove(name);
    }
}
