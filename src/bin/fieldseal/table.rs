//! `fieldseal scan` and `fieldseal reencrypt`.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _};
use std::time::Duration;

use fieldseal::keys::{KeyEntry, KeyState};
use fieldseal::reencrypt::{Database, EncryptedTable, Job, Scan};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use crate::arguments::{ReencryptArguments, ScanArguments, TableArguments};
use crate::failure::Failure;
use crate::keyring::address_in;
use crate::output::Output;

pub(crate) async fn scan(arguments: ScanArguments, output: &Output) -> Result<(), Failure> {
    let ScanArguments { table: location, dump, record, only_these_fields } = arguments;
    let table = location.table(false).await?;
    warn_of_fields_left_out(&table, output);
    if let Some(key) = record.filter(|_| !only_these_fields && !table.fields_left_out().is_empty()) {
        return Err(Failure::Usage(format!(
            "such a scan is no evidence for key {key}: give a --column or --document for every field of the policy, or \
             --only-these-fields where nothing holds the others"
        )));
    }
    let scan = match dump {
        Some(path) if path.as_os_str() == "-" => table.scan_dump(io::stdin().lock())?,
        Some(path) => {
            let unreadable = |error| Failure::Failed(format!("the dump `{}` cannot be read: {error}", path.display()));
            table.scan_dump(BufReader::new(File::open(&path).map_err(unreadable)?))?
        }
        None => table.scan(location.database().await?).await?,
    };
    output.data(&scan.to_string(), &scan_json(&table, &scan))?;
    tell_reasons(&location, &scan, output).await?;
    if let Some(key) = record {
        let (tokens, unknown) = (scan.tokens_under(key), scan.unreadable_without_key());
        if tokens == 0 && unknown > 0 {
            return Err(Failure::Failed(format!(
                "nothing was recorded for key {key}: {unknown} values do not open and name no key, so they may be under \
                 this one; mend or remove them, and scan again"
            )));
        }
        let mut keyring = location.keyring.load().await?;
        keyring.record_scan(key, scan.began(), tokens)?;
        keyring.save(&*location.keyring.store().await?).await?;
        output.say(&format!("recorded: {tokens} tokens under key {key}"));
    }
    is_clean(&scan)
}

pub(crate) async fn reencrypt(arguments: ReencryptArguments, output: &Output) -> Result<(), Failure> {
    let ReencryptArguments { table: location, encrypt_plaintext, dangerous_decrypt, dry_run, batch, rate, worker, yes } =
        arguments;
    let (table, database) = (location.table(encrypt_plaintext).await?, location.database().await?);
    warn_of_fields_left_out(&table, output);
    let mut job = if dangerous_decrypt {
        output.confirm(
            &format!("The values of `{}` become readable for everybody.", location.table),
            "decrypt",
            yes || dry_run,
        )?;
        Job::dangerous_decrypt_to_plaintext(table.clone())
    } else if encrypt_plaintext {
        Job::encrypt_plaintext(table.clone())
    } else {
        Job::reencrypt(table.clone())
    };
    job = job.batch_size(batch);
    job = rate.into_iter().fold(job, Job::rows_per_second);
    job = worker.into_iter().fold(job, Job::worker);
    if dry_run {
        job = job.dry_run();
    }
    let bar = if io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{spinner} {bar:30} {pos} of {len} rows, {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(100));
    let (shown, messages) = (bar.clone(), output.clone());
    job = job.watch(move |progress| {
        if progress.waits {
            let message = "waiting: another worker holds the rows that are left; one that was killed is given up a minute \
                           after its last batch, and goes on at once under its own name (--worker)";
            shown.suspend(|| messages.say(message));
        }
        shown.set_length(progress.rows_in_table);
        shown.set_position(progress.rows);
        let (moved, rate) = (progress.moved, progress.rows_per_second);
        shown.set_message(format!("{moved} moved, {rate:.0} a second, {} left", HumanDuration(progress.time_left())));
        true
    });
    let report = job.run(database.clone()).await?;
    bar.finish_and_clear();
    output.say(&format!(
        "{} rows {}moved, {} changed by others again and again",
        report.moved(),
        if dry_run { "would be " } else { "" },
        report.contended()
    ));
    let scan = if dry_run { report.found().clone() } else { table.scan(database).await? };
    let json = json!({"moved": report.moved(), "contended": report.contended(), "dry_run": dry_run, "scan": scan_json(&table, &scan)});
    output.data(&scan.to_string(), &json)?;
    tell_reasons(&location, &scan, output).await?;
    if dry_run || dangerous_decrypt { Ok(()) } else { is_clean(&scan) }
}

/// Plaintext, and tokens that do not open, are what nobody wants to find.
fn is_clean(scan: &Scan) -> Result<(), Failure> {
    if scan.plaintexts().next().is_none() && scan.unreadable() == 0 { Ok(()) } else { Err(Failure::Found) }
}

fn warn_of_fields_left_out(table: &EncryptedTable, output: &Output) {
    let fields: Vec<_> = table.fields_left_out().iter().map(|field| format!("`{field}`")).collect();
    if !fields.is_empty() {
        let fields = fields.join(", ");
        output.say(&format!("warning: the policy names {fields} too, which no --column and no --document here holds"));
    }
}

/// Says of each key that tokens name which do not open why that is, and what to do.
async fn tell_reasons(location: &TableArguments, scan: &Scan, output: &Output) -> Result<(), Failure> {
    if scan.unreadable_keys().next().is_none() {
        return Ok(());
    }
    let keyring = location.keyring.load().await?;
    for (key, count) in scan.unreadable_keys() {
        let state = keyring.keys().iter().find(|entry| entry.id() == key).map(KeyEntry::state);
        let reason = match state {
            Some(KeyState::Disabled) => "is disabled: `fieldseal keys enable` lets it decrypt again",
            Some(KeyState::Forgotten) => "was forgotten: only an older copy of the keyring opens what is under it",
            Some(KeyState::Shredded) => "was shredded: nothing opens what is under it",
            Some(_) => "is there: they were altered, or belong to another field, collection, tenant or record",
            None => "is not in this keyring: look for a later revision, or for the keyring that it is from",
        };
        output.say(&format!("{count} tokens do not open: key {key} {reason}"));
    }
    Ok(())
}

fn scan_json(table: &EncryptedTable, scan: &Scan) -> Value {
    let tokens: Vec<_> = scan
        .tokens()
        .map(|(field, key, count)| json!({"field": field, "key": key.to_string(), "count": count}))
        .collect();
    let plaintexts: Vec<_> = scan.plaintexts().map(|(field, count)| json!({"field": field, "count": count})).collect();
    let places = |places: &[fieldseal::reencrypt::Place]| {
        places.iter().map(|place| json!({"row": place.key, "field": place.field})).collect::<Vec<_>>()
    };
    json!({
        "rows": scan.rows(),
        "fields_left_out": table.fields_left_out(),
        "tokens": tokens,
        "plaintexts": plaintexts,
        "plaintext_places": places(scan.plaintext_places()),
        "unreadable": scan.unreadable(),
        "unreadable_keys": scan
            .unreadable_keys()
            .map(|(key, count)| json!({"key": key.to_string(), "count": count}))
            .collect::<Vec<_>>(),
        "unreadable_without_key": scan.unreadable_without_key(),
        "unreadable_places": places(scan.unreadable_places()),
    })
}

impl TableArguments {
    async fn table(&self, encrypts: bool) -> Result<EncryptedTable, Failure> {
        if self.columns.is_empty() && self.documents.is_empty() {
            return Err(Failure::Usage("which columns? Give --column COLUMN=FIELD or --document COLUMN".to_owned()));
        }
        let cipher = self.keyring.cipher(&self.policy, &self.index, self.tenant.as_deref()).await?;
        if encrypts {
            self.index.check(&cipher)?;
        }
        let mut table = EncryptedTable::new(&self.table, cipher);
        for column in &self.columns {
            let (column, field) = column.split_once('=').unwrap_or((column, column));
            table = table.column(column, field)?;
        }
        for column in &self.index_columns {
            let usage = || {
                Failure::Usage(
                    "a column of blind indexes is named as --index-column INDEX=COLUMN, such as phone_index=phone"
                        .to_owned(),
                )
            };
            let (index, column) = column.split_once('=').ok_or_else(usage)?;
            table = table.index_column(index, column)?;
        }
        for column in &self.compound_index_columns {
            let (column, index) = column.split_once('=').unwrap_or((column, column));
            table = table.compound_index_column(column, index)?;
        }
        Ok(self.documents.iter().fold(table, EncryptedTable::document))
    }

    /// The address stands in the environment, since it may have a password in it.
    async fn database(&self) -> Result<Database, Failure> {
        let variable = &self.database_url;
        let url = address_in(variable, "the database")?;
        let unreachable = |what: &str| Failure::Failed(format!("the database in {variable} {what}"));
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let pool = sqlx::PgPool::connect(&url).await;
            return Ok(pool
                .map_err(|_| unreachable("cannot be reached, or refuses: see its address and its log"))?
                .into());
        }
        if !url.starts_with("sqlite:") {
            let message = format!("the address in {variable} begins with neither `sqlite:` nor `postgres:`");
            return Err(Failure::Usage(message));
        }
        let options: SqliteConnectOptions = url.parse().map_err(|_| unreachable("has an address that is none"))?;
        let options = options.busy_timeout(Duration::from_secs(30));
        let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await;
        Ok(pool.map_err(|_| unreachable("cannot be opened: is there such a file?"))?.into())
    }
}
