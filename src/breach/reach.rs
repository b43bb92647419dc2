//! What was in reach of the thief, and what that makes of each key.

use std::fmt;

use serde::Serialize;

use crate::error::{Error, ErrorKind};
use crate::keys::{KeyEntry, KeyState, KeyringListing};
use crate::timestamp::Timestamp;

/// What the thief had beside the dump, and when.
///
/// A key opens what is under it for whoever has it wrapped, in a copy of the keyring, and can have it unwrapped by a
/// key-encryption key that ever wrapped it: what was destroyed since makes no difference to who had both before.
///
/// # Example
///
/// ```
/// use fieldseal::breach::Reach;
///
/// let reach = Reach::new().keyring().kek("local:0db05f1077747a36").at("2026-11-20T03:00:00Z".parse()?);
/// # let _ = reach;
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Reach {
    keyring: bool,
    old_keyrings: bool,
    service: bool,
    keks: Vec<String>,
    at: Option<Timestamp>,
}

impl Reach {
    /// The dump, and nothing else.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a copy of the keyring from the time of the theft, which holds the keys that were not forgotten then.
    #[must_use]
    pub fn keyring(mut self) -> Self {
        self.keyring = true;
        self
    }

    /// Adds older copies of the keyring, such as those in backups, which hold forgotten keys as well.
    #[must_use]
    pub fn old_keyrings(mut self) -> Self {
        self.old_keyrings = true;
        self
    }

    /// Adds the running service: its memory, or its place, with all that it can decrypt.
    #[must_use]
    pub fn service(mut self) -> Self {
        self.service = true;
        self
    }

    /// Adds the key-encryption key of that name, or the use of it.
    #[must_use]
    pub fn kek(mut self, name: impl Into<String>) -> Self {
        self.keks.push(name.into());
        self
    }

    /// Says when it happened. Unless told, any time is possible.
    #[must_use]
    pub fn at(mut self, moment: Timestamp) -> Self {
        self.at = Some(moment);
        self
    }

    pub(super) fn moment(&self) -> Option<Timestamp> {
        self.at
    }

    pub(super) fn has_kek(&self) -> bool {
        !self.keks.is_empty()
    }

    /// What the thief had, in words.
    pub(super) fn told(&self) -> Vec<String> {
        let flags = [
            (self.keyring, "the keyring"),
            (self.old_keyrings, "older copies of the keyring"),
            (self.service, "the running service"),
        ];
        let flags = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name.to_owned());
        let keks = self.keks.iter().map(|name| format!("the key-encryption key `{name}`"));
        ["the dump".to_owned()].into_iter().chain(flags).chain(keks).collect()
    }

    /// Refuses the name of a key-encryption key that never wrapped any key.
    pub(super) fn check(&self, listings: &[KeyringListing]) -> Result<(), Error> {
        let known: Vec<&str> = listings.iter().flat_map(KeyringListing::keys).flat_map(keks).collect();
        if self.keks.iter().all(|name| known.contains(&name.as_str())) {
            return Ok(());
        }
        let mut known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        known.sort_unstable();
        known.dedup();
        // What was given is not repeated: it may be the key itself.
        let message = format!(
            "a key-encryption key that the thief had is not one of those that ever wrapped a key of the keyring, which are \
             {}: name it as `keys list` does",
            known.join(", ")
        );
        Err(Error::new(ErrorKind::Keyring, message))
    }

    /// What becomes of what is under `entry`, where the thief has the keyring too if `dump_holds_keyring`.
    pub(super) fn standing(&self, listing: &KeyringListing, entry: &KeyEntry, dump_holds_keyring: bool) -> Standing {
        let was_held = self.at.is_none_or(|at| was_held(listing, entry, at));
        let has_wrapped = self.old_keyrings || (self.keyring || dump_holds_keyring) && was_held;
        let has_kek = keks(entry).any(|kek| self.keks.iter().any(|name| name == kek));
        if self.service && was_held || has_wrapped && has_kek {
            return Standing::InReach;
        }
        match entry.state() {
            KeyState::Forgotten => Standing::Forgotten,
            KeyState::Shredded => Standing::Shredded,
            _ => Standing::Alive,
        }
    }
}

/// Every key-encryption key that wraps, or wrapped, the key.
fn keks(entry: &KeyEntry) -> impl Iterator<Item = &str> {
    entry.former_keks().iter().map(String::as_str).chain([entry.kek()])
}

/// Whether the keyring held the key at `at`, as far as it tells. A key that is younger than the theft shows that the
/// time is wrong, and so nothing.
fn was_held(listing: &KeyringListing, entry: &KeyEntry, at: Timestamp) -> bool {
    if entry.state().is_held() || entry.created() > at {
        return true;
    }
    let is_end = |change: &&crate::keys::Change| {
        change.key() == Some(entry.id()) && change.action().starts_with(KeyState::Forgotten.to_string().as_str())
    };
    let recorded = listing.changes().iter().find(is_end).map(crate::keys::Change::at);
    // A shredded key was forgotten before, at a time that only the record tells.
    let since = recorded.or_else(|| (entry.state() == KeyState::Forgotten).then(|| entry.changed()));
    since.is_none_or(|since| at < since)
}

/// What is known of a key, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Standing {
    /// The thief had what opens it.
    InReach,
    /// It is not in the keyring, so nothing is known of it.
    Unknown,
    /// It lives, and the thief did not have what opens it. Whoever gets that later reads what was stolen.
    Alive,
    /// It was dropped from the keyring. An older copy of that and the key-encryption key bring it back.
    Forgotten,
    /// The key-encryption key was destroyed, with a receipt: nothing opens what is under it.
    Shredded,
}

impl Standing {
    pub(super) const ALL: [Self; 5] = [Self::InReach, Self::Unknown, Self::Alive, Self::Forgotten, Self::Shredded];

    /// Returns what it is called in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InReach => "in reach",
            Self::Unknown => "unknown key",
            Self::Alive => "alive",
            Self::Forgotten => "forgotten",
            Self::Shredded => "shredded",
        }
    }

    pub(super) fn told(self) -> &'static str {
        match self {
            Self::InReach => "the thief had what opens it",
            Self::Unknown => "not in this keyring: look for the keyring that it is from, or for a later revision",
            Self::Alive => "lives, out of reach of the thief as told: what was stolen stays closed while it is kept so",
            Self::Forgotten => "dropped from the keyring: an older copy and the key-encryption key bring it back",
            Self::Shredded => "destroyed with a receipt: nothing opens what is under it",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
