//! The same without the feature `metrics`: nothing is recorded, and nothing is left of the calls.

use crate::audit::AuditKind;
#[cfg(feature = "layer")]
use crate::error::ErrorKind;
use crate::policy::{FieldIndex, Policy};

#[derive(Clone, Copy)]
pub(crate) enum Counted {
    Encrypted,
    Decrypted,
}

#[cfg(feature = "layer")]
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Request,
    Response,
}

#[derive(Clone, Debug)]
pub(crate) struct Meters;

#[expect(clippy::unused_self, reason = "as with the feature")]
impl Meters {
    pub(crate) fn new(_: &Policy) -> Self {
        Self
    }

    pub(crate) fn event(&self, _: AuditKind, _: &str, _: u64) {}

    #[cfg(feature = "layer")]
    pub(crate) fn refusal(&self, _: Direction, _: ErrorKind) {}
}

#[derive(Debug)]
pub(crate) struct Tally;

#[expect(clippy::unused_self, reason = "as with the feature")]
impl Tally {
    pub(crate) fn new(_: &Meters, _: Counted) -> Self {
        Self
    }

    pub(crate) fn add(&mut self, _: FieldIndex) {}
}

#[cfg(feature = "layer")]
#[derive(Clone, Copy)]
pub(crate) struct Lap;

#[cfg(feature = "layer")]
impl Lap {
    pub(crate) fn start() -> Self {
        Self
    }
}

#[cfg(feature = "layer")]
#[derive(Debug, Default)]
pub(crate) struct BodyMeter;

#[cfg(feature = "layer")]
#[expect(clippy::unused_self, reason = "as with the feature")]
impl BodyMeter {
    pub(crate) fn new(_: &Meters, _: Direction) -> Self {
        Self
    }

    pub(crate) fn receive(&mut self, _: usize) {}

    pub(crate) fn hand_on(&mut self, _: usize) {}

    pub(crate) fn refuse(&self, _: ErrorKind) {}

    pub(crate) fn end(&mut self) {}

    pub(crate) fn stop(&mut self, _: Lap) {}
}
