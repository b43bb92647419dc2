//! Google Cloud KMS.

use std::fmt;

use google_cloud_kms_v1::Error as ServiceError;
use google_cloud_kms_v1::client::KeyManagementService;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::keys::key_service::{KeyService, KeyServiceFuture};
use crate::keys::services::secret_of;
use crate::keys::wrap_context::WrapContext;
use crate::keys::wrapped_key::WrappedKey;
use crate::secret::SecretKey;

/// A symmetric key in Google Cloud KMS.
///
/// A data key is wrapped by `encrypt` with the [`WrapContext`] as additional authenticated data. The process needs
/// `cloudkms.cryptoKeyVersions.useToDecrypt`, whoever makes keys also `useToEncrypt`. Rotation in Cloud KMS needs nothing
/// here: it finds the right version. [`destroy`](KeyService::destroy) is not offered: a key has versions, each of which
/// is destroyed by itself, so do that where you see them.
///
/// Put [`Resilient`](crate::keys::Resilient) around it.
///
/// # Example
///
/// ```no_run
/// use fieldseal::keys::{GcpKms, KeyringFile, Keys, Resilient};
/// use google_cloud_kms_v1::client::KeyManagementService;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = KeyManagementService::builder().build().await?;
/// let key = "projects/shop/locations/asia-southeast1/keyRings/customers/cryptoKeys/spring";
/// let keys = Keys::open(KeyringFile::new("keyring.json"), Resilient::new(GcpKms::new(client, key))).await?;
/// # Ok(())
/// # }
/// ```
pub struct GcpKms {
    client: KeyManagementService,
    key: String,
}

impl GcpKms {
    /// Uses the key with the resource name `key`, which is the key-encryption key's name in the keyring.
    #[must_use]
    pub fn new(client: KeyManagementService, key: impl Into<String>) -> Self {
        Self { client, key: key.into() }
    }
}

impl KeyService for GcpKms {
    fn name(&self) -> &str {
        &self.key
    }

    fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
        Box::pin(async move {
            let call = self.client.encrypt().set_name(&self.key).set_plaintext(key.expose_secret().to_vec());
            let answer = call
                .set_additional_authenticated_data(context.to_bytes())
                .send()
                .await
                .map_err(|error| fault(&error))?;
            Ok(answer.ciphertext.to_vec().into())
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
        Box::pin(async move {
            let call = self.client.decrypt().set_name(&self.key).set_ciphertext(wrapped.as_bytes().to_vec());
            let answer = call
                .set_additional_authenticated_data(context.to_bytes())
                .send()
                .await
                .map_err(|error| fault(&error))?;
            secret_of(&Zeroizing::new(Vec::from(answer.plaintext)))
        })
    }
}

/// What Cloud KMS refuses for good is told from what may pass.
fn fault(error: &ServiceError) -> Error {
    // Never what the client makes of an answer that it cannot read: a key may stand in it.
    let cause = match error.status() {
        Some(status) => format!("{}: {}", status.code, status.message),
        None if error.is_timeout() || error.is_exhausted() => "no answer in time".to_owned(),
        None if error.is_connect() || error.is_io() => "it cannot be reached".to_owned(),
        None if error.is_authentication() => "no credentials can be had".to_owned(),
        None => {
            error.http_status_code().map_or("its answer cannot be read".to_owned(), |code| format!("status {code}"))
        }
    };
    let cause = format!("Google Cloud KMS: {cause}");
    let code = error.http_status_code().unwrap_or_default();
    let is_refused = matches!(code, 400..=499) && !matches!(code, 408 | 429);
    if is_refused || error.is_deserialization() { Error::key_service_refusal(cause) } else { Error::key_service(cause) }
}

impl fmt::Debug for GcpKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpKms").field("key", &self.key).finish_non_exhaustive()
    }
}
