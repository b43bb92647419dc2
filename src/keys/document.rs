//! The keyring as a document: its content, and the code that authenticates it.

use ctutils::CtEq;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::change::Change;
use super::json_form;
use super::key_entry::KeyEntry;
use super::keyring_name::KeyringName;
use super::state::KeyState;
use super::timing::{Schedule, Timing};
use super::wrapped_key::WrappedKey;
use crate::secret::{DERIVATION, SecretKey, on_clean_stack};
use crate::timestamp::Timestamp;

/// The one format, named in the document.
pub(super) const FORMAT: &str = "fieldseal/keyring/1";
const LABEL: &[u8] = b"fieldseal/v1/keyring\0";

/// The content of a keyring, of which nothing is to be trusted until [`is_authentic`](Document::is_authentic) holds.
pub(super) struct Document {
    pub(super) name: KeyringName,
    pub(super) revision: u64,
    pub(super) timing: Timing,
    pub(super) schedule: Schedule,
    /// Until when replicas may act by longer times than these.
    pub(super) slower: Option<Slower>,
    /// The key-encryption keys that were destroyed.
    pub(super) destroyed: Vec<String>,
    /// The key service that wrapped the authentication key.
    pub(super) kek: String,
    pub(super) wrapped: WrappedKey,
    pub(super) keys: Vec<KeyEntry>,
    /// The latest changes, oldest first.
    pub(super) changes: Vec<Change>,
    pub(super) mac: [u8; 32],
}

/// Until when a replica that has not read the latest times may act by the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slower {
    /// When every replica has read what was pending at the change.
    pub(super) promotion: Timestamp,
    /// When nobody writes under the lease from before the change any more.
    pub(super) scan: Timestamp,
}

/// Which document this is: no two with the same revision have the same code, unless they are the same.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    pub(super) revision: u64,
    mac: [u8; 32],
}

impl Document {
    /// Reads a document of the right form. A fault is told without anything of the content but key ids.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let document = json_form::read(json)?;
        document.check_keys()?;
        Ok(document)
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        json_form::write(self)
    }

    pub(super) fn stamp(&self) -> Stamp {
        Stamp { revision: self.revision, mac: self.mac }
    }

    /// Computes the code anew, after a change.
    pub(super) fn authenticate(&mut self, key: &SecretKey) {
        self.mac = self.code(key);
    }

    /// Returns whether the code was made with `key` over this content. Takes the same time whatever differs.
    pub(super) fn is_authentic(&self, key: &SecretKey) -> bool {
        self.code(key).ct_eq(&self.mac).into()
    }

    /// HMAC-SHA-256 (RFC 2104) over a label and everything but the code itself, as canonical JSON (RFC 8785).
    fn code(&self, key: &SecretKey) -> [u8; 32] {
        let mut bytes = LABEL.to_vec();
        json_form::write_canonical(self, &mut bytes);
        on_clean_stack::<DERIVATION, _>(|| {
            let code = Hmac::<Sha256>::new_from_slice(key.expose_secret()).expect("HMAC takes keys of any length");
            code.chain_update(bytes).finalize().into_bytes().into()
        })
    }

    fn check_keys(&self) -> Result<(), String> {
        if self.keys.iter().filter(|entry| entry.state == KeyState::Primary).count() > 1 {
            return Err("names more than one primary key".to_owned());
        }
        for (index, entry) in self.keys.iter().enumerate() {
            let id = entry.id();
            if self.keys[..index].iter().any(|other| other.id() == id) {
                return Err(format!("lists key {id} twice"));
            }
            if entry.wrapped.is_some() != entry.state.is_held() {
                let what = if entry.wrapped.is_some() { "still holds" } else { "does not hold" };
                return Err(format!("{what} the wrapped key {id}, whose state is {}", entry.state));
            }
        }
        Ok(())
    }
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Self) -> bool {
        self.revision == other.revision && self.mac.ct_eq(&other.mac).into()
    }
}
