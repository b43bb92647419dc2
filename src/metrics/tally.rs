//! Values that are counted while a document passes.

use super::meters::{Counted, Meters};
use crate::policy::FieldIndex;

/// After this many values they are told, so that a stream of hours shows while it flows.
const MOST_UNTOLD: u64 = 4096;

/// Counts the values of documents, field by field. What was not told yet is told when it is dropped.
#[derive(Debug)]
pub(crate) struct Tally {
    meters: Meters,
    counted: Counted,
    /// By the place of the field in the policy.
    counts: Vec<u64>,
    untold: u64,
}

impl Tally {
    pub(crate) fn new(meters: &Meters, counted: Counted) -> Self {
        Self { meters: meters.clone(), counted, counts: Vec::new(), untold: 0 }
    }

    /// Counts one more value of `field`.
    pub(crate) fn add(&mut self, field: FieldIndex) {
        let place = usize::from(field.0);
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
        self.untold += 1;
        if self.untold == MOST_UNTOLD {
            self.tell();
        }
    }

    fn tell(&mut self) {
        self.meters.values(self.counted, &self.counts);
        self.counts.fill(0);
        self.untold = 0;
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.tell();
    }
}
