//! One data key as its keyring lists it.

use std::fmt;

use super::state::KeyState;
use super::timestamp::Timestamp;
use super::wrapped_key::WrappedKey;
use crate::crypto::associated_data::write_part;
use crate::crypto::key_id::KeyId;

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
    pub(super) kek: String,
    /// There exactly as long as [`KeyState::is_held`] says.
    pub(super) wrapped: Option<WrappedKey>,
}

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

    /// Returns the name of the key-encryption key that wraps, or wrapped, this key.
    #[must_use]
    pub fn kek(&self) -> &str {
        &self.kek
    }

    /// Appends every part in canonical form. The id is a part of the commitment.
    pub(super) fn write_canonical(&self, out: &mut Vec<u8>) {
        let Self { commitment, state, created, kek, wrapped } = self;
        out.extend_from_slice(commitment);
        write_part(state.name().as_bytes(), out);
        out.extend_from_slice(&created.seconds().to_be_bytes());
        write_part(kek.as_bytes(), out);
        out.push(u8::from(wrapped.is_some()));
        write_part(wrapped.as_ref().map_or(&[], WrappedKey::as_bytes), out);
    }
}

impl fmt::Debug for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commitment: _, state, created, kek, wrapped } = self;
        f.debug_struct("KeyEntry")
            .field("id", &self.id())
            .field("state", state)
            .field("created", created)
            .field("kek", kek)
            .field("wrapped", wrapped)
            .finish()
    }
}
