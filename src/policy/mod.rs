//! Which fields are personal, and how each is encrypted.
//!
//! A [`Policy`] names a collection and its tagged fields. A [`Field`] has a name, which its tokens are bound to, a
//! [`Tag`], and the paths at which documents hold it. Paths are JSONPath (RFC 9535), of which this subset is understood:
//!
//! | segment | written | selects |
//! |---|---|---|
//! | child | `.name`, `['name']`, `["name"]` | the member of that name, compared after unescaping, case-sensitive |
//! | index | `[0]` | the element at that place, from the start |
//! | wildcard | `.*`, `[*]` | every member or element |
//! | slice | `[:]` | every element of an array, and no member of an object |
//! | members | `.{*}` | every member of an object, and no element of an array: of our own, since RFC 9535 has none |
//! | descendant | `..name`, `..[0]`, `..*` | the same at every depth |
//!
//! Filters, slices with bounds, unions, negative indexes and functions are refused: a document is read once, as it passes.
//!
//! # Limits
//!
//! A collection or field name has 1 to 255 bytes, a path 128 segments; a policy has 256 fields and 1,024 states of its
//! path automaton at most. What is over a limit is refused when the policy is built, with the path that is at fault.

mod automaton;
mod blind_index;
mod compound_index;
#[cfg(any(feature = "toml", feature = "openapi"))]
mod entry;
#[cfg(any(feature = "toml", feature = "openapi"))]
mod entry_rules;
mod field;
mod lint;
#[cfg(feature = "layer")]
mod list_path;
mod names;
mod path;
#[cfg(feature = "derive")]
mod pii;
#[expect(clippy::module_inception, reason = "the noun of this folder")]
mod policy;
mod record_binding;
mod reveal;
mod strict;
mod subsets;
mod tag;
#[cfg(feature = "toml")]
mod toml;

pub(crate) use automaton::{Automaton, State};
pub use blind_index::BlindIndex;
pub use compound_index::CompoundIndex;
#[cfg(feature = "openapi")]
pub(crate) use entry::{FieldEntry, Format, PartEntry, RecordEntry, StrictEntry, TagEntry};
pub use field::Field;
pub(crate) use field::FieldIndex;
#[cfg(feature = "openapi")]
pub(crate) use lint::Place;
#[cfg(feature = "redact")]
pub(crate) use lint::plain_name;
#[cfg(feature = "layer")]
pub(crate) use list_path::ListPath;
pub(crate) use names::Names;
#[cfg(feature = "openapi")]
pub(crate) use path::{Path, Segment, Selector};
#[cfg(feature = "derive")]
pub use pii::{Pii, PiiPlaces};
pub use policy::{Policy, PolicyBuilder};
pub use record_binding::RecordBinding;
pub use reveal::{Reveal, Shown};
pub use strict::Strict;
pub use tag::Tag;

pub use crate::text::{Mask, Normalizer, Validation};
