//! Counters and histograms, for whatever recorder of the crate [`metrics`](https://docs.rs/metrics) is installed.
//!
//! With the feature `metrics`, and a recorder such as the exporters for Prometheus or OpenTelemetry, this is recorded:
//!
//! | name | kind | unit | labels | what it tells |
//! |---|---|---|---|---|
//! | `fieldseal_values_encrypted_total` | counter | values | `collection`, `field` | values that became tokens, stored in the end or not, and those that a re-encryption wrote |
//! | `fieldseal_values_decrypted_total` | counter | values | `collection`, `field` | tokens that became values, shown in the end or masked; not those that a scan or a re-encryption looked at |
//! | `fieldseal_plaintext_reads_total` | counter | values | `collection`, `field` | values that passed although they are stored without encryption ([`PlaintextRead`](crate::audit::AuditKind::PlaintextRead)) |
//! | `fieldseal_values_shown_as_null_total` | counter | values | `collection`, `field` | values that could not be read and were shown as `null` ([`ShownAsNull`](crate::audit::AuditKind::ShownAsNull)) |
//! | `fieldseal_values_opened_total` | counter | values | `collection`, `field` | values that a handler opened ([`Opened`](crate::audit::AuditKind::Opened)) |
//! | `fieldseal_values_revealed_total` | counter | values | `collection`, `field` | values that somebody who is named was shown plain ([`Revealed`](crate::audit::AuditKind::Revealed)) |
//! | `fieldseal_audit_events_total` | counter | events | `kind`, `collection`, `field` | [audit events](crate::audit), whoever receives them; `kind` is that of [`AuditKind`](crate::audit::AuditKind), `field` is empty where nothing is tagged |
//! | `fieldseal_refusals_total` | counter | exchanges | `kind`, `collection`, `direction` | what the layer refused or broke off; `kind` is the [`ErrorKind`](crate::ErrorKind) in snake case |
//! | `fieldseal_body_duration_seconds` | histogram | seconds | `collection`, `direction` | what the layer itself took for a body, without waiting for it, for the service or for the client |
//! | `fieldseal_body_received_bytes` | histogram | bytes | `collection`, `direction` | how long a body was as it came |
//! | `fieldseal_body_transformed_bytes` | histogram | bytes | `collection`, `direction` | how long it became |
//!
//! `direction` is `request` or `response`. Of a body that is refused or broken off, the histograms hold what came of it;
//! a body that passes as it is, and none at all, are not in them.
//!
//! Labels name what the policy names, and fixed words. None holds a value, a token, a tenant, a person or a key, and
//! there are no more label sets than fields times kinds.
//!
//! The example `open_telemetry` hands it to OpenTelemetry.
//!
//! # Cost
//!
//! A value costs an addition. What adds up is told to the recorder at the end of each document, or stream of them, and
//! at every 4,096th value: one look-up in the recorder for each field that it held, under a key that was made with the
//! cipher. That is at most a tenth of what it takes to decrypt a single record of five fields, and nothing that shows in
//! a list of a thousand. A body costs two readings of the clock for each piece of it that comes, and three look-ups at its
//! end. Without the feature nothing of this is compiled.
//!
//! # Example
//!
//! ```
//! use fieldseal::keys::{DataKey, Keys, SecretKey};
//! use fieldseal::{Field, FieldCipher, Policy, Tag};
//! use metrics_util::debugging::DebuggingRecorder; // in its place: an exporter
//!
//! let recorder = DebuggingRecorder::new();
//! let recorded = recorder.snapshotter();
//! recorder.install()?;
//! fieldseal::metrics::describe();
//!
//! let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
//! let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
//! cipher.encrypt_json(br#"[{"phone":"+65 9123 4567"},{"phone":"+65 8123 4567"}]"#)?;
//!
//! let (key, ..) = &recorded.snapshot().into_vec()[0];
//! assert_eq!(key.key().name(), "fieldseal_values_encrypted_total");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "layer")]
mod body;
mod meters;
mod tally;

use metrics::{Unit, describe_counter, describe_histogram};

#[cfg(feature = "layer")]
pub(crate) use body::{BodyMeter, Lap};
#[cfg(feature = "layer")]
pub(crate) use meters::Direction;
pub(crate) use meters::{Counted, Meters};
pub(crate) use tally::Tally;

const VALUES_ENCRYPTED: &str = "fieldseal_values_encrypted_total";
const VALUES_DECRYPTED: &str = "fieldseal_values_decrypted_total";
const PLAINTEXT_READS: &str = "fieldseal_plaintext_reads_total";
const VALUES_SHOWN_AS_NULL: &str = "fieldseal_values_shown_as_null_total";
const VALUES_OPENED: &str = "fieldseal_values_opened_total";
const VALUES_REVEALED: &str = "fieldseal_values_revealed_total";
const AUDIT_EVENTS: &str = "fieldseal_audit_events_total";
const REFUSALS: &str = "fieldseal_refusals_total";
const BODY_DURATION: &str = "fieldseal_body_duration_seconds";
const BODY_RECEIVED: &str = "fieldseal_body_received_bytes";
const BODY_TRANSFORMED: &str = "fieldseal_body_transformed_bytes";

/// Tells the recorder that is installed the unit and the meaning of everything that is recorded.
///
/// Call it once, after a recorder was installed; exporters show both beside the numbers. What is recorded does not depend
/// on it.
///
/// # Example
///
/// ```
/// fieldseal::metrics::describe(); // does nothing where no recorder is installed
/// ```
pub fn describe() {
    for (name, text) in [
        (VALUES_ENCRYPTED, "Values that became tokens."),
        (VALUES_DECRYPTED, "Tokens that became values."),
        (PLAINTEXT_READS, "Values that passed although they are stored without encryption."),
        (VALUES_SHOWN_AS_NULL, "Values that could not be read and were shown as null."),
        (VALUES_OPENED, "Values that a handler opened."),
        (VALUES_REVEALED, "Values that somebody who is named was shown plain."),
        (AUDIT_EVENTS, "Audit events of field encryption, by kind."),
        (REFUSALS, "Exchanges that field encryption refused or broke off, by kind of error."),
    ] {
        describe_counter!(name, Unit::Count, text);
    }
    for (name, unit, text) in [
        (BODY_DURATION, Unit::Seconds, "What field encryption itself took for a body."),
        (BODY_RECEIVED, Unit::Bytes, "How long a body was as it came."),
        (BODY_TRANSFORMED, Unit::Bytes, "How long a body became."),
    ] {
        describe_histogram!(name, unit, text);
    }
}
