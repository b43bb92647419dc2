//! Proves that the example `support_desk` does what a desk needs with what nobody can read in its database.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/support_desk/desk.rs"]
mod desk;
mod support;

use axum::body::Body;
use desk::{Record, desk};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use rusqlite::Connection;
use support::{JSON, Reply, Server, keys};

async fn get(server: &Server, who: &str, target: &str) -> Reply {
    let request = server.request("GET", target).header(AUTHORIZATION, format!("Bearer {who}"));
    server.send(request.body(Body::empty()).unwrap()).await
}

async fn post(server: &Server, body: &str) -> Reply {
    let request = server.request("POST", "/customers").header(AUTHORIZATION, "Bearer agent").header(CONTENT_TYPE, JSON);
    server.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn a_customer_is_found_masked_and_revealed_and_that_is_on_record() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("customers.db");
    let database = Connection::open(&path).unwrap();
    database.execute_batch("CREATE TABLE customers (id INTEGER PRIMARY KEY, name, phone, phone_index)").unwrap();
    let record = Record::default();
    let server = Server::router(desk(database, keys(1), keys(2), record.clone()).unwrap()).await;

    for body in [r#"{"name":"Tan Wei Ming","phone":"+65 9123 4567"}"#, r#"{"name":"李小龍","phone":"8123 4567"}"#] {
        assert_eq!(post(&server, body).await.status, 201);
    }
    let found = get(&server, "agent", "/customers?phone=9123-4567").await;
    assert_eq!(found.text(), r#"[{"id":1,"name":"T••• W••• M•••","phone":"+65 •••• 4567"}]"#);
    assert_eq!(record.lines(), Vec::<String>::new());
    let found = get(&server, "supervisor", "/customers?phone=%2B6581234567").await;
    assert_eq!(found.text(), r#"[{"id":2,"name":"李小龍","phone":"8123 4567"}]"#);
    let on_record = ["name", "phone"].map(|field| format!("revealed siti@example.sg: 1 values of customers.{field}"));
    assert_eq!(record.lines(), on_record);

    for (body, said) in [
        (r#"{"name":"Tan","phone":"none"}"#, "phone"),
        (r#"{"phone":"91234567"}"#, "`name` is missing"),
        (r#"{"name":"T••• W••• M•••","phone":"91234567"}"#, "masked"),
        (r#"{"name":"Tan","phone":"91234567","phone_index":"fi1.x"}"#, "phone_index"),
    ] {
        let reply = post(&server, body).await;
        assert_eq!(reply.status, 422);
        assert!(reply.text().contains(said), "{}", reply.text());
    }
    assert_eq!(get(&server, "agent", "/customers?name=Tan").await.status, 422);
    assert_eq!(get(&server, "nobody", "/customers/1").await.status, 401);

    let stolen = std::fs::read(&path).unwrap();
    for plain in ["Tan Wei", "9123", "8123 4567", "李小龍"] {
        assert!(!stolen.windows(plain.len()).any(|part| part == plain.as_bytes()), "{plain}");
    }
}
