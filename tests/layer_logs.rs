//! Proves that no log at any level, and no `Debug` of what the layer is made of, holds a value, a token or a key.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use bytes::Bytes;
use fieldseal::layer::FieldBody;
use fieldseal::{FieldCipher, FieldEncryptionLayer};
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use support::{CUSTOMER, Frames, JSON, Recorder, Server, cipher, keys, layer, list, policy, token, within};
use tower::{Layer, Service, ServiceExt};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// What a log would hold.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The values of every exchange here, and pieces of every token and key: `fs1.`, the first characters behind it, the
/// bytes of the key as `Debug` would write them.
fn secrets() -> Vec<String> {
    let prefix = token("phone", "+65 9123 4567")[4..16].to_owned();
    let mut secrets =
        ["Tan Wei", "+65 9123", "Bedok", "tan.wei@", "fs1.", "7, 7, 7", "070707"].map(str::to_owned).to_vec();
    secrets.push(prefix);
    secrets
}

fn check(text: &str) {
    for secret in secrets() {
        let at = text.find(&secret);
        assert!(at.is_none(), "`{secret}` stands in {}", &text[at.unwrap_or(0).saturating_sub(200)..]);
    }
}

#[tokio::test]
async fn no_log_holds_a_value_or_a_token() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        // A time of day can look like a piece of a key.
        .without_time()
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    tracing::trace!("the log is listened to");

    requests_of_every_kind().await;
    responses_of_every_kind().await;

    let text = log.text();
    for said in [
        "the log is listened to",
        "fieldseal::audit: kind=\"token_submitted\" collection=\"customers\" field=\"phone\" key_id=",
        "fieldseal::audit: kind=\"decryption_failed\"",
        "fieldseal::audit: kind=\"key_unavailable\"",
        "fieldseal::audit: kind=\"not_encrypted\"",
        "a request was refused",
        "a request failed",
        "the stored value of `phone` in `customers` does not open in this place",
        "a body broke off while it flowed",
        "what an application would log",
    ] {
        assert!(text.contains(said), "the log does not say `{said}`, so it proves nothing");
    }
    check(&text);
}

/// Requests that pass and requests that do not, whole and flowing, over HTTP/1 and HTTP/2.
async fn requests_of_every_kind() {
    let own = token("phone", "+65 9123 4567");
    let echoing = Recorder::echoing();
    for whole in [64 * 1024, 16] {
        let server = Server::axum(layer().whole_body_limit(whole).body_limit(1 << 20), &echoing).await;
        for (media_type, target, body) in [
            (JSON, "/", CUSTOMER.to_owned()),
            (JSON, "/", format!(r#"{{"phone": "{own}"}}"#)),
            (JSON, "/", format!(r#"{{"phone": "{}"}}"#, own.replace("fs1.", "\\u0066s1."))),
            (JSON, "/", r#"{"phone": "+65 9123 4567" "Tan Wei Ming"}"#.to_owned()),
            (JSON, "/", "Tan Wei Ming, 3 Bedok North, and more than sixteen bytes".to_owned()),
            (JSON, "/", r#"{"phone": "+65 9123 4567"#.to_owned()),
            (JSON, "/", format!("{CUSTOMER}Tan Wei Ming")),
            (JSON, "/?phone=%2B65+9123+4567&name=Tan+Wei+Ming", "{}".to_owned()),
            (JSON, "/", format!(r#"{{"phone": "+65 9123{}"}}"#, "9".repeat(1 << 20))),
            ("text/plain", "/", "Tan Wei Ming, 3 Bedok North".to_owned()),
            ("application/x-ndjson", "/", format!("{CUSTOMER}\n{CUSTOMER}")),
            ("application/merge-patch+json", "/", r#"{"address": {"street": "3 Bedok North"}}"#.to_owned()),
            (
                "application/json-patch+json",
                "/",
                r#"[{"op":"test","path":"/phone","value":"+65 9123 4567"}]"#.to_owned(),
            ),
            (
                "application/json-patch+json",
                "/",
                r#"[{"op":"add","path":"/phone","value":"+65 9123 4567"}]"#.to_owned(),
            ),
            (
                "application/json-patch+json",
                "/",
                r#"[{"op":"add","path":"/phone","value":"+65 9123 4567","op":1}]"#.to_owned(),
            ),
            ("application/json-patch+json", "/", r#"[{"op":"Tan Wei Ming","path":"+65 9123 4567"}]"#.to_owned()),
        ] {
            for client in [support::client(), support::http_2_client()] {
                let body = Frames::cut(body.as_bytes(), &[20, 5000]).into_body();
                let request = server.request("PATCH", target).header(CONTENT_TYPE, media_type).body(body).unwrap();
                // Over HTTP/2 a refusal can end the stream while the client still sends.
                if let Ok(response) = within(client.request(request)).await {
                    drop(within(response.into_body().collect()).await);
                }
            }
        }
    }
    // A client that goes away.
    let server = Server::hyper(layer(), &echoing).await;
    let (sender, body) = support::channel();
    let request = server.request("POST", "/").header(CONTENT_TYPE, JSON).body(body).unwrap();
    let sending = tokio::spawn(support::client().request(request));
    for piece in ["{\"phone\": ", "\"+65 9123", " 4567\""] {
        sender.send(piece.into()).await.unwrap();
    }
    sending.abort();
    server.stop().await;
}

/// Responses that open and responses that do not, to clients with and without a layer of their own.
async fn responses_of_every_kind() {
    let own = token("phone", "+65 9123 4567");
    let other_key = FieldCipher::new(policy("customers"), keys(8)).encrypt_value("phone", "+65 9123 4567").unwrap();
    let opened = cipher().encrypt_json(&list(1000)).unwrap();
    for whole in [64 * 1024, 16] {
        for body in [
            String::from_utf8(opened.clone()).unwrap(),
            format!(r#"{{"phone": "{}"}}"#, own.replace("fs1.A", "fs1.B")),
            format!(r#"{{"phone": "{other_key}"}}"#),
            format!(r#"{{"name": "{own}"}}"#),
            r#"{"phone": "+65 9123 4567"}"#.to_owned(),
            format!(r#"{{"phone": "{own}" "Tan Wei Ming"}}"#),
            format!(r#"{{"phone": "{own}"#),
        ] {
            let recorder = Recorder::new(move |_| {
                let body = Frames::cut(body.as_bytes(), &[20]).into_body();
                Response::builder().header(CONTENT_TYPE, JSON).body(body).unwrap()
            });
            let server = Server::hyper(layer().whole_body_limit(whole), &recorder).await;
            for client in [support::client(), support::http_2_client()] {
                let request = server.request("GET", "/").body(Body::empty()).unwrap();
                if let Ok(response) = within(client.request(request)).await {
                    drop(within(response.into_body().collect()).await);
                }
            }
            let storage = {
                let recorder = recorder.clone();
                Server::service(tower::service_fn(move |request: Request<Incoming>| {
                    let response = recorder.clone().handle(request);
                    async move { Ok::<_, Infallible>(response.await) }
                }))
                .await
            };
            let mut client = layer()
                .for_client()
                .layer(Client::builder(TokioExecutor::new()).build::<_, FieldBody<Full<Bytes>>>(HttpConnector::new()));
            let request = storage.request("POST", "/").header(CONTENT_TYPE, JSON).body(Full::from(CUSTOMER)).unwrap();
            if let Err(error) = within(client.ready().await.unwrap().call(request)).await {
                tracing::error!(%error, ?error, "what an application would log");
            }
        }
    }
}

#[tokio::test]
async fn no_debug_holds_a_value_a_token_or_a_key() {
    let own = token("phone", "+65 9123 4567");
    let service = tower::service_fn(|request: Request<FieldBody<Full<Bytes>>>| async {
        Ok::<_, Infallible>(Response::builder().header(CONTENT_TYPE, JSON).body(request.into_body()).unwrap())
    });
    let mut shown = vec![
        format!("{:?} {:#?}", cipher(), cipher()),
        format!("{:?} {:#?}", keys(7), layer()),
        format!("{:?}", layer().for_client()),
        format!("{:?}", layer().layer("the service")),
    ];
    for (whole, document) in [
        (64 * 1024, CUSTOMER.to_owned()),
        (16, CUSTOMER.to_owned()),
        (64 * 1024, format!(r#"{{"phone": "{own}"}}"#)),
        (64 * 1024, format!(r#"{{"phone": "{own}""#)),
    ] {
        let mut layered = FieldEncryptionLayer::new(cipher()).unwrap().whole_body_limit(whole).layer(service);
        let request = Request::builder().header(CONTENT_TYPE, JSON).body(Full::from(document.clone())).unwrap();
        let future = ServiceExt::<Request<Full<Bytes>>>::ready(&mut layered).await.unwrap().call(request);
        shown.push(format!("{future:?}"));
        shown.push(format!("{:?}", future.await.unwrap()));
        let mut stream = cipher().json_encryptor();
        drop(stream.feed(&document.as_bytes()[..document.len() - 5], &mut Vec::new()));
        shown.push(format!("{stream:?}"));
        let mut stream = cipher().json_decryptor();
        drop(stream.feed(document.as_bytes(), &mut Vec::new()));
        shown.push(format!("{stream:?}"));
        shown.extend(cipher().encrypt_json(document.as_bytes()).err().map(|error| format!("{error:?} {error}")));
        shown.extend(cipher().decrypt_json(document.as_bytes()).err().map(|error| format!("{error:?} {error}")));
    }
    assert!(shown.iter().all(|text| text.len() > 5));
    check(&shown.join("\n"));
}
