//! Proves that a sealed record is the document with tokens, that nothing else opens as one, and that it shows nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Scope, Sealed, Tag};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Customer {
    id: u64,
    name: String,
    phones: Vec<Phone>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Phone {
    phone: Option<String>,
}

fn cipher(key: u8) -> FieldCipher {
    let policy =
        Policy::builder("customers").field(Field::new("name", Tag::Name)).field(Field::new("phone", Tag::Phone));
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[key; 32])));
    FieldCipher::new(policy.build().unwrap(), keys)
}

fn customer() -> Customer {
    let phone = |phone: Option<&str>| Phone { phone: phone.map(str::to_owned) };
    Customer { id: 7, name: "canary \"\u{e9}\"".to_owned(), phones: vec![phone(Some("canary 2")), phone(None)] }
}

#[test]
fn a_record_goes_through_storage_and_comes_back() {
    let sealed = cipher(7).seal_record(&customer()).unwrap();
    // In an envelope of the storage's own, as a value and as text.
    let stored = serde_json::to_string(&vec![&sealed, &sealed]).unwrap();
    assert!(stored.contains("fs1.") && !stored.contains("canary"), "{stored}");
    assert_eq!(serde_json::to_string(&sealed).unwrap(), sealed.as_json());
    let read: Vec<Sealed<Customer>> = serde_json::from_str(&stored).unwrap();
    for sealed in &read {
        assert_eq!(cipher(7).open_record(sealed).unwrap(), customer());
    }
    // It is what the layer and documents hold.
    assert_eq!(cipher(7).decrypt_record::<Customer>(sealed.as_json()).unwrap(), customer());
}

#[test]
fn what_was_not_sealed_does_not_open() {
    let read = |document: &str| serde_json::from_str::<Sealed<Customer>>(document).unwrap();
    let plain = serde_json::to_string(&customer()).unwrap();
    let error = cipher(7).open_record(&read(&plain)).unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("canary")), (ErrorKind::NotEncrypted, false));

    let sealed = cipher(7).seal_record(&customer()).unwrap();
    assert!(cipher(8).open_record(&sealed).is_err(), "under another key");
    let acme = cipher(7).in_scope(Scope::new().tenant("acme")).unwrap();
    assert_eq!(acme.open_record(&sealed).unwrap_err().kind(), ErrorKind::Decryption);
    let of_acme = acme.seal_record(&customer()).unwrap();
    assert_eq!(cipher(7).open_record(&of_acme).unwrap_err().kind(), ErrorKind::Decryption);

    // Values that changed places, and a record that is none.
    let mut swapped: serde_json::Value = serde_json::from_str(sealed.as_json()).unwrap();
    swapped["name"] = swapped["phones"][0]["phone"].clone();
    assert!(cipher(7).open_record(&read(&swapped.to_string())).is_err());
    assert_eq!(cipher(7).open_record(&read("{\"id\":7}")).unwrap_err().kind(), ErrorKind::InvalidValue);
    // What is sealed is not sealed again.
    assert_eq!(cipher(7).seal_record(&sealed).map(drop).unwrap_err().kind(), ErrorKind::TokenSubmitted);
}

#[test]
fn debug_shows_no_document() {
    let shown = format!("{:?}", cipher(7).seal_record(&customer()).unwrap());
    assert!(!shown.contains("fs1.") && !shown.contains('7') && !shown.contains("canary"), "{shown}");
}
