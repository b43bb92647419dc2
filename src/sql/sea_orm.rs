//! Columns for `SeaORM`.

use ::sea_orm::sea_query::{ArrayType, ColumnType, Nullable, StringLen, ValueType, ValueTypeErr};
use ::sea_orm::{ColIdx, DbErr, QueryResult, TryGetError, TryGetable, Value};

use super::encrypted::{Encrypted, EncryptedBytes};

/// A column that is written as a `$written`, in the variant of that name, and read from it.
macro_rules! column {
    ($name:ident, $written:ty, $variant:ident, $column:expr) => {
        impl<T> From<$name<T>> for Value {
            fn from(value: $name<T>) -> Self {
                value.token.into()
            }
        }

        impl<T> TryGetable for $name<T> {
            fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
                let stored = <$written as TryGetable>::try_get_by(row, index)?;
                Self::from_stored(stored).map_err(|error| DbErr::Type(error.to_string()).into())
            }
        }

        impl<T> ValueType for $name<T> {
            fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
                let stored = <$written as ValueType>::try_from(value)?;
                Self::from_stored(stored).map_err(|_| ValueTypeErr)
            }

            fn type_name() -> String {
                stringify!($name).to_owned()
            }

            fn array_type() -> ArrayType {
                ArrayType::$variant
            }

            fn column_type() -> ColumnType {
                $column
            }
        }

        impl<T> Nullable for $name<T> {
            fn null() -> Value {
                <$written as Nullable>::null()
            }
        }
    };
}

column!(Encrypted, String, String, ColumnType::Text);
column!(EncryptedBytes, Vec<u8>, Bytes, ColumnType::VarBinary(StringLen::None));
