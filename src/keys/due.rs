//! Keys that should have been relieved or destroyed by now.

use std::fmt;
use std::time::SystemTime;

use super::key_entry::KeyEntry;
use super::keyring::Keyring;
use super::state::KeyState;
use crate::crypto::key_id::KeyId;
use crate::timestamp::Timestamp;

/// What the [`Schedule`](super::Schedule) of a keyring says about one key. It is reported and never acted on.
///
/// # Example
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use fieldseal::keys::{Due, Keyring, LocalKek, Schedule, SecretKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fieldseal::Error> {
/// let mut keyring = Keyring::create("customers", &LocalKek::new(&SecretKey::generate()?)).await?;
/// let day = Duration::from_secs(86_400);
/// keyring.set_schedule(Schedule { rotate_every: Some(90 * day), lifetime: Some(365 * day) })?;
/// assert_eq!(keyring.due(SystemTime::now()), []);
/// assert!(matches!(keyring.due(SystemTime::now() + 91 * day)[..], [Due::Rotation { .. }]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Due {
    /// The key has been the primary one for longer than the rotation period.
    Rotation {
        /// The primary key.
        key: KeyId,
        /// Since when another one should encrypt.
        since: Timestamp,
    },
    /// The key is older than the lifetime of keys.
    End {
        /// The key, which can still be unwrapped.
        key: KeyId,
        /// Since when it should be gone.
        since: Timestamp,
    },
}

impl Keyring {
    /// Returns what is due at `now`, oldest keys first.
    #[must_use]
    pub fn due(&self, now: SystemTime) -> Vec<Due> {
        let (schedule, now) = (self.schedule(), Timestamp::from(now));
        let held = self.keys().iter().filter(|entry| entry.state().is_held());
        held.flat_map(|entry| {
            let end = schedule.lifetime.map(|lifetime| entry.created().after(lifetime));
            let rotation = schedule.rotate_every.filter(|_| entry.state() == KeyState::Primary);
            let rotation = rotation.map(|period| primary_since(entry).after(period));
            [
                rotation.map(|since| Due::Rotation { key: entry.id(), since }),
                end.map(|since| Due::End { key: entry.id(), since }),
            ]
        })
        .flatten()
        .filter(|due| due.since() <= now)
        .collect()
    }
}

impl Due {
    fn since(&self) -> Timestamp {
        match *self {
            Self::Rotation { since, .. } | Self::End { since, .. } => since,
        }
    }
}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rotation { key, since } => {
                write!(f, "key {key} should have been relieved by another one since {since}")
            }
            Self::End { key, since } => write!(f, "key {key} has been past its lifetime since {since}"),
        }
    }
}

fn primary_since(entry: &KeyEntry) -> Timestamp {
    entry.changed()
}
