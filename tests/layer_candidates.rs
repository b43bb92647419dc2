//! Proves that a lookup by a truncated index shows nobody a record that does not match, whatever the service answers, and
//! touches no byte of what does.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::{Router, routing::any};
use bytes::Bytes;
use fieldseal::audit::{Audit, AuditEvent, AuditKind};
use fieldseal::layer::{ClientError, Tenant};
use fieldseal::policy::{BlindIndex, Normalizer, RecordBinding, Reveal, Shown};
use fieldseal::{ErrorKind, Field, FieldCipher, FieldEncryptionLayer, Policy, Scope, Tag};
use http::Response;
use http::header::CONTENT_TYPE;
use support::{Frames, JSON, Recorder, Reply, Server, keys};
use tower::{Layer, ServiceExt};

fn letters() -> Normalizer {
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    Normalizer::custom("letters", 1, move |text| Some(letters(text))).unwrap()
}

fn cipher() -> FieldCipher {
    let policy = Policy::builder("customers")
        .field(Field::new("remark", Tag::Text).blind_index(BlindIndex::truncated(letters(), 8)))
        .field(Field::new("city", Tag::Text).blind_index(BlindIndex::truncated(letters(), 8)))
        .field(Field::new("phone", Tag::Phone).blind_index(BlindIndex::new(letters())))
        .build()
        .unwrap();
    FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap()
}

fn layer() -> FieldEncryptionLayer {
    checked(FieldEncryptionLayer::new(cipher()).unwrap())
}

fn checked(layer: FieldEncryptionLayer) -> FieldEncryptionLayer {
    let layer = layer.lookup_path("/customers/by-remark/{remark}").unwrap().search_path("/search").unwrap();
    layer.drop_false_matches("$.items[*]").unwrap().drop_false_matches("$.page.rows[*]").unwrap()
}

/// What is asked for, as somebody else spells it.
const WANTED: &str = "GATE-7";
const STORED: &str = "Gate 7";

/// Another value with the same index, which 8 bits give every 256th one.
fn double_of(field: &str, value: &str) -> String {
    let index = |value: &str| cipher().blind_index(field, value).unwrap();
    (0..100_000).map(|n| format!("Gate 7{n}")).find(|other| index(other) == index(value)).unwrap()
}

/// A record as the service stores it, and as a client sees it.
fn record(id: &str, remark: &str) -> (String, String) {
    let plain = format!(r#"{{ "id" :{id} , "remark":"{remark}","price":1.10,"a":[1,{{"b":"],["}}]}}"#);
    (String::from_utf8(cipher().encrypt_json(plain.as_bytes()).unwrap()).unwrap(), plain)
}

/// Documents with the records of `pattern` in the place of `@`: `k` is one that matches, `d` one that does not.
fn documents(around: &str, pattern: &str) -> (String, String) {
    let double = double_of("remark", WANTED);
    let records = pattern.chars().map(|kind| (kind, record("7", if kind == 'k' { STORED } else { &double })));
    let (mut stored, mut shown) = (Vec::new(), Vec::new());
    for (kind, (token, plain)) in records {
        stored.push(format!("\n  {token}"));
        if kind == 'k' {
            shown.push(format!("\n  {plain}"));
        }
    }
    (around.replace('@', &stored.join(",")), around.replace('@', &shown.join(",")))
}

async fn get(layer: FieldEncryptionLayer, recorder: &Recorder, target: &str) -> Reply {
    Server::axum(layer, recorder).await.get(target).await
}

async fn answered(stored: impl Into<Bytes>) -> Reply {
    get(layer(), &Recorder::answering(JSON, stored), "/customers?remark=GATE-7").await
}

const PATTERNS: [&str; 11] = ["", "k", "d", "kk", "dk", "kd", "dd", "dkk", "kdk", "kkd", "dkddkd"];

#[tokio::test]
async fn false_matches_are_dropped_wherever_they_stand() {
    for around in ["[@]", "[@ ]\n", r#"{"total":2,"items":[@],"next" : null}"#, r#"{"page":{"rows":[@]},"items":[ ]}"#]
    {
        for pattern in PATTERNS {
            let (stored, shown) = documents(around, pattern);
            let reply = answered(stored).await;
            assert_eq!((reply.status.as_u16(), reply.text()), (200, &*shown), "{around} {pattern}");
            assert_eq!(reply.headers["content-length"].to_str().unwrap(), shown.len().to_string());
        }
    }
}

#[tokio::test]
async fn a_service_that_filters_by_index_alone_gives_nothing_away() {
    let double = double_of("remark", WANTED);
    let rows: Vec<_> = [STORED, "Gate 9", &double, "gate7"].iter().map(|remark| record("1", remark).0).collect();
    let recorder = Recorder::new(move |received| {
        let index = received.uri.query().unwrap().strip_prefix("remark_index=").unwrap().to_owned();
        let found: Vec<_> = rows.iter().filter(|row| row.contains(&index)).cloned().collect();
        assert_eq!(found.len(), 3, "the index is shared");
        Response::builder().header(CONTENT_TYPE, JSON).body(Body::from(format!("[{}]", found.join(",")))).unwrap()
    });
    let server = Server::hyper(layer(), &recorder).await;
    let shown = format!("[{},{}]", record("1", STORED).1, record("1", "gate7").1);
    assert_eq!(server.get("/customers?remark=gate%207").await.text(), shown);
    assert!(!recorder.only().uri.to_string().contains("gate"));
}

#[tokio::test]
async fn whichever_way_it_is_asked_the_response_is_checked() {
    let (stored, shown) = documents("[@]", "dkd");
    let form = "application/x-www-form-urlencoded";
    for (method, target, media_type, body) in [
        ("GET", "/customers?a=1&remark=GATE-7", JSON, ""),
        ("GET", "/customers/by-remark/gate%207", JSON, ""),
        ("POST", "/search", JSON, r#"{"where":{"remark":"gate 7"}}"#),
        ("POST", "/search", form, "remark=gate+7"),
    ] {
        let recorder = Recorder::answering(JSON, stored.clone());
        let server = Server::hyper(layer(), &recorder).await;
        let request = server.request(method, target).header(CONTENT_TYPE, media_type);
        let body = if body.is_empty() { Body::empty() } else { Frames::cut(body.as_bytes(), &[3, 11]).into_body() };
        assert_eq!(server.send(request.body(body).unwrap()).await.text(), shown, "{target}");
    }
    // What is looked up otherwise is not cut, nor held.
    let all = documents("[@]", "ddd").0;
    for target in ["/customers", "/customers?phone=1"] {
        let reply = get(layer(), &Recorder::answering(JSON, all.clone()), target).await;
        assert_eq!(reply.text().matches("remark").count(), 3, "{target}");
    }
}

#[tokio::test]
async fn one_record_that_does_not_match_is_not_found() {
    let (stored, shown) = record("7", STORED);
    assert_eq!(answered(stored).await.text(), shown);
    let (stored, _) = record("7", &double_of("remark", WANTED));
    let detail = answered(stored).await.refusal(404, "not_found");
    assert!(!detail.contains('7'), "{detail}");
    for nothing in [r#"{"id":7}"#, r#"{"remark":null,"remark_index":null}"#, "{}"] {
        answered(nothing).await.refusal(404, "not_found");
    }
    for nothing in ["null", "[]", "[ ]", r#"{"items":[]}"#] {
        assert_eq!(answered(nothing).await.text(), nothing);
    }
}

#[tokio::test]
async fn a_record_matches_by_any_of_its_values() {
    let double = double_of("remark", WANTED);
    let family = format!(r#"{{"members":[{{"remark":"{double}"}},{{"remark":"{STORED}"}}]}}"#);
    let others = format!(r#"{{"members":[{{"remark":"{double}"}},{{"remark":null}}]}}"#);
    let stored = cipher().encrypt_json(format!("[{others},{family},7,null,\"x\"]").as_bytes()).unwrap();
    assert_eq!(answered(stored).await.text(), format!("[{family}]"));
}

#[tokio::test]
async fn what_cannot_be_checked_is_refused() {
    let (one, both) = (record("7", &double_of("remark", WANTED)).0, documents("[@]", "kd").0);
    for (media_type, stored) in [
        (JSON, format!(r#"{{"data":{both}}}"#)),
        (JSON, format!(r#"{{"items":[],"best":{one}}}"#)),
        (JSON, format!(r#"{{"Items":{both}}}"#)),
        (JSON, format!(r#"{{"page":{{"rows":[]}},"rows":{both}}}"#)),
        (JSON, "3".to_owned()),
        (JSON, "true".to_owned()),
        (JSON, "\"found\"".to_owned()),
        (JSON, both[1..].to_owned()),
        (JSON, format!("[{}]", vec![one.clone(); 500].join(","))),
        ("application/x-ndjson", one.clone()),
        ("text/csv", "7,Gate 70".to_owned()),
    ] {
        let reply = get(layer(), &Recorder::answering(media_type, stored), "/customers?remark=GATE-7").await;
        reply.refusal(502, "service");
    }
    // A list of the length that is held is read.
    let stored = format!("[{}]", vec![one; 500].join(","));
    let reply = get(layer().whole_body_limit(1 << 20), &Recorder::answering(JSON, stored), "/customers?remark=x").await;
    assert_eq!(reply.text(), "[]");
    let moved = cipher().encrypt_value("city", STORED).unwrap();
    answered(format!(r#"[{{"remark":"{moved}"}}]"#)).await.refusal(500, "unreadable");
}

#[tokio::test]
async fn an_error_of_the_service_passes_unless_it_shows_somebody_else() {
    let answer = |status: u16, media_type: &'static str, body: String| {
        Recorder::new(move |_| {
            let response = Response::builder().status(status).header(CONTENT_TYPE, media_type);
            response.body(Body::from(body.clone())).unwrap()
        })
    };
    for (status, media_type, body) in [
        (404, "text/plain", "no such customer"),
        (404, "application/problem+json", r#"{"title":"Not Found"}"#),
        (400, JSON, r#"["page is no number"]"#),
        (500, JSON, "7"),
    ] {
        let reply = get(layer(), &answer(status, media_type, body.to_owned()), "/customers?remark=GATE-7").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (status, body));
    }
    let (stored, _) = documents(r#"{"title":"Conflict","rows":[@]}"#, "kd");
    get(layer(), &answer(409, JSON, stored), "/customers?remark=GATE-7").await.refusal(502, "service");
    let empty = Recorder::new(|_| Response::builder().status(303).header("location", "/").body(Body::empty()).unwrap());
    assert_eq!(get(layer(), &empty, "/customers?remark=GATE-7").await.status, 303);
}

#[tokio::test]
async fn of_several_fields_all_must_match_and_each_is_asked_for_once() {
    let (remark, city) = (double_of("remark", WANTED), double_of("city", "Bedok"));
    let row = |remark: &str, city: &str| format!(r#"{{"remark":"{remark}","city":"{city}"}}"#);
    let rows = [row(STORED, "Bedok"), row(STORED, &city), row(&remark, "Bedok"), row(&remark, &city)];
    let stored = cipher().encrypt_json(format!("[{}]", rows.join(",")).as_bytes()).unwrap();
    let reply = get(layer(), &Recorder::answering(JSON, stored), "/customers?remark=gate7&city=bedok").await;
    assert_eq!(reply.text(), format!("[{}]", rows[0]));

    let recorder = Recorder::answering(JSON, "[]");
    let server = Server::axum(layer(), &recorder).await;
    let twice = server.get("/customers/by-remark/a?remark=b").await.refusal(422, "refused");
    assert!(twice.contains("twice"), "{twice}");
    let search = async |body: String| {
        let request = server.request("POST", "/search").header(CONTENT_TYPE, JSON);
        server.send(request.body(Body::from(body)).unwrap()).await
    };
    search(r#"{"or":[{"remark":"a"},{"remark":"b"}]}"#.to_owned()).await.refusal(422, "refused");
    let long = format!(r#"{{"note":"{}","remark":"b"}}"#, "x".repeat(70_000));
    search(long).await.refusal(413, "too_large");
    assert_eq!(recorder.calls(), 0);
}

/// Sums up events by kind and field.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<Vec<(AuditKind, String, u64)>>>);

impl Audit for Counts {
    fn record(&self, event: &AuditEvent<'_>) {
        self.0.lock().unwrap().push((event.kind, event.field.to_owned(), event.count));
    }
}

#[tokio::test]
async fn what_is_dropped_is_counted_and_never_shown_to_the_audit_as_read() {
    let counts = Counts::default();
    let cipher = cipher().with_audit(counts.clone());
    let layer =
        || checked(FieldEncryptionLayer::new(cipher.clone()).unwrap().reveal(Reveal::all(Shown::Plain).by("siti")));
    let (stored, _) = documents("[@]", "dkddk");
    get(layer(), &Recorder::answering(JSON, stored), "/customers?remark=GATE-7").await;
    let dropped = |count| (AuditKind::FalseMatchDropped, "remark".to_owned(), count);
    let shown = (AuditKind::Revealed, "remark".to_owned(), 2);
    assert_eq!(*counts.0.lock().unwrap(), [dropped(3), shown]);
    counts.0.lock().unwrap().clear();
    let (stored, _) = record("7", &double_of("remark", WANTED));
    get(layer(), &Recorder::answering(JSON, stored), "/customers?remark=GATE-7").await;
    assert_eq!(*counts.0.lock().unwrap(), [dropped(1)]);
}

#[tokio::test]
async fn plaintext_that_is_still_allowed_is_checked_and_counted_once() {
    let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
    let field = Field::new("remark", Tag::Text).blind_index(BlindIndex::truncated(letters(), 8));
    let policy = Policy::builder("customers").field(field.allow_plaintext_until(tomorrow)).build().unwrap();
    let counts = Counts::default();
    let cipher = FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap().with_audit(counts.clone());
    let stored = r#"[{"remark":"gate 7"},{"remark":"gate 8"}]"#;
    let recorder = Recorder::answering(JSON, stored);
    let reply = get(checked(FieldEncryptionLayer::new(cipher).unwrap()), &recorder, "/customers?remark=GATE-7").await;
    assert_eq!(reply.text(), r#"[{"remark":"gate 7"}]"#);
    let kinds = [AuditKind::FalseMatchDropped, AuditKind::PlaintextRead];
    assert_eq!(*counts.0.lock().unwrap(), kinds.map(|kind| (kind, "remark".to_owned(), 1)));
}

#[tokio::test]
async fn who_sees_no_value_is_shown_no_other_record_either() {
    let (stored, _) = documents("[@]", "dkd");
    for shown in [Shown::Masked, Shown::Absent, Shown::Token] {
        let layer = checked(FieldEncryptionLayer::new(cipher()).unwrap().reveal(Reveal::all(shown)));
        let reply = get(layer, &Recorder::answering(JSON, stored.clone()), "/customers?remark=GATE-7").await;
        assert_eq!(reply.text().matches("price").count(), 1, "{shown:?}");
        assert!(!reply.text().contains("Gate"));
    }
}

#[tokio::test]
async fn candidates_are_opened_with_the_keys_of_their_tenant() {
    let own = cipher().with_keys(keys(20)).with_index_keys(keys(21)).unwrap();
    let own = own.in_scope(Scope::new().tenant("acme")).unwrap();
    let stored = own.encrypt_json(br#"[{"remark":"gate 7"},{"remark":"gate 8"}]"#).unwrap();
    let authenticate = |mut request: Request, next: Next| {
        request.extensions_mut().insert(Tenant::new("acme"));
        next.run(request)
    };
    let keys = |_: &Tenant| Some(fieldseal::layer::TenantKeys::from(keys(20)).with_index_keys(keys(21)));
    let recorder = Recorder::answering(JSON, stored);
    let router = Router::new().fallback(any(move |request: Request| recorder.handle(request)));
    let router = router.layer(layer().tenant_keys(keys)).layer(middleware::from_fn(authenticate));
    let reply = Server::router(router).await.get("/customers?remark=GATE-7").await;
    assert_eq!(reply.text(), r#"[{"remark":"gate 7"}]"#);
}

#[tokio::test]
async fn candidates_are_opened_in_their_own_records() {
    let double = double_of("remark", WANTED);
    let field = Field::new("remark", Tag::Text).blind_index(BlindIndex::truncated(letters(), 8));
    let policy = Policy::builder("customers").bind_records(RecordBinding::required("id")).field(field).build().unwrap();
    let cipher = FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap();
    let rows =
        [(1, &*double), (2, STORED), (3, "Gate 8")].map(|(id, remark)| format!(r#"{{"remark":"{remark}","id":{id}}}"#));
    let stored = cipher.encrypt_json(format!("[{}]", rows.join(",")).as_bytes()).unwrap();
    let layer = || checked(FieldEncryptionLayer::new(cipher.clone()).unwrap());
    let reply = get(layer(), &Recorder::answering(JSON, stored.clone()), "/customers?remark=GATE-7").await;
    assert_eq!(reply.text(), format!("[{}]", rows[1]));
    let swapped = String::from_utf8(stored).unwrap().replace(r#""id":2"#, r#""id":4"#);
    let reply = get(layer(), &Recorder::answering(JSON, swapped), "/customers?remark=GATE-7").await;
    reply.refusal(500, "unreadable");
}

#[tokio::test]
async fn an_outgoing_client_drops_them_too() {
    {
        let (stored, shown) = documents("[@]", "dkd");
        let service = tower::service_fn(move |_| {
            let response = Response::builder().header(CONTENT_TYPE, JSON).body(Body::from(stored.clone()));
            std::future::ready(Ok::<_, std::convert::Infallible>(response.unwrap()))
        });
        let request = http::Request::get("http://storage/customers?remark=GATE-7").body(Body::empty()).unwrap();
        let response = layer().for_client().layer(service).oneshot(request).await.unwrap();
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        assert_eq!(body, shown);
    }
    let (stored, _) = record("7", &double_of("remark", WANTED));
    let service = tower::service_fn(move |_| {
        let response = Response::builder().header(CONTENT_TYPE, JSON).body(Body::from(stored.clone()));
        std::future::ready(Ok::<_, std::convert::Infallible>(response.unwrap()))
    });
    let request = http::Request::get("http://storage/customers?remark=GATE-7").body(Body::empty()).unwrap();
    match layer().for_client().layer(service).oneshot(request).await {
        Err(ClientError::Protection(error)) => assert_eq!(error.kind(), ErrorKind::NotFound),
        _ => panic!("the record was handed out"),
    }
}

#[tokio::test]
async fn more_than_is_held_is_told_with_the_limit_to_raise() {
    let stored = format!("[{}]", vec![record("7", STORED).0; 100].join(","));
    for (layer, path, said) in [
        (layer().whole_body_limit(5000), "?remark=GATE-7", "5000 bytes that are held whole"),
        (layer().whole_body_limit(5000), "?remark=GATE-7", "`FieldEncryptionLayer::whole_body_limit`"),
        (layer().body_limit(5000), "", "5000 bytes (`body_limit`)"),
    ] {
        let stored = stored.clone();
        let service = tower::service_fn(move |_| {
            let response = Response::builder().header(CONTENT_TYPE, JSON).body(Body::from(stored.clone()));
            std::future::ready(Ok::<_, std::convert::Infallible>(response.unwrap()))
        });
        let request = http::Request::get(format!("http://storage/customers{path}")).body(Body::empty()).unwrap();
        match layer.for_client().layer(service).oneshot(request).await {
            Err(ClientError::Protection(error)) => {
                assert_eq!(error.kind(), ErrorKind::Service);
                assert!(error.to_string().contains(said), "{error}");
            }
            _ => panic!("more than is held was read"),
        }
    }
}

#[tokio::test]
async fn without_it_truncated_indexes_are_still_refused() {
    let recorder = Recorder::answering(JSON, "[]");
    let reply = get(FieldEncryptionLayer::new(cipher()).unwrap(), &recorder, "/customers?remark=GATE-7").await;
    assert!(reply.refusal(422, "refused").contains("truncated"));
    assert_eq!(recorder.calls(), 0);
    for path in ["$..items[*]", "$", "$.items", "items"] {
        let error = FieldEncryptionLayer::new(cipher()).unwrap().drop_false_matches(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Policy, "{path}");
    }
}

#[test]
fn a_list_in_which_nothing_could_be_found_is_refused_when_the_layer_is_made() {
    let layer = |path: &str, index: BlindIndex| {
        let field = Field::new("remark", Tag::Text).path(path).blind_index(index);
        let policy = Policy::builder("customers").field(field).build().unwrap();
        FieldEncryptionLayer::new(FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap()).unwrap()
    };
    let truncated = || BlindIndex::truncated(letters(), 8);
    drop(layer("$.items[*].remark", truncated()).drop_false_matches("$.items[*]").unwrap());
    drop(layer("$.remark", truncated()).drop_false_matches("$[*]").unwrap());
    for (path, index, said) in [
        ("$.rows[*].remark", truncated(), "no field with a truncated index stands in that list"),
        ("$..remark", BlindIndex::new(letters()), "no truncated index"),
    ] {
        let error = layer(path, index).drop_false_matches("$.items[*]").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Policy, "{path}");
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn a_list_that_nobody_named_is_told_by_the_first_response_that_holds_one() {
    let matching = documents("[@]", "k").0;
    for around in [r#"{"Items":@}"#, r#"{"rows":@,"items":[]}"#, r#"{"page":{"items":@}}"#] {
        let reply = answered(around.replace('@', &matching)).await;
        reply.refusal(502, "service");
    }
}

#[tokio::test]
async fn records_that_an_object_holds_by_name_are_no_list() {
    let double = double_of("remark", WANTED);
    let (own, other) = (record("7", STORED).0, record("9", &double).0);
    let reply = answered(format!(r#"{{"7":{own},"9":{other}}}"#)).await;
    assert_eq!(reply.status, 502);
    assert!(!reply.text().contains("Gate 7"), "{}", reply.text());
}

#[tokio::test]
async fn nothing_is_done_to_all_candidates() {
    for method in ["DELETE", "POST", "PUT", "PATCH"] {
        for path in ["/customers?remark=GATE-7", "/customers/by-remark/GATE-7"] {
            let recorder = Recorder::answering(JSON, "[]");
            let server = Server::axum(layer(), &recorder).await;
            let reply = server.send(server.request(method, path).body(Body::empty()).unwrap()).await;
            assert!(reply.refusal(422, "refused").contains("truncated"), "{method} {path}");
            assert_eq!(recorder.calls(), 0);
        }
    }
}
