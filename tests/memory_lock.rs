//! Proves that a process whose memory is locked keeps it, what it is given later too, out of swap; that one which forbids
//! core dumps leaves none and is read by no other process of its user; and that a process which may not lock says what it
//! needs and is as it was. Each case runs in a process of its own, which gives up or takes what it needs.
#![cfg(all(feature = "layer", feature = "memory-lock", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and tells its figures")]

#[path = "support/mappings.rs"]
mod mappings;

use std::convert::Infallible;
use std::env;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;

use bytes::Bytes;
use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::layer::FieldBody;
use fieldseal::{ErrorKind, Field, FieldCipher, FieldEncryptionLayer, Policy, Tag, memory};
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use mappings::{Mapping, mappings, status};
use rustix::process::{DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use tempfile::TempDir;
use tower::{Layer as _, ServiceExt as _};

const CASE: &str = "FIELDSEAL_TEST_MEMORY_CASE";
const SIGABRT: i32 = 6;
const KIB: u64 = 1024;
const MARK: [u8; 16] = *b"what is searched";

/// What a process of its own does.
const CASES: [(&str, fn()); 11] = [
    ("locks with the capability", locks_with_the_capability),
    ("locks without a limit", locks_without_a_limit),
    ("locks and raises a soft limit", locks_and_raises_a_soft_limit),
    ("is refused", is_refused),
    ("is refused in a user namespace", is_refused_in_a_user_namespace),
    ("dumps", dumps),
    ("dumps where it only locks", dumps_where_it_only_locks),
    ("dumps nothing", dumps_nothing),
    ("dumps nothing whatever the limit", dumps_nothing_whatever_the_limit),
    ("can be read", || wait_to_be_read(false)),
    ("cannot be read", || wait_to_be_read(true)),
];

#[test]
fn what_is_locked_with_the_capability_stays_so_whatever_the_process_is_given_later() {
    tell_or_skip(&succeed("locks with the capability"));
}

#[test]
fn what_is_locked_without_a_limit_stays_so_whatever_the_process_is_given_later() {
    tell_or_skip(&succeed("locks without a limit"));
}

#[test]
fn a_soft_limit_below_an_unlimited_hard_one_is_raised() {
    tell_or_skip(&succeed("locks and raises a soft limit"));
}

fn tell_or_skip(told: &str) {
    println!("{}{told}", if told.starts_with("locked: ") { "" } else { "SKIPPED: " });
}

#[test]
fn who_may_not_lock_is_told_what_to_give_and_stays_as_before() {
    println!("{}", succeed("is refused"));
}

#[test]
fn a_capability_of_a_user_namespace_does_not_count() {
    let namespace = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user"]);
        command
    };
    if !namespace().arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        println!("SKIPPED: no user namespace can be made here");
        return;
    }
    let mut command = namespace();
    command.arg(env::current_exe().unwrap());
    println!("{}", Case::start(command, "is refused in a user namespace").succeed());
}

#[test]
fn who_forbids_core_dumps_leaves_none() {
    let dumped = |name: &str| {
        let (status, told, files) = Case::start(own_program(), name).end();
        assert_eq!(status.signal(), Some(SIGABRT), "{name}: {told}");
        assert!(status.core_dumped() || files == 0, "{name}: {files} files");
        status.core_dumped()
    };
    assert!(!dumped("dumps nothing"));
    assert!(!dumped("dumps nothing whatever the limit"));
    if dumped("dumps") {
        assert!(dumped("dumps where it only locks"), "each of the two is done for who asks for it");
    } else {
        println!("SKIPPED: this system leaves no core dumps of any process");
    }
}

#[test]
fn who_forbids_core_dumps_is_read_by_no_other_process_of_the_same_user() {
    // Both are started by who still has what root has: else they gain it, and are marked by the kernel for that.
    let cases = ["cannot be read", "can be read"].map(|name| Case::start(own_program(), name));
    // Root reads everything: this thread becomes an ordinary user's, as what it reads does.
    give_up(CapabilitySet::all());
    let [forbidden, open] = cases.map(|mut case| {
        let (task, place) = case.wait();
        let mut bytes = [0; MARK.len()];
        let read = File::open(format!("/proc/{task}/mem")).and_then(|file| file.read_exact_at(&mut bytes, place));
        case.child.stdin.take().unwrap().write_all(b"\n").unwrap();
        case.succeed();
        read.map(|()| bytes)
    });
    assert_eq!(forbidden.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    match open {
        Ok(bytes) => assert_eq!(bytes, MARK),
        Err(error) => println!("SKIPPED: no process here reads another's memory in any case: {error}"),
    }
}

/// The other process. Among the other tests it does nothing.
#[test]
fn the_process_of_a_case() {
    if let Ok(name) = env::var(CASE) {
        CASES.iter().find(|(case, _)| *case == name).unwrap().1();
    }
}

fn locks_with_the_capability() {
    if !capabilities(None).unwrap().effective.contains(CapabilitySet::IPC_LOCK) {
        return println!("without the capability it cannot be tried");
    }
    let limit = small_limit();
    if let Err(error) = memory::lock() {
        // Of a user namespace, as in a container without root.
        return println!("the capability does not count here: {error}");
    }
    assert_eq!(getrlimit(Resource::Memlock), limit);
    assert_locked("with the capability");
}

fn locks_without_a_limit() {
    locks_with(Rlimit { current: None, maximum: None }, "without a limit");
}

fn locks_and_raises_a_soft_limit() {
    locks_with(Rlimit { current: Some(64 * KIB), maximum: None }, "with a soft limit");
}

fn locks_with(limit: Rlimit, how: &str) {
    if let Err(error) = setrlimit(Resource::Memlock, limit) {
        return println!("the hard limit is not unlimited and cannot be raised here: {error}");
    }
    give_up(CapabilitySet::IPC_LOCK);
    memory::lock().unwrap();
    memory::lock().expect("a second time is as good as once");
    assert_eq!(getrlimit(Resource::Memlock).current, None);
    assert_locked(how);
}

fn is_refused() {
    give_up(CapabilitySet::IPC_LOCK);
    assert_refused();
}

fn is_refused_in_a_user_namespace() {
    assert!(capabilities(None).unwrap().effective.contains(CapabilitySet::IPC_LOCK));
    assert_refused();
}

fn assert_refused() {
    let limit = small_limit();
    let error = memory::lock().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Memory);
    let bytes = format!("RLIMIT_MEMLOCK is {} bytes", limit.maximum.unwrap());
    for said in [&bytes, "LimitMEMLOCK=infinity", "--ulimit memlock=-1", "`ulimit -l unlimited`", "CAP_IPC_LOCK"] {
        assert!(error.to_string().contains(said), "{error}");
    }
    assert_eq!((getrlimit(Resource::Memlock), status("VmLck")), (limit, 0));
    let later = filled(32 << 20);
    assert_eq!(status("VmLck"), 0, "what came later is locked, {} bytes of it", later.len());
    assert!(mappings().iter().all(|mapping| !mapping.is_locked));
    println!("refused: {error}");
}

fn dumps() {
    raise_core_limit();
    std::process::abort();
}

fn dumps_where_it_only_locks() {
    raise_core_limit();
    let _ = memory::lock();
    std::process::abort();
}

fn dumps_nothing() {
    raise_core_limit();
    memory::forbid_core_dumps().unwrap();
    assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    std::process::abort();
}

/// As with a dump that is piped to a program, for which there is no limit.
fn dumps_nothing_whatever_the_limit() {
    memory::forbid_core_dumps().unwrap();
    let _ = setrlimit(Resource::Core, Rlimit { current: None, maximum: None });
    std::process::abort();
}

fn wait_to_be_read(is_forbidden: bool) {
    give_up(CapabilitySet::all());
    if is_forbidden {
        memory::forbid_core_dumps().unwrap();
    }
    let mark = Box::new(MARK);
    let task = fs::read_link("/proc/thread-self").unwrap();
    println!("\nwaits|{}|{}", task.display(), mark.as_ptr().addr());
    io::stdin().read_line(&mut String::new()).unwrap();
    assert_eq!(*mark, MARK);
}

/// Every page that the process has written to, keys and bodies, and what it is given from now on.
fn assert_locked(how: &str) {
    let before = status("VmLck");
    assert!(before >= status("VmRSS"), "locked {before}, in memory {}", status("VmRSS"));
    let key = SecretKey::generate().unwrap();
    assert_address_locked("a key", key.expose_secret().as_ptr());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(runtime.spawn(assert_body_locked(key))).unwrap();
    thread::spawn(|| {
        let on_stack = [7_u8; 64];
        assert_address_locked("the stack of a new thread", on_stack.as_ptr());
    })
    .join()
    .unwrap();

    let before = status("VmLck");
    let later = filled(32 << 20);
    assert_address_locked("what is allocated later", later.as_ptr());
    let (locked, resident) = (status("VmLck"), status("VmRSS"));
    assert!(locked >= before + 32 * KIB && locked >= resident, "locked {before} and then {locked}, {resident}");
    // No page that was written to is left out, whoever mapped it.
    let all = mappings();
    let open: Vec<_> = all.iter().filter(|mapping| mapping.anonymous > 0 && !mapping.is_locked).collect();
    assert!(open.is_empty(), "not locked: {open:?}");
    let written: u64 = all.iter().map(|mapping| mapping.anonymous).sum();
    println!("locked: {how}: all of {written} KiB that were written to; VmLck {locked} KiB, VmRSS {resident} KiB");
}

/// Sends a document through the layer, and looks where it lies as a client sends it and as it gets it back.
async fn assert_body_locked(key: SecretKey) {
    let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build().unwrap();
    let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&key)));
    let echo = tower::service_fn(async |request: Request<FieldBody<Full<Bytes>>>| {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(br#"{"phone":"fs1."#));
        let response = Response::builder().header(CONTENT_TYPE, "application/json").body(Full::new(body));
        Ok::<_, Infallible>(response.unwrap())
    });
    let sent = Bytes::from(format!(r#"{{"phone":"+65 9123 4567","remark":"{}"}}"#, "x".repeat(40_000)));
    assert_address_locked("the body of a request", sent.as_ptr());
    let request = Request::post("/").header(CONTENT_TYPE, "application/json").body(Full::new(sent.clone())).unwrap();
    let response = FieldEncryptionLayer::new(cipher).unwrap().layer(echo).oneshot(request).await.unwrap();
    let mut body = response.into_body();
    let shown = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(sent.starts_with(&shown) && shown.starts_with(br#"{"phone":"+65 9123 4567""#));
    assert_address_locked("the body of a response", shown.as_ptr());
}

fn assert_address_locked(what: &str, address: *const u8) {
    let all = mappings();
    let Mapping { is_locked, locked, proportional, swapped, .. } =
        all.iter().find(|mapping| mapping.range.contains(&(address.addr() as u64))).unwrap();
    assert!(*is_locked && *locked > 0 && locked == proportional && *swapped == 0, "{what} is not locked");
}

fn filled(length: usize) -> Vec<u8> {
    vec![0xa5; length]
}

/// Sets a limit that this process is over already, for good.
fn small_limit() -> Rlimit {
    let maximum = getrlimit(Resource::Memlock).maximum.unwrap_or(u64::MAX).min(1024 * KIB);
    let limit = Rlimit { current: Some(maximum / 2), maximum: Some(maximum) };
    setrlimit(Resource::Memlock, limit).unwrap();
    limit
}

fn raise_core_limit() {
    let limit = getrlimit(Resource::Core);
    setrlimit(Resource::Core, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

/// Gives capabilities of this thread up.
fn give_up(unwanted: CapabilitySet) {
    let mut sets = capabilities(None).unwrap();
    for set in [&mut sets.effective, &mut sets.permitted, &mut sets.inheritable] {
        set.remove(unwanted);
    }
    set_capabilities(None, sets).unwrap();
}

fn succeed(name: &str) -> String {
    Case::start(own_program(), name).succeed()
}

fn own_program() -> Command {
    Command::new(env::current_exe().unwrap())
}

/// A process of its own, in a directory of its own.
struct Case {
    child: Child,
    directory: TempDir,
}

impl Case {
    fn start(mut command: Command, name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        command.args(["--exact", "the_process_of_a_case", "--nocapture", "--test-threads=1"]).env(CASE, name);
        command.current_dir(directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().unwrap(), directory }
    }

    /// Waits until it does, and returns the task and the address that it names.
    fn wait(&mut self) -> (String, u64) {
        let mut told = String::new();
        loop {
            let mut byte = [0];
            self.child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
            told.push(char::from(byte[0]));
            let waits = told.rsplit_once("\nwaits|").and_then(|(_, rest)| rest.strip_suffix('\n'));
            if let Some((task, place)) = waits.and_then(|waits| waits.split_once('|')) {
                return (task.to_owned(), place.parse().unwrap());
            }
        }
    }

    /// Waits for its end. Returns what it said, and how many files it left.
    fn end(self) -> (std::process::ExitStatus, String, usize) {
        let output = self.child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status, told, fs::read_dir(self.directory.path()).unwrap().count())
    }

    fn succeed(self) -> String {
        let (status, told, _) = self.end();
        assert!(status.success(), "{told}");
        // Without what the harness says.
        let told = told.lines().map(|line| line.trim_start_matches("test the_process_of_a_case ... "));
        let told = told.filter(|line| !line.is_empty() && *line != "ok" && !line.starts_with("running"));
        told.take_while(|line| !line.starts_with("test result")).collect::<Vec<_>>().join("\n")
    }
}
