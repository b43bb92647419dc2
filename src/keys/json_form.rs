//! The JSON form of a keyring document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use super::document::{Document, FORMAT};
use super::key_entry::KeyEntry;
use super::key_service::is_service_name;
use super::keyring_name::KeyringName;
use super::state::KeyState;
use super::timestamp::Timestamp;
use super::wrapped_key::WrappedKey;

/// Members stand in the order in which they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentForm {
    format: String,
    name: String,
    revision: u64,
    authentication: AuthenticationForm,
    keys: Vec<EntryForm>,
    mac: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthenticationForm {
    kek: String,
    wrapped: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryForm {
    id: String,
    commitment: String,
    state: KeyState,
    created: String,
    kek: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    wrapped: Option<String>,
}

/// Writes `document` in the one way in which it is written: indented, so that a change can be reviewed, and with no
/// line end behind it, so that no part of it is whole.
pub(super) fn write(document: &Document) -> Vec<u8> {
    let Document { name, revision, kek, wrapped, keys, mac } = document;
    let form = DocumentForm {
        format: FORMAT.to_owned(),
        name: name.to_string(),
        revision: *revision,
        authentication: AuthenticationForm { kek: kek.clone(), wrapped: STANDARD.encode(wrapped.as_bytes()) },
        keys: keys.iter().map(EntryForm::of).collect(),
        mac: hex(mac),
    };
    serde_json::to_vec_pretty(&form).expect("strings and numbers can be written to memory as JSON")
}

/// Reads what [`write`] writes, with any white space.
pub(super) fn read(json: &[u8]) -> Result<Document, String> {
    let form: DocumentForm = serde_json::from_slice(json).map_err(|error| syntax_fault(&error))?;
    let DocumentForm { format, name, revision, authentication, keys, mac } = form;
    if format != FORMAT {
        return Err(format!("is of another format than `{FORMAT}`, perhaps a later one"));
    }
    Ok(Document {
        name: KeyringName::parse(&name).map_err(|error| format!("has an unusable name: {error}"))?,
        revision,
        kek: service_name(authentication.kek)?,
        wrapped: wrapped_key(&authentication.wrapped)?,
        keys: keys.into_iter().map(EntryForm::parse).collect::<Result<_, _>>()?,
        mac: unhex(&mac).ok_or("has a `mac` that is not 64 lower-case hexadecimal digits")?,
    })
}

impl EntryForm {
    fn of(entry: &KeyEntry) -> Self {
        let KeyEntry { commitment, state, created, kek, wrapped } = entry;
        Self {
            id: entry.id().to_string(),
            commitment: hex(commitment),
            state: *state,
            created: created.to_string(),
            kek: kek.clone(),
            wrapped: wrapped.as_ref().map(|wrapped| STANDARD.encode(wrapped.as_bytes())),
        }
    }

    fn parse(self) -> Result<KeyEntry, String> {
        let Self { id, commitment, state, created, kek, wrapped } = self;
        let entry = KeyEntry {
            commitment: unhex(&commitment).ok_or("has a commitment that is not 64 lower-case hexadecimal digits")?,
            state,
            created: Timestamp::parse(&created).ok_or("has a `created` that is not like 2026-11-24T03:41:00Z")?,
            kek: service_name(kek)?,
            wrapped: wrapped.as_deref().map(wrapped_key).transpose()?,
        };
        if id != entry.id().to_string() {
            return Err(format!("gives another id to key {}, which its commitment names so", entry.id()));
        }
        Ok(entry)
    }
}

/// Reads a member that may be absent, but not `null`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

fn service_name(name: String) -> Result<String, String> {
    if is_service_name(&name) { Ok(name) } else { Err("has a `kek` that no key service can be called".to_owned()) }
}

fn wrapped_key(text: &str) -> Result<WrappedKey, String> {
    let wrapped = STANDARD.decode(text).map(WrappedKey::from);
    wrapped
        .ok()
        .filter(WrappedKey::fits)
        .ok_or_else(|| "has a `wrapped` that is not base64 of a wrapped key".to_owned())
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Reads 64 lower-case hexadecimal digits.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte| DIGITS.iter().position(|&digit| digit == byte).and_then(|place| u8::try_from(place).ok());
    let bytes: Option<Vec<u8>> = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    bytes?.try_into().ok()
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Says what is wrong without the parser's words, which would repeat what stands in the file: it may be the wrong one.
fn syntax_fault(error: &serde_json::Error) -> String {
    let fault = match error.classify() {
        Category::Eof => "is cut short",
        Category::Syntax => "is not valid JSON",
        Category::Data => "has a member that is unknown, missing, double or of a wrong type",
        Category::Io => "could not be read",
    };
    format!("{fault}, at line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_have_one_spelling() {
        let bytes = std::array::from_fn(|index| u8::try_from(index * 8).unwrap());
        let text = hex(&bytes);
        assert_eq!(&text[..10], "0008101820");
        assert_eq!(unhex(&text), Some(bytes));
        for bad in ["", &text[1..], &text[2..], &format!("{text}00"), &text.replace('a', "A"), &text.replace('0', "g")]
        {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_fault_repeats_nothing_of_the_file() {
        let secrets = [
            "4815162342",
            "\"secret\"",
            "secret",
            "{\"secret\": 1}",
            "{\"format\": \"secret\"}",
            "{\"revision\": \"secret\"}",
            "{\"format\": 4815162342}",
            "{\"keys\": [{\"state\": \"secret\"}]}",
        ];
        for json in secrets {
            let fault = read(json.as_bytes()).err().unwrap();
            assert!(!fault.contains("secret") && !fault.contains("4815162342"), "{fault}");
        }
    }

    #[test]
    fn each_fault_has_a_message_of_its_own() {
        let good = include_str!("../../tests/vectors/v1/keyring.json");
        assert_eq!(write(&read(good.as_bytes()).unwrap()), good.as_bytes());
        let wrapped = "\"wrapped\": \"AQEBAQ";
        for (from, to, message) in [
            ("keyring/1", "keyring/2", "another format"),
            ("\"customers\"", "\"custo mers\"", "unusable name"),
            ("\"revision\": 11", "\"revision\": 11.0", "wrong type"),
            ("\"revision\": 11", "\"revision\": -1", "wrong type"),
            ("\"revision\": 11", "\"revision\": 18446744073709551616", "wrong type"),
            ("\"revision\": 11", "\"revision\": 11, \"revision\": 11", "double"),
            ("\"revision\": 11", "\"revision\": 11, \"note\": 1", "unknown"),
            ("\"revision\": 11,", "", "missing"),
            ("\"revision\": 11", "\"revision\": 011", "not valid JSON"),
            ("\"local:0db05f1077747a36\"", "\"\"", "no key service"),
            ("\"local:0db05f1077747a36\"", "\"a\\nb\"", "no key service"),
            ("\"disabled\"", "\"Disabled\"", "wrong type"),
            ("\"disabled\"", "\"destroyed\"", "wrong type"),
            ("\"id\": \"f3e3", "\"id\": \"F3e3", "another id to key f3e3ac0d513a02bb"),
            ("\"id\": \"f3e3", "\"id\": \"f3e4", "another id to key f3e3ac0d513a02bb"),
            ("\"commitment\": \"f3e3", "\"commitment\": \"F3e3", "hexadecimal"),
            ("2026-01-01T", "2026-01-01 ", "created"),
            (wrapped, "\"wrapped\": \"=", "wrapped"),
            (wrapped, "\"wrapped\": \"AQEBA", "wrapped"),
            (wrapped, "\"wrapped\": null, \"x\": \"", "wrong type"),
            ("\"mac\": \"", "\"mac\": \"0", "mac"),
        ] {
            let changed = good.replacen(from, to, 1);
            assert_ne!(changed, good, "{from}");
            let fault = read(changed.as_bytes()).err().unwrap();
            assert!(fault.contains(message), "{from} became {to}: {fault}");
        }
    }

    #[test]
    fn a_wrapped_key_has_a_bounded_length() {
        let text = |length| STANDARD.encode(vec![1; length]);
        assert!(wrapped_key(&text(0)).is_err());
        assert!(wrapped_key(&text(1)).is_ok() && wrapped_key(&text(WrappedKey::LONGEST)).is_ok());
        assert!(wrapped_key(&text(WrappedKey::LONGEST + 1)).is_err());
    }
}
