//! cargo run --example support_desk
//!
//! A support desk over SQLite: customers are looked up by phone, agents see masks, a supervisor sees values, and it is on
//! record who saw what. Prints what to try, and runs until Ctrl-C.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]
#![expect(clippy::doc_markdown, reason = "the first line is there to be copied")]

mod desk;

use std::time::Duration;

use fieldseal::keys::{DataKey, Keys, SecretKey};
use rusqlite::Connection;
use tokio::net::TcpListener;
use tower::BoxError;

use desk::{Record, desk};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("customers.db");
    let database = Connection::open(&path)?;
    database.execute_batch("CREATE TABLE customers (id INTEGER PRIMARY KEY, name, phone, phone_index)")?;
    // For one run only. In earnest both come from keyrings of their own, see the example `axum_service`.
    let keys = || Ok::<_, fieldseal::Error>(Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    let record = Record::default();
    let app = desk(database, keys()?, keys()?, record.clone())?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/customers", listener.local_addr()?);
    println!("Try, and stop with Ctrl-C:\n");
    println!("  curl -H 'Authorization: Bearer agent' -H 'Content-Type: application/json' \\");
    println!("       -d '{{\"name\":\"Tan Wei Ming\",\"phone\":\"+65 9123 4567\"}}' {url}");
    println!("  curl -H 'Authorization: Bearer agent' '{url}?phone=91234567'");
    println!("  curl -H 'Authorization: Bearer supervisor' '{url}?phone=91234567'\n");
    println!("What a thief of the database sees:\n\n  sqlite3 '{}' 'SELECT * FROM customers'\n", path.display());
    tokio::spawn(async move {
        let mut told = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let lines = record.lines();
            lines[told..].iter().for_each(|line| println!("on record: {line}"));
            told = lines.len();
        }
    });
    let stopped = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, app).with_graceful_shutdown(stopped).await?;
    Ok(())
}
