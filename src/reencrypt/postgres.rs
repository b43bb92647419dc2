//! The statements for PostgreSQL.

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Row as _, Transaction};

use super::database::{Batch, Claim, Lease, Shape, Statements, Step, fault, key_of_text, key_to_text};
use super::postgres_sql::is_integer;
use super::row::{Cell, Change, Row, RowKey};
use super::table::{Content, EncryptedTable};
use crate::error::Error;

/// A token of the shortest value in text form has 112 characters.
const SHORTEST_TOKEN: i32 = 112;

const TABLES: &str = "CREATE TABLE IF NOT EXISTS fieldseal_jobs (
    job text PRIMARY KEY, table_name text NOT NULL, finished boolean NOT NULL DEFAULT false);
CREATE TABLE IF NOT EXISTS fieldseal_ranges (
    job text NOT NULL REFERENCES fieldseal_jobs ON DELETE CASCADE, number bigint NOT NULL, at_key text, until_key text,
    worker text, lease_until timestamptz NOT NULL DEFAULT '-infinity', moved bigint NOT NULL DEFAULT 0,
    done boolean NOT NULL DEFAULT false, PRIMARY KEY (job, number));";

impl Statements for PgPool {
    type Batch<'a> = Transaction<'a, Postgres>;

    async fn look_at(&self, table: &EncryptedTable) -> Result<Shape, Error> {
        let query = "SELECT a.attname::text, format_type(a.atttypid, NULL), a.atttypmod, a.attgenerated <> '',
                coalesce(array_position(i.indkey::int2[], a.attnum), -1), a.attrelid::text
            FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
            WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";
        let found: Vec<(String, String, i32, bool, i32, String)> = sqlx::query_as(query)
            .bind(table.quoted_name())
            .fetch_all(self)
            .await
            .map_err(|error| fault("looking at the table", error))?;
        let Some((.., place)) = found.first() else {
            return Err(table.fault("does not exist, or has no columns, or is not on the search path"));
        };
        let mut key: Vec<_> = found.iter().filter(|column| column.4 >= 0).collect();
        key.sort_by_key(|column| column.4);
        if key.is_empty() {
            return Err(table.fault("has no primary key, by which its rows could be told apart: add one"));
        }
        let key: Vec<_> = key.into_iter().map(|column| (column.0.clone(), column.1.clone())).collect();
        let mut types = Vec::new();
        for column in &table.columns {
            let name = &column.name;
            let Some((_, kind, modifier, is_generated, ..)) = found.iter().find(|found| found.0 == *name) else {
                return Err(table.fault(format!("has no column `{name}`")));
            };
            let fits = match column.content {
                Content::Field(_) => matches!(kind.as_str(), "text" | "character varying" | "bytea"),
                Content::Index(..) | Content::CompoundIndex(_) => matches!(kind.as_str(), "text" | "character varying"),
                Content::Document => matches!(kind.as_str(), "text" | "character varying" | "json" | "jsonb"),
            };
            if *is_generated {
                return Err(table.fault(format!("has column `{name}` as a generated one: name what it is made of")));
            }
            if !fits {
                let message = format!("has column `{name}` of type {kind}, which cannot hold tokens: make it text");
                return Err(table.fault(message));
            }
            // The modifier of a length is the length and four.
            let holds_token = matches!(column.content, Content::Field(_) | Content::Document);
            if holds_token && (0..SHORTEST_TOKEN + 4).contains(modifier) {
                let length = modifier - 4;
                let message = format!(
                    "has column `{name}` with room for {length} characters: tokens have {SHORTEST_TOKEN} and more; make it text"
                );
                return Err(table.fault(message));
            }
            types.push(kind.clone());
        }
        Ok(Shape { table: table.clone(), place: place.clone(), key, types })
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
        let (keys, mut number) = (shape.key_list(), 0);
        let mut compared = |operator: &str, bound: Option<&RowKey>| match bound {
            Some(_) => format!("({keys}) {operator} ({})", shape.key_places(&mut number)),
            None => "true".to_owned(),
        };
        // As a condition, the upper bound would mislead the planner: it takes what is between two bounds for little.
        let sql = format!(
            "SELECT {}, {} FROM {} AS t WHERE {} ORDER BY {keys} LIMIT {limit}",
            shape.selection(),
            compared("<=", until),
            shape.table.quoted_name(),
            compared(">", after)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for part in [until, after].into_iter().flatten().flatten() {
            query = query.bind(part.to_string());
        }
        let failed = |error| fault("reading rows", error);
        let rows = query.fetch_all(self).await.map_err(failed)?;
        let within = shape.key.len() + shape.types.len();
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            if !row.try_get::<bool, _>(within).map_err(failed)? {
                break;
            }
            found.push(shape.row(row)?);
        }
        Ok(found)
    }

    async fn begin(&self, shape: &Shape, job: &str, range: u32) -> Result<(), Error> {
        let failed = |error| fault("beginning the job", error);
        let mut transaction = self.begin().await.map_err(failed)?;
        // Several workers may begin at once: one makes the tables and the ranges, and the others find them.
        let lock = "SELECT pg_advisory_xact_lock(hashtextextended('fieldseal_jobs', 0))";
        sqlx::query(lock).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::raw_sql(TABLES).execute(&mut *transaction).await.map_err(failed)?;
        let other = "SELECT job FROM fieldseal_jobs WHERE table_name = $1 AND job <> $2 AND NOT finished";
        let other: Option<(String,)> = sqlx::query_as(other)
            .bind(&shape.place)
            .bind(job)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        if let Some((other,)) = other {
            return Err(shape.busy(&other));
        }
        let drop = "DELETE FROM fieldseal_jobs WHERE job = $1 AND finished";
        sqlx::query(drop).bind(job).execute(&mut *transaction).await.map_err(failed)?;
        let insert = "INSERT INTO fieldseal_jobs (job, table_name) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let made = sqlx::query(insert).bind(job).bind(&shape.place).execute(&mut *transaction).await.map_err(failed)?;
        if made.rows_affected() == 1 {
            let ends = if shape.is_small(&mut transaction, range).await? {
                Vec::new()
            } else {
                shape.range_ends(&mut transaction, range).await?
            };
            let mut after = None;
            for (number, until) in (0_i64..).zip(ends.into_iter().map(Some).chain([None])) {
                let insert = "INSERT INTO fieldseal_ranges (job, number, at_key, until_key) VALUES ($1, $2, $3, $4)";
                sqlx::query(insert)
                    .bind(job)
                    .bind(number)
                    .bind(&after)
                    .bind(&until)
                    .execute(&mut *transaction)
                    .await
                    .map_err(failed)?;
                after = until;
            }
        }
        transaction.commit().await.map_err(failed)
    }

    async fn claim(&self, job: &str, worker: &str, seconds: i64) -> Result<Claim, Error> {
        let failed = |error| fault("taking a range of rows", error);
        let query = "UPDATE fieldseal_ranges SET worker = $2,
                lease_until = clock_timestamp() + make_interval(secs => $3::double precision)
            WHERE job = $1 AND number = (SELECT number FROM fieldseal_ranges
                WHERE job = $1 AND NOT done AND (lease_until < clock_timestamp() OR worker = $2)
                ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING number, at_key, until_key";
        let taken: Option<(i64, Option<String>, Option<String>)> =
            sqlx::query_as(query).bind(job).bind(worker).bind(seconds).fetch_optional(self).await.map_err(failed)?;
        let Some((number, after, until)) = taken else {
            let query = "SELECT count(*) FROM fieldseal_ranges WHERE job = $1 AND NOT done";
            let (left,): (i64,) = sqlx::query_as(query).bind(job).fetch_one(self).await.map_err(failed)?;
            return Ok(if left == 0 { Claim::Done } else { Claim::Wait });
        };
        let key = |text: Option<String>| text.as_deref().map(key_of_text).transpose();
        let (job, worker) = (job.to_owned(), worker.to_owned());
        Ok(Claim::Taken(Lease { job, worker, number, seconds, after: key(after)?, until: key(until)? }))
    }

    async fn end(&self, job: &str) -> Result<(), Error> {
        let query = "UPDATE fieldseal_jobs SET finished = true WHERE job = $1";
        sqlx::query(query).bind(job).execute(self).await.map_err(|error| fault("ending the job", error))?;
        Ok(())
    }

    async fn batch(&self) -> Result<Transaction<'_, Postgres>, Error> {
        self.begin().await.map_err(|error| fault("beginning a batch", error))
    }
}

impl Batch for Transaction<'_, Postgres> {
    async fn write(&mut self, shape: &Shape, changes: &[Change]) -> Result<Vec<RowKey>, Error> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let mut query: Query<'_, Postgres, PgArguments> = sqlx::query(AssertSqlSafe(shape.update()));
        for (part, (_, kind)) in shape.key.iter().enumerate() {
            let parts = changes.iter().map(|change| change.old.key[part].as_text());
            query = if is_integer(kind) {
                let wrong = |_| shape.table.fault("has a key of whole numbers that came as something else");
                query.bind(parts.map(|part| part.parse().map_err(wrong)).collect::<Result<Vec<i64>, Error>>()?)
            } else {
                query.bind(parts.collect::<Vec<_>>())
            };
        }
        for column in 0..shape.types.len() {
            let old = changes.iter().map(|change| &change.old.cells[column]);
            let new = changes.iter().map(|change| &change.new[column]);
            if shape.types[column] == "bytea" {
                query = query.bind(old.map(Cell::as_bytes).collect::<Vec<_>>());
                query = query.bind(new.map(Cell::as_bytes).collect::<Vec<_>>());
            } else {
                query = query.bind(old.map(text).collect::<Vec<_>>());
                query = query.bind(new.map(text).collect::<Vec<_>>());
            }
        }
        let written = query.execute(&mut **self).await.map_err(|error| fault("writing rows", error))?;
        if written.rows_affected() == changes.len() as u64 {
            return Ok(Vec::new());
        }
        // Some were changed by others meanwhile, which is rare enough to ask for each whether it is the new one.
        let keys: Vec<_> = changes.iter().map(|change| change.old.key.clone()).collect();
        let now = self.read_again(shape, &keys).await?;
        let is_written = |change: &&Change| now.iter().any(|row| row.key == change.old.key && row.cells == change.new);
        Ok(changes.iter().filter(|change| !is_written(change)).map(|change| change.old.key.clone()).collect())
    }

    async fn read_again(&mut self, shape: &Shape, keys: &[RowKey]) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        let sql = format!(
            "SELECT {} FROM {} AS t WHERE ({}) = ({})",
            shape.selection(),
            shape.table.quoted_name(),
            shape.key_list(),
            shape.key_places(&mut 0)
        );
        for key in keys {
            let mut query: Query<'_, Postgres, PgArguments> = sqlx::query(AssertSqlSafe(sql.clone()));
            for part in key {
                query = query.bind(part.to_string());
            }
            let found = query.fetch_optional(&mut **self).await.map_err(|error| fault("reading a row again", error))?;
            rows.extend(found.map(|row| shape.row(&row)).transpose()?);
        }
        Ok(rows)
    }

    async fn account(&mut self, lease: &Lease, step: &Step) -> Result<bool, Error> {
        let query = "UPDATE fieldseal_ranges SET at_key = coalesce($4, at_key), moved = moved + $5, done = $6,
                lease_until = clock_timestamp() + make_interval(secs => $7::double precision)
            WHERE job = $1 AND number = $2 AND worker = $3 AND NOT done";
        let done = sqlx::query(query)
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

fn text(cell: &Cell) -> Option<&str> {
    match cell {
        Cell::Text(text) => Some(text.as_str()),
        Cell::Null | Cell::Binary(_) => None,
    }
}
