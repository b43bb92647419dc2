//! Proves that no stored value opens once anything of it was changed, or once it stands in another place: random changes
//! of tokens in both forms and of whole documents, none of which opens to anything, and all of which are refused alike.
//!
//! `FIELDSEAL_TAMPER_CHANGES` says how many changes are tried, and `FIELDSEAL_TAMPER_SEED` which. A million take about a
//! minute: `FIELDSEAL_TAMPER_CHANGES=1000000 cargo test --release --test tamper -- --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking, and these show figures"
)]

use std::collections::BTreeMap;
use std::env;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use fieldseal::audit::{Audit, AuditEvent};
use fieldseal::keys::{DataKey, Keyring, KeyringFile, Keys, LocalKek, SecretKey, Timing};
use fieldseal::policy::RecordBinding;
use fieldseal::{Error, ErrorKind, Field, FieldCipher, Policy, Scope, Tag};
use serde_json::Value;
use serde_json::value::RawValue;

/// How many changes are tried unless the environment asks for another number.
const CHANGES: u64 = 24_000;
const SEED: u64 = 0x5ea1_ed00_2026_1126;

const COLLECTIONS: [&str; 2] = ["customers", "couriers"];
const TENANTS: [&str; 2] = ["acme", "globex"];
const RECORDS: [&str; 3] = ["7", "8", "9"];
/// Fields, and what they hold: of every kind of value and several lengths.
const FIELDS: [(&str, &str); 4] = [
    ("name", r#""Tan Wei Ming""#),
    ("phone", r#""+65 9123 4567""#),
    ("street", r#"{"no":[7,1.10]}"#),
    ("note", "null"),
];

/// Lengths of the parts of a binary token: version, key id, prefix and rest of the nonce; the tag is at the end.
const HEADER: usize = 9;
const PREFIX: usize = 12;
const NONCE: usize = 24;
const TAG: usize = 16;

/// A generator that gives the same for the same seed (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn is_heads(&mut self) -> bool {
        self.below(2) == 0
    }
}

struct Silent;

impl Audit for Silent {
    fn record(&self, _: &AuditEvent<'_>) {}
}

/// Where a token was made, each part by its place in the lists above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    collection: usize,
    tenant: usize,
    record: usize,
    field: usize,
}

struct Token {
    place: Place,
    /// Which of the two keys it is under.
    key: usize,
    binary: Vec<u8>,
}

/// A storage with values of every place under two keys of one keyring, and what opens them.
struct World {
    tokens: Vec<Token>,
    /// By collection, tenant and record, with both keys.
    ciphers: Vec<FieldCipher>,
    /// By collection and tenant.
    scopes: Vec<FieldCipher>,
    /// A key that is in no keyring here.
    stranger: FieldCipher,
    _directory: tempfile::TempDir,
}

fn policy(collection: &str) -> Policy {
    Policy::builder(collection)
        .bind_records(RecordBinding::required("id"))
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone))
        .field(Field::new("street", Tag::Address))
        .field(Field::new("note", Tag::Text).encrypt_null())
        .build()
        .unwrap()
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = KeyringFile::new(directory.path().join("keyring.json"));
        let kek = LocalKek::new(&SecretKey::generate().unwrap());
        let mut keyring = Keyring::create("customers", &kek).await.unwrap();
        keyring.set_timing(Timing::single_process()).unwrap();
        let second = keyring.add_key(&kek).await.unwrap();
        keyring.save(&store).await.unwrap();
        let keys = Keys::open(store.clone(), kek).await.unwrap();

        let mut scopes = Vec::new();
        for collection in COLLECTIONS {
            for tenant in TENANTS {
                let cipher = FieldCipher::new(policy(collection), keys.clone()).with_audit(Silent);
                scopes.push(cipher.in_scope(Scope::new().tenant(tenant)).unwrap());
            }
        }
        let in_records = |scope: &FieldCipher| RECORDS.map(|id| scope.in_record(id).unwrap());
        let ciphers: Vec<_> = scopes.iter().flat_map(in_records).collect();
        let mut world = Self { tokens: Vec::new(), ciphers, scopes, stranger: stranger(), _directory: directory };
        for key in 0..2 {
            world.fill(key);
            if key == 0 {
                keyring.promote_without_waiting(second).unwrap();
                keyring.save(&store).await.unwrap();
                keys.reload().await.unwrap();
            }
        }
        world
    }

    /// Encrypts two values for each place, with the key that is primary now.
    fn fill(&mut self, key: usize) {
        for place in places() {
            let (field, value) = FIELDS[place.field];
            let value = RawValue::from_string(value.to_owned()).unwrap();
            for _ in 0..2 {
                let binary = self.cipher(place).encrypt_value_to_bytes(field, &value).unwrap();
                self.tokens.push(Token { place, key, binary });
            }
        }
    }

    fn cipher(&self, place: Place) -> &FieldCipher {
        &self.ciphers[(place.collection * TENANTS.len() + place.tenant) * RECORDS.len() + place.record]
    }

    /// The cipher for the documents of a collection and tenant.
    fn scope(&self, place: Place) -> &FieldCipher {
        &self.scopes[place.collection * TENANTS.len() + place.tenant]
    }

    fn open(&self, place: Place, stored: &[u8]) -> Result<Value, Error> {
        self.cipher(place).decrypt_value(FIELDS[place.field].0, stored)
    }

    /// What a token that was changed is refused with: the same in one place, whatever was changed. One that names a
    /// key which nobody has is the only exception: the key id is public, and whoever runs the service must hear of it.
    fn refusal(&self, place: Place, binary: Option<&[u8]>) -> String {
        let names_no_key = |binary: &&[u8]| {
            is_grammatical(binary) && self.tokens.iter().all(|token| token.binary[..HEADER] != binary[..HEADER])
        };
        let missing = binary.filter(names_no_key).map(|binary| (ErrorKind::KeyUnavailable, hex(&binary[1..HEADER])));
        let reference = self.open(place, &[]).unwrap_err();
        match missing {
            Some((kind, id)) => format!("{kind:?} of {id}"),
            None => format!("{:?}: {reference}", ErrorKind::Decryption),
        }
    }
}

/// Whether the version and the length are those of a token.
fn is_grammatical(binary: &[u8]) -> bool {
    let lengths = [32, 36, 40, 44, 48, 52, 56, 60, 64, 72, 80, 88, 96, 104, 112, 120, 128, 144, 160, 176, 192];
    binary.first() == Some(&1) && binary.len().checked_sub(HEADER + NONCE + TAG).is_some_and(|n| lengths.contains(&n))
}

fn stranger() -> FieldCipher {
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate().unwrap()));
    FieldCipher::new(policy(COLLECTIONS[0]), keys).with_audit(Silent)
}

fn places() -> Vec<Place> {
    let mut places = Vec::new();
    for collection in 0..COLLECTIONS.len() {
        for tenant in 0..TENANTS.len() {
            for record in 0..RECORDS.len() {
                places.extend((0..FIELDS.len()).map(|field| Place { collection, tenant, record, field }));
            }
        }
    }
    places
}

fn text(binary: &[u8]) -> String {
    format!("fs1.{}", URL_SAFE_NO_PAD.encode(binary))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// A number that is not `old`.
fn other(random: &mut Random, old: usize, end: usize) -> usize {
    (old + 1 + random.below(end - 1)) % end
}

/// Where a changed token is tried, and what stands there now.
type Attempt = (Place, Vec<u8>);

/// What an attacker does to a token: its name, and how it is done.
type Change = (&'static str, fn(&World, &Token, &mut Random) -> Attempt);

/// In binary form; what they make is also tried in text form.
const BINARY: [Change; 12] = [
    ("one bit", |_, token, random| {
        let mut binary = token.binary.clone();
        let at = random.below(binary.len());
        binary[at] ^= 1 << random.below(8);
        (token.place, binary)
    }),
    ("several bytes", |_, token, random| {
        let mut binary = token.binary.clone();
        for _ in 0..=random.below(8) {
            let at = random.below(binary.len());
            binary[at] = random.byte();
        }
        (token.place, binary)
    }),
    ("the nonce", |_, token, random| {
        let mut binary = token.binary.clone();
        binary[HEADER + random.below(NONCE)] ^= 1 + random.byte() % 255;
        (token.place, binary)
    }),
    ("the tag", |_, token, random| {
        let (mut binary, length) = (token.binary.clone(), token.binary.len());
        binary[length - TAG + random.below(TAG)] ^= 1 << random.below(8);
        (token.place, binary)
    }),
    ("cut short", |_, token, random| {
        let (from, to) = (random.below(token.binary.len()), random.below(token.binary.len()));
        let (from, to) = (from.min(to), from.max(to) + 1);
        let kept = match random.below(3) {
            0 => token.binary[..from].to_vec(),
            1 => token.binary[to..].to_vec(),
            _ => [&token.binary[..from], &token.binary[to..]].concat(),
        };
        (token.place, kept)
    }),
    ("made longer", |_, token, random| {
        let mut binary = token.binary.clone();
        let (at, count) = (random.below(binary.len() + 1), [1, 4, 8, 16][random.below(4)]);
        let more: Vec<u8> = (0..count).map(|_| if random.is_heads() { b' ' } else { random.byte() }).collect();
        binary.splice(at..at, more);
        (token.place, binary)
    }),
    ("two spliced", |world, token, random| {
        let other = &random.pick(&world.tokens).binary;
        let at = random.below(token.binary.len().min(other.len()));
        (token.place, [&token.binary[..at], &other[at..]].concat())
    }),
    ("parts of two", |world, token, random| {
        let mut binary = token.binary.clone();
        let same_length = |other: &&Token| other.binary.len() == token.binary.len();
        let others: Vec<&Token> = world.tokens.iter().filter(same_length).collect();
        let other = &random.pick(&others).binary;
        let length = binary.len();
        let ends = [0, HEADER, HEADER + PREFIX, HEADER + NONCE, length - TAG, length];
        let parts = ends.windows(2).map(|ends| ends[0]..ends[1]);
        for part in parts {
            if random.is_heads() {
                binary[part.clone()].copy_from_slice(&other[part]);
            }
        }
        (token.place, binary)
    }),
    ("another key", |world, token, random| {
        let header = &world.tokens.iter().find(|other| other.key != token.key).unwrap().binary[..HEADER];
        let mut binary = token.binary.clone();
        if random.below(4) > 0 {
            binary[..HEADER].copy_from_slice(header);
        } else {
            // One that was made elsewhere, for the same place as far as anybody can say.
            let record = world.stranger.in_scope(Scope::new().tenant(TENANTS[token.place.tenant])).unwrap();
            let record = record.in_record(RECORDS[token.place.record]).unwrap();
            binary = record.encrypt_value_to_bytes(FIELDS[token.place.field].0, "1").unwrap();
            if random.is_heads() {
                binary[..HEADER].copy_from_slice(header);
            }
        }
        (token.place, binary)
    }),
    ("another version", |_, token, random| {
        let mut binary = token.binary.clone();
        binary[0] = binary[0].wrapping_add(1 + random.byte() % 255);
        (token.place, binary)
    }),
    ("nothing of it left", |_, token, random| {
        let binary = (0..token.binary.len()).map(|_| random.byte());
        let mut binary: Vec<u8> = binary.collect();
        let kept = [0, 1, HEADER, HEADER + NONCE][random.below(4)];
        binary[..kept].copy_from_slice(&token.binary[..kept]);
        (token.place, binary)
    }),
    ("another place", |_, token, random| {
        let mut place = token.place;
        while place == token.place {
            let part = random.below(5);
            match part {
                0 => place.field = other(random, place.field, FIELDS.len()),
                1 => place.record = other(random, place.record, RECORDS.len()),
                2 => place.tenant = other(random, place.tenant, TENANTS.len()),
                3 => place.collection = other(random, place.collection, COLLECTIONS.len()),
                _ => place = *random.pick(&places()),
            }
        }
        (place, token.binary.clone())
    }),
];

/// Of the text form alone.
const TEXT: [Change; 3] = [
    ("one character", |_, token, random| {
        let mut text = text(&token.binary).into_bytes();
        let at = random.below(text.len());
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+/= \n\0\x7f\xff";
        text[at] = *random.pick(alphabet);
        (token.place, text)
    }),
    ("another spelling", |_, token, random| {
        let good = text(&token.binary);
        let body = &good[4..];
        let spelled = match random.below(9) {
            0 => format!("fs1.{}", STANDARD.encode(&token.binary)),
            1 => format!("fs1.{}==", URL_SAFE.encode(&token.binary).trim_end_matches('=')),
            2 => format!(" {good}"),
            3 => format!("{good}\n"),
            4 => format!("FS1.{body}"),
            5 => format!("fs1.{good}"),
            6 => body.to_owned(),
            7 => format!("fs1.{}", URL_SAFE_NO_PAD.encode(&good)),
            _ => {
                let at = 4 + random.below(body.len());
                format!("{}{}{}", &good[..at], ["=", "\n", " ", "%2d", "\u{200b}"][random.below(5)], &good[at..])
            }
        };
        (token.place, spelled.into_bytes())
    }),
    ("bits that stand for no byte", |_, token, random| {
        let mut text = text(&token.binary).into_bytes();
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        *text.last_mut().unwrap() = *random.pick(alphabet);
        (token.place, text)
    }),
];

/// What was tried, by the kind of change.
type Tried = BTreeMap<&'static str, u64>;

/// Fails unless `stored` opens to nothing in `place`, and is refused as everything else is. Returns whether it is a
/// change at all: what is left as it was, or is another value that was stored in the same place, opens and may.
fn refused(world: &World, (place, stored): &Attempt) -> bool {
    let from_text =
        || URL_SAFE_NO_PAD.decode(stored.strip_prefix(b"fs1.")?).ok().filter(|it| text(it).as_bytes() == stored);
    let binary = if stored.starts_with(b"fs1.") { from_text() } else { Some(stored.clone()) };
    let is_stored = |token: &Token| Some(&token.binary) == binary.as_ref() && token.place == *place;
    if world.tokens.iter().any(is_stored) {
        assert!(world.open(*place, stored).is_ok(), "what was not changed does not open");
        return false;
    }
    let error = world.open(*place, stored).expect_err("what was changed opened");
    let told = match error.kind() {
        // Its message names the field and the key, and nothing else.
        ErrorKind::KeyUnavailable => {
            let id = hex(&binary.as_ref().unwrap()[1..HEADER]);
            assert!(error.to_string().contains(&id), "{error}");
            format!("{:?} of {id}", error.kind())
        }
        kind => format!("{kind:?}: {error}"),
    };
    assert_eq!(told, world.refusal(*place, binary.as_deref()), "not refused as the others are");
    true
}

/// Tries `count` changes of tokens.
fn tamper_with_tokens(world: &World, count: u64, random: &mut Random) -> Tried {
    let mut tried = Tried::new();
    let mut sum = 0;
    while sum < count {
        let token = random.pick(&world.tokens);
        let kind = random.below(BINARY.len() + TEXT.len());
        let (name, attempts) = if let Some(kind) = kind.checked_sub(BINARY.len()) {
            (TEXT[kind].0, vec![TEXT[kind].1(world, token, random)])
        } else {
            let (place, binary) = BINARY[kind].1(world, token, random);
            let in_text = text(&binary).into_bytes();
            (BINARY[kind].0, vec![(place, binary), (place, in_text)])
        };
        for attempt in attempts {
            if refused(world, &attempt) {
                *tried.entry(name).or_default() += 1;
                sum += 1;
            }
        }
    }
    tried
}

/// A document with a record for each of the ids, and tokens in it by record and field.
struct Document {
    place: Place,
    tokens: Vec<Vec<String>>,
}

impl Document {
    fn new(world: &World, random: &mut Random) -> Self {
        let place = *random.pick(&places());
        let members: Vec<_> = FIELDS.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let records: Vec<_> = RECORDS.iter().map(|id| format!("{{\"id\":{id},{}}}", members.join(","))).collect();
        let stored = world.scope(place).encrypt_json(format!("[{}]", records.join(",")).as_bytes()).unwrap();
        let stored: Vec<BTreeMap<String, Value>> = serde_json::from_slice(&stored).unwrap();
        let token = |record: &BTreeMap<String, Value>, field: &str| record[field].as_str().unwrap().to_owned();
        let tokens = stored.iter().map(|record| FIELDS.map(|(field, _)| token(record, field)).to_vec()).collect();
        Self { place, tokens }
    }

    /// The document as it is stored, with these ids.
    fn text(tokens: &[Vec<String>], ids: [&str; 3]) -> String {
        let record = |(id, tokens): (&str, &Vec<String>)| {
            let members = FIELDS.iter().zip(tokens).map(|((name, _), token)| format!(",\"{name}\":\"{token}\""));
            format!("{{\"id\":{id}{}}}", members.collect::<String>())
        };
        let records: Vec<_> = ids.into_iter().zip(tokens).map(record).collect();
        format!("[{}]", records.join(","))
    }
}

/// Tries `count` changes of whole documents, of which none may open, not even in its untouched records.
fn tamper_with_documents(world: &World, count: u64, random: &mut Random) -> Tried {
    let mut tried = Tried::new();
    let mut sum = 0;
    while sum < count {
        let document = Document::new(world, random);
        let (mut tokens, mut ids, mut place) = (document.tokens.clone(), RECORDS, document.place);
        let (record, field) = (random.below(RECORDS.len()), random.below(FIELDS.len()));
        let name = match random.below(7) {
            0 => {
                let other = other(random, field, FIELDS.len());
                tokens[record].swap(field, other);
                "document: two members swapped"
            }
            1 => {
                let other = other(random, record, RECORDS.len());
                let token = tokens[other][field].clone();
                tokens[other][field] = std::mem::replace(&mut tokens[record][field], token);
                "document: a member of two rows swapped"
            }
            2 => {
                tokens.swap(record, other(random, record, RECORDS.len()));
                "document: two rows swapped"
            }
            3 => {
                ids[record] = ["17", "\"7\\u0020\"", "70", "-7"][random.below(4)];
                "document: another id"
            }
            4 => {
                if random.is_heads() {
                    place.tenant = 1 - place.tenant;
                } else {
                    place.collection = 1 - place.collection;
                }
                "document: another tenant or collection"
            }
            5 => {
                // Any character that leaves it a string of JSON.
                let token = &mut tokens[record][field];
                let at = random.below(token.len());
                let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_. ";
                let character = *random.pick(alphabet.as_bytes());
                if character == token.as_bytes()[at] {
                    continue;
                }
                token.replace_range(at..=at, char::from(character).encode_utf8(&mut [0; 4]));
                "document: a character of a token"
            }
            _ => {
                let foreign = Document::new(world, random);
                if (foreign.place.tenant, foreign.place.collection) == (place.tenant, place.collection) {
                    continue;
                }
                tokens[record][field].clone_from(&foreign.tokens[record][field]);
                "document: a token of another tenant or collection"
            }
        };
        let good = Document::text(&document.tokens, RECORDS);
        assert!(
            world.scope(document.place).decrypt_json(good.as_bytes()).is_ok(),
            "what was not changed does not open"
        );
        let stored = Document::text(&tokens, ids);
        let error = world.scope(place).decrypt_json(stored.as_bytes()).expect_err("what was changed opened");
        // What has lost its mark is no token, which is a fault of its own; a key that nobody has is another.
        let has_all_marks = tokens.iter().flatten().all(|token| token.starts_with("fs1."));
        match error.kind() {
            ErrorKind::Decryption => {}
            ErrorKind::NotEncrypted => assert!(!has_all_marks, "{name}: {error}"),
            ErrorKind::KeyUnavailable => assert_eq!(name, "document: a character of a token", "{error}"),
            _ => panic!("{name}: {error:?}"),
        }
        *tried.entry(name).or_default() += 1;
        sum += 1;
    }
    tried
}

#[tokio::test]
async fn nothing_that_was_changed_opens() {
    let number = |variable, default| env::var(variable).map_or(default, |text: String| text.parse().unwrap());
    let (changes, seed) = (number("FIELDSEAL_TAMPER_CHANGES", CHANGES), number("FIELDSEAL_TAMPER_SEED", SEED));
    let world = World::new().await;
    let mut random = Random(seed);
    let run = std::panic::AssertUnwindSafe(|| {
        let mut tried = tamper_with_tokens(&world, changes - changes / 10, &mut random);
        tried.extend(tamper_with_documents(&world, changes / 10, &mut random));
        tried
    });
    let tried = std::panic::catch_unwind(run).unwrap_or_else(|fault| {
        eprintln!("FIELDSEAL_TAMPER_SEED={seed} FIELDSEAL_TAMPER_CHANGES={changes} does it again");
        std::panic::resume_unwind(fault)
    });
    for (name, count) in &tried {
        println!("{count:>9} {name}");
    }
    println!("{:>9} changes, 0 opened", tried.values().sum::<u64>());
    assert_eq!(tried.len(), BINARY.len() + TEXT.len() + 7, "every kind was tried");
}
