//! Where the drill keeps its files.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tower::BoxError;

use crate::people::Account;

/// What the drill writes, and never writes over.
#[rustfmt::skip]
const FILES: [&str; 8] = [
    "customers.db", "customers.db-wal", "customers.db-shm", "stolen.db", "stolen.db-wal", "sent.ndjson", "keyring.json", "kek",
];

#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Removes the directory on drop, where nobody asked to keep it.
    temporary: Option<TempDir>,
}

impl Directory {
    pub(crate) fn prepare(path: Option<PathBuf>) -> Result<Self, BoxError> {
        let Some(path) = path else {
            let temporary = tempfile::tempdir()?;
            return Ok(Self { path: temporary.path().to_owned(), temporary: Some(temporary) });
        };
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if let Some(file) = FILES.iter().find(|file| path.join(file).symlink_metadata().is_ok()) {
            return Err(format!("{} already holds {file}; name another directory", path.display()).into());
        }
        Ok(Self { path, temporary: None })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// The service's own database.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("customers.db")
    }

    pub(crate) fn keyring(&self) -> PathBuf {
        self.path.join("keyring.json")
    }

    /// The key-encryption key. In earnest it lies in a key service, far from database and keyring.
    pub(crate) fn kek(&self) -> PathBuf {
        self.path.join("kek")
    }

    /// Writes every document that is sent to the service, byte for byte, one a line.
    pub(crate) fn write_sent(&self, accounts: &[Account]) -> Result<(), BoxError> {
        let mut file = BufWriter::new(File::create_new(self.path.join("sent.ndjson"))?);
        for document in accounts.iter().flat_map(Account::documents) {
            file.write_all(&document.body)?;
            file.write_all(b"\n")?;
        }
        file.flush()?;
        Ok(())
    }
}

/// The write-ahead log that SQLite keeps beside `database`.
pub(crate) fn log_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}
