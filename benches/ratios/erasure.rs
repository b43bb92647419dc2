//! What a key for each person costs over plain data keys.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fieldseal::FieldCipher;
use fieldseal::keys::{DataKey, Keys, MemorySubjectKeys, SecretKey, Subject, SubjectKeys};

use super::documents::record;
use super::http::Failure;
use super::measure::{compare, report};

/// What is reported.
pub(crate) const NAMES: [&str; 4] = [
    "subject_vs_plain_encrypt_cached",
    "subject_vs_plain_decrypt_cached",
    "subject_vs_plain_encrypt_uncached",
    "subject_vs_plain_decrypt_uncached",
];

/// One record, prepared and encrypted or decrypted for its subject, against the same under a data key: where the subject's
/// key is in memory, and where it is unwrapped anew. The table is in memory, so what a database takes comes on top.
pub(crate) fn subject_vs_plain(plain: &FieldCipher) -> Result<(), Failure> {
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[9; 32])));
    let table = MemorySubjectKeys::default();
    let cached = SubjectKeys::new(table.clone(), keys.clone());
    let uncached = SubjectKeys::new(table, keys).with_capacity(0);
    let subject = Subject::new("0b1f2c3d-0000-4000-8000-000000000042")?;
    now(cached.find_or_create(&subject))?;
    now(uncached.find(&subject))?;

    let record = record();
    for (name, subjects) in [("cached", &cached.with_lifetime(Duration::from_secs(3600))), ("uncached", &uncached)] {
        let cipher = || plain.for_subject(&now(subjects.find(black_box(&subject)))?);
        let stored = cipher()?.encrypt_json(&record)?;
        let plainly_stored = plain.encrypt_json(&record)?;
        let [ours, theirs] =
            compare(1000, || cipher()?.encrypt_json(black_box(&record)), || plain.encrypt_json(black_box(&record)));
        report(&format!("subject_vs_plain_encrypt_{name}"), ours / theirs, &[("ours_ns", ours), ("plain_ns", theirs)]);
        let [ours, theirs] = compare(
            1000,
            || cipher()?.decrypt_json(black_box(&stored)),
            || plain.decrypt_json(black_box(&plainly_stored)),
        );
        report(&format!("subject_vs_plain_decrypt_{name}"), ours / theirs, &[("ours_ns", ours), ("plain_ns", theirs)]);
    }
    Ok(())
}

/// What a future gives that waits for nothing.
fn now<T>(future: impl Future<Output = Result<T, fieldseal::Error>>) -> Result<T, fieldseal::Error> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(fieldseal::Error::key_table("a table in memory had to be waited for")),
    }
}
