//! How long the replicas of a service take to notice a change.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// The times of a fleet, in whole seconds, from which every wait of a rotation follows.
///
/// A replica reads the keyring again every [`refresh`](Timing::refresh), and encrypts only while its last reading is
/// younger than its [`lease`](Timing::lease): one that was cut off stops writing under a key that the others have left.
/// So a new key may be promoted once every replica has read it, and the last value under the old one was written at
/// the latest one lease and one longest request after that.
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// use fieldseal::keys::Timing;
///
/// let timing = Timing { rehearsal: Duration::from_secs(30 * 86_400), ..Timing::default() };
/// assert_eq!(timing.before_promotion(), Duration::from_secs(90));
/// assert_eq!(timing.before_scan(), Duration::from_secs(210));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often a replica reads the keyring again: 60 seconds unless set.
    pub refresh: Duration,
    /// How long a replica goes on encrypting after its last reading: 120 seconds unless set. Without one, nothing
    /// stops a replica that is cut off, so that is for a single process only.
    pub lease: Option<Duration>,
    /// The longest that one request or job takes that writes values: 60 seconds unless set. Where there is a lease, a
    /// document that takes longer to encrypt is refused; a job that keeps what it has encrypted and stores it later is
    /// yours to bound.
    pub longest_request: Duration,
    /// By how much the clocks of the replicas differ: 30 seconds unless set.
    pub clock_skew: Duration,
    /// How long a key stays disabled before it can be forgotten: 7 days unless set.
    pub rehearsal: Duration,
}

impl Timing {
    /// Returns the times of a single process that reloads its keyring after each change: no waits, and no lease.
    #[must_use]
    pub const fn single_process() -> Self {
        let none = Duration::ZERO;
        Self { refresh: none, lease: None, longest_request: none, clock_skew: none, rehearsal: none }
    }

    /// Returns how long a key stays pending before every replica has read it: the refresh period and the clock skew.
    #[must_use]
    pub fn before_promotion(&self) -> Duration {
        self.refresh + self.clock_skew
    }

    /// Returns how long after the promotion of another key a scan for the old one proves anything: the lease, the
    /// longest request and the clock skew.
    #[must_use]
    pub fn before_scan(&self) -> Duration {
        self.lease.unwrap_or_default() + self.longest_request + self.clock_skew
    }

    /// Checks that the times can work together, as [`Keyring::set_timing`](super::Keyring::set_timing) does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the lease is shorter than the refresh period, there is a lease and no
    /// `longest_request`, or a time is not in whole seconds or over 100 years.
    pub fn check(&self) -> Result<(), Error> {
        let Self { refresh, lease, longest_request, clock_skew, rehearsal } = *self;
        let lease = lease.unwrap_or(refresh);
        if lease < refresh {
            let message = "the lease of a keyring is shorter than its refresh period: replicas would stop encrypting";
            return Err(Error::new(ErrorKind::Keyring, message));
        }
        if self.lease.is_some() && longest_request.is_zero() {
            let message = "a keyring with a lease has no `longest_request`: every request would be refused";
            return Err(Error::new(ErrorKind::Keyring, message));
        }
        if [refresh, lease, longest_request, clock_skew, rehearsal].iter().any(|time| !is_storable(time)) {
            return Err(Error::new(
                ErrorKind::Keyring,
                "a time of the keyring is not in whole seconds, or over 100 years",
            ));
        }
        Ok(())
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(60),
            lease: Some(Duration::from_secs(120)),
            longest_request: Duration::from_secs(60),
            clock_skew: Duration::from_secs(30),
            rehearsal: Duration::from_secs(7 * 86_400),
        }
    }
}

/// When keys are due: reported, never acted on by themselves.
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// use fieldseal::keys::Schedule;
///
/// let quarter = Duration::from_secs(90 * 86_400);
/// let schedule = Schedule { rotate_every: Some(quarter), lifetime: Some(quarter * 4) };
/// assert!(schedule.lifetime > schedule.rotate_every);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// How long a key stays the primary one.
    pub rotate_every: Option<Duration>,
    /// How long after it was made a key is due to be destroyed.
    pub lifetime: Option<Duration>,
}

impl Schedule {
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where a key would be due for its end before another relieves it.
    pub(super) fn check(&self) -> Result<(), Error> {
        let Self { rotate_every, lifetime } = *self;
        if [rotate_every, lifetime].iter().flatten().any(|time| !is_storable(time) || time.is_zero()) {
            let message = "a rotation period or lifetime is zero, not in whole seconds, or over 100 years";
            return Err(Error::new(ErrorKind::Keyring, message));
        }
        if let (Some(rotate_every), Some(lifetime)) = (rotate_every, lifetime)
            && lifetime <= rotate_every
        {
            let message =
                "the lifetime of keys is not longer than the rotation period: no key could be relieved in time";
            return Err(Error::new(ErrorKind::Keyring, message));
        }
        Ok(())
    }
}

/// Returns whether `time` can stand in the document.
fn is_storable(time: &Duration) -> bool {
    time.subsec_nanos() == 0 && *time <= LONGEST
}

const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

/// How [`Timing`] stands in the document: seconds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimingForm {
    refresh: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<u64>,
    longest_request: u64,
    clock_skew: u64,
    rehearsal: u64,
}

/// How [`Schedule`] stands in the document: seconds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotate_every: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifetime: Option<u64>,
}

impl From<Timing> for TimingForm {
    fn from(timing: Timing) -> Self {
        let Timing { refresh, lease, longest_request, clock_skew, rehearsal } = timing;
        Self {
            refresh: refresh.as_secs(),
            lease: lease.map(|lease| lease.as_secs()),
            longest_request: longest_request.as_secs(),
            clock_skew: clock_skew.as_secs(),
            rehearsal: rehearsal.as_secs(),
        }
    }
}

impl From<TimingForm> for Timing {
    fn from(form: TimingForm) -> Self {
        let TimingForm { refresh, lease, longest_request, clock_skew, rehearsal } = form;
        Self {
            refresh: Duration::from_secs(refresh),
            lease: lease.map(Duration::from_secs),
            longest_request: Duration::from_secs(longest_request),
            clock_skew: Duration::from_secs(clock_skew),
            rehearsal: Duration::from_secs(rehearsal),
        }
    }
}

impl From<Schedule> for ScheduleForm {
    fn from(schedule: Schedule) -> Self {
        let Schedule { rotate_every, lifetime } = schedule;
        Self { rotate_every: rotate_every.map(|time| time.as_secs()), lifetime: lifetime.map(|time| time.as_secs()) }
    }
}

impl From<ScheduleForm> for Schedule {
    fn from(form: ScheduleForm) -> Self {
        let ScheduleForm { rotate_every, lifetime } = form;
        Self { rotate_every: rotate_every.map(Duration::from_secs), lifetime: lifetime.map(Duration::from_secs) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_that_could_not_work_is_refused() {
        let second = Duration::from_secs(1);
        assert!(Timing::default().check().is_ok() && Timing::single_process().check().is_ok());
        assert!(Timing { lease: Some(59 * second), ..Timing::default() }.check().is_err());
        assert!(Timing { rehearsal: LONGEST + second, ..Timing::default() }.check().is_err());
        let century = Duration::from_secs(100 * 365 * 86_400);
        assert!(Timing { rehearsal: century, ..Timing::default() }.check().is_ok());
        let schedule = |rotate_every, lifetime| Schedule { rotate_every, lifetime }.check();
        assert!(schedule(Some(second), Some(2 * second)).is_ok() && schedule(None, Some(second)).is_ok());
        assert!(schedule(Some(second), Some(second)).is_err());
        assert!(schedule(Some(Duration::ZERO), None).is_err());
        assert!(schedule(Some(second / 2), None).is_err());
    }

    #[test]
    fn what_is_waited_for_is_the_sum_of_what_may_pass() {
        let seconds = Duration::from_secs;
        let timing = Timing {
            refresh: seconds(70),
            lease: Some(seconds(300)),
            longest_request: seconds(20),
            clock_skew: seconds(3),
            ..Timing::default()
        };
        assert_eq!((timing.before_promotion(), timing.before_scan()), (seconds(73), seconds(323)));
        assert_eq!(Timing { lease: None, ..timing }.before_scan(), seconds(23));
    }
}
