//! Proves that nothing that is printed holds a value, a token or a key: an instance of every public type, made of all three,
//! in each of the ways in which it can be printed. A new type fails this until it is added, and so does a way of printing.
#![cfg(all(
    feature = "aws-kms",
    feature = "cli",
    feature = "derive",
    feature = "diesel",
    feature = "gcp-kms",
    feature = "layer",
    feature = "pkcs11",
    feature = "redact",
    feature = "schemars",
    feature = "utoipa",
    feature = "vault"
))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and tells its figures")]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::{Debug, Display};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fieldseal::audit::{Audit, AuditEvent, AuditKind};
use fieldseal::breach::{self, Cell, Duty, Form, Reach, Survey};
use fieldseal::keys::{
    DataKey, Due, KeyPurpose, KeyServices, KeyState, Keyring, KeyringFile, KeyringListing, KeyringTable, Keys,
    LocalKek, MemorySubjectKeys, Resilient, Schedule, SecretKey, Subject, SubjectKeyChange, SubjectKeyStore,
    SubjectKeyTable, SubjectKeys, Timing, VaultTransit, Witness, WrapContext, WrappedKey,
};
use fieldseal::layer::{Client, ClientError, FieldBody, Opener, Server, Tenant, TenantKeys};
use fieldseal::openapi::{self, Annotator, FindingKind};
use fieldseal::policy::{
    BlindIndex, CompoundIndex, Mask, Normalizer, Pii, PiiPlaces, RecordBinding, Reveal, Shown, Strict, Validation,
};
use fieldseal::redact::Redacting;
use fieldseal::reencrypt::{Database, EncryptedTable, Job, Place, Progress};
use fieldseal::sql::{Encrypted, EncryptedBytes};
use fieldseal::{Error, Field, FieldCipher, FieldEncryptionLayer, Policy, Scope, Tag, Timestamp};
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::Full;
use serde::Serialize;
use sqlx::sqlite::SqlitePoolOptions;
use tower::{Layer, Service, ServiceExt};

const VALUE: &str = "Tan Wei Ming, 3 Bedok North";
const KEY: [u8; 32] = *b"\xfb\xef\xff\x07\x58\xba\x44\xd2\x6e\x81\x1b\xf5\x90\x2d\xc3\x7a\
    \x05\xee\x39\xa7\x62\xd8\x14\x8b\xf0\x4d\xb6\x2a\x99\x73\xcc\x51";
/// The id of a person, and what a key service takes as a password.
const WHO: &str = "tan.wei@example.com";

/// Types that only stand in the open where their peer does, and the file of whose tests prints them.
const ELSEWHERE: [(&str, &str); 1] = [("Pkcs11Kek", "key_service_pkcs11")];
/// The one that shows its subject: a receipt is written for that, by who is asked to.
const SHOWS_WHO: &str = "ErasureReceipt as text";

/// What was printed, by type.
#[derive(Default)]
struct Printed(BTreeMap<String, Vec<String>>, BTreeSet<String>);

impl Printed {
    fn debug(&mut self, name: &str, value: &dyn Debug) {
        self.0.entry(name.to_owned()).or_default().extend([format!("{value:?}"), format!("{value:#?}")]);
    }

    fn both<T: Debug + Display>(&mut self, name: &str, value: &T) {
        self.debug(name, value);
        self.0.entry(format!("{name} as text")).or_default().push(value.to_string());
        self.1.insert(name.to_owned());
    }
}

#[tokio::test]
async fn no_public_type_shows_a_value_a_token_or_a_key() {
    let mut printed = Printed::default();
    let mut secrets = Vec::new();
    print_all(&mut printed, &mut secrets).await;

    let (types, with_display) = public_types();
    for name in &types {
        let elsewhere = ELSEWHERE.iter().find(|(other, _)| other == name);
        if let Some((_, file)) = elsewhere {
            let text = fs::read_to_string(format!("{}/tests/{file}.rs", env!("CARGO_MANIFEST_DIR"))).unwrap();
            assert!(text.contains("{kek:?}"), "{name} is not printed in {file}");
            continue;
        }
        assert!(printed.0.contains_key(name), "{name} is public, and not printed here");
        assert!(
            !with_display.contains(name) || printed.1.contains(name),
            "{name} can be printed as text, and is not here"
        );
    }
    let mut count = 0;
    for (name, shown) in &printed.0 {
        assert!(types.contains(name.trim_end_matches(" as text")), "{name} is no public type");
        for shown in shown {
            count += 1;
            for secret in &secrets {
                assert!(!shows(shown, secret.as_bytes()), "{name} shows a value or a token: {shown}");
            }
            assert!(!shows(shown, &KEY), "{name} shows a key: {shown}");
            assert!(name == SHOWS_WHO || !shown.contains(WHO), "{name} shows who it is about: {shown}");
        }
    }
    println!(
        "printed: {} public types in {count} ways, {} of them as text, {} with their peers; none shows a value, a token or a key",
        types.len(),
        with_display.len(),
        ELSEWHERE.len()
    );
    // The search finds what it looks for.
    let bytes = format!("{:?} {:?}", VALUE.as_bytes(), KEY);
    assert!(shows(&bytes, VALUE.as_bytes()) && shows(&bytes, &KEY) && shows(&STANDARD.encode(KEY), &KEY));
}

/// The public structs and enums of the library, and those of them with `Display`.
fn public_types() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut types, mut with_display) = (BTreeSet::new(), BTreeSet::new());
    let mut directories = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.extend((!path.ends_with("bin")).then_some(path));
                continue;
            }
            let source = fs::read_to_string(&path).unwrap_or_default();
            for line in source.lines().map(str::trim_start) {
                let word = |text: &str| {
                    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()
                };
                let item = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "));
                types.extend(item.map(word));
                with_display.extend(line.split_once("fmt::Display for ").map(|(_, name)| word(name)));
            }
        }
    }
    with_display.retain(|name| types.contains(name));
    assert!(types.len() > 90 && with_display.len() > 10, "{} and {}", types.len(), with_display.len());
    (types, with_display)
}

/// Whether nine bytes in a row of `secret` stand in `printed`: as text, numbers, hexadecimal digits or base64.
fn shows(printed: &str, secret: &[u8]) -> bool {
    let printed = printed.replace([' ', '\n'], "");
    secret.chunks_exact(9).any(|part| {
        let hex = part.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let list = part.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let plain = String::from_utf8_lossy(part).replace(' ', "");
        let spellings = [STANDARD.encode(part), URL_SAFE_NO_PAD.encode(part), hex.to_uppercase(), hex, list];
        spellings.iter().any(|spelling| printed.contains(spelling)) || (plain.is_ascii() && printed.contains(&plain))
    })
}

#[derive(Serialize)]
struct Customer {
    name: String,
}

static DESCRIBED: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Pii for Customer {
    const COLLECTION: Option<&'static str> = Some("customers");

    fn describe(places: &mut PiiPlaces) {
        places.member(&["name"], |place| place.tagged(None, |name| Ok(Field::new(name, Tag::Name))));
        DESCRIBED.lock().unwrap().push(format!("{places:?}"));
    }
}

fn policy() -> Policy {
    let index = BlindIndex::truncated(Normalizer::exact(), 16);
    Policy::builder("customers")
        .field(Field::new("name", Tag::Name).blind_index(index.accept_frequency_leak()))
        .field(Field::new("phone", Tag::Phone))
        .build()
        .unwrap()
}

fn data_key() -> DataKey {
    DataKey::new(&SecretKey::from_bytes(&KEY))
}

async fn print_all(printed: &mut Printed, secrets: &mut Vec<String>) {
    secrets.push(VALUE.to_owned());
    print_keys(printed).await;
    print_key_services(printed).await;
    print_subjects(printed).await;
    print_policies(printed);
    print_ciphers(printed, secrets);
    print_layer(printed).await;
    print_tables(printed, secrets).await;
    print_reports(printed);
}

async fn print_keys(printed: &mut Printed) {
    let secret = SecretKey::from_bytes(&KEY);
    printed.debug("SecretKey", &secret);
    printed.debug("DataKey", &data_key());
    printed.both("KeyId", &data_key().id());
    let kek = LocalKek::new(&secret);
    printed.debug("LocalKek", &kek);
    printed.debug("KeyServices", &KeyServices::from(&kek));
    printed.debug("Resilient", &Resilient::new(LocalKek::new(&secret)));
    printed.debug("WrappedKey", &WrappedKey::from(KEY.to_vec()));
    let context = WrapContext::data_key("customers", data_key().id()).unwrap();
    printed.both("WrapContext", &context);
    printed.debug("KeyPurpose", &[KeyPurpose::DataKey, KeyPurpose::KeyringAuthentication]);

    let directory = tempfile::tempdir().unwrap();
    let file = KeyringFile::new(directory.path().join("keyring"));
    let mut keyring = Keyring::create("customers", &kek).await.unwrap().by("operations", "the first key").unwrap();
    keyring.save(&file).await.unwrap();
    printed.debug("Keyring", &keyring);
    printed.debug("KeyEntry", &keyring.keys());
    printed.debug("Change", &keyring.changes());
    printed.debug("KeyringListing", &KeyringListing::dangerous_without_authentication(&keyring.to_json()).unwrap());
    printed.debug("Keys", &Keys::open(file.clone(), LocalKek::new(&secret)).await.unwrap());
    printed.debug("Keys", &Keys::from_data_key(data_key()));
    printed.debug("Witness", &Witness::new(file.clone(), directory.path().join("seen")));
    printed.debug("KeyringFile", &file);
    printed.both("KeyState", &KeyState::Primary);
    printed.debug("Timing", &Timing::default());
    printed.debug("Schedule", &Schedule::default());
    let since = Timestamp::from(std::time::SystemTime::UNIX_EPOCH);
    printed.both("Timestamp", &since);
    printed.both("Due", &Due::Rotation { key: data_key().id(), since });
}

async fn print_key_services(printed: &mut Printed) {
    let vault = VaultTransit::new(reqwest::Client::builder(), "https://vault.example", VALUE, "customers").unwrap();
    printed.debug("VaultTransit", &vault);
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(aws_sdk_kms::config::BehaviorVersion::latest())
        .region(aws_sdk_kms::config::Region::new("ap-southeast-1"))
        .credentials_provider(aws_sdk_kms::config::Credentials::new(VALUE, VALUE, None, None, "test"))
        .build();
    printed.debug("AwsKms", &fieldseal::keys::AwsKms::new(aws_sdk_kms::Client::from_conf(config), "alias/customers"));
    let client = google_cloud_kms_v1::client::KeyManagementService::builder()
        .with_endpoint("http://127.0.0.1:1")
        .with_credentials(google_cloud_auth::credentials::anonymous::Builder::new().build());
    printed.debug("GcpKms", &fieldseal::keys::GcpKms::new(client.build().await.unwrap(), "projects/shop"));
}

async fn print_subjects(printed: &mut Printed) {
    let table = MemorySubjectKeys::default();
    let subjects = SubjectKeys::new(table.clone(), Keys::from_data_key(data_key()));
    let subject = Subject::new(WHO).unwrap();
    let key = subjects.find_or_create(&subject).await.unwrap();
    let entry = table.get(std::slice::from_ref(&subject)).await.unwrap().pop().flatten().unwrap();
    printed.debug("Subject", &subject);
    printed.debug("SubjectKey", &key);
    printed.debug("SubjectKeyEntry", &entry);
    printed.debug("MemorySubjectKeys", &table);
    printed.debug("SubjectKeys", &subjects);
    let change = SubjectKeyChange { subject: subject.clone(), expected: entry.clone(), entry };
    printed.debug("SubjectKeyChange", &change);
    printed.both("ErasureReceipt", &subjects.erase(&subject, "they asked for it").await.unwrap());
}

fn print_policies(printed: &mut Printed) {
    let index = || BlindIndex::new(Normalizer::exact());
    let phone = Field::new("phone", Tag::Phone).blind_index(index()).mask(Mask::hidden());
    printed.debug("Field", &phone);
    printed.debug("BlindIndex", &index());
    printed.debug("Mask", &[Mask::phone(), Mask::custom(|_| VALUE.to_owned())]);
    printed.debug("Normalizer", &Normalizer::custom("other", 1, |_| Some(VALUE.to_owned())).unwrap());
    printed.debug("Validation", &Validation::new().max_length(7).required());
    printed.both("Tag", &Tag::Phone);
    let compound = CompoundIndex::new("both").part("name", Normalizer::exact()).part("phone", Normalizer::exact());
    printed.debug("CompoundIndex", &compound);
    let builder = Policy::builder("customers").field(phone);
    printed.debug("PolicyBuilder", &builder);
    printed.debug("Policy", &builder.build().unwrap());
    printed.debug("RecordBinding", &RecordBinding::required("id"));
    printed.debug("Strict", &Strict::refuse());
    printed.debug("Reveal", &Reveal::all(Shown::Masked).by("an agent"));
    printed.debug("Shown", &Shown::Plain);
    <Customer as Pii>::policy().unwrap();
    printed.0.entry("PiiPlaces".to_owned()).or_default().append(&mut DESCRIBED.lock().unwrap());
    printed.debug("Annotator", &Annotator::new(policy()));
    printed.debug("Redacting", &Redacting::new("the layer beneath"));
}

fn print_ciphers(printed: &mut Printed, secrets: &mut Vec<String>) {
    let index_keys = Keys::from_data_key(DataKey::new(&SecretKey::generate().unwrap()));
    let cipher = FieldCipher::new(policy(), Keys::from_data_key(data_key())).with_index_keys(index_keys).unwrap();
    let scope = Scope::new().tenant("acme").record("7").subject(WHO);
    printed.debug("Scope", &scope);
    let cipher = cipher.in_scope(scope).unwrap();
    printed.debug("FieldCipher", &cipher);
    let (mut row, mut opened) = (cipher.value_encryptor(), cipher.value_decryptor());
    let token = row.encrypt("name", VALUE).unwrap();
    assert_eq!(opened.decrypt::<String>("name", &token).unwrap(), VALUE);
    printed.debug("ValueEncryptor", &row);
    printed.debug("ValueDecryptor", &opened);
    let sealed = cipher.seal_record(&Customer { name: VALUE.to_owned() }).unwrap();
    printed.debug("Sealed", &sealed);
    printed.debug("Lookup", &cipher.lookup("name", VALUE).unwrap());
    secrets.push(token[4..].to_owned());
    secrets.push(sealed.as_json()[16..100].to_owned());
    printed.debug("Encrypted", &Encrypted::<String>::from_stored(&token).unwrap());
    printed.debug("EncryptedBytes", &EncryptedBytes::<String>::from_stored(&token).unwrap());
    let half = format!(r#"{{"name": "{VALUE}"#);
    for (mut stream, text) in [(cipher.json_encryptor(), &half), (cipher.json_decryptor(), &token)] {
        drop(stream.feed(text.as_bytes(), &mut Vec::new()));
        printed.debug("JsonStream", &stream);
    }
    let wrong = token.replace(&token[60..63], "AAA");
    for error in [
        cipher.encrypt_value("name", &token).map(drop).unwrap_err(),
        cipher.decrypt_value::<String>("phone", &token).unwrap_err(),
        cipher.decrypt_value::<u64>("name", &token).map(drop).unwrap_err(),
        cipher.decrypt_value::<String>("name", &wrong).unwrap_err(),
        cipher.encrypt_json(format!("{half}\" 7").as_bytes()).unwrap_err(),
        cipher.decrypt_json(format!("{half}\"}}").as_bytes()).unwrap_err(),
        LocalKek::from_env(&STANDARD.encode(KEY)).unwrap_err(),
    ] {
        printed.both("Error", &error);
        printed.debug("ErrorKind", &error.kind());
        printed.both("ClientError", &ClientError::<Error>::Protection(error));
    }
    let events = Events::default();
    let audited = cipher.with_audit(events.clone());
    assert!(audited.encrypt_value("name", &token).is_err() && audited.decrypt_value::<String>("name", &wrong).is_err());
    let events = events.0.lock().unwrap();
    assert!(events.len() >= 2);
    printed.0.entry("AuditEvent".to_owned()).or_default().extend(events.iter().cloned());
    printed.both("AuditKind", &AuditKind::TokenSubmitted);
}

/// What an audit would write.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl Audit for Events {
    fn record(&self, event: &AuditEvent<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

async fn print_layer(printed: &mut Printed) {
    type Sent = Full<bytes::Bytes>;
    let cipher = FieldCipher::new(policy(), Keys::from_data_key(data_key()))
        .with_index_keys(Keys::from_data_key(DataKey::new(&SecretKey::generate().unwrap())))
        .unwrap();
    let layer = FieldEncryptionLayer::new(cipher).unwrap().opener();
    printed.debug("FieldEncryptionLayer", &layer);
    printed.debug("FieldEncryptionLayer", &layer.clone().for_client());
    printed.debug("FieldEncryption", &layer.layer("the service"));
    printed.debug("Server", &None::<Server>);
    printed.debug("Client", &None::<Client>);
    printed.debug("Tenant", &Tenant::new("acme"));
    printed.debug("TenantKeys", &TenantKeys::from(Keys::from_data_key(data_key())));
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let mut layered = layer.layer(tower::service_fn(move |request: Request<FieldBody<Sent>>| {
        sender
            .send((format!("{:?}", request.extensions().get::<Opener>().unwrap()), format!("{:?}", request.body())))
            .unwrap();
        async {
            Ok::<_, Infallible>(
                Response::builder().header(CONTENT_TYPE, "application/json").body(request.into_body()).unwrap(),
            )
        }
    }));
    let body = Full::from(format!(r#"{{"name": "{VALUE}"}}"#));
    let request = Request::post("/").header(CONTENT_TYPE, "application/json").body(body).unwrap();
    let future = ServiceExt::<Request<Sent>>::ready(&mut layered).await.unwrap().call(request);
    printed.debug("ResponseFuture", &future);
    let response = future.await.unwrap();
    assert!(response.status().is_success(), "{}", response.status());
    printed.debug("FieldBody", response.body());
    let (opener, body) = received.recv().await.unwrap();
    printed.0.entry("Opener".to_owned()).or_default().push(opener);
    printed.0.entry("FieldBody".to_owned()).or_default().push(body);
}

async fn print_tables(printed: &mut Printed, secrets: &mut Vec<String>) {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let postgres = sqlx::PgPool::connect_lazy("postgres://shop:password@127.0.0.1:1/shop").unwrap();
    printed.debug("KeyringTable", &KeyringTable::new(postgres.clone(), "customers"));
    printed.debug("SubjectKeyTable", &[SubjectKeyTable::from(pool.clone()), SubjectKeyTable::from(postgres.clone())]);
    printed.debug("Database", &[Database::from(pool.clone()), Database::from(postgres)]);
    let policy = Policy::builder("customers").field(Field::new("name", Tag::Name)).build().unwrap();
    let cipher = FieldCipher::new(policy, Keys::from_data_key(data_key()));
    sqlx::query("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)").execute(&pool).await.unwrap();
    for id in 1..4 {
        sqlx::query("INSERT INTO customers VALUES ($1, $2)").bind(id).bind(VALUE).execute(&pool).await.unwrap();
    }
    let table = || EncryptedTable::new("customers", cipher.clone()).column("name", "name").unwrap();
    printed.debug("EncryptedTable", &table());
    printed.both("Scan", &table().scan(pool.clone()).await.unwrap());
    printed.debug("Job", &Job::encrypt_plaintext(table()));
    let (sender, mut progress) = tokio::sync::mpsc::unbounded_channel();
    let job =
        Job::encrypt_plaintext(table()).watch(move |progress: Progress| sender.send(format!("{progress:?}")).is_ok());
    let report = job.run(pool.clone()).await.unwrap();
    printed.0.entry("Progress".to_owned()).or_default().push(progress.recv().await.unwrap());
    let token: String = sqlx::query_scalar("SELECT name FROM customers LIMIT 1").fetch_one(&pool).await.unwrap();
    secrets.push(token[16..].to_owned());
    // The report of a job and that of a breach have one name.
    printed.debug("Report", &report);
    printed.debug("Place", &Place { key: "7".to_owned(), field: "name".to_owned() });
}

fn print_reports(printed: &mut Printed) {
    let token = FieldCipher::new(policy(), Keys::from_data_key(data_key())).encrypt_value("phone", VALUE).unwrap();
    for cell in [Cell::Null, Cell::Text(VALUE.as_bytes()), Cell::Text(token.as_bytes()), Cell::Binary(&KEY)] {
        printed.debug("Cell", &cell);
    }
    let dump = format!(
        "CREATE TABLE customers (id integer, name text, phone text);\nINSERT INTO customers VALUES (1, '{VALUE}', '{token}');\n"
    );
    let mut survey = Survey::new(&[], Reach::new()).unwrap();
    survey.read(dump.as_bytes(), Some(Form::Sql)).unwrap();
    survey.table("others", &["name"]);
    survey.row([Cell::Text(VALUE.as_bytes())]);
    printed.debug("Survey", &survey);
    printed.debug("Reach", &Reach::new().kek("local:0db05f1077747a36"));
    printed.debug("Form", &Form::Sql);
    printed.debug("Duty", &Duty::default());
    let report = survey.finish(&Duty::default());
    let breach::Report { tables, places, keys, notice, beside, .. } = &report;
    printed.debug("TableLine", tables);
    printed.debug("PlaceLine", places);
    printed.debug("KeyLine", keys);
    printed.debug("Notice", notice);
    printed.debug("Beside", beside);
    printed.debug("People", &tables.iter().map(|table| &table.people).collect::<Vec<_>>());
    printed.debug("KeyringLine", &report.keyrings);
    printed.both("Standing", &breach::Standing::Unknown);
    printed.both("Report", &report);

    let description = serde_json::json!({"properties": {"email": {"type": "string"}}});
    let findings = openapi::check(&description, &policy(), &[]).unwrap();
    printed.both("Finding", &findings[0]);
    printed.debug("FindingKind", &FindingKind::NotTagged);
}
