//! Proves that a person who was erased is gone from every process within the stated time and that nobody else is, that
//! nothing is written about them again, and that a key opens for its own subject only.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fieldseal::audit::AuditKind;
use fieldseal::keys::{
    DataKey, KeyId, Keys, MemorySubjectKeys, SecretKey, Subject, SubjectKeyChange, SubjectKeyEntry, SubjectKeyStore,
    SubjectKeyStoreFuture, SubjectKeys,
};
use fieldseal::policy::{BlindIndex, Normalizer};
use fieldseal::{Error, ErrorKind, Field, FieldCipher, Policy, Scope, Tag};
use support::{Ledger, keys};

const DOCUMENT: &[u8] = br#"{"phone":"+65 9123 4567"}"#;

fn policy() -> Policy {
    Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build().unwrap()
}

/// A cipher that encrypts nothing but for a subject.
fn cipher() -> FieldCipher {
    FieldCipher::new(policy(), Keys::none())
}

fn subject(id: &str) -> Subject {
    Subject::new(id).unwrap()
}

fn subjects(table: &MemorySubjectKeys) -> SubjectKeys {
    SubjectKeys::new(table.clone(), keys(7))
}

async fn written(subjects: &SubjectKeys, id: &str) -> Vec<u8> {
    let key = subjects.find_or_create(&subject(id)).await.unwrap();
    cipher().for_subject(&key).unwrap().encrypt_json(DOCUMENT).unwrap()
}

async fn read(subjects: &SubjectKeys, id: &str, stored: &[u8]) -> Result<Vec<u8>, Error> {
    cipher().for_subject(&subjects.find(&subject(id)).await?)?.decrypt_json(stored)
}

#[tokio::test]
async fn who_is_erased_is_gone_and_nobody_else_is() {
    let (table, ledger) = (MemorySubjectKeys::default(), Ledger::default());
    let subjects = subjects(&table).with_audit(ledger.clone());
    let [tan, lim] = [written(&subjects, "7").await, written(&subjects, "8").await];
    let held = subjects.find(&subject("7")).await.unwrap();
    let receipt = subjects.erase(&subject("7"), "request 2026-118").await.unwrap();

    assert_eq!(read(&subjects, "7", &tan).await.unwrap_err().kind(), ErrorKind::Erased);
    // What was prepared before dies as well.
    let held = cipher().for_subject(&held).unwrap();
    assert_eq!(held.decrypt_json(&tan).unwrap_err().kind(), ErrorKind::Erased);
    assert_eq!(held.encrypt_json(DOCUMENT).unwrap_err().kind(), ErrorKind::Erased);
    assert_eq!(read(&subjects, "8", &lim).await.unwrap(), DOCUMENT);

    // In another process, one that starts after it, and under whatever else opens.
    let elsewhere = self::subjects(&table);
    let error = read(&elsewhere, "7", &tan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Erased);
    assert!(error.to_string().contains(&format!("erased at {}", receipt.erased_at())), "{error}");
    assert!(read(&elsewhere, "8", &tan).await.is_err());
    assert_eq!(read(&elsewhere, "8", &lim).await.unwrap(), DOCUMENT);
    assert!(FieldCipher::new(policy(), keys(7)).decrypt_json(&tan).is_err(), "the data key opens no subject's token");

    assert_eq!(ledger.events(), [(AuditKind::Erased, String::new(), String::new(), Some(receipt.key_id()))]);
    let line = format!(
        "subject `7` erased at {}: key {}, last wrapped by data key {}: request 2026-118",
        receipt.erased_at(),
        receipt.key_id(),
        keys(7).primary_id().unwrap()
    );
    assert_eq!(receipt.to_string(), line);
}

#[tokio::test]
async fn nothing_is_written_about_who_was_erased_and_an_erasure_can_be_repeated() {
    let table = MemorySubjectKeys::default();
    let subjects = subjects(&table);
    written(&subjects, "7").await;
    let first = subjects.erase(&subject("7"), "first").await.unwrap();
    let error = subjects.find_or_create(&subject("7")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Erased);
    assert_eq!(self::subjects(&table).find_or_create(&subject("7")).await.unwrap_err().kind(), ErrorKind::Erased);

    let again = subjects.erase(&subject("7"), "again").await.unwrap();
    assert_eq!((again.key_id(), again.erased_at(), again.wrapped_by()), (first.key_id(), first.erased_at(), None));
    let error = subjects.erase(&subject("77"), "misspelled").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    written(&subjects, "77").await;
}

#[tokio::test]
async fn a_copy_of_the_table_from_before_brings_nobody_back_but_by_its_data_key() {
    let table = MemorySubjectKeys::default();
    let subjects = subjects(&table);
    let stored = written(&subjects, "7").await;
    let old = table.get(&[subject("7")]).await.unwrap().remove(0).unwrap();
    subjects.erase(&subject("7"), "request").await.unwrap();

    let restored = MemorySubjectKeys::default();
    assert!(restored.insert(&subject("7"), &old).await.unwrap());
    let without = SubjectKeys::new(restored.clone(), keys(8));
    assert_eq!(read(&without, "7", &stored).await.unwrap_err().kind(), ErrorKind::KeyUnavailable);
    // As long as the data key lives it does: hence epochs, and erasing again.
    let restored = self::subjects(&restored);
    assert_eq!(read(&restored, "7", &stored).await.unwrap(), DOCUMENT);
    restored.erase(&subject("7"), "restored backup").await.unwrap();
    assert_eq!(read(&restored, "7", &stored).await.unwrap_err().kind(), ErrorKind::Erased);
}

#[tokio::test]
async fn a_key_opens_for_its_own_subject_only() {
    let table = MemorySubjectKeys::default();
    let subjects = subjects(&table);
    let [tan, lim] = [written(&subjects, "7").await, written(&subjects, "8").await];
    for (stored, id) in [(&tan, "8"), (&lim, "7")] {
        assert_eq!(read(&subjects, id, stored).await.unwrap_err().kind(), ErrorKind::Decryption);
    }
    assert_eq!(read(&subjects, "9", &tan).await.unwrap_err().kind(), ErrorKind::KeyUnavailable);
    // The token names its subject too: the same key in another scope does not open it.
    let own = cipher().for_subject(&subjects.find(&subject("7")).await.unwrap()).unwrap();
    let error = own.in_scope(Scope::new().subject("8")).unwrap().decrypt_json(&tan).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decryption);
    assert_eq!(own.in_scope(Scope::new()).unwrap().decrypt_json(&tan).unwrap_err().kind(), ErrorKind::Decryption);

    // Whoever exchanges two rows of the key table is found out before anything is opened.
    let entries = table.get(&[subject("7"), subject("8")]).await.unwrap();
    let [of_tan, of_lim] = [entries[0].clone().unwrap(), entries[1].clone().unwrap()];
    let change = |id, expected: &SubjectKeyEntry, entry: &SubjectKeyEntry| SubjectKeyChange {
        subject: subject(id),
        expected: expected.clone(),
        entry: entry.clone(),
    };
    let changes = [change("7", &of_tan, &of_lim), change("8", &of_lim, &of_tan)];
    assert_eq!(table.replace(&changes).await.unwrap(), 2);
    assert_eq!(self::subjects(&table).find(&subject("7")).await.unwrap_err().kind(), ErrorKind::Keyring);
}

#[tokio::test]
async fn subjects_of_two_tenants_that_are_called_alike_are_two() {
    let subjects = subjects(&MemorySubjectKeys::default());
    let of = |tenant: &str| subject("7").of_tenant(tenant).unwrap();
    let in_tenant = |tenant: &str| cipher().in_scope(Scope::new().tenant(tenant)).unwrap();
    let [acme, globex] = [of("acme"), of("globex")];
    let key = subjects.find_or_create(&acme).await.unwrap();
    let stored = in_tenant("acme").for_subject(&key).unwrap().encrypt_json(DOCUMENT).unwrap();
    for other in [cipher(), in_tenant("globex")] {
        assert_eq!(other.for_subject(&key).unwrap_err().kind(), ErrorKind::InvalidValue);
    }
    subjects.find_or_create(&globex).await.unwrap();
    subjects.erase(&globex, "request").await.unwrap();
    let key = subjects.find(&acme).await.unwrap();
    assert_eq!(in_tenant("acme").for_subject(&key).unwrap().decrypt_json(&stored).unwrap(), DOCUMENT);
}

#[tokio::test]
async fn an_erasure_holds_in_every_replica_when_the_lifetime_of_keys_has_passed() {
    let table = MemorySubjectKeys::default();
    let lifetime = Duration::from_millis(300);
    let [one, other] = [(); 2].map(|()| subjects(&table).with_lifetime(lifetime));
    let stored = written(&one, "7").await;
    let held = cipher().for_subject(&one.find(&subject("7")).await.unwrap()).unwrap();
    let mut row = held.value_decryptor();
    let mut writer = held.value_encryptor();
    writer.encrypt("phone", "+65 9123 4567").unwrap();
    other.erase(&subject("7"), "request").await.unwrap();

    tokio::time::sleep(lifetime + Duration::from_millis(50)).await;
    assert_eq!(read(&one, "7", &stored).await.unwrap_err().kind(), ErrorKind::Erased);
    let error = held.decrypt_json(&stored).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert!(error.to_string().contains("prepared too long ago"), "{error}");
    assert_eq!(held.encrypt_json(DOCUMENT).unwrap_err().kind(), ErrorKind::KeyUnavailable);
    // What was begun before looks again after a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let token: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    let error = row.decrypt::<String>("phone", token["phone"].as_str().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert_eq!(writer.encrypt("phone", "1").unwrap_err().kind(), ErrorKind::KeyUnavailable);
}

#[tokio::test]
async fn a_key_is_prepared_for_half_of_its_lifetime_at_least() {
    let table = MemorySubjectKeys::default();
    let subjects = subjects(&table).with_lifetime(Duration::from_secs(2));
    let stored = written(&subjects, "7").await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let late = cipher().for_subject(&subjects.find(&subject("7")).await.unwrap()).unwrap();
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(late.decrypt_json(&stored).unwrap(), DOCUMENT);
}

#[tokio::test]
async fn what_is_kept_is_bounded_in_number_and_overwritten_when_it_is_over() {
    let table = MemorySubjectKeys::default();
    let subjects = subjects(&table).with_lifetime(Duration::from_millis(200)).with_capacity(3);
    for id in 0..10 {
        written(&subjects, &id.to_string()).await;
    }
    assert!(format!("{subjects:?}").contains("cached: 3"), "{subjects:?}");
    tokio::spawn(subjects.drop_expired(tokio::time::sleep));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(format!("{subjects:?}").contains("cached: 0"), "{subjects:?}");
}

#[tokio::test]
async fn who_is_erased_reads_as_null_where_the_policy_says_so_and_the_audit_is_told() {
    let ledger = Ledger::default();
    let phone = Field::new("phone", Tag::Phone).null_if_unreadable();
    let policy = Policy::builder("customers").field(phone).build().unwrap();
    let cipher = FieldCipher::new(policy, Keys::none()).with_audit(ledger.clone());
    let subjects = subjects(&MemorySubjectKeys::default());
    let key = subjects.find_or_create(&subject("7")).await.unwrap();
    let stored = cipher.for_subject(&key).unwrap().encrypt_json(DOCUMENT).unwrap();
    let receipt = subjects.erase(&subject("7"), "request").await.unwrap();
    let gone = cipher.for_subject(&subjects.find(&subject("7")).await.unwrap()).unwrap();
    assert_eq!(gone.decrypt_json(&stored).unwrap(), br#"{"phone":null}"#);
    let told: Vec<_> = ledger.events().into_iter().map(|(kind, _, _, key_id)| (kind, key_id)).collect();
    assert_eq!(told, [(AuditKind::ErasedRead, Some(receipt.key_id())), (AuditKind::ShownAsNull, None)]);
}

#[tokio::test]
async fn an_index_of_who_was_erased_stays_until_it_is_deleted() {
    let phone = Field::new("phone", Tag::Phone).blind_index(BlindIndex::new(Normalizer::exact()));
    let policy = Policy::builder("customers").field(phone).build().unwrap();
    let cipher = FieldCipher::new(policy, Keys::none()).with_index_keys(keys(9)).unwrap();
    let subjects = subjects(&MemorySubjectKeys::default());
    let own = cipher.for_subject(&subjects.find_or_create(&subject("7")).await.unwrap()).unwrap();
    let stored = String::from_utf8(own.encrypt_json(DOCUMENT).unwrap()).unwrap();
    subjects.erase(&subject("7"), "request").await.unwrap();
    let term = cipher.blind_index("phone", "+65 9123 4567").unwrap().unwrap();
    assert!(stored.contains(&term), "what the documentation warns of");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_write_first_at_once_one_makes_the_key() {
    let table = MemorySubjectKeys::default();
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let subjects = subjects(&table);
            tokio::spawn(async move { written(&subjects, "7").await })
        })
        .collect();
    for task in tasks {
        assert_eq!(read(&subjects(&table), "7", &task.await.unwrap()).await.unwrap(), DOCUMENT);
    }
}

/// A table in which the ids of the first keys are taken, or that is out of reach.
struct Reluctant {
    table: MemorySubjectKeys,
    refusals: Arc<AtomicU32>,
    is_away: bool,
}

impl SubjectKeyStore for Reluctant {
    fn get<'a>(&'a self, subjects: &'a [Subject]) -> SubjectKeyStoreFuture<'a, Vec<Option<SubjectKeyEntry>>> {
        if self.is_away {
            return Box::pin(async { Err(Error::key_table("no answer")) });
        }
        self.table.get(subjects)
    }

    fn insert<'a>(&'a self, subject: &'a Subject, entry: &'a SubjectKeyEntry) -> SubjectKeyStoreFuture<'a, bool> {
        if self.refusals.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Box::pin(async { Ok(false) });
        }
        self.table.insert(subject, entry)
    }

    fn replace<'a>(&'a self, changes: &'a [SubjectKeyChange]) -> SubjectKeyStoreFuture<'a, u64> {
        self.table.replace(changes)
    }

    fn wrapped_by_others(
        &self,
        data_key: KeyId,
        limit: u32,
    ) -> SubjectKeyStoreFuture<'_, Vec<(Subject, SubjectKeyEntry)>> {
        self.table.wrapped_by_others(data_key, limit)
    }
}

#[tokio::test]
async fn another_key_is_drawn_where_an_id_is_taken_and_a_table_that_is_away_is_told() {
    let table = MemorySubjectKeys::default();
    let store = Reluctant { table: table.clone(), refusals: Arc::new(AtomicU32::new(2)), is_away: false };
    let stored = written(&SubjectKeys::new(store, keys(7)), "7").await;
    assert_eq!(read(&subjects(&table), "7", &stored).await.unwrap(), DOCUMENT);
    // The ids of two subjects are never alike.
    let entry = table.get(&[subject("7")]).await.unwrap().remove(0).unwrap();
    assert!(!table.insert(&subject("8"), &entry).await.unwrap());

    let store = Reluctant { table: table.clone(), refusals: Arc::default(), is_away: true };
    let away = SubjectKeys::new(store, keys(7));
    for error in [
        away.find(&subject("7")).await.unwrap_err(),
        away.find_or_create(&subject("9")).await.unwrap_err(),
        away.erase(&subject("7"), "request").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    }
    assert_eq!(read(&subjects(&table), "7", &stored).await.unwrap(), DOCUMENT);
}

#[tokio::test]
async fn the_keys_of_a_page_are_prepared_in_their_order() {
    let table = MemorySubjectKeys::default();
    let subjects = subjects(&table);
    let stored = [written(&subjects, "7").await, written(&subjects, "8").await];
    subjects.erase(&subject("8"), "request").await.unwrap();
    let fresh = self::subjects(&table);
    fresh.find(&subject("8")).await.unwrap();
    let keys = fresh.find_all(&["9", "8", "7", "7"].map(subject)).await.unwrap();
    let ids: Vec<_> = keys.iter().map(|key| (key.subject().id(), key.exists(), key.erased_at().is_some())).collect();
    assert_eq!(ids, [("9", false, false), ("8", false, true), ("7", true, false), ("7", true, false)]);
    assert_eq!(cipher().for_subject(&keys[2]).unwrap().decrypt_json(&stored[0]).unwrap(), DOCUMENT);
}

#[tokio::test]
async fn neither_a_key_nor_whom_it_is_of_is_shown() {
    let table = MemorySubjectKeys::default();
    let subjects = subjects(&table);
    let id = "tan.wei@example.com";
    let stored = written(&subjects, id).await;
    let key = subjects.find(&subject(id)).await.unwrap();
    let entry = table.get(&[subject(id)]).await.unwrap().remove(0).unwrap();
    let before = format!("{subjects:?} {key:?} {entry:?} {table:?} {:?}", subject(id));
    let receipt = subjects.erase(&subject(id), "for tan.wei").await.unwrap();
    let error = read(&subjects, id, &stored).await.unwrap_err();
    let shown = format!("{before} {subjects:?} {receipt:?} {error:?} {error}");
    assert!(!shown.contains("tan.wei"), "{shown}");
    let wrapped = entry.to_bytes();
    let digits = format!("{:032x}", u128::from_be_bytes(*wrapped.last_chunk().unwrap()));
    assert!(!shown.contains(&digits) && !shown.contains(&format!("{:?}", &wrapped[41..])));
}

#[tokio::test]
async fn every_frozen_entry_opens_for_its_subject() {
    #[derive(serde::Deserialize)]
    struct Vector {
        data_key: String,
        tenant: Option<String>,
        subject: String,
        entry: String,
        token: String,
        value: String,
        tombstone: String,
        erased_at: String,
    }
    let bytes = |text: &str| -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..][..2], 16).unwrap()).collect()
    };
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors/v1/subject_keys.json")).unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let data_key = SecretKey::from_bytes(bytes(&vector.data_key)[..].try_into().unwrap());
        let mut subject = subject(&vector.subject);
        let mut scope = Scope::new();
        if let Some(tenant) = vector.tenant {
            (subject, scope) = (subject.of_tenant(&tenant).unwrap(), scope.tenant(tenant));
        }
        let table = MemorySubjectKeys::default();
        let entry = SubjectKeyEntry::from_bytes(&bytes(&vector.entry)).unwrap();
        assert!(table.insert(&subject, &entry).await.unwrap());
        let subjects = SubjectKeys::new(table.clone(), Keys::from_data_key(DataKey::new(&data_key)));
        let cipher = cipher().in_scope(scope).unwrap().for_subject(&subjects.find(&subject).await.unwrap()).unwrap();
        let opened: serde_json::Value = cipher.decrypt_value("phone", &vector.token).unwrap();
        assert_eq!(opened.to_string(), vector.value);
        assert_eq!(entry.to_bytes(), bytes(&vector.entry));

        let tombstone = SubjectKeyEntry::from_bytes(&bytes(&vector.tombstone)).unwrap();
        assert_eq!(tombstone.erased_at(), Some(vector.erased_at.parse().unwrap()));
        assert_eq!((tombstone.key_id(), tombstone.to_bytes()), (entry.key_id(), bytes(&vector.tombstone)));
    }
}
