//! Proves what the program `fieldseal` does: a rotation by commands, what it refuses with which code, that data and
//! messages are kept apart, and that it shows no secret.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use fieldseal::keys::{KeyService as _, LocalKek};
use program::{Place, text};
use serde_json::Value;

const TABLE: [&str; 5] =
    ["--policy=policy.toml", "--table=customers", "--column=name", "--column=tel=phone", "--format=json"];
const PART: [&str; 4] = ["--policy=policy.toml", "--table=customers", "--column=tel=phone", "--format=json"];
const INIT: [&str; 7] = ["keys", "init", "--name", "customers", "--create-kek", "--kek", "file:kek"];
const NO_WAITS: [&str; 5] = ["--refresh=0", "--lease=0", "--longest-request=0", "--clock-skew=0", "--rehearsal=0"];
const SHORT_LEASE: [&str; 5] = ["--refresh=1", "--lease=3", "--longest-request=1", "--clock-skew=0", "--rehearsal=1"];

#[test]
fn a_value_that_does_not_fit_stops_a_job_with_its_row_and_column() {
    let place = Place::new();
    place.run(&INIT);
    place.sql(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, tel TEXT);
        INSERT INTO customers VALUES (1, 'Tan Wei Ming', '91234567'), (2, printf('%.*c', 1100000, 'x'), '81234567')",
    );
    let job = [&["reencrypt", "--encrypt-plaintext", "--worker=one"], &TABLE[..]].concat();
    let output = place.command(&job).output().unwrap();
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()));
    assert!(told.contains("row 2, column `name` holds what cannot be moved") && !told.contains("xxx"), "{told}");
}

#[test]
fn a_table_is_encrypted_and_its_key_rotated_by_commands_alone() {
    let place = Place::new();
    let made = place.run(&[&INIT[..], &NO_WAITS].concat());
    let old = made["keys"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!((made["keys"][0]["state"].as_str(), made["revision"].as_u64()), (Some("primary"), Some(2)));
    place.sql(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, tel TEXT);
        INSERT INTO customers VALUES (1, 'Tan Wei Ming', '+65 9123 4567'), (2, '陈伟明', NULL)",
    );

    // Plaintext is what a scan must not find.
    let scan = place.command(&[&["scan"], &TABLE[..]].concat()).output().unwrap();
    assert_eq!(scan.status.code(), Some(1));
    let scan: Value = serde_json::from_slice(&scan.stdout).unwrap();
    assert_eq!((scan["rows"].as_u64(), scan["plaintexts"][0]["count"].as_u64()), (Some(2), Some(2)));
    let dry = place.run(&[&["reencrypt", "--encrypt-plaintext", "--dry-run"], &TABLE[..4]].concat());
    assert_eq!((dry["moved"].as_u64(), dry["dry_run"].as_bool()), (Some(2), Some(true)));
    let done = place.run(&[&["reencrypt", "--encrypt-plaintext"], &TABLE[..4]].concat());
    assert_eq!((done["moved"].as_u64(), &done["scan"]["plaintexts"]), (Some(2), &Value::Array(Vec::new())));

    let added = place.run(&["keys", "add", "--by", "alice@example.sg", "--why", "quarterly rotation"]);
    let new = added["keys"][1]["id"].as_str().unwrap().to_owned();
    place.run(&["keys", "promote", &new]);
    assert_eq!(place.run(&[&["reencrypt"], &TABLE[..4]].concat())["moved"].as_u64(), Some(2));
    thread::sleep(Duration::from_millis(1100));
    // The list says what can be done next, and when.
    let listed = || text(&place.command(&["keys", "list"]).output().unwrap().stdout);
    assert!(listed().contains("scan for it from"), "{}", listed());
    for next in ["1 clean scan, scan for it again", "2 clean scans, disable it"] {
        place.run(&[&["scan", "--record", &old], &TABLE[..4]].concat());
        assert!(listed().contains(next), "{}", listed());
    }
    let disabled = place.run(&["keys", "disable", &old]);
    let forgettable = disabled["keys"][0]["forgettable_at"].as_str().unwrap();
    assert!(listed().contains(&format!("forget it from {forgettable} on\n")), "{}", listed());
    assert!(place.refused(&["keys", "forget", &old], 2).contains("confirm it with --yes"));
    let states = place.run(&["keys", "forget", &old, "--yes"]);
    assert_eq!(
        [0, 1].map(|index: usize| states["keys"][index]["state"].as_str().unwrap().to_owned()),
        ["forgotten", "primary"]
    );

    let log = place.run(&["keys", "log"]);
    let added = log["changes"].as_array().unwrap().iter().find(|change| change["action"] == "added").unwrap();
    assert_eq!((added["by"].as_str(), added["why"].as_str()), (Some("alice@example.sg"), Some("quarterly rotation")));

    // A worker that was killed holds what it had; whoever waits for it says so.
    place.sql(
        "UPDATE fieldseal_jobs SET finished = 0 WHERE job LIKE '%to key%';
        UPDATE fieldseal_ranges SET done = 0, worker = 'dead', lease_until = (julianday('now') - 2440587.5) * 86400.0 + 2
        WHERE job LIKE '%to key%'",
    );
    let waited = place.command(&[&["reencrypt"], &TABLE[..]].concat()).output().unwrap();
    assert!(waited.status.success() && text(&waited.stderr).contains("another worker holds"), "{waited:?}");

    // And back, which asks first.
    let back = [&["reencrypt", "--dangerous-decrypt"], &TABLE[..4]].concat();
    assert!(place.refused(&back, 2).contains("readable for everybody"));
    assert_eq!(place.run(&[&back[..], &["--yes"]].concat())["moved"].as_u64(), Some(2));
}

#[test]
fn a_scan_that_cannot_tell_what_is_under_the_key_is_not_recorded_as_clean() {
    let place = Place::new();
    place.run(&[&INIT[..], &NO_WAITS].concat());
    place.sql(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, tel TEXT);
        INSERT INTO customers VALUES (1, 'Tan Wei Ming', NULL)",
    );
    place.run(&[&["reencrypt", "--encrypt-plaintext", "--tenant=acme"], &TABLE[..4]].concat());
    let added = place.run(&["keys", "add"]);
    let [old, new] = [0, 1].map(|index: usize| added["keys"][index]["id"].as_str().unwrap().to_owned());
    place.run(&["keys", "promote", &new]);
    thread::sleep(Duration::from_millis(1100));
    let clean_scans = || place.run(&["keys", "list"])["keys"][0]["clean_scans"].as_array().unwrap().len();
    let scan = [&["scan", "--record", &old], &TABLE[..4]].concat();

    // The token of a tenant does not open here, and counts.
    let said = place.refused(&scan, 1);
    assert!(said.contains(&format!("recorded: 1 tokens under key {old}")), "{said}");
    assert_eq!(clean_scans(), 0);

    // What names no key could be such a token.
    for name in ["fs1.cut", "fs1."] {
        place.sql(&format!("UPDATE customers SET name = '{name}'"));
        let said = place.refused(&scan, 1);
        assert!(said.contains(&format!("nothing was recorded for key {old}")) && !said.contains("fs1."), "{said}");
        assert_eq!(clean_scans(), 0);
    }
    place.sql("UPDATE customers SET name = NULL");
    place.run(&scan);
    assert_eq!(clean_scans(), 1);
}

#[test]
fn a_scan_that_leaves_fields_of_the_policy_out_says_so_and_is_no_evidence() {
    let place = Place::new();
    place.run(&[&INIT[..], &NO_WAITS].concat());
    place.sql("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, tel TEXT, profile TEXT)");
    let added = place.run(&["keys", "add"]);
    let [old, new] = [0, 1].map(|index: usize| added["keys"][index]["id"].as_str().unwrap().to_owned());
    place.run(&["keys", "promote", &new]);
    thread::sleep(Duration::from_millis(1100));
    let clean_scans = || place.run(&["keys", "list"])["keys"][0]["clean_scans"].as_array().unwrap().len();

    let scan = place.command(&[&["scan"], &PART[..]].concat()).output().unwrap();
    let found: Value = serde_json::from_slice(&scan.stdout).unwrap();
    assert_eq!((scan.status.code(), &found["fields_left_out"]), (Some(0), &serde_json::json!(["name"])));
    assert!(text(&scan.stderr).contains("the policy names `name` too"), "{}", text(&scan.stderr));
    let record = ["scan", "--record", &old];
    let said = place.refused(&[&record[..], &PART].concat(), 2);
    assert!(said.contains("--only-these-fields") && clean_scans() == 0, "{said}");
    let reencrypt = place.command(&[&["reencrypt"], &PART[..]].concat()).output().unwrap();
    assert!(text(&reencrypt.stderr).contains("the policy names `name` too"), "{}", text(&reencrypt.stderr));

    // A document can hold every field.
    place.run(&[&record[..], &PART[..3], &["--document=profile"]].concat());
    assert_eq!(clean_scans(), 1);
    place.run(&[&record[..], &PART[..3], &["--only-these-fields"]].concat());
    assert_eq!(clean_scans(), 2);
}

#[test]
fn a_step_before_its_time_and_a_key_still_needed_are_refused() {
    let place = Place::new();
    place.run(&INIT);
    let added = place.run(&["keys", "add"]);
    let [old, new] = [0, 1].map(|index: usize| added["keys"][index]["id"].as_str().unwrap().to_owned());
    let said = place.refused(&["keys", "promote", &new], 1);
    assert!(
        said.contains("cannot promote") && said.contains(added["keys"][1]["promotable_at"].as_str().unwrap()),
        "{said}"
    );
    assert!(place.refused(&["keys", "promote", &new, "--without-waiting"], 2).contains("--yes"));
    place.run(&["keys", "promote", &new, "--without-waiting", "--yes"]);
    // Disabled now, it would be missed by whoever reads; that takes the same evidence as its end.
    let said = place.refused(&["keys", "disable", &old], 1);
    assert!(said.contains("2 clean scans are missing") && said.contains("--without-scans"), "{said}");
    let listed = place.run(&["keys", "list"]);
    assert!(said.contains(listed["keys"][0]["scannable_at"].as_str().unwrap()), "{said}");
    assert_eq!(listed["keys"][0]["state"], "enabled");
    place.run(&["keys", "disable", &old, "--without-scans"]);
    let listed = place.command(&["keys", "list"]).output().unwrap();
    assert!(text(&listed.stdout).contains(" on, after 2 more clean scans"));
    assert!(place.refused(&["keys", "forget", &old, "--yes"], 1).contains("it takes 2"));
    assert!(place.refused(&["keys", "disable", &new], 1).contains("promote another key first"));
    // The number is what was said, and nobody has counted.
    let forget = ["keys", "forget", &old, "--with-everything-under-it", "--tokens", "12"];
    assert!(place.refused(&forget, 2).contains("12 tokens, by --tokens alone"));
    let lost = place.command(&[&forget[..], &["--yes"]].concat()).output().unwrap();
    assert!(text(&lost.stderr).contains("the record says 12 tokens, as --tokens did"), "{}", text(&lost.stderr));
    assert_eq!(place.run(&["keys", "list"])["keys"][0]["state"], "forgotten");
    assert!(
        place
            .refused(&["keys", "shred", "local:0000000000000000", "--receipt", "x", "--yes"], 1)
            .contains("nothing to shred")
    );
}

#[test]
fn shorter_times_leave_the_waits_of_those_that_replicas_may_still_keep_to() {
    let place = Place::new();
    place.run(&INIT);
    let timing = ["keys", "timing", "--refresh=1", "--lease=1", "--longest-request=1", "--clock-skew=0"];
    place.run(&timing);
    let added = place.run(&["keys", "add"]);
    let new = added["keys"][1]["id"].as_str().unwrap();
    thread::sleep(Duration::from_millis(2100));
    assert!(place.refused(&["keys", "promote", new], 1).contains("cannot promote"));

    // Times that do not fit each other are refused before a key is made, so that the next try finds none in its way.
    let place = Place::new();
    assert!(place.refused(&[&INIT[..], &["--refresh=600"]].concat(), 1).contains("shorter than its refresh period"));
    assert!(!place.path("kek").exists() && !place.path("keyring.json").exists());

    // Where there are no replicas yet, there is nothing to wait for.
    place.run(&[&INIT[..], &timing[2..]].concat());
    let added = place.run(&["keys", "add"]);
    thread::sleep(Duration::from_millis(2100));
    place.run(&["keys", "promote", added["keys"][1]["id"].as_str().unwrap()]);
}

#[test]
fn a_keyring_that_cannot_be_made_leaves_no_key_behind() {
    let place = Place::new();
    let mut nowhere = place.command(&INIT);
    assert_eq!(nowhere.env_remove("FIELDSEAL_KEYRING").output().unwrap().status.code(), Some(2));
    for bad in [&["--keyring=no/such/keyring.json"][..], &["--why=a\nb"], &["--name="]] {
        let init = if bad[0] == "--name=" { [&INIT[..2], bad, &INIT[4..]].concat() } else { [&INIT[..], bad].concat() };
        place.refused(&init, 1);
    }
    assert!(!place.path("kek").exists());

    // Without the option, it is named where there is no such file.
    let said = place.refused(&["keys", "init", "--name", "customers"], 1);
    assert!(said.contains("--create-kek makes"), "{said}");
    assert!(!place.path("keyring.json").exists());
    place.run(&INIT);
    let said = place.refused(&[&INIT[..5], &["--kek", "file:other"]].concat(), 1);
    assert!(said.contains("exists already") && !place.path("other").exists(), "{said}");
}

#[test]
fn every_key_encryption_key_that_wrapped_a_key_is_named() {
    let place = Place::new();
    let made = place.run(&INIT);
    let former = made["keys"][0]["kek"].as_str().unwrap();
    LocalKek::create_file(place.path("other")).unwrap();
    let listed = place.run(&["keys", "rewrap", "--from", former, "--kek", "file:kek,file:other", "--yes"]);
    assert_eq!(listed["keys"][0]["former_keks"], serde_json::json!([former]));
    assert_ne!(listed["keys"][0]["kek"], former);
    let listed = place.command(&["keys", "list", "--kek", "file:kek,file:other"]).output().unwrap();
    assert!(text(&listed.stdout).contains(&format!("(before: {former})")));
}

#[test]
fn a_key_encryption_key_in_a_file_ends_by_deletion_and_a_receipt() {
    let place = Place::new();
    let made = place.run(&[&INIT[..], &NO_WAITS].concat());
    let [old, kek] = ["id", "kek"].map(|part| made["keys"][0][part].as_str().unwrap().to_owned());
    LocalKek::create_file(place.path("other")).unwrap();
    let both = |arguments: &[&str]| place.run(&[arguments, &["--kek=file:kek,file:other", "--yes"]].concat());
    let added = both(&["keys", "add"]);
    both(&["keys", "promote", added["keys"][1]["id"].as_str().unwrap()]);
    both(&["keys", "authenticate"]);
    both(&["keys", "forget", &old, "--with-everything-under-it", "--tokens=0"]);
    let said = place.refused(&["keys", "shred", &kek, "--destroy", "--kek=file:kek,file:other", "--yes"], 1);
    assert!(said.contains(&format!("`fieldseal keys shred {kek} --receipt")), "{said}");
    fs::remove_file(place.path("kek")).unwrap();
    let shred = ["keys", "shred", &kek, "--receipt", "deleted by Alice", "--kek=file:other", "--yes"];
    assert_eq!(place.run(&shred)["keys"][0]["state"], "shredded");
}

#[test]
fn a_scan_says_of_each_key_why_its_tokens_do_not_open() {
    let place = Place::new();
    let old = place.run(&[&INIT[..], &NO_WAITS].concat())["keys"][0]["id"].as_str().unwrap().to_owned();
    place.sql(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, tel TEXT);
        INSERT INTO customers VALUES (1, 'Tan Wei Ming', NULL), (2, '陈伟明', NULL)",
    );
    place.run(&[&["reencrypt", "--encrypt-plaintext"], &TABLE[..4]].concat());
    place.sql("UPDATE customers SET tel = name WHERE id = 1");
    let scan = || place.command(&[&["scan"], &TABLE[..]].concat()).output().unwrap();
    let said = text(&scan().stderr);
    assert!(said.contains(&format!("1 tokens do not open: key {old} is there")), "{said}");

    let added = place.run(&["keys", "add"]);
    place.run(&["keys", "promote", added["keys"][1]["id"].as_str().unwrap()]);
    place.run(&["keys", "disable", &old, "--without-scans"]);
    let scan = scan();
    let (found, said): (Value, _) = (serde_json::from_slice(&scan.stdout).unwrap(), text(&scan.stderr));
    assert_eq!(found["unreadable_keys"], serde_json::json!([{"key": old, "count": 3}]));
    assert!(said.contains(&format!("3 tokens do not open: key {old} is disabled")), "{said}");
    assert_eq!(said.lines().count(), 1);
}

#[test]
fn a_key_encryption_key_that_replicas_may_lack_is_asked_for_and_told_of() {
    let place = Place::new();
    let first = place.run(&INIT)["keys"][0]["kek"].as_str().unwrap().to_owned();
    let second = LocalKek::create_file(place.path("other")).unwrap();
    let add = ["keys", "add", "--kek", "file:kek,file:other"];
    let said = place.refused(&add, 2);
    assert!(said.contains("every replica and every command first") && said.contains(second.name()), "{said}");
    assert_eq!(place.run(&["keys", "list"])["keys"].as_array().unwrap().len(), 1);
    let added = place.run(&[&add[..], &["--yes"]].concat());
    assert_eq!(added["keys"][1]["kek_given"], true);
    // It is known by now.
    place.run(&add);

    // Whoever lacks it is told, though the keyring itself can still be read.
    let output = place.command(&["keys", "list"]).output().unwrap();
    let (listed, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && said.matches(second.name()).count() == 2 && !said.contains(&first), "{said}");
    assert_eq!(listed.matches("(not among --kek)").count(), 2, "{listed}");
    let id = added["keys"][1]["id"].as_str().unwrap();
    let promoted = place.command(&["keys", "promote", id, "--without-waiting", "--yes"]).output().unwrap();
    assert!(promoted.status.success() && text(&promoted.stderr).contains("which --kek does not name"));
}

#[test]
fn a_call_that_makes_no_sense_ends_with_code_2_and_never_repeats_a_key() {
    let place = Place::new();
    let key = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
    for arguments in [
        &["keys", "list", "--kek", key][..],
        &["keys", "list", "--kek", "vault:transit"],
        &["keys"],
        &["nonsense"],
        &["keys", "promote", "not-a-key"],
        &["keys", "forget", "0123456789abcdef", "--with-everything-under-it"],
        &["scan", "--policy", "policy.toml", "--table", "customers"],
        &[&["reencrypt", "--rate=0"], &TABLE[..]].concat(),
        &[&["reencrypt", "--batch=0"], &TABLE[..]].concat(),
    ] {
        let said = place.refused(arguments, 2);
        assert!(!said.contains(key), "{said}");
    }
    let mut command = place.command(&["keys", "list"]);
    let output = command.env_remove("FIELDSEAL_KEYRING").output().unwrap();
    assert!(output.status.code() == Some(2) && output.stdout.is_empty());
}

#[test]
fn a_secret_in_the_wrong_place_is_never_repeated() {
    let place = Place::new();
    place.run(&INIT);
    let key = fs::read_to_string(place.path("kek")).unwrap().trim_end().to_owned();
    for (kind, says) in [("file", "the path of a file"), ("env", "the name of an environment variable")] {
        let said = place.refused(&["keys", "list", "--kek", &format!("{kind}:{key}")], 1);
        assert!(said.contains(says) && !said.contains(&key[..20]), "{said}");
    }
    let address = "postgres://shop:hunter2@localhost/shop";
    let database = format!("--database-url={address}");
    let scan = [&["scan", &database], &TABLE[..4]].concat();
    let keyring = |address: &str| place.refused(&["keys", "list", "--keyring", address], 2);
    let (in_variable, other) = (format!("postgres:{address}"), address.replace("postgres", "postgresql"));
    for said in [place.refused(&scan, 2), keyring(address), keyring(&in_variable), keyring(&other)] {
        assert!(said.contains("never") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn documents_go_through_a_pipe_and_come_back_byte_for_byte() {
    let place = Place::new();
    place.run(&INIT);
    let lines =
        "{\"id\": 1, \"phone\":  \"+65 9123 4567\", \"x\": 1.10}\n\n{\"phone\": null}\r\n[{\"name\":\"陈伟明\"}]";
    let stored = place.piped(&["encrypt", "--policy", "policy.toml"], lines.as_bytes());
    assert!(stored.status.success(), "{}", text(&stored.stderr));
    let shown = text(&stored.stdout);
    assert!(shown.starts_with("{\"id\": 1, \"phone\":  \"fs1.") && !shown.contains("9123") && !shown.contains('陈'));
    let back = place.piped(&["decrypt", "--policy", "policy.toml"], &stored.stdout);
    assert_eq!(text(&back.stdout), lines);

    // Of a line that fails nothing is written; what came before it is whole.
    let bad = place
        .piped(&["encrypt", "--policy", "policy.toml"], b"{\"phone\": \"1\"}\n{\"phone\": \"+65 8\" \"secret\"}\n{}\n");
    assert_eq!((bad.status.code(), text(&bad.stdout).lines().count()), (Some(1), 1));
    let said = text(&bad.stderr);
    assert!(said.contains("line 2") && !said.contains("secret"), "{said}");
}

#[test]
fn a_change_of_the_keyring_ends_no_command_that_goes_on_for_long() {
    let place = Place::new();
    let made = place.run(&[&INIT[..], &SHORT_LEASE].concat());
    let old = made["keys"][0]["id"].as_str().unwrap();
    let values: Vec<_> = (0..150).map(|id| format!("({id}, 'Tan {id}')")).collect();
    place.sql(&format!(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, tel TEXT);
        INSERT INTO customers (id, name) VALUES {}",
        values.join(", ")
    ));
    let piped = |command: &mut Command| {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let slow = ["reencrypt", "--encrypt-plaintext", "--rate=25", "--batch=5"];
    let job = piped(&mut place.command(&[&slow[..], &TABLE].concat()));
    let mut pipe = piped(&mut place.command(&["encrypt", "--policy", "policy.toml"]));
    let mut lines = pipe.stdin.take().unwrap();
    for line in 0..20 {
        lines.write_all(b"{\"phone\": \"1\"}\n").unwrap();
        if line == 2 {
            let added = place.run(&["keys", "add"]);
            place.run(&["keys", "promote", added["keys"][1]["id"].as_str().unwrap(), "--without-waiting", "--yes"]);
        }
        thread::sleep(Duration::from_millis(300));
    }
    drop(lines);
    let [pipe, job] = [pipe, job].map(|process| process.wait_with_output().unwrap());
    assert!(pipe.status.success(), "{}", text(&pipe.stderr));
    // The key that was promoted meanwhile is taken up.
    let stored = text(&pipe.stdout);
    let key_of = |line: &str| line["{\"phone\": \"fs1.".len()..][..12].to_owned();
    assert_eq!(stored.lines().count(), 20);
    assert_ne!(stored.lines().next().map(key_of), stored.lines().last().map(key_of));
    assert!(job.status.success(), "{}", text(&job.stderr));
    let scan: Value = serde_json::from_slice(&job.stdout).unwrap();
    let keys: Vec<_> = scan["scan"]["tokens"].as_array().unwrap().iter().map(|tokens| &tokens["key"]).collect();
    assert!(keys.len() == 2 && keys.iter().any(|key| *key == old), "{scan}");
}

#[test]
fn blind_indexes_come_move_and_go_by_commands() {
    let place = Place::new();
    place.run(&INIT);
    place.run(&["keys", "init", "--name=customers-index", "--keyring=index.json", "--lease=0"]);
    let policy = "collection = \"customers\"\n[fields.phone]\ntag = \"phone\"\nindex = { normal_form = \"exact\" }\n";
    fs::write(place.path("policy.toml"), policy).unwrap();
    let keys = "--index-keyring=index.json";

    let line = b"{\"phone\": \"9123\" , \"vip\": true}\n";
    let without = place.piped(&["encrypt", "--policy=policy.toml"], line);
    assert!(without.status.code() == Some(2) && without.stdout.is_empty());
    assert!(text(&without.stderr).contains("--index-keyring"));
    let same = place.piped(&["encrypt", "--policy=policy.toml", "--index-keyring=keyring.json"], line);
    assert!(same.status.code() == Some(1) && text(&same.stderr).contains("a keyring of their own"));
    let stored = place.piped(&["encrypt", "--policy=policy.toml", keys], line);
    let index = |stored: &[u8]| {
        serde_json::from_slice::<Value>(stored).unwrap()["phone_index"].as_str().unwrap_or("none").to_owned()
    };
    let first = index(&stored.stdout);
    assert!(first.starts_with("fi1."), "{first}");
    for options in [&["decrypt", "--policy=policy.toml", keys][..], &["decrypt", "--policy=policy.toml"]] {
        assert_eq!(place.piped(options, &stored.stdout).stdout, line);
    }

    place.sql(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, profile TEXT, tel TEXT, tel_index TEXT);
        INSERT INTO customers VALUES (1, '{\"phone\":\"9123\"}', '9123', NULL)",
    );
    let table = ["--policy=policy.toml", "--table=customers", "--document=profile"];
    let column = ["--column=tel=phone", "--index-column=tel_index=tel"];
    let table = [&table[..], &column[..]].concat();
    assert!(place.refused(&[&["scan", "--index-column=tel_index"], &table[..]].concat(), 2).contains("INDEX=COLUMN"));
    let encrypt = [&["reencrypt", "--encrypt-plaintext"], &table[..]].concat();
    assert!(place.refused(&encrypt, 2).contains("--index-keyring"));
    place.run(&[&encrypt[..], &[keys]].concat());
    let profile = || place.text("SELECT profile FROM customers");
    let before = profile();
    assert_eq!(index(before.as_bytes()), first, "a table and a pipe have one index");
    let in_column = || place.text("SELECT tel_index FROM customers");
    assert_eq!(in_column(), first);
    let scan = place.run(&[&["scan", keys], &table[..]].concat());
    assert_eq!((scan["rows"].as_u64(), scan["unreadable"].as_u64()), (Some(1), Some(0)));

    let added = place.run(&["keys", "add", "--keyring=index.json"]);
    let new = added["keys"][1]["id"].as_str().unwrap();
    place.run(&["keys", "promote", new, "--without-waiting", "--yes", "--keyring=index.json"]);
    let mut reencrypt = place.command(&[&["reencrypt", "--format=json"], &table[..]].concat());
    let moved = |output: std::process::Output| {
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["moved"].as_u64().unwrap()
    };
    assert_eq!((moved(reencrypt.output().unwrap()), profile()), (0, before.clone()), "no keys, no new indexes");
    assert_eq!(moved(reencrypt.env("FIELDSEAL_INDEX_KEYRING", "index.json").output().unwrap()), 1);
    let after = profile();
    let token = |stored: &str| serde_json::from_str::<Value>(stored).unwrap()["phone"].clone();
    assert_eq!(token(&after), token(&before));
    assert!(index(after.as_bytes()).starts_with("fi1.") && index(after.as_bytes()) != first);
    assert_eq!(in_column(), index(after.as_bytes()));

    let old = fs::read(place.path("index.json")).unwrap();
    place.run(&["keys", "add", "--keyring=index.json", "--witness=index-seen"]);
    fs::write(place.path("index.json"), old).unwrap();
    let witnessed = [&["scan", keys, "--index-witness=index-seen"], &table[..]].concat();
    assert!(place.refused(&witnessed, 1).contains("an old copy was put back"));
}

#[test]
fn an_old_keyring_put_back_is_noticed_by_the_witness() {
    let place = Place::new();
    place.run(&INIT);
    let old = fs::read(place.path("keyring.json")).unwrap();
    place.run(&["keys", "add", "--witness", "seen"]);
    place.run(&["keys", "list", "--witness", "seen"]);
    fs::write(place.path("keyring.json"), old).unwrap();
    assert!(place.refused(&["keys", "list", "--witness", "seen"], 1).contains("an old copy was put back"));
}

#[test]
fn a_message_says_what_to_do_at_a_terminal() {
    let place = Place::new();
    place.run(&INIT);
    let lock = fs::File::create(place.path("keyring.json.lock")).unwrap();
    lock.lock().unwrap();
    let said = place.refused(&["keys", "add"], 1);
    assert!(said.contains("run the command again") && !said.contains("load it again"), "{said}");
    drop(lock);
    let mut scan = place.command(&[&["scan"], &TABLE[..]].concat());
    let output = scan.env("DATABASE_URL", "mysql://shop:hunter2@localhost/shop").output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("neither `sqlite:` nor `postgres:`"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn completions_are_written_for_a_shell() {
    let output = Place::new().command(&["completions", "bash"]).output().unwrap();
    assert!(output.status.success() && text(&output.stdout).contains("_fieldseal"));
}

#[test]
fn decoys_are_made_and_found_by_commands() {
    let place = Place::new();
    place.run(&INIT);
    let records = b"{\"name\":\"Lim Mei Hua\",\"id\":1}\n{\"phone\":\"+65 8123 4567\"}\n";
    let policy = ["--policy", "policy.toml"];
    let encrypted = |command: &[&str]| {
        let output = place.piped(&[command, &policy].concat(), records);
        assert!(output.status.success(), "{}", text(&output.stderr));
        output.stdout
    };
    let (others, decoys) = (encrypted(&["encrypt"]), encrypted(&["honey", "make"]));
    let stored = [&others[..], &decoys].concat();
    let found = place.piped(&[&["honey", "find", "--format=json"], &policy[..]].concat(), &stored);
    assert_eq!(text(&found.stdout), "{\"lines\":[3,4]}\n", "{}", text(&found.stderr));
    let opened = place.piped(&[&["decrypt"], &policy[..]].concat(), &stored);
    assert_eq!(opened.stdout, [records, &records[..]].concat());
}

#[test]
#[cfg(target_os = "linux")]
fn memory_stays_off_the_disk_while_the_program_runs() {
    let place = Place::new();
    place.run(&INIT);
    // It waits for lines, with its keys open. A shell sets the limit: enough for nobody who may not lock more.
    let observed = |options: &[&str]| {
        let program = place.command(&[&["encrypt", "--policy", "policy.toml"], options].concat());
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -l 64 && exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
        shell
            .current_dir(program.get_current_dir().unwrap())
            .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = shell.spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        let told = stdin.write_all(b"{\"phone\":\"+65 9123 4567\"}\n").and_then(|()| {
            let mut first = [0];
            std::io::Read::read_exact(process.stdout.as_mut().unwrap(), &mut first)
        });
        let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", process.id())).unwrap();
        let seen = told.map(|()| (read("limits"), read("status"))).ok();
        drop(stdin);
        (seen, process.wait_with_output().unwrap())
    };
    let (seen, _) = observed(&[]);
    let (limits, status) = seen.unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    assert!(status.contains("VmLck:\t       0 kB"), "{status}");
    match observed(&["--lock-memory"]) {
        (Some((_, status)), _) => assert!(!status.contains("VmLck:\t       0 kB"), "{status}"),
        (None, output) => {
            let said = text(&output.stderr);
            assert!(output.status.code() == Some(1) && said.contains("RLIMIT_MEMLOCK is 65536 bytes"), "{said}");
            assert!(output.stdout.is_empty(), "it went on all the same");
        }
    }
}
