//! The SQL for PostgreSQL that depends on the table.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Postgres, Row as _, Transaction};
use zeroize::Zeroizing;

use super::database::{Shape, fault, key_to_text};
use super::row::{Cell, KeyPart, Row};
use super::table::quoted;
use crate::error::Error;

impl Shape {
    /// The columns of the key in the table `t`: without it, an order would be that of the texts that are selected.
    pub(super) fn key_list(&self) -> String {
        self.key.iter().map(|(name, _)| format!("t.{}", quoted(name))).collect::<Vec<_>>().join(", ")
    }

    /// Places for the parts of a key, which come as text.
    pub(super) fn key_places(&self, number: &mut usize) -> String {
        let places = self.key.iter().map(|(_, kind)| {
            *number += 1;
            format!("${number}::text::{kind}")
        });
        places.collect::<Vec<_>>().join(", ")
    }

    /// Returns whether the table has no more than `rows` rows, as far as the database knows without counting.
    pub(super) async fn is_small(&self, transaction: &mut Transaction<'_, Postgres>, rows: u32) -> Result<bool, Error> {
        let query = "SELECT reltuples BETWEEN 0 AND $2 FROM pg_class WHERE oid = to_regclass($1)";
        let small: (bool,) = sqlx::query_as(query)
            .bind(self.table.quoted_name())
            .bind(i64::from(rows))
            .fetch_one(&mut **transaction)
            .await
            .map_err(|error| fault("looking at the size of the table", error))?;
        Ok(small.0)
    }

    /// Returns every `range`th key.
    pub(super) async fn range_ends(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        range: u32,
    ) -> Result<Vec<String>, Error> {
        let keys: Vec<_> = self.key.iter().map(|(name, _)| format!("{}::text", quoted(name))).collect();
        let sql = format!(
            "SELECT ARRAY[{}] FROM (SELECT *, row_number() OVER (ORDER BY {}) AS fieldseal_row FROM {} AS t) AS numbered
             WHERE fieldseal_row % {range} = 0 ORDER BY fieldseal_row",
            keys.join(", "),
            self.key_list(),
            self.table.quoted_name()
        );
        let ends: Vec<(Vec<String>,)> = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_all(&mut **transaction)
            .await
            .map_err(|error| fault("dividing the table", error))?;
        Ok(ends.into_iter().map(|(end,)| key_to_text(&end.into_iter().map(KeyPart::Text).collect())).collect())
    }

    pub(super) fn selection(&self) -> String {
        let keys = self.key.iter().map(|(name, _)| format!("{}::text", quoted(name)));
        let cells = self.table.columns.iter().zip(&self.types).map(|(column, kind)| match kind.as_str() {
            "bytea" => quoted(&column.name),
            _ => format!("{}::text", quoted(&column.name)),
        });
        keys.chain(cells).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn row(&self, row: &PgRow) -> Result<Row, Error> {
        let wrong = |error| fault("reading a row", error);
        let keys = self.key.len();
        let key =
            (0..keys).map(|index| row.try_get(index).map(KeyPart::Text).map_err(wrong)).collect::<Result<_, _>>()?;
        let cells = self.types.iter().zip(keys..).map(|(kind, index)| {
            if kind == "bytea" {
                let bytes: Option<Vec<u8>> = row.try_get(index).map_err(wrong)?;
                Ok(bytes.map_or(Cell::Null, |bytes| Cell::Binary(Zeroizing::new(bytes))))
            } else {
                let text: Option<String> = row.try_get(index).map_err(wrong)?;
                Ok(text.map_or(Cell::Null, |text| Cell::Text(Zeroizing::new(text))))
            }
        });
        Ok(Row { key, cells: cells.collect::<Result<_, Error>>()? })
    }

    /// One statement for a whole batch: `unnest` makes rows of the arrays, of which each replaces the row that still
    /// has the old values.
    pub(super) fn update(&self) -> String {
        let (mut arrays, mut names) = (Vec::new(), Vec::new());
        let (mut sets, mut conditions) = (Vec::new(), Vec::new());
        let mut place = 0;
        for (index, (name, kind)) in self.key.iter().enumerate() {
            place += 1;
            arrays.push(format!("${place}::{}[]", if is_integer(kind) { "bigint" } else { "text" }));
            names.push(format!("k{index}"));
            conditions.push(format!("t.{} = v.k{index}::{kind}", quoted(name)));
        }
        for (index, (column, kind)) in self.table.columns.iter().zip(&self.types).enumerate() {
            let name = quoted(&column.name);
            let array = if kind == "bytea" { "bytea[]" } else { "text[]" };
            arrays.extend([format!("${}::{array}", place + 1), format!("${}::{array}", place + 2)]);
            place += 2;
            names.extend([format!("o{index}"), format!("w{index}")]);
            sets.push(format!("{name} = v.w{index}::{kind}"));
            // Of JSON the text is compared, and that byte by byte, as no type or collation of the column would do.
            conditions.push(match kind.as_str() {
                "bytea" => format!("t.{name} IS NOT DISTINCT FROM v.o{index}"),
                _ => format!("t.{name}::text COLLATE \"C\" IS NOT DISTINCT FROM v.o{index}"),
            });
        }
        format!(
            "UPDATE {} AS t SET {} FROM unnest({}) AS v({}) WHERE {}",
            self.table.quoted_name(),
            sets.join(", "),
            arrays.join(", "),
            names.join(", "),
            conditions.join(" AND ")
        )
    }
}

/// Returns whether `kind` is a type of keys that go to the database as numbers, which costs it less than texts do.
pub(super) fn is_integer(kind: &str) -> bool {
    matches!(kind, "smallint" | "integer" | "bigint")
}
