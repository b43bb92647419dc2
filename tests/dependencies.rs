//! Proves that the README names every crate that a default build brings, and no other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn the_readme_names_what_a_default_build_brings() {
    let readme = include_str!("../README.md");
    let (_, section) = readme.split_once("## Dependencies\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').nth(1).unwrap());
    let named: BTreeSet<_> = rows.flat_map(|row| row.split(',')).map(|name| name.trim().trim_matches('`')).collect();

    let tree =
        ["tree", "--edges=normal", "--depth=1", "--prefix=none", "--target=x86_64-unknown-linux-gnu", "--locked"];
    let tree = Command::new(env!("CARGO")).args(tree).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let brought: BTreeSet<_> = tree.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(named, brought);
}
