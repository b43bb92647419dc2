//! What a key table holds of one subject.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::subject::Subject;
use crate::crypto::associated_data::write_part;
use crate::crypto::data_key::DataKey;
use crate::crypto::key_id::KeyId;
use crate::crypto::key_wrap::{self, WRAPPED_LENGTH};
use crate::error::{Error, ErrorKind};
use crate::secret::SecretKey;
use crate::timestamp::Timestamp;

/// The entry of one subject in a key table: its key, wrapped under a data key, or the tombstone of one that was erased.
///
/// A [store](super::SubjectKeyStore) keeps its [bytes](Self::to_bytes) and need not understand them.
///
/// # Example
///
/// ```
/// use fieldseal::keys::SubjectKeyEntry;
///
/// assert!(SubjectKeyEntry::from_bytes(b"what else stands there").is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectKeyEntry {
    commitment: [u8; 32],
    state: State,
}

#[derive(Clone, PartialEq, Eq)]
enum State {
    Wrapped { by: KeyId, key: [u8; WRAPPED_LENGTH] },
    Erased { at: Timestamp },
}

impl SubjectKeyEntry {
    /// Wraps `secret` as the key of `subject`, and returns it ready for use as well.
    pub(super) fn wrap(by: &DataKey, subject: &Subject, secret: &SecretKey) -> Result<(Self, DataKey), Error> {
        let key = DataKey::new(secret);
        let (by_id, commitment) = (by.id(), *key.commitment());
        let wrapped = key_wrap::wrap(by.wrap(), secret, &associated_data(by_id, &commitment, subject))?;
        Ok((Self { commitment, state: State::Wrapped { by: by_id, key: wrapped } }, key))
    }

    /// Unwraps the key of `subject` with `by`, the data key that wrapped it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the entry was altered, or is another subject's; [`ErrorKind::Erased`].
    pub(super) fn unwrap(&self, by: &DataKey, subject: &Subject) -> Result<(SecretKey, DataKey), Error> {
        let key = match &self.state {
            State::Wrapped { key, .. } => key,
            State::Erased { at } => return Err(Error::erased(*at)),
        };
        let fault = || {
            let message = "the key table holds a key that does not open for its subject: its row was changed, or put in \
                           another's place; restore it";
            Error::new(ErrorKind::Keyring, message)
        };
        let data = associated_data(by.id(), &self.commitment, subject);
        let secret = key_wrap::unwrap(by.wrap(), key, &data).map_err(|_| fault())?;
        let key = DataKey::new(&secret);
        if key.is_committed_to_by(&self.commitment) { Ok((secret, key)) } else { Err(fault()) }
    }

    /// Returns the tombstone of the same key.
    pub(super) fn to_erased(&self, at: Timestamp) -> Self {
        Self { state: State::Erased { at }, ..self.clone() }
    }

    /// Returns the id that tokens under this key carry, or carried.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId(*self.commitment.first_chunk().expect("a commitment has 32 bytes"))
    }

    /// Returns the id of the data key that wraps it; nothing where it was erased.
    #[must_use]
    pub fn wrapped_by(&self) -> Option<KeyId> {
        match self.state {
            State::Wrapped { by, .. } => Some(by),
            State::Erased { .. } => None,
        }
    }

    /// Returns when the key was erased, if it was.
    #[must_use]
    pub fn erased_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Wrapped { .. } => None,
            State::Erased { at } => Some(at),
        }
    }

    /// Returns the bytes to store: 113 of a key, 41 of a tombstone.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { commitment, state } = self;
        match state {
            State::Wrapped { by, key } => [&[WRAPPED], &by.0[..], commitment, key].concat(),
            State::Erased { at } => {
                let since = SystemTime::from(*at).duration_since(UNIX_EPOCH).unwrap_or_default();
                [&[ERASED], &commitment[..], &since.as_secs().to_be_bytes()].concat()
            }
        }
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let message = "the key table holds something that is no key of a subject: restore the row";
        Self::parse(bytes).ok_or_else(|| Error::new(ErrorKind::Keyring, message))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first()?;
        match *form {
            WRAPPED => {
                let (by, rest) = rest.split_first_chunk()?;
                let (commitment, rest) = rest.split_first_chunk()?;
                let state = State::Wrapped { by: KeyId(*by), key: rest.try_into().ok()? };
                Some(Self { commitment: *commitment, state })
            }
            ERASED => {
                let (commitment, rest) = rest.split_first_chunk()?;
                let since = Duration::from_secs(u64::from_be_bytes(rest.try_into().ok()?));
                let at = Timestamp::from(UNIX_EPOCH.checked_add(since)?);
                Some(Self { commitment: *commitment, state: State::Erased { at } })
            }
            _ => None,
        }
    }
}

/// What a wrapped key is bound to: the key that wraps it, its own commitment, the tenant or none, and the subject.
fn associated_data(by: KeyId, commitment: &[u8; 32], subject: &Subject) -> Vec<u8> {
    let mut bytes = [b"fieldseal/v1/subject-key\0", &by.0[..], commitment].concat();
    bytes.push(u8::from(subject.tenant().is_some()));
    write_part(subject.tenant().unwrap_or_default().as_bytes(), &mut bytes);
    write_part(subject.id().as_bytes(), &mut bytes);
    bytes
}

impl fmt::Debug for SubjectKeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectKeyEntry")
            .field("key_id", &self.key_id())
            .field("wrapped_by", &self.wrapped_by())
            .field("erased_at", &self.erased_at())
            .finish()
    }
}

/// The forms of an entry.
const WRAPPED: u8 = 0x01;
const ERASED: u8 = 0x02;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> DataKey {
        DataKey::new(&SecretKey::from_bytes(&[byte; 32]))
    }

    fn subject(id: &str) -> Subject {
        Subject::new(id).unwrap()
    }

    fn wrapped() -> SubjectKeyEntry {
        SubjectKeyEntry::wrap(&key(7), &subject("7"), &SecretKey::from_bytes(&[9; 32])).unwrap().0
    }

    #[test]
    fn a_key_opens_for_its_subject_and_under_its_data_key_only() {
        let entry = wrapped();
        let (secret, opened) = entry.unwrap(&key(7), &subject("7")).unwrap();
        assert_eq!((secret.expose_secret(), opened.id(), entry.key_id()), (&[9; 32], key(9).id(), key(9).id()));
        for other in [subject("8"), subject("7").of_tenant("acme").unwrap(), subject("77")] {
            assert_eq!(entry.unwrap(&key(7), &other).unwrap_err().kind(), ErrorKind::Keyring);
        }
        assert_eq!(entry.unwrap(&key(8), &subject("7")).unwrap_err().kind(), ErrorKind::Keyring);
        // The same letters, divided otherwise between tenant and subject.
        let entry =
            |tenant: &str, id: &str| associated_data(key(7).id(), &[0; 32], &subject(id).of_tenant(tenant).unwrap());
        assert_ne!(entry("a", "bc"), entry("ab", "c"));
    }

    #[test]
    fn no_single_bit_of_an_entry_can_change() {
        let bytes = wrapped().to_bytes();
        assert_eq!(bytes.len(), 113);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(entry) = SubjectKeyEntry::from_bytes(&changed) else { continue };
            // Whoever looks for the key by an id that was changed finds none.
            let is_found = entry.wrapped_by() == Some(key(7).id());
            assert!(!is_found || entry.unwrap(&key(7), &subject("7")).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(SubjectKeyEntry::from_bytes(&bytes[..length]).is_err());
        }
        assert!(SubjectKeyEntry::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_tombstone_holds_nothing_of_the_key_but_its_commitment() {
        let at = "2026-11-26T09:00:00Z".parse().unwrap();
        let erased = wrapped().to_erased(at);
        let bytes = erased.to_bytes();
        assert_eq!((bytes.len(), &bytes[1..33]), (41, &key(9).commitment()[..]));
        let read = SubjectKeyEntry::from_bytes(&bytes).unwrap();
        assert_eq!((read.erased_at(), read.key_id(), read.wrapped_by()), (Some(at), key(9).id(), None));
        assert_eq!(read.unwrap(&key(7), &subject("7")).unwrap_err().kind(), ErrorKind::Erased);
        assert_eq!(read, erased);
    }
}
