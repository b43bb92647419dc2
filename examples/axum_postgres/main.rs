//! cargo run --features postgres --example axum_postgres -- [before|after] DATABASE_URL
//!
//! An ordinary axum service over PostgreSQL as it was, `before.rs`, and with the five lines that put it under the layer,
//! `after.rs`: `diff before.rs after.rs`. Runs either until Ctrl-C, the second unless told, and prints what to try. Give
//! each a database of its own: values that the first stored are refused by the second, until they are encrypted as the
//! guide `docs::migration` says. The keyring and its key lie in the directory in which it is run.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]
#![expect(clippy::doc_markdown, reason = "the first line is there to be copied")]

mod after;
mod before;

use std::env;

use fieldseal::keys::{Keyring, KeyringFile, LocalKek};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tower::BoxError;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (is_before, database) = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["before", database] => (true, *database),
        ["after", database] | [database] => (false, *database),
        _ => return Err("usage: axum_postgres [before|after] DATABASE_URL".into()),
    };
    let pool = PgPool::connect(database).await?;
    let app = if is_before {
        before::app(pool).await?
    } else {
        make_keyring().await?;
        after::app(pool).await?
    };

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/customers", listener.local_addr()?);
    let json = r#"{"name":"Tan Wei Ming","phone":"+65 9123 4567","email":"tan.wei@example.sg","tier":"gold"}"#;
    println!("Try, and stop with Ctrl-C:\n");
    println!("  curl -d '{json}' -H 'Content-Type: application/json' {url}");
    println!("  curl -X PUT -d '{json}' -H 'Content-Type: application/json' {url}/1");
    println!("  curl '{url}?after=0&limit=10'");
    println!("  curl -X DELETE {url}/1\n\nWhat a thief of the database sees:\n");
    println!("  psql DATABASE_URL -c 'TABLE customers'");
    let stopped = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, app).with_graceful_shutdown(stopped).await?;
    Ok(())
}

/// Makes the keyring and its key where there are none, as `fieldseal keys init` does. In earnest the key-encryption key
/// lies in a key service, and at least not beside the database.
async fn make_keyring() -> Result<(), BoxError> {
    let keyring = KeyringFile::new("keyring.json");
    if !keyring.path().exists() {
        let kek = LocalKek::create_file("kek")?;
        Keyring::create("customers", &kek).await?.save(&keyring).await?;
    }
    Ok(())
}
