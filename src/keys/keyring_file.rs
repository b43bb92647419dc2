//! The file in which a keyring stands.

use std::fs;
use std::path::{Path, PathBuf};

use super::private_file;
use super::store::{KeyringStore, KeyringStoreFuture};
use crate::error::{Error, ErrorKind};

/// A keyring as a file that, on Unix, only its owner may read (mode 0600).
///
/// It is replaced as a whole, so that a reader never meets a half-written one, and only by a change to the revision
/// that it holds: of two people who change it at once, one is told to repeat. Keep it on a file system with locks and
/// atomic renames, which any local one is. Beside it stands an empty file whose name ends in `.lock`.
///
/// On systems other than Unix the permissions cannot be checked: see to them there. Reads and writes with blocking
/// calls; the file is at most 1 MiB long.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{Keyring, KeyringFile, LocalKek, SecretKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fieldseal::Error> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("keyring.json");
/// # let kek = LocalKek::new(&SecretKey::generate()?);
/// let file = KeyringFile::new(path);
/// Keyring::create("customers", &kek).await?.save(&file).await?;
///
/// let mut keyring = Keyring::load(&file, &kek).await?;
/// keyring.add_key(&kek).await?;
/// keyring.save(&file).await?;
/// assert_eq!(Keyring::load(&file, &kek).await?.revision(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct KeyringFile {
    path: PathBuf,
}

impl KeyringFile {
    /// Names the file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn replace_now(&self, expected: Option<&[u8]>, document: &[u8]) -> Result<Result<(), Vec<u8>>, Error> {
        if document.len() > LONGEST {
            let message = format!("{} would be longer than {LONGEST} bytes: begin another keyring", self.place());
            return Err(Error::new(ErrorKind::Keyring, message));
        }
        // A link stays a link, and all who change the file it leads to meet at the same lock.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let Some(expected) = expected else {
            if path.exists() {
                return private_file::read(&path, FILE, LONGEST).map(|found| Err(found.to_vec()));
            }
            return private_file::create(&path, FILE, document).map(Ok);
        };
        let _lock = private_file::lock(&path, FILE)?;
        let found = private_file::read(&path, FILE, LONGEST)?;
        if *found != expected {
            return Ok(Err(found.to_vec()));
        }
        private_file::replace(&path, FILE, document).map(Ok)
    }
}

impl KeyringStore for KeyringFile {
    fn place(&self) -> String {
        format!("the {FILE} `{}`", self.path.display())
    }

    fn read(&self) -> KeyringStoreFuture<'_, Vec<u8>> {
        Box::pin(async { private_file::read(&self.path, FILE, LONGEST).map(|document| document.to_vec()) })
    }

    fn replace<'a>(
        &'a self,
        expected: Option<&'a [u8]>,
        document: &'a [u8],
    ) -> KeyringStoreFuture<'a, Result<(), Vec<u8>>> {
        Box::pin(async move { self.replace_now(expected, document) })
    }

    fn is_still(&self, document: &[u8]) -> bool {
        private_file::read(&self.path, FILE, LONGEST).is_ok_and(|found| *found == document)
    }
}

const FILE: &str = "keyring file";
/// 1 MiB: room for thousands of keys.
const LONGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_document_is_as_long_as_it_may_be_and_no_longer() {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyringFile::new(directory.path().join("keyring.json"));
        let longest = vec![b'x'; LONGEST];
        file.replace(None, &longest).await.unwrap().unwrap();
        assert_eq!(file.read().await.unwrap(), longest);
        let error = file.replace(Some(&longest), &[&longest[..], b"x"].concat()).await.unwrap_err();
        assert!(error.to_string().contains("would be longer"), "{error}");
        assert!(file.is_still(&longest));
    }
}
