//! Proves that a service process which is killed, or told to end, with requests in flight loses no write that it
//! acknowledged, stores none half and none in plaintext, and that one which is told to end answers what it has begun.
#![cfg(all(unix, feature = "layer"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/shop.rs"]
mod shop;

use std::env;
use std::io;
use std::time::Duration;

use rand::RngExt as _;
use shop::{Ledger, Shop, customer, search};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// `FIELDSEAL_FAULTS_KILLS=200` takes some minutes.
fn kills() -> u32 {
    env::var("FIELDSEAL_FAULTS_KILLS").map_or(6, |kills| kills.parse().unwrap())
}

const CLIENTS: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_killed_loses_nothing_that_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledgers: Vec<Ledger> = (0..CLIENTS).map(|_| Ledger::default()).collect();
    for _ in 0..kills() {
        let mut shop = Shop::start(directory.path());
        for ledger in &mut ledgers {
            ledger.check(shop.address).await;
        }
        let clients: Vec<_> = (0_u64..)
            .zip(std::mem::take(&mut ledgers))
            .map(|(client, mut ledger)| {
                let address = shop.address;
                tokio::spawn(async move {
                    ledger.write(address, (client * 1000..client * 1000 + 20).cycle(), || false).await;
                    ledger
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(100..600))).await;
        shop.kill();
        for client in clients {
            ledgers.push(client.await.unwrap());
        }
    }
    let shop = Shop::start(directory.path());
    for ledger in &mut ledgers {
        ledger.check(shop.address).await;
    }
    let bytes = search(directory.path());
    let sum = |of: fn(&Ledger) -> u64| ledgers.iter().map(of).sum::<u64>();
    println!(
        "SIGKILL: {} kills, {} writes acknowledged, {} in flight, 0 lost, 0 plaintexts in {bytes} bytes",
        kills(),
        sum(|ledger| ledger.acknowledged),
        sum(|ledger| ledger.unanswered)
    );
    assert!(sum(|ledger| ledger.acknowledged) > 100 && sum(|ledger| ledger.unanswered) > 0);
}

/// Reads one answer to its end, and returns it.
async fn answer(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_told_to_end_answers_what_it_has_begun() {
    let directory = tempfile::tempdir().unwrap();
    let mut shop = Shop::start(directory.path());
    let mut ledger = Ledger::default();
    ledger.write_row(&shop::client(), shop.address, 1).await;
    let head = |method: &str, path: &str, length: usize| {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    // One whose body is on the way, one that the service works on, and one whose answer is on the way.
    let body = serde_json::to_string(&customer(9_000_001)).unwrap();
    let (first, last) = body.split_at(body.len() / 2);
    let mut sending = TcpStream::connect(shop.address).await.unwrap();
    sending.write_all(format!("{}{first}", head("POST", "/customers/2", body.len())).as_bytes()).await.unwrap();
    let mut working = TcpStream::connect(shop.address).await.unwrap();
    working.write_all(format!("{}{body}", head("POST", "/slow/3", body.len())).as_bytes()).await.unwrap();
    let mut reading = TcpStream::connect(shop.address).await.unwrap();
    let rows = 40_000;
    reading.write_all(head("GET", &format!("/export?rows={rows}"), 0).as_bytes()).await.unwrap();
    let mut beginning = vec![0; 1000];
    reading.read_exact(&mut beginning).await.unwrap();

    shop.signal("TERM");
    let refused = async {
        while TcpStream::connect(shop.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), refused).await.expect("it takes no new connection");
    sending.write_all(last.as_bytes()).await.unwrap();
    for stream in [sending, working] {
        let answer = answer(stream).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&body), "{answer}");
    }
    let export = String::from_utf8(beginning).unwrap() + &answer(reading).await;
    assert!(export.ends_with("]\r\n0\r\n\r\n"), "the answer broke off: {}", &export[export.len() - 100..]);
    assert_eq!(export.matches(shop::CANARY).count(), rows);
    assert!(shop.wait().success());

    let again = Shop::start(directory.path());
    ledger.check(again.address).await;
    for row in ["/customers/2", "/customers/3"] {
        let (_, read) = shop::send(&shop::client(), "GET", again.address, row, Vec::new()).await.unwrap();
        assert_eq!(read, body);
    }
    search(directory.path());
    let gone = TcpStream::connect(shop.address).await.unwrap_err();
    assert_eq!(gone.kind(), io::ErrorKind::ConnectionRefused);
    println!("SIGTERM: 3 requests in flight, 3 answered, exit code 0");
}

/// Not a test: the process that the tests start.
#[test]
fn shop_process() {
    shop::serve();
}
