//! A model of a fleet: random interleavings of everything that can happen to replicas and their keyring. No key is ever
//! forgotten while a value under it is stored.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::key_entry::KeyEntry;
use super::keyring::Keyring;
use super::local::LocalKek;
use super::state::KeyState;
use super::timing::Timing;
use crate::crypto::key_id::KeyId;
use crate::secret::SecretKey;

/// Refresh period, lease, longest request, clock skew and rehearsal of the fleet, in seconds: those that it begins with,
/// and shorter ones.
const TIMINGS: [[u64; 5]; 2] = [[10, 40, 15, 5, 30], [2, 3, 2, 5, 5]];
const REPLICAS: usize = 3;
const START: u64 = 1_764_000_000;

#[derive(Clone, Debug)]
enum Step {
    /// Time passes.
    Wait(u64),
    /// A replica reads the keyring, unless it is cut off.
    Read(usize),
    /// A replica is cut off from the keyring, or is no longer.
    Cut(usize, bool),
    /// A replica begins a request, which encrypts with the primary key that it knows.
    Begin(usize),
    /// The oldest open request stores its value.
    Store,
    /// The operator, whose clock is off by so many seconds.
    Add(i64),
    Promote(i64),
    /// The timing is shortened, or lengthened again.
    Retime(usize, i64),
    /// A job moves every stored value to the primary key of the keyring.
    Reencrypt,
    Scan(i64),
    Disable(i64),
    Forget(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let skew = -2..=2_i64;
    let replica = 0..REPLICAS;
    let step = prop_oneof![
        5 => (1..40_u64).prop_map(Step::Wait),
        4 => replica.clone().prop_map(Step::Read),
        1 => (replica.clone(), any::<bool>()).prop_map(|(replica, cut)| Step::Cut(replica, cut)),
        4 => replica.prop_map(Step::Begin),
        3 => Just(Step::Store),
        1 => skew.clone().prop_map(Step::Add),
        3 => skew.clone().prop_map(Step::Promote),
        1 => (0..TIMINGS.len(), skew.clone()).prop_map(|(timing, skew)| Step::Retime(timing, skew)),
        2 => Just(Step::Reencrypt),
        4 => skew.clone().prop_map(Step::Scan),
        2 => skew.clone().prop_map(Step::Disable),
        2 => skew.prop_map(Step::Forget),
    ];
    prop::collection::vec(step, 50..400)
}

/// What one replica knows.
#[derive(Clone, Default)]
struct Replica {
    primary: Option<KeyId>,
    readable: Vec<KeyId>,
    timing: [u64; 5],
    read_at: u64,
    is_cut_off: bool,
}

struct Request {
    key: KeyId,
    /// By when it has stored its value, or was given up.
    deadline: u64,
}

/// What can be taken from the fleet, to see whether the model notices.
#[derive(Clone, Copy)]
struct Guards {
    /// The clocks of the replicas do not matter for the lease, which is a difference on one clock.
    lease: bool,
    /// That shortened times are waited for as long as the ones before.
    former_timing: bool,
}

const ALL: Guards = Guards { lease: true, former_timing: true };

struct Fleet {
    kek: LocalKek,
    keyring: Keyring,
    replicas: [Replica; REPLICAS],
    guards: Guards,
    timing: [u64; 5],
    now: u64,
    open: Vec<Request>,
    stored: Vec<KeyId>,
    forgotten: usize,
}

impl Fleet {
    async fn new(guards: Guards) -> Self {
        let kek = LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
        let mut keyring = Keyring::create_at("model", &kek, time(START, 0)).await.unwrap();
        keyring.set_timing_at(timing_of(TIMINGS[0]), time(START, 0)).unwrap();
        // One that was never stored has no replicas.
        let keyring = Keyring::from_json(&keyring.to_json(), &kek).await.unwrap();
        let mut fleet = Self {
            kek,
            keyring,
            replicas: Default::default(),
            guards,
            timing: TIMINGS[0],
            now: START,
            open: Vec::new(),
            stored: Vec::new(),
            forgotten: 0,
        };
        (0..REPLICAS).for_each(|replica| fleet.read(replica));
        fleet
    }

    fn read(&mut self, replica: usize) {
        let replica = &mut self.replicas[replica];
        if replica.is_cut_off {
            return;
        }
        let keys = self.keyring.keys();
        replica.primary = keys.iter().find(|entry| entry.state().can_encrypt()).map(KeyEntry::id);
        replica.readable = keys.iter().filter(|entry| entry.state().can_decrypt()).map(KeyEntry::id).collect();
        replica.timing = self.timing;
        replica.read_at = self.now;
    }

    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1;
            for replica in 0..REPLICAS {
                let Replica { read_at, timing: [refresh, ..], .. } = self.replicas[replica];
                if self.now - read_at >= refresh {
                    self.read(replica);
                }
            }
        }
        let now = self.now;
        self.open.retain(|request| request.deadline > now);
    }

    fn begin(&mut self, replica: usize) {
        let Replica { primary, read_at, timing: [_, lease, longest_request, ..], .. } = self.replicas[replica];
        if self.guards.lease && self.now - read_at > lease {
            return;
        }
        let key = primary.unwrap();
        self.open.push(Request { key, deadline: self.now + longest_request });
    }

    fn key_in(&self, state: KeyState) -> Option<KeyId> {
        self.keyring.keys().iter().find(|entry| entry.state() == state).map(KeyEntry::id)
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Wait(seconds) => self.wait(seconds),
            Step::Read(replica) => self.read(replica),
            Step::Cut(replica, is_cut_off) => {
                self.replicas[replica].is_cut_off = is_cut_off;
                self.read(replica);
            }
            Step::Begin(replica) => self.begin(replica),
            Step::Store => {
                if !self.open.is_empty() {
                    let Request { key, .. } = self.open.remove(0);
                    self.stored.push(key);
                }
            }
            Step::Add(skew) => {
                if self.key_in(KeyState::Pending).is_none() && self.keyring.keys().len() < 12 {
                    let now = time(self.now, skew);
                    self.keyring.add_key_at(&self.kek, KeyState::Pending, now).await.unwrap();
                }
            }
            Step::Promote(skew) => {
                if let Some(id) = self.key_in(KeyState::Pending)
                    && self.keyring.promote_at(id, time(self.now, skew)).is_ok()
                    && self.guards.former_timing
                {
                    for replica in self.replicas.iter().filter(|replica| !replica.is_cut_off) {
                        assert!(replica.readable.contains(&id), "promoted before a replica could read it");
                    }
                }
            }
            Step::Retime(timing, skew) => {
                self.timing = TIMINGS[timing];
                self.keyring.set_timing_at(timing_of(self.timing), time(self.now, skew)).unwrap();
                if !self.guards.former_timing {
                    self.keyring.document.slower = None;
                }
            }
            Step::Reencrypt => {
                let primary = self.key_in(KeyState::Primary).unwrap();
                self.stored.fill(primary);
            }
            Step::Scan(skew) => {
                let old = [KeyState::Enabled, KeyState::Disabled].into_iter().find_map(|state| self.key_in(state));
                if let Some(id) = old {
                    let tokens = self.stored.iter().filter(|&&key| key == id).count() as u64;
                    let now = time(self.now, skew);
                    let _ = self.keyring.record_scan_at(id, now, tokens, now);
                }
            }
            Step::Disable(skew) => {
                if let Some(id) = self.key_in(KeyState::Enabled) {
                    self.keyring.set_state(id, KeyState::Disabled, time(self.now, skew)).unwrap();
                }
            }
            Step::Forget(skew) => {
                if let Some(id) = self.key_in(KeyState::Disabled)
                    && self.keyring.forget_at(id, time(self.now, skew)).is_ok()
                {
                    self.forgotten += 1;
                }
            }
        }
    }

    /// Returns a key that is gone although a value under it is stored, or may yet be.
    fn lost(&self) -> Option<KeyId> {
        let is_gone = |id: &&KeyId| self.keyring.entry(**id).is_some_and(|entry| !entry.state().is_held());
        self.stored.iter().find(is_gone).copied()
    }
}

fn timing_of(seconds: [u64; 5]) -> Timing {
    let [refresh, lease, longest_request, clock_skew, rehearsal] = seconds.map(Duration::from_secs);
    Timing { refresh, lease: Some(lease), longest_request, clock_skew, rehearsal }
}

fn time(now: u64, skew: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(now.saturating_add_signed(skew))
}

/// Returns whether a value was lost, and how many keys were forgotten.
fn run(steps: Vec<Step>, guards: Guards) -> (bool, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut fleet = Fleet::new(guards).await;
        for step in steps {
            fleet.take(step).await;
            if fleet.lost().is_some() {
                return (true, fleet.forgotten);
            }
        }
        (false, fleet.forgotten)
    })
}

#[test]
fn no_key_is_ever_forgotten_while_a_value_needs_it() {
    let mut forgotten = 0;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    for _ in 0..300 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let (lost, ended) = run(steps.clone(), ALL);
        assert!(!lost, "a value was lost: {steps:?}");
        forgotten += ended;
    }
    assert!(forgotten > 100, "only {forgotten} keys were ever forgotten: the model proves too little");
}

#[test]
fn without_the_lease_the_model_finds_a_lost_value() {
    let guards = Guards { lease: false, ..ALL };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::default());
    let lost = (0..20_000).any(|_| run(steps().new_tree(&mut runner).unwrap().current(), guards).0);
    assert!(lost, "the model does not notice that the lease is gone");
}

#[test]
fn without_the_wait_for_former_times_the_model_finds_a_lost_value() {
    let steps = vec![
        Step::Add(0),
        Step::Wait(20),
        Step::Cut(0, true),
        Step::Retime(1, 0),
        Step::Promote(0),
        Step::Wait(11),
        Step::Scan(0),
        Step::Scan(0),
        Step::Begin(0),
        Step::Store,
        Step::Disable(0),
        Step::Wait(6),
        Step::Forget(0),
    ];
    assert_eq!(run(steps.clone(), Guards { former_timing: false, ..ALL }), (true, 1));
    assert_eq!(run(steps, ALL), (false, 0));
}
