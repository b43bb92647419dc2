//! Proves that the Transit engine of OpenBao, which is Vault's, holds a key-encryption key.
#![cfg(feature = "vault")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/key_service_cases.rs"]
mod cases;

use std::env;
use std::sync::Arc;

use cases::Proxy;
use fieldseal::ErrorKind;
use fieldseal::keys::{KeyService, Keyring, KeyringFile, Keys, SecretKey, VaultTransit, WrapContext};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const TOO_MANY: &str = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

const DENIED: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn address() -> String {
    env::var("FIELDSEAL_TEST_VAULT").expect("scripts/test sets FIELDSEAL_TEST_VAULT")
}

async fn write(path: &str, body: Value) -> Value {
    let request = reqwest::Client::new().post(format!("{}/v1/{path}", address())).header("x-vault-token", "root");
    let answer = request.body(body.to_string()).send().await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&answer).unwrap_or_default()
}

/// A new key in an engine that every test shares.
async fn kek_with(options: Value) -> (String, Arc<VaultTransit>) {
    write("sys/mounts/transit", json!({ "type": "transit" })).await;
    let key =
        format!("{:016x}", u64::from_be_bytes(SecretKey::generate().unwrap().expose_secret()[..8].try_into().unwrap()));
    write(&format!("transit/keys/{key}"), options).await;
    let kek = VaultTransit::new(reqwest::Client::builder(), &address(), "root", &key).unwrap();
    (key, Arc::new(kek))
}

async fn kek() -> Arc<VaultTransit> {
    kek_with(json!({ "derived": true })).await.1
}

#[tokio::test]
#[ignore = "needs OpenBao: scripts/test"]
async fn a_wrapped_key_is_bound_to_its_context() {
    cases::is_bound_to_its_context(&kek().await, &kek().await).await;
}

#[tokio::test]
#[ignore = "needs OpenBao: scripts/test"]
async fn a_keyring_lives_under_it() {
    cases::holds_a_keyring(&kek().await).await;
}

#[tokio::test]
#[ignore = "needs OpenBao: scripts/test"]
async fn another_key_takes_over_without_a_change_to_any_token() {
    cases::hands_over(kek().await, kek().await).await;
}

#[tokio::test]
#[ignore = "needs OpenBao: scripts/test"]
async fn a_stolen_keyring_opens_nothing_of_a_shredded_epoch() {
    cases::an_epoch_dies(kek().await, kek().await, async || {}).await;
}

#[tokio::test]
#[ignore = "needs OpenBao: scripts/test"]
async fn a_service_that_is_away_is_missed_by_nobody_who_runs() {
    let proxy = Proxy::before(&address()).await;
    let (key, _) = kek_with(json!({ "derived": true })).await;
    let kek = VaultTransit::new(reqwest::Client::builder(), &proxy.address(), "root", &key).unwrap();
    cases::is_missed_by_nobody_who_runs(&proxy, Arc::new(kek), TOO_MANY).await;
}

/// The key is rotated inside the service, and its first version ends: what was wrapped again opens, the rest does not.
#[tokio::test]
#[ignore = "needs OpenBao: scripts/test"]
async fn a_rotation_inside_the_service_is_followed() {
    let (key, kek) = kek_with(json!({ "derived": true })).await;
    let directory = tempfile::TempDir::new().unwrap();
    let file = KeyringFile::new(directory.path().join("keyring.json"));
    let mut keyring = Keyring::create("customers", &kek).await.unwrap();
    keyring.save(&file).await.unwrap();
    let before = keyring.to_json();
    write(&format!("transit/keys/{key}/rotate"), json!({})).await;
    Keys::open(file.clone(), Arc::clone(&kek)).await.unwrap();
    assert_eq!(keyring.rewrap(kek.name(), &kek, &kek).await.unwrap(), 2);
    keyring.save(&file).await.unwrap();
    write(&format!("transit/keys/{key}/config"), json!({ "min_decryption_version": 2 })).await;
    Keys::open(file, Arc::clone(&kek)).await.unwrap();
    let error = Keyring::from_json(&before, &kek).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyService);
}

/// Transit's own `rewrap` keeps the derived context.
#[tokio::test]
#[ignore = "needs OpenBao: scripts/test"]
async fn what_transit_wraps_again_by_itself_opens() {
    let (key, kek) = kek_with(json!({ "derived": true })).await;
    let (secret, context) = (SecretKey::generate().unwrap(), WrapContext::keyring_authentication("customers").unwrap());
    let wrapped = kek.wrap(&secret, &context).await.unwrap();
    write(&format!("transit/keys/{key}/rotate"), json!({})).await;
    let context_text = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(context.to_bytes())
    };
    let body = json!({ "ciphertext": str::from_utf8(wrapped.as_bytes()).unwrap(), "context": context_text });
    let answer = write(&format!("transit/rewrap/{key}"), body).await;
    let rewrapped = answer["data"]["ciphertext"].as_str().unwrap();
    assert!(rewrapped.starts_with("vault:v2:"), "{rewrapped}");
    let opened = kek.unwrap(&rewrapped.as_bytes().to_vec().into(), &context).await.unwrap();
    assert_eq!(opened.expose_secret(), secret.expose_secret());
}

#[tokio::test]
#[ignore = "needs OpenBao: scripts/test"]
async fn a_key_that_ignores_its_context_is_refused() {
    let (_, kek) = kek_with(json!({})).await;
    let error = Keyring::create("customers", &kek).await.unwrap_err();
    let cause = std::error::Error::source(&error).and_then(std::error::Error::source).unwrap().to_string();
    assert!(cause.contains("derived=true"), "{cause}");
}

#[tokio::test]
#[ignore = "needs OpenBao: scripts/test"]
async fn a_token_without_permission_is_told_and_not_shown() {
    let (key, _) = kek_with(json!({ "derived": true })).await;
    let kek = VaultTransit::new(reqwest::Client::builder(), &address(), "s.secret-token", &key).unwrap();
    let error = Keyring::create("customers", &kek).await.unwrap_err();
    let shown = format!("{error} {error:?} {kek:?}");
    assert!(shown.contains("permission denied") && !shown.contains("s.secret-token"), "{shown}");
}

/// Whoever answers in Vault's place could have the token sent elsewhere.
#[tokio::test]
async fn the_token_is_not_sent_where_an_answer_points() {
    let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let answer = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
        there.local_addr().unwrap()
    );
    let proxy = Proxy::before("127.0.0.1:1").await;
    proxy.set(cases::Line::Answering(answer.leak()));
    let kek = VaultTransit::new(reqwest::Client::builder(), &proxy.address(), "root", "spring").unwrap();
    let error = Keyring::create("customers", &kek).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyService);
    let visited = tokio::time::timeout(std::time::Duration::from_millis(200), there.accept()).await;
    assert!(visited.is_err(), "somebody came");
}

#[test]
fn an_address_that_would_show_the_token_is_refused() {
    let make = |address| VaultTransit::new(reqwest::Client::builder(), address, "root", "spring");
    for address in ["http://vault.internal:8200", "ftp://127.0.0.1", "vault", "http://127.0.0.1.example.com"] {
        assert_eq!(make(address).unwrap_err().kind(), ErrorKind::KeyService, "{address}");
    }
    for address in
        ["https://vault.internal:8200/base/", "http://127.0.0.1:8200", "http://[::1]:8200", "http://localhost"]
    {
        assert_eq!(make(address).unwrap().name(), "vault:transit/spring");
    }
    for key in ["", "a/b", "a?b", "a b", "a\nb", "../x"] {
        assert!(VaultTransit::new(reqwest::Client::builder(), "https://vault", "root", key).is_err(), "{key:?}");
    }
}

#[tokio::test]
#[ignore = "needs OpenBao: scripts/test"]
async fn an_answer_that_cannot_be_read_is_not_shown() {
    let proxy = Proxy::before(&address()).await;
    let (key, _) = kek_with(json!({ "derived": true })).await;
    let kek = VaultTransit::new(reqwest::Client::builder(), &proxy.address(), "root", &key).unwrap();
    cases::shows_nothing_of_what_it_cannot_read(&proxy, &kek).await;
}

#[tokio::test]
#[ignore = "needs OpenBao: scripts/test"]
async fn what_it_refuses_for_good_is_not_asked_again() {
    let proxy = Proxy::before(&address()).await;
    let (key, _) = kek_with(json!({ "derived": true })).await;
    let kek = Arc::new(VaultTransit::new(reqwest::Client::builder(), &proxy.address(), "root", &key).unwrap());
    let answers = [(TOO_MANY, true), (DENIED, false), (cases::GARBAGE, false), (cases::UNAVAILABLE, true)];
    cases::is_asked_again_where_that_may_help(&proxy, kek, &answers).await;
}

#[tokio::test]
async fn the_mount_and_the_namespace_are_asked_for() {
    let (listener, kek) = of_a_listener().await;
    let kek = kek.namespace("shop").unwrap().mount("/eu/transit/");
    assert_eq!(kek.name(), "vault:eu/transit/spring");
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 16 * 1024];
        let length = stream.read(&mut head).await.unwrap();
        stream.write_all(cases::UNAVAILABLE.as_bytes()).await.unwrap();
        String::from_utf8(head[..length].to_vec()).unwrap()
    });
    cases::cause(&kek).await;
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("POST /v1/eu/transit/encrypt/spring HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("\r\nx-vault-namespace: shop\r\n"), "{asked}");
    assert!(kek.namespace("a\nb").is_err());
}

#[tokio::test]
async fn an_answer_of_more_than_64_kib_is_refused() {
    const LONGEST: usize = 64 * 1024;
    for (length, told) in [(LONGEST, "it sent no JSON"), (LONGEST + 1, "more than 64 KiB")] {
        let (listener, kek) = of_a_listener().await;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_ne!(stream.read(&mut [0; 16 * 1024]).await.unwrap(), 0);
            stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes()).await.unwrap();
            for part in vec![b' '; length].chunks(5000) {
                stream.write_all(part).await.unwrap();
                stream.flush().await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            stream.read(&mut [0; 16]).await
        });
        let cause = cases::cause(&kek).await;
        assert!(cause.contains(told), "{length}: {cause}");
    }
}

/// A key of what answers there.
async fn of_a_listener() -> (TcpListener, VaultTransit) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, VaultTransit::new(reqwest::Client::builder(), &address, "root", "spring").unwrap())
}
