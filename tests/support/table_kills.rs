//! Workers as processes of their own, killed at random moments or sharing one job.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "each file of tests uses a part of this, and only tests use it"
)]

use std::collections::BTreeMap;
use std::env;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fieldseal::FieldCipher;
use fieldseal::reencrypt::{EncryptedTable, Job};
use rand::RngExt as _;

use super::tables::{Keychain, TestDatabase, cipher, open, scan};

const WORKER: &str = "FIELDSEAL_TEST_WORKER";
const KILLS: u32 = 200;
const ROWS: u32 = 2000;

fn names(cipher: &FieldCipher) -> EncryptedTable {
    EncryptedTable::new("customers", cipher.clone()).column("name", "name").unwrap()
}

/// What the process does that [`start`] starts: one job, from its beginning or from where it was, to its end.
pub(crate) fn work() {
    let Ok(orders) = env::var(WORKER) else { return };
    let [url, keyring, worker, batch] = orders.split('\n').collect::<Vec<_>>()[..] else { panic!("{orders}") };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        sqlx::any::install_default_drivers();
        let cipher = cipher(keyring.into()).await;
        let mut job = Job::reencrypt(names(&cipher)).batch_size(batch.parse().unwrap()).range_size(5000);
        if !worker.is_empty() {
            job = job.worker(worker);
        }
        let report = job.run(open(url).await).await.unwrap();
        println!("moved {} contended {}", report.moved(), report.contended());
    });
}

fn start(database: &TestDatabase, worker: &str, batch: u32) -> Child {
    let keyring = database.path("keyring.json");
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "worker_process", "--include-ignored", "--nocapture"])
        .env(WORKER, [&database.url, keyring.to_str().unwrap(), worker, &batch.to_string()].join("\n"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills a worker again and again while the application writes.
pub(crate) async fn no_kill_loses_an_update_or_a_row(database: TestDatabase) {
    let mut keychain = Keychain::new(database.path("keyring.json")).await;
    let cipher = keychain.cipher().await;
    database.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)").await;
    let mut saved = BTreeMap::new();
    for chunk in (0..ROWS).collect::<Vec<_>>().chunks(500) {
        let values =
            chunk.iter().map(|id| format!("({id}, '{}')", cipher.encrypt_value("name", &format!("Tan {id}")).unwrap()));
        database.run(&format!("INSERT INTO customers VALUES {}", values.collect::<Vec<_>>().join(","))).await;
        saved.extend(chunk.iter().map(|id| (id.to_string(), format!("Tan {id}"))));
    }
    keychain.rotate().await;

    let (saved, stop) = (Arc::new(Mutex::new(saved)), Arc::new(AtomicBool::new(false)));
    let application = {
        let (saved, stop, sql, cipher) = (Arc::clone(&saved), Arc::clone(&stop), database.sql.clone(), cipher.clone());
        tokio::spawn(async move {
            let mut writes = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let (id, name) = (rand::rng().random_range(0..ROWS), format!("Lim {writes}"));
                let token = cipher.encrypt_value("name", &name).unwrap();
                let update = sqlx::query("UPDATE customers SET name = $1 WHERE id = $2");
                let done = update.bind(token).bind(i64::from(id)).execute(&sql).await;
                // Busy is no promise: only what was told to be saved counts.
                if done.is_ok_and(|done| done.rows_affected() == 1) {
                    saved.lock().unwrap().insert(id.to_string(), name);
                    writes += 1;
                }
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            writes
        })
    };
    let (mut kills, mut jobs) = (0, 0);
    while kills < KILLS {
        let mut worker = start(&database, "the one", 20);
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(10..140))).await;
        if let Some(status) = worker.try_wait().unwrap() {
            assert!(status.success(), "a worker failed");
            jobs += 1;
            keychain.rotate().await;
        } else {
            worker.kill().unwrap();
            worker.wait().unwrap();
            kills += 1;
        }
    }
    assert!(start(&database, "the one", 500).wait().unwrap().success());
    stop.store(true, Ordering::Relaxed);
    let writes = application.await.unwrap();
    assert!(start(&database, "the one", 500).wait().unwrap().success());

    let cipher = keychain.cipher().await;
    let primary = cipher.encrypt_value("name", "").unwrap()[..16].to_owned();
    let stored = database.column("name", "customers", "id").await;
    let saved = saved.lock().unwrap().clone();
    assert_eq!(stored.len(), saved.len());
    for (id, name) in &saved {
        let token = stored[id].as_ref().unwrap();
        assert_eq!(&cipher.decrypt_value::<String>("name", token).unwrap(), name, "row {id}");
        assert!(token.starts_with(&primary), "row {id} was left behind");
    }
    let found = scan(&database, &names(&cipher)).await;
    assert_eq!((found.rows(), found.unreadable(), found.plaintexts().count()), (u64::from(ROWS), 0, 0));
    println!("kills: {kills}, jobs that ended meanwhile: {jobs}, updates by the application: {writes}");
    assert!(writes > 100, "the application hardly wrote");
}

/// Three processes share one job over so many rows.
#[cfg(feature = "postgres")]
pub(crate) async fn three_workers_move_each_row_exactly_once(database: TestDatabase, rows: u32) {
    let mut keychain = Keychain::new(database.path("keyring.json")).await;
    let cipher = keychain.cipher().await;
    // Each write to a row is counted by the database itself.
    database
        .run(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, writes INTEGER NOT NULL DEFAULT 0);
              CREATE FUNCTION count_writes() RETURNS trigger LANGUAGE plpgsql AS
                  $$ BEGIN NEW.writes := OLD.writes + 1; RETURN NEW; END $$;
              CREATE TRIGGER count_writes BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION count_writes()",
        )
        .await;
    for chunk in (0..rows).collect::<Vec<_>>().chunks(5000) {
        let mut row = cipher.value_encryptor();
        let values = chunk.iter().map(|id| format!("({id}, '{}')", row.encrypt("name", &format!("Tan {id}")).unwrap()));
        let values = values.collect::<Vec<_>>().join(",");
        database.run(&format!("INSERT INTO customers (id, name) VALUES {values}")).await;
    }
    let new = keychain.rotate().await;
    let workers = [(); 3].map(|()| start(&database, "", 500));
    let mut moved = Vec::new();
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        let line = text.lines().find_map(|line| line.split("moved ").nth(1)).unwrap();
        moved.push(line.split(' ').next().unwrap().parse::<u32>().unwrap());
    }
    println!("rows moved by each worker: {moved:?}");
    assert_eq!(moved.iter().sum::<u32>(), rows);
    assert!(moved.iter().all(|&moved| moved > 0), "{moved:?}");
    let writes = database.column("min(writes) || ' to ' || max(writes)", "customers", "1").await;
    assert_eq!(writes["1"].as_deref(), Some("1 to 1"));
    let cipher = keychain.cipher().await;
    assert_eq!(scan(&database, &names(&cipher)).await.tokens_under(new), u64::from(rows));
}
