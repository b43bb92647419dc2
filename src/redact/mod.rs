//! A second line of defence: logs without tokens and without values of tagged fields.
//!
//! This crate itself logs no value and no token. The code around it may: a handler that logs what it was sent, an error of
//! the database that repeats a row, a client library at the level of traces. [`Redacting`] goes around the
//! [`Layer`](tracing_subscriber::Layer) that writes the log, or sends it somewhere, and hands it every event and every
//! span anew, without what must not be told. The layer itself is whichever you have, in any format.
//!
//! # Example
//!
//! ```
//! use std::io;
//! # use std::sync::{Arc, Mutex};
//!
//! use fieldseal::redact::Redacting;
//! use fieldseal::{Field, Policy, Tag};
//! use tracing_subscriber::layer::SubscriberExt as _;
//!
//! # #[derive(Clone, Default)]
//! # struct Log(Arc<Mutex<Vec<u8>>>);
//! # impl io::Write for Log {
//! #     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
//! #         self.0.lock().unwrap().write(bytes)
//! #     }
//! #     fn flush(&mut self) -> io::Result<()> {
//! #         Ok(())
//! #     }
//! # }
//! #[derive(Debug)]
//! struct Customer {
//!     id: u64,
//!     phone: String,
//! }
//!
//! let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
//! let layer = tracing_subscriber::fmt::layer();
//! # let log = Log::default();
//! # let writer = log.clone();
//! # let layer = layer.without_time().with_ansi(false).with_writer(move || writer.clone());
//! let subscriber = tracing_subscriber::registry().with(Redacting::new(layer).fields_of(&policy));
//!
//! let customer = Customer { id: 7, phone: "+65 9123 4567".to_owned() };
//! # let _ = customer.id;
//! tracing::subscriber::with_default(subscriber, || {
//!     tracing::info!(?customer, phone = customer.phone, "stored");
//! });
//! # let log = String::from_utf8(log.0.lock().unwrap().clone())?;
//! # let log = log.replace("rust_out", "shop");
//! # let log = log.split_once("stored").map(|(_, fields)| format!("stored{fields}")).unwrap();
//! assert_eq!(log, "stored customer=Customer { id: 7, phone: \"[REDACTED]\" } phone=[REDACTED]\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is cut
//!
//! | where | what |
//! |---|---|
//! | a field of an event or span that is called like a field of the policy, `customer.phone` as well | its whole value |
//! | a text: the message, any other field, an error and its sources | each token, with what stands within it, and what is left of one that was cut short, as long as the key id is there |
//! | `name: "value"`, `name='value'`, `"name":"value"`, also escaped, as JSON is in another text | what stands between the quotes |
//! | `name: Some("value")`, `name: Address { … }`, `"name": [ … ]`, PostgreSQL's `(name)=(value)` | as far as the brackets go |
//! | `"name": 5` in JSON | the number |
//! | anything else behind the name and a `:` or `=`: `name=Tan Wei Ming, 3rd floor`, `name[0]=Tan` | all the rest of the text, since nothing tells where the value ends |
//!
//! Names are compared without case, `_` and `-`, so `contactNumber` is `contact_number`. Values that are not there (`None`,
//! `null`, `""`) stay. All other bytes stay as they were, and numbers and truth values keep their types. A policy with a name
//! as common as `name` cuts much that is harmless.
//!
//! # What is not cut
//!
//! - A value without its name: `info!("stored {phone}")`, or an address in an untagged field.
//! - A value under another name than the policy knows. `Debug` writes the names of Rust, so of a member `phone` that `serde`
//!   calls `tel`, `{:?}` shows the value, with a policy of `#[derive(Pii)]` as well: name it by
//!   [`Field::parameter`](crate::Field::parameter).
//! - A token in its binary form, which `Debug` shows as a list of numbers; a token that was encoded once more.
//! - A value in a text that holds the quote or the bracket around it and does not escape it.
//! - Names of spans, targets, names of files. The field `message` is never cut whole, since `tracing` calls the text of an event
//!   that.
//! - What does not go through this layer: other layers, `println!`, panics, logs of the database and of proxies. Two layers
//!   of `fmt` with one format of fields share what they have made of a span's fields: go around both.
//!
//! # Where it goes
//!
//! Directly around the layer that writes: filters, `Option`s and reloading go around this one, as in
//! `Redacting::new(layer).with_filter(filter)`. The layer inside cannot be found by type any more, so with
//! `tracing-opentelemetry` the methods of `OpenTelemetrySpanExt` do nothing; that layer sends all it is told otherwise. Values that
//! are recorded by `Debug` are formatted here, once, without `{:#?}`; an error is handed on as its texts.
//!
//! # Cost
//!
//! For each event and each span: one allocation for each value, the text of each value that is recorded by `Debug`, which
//! the layer inside then copies, and two passes over each text with vector instructions that stop at dots, colons and equals
//! signs. The time is linear in the length of the text, whatever stands in it.

mod layer;
mod names;
mod pair;
mod text;
mod values;

pub use layer::Redacting;
