//! The keys of subjects in memory, for a bounded time and number.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::standing::Standing;
use super::subject::Subject;
use super::subject_key::SubjectKey;

/// Drops what is older than its lifetime, and the oldest where there are too many.
pub(super) struct Cache {
    keys: HashMap<Arc<Subject>, (u64, SubjectKey)>,
    /// In which order they came. What was replaced since has another number.
    order: VecDeque<(u64, Arc<Subject>)>,
    next: u64,
    capacity: usize,
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Self {
        Self { keys: HashMap::new(), order: VecDeque::new(), next: 0, capacity }
    }

    /// Hands a key out in the first half of its lifetime only, so that who prepares one for a request has at least the other
    /// half for it. That somebody was erased is known to the end.
    pub(super) fn get(&self, subject: &Subject) -> Option<SubjectKey> {
        let (_, key) = self.keys.get(subject)?;
        let is_erased = matches!(key.standing, Standing::Erased(_));
        (key.expiry.is_early() || (is_erased && !key.expiry.is_over())).then(|| key.clone())
    }

    /// Keeps `key`, unless it was read before its subject was erased. Returns what is to be used in its place.
    pub(super) fn put(&mut self, key: SubjectKey) -> SubjectKey {
        if let Some(erased) = self.get(&key.subject).filter(|held| matches!(held.standing, Standing::Erased(_))) {
            return erased;
        }
        let (number, subject) = (self.next, Arc::clone(&key.subject));
        self.next += 1;
        self.order.push_back((number, Arc::clone(&subject)));
        // What was there dies with it, whoever holds a clone, if the subject was erased meanwhile.
        if let Some((_, former)) = self.keys.insert(subject, (number, key.clone()))
            && let Standing::Erased(at) = key.standing
        {
            former.keys.erase(at);
        }
        self.evict();
        key
    }

    /// Drops what is over, and the oldest ones as long as there are too many.
    pub(super) fn evict(&mut self) {
        while let Some((number, subject)) = self.order.front() {
            let current = self.keys.get(subject).filter(|(other, _)| other == number);
            let is_over = current.is_none_or(|(_, key)| key.expiry.is_over());
            // What was replaced has its place in the order until that is reached, and there are not more of these.
            let is_bounded = self.keys.len() <= self.capacity && self.order.len() / 2 <= self.capacity;
            if !is_over && is_bounded {
                return;
            }
            if current.is_some() {
                self.keys.remove(subject);
            }
            self.order.pop_front();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}
