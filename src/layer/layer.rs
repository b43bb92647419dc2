//! The layer.

use std::fmt;
use std::marker::PhantomData;

use tower::Layer;

use super::limits::Limits;
use super::service::FieldEncryption;
use super::side::{Client, Server};
use crate::cipher::FieldCipher;

/// Encrypts the tagged fields of requests and decrypts those of responses.
///
/// See [`layer`](crate::layer) for what it does with each part of HTTP.
///
/// # Example
///
/// ```
/// use axum::{Router, routing::post};
/// # use fieldseal::keys::{DataKey, Keys, SecretKey};
/// use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
///
/// let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
/// # let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate()?));
/// let app: Router = Router::new()
///     .route("/customers", post(|stored: String| async move { stored }))
///     .layer(FieldEncryptionLayer::new(FieldCipher::new(policy, keys)));
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[must_use]
pub struct FieldEncryptionLayer<D = Server> {
    cipher: FieldCipher,
    limits: Limits,
    side: PhantomData<fn() -> D>,
}

impl FieldEncryptionLayer {
    /// Makes a layer for a service. Its refusals are responses.
    pub fn new(cipher: FieldCipher) -> Self {
        Self { cipher, limits: Limits::default(), side: PhantomData }
    }

    /// Makes the layer one for an outgoing client. Its refusals are [`ClientError`](super::ClientError)s.
    pub fn for_client(self) -> FieldEncryptionLayer<Client> {
        let Self { cipher, limits, side: _ } = self;
        FieldEncryptionLayer { cipher, limits, side: PhantomData }
    }
}

impl<D> FieldEncryptionLayer<D> {
    /// Transforms bodies of up to `bytes` whole, 64 KiB unless set; longer ones are streamed.
    ///
    /// A fault in a whole body is answered before the service, or the client, sees any of it. A fault in a streamed
    /// one breaks the stream. A request usually holds about four times this in memory. A body that becomes more than 16
    /// times this, or 1 MiB if that is more, is streamed from there, too: a list of short values becomes tokens of many
    /// times its length.
    pub fn whole_body_limit(mut self, bytes: u64) -> Self {
        self.limits.whole = bytes;
        self
    }

    /// Refuses bodies of more than `bytes`, with 413 for a request and 502 for a response. There is no limit unless
    /// set: longer bodies are streamed in constant memory.
    pub fn body_limit(mut self, bytes: u64) -> Self {
        self.limits.longest = Some(bytes);
        self
    }
}

impl<S, D> Layer<S> for FieldEncryptionLayer<D> {
    type Service = FieldEncryption<S, D>;

    fn layer(&self, inner: S) -> Self::Service {
        FieldEncryption::new(inner, self.cipher.clone(), self.limits)
    }
}

impl<D> Clone for FieldEncryptionLayer<D> {
    fn clone(&self) -> Self {
        Self { cipher: self.cipher.clone(), limits: self.limits, side: PhantomData }
    }
}

impl<D> fmt::Debug for FieldEncryptionLayer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldEncryptionLayer").field("limits", &self.limits).finish_non_exhaustive()
    }
}
