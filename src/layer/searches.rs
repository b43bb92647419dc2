//! Requests that look rows up other than by their query: by a segment of the path, or by a body.

use std::borrow::Cow;
use std::sync::Arc;

use http::Uri;

use super::query::{replace, write_terms};
use crate::cipher::{FieldCipher, Wanted};
use crate::error::{Error, ErrorKind};
use crate::policy::ListPath;

/// Which requests are lookups.
#[derive(Clone, Debug, Default)]
pub(super) struct Searches {
    /// Paths, in segments; one in braces names the field that stands there.
    pub(super) paths: Vec<String>,
    /// Paths to which searches are sent in bodies.
    pub(super) bodies: Vec<String>,
    /// Where responses hold candidates, of which false matches are dropped; nothing where truncated indexes are not
    /// looked up.
    pub(super) candidates: Option<Arc<[ListPath]>>,
}

impl Searches {
    /// Keeps what one request looks up by truncated indexes, where that is checked.
    pub(super) fn wanted(&self) -> Wanted {
        if self.candidates.is_some() { Wanted::checked() } else { Wanted::default() }
    }

    /// Returns whether a body that is sent to `uri` is a search.
    pub(super) fn has_body(&self, uri: &Uri) -> bool {
        self.bodies.iter().any(|path| path.trim_end_matches('/') == uri.path().trim_end_matches('/'))
    }

    /// Puts the blind index in the place of the value that stands in the path of `uri`, where it is one of these.
    pub(super) fn rewrite(&self, cipher: &FieldCipher, wanted: &Wanted, uri: &mut Uri) -> Result<(), Error> {
        for pattern in &self.paths {
            let Some((name, value)) = matched(pattern, uri.path()) else { continue };
            let field = cipher.policy().field_named(name).ok_or_else(|| {
                Error::new(
                    ErrorKind::Policy,
                    format!("`{pattern}` names field `{name}`, which the policy does not have"),
                )
            })?;
            let value = percent_decoded(value)
                .ok_or_else(|| Error::new(ErrorKind::Refused, "a segment of the path is no text in UTF-8"))?;
            let mut terms = String::new();
            write_terms(cipher, wanted, field, &value, &mut terms)?;
            let segments = uri.path().split('/').zip(pattern.split('/'));
            let segments = segments.map(|(own, pattern)| if in_braces(pattern).is_some() { &*terms } else { own });
            let mut target = segments.collect::<Vec<_>>().join("/");
            if let Some(query) = uri.query() {
                target.push('?');
                target.push_str(query);
            }
            return replace(uri, target);
        }
        Ok(())
    }
}

/// Returns the name in the pattern's braces and the segment that stands there, where `path` is as the pattern says.
pub(super) fn matched<'p>(pattern: &'p str, path: &'p str) -> Option<(&'p str, &'p str)> {
    let (segments, own) = (pattern.split('/'), path.split('/'));
    if segments.clone().count() != own.clone().count() {
        return None;
    }
    let mut found = None;
    for (segment, own) in segments.zip(own) {
        match in_braces(segment) {
            Some(name) => found = Some((name, own)),
            None if percent_decoded(own).as_deref() != Some(segment) => return None,
            None => {}
        }
    }
    found
}

fn in_braces(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// RFC 3986, section 2.1. A plus is a plus in a path.
pub(super) fn percent_decoded(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(segment.into());
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            let digits = str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_matched_segment_by_segment_in_any_spelling() {
        let pattern = "/customers/by-phone/{phone}";
        assert_eq!(matched(pattern, "/customers/by-phone/%2B65"), Some(("phone", "%2B65")));
        assert_eq!(matched(pattern, "/customers/by%2dphone/1"), Some(("phone", "1")));
        for path in ["/customers/by-phone", "/customers/by-phone/1/2", "/customers/by-email/1", "/"] {
            assert_eq!(matched(pattern, path), None, "{path}");
        }
        assert_eq!(percent_decoded("%2B65%20a+b").as_deref(), Some("+65 a+b"));
        for bad in ["%2", "%zz", "%ff", "%+1"] {
            assert_eq!(percent_decoded(bad), None, "{bad}");
        }
    }
}
