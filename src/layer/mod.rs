//! The tower layer.

mod body;
mod digest;
mod fault;
mod future;
mod intake;
#[expect(clippy::module_inception, reason = "the noun of this folder")]
mod layer;
mod limits;
mod media_type;
mod problem;
mod query;
mod request;
mod response;
mod service;
mod side;
mod streaming;

pub use body::FieldBody;
pub use future::ResponseFuture;
pub use layer::FieldEncryptionLayer;
pub use service::FieldEncryption;
pub use side::{Client, ClientError, Server, Side};
