//! The JSON form of a keyring document.

use base64_simd::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use super::canonical;
use super::change::{Change, is_line};
use super::document::{Document, FORMAT, Slower};
use super::key_entry::KeyEntry;
use super::key_service::is_service_name;
use super::keyring_name::KeyringName;
use super::state::KeyState;
use super::timing::{ScheduleForm, TimingForm};
use super::wrapped_key::WrappedKey;
use crate::timestamp::Timestamp;

/// Members stand in the order in which they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentForm {
    format: String,
    name: String,
    revision: u64,
    timing: TimingForm,
    schedule: ScheduleForm,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    slower_until: Option<SlowerForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    destroyed: Vec<String>,
    authentication: AuthenticationForm,
    keys: Vec<EntryForm>,
    changes: Vec<ChangeForm>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlowerForm {
    promotion: String,
    scan: String,
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
    changed: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    relieved: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    clean_scans: Vec<String>,
    kek: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former_keks: Vec<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    wrapped: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeForm {
    revision: u64,
    at: String,
    by: String,
    why: String,
    action: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// Writes `document` in the one way in which it is written: indented, so that a change can be reviewed, and with no
/// line end behind it, so that no part of it is whole.
pub(super) fn write(document: &Document) -> Vec<u8> {
    let form = DocumentForm { mac: Some(hex(&document.mac)), ..DocumentForm::of(document) };
    serde_json::to_vec_pretty(&form).expect(WRITABLE)
}

/// Appends what is authenticated: everything but the code, as canonical JSON (RFC 8785).
pub(super) fn write_canonical(document: &Document, out: &mut Vec<u8>) {
    canonical::write(&serde_json::to_value(DocumentForm::of(document)).expect(WRITABLE), out);
}

const WRITABLE: &str = "strings and numbers can be written to memory as JSON";

/// Reads what [`write`] writes, with any white space.
pub(super) fn read(json: &[u8]) -> Result<Document, String> {
    let form: DocumentForm = serde_json::from_slice(json).map_err(|error| syntax_fault(&error))?;
    let DocumentForm {
        format,
        name,
        revision,
        timing,
        schedule,
        slower_until,
        destroyed,
        authentication,
        keys,
        changes,
        mac,
    } = form;
    let slower = |slower: SlowerForm| {
        Ok::<_, String>(Slower { promotion: timestamp(&slower.promotion)?, scan: timestamp(&slower.scan)? })
    };
    if format != FORMAT {
        return Err(format!("is of another format than `{FORMAT}`, perhaps a later one"));
    }
    Ok(Document {
        name: KeyringName::parse(&name).map_err(|error| format!("has an unusable name: {error}"))?,
        revision,
        timing: timing.into(),
        schedule: schedule.into(),
        slower: slower_until.map(slower).transpose()?,
        destroyed: destroyed.into_iter().map(service_name).collect::<Result<_, _>>()?,
        kek: service_name(authentication.kek)?,
        wrapped: wrapped_key(&authentication.wrapped)?,
        keys: keys.into_iter().map(EntryForm::parse).collect::<Result<_, _>>()?,
        changes: changes.into_iter().map(ChangeForm::parse).collect::<Result<_, _>>()?,
        mac: mac.as_deref().and_then(unhex).ok_or("has a `mac` that is not 64 lower-case hexadecimal digits")?,
    })
}

impl DocumentForm {
    fn of(document: &Document) -> Self {
        let Document { name, revision, timing, schedule, slower, destroyed, kek, wrapped, keys, changes, mac: _ } =
            document;
        Self {
            format: FORMAT.to_owned(),
            name: name.to_string(),
            revision: *revision,
            timing: (*timing).into(),
            schedule: (*schedule).into(),
            slower_until: slower.map(|Slower { promotion, scan }| SlowerForm {
                promotion: promotion.to_string(),
                scan: scan.to_string(),
            }),
            destroyed: destroyed.clone(),
            authentication: AuthenticationForm {
                kek: kek.clone(),
                wrapped: STANDARD.encode_to_string(wrapped.as_bytes()),
            },
            keys: keys.iter().map(EntryForm::of).collect(),
            changes: changes.iter().map(ChangeForm::of).collect(),
            mac: None,
        }
    }
}

impl EntryForm {
    fn of(entry: &KeyEntry) -> Self {
        let KeyEntry { commitment, state, created, changed, relieved, clean_scans, kek, former_keks, wrapped, receipt } =
            entry;
        Self {
            id: entry.id().to_string(),
            commitment: hex(commitment),
            state: *state,
            created: created.to_string(),
            changed: changed.to_string(),
            relieved: relieved.map(|relieved| relieved.to_string()),
            clean_scans: clean_scans.iter().map(ToString::to_string).collect(),
            kek: kek.clone(),
            former_keks: former_keks.clone(),
            wrapped: wrapped.as_ref().map(|wrapped| STANDARD.encode_to_string(wrapped.as_bytes())),
            receipt: receipt.clone(),
        }
    }

    fn parse(self) -> Result<KeyEntry, String> {
        let Self { id, commitment, state, created, changed, relieved, clean_scans, kek, former_keks, wrapped, receipt } =
            self;
        let entry = KeyEntry {
            commitment: unhex(&commitment).ok_or("has a commitment that is not 64 lower-case hexadecimal digits")?,
            state,
            created: timestamp(&created)?,
            changed: timestamp(&changed)?,
            relieved: relieved.as_deref().map(timestamp).transpose()?,
            clean_scans: clean_scans.iter().map(|scan| timestamp(scan)).collect::<Result<_, _>>()?,
            former_keks: former_keks.into_iter().map(service_name).collect::<Result<_, _>>()?,
            kek: service_name(kek)?,
            wrapped: wrapped.as_deref().map(wrapped_key).transpose()?,
            receipt: receipt.map(line).transpose()?,
        };
        if id != entry.id().to_string() {
            return Err(format!("gives another id to key {}, which its commitment names so", entry.id()));
        }
        Ok(entry)
    }
}

impl ChangeForm {
    fn of(change: &Change) -> Self {
        let Change { revision, at, by, why, action, key } = change;
        Self {
            revision: *revision,
            at: at.to_string(),
            by: by.clone(),
            why: why.clone(),
            action: action.clone(),
            key: key.map(|key| key.to_string()),
        }
    }

    fn parse(self) -> Result<Change, String> {
        let Self { revision, at, by, why, action, key } = self;
        let key = key.map(|key| key.parse().map_err(|_| "records a change of a key whose id is none")).transpose()?;
        Ok(Change { revision, at: timestamp(&at)?, by: line(by)?, why: line(why)?, action: line(action)?, key })
    }
}

fn timestamp(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "has a time that is not like 2026-11-24T03:41:00Z".to_owned())
}

fn line(text: String) -> Result<String, String> {
    if is_line(&text) { Ok(text) } else { Err("has a text that is too long, or with control characters".to_owned()) }
}

/// Reads a member that may be absent, but not `null`.
fn present<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn service_name(name: String) -> Result<String, String> {
    if is_service_name(&name) { Ok(name) } else { Err("has a `kek` that no key service can be called".to_owned()) }
}

fn wrapped_key(text: &str) -> Result<WrappedKey, String> {
    let wrapped = STANDARD.decode_to_vec(text).map(WrappedKey::from);
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
            ("2026-01-01T", "2026-01-01 ", "a time that is not like"),
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
        let text = |length| STANDARD.encode_to_string(vec![1; length]);
        assert!(wrapped_key(&text(0)).is_err());
        assert!(wrapped_key(&text(1)).is_ok() && wrapped_key(&text(WrappedKey::LONGEST)).is_ok());
        assert!(wrapped_key(&text(WrappedKey::LONGEST + 1)).is_err());
    }
}
