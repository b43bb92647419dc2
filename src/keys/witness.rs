//! A memory of the latest revision, kept apart from the keyring.

use std::path::{Path, PathBuf};

use super::private_file;
use super::store::{KeyringStore, KeyringStoreFuture};
use crate::error::{Error, ErrorKind};

/// A [`KeyringStore`] beside which a small local file remembers the latest revision that was used, so that an old copy
/// of the keyring is refused also where it was put back while nothing was running.
///
/// Keep the file where those who can write the keyring cannot: on the host of the service, not in its database. To go
/// back on purpose, such as after restoring a backup of everything, remove the file.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{Keyring, KeyringFile, Keys, LocalKek, SecretKey, Witness};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fieldseal::Error> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let (path, seen) = (directory.path().join("keyring.json"), directory.path().join("seen"));
/// # let kek = LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
/// # let kek_again = LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
/// let store = KeyringFile::new(&path);
/// let mut keyring = Keyring::create("customers", &kek).await?;
/// keyring.save(&store).await?;
/// let old_copy = std::fs::read(&path).unwrap();
/// keyring.add_key(&kek).await?;
/// keyring.save(&store).await?;
/// Keys::open(Witness::new(store, &seen), kek).await?;
///
/// std::fs::write(&path, old_copy).unwrap();
/// assert!(Keys::open(Witness::new(KeyringFile::new(&path), &seen), kek_again).await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Witness<S> {
    store: S,
    path: PathBuf,
}

impl<S: KeyringStore> Witness<S> {
    /// Remembers the revisions of `store` in the file at `path`, which is made with the first one.
    pub fn new(store: S, path: impl Into<PathBuf>) -> Self {
        Self { store, path: path.into() }
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl<S> Witness<S> {
    /// The highest revision that was seen, where the file holds one.
    fn seen(&self) -> Result<Option<u64>, Error> {
        let text = private_file::read(&self.path, FILE, 32)?;
        Ok(std::str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse().ok()))
    }
}

impl<S: KeyringStore> KeyringStore for Witness<S> {
    fn place(&self) -> String {
        self.store.place()
    }

    fn read(&self) -> KeyringStoreFuture<'_, Vec<u8>> {
        self.store.read()
    }

    fn replace<'a>(
        &'a self,
        expected: Option<&'a [u8]>,
        document: &'a [u8],
    ) -> KeyringStoreFuture<'a, Result<(), Vec<u8>>> {
        self.store.replace(expected, document)
    }

    fn is_still(&self, document: &[u8]) -> bool {
        self.store.is_still(document)
    }

    fn accept(&self, revision: u64) -> Result<(), Error> {
        self.store.accept(revision)?;
        let line = format!("{revision}\n");
        if self.path.exists() && self.seen()? == Some(revision) {
            return Ok(());
        }
        // Whoever else finds no file, or one that is yet to be written, waits here for the one who makes it.
        let _lock = private_file::lock_when_free(&self.path)?;
        if !self.path.exists() {
            return private_file::create(&self.path, FILE, line.as_bytes());
        }
        let seen = self.seen()?;
        let refuse = |fault: String| Err(Error::new(ErrorKind::Keyring, fault));
        match seen {
            None => refuse(format!("the {FILE} `{}` does not hold a revision: restore it", self.path.display())),
            Some(seen) if revision < seen => refuse(format!(
                "{} is at revision {revision}, but revision {seen} was used here before: an old copy was put back; \
                 restore revision {seen} or later",
                self.place()
            )),
            Some(seen) if revision == seen => Ok(()),
            Some(_) => private_file::replace(&self.path, FILE, line.as_bytes()),
        }
    }
}

const FILE: &str = "revision witness file";

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::keys::keyring_file::KeyringFile;

    #[tokio::test]
    async fn the_latest_revision_is_kept_and_what_stands_there_is_told_by_the_store() {
        let directory = tempfile::tempdir().unwrap();
        let (store, path) = (KeyringFile::new(directory.path().join("keyring.json")), directory.path().join("seen"));
        let witness = Witness::new(store.clone(), &path);
        for (revision, is_accepted, kept) in
            [(1, true, 1), (3, true, 3), (3, true, 3), (2, false, 3), (4, true, 4), (3, false, 4)]
        {
            assert_eq!(witness.accept(revision).is_ok(), is_accepted, "{revision}");
            assert_eq!(witness.seen().unwrap(), Some(kept));
        }
        assert!(!witness.is_still(b"one"));
        witness.replace(None, b"one").await.unwrap().unwrap();
        assert_eq!(witness.read().await.unwrap(), b"one");
        assert!(witness.is_still(b"one") && store.is_still(b"one"));
        assert!(!witness.is_still(b"other"));
    }

    #[test]
    fn who_comes_second_waits_for_the_one_who_makes_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("seen");
        let witness = Witness::new(KeyringFile::new(directory.path().join("keyring.json")), &path);
        assert_eq!(witness.place(), KeyringFile::new(directory.path().join("keyring.json")).place());
        let held = private_file::lock(&path, FILE).unwrap();
        let second = thread::spawn(move || witness.accept(1));
        thread::sleep(Duration::from_millis(200));
        private_file::create(&path, FILE, b"1\n").unwrap();
        drop(held);
        second.join().unwrap().unwrap();
    }
}
