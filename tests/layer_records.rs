//! Proves that the layer binds values to the records that they are sent for, and that rows which were swapped in the
//! storage never reach a client.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use fieldseal::layer::Opener;
use fieldseal::policy::RecordBinding;
use fieldseal::{ErrorKind, Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::header::CONTENT_TYPE;
use support::{JSON, Recorder, Reply, Server, keys};

const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";

fn cipher() -> FieldCipher {
    let policy = Policy::builder("customers")
        .bind_records(RecordBinding::required("id").path("$").path("$.items[*]"))
        .field(Field::new("phone", Tag::Phone))
        .build()
        .unwrap();
    FieldCipher::new(policy, keys(7))
}

fn layer() -> FieldEncryptionLayer {
    FieldEncryptionLayer::new(cipher()).unwrap().record_path("/customers/{id}").unwrap()
}

fn phone(id: &str, value: &str) -> String {
    cipher().in_record(id).unwrap().encrypt_value("phone", value).unwrap()
}

async fn send(server: &Server, method: &str, path: &str, media_type: &str, body: &str) -> Reply {
    let request = server.request(method, path).header(CONTENT_TYPE, media_type);
    server.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn rows_that_were_swapped_in_the_storage_do_not_open() {
    let list = |first: &str, second: &str| {
        format!(r#"{{"items":[{{"id":7,"phone":"{first}"}},{{"id":8,"phone":"{second}"}}]}}"#)
    };
    let (seven, eight) = (phone("7", "9123"), phone("8", "8123"));
    let server = Server::hyper(layer(), &Recorder::answering(JSON, list(&seven, &eight))).await;
    assert_eq!(server.get("/customers").await.text(), list("9123", "8123"));
    // What a path names is not believed of what comes back.
    assert_eq!(server.get("/customers/9").await.text(), list("9123", "8123"));
    for swapped in [list(&eight, &seven), list(&seven, &seven), format!(r#"{{"phone":"{seven}"}}"#)] {
        let server = Server::hyper(layer(), &Recorder::answering(JSON, swapped)).await;
        let reply = server.get("/customers/7").await;
        assert_eq!(reply.status, 500);
        assert!(!reply.text().contains("9123") && !reply.text().contains("fs1."), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_document_is_bound_to_its_own_id_or_to_that_of_the_path() {
    let patch = r#"[{"op":"replace","path":"/phone","value":"9123"}]"#;
    for (method, path, media_type, body, id) in [
        ("POST", "/customers", JSON, r#"{"id":7,"phone":"9123"}"#, "7"),
        ("PUT", "/customers/7", JSON, r#"{"phone":"9123","id":"7"}"#, "7"),
        ("PUT", "/customers/7", JSON, r#"{"phone":"9123"}"#, "7"),
        ("PATCH", "/customers/%37", MERGE_PATCH, r#"{"phone":"9123"}"#, "7"),
        ("PATCH", "/customers/a%20b", JSON_PATCH, patch, "a b"),
        ("POST", "/customers/7", JSON, r#"{"items":[{"id":8,"phone":"9123"}]}"#, "8"),
    ] {
        let recorder = Recorder::echoing();
        let server = Server::hyper(layer(), &recorder).await;
        send(&server, method, path, media_type, body).await;
        let received = recorder.only();
        let stored = String::from_utf8(received.bytes().to_vec()).unwrap();
        let token = stored.split('"').find(|part| part.starts_with("fs1.")).unwrap();
        let opened = cipher().in_record(id).unwrap().decrypt_value::<String>("phone", token);
        assert_eq!(opened.unwrap(), "9123", "{method} {path} {body}");
    }
}

#[tokio::test]
async fn of_several_parameters_the_one_called_like_the_id_is_the_id() {
    let recorder = Recorder::echoing();
    let layer = FieldEncryptionLayer::new(cipher()).unwrap().record_path("/shops/{shop}/customers/{id}/").unwrap();
    let server = Server::hyper(layer, &recorder).await;
    send(&server, "PATCH", "/shops/8/customers/7", MERGE_PATCH, r#"{"phone":"9123"}"#).await;
    let stored = String::from_utf8(recorder.only().bytes().to_vec()).unwrap();
    let token = stored.split('"').find(|part| part.starts_with("fs1.")).unwrap();
    assert_eq!(cipher().in_record("7").unwrap().decrypt_value::<String>("phone", token).unwrap(), "9123");
}

#[test]
fn a_path_that_could_name_no_record_is_refused_when_the_layer_is_made() {
    for (path, said) in [
        ("/customers/:id", "such as"),
        ("customers/{id}", "begin with a slash"),
        ("/customers", "no segment in braces"),
        ("/customers/{}", "without a name"),
        ("/customers/{*id}", "several segments"),
        ("/customers/{id", "braces"),
        ("/customers/{shop}-{id}", "braces"),
        ("/shops/{shop}/customers/{customer}", "call the one that is the id of the record `{id}`"),
        ("/shops/{id}/customers/{id}", "call the one"),
    ] {
        let error = FieldEncryptionLayer::new(cipher()).unwrap().record_path(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Policy, "{path}");
        assert!(error.to_string().contains(said), "{path}: {error}");
    }
    let error = support::layer().record_path("/customers/{id}").unwrap_err();
    assert!(error.to_string().contains("`bind_records`"), "{error}");
}

#[tokio::test]
async fn what_belongs_to_no_record_or_to_another_is_refused() {
    let patch = r#"[{"op":"replace","path":"/phone","value":"9123"}]"#;
    let within = r#"[{"op":"replace","path":"/items/0/phone","value":"9123"}]"#;
    let long = &format!("/customers/{}", "9".repeat(1025));
    for (method, path, media_type, body, said) in [
        ("POST", "/customers", JSON, r#"{"phone":"9123"}"#, "without an id"),
        ("POST", "/customers", JSON, r#"{"id":7,"id":8,"phone":"9123"}"#, "stands twice"),
        ("PUT", "/customers/7", JSON, r#"{"id":8,"phone":"9123"}"#, "another id"),
        ("PATCH", "/customers", MERGE_PATCH, r#"{"phone":"9123"}"#, "without an id"),
        ("PATCH", "/customers", JSON_PATCH, patch, "without an id"),
        ("PATCH", "/customers/7", JSON_PATCH, within, "without an id"),
        ("POST", "/customers/7", JSON, r#"[{"id":7,"phone":"9123"}]"#, "none of the records"),
        ("PUT", "/customers/%ff", JSON, r#"{"phone":"9123"}"#, "in the path"),
        ("PUT", "/customers/7/", JSON, r#"{"id":8,"phone":"9123"}"#, "another id"),
        ("PATCH", "/customers/007", MERGE_PATCH, r#"{"phone":"9123"}"#, "leading zeros"),
        ("PATCH", "//customers/7", MERGE_PATCH, r#"{"phone":"9123"}"#, "empty segment"),
        ("PATCH", "/x/%2e%2e/customers/7", MERGE_PATCH, r#"{"phone":"9123"}"#, "empty segment"),
        ("PATCH", "/customers/%2B7", MERGE_PATCH, r#"{"phone":"9123"}"#, "leading zeros"),
        ("PATCH", "/customers/7", MERGE_PATCH, r#"{"id":8}"#, "another id"),
        ("POST", "/customers/import", JSON, r#"{"phone":"9123"}"#, "without an id"),
        ("PUT", "/customers/import", "application/x-ndjson", r#"{"phone":"9123"}"#, "without an id"),
        ("PATCH", long, MERGE_PATCH, r#"{"phone":"9123"}"#, "longer than"),
    ] {
        let recorder = Recorder::echoing();
        let server = Server::hyper(layer(), &recorder).await;
        let reply = send(&server, method, path, media_type, body).await;
        let detail = reply.refusal(422, "refused");
        assert!(detail.contains(said) && !detail.contains("9123"), "{method} {path} {body}: {detail}");
        assert_eq!(recorder.calls(), 0);
    }
}

#[tokio::test]
async fn a_handler_opens_values_of_a_record() {
    let (seven, eight) = (phone("7", "9123"), phone("8", "8123"));
    let handler = move |Extension(opener): Extension<Opener>| async move {
        let opener = opener.in_record("7").unwrap();
        let [own, other] = [&seven, &eight].map(|token| opener.open::<String>("phone", token).is_ok());
        format!("{own} {other}")
    };
    let server = Server::router(Router::new().route("/parcels", get(handler)).layer(layer().opener())).await;
    assert_eq!(server.get("/parcels").await.text(), "true false");
}
