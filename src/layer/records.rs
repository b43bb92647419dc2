//! Which record a request is meant for.

use http::{Method, Uri};

use super::searches::{matched, percent_decoded};
use crate::cipher::FieldCipher;
use crate::error::{Error, ErrorKind};

/// Paths, in segments; one in braces is the id of a record.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    pub(super) paths: Vec<String>,
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
        let path = uri.path().trim_end_matches('/');
        let Some((_, id)) = self.paths.iter().find_map(|pattern| matched(pattern, path)) else { return Ok(None) };
        let id = percent_decoded(id).filter(|id| !id.is_empty());
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
fn is_odd_number(id: &str) -> bool {
    let digits = id.strip_prefix(['-', '+']).unwrap_or(id);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number && (id.starts_with('+') || id == "-0" || (digits.len() > 1 && digits.starts_with('0')))
}

fn refused(problem: &str) -> Error {
    Error::new(ErrorKind::Refused, format!("the id of the record in the path {problem}"))
}
