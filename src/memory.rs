//! The memory of the whole process, kept out of swap and out of core dumps.
//!
//! A key or a value that the operating system writes to a disk outlives everything that overwrites it in memory. Both pass
//! through buffers of the HTTP server, of `serde_json` and of your own, so what keeps them off the disk is done for the
//! process as a whole, by [`lock`] and [`forbid_core_dumps`]:
//!
//! ```no_run
//! fn main() -> Result<(), fieldseal::Error> {
//!     fieldseal::memory::forbid_core_dumps()?;
//!     fieldseal::memory::lock()?;
//!     // Open the keys, and serve.
//!     Ok(())
//! }
//! ```
//!
//! Call them at the beginning of `main`, before there is a key: what was written to swap by then stays there. A service
//! that puts itself into the background or gives up privileges does so first, since both undo it in part. Whoever wants the
//! dumps of a process calls [`lock`] alone.
//!
//! # What an operator has to give
//!
//! [`lock`] needs one of these, and says so where it has none:
//!
//! | where | what |
//! |---|---|
//! | systemd | `LimitMEMLOCK=infinity` |
//! | Docker | `--ulimit memlock=-1` |
//! | Kubernetes | no limit of the container runtime, or `capabilities: {add: [IPC_LOCK]}` and the user root |
//! | a shell | `ulimit -l unlimited` |
//! | anywhere | the capability `CAP_IPC_LOCK`, for the process's whole life: `setcap cap_ipc_lock=+ep PROGRAM`. One of a user namespace, as in a rootless container, does not count |
//!
//! What is locked cannot be pushed out for others: give the machine, or the control group, the memory that the service
//! takes at its peak.
//!
//! # What they do not do
//!
//! They keep nothing from root, from a debugger that is attached already, from hibernation or from a snapshot of the
//! virtual machine, each of which writes all memory. Programs that the process starts are not locked.

#[cfg(unix)]
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::error::{Error, ErrorKind};

/// Locks all memory of the process, whatever it holds now and whatever it is given later, so that none of it is written to
/// swap. On Linux, from version 4.4.
///
/// Pages are locked as they are first touched (`MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT`), so the process takes no more
/// memory than without it: a page that nobody has touched holds no secret. Where the soft limit is lower than an unlimited
/// hard one, it is raised.
///
/// # Errors
///
/// [`ErrorKind::Memory`] where the limit on locked memory, `RLIMIT_MEMLOCK`, is finite and the process has not the
/// capability `CAP_IPC_LOCK`: however high that limit, an allocation beyond it would later end the process. And where the
/// system is another than Linux, which has no such call that this crate knows. Nothing is locked then, and the limit is as
/// before.
#[cfg(target_os = "linux")]
pub fn lock() -> Result<(), Error> {
    use std::sync::{Mutex, PoisonError};

    use rustix::io::Errno;
    use rustix::mm::{MlockAllFlags, mlockall};
    use rustix::process::getrlimit;

    /// Whoever reads the limit while another call has changed it would put the wrong one back.
    static TURN: Mutex<()> = Mutex::new(());

    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = getrlimit(Resource::Memlock);
    // Under a limit of 0 the kernel lets only those lock who are above any limit. Their capabilities would not tell: those
    // of a user namespace count for nothing here.
    let asking = Rlimit { current: limit.maximum.map(|_| 0), ..limit };
    let set =
        |limit| setrlimit(Resource::Memlock, limit).map_err(|errno| failed("RLIMIT_MEMLOCK cannot be set", errno));
    set(asking)?;
    let locked = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
    if locked.is_err() || limit.maximum.is_some() {
        set(limit)?;
    }
    locked.map_err(|errno| match (errno, limit.maximum) {
        (Errno::PERM, Some(bytes)) => too_low(bytes),
        _ => failed("the operating system does not lock the memory of this process", errno),
    })
}

/// Locks all memory of the process on Linux, and fails elsewhere.
///
/// # Errors
///
/// [`ErrorKind::Memory`], always: this system has no such call that this crate knows.
#[cfg(not(target_os = "linux"))]
pub fn lock() -> Result<(), Error> {
    Err(Error::new(
        ErrorKind::Memory,
        "memory is locked on Linux only: encrypt the swap of this system, or turn it off",
    ))
}

/// Has the process leave no core dump, for its whole life: the limit `RLIMIT_CORE` becomes 0, which programs that it starts
/// inherit.
///
/// On Linux it is also marked as not dumpable (`PR_SET_DUMPABLE`). That goes further: a dump that is piped to a program,
/// such as `systemd-coredump`, takes no notice of the limit, and no other process of the same user can attach a debugger or a
/// profiler, or read `/proc/PID/mem` and `environ` any more. A change of the user or group, or `exec`, sets that mark anew: do these before.
///
/// # Errors
///
/// [`ErrorKind::Memory`] where the operating system refuses, or is not a kind of Unix.
#[cfg(unix)]
pub fn forbid_core_dumps() -> Result<(), Error> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|errno| failed("RLIMIT_CORE cannot be set to 0", errno))?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|errno| failed("this process cannot be marked as not dumpable", errno))?;
    Ok(())
}

/// Has the process leave no core dump on Unix, and fails elsewhere.
///
/// # Errors
///
/// [`ErrorKind::Memory`], always: this system has no such call that this crate knows.
#[cfg(not(unix))]
pub fn forbid_core_dumps() -> Result<(), Error> {
    Err(Error::new(ErrorKind::Memory, "core dumps are forbidden on Unix only: turn those of this system off"))
}

#[cfg(target_os = "linux")]
fn too_low(bytes: u64) -> Error {
    let message = format!(
        "the memory of this process is not locked: RLIMIT_MEMLOCK is {bytes} bytes, and an allocation beyond it would end \
         the process. Give it LimitMEMLOCK=infinity in systemd, --ulimit memlock=-1 in Docker, `ulimit -l unlimited` in a \
         shell, or the capability CAP_IPC_LOCK"
    );
    Error::new(ErrorKind::Memory, message)
}

#[cfg(unix)]
fn failed(message: &'static str, errno: rustix::io::Errno) -> Error {
    Error::new(ErrorKind::Memory, message).with_source(std::io::Error::from(errno))
}
