//! Which of the headers that the layer asks for are there: looked for once, in one pass over all names, since hardly any
//! of them is there, and to look each up costs more.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, EXPECT, IF_RANGE, RANGE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName};

/// The headers that were found, each by a bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeaderNames(u16);

impl HeaderNames {
    pub(super) const ACCEPT_RANGES: Self = Self(1);
    pub(super) const CACHE_CONTROL: Self = Self(1 << 1);
    pub(super) const CONTENT_ENCODING: Self = Self(1 << 2);
    pub(super) const CONTENT_LENGTH: Self = Self(1 << 3);
    pub(super) const CONTENT_RANGE: Self = Self(1 << 4);
    /// Any digest of a body.
    pub(super) const DIGEST: Self = Self(1 << 5);
    pub(super) const EXPECT: Self = Self(1 << 6);
    pub(super) const IF_RANGE: Self = Self(1 << 7);
    pub(super) const RANGE: Self = Self(1 << 8);
    pub(super) const TRANSFER_ENCODING: Self = Self(1 << 9);
    pub(super) const UPGRADE: Self = Self(1 << 10);

    pub(super) fn of(headers: &HeaderMap) -> Self {
        headers.keys().fold(Self::default(), |found, name| found.and(Self::called(name)))
    }

    fn called(name: &HeaderName) -> Self {
        match *name {
            ACCEPT_RANGES => Self::ACCEPT_RANGES,
            CACHE_CONTROL => Self::CACHE_CONTROL,
            CONTENT_ENCODING => Self::CONTENT_ENCODING,
            CONTENT_LENGTH => Self::CONTENT_LENGTH,
            CONTENT_RANGE => Self::CONTENT_RANGE,
            EXPECT => Self::EXPECT,
            IF_RANGE => Self::IF_RANGE,
            RANGE => Self::RANGE,
            TRANSFER_ENCODING => Self::TRANSFER_ENCODING,
            UPGRADE => Self::UPGRADE,
            _ => match name.as_str() {
                "content-digest" | "repr-digest" | "digest" | "content-md5" => Self::DIGEST,
                _ => Self::default(),
            },
        }
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the header of this bit is there.
    pub(super) fn has(self, bit: Self) -> bool {
        self.0 & bit.0 != 0
    }

    /// Removes `name`, the header of this bit, from the headers in which these were found.
    pub(super) fn remove(self, bit: Self, name: HeaderName, headers: &mut HeaderMap) {
        if self.has(bit) {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::HOST;

    use super::super::digest::DIGESTS;
    use super::*;

    #[test]
    fn each_header_is_found_by_its_own_bit() {
        let mut expected: Vec<(HeaderName, HeaderNames)> = vec![
            (ACCEPT_RANGES, HeaderNames::ACCEPT_RANGES),
            (CACHE_CONTROL, HeaderNames::CACHE_CONTROL),
            (CONTENT_ENCODING, HeaderNames::CONTENT_ENCODING),
            (CONTENT_LENGTH, HeaderNames::CONTENT_LENGTH),
            (CONTENT_RANGE, HeaderNames::CONTENT_RANGE),
            (EXPECT, HeaderNames::EXPECT),
            (IF_RANGE, HeaderNames::IF_RANGE),
            (RANGE, HeaderNames::RANGE),
            (TRANSFER_ENCODING, HeaderNames::TRANSFER_ENCODING),
            (UPGRADE, HeaderNames::UPGRADE),
            (HOST, HeaderNames::default()),
        ];
        expected.extend(DIGESTS.map(|name| (HeaderName::from_static(name), HeaderNames::DIGEST)));
        let mut all = HeaderMap::new();
        for (name, bit) in &expected {
            let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("x"))]);
            assert_eq!(HeaderNames::of(&headers), *bit, "{name}");
            all.insert(name, HeaderValue::from_static("x"));
        }
        for (_, bit) in expected {
            assert_eq!(HeaderNames::of(&all).has(bit), bit != HeaderNames::default());
        }
    }
}
