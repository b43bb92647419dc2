//! `fieldseal breach-report`.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use fieldseal::Timestamp;
use fieldseal::breach::{Cell, Duty, Form, Reach, Survey};
use fieldseal::keys::{Keyring, KeyringListing, KeyringStore};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Column as _, Row as _, SqlitePool, ValueRef as _};

use crate::arguments::KeyringArguments;
use crate::failure::Failure;
use crate::keyring::{self, read_policy};
use crate::output::Output;

#[derive(Args)]
pub(crate) struct BreachArguments {
    #[command(flatten)]
    keyring: KeyringArguments,
    /// A further keyring, such as that of a tenant: like --keyring, and wrapped by --kek. May be given several times.
    #[arg(long = "other-keyring", value_name = "FILE")]
    other_keyrings: Vec<String>,
    /// Reads the keyrings without a key-encryption key: nothing proves then what they say, and the report says so.
    #[arg(long)]
    unauthenticated: bool,
    /// What was stolen: SQL text, CSV, JSON, a database file of SQLite, or any other file; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    dump: PathBuf,
    /// The form of the dump, where it is not told right by how it begins.
    #[arg(long, value_enum)]
    form: Option<FormName>,
    /// The policy, in TOML: names the fields, and finds their values that are in the clear.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A column that holds values of a field under another name: COLUMN=FIELD. May be given several times.
    #[arg(long = "column", value_name = "COLUMN=FIELD", requires = "policy")]
    columns: Vec<String>,
    /// What the thief had beside the dump: `keyring` (a copy of it from the time of the theft), `old-keyrings` (earlier
    /// copies, such as backups), `service` (the running service), `kek=NAME` (a key-encryption key, or the use of it, by
    /// the name that `keys list` shows). May be given several times.
    #[arg(long = "thief-had", value_name = "WHAT")]
    thief_had: Vec<String>,
    /// When it happened, as 2026-11-20T03:00:00Z. Unless given, any time is possible.
    #[arg(long, value_name = "MOMENT")]
    at: Option<Timestamp>,
    /// From how many people on there is a duty to notify.
    #[arg(long, value_name = "PEOPLE", default_value = "500")]
    threshold: u64,
    /// How many calendar days there are to notify, after the day of the assessment.
    #[arg(long, value_name = "DAYS", default_value = "3")]
    days: u16,
    /// The day of the assessment, as 2026-11-24.
    #[arg(long, value_name = "DAY")]
    assessed: Option<String>,
    /// Writes the report as an HTML page into this file as well, which must not be there yet.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormName {
    Sql,
    Csv,
    Json,
    Sqlite,
    Raw,
}

impl From<FormName> for Form {
    fn from(name: FormName) -> Self {
        match name {
            FormName::Sql => Self::Sql,
            FormName::Csv => Self::Csv,
            FormName::Json => Self::Json,
            FormName::Sqlite => Self::Sqlite,
            FormName::Raw => Self::Raw,
        }
    }
}

pub(crate) async fn report(arguments: BreachArguments, output: &Output) -> Result<(), Failure> {
    let mut duty = Duty::default().people(arguments.threshold).days(arguments.days);
    if let Some(day) = &arguments.assessed {
        duty = duty.assessed(day).map_err(|error| Failure::Usage(format!("--assessed: {error}")))?;
    }
    let reach = arguments.reach()?;
    if let Some(path) = arguments.html.as_ref().filter(|path| path.exists()) {
        return Err(Failure::Failed(format!("`{}` exists already: nothing was done", path.display())));
    }
    let mut survey = Survey::new(&arguments.listings().await?, reach)?;
    if let Some(path) = &arguments.policy {
        survey = survey.policy(read_policy(path)?);
    }
    for column in &arguments.columns {
        let usage = || Failure::Usage("a column is named as --column COLUMN=FIELD".to_owned());
        let (column, field) = column.split_once('=').ok_or_else(usage)?;
        survey = survey.column(column, field)?;
    }
    read(&mut survey, &arguments.dump, arguments.form.map(Form::from)).await?;
    let report = survey.finish(&duty);
    if let Some(path) = &arguments.html {
        let unwritable = |error| Failure::Failed(format!("`{}` cannot be written: {error}", path.display()));
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).open(path).map_err(unwritable)?;
        if let Err(error) = io::Write::write_all(&mut file, report.to_html().as_bytes()) {
            // Half a page is no report, and would be in the way of a whole one.
            let _ = fs::remove_file(path);
            return Err(unwritable(error));
        }
    }
    let json = serde_json::to_value(&report).map_err(|error| Failure::Failed(error.to_string()))?;
    output.data(&report.to_string(), &json)?;
    if let Some(fault) = &report.fault {
        output.say(&format!("warning: the dump was not read to its end: {fault}"));
    }
    // What was found, or could not be looked at, is what nobody wants.
    if report.is_anything_exposed() || !report.is_complete { Err(Failure::Found) } else { Ok(()) }
}

async fn read(survey: &mut Survey, path: &Path, form: Option<Form>) -> Result<(), Failure> {
    if path.as_os_str() == "-" {
        survey.read(io::stdin().lock(), form)?;
        return if survey.form() == Some(Form::Sqlite) {
            Err(Failure::Failed("a database file cannot be read from standard input: give its path".to_owned()))
        } else {
            Ok(())
        };
    }
    let name = path.display();
    let unreadable = |error: io::Error| Failure::Failed(format!("the dump `{name}` cannot be read: {error}"));
    let mut file = File::open(path).map_err(unreadable)?;
    let mut beginning = [0; 16];
    let read = file.read(&mut beginning).map_err(unreadable)?;
    let is_database = match form {
        Some(form) => form == Form::Sqlite,
        None => beginning[..read] == *b"SQLite format 3\0",
    };
    if is_database {
        read_database(survey, path).await;
    }
    Ok(survey.read(File::open(path).map_err(unreadable)?, form)?)
}

/// Reads the rows of a database file. What cannot be read of it makes the report incomplete, and no failure: its bytes
/// are searched all the same.
async fn read_database(survey: &mut Survey, path: &Path) {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(true);
    let options = options.busy_timeout(Duration::from_secs(5)).pragma("trusted_schema", "OFF");
    let Ok(pool) = SqlitePoolOptions::new().max_connections(1).connect_with(options).await else {
        return survey.note_fault("it cannot be opened as a database: its rows were not counted");
    };
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let Ok(tables) = sqlx::query_scalar::<_, String>(tables).fetch_all(&pool).await else {
        return survey.note_fault("its tables cannot be listed: its rows were not counted");
    };
    for table in tables {
        if read_table(survey, &pool, &table).await.is_err() {
            survey.note_fault(format!("table `{table}` cannot be read to its end"));
        }
    }
    pool.close().await;
}

async fn read_table(survey: &mut Survey, pool: &SqlitePool, table: &str) -> Result<(), sqlx::Error> {
    use futures_util::StreamExt as _;

    let query = format!("SELECT * FROM \"{}\"", table.replace('"', "\"\""));
    let query = sqlx::query(sqlx::AssertSqlSafe(query));
    let mut rows = query.fetch(pool);
    let mut is_first = true;
    while let Some(row) = rows.next().await {
        let row = row?;
        if std::mem::take(&mut is_first) {
            let columns: Vec<_> = row.columns().iter().map(|column| column.name().to_owned()).collect();
            survey.table(table, &columns);
        }
        let cells = (0..row.len()).map(|at| {
            let is_null = row.try_get_raw(at).map_or(true, |value| value.is_null());
            let bytes = if is_null { None } else { row.try_get_unchecked::<&[u8], _>(at).ok() };
            bytes.map_or(Cell::Null, Cell::Binary)
        });
        survey.row(cells);
    }
    Ok(())
}

impl BreachArguments {
    fn reach(&self) -> Result<Reach, Failure> {
        let mut reach = Reach::new();
        for what in &self.thief_had {
            reach = match (what.as_str(), what.strip_prefix("kek=")) {
                ("keyring", _) => reach.keyring(),
                ("old-keyrings", _) => reach.old_keyrings(),
                ("service", _) => reach.service(),
                (_, Some(name)) => reach.kek(name),
                _ => {
                    let message =
                        "what a thief may have had is one of `keyring`, `old-keyrings`, `service` and `kek=NAME`";
                    return Err(Failure::Usage(message.to_owned()));
                }
            };
        }
        Ok(match self.at {
            Some(at) => reach.at(at),
            None => reach,
        })
    }

    async fn listings(&self) -> Result<Vec<KeyringListing>, Failure> {
        let mut stores = vec![self.keyring.store().await?];
        for other in &self.other_keyrings {
            stores.push(keyring::store(other).await?);
        }
        if !self.unauthenticated && self.keyring.kek.is_empty() {
            let message = "which key-encryption key? Give --kek file:PATH, or set FIELDSEAL_KEK_SPEC; or --unauthenticated, \
                           and nothing proves what the keyring says";
            return Err(Failure::Usage(message.to_owned()));
        }
        let mut listings = Vec::new();
        for store in stores {
            listings.push(self.listing(&*store).await?);
        }
        Ok(listings)
    }

    async fn listing(&self, store: &dyn KeyringStore) -> Result<KeyringListing, Failure> {
        Ok(if self.unauthenticated {
            KeyringListing::dangerous_without_authentication(&store.read().await?)?
        } else {
            KeyringListing::from(&Keyring::load(store, self.keyring.services().await?).await?)
        })
    }
}
