//! What stands anywhere in a file, whatever its form: heads of tokens, and a keyring.

use std::collections::HashMap;

use memchr::memmem::{self, Finder};

use crate::crypto::key_id::KeyId;
use crate::crypto::token::{self, HEADER_LENGTH, TEXT_MARK, VERSION};

/// The head of a token in text form.
const TEXT_HEAD: usize = TEXT_MARK.len() + HEADER_LENGTH / 3 * 4;
/// What every keyring says of itself.
const KEYRING: &[u8] = b"fieldseal/keyring/1";
/// Longer than all that is looked for.
const LONGEST: usize = 32;
const MOST_KEYS: usize = 10_000;

/// Counts the heads of tokens in the bytes of a file, which come in pieces.
pub(super) struct Marks {
    /// Those in text form, by key.
    pub(super) texts: HashMap<KeyId, u64>,
    /// Those of further keys, together.
    pub(super) further_texts: u64,
    /// Those in binary form, of the keys of the keyring alone: nine bytes tell no other from chance.
    pub(super) binaries: HashMap<KeyId, u64>,
    pub(super) holds_keyring: bool,
    finders: Vec<(KeyId, Finder<'static>)>,
    /// The end of the last piece, in which something may begin.
    carried: Vec<u8>,
}

impl Marks {
    pub(super) fn new() -> Self {
        let (texts, binaries) = (HashMap::new(), HashMap::new());
        Self { texts, further_texts: 0, binaries, holds_keyring: false, finders: Vec::new(), carried: Vec::new() }
    }

    /// Looks for binary tokens under `keys` too: for files that hold them as they are.
    pub(super) fn with_binary(mut self, keys: impl Iterator<Item = KeyId>) -> Self {
        let finder = |id: KeyId| {
            let mut head = vec![VERSION];
            head.extend_from_slice(&id.0);
            (id, Finder::new(&head).into_owned())
        };
        self.finders = keys.map(finder).collect();
        self
    }

    pub(super) fn look(&mut self, piece: &[u8]) {
        let mut window = std::mem::take(&mut self.carried);
        window.extend_from_slice(piece);
        // What begins before the end here is whole in the window.
        let end = window.len().saturating_sub(LONGEST - 1);
        self.count(&window, end);
        window.drain(..end);
        self.carried = window;
    }

    pub(super) fn finish(&mut self) {
        let rest = std::mem::take(&mut self.carried);
        self.count(&rest, rest.len());
    }

    fn count(&mut self, window: &[u8], end: usize) {
        for (_, id) in heads(window).take_while(|(at, _)| *at < end) {
            if self.texts.len() < MOST_KEYS || self.texts.contains_key(&id) {
                *self.texts.entry(id).or_default() += 1;
            } else {
                self.further_texts += 1;
            }
        }
        for (id, finder) in &self.finders {
            let found = finder.find_iter(window).take_while(|at| *at < end).count();
            *self.binaries.entry(*id).or_default() += found as u64;
        }
        self.holds_keyring |= memmem::find(window, KEYRING).is_some();
    }
}

/// The heads of tokens in text form, each with its place.
pub(super) fn heads(text: &[u8]) -> impl Iterator<Item = (usize, KeyId)> {
    memmem::find_iter(text, TEXT_MARK).filter_map(|at| {
        let head = text.get(at..at + TEXT_HEAD)?;
        Some((at, token::claimed_key_id(head)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_left_out_however_many_keys_there_are() {
        let mut marks = Marks::new();
        for id in 0..12_000_u64 {
            marks.look(format!("{} ", KeyId(id.to_be_bytes()).token_prefix()).as_bytes());
        }
        marks.finish();
        assert_eq!((marks.texts.values().sum::<u64>(), marks.further_texts), (10_000, 2_000));
    }

    #[test]
    fn what_is_cut_between_pieces_is_found_once() {
        let id: KeyId = "0123456789abcdef".parse().unwrap();
        let mut file = format!("xx{}yy fieldseal/keyring/1 {}", id.token_prefix(), id.token_prefix()).into_bytes();
        file.extend_from_slice(&[1, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
        for length in 1..=file.len() {
            let mut marks = Marks::new().with_binary([id].into_iter());
            file.chunks(length).for_each(|piece| marks.look(piece));
            marks.finish();
            assert_eq!((marks.texts.get(&id), marks.binaries.get(&id)), (Some(&2), Some(&1)), "pieces of {length}");
            assert!(marks.holds_keyring, "pieces of {length}");
        }
    }
}
