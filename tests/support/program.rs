//! The program `fieldseal`, run in a directory of its own.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

/// A directory with a policy, in which the program runs.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        let policy = "collection = \"customers\"\n[fields.name]\ntag = \"name\"\n[fields.phone]\ntag = \"phone\"\n";
        fs::write(place.path("policy.toml"), policy).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldseal"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env("FIELDSEAL_KEYRING", "keyring.json")
            .env("FIELDSEAL_KEK_SPEC", "file:kek")
            .env("DATABASE_URL", "sqlite://customers.db?mode=rwc")
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).arg("--format=json").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// Returns what was said on standard error.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stderr)
    }

    pub(crate) fn piped(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(arguments);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = thread::spawn(move || drop(stdin.write_all(&input)));
        let output = process.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    pub(crate) fn sql(&self, statements: &str) {
        self.with_database(async |pool| {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned())).execute(&pool).await.unwrap();
        });
    }

    /// Returns the text that `query` finds.
    #[allow(dead_code, reason = "not every file of tests looks")]
    pub(crate) fn text(&self, query: &str) -> String {
        self.with_database(async |pool| {
            sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).fetch_one(&pool).await.unwrap()
        })
    }

    fn with_database<T>(&self, work: impl AsyncFnOnce(sqlx::SqlitePool) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let url = format!("sqlite://{}?mode=rwc", self.path("customers.db").display());
            work(sqlx::SqlitePool::connect(&url).await.unwrap()).await
        })
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
