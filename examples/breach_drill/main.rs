//! cargo run --release --example breach_drill -- --accounts 20000 --dir DIR
//!
//! Plays a breach from end to end: starts a customer service over SQLite with the layer around it, fills it through
//! HTTP, steals the database and its write-ahead log while the service runs, and looks in every byte of both for every
//! personal value that was sent. Ends by itself; exits with 0 where nothing was found, with 1 where something was, and
//! with 2 where it could not begin. `--no-layer` shows what the thief finds without the layer.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]
#![expect(clippy::doc_markdown, reason = "the first line is there to be copied")]

mod arguments;
mod client;
mod customer;
mod directory;
mod load;
mod names;
mod people;
mod plaintext;
mod protection;
mod report;
mod search;
mod server;
mod service;
mod spelling;
mod thief;
mod token;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, iter};

use axum::Router;
use tower::BoxError;

use arguments::{Arguments, USAGE};
use directory::Directory;
use load::{Load, Timing};
use people::Account;
use server::Server;

#[tokio::main]
async fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse(env::args_os().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let directory = match Directory::prepare(arguments.directory.clone()) {
        Ok(directory) => directory,
        Err(error) => {
            eprintln!("breach_drill: {error}");
            return ExitCode::from(2);
        }
    };
    match drill(&arguments, &directory).await {
        Ok(nothing_found) => ExitCode::from(u8::from(!nothing_found)),
        Err(error) => {
            let causes = iter::successors(Some(&*error as &dyn Error), |&error| error.source());
            eprintln!("breach_drill: {}", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
            ExitCode::FAILURE
        }
    }
}

/// Returns whether the thief found nothing.
async fn drill(arguments: &Arguments, directory: &Directory) -> Result<bool, BoxError> {
    let accounts: Arc<[Account]> = people::accounts(arguments.accounts)?.into();
    directory.write_sent(&accounts)?;
    report::beginning(arguments, directory);

    let bare = service::service(service::open(&directory.database())?);
    let app = if arguments.with_layer { bare.layer(protection::layer(directory).await?) } else { bare };
    let (timings, loot) = fill(app, &accounts, || thief::steal(directory)).await?;
    let comparison = if arguments.with_layer { Some(fill_without_layer(&accounts).await?) } else { None };
    report::speed(arguments.with_layer, &timings, comparison.as_deref());

    let findings = loot.examine(&accounts)?;
    report::findings(&loot, &findings, &accounts[0].current().customer);
    Ok(findings.total() == 0)
}

/// Serves `app`, puts the whole load on it, and does `then` while the service still runs.
async fn fill<T>(
    app: Router,
    accounts: &Arc<[Account]>,
    then: impl FnOnce() -> Result<T, BoxError>,
) -> Result<(Vec<Timing>, T), BoxError> {
    let server = Server::start(app).await?;
    let timings = Load::new(server.origin(), Arc::clone(accounts)).run().await?;
    let result = then()?;
    server.stop().await?;
    Ok((timings, result))
}

/// The same load on the same service without the layer, over a database of its own that is removed at once.
async fn fill_without_layer(accounts: &Arc<[Account]>) -> Result<Vec<Timing>, BoxError> {
    let directory = tempfile::tempdir()?;
    let app = service::service(service::open(&directory.path().join("customers.db"))?);
    let (timings, ()) = fill(app, accounts, || Ok(())).await?;
    Ok(timings)
}
