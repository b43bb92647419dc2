//! cargo bench --bench refusals
//!
//! Prints `t NAME VALUE`: whether the time that it takes to refuse a stored value tells what is wrong with it, after the
//! method of dudect (Reparaz, Balasch, Verbauwhede, 2017). Values of two classes come in random order, and Welch's `t` says how
//! sure it is that they take different times: below 4.5 in magnitude nobody could tell, above it somebody who measures as
//! often, on the machine itself, might.
//!
//! `FIELDSEAL_REFUSALS` says how many values of each class are timed, 200,000 unless it does.

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use fieldseal::audit::{Audit, AuditEvent};
use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{Field, FieldCipher, Policy, Tag};
use rand::{Rng, RngExt};

/// Where the parts of a binary token begin: key id, nonce, ciphertext. The tag has 16 bytes.
const KEY_ID: usize = 1;
const NONCE: usize = 9;
const CIPHERTEXT: usize = 33;
const TAG: usize = 16;
/// Tokens of each class; each is timed many times, for a token of its own would be read from memory that is not cached.
const TOKENS: usize = 64;

struct Silent;

impl Audit for Silent {
    fn record(&self, _: &AuditEvent<'_>) {}
}

/// A class of changes: its name, whether its time may differ from that of the others, and how a token is changed.
type Class = (&'static str, bool, fn(&mut Vec<u8>));

/// Each is compared with a token whose first tag bit is changed.
const CLASSES: [Class; 10] = [
    ("first_tag_bit_again", false, |token| flip_behind(token, TAG, 0x80)),
    ("last_tag_bit", false, |token| flip_behind(token, 1, 1)),
    ("every_tag_byte", false, |token| (1..=TAG).for_each(|at| flip_behind(token, at, 0xff))),
    ("first_ciphertext_byte", false, |token| flip(token, CIPHERTEXT, 1)),
    ("last_ciphertext_byte", false, |token| flip_behind(token, TAG + 1, 1)),
    ("nonce", false, |token| flip(token, NONCE, 1)),
    // Opened as another field, by `main`.
    ("associated_data", false, |_| {}),
    ("valid", true, |_| {}),
    ("unknown_key", true, |token| flip(token, KEY_ID, 1)),
    ("malformed", true, |token| token.truncate(token.len() - 1)),
];

fn flip(token: &mut [u8], at: usize, bits: u8) {
    token[at] ^= bits;
}

/// The same, counted from the end.
fn flip_behind(token: &mut [u8], from_end: usize, bits: u8) {
    let at = token.len() - from_end;
    flip(token, at, bits);
}

fn main() -> Result<(), Box<dyn Error>> {
    let count = env::var("FIELDSEAL_REFUSALS").map_or(Ok(200_000), |count| count.parse())?;
    let policy = Policy::builder("customers")
        .field(Field::new("phone", Tag::Phone))
        .field(Field::new("other", Tag::Phone))
        .build()?;
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate()?));
    let cipher = FieldCipher::new(policy, keys).with_audit(Silent);
    let tokens = |field: &str, change: fn(&mut Vec<u8>)| {
        let token = || cipher.encrypt_value_to_bytes(field, "+65 9123 4567");
        let changed = |token: Vec<u8>| {
            let mut token = token;
            change(&mut token);
            token
        };
        (0..TOKENS).map(|_| token().map(changed)).collect::<Result<Vec<_>, _>>()
    };
    let reference = tokens("phone", CLASSES[0].2)?;
    for (name, may_differ, change) in CLASSES {
        let field = if name == "associated_data" { "other" } else { "phone" };
        let class = tokens(field, change)?;
        let opens = cipher.decrypt_value::<String>("phone", &class[0]).is_ok();
        assert_eq!(opens, name == "valid", "a class is what it is called");
        let (medians, t) = compare(&cipher, [&reference, &class], count);
        let verdict = if may_differ { "may differ" } else { "must not differ" };
        println!("t {name} {t:.2} ({verdict}; medians {:.0} and {:.0} ns)", medians[0], medians[1]);
    }
    Ok(())
}

/// Times both classes in random order, and returns the median of each in nanoseconds, and Welch's `t`.
fn compare(cipher: &FieldCipher, classes: [&[Vec<u8>]; 2], count: usize) -> ([f64; 2], f64) {
    let mut random = rand::rng();
    let mut times = [Vec::with_capacity(count), Vec::with_capacity(count)];
    let mut token = Vec::with_capacity(256);
    while times.iter().any(|times| times.len() < count) {
        let bits = random.next_u32();
        let class = (bits & 1) as usize;
        // From the same place in memory, whichever it is.
        token.clear();
        token.extend_from_slice(&classes[class][random.random_range(0..TOKENS)]);
        let start = Instant::now();
        let opened = cipher.decrypt_value::<String>(black_box("phone"), black_box(&token));
        let time = start.elapsed();
        drop(black_box(opened));
        times[class].push(time.as_secs_f64() * 1e9);
    }
    // What took longest was interrupted, whatever its class.
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let longest = all[all.len() * 9 / 10];
    let medians = [median(&times[0]), median(&times[1])];
    let [(n, mean, variance), (m, other_mean, other_variance)] = times.map(|times| moments(&times, longest));
    (medians, (mean - other_mean) / (variance / n + other_variance / m).sqrt())
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The number, the mean and the variance of those that are not longer than `longest`.
fn moments(times: &[f64], longest: f64) -> (f64, f64, f64) {
    let (mut n, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for time in times.iter().filter(|time| **time <= longest) {
        n += 1.0;
        let difference = time - mean;
        mean += difference / n;
        squares += difference * (time - mean);
    }
    (n, mean, squares / (n - 1.0))
}
