//! What every key service must do, told once.

use std::time::{Duration, Instant};

use fieldseal::keys::{
    KeyId, KeyService, KeyServices, KeyState, Keyring, KeyringFile, Keys, Resilient, SecretKey, Timing, WrapContext,
    WrappedKey,
};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};
use tempfile::TempDir;

#[path = "proxy.rs"]
mod proxy;
pub(crate) use proxy::{Line, Proxy};

fn cipher(keys: &Keys) -> FieldCipher {
    let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build().unwrap();
    FieldCipher::new(policy, keys.clone())
}

fn file() -> (TempDir, KeyringFile) {
    let directory = TempDir::new().unwrap();
    let file = KeyringFile::new(directory.path().join("keyring.json"));
    (directory, file)
}

fn key_id(byte: u8) -> KeyId {
    format!("{byte:016x}").parse().unwrap()
}

/// A wrapped key opens under its own key and context, and under no other.
pub(crate) async fn is_bound_to_its_context(kek: &dyn KeyService, other_kek: &dyn KeyService) {
    let secret = SecretKey::generate().unwrap();
    let context = WrapContext::data_key("customers", key_id(1)).unwrap();
    let wrapped = kek.wrap(&secret, &context).await.unwrap();
    assert_eq!(kek.unwrap(&wrapped, &context).await.unwrap().expose_secret(), secret.expose_secret());
    let contains = |part: &[u8]| wrapped.as_bytes().windows(part.len()).any(|window| window == part);
    assert!(!contains(&secret.expose_secret()[..16]), "a wrapped key is not the key");
    for context in [
        WrapContext::data_key("customers", key_id(2)).unwrap(),
        WrapContext::data_key("others", key_id(1)).unwrap(),
        WrapContext::keyring_authentication("customers").unwrap(),
    ] {
        let error = kek.unwrap(&wrapped, &context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyService, "{context}");
    }
    let error = other_kek.unwrap(&wrapped, &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyService);
    for bytes in [&b""[..], b"x", &wrapped.as_bytes()[1..], &wrapped.as_bytes()[..wrapped.as_bytes().len() - 1]] {
        assert!(kek.unwrap(&WrappedKey::from(bytes.to_vec()), &context).await.is_err());
    }
    let mut changed = wrapped.as_bytes().to_vec();
    // Not the last character: of base64, that may hold bits that stand for nothing.
    let place = changed.len() - 4;
    changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
    assert!(kek.unwrap(&changed.into(), &context).await.is_err());
}

/// A keyring under it is made, opened, changed and opened again, and holds no key.
pub(crate) async fn holds_a_keyring(kek: &dyn KeyService) {
    let (_directory, file) = file();
    let mut keyring = Keyring::create("customers", kek).await.unwrap();
    keyring.save(&file).await.unwrap();
    let load = async || Keyring::load(&file, kek).await.unwrap();
    assert_eq!(load().await.to_json(), keyring.to_json());
    let new = keyring.add_key(kek).await.unwrap();
    keyring.promote_without_waiting(new).unwrap();
    keyring.save(&file).await.unwrap();
    assert_eq!(load().await.keys().len(), 2);
}

/// All keys are wrapped again by `new`; tokens stay, and `old` is no longer needed.
pub(crate) async fn hands_over(old: impl KeyService + Clone + 'static, new: impl KeyService + Clone + 'static) {
    let (_directory, file) = file();
    let mut keyring = Keyring::create("customers", &old).await.unwrap();
    keyring.save(&file).await.unwrap();
    let keys = Keys::open(file.clone(), KeyServices::from(old.clone()).and(new.clone())).await.unwrap();
    let token = cipher(&keys).encrypt_value("phone", "+65 9123 4567").unwrap();
    let count = keyring.rewrap(old.name(), &old, &new).await.unwrap();
    assert_eq!(count, 2, "the data key and the authentication key");
    keyring.save(&file).await.unwrap();
    keys.reload().await.unwrap();
    for keys in [keys, Keys::open(file.clone(), new.clone()).await.unwrap()] {
        assert_eq!(cipher(&keys).decrypt_value::<String>("phone", &token).unwrap(), "+65 9123 4567");
    }
    let error = Keys::open(file, old).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Keyring);
    assert!(error.to_string().contains(new.name()), "{error}");
}

/// A keyring of two epochs is stolen, and the first epoch's key destroyed: with the second's alone, nothing of the first
/// opens, in the keyring in use or in the copy. `end` does what time does where a key only dies after days.
pub(crate) async fn an_epoch_dies(
    spring: impl KeyService + Clone + 'static,
    autumn: impl KeyService + Clone + 'static,
    end: impl AsyncFnOnce(),
) {
    let (directory, file) = file();
    let mut keyring = Keyring::create("customers", &spring).await.unwrap();
    let zero = Duration::ZERO;
    keyring.set_timing(Timing { rehearsal: zero, ..Timing::single_process() }).unwrap();
    keyring.save(&file).await.unwrap();
    let both = || KeyServices::from(spring.clone()).and(autumn.clone());
    let keys = Keys::open(file.clone(), both()).await.unwrap();
    let old_token = cipher(&keys).encrypt_value("phone", "+65 9123 4567").unwrap();
    let new = keyring.add_key(&autumn).await.unwrap();
    keyring.promote_without_waiting(new).unwrap();
    keyring.authenticate_by(&autumn).await.unwrap();
    keyring.save(&file).await.unwrap();
    keys.reload().await.unwrap();
    let new_token = cipher(&keys).encrypt_value("phone", "+65 8123 4567").unwrap();

    let stolen = directory.path().join("stolen.json");
    std::fs::copy(directory.path().join("keyring.json"), &stolen).unwrap();
    let thief = Keys::open(KeyringFile::new(&stolen), both()).await.unwrap();
    assert_eq!(cipher(&thief).decrypt_value::<String>("phone", &old_token).unwrap(), "+65 9123 4567", "while it lives");

    let old = keyring.keys()[0].id();
    keyring.disable(old).unwrap();
    keyring.forget_with_everything_under_it(old, 1).unwrap();
    let (mut handed_over, stolen_before) = handed_over(&spring, &autumn).await;
    Keyring::from_json(&stolen_before, &spring).await.unwrap();
    let receipt = spring.destroy().await.unwrap();
    assert!(!receipt.is_empty());
    end().await;
    keyring.shred(spring.name(), &receipt).unwrap();
    assert_eq!(handed_over.shred(spring.name(), &receipt).unwrap(), [], "the other one wrapped it, too");
    assert_eq!(handed_over.keys()[0].state(), KeyState::Forgotten);
    let error = Keyring::from_json(&stolen_before, &spring).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyService);
    for refusal in [handed_over.add_key(&spring).await.map(drop), handed_over.authenticate_by(&spring).await] {
        assert!(refusal.unwrap_err().to_string().contains("was destroyed"));
    }
    keyring.save(&file).await.unwrap();
    let keys = Keys::open(file, both()).await.unwrap();
    assert_eq!(cipher(&keys).decrypt_value::<String>("phone", &new_token).unwrap(), "+65 8123 4567");
    assert!(cipher(&keys).decrypt_value::<String>("phone", &old_token).is_err());

    // The copy still names the dead key; whoever holds it and the living one is told that it does not unwrap.
    let error = Keys::open(KeyringFile::new(&stolen), both()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyService);
}

/// A keyring whose forgotten key `spring` wrapped, and then `autumn`; and a copy from before.
async fn handed_over(spring: &dyn KeyService, autumn: &dyn KeyService) -> (Keyring, Vec<u8>) {
    let mut keyring = Keyring::create("handed-over", spring).await.unwrap();
    let (old, stolen) = (keyring.keys()[0].id(), keyring.to_json());
    keyring.rewrap(spring.name(), spring, autumn).await.unwrap();
    let new = keyring.add_key(autumn).await.unwrap();
    keyring.promote_without_waiting(new).unwrap();
    keyring.forget_with_everything_under_it(old, 0).unwrap();
    (keyring, stolen)
}

/// An answer that cannot be read may hold a key: nothing of it is shown.
pub(crate) async fn shows_nothing_of_what_it_cannot_read(proxy: &Proxy, kek: &dyn KeyService) {
    let context = WrapContext::keyring_authentication("customers").unwrap();
    let wrapped = kek.wrap(&SecretKey::generate().unwrap(), &context).await.unwrap();
    for body in [
        r#"{"Plaintext":"c2VjcmV0","plaintext":"c2VjcmV0","data":{"plaintext":"c2VjcmV0"}}"#,
        r#"{"Plaintext":"c2VjcmV0!","plaintext":"c2VjcmV0!","data":{"plaintext":"c2VjcmV0!"}}"#,
        r#"{"Plaintext":["c2VjcmV0"],"plaintext":["c2VjcmV0"],"data":["c2VjcmV0"]}"#,
        r#"{"Plaintext":"c2VjcmV0","plaintext":"c2VjcmV0","data":{"plaintext":"c2VjcmV0""#,
        "c2VjcmV0",
    ] {
        for status in ["200 OK", "400 Bad Request", "500 Internal Server Error"] {
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
            proxy.set(Line::Answering(format!("{head}\r\nconnection: close\r\n\r\n{body}").leak()));
            let error = kek.unwrap(&wrapped, &context).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyService);
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("c2VjcmV0") && !shown.contains("secret"), "{status} {body}: {shown}");
        }
    }
}

/// What a service refuses for good is not asked again, and what may pass is: `answers` tell whether each may.
pub(crate) async fn is_asked_again_where_that_may_help(
    proxy: &Proxy,
    kek: impl KeyService + Clone + 'static,
    answers: &[(&'static str, bool)],
) {
    let context = WrapContext::keyring_authentication("customers").unwrap();
    let secret = SecretKey::generate().unwrap();
    let kek = Resilient::new(kek).attempts(3);
    for (answer, may_pass) in answers {
        proxy.set(Line::AnsweringOnce(answer));
        assert_eq!(kek.wrap(&secret, &context).await.is_ok(), *may_pass, "{answer}");
        while proxy.now() != Line::Through {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What stands behind the refusal to wrap a key.
pub(crate) async fn cause(kek: &dyn KeyService) -> String {
    let context = WrapContext::keyring_authentication("customers").unwrap();
    let error = kek.wrap(&SecretKey::generate().unwrap(), &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyService);
    let causes = std::iter::successors(std::error::Error::source(&error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Whatever becomes of the service, what is in memory goes on, nothing turns into plaintext, and who starts is told.
pub(crate) async fn is_missed_by_nobody_who_runs(
    proxy: &Proxy,
    kek: impl KeyService + Clone + 'static,
    throttled: &'static str,
) {
    let second = Duration::from_secs(1);
    let patient = |kek| Resilient::new(kek).attempt_timeout(second / 2).attempts(3).cache(0, Duration::ZERO);
    let (_directory, file) = file();
    let mut keyring = Keyring::create("customers", &kek).await.unwrap();
    keyring.save(&file).await.unwrap();
    let keys = Keys::open(file.clone(), patient(kek.clone())).await.unwrap();
    let cipher = cipher(&keys);
    let token = cipher.encrypt_value("phone", "+65 9123 4567").unwrap();
    for state in [Line::Cut, Line::Silent, Line::Answering(GARBAGE), Line::Answering(UNAVAILABLE)] {
        proxy.set(state);
        let began = Instant::now();
        keys.reload().await.unwrap();
        assert_eq!(cipher.decrypt_value::<String>("phone", &token).unwrap(), "+65 9123 4567");
        let stored = cipher.encrypt_json(br#"{"phone":"+65 9123 4567"}"#).unwrap();
        assert!(stored.starts_with(br#"{"phone":"fs1."#));

        let before = keyring.to_json();
        let error = keyring.add_key(&patient(kek.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyService, "{state:?}");
        assert_eq!(keyring.to_json(), before);
        let error = Keys::open(file.clone(), patient(kek.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyService, "{state:?}");
        let message = error.to_string();
        assert!(message.contains(kek.name()) && message.contains("cannot be reached"), "{state:?}: {message}");
        assert!(began.elapsed() < 10 * second, "{state:?}: {:?}", began.elapsed());
    }
    // One answer of being busy, and the next attempt is served.
    for answer in [throttled, UNAVAILABLE] {
        proxy.set(Line::AnsweringOnce(answer));
        Keys::open(file.clone(), patient(kek.clone())).await.unwrap();
        assert_eq!(proxy.now(), Line::Through, "it was asked while it was busy");
    }
}

pub(crate) const GARBAGE: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\ngarbage";
pub(crate) const UNAVAILABLE: &str =
    "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
