//! What must hold on every kind of database.
#![allow(dead_code, clippy::unwrap_used, reason = "each file of tests uses a part of this, and only tests use it")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fieldseal::ErrorKind;
use fieldseal::keys::KeyId;
use fieldseal::reencrypt::{EncryptedTable, Job};
use sqlx::AssertSqlSafe;

use super::tables::{Keychain, TestDatabase, customers, reencrypt, scan};

/// Makes the table and fills it with plaintext.
async fn filled(database: &TestDatabase, rows: u32) -> Keychain {
    let keychain = Keychain::new(database.path("keyring.json")).await;
    let (binary, json) = if database.is_postgres() { ("bytea", "jsonb") } else { ("BLOB", "TEXT") };
    database
        .run(&format!(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, phone {binary}, profile {json}, tier TEXT)"
        ))
        .await;
    for id in 0..rows {
        let insert = if id % 7 == 3 {
            format!("INSERT INTO customers VALUES ({id}, NULL, NULL, NULL, 'gold')")
        } else {
            let profile =
                format!(r#"{{"vip": true, "contact": {{"name": "Tan \"{id}\"", "phone": null, "x": 1.10}}}}"#);
            let phone = if database.is_postgres() {
                format!("'+65 9{id:07}'::bytea")
            } else {
                format!("CAST('+65 9{id:07}' AS BLOB)")
            };
            format!("INSERT INTO customers VALUES ({id}, '陈 {id}', {phone}, '{profile}', 'gold')")
        };
        database.run(&insert).await;
    }
    keychain
}

async fn dump(database: &TestDatabase) -> Vec<String> {
    let mut rows = Vec::new();
    let phone = if database.is_postgres() { "encode(phone, 'escape')" } else { "quote(phone)" };
    for column in ["name", phone, "profile", "tier"] {
        rows.extend(
            database.column(column, "customers", "id").await.into_iter().map(|row| format!("{column} {row:?}")),
        );
    }
    rows
}

pub(crate) async fn a_table_is_encrypted_moved_to_another_key_and_back_to_what_it_was(database: TestDatabase) {
    let mut keychain = filled(&database, 50).await;
    let before = dump(&database).await;
    let cipher = keychain.cipher().await;
    let table = customers(&cipher);
    let found = scan(&database, &table).await;
    assert_eq!((found.rows(), found.plaintexts().map(|(_, count)| count).sum::<u64>()), (50, 43 * 3));

    let job = Job::encrypt_plaintext(table.clone()).batch_size(7);
    let report = job.run(database.pool().await).await.unwrap();
    assert_eq!((report.moved(), report.contended()), (43, 0));
    let [old, new] = keychain.ids();
    let found = scan(&database, &table).await;
    assert_eq!((found.tokens_under(old), found.plaintexts().count(), found.unreadable()), (43 * 3, 0, 0));
    for text in dump(&database).await {
        assert!(text.starts_with("tier") || !(text.contains('陈') || text.contains("Tan ") || text.contains("+65")));
    }
    // Once more changes nothing, in no direction that is done already.
    let again = Job::encrypt_plaintext(table.clone()).run(database.pool().await).await.unwrap();
    assert_eq!(again.moved(), 0);
    assert_eq!(reencrypt(&database, &table).await, 0);

    assert_eq!(keychain.rotate().await, new);
    let cipher = keychain.cipher().await;
    let table = customers(&cipher);
    assert_eq!(reencrypt(&database, &table).await, 43);
    let found = scan(&database, &table).await;
    assert_eq!((found.tokens_under(old), found.tokens_under(new)), (0, 43 * 3));

    let undo = Job::dangerous_decrypt_to_plaintext(table.clone()).run(database.pool().await).await.unwrap();
    assert_eq!(undo.moved(), 43);
    assert_eq!(dump(&database).await, before);
}

pub(crate) async fn a_dry_run_counts_and_changes_nothing(database: TestDatabase) {
    let keychain = filled(&database, 20).await;
    let before = dump(&database).await;
    let cipher = keychain.cipher().await;
    let report = Job::encrypt_plaintext(customers(&cipher)).dry_run().run(database.pool().await).await.unwrap();
    assert_eq!((report.moved(), report.found().rows()), (17, 20));
    assert_eq!(dump(&database).await, before);
}

pub(crate) async fn a_job_that_was_stopped_goes_on_where_it_was(database: TestDatabase) {
    let keychain = filled(&database, 50).await;
    let table = customers(&keychain.cipher().await);
    let job = || Job::encrypt_plaintext(table.clone()).batch_size(10);
    let stopped = job().watch(|progress| progress.rows < 20).run(database.pool().await).await.unwrap();
    assert_eq!(stopped.found().rows(), 20);
    // Another kind of job waits its turn.
    let other = Job::dangerous_decrypt_to_plaintext(table.clone()).run(database.pool().await).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Database);
    assert!(other.to_string().contains("is being worked on by job"), "{other}");
    // What stopped holds its lease still, which whoever watches is told; time passes.
    let waiting = job().watch(|progress| !progress.waits).run(database.pool().await).await.unwrap();
    assert_eq!(waiting.found().rows(), 0);
    database.run("UPDATE fieldseal_ranges SET worker = NULL").await;
    let expired = if database.is_postgres() { "'-infinity'" } else { "0" };
    database.run(&format!("UPDATE fieldseal_ranges SET lease_until = {expired}")).await;
    let resumed = job().run(database.pool().await).await.unwrap();
    assert_eq!(resumed.found().rows(), 30, "the first twenty are not looked at again");
    assert_eq!(stopped.moved() + resumed.moved(), 43);
    assert_eq!(scan(&database, &table).await.plaintexts().count(), 0);
}

pub(crate) async fn a_job_is_given_up_with_the_statements_that_are_told(database: TestDatabase) {
    let keychain = filled(&database, 50).await;
    let table = customers(&keychain.cipher().await);
    let job = Job::encrypt_plaintext(table.clone()).batch_size(10);
    job.watch(|progress| progress.rows < 20).run(database.pool().await).await.unwrap();
    let undo = || Job::dangerous_decrypt_to_plaintext(table.clone());
    let said = undo().run(database.pool().await).await.unwrap_err().to_string();
    let (_, statements) = said.split_once("what it has done: ").unwrap();
    database.run(statements).await;
    undo().run(database.pool().await).await.unwrap();
    assert_eq!(scan(&database, &table).await.tokens().count(), 0);
}

pub(crate) async fn what_is_no_token_or_does_not_open_is_reported_and_left_alone(database: TestDatabase) {
    let mut keychain = filled(&database, 10).await;
    let cipher = keychain.cipher().await;
    let table = EncryptedTable::new("customers", cipher.clone()).column("name", "name").unwrap();
    Job::encrypt_plaintext(table).run(database.pool().await).await.unwrap();
    let phone_token = cipher.encrypt_value("phone", "+65 9123 4567").unwrap();
    let mut broken = cipher.encrypt_value("name", "Tan").unwrap();
    broken.replace_range(60..61, if &broken[60..61] == "A" { "B" } else { "A" });
    for (id, name) in [(0, "Tan Wei Ming"), (1, &phone_token), (2, &broken)] {
        database.run(&format!("UPDATE customers SET name = '{name}' WHERE id = {id}")).await;
    }
    keychain.rotate().await;
    let table = EncryptedTable::new("customers", keychain.cipher().await).column("name", "name").unwrap();
    let report = Job::reencrypt(table.clone()).run(database.pool().await).await.unwrap();
    let places = |places: &[fieldseal::reencrypt::Place]| {
        places.iter().map(|place| (place.key.clone(), place.field.clone())).collect::<Vec<_>>()
    };
    assert_eq!(places(report.found().plaintext_places()), [("0".to_owned(), "name".to_owned())]);
    assert_eq!(places(report.found().unreadable_places()), ["1", "2"].map(|key| (key.to_owned(), "name".to_owned())));
    let names = database.column("name", "customers", "id").await;
    assert_eq!(
        [&names["0"], &names["1"], &names["2"]].map(|name| name.clone().unwrap()),
        ["Tan Wei Ming".to_owned(), phone_token, broken]
    );
    assert!(!format!("{} {report:?}", report.found()).contains("Tan Wei"));
    // In the first encryption, a token that does not open is not taken for plaintext.
    let report = Job::encrypt_plaintext(table.clone()).run(database.pool().await).await.unwrap();
    assert_eq!((report.moved(), report.found().unreadable()), (1, 2));
}

pub(crate) async fn keys_of_every_kind_tell_rows_apart(database: TestDatabase) {
    let keychain = Keychain::new(database.path("keyring.json")).await;
    let cipher = keychain.cipher().await;
    let uuid = if database.is_postgres() { "uuid" } else { "BLOB" };
    let uuids = ["0b1f2c3d-1f2e-4d3c-8b4a-5f6e7d8c9b0a", "ffffffff-1f2e-4d3c-8b4a-5f6e7d8c9b0a"];
    let shown = |uuid: &str| {
        if database.is_postgres() { format!("'{uuid}'") } else { format!("x'{}'", uuid.replace('-', "")) }
    };
    for (table, key, rows) in [
        ("by_uuid", format!("id {uuid} PRIMARY KEY"), uuids.map(shown).to_vec()),
        (
            "by_text",
            "id TEXT PRIMARY KEY".to_owned(),
            ["'O''Brien'", "'\"quoted\"'", "'a,b'", "''"].map(str::to_owned).to_vec(),
        ),
        (
            "by_three",
            "tenant TEXT, day INTEGER, id INTEGER, PRIMARY KEY (day, tenant, id)".to_owned(),
            ["'a', 1, 1", "'b', 1, 1", "'a', 2, 1", "'a', 1, 2", "'a', -1, 2"].map(str::to_owned).to_vec(),
        ),
        (
            "\"Odd \"\"name\"\"\"",
            "\"the key\" INTEGER PRIMARY KEY".to_owned(),
            ["1", "2", "-3"].map(str::to_owned).to_vec(),
        ),
    ] {
        database.run(&format!("CREATE TABLE {table} (name TEXT, {key})")).await;
        for row in &rows {
            database.run(&format!("INSERT INTO {table} VALUES ('Tan', {row})")).await;
        }
        let name = if table.starts_with('"') { "Odd \"name\"" } else { table };
        let table = EncryptedTable::new(name, cipher.clone()).column("name", "name").unwrap();
        let report = Job::encrypt_plaintext(table.clone()).batch_size(1).run(database.pool().await).await.unwrap();
        assert_eq!(report.moved(), rows.len() as u64, "{name}");
        assert_eq!(scan(&database, &table).await.plaintexts().count(), 0);
    }
}

pub(crate) async fn a_table_that_cannot_be_worked_on_is_refused_before_the_first_write(database: TestDatabase) {
    let keychain = Keychain::new(database.path("keyring.json")).await;
    let cipher = keychain.cipher().await;
    database.run("CREATE TABLE keyless (name TEXT)").await;
    database
        .run("CREATE TABLE odd (id INTEGER PRIMARY KEY, name TEXT, upper_name TEXT GENERATED ALWAYS AS (upper(name)) STORED)")
        .await;
    let mut cases = vec![
        ("missing", "name", "does not exist"),
        ("keyless", "name", "has no primary key"),
        ("odd", "nome", "has no column `nome`"),
        ("odd", "upper_name", "generated"),
    ];
    if database.is_postgres() {
        database.run("CREATE TABLE narrow (id int PRIMARY KEY, name varchar(50), age int, code varchar(112))").await;
        cases.extend([("narrow", "name", "room for 50 characters"), ("narrow", "age", "of type integer")]);
        let wide = EncryptedTable::new("narrow", cipher.clone()).column("code", "name").unwrap();
        Job::encrypt_plaintext(wide).run(database.pool().await).await.unwrap();
    }
    for (table, column, says) in cases {
        let table = EncryptedTable::new(table, cipher.clone()).column(column, "name").unwrap();
        let error = Job::encrypt_plaintext(table).run(database.pool().await).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Database);
        assert!(error.to_string().contains(says), "{error}");
    }
    assert!(EncryptedTable::new("odd", cipher).column("name", "nickname").is_err());
}

/// Between reading a batch and writing it, the application changes one row and deletes another.
pub(crate) async fn rows_that_change_under_the_job_are_never_overwritten(database: TestDatabase) {
    let mut keychain = filled(&database, 0).await;
    let old = keychain.cipher().await;
    for id in 0..40 {
        let token = old.encrypt_value("name", &format!("Tan {id}")).unwrap();
        database.run(&format!("INSERT INTO customers (id, name) VALUES ({id}, '{token}')")).await;
    }
    let new: KeyId = keychain.rotate().await;
    let cipher = keychain.cipher().await;
    let table = EncryptedTable::new("customers", cipher.clone()).column("name", "name").unwrap();
    let (sql, writer) = (database.sql.clone(), cipher.clone());
    let application = tokio::spawn(async move {
        let mut last = std::collections::BTreeMap::new();
        for round in 0..60 {
            let id = round % 40;
            let token = writer.encrypt_value("name", &format!("Lim {round}")).unwrap();
            let statement = match id % 5 {
                0 => format!("DELETE FROM customers WHERE id = {id}"),
                _ => format!("UPDATE customers SET name = '{token}' WHERE id = {id}"),
            };
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&sql).await.unwrap();
            last.insert(id.to_string(), (id % 5 != 0).then(|| format!("Lim {round}")));
        }
        last
    });
    for _ in 0..3 {
        Job::reencrypt(table.clone()).batch_size(3).run(database.pool().await).await.unwrap();
    }
    let last = application.await.unwrap();
    Job::reencrypt(table.clone()).run(database.pool().await).await.unwrap();
    let names = database.column("name", "customers", "id").await;
    for (id, name) in last {
        match name {
            None => assert!(!names.contains_key(&id), "row {id} came back"),
            Some(name) => {
                let token = names[&id].as_ref().unwrap();
                assert_eq!(cipher.decrypt_value::<String>("name", token).unwrap(), name);
            }
        }
    }
    assert_eq!(scan(&database, &table).await.tokens_under(new), names.len() as u64);
}

pub(crate) async fn the_rate_is_held(database: TestDatabase) {
    let keychain = filled(&database, 50).await;
    let table = customers(&keychain.cipher().await);
    let (started, batches) = (Instant::now(), std::sync::Arc::new(AtomicU64::new(0)));
    let seen = std::sync::Arc::clone(&batches);
    let job = Job::encrypt_plaintext(table).batch_size(10).rows_per_second(50).watch(move |progress| {
        assert!(progress.rows > 0 && progress.moved <= progress.rows);
        let left = progress.time_left().as_secs_f64() * progress.rows_per_second;
        let rows_left = f64::from(u32::try_from(50 - progress.rows).unwrap());
        assert!(progress.rows_in_table == 50 && (left - rows_left).abs() < 0.01, "{progress:?}");
        seen.fetch_add(1, Ordering::Relaxed);
        true
    });
    job.run(database.pool().await).await.unwrap();
    // The last batch is waited for by nobody.
    assert!(started.elapsed() > Duration::from_millis(750), "{:?}", started.elapsed());
    assert!(batches.load(Ordering::Relaxed) >= 5);
}
