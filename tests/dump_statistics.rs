//! Proves that the tokens of a stolen database file look random to a statistician, and says what their lengths tell.
//!
//! A service fills a database through the layer, the file is copied, and its rows and every byte of it are looked at.
//! `FIELDSEAL_DUMP_ACCOUNTS=100000 cargo test --test dump_statistics -- --nocapture` does it with as many accounts, of five
//! to six tokens each, in two minutes. Nobody can have the generator repeat a run, so bounds are such that chance exceeds
//! one of them once in more than a million runs.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and these show figures")]

#[expect(dead_code, reason = "the drill uses more of it")]
#[path = "../examples/breach_drill/customer.rs"]
mod customer;
#[path = "../examples/breach_drill/names.rs"]
mod names;
#[expect(dead_code, reason = "the drill uses more of it")]
#[path = "../examples/breach_drill/people.rs"]
mod people;
#[path = "../examples/breach_drill/service.rs"]
mod service;
#[path = "support/statistics.rs"]
mod statistics;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::{env, fs};

use axum::body::Body;
use axum::http::{Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{FieldCipher, FieldEncryptionLayer, Policy, Tag};
use rand::RngExt as _;
use rusqlite::Connection;
use tower::{Layer as _, ServiceExt as _};

use people::Account;
use statistics::{Context, entropy, mutual_information, saved_bits, unevenness};

const ACCOUNTS: usize = 5_000;
/// The fields, and the length that values of their tag are padded to at least.
const FIELDS: [(&str, Tag, usize); 6] = [
    ("name", Tag::Name, 32),
    ("romanised_name", Tag::Name, 32),
    ("phone", Tag::Phone, 32),
    ("email", Tag::Email, 64),
    ("address", Tag::Address, 128),
    ("card_last4", Tag::CardFragment, 32),
];

/// Each of the deviates is beyond it once in 4·10^11 times, if they are normal, and one of all once in 5·10^9.
const MOST_UNEVEN: f64 = 7.0;
/// A coder saves as many bits once in 10^12 times.
const MOST_SAVED: f64 = 40.0;
/// The bytes of a ciphertext that are looked at place by place: all of the shortest.
const PLACES: usize = 32;

/// What stands in one cell of the dump, and how long the value is that was sent for it.
#[derive(Clone, Debug)]
struct Token {
    row: usize,
    field: usize,
    prefix: [u8; 12],
    suffix: [u8; 12],
    sealed: Vec<u8>,
    tag: [u8; 16],
    value_length: usize,
}

impl Token {
    fn read(text: &str, row: usize, field: usize, value_length: usize) -> Self {
        let binary = URL_SAFE_NO_PAD.decode(text.strip_prefix("fs1.").unwrap()).unwrap();
        let (head, rest) = binary.split_at(33);
        let (sealed, tag) = rest.split_at(rest.len() - 16);
        let [prefix, suffix] = [9, 21].map(|at| head[at..at + 12].try_into().unwrap());
        Self { row, field, prefix, suffix, sealed: sealed.to_vec(), tag: tag.try_into().unwrap(), value_length }
    }
}

/// What was found in a dump: a line for each figure, and the names of the checks that it does not pass.
#[derive(Debug, Default)]
struct Findings {
    lines: Vec<String>,
    faults: Vec<&'static str>,
}

impl Findings {
    fn note(&mut self, name: &'static str, is_fault: bool, line: impl std::fmt::Display) {
        self.lines.push(format!("{name}: {line}"));
        self.faults.extend(is_fault.then_some(name));
    }

    fn of(tokens: &[Token]) -> Self {
        let mut findings = Self::default();
        findings.nonces(tokens);
        findings.bytes(tokens);
        findings.compression(tokens);
        findings.lengths(tokens);
        findings
    }

    fn nonces(&mut self, tokens: &[Token]) {
        let distinct: HashSet<_> = tokens.iter().map(|token| (token.prefix, token.suffix)).collect();
        let repeated = tokens.len() - distinct.len();
        self.note("repeated nonces", repeated > 0, format!("{repeated} of {}", tokens.len()));
        let mut rows = HashMap::new();
        let shared = tokens.iter().filter(|token| *rows.entry(token.prefix).or_insert(token.row) != token.row).count();
        let line = format!("{shared}, of {} prefixes in {} documents", rows.len(), rows_of(tokens).len());
        self.note("prefixes of two documents", shared > 0, line);
    }

    fn bytes(&mut self, tokens: &[Token]) {
        let rows = rows_of(tokens);
        let mut worst = 0.0_f64;
        let mut checks = 0;
        let mut see = |deviate: f64| {
            worst = if deviate.abs() > worst.abs() { deviate } else { worst };
            checks += 1;
            deviate
        };
        // The values of one document share their prefix, so each counts once.
        let prefix = see(unevenness(rows.iter().flat_map(|token| token.prefix)));
        let suffix = see(unevenness(tokens.iter().flat_map(|token| token.suffix)));
        let sealed = see(unevenness(tokens.iter().flat_map(|token| token.sealed.iter().copied())));
        let tag = see(unevenness(tokens.iter().flat_map(|token| token.tag)));
        for at in 0..12 {
            see(unevenness(rows.iter().map(|token| token.prefix[at])));
            see(unevenness(tokens.iter().map(|token| token.suffix[at])));
        }
        for at in 0..16 {
            see(unevenness(tokens.iter().map(|token| token.tag[at])));
        }
        for at in 0..PLACES {
            see(unevenness(tokens.iter().filter_map(|token| token.sealed.get(at).copied())));
        }
        let line = format!(
            "chi-square as a normal deviate: prefix {prefix:+.2}, suffix {suffix:+.2}, ciphertext {sealed:+.2}, tag \
             {tag:+.2}; the farthest of all {checks}, place by place too, {worst:+.2} (bound {MOST_UNEVEN})"
        );
        self.note("uneven bytes", worst.abs() > MOST_UNEVEN, line);
    }

    fn compression(&mut self, tokens: &[Token]) {
        let texts: Vec<Vec<u8>> =
            tokens.iter().map(|token| [&token.suffix[..], &token.sealed, &token.tag].concat()).collect();
        let bytes: usize = texts.iter().map(Vec::len).sum();
        for context in [Context::Nothing, Context::LastByte, Context::Place] {
            let saved = saved_bits(texts.iter().map(Vec::as_slice), context);
            #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
            let ratio = 1.0 - saved / 8.0 / bytes as f64;
            let line = format!("{bytes} bytes coded by {context:?} to {ratio:.4} of that");
            self.note("compressible", saved > MOST_SAVED, line);
        }
        let mut blocks = HashSet::new();
        let all = tokens.iter().flat_map(|token| token.sealed.chunks_exact(16).chain([&token.tag[..]]));
        let repeated = all.filter(|block| !blocks.insert(*block)).count();
        self.note("repeated blocks", repeated > 0, format!("{repeated} of 16 bytes, of {}", blocks.len()));
    }

    fn lengths(&mut self, tokens: &[Token]) {
        // Of which field a token is, is told by its column; without the names of columns, by its length alone.
        let of_fields: Vec<_> = tokens.iter().map(|token| (token.sealed.len(), token.field)).collect();
        let plain: Vec<_> = tokens.iter().map(|token| (token.value_length, token.field)).collect();
        self.lines.push(format!(
            "length and field: a token's length tells {:.2} bits of {:.2} that its field is worth; the value's own would tell {:.2}",
            mutual_information(&of_fields),
            entropy(tokens.iter().map(|token| token.field)),
            mutual_information(&plain),
        ));
        for (field, (name, ..)) in FIELDS.iter().enumerate() {
            let of_field: Vec<_> = tokens.iter().filter(|token| token.field == field).collect();
            let pairs: Vec<_> = of_field.iter().map(|token| (token.sealed.len(), token.value_length)).collect();
            let (told, worth) = (mutual_information(&pairs), entropy(pairs.iter().map(|(_, value)| value)));
            let lengths: HashSet<_> = pairs.iter().map(|(sealed, _)| sealed).collect();
            let more: Vec<_> = pairs.iter().map(|&(_, value)| (padded(value, 64), value)).collect();
            let line = format!(
                "{name}: {} lengths tell {told:.2} bits of {:.2}; with `pad_to(64)` at least, {:.2}",
                lengths.len(),
                worth.abs(),
                mutual_information(&more).min(told)
            );
            self.note("lengths of values", told > worth / 2.0, line);
        }
    }
}

/// The length that a value is padded to, by the specification of the token.
fn padded(length: usize, minimum: usize) -> usize {
    if length <= minimum { minimum } else { length.next_multiple_of((1 << length.ilog2()) / 8) }
}

/// The first token of each row.
fn rows_of(tokens: &[Token]) -> Vec<&Token> {
    let mut seen = HashSet::new();
    tokens.iter().filter(|token| seen.insert(token.row)).collect()
}

/// Every distinct token in the bytes of a file, whether a row still holds it or not.
fn tokens_in(bytes: &[u8]) -> HashSet<&[u8]> {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    memchr::memmem::find_iter(bytes, b"fs1.")
        .map(|at| {
            let token = &bytes[at..];
            let length = token[4..].iter().take_while(|byte| is_letter(byte)).count();
            // The mark of the next one, in the cell behind, begins with letters too.
            let is_followed = token[4 + length..].starts_with(b".") && token[..4 + length].ends_with(b"fs1");
            &token[..4 + length - if is_followed { 3 } else { 0 }]
        })
        .collect()
}

/// Has a service behind the layer store the accounts, and returns it, with its database open.
async fn fill(database: &Path, accounts: &[Account]) -> impl Sized {
    let cipher = FieldCipher::new(
        Policy::new("customers", FIELDS.map(|(name, tag, _)| (name, tag))).unwrap(),
        Keys::from_data_key(DataKey::new(&SecretKey::generate().unwrap())),
    );
    let layer = FieldEncryptionLayer::new(cipher).unwrap();
    let service = layer.layer(service::service(service::open(database).unwrap()));
    let send = async |method: &str, target: &str, body: &Bytes| {
        let request = Request::builder().method(method).uri(target).header(header::CONTENT_TYPE, "application/json");
        let response = service.clone().oneshot(request.body(Body::from(body.clone())).unwrap()).await.unwrap();
        assert!(response.status().is_success(), "{}", response.status());
    };
    for account in accounts {
        send("POST", "/customers", &account.created.body).await;
    }
    for (account, updated) in accounts.iter().filter_map(|account| Some((account, account.updated.as_ref()?))) {
        send("PUT", &format!("/customers/{}", account.created.customer.id), &updated.body).await;
    }
    service
}

fn read_rows(stolen: &Path, accounts: &[Account]) -> Vec<Token> {
    let database = Connection::open(stolen).unwrap();
    let mut statement = database.prepare("SELECT * FROM customers ORDER BY id").unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut tokens = Vec::new();
    for (row, account) in accounts.iter().enumerate() {
        let sent: serde_json::Value = serde_json::from_slice(&account.current().body).unwrap();
        let stored = rows.next().unwrap().expect("a row for each account");
        assert_eq!(stored.get::<_, String>("id").unwrap(), sent["id"]);
        for (field, (name, ..)) in FIELDS.into_iter().enumerate() {
            if let Some(text) = stored.get::<_, Option<String>>(name).unwrap() {
                tokens.push(Token::read(&text, row, field, sent[name].to_string().len()));
            }
        }
    }
    tokens
}

#[tokio::test]
async fn a_stolen_dump_shows_a_statistician_nothing_but_lengths() {
    let number = env::var("FIELDSEAL_DUMP_ACCOUNTS").map_or(ACCOUNTS, |number| number.parse().unwrap());
    let accounts = people::accounts(number).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("shop.db");
    let service = fill(&database, &accounts).await;

    let stolen = directory.path().join("stolen.db");
    let log = |path: &Path| path.with_extension("db-wal");
    fs::copy(&database, &stolen).unwrap();
    fs::copy(log(&database), log(&stolen)).unwrap();
    drop(service);
    let files = [fs::read(&stolen).unwrap(), fs::read(log(&stolen)).unwrap()];
    let everywhere: HashSet<_> = files.iter().flat_map(|file| tokens_in(file)).collect();
    let nonces: HashSet<_> = everywhere.iter().map(|token| &token[..48]).collect();

    let tokens = read_rows(&stolen, &accounts);
    println!("{} accounts, {} tokens in rows, {} in the files", number, tokens.len(), everywhere.len());
    let mut findings = Findings::of(&tokens);
    let repeated = everywhere.len() - nonces.len();
    findings.note("repeated nonces in the files", repeated > 0, repeated);
    findings.lines.iter().for_each(|line| println!("{line}"));
    assert!(everywhere.len() >= tokens.len(), "tokens in the files were missed");
    for token in &tokens {
        let (name, _, minimum) = FIELDS[token.field];
        assert_eq!(token.sealed.len(), padded(token.value_length, minimum), "{name}");
    }
    assert_eq!(findings.faults, [""; 0]);
}

/// Tokens as they should be, of values as long as emails: padded to 64 bytes.
fn sound() -> Vec<Token> {
    let mut rng = rand::rng();
    let mut tokens = Vec::new();
    for row in 0..2_000 {
        let prefix = rng.random();
        for field in 0..FIELDS.len() {
            let mut sealed = vec![0; 64];
            rng.fill(&mut sealed[..]);
            let value_length = rng.random_range(20..60);
            tokens.push(Token { row, field, prefix, suffix: rng.random(), sealed, tag: rng.random(), value_length });
        }
    }
    tokens
}

/// The names of the checks that tokens fail once they are changed.
fn faults(change: impl FnMut((usize, &mut Token))) -> Vec<&'static str> {
    let mut tokens = sound();
    tokens.iter_mut().enumerate().for_each(change);
    let mut faults = Findings::of(&tokens).faults;
    faults.dedup();
    faults
}

#[test]
fn each_check_fails_for_the_dump_that_it_is_there_for() {
    let mut rng = rand::rng();
    assert_eq!(faults(|_| {}), [""; 0], "sound tokens");

    // One generator that repeated once: the nonce of another document.
    let [first, ..] = &sound()[..] else { unreachable!() };
    let (prefix, suffix) = (first.prefix, first.suffix);
    let repeat = |(number, token): (usize, &mut Token)| {
        if number == 6 || number == 12 {
            (token.prefix, token.suffix) = (prefix, suffix);
        }
    };
    assert_eq!(faults(repeat), ["repeated nonces", "prefixes of two documents"]);
    let constant = faults(|(_, token)| (token.prefix, token.suffix) = ([7; 12], [8; 12]));
    assert_eq!(constant, ["repeated nonces", "prefixes of two documents", "uneven bytes", "compressible"]);

    // A counter for a suffix, more even than chance; and one bit of one byte that is set three times in five.
    let counter = faults(|(number, token)| token.suffix[11] = number.to_be_bytes()[7]);
    assert_eq!(counter, ["uneven bytes"]);
    let biased = |byte: &mut u8, is_biased: bool| *byte |= u8::from(is_biased) << 3;
    let mut is_biased = || rng.random_range(0..5) == 0;
    assert_eq!(faults(|(_, token)| biased(&mut token.suffix[3], is_biased())), ["uneven bytes"]);
    assert_eq!(faults(|(_, token)| biased(&mut token.sealed[30], is_biased())), ["uneven bytes"]);
    assert_eq!(faults(|(_, token)| biased(&mut token.tag[15], is_biased())), ["uneven bytes"]);

    // A cipher that encrypts equal blocks alike, and none at all.
    let alike = faults(|(number, token)| {
        if number % 100 == 0 {
            token.sealed[48..].copy_from_slice(&[0x5a, 0xc3, 0x77, 0x10].repeat(4));
        }
    });
    assert!(alike.contains(&"repeated blocks"), "{alike:?}");
    let plain = faults(|(_, token)| token.sealed.copy_from_slice(format!("{:64}", "\"tan.wei.ming\"").as_bytes()));
    assert_eq!(plain, ["uneven bytes", "compressible", "repeated blocks"]);

    // A scheme without padding, and one that pads to blocks of the cipher.
    assert_eq!(faults(|(_, token)| token.sealed.truncate(token.value_length)), ["lengths of values"]);
    let blocks = faults(|(_, token)| token.sealed.truncate(token.value_length.next_multiple_of(4)));
    assert_eq!(blocks, ["lengths of values"]);
}
