//! Proves that a service whose clock jumps, by seconds or by years, forward or back, works on or again without a restart:
//! in a process of its own, whose wall clock is moved while it serves.
#![cfg(all(target_os = "linux", feature = "layer"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/shop.rs"]
mod shop;

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use shop::{Customer, Shop, customer, send};

const YEAR: i64 = 366 * 86_400;

/// Compiles what moves the clock, and returns the library.
fn library(directory: &Path) -> String {
    let library = directory.join("clock.so").to_str().unwrap().to_owned();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clock.c");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o", &library, source]).status();
    assert!(compiled.expect("a C compiler, as the crate needs one").success());
    library
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_stops_writing_for_a_refresh_period_at_most() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = other.path().join("clock");
    fs::write(&clock, "0").unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.env("LD_PRELOAD", library(other.path())).env("CLOCK_FILE", &clock);
    let shop = Shop::run(directory.path(), "migrating", command);
    let (client, address) = (shop::client(), shop.address);
    let write = async |row: u64| {
        let body = serde_json::to_vec(&customer(row)).unwrap();
        send(&client, "POST", address, &format!("/customers/{row}"), body).await.unwrap().0
    };
    let read = async |row: u64| send(&client, "GET", address, &format!("/customers/{row}"), Vec::new()).await.unwrap();

    // A row of before the migration, with a tier in plaintext.
    assert_eq!(write(0).await, StatusCode::OK);
    let database = rusqlite::Connection::open(directory.path().join("shop.db")).unwrap();
    database.execute("UPDATE customers SET tier = 'gold' WHERE id = 0", []).unwrap();

    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let (mut slowest, mut before) = (Duration::ZERO, 0);
    // By seconds, by years, before the key was made, to 1970 and before, into the ninth millennium (`hyper` writes no date past the year 9999); and back each time.
    let jumps = [30, -30, 10 * YEAR, -20 * YEAR, -now, -now - 3 * YEAR, 7_000 * YEAR, -3600];
    for (row, offset) in (1_u64..).zip(jumps.into_iter().flat_map(|offset| [offset, 0])) {
        fs::write(&clock, offset.to_string()).unwrap();
        let jumped = Instant::now();
        // What is stored can be read at every moment, and written to again soon.
        loop {
            let (status, body) = read(row.max(2) - 1).await;
            assert!(row == 1 || status == StatusCode::OK, "{offset}: {status}");
            assert!(row == 1 || serde_json::from_slice::<Customer>(&body).unwrap() == customer(row - 1));
            match write(row).await {
                StatusCode::OK => break,
                StatusCode::SERVICE_UNAVAILABLE => {
                    assert!(offset > before, "a clock set back stops no write: {before} to {offset}");
                }
                status => panic!("{offset}: {status}"),
            }
            assert!(jumped.elapsed() < Duration::from_secs(10), "{offset}: it does not recover");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        slowest = slowest.max(jumped.elapsed());
        before = offset;
        // The end of the migration is a moment by the wall clock: before it, what is still in plaintext is shown.
        let expected = if offset > 86_400 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
        assert_eq!(read(0).await.0, expected, "{offset}");
        // The keyring is read by this clock too, before the next jump.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    println!(
        "clock: {} jumps of up to 7000 years and back, writing again after {} ms at most",
        jumps.len(),
        slowest.as_millis()
    );
}

/// Not a test: the process that the test starts.
#[test]
fn shop_process() {
    shop::serve();
}
