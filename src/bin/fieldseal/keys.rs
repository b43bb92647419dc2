//! `fieldseal keys`.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use fieldseal::Timestamp;
use fieldseal::keys::{
    KeyEntry, KeyId, KeyService, KeyServices, KeyState, Keyring, LocalKek, Schedule, SecretKey, Timing,
};
use serde_json::{Value, json};

use crate::arguments::{KeyringArguments, KeysArguments, KeysCommand, TimingArguments};
use crate::failure::Failure;
use crate::kek::file_of;
use crate::output::Output;

const DAY: u64 = 86_400;

pub(crate) async fn run(arguments: KeysArguments, output: &Output) -> Result<(), Failure> {
    let KeysArguments { keyring: location, by, why, yes, command } = arguments;
    if let KeysCommand::Init { name, create_kek, times } = &command {
        let keyring = init(&location, name, *create_kek, times, |keyring| signed(keyring, by.as_deref(), &why)).await?;
        return list(&keyring, &location.services().await?, output);
    }
    let mut keyring = signed(location.load().await?, by.as_deref(), &why)?;
    let given = location.services().await?;
    warn_of_missing_keks(&keyring, &given, output);
    let next = match command {
        KeysCommand::Init { .. } | KeysCommand::List => return list(&keyring, &given, output),
        KeysCommand::Log => return log(&keyring, output),
        KeysCommand::Add => {
            let newest = location.newest().await?;
            confirm_new_kek(&keyring, &*newest, yes, output)?;
            let key = keyring.add_key(&*newest).await?;
            format!("key {key} is pending; promote it from {} on", keyring.promotable_at(key)?)
        }
        KeysCommand::Promote { key, without_waiting: true } => {
            output.confirm("A replica that has not read the key cannot read what others write.", "promote", yes)?;
            keyring.promote_without_waiting(key)?;
            format!("key {key} encrypts from now on")
        }
        KeysCommand::Promote { key, without_waiting: false } => {
            keyring.promote(key)?;
            format!("key {key} encrypts from now on; re-encrypt, and scan for the one before")
        }
        KeysCommand::Disable { key, without_scans } => {
            if !without_scans {
                check_evidence(&keyring, key)?;
            }
            keyring.disable(key)?;
            let rehearsal = keyring.timing().rehearsal.as_secs();
            format!("key {key} is disabled; forget it in {rehearsal} seconds, if nothing misses it")
        }
        KeysCommand::Enable { key } => {
            keyring.enable(key)?;
            format!("key {key} decrypts again")
        }
        KeysCommand::Forget { key, with_everything_under_it: false, .. } => {
            output.confirm(&format!("Key {key} will be dropped from the keyring."), &key.to_string(), yes)?;
            keyring.forget(key)?;
            format!("key {key} is forgotten; its key-encryption key still gives old copies of the keyring back")
        }
        KeysCommand::Forget { key, with_everything_under_it: true, tokens } => {
            let tokens = tokens.unwrap_or_default();
            let question = format!(
                "Everything under key {key} dies with it: {tokens} tokens, by --tokens alone, since nothing is counted now."
            );
            output.confirm(&question, &key.to_string(), yes)?;
            keyring.forget_with_everything_under_it(key, tokens)?;
            format!("key {key} is forgotten with everything under it; the record says {tokens} tokens, as --tokens did")
        }
        KeysCommand::Shred { name, receipt, destroy } => {
            let keys = keyring.shreddable(&name)?.len();
            let receipt = if destroy {
                check_has_service(&name)?;
                let question =
                    format!("`{name}` is destroyed, and {keys} keys with it in every copy of every keyring.");
                output.confirm(&question, &name, yes)?;
                let missing = || Failure::Usage(format!("give `{name}` as one of --kek, so that it can be destroyed"));
                given.find(&name).ok_or_else(missing)?.destroy().await?
            } else {
                output.confirm(&format!("{keys} keys are recorded as gone from every copy."), "shred", yes)?;
                receipt.unwrap_or_default()
            };
            // Told before it is stored, so that it is not lost where that fails.
            output.say(&receipt);
            keyring.shred(&name, &receipt)?;
            format!("{keys} keys of `{name}` are shredded")
        }
        KeysCommand::Rewrap { from } => {
            let newest = location.newest().await?;
            confirm_new_kek(&keyring, &*newest, yes, output)?;
            let count = keyring.rewrap(&from, location.services().await?, &*newest).await?;
            format!("{count} keys were wrapped again")
        }
        KeysCommand::Authenticate => {
            let newest = location.newest().await?;
            confirm_new_kek(&keyring, &*newest, yes, output)?;
            keyring.authenticate_by(&*newest).await?;
            "the keyring is authenticated by the newest key-encryption key".to_owned()
        }
        KeysCommand::Timing { times } => {
            keyring.set_timing(times.over(keyring.timing()))?;
            "the times of the fleet are set".to_owned()
        }
        KeysCommand::Schedule { rotate_every, lifetime } => {
            let days = |days: u64| Duration::from_secs(days.saturating_mul(DAY));
            keyring.set_schedule(Schedule { rotate_every: rotate_every.map(days), lifetime: lifetime.map(days) })?;
            "the schedule is set".to_owned()
        }
    };
    keyring.save(&*location.store().await?).await?;
    output.say(&next);
    list(&keyring, &given, output)
}

async fn init(
    location: &KeyringArguments,
    name: &str,
    create_kek: bool,
    times: &TimingArguments,
    signed: impl Fn(Keyring) -> Result<Keyring, Failure>,
) -> Result<Keyring, Failure> {
    let timing = times.over(Timing::default());
    timing.check()?;
    if create_kek {
        // Before anything is made that stays: with a key of nobody, all that could be refused later.
        signed(Keyring::create(name, &LocalKek::new(&SecretKey::generate()?)).await?)?;
        location.check_is_new().await?;
        LocalKek::create_file(file_of(location.kek.last())?)?;
    }
    location.prepare().await?;
    let newest = location.newest().await.map_err(|failure| unmade(failure, location.kek.last()))?;
    let mut keyring = signed(Keyring::create(name, &*newest).await?)?;
    if timing != keyring.timing() {
        keyring.set_timing(timing)?;
    }
    let saved = keyring.save(&*location.store().await?).await;
    // A key that wraps nothing would be in the way of the next attempt. In a database the keyring may still come to be
    // stored, and in a file it may have been: the record of its revision is what could fail after that.
    if saved.is_err() && create_kek && location.is_missing_file() {
        let _ = std::fs::remove_file(file_of(location.kek.last())?);
    }
    saved?;
    Ok(keyring)
}

/// A key-encryption key in a file that cannot be opened may be one that is yet to be made.
fn unmade(failure: Failure, spec: Option<&String>) -> Failure {
    if spec.is_some_and(|spec| !spec.starts_with("file:")) {
        return failure;
    }
    let advice = "--create-kek makes a key-encryption key in a new file";
    match failure {
        Failure::Failed(message) => Failure::Failed(format!("{message}; {advice}")),
        Failure::Usage(message) => Failure::Usage(format!("{message}; {advice}")),
        other => other,
    }
}

/// Refuses what no key service destroys.
fn check_has_service(name: &str) -> Result<(), Failure> {
    if !name.starts_with("local:") {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "`{name}` is in a file or a variable, which no key service destroys: delete that, and every copy of it, and then \
         record it with `fieldseal keys shred {name} --receipt \"what was deleted, by whom\" --yes`"
    )))
}

fn warn_of_missing_keks(keyring: &Keyring, given: &KeyServices<'_>, output: &Output) {
    for entry in keyring.keys().iter().filter(|entry| !opens(given, entry)) {
        let (kek, id) = (entry.kek(), entry.id());
        output.say(&format!(
            "warning: key {id} is wrapped by `{kek}`, which --kek does not name: whatever has only what it names cannot \
             open this keyring"
        ));
    }
}

/// Whether one of `given` unwraps the key, where it may decrypt.
fn opens(given: &KeyServices<'_>, entry: &KeyEntry) -> bool {
    !entry.state().can_decrypt() || given.find(entry.kek()).is_some()
}

/// Asks before the first key is wrapped by a key-encryption key that replicas may not have.
fn confirm_new_kek(keyring: &Keyring, kek: &dyn KeyService, yes: bool, output: &Output) -> Result<(), Failure> {
    let is_known = keyring.keys().iter().any(|entry| entry.state().can_decrypt() && entry.kek() == kek.name());
    let question = format!(
        "Nothing is wrapped by `{}` yet. Give it to every replica and every command first, beside the key-encryption keys \
         that they have: from now on nothing opens the keyring without it, also while a new key is pending.",
        kek.name()
    );
    output.confirm(&question, "replicas have it", yes || is_known)
}

/// Refuses to disable a key that something stored may still need.
fn check_evidence(keyring: &Keyring, key: KeyId) -> Result<(), Failure> {
    let is_unshown = |entry: &&KeyEntry| entry.state() == KeyState::Enabled && entry.scans_missing() > 0;
    let Some(entry) = keyring.keys().iter().find(|entry| entry.id() == key).filter(is_unshown) else { return Ok(()) };
    let earliest = keyring.scannable_at(key)?.map(|moment| format!(" from {moment} on")).unwrap_or_default();
    Err(Failure::Failed(format!(
        "cannot disable key {key}: {} clean scans are missing, which count{earliest}, and what is still stored under it \
         could not be read meanwhile; re-encrypt and scan for it, or disable it all the same with --without-scans, as an \
         index key, which no scan counts",
        entry.scans_missing()
    )))
}

fn signed(keyring: Keyring, by: Option<&str>, why: &str) -> Result<Keyring, Failure> {
    let user = || std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "unknown".to_owned());
    Ok(keyring.by(&by.map_or_else(user, str::to_owned), why)?)
}

fn list(keyring: &Keyring, given: &KeyServices<'_>, output: &Output) -> Result<(), Failure> {
    let due = keyring.due(SystemTime::now());
    let mut text = format!("keyring {} at revision {}\n", keyring.name(), keyring.revision());
    for entry in keyring.keys() {
        let _ = writeln!(
            text,
            "{}  {:9}  made {}  {}{}{}{}",
            entry.id(),
            entry.state(),
            entry.created(),
            entry.kek(),
            before(entry),
            if opens(given, entry) { "" } else { " (not among --kek)" },
            next(keyring, entry)
        );
    }
    for due in &due {
        let _ = writeln!(text, "due: {due}");
    }
    let keys: Vec<_> = keyring.keys().iter().map(|entry| entry_json(keyring, given, entry)).collect();
    let due: Vec<_> = due.iter().map(ToString::to_string).collect();
    output.data(&text, &json!({"name": keyring.name(), "revision": keyring.revision(), "keys": keys, "due": due}))
}

/// Which key-encryption keys must end too before old copies of the keyring are dead.
fn before(entry: &KeyEntry) -> String {
    match entry.former_keks() {
        [] => String::new(),
        keks => format!(" (before: {})", keks.join(", ")),
    }
}

/// When the next step of a key can be taken.
fn next(keyring: &Keyring, entry: &KeyEntry) -> String {
    match entry.state() {
        KeyState::Pending => at("promote it from", keyring.promotable_at(entry.id()).ok()),
        KeyState::Enabled if entry.relieved().is_none() => String::new(),
        KeyState::Enabled => match entry.clean_scans().len() {
            0 => at("scan for it from", keyring.scannable_at(entry.id()).ok().flatten()),
            _ if entry.scans_missing() > 0 => "  1 clean scan, scan for it again".to_owned(),
            scans => format!("  {scans} clean scans, disable it"),
        },
        KeyState::Disabled => {
            let missing = match entry.scans_missing() {
                0 => String::new(),
                missing => format!(", after {missing} more clean scans"),
            };
            format!("{}{missing}", at("forget it from", keyring.forgettable_at(entry.id()).ok().flatten()))
        }
        _ => entry.receipt().map(|receipt| format!("  receipt: {receipt}")).unwrap_or_default(),
    }
}

fn at(what: &str, moment: Option<Timestamp>) -> String {
    moment.map(|moment| format!("  {what} {moment} on")).unwrap_or_default()
}

fn entry_json(keyring: &Keyring, given: &KeyServices<'_>, entry: &KeyEntry) -> Value {
    let id = entry.id();
    json!({
        "id": id.to_string(),
        "state": entry.state().to_string(),
        "created": entry.created().to_string(),
        "changed": entry.changed().to_string(),
        "relieved": entry.relieved().map(|moment| moment.to_string()),
        "clean_scans": entry.clean_scans().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "kek": entry.kek(),
        "kek_given": given.find(entry.kek()).is_some(),
        "former_keks": entry.former_keks(),
        "scans_missing": entry.scans_missing(),
        "receipt": entry.receipt(),
        "promotable_at": keyring.promotable_at(id).ok().map(|moment| moment.to_string()),
        "scannable_at": keyring.scannable_at(id).ok().flatten().map(|moment| moment.to_string()),
        "forgettable_at": keyring.forgettable_at(id).ok().flatten().map(|moment| moment.to_string()),
    })
}

fn log(keyring: &Keyring, output: &Output) -> Result<(), Failure> {
    let mut text = String::new();
    let mut changes = Vec::new();
    for change in keyring.changes() {
        let key = change.key().map(|key| key.to_string());
        let (at, by, why, action) = (change.at().to_string(), change.by(), change.why(), change.action());
        let _ = writeln!(text, "{} {at} {by}: {action} {} ({why})", change.revision(), key.as_deref().unwrap_or(""));
        changes
            .push(json!({"revision": change.revision(), "at": at, "by": by, "why": why, "action": action, "key": key}));
    }
    output.data(&text, &json!({ "changes": changes }))
}
