//! Proves what a keyring keeps and refuses: the file and its permissions, every kind of altered document, rotation as
//! a running service sees it, and that no key ever shows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::env;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use fieldseal::keys::{
    DataKey, KeyEntry, KeyId, KeyService, KeyServiceFuture, KeyState, Keyring, KeyringFile, Keys, LocalKek, SecretKey,
    WrapContext, WrappedKey,
};
use fieldseal::{Error, ErrorKind, Field, FieldCipher, Policy, Tag};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;
use tokio::sync::Semaphore;

/// Written by an implementation of its own, in Python, under the key-encryption key of 32 bytes 7. The data keys are 32
/// bytes 0x20 and so on.
const FROZEN: &str = include_str!("vectors/v1/keyring.json");

#[tokio::test]
async fn a_keyring_is_created_saved_opened_and_reloaded() {
    let (_directory, file, mut keyring) = stored().await;
    assert_eq!((keyring.name(), keyring.revision(), states(&keyring)), ("customers", 1, vec![KeyState::Primary]));
    let keys = Keys::open(file.clone(), kek()).await.unwrap();
    let token = encrypt(&keys);

    let second = keyring.add_key(&kek()).await.unwrap();
    keyring.save(&file).await.unwrap();
    keys.reload().await.unwrap();
    assert_eq!(keys.revision(), Some(2));

    let loaded = Keyring::load(&file, &kek()).await.unwrap();
    assert_eq!(loaded.keys(), keyring.keys());
    assert_eq!(loaded.to_json(), fs::read(file.path()).unwrap());
    assert_eq!(loaded.keys()[1].id(), second);
    let restarted = Keys::open(file.clone(), kek()).await.unwrap();
    assert_eq!(decrypt(&restarted, &token).unwrap(), PHONE);
}

#[tokio::test]
async fn the_frozen_keyring_opens_for_ever() {
    let frozen = LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
    let keyring = Keyring::from_json(FROZEN.as_bytes(), &frozen).await.unwrap();
    assert_eq!(String::from_utf8(keyring.to_json()).unwrap(), FROZEN);
    assert_eq!((keyring.name(), keyring.revision()), ("customers", 11));
    let expected = ["shredded", "forgotten", "disabled", "enabled", "primary", "pending"];
    assert_eq!(states(&keyring).iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    for (byte, entry) in (0x20..).zip(keyring.keys()) {
        let key = DataKey::new(&SecretKey::from_bytes(&[byte; 32]));
        assert_eq!((entry.id(), entry.commitment()), (key.id(), key.commitment()));
    }
    let directory = tempfile::tempdir().unwrap();
    let path = put(&directory, "keyring.json", FROZEN);
    let keys = Keys::open(KeyringFile::new(path), frozen).await.unwrap();
    assert_eq!(keys.primary_id(), Some(keyring.keys()[4].id()));
}

#[tokio::test]
async fn rotation_reaches_a_running_service_by_reload_alone() {
    let (_directory, file, mut keyring) = stored().await;
    let keys = Keys::open(file.clone(), kek()).await.unwrap();
    let old = keyring.keys()[0].id();
    let under_old = encrypt(&keys);
    assert!(under_old.starts_with(&old.token_prefix()));

    let new = keyring.add_key(&kek()).await.unwrap();
    save_and_reload(&file, &mut keyring, &keys).await;
    assert!(encrypt(&keys).starts_with(&old.token_prefix()), "a pending key does not encrypt");
    let ahead = Keys::open(file.clone(), kek()).await.unwrap();

    keyring.promote_without_waiting(new).unwrap();
    keyring.save(&file).await.unwrap();
    ahead.reload().await.unwrap();
    let under_new = encrypt(&ahead);
    assert!(under_new.starts_with(&new.token_prefix()));
    assert_eq!(decrypt(&keys, &under_new).unwrap(), PHONE, "who still has it as pending can read it");
    keys.reload().await.unwrap();
    assert_eq!((keys.primary_id(), keys.revision()), (Some(new), Some(3)));
    assert_eq!(decrypt(&keys, &under_old).unwrap(), PHONE);

    keyring.disable(old).unwrap();
    save_and_reload(&file, &mut keyring, &keys).await;
    assert_unavailable(&keys, &under_old, old, "disabled");
    assert_eq!(decrypt(&keys, &under_new).unwrap(), PHONE);

    keyring.enable(old).unwrap();
    save_and_reload(&file, &mut keyring, &keys).await;
    assert_eq!(decrypt(&keys, &under_old).unwrap(), PHONE);

    keyring.disable(old).unwrap();
    keyring.forget_with_everything_under_it(old, 0).unwrap();
    save_and_reload(&file, &mut keyring, &keys).await;
    assert_unavailable(&keys, &under_old, old, "forgotten");

    let stranger = DataKey::new(&SecretKey::generate().unwrap());
    let unknown = stranger.id();
    let under_unknown = encrypt(&Keys::from_data_key(stranger));
    assert_unavailable(&keys, &under_unknown, unknown, "not in keyring `customers` at revision 7");
}

#[tokio::test]
async fn only_legal_changes_are_made_and_each_raises_the_revision() {
    let mut keyring = Keyring::create("customers", &kek()).await.unwrap();
    let first = keyring.keys()[0].id();
    refuses(&mut keyring, "nothing is left to do", |keyring| keyring.promote(first));
    refuses(&mut keyring, "promote another key first", |keyring| keyring.disable(first));
    refuses(&mut keyring, "promote another key first", |keyring| keyring.enable(first));
    refuses(&mut keyring, "promote another key first", |keyring| keyring.forget(first));

    let second = keyring.add_key(&kek()).await.unwrap();
    refuses(&mut keyring, "cannot become enabled", |keyring| keyring.enable(second));
    refuses(&mut keyring, "disable it first", |keyring| keyring.forget(second));
    keyring.promote_without_waiting(second).unwrap();
    assert_eq!(states(&keyring), [KeyState::Enabled, KeyState::Primary]);
    keyring.promote_without_waiting(first).unwrap();
    assert_eq!(states(&keyring), [KeyState::Primary, KeyState::Enabled]);

    refuses(&mut keyring, "disable it first", |keyring| keyring.forget(second));
    keyring.disable(second).unwrap();
    refuses(&mut keyring, "enable it first", |keyring| keyring.promote(second));
    refuses(&mut keyring, "cannot become disabled", |keyring| keyring.disable(second));
    keyring.forget_with_everything_under_it(second, 0).unwrap();
    for change in [Keyring::promote, Keyring::enable, Keyring::disable, Keyring::forget] {
        refuses(&mut keyring, "no longer here", |keyring| change(keyring, second));
    }
    let unknown: KeyId = "0123456789abcdef".parse().unwrap();
    refuses(&mut keyring, "has no key 0123456789abcdef", |keyring| keyring.promote(unknown));
    assert_eq!((keyring.revision(), states(&keyring)), (6, vec![KeyState::Primary, KeyState::Forgotten]));
}

#[tokio::test]
async fn a_forgotten_key_is_gone_from_the_document() {
    let (_directory, file, mut keyring) = stored().await;
    let old = keyring.keys()[0].id();
    let new = keyring.add_key(&kek()).await.unwrap();
    keyring.promote_without_waiting(new).unwrap();
    let wrapped = member(&keyring.to_json(), "/keys/0/wrapped");
    keyring.disable(old).unwrap();
    assert!(text(&keyring.to_json()).contains(&wrapped));
    keyring.forget_with_everything_under_it(old, 0).unwrap();
    keyring.save(&file).await.unwrap();
    let json = text(&fs::read(file.path()).unwrap());
    assert!(!json.contains(&wrapped));
    assert!(json.contains(&old.to_string()) && json.contains("\"forgotten\""));
    Keyring::load(&file, &kek()).await.unwrap();
}

#[tokio::test]
async fn a_name_that_a_key_service_or_a_log_could_stumble_over_is_refused() {
    for bad in ["", "two words", "a\nb", "`", "ключи", &"a".repeat(129)] {
        assert_eq!(Keyring::create(bad, &kek()).await.unwrap_err().kind(), ErrorKind::Keyring, "{bad:?}");
        assert!(WrapContext::keyring_authentication(bad).is_err());
    }
}

#[tokio::test]
async fn of_two_changes_to_one_revision_the_second_is_refused() {
    let (_directory, file, mut keyring) = stored().await;
    let mut other = Keyring::load(&file, &kek()).await.unwrap();
    keyring.add_key(&kek()).await.unwrap();
    keyring.save(&file).await.unwrap();
    let saved = fs::read(file.path()).unwrap();

    other.add_key(&kek()).await.unwrap();
    let error = other.save(&file).await.unwrap_err();
    assert_keyring_error(&error, &["is at revision 2", "made to revision 1", "load it again", shown(&file)]);
    assert_eq!(fs::read(file.path()).unwrap(), saved);

    // The change can go on from what is there, and a keyring that was saved can be changed and saved again.
    let mut again = Keyring::load(&file, &kek()).await.unwrap();
    again.add_key(&kek()).await.unwrap();
    again.save(&file).await.unwrap();
    again.add_key(&kek()).await.unwrap();
    again.save(&file).await.unwrap();
    assert_eq!(Keyring::load(&file, &kek()).await.unwrap().revision(), 4);
}

#[tokio::test]
async fn a_change_is_not_saved_over_the_same_revision_with_another_content() {
    let (_directory, file, mut keyring) = stored().await;
    let mut other = Keyring::load(&file, &kek()).await.unwrap();
    for keyring in [&mut keyring, &mut other] {
        keyring.add_key(&kek()).await.unwrap();
    }
    keyring.save(&file).await.unwrap();
    fs::write(file.path(), other.to_json()).unwrap();
    keyring.add_key(&kek()).await.unwrap();
    let error = keyring.save(&file).await.unwrap_err();
    assert_keyring_error(&error, &["with another content than revision 2"]);
    assert_eq!(fs::read(file.path()).unwrap(), other.to_json());
}

#[tokio::test]
async fn a_change_is_not_saved_over_a_damaged_or_missing_file() {
    let (_directory, file, mut keyring) = stored().await;
    keyring.add_key(&kek()).await.unwrap();
    fs::write(file.path(), "{").unwrap();
    assert_keyring_error(&keyring.save(&file).await.unwrap_err(), &["cut short"]);
    assert_eq!(fs::read(file.path()).unwrap(), b"{");
    fs::remove_file(file.path()).unwrap();
    assert_keyring_error(&keyring.save(&file).await.unwrap_err(), &["no such file", shown(&file)]);
    assert!(!file.path().exists());
}

#[tokio::test]
async fn creating_never_overwrites_and_saving_never_creates() {
    let (_directory, file, _) = stored().await;
    let before = fs::read(file.path()).unwrap();
    let mut other = Keyring::create("customers", &kek()).await.unwrap();
    assert_keyring_error(&other.save(&file).await.unwrap_err(), &["exists already", shown(&file)]);
    assert_keyring_error(&other.save(&file).await.unwrap_err(), &["was never stored"]);
    assert_eq!(fs::read(file.path()).unwrap(), before);
    let error = LocalKek::create_file(file.path()).unwrap_err();
    assert_keyring_error(&error, &["exists already", shown(&file)]);
    assert_eq!(fs::read(file.path()).unwrap(), before);
}

#[tokio::test]
async fn many_who_save_at_once_leave_one_whole_change_each() {
    let (_directory, file, _) = stored().await;
    let saved = Arc::new(AtomicUsize::new(0));
    let savers: Vec<_> = (0..4)
        .map(|_| {
            let (file, saved) = (file.clone(), Arc::clone(&saved));
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for _ in 0..20 {
                    let mut keyring = runtime.block_on(Keyring::load(&file, &kek())).unwrap();
                    runtime.block_on(keyring.add_key(&kek())).unwrap();
                    match runtime.block_on(keyring.save(&file)) {
                        Ok(()) => saved.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Keyring);
                            assert!(error.to_string().contains("load it again"), "{error}");
                            0
                        }
                    };
                }
            })
        })
        .collect();
    for saver in savers {
        saver.join().unwrap();
    }
    let keyring = Keyring::load(&file, &kek()).await.unwrap();
    let changes = saved.load(Ordering::Relaxed);
    assert!(changes > 0);
    assert_eq!((keyring.revision(), keyring.keys().len()), (1 + changes as u64, 1 + changes));
}

#[tokio::test]
async fn saving_leaves_nothing_but_the_keyring_and_its_lock() {
    let (directory, file, mut keyring) = stored().await;
    keyring.add_key(&kek()).await.unwrap();
    keyring.save(&file).await.unwrap();
    // Nothing has changed since: nothing is written.
    let written = fs::metadata(file.path()).unwrap().modified().unwrap();
    keyring.save(&file).await.unwrap();
    assert_eq!(fs::metadata(file.path()).unwrap().modified().unwrap(), written);
    let mut names: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["keyring.json", "keyring.json.lock"]);
    #[cfg(unix)]
    for name in names {
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(fs::metadata(directory.path().join(name)).unwrap().mode() & 0o7777, 0o600);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn saving_through_a_link_changes_the_file_that_it_leads_to() {
    let (directory, file, mut keyring) = stored().await;
    let link = KeyringFile::new(directory.path().join("link.json"));
    std::os::unix::fs::symlink(file.path(), link.path()).unwrap();
    keyring.add_key(&kek()).await.unwrap();
    keyring.save(&link).await.unwrap();
    assert!(fs::symlink_metadata(link.path()).unwrap().is_symlink());
    assert_eq!(Keyring::load(&file, &kek()).await.unwrap().revision(), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_open_to_other_users_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let (directory, file, mut keyring) = stored().await;
    let path = directory.path().join("kek");
    LocalKek::create_file(&path).unwrap();
    keyring.add_key(&kek()).await.unwrap();
    for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o666, 0o777] {
        for path in [file.path(), &path] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let says = [&*format!("mode {mode:04o}"), "chmod 600"];
        assert_keyring_error(&LocalKek::from_file(&path).unwrap_err(), &[says[0], says[1], path.to_str().unwrap()]);
        assert_keyring_error(&Keyring::load(&file, &kek()).await.unwrap_err(), &[says[0], says[1], shown(&file)]);
        assert_keyring_error(&Keys::open(file.clone(), kek()).await.unwrap_err(), &says);
        assert_keyring_error(&keyring.save(&file).await.unwrap_err(), &says);
    }
    for mode in [0o600, 0o400, 0o700] {
        for path in [file.path(), &path] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        LocalKek::from_file(&path).unwrap();
        Keyring::load(&file, &kek()).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_missing_or_no_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let error = Keyring::load(&KeyringFile::new(&missing), &kek()).await.unwrap_err();
    assert_keyring_error(&error, &["keyring file", missing.to_str().unwrap(), "no such file"]);
    let error = LocalKek::from_file(&missing).unwrap_err();
    assert_keyring_error(&error, &["key-encryption key file", missing.to_str().unwrap(), "no such file"]);
    for error in [
        Keyring::load(&KeyringFile::new(directory.path()), &kek()).await.unwrap_err(),
        LocalKek::from_file(directory.path()).unwrap_err(),
    ] {
        assert_keyring_error(&error, &["not a regular file", directory.path().to_str().unwrap()]);
    }
    let long = put(&directory, "long.json", &" ".repeat((1 << 20) + 1));
    assert_keyring_error(
        &Keyring::load(&KeyringFile::new(long), &kek()).await.unwrap_err(),
        &["longer than 1048576 bytes"],
    );
}

#[tokio::test]
async fn a_keyring_that_is_cut_short_is_refused_at_every_length() {
    let (_directory, file, mut keyring) = stored().await;
    keyring.add_key(&kek()).await.unwrap();
    let whole = keyring.to_json();
    for length in 0..whole.len() {
        fs::write(file.path(), &whole[..length]).unwrap();
        assert_keyring_error(&Keyring::load(&file, &kek()).await.unwrap_err(), &["cut short", "restore", shown(&file)]);
        assert_keyring_error(&Keys::open(file.clone(), kek()).await.unwrap_err(), &["cut short"]);
    }
    fs::write(file.path(), &whole).unwrap();
    Keys::open(file.clone(), kek()).await.unwrap();
}

#[tokio::test]
async fn no_byte_of_a_keyring_can_change_but_white_space() {
    let kek = kek();
    let good = Keyring::create("customers", &kek).await.unwrap().to_json();
    let is_space = |byte: u8| b" \t\r\n".contains(&byte);
    let mut same = 0;
    for at in 0..good.len() {
        for byte in (0..=u8::MAX).filter(|&byte| byte != good[at]) {
            let mut changed = good.clone();
            changed[at] = byte;
            match Keyring::from_json(&changed, &kek).await {
                Ok(keyring) => {
                    assert!(is_space(good[at]) && is_space(byte), "byte {at} became {byte}");
                    assert_eq!(keyring.to_json(), good);
                    same += 1;
                }
                // The authentication key is unwrapped before anything is authenticated with it.
                Err(error) => assert!(matches!(error.kind(), ErrorKind::Keyring | ErrorKind::KeyService)),
            }
        }
    }
    // No string in the document has white space, and JSON knows four kinds of it.
    assert_eq!(same, 3 * good.iter().filter(|&&byte| is_space(byte)).count());
}

#[tokio::test]
async fn no_bit_of_a_keyring_file_can_change_unseen_by_a_service() {
    let (_directory, file, keyring) = stored().await;
    let good = keyring.to_json();
    let keys = Keys::open(file.clone(), kek()).await.unwrap();
    for bit in 0..good.len() * 8 {
        let mut changed = good.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        fs::write(file.path(), changed).unwrap();
        assert!(keys.reload().await.is_err(), "bit {bit}");
        assert_eq!(keys.primary_id(), Some(keyring.keys()[0].id()));
    }
}

#[tokio::test]
async fn two_primary_keys_are_refused() {
    let altered = altered(|document| document["keys"][1]["state"] = "primary".into()).await;
    assert_refused(&altered, "more than one primary key").await;
}

#[tokio::test]
async fn a_key_that_is_listed_twice_is_refused() {
    let altered = altered(|document| {
        let mut twin = document["keys"][1].clone();
        twin["state"] = "enabled".into();
        document["keys"].as_array_mut().unwrap().push(twin);
    })
    .await;
    assert_refused(&altered, "twice").await;
}

#[tokio::test]
async fn a_wrapped_key_stands_there_exactly_as_long_as_the_state_says() {
    let without = altered(|document| drop(document["keys"][1].as_object_mut().unwrap().remove("wrapped"))).await;
    assert_refused(&without, "does not hold the wrapped key").await;
    for state in ["forgotten", "shredded"] {
        let with = altered(|document| document["keys"][1]["state"] = state.into()).await;
        assert_refused(&with, "still holds the wrapped key").await;
    }
}

#[tokio::test]
async fn an_id_that_is_not_of_its_commitment_is_refused() {
    let altered = altered(|document| document["keys"][1]["id"] = "0123456789abcdef".into()).await;
    assert_refused(&altered, "another id").await;
}

#[tokio::test]
async fn swapped_wrapped_keys_are_refused_three_times_over() {
    let swap = |document: &mut Value| {
        let [first, second] = [0, 1].map(|index| document["keys"][index]["wrapped"].clone());
        document["keys"][0]["wrapped"] = second;
        document["keys"][1]["wrapped"] = first;
    };
    // By the code over the document, for who cannot make it.
    let document = two_keys(&kek()).await;
    let mut swapped = document.clone();
    swap(&mut swapped);
    assert_refused(&swapped, "was altered or damaged").await;

    // By the context that the wrapped key is bound to, for who can.
    authenticate(&mut swapped, &kek()).await;
    let error = open_keys(&swapped, kek()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyService);
    assert!(error.to_string().contains("did not unwrap key"), "{error}");

    // By the commitment, where the key service binds nothing.
    let mut careless = two_keys(&Careless).await;
    open_keys(&careless, Careless).await.unwrap();
    swap(&mut careless);
    authenticate(&mut careless, &Careless).await;
    let error = open_keys(&careless, Careless).await.unwrap_err();
    assert_keyring_error(&error, &["unwrapped something else than key", careless["keys"][0]["id"].as_str().unwrap()]);
}

#[tokio::test]
async fn a_wrapped_key_of_another_keyring_is_refused() {
    let theirs = Keyring::create("staging", &kek()).await.unwrap().to_json();
    let theirs: Value = serde_json::from_slice(&theirs).unwrap();
    let mut document = two_keys(&kek()).await;
    document["keys"].as_array_mut().unwrap().push(theirs["keys"][0].clone());
    document["keys"][2]["state"] = "enabled".into();
    assert_refused(&document, "was altered or damaged").await;
    authenticate(&mut document, &kek()).await;
    let error = open_keys(&document, kek()).await.unwrap_err();
    let id = theirs["keys"][0]["id"].as_str().unwrap();
    assert_eq!(error.kind(), ErrorKind::KeyService);
    assert!(error.to_string().contains(&format!("key {id} of keyring `customers`")), "{error}");

    // Nor does the keyring's own authentication key pass for a data key, or that of another keyring for its own.
    let mut document = two_keys(&kek()).await;
    document["keys"][1]["wrapped"] = document["authentication"]["wrapped"].clone();
    authenticate(&mut document, &kek()).await;
    assert_eq!(open_keys(&document, kek()).await.unwrap_err().kind(), ErrorKind::KeyService);
    document["authentication"] = theirs["authentication"].clone();
    assert_eq!(open(&document, &kek()).await.unwrap_err().kind(), ErrorKind::KeyService);
}

#[tokio::test]
async fn a_renamed_keyring_is_refused() {
    let mut document = two_keys(&kek()).await;
    document["name"] = "suppliers".into();
    assert_eq!(open(&document, &kek()).await.unwrap_err().kind(), ErrorKind::KeyService);
}

#[tokio::test]
async fn the_code_covers_every_member() {
    let document = two_keys(&kek()).await;
    let mut same = document.clone();
    authenticate(&mut same, &kek()).await;
    assert_eq!(same, document, "the code is the one that is specified");
    for (pointer, value) in [
        ("/revision", json!(9)),
        ("/keys/0/created", json!("2020-01-01T00:00:00Z")),
        ("/keys/0/changed", json!("2020-01-01T00:00:00Z")),
        ("/keys/0/kek", json!("local:0000000000000000")),
        ("/timing/refresh", json!(61)),
        ("/timing/lease", json!(121)),
        ("/timing/longest_request", json!(61)),
        ("/timing/clock_skew", json!(31)),
        ("/timing/rehearsal", json!(604_801)),
        ("/schedule", json!({"rotate_every": 1})),
        ("/schedule", json!({"lifetime": 1})),
        ("/changes", json!([])),
        ("/changes/0/by", json!("somebody else")),
        ("/changes/0/why", json!("another reason")),
        ("/changes/0/at", json!("2020-01-01T00:00:00Z")),
        ("/changes/0/action", json!("forgotten")),
        ("/changes/0/revision", json!(7)),
        ("/changes/0/key", document["keys"][1]["id"].clone()),
        ("/keys/0/state", json!("enabled")),
        ("/keys/1/state", json!("disabled")),
        ("/keys/1/wrapped", document["keys"][0]["wrapped"].clone()),
        ("/keys", json!([])),
        ("/keys", json!([document["keys"][0]])),
        ("/keys", json!([document["keys"][1], document["keys"][0]])),
        ("/mac", json!("0".repeat(64))),
    ] {
        let mut altered = document.clone();
        *altered.pointer_mut(pointer).unwrap() = value;
        assert_ne!(altered, document);
        assert_refused(&altered, "was altered or damaged").await;
    }
}

#[tokio::test]
async fn the_code_covers_what_only_some_keyrings_hold() {
    let document = altered(|document| {
        document["slower_until"] = json!({"promotion": "2030-01-01T00:00:00Z", "scan": "2030-01-01T00:00:00Z"});
        document["destroyed"] = json!(["local:0000000000000000"]);
        document["keys"][1]["former_keks"] = json!(["local:0000000000000000"]);
    })
    .await;
    open(&document, &kek()).await.unwrap();
    for (pointer, value) in [
        ("/slower_until/promotion", json!("2020-01-01T00:00:00Z")),
        ("/slower_until/scan", json!("2020-01-01T00:00:00Z")),
        ("/destroyed", json!([])),
        ("/destroyed/0", json!("local:1111111111111111")),
        ("/keys/1/former_keks", json!([])),
        ("/keys/1/former_keks/0", json!("local:1111111111111111")),
    ] {
        let mut altered = document.clone();
        *altered.pointer_mut(pointer).unwrap() = value;
        assert_refused(&altered, "was altered or damaged").await;
    }
    for (holder, member) in [("", "slower_until"), ("", "destroyed"), ("/keys/1", "former_keks")] {
        let mut altered = document.clone();
        altered.pointer_mut(holder).unwrap().as_object_mut().unwrap().remove(member).unwrap();
        assert_refused(&altered, "was altered or damaged").await;
    }
}

#[tokio::test]
async fn without_a_primary_key_a_service_reads_but_does_not_write() {
    let secret = SecretKey::generate().unwrap();
    let key = DataKey::new(&secret);
    let context = WrapContext::data_key("customers", key.id()).unwrap();
    let mut document = two_keys(&kek()).await;
    document["keys"][0]["state"] = "enabled".into();
    document["keys"][1]["id"] = key.id().to_string().into();
    document["keys"][1]["commitment"] = hex(key.commitment()).into();
    document["keys"][1]["wrapped"] = STANDARD.encode(kek().wrap(&secret, &context).await.unwrap().as_bytes()).into();
    authenticate(&mut document, &kek()).await;
    let keys = open_keys(&document, kek()).await.unwrap();
    assert_eq!(keys.primary_id(), None);
    let error = cipher(&keys).encrypt_value("phone", PHONE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert!(error.to_string().contains("no primary key"), "{error}");
    assert_eq!(decrypt(&keys, &encrypt(&Keys::from_data_key(key))).unwrap(), PHONE);
}

#[tokio::test]
async fn a_shredded_key_is_told_from_an_unknown_one() {
    let mut document = two_keys(&kek()).await;
    document["keys"][1]["state"] = "shredded".into();
    document["keys"][1].as_object_mut().unwrap().remove("wrapped");
    let secret = SecretKey::generate().unwrap();
    let key = DataKey::new(&secret);
    document["keys"][1]["id"] = key.id().to_string().into();
    document["keys"][1]["commitment"] = hex(key.commitment()).into();
    authenticate(&mut document, &kek()).await;
    let keys = open_keys(&document, kek()).await.unwrap();
    let id = key.id();
    assert_unavailable(&keys, &encrypt(&Keys::from_data_key(key)), id, "shredded");
}

#[tokio::test]
async fn an_older_file_is_refused_by_reload_and_the_keys_stay() {
    let (_directory, file, mut keyring) = stored().await;
    let first = fs::read(file.path()).unwrap();
    let id = keyring.add_key(&kek()).await.unwrap();
    keyring.promote_without_waiting(id).unwrap();
    keyring.save(&file).await.unwrap();
    let keys = Keys::open(file.clone(), kek()).await.unwrap();

    fs::write(file.path(), &first).unwrap();
    let error = keys.reload().await.unwrap_err();
    assert_keyring_error(&error, &["revision 1", "revision 3 is in use", "an old copy was put back", shown(&file)]);
    assert_eq!((keys.revision(), keys.primary_id()), (Some(3), Some(id)));

    fs::write(file.path(), keyring.to_json()).unwrap();
    keys.reload().await.unwrap();
}

#[tokio::test]
async fn another_content_under_the_same_revision_is_refused_by_reload() {
    let (_directory, file, mut keyring) = stored().await;
    let mut fork = Keyring::load(&file, &kek()).await.unwrap();
    keyring.add_key(&kek()).await.unwrap();
    fork.add_key(&kek()).await.unwrap();
    keyring.save(&file).await.unwrap();
    let keys = Keys::open(file.clone(), kek()).await.unwrap();
    fs::write(file.path(), fork.to_json()).unwrap();
    assert_keyring_error(&keys.reload().await.unwrap_err(), &["revision 2 with another content"]);
    let pending = keyring.keys()[1].id();
    assert!(format!("{keys:?}").contains(&pending.to_string()));
}

#[tokio::test]
async fn another_keyring_is_refused_by_reload() {
    let (_directory, file, _) = stored().await;
    let keys = Keys::open(file.clone(), kek()).await.unwrap();
    for (name, says) in [("suppliers", "`customers` is in use"), ("customers", "another keyring that is also called")] {
        let mut other = Keyring::create(name, &kek()).await.unwrap();
        other.add_key(&kek()).await.unwrap();
        fs::write(file.path(), other.to_json()).unwrap();
        assert_keyring_error(&keys.reload().await.unwrap_err(), &[says, shown(&file)]);
        assert_eq!(keys.revision(), Some(1));
    }
}

#[tokio::test]
async fn a_failing_reload_leaves_the_keys_in_force() {
    let (_directory, file, mut keyring) = stored().await;
    let service = Arc::new(Watched::new());
    let keys = Keys::open(file.clone(), Arc::clone(&service)).await.unwrap();
    let token = encrypt(&keys);
    let assert_in_force = || {
        assert_eq!(keys.revision(), Some(1));
        assert_eq!(decrypt(&keys, &token).unwrap(), PHONE);
        assert!(encrypt(&keys).starts_with(&keyring_prefix(&token)));
    };
    for damage in ["", "{", "null", "not JSON"] {
        fs::write(file.path(), damage).unwrap();
        assert_eq!(keys.reload().await.unwrap_err().kind(), ErrorKind::Keyring);
        assert_in_force();
    }
    fs::remove_file(file.path()).unwrap();
    assert_eq!(keys.reload().await.unwrap_err().kind(), ErrorKind::Keyring);
    assert_in_force();

    let id = keyring.add_key(&kek()).await.unwrap();
    keyring.promote_without_waiting(id).unwrap();
    put_at(file.path(), &text(&keyring.to_json()));
    service.is_down.store(true, Ordering::Relaxed);
    let error = keys.reload().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyService);
    assert!(error.to_string().contains(&format!("key {id} of keyring `customers`")), "{error}");
    assert_in_force();

    service.is_down.store(false, Ordering::Relaxed);
    keys.reload().await.unwrap();
    assert_eq!(keys.primary_id(), Some(id));
}

#[tokio::test]
async fn keys_in_memory_need_no_key_service() {
    let (_directory, file, mut keyring) = stored().await;
    let service = Arc::new(Watched::new());
    let first = keyring.keys()[0].id();
    let keys = Keys::open(file.clone(), Arc::clone(&service)).await.unwrap();
    assert_eq!(service.unwrapped(), 2, "the authentication key and the one data key");

    keys.reload().await.unwrap();
    assert_eq!(service.unwrapped(), 2);
    let second = keyring.add_key(&kek()).await.unwrap();
    save_and_reload(&file, &mut keyring, &keys).await;
    assert_eq!(service.unwrapped(), 3, "the new one only");

    service.is_down.store(true, Ordering::Relaxed);
    keyring.promote_without_waiting(second).unwrap();
    keyring.disable(first).unwrap();
    save_and_reload(&file, &mut keyring, &keys).await;
    assert_eq!((keys.primary_id(), service.unwrapped()), (Some(second), 3));

    // A disabled key is not kept, so it has to be unwrapped again.
    keyring.enable(first).unwrap();
    keyring.save(&file).await.unwrap();
    assert_eq!(keys.reload().await.unwrap_err().kind(), ErrorKind::KeyService);
    service.is_down.store(false, Ordering::Relaxed);
    keys.reload().await.unwrap();
    assert_eq!(service.unwrapped(), 4);
}

#[tokio::test]
async fn a_slow_reload_does_not_undo_a_later_one() {
    let (_directory, file, mut keyring) = stored().await;
    let service = Arc::new(Watched::new());
    let keys = Keys::open(file.clone(), Arc::clone(&service)).await.unwrap();
    let begin_slow_reload = || {
        service.is_slow.store(true, Ordering::Relaxed);
        let keys = keys.clone();
        tokio::spawn(async move { keys.reload().await })
    };
    keyring.add_key(&kek()).await.unwrap();
    keyring.save(&file).await.unwrap();
    let slow = begin_slow_reload();
    service.is_waiting().await;
    keyring.add_key(&kek()).await.unwrap();
    save_and_reload(&file, &mut keyring, &keys).await;
    assert_eq!(keys.revision(), Some(3));
    service.go_on.add_permits(1);
    slow.await.unwrap().unwrap();
    assert_eq!(keys.revision(), Some(3));

    // One that is given up changes nothing, and the next begins anew.
    keyring.add_key(&kek()).await.unwrap();
    keyring.save(&file).await.unwrap();
    let given_up = begin_slow_reload();
    service.is_waiting().await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    assert_eq!(keys.revision(), Some(3));
    keys.reload().await.unwrap();
    assert_eq!(keys.revision(), Some(4));
}

#[tokio::test]
async fn readers_meet_whole_key_sets_while_the_keyring_changes() {
    let (_directory, file, mut keyring) = stored().await;
    let keys = Keys::open(file.clone(), kek()).await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (keys, is_over) = (keys.clone(), Arc::clone(&is_over));
            thread::spawn(move || {
                let cipher = cipher(&keys);
                let mut tokens = Vec::new();
                let mut revision = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let now = keys.revision().unwrap();
                    assert!(now >= revision, "the keys never go back");
                    revision = now;
                    let token = cipher.encrypt_value("phone", PHONE).unwrap();
                    assert_eq!(cipher.decrypt_value::<String>("phone", &token).unwrap(), PHONE);
                    if tokens.len() < 1000 {
                        tokens.push(token);
                    }
                }
                tokens
            })
        })
        .collect();
    for _ in 0..20 {
        let id = keyring.add_key(&kek()).await.unwrap();
        save_and_reload(&file, &mut keyring, &keys).await;
        keyring.promote_without_waiting(id).unwrap();
        keyring.save(&file).await.unwrap();
        // Two who reload at once are as good as one.
        let other = keys.clone();
        let (one, two) = tokio::join!(keys.reload(), tokio::spawn(async move { other.reload().await }));
        one.and(two.unwrap()).unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    for token in readers.into_iter().flat_map(|reader| reader.join().unwrap()) {
        assert_eq!(decrypt(&keys, &token).unwrap(), PHONE);
    }
    assert_eq!(keys.revision(), Some(41));
}

#[tokio::test]
async fn keys_without_a_keyring_have_nothing_to_reload() {
    let key = DataKey::new(&SecretKey::generate().unwrap());
    let id = key.id();
    let keys = Keys::from_data_key(key);
    keys.reload().await.unwrap();
    assert_eq!((keys.primary_id(), keys.revision()), (Some(id), None));
    let stranger = DataKey::new(&SecretKey::generate().unwrap());
    let unknown = stranger.id();
    assert_unavailable(&keys, &encrypt(&Keys::from_data_key(stranger)), unknown, "without a keyring");
}

#[test]
fn everything_can_be_awaited_on_another_thread() {
    fn is_send<T: Send>(_: T) {}
    fn is_shared<T: Send + Sync + 'static>() {}
    let (kek, file) = (kek(), KeyringFile::new("keyring.json"));
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate().unwrap()));
    is_send(Keyring::create("customers", &kek));
    is_send(Keyring::from_json(b"", &kek));
    is_send(Keyring::load(&file, &kek));
    is_send(Keys::open(KeyringFile::new("keyring.json"), Arc::new(Careless) as Arc<dyn KeyService>));
    is_send(Keys::open(KeyringFile::new("keyring.json"), Box::new(Careless) as Box<dyn KeyService>));
    is_send(Keys::open(KeyringFile::new("keyring.json"), &Careless));
    is_send(keys.reload());
    is_shared::<Keys>();
    is_shared::<Keyring>();
}

#[tokio::test]
async fn a_wrong_key_encryption_key_is_told_by_both_names() {
    let (_directory, file, _) = stored().await;
    let wrong = LocalKek::new(&SecretKey::generate().unwrap());
    for error in [
        Keyring::load(&file, &wrong).await.unwrap_err(),
        Keys::open(file.clone(), &*Box::leak(Box::new(LocalKek::new(&SecretKey::from_bytes(&[1; 32])))))
            .await
            .unwrap_err(),
    ] {
        assert_keyring_error(&error, &[kek().name(), "local:", "give the one that wrapped it", shown(&file)]);
    }
    let error = Keyring::load(&file, &wrong).await.unwrap_err();
    assert_keyring_error(&error, &[kek().name(), wrong.name()]);
}

#[tokio::test]
async fn a_failing_key_service_is_named_with_its_cause() {
    let (_directory, file, mut keyring) = stored().await;
    let service = Watched::new();
    service.is_down.store(true, Ordering::Relaxed);
    for error in [
        Keyring::create("customers", &service).await.unwrap_err(),
        Keyring::load(&file, &service).await.unwrap_err(),
        keyring.add_key(&service).await.unwrap_err(),
        Keys::open(file.clone(), Arc::new(service)).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::KeyService);
        assert!(error.to_string().contains(kek().name()), "{error}");
        assert!(error.to_string().contains("keyring `customers`"), "{error}");
        assert!(chain(&error).ends_with("connection refused"), "{}", chain(&error));
    }
    assert_eq!((keyring.revision(), keyring.keys().len()), (1, 1));
}

#[tokio::test]
async fn what_a_keyring_cannot_hold_is_not_taken_from_a_key_service() {
    for (name, length) in [("unusable", 0), ("unusable", 8193), ("", 73), ("two\nlines", 73), (&*"n".repeat(1025), 73)]
    {
        let error = Keyring::create("customers", &Unusable { name: name.to_owned(), length }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyService, "{name:?} {length}");
    }
    Keyring::create("customers", &Unusable { name: "usable".to_owned(), length: 8192 }).await.unwrap();
}

/// Nothing is ever encrypted under a key that could not be had again.
#[tokio::test]
async fn a_key_that_its_service_cannot_give_back_is_not_taken() {
    let (_directory, _, mut keyring) = stored().await;
    for (is_silent, message) in [(true, "did not unwrap again what it had wrapped"), (false, "to something else")] {
        let service = Amnesic { is_silent };
        for error in [
            Keyring::create("customers", &service).await.unwrap_err(),
            keyring.add_key(&service).await.unwrap_err(),
            keyring.authenticate_by(&service).await.unwrap_err(),
            keyring.rewrap(kek().name(), &kek(), &service).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::KeyService);
            assert!(error.to_string().contains(message), "{error}");
        }
    }
    assert_eq!((keyring.revision(), keyring.keys().len()), (1, 1));
}

#[tokio::test]
async fn a_keyring_that_grew_too_large_is_not_written() {
    let service = Unusable { name: "large".to_owned(), length: 8192 };
    let directory = tempfile::tempdir().unwrap();
    let file = KeyringFile::new(directory.path().join("keyring.json"));
    let mut keyring = Keyring::create("customers", &service).await.unwrap();
    while keyring.to_json().len() <= 1 << 20 {
        keyring.add_key(&service).await.unwrap();
    }
    assert_keyring_error(&keyring.save(&file).await.unwrap_err(), &["longer than 1048576 bytes"]);
    assert!(!file.path().exists());
}

#[test]
fn a_local_key_is_written_as_openssl_prints_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kek");
    let created = LocalKek::create_file(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!((text.len(), text.ends_with("=\n")), (45, true));
    assert_eq!(LocalKek::from_file(&path).unwrap().name(), created.name());
    let bytes = STANDARD.decode(text.trim_end()).unwrap();
    let url = put(&directory, "url", &URL_SAFE_NO_PAD.encode(&bytes));
    assert_eq!(LocalKek::from_file(url).unwrap().name(), created.name());
    assert_eq!(LocalKek::new(&SecretKey::from_bytes(bytes[..].try_into().unwrap())).name(), created.name());
}

#[test]
fn what_is_no_key_or_a_placeholder_is_refused_without_showing_it() {
    let directory = tempfile::tempdir().unwrap();
    let contents = [
        String::new(),
        "hunter2hunter2hunter2hunter2hunter2hunter2!!".to_owned(),
        STANDARD.encode([3; 16]),
        format!("{}\n\n", STANDARD.encode(RAW)),
        STANDARD_NO_PAD.encode(RAW),
        hex(&RAW),
        " ".repeat(1000),
    ];
    for content in contents {
        let error = LocalKek::from_file(put(&directory, "kek", &content)).unwrap_err();
        assert_keyring_error(&error, &["key-encryption key", directory.path().to_str().unwrap()]);
        assert!(content.trim().is_empty() || !chain(&error).contains(content.trim()), "{error}");
    }
    for byte in [0, 7, 255] {
        for text in [STANDARD.encode([byte; 32]), URL_SAFE_NO_PAD.encode([byte; 32])] {
            let error = LocalKek::from_file(put(&directory, "kek", &text)).unwrap_err();
            assert_keyring_error(&error, &["placeholder", "openssl rand -base64 32"]);
            assert!(!chain(&error).contains(&text));
        }
    }
}

/// Runs itself again with the variable set, since a process cannot safely set its own.
#[test]
fn a_local_key_is_read_from_the_environment() {
    const VARIABLE: &str = "FIELDSEAL_TEST_KEK";
    if env::var_os(VARIABLE).is_some() {
        assert_eq!(LocalKek::from_env(VARIABLE).unwrap().name(), kek().name());
        return;
    }
    assert_keyring_error(&LocalKek::from_env(VARIABLE).unwrap_err(), &[VARIABLE, "is not set"]);
    let path = env::var("PATH").unwrap();
    let error = LocalKek::from_env("PATH").unwrap_err();
    assert_keyring_error(&error, &["`PATH`", "openssl rand -base64 32"]);
    assert!(!chain(&error).contains(&path));
    let run = Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_local_key_is_read_from_the_environment"])
        .env(VARIABLE, STANDARD.encode(RAW))
        .output()
        .unwrap();
    assert!(run.status.success() && text(&run.stdout).contains("1 passed"), "{}", text(&run.stdout));
}

#[tokio::test]
async fn no_key_shows_in_what_is_printed() {
    let (directory, file, mut keyring) = stored().await;
    keyring.add_key(&kek()).await.unwrap();
    keyring.save(&file).await.unwrap();
    let keys = Keys::open(file.clone(), kek()).await.unwrap();
    let json = keyring.to_json();
    let context = WrapContext::data_key("customers", keyring.keys()[0].id()).unwrap();
    let wrapped = WrappedKey::from(STANDARD.decode(member(&json, "/keys/0/wrapped")).unwrap());
    let mut secrets = vec![RAW.to_vec(), authentication_key(&kek(), &json).await.expose_secret().to_vec()];
    for entry in keyring.keys() {
        let context = WrapContext::data_key("customers", entry.id()).unwrap();
        let index = keyring.keys().iter().position(|other| other == entry).unwrap();
        let wrapped = STANDARD.decode(member(&json, &format!("/keys/{index}/wrapped"))).unwrap().into();
        secrets.push(kek().unwrap(&wrapped, &context).await.unwrap().expose_secret().to_vec());
    }
    let secret = SecretKey::from_bytes(&RAW);
    let data_key = DataKey::new(&secret);
    // A key file in a keyring's place, and the other way round.
    let key_file = put(&directory, "kek", &STANDARD.encode(RAW));
    let errors = [
        Keyring::load(&KeyringFile::new(&key_file), &kek()).await.unwrap_err(),
        LocalKek::from_file(file.path()).unwrap_err(),
        LocalKek::from_file(put(&directory, "long", &format!("{}x", STANDARD.encode(RAW)))).unwrap_err(),
        kek().unwrap(&wrapped, &WrapContext::keyring_authentication("customers").unwrap()).await.unwrap_err(),
        Keyring::load(&file, &LocalKek::new(&SecretKey::generate().unwrap())).await.unwrap_err(),
    ];
    let mut printed = vec![
        debug(&kek()),
        debug(&keyring),
        debug(&keyring.keys()),
        debug(&file),
        debug(&keys),
        debug(&cipher(&keys)),
        debug(&context),
        debug(&wrapped),
        debug(&secret),
        debug(&data_key),
        debug(&Keys::from_data_key(data_key)),
        text(&json),
    ];
    printed.extend(errors.iter().flat_map(|error| [debug(error), chain(error)]));
    for printed in &printed {
        for secret in &secrets {
            assert!(!shows(printed, secret), "{printed}");
        }
    }
    // The search itself finds what it is looking for.
    for positive in [debug(&RAW), text(&fs::read(&key_file).unwrap()), hex(&RAW), hex(&RAW).to_uppercase()] {
        assert!(shows(&positive, &RAW), "{positive}");
    }
}

/// Returns whether a part of `secret` stands in `printed`: as a list of numbers, hexadecimal digits or base64.
fn shows(printed: &str, secret: &[u8]) -> bool {
    let printed = printed.replace([' ', '\n'], "");
    let as_text =
        |part: &[u8]| [STANDARD.encode(part), URL_SAFE_NO_PAD.encode(part), hex(part), hex(part).to_uppercase()];
    let as_list = |part: &[u8]| part.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    // Base64 of nine bytes is a part of the whole's base64 where they begin at a multiple of three.
    secret
        .chunks_exact(9)
        .any(|part| as_text(part).iter().any(|text| printed.contains(text)) || printed.contains(&as_list(part)))
}

fn debug(value: &dyn Debug) -> String {
    format!("{value:?} {value:#?}")
}

/// The message of an error and of all its causes.
fn chain(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Counts what it unwraps, can be down, and can keep the next one waiting.
struct Watched {
    inner: LocalKek,
    unwrapped: AtomicUsize,
    is_down: AtomicBool,
    is_slow: AtomicBool,
    go_on: Semaphore,
}

impl Watched {
    fn new() -> Self {
        let [is_down, is_slow] = [(); 2].map(|()| AtomicBool::new(false));
        Self { inner: kek(), unwrapped: AtomicUsize::new(0), is_down, is_slow, go_on: Semaphore::new(0) }
    }

    fn unwrapped(&self) -> usize {
        self.unwrapped.load(Ordering::Relaxed)
    }

    /// Waits until the call that was to be slow has come.
    async fn is_waiting(&self) {
        while self.is_slow.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
    }

    fn answer(&self) -> Result<(), Error> {
        if self.is_down.load(Ordering::Relaxed) { Err(Error::key_service("connection refused")) } else { Ok(()) }
    }
}

impl KeyService for Watched {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
        Box::pin(async move {
            self.answer()?;
            self.inner.wrap(key, context).await
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
        Box::pin(async move {
            self.answer()?;
            self.unwrapped.fetch_add(1, Ordering::Relaxed);
            if self.is_slow.swap(false, Ordering::Relaxed) {
                self.go_on.acquire().await.unwrap().forget();
            }
            self.inner.unwrap(wrapped, context).await
        })
    }
}

/// Wraps nothing and binds nothing: what a key service must not do.
struct Careless;

impl KeyService for Careless {
    fn name(&self) -> &'static str {
        "careless"
    }

    fn wrap<'a>(&'a self, key: &'a SecretKey, _: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
        Box::pin(async { Ok(key.expose_secret().to_vec().into()) })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, _: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
        Box::pin(async { Ok(SecretKey::from_bytes(wrapped.as_bytes().try_into().map_err(Error::key_service)?)) })
    }
}

/// Returns wrapped keys of any length, which are the key itself and what fills them up.
struct Unusable {
    name: String,
    length: usize,
}

impl KeyService for Unusable {
    fn name(&self) -> &str {
        &self.name
    }

    fn wrap<'a>(&'a self, key: &'a SecretKey, _: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
        let mut wrapped = key.expose_secret().to_vec();
        wrapped.resize(self.length, 1);
        Box::pin(async { Ok(wrapped.into()) })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, _: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
        let key = wrapped.as_bytes().first_chunk().map(SecretKey::from_bytes);
        Box::pin(async { key.ok_or_else(|| Error::key_service("too short")) })
    }
}

/// Unwraps to something else than it was given, or not at all.
struct Amnesic {
    is_silent: bool,
}

impl KeyService for Amnesic {
    fn name(&self) -> &'static str {
        "amnesic"
    }

    fn wrap<'a>(&'a self, _: &'a SecretKey, _: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
        Box::pin(async { Ok(vec![1; 73].into()) })
    }

    fn unwrap<'a>(&'a self, _: &'a WrappedKey, _: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
        let key = if self.is_silent { Err(Error::key_service("no such key")) } else { SecretKey::generate() };
        Box::pin(async { key })
    }
}

const PHONE: &str = "+65 9123 4567";
const RAW: [u8; 32] = *b"\xfb\xef\xff\x07\x58\xba\x44\xd2\x6e\x81\x1b\xf5\x90\x2d\xc3\x7a\
    \x05\xee\x39\xa7\x62\xd8\x14\x8b\xf0\x4d\xb6\x2a\x99\x73\xcc\x51";

fn kek() -> LocalKek {
    LocalKek::new(&SecretKey::from_bytes(&RAW))
}

async fn stored() -> (TempDir, KeyringFile, Keyring) {
    let directory = tempfile::tempdir().unwrap();
    let file = KeyringFile::new(directory.path().join("keyring.json"));
    let mut keyring = Keyring::create("customers", &kek()).await.unwrap();
    keyring.save(&file).await.unwrap();
    (directory, file, keyring)
}

async fn save_and_reload(file: &KeyringFile, keyring: &mut Keyring, keys: &Keys) {
    keyring.save(file).await.unwrap();
    keys.reload().await.unwrap();
}

/// The document of a keyring with a primary and a pending key.
async fn two_keys(service: &dyn KeyService) -> Value {
    let mut keyring = Keyring::create("customers", service).await.unwrap();
    keyring.add_key(service).await.unwrap();
    serde_json::from_slice(&keyring.to_json()).unwrap()
}

/// The same, altered by somebody who can authenticate it.
async fn altered(alter: impl FnOnce(&mut Value)) -> Value {
    let mut document = two_keys(&kek()).await;
    alter(&mut document);
    authenticate(&mut document, &kek()).await;
    document
}

async fn open(document: &Value, service: &dyn KeyService) -> Result<Keyring, Error> {
    Keyring::from_json(&serde_json::to_vec(document).unwrap(), service).await
}

async fn open_keys(document: &Value, service: impl KeyService + 'static) -> Result<Keys, Error> {
    let directory = tempfile::tempdir().unwrap();
    Keys::open(KeyringFile::new(put(&directory, "keyring.json", &document.to_string())), service).await
}

async fn authentication_key(service: &dyn KeyService, json: &[u8]) -> SecretKey {
    let wrapped = STANDARD.decode(member(json, "/authentication/wrapped")).unwrap().into();
    let context = WrapContext::keyring_authentication("customers").unwrap();
    service.unwrap(&wrapped, &context).await.unwrap()
}

/// Computes the code of a document from the specification, sharing nothing with the crate.
async fn authenticate(document: &mut Value, service: &dyn KeyService) {
    /// RFC 8785; what stands in a keyring needs no more than sorted members.
    fn canonical(value: &Value) -> String {
        match value {
            Value::Object(members) => {
                let members: BTreeMap<_, _> = members.iter().collect();
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("\"{name}\":{}", canonical(value))).collect();
                format!("{{{}}}", members.join(","))
            }
            Value::Array(elements) => {
                format!("[{}]", elements.iter().map(canonical).collect::<Vec<_>>().join(","))
            }
            _ => value.to_string(),
        }
    }
    let key = authentication_key(service, &serde_json::to_vec(document).unwrap()).await;
    document.as_object_mut().unwrap().remove("mac");
    let mut code = Hmac::<Sha256>::new_from_slice(key.expose_secret()).unwrap();
    code.update(b"fieldseal/v1/keyring\0");
    code.update(canonical(document).as_bytes());
    document["mac"] = hex(&code.finalize().into_bytes()).into();
}

fn cipher(keys: &Keys) -> FieldCipher {
    let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build().unwrap();
    FieldCipher::new(policy, keys.clone())
}

fn encrypt(keys: &Keys) -> String {
    cipher(keys).encrypt_value("phone", PHONE).unwrap()
}

fn decrypt(keys: &Keys, token: &str) -> Result<String, Error> {
    cipher(keys).decrypt_value("phone", token)
}

/// The part of a token that names its key.
fn keyring_prefix(token: &str) -> String {
    token[..16].to_owned()
}

fn states(keyring: &Keyring) -> Vec<KeyState> {
    keyring.keys().iter().map(KeyEntry::state).collect()
}

fn shown(file: &KeyringFile) -> &str {
    file.path().to_str().unwrap()
}

/// Writes a private file.
fn put(directory: &TempDir, name: &str, content: &str) -> PathBuf {
    let path = directory.path().join(name);
    put_at(&path, content);
    path
}

fn put_at(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn member(json: &[u8], pointer: &str) -> String {
    let document: Value = serde_json::from_slice(json).unwrap();
    document.pointer(pointer).unwrap().as_str().unwrap().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from_digit(digit.into(), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[track_caller]
fn refuses(keyring: &mut Keyring, says: &str, change: impl FnOnce(&mut Keyring) -> Result<(), Error>) {
    let before = keyring.to_json();
    assert_keyring_error(&change(keyring).unwrap_err(), &["keyring `customers`", says]);
    assert_eq!(keyring.to_json(), before);
}

async fn assert_refused(document: &Value, says: &str) {
    let error = open(document, &kek()).await.unwrap_err();
    assert_keyring_error(&error, &["the keyring", says, "restore"]);
    assert_keyring_error(&open_keys(document, kek()).await.unwrap_err(), &["keyring.json", says, "restore"]);
}

#[track_caller]
fn assert_keyring_error(error: &Error, says: &[&str]) {
    assert_eq!(error.kind(), ErrorKind::Keyring, "{error}");
    for part in says {
        assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
    }
}

#[track_caller]
fn assert_unavailable(keys: &Keys, token: &str, id: KeyId, says: &str) {
    let error = decrypt(keys, token).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert!(error.to_string().contains(&id.to_string()) && error.to_string().contains(says), "{error}");
}

/// A key service of the application's own may write both into its record of uses.
#[test]
fn a_context_tells_what_is_wrapped() {
    let id: KeyId = "0123456789abcdef".parse().unwrap();
    let of_data = WrapContext::data_key("customers", id).unwrap();
    assert_eq!((of_data.keyring(), of_data.key_id()), ("customers", Some(id)));
    let of_keyring = WrapContext::keyring_authentication("staff").unwrap();
    assert_eq!((of_keyring.keyring(), of_keyring.key_id()), ("staff", None));
}
