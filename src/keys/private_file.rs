//! Files that only their owner may read.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::crypto::random;
use crate::error::{Error, ErrorKind};

/// Reads `path`, which messages call `what`, whole. The buffer is overwritten when it is dropped.
///
/// On Unix the file is refused unless it is a regular one that grants nothing to its group or to others. That is
/// judged on the open file, so that no other can be put in its place between the look and the reading. Elsewhere the
/// permissions are not looked at.
///
/// # Errors
///
/// [`ErrorKind::Keyring`], and nothing of the content is told.
pub(super) fn read(path: &Path, what: &str, at_most: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let irregular = || fault(what, path, "is not a regular file");
    // Opening a pipe would wait for its writer, so this look comes first; the one that counts is at the open file.
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(irregular());
    }
    let file = File::open(path).map_err(|error| io_fault(what, path, "could not be opened", error))?;
    let unreadable = |error| io_fault(what, path, "could not be read", error);
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(irregular());
    }
    check_mode(&metadata, what, path)?;

    // Room for all that is read, so that the buffer never moves and leaves a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(at_most + 64));
    let limit = u64::try_from(at_most).map_or(u64::MAX, |at_most| at_most + 1);
    file.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > at_most {
        return Err(fault(what, path, format!("is longer than {at_most} bytes: it cannot be what is meant")));
    }
    Ok(bytes)
}

/// Writes `bytes` into a new file that only its owner may read, and returns when it is on the disk.
///
/// # Errors
///
/// [`ErrorKind::Keyring`] where the file exists already or could not be written; then no part of it stays behind.
pub(super) fn create(path: &Path, what: &str, bytes: &[u8]) -> Result<(), Error> {
    create_file(path, what, bytes).map(drop)
}

fn create_file(path: &Path, what: &str, bytes: &[u8]) -> Result<File, Error> {
    let unwritable = |error| io_fault(what, path, "could not be written", error);
    let mut options = OpenOptions::new();
    private(options.write(true).create_new(true));
    let mut file = options.open(path).map_err(|error| io_fault(what, path, "could not be created", error))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| sync_directory(path));
    if written.is_err() {
        // The first failure is the one to tell; what could not be removed is cut short and refused when it is read.
        let _ = fs::remove_file(path);
    }
    written.map_err(unwritable)?;
    Ok(file)
}

/// Puts `bytes` in the place of the existing file, so that a reader finds either the old or the new one, whole, and
/// returns when the new one is on the disk. The owner stays the same.
///
/// # Errors
///
/// [`ErrorKind::Keyring`]; then the temporary file is gone. The old file is still there, unless the very last step
/// failed, which makes the change outlive a loss of power.
pub(super) fn replace(path: &Path, what: &str, bytes: &[u8]) -> Result<(), Error> {
    let unwritable = |error| io_fault(what, path, "could not be replaced", error);
    let mut draw = [0; 8];
    random::fill(&mut draw)?;
    let temporary = beside(path, &format!(".{:016x}.tmp", u64::from_be_bytes(draw)));
    let written = create_file(&temporary, what, bytes)?;
    let replaced = keep_owner(path, &written).and_then(|()| fs::rename(&temporary, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    replaced.and_then(|()| sync_directory(path)).map_err(unwritable)
}

/// Opens the file beside `path` that those who change `path` lock, and locks it until it is dropped.
///
/// # Errors
///
/// [`ErrorKind::Keyring`] where somebody else holds the lock, or where the file system has none.
pub(super) fn lock(path: &Path, what: &str) -> Result<File, Error> {
    let file = open_lock(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(fault(what, path, "is being changed by another process: wait for it, load it again and repeat"))
        }
        Err(fs::TryLockError::Error(error)) => {
            Err(io_fault("lock file", &lock_path(path), "could not be locked", error))
        }
    }
}

/// The same, but waits until nobody else holds the lock.
pub(super) fn lock_when_free(path: &Path) -> Result<File, Error> {
    let file = open_lock(path)?;
    file.lock().map_err(|error| io_fault("lock file", &lock_path(path), "could not be locked", error))?;
    Ok(file)
}

/// Opens the file to lock, and makes it where there is none. Never through a link: root may lock in a directory that is
/// somebody else's.
fn open_lock(path: &Path) -> Result<File, Error> {
    let lock = lock_path(path);
    let unopened = |error| io_fault("lock file", &lock, "could not be opened", error);
    let mut options = OpenOptions::new();
    private(options.write(true).create_new(true));
    let file = match options.open(&lock) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let refused = || fault("lock file", &lock, "is a link, or no regular file: remove it");
            let found = fs::symlink_metadata(&lock).map_err(unopened)?;
            // Opening a pipe would wait for its reader.
            if !found.is_file() {
                return Err(refused());
            }
            let file = OpenOptions::new().write(true).open(&lock).map_err(unopened)?;
            if !is_file_of_its_own(&found, &file.metadata().map_err(unopened)?) {
                return Err(refused());
            }
            file
        }
        opened => opened.map_err(unopened)?,
    };
    // Whoever owns the file is to change it after root has. Where this fails, the next one to lock is told so.
    let _ = keep_owner(path, &file);
    Ok(file)
}

fn lock_path(path: &Path) -> PathBuf {
    beside(path, ".lock")
}

/// The path of a sibling whose name is that of `path` with `ending` behind it.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut sibling = OsString::from(path);
    sibling.push(ending);
    sibling.into()
}

fn fault(what: &str, path: &Path, message: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::Keyring, format!("the {what} `{}` {}", path.display(), message.as_ref()))
}

fn io_fault(what: &str, path: &Path, failure: &str, error: io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or directory",
        io::ErrorKind::PermissionDenied => "this user has no permission",
        io::ErrorKind::AlreadyExists => "it exists already, and is never overwritten",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "there is no space left",
        io::ErrorKind::FileTooLarge => "no file may be so long here, by `ulimit -f` or the file system",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        _ => "the operating system refused",
    };
    fault(what, path, format!("{failure}: {advice}")).with_source(error)
}

#[cfg(unix)]
fn check_mode(metadata: &Metadata, what: &str, path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let message = format!(
            "is open to other users (mode {mode:04o}): find out who could read or change it, and take the permissions \
             away with `chmod 600`"
        );
        return Err(fault(what, path, message));
    }
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the signature is that of the other systems")]
fn check_mode(_: &Metadata, _: &str, _: &Path) -> Result<(), Error> {
    Ok(())
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;

    options.mode(0o600);
}

#[cfg(not(unix))]
fn private(_: &mut OpenOptions) {}

/// Gives `sibling` the owner of `path`: a keyring that root rotates stays readable for the service.
#[cfg(unix)]
fn keep_owner(path: &Path, sibling: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};

    let (owner, ours) = (fs::metadata(path)?.uid(), sibling.metadata()?.uid());
    if owner == ours { Ok(()) } else { fchown(sibling, Some(owner), None) }
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the signature is that of the other systems")]
fn keep_owner(_: &Path, _: &File) -> io::Result<()> {
    Ok(())
}

/// Returns whether what was `found` under a name is the file that was opened by it, and has no other name.
#[cfg(unix)]
fn is_file_of_its_own(found: &Metadata, opened: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let is_same = (found.dev(), found.ino()) == (opened.dev(), opened.ino());
    is_same && opened.nlink() == 1
}

#[cfg(not(unix))]
fn is_file_of_its_own(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Writes the directory of `path` to the disk, without which a new name in it may be lost with the power.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the signature is that of the other systems")]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::process::Command;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    const WHAT: &str = "keyring file";

    #[test]
    fn what_is_created_is_private_and_read_back_up_to_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        create(&path, WHAT, b"1234").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(read(&path, WHAT, 4).unwrap()[..], b"1234"[..]);
        assert!(read(&path, WHAT, 3).is_err());
        assert!(create(&path, WHAT, b"5678").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"1234");
    }

    #[test]
    fn the_directory_of_a_name_alone_is_the_one_worked_in_and_one_that_is_gone_is_told() {
        sync_directory(Path::new("keyring.json")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        sync_directory(&directory.path().join("keyring.json")).unwrap();
        sync_directory(&directory.path().join("gone").join("keyring.json")).unwrap_err();
    }

    #[test]
    fn any_permission_of_group_or_others_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        create(&path, WHAT, b"1234").unwrap();
        for bit in 0..9 {
            let mode = 0o400 | 1 << bit;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path, WHAT, 4).is_ok(), bit >= 6, "{mode:o}");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_a_link_is_judged_by_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("file"), directory.path().join("link"));
        assert!(read(directory.path(), WHAT, 4).unwrap_err().to_string().contains("not a regular file"));
        assert!(read(Path::new("/dev/null"), WHAT, 4).is_err());
        create(&path, WHAT, b"1234").unwrap();
        symlink(&path, &link).unwrap();
        assert_eq!(read(&link, WHAT, 4).unwrap()[..], b"1234"[..]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(&link, WHAT, 4).is_err());
    }

    #[test]
    fn a_pipe_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        assert!(Command::new("mkfifo").arg("-m").arg("600").arg(&path).status().unwrap().success());
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(read(&path, WHAT, 4).is_err()));
        assert_eq!(receiver.recv_timeout(Duration::from_secs(10)), Ok(true));
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let occupied = directory.path().join("occupied");
        fs::create_dir(&occupied).unwrap();
        assert!(replace(&occupied, WHAT, b"1234").is_err());
        let path = directory.path().join("file");
        assert!(replace(&path, WHAT, b"1234").is_err());
        create(&path, WHAT, b"1234").unwrap();
        replace(&path, WHAT, b"5678").unwrap();
        let mut names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["file", "occupied"]);
        assert_eq!(fs::read(&path).unwrap(), b"5678");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    }

    #[test]
    #[ignore = "gives a file away, which only root may"]
    fn a_replacement_keeps_the_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        create(&path, WHAT, b"1234").unwrap();
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        drop(lock(&path, WHAT).unwrap());
        replace(&path, WHAT, b"5678").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), 65_534);
        assert_eq!(fs::metadata(beside(&path, ".lock")).unwrap().uid(), 65_534);
    }

    /// Root may change a keyring in a directory of the service's user, who must not make it create or give away files.
    #[test]
    fn a_lock_file_that_is_a_link_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("file"), directory.path().join("other"));
        symlink(&other, beside(&path, ".lock")).unwrap();
        assert!(lock(&path, WHAT).is_err());
        assert!(!other.exists());
        create(&other, WHAT, b"1234").unwrap();
        assert!(lock(&path, WHAT).unwrap_err().to_string().contains("is a link"));
        fs::remove_file(beside(&path, ".lock")).unwrap();
        fs::hard_link(&other, beside(&path, ".lock")).unwrap();
        assert!(lock(&path, WHAT).unwrap_err().to_string().contains("is a link"));
    }

    #[test]
    fn a_lock_file_that_is_a_pipe_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let pipe = beside(&path, ".lock");
        assert!(Command::new("mkfifo").arg("-m").arg("600").arg(&pipe).status().unwrap().success());
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(lock(&path, WHAT).is_err()));
        assert_eq!(receiver.recv_timeout(Duration::from_secs(10)), Ok(true));
    }

    #[test]
    fn one_at_a_time_holds_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let held = lock(&path, WHAT).unwrap();
        assert!(lock(&path, WHAT).unwrap_err().to_string().contains("another process"));
        drop(held);
        lock(&path, WHAT).unwrap();
    }
}
