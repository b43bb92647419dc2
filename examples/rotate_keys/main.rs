//! cargo run --release --features sqlite,postgres --example rotate_keys [-- --database URL]
//!
//! The URL is one of PostgreSQL; without it, the example runs by itself on SQLite.
//!
//! Rotates the key of a service that is being used all the while, and ends the old one for good: not one request fails,
//! no update is lost, and the copy of the database that was stolen the day before is noise.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]
#![expect(clippy::doc_markdown, reason = "the first line is there to be copied")]

mod load;
mod rotation;
mod service;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use fieldseal::keys::{KeyServices, Keyring, KeyringFile, Keys, LocalKek, Timing};
use fieldseal::reencrypt::EncryptedTable;
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use tower::BoxError;

use crate::load::Load;
use crate::rotation::Rotation;
use crate::service::Service;

/// A fleet in a hurry: in earnest these are minutes, and the rehearsal is a week.
const TIMING: Timing = Timing {
    refresh: Duration::from_secs(1),
    lease: Some(Duration::from_secs(2)),
    longest_request: Duration::from_secs(1),
    clock_skew: Duration::ZERO,
    rehearsal: Duration::from_secs(2),
};

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    let arguments: Vec<String> = env::args().skip(1).collect();
    let url = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => format!("sqlite://{}?mode=rwc", path("customers.db").display()),
        ["--database", url] => (*url).to_owned(),
        _ => return Err("usage: rotate_keys [--database URL]".into()),
    };

    // Each lifetime epoch has a key-encryption key of its own, which can really be destroyed.
    let old_kek = LocalKek::create_file(path("kek-spring"))?;
    LocalKek::create_file(path("kek-autumn"))?;
    let store = KeyringFile::new(path("keyring.json"));
    let mut keyring = Keyring::create("customers", &old_kek).await?.by("rotate_keys", "quarterly rotation")?;
    keyring.set_timing(TIMING)?;
    keyring.save(&store).await?;

    let both = KeyServices::from(old_kek).and(LocalKek::from_file(path("kek-autumn"))?);
    let keys = Keys::open(store.clone(), both).await?;
    tokio::spawn(keys.keep_fresh(tokio::time::sleep));
    #[cfg(unix)]
    tokio::spawn(reload_on_hangup(keys.clone()));
    let cipher = FieldCipher::new(policy()?, keys.clone());
    let service = Service::start(&url, FieldEncryptionLayer::new(cipher.clone())?).await?;

    println!("The service is being used by {} clients from here on.", load::CLIENTS);
    let load = Load::start(service.address()).await?;
    let stolen = service.steal().await?;
    println!("A thief takes a copy of the database: {} tokens, and the keyring with them.", stolen.len());
    let stolen_keyring = keyring.to_json();

    let table = EncryptedTable::new("customers", cipher).column("name", "name")?.column("phone", "phone")?;
    let rotation = Rotation { keyring, keys, store: store.clone(), table, database: service.database().await? };
    rotation.run(&path("kek-spring"), &path("kek-autumn")).await?;
    let outcome = load.stop().await;
    println!(
        "{} requests, {} failed; {} updates, {} lost",
        outcome.requests, outcome.failed, outcome.updates, outcome.lost
    );

    // What the thief can do today, even with everything that still exists.
    let today = KeyServices::from(LocalKek::from_file(path("kek-autumn"))?);
    let copy_opens = Keyring::from_json(&stolen_keyring, &today).await.is_ok();
    let cipher = FieldCipher::new(policy()?, Keys::open(store, today).await?);
    let opened = stolen.iter().filter(|(field, token)| cipher.decrypt_value::<String>(field, token).is_ok()).count();
    println!(
        "the stolen copy: {opened} of {} tokens open, the stolen keyring {}",
        stolen.len(),
        if copy_opens { "opens" } else { "does not open" }
    );
    service.clean_up().await?;
    let is_good = outcome.failed == 0 && outcome.lost == 0 && outcome.updates > 0 && opened == 0 && !copy_opens;
    println!("{}", if is_good { "the stolen copy is dead" } else { "FAILED" });
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn policy() -> Result<Policy, fieldseal::Error> {
    Policy::builder("customers").field(Field::new("name", Tag::Name)).field(Field::new("phone", Tag::Phone)).build()
}

/// `kill -HUP` makes a service look at its keyring at once.
#[cfg(unix)]
async fn reload_on_hangup(keys: Keys) {
    let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        if let Err(error) = keys.reload().await {
            eprintln!("the keyring could not be read again: {error}");
        }
    }
}
