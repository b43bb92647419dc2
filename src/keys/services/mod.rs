//! Key services, each behind its feature, and what makes one dependable.

#[cfg(feature = "aws-kms")]
mod aws_kms;
#[cfg(feature = "gcp-kms")]
mod gcp_kms;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod resilient;
#[cfg(feature = "vault")]
mod vault_transit;

#[cfg(feature = "aws-kms")]
pub use aws_kms::AwsKms;
#[cfg(feature = "gcp-kms")]
pub use gcp_kms::GcpKms;
#[cfg(feature = "pkcs11")]
pub use pkcs11::Pkcs11Kek;
pub use resilient::Resilient;
#[cfg(feature = "vault")]
pub use vault_transit::VaultTransit;

/// Takes a key from what a service returned.
#[cfg(any(feature = "aws-kms", feature = "gcp-kms", feature = "pkcs11", feature = "vault"))]
fn secret_of(plaintext: &[u8]) -> Result<crate::secret::SecretKey, crate::error::Error> {
    use crate::error::Error;
    use crate::secret::SecretKey;

    let wrong = |_| Error::key_service_refusal(format!("it returned {} bytes instead of a key of 32", plaintext.len()));
    plaintext.try_into().map(SecretKey::from_bytes).map_err(wrong)
}
