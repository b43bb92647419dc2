//! Requests that look rows up other than by their query: by a segment of the path, or by a body.

use std::sync::Arc;

use http::Uri;

use super::path_pattern::{PathPattern, segment, with_segment, without_detours};
use super::query::{replace, write_terms};
use crate::cipher::{FieldCipher, Wanted};
use crate::error::{Error, ErrorKind};
use crate::percent::percent_decoded;
use crate::policy::{FieldIndex, ListPath, Policy};

/// Which requests are lookups.
#[derive(Clone, Debug, Default)]
pub(super) struct Searches {
    pub(super) paths: Vec<LookupPath>,
    /// Paths to which searches are sent in bodies.
    pub(super) bodies: Vec<PathPattern>,
    /// Where responses hold candidates, of which false matches are dropped; nothing where truncated indexes are not
    /// looked up.
    pub(super) candidates: Option<Arc<[ListPath]>>,
}

/// A path of which a segment is the value that is looked up.
#[derive(Clone, Debug)]
pub(super) struct LookupPath {
    pattern: PathPattern,
    field: FieldIndex,
    /// The number of the segment.
    at: usize,
}

impl LookupPath {
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] where not exactly one of the segments in braces is called like a field with a blind index,
    /// and no other like any field.
    pub(super) fn parse(text: &str, policy: &Policy) -> Result<Self, Error> {
        let pattern = PathPattern::parse(text)?;
        let fields: Vec<_> =
            pattern.parameters().filter_map(|(at, name)| Some((policy.field_named(name)?, at))).collect();
        let name = |field| policy.field(field).name();
        match fields[..] {
            [] => {
                let indexed = policy.fields().iter().filter(|field| field.index_name().is_some());
                let indexed: Vec<_> = indexed.map(|field| format!("`{}`", field.name())).collect();
                let known = if indexed.is_empty() { "the policy has none".to_owned() } else { indexed.join(", ") };
                Err(pattern.fault(&format!(
                    "has no segment in braces with the name of a field that has a blind index: {known}"
                )))
            }
            [(field, _)] if policy.field(field).index_name().is_none() => {
                let message = format!("asks for `{}`, which has no blind index and cannot be looked up", name(field));
                Err(pattern.fault(&message))
            }
            [(field, at)] => Ok(Self { pattern, field, at }),
            [(one, _), (other, _), ..] => {
                let message =
                    format!("asks for `{}` and `{}`: one field is looked up by a path", name(one), name(other));
                Err(pattern.fault(&message))
            }
        }
    }
}

impl Searches {
    /// Keeps what one request looks up by truncated indexes, where that is checked.
    pub(super) fn wanted(&self) -> Wanted {
        if self.candidates.is_some() { Wanted::checked() } else { Wanted::default() }
    }

    /// Returns whether a body that is sent to `uri` is a search.
    pub(super) fn has_body(&self, uri: &Uri) -> bool {
        self.bodies.iter().any(|pattern| pattern.matches(uri.path()))
    }

    /// Puts the blind index in the place of the value that stands in the path of `uri`, where it is one of these.
    pub(super) fn rewrite(&self, cipher: &FieldCipher, wanted: &Wanted, uri: &mut Uri) -> Result<(), Error> {
        let path = uri.path();
        let find = |path: &str| self.paths.iter().find(|own| own.pattern.matches(path));
        let Some(LookupPath { pattern: _, field, at }) = find(path) else {
            // A service that takes them out would be given the value itself.
            let is_meant = !self.paths.is_empty() && without_detours(path).is_some_and(|path| find(&path).is_some());
            let message = "the path of a lookup has an empty segment, or one of dots";
            return if is_meant { Err(Error::new(ErrorKind::Refused, message)) } else { Ok(()) };
        };
        let value = percent_decoded(segment(path, *at))
            .ok_or_else(|| Error::new(ErrorKind::Refused, "a segment of the path is no text in UTF-8"))?;
        let mut terms = String::new();
        write_terms(cipher, wanted, *field, &value, &mut terms)?;
        let mut target = with_segment(path, *at, &terms);
        if let Some(query) = uri.query() {
            target.push('?');
            target.push_str(query);
        }
        replace(uri, target)
    }
}
