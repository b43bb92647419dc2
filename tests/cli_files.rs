//! Proves that what the program leaves in files holds no value and no open key: whatever it does, and where it fails or is
//! killed in the middle.
#![cfg(all(feature = "cli", unix))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and tells its figures")]

#[path = "support/program.rs"]
#[allow(dead_code, reason = "not every file of tests looks at what is said")]
mod program;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use program::Place;

const VALUE: &str = "TanWeiMing91234567";
const INIT: [&str; 7] = ["keys", "init", "--name", "customers", "--create-kek", "--kek", "file:kek"];
const TABLE: [&str; 4] = ["--policy=policy.toml", "--table=customers", "--column=name", "--column=phone"];

#[test]
fn no_file_holds_a_value_or_an_open_key_whatever_happens() {
    let place = Place::new();
    let temporary = place.path("temporary");
    fs::create_dir(&temporary).unwrap();
    let command = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("TMPDIR", &temporary).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    assert!(command(&INIT).status().unwrap().success());
    assert!(command(&["keys", "add"]).status().unwrap().success());
    // What is refused.
    assert!(!command(&INIT).status().unwrap().success());
    assert!(!command(&["keys", "promote", "0123456789abcdef"]).status().unwrap().success());

    // A stream: whole, broken, and killed while it flows.
    let line = format!("{{\"name\": \"{VALUE}\"}}\n");
    for (input, is_killed) in [(line.repeat(3), false), (format!("{line}{VALUE}"), false), (line.repeat(2000), true)] {
        for direction in ["encrypt", "decrypt"] {
            let mut process = piped(command(&[direction, "--policy", "policy.toml"]));
            let mut pipe = process.stdin.take().unwrap();
            let _ = pipe.write_all(input.as_bytes());
            if is_killed {
                process.kill().unwrap();
            }
            drop(pipe);
            process.wait().unwrap();
        }
    }
    // A table, of which the values are gone from its file when they are encrypted: a job that is killed again and again.
    place.sql(
        "PRAGMA secure_delete = ON;
        CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, phone TEXT)",
    );
    for some in 0..20 {
        let rows = (0..50).map(|row| format!("({}, '{VALUE}', '{VALUE}')", some * 50 + row)).collect::<Vec<_>>();
        place.sql(&format!("INSERT INTO customers VALUES {}", rows.join(",")));
    }
    let moved = || place.text("SELECT count(*) || '' FROM customers WHERE name LIKE 'fs1.%'");
    let (mut kills, mut wait) = (0, Duration::from_millis(30));
    // As soon as something was written.
    while moved() == "0" {
        let arguments = ["reencrypt", "--encrypt-plaintext", "--rate=500", "--batch=20", "--worker=one"];
        let mut process = command(&[&arguments, &TABLE[..]].concat()).spawn().unwrap();
        thread::sleep(wait);
        process.kill().unwrap();
        process.wait().unwrap();
        (kills, wait) = (kills + 1, wait * 2);
        assert!(kills < 10, "a job moves nothing");
    }
    assert_ne!(moved(), "1000", "the job was killed in the middle");
    assert!(command(&[&["scan"], &TABLE[..]].concat()).status().unwrap().code().is_some());
    let html = ["breach-report", "--dump", "customers.db", "--policy=policy.toml", "--html=report.html"];
    assert!(command(&html).status().unwrap().code().is_some());

    let mut names = BTreeSet::new();
    let kek = fs::read_to_string(place.path("kek")).unwrap();
    for entry in fs::read_dir(place.path("")).unwrap().chain(fs::read_dir(&temporary).unwrap()) {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name().into_string().unwrap())).unwrap();
        if path == temporary {
            continue;
        }
        let content = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        // The table's own rows are what the job has not come to yet.
        let is_database = name.starts_with("customers.db");
        assert!(is_database || !content.contains(VALUE), "{name} holds a value");
        assert!(name == "kek" || !content.contains(kek.trim_end()), "{name} holds the key-encryption key");
        if name.contains("kek") || name.contains("keyring") {
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{name}");
        }
        names.insert(name);
    }
    assert!(names.contains("report.html") && names.contains("keyring.json.lock"), "{names:?}");
    let known = ["customers.db", "kek", "keyring.json", "keyring.json.lock", "policy.toml", "report.html"];
    let unknown: Vec<_> = names.iter().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(unknown.iter().all(|name| name.starts_with("customers.db-")), "{unknown:?}");
    println!("files: {} after {kills} kills of a job and 2 of a stream, none with a value or an open key", names.len());
}

fn piped(mut command: Command) -> std::process::Child {
    command.stdin(Stdio::piped()).spawn().unwrap()
}
