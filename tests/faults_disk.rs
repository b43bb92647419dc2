//! Proves that a full disk leaves every file whole: the program says what cannot be written, the old keyring is still
//! there, nothing half-written stays behind, and the same command works once there is room.
#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/program.rs"]
#[expect(dead_code, reason = "the rest is for tests/cli.rs")]
mod program;

use std::fs::{self, File};
use std::process::{Command, Stdio};

use program::{Place, text};

/// Runs the program where no file may grow beyond so many KiB, which is refused as on a full disk: `write` fails after
/// the bytes for which there was room. Returns its exit code and what it said.
fn limited(place: &Place, kibibytes: u32, arguments: &[&str]) -> (Option<i32>, String) {
    let plain = place.command(arguments);
    let mut command = Command::new("bash");
    // A signal would end the program instead.
    command.args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"", &kibibytes.to_string()]);
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(plain.get_current_dir().unwrap());
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap());
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    (output.status.code(), text(&output.stderr))
}

/// The same, where standard output is a device that is always full.
fn with_full_output(place: &Place, arguments: &[&str], input: &str) -> (Option<i32>, String) {
    fs::write(place.path("input"), input).unwrap();
    let mut command = place.command(arguments);
    command.stdin(File::open(place.path("input")).unwrap()).stdout(File::create("/dev/full").unwrap());
    let output = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    (output.status.code(), text(&output.stderr))
}

fn files(place: &Place) -> Vec<String> {
    let names = fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn is_told(told: &(Option<i32>, String), about: &str) {
    let (code, message) = told;
    assert_eq!(*code, Some(1), "{message}");
    assert!(message.contains(about), "{about} is not in: {message}");
    assert!(!message.contains("panicked") && !message.contains("Tan Wei"), "{message}");
}

#[test]
fn a_keyring_that_cannot_be_written_stays_as_it_was() {
    let place = Place::new();
    // Not even a key-encryption key has room; then it has, and the keyring has not.
    let before = files(&place);
    for (kibibytes, about) in [(0, "key-encryption key file `kek` could not be written"), (1, "could not be written")] {
        is_told(&limited(&place, kibibytes, &["keys", "init", "--name", "shop", "--create-kek"]), about);
        assert_eq!(files(&place), before);
    }
    place.run(&["keys", "init", "--name", "shop", "--create-kek"]);
    let (keyring, kek) = (fs::read(place.path("keyring.json")).unwrap(), fs::read(place.path("kek")).unwrap());
    for kibibytes in [0, 1] {
        let told = limited(&place, kibibytes, &["keys", "add"]);
        is_told(&told, "no file may be so long here");
        assert!(told.1.contains("keyring file"), "{}", told.1);
        assert!(fs::read(place.path("keyring.json")).unwrap() == keyring, "the keyring was changed");
        assert!(fs::read(place.path("kek")).unwrap() == kek);
        assert!(!files(&place).iter().any(|name| name.contains(".tmp")), "{:?}", files(&place));
    }
    assert_eq!(place.run(&["keys", "add"])["revision"], 2);
}

#[test]
fn a_witness_that_cannot_be_written_still_knows_the_last_revision() {
    let place = Place::new();
    place.run(&["keys", "init", "--name", "shop", "--create-kek"]);
    let witnessed = ["keys", "list", "--witness", "witness"];
    is_told(&limited(&place, 0, &witnessed), "revision witness file `witness` could not be written");
    assert!(!place.path("witness").exists());
    place.run(&witnessed);
    place.run(&["keys", "add"]);
    is_told(&limited(&place, 0, &witnessed), "no file may be so long here");
    assert_eq!(fs::read_to_string(place.path("witness")).unwrap(), "1\n");
    place.run(&witnessed);
    assert_eq!(fs::read_to_string(place.path("witness")).unwrap(), "2\n");
}

#[test]
fn output_that_cannot_be_written_is_told_and_no_success() {
    let place = Place::new();
    place.run(&["keys", "init", "--name", "shop", "--create-kek"]);
    let lines = "{\"name\":\"Tan Wei Ming\"}\n".repeat(500);
    let stored = text(&place.piped(&["encrypt", "--policy", "policy.toml"], lines.as_bytes()).stdout);
    for (arguments, input) in [
        (&["keys", "list"][..], ""),
        (&["keys", "list", "--format=json"], ""),
        (&["completions", "bash"], ""),
        (&["encrypt", "--policy", "policy.toml"], &lines),
        (&["decrypt", "--policy", "policy.toml"], &stored),
        (&["honey", "find", "--policy", "policy.toml"], &stored),
    ] {
        is_told(&with_full_output(&place, arguments, input), "standard output cannot be written: No space left");
    }
    // What was changed before stays changed, and the message says so.
    is_told(&with_full_output(&place, &["keys", "add"], ""), "what was changed before that stays changed");
    assert_eq!(place.run(&["keys", "list"])["revision"], 2);
}

#[test]
fn a_report_that_cannot_be_written_leaves_no_half_of_it() {
    let place = Place::new();
    place.run(&["keys", "init", "--name", "shop", "--create-kek"]);
    let line = text(&place.piped(&["encrypt", "--policy", "policy.toml"], b"{\"name\":\"Tan Wei Ming\"}\n").stdout);
    fs::write(place.path("dump.json"), format!("[{}]", line.trim_end())).unwrap();
    let report = ["breach-report", "--dump", "dump.json", "--html", "report.html"];
    let told = limited(&place, 1, &report);
    assert!(!place.path("report.html").exists(), "{}", told.1);
    is_told(&told, "`report.html` cannot be written");
    place.command(&report).output().unwrap();
    assert!(fs::read_to_string(place.path("report.html")).unwrap().trim_end().ends_with("</html>"));
}

#[test]
fn a_table_is_encrypted_to_its_end_once_there_is_room() {
    let place = Place::new();
    place.run(&["keys", "init", "--name", "shop", "--create-kek"]);
    let rows: Vec<_> = (0..2000).map(|id| format!("({id}, 'Tan Wei {id}')")).collect();
    place.sql(&format!(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO customers VALUES {}",
        rows.join(",")
    ));
    let length = fs::metadata(place.path("customers.db")).unwrap().len();
    let job = [
        "reencrypt",
        "--encrypt-plaintext",
        "--yes",
        "--policy",
        "policy.toml",
        "--table",
        "customers",
        "--column",
        "name",
        "--batch",
        "100",
        "--worker",
        "one",
    ];
    let room = u32::try_from(length / 1024).unwrap() + 64;
    is_told(&limited(&place, room, &job), "database");
    let count = |which: &str| place.text(&format!("SELECT CAST(count(*) AS TEXT) FROM customers WHERE name {which}"));
    let encrypted: u32 = count("LIKE 'fs1.%'").parse().unwrap();
    assert_eq!(count("LIKE 'Tan Wei %'").parse::<u32>().unwrap(), 2000 - encrypted);
    place.run(&job);
    assert_eq!((&*count("LIKE 'fs1.%'"), &*count("NOT LIKE 'fs1.%'")), ("2000", "0"));
    println!("disk full: {encrypted} of 2000 rows encrypted before, 2000 after there was room, 0 lost");
}
