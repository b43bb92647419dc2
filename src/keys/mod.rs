//! Where keys come from, and when they end.
//!
//! A **key-encryption key** stays in a key service and wraps **data keys**. The wrapped data keys stand in a
//! [`Keyring`], a small document that holds nothing usable without the service. Services hold [`Keys`], which are
//! unwrapped once, kept in memory, and exchanged as a whole when the keyring changes.
//!
//! | type | what it is |
//! |---|---|
//! | [`KeyService`] | the one joint to key services: wrap and unwrap |
//! | [`LocalKek`] | a key-encryption key in a file or an environment variable |
//! | `AwsKms`, `GcpKms`, `Pkcs11Kek`, `VaultTransit` | one in a key service, each with its feature |
//! | `Resilient` | time-outs, retries and a cache for a key service |
//! | [`Keyring`], [`KeyringFile`] | the wrapped keys with their states, and the file in which they stand |
//! | [`KeyState`] | what a key may still do |
//! | [`KeyringListing`] | what a keyring says of its keys, for reports |
//! | [`Keys`] | the unwrapped keys that a service works with |
//! | [`SubjectKeys`] | a key for each person, which erases them when it is deleted |
//! | `KeyringTable`, `SubjectKeyTable` | a keyring in PostgreSQL; the keys of persons in SQLite or PostgreSQL, each with its feature |
//!
//! # Example
//!
//! ```
//! use fieldseal::keys::{Keyring, KeyringFile, Keys, LocalKek};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! let kek = LocalKek::create_file(directory.join("kek"))?;
//! let store = KeyringFile::new(directory.join("keyring.json"));
//! let mut keyring = Keyring::create("customers", &kek).await?;
//! keyring.save(&store).await?;
//!
//! let keys = Keys::open(store, kek).await?;
//! assert_eq!(keys.primary_id(), Some(keyring.keys()[0].id()));
//! # Ok(())
//! # }
//! ```

mod canonical;
mod change;
mod destruction;
mod document;
mod due;
#[cfg(test)]
mod fleet_model;
mod handle;
mod in_force;
mod json_form;
mod key_entry;
mod key_service;
mod key_services;
mod key_set;
mod keyring;
mod keyring_file;
mod keyring_name;
#[cfg(feature = "postgres")]
mod keyring_table;
mod lease;
mod listing;
mod local;
mod private_file;
mod rewrap;
mod rotation;
#[cfg(feature = "key-service")]
mod services;
mod state;
mod store;
mod subjects;
mod timing;
mod witness;
mod wrap_context;
mod wrapped_key;

pub use self::change::Change;
pub use self::due::Due;
pub use self::handle::Keys;
pub(crate) use self::in_force::{HeldKeys, PrimaryKey};
pub use self::key_entry::KeyEntry;
pub use self::key_service::{KeyService, KeyServiceFuture};
pub use self::key_services::KeyServices;
pub(crate) use self::key_set::KeySet;
pub use self::keyring::Keyring;
pub use self::keyring_file::KeyringFile;
#[cfg(feature = "postgres")]
pub use self::keyring_table::KeyringTable;
pub(crate) use self::lease::Term;
pub use self::listing::KeyringListing;
pub use self::local::LocalKek;
#[cfg(feature = "aws-kms")]
pub use self::services::AwsKms;
#[cfg(feature = "gcp-kms")]
pub use self::services::GcpKms;
#[cfg(feature = "pkcs11")]
pub use self::services::Pkcs11Kek;
#[cfg(feature = "key-service")]
pub use self::services::Resilient;
#[cfg(feature = "vault")]
pub use self::services::VaultTransit;
pub use self::state::KeyState;
pub use self::store::{KeyringStore, KeyringStoreFuture};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use self::subjects::SubjectKeyTable;
pub use self::subjects::{
    ErasureReceipt, MemorySubjectKeys, Subject, SubjectKey, SubjectKeyChange, SubjectKeyEntry, SubjectKeyStore,
    SubjectKeyStoreFuture, SubjectKeys,
};
pub use self::timing::{Schedule, Timing};
pub use self::witness::Witness;
pub use self::wrap_context::{KeyPurpose, WrapContext};
pub use self::wrapped_key::WrappedKey;
pub use crate::crypto::data_key::DataKey;
pub use crate::crypto::key_id::KeyId;
pub use crate::secret::SecretKey;
pub use crate::timestamp::Timestamp;
