//! Which record a request is meant for.

use http::{Method, Uri};

use super::path_pattern::{PathPattern, segment, without_detours};
use crate::cipher::FieldCipher;
use crate::error::{Error, ErrorKind};
use crate::percent::percent_decoded;
use crate::policy::Policy;

#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    pub(super) paths: Vec<RecordPath>,
}

/// A path of which a segment is the id of a record.
#[derive(Clone, Debug)]
pub(super) struct RecordPath {
    pattern: PathPattern,
    /// The number of the segment.
    at: usize,
}

impl RecordPath {
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] where the policy binds tokens to no records, or it is not clear which segment is the id: of
    /// several in braces, the one that is called like the member that is the id.
    pub(super) fn parse(text: &str, policy: &Policy) -> Result<Self, Error> {
        let pattern = PathPattern::parse(text)?;
        let Some(binding) = policy.record_binding() else {
            return Err(pattern.fault("names records, and the policy binds tokens to none: add `bind_records` to it"));
        };
        let parameters: Vec<_> = pattern.parameters().collect();
        let at = match parameters[..] {
            [] => return Err(pattern.fault("has no segment in braces, which would be the id of a record")),
            [(at, _)] => at,
            _ => {
                let mut named = parameters.iter().filter(|(_, name)| *name == binding.member());
                let (Some((at, _)), None) = (named.next(), named.next()) else {
                    let message = format!(
                        "has several segments in braces: call the one that is the id of the record `{{{}}}`",
                        binding.member()
                    );
                    return Err(pattern.fault(&message));
                };
                *at
            }
        };
        Ok(Self { pattern, at })
    }
}

impl Records {
    /// Returns the cipher for a document that changes or replaces the record at `uri`, where its path names one.
    pub(super) fn cipher(
        &self,
        cipher: &FieldCipher,
        method: &Method,
        uri: &Uri,
    ) -> Result<Option<FieldCipher>, Error> {
        if *method != Method::PUT && *method != Method::PATCH {
            return Ok(None);
        }
        let path = uri.path();
        let find = |path: &str| self.paths.iter().find(|own| own.pattern.matches(path));
        let Some(own) = find(path) else {
            // A service that takes them out would change the record, to which nothing is bound then.
            let is_meant = !self.paths.is_empty() && without_detours(path).is_some_and(|path| find(&path).is_some());
            return if is_meant { Err(refused("follows an empty segment, or one of dots")) } else { Ok(None) };
        };
        let id = percent_decoded(segment(path, own.at)).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| refused("is no text in UTF-8"))?;
        if is_odd_number(&id) {
            return Err(refused(
                "is a number that the service may spell otherwise: write it without a plus or leading zeros",
            ));
        }
        cipher.for_target(&id).map(Some).map_err(Error::into_refusal)
    }
}

/// Whether a service that takes `id` for a number makes another text of it.
pub(super) fn is_odd_number(id: &str) -> bool {
    let digits = id.strip_prefix(['-', '+']).unwrap_or(id);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number && (id.starts_with('+') || id == "-0" || (digits.len() > 1 && digits.starts_with('0')))
}

fn refused(problem: &str) -> Error {
    Error::new(ErrorKind::Refused, format!("the id of the record in the path {problem}"))
}
