//! Columns for sqlx.

use ::sqlx::encode::IsNull;
use ::sqlx::error::BoxDynError;
use ::sqlx::{Database, Decode, Encode, Type, ValueRef};

use super::encrypted::{Encrypted, EncryptedBytes};

/// A column that is written as a `$written`, and read from text and bytes.
macro_rules! column {
    ($name:ident, $written:ty) => {
        impl<DB, T> Type<DB> for $name<T>
        where
            DB: Database,
            String: Type<DB>,
            Vec<u8>: Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                <$written as Type<DB>>::type_info()
            }

            fn compatible(kind: &DB::TypeInfo) -> bool {
                <String as Type<DB>>::compatible(kind) || <Vec<u8> as Type<DB>>::compatible(kind)
            }
        }

        impl<'q, DB, T> Encode<'q, DB> for $name<T>
        where
            DB: Database,
            $written: Encode<'q, DB>,
        {
            fn encode_by_ref(&self, buffer: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
                self.token.encode_by_ref(buffer)
            }

            fn size_hint(&self) -> usize {
                self.token.len()
            }
        }

        impl<'r, DB, T> Decode<'r, DB> for $name<T>
        where
            DB: Database,
            String: Decode<'r, DB> + Type<DB>,
            Vec<u8>: Decode<'r, DB>,
        {
            fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
                let is_text = <String as Type<DB>>::compatible(&value.type_info());
                let stored = if is_text {
                    <String as Decode<'r, DB>>::decode(value)?.into_bytes()
                } else {
                    <Vec<u8> as Decode<'r, DB>>::decode(value)?
                };
                Ok(Self::from_stored(stored)?)
            }
        }
    };
}

column!(Encrypted, String);
column!(EncryptedBytes, Vec<u8>);
