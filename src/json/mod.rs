//! Documents in, documents out: an incremental transformer of JSON (RFC 8259) that rewrites the values of tagged fields
//! and passes every other byte as it came.
//!
//! It takes a [`Visitor`] and knows no key.

mod blank;
mod containers;
#[cfg(feature = "layer")]
mod in_order;
mod located;
mod members;
mod name;
mod number;
mod patch;
mod plain;
mod pointer;
mod position;
mod resume;
mod special;
mod specials;
mod string;
mod tagged;
mod trail;
mod transformer;
mod visitor;
mod watch;

#[cfg(feature = "layer")]
pub(crate) use in_order::InOrder;
pub(crate) use members::Member;
pub(crate) use patch::{Longest, transform_patch};
pub(crate) use string::{unescape, unescaped};
pub(crate) use trail::Trail;
pub(crate) use transformer::Transformer;
pub(crate) use visitor::{Cut, Flow, Framing, Place, Sibling, Visitor};
