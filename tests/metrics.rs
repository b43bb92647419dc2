//! Proves that what the layer does is counted where it is told to be, refused requests too, and that neither a name nor a
//! label of what is recorded holds a value, a token or a tenant.
#![cfg(all(feature = "layer", feature = "metrics"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::routing::any;
use axum::{Extension, Router};
use fieldseal::layer::{Opener, Tenant};
use fieldseal::policy::{Reveal, Shown};
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Scope, Tag};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use support::{CANARIES, JSON, Recorder, Server, keys, list};

/// What a recorder was told since it was last asked.
struct Recorded {
    counters: BTreeMap<String, u64>,
    histograms: BTreeMap<String, Vec<f64>>,
    text: String,
}

impl Recorded {
    fn take(snapshotter: &Snapshotter) -> Self {
        let mut recorded = Self { counters: BTreeMap::new(), histograms: BTreeMap::new(), text: String::new() };
        for (key, unit, description, value) in snapshotter.snapshot().into_vec() {
            let labels: Vec<_> = key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let name = format!("{}{{{}}}", key.key().name(), labels.join(","));
            assert!(unit.is_some() && description.is_some(), "{name} is not described");
            writeln!(recorded.text, "{name} {description:?}").unwrap();
            match value {
                DebugValue::Counter(0) => {}
                DebugValue::Counter(count) => drop(recorded.counters.insert(name, count)),
                DebugValue::Histogram(values) if values.is_empty() => {}
                DebugValue::Histogram(values) => {
                    drop(recorded.histograms.insert(name, values.into_iter().map(|value| value.0).collect()));
                }
                DebugValue::Gauge(_) => panic!("{name} is a gauge"),
            }
        }
        recorded
    }

    /// The counters but for those that `names` do not begin like.
    fn counted(&self, names: &[&str]) -> Vec<(&str, u64)> {
        let is_asked_for = |name: &str| names.iter().any(|start| name.starts_with(start));
        let counters = self.counters.iter().filter(|(name, _)| is_asked_for(name));
        counters.map(|(name, count)| (name.as_str(), *count)).collect()
    }
}

fn cipher() -> FieldCipher {
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone))
        .field(Field::new("email", Tag::Email).null_if_unreadable())
        .field(Field::new("address", Tag::Address).allow_plaintext_until(tomorrow))
        .build()
        .unwrap();
    FieldCipher::new(policy, keys(7))
}

/// A service behind the layer, behind an authentication that lets everybody in as one person of one tenant.
async fn serve(layer: FieldEncryptionLayer, recorder: &Recorder) -> Server {
    let recorder = recorder.clone();
    let opened = |Extension(opener): Extension<Opener>| async move {
        let token = acme().encrypt_value("phone", "+65 9123 4567").unwrap();
        opener.open::<String>("phone", &token).unwrap()
    };
    let router = Router::new()
        .route("/open", any(opened))
        .fallback(any(move |request: Request| recorder.handle(request)))
        .layer(layer.tenants().opener().reveal(Reveal::all(Shown::Plain).by("siti@example.sg")))
        .layer(middleware::from_fn(|mut request: Request, next: Next| {
            request.extensions_mut().insert(Tenant::new("acme"));
            next.run(request)
        }));
    Server::router(router).await
}

fn acme() -> FieldCipher {
    cipher().in_scope(Scope::new().tenant("acme")).unwrap()
}

const CUSTOMERS: &str = r#"[{"name":"Tan Wei Ming","phone":"+65 9123 4567"},{"phone":"+65 9123 0000"}]"#;

#[tokio::test]
async fn what_the_layer_does_is_counted_and_nothing_personal_is_told() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    fieldseal::metrics::describe();
    let layer = || FieldEncryptionLayer::new(cipher()).unwrap();
    let stored = acme().encrypt_json(CUSTOMERS.as_bytes()).unwrap();
    let token = acme().encrypt_value("phone", "+65 9123 4567").unwrap();
    let elsewhere = cipher().encrypt_json(CUSTOMERS.as_bytes()).unwrap();
    let foreign = cipher().encrypt_json(br#"[{"email":"tan.wei@example.sg"},{"email":"tan.wei@example.sg"}]"#).unwrap();
    let mut broken = acme().encrypt_json(&list(300_000)).unwrap();
    broken.push(b']');
    let mut told = Recorded::take(&snapshotter).text;

    // There and back.
    let echo = serve(layer(), &Recorder::echoing()).await;
    assert_eq!(echo.post(JSON, CUSTOMERS).await.text(), CUSTOMERS);
    let exchange = Recorded::take(&snapshotter);
    assert_eq!(
        exchange.counted(&["fieldseal_"]),
        [
            ("fieldseal_audit_events_total{collection=customers,kind=revealed,field=name}", 1),
            ("fieldseal_audit_events_total{collection=customers,kind=revealed,field=phone}", 1),
            ("fieldseal_values_decrypted_total{collection=customers,field=name}", 1),
            ("fieldseal_values_decrypted_total{collection=customers,field=phone}", 2),
            ("fieldseal_values_encrypted_total{collection=customers,field=name}", 1),
            ("fieldseal_values_encrypted_total{collection=customers,field=phone}", 2),
            ("fieldseal_values_revealed_total{collection=customers,field=name}", 1),
            ("fieldseal_values_revealed_total{collection=customers,field=phone}", 2),
        ]
    );
    for (direction, received, transformed) in
        [("request", CUSTOMERS.len(), stored.len()), ("response", stored.len(), CUSTOMERS.len())]
    {
        let of = |name: &str| {
            &*exchange.histograms[&format!("fieldseal_body_{name}{{collection=customers,direction={direction}}}")]
        };
        #[expect(clippy::cast_precision_loss, reason = "the bodies are short")]
        let [received, transformed] = [received as f64, transformed as f64];
        assert_eq!((of("received_bytes"), of("transformed_bytes")), (&[received][..], &[transformed][..]));
        assert!(matches!(of("duration_seconds"), [seconds] if (1e-7..1.0).contains(seconds)));
    }
    told += &exchange.text;

    // The same while it flows.
    let long = list(300_000);
    assert_eq!(echo.post(JSON, long.clone()).await.body, long);
    let exchange = Recorded::take(&snapshotter);
    let received = &exchange.histograms["fieldseal_body_received_bytes{collection=customers,direction=request}"];
    let transformed = &exchange.histograms["fieldseal_body_transformed_bytes{collection=customers,direction=response}"];
    #[expect(clippy::cast_precision_loss, reason = "the body is short")]
    let length = long.len() as f64;
    assert_eq!((received, transformed), (&vec![length], &vec![length]));
    told += &exchange.text;

    // What a handler opens, what is stored in the clear, and what is shown as null.
    assert_eq!(echo.get("/open").await.text(), "+65 9123 4567");
    let plain = serve(layer(), &Recorder::answering(JSON, r#"{"address":"3 Bedok North"}"#)).await;
    assert_eq!(plain.get("/").await.status, 200);
    let unreadable = serve(layer(), &Recorder::answering(JSON, foreign)).await;
    assert_eq!(unreadable.get("/").await.text(), r#"[{"email":null},{"email":null}]"#);
    let exchange = Recorded::take(&snapshotter);
    assert_eq!(
        exchange.counted(&["fieldseal_plaintext_reads", "fieldseal_values_opened", "fieldseal_values_shown"]),
        [
            ("fieldseal_plaintext_reads_total{collection=customers,field=address}", 1),
            ("fieldseal_values_opened_total{collection=customers,field=phone}", 1),
            ("fieldseal_values_shown_as_null_total{collection=customers,field=email}", 2),
        ]
    );
    told += &exchange.text;

    // What is refused: tokens, a form, no JSON, a query, a body that breaks off while it flows.
    assert_eq!(echo.post(JSON, format!(r#"{{"phone":"{token}"}}"#)).await.status, 422);
    assert_eq!(echo.post(JSON, format!(r#"{{"note":"{token}"}}"#)).await.status, 422);
    assert_eq!(echo.post("text/plain", "Tan Wei Ming").await.status, 415);
    assert_eq!(echo.post(JSON, r#"{"phone":"+65 9123 4567""#).await.status, 400);
    assert_eq!(echo.get("/?phone=91234567").await.status, 422);
    let mut long = list(300_000);
    long.pop();
    assert_eq!(echo.post(JSON, long).await.status, 400);
    // What cannot be opened, whole and while it flows.
    let moved = serve(layer(), &Recorder::answering(JSON, elsewhere)).await;
    assert_eq!(moved.get("/").await.status, 500);
    let flowing = serve(layer(), &Recorder::answering(JSON, broken)).await;
    assert!(flowing.try_send(flowing.request("GET", "/").body(Body::empty()).unwrap()).await.is_err());
    let exchange = Recorded::take(&snapshotter);
    assert_eq!(
        exchange.counted(&["fieldseal_refusals", "fieldseal_audit_events_total{collection=customers,kind=token"]),
        [
            ("fieldseal_audit_events_total{collection=customers,kind=token_submitted,field=phone}", 1),
            ("fieldseal_audit_events_total{collection=customers,kind=token_submitted,field=}", 1),
            ("fieldseal_refusals_total{collection=customers,kind=decryption,direction=response}", 1),
            ("fieldseal_refusals_total{collection=customers,kind=malformed,direction=request}", 2),
            ("fieldseal_refusals_total{collection=customers,kind=malformed,direction=response}", 1),
            ("fieldseal_refusals_total{collection=customers,kind=refused,direction=request}", 1),
            ("fieldseal_refusals_total{collection=customers,kind=token_submitted,direction=request}", 2),
            ("fieldseal_refusals_total{collection=customers,kind=unsupported_media_type,direction=request}", 1),
        ]
    );
    told += &exchange.text;
    check_text(&told);
}

#[test]
fn a_long_stream_is_counted_while_it_flows() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        fieldseal::metrics::describe();
        let count = || {
            let counters = Recorded::take(&snapshotter).counters;
            counters.get("fieldseal_values_encrypted_total{collection=customers,field=phone}").copied()
        };
        let mut stream = cipher().ndjson_encryptor();
        let mut out = Vec::new();
        stream.feed(&b"{\"phone\":\"1\"}\n".repeat(4095), &mut out).unwrap();
        assert_eq!(count(), None, "what adds up is told at its end");
        stream.feed(b"{\"phone\":\"1\"}\n{\"phone\":\"1\"}\n", &mut out).unwrap();
        assert_eq!(count(), Some(4096));
        drop(stream);
        assert_eq!(count(), Some(1));
    });
}

/// Every name is one that the documentation lists, and nothing in them is what was sent, opened or stored.
fn check_text(told: &str) {
    let table = include_str!("../src/metrics/mod.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
    let listed: BTreeSet<_> = table.filter_map(|line| line.split('`').next()).collect();
    let names: BTreeSet<_> = told.lines().filter_map(|line| line.split('{').next()).collect();
    assert_eq!(names, listed);
    for secret in CANARIES.into_iter().chain(["acme", "siti", "example.sg", "fs1", "070707"]) {
        assert!(!told.contains(secret), "{secret} stands in {told}");
    }
}
