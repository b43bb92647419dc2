//! The statements for `SQLite`.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, Sqlite, SqlitePool, Transaction, TypeInfo, ValueRef};
use zeroize::Zeroizing;

use super::database::{Batch, Claim, Lease, Shape, Statements, Step, fault, key_of_text, key_to_text};
use super::row::{Cell, Change, KeyPart, Row, RowKey};
use super::table::{EncryptedTable, quoted};
use crate::error::Error;

const TABLES: &str = "CREATE TABLE IF NOT EXISTS fieldseal_jobs (
    job TEXT PRIMARY KEY, table_name TEXT NOT NULL, finished INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS fieldseal_ranges (
    job TEXT NOT NULL, number INTEGER NOT NULL, at_key TEXT, until_key TEXT, worker TEXT,
    lease_until REAL NOT NULL DEFAULT 0, moved INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, number));";
/// Seconds since 1970 by the database's clock.
const NOW: &str = "((julianday('now') - 2440587.5) * 86400.0)";

impl Statements for SqlitePool {
    type Batch<'a> = Transaction<'a, Sqlite>;

    async fn look_at(&self, table: &EncryptedTable) -> Result<Shape, Error> {
        let (schema, name) = table.name.split_once('.').unwrap_or(("main", &table.name));
        let query = "SELECT name, type, pk, hidden FROM pragma_table_xinfo($1, $2)";
        let found: Vec<(String, String, i64, i64)> = sqlx::query_as(query)
            .bind(name)
            .bind(schema)
            .fetch_all(self)
            .await
            .map_err(|error| fault("looking at the table", error))?;
        if found.is_empty() {
            return Err(table.fault("does not exist"));
        }
        let mut key: Vec<_> = found.iter().filter(|column| column.2 > 0).collect();
        key.sort_by_key(|column| column.2);
        if key.is_empty() {
            return Err(table.fault("has no primary key, by which its rows could be told apart: add one"));
        }
        let key: Vec<_> = key.into_iter().map(|column| (column.0.clone(), column.1.clone())).collect();
        let mut types = Vec::new();
        for column in &table.columns {
            let name = &column.name;
            let Some((_, kind, _, hidden)) = found.iter().find(|found| found.0 == *name) else {
                return Err(table.fault(format!("has no column `{name}`")));
            };
            // 2 and 3 are generated columns.
            if *hidden > 1 {
                return Err(table.fault(format!("has column `{name}` as a generated one: name what it is made of")));
            }
            types.push(kind.clone());
        }
        // Names are the same in any case.
        let sql = format!(
            "SELECT name FROM {}.sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE",
            quoted(schema)
        );
        let real_name: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(name)
            .fetch_optional(self)
            .await
            .map_err(|error| fault("looking at the table", error))?;
        let real_name = real_name.ok_or_else(|| table.fault("is no table of rows"))?;
        let place = format!("{}.{real_name}", schema.to_ascii_lowercase());
        Ok(Shape { table: table.clone(), place, key, types })
    }

    async fn count(&self, shape: &Shape) -> Result<u64, Error> {
        let sql = format!("SELECT count(*) FROM {}", shape.table.quoted_name());
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).fetch_one(self).await;
        Ok(count.map_err(|error| fault("counting rows", error))?.unsigned_abs())
    }

    async fn read(
        &self,
        shape: &Shape,
        after: Option<&RowKey>,
        until: Option<&RowKey>,
        limit: u32,
    ) -> Result<Vec<Row>, Error> {
        let (keys, places) = (key_list(shape), vec!["?"; shape.key.len()].join(", "));
        let bound = |operator: &str, key: Option<&RowKey>| match key {
            Some(_) => format!("({keys}) {operator} ({places})"),
            None => "true".to_owned(),
        };
        let sql = format!(
            "SELECT {} FROM {} WHERE {} AND {} ORDER BY {keys} LIMIT {limit}",
            selection(shape),
            shape.table.quoted_name(),
            bound(">", after),
            bound("<=", until)
        );
        let query = [after, until].into_iter().flatten().flatten().fold(sqlx::query(AssertSqlSafe(sql)), bind_key);
        let rows = query.fetch_all(self).await.map_err(|error| fault("reading rows", error))?;
        rows.iter().map(|found| row(shape, found)).collect()
    }

    async fn begin(&self, shape: &Shape, job: &str, _: u32) -> Result<(), Error> {
        let failed = |error| fault("beginning the job", error);
        let mut transaction = self.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        sqlx::raw_sql(TABLES).execute(&mut *transaction).await.map_err(failed)?;
        let other = "SELECT job FROM fieldseal_jobs WHERE table_name = ? AND job <> ? AND NOT finished";
        let other: Option<(String,)> = sqlx::query_as(other)
            .bind(&shape.place)
            .bind(job)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        if let Some((other,)) = other {
            return Err(shape.busy(&other));
        }
        for drop in [
            "DELETE FROM fieldseal_ranges WHERE job IN (SELECT job FROM fieldseal_jobs WHERE job = ? AND finished)",
            "DELETE FROM fieldseal_jobs WHERE job = ? AND finished",
        ] {
            sqlx::query(drop).bind(job).execute(&mut *transaction).await.map_err(failed)?;
        }
        let insert = "INSERT INTO fieldseal_jobs (job, table_name) VALUES (?, ?) ON CONFLICT DO NOTHING";
        sqlx::query(insert).bind(job).bind(&shape.place).execute(&mut *transaction).await.map_err(failed)?;
        // One writer at a time is all that there is, so the table is one range.
        let insert = "INSERT INTO fieldseal_ranges (job, number) VALUES (?, 0) ON CONFLICT DO NOTHING";
        sqlx::query(insert).bind(job).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    async fn claim(&self, job: &str, worker: &str, seconds: i64) -> Result<Claim, Error> {
        let failed = |error| fault("taking a range of rows", error);
        let sql = format!(
            "UPDATE fieldseal_ranges SET worker = ?2, lease_until = {NOW} + ?3
             WHERE job = ?1 AND number = (SELECT number FROM fieldseal_ranges
                 WHERE job = ?1 AND NOT done AND (lease_until < {NOW} OR worker = ?2) ORDER BY number LIMIT 1)
             RETURNING number, at_key, until_key"
        );
        let taken: Option<(i64, Option<String>, Option<String>)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(job)
            .bind(worker)
            .bind(seconds)
            .fetch_optional(self)
            .await
            .map_err(failed)?;
        let Some((number, after, until)) = taken else {
            let query = "SELECT count(*) FROM fieldseal_ranges WHERE job = ? AND NOT done";
            let (left,): (i64,) = sqlx::query_as(query).bind(job).fetch_one(self).await.map_err(failed)?;
            return Ok(if left == 0 { Claim::Done } else { Claim::Wait });
        };
        let key = |text: Option<String>| text.as_deref().map(key_of_text).transpose();
        let (job, worker) = (job.to_owned(), worker.to_owned());
        Ok(Claim::Taken(Lease { job, worker, number, seconds, after: key(after)?, until: key(until)? }))
    }

    async fn end(&self, job: &str) -> Result<(), Error> {
        let query = "UPDATE fieldseal_jobs SET finished = 1 WHERE job = ?";
        sqlx::query(query).bind(job).execute(self).await.map_err(|error| fault("ending the job", error))?;
        Ok(())
    }

    async fn batch(&self) -> Result<Transaction<'_, Sqlite>, Error> {
        self.begin_with("BEGIN IMMEDIATE").await.map_err(|error| fault("beginning a batch", error))
    }
}

impl Batch for Transaction<'_, Sqlite> {
    async fn write(&mut self, shape: &Shape, changes: &[Change]) -> Result<Vec<RowKey>, Error> {
        let names: Vec<_> = shape.table.columns.iter().map(|column| quoted(&column.name)).collect();
        let sets: Vec<_> = names.iter().map(|name| format!("{name} = ?")).collect();
        let keys = shape.key.iter().map(|(name, _)| format!("{} = ?", quoted(name)));
        // The column's own collation may take for the same what is not.
        let conditions: Vec<_> = keys.chain(names.iter().map(|name| format!("{name} IS ? COLLATE BINARY"))).collect();
        let sql =
            format!("UPDATE {} SET {} WHERE {}", shape.table.quoted_name(), sets.join(", "), conditions.join(" AND "));
        let mut missed = Vec::new();
        for Change { old, new } in changes {
            let query = new.iter().fold(sqlx::query(AssertSqlSafe(sql.clone())), bind_cell);
            let query = old.key.iter().fold(query, bind_key);
            let query = old.cells.iter().fold(query, bind_cell);
            let done = query.execute(&mut **self).await.map_err(|error| fault("writing a row", error))?;
            if done.rows_affected() == 0 {
                missed.push(old.key.clone());
            }
        }
        Ok(missed)
    }

    async fn read_again(&mut self, shape: &Shape, keys: &[RowKey]) -> Result<Vec<Row>, Error> {
        let places = vec!["?"; shape.key.len()].join(", ");
        let (columns, table) = (selection(shape), shape.table.quoted_name());
        let sql = format!("SELECT {columns} FROM {table} WHERE ({}) = ({places})", key_list(shape));
        let mut rows = Vec::new();
        for key in keys {
            let query = key.iter().fold(sqlx::query(AssertSqlSafe(sql.clone())), bind_key);
            let found = query.fetch_optional(&mut **self).await.map_err(|error| fault("reading a row again", error))?;
            rows.extend(found.map(|found| row(shape, &found)).transpose()?);
        }
        Ok(rows)
    }

    async fn account(&mut self, lease: &Lease, step: &Step) -> Result<bool, Error> {
        let sql = format!(
            "UPDATE fieldseal_ranges SET at_key = coalesce(?4, at_key), moved = moved + ?5, done = ?6,
                 lease_until = {NOW} + ?7
             WHERE job = ?1 AND number = ?2 AND worker = ?3 AND NOT done"
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(&lease.job)
            .bind(lease.number)
            .bind(&lease.worker)
            .bind(step.at.as_ref().map(key_to_text))
            .bind(i64::try_from(step.moved).unwrap_or(i64::MAX))
            .bind(step.is_done)
            .bind(lease.seconds)
            .execute(&mut **self)
            .await
            .map_err(|error| fault("writing down how far it is", error))?;
        Ok(done.rows_affected() == 1)
    }

    async fn commit(self) -> Result<(), Error> {
        Transaction::commit(self).await.map_err(|error| fault("committing a batch", error))
    }
}

fn key_list(shape: &Shape) -> String {
    shape.key.iter().map(|(name, _)| quoted(name)).collect::<Vec<_>>().join(", ")
}

fn selection(shape: &Shape) -> String {
    let columns = shape.table.columns.iter().map(|column| quoted(&column.name));
    shape.key.iter().map(|(name, _)| quoted(name)).chain(columns).collect::<Vec<_>>().join(", ")
}

fn bind_key<'q>(query: Query<'q, Sqlite, SqliteArguments>, part: &'q KeyPart) -> Query<'q, Sqlite, SqliteArguments> {
    match part {
        KeyPart::Integer(integer) => query.bind(*integer),
        KeyPart::Text(text) => query.bind(text.as_str()),
        KeyPart::Blob(bytes) => query.bind(bytes.as_slice()),
    }
}

fn bind_cell<'q>(query: Query<'q, Sqlite, SqliteArguments>, cell: &'q Cell) -> Query<'q, Sqlite, SqliteArguments> {
    match cell {
        Cell::Null => query.bind(None::<&str>),
        Cell::Text(text) => query.bind(text.as_str()),
        Cell::Binary(bytes) => query.bind(bytes.as_slice()),
    }
}

fn row(shape: &Shape, found: &SqliteRow) -> Result<Row, Error> {
    let wrong = |error| fault("reading a row", error);
    let kind = |index: usize| {
        let value = found.try_get_raw(index).map_err(wrong)?;
        Ok::<_, Error>(if value.is_null() { "NULL".to_owned() } else { value.type_info().name().to_owned() })
    };
    let keys = shape.key.len();
    let mut key = RowKey::new();
    for index in 0..keys {
        key.push(match kind(index)?.as_str() {
            "INTEGER" => KeyPart::Integer(found.try_get_unchecked(index).map_err(wrong)?),
            "BLOB" => KeyPart::Blob(found.try_get_unchecked(index).map_err(wrong)?),
            "TEXT" => KeyPart::Text(found.try_get_unchecked(index).map_err(wrong)?),
            other => return Err(shape.table.fault(format!("has a key of type {other}, which no row can be found by"))),
        });
    }
    let mut cells = Vec::new();
    for (column, index) in shape.table.columns.iter().zip(keys..) {
        cells.push(match kind(index)?.as_str() {
            "NULL" => Cell::Null,
            "BLOB" => Cell::Binary(Zeroizing::new(found.try_get_unchecked(index).map_err(wrong)?)),
            "TEXT" => Cell::Text(Zeroizing::new(found.try_get_unchecked(index).map_err(wrong)?)),
            other => {
                let message = format!("holds a value of type {other} in column `{}`: make it text", column.name);
                return Err(shape.table.fault(message));
            }
        });
    }
    Ok(Row { key, cells })
}
