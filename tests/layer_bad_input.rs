//! Proves that what is broken, or is a token already, is refused before the service is called, and says nothing of what
//! was sent.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::convert::Infallible;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fieldseal::audit::AuditKind;
use fieldseal::keys::{DataKey, KeyId, SecretKey};
use fieldseal::layer::FieldBody;
use fieldseal::policy::{RecordBinding, Validation};
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::Request;
use http::header::CONTENT_TYPE;
use support::{
    CUSTOMER, Entry, Frames, JSON, Ledger, RawReply, Recorder, STORED_CUSTOMER, Server, cipher, keys, layer, masked,
    policy, token,
};
use tokio::io::AsyncWriteExt;
use tower::{Layer, ServiceExt};

const NDJSON: &str = "application/x-ndjson";

/// Fails unless each document is refused as malformed, sent in one piece and byte by byte, and none reaches the service.
async fn malformed(media_type: &str, documents: &[Vec<u8>]) {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    for document in documents {
        let shown = String::from_utf8_lossy(document);
        for body in [Body::from(document.clone()), Frames::cut(document, &[1]).into_body()] {
            let reply = server.post(media_type, body).await;
            assert_eq!(reply.status, 400, "{shown}");
            let detail = reply.refusal(400, "malformed");
            assert!(detail.contains("not valid JSON") || detail.contains("ends early"), "{detail} for {shown}");
        }
        assert_eq!(recorder.calls(), 0, "{shown}");
    }
}

#[tokio::test]
async fn what_is_not_json_never_reaches_the_service() {
    let documents = [
        "{",
        "[",
        "\"",
        "tru",
        "-",
        "1.",
        "1e+",
        "01",
        ".5",
        "+1",
        "NaN",
        "Infinity",
        "True",
        " ",
        "\n",
        "Tan Wei Ming",
        "{} {}",
        "{},",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"phone\"}",
        "{\"phone\":}",
        "{\"phone\" \"9123\"}",
        "{\"phone\":\"9123\",}",
        "{phone:\"9123\"}",
        "{'phone':'9123'}",
        "{\"phone\":\"9123\"]",
        "{\"phone\":\"9123\"",
        "{\"phone\":\"9123",
        "{\"phone\":\"9123\"}x",
        "{\"phone\":\"9123\\\"}",
        "{\"phone\":\"\\u12\"}",
        "{\"phone\":\"\\u00g0\"}",
        "{\"phone\":\"\\x41\"}",
        "{\"phone\":\"a\nb\"}",
        "{\"phone\":\"a\u{0}b\"}",
        "{\"ph\tone\":\"9123\"}",
        "{\"phone\":\"9123\"}\u{0}",
        "{\"phone\":\"9123\"} // Tan Wei Ming",
        "/* Tan Wei Ming */ {}",
        "\u{feff}{\"phone\":\"9123\"}",
        "{\"phone\":\u{a0}\"9123\"}",
        "\u{c}{}",
    ];
    malformed(JSON, &documents.map(|document| document.as_bytes().to_vec())).await;
    let lines = ["{\"phone\":\n\"9123\"}", "{} {}\n", "{}\n{", "{}\n\"Tan Wei", "[1\n,2]", "{},\n{}"];
    malformed(NDJSON, &lines.map(|document| document.as_bytes().to_vec())).await;
}

#[tokio::test]
async fn what_is_not_utf8_never_reaches_the_service() {
    let bad: [&[u8]; 8] = [
        b"\xff",
        b"\x80",
        b"\xc0\x80",
        b"\xc3",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xf0\x80\x80\xaf",
        b"\xf4\x90\x80\x80",
    ];
    let documents: Vec<Vec<u8>> = bad
        .iter()
        .flat_map(|bad| {
            [
                [&b"{\"phone\":\"9123 "[..], bad, b"\"}"].concat(),
                [&b"{\"note\":\""[..], bad, b"\"}"].concat(),
                [&b"{\"phone"[..], bad, b"\":\"9123\"}"].concat(),
                [&b"{\"phone\":\"9123\"}"[..], bad].concat(),
            ]
        })
        .collect();
    malformed(JSON, &documents).await;
    let utf16: Vec<u8> = CUSTOMER.encode_utf16().flat_map(u16::to_le_bytes).collect();
    malformed(JSON, &[utf16]).await;
}

#[tokio::test]
async fn nesting_is_bounded() {
    let nested = |depth: usize| {
        let (open, close) = (r#"{"a":["#.repeat(depth / 2), "]}".repeat(depth / 2));
        format!(r#"{open}{{"phone":"9123"}}{close}"#)
    };
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let deepest = nested(126);
    assert_eq!(server.post(JSON, deepest.clone()).await.text(), deepest);
    assert_eq!(masked(recorder.only().bytes()), deepest.replace("9123", "<112>"));
    malformed(JSON, &[nested(128).into(), "[".repeat(1000).into(), "{\"a\":".repeat(1000).into()]).await;
    // Deep within a value that is encrypted whole, and deep without an end, a hundred thousand times.
    malformed(JSON, &[format!(r#"{{"phone":{}"#, "[".repeat(129)).into()]).await;
    let reply = server.post(JSON, "[".repeat(100_000)).await;
    assert!(reply.refusal(400, "malformed").contains("128"));
}

#[tokio::test]
async fn a_lone_surrogate_comes_back_as_it_was() {
    let sent =
        r#"{"note": "\ud800", "phone": "\udc00 9123 \uD83D", "\ud800": 1, "x\udfff": {"phone": "\ud83d\ude00\ude00"}}"#;
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let reply = server.post(JSON, sent).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, sent));
    let stored = r#"{"note": "\ud800", "phone": "<112>", "\ud800": 1, "x\udfff": {"phone": "<112>"}}"#;
    assert_eq!(masked(recorder.only().bytes()), stored);
}

#[tokio::test]
async fn a_refusal_tells_the_place_and_not_the_value() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let reply = server.post(JSON, r#"{"phone": "+65 9123 4567" "name": "Tan Wei Ming"}"#).await;
    let detail = reply.refusal(400, "malformed");
    assert!(detail.contains("byte 26"), "{detail}");
    let reply = server.post(JSON, format!(r#"{{"phone": "{}"}}"#, token("phone", "+65 9123 4567"))).await;
    assert_eq!(reply.refusal(422, "token_submitted"), "field `phone` holds an encrypted token, not a value");
    assert_eq!(recorder.calls(), 0);
}

#[tokio::test]
async fn a_body_that_is_cut_off_never_reaches_the_service() {
    let recorder = Recorder::echoing();
    let server = Server::hyper(layer(), &recorder).await;
    let cut_off = [
        format!("content-length: {}\r\n\r\n{}", CUSTOMER.len() + 24, CUSTOMER),
        format!("content-length: {}\r\n\r\n{}", CUSTOMER.len(), &CUSTOMER[..40]),
        format!("content-length: {}\r\n\r\n", CUSTOMER.len()),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{CUSTOMER}\r\n", CUSTOMER.len()),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{}", CUSTOMER.len(), &CUSTOMER[..40]),
        "transfer-encoding: chunked\r\n\r\n".to_owned(),
    ];
    for rest in &cut_off {
        for only_half in [true, false] {
            let mut stream = server.connect().await;
            let head = "POST /customers HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
            stream.write_all(format!("{head}{rest}").as_bytes()).await.unwrap();
            if only_half {
                stream.shutdown().await.unwrap();
                let reply = RawReply::read_or_nothing(&mut stream).await;
                assert!(reply.is_none_or(|reply| reply.head.starts_with("http/1.1 400 ")));
            }
        }
    }
    let good = server.post(JSON, CUSTOMER).await;
    assert_eq!((good.status.as_u16(), good.text()), (200, CUSTOMER));
    let received = recorder.clone();
    server.stop().await;
    assert_eq!(masked(received.only().bytes()), STORED_CUSTOMER);
}

#[tokio::test]
async fn a_cut_off_body_that_flows_already_stores_nothing() {
    let recorder = Recorder::echoing();
    let server = Server::hyper(layer().whole_body_limit(16), &recorder).await;
    for rest in [
        format!("content-length: 1000\r\n\r\n{CUSTOMER}"),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{CUSTOMER}\r\n", CUSTOMER.len()),
    ] {
        let mut stream = server.connect().await;
        let head = "POST /customers HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
        stream.write_all(format!("{head}{rest}").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let reply = RawReply::read_or_nothing(&mut stream).await;
        assert!(reply.is_none_or(|reply| reply.head.starts_with("http/1.1 400 ")));
    }
    let received = recorder.clone();
    server.stop().await;
    let received = received.received();
    assert!(received.iter().all(|seen| seen.body.is_err()), "{received:?}");
}

#[tokio::test]
async fn a_token_submitted_as_a_value_is_refused_and_audited() {
    let other_key = DataKey::dangerous_test_key(&SecretKey::from_bytes(&[8; 32]));
    let other_id = other_key.id();
    let own_id = DataKey::dangerous_test_key(&SecretKey::from_bytes(&[7; 32])).id();
    let own = token("phone", "+65 9123 4567");
    let other = FieldCipher::new(policy("customers"), keys(8)).encrypt_value("phone", "+65 9123 4567").unwrap();
    let escaped = own.bytes().map(|byte| format!("\\u{byte:04x}")).collect::<Vec<_>>().concat();
    let mut forged = URL_SAFE_NO_PAD.decode(&own[4..]).unwrap();
    forged[40..].fill(0);
    let forged = format!("fs1.{}", URL_SAFE_NO_PAD.encode(forged));
    // The last of these opens under no key at all, and one is under a key that is not here: syntax alone decides.
    for (field, value, key_id) in [
        ("phone", own.clone(), own_id),
        ("name", own.clone(), own_id),
        ("remark", token("remark", &"x".repeat(100)), own_id),
        ("phone", own.replace("fs1.", "fs1\\u002e"), own_id),
        ("phone", own.replace("fs1.", "\\u0066\\u0073\\u0031."), own_id),
        ("phone", escaped, own_id),
        ("phone", other, other_id),
        ("phone", forged, own_id),
    ] {
        for whole in [64 * 1024, 1] {
            for document in [
                format!(r#"{{"{field}": "{value}"}}"#),
                format!(r#"{{"id": 1, "kin": [{{"{field}": "Lim"}}, {{"{field}" : "{value}" }}]}}"#),
            ] {
                let ledger = Ledger::default();
                let recorder = Recorder::echoing();
                let layer =
                    FieldEncryptionLayer::new(cipher().with_audit(ledger.clone())).unwrap().whole_body_limit(whole);
                let server = Server::axum(layer, &recorder).await;
                let reply = server.post(JSON, document.clone()).await;
                let detail = reply.refusal(422, "token_submitted");
                assert_eq!(detail, format!("field `{field}` holds an encrypted token, not a value"));
                assert_eq!(recorder.calls(), 0, "{document}");
                let event = (AuditKind::TokenSubmitted, "customers".to_owned(), field.to_owned(), Some(key_id));
                assert_eq!(ledger.events(), [event], "{document}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_submitted_in_lines_and_merge_patches_is_refused() {
    let token = token("phone", "+65 9123 4567");
    for (media_type, document) in [
        (NDJSON, format!("{{\"phone\": \"9123\"}}\n{{\"phone\": \"{token}\"}}\n")),
        ("application/merge-patch+json", format!(r#"{{"phone": "{token}"}}"#)),
        ("application/vnd.api+json", format!(r#"{{"data": {{"phone": "{token}"}}}}"#)),
    ] {
        let recorder = Recorder::echoing();
        let server = Server::axum(layer(), &recorder).await;
        server.post(media_type, document).await.refusal(422, "token_submitted");
        assert_eq!(recorder.calls(), 0);
    }
}

#[tokio::test]
async fn what_only_looks_like_a_token_is_a_value_like_any_other() {
    let good = token("phone", "+65 9123 4567");
    let email = token("email", "tan.wei@example.com");
    let bits_left_over = format!("{}{}", &email[..email.len() - 1], bumped(&email[email.len() - 1..]));
    for value in [
        "fs1.".to_owned(),
        "fs1.abc".to_owned(),
        bits_left_over,
        good[..good.len() - 1].to_owned(),
        format!("{good}A"),
        format!("{good}="),
        format!("{good} "),
        format!(" {good}"),
        format!("call {good}"),
        good.replace("fs1.", "fs2."),
        good.replace("fs1.", "FS1."),
        good.replace("fs1.", "fs1.\\n"),
        good.replace("fs1.A", "fs1.B"),
        good[4..].to_owned(),
    ] {
        let ledger = Ledger::default();
        let recorder = Recorder::echoing();
        let server =
            Server::axum(FieldEncryptionLayer::new(cipher().with_audit(ledger.clone())).unwrap(), &recorder).await;
        let sent = format!(r#"{{"phone": "{value}"}}"#);
        let reply = server.post(JSON, sent.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, &*sent));
        // What is stored is not the text that was sent, but a token of it.
        assert!(!recorder.only().bytes().windows(sent.len()).any(|window| window == sent.as_bytes()));
        assert_eq!(cipher().decrypt_json(recorder.only().bytes()).unwrap(), sent.as_bytes());
        assert_eq!(ledger.events(), []);
    }
}

/// The character after this one in the base64url alphabet: other bits that stand for no byte.
fn bumped(character: &str) -> char {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char::from(ALPHABET.as_bytes()[ALPHABET.find(character).unwrap() + 1])
}

/// What is recorded of a token by the cipher's own key that came in at no field's place.
fn untagged() -> Entry {
    (AuditKind::TokenSubmitted, "customers".to_owned(), String::new(), Some(own_key_id()))
}

fn own_key_id() -> KeyId {
    DataKey::dangerous_test_key(&SecretKey::from_bytes(&[7; 32])).id()
}

/// From an untagged place a service may still move a token to a tagged one: by an alias, from an array, by a copy.
#[tokio::test]
async fn a_token_where_no_field_is_tagged_is_refused_and_audited() {
    let token = token("phone", "+65 9123 4567");
    let escaped = token.replace("fs1.", "f\\u00731\\u002E");
    for (media_type, body) in [
        (JSON, format!(r#"{{"note": "{token}"}}"#)),
        (JSON, format!(r#"{{"note": "{escaped}"}}"#)),
        (JSON, format!(r#"[666, "{token}"]"#)),
        (JSON, format!(r#"{{"list": [[{{"{token}": 1}}]]}}"#)),
        (JSON, format!("\"{token}\"")),
        ("application/x-ndjson", format!("{{\"a\":1}}\n{{\"note\":\"{token}\"}}\n")),
        ("application/merge-patch+json", format!(r#"{{"mobile": "{token}"}}"#)),
        ("application/json-patch+json", format!(r#"[{{"op":"add","path":"/note","value":"{token}"}}]"#)),
        ("application/json-patch+json", format!(r#"[{{"op":"add","path":"/x/{token}","value":1}}]"#)),
        ("application/json-patch+json", format!(r#"[{{"op":"copy","path":"/note","from":"/{escaped}"}}]"#)),
    ] {
        for cuts in [&[usize::MAX][..], &[3], &[11, 12, 13, 14, 15, 40], &[20; 5]] {
            let ledger = Ledger::default();
            let recorder = Recorder::echoing();
            let server =
                Server::axum(FieldEncryptionLayer::new(cipher().with_audit(ledger.clone())).unwrap(), &recorder).await;
            let request = server.request("POST", "/customers").header(CONTENT_TYPE, media_type);
            let reply = server.send(request.body(Frames::cut(body.as_bytes(), cuts).into_body()).unwrap()).await;
            reply.refusal(422, "token_submitted");
            assert_eq!(recorder.calls(), 0, "{media_type} {body}");
            assert_eq!(ledger.events(), [untagged()]);
        }
    }
}

#[tokio::test]
async fn a_token_beside_the_body_is_refused_and_audited() {
    let token = token("phone", "+65 9123 4567");
    let encoded = token.replace('.', "%2e").replace('f', "%66");
    for (target, header) in [
        (format!("/customers/{token}"), None),
        (format!("/customers/{encoded}/x"), None),
        (format!("/customers?q={token}"), None),
        (format!("/customers?a=1&q[]={encoded}&b"), None),
        (format!("/customers?{token}"), None),
        (format!("/customers?q=%20{}%20{}", &token[..40], &token[40..]), None),
        ("/customers".to_owned(), Some(token.clone())),
        ("/customers".to_owned(), Some(format!("Bearer {token}, x"))),
        ("/customers".to_owned(), Some(format!("a={token}; b=2"))),
        ("/customers".to_owned(), Some(format!("a={encoded}"))),
        ("/customers".to_owned(), Some(format!("a={token}-"))),
    ] {
        let ledger = Ledger::default();
        let recorder = Recorder::echoing();
        let server =
            Server::axum(FieldEncryptionLayer::new(cipher().with_audit(ledger.clone())).unwrap(), &recorder).await;
        let mut request = server.request("GET", &target);
        if let Some(header) = header {
            request = request.header("x-note", header);
        }
        server.send(request.body(Body::empty()).unwrap()).await.refusal(422, "token_submitted");
        assert_eq!(recorder.calls(), 0, "{target}");
        assert_eq!(ledger.events(), [untagged()]);
    }
    // In the authority, which HTTP/2 always has, and in the method.
    for (method, uri) in [("GET", format!("http://{token}/")), (&token[..], "/".to_owned())] {
        let recorder = Recorder::echoing();
        let inner = recorder.clone();
        let service = layer().layer(tower::service_fn(move |request: Request<FieldBody<Body>>| {
            let response = inner.clone().handle(request);
            async move { Ok::<_, Infallible>(response.await) }
        }));
        let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        assert_eq!((response.status().as_u16(), recorder.calls()), (422, 0));
    }
    // What only begins like one is text.
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let request = server.request("GET", "/fs1.txt?next=fs1.").header("x-file", "fs1.AQ");
    assert_eq!(server.send(request.body(Body::empty()).unwrap()).await.status, 200);
}

#[tokio::test]
async fn a_token_where_no_field_is_tagged_leaves_as_it_was_stored() {
    let stored = format!(r#"{{"note": "{}"}}"#, token("phone", "+65 9123 4567"));
    let server = Server::axum(layer(), &Recorder::answering(JSON, stored.clone())).await;
    assert_eq!(server.post(JSON, "{}").await.text(), stored);
}

#[tokio::test]
async fn two_layers_around_one_service_are_told() {
    let recorder = Recorder::echoing();
    let handler = {
        let recorder = recorder.clone();
        move |request: axum::extract::Request| recorder.handle(request)
    };
    let server = Server::router(axum::Router::new().fallback(handler).layer(layer()).layer(layer())).await;
    let reply = server.post(JSON, CUSTOMER).await;
    // It is no client that holds tokens, and the audit is told of none.
    reply.refusal(500, "misconfigured");
    assert_eq!(recorder.calls(), 0);
}

#[tokio::test]
async fn an_absurd_length_is_only_a_claim() {
    let recorder = Recorder::echoing();
    let server = Server::hyper(layer().whole_body_limit(u64::MAX), &recorder).await;
    for length in [1 << 40, i64::MAX as u64, u64::MAX - 16] {
        let head =
            format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
        let reply = server.raw(format!("{head}Tan Wei Ming")).await;
        assert!(reply.head.starts_with("http/1.1 400 "), "{}", reply.head);
        assert!(reply.text().contains("malformed") && !reply.text().contains("Tan"), "{}", reply.text());
    }
    assert_eq!(recorder.calls(), 0);
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_by_the_head_alone() {
    let recorder = Recorder::answering(JSON, "{}");
    for whole in [16, 64 * 1024] {
        let server = Server::axum(layer().whole_body_limit(whole).body_limit(CUSTOMER.len() as u64), &recorder).await;
        let longer = format!("{CUSTOMER} ");
        assert_eq!(server.post(JSON, CUSTOMER).await.text(), "{}");
        let calls = recorder.calls();
        assert_eq!(masked(recorder.received()[calls - 1].bytes()), STORED_CUSTOMER);
        let detail = server.post(JSON, longer.clone()).await.refusal(413, "too_large");
        assert!(detail.contains(&CUSTOMER.len().to_string()), "{detail}");
        assert_eq!(recorder.calls(), calls);
        // Not a byte of the body is sent, and the answer comes all the same.
        let head = "POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-type: application/json\r\n";
        let reply = server.raw(format!("{head}content-length: {}\r\n\r\n", longer.len())).await;
        assert!(reply.head.starts_with("http/1.1 413 "), "{}", reply.head);
        assert_eq!(recorder.calls(), calls);
    }
}

#[tokio::test]
async fn a_length_over_the_limit_is_found_where_it_is_not_declared() {
    let longer = format!("{CUSTOMER} ");
    let recorder = Recorder::answering(JSON, "{}");
    let server = Server::axum(layer().body_limit(CUSTOMER.len() as u64), &recorder).await;
    let reply = server.post(JSON, Frames::cut(CUSTOMER.as_bytes(), &[13]).into_body()).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "{}"));
    server.post(JSON, Frames::cut(longer.as_bytes(), &[13]).into_body()).await.refusal(413, "too_large");
    assert_eq!(recorder.calls(), 1);
    // While it flows, the service has been called, but its answer is not the one that counts.
    let recorder = Recorder::echoing();
    let server = Server::axum(layer().body_limit(CUSTOMER.len() as u64).whole_body_limit(16), &recorder).await;
    let reply = server.post(JSON, Frames::cut(longer.as_bytes(), &[13]).into_body()).await;
    reply.refusal(413, "too_large");
    assert!(recorder.only().body.is_err());
}

#[tokio::test]
async fn a_refused_body_is_never_taken_for_the_next_request() {
    let recorder = Recorder::echoing();
    let server = Server::hyper(layer(), &recorder).await;
    let hidden = "POST /hidden HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    for (media_type, target) in [("text/plain", "/customers"), (JSON, "/customers"), (JSON, "/customers?phone=9123")] {
        let head = format!("POST {target} HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}\r\n");
        let length = hidden.len();
        let tail = "GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let reply = server.raw(format!("{head}content-length: {length}\r\n\r\n{hidden}{tail}")).await;
        assert!(reply.head.starts_with("http/1.1 4"), "{}", reply.head);
    }
    let request = server.request("POST", "/customers").header(CONTENT_TYPE, JSON).body(CUSTOMER.into()).unwrap();
    assert_eq!(server.send(request).await.text(), CUSTOMER);
    let paths: Vec<String> = recorder.received().iter().map(|seen| seen.uri.path().to_owned()).collect();
    assert!(paths.iter().all(|path| path == "/last" || path == "/customers"), "{paths:?}");
    let received = recorder.received();
    let mut stored = received.iter().filter(|seen| seen.uri.path() == "/customers");
    assert_eq!(stored.next().map(|seen| masked(seen.bytes())).as_deref(), Some(STORED_CUSTOMER));
    assert!(stored.next().is_none());
}

#[tokio::test]
async fn a_value_against_the_rules_is_pointed_at_within_its_record() {
    let name = Field::new("name", Tag::Name).path("$.people[*].name").validate(Validation::new().max_length(2));
    let policy =
        Policy::builder("customers").field(name).bind_records(RecordBinding::required("id").path("$.people[*]"));
    let layer = FieldEncryptionLayer::new(FieldCipher::new(policy.build().unwrap(), keys(7))).unwrap();
    let server = Server::axum(layer, &Recorder::echoing()).await;
    let reply = server.post(JSON, r#"{"people":[{"id":1,"name":"x"},{"id":2,"name":"Tan"}]}"#).await;
    reply.refusal(422, "invalid");
    assert_eq!(reply.problem().pointer.as_deref(), Some("#/people/1/name"));
}

/// Who sent it learns which of many values it is, and nothing of what anybody sent.
#[tokio::test]
async fn a_value_against_the_rules_is_pointed_at() {
    let rules = || Validation::new().required().max_length(12);
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name).validate(rules()))
        .field(Field::new("note", Tag::Text).path("$['a/b~ \u{e9}\"'][*].note").validate(rules()));
    let recorder = Recorder::echoing();
    let layer = FieldEncryptionLayer::new(FieldCipher::new(policy.build().unwrap(), keys(7))).unwrap();
    let server = Server::axum(layer, &recorder).await;
    let (merge_patch, patch) = ("application/merge-patch+json", "application/json-patch+json");
    let form = "application/x-www-form-urlencoded";
    for (media_type, body, pointer) in [
        (JSON, r#"{"name":""}"#, "#/name"),
        (JSON, r#"{"name":null}"#, "#/name"),
        (
            JSON,
            r#"{"all":[{"x":[1,{"name":"x"}]},{"name":"Tan Wei Ming"},{"x":[{},{"name":"Tan Wei Ming."}]}]}"#,
            "#/all/2/x/1/name",
        ),
        (JSON, r#"{"name":"x","a/b~ \u00e9\"":[{"note":"x"},{"note":["x"]}]}"#, "#/a~1b~0%20%C3%A9%22/1/note"),
        (JSON, r#"{"of":{"name":"x"},"x-y.z:$":{"name":""}}"#, "#/x-y.z:$/name"),
        (JSON, r#"{"weiming.tan@example.sg":{"name":""}}"#, ""),
        (JSON, r#"{"91234567":{"name":""}}"#, ""),
        (JSON, "{}", ""),
        (merge_patch, r#"{"name":""}"#, "#/name"),
        (patch, r#"[{"op":"add","path":"/name","value":""}]"#, ""),
        (NDJSON, "{\"name\":\"x\"}\n{\"name\":\"\"}\n", ""),
        (form, "name=", ""),
    ] {
        let reply = server.post(media_type, body).await;
        reply.refusal(422, "invalid");
        assert_eq!(reply.problem().pointer.unwrap_or_default(), pointer, "{media_type}: {body}");
        for value in ["Tan", "weiming", "9123"] {
            assert!(!reply.text().contains(value), "{}", reply.text());
        }
    }
}
