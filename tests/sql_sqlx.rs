//! Proves that encrypted columns of sqlx are tokens in the database and values only where a cipher decrypts them, in
//! either form, and that nothing else is taken for one.
#![cfg(all(feature = "postgres", feature = "sqlite"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/columns.rs"]
mod columns;

use columns::{PHONE, POSTGRES_TABLE, SQLITE_TABLE, cipher, postgres};
use fieldseal::sql::{Encrypted, EncryptedBytes};
use sqlx::{AssertSqlSafe, Decode, Encode, Executor, FromRow, IntoArguments, Pool, Type};

#[derive(Debug, FromRow)]
struct Row {
    id: i64,
    phone: Encrypted<String>,
    phone_index: Option<String>,
    email: EncryptedBytes<String>,
    points: Option<Encrypted<u32>>,
}

/// Writes a row with one library of ciphers, reads it back, and looks at what is stored.
macro_rules! a_row_comes_back {
    ($pool:expr, $any:literal) => {{
        let (pool, cipher) = ($pool, cipher());
        let mut row = cipher.value_encryptor();
        let phone: Encrypted<String> = row.encrypt_column("phone", PHONE).unwrap();
        let email: EncryptedBytes<String> = row.encrypt_column("email", "a@example.sg").unwrap();
        let points: Option<Encrypted<u32>> = Some(row.encrypt_column("points", &1842_u32).unwrap());
        let insert = "INSERT INTO customers (id, phone, phone_index, email, points) VALUES ($1, $2, $3, $4, $5)";
        for (id, points) in [(7_i64, points), (8, None)] {
            let index = if id == 7 { cipher.blind_index("phone", PHONE).unwrap() } else { None };
            let query = sqlx::query(insert).bind(id).bind(&phone).bind(index).bind(&email).bind(points);
            query.execute(&pool).await.unwrap();
        }

        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM customers ORDER BY id").fetch_all(&pool).await.unwrap();
        let mut row = cipher.value_decryptor();
        assert_eq!((rows[0].id, row.decrypt_column("phone", &rows[0].phone).unwrap()), (7, PHONE.to_owned()));
        assert_eq!(row.decrypt_column("email", &rows[0].email).unwrap(), "a@example.sg");
        assert_eq!(row.decrypt_column("points", rows[0].points.as_ref().unwrap()).unwrap(), 1842);
        assert_eq!((rows[1].points.as_ref(), rows[1].phone_index.as_ref()), (None, None));
        assert!(!format!("{rows:?}").contains("fs1."));

        let lookup = cipher.lookup("phone", PHONE).unwrap();
        let found: Vec<Row> = sqlx::query_as(concat!("SELECT * FROM customers WHERE phone_index = ", $any))
            .bind(lookup.terms()[0].clone())
            .fetch_all(&pool)
            .await
            .unwrap();
        assert_eq!((found.len(), found[0].id), (1, 7));

        // What the database holds, and what the layer makes of it.
        let stored: (String, Vec<u8>) =
            sqlx::query_as("SELECT phone, email FROM customers WHERE id = 7").fetch_one(&pool).await.unwrap();
        assert!(stored.0.starts_with("fs1.") && stored.0.len() == 112 && stored.1[0] == 1, "{}", stored.0);
        let opened = cipher.decrypt_json(format!(r#"{{"phone":"{}"}}"#, stored.0).as_bytes()).unwrap();
        assert_eq!(opened, format!(r#"{{"phone":"{PHONE}"}}"#).into_bytes());

        // What the layer stores, a column opens, whichever form it is declared as.
        let document = cipher.encrypt_json(br#"{"phone":"81234567"}"#).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
        let token = document["phone"].as_str().unwrap();
        let insert = "INSERT INTO customers (id, phone, email) VALUES (9, $1, $2)";
        sqlx::query(insert).bind(token).bind(token.as_bytes()).execute(&pool).await.unwrap();
        let (text, bytes): (EncryptedBytes<String>, Encrypted<String>) =
            sqlx::query_as("SELECT phone, email FROM customers WHERE id = 9").fetch_one(&pool).await.unwrap();
        assert_eq!(cipher.decrypt_column("phone", &text).unwrap(), "81234567");
        assert_eq!(cipher.decrypt_column("phone", &bytes).unwrap(), "81234567");
        assert!(cipher.decrypt_column("email", &bytes).is_err(), "it is bound to its field");

        // Plaintext is no column of tokens, and is not repeated.
        let insert = "INSERT INTO customers (id, phone, email) VALUES (10, $1, $2)";
        sqlx::query(insert).bind("canary").bind(&b"canary"[..]).execute(&pool).await.unwrap();
        for column in ["phone", "email"] {
            let select = || AssertSqlSafe(format!("SELECT {column} FROM customers WHERE id = 10"));
            let error = sqlx::query_scalar::<_, Encrypted<String>>(select()).fetch_one(&pool).await.unwrap_err();
            let message = format!("{error} {error:?}");
            assert!(message.contains("no token") && !message.contains("canary"), "{message}");
            assert!(sqlx::query_scalar::<_, EncryptedBytes<String>>(select()).fetch_one(&pool).await.is_err());
        }
        let null = "SELECT points FROM customers WHERE id = 8";
        assert!(sqlx::query_scalar::<_, Encrypted<u32>>(null).fetch_one(&pool).await.is_err());
    }};
}

#[tokio::test]
async fn a_row_of_sqlite_comes_back() {
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    sqlx::raw_sql(SQLITE_TABLE).execute(&pool).await.unwrap();
    a_row_comes_back!(pool, "$1");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_row_of_postgresql_comes_back() {
    let (server, name, address) = postgres();
    let pool = sqlx::PgPool::connect(&server).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&pool).await.unwrap();
    let pool = sqlx::PgPool::connect(&address).await.unwrap();
    sqlx::raw_sql(POSTGRES_TABLE).execute(&pool).await.unwrap();
    a_row_comes_back!(pool, "ANY(ARRAY[$1])");
}

/// The types fit whatever database knows text and bytes.
#[allow(dead_code, reason = "that it compiles is what it shows")]
async fn of_any_database<DB>(pool: &Pool<DB>, phone: Encrypted<String>) -> Result<(), sqlx::Error>
where
    DB: sqlx::Database,
    for<'q> String: Type<DB> + Encode<'q, DB> + Decode<'q, DB>,
    for<'q> Vec<u8>: Type<DB> + Decode<'q, DB>,
    for<'c> &'c Pool<DB>: Executor<'c, Database = DB>,
    DB::Arguments: IntoArguments<DB>,
{
    sqlx::query("INSERT INTO customers (phone) VALUES (?)").bind(phone).execute(pool).await?;
    Ok(())
}
