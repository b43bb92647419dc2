//! Proves the same of `SeaORM`'s columns.
#![cfg(feature = "sea-orm")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/columns.rs"]
mod columns;

use columns::{PHONE, POSTGRES_TABLE, SQLITE_TABLE, cipher, postgres};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, ConnectionTrait, Database, IntoActiveModel as _, QueryOrder as _};

#[expect(unreachable_pub, reason = "as SeaORM's own generator writes it")]
mod customers {
    use fieldseal::sql::{Encrypted, EncryptedBytes};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "customers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub phone: Encrypted<String>,
        pub phone_index: Option<String>,
        pub email: EncryptedBytes<String>,
        pub points: Option<Encrypted<u32>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn row(id: i64, points: Option<u32>) -> customers::Model {
    let cipher = cipher();
    let mut row = cipher.value_encryptor();
    customers::Model {
        id,
        phone: row.encrypt_column("phone", PHONE).unwrap(),
        phone_index: cipher.blind_index("phone", &format!("{PHONE}{id}")).unwrap(),
        email: row.encrypt_column("email", "a@example.sg").unwrap(),
        points: points.map(|points| row.encrypt_column("points", &points).unwrap()),
    }
}

async fn a_row_comes_back(database: &DatabaseConnection, table: &str) {
    use customers::{Column, Entity};

    let cipher = cipher();
    database.execute_unprepared(table).await.unwrap();
    for row in [row(7, Some(1842)), row(8, None)] {
        row.into_active_model().insert(database).await.unwrap();
    }
    let rows = Entity::find().order_by_asc(Column::Id).all(database).await.unwrap();
    assert_eq!(cipher.decrypt_column("phone", &rows[0].phone).unwrap(), PHONE);
    assert_eq!(cipher.decrypt_column("email", &rows[1].email).unwrap(), "a@example.sg");
    let points: Vec<_> = rows.iter().map(|row| row.points.as_ref()).collect();
    assert_eq!((cipher.decrypt_column("points", points[0].unwrap()).unwrap(), points[1]), (1842, None));
    assert!(!format!("{rows:?}").contains("fs1."));

    let terms = cipher.lookup("phone", &format!("{PHONE}7")).unwrap();
    let found = Entity::find().filter(Column::PhoneIndex.is_in(terms.terms())).all(database).await.unwrap();
    assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), [7]);

    let phone: fieldseal::sql::Encrypted<String> = cipher.encrypt_column("phone", "81234567").unwrap();
    let mut changed = rows[1].clone().into_active_model();
    changed.phone = Set(phone.clone());
    assert_eq!(changed.update(database).await.unwrap().phone, phone);

    database.execute_unprepared("UPDATE customers SET phone = 'canary'").await.unwrap();
    let error = Entity::find().all(database).await.unwrap_err();
    let message = format!("{error} {error:?}");
    assert!(message.contains("no token") && !message.contains("canary"), "{message}");
}

#[tokio::test]
async fn a_row_of_sqlite_comes_back() {
    let mut options = sea_orm::ConnectOptions::new("sqlite::memory:");
    options.max_connections(1);
    a_row_comes_back(&Database::connect(options).await.unwrap(), SQLITE_TABLE).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_row_of_postgresql_comes_back() {
    let (server, name, address) = postgres();
    let server = Database::connect(server).await.unwrap();
    server.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    a_row_comes_back(&Database::connect(address).await.unwrap(), POSTGRES_TABLE).await;
}
