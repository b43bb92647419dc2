//! Paths as the application names them to the layer.

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::percent::percent_decoded;

/// A path in segments, of which one in braces stands for any: `/customers/{id}`. A slash at the end makes no difference.
#[derive(Clone, Debug)]
pub(super) struct PathPattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(String),
}

impl PathPattern {
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] where no path of a request could be as `text` says: what is not looked up would pass as it is.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let fault = |problem: &str| Err(Error::new(ErrorKind::Policy, format!("the path `{text}` {problem}")));
        let Some(path) = text.strip_prefix('/') else { return fault("does not begin with a slash") };
        let mut segments = Vec::new();
        for segment in trimmed(path).split('/') {
            let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
            let is_plain = |text: &str| !text.contains(['{', '}']);
            match name {
                Some("") => return fault("has a parameter without a name"),
                Some(name) if name.starts_with('*') => {
                    return fault("has a parameter for several segments: the layer knows those of one");
                }
                Some(name) if is_plain(name) => segments.push(Segment::Parameter(name.to_owned())),
                _ if !is_plain(segment) => return fault("has braces that are not around a whole segment"),
                _ if segment.starts_with([':', '*']) => {
                    return fault("has a parameter in another form than the one with braces, such as `{phone}`");
                }
                _ if segment.contains(['?', '#']) => return fault("has a query or a fragment"),
                _ if segment.contains('%') => return fault("is percent-encoded: write the text that it stands for"),
                _ => segments.push(Segment::Literal(segment.to_owned())),
            }
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    /// Returns the names in braces, each with the number of its segment.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (usize, &str)> {
        self.segments.iter().enumerate().filter_map(|(at, segment)| match segment {
            Segment::Parameter(name) => Some((at, &**name)),
            Segment::Literal(_) => None,
        })
    }

    /// Whether `path` is as the pattern says, in any spelling.
    pub(super) fn matches(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else { return false };
        let mut own = trimmed(path).split('/');
        let is_alike = self.segments.iter().all(|segment| match (segment, own.next()) {
            (_, None) => false,
            (Segment::Parameter(_), Some(_)) => true,
            (Segment::Literal(text), Some(own)) => percent_decoded(own).is_some_and(|own| *own == **text),
        });
        is_alike && own.next().is_none()
    }

    /// Says what is wrong with it where it is used.
    pub(super) fn fault(&self, problem: &str) -> Error {
        Error::new(ErrorKind::Policy, format!("the path `{}` {problem}", self.text))
    }
}

/// Returns the segment number `at` of `path`.
pub(super) fn segment(path: &str, at: usize) -> &str {
    segments(path).nth(at).unwrap_or_default()
}

/// Returns `path` with `text` in the place of its segment number `at`.
pub(super) fn with_segment(path: &str, at: usize, text: &str) -> String {
    let segments = segments(path).enumerate().map(|(place, own)| if place == at { text } else { own });
    segments.fold(String::with_capacity(path.len() + text.len()), |path, segment| path + "/" + segment)
}

/// Returns `path` without empty segments and those of dots, which some services take out (RFC 3986, section 5.2.4);
/// nothing where it has none. A slash at the end is none.
pub(super) fn without_detours(path: &str) -> Option<Zeroizing<String>> {
    let is_detour = |segment: &str| percent_decoded(segment).is_some_and(|own| matches!(&*own, "" | "." | ".."));
    if !segments(trimmed(path)).any(is_detour) {
        return None;
    }
    let mut kept = Vec::new();
    for segment in segments(path) {
        match percent_decoded(segment).as_deref() {
            Some("" | ".") => {}
            Some("..") => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let mut plain = Zeroizing::new(String::with_capacity(path.len() + 1));
    plain.push('/');
    for (at, segment) in kept.iter().enumerate() {
        plain.push_str(if at > 0 { "/" } else { "" });
        plain.push_str(segment);
    }
    Some(plain)
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

fn trimmed(path: &str) -> &str {
    path.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_matched_segment_by_segment_in_any_spelling() {
        let pattern = PathPattern::parse("/customers/by-phone/{phone}").unwrap();
        assert_eq!(pattern.parameters().collect::<Vec<_>>(), [(2, "phone")]);
        for path in ["/customers/by-phone/%2B65", "/customers/by%2dphone/1", "/customers/by-phone/1/"] {
            assert!(pattern.matches(path), "{path}");
        }
        for path in ["/customers/by-phone", "/customers/by-phone/", "/customers/by-phone/1/2", "/customers/by-email/1"]
        {
            assert!(!pattern.matches(path), "{path}");
        }
        for path in ["/", "", "*", "customers/by-phone/1"] {
            assert!(!pattern.matches(path), "{path}");
        }
        for (pattern, path) in
            [("/", "/"), ("/search/", "/search"), ("/search", "/se%61rch//"), ("/{a}/é", "/1/%C3%A9")]
        {
            assert!(PathPattern::parse(pattern).unwrap().matches(path), "{pattern} {path}");
        }
    }

    #[test]
    fn a_segment_is_taken_out_and_another_put_in_its_place() {
        assert_eq!(segment("/a/b%20c/", 1), "b%20c");
        assert_eq!(with_segment("/a/b%20c/", 1, "x"), "/a/x/");
        assert_eq!(with_segment("/a", 0, "x"), "/x");
    }

    #[test]
    fn detours_are_taken_out_of_a_path_in_any_spelling() {
        for (path, direct) in [
            ("//a/b", "/a/b"),
            ("/a//b/", "/a/b"),
            ("/./a/%2e/b", "/a/b"),
            ("/x/../a/b/y/.%2E", "/a/b"),
            ("/../a", "/a"),
        ] {
            assert_eq!(without_detours(path).as_deref().map(String::as_str), Some(direct), "{path}");
        }
        for path in ["/a/b", "/a/b//", "/a/.b", "/a/%zz", "*"] {
            assert_eq!(without_detours(path), None, "{path}");
        }
    }

    #[test]
    fn what_no_path_can_be_like_is_refused() {
        for (pattern, said) in [
            ("customers/{id}", "slash"),
            ("", "slash"),
            ("{id}", "slash"),
            ("/customers/:id", "another form"),
            ("/customers/*id", "another form"),
            ("/customers/{}", "without a name"),
            ("/customers/{*rest}", "several segments"),
            ("/customers/{id", "braces"),
            ("/customers/id}", "braces"),
            ("/customers/{{id}}", "braces"),
            ("/customers/{a}{b}", "braces"),
            ("/customers/{a}-{b}", "braces"),
            ("/customers/v{id}", "braces"),
            ("/customers/{id}?a=1", "braces"),
            ("/customers?phone={phone}", "braces"),
            ("/customers?a", "query"),
            ("/by%20phone/{phone}", "percent"),
        ] {
            let error = PathPattern::parse(pattern).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Policy, "{pattern}");
            assert!(error.to_string().contains(said), "{pattern}: {error}");
        }
    }
}
