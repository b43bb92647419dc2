//! A key under another key: XAES-256-GCM with a random nonce.

use zeroize::Zeroizing;

use super::random;
use super::xaes::{KEY_LENGTH, NONCE_LENGTH, TAG_LENGTH, Unauthentic, Xaes256Gcm};
use crate::error::Error;
use crate::secret::{DERIVATION, SecretKey, on_clean_stack};

/// Nonce, ciphertext, tag.
pub(crate) const WRAPPED_LENGTH: usize = NONCE_LENGTH + KEY_LENGTH + TAG_LENGTH;

/// Wraps `key`, bound to `associated_data`.
///
/// # Errors
///
/// [`ErrorKind::Randomness`](crate::ErrorKind::Randomness).
pub(crate) fn wrap(
    cipher: &Xaes256Gcm,
    key: &SecretKey,
    associated_data: &[u8],
) -> Result<[u8; WRAPPED_LENGTH], Error> {
    on_clean_stack::<DERIVATION, _>(|| wrap_now(cipher, key, associated_data))
}

fn wrap_now(cipher: &Xaes256Gcm, key: &SecretKey, associated_data: &[u8]) -> Result<[u8; WRAPPED_LENGTH], Error> {
    let mut wrapped = [0; WRAPPED_LENGTH];
    let Parts { prefix, suffix, sealed, tag } = Parts::of(&mut wrapped);
    random::fill(prefix)?;
    random::fill(suffix)?;
    sealed.copy_from_slice(key.expose_secret());
    *tag = cipher.derive(prefix).encrypt(suffix, associated_data, sealed);
    Ok(wrapped)
}

/// Unwraps what [`wrap`] made with the same associated data.
pub(crate) fn unwrap(
    cipher: &Xaes256Gcm,
    wrapped: &[u8; WRAPPED_LENGTH],
    associated_data: &[u8],
) -> Result<SecretKey, Unauthentic> {
    on_clean_stack::<DERIVATION, _>(|| {
        let mut wrapped = Zeroizing::new(*wrapped);
        let Parts { prefix, suffix, sealed, tag } = Parts::of(&mut wrapped);
        cipher.derive(prefix).decrypt(suffix, associated_data, sealed, tag)?;
        Ok(SecretKey::from_bytes(sealed))
    })
}

/// The parts of a wrapped key in their order.
struct Parts<'a> {
    prefix: &'a mut [u8; NONCE_LENGTH / 2],
    suffix: &'a mut [u8; NONCE_LENGTH / 2],
    sealed: &'a mut [u8; KEY_LENGTH],
    tag: &'a mut [u8; TAG_LENGTH],
}

impl<'a> Parts<'a> {
    fn of(wrapped: &'a mut [u8; WRAPPED_LENGTH]) -> Self {
        const LENGTH: &str = "the parts are as long as the whole";
        let (prefix, rest) = wrapped.split_first_chunk_mut().expect(LENGTH);
        let (suffix, rest) = rest.split_first_chunk_mut().expect(LENGTH);
        let (sealed, rest) = rest.split_first_chunk_mut().expect(LENGTH);
        Self { prefix, suffix, sealed, tag: rest.first_chunk_mut().expect(LENGTH) }
    }
}
