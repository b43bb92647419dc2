//! When the keyring was last read, by two clocks.

use std::time::{Duration, Instant, SystemTime};

/// A moment by the clock that never goes back and by the one that goes on while a machine is suspended.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    monotonic: Instant,
    wall: SystemTime,
}

impl Reading {
    pub(super) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// Returns how long ago it was by the clock that says longer, so that neither a suspended machine nor a clock set
    /// back makes it younger. A clock set forward makes it older, which is safe.
    pub(super) fn age(&self) -> Duration {
        self.monotonic.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }

    #[cfg(test)]
    pub(super) fn ago(age: Duration) -> Self {
        let now = Self::now();
        Self { monotonic: now.monotonic.checked_sub(age).unwrap(), wall: now.wall - age }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_says_longer_counts() {
        let (minute, now) = (Duration::from_secs(60), Reading::now());
        assert!(now.age() < minute);
        assert!(Reading { monotonic: now.monotonic.checked_sub(minute).unwrap(), ..now }.age() >= minute);
        assert!(Reading { wall: now.wall - minute, ..now }.age() >= minute);
        assert!(Reading { wall: now.wall + minute, ..now }.age() < minute);
    }
}
