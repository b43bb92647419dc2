//! Proves that the targets of `scripts/fuzz` still hold for what they were once fed: each runs over its corpus, and over
//! every input that ever made one fail.
#![cfg(all(feature = "layer", feature = "toml"))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and this one shows figures")]

#[path = "../fuzz/src/targets/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "the targets are a crate of their own")]
mod targets;

use std::fs;
use std::panic;
use std::path::Path;

#[test]
fn every_target_holds_for_its_corpus() {
    for (name, run) in targets::ALL {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let mut inputs = 0;
        for entry in fs::read_dir(&corpus).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            let held = panic::catch_unwind(|| run(&input));
            assert!(held.is_ok(), "`{name}` fails with {}", path.display());
            inputs += 1;
        }
        println!("{inputs:>4} inputs of {name}");
        assert!((2..=200).contains(&inputs), "the corpus of {name} has {inputs} inputs");
    }
}
