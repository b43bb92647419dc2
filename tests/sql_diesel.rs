//! Proves the same of diesel's columns.
#![cfg(feature = "diesel")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(missing_docs, reason = "as diesel's own generator writes tables")]

#[path = "support/columns.rs"]
mod columns;

use columns::{PHONE, POSTGRES_TABLE, SQLITE_TABLE, cipher, postgres};
use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection as _;
use fieldseal::sql::{Encrypted, EncryptedBytes};

diesel::table! {
    customers (id) {
        id -> BigInt,
        phone -> Text,
        phone_index -> Nullable<Text>,
        email -> Binary,
        points -> Nullable<Text>,
    }
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = customers)]
struct Row {
    id: i64,
    phone: Encrypted<String>,
    phone_index: Option<String>,
    email: EncryptedBytes<String>,
    points: Option<Encrypted<u32>>,
}

fn row(id: i64, points: Option<u32>) -> Row {
    let cipher = cipher();
    let mut row = cipher.value_encryptor();
    Row {
        id,
        phone: row.encrypt_column("phone", PHONE).unwrap(),
        phone_index: cipher.blind_index("phone", &format!("{PHONE}{id}")).unwrap(),
        email: row.encrypt_column("email", "a@example.sg").unwrap(),
        points: points.map(|points| row.encrypt_column("points", &points).unwrap()),
    }
}

#[track_caller]
fn check(rows: &[Row], found: &[Row]) {
    let cipher = cipher();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [7, 8]);
    assert_eq!(cipher.decrypt_column("phone", &rows[0].phone).unwrap(), PHONE);
    assert_eq!(cipher.decrypt_column("email", &rows[1].email).unwrap(), "a@example.sg");
    let points: Vec<_> = rows.iter().map(|row| row.points.as_ref()).collect();
    assert_eq!((cipher.decrypt_column("points", points[0].unwrap()).unwrap(), points[1]), (1842, None));
    assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), [7]);
    assert!(!format!("{rows:?}").contains("fs1."));
}

fn terms() -> Vec<String> {
    cipher().lookup("phone", &format!("{PHONE}7")).unwrap().terms().to_vec()
}

#[test]
fn a_row_of_sqlite_comes_back() {
    let mut connection = SqliteConnection::establish(":memory:").unwrap();
    diesel::sql_query(SQLITE_TABLE).execute(&mut connection).unwrap();
    for row in [row(7, Some(1842)), row(8, None)] {
        diesel::insert_into(customers::table).values(&row).execute(&mut connection).unwrap();
    }
    let rows = customers::table.order(customers::id).select(Row::as_select()).load(&mut connection).unwrap();
    let found = customers::table.filter(customers::phone_index.eq_any(terms())).load::<Row>(&mut connection).unwrap();
    check(&rows, &found);

    let phone: Encrypted<String> = cipher().encrypt_column("phone", "81234567").unwrap();
    let changed = diesel::update(customers::table.find(8)).set(customers::phone.eq(&phone));
    assert_eq!(changed.execute(&mut connection).unwrap(), 1);
    let stored: String = customers::table.find(8).select(customers::phone).first(&mut connection).unwrap();
    assert_eq!((stored.as_bytes(), stored.len()), (phone.as_bytes(), 112));

    diesel::sql_query("UPDATE customers SET phone = 'canary', email = x'63616e617279'")
        .execute(&mut connection)
        .unwrap();
    let error = customers::table.load::<Row>(&mut connection).unwrap_err();
    let message = format!("{error} {error:?}");
    assert!(message.contains("no token") && !message.contains("canary"), "{message}");
    let email = customers::table.select(customers::email).first::<EncryptedBytes<String>>(&mut connection);
    assert!(email.is_err());
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_row_of_postgresql_comes_back() {
    use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl};

    let (server, name, address) = postgres();
    let mut connection = AsyncPgConnection::establish(&server).await.unwrap();
    connection.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let mut connection = AsyncPgConnection::establish(&address).await.unwrap();
    connection.batch_execute(POSTGRES_TABLE).await.unwrap();
    for row in [row(7, Some(1842)), row(8, None)] {
        let insert = diesel::insert_into(customers::table).values(&row);
        RunQueryDsl::execute(insert, &mut connection).await.unwrap();
    }
    let all = customers::table.order(customers::id).select(Row::as_select());
    let rows = RunQueryDsl::load(all, &mut connection).await.unwrap();
    let asked = customers::table.filter(customers::phone_index.eq_any(terms())).select(Row::as_select());
    let found = RunQueryDsl::load(asked, &mut connection).await.unwrap();
    check(&rows, &found);
    connection.batch_execute("UPDATE customers SET phone = 'canary'").await.unwrap();
    let all = customers::table.select(Row::as_select());
    let error = RunQueryDsl::load::<Row>(all, &mut connection).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
}
