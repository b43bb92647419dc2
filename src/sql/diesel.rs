//! Columns for diesel.

use ::diesel::backend::Backend;
use ::diesel::deserialize::{self, FromSql};
use ::diesel::serialize::{self, Output, ToSql};
use ::diesel::sql_types::{Binary, Text};

use super::encrypted::{Encrypted, EncryptedBytes};

impl<DB, T> ToSql<Text, DB> for Encrypted<T>
where
    DB: Backend,
    String: ToSql<Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.token.to_sql(out)
    }
}

impl<DB, T> FromSql<Text, DB> for Encrypted<T>
where
    DB: Backend,
    String: FromSql<Text, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Self::from_stored(String::from_sql(value)?)?)
    }
}

impl<DB, T> ToSql<Binary, DB> for EncryptedBytes<T>
where
    DB: Backend,
    Vec<u8>: ToSql<Binary, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.token.to_sql(out)
    }
}

impl<DB, T> FromSql<Binary, DB> for EncryptedBytes<T>
where
    DB: Backend,
    Vec<u8>: FromSql<Binary, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Self::from_stored(Vec::<u8>::from_sql(value)?)?)
    }
}
