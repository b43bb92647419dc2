//! How many rows a thief of blind indexes reads off who knows how common each value is.

use std::collections::HashMap;

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::policy::{BlindIndex, Normalizer};
use fieldseal::{Field, FieldCipher, Policy, Tag};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::http::Failure;

const NAMES: u32 = 1000;
const ROWS: u32 = 100_000;

/// Prints `recovered_percent NAME VALUE`: rows whose name the thief has right, by matching the ranks of indexes and names.
/// Names are as common as Zipf's law has it, which is close to surnames; the thief knows exactly how common each is.
#[expect(clippy::print_stdout, reason = "figures are what a bench is for")]
pub(crate) fn recovered_percent() -> Result<(), Failure> {
    let index = || Normalizer::exact();
    for (name, index) in [
        ("full", BlindIndex::new(index())),
        ("truncated_16", BlindIndex::truncated(index(), 16)),
        ("truncated_8", BlindIndex::truncated(index(), 8)),
        ("classes_8", BlindIndex::new(index()).partitions(8)),
        ("classes_64", BlindIndex::new(index()).partitions(64)),
    ] {
        println!("recovered_percent {name} {:.1}", recovered(index.accept_frequency_leak())?);
    }
    Ok(())
}

fn recovered(index: BlindIndex) -> Result<f64, Failure> {
    let policy = Policy::builder("customers").field(Field::new("name", Tag::Name).blind_index(index)).build()?;
    let keys = |byte| Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[byte; 32])));
    let cipher = FieldCipher::new(policy, keys(7)).with_index_keys(keys(8))?;
    let weights: Vec<f64> = (1..=NAMES).map(|rank| 1.0 / f64::from(rank)).collect();
    let total: f64 = weights.iter().sum();
    let mut random = StdRng::seed_from_u64(1);
    let mut rows: HashMap<String, HashMap<u32, u32>> = HashMap::new();
    let mut by_name = vec![0_u32; NAMES as usize];
    for _ in 0..ROWS {
        let mut at = random.random::<f64>() * total;
        let name = (0..NAMES).zip(&weights).find(|(_, weight)| {
            at -= **weight;
            at < 0.0
        });
        let name = name.map_or(NAMES - 1, |(name, _)| name);
        by_name[name as usize] += 1;
        let index = cipher.blind_index("name", &format!("name {name}"))?.ok_or("a name has an index")?;
        *rows.entry(index).or_default().entry(name).or_default() += 1;
    }
    // The most common index is taken for that of the most common name, and so on; where values fall into classes, the
    // thief knows how many indexes each name has.
    let classes = cipher.lookup("name", "name 0")?.terms().len();
    let mut indexes: Vec<_> = rows.values().collect();
    indexes.sort_by_key(|names| std::cmp::Reverse(names.values().sum::<u32>()));
    let mut names: Vec<u32> = (0..NAMES).collect();
    names.sort_by_key(|name| std::cmp::Reverse(by_name[*name as usize]));
    let guesses = names.iter().flat_map(|name| vec![*name; classes]);
    let right: u32 = indexes.iter().zip(guesses).map(|(names, guess)| names.get(&guess).copied().unwrap_or(0)).sum();
    Ok(f64::from(right) / f64::from(ROWS) * 100.0)
}
