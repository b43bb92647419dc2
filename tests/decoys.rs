//! Proves that a decoy raises one alarm where it is opened, and is like every other record to who has no key.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fieldseal::audit::{Audit, AuditEvent, AuditKind};
use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};

const RECORD: &[u8] = br#"{"id":7,"name":"Lim Mei Hua","phone":"+65 8123 4567","note":1}"#;

/// The alarms, by their fields.
#[derive(Clone, Default)]
struct Alarms(Arc<Mutex<Vec<String>>>);

impl Audit for Alarms {
    fn record(&self, event: &AuditEvent<'_>) {
        if event.kind == AuditKind::DecoyOpened {
            assert!(event.key_id.is_some() && event.count == 1 && event.collection == "customers");
            self.0.lock().unwrap().push(event.field.to_owned());
        }
    }
}

impl Alarms {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn policy() -> Policy {
    let phone = Field::new("phone", Tag::Phone).null_if_unreadable();
    Policy::builder("customers").field(Field::new("name", Tag::Name)).field(phone).build().unwrap()
}

fn cipher() -> (FieldCipher, Alarms) {
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[7; 32])));
    let alarms = Alarms::default();
    (FieldCipher::new(policy(), keys).with_audit(alarms.clone()), alarms)
}

/// The tokens of a document.
fn tokens(document: &[u8]) -> Vec<String> {
    let text = str::from_utf8(document).unwrap();
    text.split('"').filter(|part| part.starts_with("fs1.")).map(str::to_owned).collect()
}

fn nonce(token: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(&token[4..]).unwrap()[9..33].to_vec()
}

#[test]
fn a_decoy_raises_one_alarm_and_opens_for_every_reader() {
    let (cipher, alarms) = cipher();
    let decoy = cipher.making_decoys().encrypt_json(RECORD).unwrap();
    let other = cipher.encrypt_json(RECORD).unwrap();
    // Who does not watch sees no difference.
    assert_eq!(cipher.decrypt_json(&decoy).unwrap(), RECORD);
    assert!(alarms.take().is_empty());

    let watching = cipher.alarm_on_decoys();
    assert_eq!(watching.decrypt_json(&other).unwrap(), RECORD);
    assert!(alarms.take().is_empty());
    assert_eq!(watching.decrypt_json(&decoy).unwrap(), RECORD);
    assert_eq!(alarms.take(), ["name"]);

    let list = [b"[", &other[..], b",", &decoy, b",", &other, b",", &decoy, b"]"].concat();
    let opened = watching.decrypt_json(&list).unwrap();
    assert_eq!(opened, [b"[", RECORD, b",", RECORD, b",", RECORD, b",", RECORD, b"]"].concat());
    assert_eq!(alarms.take(), ["name"]);

    let phone = &tokens(&decoy)[1];
    assert_eq!(watching.decrypt_value::<String>("phone", phone).unwrap(), "+65 8123 4567");
    assert_eq!(alarms.take(), ["phone"]);
}

#[test]
fn a_refused_decoy_is_like_a_damaged_token_and_never_null() {
    let (cipher, alarms) = cipher();
    let refusing = cipher.refuse_decoys();
    let decoy = cipher.making_decoys().encrypt_json(br#"{"phone":"+65 8123 4567"}"#).unwrap();
    let error = refusing.decrypt_json(&decoy).unwrap_err();
    assert_eq!((error.kind(), alarms.take()), (ErrorKind::Decryption, vec!["phone".to_owned()]));
    let name = cipher.making_decoys().encrypt_value("name", "Lim Mei Hua").unwrap();
    let mut damaged = cipher.encrypt_value("name", "Lim Mei Hua").unwrap().into_bytes();
    damaged[60] = if damaged[60] == b'A' { b'B' } else { b'A' };
    let said = |token: &str| refusing.decrypt_value::<String>("name", token).unwrap_err().to_string();
    assert_eq!(said(&name), said(str::from_utf8(&damaged).unwrap()));
    assert_eq!(alarms.take(), ["name"]);
}

#[test]
fn a_token_does_not_show_that_it_is_one() {
    let (cipher, _) = cipher();
    let made = |cipher: &FieldCipher| -> Vec<Vec<String>> {
        (0..2000).map(|_| tokens(&cipher.encrypt_json(RECORD).unwrap())).collect()
    };
    let (decoys, others) = (made(&cipher.making_decoys()), made(&cipher));
    for (decoy, other) in decoys.iter().zip(&others) {
        for (decoy, other) in decoy.iter().zip(other) {
            assert_eq!((decoy.len(), &decoy[..16]), (other.len(), &other[..16]));
            assert!(cipher.is_decoy(decoy).unwrap() && !cipher.is_decoy(other).unwrap());
        }
        // The values of one record have one prefix, and no two have one nonce.
        let [name, phone] = [&decoy[0], &decoy[1]].map(|token| nonce(token));
        assert!(name[..12] == phone[..12] && name != phone);
    }
    // Each bit of the nonces is set in about half of them, as it is in those of other records.
    for (name, made) in [("decoys", decoys), ("others", others)] {
        let nonces: Vec<_> = made.iter().flatten().map(|token| nonce(token)).collect();
        for bit in 0..24 * 8 {
            let set = nonces.iter().filter(|nonce| nonce[bit / 8] >> (bit % 8) & 1 == 1).count();
            // Six deviations of 4,000 tosses, of which those of a prefix come in pairs.
            assert!(set.abs_diff(2000) < 270, "{name}, bit {bit}: {set} of 4000");
        }
    }
    // Under another key, a mark is no mark.
    let other = Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[8; 32])));
    let token = cipher.making_decoys().encrypt_value("name", "Lim Mei Hua").unwrap();
    assert_eq!(cipher.with_keys(other).is_decoy(&token).unwrap_err().kind(), ErrorKind::KeyUnavailable);
}

#[cfg(feature = "layer")]
#[tokio::test]
async fn a_list_through_the_layer_raises_one_alarm_or_fails() {
    use axum::body::Body;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    let (cipher, alarms) = cipher();
    let (decoy, other) = (cipher.making_decoys().encrypt_json(RECORD).unwrap(), cipher.encrypt_json(RECORD).unwrap());
    let list = [b"[", &other[..], b",", &decoy, b",", &decoy, b"]"].concat();
    for (watching, status) in [(cipher.alarm_on_decoys(), 200), (cipher.refuse_decoys(), 500)] {
        let list = list.clone();
        let service = axum::Router::new()
            .route("/customers", get(|| async { ([("content-type", "application/json")], list) }))
            .layer(fieldseal::FieldEncryptionLayer::new(watching).unwrap());
        let request = http::Request::get("/customers").body(Body::empty()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        let (found, body) = (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes());
        assert_eq!(found >= 500, status >= 500, "{found}");
        assert_eq!(body.windows(6).any(|part| part == b"Mei Hu"), status == 200);
        assert_eq!(alarms.take(), ["name"]);
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn what_is_encrypted_anew_stays_a_decoy() {
    use fieldseal::keys::{Keyring, KeyringFile, LocalKek, Timing};
    use fieldseal::reencrypt::{EncryptedTable, Job};

    let kek = || LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
    let directory = tempfile::tempdir().unwrap();
    let store = KeyringFile::new(directory.path().join("keyring.json"));
    let mut keyring = Keyring::create("customers", &kek()).await.unwrap();
    keyring.set_timing(Timing::single_process()).unwrap();
    keyring.save(&store).await.unwrap();
    let old = FieldCipher::new(policy(), Keys::open(store.clone(), kek()).await.unwrap());
    let new = keyring.add_key(&kek()).await.unwrap();
    keyring.promote(new).unwrap();
    keyring.save(&store).await.unwrap();
    let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
    sqlx::raw_sql("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, profile TEXT)")
        .execute(&pool)
        .await
        .unwrap();
    for (id, cipher) in [(1, &old), (2, &old.making_decoys()), (3, &old)] {
        let (name, profile) = (cipher.encrypt_value("name", "Lim").unwrap(), cipher.encrypt_json(RECORD).unwrap());
        let insert = sqlx::query("INSERT INTO customers VALUES (?, ?, ?)").bind(id).bind(name);
        insert.bind(String::from_utf8(profile).unwrap()).execute(&pool).await.unwrap();
    }
    let alarms = Alarms::default();
    let cipher = FieldCipher::new(policy(), Keys::open(store, kek()).await.unwrap());
    let cipher = cipher.with_audit(alarms.clone()).refuse_decoys();
    let table = EncryptedTable::new("customers", cipher.clone()).column("name", "name").unwrap().document("profile");
    let report = Job::reencrypt(table).run(pool.clone()).await.unwrap();
    assert_eq!((report.moved(), alarms.take()), (3, Vec::new()));
    let rows: Vec<(i64, String, String)> = sqlx::query_as("SELECT * FROM customers").fetch_all(&pool).await.unwrap();
    for (id, name, profile) in rows {
        for token in [vec![name], tokens(profile.as_bytes())].concat() {
            assert!(token.starts_with(&new.token_prefix()));
            assert_eq!(cipher.is_decoy(&token).unwrap(), id == 2, "{id}");
        }
    }
}
