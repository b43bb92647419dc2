//! Where the keys of subjects stand.

use std::error::Error as StdError;
use std::pin::Pin;

use super::entry::SubjectKeyEntry;
use super::subject::Subject;
use crate::crypto::key_id::KeyId;
use crate::error::{Error, ErrorKind};

/// What the methods of a [`SubjectKeyStore`] return.
pub type SubjectKeyStoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// What is to stand in the place of what for one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectKeyChange {
    /// Whose entry it is.
    pub subject: Subject,
    /// What has to stand there.
    pub expected: SubjectKeyEntry,
    /// What is to stand there.
    pub entry: SubjectKeyEntry,
}

/// A key table: one entry for each subject. Nothing in it has to be trusted but that it keeps what it was given, since
/// keys are authenticated when they are unwrapped.
///
/// What is returned as written must be lasting, or values are encrypted under a key that is lost. An implementation
/// should give up after a time of its own, since the callers wait for as long as it does. Its errors are made with
/// [`Error::key_table`].
pub trait SubjectKeyStore: Send + Sync {
    /// Reads the entries of `subjects`, in their order.
    fn get<'a>(&'a self, subjects: &'a [Subject]) -> SubjectKeyStoreFuture<'a, Vec<Option<SubjectKeyEntry>>>;

    /// Adds `entry` for `subject`, unless there is an entry of that subject, or one with the same key id. Returns
    /// whether it was added.
    fn insert<'a>(&'a self, subject: &'a Subject, entry: &'a SubjectKeyEntry) -> SubjectKeyStoreFuture<'a, bool>;

    /// Makes each of `changes` in one step where what is expected stands, and passes over it where something else does.
    /// Returns how many were made. They come in the order of their subjects, so that two who make many do not wait for
    /// each other, and may be made together.
    fn replace<'a>(&'a self, changes: &'a [SubjectKeyChange]) -> SubjectKeyStoreFuture<'a, u64>;

    /// Returns up to `limit` entries that another key than `data_key` wraps. Tombstones are wrapped by none.
    fn wrapped_by_others(
        &self,
        data_key: KeyId,
        limit: u32,
    ) -> SubjectKeyStoreFuture<'_, Vec<(Subject, SubjectKeyEntry)>>;
}

impl Error {
    /// Makes the error of a [`SubjectKeyStore`] that failed because of `cause`, which must not hold key material.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::{Error, ErrorKind};
    ///
    /// let error = Error::key_table("no answer within 5 seconds");
    /// assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    /// ```
    #[must_use]
    pub fn key_table(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorKind::KeyUnavailable, "the key table could not be read or written").with_source(cause)
    }
}
