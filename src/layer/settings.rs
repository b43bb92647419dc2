//! What a layer is told once, beside its cipher and limits.

use std::sync::Arc;

use http::Extensions;

use super::principal::Principal;
use super::records::Records;
use super::searches::Searches;

#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) searches: Searches,
    pub(super) records: Records,
    pub(super) principal: Principal,
    /// The names of parts of `multipart/form-data` that pass as files.
    pub(super) file_parts: Arc<[String]>,
    /// Take out of the extensions what repeats the target of a request.
    pub(super) target_copies: Vec<fn(&mut Extensions)>,
}
