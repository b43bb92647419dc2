//! Proves that the layer lets no untagged value that looks personal through to the service where the policy is strict,
//! in no kind of body and in no query, and that its answer says where such a value stands and not what it is.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use fieldseal::audit::AuditKind;
use fieldseal::policy::Strict;
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use support::{Ledger, Recorder, Server, keys};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=AaB03x";

fn cipher(strict: Strict) -> FieldCipher {
    let phone = Field::new("phone", Tag::Phone);
    FieldCipher::new(Policy::builder("customers").field(phone).strict(strict).build().unwrap(), keys(7))
}

fn layer(strict: Strict) -> FieldEncryptionLayer {
    FieldEncryptionLayer::new(cipher(strict)).unwrap().file_part("photo").unwrap()
}

fn part(head: &str, text: &str) -> String {
    format!("--AaB03x\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n")
}

fn multipart(parts: &[String]) -> String {
    format!("{}--AaB03x--\r\n", parts.concat())
}

fn photo() -> String {
    part("name=\"photo\"; filename=\"a.png\"\r\nContent-Type: image/png", "weiming.tan@example.sg")
}

#[tokio::test]
async fn no_body_of_any_kind_and_no_query_holds_one() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(Strict::refuse().except("$.hotline")), &recorder).await;
    let long = format!(r#"{{"list":[{}"#, r#"{"phone":"1","a":"rings twice"},"#.repeat(5000));
    let number = r#"{"6591234567":{"mail":"weiming.tan@example.sg"}}"#;
    for (media_type, target, body, path, pointer) in [
        (JSON, "/", r#"{"mail":"weiming.tan@example.sg"}"#.to_owned(), "$.mail", "#/mail"),
        (JSON, "/", format!(r#"{long}{{"a":"call me at +65 9123 4567"}}]}}"#), "$.list[5000].a", "#/list/5000/a"),
        (JSON, "/", r#"{"weiming.tan@example.sg":1}"#.to_owned(), "$.*", ""),
        (JSON, "/", number.replace("65", "a65"), "$.*.mail", ""),
        ("application/vnd.api+json", "/", "[4111111111111111]".to_owned(), "$[0]", "#/0"),
        ("application/x-ndjson", "/", "{}\n{\"mail\":\"weiming.tan@example.sg\"}\n".to_owned(), "$.mail", ""),
        ("application/merge-patch+json", "/", r#"{"mail":"weiming.tan@example.sg"}"#.to_owned(), "$.mail", "#/mail"),
        (
            "application/json-patch+json",
            "/",
            r#"[{"op":"add","path":"/mail","value":"weiming.tan@example.sg"}]"#.to_owned(),
            "$.mail",
            "",
        ),
        (FORM, "/", "phone=1&mail=weiming.tan%40example.sg".to_owned(), "$.mail", ""),
        (FORM, "/", "phone=1&note=call+me+at+%2B65+9123+4567".to_owned(), "$.note", ""),
        (FORM, "/", "weiming.tan%40example.sg=1".to_owned(), "$.*", ""),
        (MULTIPART, "/", multipart(&[part("name=\"mail\"", "weiming.tan@example.sg")]), "$.mail", ""),
        (MULTIPART, "/", multipart(&[photo(), part("name=\"card\"", "4111 1111 1111 1111")]), "$.card", ""),
        (JSON, "/?q=weiming.tan%40example.sg", "{}".to_owned(), "$.q", ""),
        (JSON, "/?page=1&q=%2B6591234567", "{}".to_owned(), "$.q", ""),
    ] {
        let request = server.request("POST", target).header("content-type", media_type).body(body.into()).unwrap();
        let reply = server.send(request).await;
        let detail = reply.refusal(422, "unprotected");
        assert!(detail.starts_with(&format!("`{path}` holds what looks like")), "{media_type} {target}: {detail}");
        assert_eq!(reply.problem().pointer.unwrap_or_default(), pointer, "{media_type} {target}");
        for value in ["9123", "4567", "weiming", "4111"] {
            assert!(!reply.text().contains(value), "{}", reply.text());
        }
    }
    // Of the long one, which flows, the service has seen the beginning, and no end.
    let received = recorder.received();
    assert!(matches!(&received[..], [long] if long.body.is_err()), "{}", received.len());
}

#[tokio::test]
async fn what_is_tagged_or_excepted_passes_in_every_kind_of_body() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(Strict::refuse().except("$.hotline")), &recorder).await;
    for (media_type, target, body) in [
        (JSON, "/", r#"{"phone":"+65 9123 4567","hotline":"+65 6123 4567","note":"rings twice"}"#.to_owned()),
        (FORM, "/", "phone=%2B65+9123+4567&hotline=%2B6561234567".to_owned()),
        (MULTIPART, "/", multipart(&[part("name=\"hotline\"", "+65 6123 4567"), photo()])),
        (MULTIPART, "/", multipart(&[photo(), part("name=\"hotline\"", "+65 6123 4567")])),
        (JSON, "/?hotline=%2B6561234567&id=550e8400-e29b-41d4-a716-446655440000", "{}".to_owned()),
    ] {
        let request = server.request("POST", target).header("content-type", media_type).body(body.into()).unwrap();
        assert_eq!(server.send(request).await.status, 200, "{media_type} {target}");
    }
}

#[tokio::test]
async fn a_report_tells_the_audit_and_changes_nothing() {
    let (recorder, ledger) = (Recorder::echoing(), Ledger::default());
    let cipher = cipher(Strict::report()).with_audit(ledger.clone());
    let server = Server::axum(FieldEncryptionLayer::new(cipher).unwrap(), &recorder).await;
    let body = r#"{"mails":["weiming.tan@example.sg","weiming.tan@example.sg"]}"#;
    assert_eq!(server.post(JSON, body).await.text(), body);
    assert_eq!(recorder.only().bytes(), body.as_bytes());
    let kinds: Vec<_> = ledger.events().iter().map(|event| event.0).collect();
    assert_eq!((kinds, ledger.counts()), (vec![AuditKind::UntaggedPersonal], vec![2]));
}
