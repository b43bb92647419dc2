//! What is recorded for one policy.

use std::fmt;
use std::sync::Arc;

use metrics::{Key, Label, Level, Metadata, SharedString, with_recorder};

use super::{
    AUDIT_EVENTS, PLAINTEXT_READS, VALUES_DECRYPTED, VALUES_ENCRYPTED, VALUES_OPENED, VALUES_REVEALED,
    VALUES_SHOWN_AS_NULL,
};
#[cfg(feature = "layer")]
use super::{BODY_DURATION, BODY_RECEIVED, BODY_TRANSFORMED, REFUSALS};
use crate::audit::AuditKind;
#[cfg(feature = "layer")]
use crate::error::ErrorKind;
use crate::policy::Policy;

static METADATA: Metadata<'static> = Metadata::new("fieldseal", Level::INFO, None);

/// What is counted value by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Encrypted,
    Decrypted,
}

/// Which way a body goes.
#[cfg(feature = "layer")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// The keys under which a policy's numbers are recorded. Those that are needed often are made once.
#[derive(Clone)]
pub(crate) struct Meters(Arc<Keys>);

struct Keys {
    collection: SharedString,
    encrypted: Box<[Key]>,
    decrypted: Box<[Key]>,
    #[cfg(feature = "layer")]
    bodies: [[Key; 3]; 2],
}

impl Meters {
    pub(crate) fn new(policy: &Policy) -> Self {
        let collection = SharedString::from(Arc::<str>::from(policy.collection()));
        let by_field = |name| {
            let key = |field| key(name, &collection, [Label::new("field", Arc::<str>::from(field))]);
            policy.fields().iter().map(|field| key(field.name())).collect()
        };
        #[cfg(feature = "layer")]
        let bodies = [Direction::Request, Direction::Response].map(|direction| {
            [BODY_DURATION, BODY_RECEIVED, BODY_TRANSFORMED].map(|name| key(name, &collection, [direction.label()]))
        });
        let (encrypted, decrypted) = (by_field(VALUES_ENCRYPTED), by_field(VALUES_DECRYPTED));
        Self(Arc::new(Keys {
            collection,
            encrypted,
            decrypted,
            #[cfg(feature = "layer")]
            bodies,
        }))
    }

    /// Adds to the values of the fields that `counts` has, by their place in the policy.
    pub(super) fn values(&self, counted: Counted, counts: &[u64]) {
        let keys = match counted {
            Counted::Encrypted => &self.0.encrypted,
            Counted::Decrypted => &self.0.decrypted,
        };
        for (key, count) in keys.iter().zip(counts).filter(|(_, count)| **count > 0) {
            increment(key, *count);
        }
    }

    /// Counts an audit event that happened to `count` values.
    pub(crate) fn event(&self, kind: AuditKind, field: &str, count: u64) {
        let field = Label::new("field", field.to_owned());
        let of_values = match kind {
            AuditKind::PlaintextRead => Some(PLAINTEXT_READS),
            AuditKind::ShownAsNull => Some(VALUES_SHOWN_AS_NULL),
            AuditKind::Opened => Some(VALUES_OPENED),
            AuditKind::Revealed => Some(VALUES_REVEALED),
            AuditKind::TokenSubmitted
            | AuditKind::DecryptionFailed
            | AuditKind::KeyUnavailable
            | AuditKind::DisabledKeyUsed
            | AuditKind::NotEncrypted
            | AuditKind::ErasedRead
            | AuditKind::Erased
            | AuditKind::FalseMatchDropped
            | AuditKind::UntaggedPersonal
            | AuditKind::DecoyOpened => None,
        };
        if let Some(name) = of_values {
            increment(&key(name, &self.0.collection, [field.clone()]), count);
        }
        let kind = Label::from_static_parts("kind", kind.name());
        increment(&key(AUDIT_EVENTS, &self.0.collection, [kind, field]), 1);
    }

    /// Counts an exchange that was refused, or broke off.
    #[cfg(feature = "layer")]
    pub(crate) fn refusal(&self, direction: Direction, kind: ErrorKind) {
        let kind = Label::from_static_parts("kind", kind.name());
        increment(&key(REFUSALS, &self.0.collection, [kind, direction.label()]), 1);
    }

    /// Records a body: seconds, bytes as they came, bytes as they left.
    #[cfg(feature = "layer")]
    pub(super) fn body(&self, direction: Direction, numbers: [f64; 3]) {
        for (key, number) in self.0.bodies[direction as usize].iter().zip(numbers) {
            with_recorder(|recorder| recorder.register_histogram(key, &METADATA)).record(number);
        }
    }
}

#[cfg(feature = "layer")]
impl Direction {
    fn label(self) -> Label {
        let word = match self {
            Self::Request => "request",
            Self::Response => "response",
        };
        Label::from_static_parts("direction", word)
    }
}

/// A key with the label of the collection, and others.
fn key<const N: usize>(name: &'static str, collection: &SharedString, others: [Label; N]) -> Key {
    let mut labels = Vec::with_capacity(N + 1);
    labels.push(Label::new("collection", collection.clone()));
    labels.extend(others);
    Key::from_parts(name, labels)
}

fn increment(key: &Key, count: u64) {
    with_recorder(|recorder| recorder.register_counter(key, &METADATA)).increment(count);
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meters").field("collection", &self.0.collection).finish_non_exhaustive()
    }
}
