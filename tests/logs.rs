//! Proves that neither the log of a whole process, of every crate in it and at every level, nor an error of any kind holds a
//! value, a token or a key: keyrings, key services, people and their erasure, decoys, searches over HTTP and jobs on tables.
#![cfg(all(feature = "layer", feature = "sqlite", feature = "key-service"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and tells its figures")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::error::Error as _;
use std::fs;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use fieldseal::keys::{
    KeyService, Keyring, KeyringFile, Keys, LocalKek, MemorySubjectKeys, Resilient, SecretKey, Subject, SubjectKeys,
    WrapContext,
};
use fieldseal::layer::{ClientError, FieldBody};
use fieldseal::policy::{BlindIndex, Normalizer, Reveal, Shown, Strict, Validation};
use fieldseal::reencrypt::{EncryptedTable, Job};
use fieldseal::{Error, ErrorKind, Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::Full;
use sqlx::sqlite::SqlitePoolOptions;
use support::{JSON, Recorder, Server};
use tower::{Layer, Service, ServiceExt};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Letters and digits alone, so that it is the same however a text is encoded.
const VALUE: &str = "TanWeiMing91234567BedokNorth";
/// The id of a person.
const WHO: &str = "tanweimingatexampledotcom";
/// The key-encryption key.
const KEK: [u8; 32] = *b"\xfb\xef\xff\x07\x58\xba\x44\xd2\x6e\x81\x1b\xf5\x90\x2d\xc3\x7a\
    \x05\xee\x39\xa7\x62\xd8\x14\x8b\xf0\x4d\xb6\x2a\x99\x73\xcc\x51";
/// They cannot be provoked here: the operating system would have to fail, and whether it locks memory is its own affair
/// (`tests/memory_lock.rs`).
const UNPROVOKED: [&str; 2] = ["Randomness", "Memory"];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

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

#[tokio::test]
async fn neither_a_log_nor_an_error_of_any_kind_holds_a_value_a_token_or_a_key() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .without_time()
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let directory = tempfile::tempdir().unwrap();

    let mut story = Story::begin(&directory).await;
    story.keys(&directory).await;
    story.values();
    story.people().await;
    story.layer().await;
    story.tables().await;
    story.panics();

    let provoked: BTreeSet<_> = story.errors.iter().map(|error| format!("{:?}", error.kind())).collect();
    let source = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/error.rs")).unwrap();
    let (_, kinds) = source.split_once("pub enum ErrorKind {").unwrap();
    let kinds = kinds.lines().map_while(|line| (line != "}").then(|| line.trim()));
    let kinds = kinds.filter_map(|line| line.strip_suffix(',').filter(|name| name.chars().all(char::is_alphanumeric)));
    let missing: Vec<_> = kinds.filter(|kind| !provoked.contains(*kind) && !UNPROVOKED.contains(kind)).collect();
    assert!(missing.is_empty(), "no error of these kinds was provoked: {missing:?}");

    for error in &story.errors {
        // As an application that tells everything would log it.
        tracing::error!(%error, ?error, source = error.source(), "{error:#?}");
        let mut cause = error.source();
        while let Some(source) = cause {
            tracing::error!("{source} {source:?} {source:#?}");
            cause = source.source();
        }
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let log = format!("{log}\n{}", story.panicked.join("\n"));
    for said in ["hyper", "sqlx", "fieldseal::audit", "erased", "decoy", "token_submitted", "a request was refused"] {
        assert!(log.contains(said), "the log does not speak of `{said}`, so it proves little");
    }
    let mut count = 0;
    for secret in story.secrets() {
        count += 1;
        let shown = log.lines().find(|line| line.contains(&secret));
        assert!(shown.is_none(), "`{secret}` stands in {shown:?}");
    }
    println!(
        "logs: {} lines of all crates at every level, {} errors of {} kinds and {} panics, searched for {count} pieces of \
         values, tokens and keys: none",
        log.lines().count(),
        story.errors.len(),
        provoked.len(),
        story.panicked.len()
    );
}

struct Story {
    keys: Keys,
    cipher: FieldCipher,
    tokens: Vec<String>,
    raw_keys: Vec<Vec<u8>>,
    errors: Vec<Error>,
    panicked: Vec<String>,
}

fn kek() -> LocalKek {
    LocalKek::new(&SecretKey::from_bytes(&KEK))
}

fn policy() -> Policy {
    let index = || BlindIndex::new(Normalizer::exact());
    Policy::builder("customers")
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone).blind_index(index()))
        .field(Field::new("code", Tag::Text).validate(Validation::new().max_length(3)))
        .build()
        .unwrap()
}

impl Story {
    async fn begin(directory: &tempfile::TempDir) -> Self {
        let mut raw_keys = vec![KEK.to_vec()];
        let mut opened = Vec::new();
        for name in ["customers", "indexes"] {
            let file = KeyringFile::new(directory.path().join(name));
            let mut keyring = Keyring::create(name, &kek()).await.unwrap();
            keyring.save(&file).await.unwrap();
            let document: serde_json::Value = serde_json::from_slice(&keyring.to_json()).unwrap();
            for (pointer, context) in [
                ("/keys/0/wrapped", WrapContext::data_key(name, keyring.keys()[0].id()).unwrap()),
                ("/authentication/wrapped", WrapContext::keyring_authentication(name).unwrap()),
            ] {
                let wrapped = STANDARD.decode(document.pointer(pointer).unwrap().as_str().unwrap()).unwrap();
                raw_keys.push(kek().unwrap(&wrapped.into(), &context).await.unwrap().expose_secret().to_vec());
            }
            opened.push(Keys::open(file, Resilient::new(kek())).await.unwrap());
        }
        let index_keys = opened.pop().unwrap();
        let keys = opened.pop().unwrap();
        let cipher = FieldCipher::new(policy(), keys.clone()).with_index_keys(index_keys).unwrap();
        Self { keys, cipher, tokens: Vec::new(), raw_keys, errors: Vec::new(), panicked: Vec::new() }
    }

    /// Pieces of all that must not be told.
    fn secrets(&self) -> BTreeSet<String> {
        let mut secrets = BTreeSet::from([VALUE[..10].to_owned(), VALUE[10..].to_owned(), WHO.to_owned()]);
        // Behind the key id, which is told: nonce, ciphertext and tag.
        secrets.extend(self.tokens.iter().flat_map(|token| [token[20..36].to_owned(), token[60..80].to_owned()]));
        for key in &self.raw_keys {
            for part in key.chunks_exact(9) {
                let hex = part.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
                let list = part.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                secrets.extend([STANDARD.encode(part), URL_SAFE_NO_PAD.encode(part), hex.to_uppercase(), hex, list]);
            }
        }
        secrets
    }

    #[track_caller]
    fn fails<T>(&mut self, kind: ErrorKind, result: Result<T, Error>) {
        let error = result.map(drop).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        self.errors.push(error);
    }

    async fn keys(&mut self, directory: &tempfile::TempDir) {
        self.keys.reload().await.unwrap();
        let path = directory.path().join("customers");
        let mut keyring = Keyring::load(&KeyringFile::new(&path), &kek()).await.unwrap();
        let pending = keyring.add_key(&kek()).await.unwrap();
        self.fails(ErrorKind::TooEarly, keyring.promote(pending));
        let other = LocalKek::new(&SecretKey::generate().unwrap());
        self.fails(ErrorKind::Keyring, Keyring::from_json(&keyring.to_json(), &other).await);
        let context = WrapContext::data_key("customers", pending).unwrap();
        self.fails(ErrorKind::KeyService, kek().unwrap(&KEK.to_vec().into(), &context).await);
        for text in [VALUE.to_owned(), STANDARD.encode(KEK)] {
            let place = directory.path().join("wrong");
            fs::write(&place, &text).unwrap();
            // Open to other users, and no keyring either.
            self.fails(ErrorKind::Keyring, LocalKek::from_file(&place));
            self.fails(ErrorKind::Keyring, Keyring::from_json(text.as_bytes(), &kek()).await);
            self.fails(ErrorKind::Keyring, LocalKek::from_env(&STANDARD.encode(KEK)));
        }
    }

    fn values(&mut self) {
        let cipher = self.cipher.clone();
        let token = cipher.encrypt_value("name", VALUE).unwrap();
        let other = FieldCipher::new(policy(), support::keys(8)).encrypt_value("name", VALUE).unwrap();
        let document = |value: &str| format!(r#"{{"name": "{value}"}}"#);
        self.fails(ErrorKind::Malformed, cipher.encrypt_json(document(VALUE).replace('}', VALUE).as_bytes()));
        self.fails(ErrorKind::TooLarge, cipher.encrypt_value("name", &VALUE.repeat(40_000)));
        self.fails(ErrorKind::TokenSubmitted, cipher.encrypt_json(document(&token).as_bytes()));
        self.fails(ErrorKind::Validation, cipher.encrypt_value("code", VALUE));
        let masked = cipher.revealing(&Reveal::all(Shown::Masked));
        self.fails(
            ErrorKind::Refused,
            masked.encrypt_json(document(&format!("{VALUE}\u{2022}\u{2022}\u{2022}\u{2022}")).as_bytes()),
        );
        self.fails(ErrorKind::Decryption, cipher.decrypt_value::<String>("phone", &token));
        self.fails(ErrorKind::NotEncrypted, cipher.decrypt_json(document(VALUE).as_bytes()));
        self.fails(ErrorKind::KeyUnavailable, cipher.decrypt_value::<String>("name", &other));
        self.fails(ErrorKind::InvalidValue, cipher.decrypt_value::<u64>("name", &token));
        self.fails(ErrorKind::InvalidValue, cipher.encrypt_value("name", &BTreeMap::from([((1, 2), VALUE)])));
        let strict = Policy::builder("customers").field(Field::new("name", Tag::Name)).strict(Strict::refuse());
        let strict = FieldCipher::new(strict.build().unwrap(), self.keys.clone());
        let personal = format!(r#"{{"other": "{VALUE}@example.com"}}"#);
        self.fails(ErrorKind::Unprotected, strict.encrypt_json(personal.as_bytes()));
        let twice =
            Policy::builder("customers").field(Field::new("name", Tag::Name)).field(Field::new("name", Tag::Text));
        self.fails(ErrorKind::Policy, twice.build());
        // A decoy that is opened.
        let decoy = cipher.making_decoys().encrypt_value("name", VALUE).unwrap();
        let watching = cipher.alarm_on_decoys();
        assert_eq!(watching.decrypt_value::<String>("name", &decoy).unwrap(), VALUE);
        self.tokens.extend([token, other, decoy]);
    }

    async fn people(&mut self) {
        let subjects = SubjectKeys::new(MemorySubjectKeys::default(), self.keys.clone());
        let subject = Subject::new(WHO).unwrap();
        self.fails(ErrorKind::NotFound, subjects.erase(&subject, "they asked for it").await);
        let own = self.cipher.for_subject(&subjects.find_or_create(&subject).await.unwrap()).unwrap();
        self.tokens.push(own.encrypt_value("name", VALUE).unwrap());
        subjects.erase(&subject, "they asked for it").await.unwrap();
        self.fails(ErrorKind::Erased, subjects.find_or_create(&subject).await);
    }

    async fn layer(&mut self) {
        let layer = || FieldEncryptionLayer::new(self.cipher.clone()).unwrap().search_path("/search").unwrap();
        let stored = self.cipher.encrypt_json(format!(r#"[{{"name": "{VALUE}"}}]"#).as_bytes()).unwrap();
        let stored = String::from_utf8(stored).unwrap();
        let token = stored[stored.find("fs1.").unwrap()..].split('"').next().unwrap().to_owned();
        let server = Server::axum(layer(), &Recorder::answering(JSON, stored)).await;
        let form = "application/x-www-form-urlencoded";
        for (method, target, media_type, body) in [
            ("GET", format!("/?phone={VALUE}"), JSON, String::new()),
            ("GET", format!("/?name={VALUE}"), JSON, String::new()),
            ("GET", format!("/{token}?a={token}"), JSON, String::new()),
            ("POST", "/search".to_owned(), JSON, format!(r#"{{"phone": "{VALUE}"}}"#)),
            ("POST", "/search".to_owned(), JSON, format!(r#"{{"name": "{VALUE}"}}"#)),
            ("POST", "/search".to_owned(), form, format!("phone={VALUE}")),
            ("POST", "/".to_owned(), form, format!("name={VALUE}&name={VALUE}&code={VALUE}")),
            ("POST", "/".to_owned(), form, format!("a={token}")),
            ("PUT", "/".to_owned(), JSON, format!(r#"{{"name": "{VALUE}", "code": "{VALUE}"}}"#)),
            ("PUT", "/".to_owned(), VALUE, VALUE.to_owned()),
        ] {
            let request = server.request(method, &target).header(CONTENT_TYPE, media_type).header("x-a", VALUE);
            let reply = server.send(request.body(Body::from(body)).unwrap()).await;
            // What is refused repeats nothing of it.
            assert!(
                reply.status.is_success() || !reply.text().contains(&VALUE[..10]),
                "{method} {target}: {}",
                reply.text()
            );
            assert!(!reply.text().contains(&token[20..36]), "{method} {target}: {}", reply.text());
        }
        server.stop().await;

        for (media_type, body, answer) in
            [("text/plain", VALUE.to_owned(), ""), (JSON, "{}".to_owned(), "{\"name\": \"")]
        {
            let answer = format!("{answer}{VALUE}");
            let service = tower::service_fn(move |request: Request<FieldBody<Full<Bytes>>>| {
                let answer = answer.clone();
                async move {
                    drop(request);
                    Ok::<_, Infallible>(
                        Response::builder().header(CONTENT_TYPE, JSON).body(Full::<Bytes>::from(answer)).unwrap(),
                    )
                }
            });
            let mut client = layer().for_client().layer(service);
            let request = Request::post("/").header(CONTENT_TYPE, media_type).body(Full::from(body)).unwrap();
            let client = ServiceExt::<Request<Full<Bytes>>>::ready(&mut client).await.unwrap();
            match client.call(request).await.map(drop) {
                Err(ClientError::Protection(error)) => self.errors.push(error),
                other => panic!("{other:?}"),
            }
        }
        self.tokens.push(token);
    }

    async fn tables(&mut self) {
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        let create = "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT CHECK (length(name) < 200))";
        sqlx::query(create).execute(&pool).await.unwrap();
        for value in [VALUE, &VALUE.repeat(5)] {
            sqlx::query("INSERT INTO customers (name) VALUES ($1)").bind(value).execute(&pool).await.unwrap();
        }
        let end = SystemTime::now() + Duration::from_secs(3600);
        let policy = Policy::builder("customers").field(Field::new("name", Tag::Name).allow_plaintext_until(end));
        let cipher = FieldCipher::new(policy.build().unwrap(), self.keys.clone());
        let table = || EncryptedTable::new("customers", cipher.clone()).column("name", "name").unwrap();
        table().scan(pool.clone()).await.unwrap();
        // The token of the longer value does not fit.
        let job = Job::encrypt_plaintext(table()).lease(Duration::from_secs(1));
        self.fails(ErrorKind::Database, job.run(pool.clone()).await);
        sqlx::query("DELETE FROM customers WHERE length(name) > 100").execute(&pool).await.unwrap();
        Job::encrypt_plaintext(table()).run(pool.clone()).await.unwrap();
        let token: Option<String> =
            sqlx::query_scalar("SELECT name FROM customers").fetch_optional(&pool).await.unwrap();
        self.tokens.extend(token);
        table().scan(pool.clone()).await.unwrap();
        Job::reencrypt(table()).run(pool.clone()).await.unwrap();
        Job::dangerous_decrypt_to_plaintext(table()).run(pool).await.unwrap();
    }

    /// Code of the application that panics on a value: nothing of ours repeats it, and all goes on.
    fn panics(&mut self) {
        let panicked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&panicked);
        let former = panic::take_hook();
        panic::set_hook(Box::new(move |info| heard.lock().unwrap().push(format!("{info} {info:?}"))));
        let broken = || Normalizer::custom("broken", 1, |_| panic!("the application's own words")).unwrap();
        let policy = Policy::builder("customers")
            .field(Field::new("name", Tag::Name).validate(Validation::new().canonical(broken())))
            .field(Field::new("phone", Tag::Phone).blind_index(BlindIndex::new(broken())));
        let index_keys = support::keys(9);
        let cipher = FieldCipher::new(policy.build().unwrap(), self.keys.clone()).with_index_keys(index_keys).unwrap();
        let document = |field: &str| format!(r#"{{"{field}": "{VALUE}"}}"#);
        for field in ["name", "phone"] {
            let mut stream = cipher.json_encryptor();
            let mut out = Vec::new();
            let result = panic::catch_unwind(AssertUnwindSafe(|| stream.feed(document(field).as_bytes(), &mut out)));
            assert!(result.is_err() && !String::from_utf8_lossy(&out).contains(VALUE), "{field}");
            // What broke in the middle is not gone on with, and says nothing of what it holds.
            panicked.lock().unwrap().push(format!("{stream:?}"));
            self.fails(ErrorKind::Malformed, stream.finish(&mut out));
            assert!(panic::catch_unwind(AssertUnwindSafe(|| cipher.lookup("phone", VALUE))).is_err());
        }
        panic::set_hook(former);
        self.panicked = std::mem::take(&mut *panicked.lock().unwrap());
        assert!(self.panicked.len() >= 4);
        // The same keys go on.
        self.values();
    }
}
