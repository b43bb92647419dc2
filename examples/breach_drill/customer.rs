//! A customer, as documents and rows hold it.

use rusqlite::Row;
use rusqlite::types::Type;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) romanised_name: Option<String>,
    pub(crate) phone: String,
    pub(crate) email: String,
    pub(crate) address: String,
    pub(crate) card_last4: String,
    /// Kept as it came.
    pub(crate) loyalty: Box<RawValue>,
}

pub(crate) const TABLE: &str = "
    CREATE TABLE customers (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, romanised_name TEXT, phone TEXT NOT NULL, email TEXT NOT NULL,
        address TEXT NOT NULL, card_last4 TEXT NOT NULL, loyalty TEXT NOT NULL
    ) STRICT";

/// The columns in their order.
pub(crate) const COLUMNS: &str = "id, name, romanised_name, phone, email, address, card_last4, loyalty";

impl Customer {
    pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            romanised_name: row.get(2)?,
            phone: row.get(3)?,
            email: row.get(4)?,
            address: row.get(5)?,
            card_last4: row.get(6)?,
            loyalty: RawValue::from_string(row.get(7)?)
                .map_err(|error| rusqlite::Error::FromSqlConversionFailure(7, Type::Text, error.into()))?,
        })
    }

    /// The cells in the order of the columns, without those that are null.
    pub(crate) fn cells(&self) -> Vec<Cell<'_>> {
        let Self { id, name, romanised_name, phone, email, address, card_last4, loyalty } = self;
        let cell = |column, text, is_tagged| Some(Cell { column, text, is_tagged });
        [
            cell("id", id, false),
            cell("name", name, true),
            romanised_name.as_ref().and_then(|name| cell("romanised_name", name, true)),
            cell("phone", phone, true),
            cell("email", email, true),
            cell("address", address, true),
            cell("card_last4", card_last4, true),
            cell("loyalty", loyalty.get(), false),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// One cell of a customer's row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'a> {
    pub(crate) column: &'static str,
    pub(crate) text: &'a str,
    pub(crate) is_tagged: bool,
}
