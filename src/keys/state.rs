//! What a key may still do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state of a data key in its keyring.
///
/// ```text
/// pending ──▶ primary ◀──▶ enabled ◀──▶ disabled ──▶ forgotten ──▶ shredded
///    └───────────────────────────────────▲
/// ```
///
/// # Example
///
/// ```
/// use fieldseal::keys::KeyState;
///
/// assert!(KeyState::Enabled.can_decrypt() && !KeyState::Enabled.can_encrypt());
/// assert!(!KeyState::Enabled.can_become(KeyState::Forgotten));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum KeyState {
    /// Published, so that every replica can decrypt with it before the first one encrypts with it.
    Pending,
    /// The one key that encrypts. It also decrypts.
    Primary,
    /// Decrypts what was written while it was the primary key.
    Enabled,
    /// Refuses to decrypt, and can be enabled again: the rehearsal of its end.
    Disabled,
    /// The wrapped key was dropped from this keyring. An older copy of the keyring still gives it back for as long as
    /// the key-encryption key lives.
    Forgotten,
    /// The key-encryption key was destroyed in the key service: no copy of anything gives the key back.
    Shredded,
}

impl KeyState {
    /// Returns whether new values are encrypted with a key in this state.
    #[must_use]
    pub fn can_encrypt(self) -> bool {
        self == Self::Primary
    }

    /// Returns whether stored values are decrypted with a key in this state.
    #[must_use]
    pub fn can_decrypt(self) -> bool {
        matches!(self, Self::Pending | Self::Primary | Self::Enabled)
    }

    /// Returns whether the keyring still holds the wrapped key.
    #[must_use]
    pub fn is_held(self) -> bool {
        !matches!(self, Self::Forgotten | Self::Shredded)
    }

    /// Returns whether a key may go from this state to `next`. The primary key becomes enabled only by the promotion
    /// of another.
    #[must_use]
    pub fn can_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Pending | Self::Enabled, Self::Primary | Self::Disabled)
                | (Self::Primary | Self::Disabled, Self::Enabled)
                | (Self::Disabled, Self::Forgotten)
                | (Self::Forgotten, Self::Shredded)
        )
    }

    /// Returns the name that stands in the keyring document.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Primary => "primary",
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Forgotten => "forgotten",
            Self::Shredded => "shredded",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::KeyState::{self, Disabled, Enabled, Forgotten, Pending, Primary, Shredded};

    const ALL: [KeyState; 6] = [Pending, Primary, Enabled, Disabled, Forgotten, Shredded];

    #[test]
    fn only_the_listed_changes_are_legal() {
        let legal = [
            (Pending, Primary),
            (Pending, Disabled),
            (Primary, Enabled),
            (Enabled, Primary),
            (Enabled, Disabled),
            (Disabled, Enabled),
            (Disabled, Forgotten),
            (Forgotten, Shredded),
        ];
        for from in ALL {
            for to in ALL {
                assert_eq!(from.can_become(to), legal.contains(&(from, to)), "{from} to {to}");
            }
        }
    }

    #[test]
    fn each_state_allows_what_it_says() {
        let table = ALL.map(|state| (state.can_encrypt(), state.can_decrypt(), state.is_held()));
        let (yes, no) = (true, false);
        let expected = [(no, yes, yes), (yes, yes, yes), (no, yes, yes), (no, no, yes), (no, no, no), (no, no, no)];
        assert_eq!(table, expected);
    }

    #[test]
    fn the_name_is_the_one_that_serde_writes() {
        for state in ALL {
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
        }
    }
}
