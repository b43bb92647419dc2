//! AWS KMS.

use std::fmt;
use std::time::Duration;

use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use zeroize::Zeroize;

use crate::error::Error;
use crate::keys::key_service::{KeyService, KeyServiceFuture};
use crate::keys::services::secret_of;
use crate::keys::wrap_context::WrapContext;
use crate::keys::wrapped_key::WrappedKey;
use crate::secret::SecretKey;

/// A symmetric key in AWS KMS.
///
/// A data key is wrapped by `Encrypt` with the [`WrapContext`] as its encryption context, which KMS authenticates and
/// writes to CloudTrail: names of keyrings and ids of keys stand there, and nothing secret. The process needs
/// `kms:Decrypt`, whoever makes keys also `kms:Encrypt`, and whoever ends an epoch `kms:ScheduleKeyDeletion`; a condition
/// on `kms:EncryptionContext:fieldseal-keyring` holds a role to one keyring. Automatic rotation in KMS needs nothing
/// here: KMS finds the right version.
///
/// Put [`Resilient`](crate::keys::Resilient) around it.
///
/// # Example
///
/// ```no_run
/// use fieldseal::keys::{AwsKms, Keyring, KeyringFile, Keys, Resilient};
///
/// # async fn example() -> Result<(), fieldseal::Error> {
/// let key = "arn:aws:kms:ap-southeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
/// let service = Resilient::new(AwsKms::from_env(key).await);
/// let keys = Keys::open(KeyringFile::new("keyring.json"), service).await?;
/// # Ok(())
/// # }
/// ```
pub struct AwsKms {
    client: Client,
    key: String,
    days_until_deletion: i32,
}

impl AwsKms {
    /// Uses the key named `key`, best by its ARN: an alias can be moved to another key, which cannot unwrap what the
    /// first one wrapped. Its name is the key-encryption key's in the keyring.
    #[must_use]
    pub fn new(client: Client, key: impl Into<String>) -> Self {
        Self { client, key: key.into(), days_until_deletion: 30 }
    }

    /// The same with region and credentials from where the AWS tools look for them: environment, profile, container,
    /// instance. A key that is named by its ARN is asked for in the region that stands there, whatever else is set: name
    /// a key of several regions by the ARN of the replica that may see data keys. Retries are left to [`Resilient`](crate::keys::Resilient).
    pub async fn from_env(key: impl Into<String>) -> Self {
        let key = key.into();
        let region = region_of(&key);
        let connect = TimeoutConfig::builder().connect_timeout(Duration::from_secs(3)).build();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::disabled())
            .timeout_config(connect)
            // For what asks for credentials, which may be served elsewhere than the key.
            .region(RegionProviderChain::default_provider().or_else(region.clone()))
            .load()
            .await;
        let region = region.or_else(|| config.region().cloned());
        let config = aws_sdk_kms::config::Builder::from(&config).region(region).build();
        Self::new(Client::from_conf(config), key)
    }

    /// Has [`destroy`](KeyService::destroy) leave so many days, 7 to 30, in which the deletion can be cancelled; 30
    /// unless set. KMS refuses to use the key from the first moment on.
    #[must_use]
    pub fn days_until_deletion(self, days: u8) -> Self {
        Self { days_until_deletion: days.into(), ..self }
    }

    /// What KMS refuses for good, and what cannot be asked, is told from what may pass.
    fn fault<E: ProvideErrorMetadata>(&self, error: &SdkError<E>) -> Error {
        let was_sent = match error {
            SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
            SdkError::ConstructionFailure(_) => false,
            _ => true,
        };
        if was_sent || self.client.config().region().is_some() {
            return fault(error);
        }
        let message = "AWS KMS: no region is set: set AWS_REGION, or `region` in the profile of the process, or name the \
                       key by its ARN, which holds its region";
        Error::key_service_refusal(message)
    }
}

/// The region in the ARN of a key, `arn:PARTITION:kms:REGION:ACCOUNT:key/ID`.
fn region_of(key: &str) -> Option<Region> {
    let mut parts = key.split(':');
    let is_arn = parts.next() == Some("arn") && parts.next().is_some() && parts.next() == Some("kms");
    parts.next().filter(|region| is_arn && !region.is_empty()).map(|region| Region::new(region.to_owned()))
}

impl KeyService for AwsKms {
    fn name(&self) -> &str {
        &self.key
    }

    fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
        Box::pin(async move {
            let mut call = self.client.encrypt().key_id(&self.key).plaintext(Blob::new(key.expose_secret()));
            for (name, value) in context.pairs() {
                call = call.encryption_context(name, value);
            }
            let answer = call.send().await.map_err(|error| self.fault(&error))?;
            let wrapped =
                answer.ciphertext_blob.ok_or_else(|| Error::key_service_refusal("KMS returned no ciphertext"))?;
            Ok(wrapped.into_inner().into())
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
        Box::pin(async move {
            // With the key named, KMS does not let the ciphertext choose another.
            let mut call = self.client.decrypt().key_id(&self.key).ciphertext_blob(Blob::new(wrapped.as_bytes()));
            for (name, value) in context.pairs() {
                call = call.encryption_context(name, value);
            }
            let answer = call.send().await.map_err(|error| self.fault(&error))?;
            let mut plaintext = answer.plaintext.map(Blob::into_inner).unwrap_or_default();
            let key = secret_of(&plaintext);
            plaintext.zeroize();
            key
        })
    }

    /// Schedules the deletion of the key.
    fn destroy(&self) -> KeyServiceFuture<'_, String> {
        Box::pin(async move {
            let call = self.client.schedule_key_deletion().key_id(&self.key);
            let answer = call
                .pending_window_in_days(self.days_until_deletion)
                .send()
                .await
                .map_err(|error| self.fault(&error))?;
            let date = answer.deletion_date.map(|date| date.to_string()).unwrap_or_default();
            Ok(format!("AWS KMS deletes {} at {date}", answer.key_id.as_deref().unwrap_or(&self.key)))
        })
    }
}

fn fault<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Error {
    const PASSING: [&str; 8] = [
        "ThrottlingException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "KMSInternalException",
        "DependencyTimeoutException",
        "KeyUnavailableException",
        "InternalFailure",
        "ServiceUnavailable",
    ];
    // Never the whole of the error, whose `Debug` holds the answer: in one that cannot be read stands a key, maybe.
    let (is_refused, cause) = match (error, error.code()) {
        (SdkError::ServiceError(answer), Some(code)) => {
            let is_refused = !answer.raw().status().is_server_error() && !PASSING.contains(&code);
            (is_refused, format!("{code}: {}", error.message().unwrap_or("no message")))
        }
        (SdkError::ServiceError(answer), None) => (false, format!("status {}", answer.raw().status())),
        (SdkError::DispatchFailure(failure), _) => match failure.as_connector_error() {
            Some(cause) => (false, format!("it cannot be reached: {}", chain(cause))),
            None => (false, "it cannot be reached".to_owned()),
        },
        (SdkError::TimeoutError(_), _) => (false, "no answer in time".to_owned()),
        (SdkError::ConstructionFailure(_), _) => (true, "no request can be made: are there credentials?".to_owned()),
        _ => (false, "its answer cannot be read".to_owned()),
    };
    let cause = format!("AWS KMS: {cause}");
    if is_refused { Error::key_service_refusal(cause) } else { Error::key_service(cause) }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl fmt::Debug for AwsKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKms").field("key", &self.key).finish_non_exhaustive()
    }
}
