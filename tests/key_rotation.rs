//! Proves the life of a key: which step of a rotation is refused before its time, epochs and their end, the record of
//! changes, and that an old keyring put back is noticed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use fieldseal::audit::{Audit, AuditEvent, AuditKind};
use fieldseal::keys::{
    Due, KeyId, KeyService, KeyServices, KeyState, Keyring, KeyringFile, Keys, LocalKek, Schedule, SecretKey, Timing,
    Witness,
};
use fieldseal::{Error, ErrorKind, Field, FieldCipher, Policy, Tag};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_key_is_promoted_only_when_every_replica_has_read_it() {
    let mut keyring = keyring().await;
    let first = keyring.keys()[0].id();
    let second = keyring.add_key(&kek(1)).await.unwrap();
    let error = keyring.promote(second).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooEarly);
    let earliest = keyring.promotable_at(second).unwrap();
    assert!(error.to_string().contains(&earliest.to_string()), "{error}");
    let wait = SystemTime::from(earliest).duration_since(keyring.keys()[1].created().into()).unwrap();
    assert_eq!(wait, 91 * SECOND, "refresh 60, clock skew 30, and the rest of the second in which it was made");
    assert_eq!(state(&keyring, second), KeyState::Pending);

    keyring.promote_without_waiting(second).unwrap();
    assert_eq!([first, second].map(|id| state(&keyring, id)), [KeyState::Enabled, KeyState::Primary]);
}

#[tokio::test]
async fn a_scan_proves_nothing_before_the_last_replica_has_stopped_writing() {
    let (mut keyring, old) = relieved().await;
    let error = keyring.record_scan(old, SystemTime::now(), 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooEarly);
    let earliest = SystemTime::from(keyring.scannable_at(old).unwrap().unwrap());
    let relieved = keyring.keys()[0].relieved().unwrap();
    assert_eq!(earliest.duration_since(relieved.into()).unwrap(), 211 * SECOND, "lease, longest request, clock skew");
    assert_eq!(keyring.record_scan(old, earliest, 0).unwrap_err().kind(), ErrorKind::TooEarly, "it is yet to begin");
    let began = settled(&mut keyring);
    keyring.record_scan(old, began, 0).unwrap();
    assert_eq!(keyring.keys()[0].clean_scans().len(), 1);

    let primary = keyring.keys()[1].id();
    assert_eq!(keyring.record_scan(primary, began, 0).unwrap_err().kind(), ErrorKind::Keyring);
}

#[tokio::test]
async fn a_key_is_forgotten_only_after_two_clean_scans_and_the_rehearsal() {
    let (mut keyring, old) = relieved().await;
    keyring.disable(old).unwrap();
    assert!(refused(keyring.forget(old)).contains("it takes 2 clean scans (recorded so far: 0)"));

    let began = settled(&mut keyring);
    keyring.record_scan(old, began, 0).unwrap();
    assert!(refused(keyring.forget(old)).contains("(recorded so far: 1)"));
    // One that finds something takes the other back, whenever it began.
    keyring.record_scan(old, SystemTime::UNIX_EPOCH, 3).unwrap();
    assert!(refused(keyring.forget(old)).contains("(recorded so far: 0)"));
    for _ in 0..2 {
        keyring.record_scan(old, SystemTime::now(), 0).unwrap();
    }
    keyring.set_timing(Timing::default()).unwrap();
    assert!(refused(keyring.forget(old)).contains("until then it is seen whether anything misses it"));
    assert_eq!(state(&keyring, old), KeyState::Disabled);

    keyring.set_timing(Timing { rehearsal: Duration::ZERO, ..Timing::default() }).unwrap();
    keyring.forget(old).unwrap();
    assert_eq!(state(&keyring, old), KeyState::Forgotten);
}

#[tokio::test]
async fn two_scans_that_ran_at_once_are_one() {
    let (mut keyring, old) = relieved().await;
    let began = settled(&mut keyring);
    std::thread::sleep(2 * SECOND);
    keyring.record_scan(old, began, 0).unwrap();
    assert_eq!(keyring.record_scan(old, began, 0).unwrap_err().kind(), ErrorKind::TooEarly);
    keyring.record_scan(old, SystemTime::now(), 0).unwrap();
}

#[tokio::test]
async fn a_key_that_encrypts_again_needs_new_evidence() {
    let (mut keyring, old) = relieved().await;
    settled(&mut keyring);
    let new = keyring.keys()[1].id();
    for _ in 0..2 {
        keyring.record_scan(old, SystemTime::now(), 0).unwrap();
    }
    keyring.promote_without_waiting(old).unwrap();
    keyring.promote_without_waiting(new).unwrap();
    keyring.disable(old).unwrap();
    assert!(refused(keyring.forget(old)).contains("(recorded so far: 0)"));
}

#[tokio::test]
async fn a_key_that_never_encrypted_needs_no_scan() {
    let mut keyring = keyring().await;
    let never = keyring.add_key(&kek(1)).await.unwrap();
    keyring.set_timing(Timing { rehearsal: Duration::ZERO, ..Timing::default() }).unwrap();
    keyring.disable(never).unwrap();
    assert_eq!(keyring.scannable_at(never).unwrap(), None);
    keyring.forget(never).unwrap();
}

#[tokio::test]
async fn the_primary_key_is_never_destroyed() {
    let mut keyring = keyring().await;
    let only = keyring.keys()[0].id();
    let (before, kek) = (keyring.to_json(), keyring.keys()[0].kek().to_owned());
    for error in [
        keyring.disable(only).unwrap_err(),
        keyring.forget(only).unwrap_err(),
        keyring.forget_with_everything_under_it(only, 7).unwrap_err(),
        keyring.shred(&kek, "receipt").unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Keyring, "{error}");
    }
    assert_eq!(keyring.to_json(), before);
}

#[tokio::test]
async fn what_is_destroyed_knowingly_is_recorded_with_what_died() {
    let (keyring, old) = relieved().await;
    let mut keyring = keyring.by("alice@example.sg", "laptop stolen").unwrap();
    keyring.forget_with_everything_under_it(old, 1_100_000).unwrap();
    assert_eq!(state(&keyring, old), KeyState::Forgotten);
    let last = keyring.changes().last().unwrap();
    assert_eq!((last.by(), last.why(), last.key()), ("alice@example.sg", "laptop stolen", Some(old)));
    assert_eq!(last.action(), "forgotten with 1100000 tokens");
    // The record is authenticated as it stands.
    Keyring::from_json(&keyring.to_json(), kek(1)).await.unwrap();
}

#[tokio::test]
async fn every_change_says_who_when_and_why() {
    let mut keyring = keyring().await.by("alice@example.sg", "quarterly rotation").unwrap();
    let before = SystemTime::now() - SECOND;
    let new = keyring.add_key(&kek(1)).await.unwrap();
    keyring.promote_without_waiting(new).unwrap();
    let keyring = Keyring::from_json(&keyring.to_json(), kek(1)).await.unwrap();
    let actions: Vec<_> = keyring.changes().iter().map(|change| (change.revision(), change.action())).collect();
    assert_eq!(actions, [(1, "created"), (2, "added"), (3, "promoted")]);
    for change in &keyring.changes()[1..] {
        assert_eq!((change.by(), change.why(), change.key()), ("alice@example.sg", "quarterly rotation", Some(new)));
        assert!((before..=SystemTime::now()).contains(&SystemTime::from(change.at())));
    }
    for (by, why) in [("", "why"), ("a\nb", "why"), ("alice", "a\u{1b}[2J"), (&"a".repeat(1025), "why")] {
        let keyring = Keyring::from_json(&keyring.to_json(), kek(1)).await.unwrap();
        assert_eq!(keyring.by(by, why).unwrap_err().kind(), ErrorKind::Keyring, "{by:?} {why:?}");
    }
}

#[tokio::test]
async fn the_record_keeps_the_latest_thousand_changes() {
    let mut keyring = keyring().await;
    for _ in 0..1100 {
        keyring.set_schedule(Schedule::default()).unwrap();
    }
    assert_eq!((keyring.changes().len(), keyring.revision()), (1000, 1101));
    assert_eq!(keyring.changes().last().unwrap().revision(), 1101);
    Keyring::from_json(&keyring.to_json(), kek(1)).await.unwrap();
}

#[tokio::test]
async fn keys_of_two_epochs_are_unwrapped_each_by_its_own_service() {
    let directory = tempfile::tempdir().unwrap();
    let store = KeyringFile::new(directory.path().join("keyring.json"));
    let mut keyring = keyring().await;
    let (first, second) = (keyring.keys()[0].id(), keyring.add_key(&kek(2)).await.unwrap());
    keyring.save(&store).await.unwrap();
    assert_eq!([0, 1].map(|index| keyring.keys()[index].kek() == keyring.keys()[0].kek()), [true, false]);

    let error = Keys::open(store.clone(), kek(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Keyring);
    assert!(error.to_string().contains(&second.to_string()), "{error}");
    let keys = Keys::open(store.clone(), KeyServices::from(kek(1)).and(kek(2))).await.unwrap();
    assert_eq!(keys.primary_id(), Some(first));
}

#[tokio::test]
async fn with_its_key_encryption_key_an_epoch_dies_in_every_copy() {
    let directory = tempfile::tempdir().unwrap();
    let store = KeyringFile::new(directory.path().join("keyring.json"));
    let mut keyring = keyring().await;
    keyring.set_timing(Timing::single_process()).unwrap();
    keyring.save(&store).await.unwrap();
    let old = keyring.keys()[0].id();
    let old_kek = keyring.keys()[0].kek().to_owned();
    let token = cipher(&Keys::open(store.clone(), kek(1)).await.unwrap()).encrypt_value("phone", PHONE).unwrap();
    let stolen = keyring.to_json();

    let new = keyring.add_key(&kek(2)).await.unwrap();
    assert!(
        keyring.shred(&old_kek, "receipt").unwrap_err().to_string().contains("is primary, and has to be forgotten")
    );
    keyring.promote(new).unwrap();
    keyring.forget_with_everything_under_it(old, 1).unwrap();
    assert!(keyring.shred(&old_kek, "receipt").unwrap_err().to_string().contains("is itself authenticated by"));
    keyring.authenticate_by(&kek(2)).await.unwrap();
    for bad in ["", "two\nlines", &"a".repeat(1025)] {
        assert_eq!(keyring.shred(&old_kek, bad).unwrap_err().kind(), ErrorKind::Keyring);
    }
    assert_eq!(keyring.shred(&old_kek, "KeyId 1234 deleted on 2026-12-01").unwrap(), [old]);
    assert_eq!(keyring.keys()[0].receipt(), Some("KeyId 1234 deleted on 2026-12-01"));
    assert!(keyring.add_key(&kek(1)).await.unwrap_err().to_string().contains("was destroyed"));
    assert!(keyring.shred(&old_kek, "again").is_err() && keyring.shred("unknown", "receipt").is_err());
    keyring.save(&store).await.unwrap();

    // The living service of the new epoch opens nothing of the stolen copy; the new keyring says what became of it.
    assert!(Keyring::from_json(&stolen, kek(2)).await.is_err());
    let keys = Keys::open(store, kek(2)).await.unwrap();
    let error = cipher(&keys).decrypt_value::<String>("phone", &token).unwrap_err();
    assert!(error.to_string().contains("was shredded"), "{error}");
}

#[tokio::test]
async fn keys_are_wrapped_again_without_a_change_to_any_token() {
    let directory = tempfile::tempdir().unwrap();
    let store = KeyringFile::new(directory.path().join("keyring.json"));
    let mut keyring = keyring().await;
    keyring.add_key(&kek(1)).await.unwrap();
    keyring.save(&store).await.unwrap();
    let token = cipher(&Keys::open(store.clone(), kek(1)).await.unwrap()).encrypt_value("phone", PHONE).unwrap();

    let from = keyring.keys()[0].kek().to_owned();
    assert_eq!(keyring.rewrap("another", kek(1), &kek(2)).await.unwrap(), 0);
    assert!(keyring.rewrap(&from, kek(3), &kek(2)).await.is_err(), "the old service is needed to unwrap");
    assert_eq!(keyring.rewrap(&from, kek(1), &kek(2)).await.unwrap(), 3, "two data keys and the authentication key");
    keyring.save(&store).await.unwrap();
    assert!(Keys::open(store.clone(), kek(1)).await.is_err());
    let keys = Keys::open(store, kek(2)).await.unwrap();
    assert_eq!(cipher(&keys).decrypt_value::<String>("phone", &token).unwrap(), PHONE);
}

#[tokio::test]
async fn what_is_due_is_told_and_nothing_is_done_about_it() {
    let mut keyring = keyring().await;
    let day = 86_400 * SECOND;
    assert_eq!(keyring.due(SystemTime::now() + 100_000 * day), [], "without a schedule nothing is due");
    let schedule = Schedule { rotate_every: Some(90 * day), lifetime: Some(365 * day) };
    keyring.set_schedule(schedule).unwrap();
    let (old, new) = (keyring.keys()[0].id(), keyring.add_key(&kek(1)).await.unwrap());
    keyring.promote_without_waiting(new).unwrap();
    let kinds = |days: u32| {
        let due = keyring.due(SystemTime::now() + days * day);
        due.iter()
            .map(|due| match *due {
                Due::Rotation { key, .. } => ("rotation", key),
                Due::End { key, .. } => ("end", key),
                _ => unreachable!(),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(89), []);
    assert_eq!(kinds(91), [("rotation", new)]);
    assert_eq!(kinds(366), [("end", old), ("rotation", new), ("end", new)]);
    assert_eq!(Keyring::from_json(&keyring.to_json(), kek(1)).await.unwrap().schedule(), schedule);
    let backwards = Schedule { rotate_every: Some(90 * day), lifetime: Some(30 * day) };
    assert_eq!(keyring.set_schedule(backwards).unwrap_err().kind(), ErrorKind::Keyring);
}

#[tokio::test]
async fn an_old_copy_put_back_while_nothing_runs_is_noticed_by_the_witness() {
    let (directory, store, mut keyring) = stored().await;
    let first = fs::read(store.path()).unwrap();
    keyring.add_key(&kek(1)).await.unwrap();
    keyring.save(&store).await.unwrap();
    let witness = || Witness::new(store.clone(), directory.path().join("seen"));
    Keys::open(witness(), kek(1)).await.unwrap();
    Keys::open(witness(), kek(1)).await.unwrap();

    let second = fs::read(store.path()).unwrap();
    fs::write(store.path(), &first).unwrap();
    let error = Keys::open(witness(), kek(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Keyring);
    assert!(error.to_string().contains("revision 2 was used here before"), "{error}");
    Keys::open(store.clone(), kek(1)).await.unwrap();

    // What is not authentic is not remembered: a forged revision locks nobody out.
    let forged = String::from_utf8(second.clone()).unwrap().replace("\"revision\": 2", "\"revision\": 999");
    fs::write(store.path(), forged).unwrap();
    assert!(Keys::open(witness(), kek(1)).await.is_err());
    fs::write(store.path(), &second).unwrap();
    Keys::open(witness(), kek(1)).await.unwrap();
    fs::write(directory.path().join("seen"), "?").unwrap();
    assert!(Keys::open(witness(), kek(1)).await.is_err());
}

#[tokio::test]
async fn an_attempt_on_a_disabled_key_raises_an_alarm() {
    struct Events(Mutex<Vec<(AuditKind, Option<KeyId>)>>);
    impl Audit for &'static Events {
        fn record(&self, event: &AuditEvent<'_>) {
            self.0.lock().unwrap().push((event.kind, event.key_id));
        }
    }
    static EVENTS: Events = Events(Mutex::new(Vec::new()));

    let (_directory, store, mut keyring) = stored().await;
    let keys = Keys::open(store.clone(), kek(1)).await.unwrap();
    let old = keyring.keys()[0].id();
    let token = cipher(&keys).encrypt_value("phone", PHONE).unwrap();
    let new = keyring.add_key(&kek(1)).await.unwrap();
    keyring.promote_without_waiting(new).unwrap();
    keyring.disable(old).unwrap();
    keyring.save(&store).await.unwrap();
    keys.reload().await.unwrap();
    cipher(&keys).with_audit(&EVENTS).decrypt_value::<String>("phone", &token).unwrap_err();
    assert_eq!(*EVENTS.0.lock().unwrap(), [(AuditKind::DisabledKeyUsed, Some(old))]);
}

const PHONE: &str = "+65 9123 4567";

/// The key-encryption key of an epoch.
fn kek(epoch: u8) -> LocalKek {
    LocalKek::new(&SecretKey::from_bytes(&std::array::from_fn(|index| epoch ^ u8::try_from(index).unwrap())))
}

async fn keyring() -> Keyring {
    Keyring::create("customers", &kek(1)).await.unwrap()
}

async fn stored() -> (TempDir, KeyringFile, Keyring) {
    let directory = tempfile::tempdir().unwrap();
    let store = KeyringFile::new(directory.path().join("keyring.json"));
    let mut keyring = keyring().await;
    keyring.save(&store).await.unwrap();
    (directory, store, keyring)
}

/// A keyring whose first key was relieved by a second one.
async fn relieved() -> (Keyring, KeyId) {
    let mut keyring = keyring().await;
    let (old, new) = (keyring.keys()[0].id(), keyring.add_key(&kek(1)).await.unwrap());
    keyring.promote_without_waiting(new).unwrap();
    (keyring, old)
}

/// Takes all waits out, lets the second of the last change pass, and returns a moment after it.
fn settled(keyring: &mut Keyring) -> SystemTime {
    keyring.set_timing(Timing::single_process()).unwrap();
    std::thread::sleep(SECOND);
    SystemTime::now()
}

fn state(keyring: &Keyring, id: KeyId) -> KeyState {
    keyring.keys().iter().find(|entry| entry.id() == id).unwrap().state()
}

fn cipher(keys: &Keys) -> FieldCipher {
    let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build().unwrap();
    FieldCipher::new(policy, keys.clone())
}

#[track_caller]
fn refused(outcome: Result<(), Error>) -> String {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooEarly, "{error}");
    error.to_string()
}

/// A copy of the keyring from before a key was wrapped again gives it back by the key-encryption key of then.
#[tokio::test]
async fn a_key_is_shredded_only_when_every_key_encryption_key_that_wrapped_it_is() {
    let (first, second, third) = (kek(1), kek(2), kek(3));
    let [first_name, second_name, third_name] = [&first, &second, &third].map(KeyService::name);
    let mut keyring = Keyring::create("customers", &first).await.unwrap();
    keyring.set_timing(Timing::single_process()).unwrap();
    let old = keyring.keys()[0].id();
    let stale = keyring.to_json();
    keyring.rewrap(first_name, kek(1), &second).await.unwrap();
    let new = keyring.add_key(&third).await.unwrap();
    keyring.promote(new).unwrap();
    keyring.authenticate_by(&third).await.unwrap();
    keyring.forget_with_everything_under_it(old, 0).unwrap();

    assert_eq!(keyring.shred(second_name, "receipt 2").unwrap(), [], "it lives on under the first");
    assert_eq!(keyring.changes().last().unwrap().action(), format!("shredded: {second_name}: receipt 2"));
    assert_eq!(state(&keyring, old), KeyState::Forgotten);
    assert!(Keyring::from_json(&stale, kek(1)).await.is_ok(), "as the stale copy shows");
    assert!(keyring.shreddable(second_name).is_err(), "it is gone already");
    assert_eq!(keyring.shreddable(first_name).unwrap(), [old]);
    let keyring_read = Keyring::from_json(&keyring.to_json(), kek(3)).await.unwrap();
    assert_eq!(keyring_read.keys()[0].former_keks(), [first_name]);
    assert_eq!(keyring.shred(first_name, "destroyed").unwrap(), [old]);
    assert_eq!(state(&keyring, old), KeyState::Shredded);

    for gone in [kek(1), kek(2)] {
        let refusals = [
            keyring.add_key(&gone).await.map(drop),
            keyring.authenticate_by(&gone).await,
            keyring.rewrap(third_name, kek(3), &gone).await.map(drop),
        ];
        for refusal in refusals {
            assert!(refusal.unwrap_err().to_string().contains("was destroyed"));
        }
    }
    assert_eq!(keyring.keys()[1].kek(), third_name);
}

#[tokio::test]
async fn a_key_that_lives_under_another_key_encryption_key_is_not_shredded_with_its_former_one() {
    let (first, second) = (kek(1), kek(2));
    let mut keyring = Keyring::create("customers", &first).await.unwrap();
    let living = keyring.keys()[0].id();
    keyring.rewrap(first.name(), kek(1), &second).await.unwrap();
    keyring.authenticate_by(&second).await.unwrap();
    assert_eq!(keyring.shreddable(first.name()).unwrap(), []);
    assert_eq!(keyring.shred(first.name(), "receipt").unwrap(), []);
    assert_eq!(state(&keyring, living), KeyState::Primary);
}

/// A replica that is cut off goes on by the times that it has read.
#[tokio::test]
async fn a_shorter_lease_is_waited_for_as_long_as_the_one_before() {
    let directory = TempDir::new().unwrap();
    let store = KeyringFile::new(directory.path().join("keyring.json"));
    let long = Timing { lease: Some(3600 * SECOND), refresh: 1800 * SECOND, ..Timing::default() };
    let short = Timing { lease: Some(SECOND), refresh: SECOND, longest_request: SECOND, ..Timing::single_process() };
    let mut keyring = Keyring::create("customers", &kek(1)).await.unwrap();
    keyring.set_timing(long).unwrap();
    let (old, new) = (keyring.keys()[0].id(), keyring.add_key(&kek(1)).await.unwrap());
    keyring.save(&store).await.unwrap();

    let changed = SystemTime::now();
    keyring.set_timing(short).unwrap();
    keyring.save(&store).await.unwrap();
    let mut keyring = Keyring::load(&store, &kek(1)).await.unwrap();
    let wait = |at: SystemTime| at.duration_since(changed).unwrap();
    assert!(wait(keyring.promotable_at(new).unwrap().into()) >= long.before_promotion());
    assert_eq!(keyring.promote(new).unwrap_err().kind(), ErrorKind::TooEarly);
    keyring.promote_without_waiting(new).unwrap();
    let scannable = keyring.scannable_at(old).unwrap().unwrap();
    assert!(wait(scannable.into()) >= long.before_scan(), "{scannable}");
    assert_eq!(keyring.record_scan(old, SystemTime::now(), 0).unwrap_err().kind(), ErrorKind::TooEarly);

    // Even shorter takes nothing back.
    keyring.set_timing(Timing { clock_skew: Duration::ZERO, ..short }).unwrap();
    assert_eq!(keyring.scannable_at(old).unwrap(), Some(scannable));
}

#[tokio::test]
async fn a_witness_knows_what_was_saved_through_it() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("keyring.json");
    let witness = Witness::new(KeyringFile::new(&path), directory.path().join("seen"));
    let mut keyring = Keyring::create("customers", &kek(1)).await.unwrap();
    keyring.save(&witness).await.unwrap();
    let old = fs::read(&path).unwrap();
    keyring.add_key(&kek(1)).await.unwrap();
    keyring.save(&witness).await.unwrap();
    fs::write(&path, &old).unwrap();
    let error = Keyring::load(&witness, &kek(1)).await.unwrap_err();
    assert!(error.to_string().contains("an old copy was put back"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_processes_at_once_open_a_keyring_through_one_witness() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("keyring.json");
    let witness = || Witness::new(KeyringFile::new(&path), directory.path().join("seen"));
    Keyring::create("customers", &kek(1)).await.unwrap().save(&witness()).await.unwrap();
    let opened: Vec<_> = (0..100).map(|_| tokio::spawn(Keys::open(witness(), kek(1)))).collect();
    for keys in opened {
        keys.await.unwrap().unwrap();
    }
}
