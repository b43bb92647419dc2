//! Keys of data subjects: one for each person, wrapped in a table, and gone when the person is erased.

mod cache;
mod entry;
mod memory;
mod receipt;
mod standing;
mod store;
mod subject;
mod subject_key;
mod subject_keys;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod table;

pub use entry::SubjectKeyEntry;
pub use memory::MemorySubjectKeys;
pub use receipt::ErasureReceipt;
pub(super) use standing::Standing;
pub use store::{SubjectKeyChange, SubjectKeyStore, SubjectKeyStoreFuture};
pub use subject::Subject;
pub use subject_key::SubjectKey;
pub use subject_keys::SubjectKeys;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use table::SubjectKeyTable;
