//! Which record a request is meant for.

use http::Uri;

use super::searches::{matched, percent_decoded};
use crate::cipher::FieldCipher;
use crate::error::{Error, ErrorKind};

/// Paths, in segments; one in braces is the id of a record.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    pub(super) paths: Vec<String>,
}

impl Records {
    /// Returns the cipher for documents that are sent to `uri`, where its path names their record.
    pub(super) fn cipher(&self, cipher: &FieldCipher, uri: &Uri) -> Result<Option<FieldCipher>, Error> {
        let Some((_, id)) = self.paths.iter().find_map(|pattern| matched(pattern, uri.path())) else { return Ok(None) };
        let id = percent_decoded(id).filter(|id| !id.is_empty());
        let id =
            id.ok_or_else(|| Error::new(ErrorKind::Refused, "the id of the record in the path is no text in UTF-8"))?;
        Ok(Some(cipher.for_target(&id)?))
    }
}
