//! The documents of the comparisons.

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::policy::{PolicyBuilder, Strict};
use fieldseal::{Field, FieldCipher, Policy, Tag};

/// The six tagged fields of a record.
pub(crate) const FIELDS: [&str; 6] = ["name", "phone", "email", "address", "card_last4", "national_id"];

const RECORD: &str = r#"{"id":"0b1f2c3d-1f2e-4d3c-8b4a-5f6e7d8c9b0a","created_at":"2026-03-14T09:26:53Z","updated_at":"2026-05-01T18:00:00Z","status":"active","name":"Tan Wei Ming","phone":"+65 9123 4567","email":"weiming.tan@example.sg","address":"Blk 123 Bishan Street 12, #08-456, Singapore 570123","card_last4":"4242","national_id":"S1234567D","marketing_consent":true,"preferred_language":"en-SG","loyalty":{"tier":"gold","points":1842.50,"since":"2019-11-02","multiplier":1.10,"ledger":123456789012345678901234567890},"orders":[{"id":90211,"total":54.30,"items":12},{"id":90498,"total":118.95,"items":31},{"id":91002,"total":23.10,"items":4}],"notes":"Leaves the parcel with the concierge after six. Rings twice on Sundays.","segments":["fresh","bakery"],"store":4}"#;

pub(crate) fn cipher() -> Result<FieldCipher, fieldseal::Error> {
    cipher_that(|policy| policy)
}

/// The same, but refuses what looks personal and is not tagged.
pub(crate) fn strict_cipher() -> Result<FieldCipher, fieldseal::Error> {
    cipher_that(|policy| policy.strict(Strict::refuse().except("$..ledger")))
}

fn cipher_that(extend: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Result<FieldCipher, fieldseal::Error> {
    let tags = [Tag::Name, Tag::Phone, Tag::Email, Tag::Address, Tag::CardFragment, Tag::NationalId];
    let mut policy = Policy::builder("customers");
    for (name, tag) in FIELDS.into_iter().zip(tags) {
        policy = policy.field(Field::new(name, tag));
    }
    let keys = Keys::from_data_key(DataKey::dangerous_test_key(&SecretKey::from_bytes(&[7; 32])));
    Ok(FieldCipher::new(extend(policy).build()?, keys))
}

/// A customer of 747 bytes with six tagged fields.
pub(crate) fn record() -> Vec<u8> {
    RECORD.as_bytes().to_vec()
}

/// A JSON array of so many records.
pub(crate) fn list(records: usize) -> Vec<u8> {
    [b"[", &vec![RECORD; records].join(",").into_bytes()[..], b"]"].concat()
}

/// The same array as it is stored: each record by a request of its own, so that no two share a nonce prefix.
pub(crate) fn stored_list(cipher: &FieldCipher, records: usize) -> Result<Vec<u8>, fieldseal::Error> {
    let records: Vec<_> = (0..records).map(|_| cipher.encrypt_json(RECORD.as_bytes())).collect::<Result<_, _>>()?;
    Ok([b"[", &records.join(&b',')[..], b"]"].concat())
}

/// A JSON array of at least `bytes` in which the tagged fields are called otherwise.
pub(crate) fn list_without_fields(bytes: usize) -> Vec<u8> {
    let mut text = String::from_utf8_lossy(&list(bytes / RECORD.len() + 1)).into_owned();
    for field in FIELDS {
        text = text.replace(&format!("\"{field}\""), &format!("\"{field}_\""));
    }
    text.into_bytes()
}

/// The same, with nothing in it that looks personal.
pub(crate) fn list_without_persons(bytes: usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(&list_without_fields(bytes)).into_owned();
    text.replace("+65 9123 4567", "by the counter")
        .replace("weiming.tan@example.sg", "weiming.tan at example")
        .into_bytes()
}
