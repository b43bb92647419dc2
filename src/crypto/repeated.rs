//! A machine whose generators repeat, injected into the thread of a test: what becomes of nonces and keys with the hedge and
//! without it. [`docs::randomness`](crate::docs::randomness) states what is found here.

use std::cell::RefCell;

use super::random;
use super::xaes::SUFFIX_LENGTH;

thread_local! {
    static MACHINE: RefCell<Option<Machine>> = const { RefCell::new(None) };
}

/// All that a machine draws from. A copy of it is what a restored snapshot, or a fork, begins with.
#[derive(Clone)]
pub(crate) struct Machine {
    system: Generator,
    thread: Generator,
    count: u64,
    clock: Clock,
}

#[derive(Clone)]
pub(crate) enum Generator {
    /// Goes on from this state (`SplitMix64`).
    From(u64),
    /// Gives the same bytes for ever.
    Stuck,
    /// Gives none.
    Failing,
}

#[derive(Clone)]
pub(crate) enum Clock {
    /// The one of the machine that runs the test.
    Real,
    /// Begins at so many nanoseconds, and goes on by a microsecond with each look.
    Restored(u64),
    /// There is no hedge: nothing is mixed with what the system's generator gives.
    NoHedge,
}

impl Generator {
    fn next(&mut self) -> u64 {
        let Self::From(state) = self else { return 0x5a5a_5a5a_5a5a_5a5a };
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_be_bytes()[..part.len()]);
        }
    }
}

impl Machine {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { system: Generator::From(1), thread: Generator::From(2), count: 0, clock }
    }

    /// One whose system gives nothing.
    pub(crate) fn failing() -> Self {
        Self { system: Generator::Failing, ..Self::new(Clock::Real) }
    }

    /// Sets a restored clock forward.
    pub(crate) fn wait(&mut self, nanoseconds: u64) {
        if let Clock::Restored(clock) = &mut self.clock {
            *clock += nanoseconds;
        }
    }

    /// Does `work` as this machine does it, which goes on from there the next time.
    pub(crate) fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let before = MACHINE.replace(Some(self.clone()));
        assert!(before.is_none(), "a machine runs within another");
        let result = work();
        *self = MACHINE.take().expect("it was put there above");
        result
    }
}

fn injected<T>(draw: impl FnOnce(&mut Machine) -> T) -> Option<T> {
    MACHINE.with_borrow_mut(|machine| machine.as_mut().map(draw))
}

/// Fills `bytes` where a machine is injected, and returns whether its generator works.
pub(super) fn fill_from_system(bytes: &mut [u8]) -> Option<bool> {
    injected(|machine| {
        machine.system.fill(bytes);
        !matches!(machine.system, Generator::Failing)
    })
}

pub(super) fn suffix() -> Option<[u8; SUFFIX_LENGTH]> {
    injected(|machine| {
        let mut suffix = [0; SUFFIX_LENGTH];
        machine.thread.fill(&mut suffix);
        suffix
    })
}

pub(super) fn moment() -> Option<[u8; 16]> {
    injected(|machine| {
        machine.count += 1;
        let nanoseconds = match &mut machine.clock {
            Clock::Real => random::nanoseconds(),
            Clock::Restored(nanoseconds) => {
                *nanoseconds += 1000;
                *nanoseconds
            }
            Clock::NoHedge => return [0; 16],
        };
        random::moment_of(nanoseconds, machine.count)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::{self, Write as _};
    use std::sync::Arc;

    use super::*;
    use crate::crypto::associated_data::{AssociatedData, Place};
    use crate::crypto::data_key::DataKey;
    use crate::crypto::key_wrap;
    use crate::crypto::token_decryptor::TokenDecryptor;
    use crate::crypto::token_encryptor::TokenEncryptor;
    use crate::crypto::xaes::Xaes256Gcm;
    use crate::error::ErrorKind;
    use crate::secret::SecretKey;

    const DOCUMENTS: usize = 100_000;
    const VALUES: usize = 2;
    const PLACE: Place<'static> =
        Place { tenant: None, collection: "customers", field: "address", record: None, subject: None };
    /// Where the parts of a binary token of 32 padded bytes begin.
    const SUFFIX_AT: usize = 21;
    const SEALED_AT: usize = 33;
    const TAG_AT: usize = 65;

    fn key() -> DataKey {
        DataKey::new(&SecretKey::from_bytes(&[7; 32]))
    }

    /// The nonces of so many documents, as the encryptor of tokens draws them.
    fn nonces(machine: &mut Machine, key: &DataKey) -> Vec<[u8; 24]> {
        let mut nonces = Vec::with_capacity(DOCUMENTS * VALUES);
        machine.run(|| {
            for _ in 0..DOCUMENTS {
                let prefix = key.draw_prefix().unwrap();
                for _ in 0..VALUES {
                    let mut nonce = [0; 24];
                    nonce[..12].copy_from_slice(&prefix);
                    nonce[12..].copy_from_slice(&random::suffix());
                    nonces.push(nonce);
                }
            }
        });
        nonces
    }

    /// How many nonces there were before.
    fn repeated<'a>(nonces: impl IntoIterator<Item = &'a [u8; 24]>) -> usize {
        let mut seen = HashSet::with_capacity(DOCUMENTS * VALUES * 2);
        nonces.into_iter().filter(|nonce| !seen.insert(**nonce)).count()
    }

    /// The same snapshot restored twice: how many nonces of the second run were there in the first.
    fn repeated_after_restore(first: Machine, other: Machine) -> usize {
        let key = key();
        let [first, other] = [first, other].map(|mut machine| nonces(&mut machine, &key));
        repeated(first.iter().chain(&other))
    }

    #[test]
    fn a_generator_that_fails_makes_no_key_and_wraps_none() {
        Machine::failing().run(|| {
            let wrapped = key_wrap::wrap(&Xaes256Gcm::new(&[7; 32]), &SecretKey::from_bytes(&[8; 32]), b"");
            for failure in [SecretKey::generate().map(drop), wrapped.map(drop), key().draw_prefix().map(drop)] {
                assert_eq!(failure.unwrap_err().kind(), ErrorKind::Randomness);
            }
        });
    }

    fn report(what: &str, repeated: usize) {
        let all = DOCUMENTS * VALUES;
        writeln!(io::stdout(), "repeated nonces of {all} after the restore, {what}: {repeated}").unwrap();
    }

    #[test]
    fn a_restored_snapshot_repeats_every_nonce_without_the_hedge_and_none_with_it() {
        let snapshot = Machine::new(Clock::NoHedge);
        let without = repeated_after_restore(snapshot.clone(), snapshot);
        report("no hedge", without);
        assert_eq!(without, DOCUMENTS * VALUES);
        let snapshot = Machine::new(Clock::Real);
        let with = repeated_after_restore(snapshot.clone(), snapshot);
        report("hedge, the clock goes on", with);
        assert_eq!(with, 0);
    }

    #[test]
    fn a_clock_that_was_restored_too_helps_from_the_first_nanosecond_on_by_which_it_differs() {
        let restored = |nanoseconds| Machine::new(Clock::Restored(nanoseconds));
        let same = repeated_after_restore(restored(0), restored(0));
        report("hedge, the clock stands at the same nanosecond", same);
        assert_eq!(same, DOCUMENTS * VALUES, "the hedge has nothing to tell the two by");
        let one_later = repeated_after_restore(restored(0), restored(1));
        report("hedge, the clock is one nanosecond later", one_later);
        assert_eq!(one_later, 0);
    }

    #[test]
    fn a_generator_that_is_stuck_repeats_no_nonce_of_a_process_with_the_hedge() {
        let stuck = |clock| Machine { system: Generator::Stuck, thread: Generator::Stuck, ..Machine::new(clock) };
        // Whatever the clock says: the counter alone tells one document from the next, and both values of it are alike.
        for (clock, expected) in [(Clock::NoHedge, 1), (Clock::Restored(0), DOCUMENTS), (Clock::Real, DOCUMENTS)] {
            let nonces = nonces(&mut stuck(clock), &key());
            let prefixes: HashSet<_> = nonces.iter().map(|nonce| &nonce[..12]).collect();
            assert_eq!(prefixes.len(), expected);
        }
    }

    #[test]
    fn a_fork_copies_the_generator_of_the_thread_and_not_the_one_of_the_system() {
        let parent = Machine::new(Clock::Restored(0));
        let child = Machine { system: Generator::From(3), ..parent.clone() };
        let [parents, childs] = [parent.clone(), child.clone()].map(|mut machine| nonces(&mut machine, &key()));
        assert!(parents.iter().zip(&childs).all(|(one, other)| one[12..] == other[12..]), "the suffixes repeat");
        let repeated = repeated_after_restore(parent, child);
        report("a fork, hedge, the clock stands at the same nanosecond", repeated);
        assert_eq!(repeated, 0);
    }

    fn token(machine: &mut Machine, key: &Arc<DataKey>, value: &str) -> Vec<u8> {
        let mut encryptor = TokenEncryptor::new(Arc::clone(key), false);
        machine.run(|| encryptor.encrypt(&AssociatedData::new(&PLACE), 32, value.as_bytes()).unwrap().to_vec())
    }

    fn opened(key: &DataKey, token: &[u8]) -> Option<String> {
        let mut decryptor = TokenDecryptor::default();
        decryptor.read(token);
        decryptor.open(&AssociatedData::new(&PLACE), |_| Ok(key)).ok()?;
        Some(String::from_utf8(decryptor.opened().to_vec()).unwrap())
    }

    /// Multiplies in the field of GHASH (NIST SP 800-38D, section 6.3).
    fn multiply(one: u128, other: u128) -> u128 {
        let mut product = 0;
        let mut power = one;
        for bit in (0..128).rev() {
            product ^= if other >> bit & 1 == 1 { power } else { 0 };
            power = (power >> 1) ^ if power & 1 == 1 { 0xe1 << 120 } else { 0 };
        }
        product
    }

    /// Inverts there: the element to the power of 2^128 - 2.
    fn invert(element: u128) -> u128 {
        let mut inverse = 1 << 127;
        let mut power = element;
        for _ in 1..128 {
            power = multiply(power, power);
            inverse = multiply(inverse, power);
        }
        inverse
    }

    fn block(token: &[u8], at: usize) -> u128 {
        u128::from_be_bytes(token[at..at + 16].try_into().unwrap())
    }

    /// What two tokens with one nonce give away to who holds them: the difference of the values, and H² of the derived key,
    /// with which any token of that prefix is forged.
    #[test]
    fn a_repeated_nonce_gives_away_the_difference_of_values_and_lets_tokens_of_that_prefix_be_forged() {
        let key = Arc::new(key());
        // Alike in their first block of 16 bytes.
        let values = ["\"Serangoon Road 12\"", "\"Serangoon Road 98\""];
        let mut machine = Machine::new(Clock::NoHedge);
        let mut clone = machine.clone();
        let tokens = [token(&mut machine, &key, values[0]), token(&mut clone, &key, values[1])];
        let next = token(&mut machine, &key, values[0]);
        assert_eq!(tokens[0][..SEALED_AT], tokens[1][..SEALED_AT], "one nonce");
        let padded = values.map(|value| format!("{value:32}").into_bytes());
        for (at, byte) in (SEALED_AT..TAG_AT).enumerate() {
            assert_eq!(tokens[0][byte] ^ tokens[1][byte], padded[0][at] ^ padded[1][at]);
        }

        // The tags differ by (C ^ C')·H², where C and C' are the last blocks of the ciphertexts.
        let difference = block(&tokens[0], SEALED_AT + 16) ^ block(&tokens[1], SEALED_AT + 16);
        let squared = multiply(block(&tokens[0], TAG_AT) ^ block(&tokens[1], TAG_AT), invert(difference));
        let forge = |token: &[u8]| {
            let change = block(&padded[0], 16) ^ block(format!("{:32}", "\"Serangoon Road 77\"").as_bytes(), 16);
            let mut forged = token.to_vec();
            forged[SEALED_AT + 16..TAG_AT].copy_from_slice(&(block(token, SEALED_AT + 16) ^ change).to_be_bytes());
            forged[TAG_AT..].copy_from_slice(&(block(token, TAG_AT) ^ multiply(change, squared)).to_be_bytes());
            forged
        };
        assert_eq!(opened(&key, &forge(&tokens[0])).as_deref(), Some("\"Serangoon Road 77\""));
        // Under another prefix there is another derived key, of which nothing is known.
        assert_ne!(next[..SUFFIX_AT], tokens[0][..SUFFIX_AT]);
        assert_eq!(opened(&key, &forge(&next)), None);

        let snapshot = Machine::new(Clock::Real);
        let tokens = values.map(|value| token(&mut snapshot.clone(), &key, value));
        assert_ne!(tokens[0][..SUFFIX_AT], tokens[1][..SUFFIX_AT], "with the hedge, no nonce repeats");
    }

    #[test]
    fn a_restored_snapshot_makes_no_key_and_no_nonce_of_a_wrapped_key_twice() {
        let kek = Xaes256Gcm::new(&[9; 32]);
        let drawn = |clock: Clock| {
            let snapshot = Machine::new(clock);
            [0, 1].map(|_| {
                snapshot.clone().run(|| {
                    let key = SecretKey::generate().unwrap();
                    let wrapped = key_wrap::wrap(&kek, &SecretKey::from_bytes(&[7; 32]), b"").unwrap();
                    (*key.expose_secret(), wrapped)
                })
            })
        };
        let [(one_key, one_wrapped), (other_key, other_wrapped)] = drawn(Clock::NoHedge);
        assert_eq!((one_key, one_wrapped), (other_key, other_wrapped), "without the hedge, they are the same");
        let [(one_key, one_wrapped), (other_key, other_wrapped)] = drawn(Clock::Real);
        assert_ne!(one_key, other_key);
        assert_ne!(one_wrapped[..24], other_wrapped[..24]);
    }
}
