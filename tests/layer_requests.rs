//! Proves what a service behind the layer sees of a request: tagged values as tokens, all other bytes as they came.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::post;
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Scope, Tag};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName};
use support::{CUSTOMER, Frames, JSON, Recorder, STORED_CUSTOMER, Server, cipher, keys, layer, masked, policy, token};

#[tokio::test]
async fn a_posted_document_is_stored_encrypted_and_comes_back_in_the_clear() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let reply = server.post(JSON, CUSTOMER).await;
    let seen = recorder.only();
    assert_eq!((seen.method.as_str(), seen.uri.path()), ("POST", "/customers"));
    assert_eq!(masked(seen.bytes()), STORED_CUSTOMER);
    assert_eq!(cipher().decrypt_json(seen.bytes()).unwrap(), CUSTOMER.as_bytes());
    assert_eq!(seen.headers[CONTENT_TYPE], JSON);
    assert_eq!(seen.headers[CONTENT_LENGTH], seen.bytes().len().to_string());
    assert_eq!((reply.status.as_u16(), reply.text()), (200, CUSTOMER));
    assert_eq!(reply.headers[CONTENT_TYPE], JSON);
    assert_eq!(reply.headers[CONTENT_LENGTH], CUSTOMER.len().to_string());
}

#[tokio::test]
async fn a_service_that_stores_what_it_gets_holds_no_plaintext() {
    type Store = Arc<Mutex<Vec<String>>>;
    async fn create(
        State(store): State<Store>,
        customer: String,
    ) -> (http::StatusCode, [(HeaderName, &'static str); 1], String) {
        store.lock().unwrap().push(customer.clone());
        (http::StatusCode::CREATED, [(CONTENT_TYPE, JSON)], customer)
    }
    async fn all(State(store): State<Store>) -> ([(HeaderName, &'static str); 1], String) {
        ([(CONTENT_TYPE, JSON)], format!("[{}]", store.lock().unwrap().join(",")))
    }
    let store = Store::default();
    let router = Router::new().route("/customers", post(create).get(all)).layer(layer()).with_state(Arc::clone(&store));
    let server = Server::router(router).await;
    let other = CUSTOMER.replace("9123", "8123");
    assert_eq!(server.post(JSON, CUSTOMER).await.status, 201);
    assert_eq!(server.post(JSON, other.clone()).await.text(), other);
    assert_eq!(server.get("/customers").await.text(), format!("[{CUSTOMER},{other}]"));
    let store = store.lock().unwrap();
    assert_eq!(store.iter().map(|row| masked(row.as_bytes())).collect::<Vec<_>>(), [STORED_CUSTOMER, STORED_CUSTOMER]);
}

/// Sends `sent` in, and checks what the service saw, `stored` being [`masked`], and that the same bytes come back.
async fn there_and_back(media_type: &str, sent: &str, stored: &str) {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let reply = server.post(media_type, sent.to_owned()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(masked(recorder.only().bytes()), stored);
    assert_eq!(reply.text(), sent);
}

#[tokio::test]
async fn untouched_bytes_stay_as_they_are() {
    let sent = concat!(
        "\r\n\t{ \"z\" :1.10,\"a\":123456789012345678901234567890 , \"a\":2,\n\"e\":[1E+2,-0.0,1e400,0],",
        r#""s":"\u00e9\/\ud83d\ude00\n é€😀 \u0000", "phone" :  "1" ,"":{},"b":[ ],"t":true,"n":null}"#,
        " \n\n"
    );
    there_and_back(JSON, sent, &sent.replace(r#""1""#, r#""<112>""#)).await;
}

#[tokio::test]
async fn names_written_with_escapes_are_the_same_names() {
    there_and_back(
        JSON,
        r#"{"\u0070hone": "1", "ph\u006Fne": "2", "\u0070\u0068\u006f\u006e\u0065": "3", "\\u0070hone": "4", "p\u0068one ": "5"}"#,
        r#"{"\u0070hone": "<112>", "ph\u006Fne": "<112>", "\u0070\u0068\u006f\u006e\u0065": "<112>", "\\u0070hone": "4", "p\u0068one ": "5"}"#,
    )
    .await;
}

#[tokio::test]
async fn every_occurrence_of_a_duplicated_field_is_encrypted() {
    there_and_back(
        JSON,
        r#"{"phone": "1", "id": 1, "phone": "2", "id": 2, "\u0070hone": "3"}"#,
        r#"{"phone": "<112>", "id": 1, "phone": "<112>", "id": 2, "\u0070hone": "<112>"}"#,
    )
    .await;
}

#[tokio::test]
async fn tagged_values_of_every_type_come_back_as_they_were() {
    there_and_back(
        JSON,
        concat!(
            r#"[{"phone": "+65 9123 4567"}, {"phone": ""}, {"phone": "\ud83d\ude00\/ \"é\""}, {"phone": 1.10}, {"phone": -0},"#,
            r#" {"phone": 1e400}, {"phone": true}, {"phone": false}, {"phone": {"a": [1, 2], "phone": null}}, {"phone": [ ]}]"#,
        ),
        concat!(
            r#"[{"phone": "<112>"}, {"phone": "<112>"}, {"phone": "<112>"}, {"phone": "<112>"}, {"phone": "<112>"},"#,
            r#" {"phone": "<112>"}, {"phone": "<112>"}, {"phone": "<112>"}, {"phone": "<112>"}, {"phone": "<112>"}]"#,
        ),
    )
    .await;
}

#[tokio::test]
async fn null_stays_null_unless_the_field_encrypts_it() {
    there_and_back(JSON, r#"{"phone": null, "remark": null}"#, r#"{"phone": null, "remark": "<112>"}"#).await;
}

#[tokio::test]
async fn the_length_of_a_token_tells_the_tag_and_not_the_value() {
    let long = "x".repeat(60);
    let sent =
        format!(r#"{{"name": "Ng", "phone": "1", "email": "{long}", "address": "{long}{long}", "remark": "{long}"}}"#);
    let stored = r#"{"name": "<112>", "phone": "<112>", "email": "<155>", "address": "<240>", "remark": "<155>"}"#;
    there_and_back(JSON, &sent, stored).await;
    let sent = sent.replace(&long, "x");
    there_and_back(JSON, &sent, &stored.replace(r#""remark": "<155>""#, r#""remark": "<112>""#)).await;
}

#[tokio::test]
async fn lines_are_documents_of_their_own() {
    there_and_back(
        "application/x-ndjson",
        "{\"phone\": \"1\"}\n\n[{\"phone\": \"2\"}]\r\n \"phone\"\n{\"id\": 3}",
        "{\"phone\": \"<112>\"}\n\n[{\"phone\": \"<112>\"}]\r\n \"phone\"\n{\"id\": 3}",
    )
    .await;
}

#[tokio::test]
async fn every_media_type_of_json_is_looked_into() {
    for media_type in [
        "application/json; charset=utf-8",
        "Application/JSON;Charset=\"UTF-8\"",
        "application/vnd.api+json",
        "application/ld+json; profile=\"x\"",
        "application/merge-patch+json",
        "text/json",
    ] {
        there_and_back(media_type, CUSTOMER, STORED_CUSTOMER).await;
    }
}

#[tokio::test]
async fn every_method_with_a_body_is_looked_into() {
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS", "QUERY", "SEARCH", "LINK"] {
        let recorder = Recorder::echoing();
        let server = Server::axum(layer(), &recorder).await;
        let request = server.request(method, "/customers").header(CONTENT_TYPE, JSON).body(CUSTOMER.into()).unwrap();
        let reply = server.send(request).await;
        assert_eq!(masked(recorder.only().bytes()), STORED_CUSTOMER, "{method}");
        assert_eq!((reply.status.as_u16(), reply.text()), (200, CUSTOMER), "{method}");
    }
}

#[tokio::test]
async fn tokens_are_bound_to_the_scope_of_the_layer() {
    let scoped = cipher().in_scope(Scope::new().tenant("acme")).unwrap();
    let recorder = Recorder::echoing();
    let server = Server::axum(FieldEncryptionLayer::new(scoped.clone()).unwrap(), &recorder).await;
    assert_eq!(server.post(JSON, CUSTOMER).await.text(), CUSTOMER);
    let stored = recorder.only();
    assert_eq!(scoped.decrypt_json(stored.bytes()).unwrap(), CUSTOMER.as_bytes());
    assert!(cipher().decrypt_json(stored.bytes()).is_err());
}

#[tokio::test]
async fn a_body_that_cannot_be_looked_into_is_refused() {
    let refused: &[&[&str]] = &[
        &[],
        &["text/plain"],
        &["text/plain; charset=utf-8"],
        &["multipart/mixed; boundary=x"],
        &["text/event-stream"],
        &["application/octet-stream"],
        &["application/cbor"],
        &["application/xml"],
        &["application/graphql"],
        &["application/json5"],
        &["application/json-seq"],
        &["json"],
        &[""],
        &["application/json, application/json"],
        &["application/json; charset=utf-16"],
        &["application/json; charset=utf-8; charset=utf-16"],
        &["application/json; charset=latin1"],
        &[JSON, JSON],
        &[JSON, "text/plain"],
        &["text/plain", JSON],
    ];
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    for media_types in refused {
        for is_length_known in [true, false] {
            let mut request = server.request("POST", "/customers");
            for media_type in *media_types {
                request = request.header(CONTENT_TYPE, *media_type);
            }
            let body =
                if is_length_known { Body::from(CUSTOMER) } else { Frames::cut(CUSTOMER.as_bytes(), &[9]).into_body() };
            let reply = server.send(request.body(body).unwrap()).await;
            let detail = reply.refusal(415, "unsupported_media_type");
            assert!(detail.contains("JSON"), "{detail} does not say what to send instead of {media_types:?}");
        }
    }
    assert_eq!(recorder.calls(), 0);
}

#[tokio::test]
async fn an_encoded_body_is_refused() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    for codings in [&["gzip"][..], &["br"], &["identity, gzip"], &["identity", "deflate"], &["aes128gcm"], &[""]] {
        let mut request = server.request("POST", "/customers").header(CONTENT_TYPE, JSON);
        for coding in codings {
            request = request.header(CONTENT_ENCODING, *coding);
        }
        let reply = server.send(request.body(CUSTOMER.into()).unwrap()).await;
        let detail = reply.refusal(415, "unsupported_media_type");
        assert!(detail.contains("Content-Encoding"), "{detail}");
    }
    assert_eq!(recorder.calls(), 0);
    let request = server.request("POST", "/customers").header(CONTENT_TYPE, JSON).header(CONTENT_ENCODING, "Identity");
    let reply = server.send(request.body(CUSTOMER.into()).unwrap()).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, CUSTOMER));
}

#[tokio::test]
async fn an_empty_body_passes_whatever_its_type() {
    let recorder = Recorder::answering("text/plain", "done");
    let server = Server::axum(layer(), &recorder).await;
    for method in ["GET", "POST", "DELETE"] {
        for media_type in [None, Some(JSON), Some("text/plain"), Some("application/json-patch+json"), Some("nonsense")]
        {
            for body in [Body::empty(), Frames::default().into_body()] {
                let mut request = server.request(method, "/customers/7");
                if let Some(media_type) = media_type {
                    request = request.header(CONTENT_TYPE, media_type);
                }
                let reply = server.send(request.body(body).unwrap()).await;
                assert_eq!((reply.status.as_u16(), reply.text()), (200, "done"), "{method} {media_type:?}");
            }
        }
    }
    let received = recorder.received();
    assert_eq!(received.len(), 30);
    for seen in received {
        assert_eq!(seen.bytes(), b"", "{:?}", seen.headers);
        assert!(!seen.headers.contains_key(TRANSFER_ENCODING), "{:?}", seen.headers);
    }
}

#[tokio::test]
async fn headers_about_other_forms_of_a_document_are_settled() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let sent = [
        ("accept-encoding", "gzip, br"),
        ("range", "bytes=0-9"),
        ("if-range", "\"v1\""),
        ("content-digest", "sha-256=:AAAA:"),
        ("repr-digest", "sha-256=:AAAA:"),
        ("digest", "sha-256=AAAA"),
        ("content-md5", "AAAA"),
        ("if-match", "\"v1\", W/\"v2\""),
        ("if-none-match", "*"),
        ("if-modified-since", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ("accept", "application/json"),
        ("prefer", "return=minimal"),
        ("idempotency-key", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("authorization", "Bearer x"),
    ];
    let mut request = server.request("PUT", "/customers/7").header(CONTENT_TYPE, JSON);
    for (name, value) in sent {
        request = request.header(name, value);
    }
    assert_eq!(server.send(request.body(CUSTOMER.into()).unwrap()).await.status, 200);
    let headers = recorder.only().headers;
    let names = |from: usize, to: usize| sent[from..to].iter().map(|(name, _)| *name);
    assert_eq!(headers.get_all(ACCEPT_ENCODING).iter().collect::<Vec<_>>(), ["identity"]);
    assert_eq!(names(1, 7).filter(|name| headers.contains_key(*name)).collect::<Vec<_>>(), [""; 0]);
    for (name, value) in &sent[7..] {
        assert_eq!(headers[*name], value, "{name}");
    }
}

#[tokio::test]
async fn identity_is_asked_for_even_where_the_client_asked_for_nothing() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let request = server.request("GET", "/customers/7").header("range", "bytes=0-9").body(Body::empty()).unwrap();
    assert_eq!(server.send(request).await.status, 200);
    let headers: HeaderMap = recorder.only().headers;
    assert_eq!(headers[ACCEPT_ENCODING], "identity");
    assert!(!headers.contains_key("range"));
}

#[tokio::test]
async fn a_part_of_a_document_cannot_be_written() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let request =
        server.request("PUT", "/customers/7").header(CONTENT_TYPE, JSON).header(CONTENT_RANGE, "bytes 0-9/100");
    let reply = server.send(request.body(CUSTOMER.into()).unwrap()).await;
    assert!(reply.refusal(400, "malformed").contains("part"));
    assert_eq!(recorder.calls(), 0);
}

#[tokio::test]
async fn a_query_that_names_a_protected_field_is_refused() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    for query in [
        "phone=9123",
        "phone",
        "PHONE=9123",
        "page=2&phone=9123",
        "%70hone=9123",
        "ph%6Fne=9123",
        "customer[phone]=9123",
        "customer%5Bphone%5D=9123",
        "filter[customer][phone][eq]=9123",
        "phone[]=9123",
        "customer.phone=9123",
        "phone__icontains=9123",
        "customer__phone=9123",
        "$.phone=9123",
        "customer/phone=9123",
        "where:phone=9123",
        "phone!=9123",
        "phone%3E=9123",
        "phone~=9123",
        "-phone=9123",
        "(phone)=9123",
        "phone,eq=9123",
        "phone|name=9123",
        "+phone=9123",
        "phone+=9123",
        "phone%09=9123",
        "a=1;phone=9123",
        "Pho_ne=9123",
        "--phone=9123",
    ] {
        for (method, body) in [("GET", Body::empty()), ("POST", Body::from(CUSTOMER))] {
            let request = server.request(method, &format!("/customers?{query}")).header(CONTENT_TYPE, JSON);
            let reply = server.send(request.body(body).unwrap()).await;
            assert_eq!(reply.status, 422, "{query}");
            let detail = reply.refusal(422, "refused");
            assert!(detail.contains("query") && detail.contains("`phone`"), "{detail}");
        }
    }
    assert_eq!(recorder.calls(), 0);
}

#[tokio::test]
async fn a_query_finds_a_field_by_each_of_its_names_in_any_style() {
    let contact =
        Field::new("contact_number", Tag::Phone).path("$.phones[*]").path("$.address[0]").path("$.to['line-1']");
    let policy = Policy::builder("customers").field(contact).build().unwrap();
    let recorder = Recorder::echoing();
    let server = Server::axum(FieldEncryptionLayer::new(FieldCipher::new(policy, keys(7))).unwrap(), &recorder).await;
    for name in [
        "contact_number",
        "contactNumber",
        "contact-number",
        "CONTACT_NUMBER",
        "phones",
        "phones[]",
        "address",
        "line1",
    ] {
        server.get(&format!("/customers?{name}=9123")).await.refusal(422, "refused");
    }
    assert_eq!(recorder.calls(), 0);
    for name in ["contact", "number", "phone", "line", "_", "-"] {
        assert_eq!(server.get(&format!("/customers?{name}=9123")).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn any_other_query_passes_as_it_is() {
    let recorder = Recorder::answering("text/plain", "done");
    let server = Server::axum(layer(), &recorder).await;
    let queries =
        ["page=2&sort=-id", "q=phone", "telephone=1", "phone_verified=true", "a=%70%C3%A9+b&a=&&=x", "%FF=1", ""];
    for query in queries {
        assert_eq!(server.get(&format!("/customers?{query}")).await.status, 200, "{query}");
    }
    let seen: Vec<String> =
        recorder.received().iter().map(|seen| seen.uri.query().unwrap_or_default().to_owned()).collect();
    assert_eq!(seen, queries);
}

#[tokio::test]
async fn a_value_that_fits_no_token_is_refused() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let document = |length: usize| format!(r#"{{"phone": "{}"}}"#, "9".repeat(length - 2));
    let reply = server.post(JSON, document((1 << 20) + 1)).await;
    assert!(reply.refusal(413, "too_large").contains("1 MiB"));
    let longest = document(1 << 20);
    let recorder = Recorder::echoing();
    let server = Server::hyper(layer(), &recorder).await;
    let reply = server.post(JSON, longest.clone()).await;
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, longest.as_bytes()));
    assert_eq!(
        masked(recorder.only().bytes()),
        format!(r#"{{"phone": "<{}>"}}"#, 4 + ((1 << 20) + 49_usize) * 8 / 6 + 1)
    );
}

#[tokio::test]
async fn a_token_of_another_service_opens_only_behind_the_same_keys() {
    let stored = format!(r#"{{"phone": "{}"}}"#, token("phone", "+65 9123 4567"));
    for (byte, status) in [(7, 200), (8, 503)] {
        let cipher = FieldCipher::new(policy("customers"), keys(byte));
        let recorder = Recorder::answering(JSON, stored.clone());
        let server = Server::axum(FieldEncryptionLayer::new(cipher).unwrap(), &recorder).await;
        assert_eq!(server.get("/customers/7").await.status, status);
    }
}
