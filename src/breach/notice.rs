//! The figures that a duty to notify asks for.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::report::Beside;
use super::tally::People;
use crate::error::{Error, ErrorKind};
use crate::timestamp::Timestamp;

/// The duty to notify that the report gives figures for: as of Singapore's PDPA, unless set.
///
/// # Example
///
/// ```
/// use fieldseal::breach::Duty;
///
/// let duty = Duty::default().assessed("2026-11-24")?;
/// assert_eq!(duty.notify_by().as_deref(), Some("2026-11-27"));
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Duty {
    people: u64,
    days: u16,
    assessed: Option<Timestamp>,
}

impl Default for Duty {
    /// 500 people, three calendar days after the day of the assessment.
    fn default() -> Self {
        Self { people: 500, days: 3, assessed: None }
    }
}

impl Duty {
    /// Sets from how many people on there is a duty.
    #[must_use]
    pub fn people(mut self, people: u64) -> Self {
        self.people = people;
        self
    }

    /// Sets how many calendar days there are, from the day after the assessment on.
    #[must_use]
    pub fn days(mut self, days: u16) -> Self {
        self.days = days;
        self
    }

    /// Says on which day the breach was assessed, as `2026-11-24`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] where that is no day.
    pub fn assessed(mut self, day: &str) -> Result<Self, Error> {
        let no_day = || Error::new(ErrorKind::InvalidValue, "a day is written like 2026-11-24");
        self.assessed = Some(Timestamp::parse(&format!("{day}T00:00:00Z")).ok_or_else(no_day)?);
        Ok(self)
    }

    /// Returns the last day on which the duty can be met, where the day of the assessment is known.
    #[must_use]
    pub fn notify_by(&self) -> Option<String> {
        let days = Duration::from_secs(u64::from(self.days) * 86_400);
        Some(day_of(Timestamp::from(SystemTime::from(self.assessed?) + days)))
    }
}

fn day_of(moment: Timestamp) -> String {
    moment.to_string().chars().take_while(|&c| c != 'T').collect()
}

/// The figures that a duty to notify asks for. Whether there is one is for a lawyer to say.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Notice {
    /// From how many people on there is a duty.
    pub threshold: u64,
    /// How many people's data was taken, encrypted or not, at most.
    pub taken_at_most: u64,
    /// Of how many people something can be read, at least.
    pub exposed_at_least: u64,
    /// The same at most: with those under unknown keys, and what stands beside the records.
    pub exposed_at_most: u64,
    /// Whether those whose data was taken reach the threshold.
    pub taken_reaches_threshold: bool,
    /// Whether those who may be exposed do.
    pub exposed_reaches_threshold: bool,
    /// How many calendar days there are after the day of the assessment.
    pub days: u16,
    /// The day of the assessment.
    pub assessed: Option<String>,
    /// The last of these days.
    pub notify_by: Option<String>,
}

impl Notice {
    pub(super) fn of(duty: &Duty, people: People, beside: Beside) -> Self {
        let taken_at_most = people.touched + beside.tokens;
        let exposed_at_most = people.exposed_or_unknown() + beside.in_reach + beside.unknown_key;
        Self {
            threshold: duty.people,
            taken_at_most,
            exposed_at_least: people.exposed,
            exposed_at_most,
            taken_reaches_threshold: taken_at_most >= duty.people,
            exposed_reaches_threshold: exposed_at_most >= duty.people,
            days: duty.days,
            assessed: duty.assessed.map(day_of),
            notify_by: duty.notify_by(),
        }
    }
}
