//! The one joint to key services.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;

use ctutils::CtEq as _;

use super::key_services::KeyServices;
use super::wrap_context::WrapContext;
use super::wrapped_key::WrappedKey;
use crate::error::{Error, ErrorKind};
use crate::secret::SecretKey;

/// What the methods of a [`KeyService`] return.
pub type KeyServiceFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Holds a key-encryption key that never leaves it, and wraps and unwraps data keys under it.
///
/// An implementation must authenticate the [`WrapContext`] together with the key, and must fail to unwrap under any
/// other: it is what keeps a wrapped key from being moved to another keyring or entry. It should also give up after a
/// time of its own, since the callers wait for as long as it does.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{KeyService, KeyServiceFuture, LocalKek, SecretKey, WrapContext, WrappedKey};
///
/// /// Counts what it hands on.
/// struct Metered(LocalKek, std::sync::atomic::AtomicU64);
///
/// impl KeyService for Metered {
///     fn name(&self) -> &str {
///         self.0.name()
///     }
///
///     fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
///         self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///         self.0.wrap(key, context)
///     }
///
///     fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
///         self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///         self.0.unwrap(wrapped, context)
///     }
/// }
/// ```
pub trait KeyService: Send + Sync {
    /// Names the key-encryption key: 1 to 1,024 bytes without control characters. It is stored beside every key that
    /// is wrapped under it, and only a service of the same name is asked to unwrap that key again.
    fn name(&self) -> &str;

    /// Wraps `key`, bound to `context`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyService`], made with [`Error::key_service`].
    fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey>;

    /// Unwraps what [`wrap`](KeyService::wrap) returned for the same `context`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyService`], made with [`Error::key_service`]; also where `context` is not the one that the key
    /// was wrapped with.
    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey>;

    /// Destroys the key-encryption key, or has its destruction begin, and with it every key that it wraps, in every copy
    /// of every keyring. Returns what the service says of it, for [`Keyring::shred`](super::Keyring::shred).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyService`]; unless implemented, always.
    fn destroy(&self) -> KeyServiceFuture<'_, String> {
        Box::pin(async {
            let message = "this key-encryption key is not destroyed from here: destroy it where it is kept, and record that \
                           with a receipt";
            Err(Error::key_service(message))
        })
    }
}

/// Has `service` wrap `key`.
///
/// # Errors
///
/// [`ErrorKind::KeyService`] where the service fails or returns what a keyring cannot hold;
/// [`ErrorKind::Randomness`].
pub(super) async fn wrap(
    service: &dyn KeyService,
    key: &SecretKey,
    context: &WrapContext,
) -> Result<WrappedKey, Error> {
    let name = service.name();
    if !is_service_name(name) {
        let message = "the key service gives itself a name that a keyring cannot hold: it is empty, longer than \
                       1,024 bytes, or has control characters";
        return Err(Error::new(ErrorKind::KeyService, message));
    }
    let wrapped = service.wrap(key, context).await.map_err(|error| {
        let message =
            format!("key service `{name}` did not wrap {context}: it cannot be reached, or does not permit it");
        fault(error, message)
    })?;
    if wrapped.fits() {
        check(service, key, &wrapped, context).await?;
        return Ok(wrapped);
    }
    let message = format!("key service `{name}` returned {} bytes for {context}", wrapped.as_bytes().len());
    Err(Error::new(ErrorKind::KeyService, format!("{message}: a keyring holds 1 to {}", WrappedKey::LONGEST)))
}

/// Has `service` unwrap what it wrapped, before anything is encrypted under a key that could not be had again.
async fn check(
    service: &dyn KeyService,
    key: &SecretKey,
    wrapped: &WrappedKey,
    context: &WrapContext,
) -> Result<(), Error> {
    let name = service.name();
    let unwrapped = service.unwrap(wrapped, context).await.map_err(|error| {
        let message = format!("key service `{name}` did not unwrap again what it had wrapped as {context}");
        fault(error, message)
    })?;
    if unwrapped.expose_secret().ct_eq(key.expose_secret()).into() {
        return Ok(());
    }
    let message = format!("key service `{name}` unwraps {context} to something else than it was given");
    Err(Error::new(ErrorKind::KeyService, message))
}

/// Has the one of `services` that is called `kek` unwrap what it wrapped. Messages begin with `place`.
///
/// # Errors
///
/// [`ErrorKind::Keyring`] where there is none; [`ErrorKind::KeyService`] where it fails.
pub(super) async fn unwrap(
    services: &KeyServices<'_>,
    kek: &str,
    wrapped: &WrappedKey,
    context: &WrapContext,
    place: &str,
) -> Result<SecretKey, Error> {
    let Some(service) = services.find(kek) else {
        let names = services.names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
        let message = format!("{place} holds {context} as wrapped by `{kek}`, but the key service given is {names}");
        return Err(Error::new(ErrorKind::Keyring, format!("{message}: give the one that wrapped it")));
    };
    let name = kek;
    service.unwrap(wrapped, context).await.map_err(|error| {
        let message = format!(
            "{place}: key service `{name}` did not unwrap {context}: it cannot be reached, does not permit it, or the \
             wrapped key was altered or moved"
        );
        fault(error, message)
    })
}

fn fault(error: Error, message: String) -> Error {
    let kind = if error.kind() == ErrorKind::Randomness { ErrorKind::Randomness } else { ErrorKind::KeyService };
    Error::new(kind, message).with_source(error)
}

/// Returns whether a key-encryption key may be called `name`.
pub(super) fn is_service_name(name: &str) -> bool {
    (1..=1024).contains(&name.len()) && !name.chars().any(char::is_control)
}

impl Error {
    /// Makes the error of a [`KeyService`] that failed because of `cause`, which must not hold key material.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::{Error, ErrorKind};
    ///
    /// let error = Error::key_service("no answer within 5 seconds");
    /// assert_eq!(error.kind(), ErrorKind::KeyService);
    /// ```
    #[must_use]
    pub fn key_service(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorKind::KeyService, "the key service failed").with_source(cause)
    }
}

macro_rules! delegate {
    ($pointer:ty) => {
        impl<K: KeyService + ?Sized> KeyService for $pointer {
            fn name(&self) -> &str {
                (**self).name()
            }

            fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
                (**self).wrap(key, context)
            }

            fn unwrap<'a>(
                &'a self,
                wrapped: &'a WrappedKey,
                context: &'a WrapContext,
            ) -> KeyServiceFuture<'a, SecretKey> {
                (**self).unwrap(wrapped, context)
            }

            fn destroy(&self) -> KeyServiceFuture<'_, String> {
                (**self).destroy()
            }
        }
    };
}

delegate!(&K);
delegate!(Box<K>);
delegate!(Arc<K>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_name_is_one_line_of_bounded_length() {
        assert!(is_service_name("arn:aws:kms:ap-southeast-1:111122223333:key/1234abcd"));
        for bad in ["", "a\nb", "a\u{1b}[2J", &"a".repeat(1025)] {
            assert!(!is_service_name(bad), "{bad:?}");
        }
    }
}
