//! The id by which a token names its key.

use std::fmt;
use std::str::FromStr;

use base64_simd::URL_SAFE_NO_PAD;

use super::token::{TEXT_MARK, VERSION};
use crate::error::{Error, ErrorKind};

/// The id of a data key: the first 8 bytes of a commitment that is derived from the key itself.
///
/// Written as 16 hexadecimal digits.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{DataKey, KeyId, SecretKey};
///
/// let id = DataKey::new(&SecretKey::from_bytes(&[7; 32])).id();
/// assert_eq!(id.to_string().parse::<KeyId>()?, id);
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub(crate) [u8; KeyId::LENGTH]);

impl KeyId {
    pub(crate) const LENGTH: usize = 8;

    /// Returns the 16 characters with which every token under this key begins.
    ///
    /// In SQL, under a binary collation: `WHERE phone >= $1 AND phone < $2`, where `$2` is the prefix with `~` behind
    /// it. Not `LIKE`: the alphabet holds `_`, which is a wildcard there.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::keys::KeyId;
    ///
    /// let id: KeyId = "0000000000000000".parse()?;
    /// assert_eq!(id.token_prefix(), "fs1.AQAAAAAAAAAA");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    #[must_use]
    pub fn token_prefix(&self) -> String {
        let mut header = [VERSION; 1 + Self::LENGTH];
        header[1..].copy_from_slice(&self.0);
        format!("{TEXT_MARK}{}", URL_SAFE_NO_PAD.encode_to_string(header))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = Error;

    /// Reads 16 lower-case hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match u64::from_str_radix(text, 16) {
            Ok(id) if digits => Ok(Self(id.to_be_bytes())),
            _ => Err(Error::new(ErrorKind::Keyring, "a key id is 16 lower-case hexadecimal digits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_has_one_spelling() {
        let id = KeyId([0, 1, 2, 3, 0xca, 0xfe, 6, 7]);
        assert_eq!(id.to_string().parse::<KeyId>().unwrap(), id);
        for text in
            ["", "00010203CAFE0607", "00010203cafe060", "000010203cafe0607", "+0010203cafe0607", "00010203cafe060g"]
        {
            assert!(text.parse::<KeyId>().is_err(), "{text}");
        }
    }
}
