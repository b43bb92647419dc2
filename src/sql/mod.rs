//! Column types: values that are encrypted in SQL tables, for sqlx, diesel and `SeaORM`.
//!
//! [`Encrypted<T>`] is a column of text, [`EncryptedBytes<T>`] one of bytes, a quarter shorter. They hold tokens, and are
//! read and written like any other type of the database library, with no key at hand: in `FromRow` structs, in diesel's
//! `Queryable` and `Insertable` ones, in `SeaORM`'s models. Where the key is needed stands in your code:
//! [`encrypt_column`](crate::FieldCipher::encrypt_column) and [`decrypt_column`](crate::FieldCipher::decrypt_column). No
//! key hides in a global.
//!
//! What a column holds that is no token does not become one: to read it is an error of the database library. The tokens are
//! those of the layer and of documents under the same policy, so that a service can move from one to the other.
//!
//! | library | feature | what it can do with `Encrypted<T>` |
//! |---|---|---|
//! | sqlx 0.9 | `sqlx` | `Type`, `Encode`, `Decode`, for every database whose driver knows `String` and `Vec<u8>`: PostgreSQL, SQLite, MySQL |
//! | diesel 2.3 | `diesel` | `AsExpression`, `FromSqlRow`, `ToSql`, `FromSql`, of the SQL types `Text` and `Binary`, for every backend |
//! | `SeaORM` 2 | `sea-orm` | a field of a model, `Option` of it for a nullable column |
//!
//! The tests run against PostgreSQL and SQLite; of MySQL it is only known that the types fit.
//!
//! # Search
//!
//! A blind index is text, [`blind_index`](crate::FieldCipher::blind_index) makes it for a column beside the value's:
//! `Option<String>`. Rows are asked for by [`lookup`](crate::FieldCipher::lookup), any of whose terms match:
//! `WHERE phone_index = ANY($1)`.
//!
//! # Example
//!
//! ```
//! # use fieldseal::keys::{DataKey, Keys, SecretKey};
//! # use fieldseal::{Field, FieldCipher, Policy, Tag};
//! use fieldseal::sql::Encrypted;
//!
//! # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
//! # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
//! // #[derive(sqlx::FromRow)]
//! struct Customer {
//!     id: i64,
//!     phone: Option<Encrypted<String>>, // NULL stays NULL
//! }
//!
//! let phone: Encrypted<String> = cipher.encrypt_column("phone", "+65 9123 4567")?;
//! // sqlx::query("INSERT INTO customers (phone) VALUES ($1)").bind(&phone) …
//! let row = Customer { id: 7, phone: Some(phone) }; // … and back, by `query_as`
//! let phone: Option<String> = row.phone.map(|phone| cipher.decrypt_column("phone", &phone)).transpose()?;
//! assert_eq!(phone.as_deref(), Some("+65 9123 4567"));
//! # let _ = row.id;
//! # Ok::<(), fieldseal::Error>(())
//! ```

#[cfg(feature = "diesel")]
mod diesel;
mod encrypted;
#[cfg(feature = "sea-orm")]
mod sea_orm;
#[cfg(feature = "sqlx")]
mod sqlx;

pub use encrypted::{Encrypted, EncryptedBytes};
