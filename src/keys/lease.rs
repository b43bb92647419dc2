//! When the keyring was last read, and how long a key that was taken then may be used.

use std::time::{Duration, Instant, SystemTime};

use crate::error::{Error, ErrorKind};

/// How old keys may be that are taken once for several documents or rows.
const SHORT: Duration = Duration::from_secs(1);

/// A moment by the clock that never goes back and by the one that goes on while a machine is suspended.
#[derive(Clone, Copy, Debug)]
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

/// When a key that was read from a table is no longer used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    read: Reading,
    lifetime: Duration,
}

impl Expiry {
    pub(super) fn new(read: Reading, lifetime: Duration) -> Self {
        Self { read, lifetime }
    }

    pub(super) fn is_over(&self) -> bool {
        self.read.age() > self.lifetime
    }

    /// Whether more than half of the time is left.
    pub(super) fn is_early(&self) -> bool {
        self.read.age() <= self.lifetime / 2
    }
}

/// For how long keys that were taken for a piece of work may be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    /// None where the keys never change.
    taken: Option<Reading>,
    longest: Option<Duration>,
}

impl Term {
    pub(super) fn unlimited() -> Self {
        Self { taken: None, longest: None }
    }

    /// `longest` is what a scan for an old key waits for, where replicas hold a lease.
    pub(super) fn from_now(longest: Option<Duration>) -> Self {
        Self { taken: Some(Reading::now()), longest }
    }

    /// Returns whether it is time to take keys anew, where a document or a row ends.
    pub(crate) fn is_over(&self) -> bool {
        self.taken.is_some_and(|taken| taken.age() > SHORT)
    }

    /// # Errors
    ///
    /// [`ErrorKind::KeyUnavailable`] where what is encrypted now could be stored after a scan has found that nothing
    /// is left under its key.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.taken.zip(self.longest) {
            Some((taken, longest)) if taken.age() > longest => {
                let message = format!(
                    "one document took more than {} seconds to encrypt, the `longest_request` of the keyring's timing: \
                     another key may be in force by now; send it in parts or faster, or set a longer one",
                    longest.as_secs()
                );
                Err(Error::new(ErrorKind::KeyUnavailable, message))
            }
            _ => Ok(()),
        }
    }

    #[cfg(test)]
    pub(crate) fn made_older(self, age: Duration) -> Self {
        Self { taken: self.taken.map(|_| Reading::ago(age)), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_over_after_a_second_and_fails_after_the_longest_request() {
        let second = Duration::from_secs(1);
        for (term, age, is_over, is_good) in [
            (Term::from_now(Some(60 * second)), Duration::ZERO, false, true),
            (Term::from_now(Some(60 * second)), 2 * second, true, true),
            (Term::from_now(Some(60 * second)), 61 * second, true, false),
            (Term::from_now(None), 1_000_000 * second, true, true),
        ] {
            let term = term.made_older(age);
            assert_eq!((term.is_over(), term.check().is_ok()), (is_over, is_good), "{term:?}");
        }
        assert!(!Term::unlimited().made_older(1_000_000 * second).is_over());
        let error = Term::from_now(Some(60 * second)).made_older(61 * second).check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert!(error.to_string().contains("60 seconds"), "{error}");
    }

    #[test]
    fn the_clock_that_says_longer_counts() {
        let (minute, now) = (Duration::from_secs(60), Reading::now());
        assert!(now.age() < minute);
        assert!(Reading { monotonic: now.monotonic.checked_sub(minute).unwrap(), ..now }.age() >= minute);
        assert!(Reading { wall: now.wall - minute, ..now }.age() >= minute);
        assert!(Reading { wall: now.wall + minute, ..now }.age() < minute);
    }
}
