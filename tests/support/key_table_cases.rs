//! What holds for a key table in every database.
#![allow(dead_code, clippy::unwrap_used, reason = "a test fails by panicking")]

use fieldseal::keys::{
    DataKey, Keyring, KeyringFile, Keys, LocalKek, MemorySubjectKeys, SecretKey, Subject, SubjectKeyChange,
    SubjectKeyEntry, SubjectKeyStore, SubjectKeyTable, SubjectKeys, Timing,
};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};

pub(crate) async fn keeps_what_it_is_given_and_changes_what_is_expected(table: &SubjectKeyTable) {
    let [tan, lim] = [entry("7").await, entry("8").await];
    assert!(table.insert(&subject("7"), &tan).await.unwrap());
    assert!(!table.insert(&subject("7"), &lim).await.unwrap(), "the subject has one");
    assert!(!table.insert(&subject("8"), &tan).await.unwrap(), "the id is taken");
    assert!(table.insert(&subject("7").of_tenant("acme").unwrap(), &lim).await.unwrap());
    let names = [subject("8"), subject("7"), subject("7").of_tenant("acme").unwrap(), subject("7")];
    let found = table.get(&names).await.unwrap();
    assert_eq!(found, [None, Some(tan.clone()), Some(lim.clone()), Some(tan.clone())]);
    assert_eq!(table.get(&[]).await.unwrap(), []);
    let many: Vec<_> = (0..1000).map(|number| subject(&number.to_string())).collect();
    let found = table.get(&many).await.unwrap();
    assert_eq!((found.len(), found[7].clone(), found.iter().flatten().count()), (1000, Some(tan.clone()), 1));

    let other = entry("9").await;
    let change = |id: &str, expected: &SubjectKeyEntry, entry: &SubjectKeyEntry| {
        let (expected, entry) = (expected.clone(), entry.clone());
        SubjectKeyChange { subject: subject(id), expected, entry }
    };
    let changes = [change("7", &lim, &other), change("7", &tan, &other), change("8", &tan, &lim)];
    assert_eq!(table.replace(&changes).await.unwrap(), 1, "what is expected has to stand there");
    assert_eq!(table.get(&[subject("7")]).await.unwrap(), [Some(other.clone())]);
    assert_eq!(table.wrapped_by_others(tan.wrapped_by().unwrap(), 10).await.unwrap(), []);
    let others = table.wrapped_by_others("ffffffffffffffff".parse().unwrap(), 10).await.unwrap();
    assert_eq!(others.len(), 2);
    assert!(others.contains(&(subject("7").of_tenant("acme").unwrap(), lim)));
    assert_eq!(table.wrapped_by_others("0000000000000000".parse().unwrap(), 1).await.unwrap().len(), 1);

    // What stands there is not told apart by case, and nothing is read as another statement.
    let odd = ["ä'; DROP TABLE fieldseal_subject_keys; --", "a", "A", "%", "_"].map(subject);
    for subject in &odd {
        assert!(table.insert(subject, &entry(subject.id()).await).await.unwrap());
    }
    assert_eq!(table.get(&odd).await.unwrap().into_iter().flatten().count(), 5);
}

pub(crate) async fn keys_are_wrapped_again_while_others_come_and_go(table: &SubjectKeyTable) {
    let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build().unwrap();
    let cipher = FieldCipher::new(policy, Keys::none());
    let directory = tempfile::tempdir().unwrap();
    let store = KeyringFile::new(directory.path().join("keyring.json"));
    let kek = || LocalKek::new(&secret(9));
    let mut keyring = Keyring::create("subjects", &kek()).await.unwrap();
    keyring.set_timing(Timing::single_process()).unwrap();
    keyring.save(&store).await.unwrap();
    let old = SubjectKeys::new(table.clone(), Keys::open(store.clone(), kek()).await.unwrap());
    let mut tokens = Vec::new();
    for id in 0..1100 {
        let key = old.find_or_create(&subject(&id.to_string())).await.unwrap();
        tokens.push(cipher.for_subject(&key).unwrap().encrypt_value("phone", &id.to_string()).unwrap());
    }
    old.erase(&subject("7"), "before").await.unwrap();
    // One that does not have the old key unwraps nothing.
    let new = SubjectKeys::new(table.clone(), keys(8));
    assert_eq!(new.rewrap().await.unwrap_err().kind(), ErrorKind::KeyUnavailable);
    let id = keyring.add_key(&kek()).await.unwrap();
    keyring.promote(id).unwrap();
    keyring.save(&store).await.unwrap();
    let both = SubjectKeys::new(table.clone(), Keys::open(store, kek()).await.unwrap());
    let working = tokio::spawn({
        let both = both.clone();
        async move { both.rewrap().await.unwrap() }
    });
    for id in 100..110 {
        old.erase(&subject(&id.to_string()), "meanwhile").await.unwrap();
    }
    let moved = working.await.unwrap();
    assert!((1089..=1099).contains(&moved), "{moved}");
    assert_eq!(both.rewrap().await.unwrap(), 0);
    for (id, token) in tokens.iter().enumerate() {
        let key = both.find(&subject(&id.to_string())).await.unwrap();
        let opened = cipher.for_subject(&key).unwrap().decrypt_value::<String>("phone", token);
        if id == 7 || (100..110).contains(&id) {
            assert_eq!(opened.unwrap_err().kind(), ErrorKind::Erased, "{id}");
        } else {
            assert_eq!(opened.unwrap(), id.to_string());
        }
    }
}

fn subject(id: &str) -> Subject {
    Subject::new(id).unwrap()
}

fn secret(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32])
}

fn keys(byte: u8) -> Keys {
    Keys::from_data_key(DataKey::new(&secret(byte)))
}

/// An entry as it is made for `id`.
async fn entry(id: &str) -> SubjectKeyEntry {
    let table = MemorySubjectKeys::default();
    SubjectKeys::new(table.clone(), keys(7)).find_or_create(&subject(id)).await.unwrap();
    table.get(&[subject(id)]).await.unwrap().remove(0).unwrap()
}
