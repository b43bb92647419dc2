//! Proves that a log behind `redact::Redacting` holds no token and no value of a tagged field, in any format, and that it is
//! otherwise the log that it would be.
#![cfg(feature = "redact")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::policy::{BlindIndex, Normalizer};
use fieldseal::redact::Redacting;
use fieldseal::{Field, FieldCipher, Policy, Tag};
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Span, debug, error, info, info_span, trace, warn};
use tracing_log::{LogTracer, log};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::{Registry, registry};

/// What a log would hold.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// The built-in formats, and that of JSON in all its variants, which does not format fields as the others do.
fn formats(log: &Log) -> Vec<(&'static str, Boxed)> {
    let log = log.clone();
    let layer = || {
        let log = log.clone();
        let layer = tracing_subscriber::fmt::layer().without_time().with_ansi(false);
        layer.with_span_events(FmtSpan::NEW).with_writer(move || log.clone())
    };
    vec![
        ("full", layer().boxed()),
        ("compact", layer().compact().boxed()),
        ("pretty", layer().pretty().boxed()),
        ("json", layer().json().boxed()),
        ("flat json", layer().json().flatten_event(true).with_current_span(false).boxed()),
    ]
}

fn customers() -> Policy {
    Policy::builder("customers")
        .field(Field::new("phone", Tag::Phone).blind_index(BlindIndex::new(Normalizer::exact())))
        .field(Field::new("mobile", Tag::Phone).path("$..contactNumber"))
        .field(Field::new("address", Tag::Address))
        .build()
        .unwrap()
}

fn staff() -> Policy {
    Policy::builder("staff").field(Field::new("salary", Tag::Text)).build().unwrap()
}

fn redacting<L>(layer: L) -> Redacting<L> {
    Redacting::new(layer).fields_of(&customers()).fields_of(&staff())
}

/// Returns, for each format, what `application` logs with the layer and without it.
fn logs(application: impl Fn()) -> Vec<(&'static str, String, String)> {
    let run = |wrap: fn(Boxed) -> Boxed| {
        let log = Log::default();
        let text = |(name, layer): (&'static str, Boxed)| {
            log.0.lock().unwrap().clear();
            tracing::dispatcher::with_default(&Dispatch::new(registry().with(wrap(layer))), &application);
            (name, String::from_utf8(log.0.lock().unwrap().clone()).unwrap())
        };
        formats(&log).into_iter().map(text).collect::<Vec<_>>()
    };
    let (with, without) = (run(|layer| redacting(layer).boxed()), run(|layer| layer));
    with.into_iter().zip(without).map(|((name, with), (_, without))| (name, with, without)).collect()
}

fn token() -> String {
    let policy = Policy::builder("customers").field(Field::new("note", Tag::Text)).build().unwrap();
    let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[7; 32]))));
    cipher.encrypt_value("note", "of no matter").unwrap()
}

/// Asserts that none of `secrets` is in a log with the layer, and that each is in that without it.
#[track_caller]
fn assert_cut(secrets: &[&str], says: &[&str], application: impl Fn()) {
    for (format, with, without) in logs(application) {
        for secret in secrets {
            assert!(!with.contains(secret), "{format}: `{secret}` stands in {with}");
            assert!(without.contains(secret), "{format}: `{secret}` proves nothing, it is not in {without}");
        }
        for said in says {
            assert!(with.contains(said), "{format}: `{said}` is not in {with}");
        }
    }
}

#[derive(Debug)]
#[expect(dead_code, reason = "for its `Debug`")]
struct Customer {
    id: u64,
    phone: &'static str,
    contact_number: Option<Phone>,
    tier: &'static str,
}

#[derive(Debug)]
#[expect(dead_code, reason = "for its `Debug`")]
struct Phone(u64);

const CUSTOMER: Customer =
    Customer { id: 4711, phone: "+65 9123 4567", contact_number: Some(Phone(81_234_567)), tier: "gold" };

#[derive(Debug)]
struct Failure(String, Option<Box<Self>>);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

#[test]
fn a_log_without_anything_to_cut_stays_as_it_is_in_every_byte() {
    let application = || {
        let outer =
            info_span!("request", method = "GET", path = %"/customers/7", status = Empty, retries = 3_u8).entered();
        info!(
            number = -5,
            big = u128::MAX,
            float = 1.5,
            truth = true,
            none = Empty,
            "a \"text\" with fs1. and é\n{}",
            7
        );
        outer.record("status", 200);
        debug!(text = "a=b, \"c\": 'd'", bytes = &[1_u8, 255][..], debug = ?[Some("x"), None], display = %"y");
        let inner = info_span!(parent: None, "job", id = ?vec![1, 2]);
        warn!(parent: &inner, "in a job");
        error!(parent: None, "in nothing");
        let failure = Failure("it failed".to_owned(), Some(Box::new(Failure("at its end".to_owned(), None))));
        error!(error = &failure as &dyn Error, "a failure");
        trace!("phone and address");
        info!(target: "elsewhere", telephone = 5, "fields by another name");
        info!(a.b = 1, r#type = "t", "done");
        drop(outer);
        info!("");
    };
    for (format, with, without) in logs(application) {
        assert_eq!(with, without, "{format}");
        assert!(with.contains("in a job"), "{format}: {with}");
    }
}

#[test]
fn the_field_of_a_tagged_name_is_cut_whole_whatever_its_type() {
    let secrets = ["9123", "81234567", "Bedok", "52505", "3.25", "a1b2c3"];
    assert_cut(&secrets, &["[REDACTED]", "stored", "4711", "gold"], || {
        let span = info_span!("request", customer.phone = "+65 9123", contact_number = Empty, tier = "gold");
        span.record("contact_number", 81_234_567);
        let _entered = span.entered();
        info!(address = ?Some("3 Bedok North"), id = 4711, "stored");
        info!(contactNumber = "52505", Salary = 3.25, phone_index = "a1b2c3", "stored");
    });
}

#[test]
fn a_token_is_cut_from_every_text_and_nothing_else_of_it() {
    let (token, wrapped) = (token(), format!("{}\n    {}", &token()[..70], &token()[70..]));
    let (head, tail) = (&token[..40], &token[80..]);
    assert_cut(
        &[head],
        &["before [REDACTED token], after", "[REDACTED token] behind", "failed on [REDACTED token]"],
        || {
            let span = info_span!("request", note = token, customer = ?vec![&token], later = Empty);
            span.record("later", format!("{token} behind"));
            let _entered = span.entered();
            info!("before {token}, after");
            info!(note = %token, bytes = token.as_bytes(), "{wrapped}");
            info!(wrapped, cut = &token[..50], "pieces");
            let failure =
                Failure(format!("failed on {token}"), Some(Box::new(Failure(format!("since {token}"), None))));
            error!(error = &failure as &dyn Error, "{:?}", token);
        },
    );
    for (format, with, _) in logs(|| info!("{wrapped}, and no more")) {
        assert!(!with.contains(tail), "{format}: {with}");
        assert!(with.contains("[REDACTED token], and no more"), "{format}: {with}");
    }
}

#[test]
fn the_values_of_tagged_names_are_cut_from_texts() {
    let json = r#"{"id":4711,"phone":"+65 9123","contactNumber":81234567,"tier":"gold"}"#;
    let failure = || Failure("Key (phone)=(+65 9123) already exists".to_owned(), None);
    assert_cut(&["9123", "81234567"], &["4711", "gold", "already exists"], || {
        let _entered =
            info_span!("request", customer = ?CUSTOMER, body = json, pretty = format!("{CUSTOMER:#?}")).entered();
        info!(?CUSTOMER, body = %json, escaped = ?json, "{CUSTOMER:?}");
        info!("{json}");
        error!(error = &failure() as &dyn Error, "{}", failure());
        info!("asked for phone=+65 9123 4567, 81234567");
        for form in ["phone[]=9123", "customer[phone][0]=9123", "phone[0][number]=9123"] {
            info!("a form: {form}");
        }
    });
}

#[test]
fn records_of_the_crate_log_are_cut_and_keep_where_they_came_from() {
    LogTracer::init().unwrap();
    let token = token();
    assert_cut(&["9123", &token[..40]], &["INFO", "the::target", "a record", "[REDACTED token]"], || {
        log::info!(target: "the::target", "a record of {CUSTOMER:?} and {token}");
    });
    for (format, with, without) in logs(|| log::warn!("nothing to cut")) {
        assert_eq!(with, without, "{format}");
        assert!(with.contains("nothing to cut"), "{format}");
    }
}

#[test]
fn tokens_are_cut_without_any_policy() {
    let (log, token) = (Log::default(), token());
    for (format, layer) in formats(&log) {
        log.0.lock().unwrap().clear();
        tracing::subscriber::with_default(registry().with(Redacting::new(layer)), || info!(phone = "9123", "{token}"));
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.contains("9123") && text.contains("[REDACTED token]") && !text.contains("fs1."),
            "{format}: {text}"
        );
    }
}

#[test]
fn a_value_is_formatted_once_and_one_that_cannot_be_is_cut() {
    struct Once(Cell<bool>);
    impl fmt::Debug for Once {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            assert!(!self.0.replace(true), "it was formatted twice");
            f.write_str("9123")?;
            Err(fmt::Error)
        }
    }
    let log = Log::default();
    for (format, layer) in formats(&log) {
        log.0.lock().unwrap().clear();
        let once = Once(Cell::new(false));
        tracing::subscriber::with_default(registry().with(redacting(layer)), || info!(?once, "said"));
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("[REDACTED]") && text.contains("said") && !text.contains("9123"), "{format}: {text}");
    }
}

#[test]
fn filters_around_the_layer_decide_as_they_do_without_it() {
    let log = Log::default();
    for (format, layer) in formats(&log) {
        log.0.lock().unwrap().clear();
        let layer = redacting(layer).with_filter(LevelFilter::INFO);
        tracing::subscriber::with_default(registry().with(layer), || {
            let _entered = tracing::debug_span!("hidden").entered();
            Span::current().record("nothing", 1);
            info!(phone = "9123", "shown");
            debug!("hidden");
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("shown") && !text.contains("hidden") && !text.contains("9123"), "{format}: {text}");
    }
}

#[test]
fn the_name_of_a_value_is_found_as_far_in_front_of_it_as_it_is_looked_for() {
    let log = Log::default();
    for (distance, is_cut) in [(1024, true), (1025, false)] {
        let text = format!("phone{}=9123", " ".repeat(distance - "phone".len()));
        let (_, layer) = formats(&log).remove(0);
        tracing::subscriber::with_default(registry().with(redacting(layer)), || info!("{text}"));
        let shown = std::mem::take(&mut *log.0.lock().unwrap());
        assert_eq!(!String::from_utf8(shown).unwrap().contains("9123"), is_cut, "{distance}");
    }
}

#[test]
fn no_text_takes_long() {
    let log = Log::default();
    let token = token();
    let texts =
        ["phone=\"\"", ")=", "\" : ", " = ", "fs1.", "f s 1 .", &token[..60], " a", "{\\\"phone\\\":", "'phone':'"];
    for text in texts {
        let repeated = format!("{}{}", &token[..40], text.repeat(200_000 / text.len()));
        let (_, layer) = formats(&log).remove(0);
        let start = std::time::Instant::now();
        tracing::subscriber::with_default(registry().with(redacting(layer)), || info!("{repeated}"));
        assert!(start.elapsed().as_secs() < 20, "{text} takes {:?}", start.elapsed());
    }
}
