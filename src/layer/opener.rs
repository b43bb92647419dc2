//! Values for a handler that must see one.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::cipher::FieldCipher;
use crate::error::Error;

/// Decrypts single values for a handler that must see one, such as the address on a parcel: in the extensions of every
/// request where [`FieldEncryptionLayer::opener`](super::FieldEncryptionLayer::opener) says so.
///
/// Each value that it opens is an audit event ([`AuditKind::Opened`](crate::audit::AuditKind::Opened)).
///
/// # Example
///
/// ```
/// use axum::{Extension, Router, http::StatusCode, routing::post};
/// # use fieldseal::keys::{DataKey, Keys, SecretKey};
/// use fieldseal::layer::Opener;
/// use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
/// # let policy = Policy::builder("customers").field(Field::new("address", Tag::Address)).build()?;
/// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
/// # fn print_label(_: &str) {}
///
/// async fn send_parcel(Extension(opener): Extension<Opener>, stored: String) -> StatusCode {
///     let Ok(address) = opener.open::<String>("address", &stored) else { return StatusCode::INTERNAL_SERVER_ERROR };
///     print_label(&address);
///     StatusCode::NO_CONTENT
/// }
///
/// let app: Router = Router::new()
///     .route("/parcels", post(send_parcel))
///     .layer(FieldEncryptionLayer::new(cipher)?.opener());
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone)]
pub struct Opener(FieldCipher);

impl Opener {
    pub(super) fn new(cipher: FieldCipher) -> Self {
        Self(cipher)
    }

    /// Returns the opener for the values of the record `id`, where the policy binds tokens to records.
    ///
    /// # Errors
    ///
    /// As [`FieldCipher::in_record`].
    pub fn in_record(&self, id: impl Into<String>) -> Result<Self, Error> {
        self.0.in_record(id).map(Self)
    }

    /// Decrypts a token of `field`.
    ///
    /// # Errors
    ///
    /// As [`FieldCipher::decrypt_value`].
    pub fn open<T: DeserializeOwned>(&self, field: &str, token: impl AsRef<[u8]>) -> Result<T, Error> {
        self.0.open_on_record(field, token)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}
