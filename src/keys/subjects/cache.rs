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

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::keys::handle::Keys;
    use crate::keys::lease::{Expiry, Reading};

    fn key(subject: &Subject, standing: Standing, age: u64) -> SubjectKey {
        let expiry = Expiry::new(Reading::ago(Duration::from_secs(age)), Duration::from_secs(60));
        let keys = Keys::of_subject(standing, None, expiry);
        SubjectKey { subject: Arc::new(subject.clone()), keys, standing, expiry }
    }

    #[test]
    fn a_key_is_handed_out_while_half_of_its_time_is_left_and_an_erasure_to_the_end() {
        let subject = Subject::new("42").unwrap();
        let erased = Standing::Erased(SystemTime::now().into());
        for (standing, age, is_known) in [
            (Standing::Living, 20, true),
            (Standing::Living, 40, false),
            (erased, 20, true),
            (erased, 40, true),
            (erased, 61, false),
        ] {
            let mut cache = Cache::new(10);
            cache.put(key(&subject, standing, age));
            assert_eq!(cache.get(&subject).is_some(), is_known, "{standing:?} after {age} seconds");
        }
    }

    #[test]
    fn who_is_asked_for_again_and_again_behind_another_takes_bounded_room() {
        let [first, other] = ["1", "2"].map(|id| Subject::new(id).unwrap());
        let mut cache = Cache::new(2);
        cache.put(key(&first, Standing::Living, 0));
        for _ in 0..20 {
            cache.put(key(&other, Standing::Living, 0));
            assert!(cache.get(&other).is_some());
            assert!(cache.order.len() <= 5, "{}", cache.order.len());
        }
    }

    #[test]
    fn who_is_asked_for_again_and_again_takes_one_place_and_keeps_it() {
        let subject = Subject::new("42").unwrap();
        let mut cache = Cache::new(1);
        for _ in 0..10 {
            cache.put(key(&subject, Standing::Living, 0));
            assert!(cache.get(&subject).is_some());
            assert!(cache.order.len() <= 3, "{}", cache.order.len());
        }
    }
}
