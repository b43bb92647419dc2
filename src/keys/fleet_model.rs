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

/// Refresh period, lease, longest request, clock skew and rehearsal of the fleet, in seconds.
const TIMING: [u64; 5] = [10, 20, 15, 5, 30];
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
    read_at: u64,
    is_cut_off: bool,
}

struct Request {
    key: KeyId,
    /// By when it has stored its value, or was given up.
    deadline: u64,
}

struct Fleet {
    kek: LocalKek,
    keyring: Keyring,
    replicas: [Replica; REPLICAS],
    /// The clocks of the replicas do not matter for the lease, which is a difference on one clock.
    has_lease: bool,
    now: u64,
    open: Vec<Request>,
    stored: Vec<KeyId>,
    forgotten: usize,
}

impl Fleet {
    async fn new(has_lease: bool) -> Self {
        let kek = LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
        let mut keyring = Keyring::create_at("model", &kek, time(START, 0)).await.unwrap();
        let [refresh, lease, longest_request, clock_skew, rehearsal] = TIMING.map(Duration::from_secs);
        let timing = Timing { refresh, lease: Some(lease), longest_request, clock_skew, rehearsal };
        keyring.set_timing(timing).unwrap();
        let mut fleet = Self {
            kek,
            keyring,
            replicas: Default::default(),
            has_lease,
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
        replica.read_at = self.now;
    }

    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1;
            for replica in 0..REPLICAS {
                if self.now - self.replicas[replica].read_at >= TIMING[0] {
                    self.read(replica);
                }
            }
        }
        let now = self.now;
        self.open.retain(|request| request.deadline > now);
    }

    fn begin(&mut self, replica: usize) {
        let Replica { primary, read_at, .. } = self.replicas[replica];
        if self.has_lease && self.now - read_at > TIMING[1] {
            return;
        }
        let key = primary.unwrap();
        self.open.push(Request { key, deadline: self.now + TIMING[2] });
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
                {
                    for replica in self.replicas.iter().filter(|replica| !replica.is_cut_off) {
                        assert!(replica.readable.contains(&id), "promoted before a replica could read it");
                    }
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

fn time(now: u64, skew: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(now.saturating_add_signed(skew))
}

/// Returns whether a value was lost, and how many keys were forgotten.
fn run(steps: Vec<Step>, has_lease: bool) -> (bool, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut fleet = Fleet::new(has_lease).await;
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
        let (lost, ended) = run(steps.clone(), true);
        assert!(!lost, "a value was lost: {steps:?}");
        forgotten += ended;
    }
    assert!(forgotten > 100, "only {forgotten} keys were ever forgotten: the model proves too little");
}

#[test]
fn without_the_lease_the_model_finds_a_lost_value() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::default());
    let lost = (0..20_000).any(|_| run(steps().new_tree(&mut runner).unwrap().current(), false).0);
    assert!(lost, "the model does not notice that the lease is gone");
}
