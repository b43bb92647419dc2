//! Policies in descriptions of APIs: OpenAPI 3.1 and JSON Schema.
//!
//! The extension `x-pii` tags a schema as a field of a policy. [`policy`] reads it, [`annotate`] writes it, and [`check`]
//! compares a description with a policy and finds what looks personal and is not tagged. The
//! [guide](crate::docs::openapi) has the forms of `x-pii`, and what is followed.

mod annotation;
mod annotator;
mod check;
mod description;
mod document;
mod finding;
mod graph;
mod looks;
mod operations;
mod reading;
mod statement;
mod survey;

pub use annotation::annotate;
#[cfg(any(feature = "schemars", feature = "utoipa"))]
pub use annotator::Annotator;
pub use check::check;
pub use finding::{Finding, FindingKind};
pub use reading::policy;
