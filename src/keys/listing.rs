//! What a keyring says of its keys, without any of them.

use super::change::Change;
use super::document::Document;
use super::key_entry::KeyEntry;
use super::keyring::Keyring;
use crate::error::{Error, ErrorKind};

/// What a [`Keyring`] says of its keys: for reports, which open nothing.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{Keyring, KeyringListing, LocalKek, SecretKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fieldseal::Error> {
/// let keyring = Keyring::create("customers", &LocalKek::new(&SecretKey::generate()?)).await?;
/// let listing = KeyringListing::from(&keyring);
/// assert!(listing.is_authenticated());
///
/// // Where the key service cannot be asked, such as on a machine that is cut off from it.
/// let listing = KeyringListing::dangerous_without_authentication(&keyring.to_json())?;
/// assert!(!listing.is_authenticated());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct KeyringListing {
    name: String,
    revision: u64,
    keys: Vec<KeyEntry>,
    changes: Vec<Change>,
    is_authenticated: bool,
}

impl KeyringListing {
    /// Reads the JSON of a keyring without a key-encryption key, and so without a proof that nobody altered it: whoever
    /// could write it may have made a key that lives look like one that was destroyed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the document is cut short or of another form.
    pub fn dangerous_without_authentication(json: &[u8]) -> Result<Self, Error> {
        let unusable = |fault| format!("the keyring {fault}: restore the last good copy");
        let document = Document::parse(json).map_err(|fault| Error::new(ErrorKind::Keyring, unusable(fault)))?;
        Ok(Self::of(&document, false))
    }

    fn of(document: &Document, is_authenticated: bool) -> Self {
        Self {
            name: document.name.as_str().to_owned(),
            revision: document.revision,
            keys: document.keys.clone(),
            changes: document.changes.clone(),
            is_authenticated,
        }
    }

    /// Returns the name of the keyring.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number that each change raises by one.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the keys, oldest first.
    #[must_use]
    pub fn keys(&self) -> &[KeyEntry] {
        &self.keys
    }

    /// Returns the latest 1,000 changes, oldest first.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Returns whether the key-encryption key proved that the keyring was not altered.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.is_authenticated
    }
}

impl From<&Keyring> for KeyringListing {
    fn from(keyring: &Keyring) -> Self {
        Self::of(&keyring.document, true)
    }
}
