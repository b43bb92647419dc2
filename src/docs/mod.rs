//! Guides, one for each way of use; what can go wrong, and how much there may be of everything; and the formats to the
//! byte. There is no code here.

#[cfg(feature = "layer")]
#[doc = include_str!("service.md")]
pub mod service {}

#[cfg(feature = "layer")]
#[doc = include_str!("client.md")]
pub mod client {}

#[doc = include_str!("standalone.md")]
pub mod standalone {}

#[cfg(feature = "derive")]
#[doc = include_str!("derive.md")]
pub mod derive {}

#[cfg(feature = "sqlx")]
#[doc = include_str!("sqlx.md")]
pub mod sqlx {}

#[cfg(feature = "diesel")]
#[doc = include_str!("diesel.md")]
pub mod diesel {}

#[cfg(feature = "layer")]
#[doc = include_str!("search.md")]
pub mod search {}

#[cfg(feature = "layer")]
#[doc = include_str!("migration.md")]
pub mod migration {}

#[doc = include_str!("misuse.md")]
pub mod misuse {}

#[doc = include_str!("strict.md")]
pub mod strict {}

#[doc = include_str!("rotation.md")]
pub mod rotation {}

#[cfg(feature = "breach")]
#[doc = include_str!("breach.md")]
pub mod breach {}

#[doc = include_str!("erasure.md")]
pub mod erasure {}

#[doc = include_str!("decoys.md")]
pub mod decoys {}

#[doc = include_str!("comparison.md")]
pub mod comparison {}

#[doc = include_str!("limits.md")]
pub mod limits {}

#[doc = include_str!("speed.md")]
#[doc = include_str!("throughput.svg")]
#[doc = include_str!("flame.svg")]
pub mod speed {}

#[doc = include_str!("randomness.md")]
pub mod randomness {}
#[cfg(feature = "layer")]
#[doc = include_str!("faults.md")]
pub mod faults {}

#[doc = include_str!("token.md")]
pub mod token {}

#[doc = include_str!("index.md")]
pub mod index {}

#[cfg(feature = "openapi")]
#[doc = include_str!("openapi.md")]
pub mod openapi {}
