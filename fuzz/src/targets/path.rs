//! Paths in JSONPath, and what they select.

use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};
use serde_json::Value;

use super::keys;

const DOCUMENT: &str =
    r#"{"a": {"b": [1, {"c": "x"}, [true, null]], "": "y"}, "b": [{"a": 1.10}], "c": "\u0061", "a.b": {}}"#;

/// A path.
pub fn run(data: &[u8]) {
    let Ok(path) = str::from_utf8(data) else { return };
    let policy = |path: &str| Policy::builder("documents").field(Field::new("field", Tag::Text).path(path)).build();
    let Ok(policy) = policy(path) else { return };
    let cipher = FieldCipher::new(policy, keys(7));
    let sealed = match cipher.encrypt_json(DOCUMENT.as_bytes()) {
        Ok(sealed) => sealed,
        // An array stands where the path leads through an object.
        Err(error) if error.kind() == ErrorKind::Refused => return,
        Err(error) => panic!("{error:?}"),
    };
    assert_eq!(cipher.decrypt_json(&sealed).unwrap(), DOCUMENT.as_bytes());
    let before: Value = serde_json::from_str(DOCUMENT).unwrap();
    let after: Value = serde_json::from_slice(&sealed).unwrap();
    same_but_tokens(&before, &after);
}

/// What is not a token now is what it was.
fn same_but_tokens(before: &Value, after: &Value) {
    match (before, after) {
        (_, Value::String(text)) if text.starts_with("fs1.") => {}
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len());
            before.iter().zip(after).for_each(|(before, after)| same_but_tokens(before, after));
        }
        (Value::Object(before), Value::Object(after)) => {
            assert_eq!(before.len(), after.len());
            before.iter().for_each(|(name, value)| same_but_tokens(value, &after[name]));
        }
        _ => assert_eq!(before, after),
    }
}
