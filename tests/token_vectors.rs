//! Proves that every frozen token opens for ever, and every refused one stays refused, through the public API.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashSet};

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{Error, ErrorKind, Field, FieldCipher, Policy, Scope, Tag};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct File {
    tokens: Vec<Opens>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Opens {
    key_id: String,
    nonce: String,
    value: String,
    token: String,
    #[serde(flatten)]
    place: Place,
}

#[derive(Deserialize)]
struct Refused {
    why: String,
    token: String,
    #[serde(flatten)]
    place: Place,
}

#[derive(Clone, Debug, Deserialize)]
struct Place {
    data_key: String,
    tenant: Option<String>,
    collection: String,
    field: String,
    record: Option<String>,
    subject: Option<String>,
}

fn file() -> File {
    serde_json::from_str(include_str!("vectors/v1/tokens.json")).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn data_key(place: &Place) -> DataKey {
    DataKey::new(&SecretKey::from_bytes(unhex(&place.data_key)[..].try_into().unwrap()))
}

impl Place {
    /// A name that the format allows and that a policy refuses.
    fn is_beyond_policies(&self) -> bool {
        let refused = |name: &str| name.is_empty() || name.len() > 255 || name.contains(char::is_control);
        refused(&self.collection) || refused(&self.field)
    }

    /// The cipher of this place, whose field stands at `$.value`.
    fn cipher(&self) -> Result<FieldCipher, Error> {
        let Self { tenant, collection, field, record, subject, data_key: _ } = self;
        let policy = Policy::builder(collection).field(Field::new(field, Tag::Text).path("$.value")).build()?;
        let scope = tenant.iter().fold(Scope::new(), Scope::tenant);
        let scope = record.iter().fold(scope, Scope::record);
        let scope = subject.iter().fold(scope, Scope::subject);
        FieldCipher::new(policy, Keys::from_data_key(data_key(self))).in_scope(scope)
    }
}

fn binary(token: &str) -> Vec<u8> {
    // Base64url by hand: the tests take the text form from no one.
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for byte in token.strip_prefix("fs1.").unwrap().bytes() {
        let digit = ALPHABET.iter().position(|&character| character == byte).unwrap();
        bits = bits << 6 | u32::try_from(digit).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count).unwrap());
            bits &= (1 << count) - 1;
        }
    }
    assert_eq!(bits, 0, "spare bits");
    out
}

#[test]
fn every_token_opens_to_the_exact_text_of_its_value() {
    let mut opened = 0;
    for vector in file().tokens {
        let Opens { key_id, nonce, value, token, place } = vector;
        if place.is_beyond_policies() {
            assert_eq!(place.cipher().unwrap_err().kind(), ErrorKind::Policy);
            continue;
        }
        assert_eq!(data_key(&place).id().to_string(), key_id);
        let cipher = place.cipher().unwrap();
        let document = format!("{{\"value\": \"{token}\" }}");
        let expected = format!("{{\"value\": {value} }}");
        assert_eq!(cipher.decrypt_json(document.as_bytes()).unwrap(), expected.as_bytes(), "{token}");
        let bytes = binary(&token);
        assert_eq!(bytes[9..33], unhex(&nonce));
        for form in [token.as_bytes(), &bytes] {
            let raw: Box<RawValue> = cipher.decrypt_value(&place.field, form).unwrap();
            assert_eq!(raw.get(), value);
        }
        opened += 1;
    }
    // Two have names that no policy may have: one with a control character, one of 256 bytes.
    assert_eq!((opened, file().tokens.len()), (80, 82));
}

#[test]
fn every_value_of_a_token_goes_in_and_comes_out_again() {
    for Opens { value, token, place, .. } in
        file().tokens.into_iter().filter(|vector| !vector.place.is_beyond_policies())
    {
        let cipher = place.cipher().unwrap();
        let document = format!("{{\"value\":{value}}}");
        let stored = cipher.encrypt_json(document.as_bytes()).unwrap();
        assert_eq!(cipher.decrypt_json(&stored).unwrap(), document.as_bytes());
        if value != "null" {
            let key_id = &token[..16];
            assert!(str::from_utf8(&stored).unwrap().starts_with(&format!("{{\"value\":\"{key_id}")));
        }
    }
}

#[test]
fn every_refused_token_is_refused_with_one_error() {
    let mut checks = BTreeMap::<String, usize>::new();
    let mut messages = HashSet::new();
    let mut key_messages = HashSet::new();
    for Refused { why, token, place } in file().refused {
        let check = why.split(':').next().unwrap().to_owned();
        *checks.entry(check.clone()).or_default() += 1;
        if place.is_beyond_policies() {
            assert_eq!(place.cipher().unwrap_err().kind(), ErrorKind::Policy);
            assert_eq!((&*check, place.collection.is_empty() || place.field.is_empty()), ("tag", true));
            continue;
        }
        let error =
            place.cipher().unwrap().decrypt_value::<Box<RawValue>>(&place.field, &token).map(drop).expect_err(&why);
        let expected = if check == "key" { ErrorKind::KeyUnavailable } else { ErrorKind::Decryption };
        assert_eq!(error.kind(), expected, "{why}");
        let seen = if check == "key" { &mut key_messages } else { &mut messages };
        // It names the place that was asked for, and nothing of the token.
        let asked_for = format!("`{}` ($.value) in `{}`", place.field, place.collection);
        let message = error.to_string();
        assert!(message.contains(&asked_for), "{message}");
        seen.insert(message.replace(&asked_for, "the place"));
        // Storage may give back a text that JSON has to escape.
        let document = format!("{{\"value\":{}}}", serde_json::to_string(&token).unwrap());
        let stored = place.cipher().unwrap().decrypt_json(document.as_bytes()).map(drop).expect_err(&why);
        if token.starts_with("fs1.") {
            assert_eq!((stored.kind(), stored.to_string()), (error.kind(), error.to_string()), "{why}");
        } else {
            assert_eq!(stored.kind(), ErrorKind::NotEncrypted, "{why}");
        }
    }
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(key_messages.iter().all(|message| !messages.contains(message)), "{key_messages:?}");
    let expected = [("key", 3), ("length", 12), ("padding", 12), ("tag", 38), ("text", 31), ("version", 6)];
    assert_eq!(checks, expected.map(|(check, count)| (check.to_owned(), count)).into());
}

#[test]
fn the_grammar_alone_decides_what_is_a_token_on_the_way_in() {
    // Another key, another place: to be recognised needs neither.
    let place = Place {
        data_key: "5a".repeat(32),
        tenant: None,
        collection: "elsewhere".to_owned(),
        field: "note".to_owned(),
        record: None,
        subject: None,
    };
    let cipher = place.cipher().unwrap();
    let submit = |token: &str| {
        cipher.encrypt_json(format!("{{\"value\":{}}}", serde_json::to_string(token).unwrap()).as_bytes())
    };
    for Opens { token, .. } in file().tokens {
        assert_eq!(submit(&token).unwrap_err().kind(), ErrorKind::TokenSubmitted, "{token}");
    }
    let mut recognised = 0;
    for Refused { why, token, .. } in file().refused {
        match why.split(':').next().unwrap() {
            "text" | "version" | "length" => {
                let stored = submit(&token).unwrap_or_else(|error| panic!("{why}: {error}"));
                let stored: BTreeMap<String, String> = serde_json::from_slice(&stored).unwrap();
                assert_eq!(cipher.decrypt_value::<String>("note", &stored["value"]).unwrap(), token, "{why}");
            }
            _ => {
                assert_eq!(submit(&token).unwrap_err().kind(), ErrorKind::TokenSubmitted, "{why}");
                recognised += 1;
            }
        }
    }
    assert_eq!(recognised, 3 + 12 + 38);
}

#[test]
fn no_bit_of_the_text_of_a_token_can_change() {
    let tokens = file().tokens;
    // One for each remainder of the length, and one that is long.
    let chosen = [0, 1, 2].map(|remainder| {
        let fits = |vector: &&Opens| vector.token.len() % 3 == remainder && !vector.place.is_beyond_policies();
        tokens.iter().find(fits).unwrap()
    });
    let long = tokens.iter().find(|vector| vector.token.len() > 500 && !vector.place.is_beyond_policies()).unwrap();
    let mut flips = 0;
    for Opens { token, place, .. } in chosen.into_iter().chain([long]) {
        let cipher = place.cipher().unwrap();
        for bit in 0..token.len() * 8 {
            let mut changed = token.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            let error = cipher
                .decrypt_value::<Box<RawValue>>(&place.field, &changed)
                .map(drop)
                .expect_err(&format!("bit {bit}"));
            let in_key_id = (5..16).contains(&(bit / 8));
            let allowed =
                error.kind() == ErrorKind::Decryption || (in_key_id && error.kind() == ErrorKind::KeyUnavailable);
            assert!(allowed, "bit {bit}: {error:?}");
            let document = [b"{\"value\":\"", &changed[..], b"\"}"].concat();
            assert!(cipher.decrypt_json(&document).is_err(), "bit {bit} in a document");
            flips += 1;
        }
    }
    assert!(flips > 5000, "{flips}");
}

#[test]
fn no_bit_of_the_bytes_of_a_token_can_change() {
    let tokens = file().tokens;
    let Opens { token, place, .. } = tokens.iter().find(|vector| !vector.place.is_beyond_policies()).unwrap();
    let cipher = place.cipher().unwrap();
    let original = binary(token);
    for bit in 0..original.len() * 8 {
        let mut changed = original.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let error =
            cipher.decrypt_value::<Box<RawValue>>(&place.field, &changed).map(drop).expect_err(&format!("bit {bit}"));
        let expected = if (1..9).contains(&(bit / 8)) { ErrorKind::KeyUnavailable } else { ErrorKind::Decryption };
        assert_eq!(error.kind(), expected, "bit {bit}");
    }
}

#[test]
fn no_character_of_a_token_can_be_another() {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let tokens = file().tokens;
    for remainder in [0, 1, 2] {
        let fits = |vector: &&Opens| vector.token.len() % 3 == remainder && !vector.place.is_beyond_policies();
        let Opens { token, place, .. } = tokens.iter().find(fits).unwrap();
        let cipher = place.cipher().unwrap();
        let mut decryptor = cipher.value_decryptor();
        for at in 4..token.len() {
            for byte in (0..=u8::MAX).filter(|byte| *byte != token.as_bytes()[at]) {
                let mut changed = token.clone().into_bytes();
                changed[at] = byte;
                let error = decryptor.decrypt::<Box<RawValue>>(&place.field, &changed).map(drop);
                let kind = error.expect_err(&format!("{byte} at {at}")).kind();
                // Only what is still in the alphabet can name another key.
                let names_another_key = kind == ErrorKind::KeyUnavailable && at < 16 && ALPHABET.contains(&byte);
                assert!(kind == ErrorKind::Decryption || names_another_key, "{byte} at {at}: {kind:?}");
            }
        }
    }
}
