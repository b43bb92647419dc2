//! Proves that forms, in both of their media types, reach the service with tagged fields encrypted and everything else as
//! it was sent, and that no way of writing one lets a value through.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Form, Multipart};
use axum::routing::post;
use axum::{Json, Router};
use fieldseal::layer::FieldBody;
use fieldseal::policy::{BlindIndex, CompoundIndex, Normalizer, RecordBinding, Reveal, Shown, Validation};
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;
use proptest::prelude::*;
use proptest::{collection, sample};
use serde::{Deserialize, Serialize};
use support::{Frames, Recorder, Server, keys, masked, token};
use tower::{Layer, ServiceExt};

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=AaB03x";

fn cipher() -> FieldCipher {
    let exact = || BlindIndex::new(Normalizer::exact());
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone).blind_index(exact()))
        .field(Field::new("other_phones", Tag::Phone).path("$.other_phones[:]"))
        .field(Field::new("postcode", Tag::Text))
        .field(Field::new("birth_year", Tag::Text))
        .field(Field::new("street", Tag::Address).path("$.home.street"))
        .compound_index(
            CompoundIndex::new("area").part("postcode", Normalizer::exact()).part("birth_year", Normalizer::exact()),
        )
        .build()
        .unwrap();
    FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap()
}

fn layer() -> FieldEncryptionLayer {
    FieldEncryptionLayer::new(cipher()).unwrap().file_part("photo").unwrap()
}

fn index(value: &str) -> String {
    cipher().lookup("phone", value).unwrap().terms()[0].clone()
}

/// What the service sees of a body, whole and piece by piece, or the refusal's status, code and detail.
async fn seen_through(
    layer: FieldEncryptionLayer,
    method: &str,
    media_type: &str,
    body: &str,
) -> Result<String, (u16, String, String)> {
    let mut all = Vec::new();
    for lengths in [&[usize::MAX][..], &[1], &[7, 2]] {
        let recorder = Recorder::new(|_| http::Response::new(Body::empty()));
        let server = Server::hyper(layer.clone(), &recorder).await;
        let body = if lengths[0] > body.len() {
            body.to_owned().into()
        } else {
            Frames::cut(body.as_bytes(), lengths).into_body()
        };
        let request = server.request(method, "/customers").header(CONTENT_TYPE, media_type).body(body).unwrap();
        let reply = server.send(request).await;
        all.push(if reply.status == 200 {
            let seen = recorder.only();
            assert_eq!(seen.headers[CONTENT_LENGTH], seen.bytes().len().to_string());
            assert_eq!(seen.headers[CONTENT_TYPE], media_type);
            Ok(masked(seen.bytes()))
        } else {
            assert_eq!(recorder.calls(), 0);
            let problem = reply.problem();
            Err((problem.status, problem.code, problem.detail))
        });
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "it depends on the frames: {all:?}");
    all.remove(0)
}

async fn seen(media_type: &str, body: &str) -> Result<String, (u16, String, String)> {
    seen_through(layer(), "POST", media_type, body).await
}

#[tokio::test]
async fn a_form_is_stored_with_its_tagged_fields_encrypted() {
    let phone = index("+65 9123 4567");
    for (sent, stored) in [
        (
            "name=Tan+Wei+Ming&phone=%2B65%209123%204567&tier=g%6fld&&note=a;b&x",
            format!("name=<112>&phone=<112>&phone_index={phone}&tier=g%6fld&&note=a;b&x"),
        ),
        ("%6eame=%E9%99%88&note=%2b", "%6eame=<112>&note=%2b".to_owned()),
        (
            "other_phones=1&a=1&other_phones=2&other_phones%5B%5D=3",
            "other_phones=<112>&a=1&other_phones=<112>&other_phones%5B%5D=<112>".to_owned(),
        ),
        ("name", "name=<112>".to_owned()),
        ("phone=", "phone=<112>&phone_index=".to_owned()),
        ("a=1", "a=1".to_owned()),
        ("home=x", "home=x".to_owned()),
    ] {
        assert_eq!(seen(FORM, sent).await.as_deref(), Ok(&*stored), "{sent}");
    }
    let area = seen(FORM, "postcode=460001&a=b&birth_year=1980").await.unwrap();
    let area = area.strip_prefix("postcode=<112>&a=b&birth_year=<112>&area=").unwrap();
    let terms = cipher().compound_lookup("area", &[("postcode", "460001"), ("birth_year", "1980")]).unwrap();
    assert_eq!(area, terms[0]);
}

#[tokio::test]
async fn no_spelling_of_a_form_lets_a_value_through() {
    for (sent, status, code, says) in [
        ("customer[phone]=9123", 422, "refused", "`phone`"),
        ("customer.phone=9123", 422, "refused", "`phone`"),
        ("phone[]=9123", 422, "refused", "`phone`"),
        ("Phone=9123", 422, "refused", "`phone`"),
        ("%50hone=9123", 422, "refused", "`phone`"),
        ("home[street]=Bedok", 422, "refused", "`street`"),
        ("street=Bedok", 422, "refused", "add a path"),
        ("phone=9123&phone=9124", 422, "refused", "twice"),
        ("phone_index=AAAA", 422, "refused", "cannot be sent"),
        ("area=AAAA", 422, "refused", "cannot be sent"),
        ("a=1;phone=9123", 422, "refused", "%3B"),
        ("phone=9123;a=1", 422, "refused", "%3B"),
        ("phone=%ff", 400, "malformed", "UTF-8"),
        ("phone=%zz", 400, "malformed", "percent"),
        ("_charset_=utf-16&phone=1", 400, "malformed", "UTF-8"),
        // A service that looks at no media type reads these as documents.
        (r#"{"note":"a=b","phone":"9123"}"#, 415, "unsupported_media_type", "application/json"),
        (" \r\n[\"x=\",{\"ph\\u006fne\":\"9123\"}]", 415, "unsupported_media_type", "application/json"),
        // PHP reads all of these as the last.
        ("other.phones=9123", 422, "refused", "`other_phones`"),
        ("other%20phones[x]=9123", 422, "refused", "`other_phones`"),
        ("other[phones=9123", 422, "refused", "`other_phones`"),
    ] {
        let (own_status, own_code, detail) = seen(FORM, sent).await.unwrap_err();
        assert_eq!((own_status, &*own_code), (status, code), "{sent}: {detail}");
        assert!(detail.contains(says) && !detail.contains("9123") && !detail.contains("Bedok"), "{sent}: {detail}");
    }
    let token = token("phone", "+65 9123 4567");
    for sent in
        [format!("phone={token}"), format!("bio={token}"), format!("{token}=1"), format!("bio=%66s1{}", &token[3..])]
    {
        assert_eq!(seen(FORM, &sent).await.unwrap_err().1, "token_submitted");
    }
    let long = format!("name={}", "9".repeat(64 * 1024));
    let (status, _, detail) = seen_once(FORM, long).await;
    assert!(status == 413 && detail.contains("whole_body_limit"), "{status} {detail}");
}

/// The refusal of a body that is sent in one piece.
async fn seen_once(media_type: &str, body: String) -> (u16, String, String) {
    let server = Server::hyper(layer(), &Recorder::echoing()).await;
    let problem = server.post(media_type, body).await.problem();
    (problem.status, problem.code, problem.detail)
}

fn checking() -> FieldEncryptionLayer {
    let policy = Policy::builder("customers")
        .bind_records(RecordBinding::required("id"))
        .field(Field::new("phone", Tag::Phone).validate(Validation::new().required().max_length(20)))
        .field(Field::new("name", Tag::Name))
        .build()
        .unwrap();
    let layer = FieldEncryptionLayer::new(FieldCipher::new(policy, keys(7))).unwrap();
    layer.reveal(Reveal::all(Shown::Masked)).file_part("photo").unwrap()
}

/// The same fields in both media types.
fn both(fields: &[(&str, &str)]) -> [(&'static str, String); 2] {
    let form: Vec<String> = fields
        .iter()
        .map(|(name, value)| {
            format!("{name}={}", form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>())
        })
        .collect();
    let parts: Vec<String> = fields.iter().map(|(name, value)| part(&format!("name=\"{name}\""), value)).collect();
    [(FORM, form.join("&")), (MULTIPART, parts.concat() + END)]
}

#[tokio::test]
async fn rules_masks_and_records_hold_for_forms_as_for_json() {
    for (method, fields, expected) in [
        ("POST", &[("phone", "+65 9123 4567"), ("id", "7")][..], Ok(())),
        ("POST", &[("phone", "+65 9123 4567")], Err("id")),
        ("POST", &[("id", "7"), ("name", "Tan Wei Ming")], Err("phone")),
        ("PATCH", &[("id", "7"), ("name", "Tan Wei Ming")], Ok(())),
        ("POST", &[("id", "7"), ("phone", "999999999999999999999")], Err("phone")),
        ("POST", &[("id", "7"), ("phone", "+65 •••• 4567")], Err("masked")),
        ("POST", &[("id", "7"), ("id", "8"), ("phone", "1")], Err("twice")),
        // A service makes a 7 of these, and its tokens would be those of another record.
        ("POST", &[("id", "007"), ("phone", "1")], Err("otherwise")),
        ("POST", &[("id", "+7"), ("phone", "1")], Err("otherwise")),
    ] {
        for (media_type, body) in both(fields) {
            match (seen_through(checking(), method, media_type, &body).await, expected) {
                (Ok(_), Ok(())) => {}
                (Err((422, _, detail)), Err(says)) => assert!(detail.contains(says), "{fields:?}: {detail}"),
                (result, _) => panic!("{fields:?}: {result:?}"),
            }
        }
    }
    for sent in ["a;id=8&id=7&phone=1", "id=7;a&phone=1"] {
        let (status, _, detail) = seen_through(checking(), "POST", FORM, sent).await.unwrap_err();
        assert!(status == 422 && detail.contains("%3B"), "{detail}");
    }
    // What is bound to a record opens there, whichever way it came.
    let recorder = Recorder::echoing();
    let server = Server::hyper(checking(), &recorder).await;
    server.post(FORM, "id=7&phone=%2B65+9123+4567").await;
    let stored = String::from_utf8(recorder.only().bytes().to_vec()).unwrap();
    let token = stored.strip_prefix("id=7&phone=").unwrap();
    let policy = checking_cipher();
    assert!(policy.decrypt_json(format!(r#"{{"id":7,"phone":"{token}"}}"#).as_bytes()).is_ok());
    assert!(policy.decrypt_json(format!(r#"{{"id":8,"phone":"{token}"}}"#).as_bytes()).is_err());
}

fn checking_cipher() -> FieldCipher {
    let policy = Policy::builder("customers")
        .bind_records(RecordBinding::required("id"))
        .field(Field::new("phone", Tag::Phone))
        .build()
        .unwrap();
    FieldCipher::new(policy, keys(7))
}

fn part(head: &str, text: &str) -> String {
    format!("--AaB03x\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n")
}

const END: &str = "--AaB03x--\r\n";

#[tokio::test]
async fn parts_of_text_are_encrypted_and_files_pass() {
    let photo = part("name=\"photo\"; filename=\"a.png\"\r\nContent-Type: image/png", "\u{0}\r\n--AaB03\r\n\r\nfs2.x");
    let index = index("+65 9123 4567");
    let sent = [
        &part("name=\"name\"\r\nContent-Type: text/plain; charset=utf-8", "Tan Wei Ming"),
        &part("name=\"tier\"\r\nContent-Length: 4", "gold"),
        &part("name=\"phone\"\r\nContent-Length: 13", "+65 9123 4567"),
        &photo,
        &part("name=\"token\"", "csrf"),
        END,
    ]
    .concat();
    let stored = [
        &part("name=\"name\"\r\nContent-Type: text/plain; charset=utf-8", "<112>"),
        &part("name=\"tier\"\r\nContent-Length: 4", "gold"),
        &part("name=\"phone\"", "<112>"),
        &part("name=\"phone_index\"", &index),
        &photo,
        &part("name=\"token\"", "csrf"),
        END,
    ]
    .concat();
    assert_eq!(seen(MULTIPART, &sent).await.as_deref(), Ok(&*stored));
    let quoted = "Multipart/Form-Data; charset=utf-8; Boundary=\"AaB03x\"";
    assert_eq!(seen(quoted, &sent).await.as_deref(), Ok(&*stored));
    let without_end = sent.strip_suffix("\r\n").unwrap();
    assert_eq!(seen(MULTIPART, without_end).await.as_deref(), Ok(stored.strip_suffix("\r\n").unwrap()));
    assert_eq!(seen(MULTIPART, "--AaB03x--").await.as_deref(), Ok("--AaB03x--"));
}

#[tokio::test]
async fn no_way_of_writing_a_multipart_form_lets_a_value_through() {
    let photo = part("name=\"photo\"; filename=\"a\"", "x");
    let token = token("phone", "+65 9123 4567");
    for (sent, status, code, says) in [
        (photo.clone() + &part("name=\"phone\"", "9123"), 422, "refused", "before its files"),
        (photo.clone() + &part("name=\"other_phones\"", "9123"), 422, "refused", "before its files"),
        (photo.clone() + &part("name=\"a[phone]\"", "9123"), 422, "refused", "`phone`"),
        (photo.clone() + &part("name=\"phone_index\"", "AAAA"), 422, "refused", "before its files"),
        (photo.clone() + &part("name=\"area\"", "AAAA"), 422, "refused", "before its files"),
        (part("name=\"phone\"; filename=\"a\"", "9123"), 422, "refused", "as a file"),
        (part("name=\"phone\"\r\nContent-Type: application/json", "9123"), 422, "refused", "as a file"),
        (part("name=\"doc\"; filename=\"a.csv\"", "9123"), 415, "unsupported_media_type", "file_part"),
        (
            part("name=\"doc\"\r\nContent-Type: application/json", "{\"phone\":\"9123\"}"),
            415,
            "unsupported_media_type",
            "file_part",
        ),
        (part("name=\"%70hone\"", "9123"), 422, "refused", "`phone`"),
        (part("name=\"phone\"", "1") + &part("name=\"phone\"", "2"), 422, "refused", "twice"),
        (part("name=\"phone_index\"", "AAAA"), 422, "refused", "cannot be sent"),
        (part("name=\"photo\"; filename=\"a\"", &format!("x,{token}\n")), 422, "token_submitted", "token"),
        (part("name=\"bio\"", &token), 422, "token_submitted", "token"),
        (part(&format!("name=\"photo\"; filename=\"{token}\""), ""), 422, "token_submitted", "token"),
        (
            part("name=\"phone\"\r\nContent-Transfer-Encoding: base64", "OTEyMw=="),
            400,
            "malformed",
            "Transfer-Encoding",
        ),
        (part("name=\"_charset_\"", "utf-16"), 400, "malformed", "UTF-8"),
        (format!("x\r\n{}", part("name=\"phone\"", "9123")), 400, "malformed", "boundary"),
        (part("name=\"phone\"", "9123").replace("\r\n", "\n"), 400, "malformed", "boundary"),
        (format!("{}{END}x", part("name=\"a\"", "1")), 400, "malformed", "goes on"),
        ("--AaB03x  \r\n".to_owned(), 400, "malformed", "behind a boundary"),
        // Some readers end a part at a boundary behind a line feed alone, or within a line.
        (part("name=\"a\"", &format!("1\n{}", part("name=\"phone\"", "9123"))), 400, "malformed", "line of its own"),
        (part("name=\"a\"", &format!("1{}", part("name=\"phone\"", "9123"))), 400, "malformed", "line of its own"),
        (
            part("name=\"photo\"; filename=\"a\"", &format!("1\n{}", part("name=\"phone\"", "9123"))),
            400,
            "malformed",
            "line of its own",
        ),
        (part("name=\"a\"\r\n--AaB03x: 1", "9123"), 400, "malformed", "line of its own"),
        // axum finds this name.
        (part("filename=\"a; name=phone ;\"; name=\"photo\"", "9123"), 400, "malformed", "Content-Disposition"),
    ] {
        let sent = if sent.contains(END) { sent } else { sent + END };
        let (own_status, own_code, detail) = seen(MULTIPART, &sent).await.unwrap_err();
        assert_eq!((own_status, &*own_code), (status, code), "{sent}: {detail}");
        assert!(detail.contains(says) && !detail.contains("9123") && !detail.contains("fs1."), "{sent}: {detail}");
    }
    let cut = part("name=\"phone\"", "9123");
    assert!(seen(MULTIPART, &cut).await.unwrap_err().2.contains("ends early"));
    for media_type in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=AaB03x; boundary*=utf-8''b",
        "multipart/form-data; a=\"; boundary=AaB03x; b=\"; boundary*0=b",
    ] {
        assert_eq!(seen(media_type, &(cut.clone() + END)).await.unwrap_err().0, 400);
    }
    let (status, _, detail) = seen_once(MULTIPART, part("name=\"bio\"", &"9".repeat(70_000)) + END).await;
    assert!(status == 413 && detail.contains("whole_body_limit"), "{status} {detail}");
}

#[test]
fn a_part_that_is_a_field_or_nothing_cannot_be_a_file() {
    for name in ["phone", "other_phones", "phone_index", "customer[phone]", "Phone", ""] {
        assert!(FieldEncryptionLayer::new(cipher()).unwrap().file_part(name).is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_long_file_flows_behind_the_fields_and_a_fault_in_it_breaks_the_body() {
    let file = "0123456789\r\n--AaB0".repeat(100_000);
    let head = part("name=\"phone\"", "+65 9123 4567");
    for (ending, is_good) in
        [(END.to_owned(), true), (format!("{}{END}", part("name=\"name\"", "Tan Wei Ming")), false)]
    {
        let sent = head.clone() + &part("name=\"photo\"; filename=\"a\"", &file) + &ending;
        let recorder = Recorder::new(|_| http::Response::new(Body::empty()));
        let server = Server::hyper(layer(), &recorder).await;
        let reply = server.post(MULTIPART, Frames::cut(sent.as_bytes(), &[10_000, 3, 65_537]).into_body()).await;
        let seen = recorder.only();
        if is_good {
            let stored = masked(seen.bytes());
            assert!(reply.status == 200 && stored.contains(&file) && stored.ends_with(END) && !stored.contains("9123"));
        } else {
            assert!(seen.body.is_err());
            assert!(reply.refusal(422, "refused").contains("before its files"));
        }
    }
}

/// Reads a multipart form as axum does, behind `layer` or without one: names and values, in order.
async fn read_by_axum(
    layer: Option<FieldEncryptionLayer>,
    body: &str,
    lengths: &[usize],
) -> Result<Vec<(String, String)>, u16> {
    let handler = |mut form: Multipart| async move {
        let mut fields = Vec::new();
        while let Ok(Some(field)) = form.next_field().await {
            let name = field.name().unwrap().to_owned();
            fields.push((name, field.text().await.unwrap()));
        }
        // A handler reads to the end, and the layer may find a fault there.
        serde_json::to_string(&fields).unwrap()
    };
    let router = Router::new().route("/", post(handler));
    let router = layer.into_iter().fold(router, Router::layer);
    let body = Frames::cut(body.as_bytes(), lengths).into_body();
    let request = http::Request::post("/").header(CONTENT_TYPE, MULTIPART).body(body).unwrap();
    let reply = router.oneshot(request).await.unwrap();
    let status = reply.status().as_u16();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    if status == 200 { Ok(serde_json::from_slice(&body).unwrap()) } else { Err(status) }
}

proptest! {
    /// Whatever the parts hold and however they are cut, the handler reads the same parts as without the layer, and tokens
    /// where they are tagged. What is refused is refused.
    #[test]
    fn axum_reads_the_same_parts_behind_the_layer(
        parts in collection::vec(
            (
                sample::select(vec![
                    "name=\"name\"", "name=name", "name=\"note\"", "name=\"\"", "name=note ; filename=\"\"",
                    "name=\"photo\"; filename=\"a; name=phone ;\"", "name=photo;filename=b", "name=\"other_phones\"",
                    "filename=\"; name=phone ;\"; name=\"photo\"", "name=\"phone\"\r\nX: name=x", "name=\"a;b\"\r\nA:",
                ]),
                collection::vec(
                    sample::select(vec!["\r\n", "\n", "\r", "-", "--", "--AaB03", "--AaB03x", "9123", "é", " ", "name="]),
                    0..6,
                ),
            ),
            0..6,
        ),
        lengths in collection::vec(1_usize..60, 1..4),
    ) {
        let body: String = parts.iter().map(|(head, text)| part(head, &text.concat())).collect::<String>() + END;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let behind = runtime.block_on(read_by_axum(Some(layer()), &body, &lengths));
        if let Ok(behind) = behind {
            let bare = runtime.block_on(read_by_axum(None, &body, &lengths)).unwrap();
            let behind: Vec<_> = behind.into_iter().filter(|(name, _)| name != "phone_index").collect();
            prop_assert_eq!(bare.len(), behind.len());
            for ((name, value), (stored_name, stored)) in bare.into_iter().zip(behind) {
                prop_assert_eq!(&name, &stored_name);
                if ["name", "phone", "other_phones"].contains(&&*name) {
                    prop_assert_eq!(cipher().decrypt_value::<String>(&name, stored).unwrap(), value);
                } else {
                    prop_assert_eq!(stored, value);
                }
            }
        }
    }
}

/// How long the layer takes for `body` in frames of `length` bytes.
async fn time_of(media_type: &str, body: &str, length: usize) -> Duration {
    let service = tower::service_fn(|request: http::Request<FieldBody<Body>>| async move {
        request.into_body().collect().await.unwrap();
        Ok::<_, Infallible>(http::Response::new(Body::empty()))
    });
    let body = Frames::cut(body.as_bytes(), &[length]).into_body();
    let request = http::Request::post("/").header(CONTENT_TYPE, media_type).body(body).unwrap();
    let start = Instant::now();
    let reply = layer().whole_body_limit(16 << 20).layer(service).oneshot(request).await.unwrap();
    assert_eq!(reply.status(), 200);
    start.elapsed()
}

#[tokio::test]
async fn no_way_of_cutting_a_form_takes_longer_than_its_length() {
    let parts = part("name=photo; filename=a", "").repeat(40_000) + END;
    let (whole, cut) = (time_of(MULTIPART, &parts, usize::MAX).await, time_of(MULTIPART, &parts, 4096).await);
    assert!(whole < cut * 3, "{whole:?} for one frame, and {cut:?} for many");

    let text = "a".repeat(50_000);
    let file = |text: &str| part("name=photo; filename=a", text) + END;
    let json = |text: &str| format!("{{\"a\":\"{text}\"}}");
    let marked = format!("fs1.{text}");
    for (media_type, marked, other) in
        [(MULTIPART, file(&marked), file(&text)), ("application/json", json(&marked), json(&text))]
    {
        let (marked, other) = (time_of(media_type, &marked, 1).await, time_of(media_type, &other, 1).await);
        assert!(marked < other * 5, "{marked:?} for text that begins like a token, and {other:?} for other text");
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Customer {
    name: String,
    phone: String,
    phone_index: String,
    tier: String,
}

/// Handlers as anybody writes them.
#[tokio::test]
async fn axum_reads_both_kinds_of_form_behind_the_layer() {
    let multipart = |mut form: Multipart| async move {
        let mut fields = serde_json::Map::new();
        let mut length = 0;
        while let Some(field) = form.next_field().await.unwrap() {
            match field.name().unwrap().to_owned() {
                name if name == "photo" => length = field.bytes().await.unwrap().len(),
                name => drop(fields.insert(name, field.text().await.unwrap().into())),
            }
        }
        assert_eq!(length, 100_000);
        Json(serde_json::from_value::<Customer>(fields.into()).unwrap())
    };
    let router = Router::new()
        .route("/form", post(|Form(customer): Form<Customer>| async move { Json(customer) }))
        .route("/multipart", post(multipart));
    let seen = router.clone();
    let server = Server::router(router.layer(layer())).await;
    let client = reqwest::Client::new();
    let fields = [("name", "Tan Wei Ming"), ("phone", "+65 9123 4567"), ("tier", "gold")];
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let reply = client.post(server.uri("/form")).header(CONTENT_TYPE, FORM).body(form.clone()).send().await.unwrap();
    let expected = r#"{"name":"Tan Wei Ming","phone":"+65 9123 4567","tier":"gold"}"#;
    assert_eq!(reply.text().await.unwrap(), expected);

    let (_, body) = &both(&fields)[1];
    let photo = part("name=\"photo\"; filename=\"a.png\"\r\nContent-Type: image/png", &"\u{1}".repeat(100_000));
    let body = body.strip_suffix(END).unwrap().to_owned() + &photo + END;
    let request = client.post(server.uri("/multipart")).header(CONTENT_TYPE, MULTIPART).body(body);
    assert_eq!(request.send().await.unwrap().text().await.unwrap(), expected);

    // Without the layer, the same handler gets the value itself.
    let bare = Server::router(seen).await;
    let reply =
        client.post(bare.uri("/form")).header(CONTENT_TYPE, FORM).body(form + "&phone_index=").send().await.unwrap();
    assert!(reply.text().await.unwrap().contains(r#""phone_index":"""#));
}
