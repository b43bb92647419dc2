//! Proves that neither a key nor a value stays in memory after use: a child process uses both in every way that there is,
//! drops what it used, and is searched by its parent, as a core dump of it would be. While they are in use, the same search
//! finds them.
#![cfg(all(feature = "layer", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and tells its figures")]

#[path = "support/memory_search.rs"]
mod memory_search;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes256Enc, Block};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use fieldseal::keys::{
    KeyService, Keyring, KeyringFile, Keys, LocalKek, MemorySubjectKeys, SecretKey, Subject, SubjectKeyStore,
    SubjectKeys, WrapContext,
};
use fieldseal::layer::FieldBody;
use fieldseal::policy::{BlindIndex, CompoundIndex, Normalizer, Reveal, Shown, Validation};
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use hkdf::Hkdf;
use http::header::CONTENT_TYPE;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, StreamBody};
use memory_search::{Found, Needle, search};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tower::{Layer, Service, ServiceExt};
use zeroize::{Zeroize, Zeroizing};

/// Each way in which the child uses a value, and how long that is.
const WAYS: [(&str, usize); 45] = [
    ("value, short", 24),
    ("value, long", 700),
    ("value, very long", 70_000),
    ("value with escapes", 60),
    ("value of a row", 48),
    ("value in binary form", 48),
    ("value of another type", 40),
    ("record", 40),
    ("sealed record", 40),
    ("document", 40),
    ("document, long", 9000),
    ("document with escapes", 60),
    ("document in chunks", 400),
    ("document that is broken", 40),
    ("document that does not open", 40),
    ("document that is left half way", 300),
    ("line", 40),
    ("merge patch", 40),
    ("JSON patch", 40),
    ("search", 40),
    ("looked up", 40),
    ("subject", 40),
    ("layer, whole", 40),
    ("layer, in frames", 3000),
    ("layer, lines", 40),
    ("layer, events", 600),
    ("layer, JSON patch", 40),
    ("form", 40),
    ("form, encoded", 40),
    ("multipart form", 40),
    ("form that is searched by", 40),
    ("document that is searched by", 40),
    ("target", 40),
    ("target, encoded", 40),
    ("target, encoded, for two fields", 40),
    ("target, encoded and long", 140),
    ("target, encoded, with more behind it", 140),
    ("target, encoded and refused", 40),
    ("path, encoded", 40),
    ("form that is searched by, encoded", 40),
    ("candidate", 40),
    ("candidate that does not match", 40),
    ("masked", 300),
    ("normal form", 300),
    ("index of several fields", 40),
];

/// What is sent to the child and must never be found there is sent so.
const MASK: u8 = 0xa5;

#[test]
fn nothing_is_left_in_memory_after_use() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let kek_path = directory.path().join("kek");
    let kek = LocalKek::create_file(&kek_path).unwrap();
    let mut keys = Vec::new();
    let text = fs::read_to_string(&kek_path).unwrap();
    add_key_encryption_key(text.trim_end(), &mut keys);
    let data_key = runtime.block_on(add_keyring(directory.path(), "customers", &kek, &mut keys));
    runtime.block_on(add_keyring(directory.path(), "indexes", &kek, &mut keys));
    let mut values = Vec::new();
    let mut child = Process::start(directory.path());
    for (label, length) in WAYS {
        let value = random_text(length);
        child.tell(&[label, &hex(&value)]);
        let masked = |text: &str| text.bytes().map(|byte| byte ^ MASK).collect();
        values.push(Needle { label: format!("a value: {label}"), bytes: masked(&value) });
        if label == "normal form" {
            values.push(Needle {
                label: "a value: as it is stored".to_owned(),
                bytes: masked(&value.to_ascii_uppercase()),
            });
        }
    }
    // The needles were made with the mask on, so that this process is the only one to hold them without.
    for needle in &mut values {
        needle.bytes.iter_mut().for_each(|byte| *byte ^= MASK);
    }
    child.tell(&["end", ""]);

    let stack = child.wait_for("ready").pop().unwrap().1.parse().unwrap();
    let before = child.search(stack, &keys, &values);
    assert!(before.places.is_empty(), "the test itself leaves secrets behind: {:#?}", before.places);

    // While keys are open, they stand where they are used from, and nothing else stands anywhere.
    let mut pieces = 0;
    for (phase, expected) in [
        ("opened keys and dropped them", &[][..]),
        ("used values", IN_USE),
        ("used documents", IN_USE),
        ("used the layer", IN_USE),
        ("read half of a document", &[IN_USE, &[HALF]].concat()),
        ("dropped everything", &[]),
    ] {
        child.go_on();
        for (what, told) in child.wait_for(phase) {
            add_told(&what, &told, &data_key, &mut keys);
        }
        let mut found = child.search(stack, &keys, &values);
        for label in expected {
            assert!(found.places.contains_key(*label), "what is in use is not found: {label}");
        }
        pieces = pieces.max(found.pieces);
        println!(
            "memory: searched {} bytes in {} regions for {} keys and {} values after the process {phase}: {} found",
            found.bytes,
            found.regions,
            keys.len(),
            values.len(),
            found.places.len(),
        );
        if !expected.is_empty() {
            found.places.retain(|label, _| !expected.contains(&&**label) && !kept_while_open(label));
        }
        assert!(found.places.is_empty(), "left in memory after the process {phase}: {:#?}", found.places);
    }
    println!("memory: at most {pieces} pieces of values on the stack, of 16 bytes at most");
    child.go_on();
    child.end();
}

const HALF: &str = "a value: document that is left half way";

/// What must be found while keys are open.
const IN_USE: &[&str] = &[
    "a key of customers: tokens",
    "a key of customers: wrapping",
    "a key of customers: nonces",
    "a key of customers: decoys",
    "a key of indexes: extracted for fieldseal/v1/index-key, as the inner state of HMAC",
    "a key of indexes: extracted for fieldseal/v1/index-key, as the outer state of HMAC",
    "the key-encryption key: wrapping",
    "what authenticates customers",
];

/// What may be found while keys are open: the working keys. What they are derived from may not.
fn kept_while_open(label: &str) -> bool {
    let kept = [": tokens", ": wrapping", ": nonces", ": decoys", "state of HMAC"];
    kept.iter().any(|end| label.ends_with(end)) || label.starts_with("what authenticates")
}

/// The other process, which waits wherever it says so.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(directory: &Path) -> Self {
        let allocator = directory.join("allocator.so");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .arg(&allocator)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/keeping_allocator.c"))
            .status();
        assert!(compiled.is_ok_and(|status| status.success()), "a C compiler is needed");
        let mut child = Command::new(env::current_exe().unwrap())
            .env("LD_PRELOAD", allocator)
            .args(["--exact", "the_process_that_is_searched", "--nocapture", "--test-threads=1"])
            .env("FIELDSEAL_TEST_LEAKS", directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn tell(&mut self, parts: &[&str]) {
        writeln!(self.input, "{}", parts.join("|")).unwrap();
    }

    fn go_on(&mut self) {
        self.tell(&["go on"]);
        self.input.flush().unwrap();
    }

    /// What the child says until it waits in `phase`.
    fn wait_for(&mut self, phase: &str) -> Vec<(String, String)> {
        let mut told = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the child ended before it was {phase}");
            // The harness writes the name of the test without a line end.
            let Some((_, line)) = line.trim_end().split_once("leaks|") else { continue };
            match line.split_once('|') {
                None if line == phase => return told,
                None => panic!("the child is {line}, and not {phase}"),
                Some((what, told_of_it)) => told.push((what.to_owned(), told_of_it.to_owned())),
            }
        }
    }

    /// Of values, pieces as long as a register may stand on the stack: the next calls overwrite them.
    fn search(&self, stack: u64, keys: &[Needle], values: &[Needle]) -> Found {
        let needles: Vec<_> = keys.iter().chain(values).collect();
        search(self.child.id(), &needles, stack, |label| label.starts_with("a value"))
    }

    fn end(mut self) {
        self.output.read_to_end(&mut Vec::new()).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// Random letters and digits, masked.
fn random_text(length: usize) -> String {
    let mut text = String::new();
    while text.len() < length {
        let bytes = SecretKey::generate().unwrap();
        text.extend(URL_SAFE_NO_PAD.encode(bytes.expose_secret()).chars().filter(char::is_ascii_alphanumeric));
    }
    text.truncate(length);
    text
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{:02x}", byte ^ MASK)).collect::<Vec<_>>().concat()
}

fn add(keys: &mut Vec<Needle>, label: &str, bytes: &[u8]) {
    keys.push(Needle { label: label.to_owned(), bytes: bytes.to_vec() });
}

/// A key of HMAC-SHA-256 (RFC 2104), the blocks that it is made into, and the states that stand for it.
fn add_authenticating(keys: &mut Vec<Needle>, label: &str, key: &[u8; 32]) {
    add(keys, label, key);
    for (side, pad) in [("inner", 0x36), ("outer", 0x5c)] {
        let mut block = [pad; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        add(keys, &format!("{label}, as the {side} block of HMAC"), &block[..32]);
        let mut state =
            [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
        sha2::block_api::compress256(&mut state, &[block]);
        add(keys, &format!("{label}, as the {side} state of HMAC"), &state.map(u32::to_ne_bytes).concat());
    }
}

/// What is made of a secret by HKDF-SHA-256: the pseudorandom key, and what is expanded from it.
fn add_derived(
    keys: &mut Vec<Needle>,
    whose: &str,
    salt: &str,
    secret: &[u8],
    labels: &[(&str, &[u8])],
) -> Vec<[u8; 32]> {
    let (extracted, derivation) = Hkdf::<Sha256>::extract(Some(salt.as_bytes()), secret);
    add_authenticating(keys, &format!("{whose}: extracted for {salt}"), &extracted.into());
    let mut derived = Vec::new();
    for (name, label) in labels {
        let mut key = [0; 32];
        derivation.expand(label, &mut key).unwrap();
        let label = format!("{whose}: {name}");
        if *name == "an index" {
            add_authenticating(keys, &label, &key);
        } else {
            add(keys, &label, &key);
        }
        derived.push(key);
    }
    derived
}

fn add_key_encryption_key(text: &str, keys: &mut Vec<Needle>) {
    let whose = "the key-encryption key";
    let raw = STANDARD.decode(text).unwrap();
    add(keys, &format!("{whose}, as text"), text.as_bytes());
    add(keys, whose, &raw);
    add_derived(keys, whose, "fieldseal/v1/local-kek", &raw, &[("wrapping", b"fieldseal/v1/wrap-data-key")]);
}

/// What comes of a data key. Returns the keys of tokens and of wrapping.
fn add_data_key(keys: &mut Vec<Needle>, whose: &str, secret: &[u8]) -> Vec<[u8; 32]> {
    add(keys, whose, secret);
    let mut index = b"fieldseal/v1/index".to_vec();
    for part in ["", "customers", "email", "email_index", "exact@1"] {
        index.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        index.extend(part.bytes());
    }
    index.extend(128_u16.to_be_bytes());
    add_derived(keys, whose, "fieldseal/v1/index-key", secret, &[("an index", &index)]);
    let labels: [(&str, &[u8]); 4] = [
        ("tokens", b"fieldseal/v1/xaes-256-gcm"),
        ("wrapping", b"fieldseal/v1/wrap-subject"),
        ("nonces", b"fieldseal/v1/nonce-hedge"),
        ("decoys", b"fieldseal/v1/decoy"),
    ];
    add_derived(keys, whose, "fieldseal/v1/data-key", secret, &labels)
}

/// Makes a keyring, and returns the keys of tokens and of wrapping.
async fn add_keyring(directory: &Path, name: &str, kek: &LocalKek, keys: &mut Vec<Needle>) -> Vec<[u8; 32]> {
    let mut keyring = Keyring::create(name, kek).await.unwrap();
    keyring.save(&KeyringFile::new(directory.join(name))).await.unwrap();
    let document: serde_json::Value = serde_json::from_slice(&keyring.to_json()).unwrap();
    let unwrap = async |pointer: &str, context: &WrapContext| {
        let wrapped = STANDARD.decode(document.pointer(pointer).unwrap().as_str().unwrap()).unwrap().into();
        kek.unwrap(&wrapped, context).await.unwrap()
    };
    let context = WrapContext::keyring_authentication(name).unwrap();
    let key = unwrap("/authentication/wrapped", &context).await;
    add_authenticating(keys, &format!("what authenticates {name}"), key.expose_secret());
    let context = WrapContext::data_key(name, keyring.keys()[0].id()).unwrap();
    add_data_key(keys, &format!("a key of {name}"), unwrap("/keys/0/wrapped", &context).await.expose_secret())
}

/// Adds the keys that can be told from what the child made.
fn add_told(what: &str, told: &str, data_key: &[[u8; 32]], keys: &mut Vec<Needle>) {
    let (tokens, wrapping) = (&data_key[0], &data_key[1]);
    if let Some(token) = told.strip_prefix("fs1.") {
        let token = URL_SAFE_NO_PAD.decode(token).unwrap();
        add(keys, &format!("the key of one document: {what}"), &derived_key(tokens, token[9..21].try_into().unwrap()));
        return;
    }
    // The wrapped key of a subject: form, key id, commitment, nonce, ciphertext, tag.
    let entry = URL_SAFE_NO_PAD.decode(told).unwrap();
    let (prefix, suffix) = (entry[41..53].try_into().unwrap(), &entry[53..65]);
    let wrapping_once = derived_key(wrapping, prefix);
    let cipher = Aes256Enc::new(&wrapping_once.into());
    let mut secret = entry[65..97].to_vec();
    for (counter, chunk) in (2_u32..).zip(secret.chunks_mut(16)) {
        let mut block = Block::default();
        block[..12].copy_from_slice(suffix);
        block[12..].copy_from_slice(&counter.to_be_bytes());
        cipher.encrypt_block(&mut block);
        chunk.iter_mut().zip(block).for_each(|(byte, stream)| *byte ^= stream);
    }
    add(keys, "the key that wraps one subject key", &wrapping_once);
    add_data_key(keys, "a subject key", &secret);
}

/// XAES-256-GCM (C2SP): the key for one nonce prefix.
fn derived_key(key: &[u8; 32], prefix: [u8; 12]) -> [u8; 32] {
    let cipher = Aes256Enc::new(key.into());
    let mut k1 = Block::default();
    cipher.encrypt_block(&mut k1);
    let value = u128::from_be_bytes(k1.into());
    let k1 = ((value << 1) ^ (0x87 * (value >> 127))).to_be_bytes();
    let mut derived = [0; 32];
    for (counter, half) in (1..).zip(derived.chunks_mut(16)) {
        let mut block = Block::from([0, counter, b'X', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        block[4..].copy_from_slice(&prefix);
        block.iter_mut().zip(k1).for_each(|(byte, k1)| *byte ^= k1);
        cipher.encrypt_block(&mut block);
        half.copy_from_slice(&block);
    }
    derived
}

// The child

/// Does nothing unless it is the child. What it is handed is masked, and what it takes the mask off is overwritten by it.
#[test]
fn the_process_that_is_searched() {
    let Some(directory) = env::var_os("FIELDSEAL_TEST_LEAKS") else { return };
    let mut values = Values(BTreeMap::new());
    loop {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        let (label, masked) = line.trim_end().split_once('|').unwrap();
        if label == "end" {
            break;
        }
        let masked = (0..masked.len()).step_by(2).map(|at| u8::from_str_radix(&masked[at..at + 2], 16).unwrap());
        values.0.insert(label.to_owned(), masked.collect());
    }
    say("stack", &std::ptr::from_ref(&values).addr().to_string());
    wait("ready");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(use_everything(Path::new(&directory), &values));
    drop(runtime);
    wait("dropped everything");
}

fn say(what: &str, told: &str) {
    println!("leaks|{what}|{told}");
}

fn wait(phase: &str) {
    println!("leaks|{phase}");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    assert_eq!(line, "go on\n");
}

struct Values(BTreeMap<String, Vec<u8>>);

impl Values {
    fn of(&self, label: &str) -> Zeroizing<String> {
        let masked = &self.0[label];
        let mut value = Zeroizing::new(String::with_capacity(masked.len()));
        for byte in masked {
            value.push(char::from(byte ^ MASK));
        }
        value
    }

    /// A document, in which `$` stands for the value.
    fn within(&self, label: &str, document: &str) -> Zeroizing<Vec<u8>> {
        let value = self.of(label);
        let mut whole = Zeroizing::new(Vec::with_capacity(document.len() + value.len()));
        let (front, back) = document.split_once('$').unwrap();
        whole.extend_from_slice(front.as_bytes());
        whole.extend_from_slice(value.as_bytes());
        whole.extend_from_slice(back.as_bytes());
        whole
    }
}

#[derive(Serialize, Deserialize)]
struct Customer {
    name: String,
}

impl Drop for Customer {
    fn drop(&mut self) {
        self.name.zeroize();
    }
}

/// The text is the caller's own until it is handed on.
fn upper_case() -> Normalizer {
    Normalizer::custom("upper-case", 1, |text| Some(text.to_ascii_uppercase())).unwrap()
}

fn policy() -> Policy {
    let exact = || BlindIndex::new(Normalizer::exact());
    let email = Field::new("email", Tag::Email).blind_index(exact());
    Policy::builder("customers")
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone))
        .field(Field::new("street", Tag::Address))
        .field(Field::new("town", Tag::Address))
        .field(Field::new("remark", Tag::Text))
        .field(Field::new("note", Tag::Text).validate(Validation::new().max_length(100_000)))
        .field(email)
        .field(Field::new("gate", Tag::Text).blind_index(BlindIndex::truncated(Normalizer::exact(), 8)))
        .field(Field::new("code", Tag::Text).validate(Validation::new().canonical(upper_case())))
        .compound_index(
            CompoundIndex::new("street_and_town").part("street", Normalizer::exact()).part("town", Normalizer::exact()),
        )
        .build()
        .unwrap()
}

async fn use_everything(directory: &Path, values: &Values) {
    let open = async |name: &str| {
        let kek = LocalKek::from_file(directory.join("kek")).unwrap();
        Keys::open(KeyringFile::new(directory.join(name)), kek).await.unwrap()
    };
    drop(open("customers").await);
    wait("opened keys and dropped them");

    let keys = open("customers").await;
    keys.reload().await.unwrap();
    let cipher = FieldCipher::new(policy(), keys.clone()).with_index_keys(open("indexes").await).unwrap();
    let subjects = use_subjects(&keys, &cipher, values).await;
    use_values(&cipher, values);
    wait("used values");
    use_documents(&cipher, values);
    wait("used documents");
    use_layer(&cipher, values).await;
    use_forms_and_lookups(&cipher, values).await;
    wait("used the layer");

    let half = values.within("document that is left half way", r#"{"name": "$"#);
    let mut stream = cipher.json_encryptor();
    stream.feed(&half[..half.len() / 2], &mut Vec::new()).unwrap();
    stream.feed(&half[half.len() / 2..], &mut Vec::new()).unwrap();
    drop(half);
    wait("read half of a document");
    drop((stream, subjects, cipher, keys));
}

fn use_values(cipher: &FieldCipher, values: &Values) {
    for label in ["value, short", "value, long", "value, very long"] {
        let token = cipher.encrypt_value("name", &**values.of(label)).unwrap();
        say(label, &token);
        let opened = Zeroizing::new(cipher.decrypt_value::<String>("name", &token).unwrap());
        assert_eq!(opened.len(), values.of(label).len());
    }
    let mut value = values.of("value with escapes");
    // Room for these was not made: what moves is overwritten here.
    let mut escaped = Zeroizing::new(String::with_capacity(value.len() + 2));
    escaped.push_str(&value);
    escaped.push_str("\"\n");
    value.zeroize();
    let token = cipher.encrypt_value("name", &**escaped).unwrap();
    drop(Zeroizing::new(cipher.decrypt_value::<String>("name", &token).unwrap()));

    let mut row = cipher.value_encryptor();
    let token = row.encrypt("note", &**values.of("value of a row")).unwrap();
    say("value of a row", &token);
    let binary = row.encrypt_to_bytes("phone", &**values.of("value in binary form")).unwrap();
    let mut opened = cipher.value_decryptor();
    drop(Zeroizing::new(opened.decrypt::<String>("note", &token).unwrap()));
    drop(Zeroizing::new(opened.decrypt::<String>("phone", &binary).unwrap()));
    let token = row.encrypt("note", &**values.of("value of another type")).unwrap();
    assert!(opened.decrypt::<u64>("note", &token).is_err());

    let customer = |label: &str| Customer { name: std::mem::take(&mut *values.of(label)) };
    let stored = cipher.encrypt_record(&customer("record")).unwrap();
    drop(cipher.decrypt_record::<Customer>(&stored).unwrap());
    let sealed = cipher.seal_record(&customer("sealed record")).unwrap();
    drop(cipher.open_record(&sealed).unwrap());

    let lookup = cipher.lookup("gate", &values.of("candidate")).unwrap();
    for label in ["candidate", "candidate that does not match"] {
        let token = cipher.encrypt_value("gate", &**values.of(label)).unwrap();
        let value = lookup.confirm(token).unwrap().map(Zeroizing::new);
        assert_eq!(value.is_some(), label == "candidate");
    }
    drop(cipher.lookup("email", &values.of("looked up")).unwrap());
    cipher.blind_index("email", &values.of("looked up")).unwrap();
}

fn use_documents(cipher: &FieldCipher, values: &Values) {
    let open = |stored: &[u8]| drop(Zeroizing::new(cipher.decrypt_json(stored).unwrap()));
    for (label, document) in [
        ("document", r#"{"id": 7, "name": "$", "email": "a@b.example", "note": "x"}"#),
        ("document, long", r#"[{"remark": "$", "name": "\u00e9"}]"#),
        ("document with escapes", r#"{"note": "\u00e9\"$\n", "remark": ["\u00e9"]}"#),
    ] {
        let stored = cipher.encrypt_json(&values.within(label, document)).unwrap();
        let stored = String::from_utf8(stored).unwrap();
        let token = &stored[stored.find("fs1.").unwrap()..];
        say(label, &token[..token.find('"').unwrap()]);
        open(stored.as_bytes());
    }
    // In chunks, through the caller's own buffers.
    let document = values.within("document in chunks", r#"{"email": "$", "phone": {"a": [1, "b"]}}"#);
    let (mut stored, mut opened) = (Vec::new(), Zeroizing::new(Vec::with_capacity(10_000)));
    let mut stream = cipher.json_encryptor();
    document.chunks(7).for_each(|chunk| stream.feed(chunk, &mut stored).unwrap());
    stream.finish(&mut stored).unwrap();
    let mut stream = cipher.json_decryptor();
    stored.chunks(7).for_each(|chunk| stream.feed(chunk, &mut opened).unwrap());
    stream.finish(&mut opened).unwrap();

    let label = "document that is broken";
    assert!(cipher.encrypt_json(&values.within(label, r#"{"name": "$", "phone": "x" "y"}"#)).is_err());
    assert!(cipher.encrypt_json(&values.within(label, r#"{"name": "$"#)).is_err());
    let label = "document that does not open";
    let stored = cipher.encrypt_json(&values.within(label, r#"{"name": "$", "phone": "x"}"#)).unwrap();
    let mut stored = String::from_utf8(stored).unwrap();
    stored.truncate(stored.rfind("fs1.").unwrap());
    stored.push_str("fs1.no token\"}");
    assert!(cipher.decrypt_json(stored.as_bytes()).is_err());

    let mut lines = cipher.ndjson_encryptor();
    let mut stored = Vec::new();
    lines.feed(&values.within("line", "{\"name\": \"$\"}\n{\"name\": null}\n"), &mut stored).unwrap();
    lines.finish(&mut stored).unwrap();
    open(&cipher.encrypt_merge_patch(&values.within("merge patch", r#"{"name": "$"}"#)).unwrap());
    let patch =
        r#"[{"op": "add", "path": "/name", "value": "$"}, {"op": "add", "path": "/a", "value": {"name": "b"}}]"#;
    cipher.encrypt_json_patch(&values.within("JSON patch", patch)).unwrap();
    cipher.encrypt_search(&values.within("search", r#"{"email": "$"}"#)).unwrap();
    open(&cipher.encrypt_json(&values.within("normal form", r#"{"code": "$"}"#)).unwrap());
    let stored = cipher.encrypt_json(&values.within("masked", r#"{"remark": "$", "phone": "x"}"#)).unwrap();
    let agent = cipher.revealing(&Reveal::all(Shown::Masked));
    drop(Zeroizing::new(agent.decrypt_json(&stored).unwrap()));
    let document = values.within("index of several fields", r#"{"street": "$", "town": "x"}"#);
    open(&cipher.encrypt_json(&document).unwrap());
    let street = values.of("index of several fields");
    cipher.compound_lookup("street_and_town", &[("street", &street), ("town", "x")]).unwrap();
}

async fn use_subjects(keys: &Keys, cipher: &FieldCipher, values: &Values) -> SubjectKeys {
    let table = MemorySubjectKeys::default();
    let subjects = SubjectKeys::new(table.clone(), keys.clone());
    let subject = Subject::new("7").unwrap();
    let key = subjects.find_or_create(&subject).await.unwrap();
    let entry = table.get(&[subject]).await.unwrap().pop().flatten().unwrap();
    say("subject", &URL_SAFE_NO_PAD.encode(entry.to_bytes()));
    let own = cipher.for_subject(&key).unwrap();
    let token = own.encrypt_value("name", &**values.of("subject")).unwrap();
    drop(Zeroizing::new(own.decrypt_value::<String>("name", &token).unwrap()));
    subjects
}

async fn use_layer(cipher: &FieldCipher, values: &Values) {
    let layer = |whole| FieldEncryptionLayer::new(cipher.clone()).unwrap().whole_body_limit(whole);
    let document = r#"{"name": "$", "remark": "a", "phone": "b"}"#;
    for (label, whole, piece) in
        [("layer, whole", 64 * 1024, 1 << 20), ("layer, in frames", 64 * 1024, 100), ("layer, in frames", 16, 100)]
    {
        let body = values.within(label, document);
        assert!(exchange(layer(whole), "PUT", JSON, &body, piece, Answer::Same(JSON)).await > body.len() - 10);
    }
    let body = values.within("layer, lines", "{\"name\": \"$\"}\n{\"name\": \"a\"}\n");
    exchange(layer(16), "POST", LINES, &body, 9, Answer::Same(LINES)).await;
    let body = values.within("layer, JSON patch", r#"[{"op": "add", "path": "/name", "value": "$"}]"#);
    exchange(layer(1 << 20), "PATCH", "application/json-patch+json", &body, 9, Answer::Same(JSON)).await;
    let stored = cipher.encrypt_json(&values.within("layer, events", r#"{"name": "$"}"#)).unwrap();
    let events = format!("id: 1\ndata: {}\n\n", String::from_utf8(stored).unwrap()).repeat(3);
    assert!(exchange(layer(1 << 20), "GET", JSON, b"", 9, Answer::Events(events)).await > 1800);
}

async fn use_forms_and_lookups(cipher: &FieldCipher, values: &Values) {
    let layer = || {
        let layer = FieldEncryptionLayer::new(cipher.clone()).unwrap().search_path("/search").unwrap();
        let layer = layer.lookup_path("/by-email/{email}").unwrap().lookup_path("/by-email/of/{email}").unwrap();
        layer.drop_false_matches("$.items[*]").unwrap()
    };
    let form = "application/x-www-form-urlencoded";
    let none = || Answer::Json("[]".to_owned());
    exchange(layer(), "POST", form, &values.within("form", "name=$&a=b"), 9, none()).await;
    exchange(layer(), "POST", form, &values.within("form, encoded", "name=%41$+b&a=b"), 9, none()).await;
    let parts = "--A\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n$\r\n--A--\r\n";
    let body = values.within("multipart form", parts);
    exchange(layer(), "POST", "multipart/form-data; boundary=A", &body, 9, none()).await;
    let body = values.within("form that is searched by", "email=$");
    exchange(layer(), "POST /search", form, &body, 9, none()).await;
    let body = values.within("document that is searched by", r#"{"email": "$"}"#);
    exchange(layer(), "POST /search", JSON, &body, 9, none()).await;
    let body = values.within("form that is searched by, encoded", "email=%41$+b&a=%41");
    exchange(layer(), "POST /search", form, &body, 9, none()).await;
    let more_behind = format!("GET /?email=%41$&a={}", "b&c=".repeat(60));
    let more_behind = more_behind.as_str();
    for (label, line) in [
        ("target", "GET /?email=$"),
        ("target, encoded", "GET /?email=%41$"),
        ("target, encoded", "GET /?a=%41&email=%41$+b"),
        ("target, encoded", "GET /?a=%41$+b"),
        ("target, encoded, for two fields", "GET /?street=%41$&town=%42"),
        ("target, encoded and long", "GET /?email=%41$"),
        ("target, encoded, with more behind it", more_behind),
        ("path, encoded", "GET /by-email/%41$"),
    ] {
        let line = values.within(label, line);
        exchange(layer(), str::from_utf8(&line).unwrap(), JSON, b"", 9, none()).await;
    }
    for line in ["GET /?name=%41$", "GET /?name=%41$+b;c=d", "GET /?a=%41&email=%zz&email=%41$", "GET //by-email/%41$"]
    {
        let line = values.within("target, encoded and refused", line);
        exchange(layer(), str::from_utf8(&line).unwrap(), JSON, b"", 9, Answer::Refused).await;
    }

    let stored: Vec<_> = ["candidate", "candidate that does not match"]
        .iter()
        .map(|label| cipher.encrypt_json(&values.within(label, r#"{"gate": "$"}"#)).unwrap())
        .map(|stored| String::from_utf8(stored).unwrap())
        .collect();
    let target = values.within("candidate", "GET /?gate=$");
    let answer = Answer::Json(format!("[{}]", stored.join(",")));
    let length = exchange(layer(), str::from_utf8(&target).unwrap(), JSON, b"", 9, answer).await;
    assert_eq!(length, r#"[{"gate": ""}]"#.len() + 40, "one record is left");
}

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// What the service answers with.
#[derive(Clone)]
enum Answer {
    /// With what reaches it.
    Same(&'static str),
    Json(String),
    Events(String),
    /// Not at all, since it is not asked.
    Refused,
}

/// Sends a body in pieces through `layer`, to the root or the target behind the method, and returns how long the response
/// is. What the caller and the server's own library would hold is overwritten.
async fn exchange(
    layer: FieldEncryptionLayer,
    line: &str,
    media_type: &str,
    body: &[u8],
    piece: usize,
    answer: Answer,
) -> usize {
    type Sent = StreamBody<futures_util::stream::Iter<std::vec::IntoIter<Result<http_body::Frame<Bytes>, Infallible>>>>;
    let is_taken = !matches!(answer, Answer::Refused);
    let service = tower::service_fn(move |request: Request<FieldBody<Sent>>| {
        let answer = answer.clone();
        async move {
            let stored = request.into_body().collect().await.unwrap().to_bytes();
            let (media_type, body) = match answer {
                Answer::Same(media_type) => (media_type, stored),
                Answer::Json(body) => (JSON, body.into()),
                Answer::Events(body) => ("text/event-stream", body.into()),
                Answer::Refused => panic!("the service is asked"),
            };
            let frames: Vec<_> =
                body.chunks(500).map(|chunk| Ok(http_body::Frame::data(Bytes::copy_from_slice(chunk)))).collect();
            let body: Sent = StreamBody::new(futures_util::stream::iter(frames));
            Ok::<_, Infallible>(Response::builder().header(CONTENT_TYPE, media_type).body(body).unwrap())
        }
    });
    let frames: Vec<_> = body
        .chunks(piece)
        .map(|chunk| Ok(http_body::Frame::data(Bytes::from_owner(Zeroizing::new(chunk.to_vec())))))
        .collect();
    let body: Sent = StreamBody::new(futures_util::stream::iter(frames));
    let (method, target) = line.split_once(' ').unwrap_or((line, "/"));
    let target = Bytes::from_owner(Zeroizing::new(target.as_bytes().to_vec()));
    let request = Request::builder()
        .method(method)
        .uri(Uri::from_maybe_shared(target).unwrap())
        .header(CONTENT_TYPE, media_type)
        .body(body)
        .unwrap();
    let mut layered = layer.layer(service);
    let response = ServiceExt::<Request<Sent>>::ready(&mut layered).await.unwrap().call(request).await.unwrap();
    assert_eq!(response.status().is_success(), is_taken, "{media_type}: {}", response.status());
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        length += data.len();
        // The response is the client's to overwrite.
        data.try_into_mut().unwrap().as_mut().zeroize();
    }
    length
}
