//! Pages for readers of the documentation. There is no code here.

#[doc = include_str!("index.md")]
pub mod index {}

#[doc = include_str!("token.md")]
pub mod token {}

#[doc = include_str!("rotation.md")]
pub mod rotation {}
