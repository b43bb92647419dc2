//! Proves that the example `axum_postgres` is an ordinary service and the same with five lines more, that clients cannot
//! tell the two apart, and that a thief of the database can.
#![cfg(all(feature = "layer", feature = "postgres"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/axum_postgres/after.rs"]
mod after;
#[path = "../examples/axum_postgres/before.rs"]
mod before;
mod support;

use std::env;

use axum::body::Body;
use fieldseal::keys::{Keyring, KeyringFile, LocalKek};
use fieldseal::{FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::header::CONTENT_TYPE;
use sqlx::{AssertSqlSafe, PgPool};
use support::{JSON, Reply, Server, keys};

const BEFORE: &str = include_str!("../examples/axum_postgres/before.rs");
const AFTER: &str = include_str!("../examples/axum_postgres/after.rs");
const GUIDE: &str = include_str!("../src/docs/service.md");

const TAN: &str = r#"{"name":"Tan Wei Ming","phone":"+65 9123 4567","email":"tan.wei@example.sg","tier":"gold"}"#;
const MOVED: &str = r#"{"name":"Tan Wei Ming","phone":"+65 9876 5432","email":"wei.ming@example.sg","tier":"basic"}"#;
const LEE: &str = r#"{"name":"李小龍","phone":"8123 4567","email":"lee@example.sg","tier":"basic"}"#;
const NG: &str = r#"{"name":"Ng \"Ah\" Ling","phone":"6123 4567","tier":"gold"}"#;
const NO_TIER: &str = r#"{"name":"Tan Wei Ming","phone":"+65 9123 4567","tier":"platinum"}"#;

/// What is sent to either version, one after the other, and the status of the answer.
const REQUESTS: [(&str, &str, &str, u16); 18] = [
    ("POST", "/customers", TAN, 201),
    ("POST", "/customers", LEE, 201),
    ("POST", "/customers", NG, 201),
    ("GET", "/customers/1", "", 200),
    ("GET", "/customers", "", 200),
    ("GET", "/customers?limit=2", "", 200),
    ("GET", "/customers?limit=2&after=2", "", 200),
    ("GET", "/customers?limit=2&after=3", "", 200),
    ("PUT", "/customers/1", MOVED, 200),
    ("GET", "/customers/1", "", 200),
    ("PUT", "/customers/7", MOVED, 404),
    ("GET", "/customers/7", "", 404),
    ("POST", "/customers", NO_TIER, 422),
    ("PUT", "/customers/1", NO_TIER, 422),
    ("GET", "/customers?limit=many", "", 400),
    ("DELETE", "/customers/2", "", 204),
    ("DELETE", "/customers/2", "", 404),
    ("GET", "/customers", "", 200),
];

#[derive(Debug, PartialEq)]
enum Change<'t> {
    Kept(&'t str),
    Added(&'t str),
    Removed(&'t str),
}

#[test]
#[expect(clippy::print_stdout, reason = "the diff is what it shows")]
fn five_lines_are_added_and_none_is_touched() {
    let changes = diff(BEFORE, AFTER);
    println!("--- examples/axum_postgres/before.rs\n+++ examples/axum_postgres/after.rs");
    for (place, change) in changes.iter().enumerate() {
        let around = &changes[place.saturating_sub(1)..changes.len().min(place + 2)];
        match change {
            Change::Added(line) => println!("+{line}"),
            Change::Removed(line) => println!("-{line}"),
            Change::Kept(line) if around.iter().any(|change| !matches!(change, Change::Kept(_))) => println!(" {line}"),
            Change::Kept(_) => {}
        }
    }
    assert!(!changes.iter().any(|change| matches!(change, Change::Removed(_))), "a line is gone or another");
    let added = changes.iter().filter_map(|change| if let Change::Added(line) = change { Some(*line) } else { None });
    let added: Vec<&str> = added.filter(|line| !line.trim().is_empty()).collect();
    assert!((1..=5).contains(&added.len()));
    assert!(added.iter().all(|line| GUIDE.contains(&format!("\n+{line}\n"))), "the guide shows another diff");
}

/// The least change that makes `old` of `new`, line by line: what both have is their longest common subsequence.
fn diff<'t>(old: &'t str, new: &'t str) -> Vec<Change<'t>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    // How long that of the lines from each place on is.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for at in (0..old.len()).rev() {
        for to in (0..new.len()).rev() {
            let longest = common[at + 1][to].max(common[at][to + 1]);
            common[at][to] = if old[at] == new[to] { common[at + 1][to + 1] + 1 } else { longest };
        }
    }
    let (mut at, mut to, mut changes) = (0, 0, Vec::new());
    while at < old.len() || to < new.len() {
        if at < old.len() && to < new.len() && old[at] == new[to] {
            changes.push(Change::Kept(old[at]));
            (at, to) = (at + 1, to + 1);
        } else if to < new.len() && (at == old.len() || common[at][to + 1] >= common[at + 1][to]) {
            changes.push(Change::Added(new[to]));
            to += 1;
        } else {
            changes.push(Change::Removed(old[at]));
            at += 1;
        }
    }
    changes
}

#[test]
fn a_line_that_is_gone_or_another_shows_in_the_diff() {
    let changes = diff("a\nb\nc\n", "a\nx\nc\nd\n");
    assert_eq!(
        changes,
        [Change::Kept("a"), Change::Added("x"), Change::Removed("b"), Change::Kept("c"), Change::Added("d")]
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn clients_cannot_tell_the_versions_apart_and_a_thief_can() {
    let (old, new) = (database("before").await, database("after").await);
    let before = Server::router(before::app(old.clone()).await.unwrap()).await;
    let directory = tempfile::tempdir().unwrap();
    env::set_current_dir(directory.path()).unwrap();
    let kek = LocalKek::create_file("kek").unwrap();
    Keyring::create("customers", &kek).await.unwrap().save(&KeyringFile::new("keyring.json")).await.unwrap();
    let after = Server::router(after::app(new.clone()).await.unwrap()).await;

    for (method, path, body, status) in REQUESTS {
        let (expected, found) = (send(&before, method, path, body).await, send(&after, method, path, body).await);
        assert_eq!(found.status, status, "{method} {path}: {}", found.text());
        let seen = |reply: &Reply| (reply.status, reply.headers.get(CONTENT_TYPE).cloned(), reply.body.clone());
        assert_eq!(seen(&found), seen(&expected), "{method} {path}");
    }
    let page = send(&after, "GET", "/customers?after=1", "").await;
    let ng = r#"{"id":3,"name":"Ng \"Ah\" Ling","phone":"6123 4567","email":null,"tier":"gold"}"#;
    assert_eq!(page.text(), format!(r#"{{"total":2,"customers":[{ng}]}}"#));

    // What the thief has: each row with all its columns, as text.
    let rows = "SELECT customers::text FROM customers ORDER BY id";
    let rows = async |pool: &PgPool| sqlx::query_scalar::<_, String>(rows).fetch_all(pool).await.unwrap().join("\n");
    let (plain, stolen) = (rows(&old).await, rows(&new).await);
    for value in ["Tan Wei", "Wei Ming", "+65 9876 5432", "wei.ming@", "example.sg", "Ng ", " Ling", "6123 4567"] {
        assert!(plain.contains(value), "{value}: {plain}");
        assert!(!stolen.contains(value), "{value}: {stolen}");
    }
    let cells = "SELECT name, phone, email FROM customers ORDER BY id";
    let cells: Vec<(String, String, Option<String>)> = sqlx::query_as(cells).fetch_all(&new).await.unwrap();
    let lengths = |(name, phone, email): &(String, String, Option<String>)| {
        let cells = [Some(name), Some(phone), email.as_ref()];
        assert!(cells.iter().flatten().all(|cell| cell.starts_with("fs1.")), "{cells:?}");
        cells.map(|cell| cell.map(String::len))
    };
    let lengths: Vec<_> = cells.iter().map(lengths).collect();
    assert_eq!(lengths, [[Some(112), Some(112), Some(155)], [Some(112), Some(112), None]]);

    // What the layer refuses by itself, before a handler is called.
    send(&after, "POST", "/customers", &TAN[..30]).await.refusal(400, "malformed");
    send(&after, "POST", "/customers", &TAN.replace("Tan Wei Ming", &cells[0].0)).await.refusal(422, "token_submitted");
    assert_eq!(rows(&new).await, stolen);
}

/// What a table brings along that was made for values. No token is cut short.
#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_short_column_or_a_check_of_values_fails_loudly_and_a_unique_constraint_silently() {
    for (name, alter, plain, behind_the_layer) in [
        ("short", "ALTER phone TYPE VARCHAR(20)", [201, 201], [500, 500]),
        ("check", "ADD CHECK (phone ~ '^[+0-9 ]+$')", [201, 201], [500, 500]),
        ("unique", "ADD UNIQUE (phone)", [201, 500], [201, 201]),
    ] {
        for (has_layer, expected) in [(false, plain), (true, behind_the_layer)] {
            let pool = database(&format!("{name}_{has_layer}")).await;
            let mut app = before::app(pool.clone()).await.unwrap();
            if has_layer {
                let policy = Policy::new("customers", [("phone", Tag::Phone)]).unwrap();
                app = app.layer(FieldEncryptionLayer::new(FieldCipher::new(policy, keys(7))).unwrap());
            }
            sqlx::raw_sql(AssertSqlSafe(format!("ALTER TABLE customers {alter}"))).execute(&pool).await.unwrap();
            let server = Server::router(app).await;
            for status in expected {
                assert_eq!(send(&server, "POST", "/customers", TAN).await.status, status, "{alter}, {has_layer}");
            }
            let count: i64 = sqlx::query_scalar("SELECT count(*) FROM customers").fetch_one(&pool).await.unwrap();
            assert_eq!(usize::try_from(count), Ok(expected.iter().filter(|status| **status == 201).count()));
        }
    }
}

async fn send(server: &Server, method: &str, path: &str, body: &str) -> Reply {
    let mut request = server.request(method, path);
    if !body.is_empty() {
        request = request.header(CONTENT_TYPE, JSON);
    }
    server.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

/// A database of its own.
async fn database(name: &str) -> PgPool {
    let server = env::var("FIELDSEAL_TEST_POSTGRES").expect("the address of a PostgreSQL server");
    let name = format!("axum_{name}_{}", std::process::id());
    let pool = PgPool::connect(&server).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&pool).await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    PgPool::connect(&format!("{base}/{name}")).await.unwrap()
}
