//! The breach drill finds nothing with the layer and much without it, and what it leaves behind says the same to others.

#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::format_collect, reason = "a test may be slow")]

#[expect(dead_code, reason = "the drill uses more of it")]
#[path = "../examples/breach_drill/search.rs"]
mod search;
#[expect(dead_code, reason = "the drill uses more of it")]
#[path = "../examples/breach_drill/spelling.rs"]
mod spelling;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fieldseal::keys::{KeyringFile, Keys, LocalKek};
use fieldseal::{Field, FieldCipher, Policy, Tag};
use rusqlite::Connection;
use serde_json::Value;

/// No name has fewer bytes than this.
const START: usize = 5;
const TAGGED: [&str; 6] = ["name", "romanised_name", "phone", "email", "address", "card_last4"];

#[test]
fn a_stolen_database_yields_only_ciphertext() {
    let directory = tempfile::tempdir().unwrap();
    let output = drill(&["--accounts", "200", "--dir"], Some(directory.path()));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let size = files(directory.path()).iter().map(Vec::len).sum::<usize>();
    assert_eq!(last_line(&output), format!("plaintext hits: 0 in {size} bytes"));

    let sent = sent(directory.path());
    assert_eq!(sent.len(), 220, "200 accounts, 20 of them updated");
    let mut texts: HashMap<&[u8], Vec<(&str, &str)>> = HashMap::new();
    for (field, text) in sent.iter().flat_map(tagged).filter(|(field, _)| *field != "card_last4") {
        texts.entry(&text.as_bytes()[..START]).or_default().push((field, text));
    }
    for stolen in files(directory.path()) {
        for (place, start) in stolen.windows(START).enumerate() {
            for (field, text) in texts.get(start).into_iter().flatten() {
                assert!(!stolen[place..].starts_with(text.as_bytes()), "a {field} stands at {place}");
            }
        }
    }
}

#[tokio::test]
async fn the_stolen_rows_open_with_the_keys_and_hold_what_was_sent() {
    let directory = tempfile::tempdir().unwrap();
    let output = drill(&["--accounts", "200", "--dir"], Some(directory.path()));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let kek = LocalKek::from_file(directory.path().join("kek")).unwrap();
    let keys = Keys::open(KeyringFile::new(directory.path().join("keyring.json")), kek).await.unwrap();
    let fields = [Tag::Name, Tag::Name, Tag::Phone, Tag::Email, Tag::Address, Tag::CardFragment];
    let mut policy = Policy::builder("customers");
    for (name, tag) in TAGGED.into_iter().zip(fields) {
        policy = policy.field(Field::new(name, tag));
    }
    let cipher = FieldCipher::new(policy.build().unwrap(), keys);

    // The last document of each customer is the one that counts.
    let sent: HashMap<String, Value> = sent(directory.path())
        .into_iter()
        .map(|customer| (customer["id"].as_str().unwrap().to_owned(), customer))
        .collect();
    let database = Connection::open(directory.path().join("stolen.db")).unwrap();
    let mut statement = database.prepare("SELECT * FROM customers").unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut opened = 0;
    while let Some(row) = rows.next().unwrap() {
        let customer = &sent[&row.get::<_, String>("id").unwrap()];
        for field in TAGGED {
            let cell: Option<String> = row.get(field).unwrap();
            let value: Option<String> = cell.map(|cell| cipher.decrypt_value(field, cell).unwrap());
            assert_eq!(value.as_deref(), customer[field].as_str(), "{field}");
        }
        assert_eq!(row.get::<_, String>("loyalty").unwrap().parse::<Value>().unwrap(), customer["loyalty"]);
        opened += 1;
    }
    assert_eq!(opened, 200);
}

#[test]
fn without_the_layer_the_thief_finds_plaintexts() {
    let directory = tempfile::tempdir().unwrap();
    let output = drill(&["--no-layer", "--accounts", "200", "--dir"], Some(directory.path()));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let line = last_line(&output);
    let hits: usize =
        line.strip_prefix("plaintext hits: ").and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    let values = sent(directory.path()).iter().flat_map(tagged).count();
    assert!(hits >= values * 9 / 10, "{line}, of {values} values");
}

#[test]
fn bad_arguments_and_used_directories_are_refused() {
    for arguments in [&["--acounts", "5"][..], &["--accounts"], &["--accounts", "0"], &["--accounts", "-1"], &["20"]] {
        let output = drill(arguments, None);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage:"), "{arguments:?}");
    }
    for file in ["sent.ndjson", "stolen.db", "stolen.db-wal", "keyring.json", "kek"] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(file), "of an earlier drill").unwrap();
        let output = drill(&["--accounts", "1", "--dir"], Some(directory.path()));
        assert_eq!(output.status.code(), Some(2), "{file}");
        assert_eq!(fs::read_to_string(directory.path().join(file)).unwrap(), "of an earlier drill");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "{file}");
    }
}

#[test]
fn the_search_finds_every_spelling_wherever_it_stands() {
    for text in [
        "陈伟明芳",
        r#""name":"陈伟""#,
        "முருகன் செல்வம்",
        "+65 9123 4567",
        r#""card_last4":"4242""#,
        "a >?>?>? ~~~ ÿÿÿ b",
    ] {
        let needles = search::Needles::of(&[text.to_owned(), "another needle".to_owned()]);
        for junk in ["", "#", "##", "###", "####"] {
            let embedded = format!("{junk}{text}{junk}{junk}|");
            let hexadecimal: String = embedded.bytes().map(|byte| format!("{byte:02x}")).collect();
            let little_endian: Vec<u8> = embedded.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big_endian: Vec<u8> = embedded.encode_utf16().flat_map(u16::to_be_bytes).collect();
            let escaped: String = embedded.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let escaped_upper: String = embedded.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            let quoted = serde_json::to_string(&embedded).unwrap();
            let quoted_ascii: String = quoted.chars().map(ascii_escape).collect();
            for haystack in [
                embedded.clone().into_bytes(),
                STANDARD.encode(&embedded).into_bytes(),
                URL_SAFE_NO_PAD.encode(&embedded).into_bytes(),
                hexadecimal.to_uppercase().into_bytes(),
                hexadecimal.into_bytes(),
                little_endian,
                big_endian,
                escaped.into_bytes(),
                escaped_upper.into_bytes(),
                quoted.into_bytes(),
                quoted_ascii.into_bytes(),
            ] {
                let mut found = 0;
                needles.search(&haystack, |_, _| found += 1);
                assert!(found > 0, "{text} behind {} bytes, in {}", junk.len(), String::from_utf8_lossy(&haystack));
            }
        }
        needles.search("nothing of what is looked for, fs1.AQAAAAAAAAAA".as_bytes(), |position, spelling| {
            panic!("{} at {position}", spelling.name());
        });
    }
}

fn ascii_escape(character: char) -> String {
    match character {
        character if character.is_ascii() => character.to_string(),
        character => format!("\\u{:04x}", u32::from(character)),
    }
}

/// Runs the example that Cargo has built beside this test.
fn drill(arguments: &[&str], directory: Option<&Path>) -> Output {
    let test = std::env::current_exe().unwrap();
    let profile: PathBuf = test.ancestors().nth(2).unwrap().to_owned();
    let program = profile.join("examples").join(format!("breach_drill{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "{} is missing: run `cargo test`, which builds it, or `cargo build --example breach_drill` first",
        program.display()
    );
    Command::new(program).args(arguments).args(directory).output().unwrap()
}

fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned()
}

fn files(directory: &Path) -> [Vec<u8>; 2] {
    ["stolen.db", "stolen.db-wal"].map(|file| fs::read(directory.join(file)).unwrap())
}

fn sent(directory: &Path) -> Vec<Value> {
    let sent = fs::read_to_string(directory.join("sent.ndjson")).unwrap();
    sent.lines().map(|line| line.parse().unwrap()).collect()
}

fn tagged(customer: &Value) -> impl Iterator<Item = (&'static str, &str)> {
    TAGGED.into_iter().filter_map(|field| Some((field, customer[field].as_str()?)))
}
