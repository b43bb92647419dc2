//! The bodies of the targets. Each takes any bytes, and panics where a promise does not hold.
//!
//! Keys are fixed, so that what stands in a corpus opens.
#![allow(clippy::unwrap_used, reason = "a target fails by panicking")]

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{Field, FieldCipher, Policy, Tag};

pub mod json;
pub mod keyring;
pub mod path;
pub mod policy;
pub mod query;
pub mod request;
pub mod response;
pub mod token;

/// A target's name and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Target; 8] = [
    ("json", json::run),
    ("token", token::run),
    ("policy", policy::run),
    ("path", path::run),
    ("keyring", keyring::run),
    ("request", request::run),
    ("response", response::run),
    ("query", query::run),
];

fn keys(byte: u8) -> Keys {
    Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[byte; 32])))
}

/// A cipher whose members are tagged wherever they stand, so that any parser can tell them.
pub fn cipher() -> FieldCipher {
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone))
        .field(Field::new("address", Tag::Address))
        .build()
        .unwrap();
    FieldCipher::new(policy, keys(7))
}

/// Cuts `data` by the lengths that its own beginning says: what comes first, and what is left to be used.
fn pieces<'a>(lengths: &[u8], mut rest: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        let length = usize::from(*length) + 1;
        if rest.len() <= length {
            break;
        }
        let (piece, others) = rest.split_at(length);
        pieces.push(piece);
        rest = others;
    }
    pieces.push(rest);
    pieces
}

/// Takes `count` bytes from the front of `data`.
fn head<'a>(data: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, rest) = data.split_at_checked(count)?;
    *data = rest;
    Some(head)
}

/// Whether every tagged member of `value`, wherever it stands, holds a token or what needs none.
fn is_sealed(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Array(elements) => elements.iter().all(is_sealed),
        Value::Object(members) => members.iter().all(|(name, value)| match name.as_str() {
            "name" | "phone" | "address" => value.is_null() || is_token(value),
            _ => is_sealed(value),
        }),
        _ => true,
    }
}

fn is_token(value: &serde_json::Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with("fs1.") && text.len() >= 112)
}
