//! The name that everything in a keyring is bound to.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// The name of a keyring: 1 to 128 ASCII letters, digits and `- _ . /`, so that every key service takes it as context
/// and no log is confused by it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct KeyringName(Arc<str>);

impl KeyringName {
    pub(super) fn parse(name: &str) -> Result<Self, Error> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        if (1..=128).contains(&name.len()) && name.bytes().all(fits) {
            return Ok(Self(name.into()));
        }
        Err(Error::new(
            ErrorKind::Keyring,
            "the name of a keyring is 1 to 128 ASCII letters, digits and the characters - _ . /",
        ))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyringName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_ascii_of_bounded_length() {
        for good in ["a", "customers", "sg/prod-1_customers.v2", &"a".repeat(128)] {
            assert_eq!(KeyringName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a\n", "kundén", "a`b", &"a".repeat(129)] {
            assert!(KeyringName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
