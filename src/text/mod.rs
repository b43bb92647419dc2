//! What the text of a tagged value means: when two spellings are one value, what of it may be shown, and what is no
//! value at all.
//!
//! All of it is pure: text in, text out. It knows no key and no place in a document.

#![allow(dead_code, unused_imports, reason = "used by `cipher`")]

mod mask;
mod normalizer;
mod plain;
mod validation;

pub use mask::Mask;
pub(crate) use mask::is_masked;
pub use normalizer::Normalizer;
pub(crate) use validation::Reason;
pub use validation::Validation;
