//! The customers: invented, but with everything that real ones bring along.

use bytes::Bytes;
use rand::{Rng, RngExt};
use serde_json::value::RawValue;

use crate::customer::Customer;
use crate::names::{PersonName, pick};

/// One customer: what is sent to make the account, and what is sent later to change it.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) created: Document,
    pub(crate) updated: Option<Document>,
}

/// A customer, and the bytes in which it travels.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) customer: Customer,
    pub(crate) body: Bytes,
}

impl Account {
    pub(crate) fn documents(&self) -> impl Iterator<Item = &Document> {
        [Some(&self.created), self.updated.as_ref()].into_iter().flatten()
    }

    pub(crate) fn current(&self) -> &Document {
        self.updated.as_ref().unwrap_or(&self.created)
    }
}

impl Document {
    fn new(customer: Customer) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_vec(&customer)?.into();
        Ok(Self { customer, body })
    }
}

/// Invents `number` accounts in the order of their ids. Every tenth customer moves house and gets a new telephone.
pub(crate) fn accounts(number: usize) -> Result<Vec<Account>, serde_json::Error> {
    let mut rng = rand::rng();
    let mut account = |index| {
        let customer = customer(&mut rng, index)?;
        let updated = if index % 10 == 0 {
            let moved = Customer { address: address(&mut rng), phone: phone(&mut rng), ..customer.clone() };
            Some(Document::new(moved)?)
        } else {
            None
        };
        Ok(Account { created: Document::new(customer)?, updated })
    };
    (0..number).map(&mut account).collect()
}

fn customer(rng: &mut impl Rng, index: usize) -> Result<Customer, serde_json::Error> {
    let name = PersonName::draw(rng);
    let email = email(rng, name.in_latin_letters());
    let PersonName { written: name, romanised: romanised_name } = name;
    Ok(Customer {
        id: id(rng, index),
        name,
        romanised_name,
        phone: phone(rng),
        email,
        address: address(rng),
        card_last4: format!("{:04}", rng.random_range(0..10_000)),
        loyalty: loyalty(rng)?,
    })
}

/// A UUID of version 7, one millisecond after the one before.
fn id(rng: &mut impl Rng, index: usize) -> String {
    let time = 0x018c_c251_f400 + index as u64;
    let (first, second) = (rng.random_range(0..0x1000), rng.random_range(0x8000..0xc000));
    let third = rng.random_range(0..1_u64 << 48);
    format!("{:08x}-{:04x}-7{first:03x}-{second:04x}-{third:012x}", time >> 16, time & 0xffff)
}

fn phone(rng: &mut impl Rng) -> String {
    format!("+65 {} {:04}", rng.random_range(8000..10_000), rng.random_range(0..10_000))
}

fn email(rng: &mut impl Rng, name: &str) -> String {
    let letters = |word: &str| word.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_lowercase();
    let name: Vec<String> = name.split(' ').map(letters).collect();
    format!("{}{}@{}", name.join("."), rng.random_range(1..10_000), pick(rng, &MAIL_HOSTS))
}

fn address(rng: &mut impl Rng) -> String {
    let (street, sector) = pick(rng, &STREETS);
    let block = rng.random_range(1..1000);
    let (floor, unit) = (rng.random_range(2..41), rng.random_range(1..2000));
    format!("Blk {block} {street} #{floor:02}-{unit:02}, Singapore {sector}{:04}", rng.random_range(0..10_000))
}

/// What nobody tagged. Its numbers are ones that a JSON library likes to change.
fn loyalty(rng: &mut impl Rng) -> Result<Box<RawValue>, serde_json::Error> {
    let (tier, points) = (pick(rng, &["gold", "silver", "blue"]), pick(rng, &["1.10", "0.0", "12E+2", "-0", "250.00"]));
    let ledger = rng.random_range(10_u128.pow(29)..10_u128.pow(30));
    RawValue::from_string(format!(r#"{{"tier":"{tier}","points":{points},"ledger":{ledger}}}"#))
}

const MAIL_HOSTS: [&str; 3] = ["example.com", "example.org", "mail.example.net"];
const STREETS: [(&str, &str); 8] = [
    ("Ang Mo Kio Ave 10", "56"),
    ("Bedok North St 3", "46"),
    ("Clementi West St 2", "12"),
    ("Jurong West St 65", "64"),
    ("Serangoon Rd", "32"),
    ("Tampines St 81", "52"),
    ("Toa Payoh Lor 4", "31"),
    ("Woodlands Dr 14", "73"),
];
