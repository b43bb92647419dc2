//! What a layer is told once, beside its cipher and limits.

use super::principal::Principal;
use super::records::Records;
use super::searches::Searches;

#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) searches: Searches,
    pub(super) records: Records,
    pub(super) principal: Principal,
}
