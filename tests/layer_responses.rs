//! Proves what a client gets of a response: tokens opened where the policy tags them, all other bytes as they came, and
//! one answer for everything that does not open.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use fieldseal::audit::AuditKind;
use fieldseal::{FieldCipher, FieldEncryptionLayer};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RETRY_AFTER};
use http::{HeaderMap, Response};
use support::{
    CUSTOMER, Frames, JSON, Ledger, Recorder, Reply, STORED_CUSTOMER, Server, cipher, keys, layer, masked, policy,
    token,
};

/// What a storage holds of `document`.
fn stored(document: &str) -> Vec<u8> {
    cipher().encrypt_json(document.as_bytes()).unwrap()
}

/// Returns what a client gets where the service answers with this status, these fields and this body.
async fn answered(status: u16, fields: &'static [(&'static str, &'static str)], body: impl Into<Vec<u8>>) -> Reply {
    let body = body.into();
    let recorder = Recorder::new(move |_| {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        response.body(body.clone().into()).unwrap()
    });
    let server = Server::axum(layer(), &recorder).await;
    let reply = server.get("/customers").await;
    assert_eq!(recorder.calls(), 1);
    reply
}

#[tokio::test]
async fn a_stored_list_is_opened() {
    let list = format!("[{CUSTOMER},\n {CUSTOMER},{{}}]");
    assert_eq!(masked(&stored(&list)), format!("[{STORED_CUSTOMER},\n {STORED_CUSTOMER},{{}}]"));
    let reply = answered(200, &[("content-type", JSON)], stored(&list)).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, &*list));
    assert_eq!(reply.headers[CONTENT_LENGTH], list.len().to_string());
    assert_eq!(reply.headers[CONTENT_TYPE], JSON);
}

#[tokio::test]
async fn every_status_and_every_kind_of_json_is_opened() {
    const KINDS: [&[(&str, &str)]; 5] = [
        &[("content-type", "text/json")],
        &[("content-type", "application/hal+json")],
        &[("content-type", "APPLICATION/JSON")],
        &[("content-type", "application/merge-patch+json")],
        &[("content-type", "application/x-ndjson")],
    ];
    for status in [200, 201, 202, 203, 226, 300, 400, 404, 409, 422, 500, 503, 599] {
        let reply =
            answered(status, &[("content-type", "application/problem+json; charset=utf-8")], stored(CUSTOMER)).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (status, CUSTOMER));
    }
    for fields in KINDS {
        assert_eq!(answered(200, fields, stored(CUSTOMER)).await.text(), CUSTOMER, "{fields:?}");
    }
}

#[tokio::test]
async fn lines_are_opened_one_by_one() {
    let mut cipher = cipher().ndjson_encryptor();
    let (sent, mut stored) = ("{\"phone\": \"1\"}\r\n\n{\"phone\": \"2\"}\n{\"id\": 3}", Vec::new());
    cipher.feed(sent.as_bytes(), &mut stored).unwrap();
    cipher.finish(&mut stored).unwrap();
    assert_eq!(masked(&stored), "{\"phone\": \"<112>\"}\r\n\n{\"phone\": \"<112>\"}\n{\"id\": 3}");
    let reply = answered(200, &[("content-type", "application/jsonl")], stored.clone()).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, sent));
    let reply =
        answered(200, &[("content-type", "application/jsonl")], [&stored[..], b"\n{\"phone\": \"3\"}"].concat()).await;
    reply.refusal(500, "unreadable");
}

#[tokio::test]
async fn a_token_opens_only_where_the_policy_tags_it() {
    let token = token("phone", "+65 9123 4567");
    let document = format!(r#"{{"bio": "{token}", "list": ["{token}"], "{token}": 1}}"#);
    assert_eq!(answered(200, &[("content-type", JSON)], document.clone()).await.text(), document);
    // What a token opens to is not opened again.
    let cipher = cipher();
    let twice = cipher.encrypt_value("phone", &serde_json::json!({ "phone": token })).unwrap();
    let reply = answered(200, &[("content-type", JSON)], format!(r#"{{"phone": "{twice}"}}"#)).await;
    assert_eq!(reply.text(), format!(r#"{{"phone": {{"phone":"{token}"}}}}"#));
}

#[tokio::test]
async fn a_token_that_the_storage_writes_with_escapes_opens() {
    let document = String::from_utf8(stored(CUSTOMER)).unwrap().replace("fs1.", "\\u0066s1\\u002E");
    assert_eq!(answered(200, &[("content-type", JSON)], document).await.text(), CUSTOMER);
}

#[tokio::test]
async fn what_is_not_json_passes_as_it_is() {
    const KINDS: [&[(&str, &str)]; 6] = [
        &[],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "text/html; charset=utf-16")],
        &[("content-type", "text/csv"), ("content-range", "bytes 0-9/100")],
        &[("content-type", "application/octet-stream"), ("content-encoding", "gzip"), ("accept-ranges", "bytes")],
        &[("content-type", "application/pdf"), ("content-digest", "sha-256=:AAAA:"), ("etag", "\"v1\"")],
    ];
    let token = token("phone", "+65 9123 4567");
    for fields in KINDS {
        let body = [b"{\"phone\": \"", token.as_bytes(), b"\"\xff\x00"].concat();
        let reply = answered(200, fields, body.clone()).await;
        assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, &body[..]));
        assert_eq!(reply.headers[CONTENT_LENGTH], body.len().to_string());
        for (name, value) in fields {
            assert_eq!(reply.headers[*name], *value);
        }
        assert_eq!(reply.headers.len(), fields.len() + 2, "{:?}", reply.headers);
    }
}

#[tokio::test]
async fn what_the_service_says_of_the_stored_form_is_removed() {
    let reply = answered(
        200,
        &[
            ("content-type", JSON),
            ("content-digest", "sha-256=:AAAA:"),
            ("repr-digest", "sha-256=:AAAA:"),
            ("digest", "sha-256=AAAA"),
            ("content-md5", "AAAA"),
            ("accept-ranges", "bytes"),
            ("etag", "W/\"v1\""),
            ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
            ("vary", "accept"),
            ("location", "/customers/7"),
        ],
        stored(CUSTOMER),
    )
    .await;
    assert_eq!(reply.text(), CUSTOMER);
    let mut names: Vec<&str> = reply.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let expected =
        ["cache-control", "content-length", "content-type", "date", "etag", "last-modified", "location", "vary"];
    assert_eq!(names, expected);
    assert_eq!(reply.headers[ETAG], "W/\"v1\"");
}

#[tokio::test]
async fn opened_documents_are_kept_out_of_caches_unless_the_service_says_otherwise() {
    let reply = answered(200, &[("content-type", JSON)], stored(CUSTOMER)).await;
    assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
    let reply =
        answered(200, &[("content-type", JSON), ("cache-control", "private, max-age=5")], stored(CUSTOMER)).await;
    assert_eq!(reply.headers.get_all(CACHE_CONTROL).iter().collect::<Vec<_>>(), ["private, max-age=5"]);
}

#[tokio::test]
async fn validators_pass_in_both_directions() {
    let recorder = Recorder::new(|received| {
        let is_known = received.headers.get("if-none-match").is_some_and(|tag| tag == "\"v1\"");
        let response = Response::builder().header(ETAG, "\"v1\"").header(CONTENT_TYPE, JSON);
        if is_known {
            response.status(304).body(Body::empty()).unwrap()
        } else {
            response.body(stored(CUSTOMER).into()).unwrap()
        }
    });
    let server = Server::axum(layer(), &recorder).await;
    let first = server.get("/customers/7").await;
    assert_eq!((first.status.as_u16(), first.text()), (200, CUSTOMER));
    let etag = first.headers[ETAG].clone();
    let request = server.request("GET", "/customers/7").header("if-none-match", &etag).body(Body::empty()).unwrap();
    let second = server.send(request).await;
    assert_eq!((second.status.as_u16(), second.text()), (304, ""));
    assert_eq!(second.headers[ETAG], etag);
    // Whatever is stored is stored with the fields of this answer.
    assert!(!second.headers.contains_key(CACHE_CONTROL));
    assert!(!second.headers.contains_key(CONTENT_LENGTH));
    assert_eq!(recorder.received()[1].headers["if-none-match"], etag);
}

#[tokio::test]
async fn json_that_was_not_asked_for_in_this_form_is_no_answer() {
    const FORMS: [(u16, &[(&str, &str)]); 9] = [
        (200, &[("content-type", JSON), ("content-encoding", "gzip")]),
        (200, &[("content-type", JSON), ("content-encoding", "identity, br")]),
        (206, &[("content-type", JSON), ("content-range", "bytes 0-9/100")]),
        (206, &[("content-type", JSON)]),
        (200, &[("content-type", JSON), ("content-range", "bytes 0-9/100")]),
        (200, &[("content-type", "application/json; charset=utf-16")]),
        (200, &[("content-type", JSON), ("content-type", JSON)]),
        (200, &[("content-type", "text/html"), ("content-type", JSON)]),
        (200, &[("content-type", "application/json, text/html")]),
    ];
    for (status, fields) in FORMS {
        let reply = answered(status, fields, stored(CUSTOMER)).await;
        assert_eq!(reply.refusal(502, "service"), "The service gave an answer that cannot be read.");
        assert!(!reply.headers.contains_key(CONTENT_ENCODING) && !reply.headers.contains_key(CONTENT_RANGE));
    }
    let reply = answered(200, &[("content-type", JSON), ("content-encoding", "identity")], stored(CUSTOMER)).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, CUSTOMER));
}

#[tokio::test]
async fn malformed_json_from_the_service_is_no_answer() {
    let mut cut = stored(CUSTOMER);
    cut.truncate(cut.len() - 1);
    let documents = [
        cut,
        b"{".to_vec(),
        b"Tan Wei Ming".to_vec(),
        b"{} {}".to_vec(),
        b" ".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        b"\"\xff\"".to_vec(),
    ];
    for document in documents {
        let reply = answered(200, &[("content-type", JSON), ("set-cookie", "a=b")], document).await;
        assert_eq!(reply.refusal(502, "service"), "The service gave an answer that cannot be read.");
        assert!(!reply.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn an_empty_answer_stays_empty() {
    for status in [200, 204, 205, 404] {
        let reply = answered(status, &[("content-type", JSON)], "").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (status, ""));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    let recorder = Recorder::new(|_| {
        let body = Frames::cut(&stored(CUSTOMER)[..40], &[7]).and_failure().into_body();
        Response::builder().header(CONTENT_TYPE, JSON).body(body).unwrap()
    });
    let server = Server::hyper(layer(), &recorder).await;
    server.get("/customers/7").await.refusal(502, "service");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_none() {
    let list = format!("[{CUSTOMER},{CUSTOMER}]");
    let stored = stored(&list);
    let limit = stored.len() as u64;
    for (limit, is_length_known, status) in
        [(limit, true, 200), (limit, false, 200), (limit - 1, true, 502), (limit - 1, false, 502)]
    {
        for whole in [1, 64 * 1024] {
            let stored = stored.clone();
            let recorder = Recorder::new(move |_| {
                let body = Frames::cut(&stored, &[100]);
                let body = if is_length_known { body.of_length(stored.len()) } else { body };
                Response::builder().header(CONTENT_TYPE, JSON).body(body.into_body()).unwrap()
            });
            let server = Server::axum(layer().body_limit(limit).whole_body_limit(whole), &recorder).await;
            let reply = server.try_send(server.request("GET", "/customers").body(Body::empty()).unwrap()).await;
            match (status, reply) {
                (200, reply) => assert_eq!(reply.unwrap().text(), list),
                // Where the length was not told beforehand, some of it went out already.
                (_, reply) if whole == 1 && !is_length_known => assert!(reply.is_err()),
                (_, reply) => drop(reply.unwrap().refusal(502, "service")),
            }
        }
    }
}

/// Returns `text` with the bits in `mask` of one byte of the token flipped.
fn flipped(text: &str, byte: usize, mask: u8) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut binary = URL_SAFE_NO_PAD.decode(&text[4..]).unwrap();
    binary[byte] ^= mask;
    format!("fs1.{}", URL_SAFE_NO_PAD.encode(binary))
}

#[tokio::test]
async fn whatever_does_not_open_sounds_the_same() {
    let good = token("phone", "+65 9123 4567");
    let other_key = FieldCipher::new(policy("customers"), keys(8)).encrypt_value("phone", "+65 9123 4567").unwrap();
    let other_collection =
        FieldCipher::new(policy("couriers"), keys(7)).encrypt_value("phone", "+65 9123 4567").unwrap();
    let other_scope = cipher().in_scope(fieldseal::Scope::new().tenant("acme")).unwrap();
    let email = token("email", "tan.wei@example.com");
    let (last, standard) = (email.len() - 1, good.replacen(['A', 'g', 'w', 'Q'], "+", 3));
    let unreadable = [
        ("version", quoted(&flipped(&good, 0, 1)), AuditKind::DecryptionFailed),
        ("nonce", quoted(&flipped(&good, 9, 0x80)), AuditKind::DecryptionFailed),
        ("ciphertext", quoted(&flipped(&good, 40, 1)), AuditKind::DecryptionFailed),
        ("tag", quoted(&flipped(&good, 80, 1)), AuditKind::DecryptionFailed),
        (
            "another key's under our key's id",
            quoted(&format!("{}{}", &good[..16], &other_key[16..])),
            AuditKind::DecryptionFailed,
        ),
        ("another field's", quoted(&email), AuditKind::DecryptionFailed),
        ("another collection's", quoted(&other_collection), AuditKind::DecryptionFailed),
        ("another tenant's", quoted(&other_scope.encrypt_value("phone", "1").unwrap()), AuditKind::DecryptionFailed),
        ("cut short", quoted(&good[..good.len() - 1]), AuditKind::DecryptionFailed),
        ("too long", quoted(&format!("{good}A")), AuditKind::DecryptionFailed),
        ("padded", quoted(&format!("{good}=")), AuditKind::DecryptionFailed),
        ("of another alphabet", quoted(&standard), AuditKind::DecryptionFailed),
        (
            "of bits that are not zero",
            quoted(&format!("{}{}", &email[..last], next(&email[last..]))),
            AuditKind::DecryptionFailed,
        ),
        ("nothing but the mark", quoted("fs1."), AuditKind::DecryptionFailed),
        ("plaintext", quoted("+65 9123 4567"), AuditKind::NotEncrypted),
        ("empty", quoted(""), AuditKind::NotEncrypted),
        ("a token with a blank", quoted(&format!(" {good}")), AuditKind::NotEncrypted),
        ("a number", "91234567".to_owned(), AuditKind::NotEncrypted),
        ("a boolean", "false".to_owned(), AuditKind::NotEncrypted),
        ("an object", format!(r#"{{"phone": "{good}"}}"#), AuditKind::NotEncrypted),
        ("an array", format!(r#"["{good}"]"#), AuditKind::NotEncrypted),
    ];
    let mut first: Option<Reply> = None;
    for (what, value, kind) in unreadable {
        let document = format!(r#"[{{"id": 1, "phone": "{good}"}}, {{"id": 2, "phone": {value}}}]"#);
        let ledger = Ledger::default();
        let cipher = cipher().with_audit(ledger.clone());
        let server =
            Server::axum(FieldEncryptionLayer::new(cipher).unwrap(), &Recorder::answering(JSON, document)).await;
        let reply = server.get("/customers").await;
        assert_eq!(reply.refusal(500, "unreadable"), "A protected value cannot be read.", "{what}");
        let events = ledger.events();
        assert_eq!(events.len(), 1, "{what}: {events:?}");
        assert_eq!((events[0].0, &*events[0].1, &*events[0].2), (kind, "customers", "phone"), "{what}");
        let first = first.get_or_insert_with(|| reply.clone());
        assert_eq!(reply.body, first.body, "{what}");
        let fields = |headers: &HeaderMap| {
            let mut headers = headers.clone();
            headers.remove("date");
            headers
        };
        assert_eq!(fields(&reply.headers), fields(&first.headers), "{what}");
    }
    let reply = answered(200, &[("content-type", JSON)], format!(r#"{{"phone": "{good}"}}"#)).await;
    assert_eq!(reply.text(), r#"{"phone": "+65 9123 4567"}"#);
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// The next character of the base64url alphabet, which differs in the last bit where `character` stands for an even
/// number.
fn next(character: &str) -> char {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = ALPHABET.find(character).unwrap();
    assert_eq!(place % 4, 0, "two bits are left over in the token of an email");
    char::from(ALPHABET.as_bytes()[place + 1])
}

#[tokio::test]
async fn a_key_that_is_not_there_is_worth_another_try() {
    let ledger = Ledger::default();
    let cipher = cipher().with_audit(ledger.clone());
    let other_key = DataKeyOf(8).token();
    let key_id = DataKeyOf(8).id();
    for value in [other_key, flipped(&token("phone", "+65 9123 4567"), 1, 1)] {
        let document = format!(r#"{{"phone": "{value}"}}"#);
        let server =
            Server::axum(FieldEncryptionLayer::new(cipher.clone()).unwrap(), &Recorder::answering(JSON, document))
                .await;
        let reply = server.get("/customers/7").await;
        let detail = reply.refusal(503, "keys_unavailable");
        assert_eq!(detail, "Protected values cannot be read or written at the moment.");
        assert!(reply.headers[RETRY_AFTER].to_str().unwrap().parse::<u32>().unwrap() > 0);
    }
    let events = ledger.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0], (AuditKind::KeyUnavailable, "customers".to_owned(), "phone".to_owned(), Some(key_id)));
    assert_eq!(events[1].0, AuditKind::KeyUnavailable);
}

/// A key by the byte that it is made of.
struct DataKeyOf(u8);

impl DataKeyOf {
    fn token(&self) -> String {
        FieldCipher::new(policy("customers"), keys(self.0)).encrypt_value("phone", "+65 9123 4567").unwrap()
    }

    fn id(&self) -> fieldseal::keys::KeyId {
        use fieldseal::keys::{DataKey, SecretKey};
        DataKey::dangerous_test_key(&SecretKey::from_bytes(&[self.0; 32])).id()
    }
}

#[tokio::test]
async fn a_head_has_no_body_and_tells_no_length_of_the_stored_one() {
    let recorder = Recorder::answering(JSON, stored(CUSTOMER));
    for server in [Server::axum(layer(), &recorder).await, Server::hyper(layer(), &recorder).await] {
        let request = server.request("HEAD", "/customers/7").body(Body::empty()).unwrap();
        let reply = server.send(request).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, ""));
        assert_eq!(reply.headers[CONTENT_TYPE], JSON);
        assert_eq!(reply.headers.get(CONTENT_LENGTH), None, "a length that is not that of the opened document");
    }
}
