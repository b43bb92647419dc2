//! One data key as its keyring lists it.

use std::fmt;

use super::state::KeyState;
use super::wrapped_key::WrappedKey;
use crate::crypto::key_id::KeyId;
use crate::timestamp::Timestamp;

/// What a [`Keyring`](super::Keyring) says about one of its data keys.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{KeyState, Keyring, LocalKek, SecretKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fieldseal::Error> {
/// let keyring = Keyring::create("customers", &LocalKek::new(&SecretKey::generate()?)).await?;
/// for entry in keyring.keys() {
///     println!("{}  {:9}  {}", entry.id(), entry.state(), entry.created());
/// }
/// assert_eq!(keyring.keys()[0].state(), KeyState::Primary);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct KeyEntry {
    pub(super) commitment: [u8; 32],
    pub(super) state: KeyState,
    pub(super) created: Timestamp,
    /// When the state was last changed.
    pub(super) changed: Timestamp,
    /// When another key took its place as the primary one. None where it never was, or is again.
    pub(super) relieved: Option<Timestamp>,
    /// When scans that prove that nothing needs it any more were recorded.
    pub(super) clean_scans: Vec<Timestamp>,
    pub(super) kek: String,
    /// The key-encryption keys that wrapped it before: copies of the keyring from then still hold it under them.
    pub(super) former_keks: Vec<String>,
    /// There exactly as long as [`KeyState::is_held`] says.
    pub(super) wrapped: Option<WrappedKey>,
    /// What the key service said when it destroyed the key-encryption key.
    pub(super) receipt: Option<String>,
}

/// How many clean scans it takes to forget a key.
pub(super) const SCANS_NEEDED: usize = 2;

impl KeyEntry {
    /// Returns the id that tokens under this key carry: the first 8 bytes of its commitment.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let mut id = [0; KeyId::LENGTH];
        id.copy_from_slice(&self.commitment[..KeyId::LENGTH]);
        KeyId(id)
    }

    /// Returns the public commitment, which only this key has.
    #[must_use]
    pub fn commitment(&self) -> &[u8; 32] {
        &self.commitment
    }

    /// Returns what the key may still do.
    #[must_use]
    pub fn state(&self) -> KeyState {
        self.state
    }

    /// Returns when the key was made.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Returns when the state was last changed.
    #[must_use]
    pub fn changed(&self) -> Timestamp {
        self.changed
    }

    /// Returns when another key took its place as the primary one; nothing where it never was, or is again.
    #[must_use]
    pub fn relieved(&self) -> Option<Timestamp> {
        self.relieved
    }

    /// Returns when scans that prove that nothing needs the key any more were recorded. It takes two to forget it.
    #[must_use]
    pub fn clean_scans(&self) -> &[Timestamp] {
        &self.clean_scans
    }

    /// Returns how many clean scans are missing before the key can be forgotten: none for one that was never primary.
    #[must_use]
    pub fn scans_missing(&self) -> usize {
        if self.relieved.is_some() { SCANS_NEEDED.saturating_sub(self.clean_scans.len()) } else { 0 }
    }

    /// Returns the name of the key-encryption key that wraps, or wrapped, this key.
    #[must_use]
    pub fn kek(&self) -> &str {
        &self.kek
    }

    /// Returns the names of the key-encryption keys that wrapped this key before. Copies of the keyring from then still
    /// hold it under them.
    #[must_use]
    pub fn former_keks(&self) -> &[String] {
        &self.former_keks
    }

    /// Every key-encryption key that wraps, or wrapped, this key.
    pub(super) fn keks(&self) -> impl Iterator<Item = &str> {
        self.former_keks.iter().chain([&self.kek]).map(String::as_str)
    }

    /// Returns what the key service said when it destroyed the key-encryption key of a shredded key.
    #[must_use]
    pub fn receipt(&self) -> Option<&str> {
        self.receipt.as_deref()
    }
}

impl fmt::Debug for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commitment: _, state, created, changed, relieved, clean_scans, kek, former_keks, wrapped, receipt } =
            self;
        f.debug_struct("KeyEntry")
            .field("id", &self.id())
            .field("state", state)
            .field("created", created)
            .field("changed", changed)
            .field("relieved", relieved)
            .field("clean_scans", clean_scans)
            .field("kek", kek)
            .field("former_keks", former_keks)
            .field("wrapped", wrapped)
            .field("receipt", receipt)
            .finish()
    }
}
