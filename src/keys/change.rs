//! Who changed a keyring, when, and why.

use std::env;
use std::fmt;

use crate::crypto::key_id::KeyId;
use crate::error::{Error, ErrorKind};
use crate::timestamp::Timestamp;

/// One change of a [`Keyring`](super::Keyring), as its document records it.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{Keyring, LocalKek, SecretKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fieldseal::Error> {
/// let kek = LocalKek::new(&SecretKey::generate()?);
/// let mut keyring = Keyring::create("customers", &kek).await?.by("alice@example.sg", "quarterly rotation")?;
/// keyring.add_key(&kek).await?;
/// for change in keyring.changes() {
///     println!("{} {} {}: {}", change.at(), change.by(), change.action(), change.why());
/// }
/// assert_eq!(keyring.changes()[1].by(), "alice@example.sg");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub(super) revision: u64,
    pub(super) at: Timestamp,
    pub(super) by: String,
    pub(super) why: String,
    pub(super) action: String,
    pub(super) key: Option<KeyId>,
}

impl Change {
    /// Returns the revision that the change led to.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns when it was made, by the clock of whoever made it.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Returns who made it.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.by
    }

    /// Returns the reason given; empty where none was.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Returns what was done, in a few words: `added`, `promoted`, `disabled` and so on.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// Returns the key that it was done to, where it was one.
    #[must_use]
    pub fn key(&self) -> Option<KeyId> {
        self.key
    }
}

/// Who makes the next changes, and why.
#[derive(Clone)]
pub(super) struct Author {
    pub(super) by: String,
    pub(super) why: String,
}

impl Author {
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where a part is too long for the document, or has control characters.
    pub(super) fn parse(by: &str, why: &str) -> Result<Self, Error> {
        if by.is_empty() || !is_line(by) || !is_line(why) {
            let message = "who changes a keyring is 1 to 1,024 bytes of text, and why at most as much, both without \
                           line ends or other control characters";
            return Err(Error::new(ErrorKind::Keyring, message));
        }
        Ok(Self { by: by.to_owned(), why: why.to_owned() })
    }

    /// The user of this process, as far as its environment tells.
    pub(super) fn of_process() -> Self {
        let name = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|variable| env::var(variable).ok());
        let by = name.filter(|name| !name.is_empty() && is_line(name)).unwrap_or_else(|| "unknown".to_owned());
        Self { by, why: String::new() }
    }
}

impl fmt::Debug for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.by)
    }
}

/// Returns whether `text` can stand in the record of changes.
pub(super) fn is_line(text: &str) -> bool {
    text.len() <= 1024 && !text.chars().any(char::is_control)
}

/// Shortens `line` to what can stand in the record: the name of a key-encryption key may be as long as all of it.
pub(super) fn shortened(mut line: String) -> String {
    while !is_line(&line) {
        line.pop();
    }
    line
}
