//! How long a body is, and what it takes.

use std::time::{Duration, Instant};

use super::meters::{Direction, Meters};
use crate::error::ErrorKind;

/// Measures one body. What it measured is recorded when it is dropped, unless nothing came.
#[derive(Debug, Default)]
pub(crate) struct BodyMeter(Option<Measured>);

#[derive(Debug)]
struct Measured {
    meters: Meters,
    direction: Direction,
    spent: Duration,
    received: usize,
    transformed: usize,
}

/// A stretch of time in which the layer itself works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lap(Instant);

impl Lap {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

impl BodyMeter {
    pub(crate) fn new(meters: &Meters, direction: Direction) -> Self {
        let (spent, received, transformed) = (Duration::ZERO, 0, 0);
        Self(Some(Measured { meters: meters.clone(), direction, spent, received, transformed }))
    }

    /// Takes note of bytes that came.
    pub(crate) fn receive(&mut self, bytes: usize) {
        if let Some(measured) = &mut self.0 {
            measured.received += bytes;
        }
    }

    /// Takes note of bytes that are handed on.
    pub(crate) fn hand_on(&mut self, bytes: usize) {
        if let Some(measured) = &mut self.0 {
            measured.transformed += bytes;
        }
    }

    /// Takes note that the body broke off with an error of `kind`.
    pub(crate) fn refuse(&self, kind: ErrorKind) {
        if let Some(measured) = &self.0 {
            measured.meters.refusal(measured.direction, kind);
        }
    }

    /// Records what was measured: nothing more comes.
    pub(crate) fn end(&mut self) {
        self.0 = None;
    }

    /// Ends a stretch of work.
    pub(crate) fn stop(&mut self, lap: Lap) {
        if let Some(measured) = &mut self.0 {
            measured.spent += lap.0.elapsed();
        }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let Self { meters, direction, spent, received, transformed } = self;
        if *received > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a length of 2^53 bytes is none")]
            meters.body(*direction, [spent.as_secs_f64(), *received as f64, *transformed as f64]);
        }
    }
}
