//! What the text of a tagged value means: when two spellings are one value, what of it may be shown, and what is no
//! value at all.
//!
//! All of it is pure: text in, text out. It knows no key and no place in a document.

#[cfg(feature = "normal-forms")]
mod built_in;
#[cfg(feature = "normal-forms")]
mod email;
#[cfg(feature = "normal-forms")]
mod folded;
mod mask;
#[cfg(feature = "normal-forms")]
mod name;
mod normalizer;
#[cfg(feature = "normal-forms")]
mod numbering_plan;
mod personal;
#[cfg(feature = "normal-forms")]
mod phone;
mod plain;
#[cfg(feature = "normal-forms")]
mod script;
mod validation;
#[cfg(feature = "normal-forms")]
mod vectors;

pub use mask::Mask;
pub(crate) use mask::is_masked;
pub use normalizer::Normalizer;
pub(crate) use personal::{Personal, Piece, SHORTEST_MATCH};
#[cfg(any(feature = "toml", feature = "openapi"))]
pub(crate) use validation::Rule;
pub use validation::Validation;
