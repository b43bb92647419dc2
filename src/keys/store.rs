//! Where a keyring stands.

use std::pin::Pin;

use crate::error::Error;

/// What the methods of a [`KeyringStore`] return.
pub type KeyringStoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Holds the document of one keyring, and replaces it as a whole.
///
/// Nothing in it has to be trusted: a keyring is authenticated when it is read.
pub trait KeyringStore: Send + Sync {
    /// Names the place for messages, such as ``the keyring file `keyring.json` ``.
    fn place(&self) -> String;

    /// Reads the document.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where there is none or it cannot be read.
    fn read(&self) -> KeyringStoreFuture<'_, Vec<u8>>;

    /// Puts `document` in the place of `expected`, or where there was none, in one step that either happens whole or
    /// not at all. Returns what stands there where that is not `expected`; then nothing was changed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where it cannot be read or written.
    fn replace<'a>(
        &'a self,
        expected: Option<&'a [u8]>,
        document: &'a [u8],
    ) -> KeyringStoreFuture<'a, Result<(), Vec<u8>>>;

    /// Returns whether `document` certainly still stands there. Called while a value is encrypted, so it must not wait
    /// for anything slower than a local disk: a store that cannot tell at once returns false, as it does unless this is
    /// implemented.
    fn is_still(&self, document: &[u8]) -> bool {
        let _ = document;
        false
    }

    /// Takes note of the revision of an authentic document that is about to be used.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where a later one was seen before. Unless this is implemented,
    /// nothing is remembered.
    fn accept(&self, revision: u64) -> Result<(), Error> {
        let _ = revision;
        Ok(())
    }
}

impl<S: KeyringStore + ?Sized> KeyringStore for Box<S> {
    fn place(&self) -> String {
        (**self).place()
    }

    fn read(&self) -> KeyringStoreFuture<'_, Vec<u8>> {
        (**self).read()
    }

    fn replace<'a>(
        &'a self,
        expected: Option<&'a [u8]>,
        document: &'a [u8],
    ) -> KeyringStoreFuture<'a, Result<(), Vec<u8>>> {
        (**self).replace(expected, document)
    }

    fn is_still(&self, document: &[u8]) -> bool {
        (**self).is_still(document)
    }

    fn accept(&self, revision: u64) -> Result<(), Error> {
        (**self).accept(revision)
    }
}
