//! What the kernel says of the memory of this process.

use std::fs;
use std::ops::Range;

/// A mapping, as `/proc/self/smaps` shows it; sizes in KiB.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) range: Range<u64>,
    /// What was written to, and is in no file: what would go to swap.
    pub(crate) anonymous: u64,
    /// What is in memory, with what is shared counted in part.
    pub(crate) proportional: u64,
    /// That part of it which is locked.
    pub(crate) locked: u64,
    pub(crate) swapped: u64,
    /// Whether pages are locked as they come.
    pub(crate) is_locked: bool,
}

pub(crate) fn mappings() -> Vec<Mapping> {
    let mut all: Vec<Mapping> = Vec::new();
    for line in fs::read_to_string("/proc/self/smaps").unwrap().lines() {
        let (first, rest) = line.split_once(' ').unwrap();
        let kib = || rest.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        match (first, all.last_mut()) {
            ("Anonymous:", Some(mapping)) => mapping.anonymous = kib(),
            ("Pss:", Some(mapping)) => mapping.proportional = kib(),
            ("Locked:", Some(mapping)) => mapping.locked = kib(),
            ("Swap:", Some(mapping)) => mapping.swapped = kib(),
            ("VmFlags:", Some(mapping)) => mapping.is_locked = rest.split(' ').any(|flag| flag == "lo"),
            (name, _) if name.ends_with(':') => {}
            (range, _) => {
                let (begin, end) = range.split_once('-').unwrap();
                let [begin, end] = [begin, end].map(|at| u64::from_str_radix(at, 16).unwrap());
                let range = begin..end;
                all.push(Mapping { range, anonymous: 0, proportional: 0, locked: 0, swapped: 0, is_locked: false });
            }
        }
    }
    all
}

/// A size of the process in KiB, by its name in `/proc/self/status`.
pub(crate) fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}
