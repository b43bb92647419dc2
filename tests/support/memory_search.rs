//! Searches the memory of another process for secrets: what a core dump of it would hold.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// A secret, in a form in which it could stand in memory.
pub(crate) struct Needle {
    pub(crate) label: String,
    pub(crate) bytes: Vec<u8>,
}

/// So many bytes of a secret in a row count as the secret: what was freed may have lost its beginning.
const WINDOW: usize = 12;
const REGISTER: usize = 16;

/// What was found, and how much was looked through.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) bytes: usize,
    pub(crate) regions: usize,
    /// Pieces that may stand on the stack.
    pub(crate) pieces: usize,
    /// By label: where pieces of it stand, without overlaps.
    pub(crate) places: BTreeMap<String, Vec<String>>,
}

/// Looks for every piece of `needles` in all memory of the process `id` that can be read, but for files that are mapped to
/// be read alone. Of those that `passes_on_stack` says so of, pieces of the length of a register may stand on the stack, which is
/// where `stack` lies.
pub(crate) fn search(id: u32, needles: &[&Needle], stack: u64, passes_on_stack: impl Fn(&str) -> bool) -> Found {
    let index = Index::new(needles);
    let memory = File::open(format!("/proc/{id}/mem")).unwrap();
    let mut found = Found::default();
    for line in fs::read_to_string(format!("/proc/{id}/maps")).unwrap().lines() {
        let mut parts = line.split_ascii_whitespace();
        let (range, mode, _, _, inode) =
            (parts.next().unwrap(), parts.next().unwrap(), parts.next(), parts.next(), parts.next().unwrap());
        let name = parts.next().unwrap_or(range);
        if !mode.starts_with('r') || (inode != "0" && !mode.contains('w')) || name.starts_with("[v") {
            continue;
        }
        let (begin, end) = range.split_once('-').unwrap();
        let [begin, end] = [begin, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - begin).unwrap()];
        memory.read_exact_at(&mut bytes, begin).unwrap();
        found.bytes += bytes.len();
        found.regions += 1;
        let is_stack = (begin..end).contains(&stack);
        index.look(&bytes, |needle, piece, at| {
            if is_stack && piece <= REGISTER && passes_on_stack(&needles[needle].label) {
                found.pieces += 1;
                return;
            }
            let place = format!("{piece} bytes at {:#x} of {name}", begin + at as u64);
            found.places.entry(needles[needle].label.clone()).or_default().push(place);
        });
    }
    found
}

/// Every window of every needle, by its first bytes.
struct Index<'n> {
    needles: &'n [&'n Needle],
    filter: Vec<u64>,
    windows: HashMap<[u8; WINDOW], (usize, usize)>,
}

const FILTER_BITS: u32 = 24;

fn slot(bytes: &[u8]) -> (usize, u64) {
    let first = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let hash = first.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS);
    (usize::try_from(hash / 64).unwrap(), 1 << (hash % 64))
}

impl<'n> Index<'n> {
    fn new(needles: &'n [&'n Needle]) -> Self {
        let (mut filter, mut windows) = (vec![0; (1 << FILTER_BITS) / 64], HashMap::new());
        for (number, needle) in needles.iter().enumerate() {
            assert!(needle.bytes.len() >= WINDOW, "{} is too short to be told from chance", needle.label);
            for (at, window) in needle.bytes.windows(WINDOW).enumerate() {
                let (word, bit) = slot(window);
                filter[word] |= bit;
                windows.entry(window.try_into().unwrap()).or_insert((number, at));
            }
        }
        Self { needles, filter, windows }
    }

    /// Calls `tell` with the needle, the length of the piece and its place for each piece in `bytes`.
    fn look(&self, bytes: &[u8], mut tell: impl FnMut(usize, usize, usize)) {
        let mut at = 0;
        while at + WINDOW <= bytes.len() {
            let (word, bit) = slot(&bytes[at..]);
            let window = (self.filter[word] & bit != 0).then(|| self.windows.get(&bytes[at..at + WINDOW])).flatten();
            let Some(&(needle, from)) = window else {
                at += 1;
                continue;
            };
            let rest = self.needles[needle].bytes[from..].iter().zip(&bytes[at..]);
            let length = rest.take_while(|(one, other)| one == other).count();
            tell(needle, length, at);
            at += length;
        }
    }
}
