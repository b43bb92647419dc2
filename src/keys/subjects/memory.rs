//! Keys of subjects in memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entry::SubjectKeyEntry;
use super::store::{SubjectKeyChange, SubjectKeyStore, SubjectKeyStoreFuture};
use super::subject::Subject;
use crate::crypto::key_id::KeyId;

/// A key table that is gone with the process, and with it everybody in it: for tests. Clones are the same table.
#[derive(Clone, Default)]
pub struct MemorySubjectKeys(Arc<Mutex<HashMap<Subject, SubjectKeyEntry>>>);

impl MemorySubjectKeys {
    fn entries(&self) -> MutexGuard<'_, HashMap<Subject, SubjectKeyEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert_now(&self, subject: &Subject, entry: &SubjectKeyEntry) -> bool {
        let mut entries = self.entries();
        let is_new = !entries.contains_key(subject) && entries.values().all(|other| other.key_id() != entry.key_id());
        if is_new {
            entries.insert(subject.clone(), entry.clone());
        }
        is_new
    }

    fn replace_now(&self, changes: &[SubjectKeyChange]) -> u64 {
        let (mut entries, mut count) = (self.entries(), 0);
        for SubjectKeyChange { subject, expected, entry } in changes {
            if let Some(stored) = entries.get_mut(subject).filter(|stored| *stored == expected) {
                *stored = entry.clone();
                count += 1;
            }
        }
        count
    }
}

impl SubjectKeyStore for MemorySubjectKeys {
    fn get<'a>(&'a self, subjects: &'a [Subject]) -> SubjectKeyStoreFuture<'a, Vec<Option<SubjectKeyEntry>>> {
        let entries = self.entries();
        let found = subjects.iter().map(|subject| entries.get(subject).cloned()).collect();
        Box::pin(async { Ok(found) })
    }

    fn insert<'a>(&'a self, subject: &'a Subject, entry: &'a SubjectKeyEntry) -> SubjectKeyStoreFuture<'a, bool> {
        Box::pin(async { Ok(self.insert_now(subject, entry)) })
    }

    fn replace<'a>(&'a self, changes: &'a [SubjectKeyChange]) -> SubjectKeyStoreFuture<'a, u64> {
        Box::pin(async { Ok(self.replace_now(changes)) })
    }

    fn wrapped_by_others(
        &self,
        data_key: KeyId,
        limit: u32,
    ) -> SubjectKeyStoreFuture<'_, Vec<(Subject, SubjectKeyEntry)>> {
        let is_other = |entry: &SubjectKeyEntry| entry.wrapped_by().is_some_and(|by| by != data_key);
        let entries = self.entries();
        let others = entries.iter().filter(|(_, entry)| is_other(entry)).take(limit as usize);
        let others = others.map(|(subject, entry)| (subject.clone(), entry.clone())).collect();
        Box::pin(async { Ok(others) })
    }
}

impl fmt::Debug for MemorySubjectKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySubjectKeys").field("entries", &self.entries().len()).finish_non_exhaustive()
    }
}
