//! Proves that a client who owns a stolen dump gets no token of it opened: every way into a service behind the layer is
//! tried, and the service is the worst that there can be. It stores whatever it gets as it gets it, and gives it back as
//! any document that the client may wish for, with each text that it ever saw, also trimmed and cleaned, in the place
//! of the victim's value.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and this one shows figures")]

mod support;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{FromRequest, Multipart};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use fieldseal::policy::{BlindIndex, Normalizer};
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use support::{Frames, Reply, Server, http_2_client, keys, within};
use tower::Layer;

/// What the victim is called, and no answer may hold.
const VICTIM: &str = "Chrysanthemum Ong";

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const EVENTS: &str = "text/event-stream";
const MERGE: &str = "application/merge-patch+json";
const PATCH: &str = "application/json-patch+json";
const FORM: &str = "application/x-www-form-urlencoded";
const PARTS: &str = "multipart/form-data; boundary=XXX";

fn cipher() -> FieldCipher {
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name).blind_index(BlindIndex::new(Normalizer::exact()).accept_frequency_leak()))
        .field(Field::new("phone", Tag::Phone))
        .build()
        .unwrap();
    FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap()
}

fn layer() -> FieldEncryptionLayer {
    let layer = FieldEncryptionLayer::new(cipher()).unwrap().file_part("file").unwrap();
    layer.search_path("/search").unwrap().lookup_path("/by-name/{name}").unwrap()
}

/// What the thief has: the victim's name as it was stored.
fn stolen() -> String {
    cipher().encrypt_value("name", VICTIM).unwrap()
}

/// The service, with the answers that it holds ready.
#[derive(Clone, Default)]
struct Mirror(Arc<Mutex<Vec<(String, Bytes)>>>);

impl Mirror {
    async fn serve(&self) -> Server {
        let mirror = self.clone();
        let service = tower::service_fn(move |request: Request<_>| {
            let mirror = mirror.clone();
            async move { Ok::<_, Infallible>(mirror.answer(request).await) }
        });
        Server::service(layer().layer(service)).await
    }

    async fn answer<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
    {
        if let Some(number) = request.uri().path().strip_prefix("/answers/") {
            let (media_type, body) = self.0.lock().unwrap()[number.parse::<usize>().unwrap()].clone();
            return Response::builder().header(CONTENT_TYPE, media_type).body(body.into()).unwrap();
        }
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return Response::builder().status(400).body(Body::empty()).unwrap();
        };
        let (trailers, body) = (body.trailers().cloned().unwrap_or_default(), body.to_bytes());
        let media_type = head.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());

        let mut texts = BTreeSet::from([head.method.to_string(), head.uri.to_string()]);
        // Percent-encoding is taken off once, of the whole and of each part.
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        for part in [target].into_iter().chain(target.split(['/', '?', '&', '=', ';'])) {
            texts.insert(percent_decoded(part));
        }
        for value in head.headers.values().chain(trailers.values()) {
            let value = String::from_utf8_lossy(value.as_bytes());
            for part in [&*value].into_iter().chain(value.split([' ', ',', ';', '='])) {
                texts.extend([part.to_owned(), percent_decoded(part)]);
            }
        }
        texts.extend(texts_of_body(media_type.as_deref().unwrap_or_default(), &body).await);

        let mut answers = Vec::new();
        let media_type = media_type.unwrap_or_else(|| JSON.to_owned());
        answers.extend([&media_type, JSON, LINES, EVENTS].map(|media_type| (media_type.to_owned(), body.clone())));
        let cleaned = |text: &str| text.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
        let spellings = texts.iter().flat_map(|text| [text.clone(), text.trim().to_owned(), cleaned(text)]);
        for text in spellings.filter(|text| text.len() > 100).collect::<BTreeSet<_>>() {
            answers.push((JSON.to_owned(), serde_json::to_vec(&serde_json::json!({ "name": text })).unwrap().into()));
        }
        *self.0.lock().unwrap() = answers;
        Response::builder().header(CONTENT_TYPE, media_type).body(body.into()).unwrap()
    }

    /// Everything that the service would say, and how many of it was a text in the victim's place.
    async fn all_answers(&self, server: &Server) -> Vec<Reply> {
        let count = self.0.lock().unwrap().len();
        let mut replies = Vec::new();
        for number in 0..count {
            // A stream that does not open breaks off.
            replies.extend(
                server
                    .try_send(server.request("GET", &format!("/answers/{number}")).body(Body::empty()).unwrap())
                    .await,
            );
        }
        replies
    }
}

fn percent_decoded(text: &str) -> String {
    form_urlencoded::parse(text.replace('&', "%26").as_bytes()).flat_map(|(a, b)| [a, b]).collect()
}

/// Every text in a body: names and values at any depth, and all that stands in the parts of a form.
async fn texts_of_body(media_type: &str, body: &Bytes) -> Vec<String> {
    fn gather(value: &serde_json::Value, texts: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => {
                texts.push(text.clone());
                // Documents in texts are documents to many a service.
                if let Ok(inner @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) =
                    serde_json::from_str(text)
                {
                    gather(&inner, texts);
                }
            }
            serde_json::Value::Array(elements) => elements.iter().for_each(|element| gather(element, texts)),
            serde_json::Value::Object(members) => {
                texts.extend(members.keys().cloned());
                members.values().for_each(|value| gather(value, texts));
            }
            _ => {}
        }
    }
    let mut texts = vec![String::from_utf8_lossy(body).into_owned()];
    let mut pieces: Vec<Bytes> = vec![body.clone()];
    if media_type.starts_with("multipart/") {
        let request = Request::builder().header(CONTENT_TYPE, media_type).body(Body::from(body.clone())).unwrap();
        if let Ok(mut form) = Multipart::from_request(request, &()).await {
            while let Ok(Some(part)) = form.next_field().await {
                texts.extend(
                    [part.name(), part.file_name(), part.content_type()].into_iter().flatten().map(str::to_owned),
                );
                texts.extend(
                    part.headers().values().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
                );
                pieces.extend(part.bytes().await.ok());
            }
        }
    } else if media_type.starts_with(FORM) {
        for (name, value) in form_urlencoded::parse(body) {
            pieces.extend([name, value].map(|text| Bytes::from(text.into_owned())));
        }
    }
    for piece in pieces {
        texts.push(String::from_utf8_lossy(&piece).into_owned());
        for line in [&*piece].into_iter().chain(piece.split(|&byte| byte == b'\n')) {
            if let Ok(value) = serde_json::from_slice(line) {
                gather(&value, &mut texts);
            }
        }
    }
    texts
}

/// What an attempt comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// The layer refuses it: 422, `token_submitted`.
    Token,
    /// The layer refuses it for another reason: 400, 413, 415 or 422, with this code.
    Refused(&'static str),
    /// The server refuses it before the layer sees it.
    NoHttp,
    /// It reaches the service as a value of the attacker's own, encrypted anew.
    Encrypted,
    /// It reaches the service as a text that is no token.
    Text,
}
use Outcome::{Encrypted, NoHttp, Refused, Text, Token};

const UNKNOWN: Outcome = Refused("unsupported_media_type");
const MALFORMED: Outcome = Refused("malformed");
const ASKS: Outcome = Refused("refused");

/// How it is sent.
enum Sent {
    /// By a client that keeps to HTTP.
    Proper(Request<Body>),
    /// By the same, over HTTP/2.
    Http2(Request<Body>),
    /// Bytes on a socket.
    Raw(Vec<u8>),
}

struct Attempt {
    what: String,
    sent: Sent,
    outcome: Outcome,
}

/// The table, as it grows. Requests name the host `x`, in the place of which the server's address is put.
struct Table {
    token: String,
    attempts: Vec<Attempt>,
}

impl Table {
    fn add(&mut self, what: impl Into<String>, sent: Sent, outcome: Outcome) {
        self.attempts.push(Attempt { what: what.into(), sent, outcome });
    }

    /// A body by `POST`. `$T` in it is the stolen token.
    fn body(&mut self, media_type: &str, body: &str, outcome: Outcome) {
        self.bytes(media_type, body, body.replace("$T", &self.token).into_bytes(), outcome);
    }

    fn bytes(&mut self, media_type: &str, what: &str, body: Vec<u8>, outcome: Outcome) {
        let request = || Request::post("http://x/customers").header(CONTENT_TYPE, media_type);
        // The same in small pieces, each of which cuts the token elsewhere.
        let pieces = Frames::cut(&body, &[29]).into_body();
        self.add(format!("{media_type}: {what}"), Sent::Proper(request().body(body.into()).unwrap()), outcome);
        self.add(format!("{media_type}, in pieces: {what}"), Sent::Proper(request().body(pieces).unwrap()), outcome);
    }

    fn request(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &str, outcome: Outcome) {
        let mut request = Request::builder().method(&*method.replace("$T", &self.token));
        request = request.uri(format!("http://x{}", target.replace("$T", &self.token)));
        let mut what = format!("{method} {target}");
        for (name, value) in headers {
            request = request.header(*name, value.replace("$T", &self.token));
            what.extend([" ", name, ": ", value]);
        }
        let body = body.replace("$T", &self.token);
        self.add(what, Sent::Proper(request.body(body.into()).unwrap()), outcome);
    }

    /// A head and a body as they are, with `$T` for the token and LF for the ends of lines. The connection is closed.
    fn raw(&mut self, what: &str, request: &str, outcome: Outcome) {
        let request = request.replace('\n', "\r\n").replace("HTTP/1.1\r\n", "HTTP/1.1\r\nconnection: close\r\n");
        self.add(format!("raw: {what}"), Sent::Raw(request.replace("$T", &self.token).into_bytes()), outcome);
    }
}

/// Every character as an escape of JSON.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("\\u{byte:04x}")).collect::<Vec<_>>().concat()
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat()
}

fn json_rows(table: &mut Table) {
    let token = table.token.clone();
    let (front, back) = token.split_at(60);
    let all = escaped(&token);
    let binary = URL_SAFE_NO_PAD.decode(&token[4..]).unwrap();
    let in_latin = binary.iter().map(|byte| format!("\\u{byte:04x}")).collect::<Vec<_>>().concat();
    for (document, outcome) in [
        // In its own field, in another, in none.
        (r#"{"name":"$T"}"#.to_owned(), Token),
        (r#"{"phone":"$T"}"#.to_owned(), Token),
        (r#"{"bio":"$T"}"#.to_owned(), Token),
        (r#"{"Name":"$T"}"#.to_owned(), Token),
        (r#"{"name\u0000":"$T"}"#.to_owned(), Token),
        (r#""$T""#.to_owned(), Token),
        (r#"["$T"]"#.to_owned(), Token),
        (r#"[[[[{"a":[{"b":["$T"]}]}]]]]"#.to_owned(), Token),
        (r#"{"a":{"b":{"name":"$T"}}}"#.to_owned(), Token),
        (r#"{"$T":1}"#.to_owned(), Token),
        (r#"{"a":{"$T":{"name":"x"}}}"#.to_owned(), Token),
        (r#"{"name":"x","name":"$T"}"#.to_owned(), Token),
        (r#"{"name":"$T","name":"x"}"#.to_owned(), Token),
        (r#"{"bio":"x","bio":"$T","name":"x"}"#.to_owned(), Token),
        (r#"{"na\u006de":"$T"}"#.to_owned(), Token),
        // Within a value that is encrypted whole.
        (r#"{"name":["$T"]}"#.to_owned(), Token),
        (r#"{"name":{"name":"$T"}}"#.to_owned(), Token),
        (r#"{"name":"my name is $T"}"#.to_owned(), Encrypted),
        (r#"{"name":" $T"}"#.to_owned(), Encrypted),
        (r#"{"name":"$T\u200b"}"#.to_owned(), Encrypted),
        // Spelled with escapes.
        (format!(r#"{{"name":"{all}"}}"#), Token),
        (format!(r#"{{"bio":"{all}"}}"#), Token),
        (format!(r#"{{"{all}":0}}"#), Token),
        (format!(r#"{{"bio":"{}"}}"#, all.to_uppercase().replace("\\U", "\\u")), Token),
        (r#"{"bio":"$T"}"#.replace("$T", &token.replace("fs1.", "\\u0066s1.")), Token),
        (r#"{"bio":"$T"}"#.replace("$T", &token.replace("fs1.", "fs1\\u002E")), Token),
        // With something around it or within it, that a service may take out.
        (r#"{"bio":"  $T\n"}"#.to_owned(), Token),
        (r#"{"bio":"see $T, please"}"#.to_owned(), Token),
        (r#"{"bio":"\"$T\""}"#.to_owned(), Token),
        (r#"{"bio":"\ud800$T\udfff"}"#.to_owned(), Token),
        (r#"{"bio":"\u0000$T\u0000"}"#.to_owned(), Token),
        (r#"{"bio":"<b>$T</b>"}"#.to_owned(), Token),
        (r#"{"bio":"$T_-_"}"#.to_owned(), Token),
        (r#"{"bio":"x$T"}"#.to_owned(), Token),
        (r#"{"bio":"fs1.fs1.$T"}"#.to_owned(), Token),
        (format!(r#"{{"bio":"{front} {back}"}}"#), Token),
        (format!(r#"{{"bio":"{front}\r\n{back}"}}"#), Token),
        (format!(r#"{{"bio":"{front}\u200b{back}"}}"#), Token),
        (format!(r#"{{"bio":"{front}\u00ad{back}"}}"#), Token),
        (format!(r#"{{"bio":"f s 1 . {}"}}"#, &token[4..]), Token),
        (r#"{"bio":"$T $T"}"#.to_owned(), Token),
        // A document in a text, which many a service reads as one.
        (r#"{"bio":"{\"name\":\"$T\"}"}"#.to_owned(), Token),
        (format!(r#"{{"bio":"{{\"name\":\"{}\"}}"}}"#, all.replace('\\', "\\\\")), Token),
        (format!(r#"{{"bio":"{{\"name\":\"{}\"}}"}}"#, token.replace("fs1.", "\\\\u0066s1.")), Token),
        (
            format!(r#"{{"bio":"{{\"a\":\"{{\\\"name\\\":\\\"{}\\\"}}\"}}"}}"#, token.replace("fs1.", r"\\\\u0066s1.")),
            Token,
        ),
        (format!(r#"{{"{{\"name\":\"{}\"}}":1}}"#, token.replace("fs1.", r"\\u0066s1.")), Token),
        // What is no token, in no reading but one of the service's own.
        (format!(r#"{{"bio":"{}"}}"#, token.to_uppercase()), Text),
        (format!(r#"{{"bio":"{}"}}"#, &token[4..]), Text),
        (format!(r#"{{"bio":"{}"}}"#, &token[..token.len() - 1]), Text),
        (format!(r#"{{"bio":"{}"}}"#, token.chars().rev().collect::<String>()), Text),
        (format!(r#"{{"bio":"{}"}}"#, token.replace("fs1.", "\u{ff46}\u{ff53}\u{ff11}\u{ff0e}")), Text),
        (format!(r#"{{"bio":"{}"}}"#, STANDARD.encode(&token)), Text),
        (format!(r#"{{"bio":"fs1.{}"}}"#, STANDARD.encode(&binary).replace(['A', 'B', 'C'], "+")), Text),
        (format!(r#"{{"bio":"{}"}}"#, percent_encoded(&token)), Text),
        (format!(r#"{{"name":"{}"}}"#, STANDARD.encode(&binary)), Encrypted),
        (format!(r#"{{"name":"{in_latin}"}}"#), Encrypted),
        (format!(r#"{{"bio":"{in_latin}"}}"#), Text),
        (format!(r#"{{"bio":["{front}","{back}"]}}"#), Text),
        // What is no JSON.
        (r#"{"name":'$T'}"#.to_owned(), MALFORMED),
        (r#"{name:"$T"}"#.to_owned(), MALFORMED),
        (r#"{"a":1}/*$T*/"#.to_owned(), MALFORMED),
        (r#"{"a":1}$T"#.to_owned(), MALFORMED),
        ("$T".to_owned(), MALFORMED),
        ("\u{feff}{\"name\":\"$T\"}".to_owned(), MALFORMED),
        ("\u{1e}{\"name\":\"$T\"}\n".to_owned(), MALFORMED),
        // Ways to ask the service to move it.
        (r#"{"op":"add","path":"/name","value":"$T"}"#.to_owned(), ASKS),
        (r#"{"$rename":{"bio":"name"},"bio":"$T"}"#.to_owned(), Token),
        (r#"{"query":"mutation { set(name: \"$T\") { name } }"}"#.to_owned(), Token),
        (r#"{"query":"mutation($n: String!) { set(name: $n) { name } }","variables":{"n":"$T"}}"#.to_owned(), Token),
        (r#"{"jsonrpc":"2.0","method":"set","params":["name","$T"],"id":"$T"}"#.to_owned(), Token),
        // The index beside it.
        (r#"{"name_index":"$T"}"#.to_owned(), ASKS),
        (r#"{"name_index":"fi1.AAAAAAAAAAAAAAAAAAAAAA"}"#.to_owned(), ASKS),
    ] {
        table.body(JSON, &document, outcome);
    }
    for utf16 in [u16::to_le_bytes, u16::to_be_bytes] {
        let document = r#"{"name":"$T"}"#.replace("$T", &token);
        let bytes =
            |mark: &str| mark.chars().chain(document.chars()).flat_map(|c| utf16(c as u16)).collect::<Vec<u8>>();
        table.bytes(JSON, "UTF-16", bytes(""), MALFORMED);
        table.bytes(JSON, "UTF-16 with a mark", bytes("\u{feff}"), MALFORMED);
    }
    let latin = [br#"{"bio":""#.to_vec(), binary, br#""}"#.to_vec()].concat();
    table.bytes(JSON, "the binary form", latin, MALFORMED);
    let padded = format!(r#"{{"a":"{}","bio":"$T"}}"#, "x".repeat(70_000));
    table.body(JSON, &padded, Token);
    table.body(JSON, &format!(r#"{{"bio":"{}$T"}}"#, "x ".repeat(40_000)), Token);
    let inner = token.replace("fs1.", r"\\u0066s1.");
    table.body(JSON, &format!(r#"{{"bio":"[\"{}\",{{\"name\":\"{inner}\"}}]"}}"#, "x ".repeat(40_000)), Token);
}

fn media_type_rows(table: &mut Table) {
    let document = r#"{"bio":"$T"}"#;
    for media_type in [
        "Application/JSON",
        "application/json; charset=UTF-8",
        "application/vnd.api+json",
        "text/json",
        "application/ld+json",
    ] {
        table.body(media_type, document, Token);
    }
    for media_type in [
        "text/plain",
        "application/octet-stream",
        "application/json-seq",
        "application/json5",
        "application/xml",
        "application/yaml",
        "application/cbor",
        "application/graphql",
        "application/x-protobuf",
        "multipart/mixed; boundary=XXX",
        EVENTS,
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "application/json; charset=\"utf-8\"; charset=utf-16",
        "json",
        "*/*",
    ] {
        table.body(media_type, document, UNKNOWN);
    }
    table.body(EVENTS, "data: {\"name\":\"$T\"}\n\n", UNKNOWN);
    table.request("POST", "/", &[], document, UNKNOWN);
    table.request("POST", "/", &[("content-type", JSON), ("content-type", "text/plain")], document, UNKNOWN);
    for coding in ["gzip", "deflate", "br", "x-gzip", "identity, gzip", "aes128gcm"] {
        table.request("POST", "/", &[("content-type", JSON), ("content-encoding", coding)], document, UNKNOWN);
    }
    table.request("POST", "/", &[("content-type", JSON), ("content-encoding", "identity")], document, Token);

    for (lines, outcome) in [
        ("{\"a\":1}\n{\"name\":\"$T\"}\n", Token),
        ("{\"bio\":\"$T\"}", Token),
        ("{\"bio\":\"{\\\"name\\\":\\\"$T\\\"}\"}", Token),
        ("\"$T\"\n", Token),
        ("{\"a\":1}\n$T\n", MALFORMED),
        ("{\"a\":1} {\"name\":\"$T\"}\n", MALFORMED),
    ] {
        table.body(LINES, lines, outcome);
        table.body("application/jsonl", lines, outcome);
    }
    for (patch, outcome) in [
        (r#"{"name":"$T"}"#, Token),
        (r#"{"bio":"$T"}"#, Token),
        (r#"{"name":{"$T":null}}"#, Token),
        (r#"{"a":{"$T":null}}"#, Token),
    ] {
        table.body(MERGE, patch, outcome);
    }
    for (patch, outcome) in [
        (r#"[{"op":"add","path":"/name","value":"$T"}]"#, Token),
        (r#"[{"op":"replace","path":"/bio","value":"$T"}]"#, Token),
        (r#"[{"op":"test","path":"/name","value":"$T"}]"#, ASKS),
        (r#"[{"value":"$T","path":"/kin/-","op":"add"}]"#, Token),
        (r#"[{"op":"add","path":"/kin/-","value":{"name":"x","bio":["$T"]}}]"#, Token),
        (r#"[{"op":"add","path":"/$T","value":1}]"#, Token),
        (r#"[{"op":"copy","from":"/$T","path":"/name"}]"#, Token),
        (r#"[{"op":"remove","path":"/a/$T"}]"#, Token),
        (r#"[{"op":"$T","path":"/name"}]"#, MALFORMED),
        (r#"[{"op":"remove","path":"/a","note":"$T"}]"#, MALFORMED),
        (r#"{"op":"add","path":"/name","value":"$T"}"#, MALFORMED),
    ] {
        table.body(PATCH, patch, outcome);
    }
}

fn form_rows(table: &mut Table) {
    let token = table.token.clone();
    let (front, back) = token.split_at(60);
    let (escapes, percents) = (token.replace("fs1.", "\\u0066s1."), percent_encoded(&token));
    for (form, outcome) in [
        ("name=$T".to_owned(), Token),
        ("bio=$T".to_owned(), Token),
        ("$T=1".to_owned(), Token),
        ("$T".to_owned(), Token),
        ("a=1&&b=2&bio=$T&".to_owned(), Token),
        ("a=1;bio=$T".to_owned(), Token),
        ("bio[a][]=$T".to_owned(), Token),
        ("_method=PATCH&bio=$T".to_owned(), Token),
        (format!("name={percents}"), Token),
        (format!("bio={percents}"), Token),
        (format!("%62io={percents}"), Token),
        (format!("bio={front}+{back}"), Token),
        (format!("bio={front}%0d%0a{back}"), Token),
        (format!("bio={front}%E2%80%8B{back}"), Token),
        ("bio=%22$T%22".to_owned(), Token),
        ("bio={\"name\":\"$T\"}".to_owned(), Token),
        (format!("bio={{\"name\":\"{escapes}\"}}"), Token),
        (format!("bio={}", percent_encoded(&format!("{{\"name\":\"{escapes}\"}}"))), Token),
        (format!("1\n{{\"name\":\"{escapes}\"}}"), Token),
        (format!("a=1\n\ndata: {{\"name\":\"{escapes}\"}}\n\n"), Token),
        ("name=see+$T".to_owned(), Token),
        (format!("bio={}", percent_encoded(&percents)), Text),
        (format!("bio={front}&bio={back}"), Text),
        ("{\"name\":\"$T\"}".to_owned(), UNKNOWN),
        ("\n [\"$T\"]".to_owned(), UNKNOWN),
        ("name_index=$T".to_owned(), Token),
        ("_charset_=utf-16&bio=$T".to_owned(), Token),
    ] {
        table.body(FORM, &form, outcome);
    }
    let part = |head: &str, body: &str| format!("--XXX\r\n{head}\r\n\r\n{body}\r\n");
    let text = |body: &str| part("Content-Disposition: form-data; name=\"bio\"", body);
    let file = |kind: &str, body: &str| {
        let disposition = "Content-Disposition: form-data; name=\"file\"; filename=\"a\"";
        part(&format!("{disposition}\r\nContent-Type: {kind}"), body)
    };
    let document = format!("{{\"name\":\"{escapes}\"}}");
    for (parts, outcome) in [
        (text("$T"), Token),
        (text(" $T\n"), Token),
        (text("{\"name\":\"$T\"}"), Token),
        (text(&document), Token),
        (part("Content-Disposition: form-data; name=\"name\"", "$T"), Token),
        (part("Content-Disposition: form-data; name=\"name\"", "see $T"), Encrypted),
        (part("Content-Disposition: form-data; name=\"$T\"", "x"), Token),
        (part("Content-Disposition: form-data; name=\"file\"; filename=\"$T\"", "x"), Token),
        (part("Content-Disposition: form-data; name=\"file\"; filename=\"a\"; filename*=UTF-8''$T", "x"), Token),
        (part("Content-Disposition: form-data; name=\"bio\"\r\nX-Note: $T", "x"), Token),
        (part("Content-Disposition: form-data; name=\"bio\"\r\nContent-Type: text/plain; charset=$T", "x"), Token),
        (
            part("Content-Disposition: form-data; name=\"bio\"\r\nContent-Type: text/plain; charset=utf-16", "$T"),
            UNKNOWN,
        ),
        (part("Content-Disposition: form-data; name=\"bio\"\r\nContent-Transfer-Encoding: base64", "$T"), MALFORMED),
        (part("Content-Disposition: attachment; name=\"bio\"", "$T"), MALFORMED),
        (part("X: 1", "$T"), MALFORMED),
        (file("text/csv", "$T"), Token),
        (file("application/json", "{\"name\":\"$T\"}"), Token),
        (file("application/json", &document), Token),
        (file("application/json", &format!("{{\"name\":\"{}\"}}", escaped(&token))), Token),
        (file("text/event-stream", &format!("\n\ndata: {document}\n\n")), Token),
        (file("text/plain", &format!("{front}\r\n{back}")), Token),
        (file("multipart/mixed; boundary=YYY", "--YYY\r\n\r\n$T\r\n--YYY--"), Token),
        (file("application/octet-stream", "x") + &text("$T"), Token),
        (file("application/octet-stream", &percents), Text),
        (format!("$T\r\n{}", text("x")), MALFORMED),
        (text("x") + "--XXX--\r\n$T", MALFORMED),
    ] {
        let end = if parts.contains("--XXX--") { "" } else { "--XXX--\r\n" };
        table.body(PARTS, &format!("{parts}{end}"), outcome);
    }
    table.body("multipart/form-data", &text("$T"), MALFORMED);
    table.body("multipart/form-data; boundary=XXX; boundary=YYY", &text("$T"), MALFORMED);
}

fn head_rows(table: &mut Table) {
    let token = table.token.clone();
    let (front, back) = token.split_at(60);
    let percents = percent_encoded(&token);
    for (target, outcome) in [
        ("/$T".to_owned(), Token),
        ("/a/$T/b?x".to_owned(), Token),
        (format!("/{percents}"), Token),
        (format!("/{front}%20{back}"), Token),
        (format!("/{front}/{back}"), Token),
        ("/a;v=$T".to_owned(), Token),
        ("/?q=$T".to_owned(), Token),
        ("/?$T".to_owned(), Token),
        (format!("/?{percents}=1"), Token),
        (format!("/?q={percents}"), Token),
        (format!("/?q={front}+{back}"), Token),
        ("/?a=1;q=$T".to_owned(), Token),
        ("/?filter={%22bio%22:%22$T%22}".to_owned(), Token),
        (format!("/?q=%7B%22name%22:%22%5Cu0066{}%22%7D", &token[1..]), Token),
        ("/?name=$T".to_owned(), Token),
        ("/by-name/$T".to_owned(), Token),
        ("/?phone=$T".to_owned(), Token),
        (format!("/?q={}", percent_encoded(&percents)), Text),
        (format!("/?q={front}&r={back}"), Text),
        ("/?name_index=fi1.AAAAAAAAAAAAAAAAAAAAAA".to_owned(), ASKS),
        ("/?phone=9123".to_owned(), ASKS),
    ] {
        table.request("GET", &target, &[], "", outcome);
    }
    for (name, value, outcome) in [
        ("x-note", "$T", Token),
        ("authorization", "Bearer $T", Token),
        ("cookie", "session=$T; b=2", Token),
        ("cookie", "session=\"$T\"", Token),
        ("if-match", "\"$T\"", Token),
        ("referer", "https://x/?q=$T", Token),
        ("user-agent", "$T/1.0", Token),
        ("link", "</$T>; rel=next", Token),
        ("idempotency-key", "$T", Token),
        ("forwarded", "for=\"$T\"", Token),
        ("accept", "application/json; v=$T", Token),
        ("range", "$T=0-1", Token),
        ("x-http-method-override", "$T", Token),
        ("content-disposition", "attachment; filename*=UTF-8''$T", Token),
        ("x-list", "a,$T,b", Token),
    ] {
        table.request("GET", "/", &[(name, value)], "", outcome);
    }
    table.request("GET", "/", &[("cookie", &format!("a={percents}"))], "", Token);
    table.request("GET", "/", &[("x-note", &format!("{front} {back}"))], "", Token);
    table.request("GET", "/", &[("x-note", &format!("{{\"name\":\"\\u0066{}\"}}", &token[1..]))], "", Token);
    table.request("GET", "/", &[("x-note", front), ("x-note", back)], "", Text);
    table.request(
        "GET",
        "/",
        &[("authorization", &format!("Basic {}", STANDARD.encode(format!("{token}:x"))))],
        "",
        Text,
    );
    table.request("$T", "/", &[], "", Token);
    let overridden = [("x-http-method-override", "PATCH"), ("content-type", JSON)];
    table.request("POST", "/", &overridden, r#"[{"op":"add","path":"/bio","value":"$T"}]"#, ASKS);
    for (method, body) in [("GET", r#"{"bio":"$T"}"#), ("DELETE", r#"{"bio":"$T"}"#), ("PATCH", r#"{"bio":"$T"}"#)] {
        table.request(method, "/", &[("content-type", JSON)], body, Token);
    }
    for (media_type, search, outcome) in [
        (JSON, r#"{"name":"$T"}"#, Token),
        (JSON, r#"{"where":{"bio":"$T"}}"#, Token),
        (JSON, r#"{"or":[{"$T":1}]}"#, Token),
        (JSON, r#"{"phone":"9123"}"#, ASKS),
        (JSON, r#"{"name_index":"$T"}"#, ASKS),
        (FORM, "name=$T", Token),
        (FORM, "q=$T", Token),
        (MERGE, r#"{"bio":"$T"}"#, UNKNOWN),
    ] {
        table.request("POST", "/search", &[("content-type", media_type)], search, outcome);
    }
}

fn raw_rows(table: &mut Table) {
    let token = table.token.clone();
    let (front, back) = token.split_at(60);
    let document = format!(r#"{{"bio":"{token}"}}"#);
    let head = "POST / HTTP/1.1\nhost: x\ncontent-type: application/json\n";
    let chunk = |piece: &str| format!("{:x}\n{piece}\n", piece.len());
    let chunked = format!("{head}transfer-encoding: chunked\n\n");
    let (first, rest) = document.split_at(50);
    table.raw("cut by a chunk", &format!("{chunked}{}{}0\n\n", chunk(first), chunk(rest)), Token);
    let bytes: String = document.chars().map(|c| chunk(&c.to_string())).collect();
    table.raw("a byte a chunk", &format!("{chunked}{bytes}0\n\n"), Token);
    table.raw("in an extension of a chunk", &format!("{chunked}2;a=$T\n{{}}\n0;b=$T\n\n"), Text);
    table.raw("in a trailer", &format!("{chunked}2\n{{}}\n0\nx-note: $T\n\n"), Token);
    table.raw(
        "in an announced trailer",
        &format!("{head}trailer: x-note\ntransfer-encoding: chunked\n\n2\n{{}}\n0\nx-note: $T\n\n"),
        Token,
    );
    table.raw("in an encoded trailer", &format!("{chunked}2\n{{}}\n0\nx-note: {}\n\n", percent_encoded(&token)), Token);
    // Two ways to tell the length.
    let both = format!("{head}content-length: 2\ntransfer-encoding: chunked\n\n{}0\n\n", chunk(&document));
    table.raw("both lengths", &both, Token);
    let length = document.len();
    table.raw("two lengths", &format!("{head}content-length: 2\ncontent-length: {length}\n\n{document}"), NoHttp);
    table.raw("an odd length", &format!("{head}content-length: +{length}\n\n{document}"), NoHttp);
    for coding in ["identity", "chunked, identity", "xchunked", "gzip, chunked"] {
        let request = format!("{head}transfer-encoding: {coding}\n\n{}0\n\n", chunk(&document));
        table.raw(
            &format!("transfer coding {coding}"),
            &request,
            if coding == "gzip, chunked" { Token } else { NoHttp },
        );
    }
    let hidden =
        format!("POST / HTTP/1.1\nhost: x\ncontent-type: application/json\ncontent-length: {length}\n\n{document}");
    table.raw(
        "a request in the body of another",
        &format!("{head}content-length: {}\n\n{hidden}", hidden.len() + 7),
        MALFORMED,
    );
    table.raw("a request behind another", &format!("GET / HTTP/1.1\nhost: x\n\n{hidden}"), Text);
    // Heads.
    table.raw("in the target as a whole", "GET http://$T/ HTTP/1.1\nhost: x\n\n", Token);
    table.raw("in the target, before the host", "GET http://$T@x/ HTTP/1.1\nhost: x\n\n", Token);
    table.raw("in a fragment", "GET /#$T HTTP/1.1\nhost: x\n\n", Text);
    table.raw("in the host", "GET / HTTP/1.1\nhost: $T\n\n", Token);
    table.raw("in a header's name", "GET / HTTP/1.1\nhost: x\n$T: 1\n\n", Text);
    table.raw("in a folded header", &format!("GET / HTTP/1.1\nhost: x\nx-note: {front}\n {back}\n\n"), NoHttp);
    table.raw("in a tunnel", "CONNECT $T:443 HTTP/1.1\nhost: x\n\n", ASKS);
    table.raw("in another protocol", "GET / HTTP/1.1\nhost: x\nupgrade: $T\nconnection: upgrade\n\n", Token);
    table.raw(
        "in settings of HTTP/2",
        "GET / HTTP/1.1\nhost: x\nupgrade: h2c\nhttp2-settings: $T\nconnection: upgrade\n\n",
        Token,
    );
    table.raw(
        "in HTTP/1.0",
        &format!("POST / HTTP/1.0\ncontent-type: application/json\ncontent-length: {length}\n\n{document}"),
        Token,
    );
    table.raw("in HTTP/0.9", "GET /$T\n\n", NoHttp);
    table.raw("awaited", &format!("{head}expect: 100-continue\ncontent-length: {length}\n\n{document}"), Token);
    table.raw("in bytes beyond ASCII", "GET / HTTP/1.1\nhost: x\nx-note: \u{e9}$T\u{e9}\n\n", Token);
}

fn http_2_rows(table: &mut Table) {
    let token = table.token.clone();
    let post = || Request::post("http://x/customers").header(CONTENT_TYPE, JSON);
    let document = format!(r#"{{"bio":"{token}"}}"#);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-note", token.parse().unwrap());
    let get = |uri: String| Request::get(uri).body(Body::empty()).unwrap();
    let with =
        |name: HeaderName, value: &str| Request::get("http://x/").header(name, value).body(Body::empty()).unwrap();
    let crumbs = Request::get("http://x/").header("cookie", &token[..60]).header("cookie", &token[60..]);
    for (what, request, outcome) in [
        ("a body", post().body(document.clone().into()).unwrap(), Token),
        ("frames", post().body(Frames::cut(document.as_bytes(), &[11]).into_body()).unwrap(), Token),
        ("trailers", post().body(Frames::cut(b"{}", &[2]).and_trailers(trailers).into_body()).unwrap(), Token),
        ("the path", get(format!("http://x/{token}")), Token),
        ("a query", get(format!("http://x/?q={token}")), Token),
        ("a header", with(HeaderName::from_static("x-note"), &token), Token),
        ("a cookie", with(http::header::COOKIE, &format!("a=1; b={token}")), Token),
        ("a cookie in two crumbs", crumbs.body(Body::empty()).unwrap(), Text),
        ("a tagged value", post().body(document.replace("bio", "name").into()).unwrap(), Token),
        ("a new value", post().body(r#"{"name":"Lim"}"#.into()).unwrap(), Encrypted),
    ] {
        table.add(format!("HTTP/2: {what}"), Sent::Http2(request), outcome);
    }
}

fn table() -> Vec<Attempt> {
    let mut table = Table { token: stolen(), attempts: Vec::new() };
    json_rows(&mut table);
    media_type_rows(&mut table);
    form_rows(&mut table);
    head_rows(&mut table);
    raw_rows(&mut table);
    http_2_rows(&mut table);
    table.attempts
}

/// What came of an attempt, and all that the attacker then gets to see.
async fn made(server: &Server, mirror: &Mirror, sent: Sent) -> (Option<Outcome>, Vec<Vec<u8>>) {
    mirror.0.lock().unwrap().clear();
    let (status, first) = match sent {
        Sent::Raw(bytes) => {
            let bytes = server.raw_or_nothing(&bytes).await;
            let head = String::from_utf8_lossy(&bytes).into_owned();
            // What is only on its way to an answer is none.
            let mut statuses = head.split("HTTP/1.").skip(1).filter_map(|part| part.get(2..5)?.parse().ok());
            (statuses.find(|status: &u16| *status != 100).unwrap_or(0), bytes)
        }
        Sent::Proper(request) => {
            let reply = server.try_send(at(server, request)).await.unwrap();
            (reply.status.as_u16(), seen(&reply))
        }
        Sent::Http2(request) => {
            let response = within(http_2_client().request(at(server, request))).await.unwrap();
            let reply = within(Reply::read(response)).await.unwrap();
            (reply.status.as_u16(), seen(&reply))
        }
    };
    let text = String::from_utf8_lossy(&first).into_owned();
    let code = ["token_submitted", "malformed", "unsupported_media_type", "refused", "too_large"]
        .into_iter()
        .find(|code| text.contains(&format!("\"code\":\"{code}\"")));
    let reached = !mirror.0.lock().unwrap().is_empty();
    let stored = mirror.0.lock().unwrap().iter().map(|(_, body)| body.clone()).next().unwrap_or_default();
    let outcome = match (code, reached) {
        (Some("token_submitted"), false) if status == 422 => Some(Token),
        (Some(code), false) if (400..500).contains(&status) => Some(Refused(code)),
        (None, false) if status == 0 || (400..500).contains(&status) => Some(NoHttp),
        (None, true) if status == 200 && holds_a_new_token(&stored) => Some(Encrypted),
        (None, true) if matches!(status, 200 | 500) => Some(Text),
        _ => None,
    };
    let mut all = vec![first];
    all.extend(mirror.all_answers(server).await.iter().map(seen));
    (outcome, all)
}

/// The request with the server's address for the host `x`.
fn at(server: &Server, mut request: Request<Body>) -> Request<Body> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = server.uri(target).parse().unwrap();
    request
}

/// Whether a value of the attacker's own was encrypted.
fn holds_a_new_token(stored: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stored);
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
    words.any(|word| {
        let opened = |field| cipher().decrypt_value::<serde_json::Value>(field, word);
        ["name", "phone"].into_iter().any(|field| opened(field).is_ok_and(|value| value != VICTIM))
    })
}

/// All of a reply.
fn seen(reply: &Reply) -> Vec<u8> {
    format!("{:?} {:?} {}", reply.headers, reply.trailers, String::from_utf8_lossy(&reply.body)).into_bytes()
}

fn shows_the_victim(bytes: &[u8]) -> bool {
    bytes.windows(13).any(|window| window == &VICTIM.as_bytes()[..13])
}

/// Otherwise nobody would hear of a token that passed.
#[tokio::test]
async fn a_token_that_did_get_in_would_be_heard() {
    let mirror = Mirror::default();
    let server = mirror.serve().await;
    let document = |token: &str| format!(r#"{{"name":"{token}"}}"#);
    let plain = document(&stolen());
    for (media_type, body) in [
        (JSON, plain.clone()),
        (JSON, document(&escaped(&stolen()))),
        (LINES, format!("{{}}\n{plain}\n")),
        (EVENTS, format!("data: {plain}\n\n")),
    ] {
        *mirror.0.lock().unwrap() = vec![(media_type.to_owned(), body.clone().into())];
        assert!(
            mirror.all_answers(&server).await.iter().any(|reply| shows_the_victim(&seen(reply))),
            "{media_type} {body}"
        );
    }
}

/// Where the layer's reach ends: a service that makes a token of what is none places it wherever it likes. Only tokens
/// that are bound to their records do not open there.
#[tokio::test]
async fn what_the_service_puts_together_itself_opens_unless_tokens_are_bound_to_records() {
    use fieldseal::policy::RecordBinding;

    let bound = Policy::builder("customers").bind_records(RecordBinding::required("id"));
    let bound = FieldCipher::new(bound.field(Field::new("name", Tag::Name)).build().unwrap(), keys(7));
    let stolen_and_bound = bound.in_record("7").unwrap().encrypt_value("name", VICTIM).unwrap();
    for (layer, token, opens) in
        [(layer(), stolen(), true), (FieldEncryptionLayer::new(bound).unwrap(), stolen_and_bound, false)]
    {
        let sent = [
            serde_json::json!({ "id": 9, "parts": [&token[..60], &token[60..]] }),
            serde_json::json!({ "id": 9, "parts": ["fs1", ".", &token[4..]] }),
        ];
        for sent in sent {
            // It joins what was sent, and answers with it as a name.
            let joining = support::Recorder::new(|received| {
                let document: serde_json::Value = serde_json::from_slice(received.bytes()).unwrap();
                let parts = document["parts"].as_array().unwrap().iter().map(|part| part.as_str().unwrap());
                let answer = serde_json::json!({ "id": 9, "name": parts.collect::<String>() });
                Response::builder().header(CONTENT_TYPE, JSON).body(answer.to_string().into()).unwrap()
            });
            let server = Server::hyper(layer.clone(), &joining).await;
            let reply = server.post(JSON, sent.to_string()).await;
            assert_eq!((reply.status == 200, shows_the_victim(&seen(&reply))), (opens, opens));
        }
    }
}

#[tokio::test]
async fn no_stolen_token_is_opened_whatever_is_sent() {
    let mirror = Mirror::default();
    let server = mirror.serve().await;
    let (mut attempts, mut answers, mut faults) = (0, 0, Vec::new());
    for Attempt { what, sent, outcome } in table() {
        let (seen, all) = made(&server, &mirror, sent).await;
        if all.iter().any(|bytes| shows_the_victim(bytes)) {
            faults.push(format!("opened: {what:.300?}"));
        }
        if seen != Some(outcome) {
            faults.push(format!("{seen:?} instead of {outcome:?}: {what:.300?}"));
        }
        attempts += 1;
        answers += all.len();
    }
    println!("{attempts} attempts, {answers} answers, {} with another end than expected", faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
