//! Proves that work that goes on for long notices keys that come and go: nothing is encrypted for storage under a key
//! that a scan may already have found gone.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use fieldseal::keys::{KeyId, Keyring, KeyringFile, Keys, LocalKek, SecretKey, Timing};
use fieldseal::{ErrorKind, FieldCipher, FieldEncryptionLayer, JsonStream};
use http::header::CONTENT_TYPE;
use support::{JSON, Recorder, Server, channel, policy};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);
const A_WHILE: Duration = Duration::from_millis(1_100);

/// A service's keys, and the keyring that they are read from.
struct Fleet {
    _directory: TempDir,
    file: KeyringFile,
    keyring: Keyring,
    keys: Keys,
}

fn kek() -> LocalKek {
    LocalKek::new(&SecretKey::from_bytes(&[7; 32]))
}

impl Fleet {
    async fn start(timing: Timing) -> Self {
        let directory = TempDir::new().unwrap();
        let file = KeyringFile::new(directory.path().join("keyring.json"));
        let mut keyring = Keyring::create("customers", &kek()).await.unwrap();
        keyring.set_timing(timing).unwrap();
        keyring.save(&file).await.unwrap();
        let keys = Keys::open(file.clone(), kek()).await.unwrap();
        Self { _directory: directory, file, keyring, keys }
    }

    fn cipher(&self) -> FieldCipher {
        FieldCipher::new(policy("customers"), self.keys.clone())
    }

    /// Puts a new key in force, and returns its id.
    async fn rotate(&mut self) -> KeyId {
        let new = self.keyring.add_key(&kek()).await.unwrap();
        self.keyring.promote_without_waiting(new).unwrap();
        self.keyring.save(&self.file).await.unwrap();
        self.keys.reload().await.unwrap();
        new
    }
}

/// A second for the longest request, and a lease.
fn short() -> Timing {
    Timing { longest_request: SECOND, ..Timing::default() }
}

fn key_ids(stored: &[u8]) -> Vec<String> {
    let text = str::from_utf8(stored).unwrap();
    text.split('"').filter(|part| part.starts_with("fs1.")).map(key_id).collect()
}

/// What the header of a token names: a version, and a key id of eight bytes.
fn key_id(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(&token[4..16]).unwrap();
    format!("{:016x}", u64::from_be_bytes(header[1..].try_into().unwrap()))
}

fn feed(stream: &mut JsonStream, part: &str) -> Vec<u8> {
    let mut out = Vec::new();
    stream.feed(part.as_bytes(), &mut out).unwrap();
    out
}

#[tokio::test]
async fn a_document_that_takes_longer_than_the_longest_request_is_refused() {
    let fleet = Fleet::start(short()).await;
    let cipher = fleet.cipher();
    for last in [Some(r#","phone":"+65 9123 4568"}"#), None] {
        let mut stream = cipher.json_encryptor();
        let end = if last.is_some() { "" } else { "}" };
        feed(&mut stream, &format!(r#"{{"name":"Tan Wei Ming"{end}"#));
        tokio::time::sleep(A_WHILE).await;
        let outcome = match last {
            Some(last) => stream.feed(last.as_bytes(), &mut Vec::new()),
            None => stream.finish(&mut Vec::new()),
        };
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert!(error.to_string().contains("`longest_request`"), "{error}");
    }
    // Until the first tagged value there is no key.
    let mut stream = cipher.json_encryptor();
    feed(&mut stream, r#"{"id":7"#);
    tokio::time::sleep(A_WHILE).await;
    feed(&mut stream, r#","phone":"+65 9123 4568"}"#);
    stream.finish(&mut Vec::new()).unwrap();
}

#[tokio::test]
async fn without_a_lease_nothing_says_how_long_a_request_may_take() {
    let fleet = Fleet::start(Timing { lease: None, ..short() }).await;
    let mut stream = fleet.cipher().json_encryptor();
    feed(&mut stream, r#"{"name":"Tan Wei Ming""#);
    tokio::time::sleep(A_WHILE).await;
    feed(&mut stream, "}");
    stream.finish(&mut Vec::new()).unwrap();
}

#[tokio::test]
async fn lines_and_rows_move_to_the_key_that_is_in_force() {
    let mut fleet = Fleet::start(Timing::default()).await;
    let old = fleet.keys.primary_id().unwrap().to_string();
    let cipher = fleet.cipher();
    let (mut lines, mut row) = (cipher.ndjson_encryptor(), cipher.value_encryptor());
    let stored = feed(&mut lines, "{\"phone\":\"1\"}\n{\"phone\":\"2\"}\n");
    assert_eq!(key_ids(&stored), [&*old, &old]);
    row.encrypt("phone", "1").unwrap();

    let new = fleet.rotate().await.to_string();
    tokio::time::sleep(A_WHILE).await;
    // The document that was begun stays under one key; the next has the new one.
    let stored = feed(&mut lines, "{\"phone\":\"3\",\"name\":\"x\"}\n{\"phone\":\"4\"}\n");
    assert_eq!(key_ids(&stored)[2], new);
    let stored = row.encrypt("phone", "2").unwrap();
    assert_eq!(key_id(&stored), new);
}

#[tokio::test]
async fn what_is_being_decrypted_finds_a_key_that_came_since() {
    let mut fleet = Fleet::start(Timing::default()).await;
    let cipher = fleet.cipher();
    let (mut stream, mut row) = (cipher.json_decryptor(), cipher.value_decryptor());
    let before = cipher.encrypt_value("phone", "1").unwrap();
    let mut out = feed(&mut stream, &format!(r#"[{{"phone":"{before}"}}"#));
    assert_eq!(row.decrypt::<String>("phone", &before).unwrap(), "1");

    fleet.rotate().await;
    let after = cipher.encrypt_value("phone", "2").unwrap();
    out.extend(feed(&mut stream, &format!(r#",{{"phone":"{after}"}}]"#)));
    assert_eq!(out, br#"[{"phone":"1"},{"phone":"2"}]"#);
    assert_eq!(row.decrypt::<String>("phone", &after).unwrap(), "2");
}

#[tokio::test]
async fn lines_and_rows_do_not_open_what_has_been_disabled_since() {
    let mut fleet = Fleet::start(Timing::default()).await;
    let cipher = fleet.cipher();
    let token = cipher.encrypt_value("phone", "1").unwrap();
    let line = format!("{{\"phone\":\"{token}\"}}\n");
    let (mut lines, mut row) = (cipher.ndjson_decryptor(), cipher.value_decryptor());
    feed(&mut lines, &line);
    row.decrypt::<String>("phone", &token).unwrap();

    let old = fleet.keys.primary_id().unwrap();
    fleet.rotate().await;
    fleet.keyring.disable(old).unwrap();
    fleet.keyring.save(&fleet.file).await.unwrap();
    fleet.keys.reload().await.unwrap();
    tokio::time::sleep(A_WHILE).await;
    feed(&mut lines, "{}\n");
    assert_eq!(lines.feed(line.as_bytes(), &mut Vec::new()).unwrap_err().kind(), ErrorKind::KeyUnavailable);
    assert_eq!(row.decrypt::<String>("phone", &token).unwrap_err().kind(), ErrorKind::KeyUnavailable);
}

#[tokio::test]
async fn a_slow_request_never_reaches_the_service_whole() {
    let fleet = Fleet::start(short()).await;
    for whole_body_limit in [64 * 1024, 0] {
        let recorder = Recorder::answering(JSON, "{}");
        let layer = FieldEncryptionLayer::new(fleet.cipher()).unwrap().whole_body_limit(whole_body_limit);
        let server = Server::axum(layer, &recorder).await;
        let (parts, body) = channel();
        let request = server.request("POST", "/customers").header(CONTENT_TYPE, JSON).body(body).unwrap();
        let slow = tokio::spawn(async move {
            parts.send(Bytes::from_static(br#"{"phone":"+65 9123 4567""#)).await.unwrap();
            tokio::time::sleep(A_WHILE).await;
            parts.send(Bytes::from_static(b"}")).await.unwrap();
        });
        let reply = server.send(request).await;
        slow.await.unwrap();
        reply.refusal(503, "keys_unavailable");
        assert!(reply.headers.contains_key("retry-after"));
        assert!(recorder.received().iter().all(|seen| seen.body.is_err()));
    }
}
