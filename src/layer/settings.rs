//! What a layer is told once.

use std::sync::Arc;

use http::Extensions;

use super::limits::Limits;
use super::principal::Principal;
use super::records::Records;
use super::searches::Searches;
use crate::cipher::FieldCipher;

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) cipher: FieldCipher,
    pub(super) limits: Limits,
    pub(super) searches: Searches,
    pub(super) records: Records,
    pub(super) principal: Principal,
    /// The names of parts of `multipart/form-data` that pass as files.
    pub(super) file_parts: Arc<[String]>,
    /// Take out of the extensions what repeats the target of a request.
    pub(super) target_copies: Vec<fn(&mut Extensions)>,
}

impl Settings {
    pub(super) fn new(cipher: FieldCipher) -> Self {
        Self {
            cipher,
            limits: Limits::default(),
            searches: Searches::default(),
            records: Records::default(),
            principal: Principal::default(),
            file_parts: Arc::default(),
            target_copies: Vec::new(),
        }
    }
}
