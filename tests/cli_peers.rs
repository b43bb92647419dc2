//! Proves the same of the program with what stands elsewhere: a keyring in PostgreSQL, dumps of `pg_dump`, and
//! key-encryption keys in OpenBao and in a module of PKCS #11.
#![cfg(all(feature = "cli", feature = "pkcs11", feature = "vault"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/program.rs"]
#[expect(dead_code, reason = "the rest is for tests/cli.rs")]
mod program;

use std::env;
use std::fs;
use std::process::Command;

use fieldseal::keys::SecretKey;
use program::{Place, text};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

fn peer(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| panic!("scripts/test sets {variable}"))
}

fn drawn() -> String {
    let draw = SecretKey::generate().unwrap();
    format!("k{:016x}", u64::from_be_bytes(*draw.expose_secret().first_chunk().unwrap()))
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test"]
fn a_dump_is_scanned_as_the_table_is() {
    let (place, name, address) = (Place::new(), drawn(), peer("FIELDSEAL_TEST_POSTGRES"));
    let table = format!("Customers {name}");
    let sql = |statements: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&address).await.unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
        });
    };
    let keyring = format!("postgres:DATABASE_URL/{name}");
    let run = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("DATABASE_URL", &address).env("FIELDSEAL_KEYRING", &keyring).arg("--format=json");
        let output = command.output().unwrap();
        (
            output.status.code(),
            serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default(),
            text(&output.stderr),
        )
    };
    let made = run(&["keys", "init", "--name", "customers", "--create-kek", "--kek", "file:kek"]);
    assert_eq!(made.0, Some(0), "{}", made.2);
    sql(&format!(
        "CREATE TABLE \"{table}\" (id int PRIMARY KEY, name text, \"Tel\" bytea, profile jsonb);
        INSERT INTO \"{table}\" VALUES
            (1, E'Tan\\tWei\\nMing \\\\', convert_to('+65 9123 4567', 'UTF8'), '{{\"phone\": \"+65 8123 4567\", \"x\": \"a\\nb\"}}'),
            (2, NULL, NULL, NULL), (3, '陈伟明', convert_to('+65 7123 4567', 'UTF8'), '[]')"
    ));
    let table_option = format!("--table={table}");
    let common = ["--policy=policy.toml", &table_option, "--column=name", "--column=Tel=phone", "--document=profile"];
    let moved = run(&[&["reencrypt", "--encrypt-plaintext"], &common[..]].concat());
    assert_eq!(moved.0, Some(0), "{}", moved.2);

    let dump = |options: &[&str]| {
        let output = Command::new("pg_dump").arg("-d").arg(&address).args(options).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        fs::write(place.path("dump.sql"), &output.stdout).unwrap();
    };
    dump(&[]);
    let live = run(&[&["scan"], &common[..]].concat());
    let dumped = run(&[&["scan", "--dump", "dump.sql"], &common[..]].concat());
    assert_eq!((live.0, dumped.0), (Some(0), Some(0)), "{}{}", live.2, dumped.2);
    assert_eq!(live.1, dumped.1);
    assert_eq!(dumped.1["rows"], 3);
    let counts: Vec<_> = dumped.1["tokens"].as_array().unwrap().iter().map(|found| found["count"].clone()).collect();
    assert_eq!(counts, [2, 3], "{}", dumped.1);

    sql(&format!("INSERT INTO \"{table}\" VALUES (4, 'in the clear', NULL, NULL)"));
    dump(&[]);
    let (code, found, _) = run(&[&["scan", "--dump", "dump.sql"], &common[..]].concat());
    assert_eq!((code, &found["plaintexts"]), (Some(1), &json!([{ "field": "name", "count": 1 }])));
    let number: usize = found["plaintext_places"][0]["row"].as_str().unwrap()["line ".len()..].parse().unwrap();
    let dumped = fs::read_to_string(place.path("dump.sql")).unwrap();
    assert!(dumped.lines().nth(number - 1).unwrap().contains("in the clear"));

    // Cut off, of another format, without the table or the column, and not there.
    let end = dumped.find("in the clear").unwrap();
    fs::write(place.path("cut.sql"), &dumped[..end]).unwrap();
    dump(&["--inserts"]);
    for (file, options, said) in [
        ("cut.sql", &common[..], "another number of columns"),
        ("dump.sql", &common, "holds no `COPY` of table"),
        ("missing.sql", &common, "cannot be read"),
        ("cut.sql", &["--policy=policy.toml", "--table=others", "--column=name"], "holds no `COPY` of table `others`"),
        ("cut.sql", &["--policy=policy.toml", &table_option, "--column=phone"], "has no column `phone`"),
    ] {
        let (code, _, message) = run(&[&["scan", "--dump", file], options].concat());
        assert!(code == Some(1) && message.contains(said), "{message}");
    }
}

#[test]
#[ignore = "needs OpenBao: scripts/test"]
fn an_epoch_in_vault_is_begun_ended_and_destroyed_by_commands() {
    let (place, address) = (Place::new(), peer("FIELDSEAL_TEST_VAULT"));
    let vault = |path: &str, body: Value| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let request = reqwest::Client::new().post(format!("{address}/v1/{path}")).header("x-vault-token", "root");
            request.body(body.to_string()).send().await.unwrap();
        });
    };
    vault("sys/mounts/transit", json!({ "type": "transit" }));
    let [spring, autumn] = [drawn(), drawn()];
    for key in [&spring, &autumn] {
        vault(&format!("transit/keys/{key}"), json!({ "derived": true }));
    }
    let run = |keks: &str, arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("VAULT_ADDR", &address).env("VAULT_TOKEN", "root").env("FIELDSEAL_KEK_SPEC", keks);
        let output = command.arg("--format=json").output().unwrap();
        (
            output.status.code(),
            serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default(),
            text(&output.stderr),
        )
    };
    let (old, both) = (format!("vault:transit/{spring}"), format!("vault:transit/{spring},vault:transit/{autumn}"));
    let good = |keks: &str, arguments: &[&str]| {
        let (code, data, said) = run(keks, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        data
    };
    let made = good(&old, &["keys", "init", "--name", "customers"]);
    let first = made["keys"][0]["id"].as_str().unwrap();
    let added = good(&both, &["keys", "add", "--yes"]);
    let second = added["keys"][1]["id"].as_str().unwrap();
    good(&both, &["keys", "promote", second, "--without-waiting", "--yes"]);
    good(&both, &["keys", "authenticate"]);
    let stolen = fs::read(place.path("keyring.json")).unwrap();

    // Nothing is destroyed while the keyring needs it, or without a yes, or by who does not hold it.
    let shred = ["keys", "shred", &old, "--destroy", "--yes"];
    assert_eq!(run(&both, &shred).0, Some(1));
    good(&both, &["keys", "disable", first, "--without-scans"]);
    good(&both, &["keys", "forget", first, "--with-everything-under-it", "--tokens", "0", "--yes"]);
    assert_eq!(run(&both, &shred[..4]).0, Some(2));
    let newer = format!("vault:transit/{autumn}");
    assert!(run(&newer, &shred).2.contains("give `vault:transit/"));
    let shredded = good(&both, &shred);
    assert_eq!(shredded["keys"][0]["state"], "shredded");
    assert!(shredded["keys"][0]["receipt"].as_str().unwrap().contains("was deleted"));

    good(&newer, &["keys", "list"]);
    fs::write(place.path("keyring.json"), stolen).unwrap();
    fs::write(place.path("in.ndjson"), "{}\n").unwrap();
    let (code, _, said) = run(&both, &["decrypt", "--policy", "policy.toml"]);
    assert!(code == Some(1) && said.contains("did not unwrap"), "{said}");

    // A server that does not know the token.
    let mut command = place.command(&["keys", "list"]);
    command.env("VAULT_ADDR", &address).env("VAULT_TOKEN", "wrong-token").env("FIELDSEAL_KEK_SPEC", &both);
    let said = text(&command.output().unwrap().stderr);
    assert!(said.contains("permission denied") && !said.contains("wrong-token"), "{said}");
}

#[test]
#[ignore = "needs SoftHSM: scripts/test"]
fn a_key_in_a_module_is_named_by_its_uri() {
    let (place, module) = (Place::new(), peer("FIELDSEAL_TEST_PKCS11"));
    fs::write(place.path("pin"), "12345678\n").unwrap();
    let uri = |object: &str, pin: &str| {
        format!("pkcs11:token=fieldseal;object={object}?module-path={module}&pin-source=file:{pin}")
    };
    for (spec, code, said) in [
        (uri("no%20such", "pin"), 1, "0 AES keys labelled `no such`"),
        (uri("no%20such", "missing"), 1, "the file of the PIN"),
        (uri("no%20such", "pin").replace("libsofthsm2", "nothing"), 1, "cannot be used"),
        ("pkcs11:token=fieldseal".to_owned(), 2, "is named as pkcs11:"),
        (uri("no%2", "pin"), 2, "is named as pkcs11:"),
    ] {
        let output = place.command(&["keys", "init", "--name", "customers", "--kek", &spec]).output().unwrap();
        let message = text(&output.stderr);
        assert!(output.status.code() == Some(code) && message.contains(said), "{message}");
        assert!(!message.contains("12345678"), "{message}");
    }
}
