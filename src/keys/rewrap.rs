//! The keys of a keyring under another key-encryption key.

use std::mem;
use std::time::SystemTime;

use super::change::shortened;
use super::key_service::{self, KeyService};
use super::key_services::KeyServices;
use super::keyring::Keyring;
use super::wrap_context::WrapContext;
use crate::crypto::data_key::DataKey;
use crate::error::Error;

impl Keyring {
    /// Has `service` wrap every key again that the key-encryption key called `from` wraps, and the authentication key
    /// likewise; no stored value is touched. Returns how many keys were wrapped.
    ///
    /// Copies of the keyring from before still hold the keys under `from`: a key that is forgotten later is gone from
    /// them only when both key-encryption keys are [shredded](Keyring::shred).
    ///
    /// `from` and `service` can have the same name, where the key-encryption key was rotated inside the key service.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where a wrapped key is not the one that the keyring is committed to, or none of
    /// `services` is called `from`, or `service` was destroyed; [`ErrorKind::KeyService`](crate::ErrorKind::KeyService). Then nothing was changed.
    pub async fn rewrap(
        &mut self,
        from: &str,
        services: impl Into<KeyServices<'_>>,
        service: &dyn KeyService,
    ) -> Result<usize, Error> {
        let services = services.into();
        self.check_living(service.name())?;
        let mut rewrapped = Vec::new();
        for entry in self.keys().iter().filter(|entry| entry.kek == from) {
            let Some(wrapped) = &entry.wrapped else { continue };
            let context = WrapContext::of_data_key(self.key_name(), entry.id());
            let secret = key_service::unwrap(&services, from, wrapped, &context, "the keyring").await?;
            if !DataKey::new(&secret).is_committed_to_by(entry.commitment()) {
                let message = format!("was given something else than {context} by `{from}`: nothing was changed");
                return Err(self.fault(&message));
            }
            rewrapped.push((entry.id(), key_service::wrap(service, &secret, &context).await?));
        }
        let mut count = rewrapped.len();
        if self.document.kek == from {
            let context = WrapContext::of_keyring(self.key_name());
            self.document.wrapped = key_service::wrap(service, &self.authentication_key, &context).await?;
            service.name().clone_into(&mut self.document.kek);
            count += 1;
        }
        let action = format!("wrapped again: {count} keys of {from} by {}", service.name());
        self.change(SystemTime::now(), shortened(action), None, |keys| {
            for entry in keys {
                if let Some((_, wrapped)) = rewrapped.iter().find(|(id, _)| *id == entry.id()) {
                    entry.wrapped = Some(wrapped.clone());
                    let former = mem::replace(&mut entry.kek, service.name().to_owned());
                    entry.former_keks.retain(|other| *other != entry.kek && *other != former);
                    if former != entry.kek {
                        entry.former_keks.push(former);
                    }
                }
            }
        })?;
        Ok(count)
    }

    /// Has `service` wrap the key that authenticates the keyring, so that the key-encryption key which did so before
    /// is no longer needed for reading it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyService`](crate::ErrorKind::KeyService).
    pub async fn authenticate_by(&mut self, service: &dyn KeyService) -> Result<(), Error> {
        self.check_living(service.name())?;
        let context = WrapContext::of_keyring(self.key_name());
        self.document.wrapped = key_service::wrap(service, &self.authentication_key, &context).await?;
        service.name().clone_into(&mut self.document.kek);
        let action = format!("authenticated by {}", service.name());
        self.change(SystemTime::now(), shortened(action), None, |_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::local::LocalKek;
    use crate::secret::SecretKey;

    /// Copies of the keyring from then still hold the key under each of them.
    #[tokio::test]
    async fn every_key_encryption_key_that_ever_wrapped_a_key_is_remembered_once() {
        let kek = |byte| LocalKek::new(&SecretKey::from_bytes(&[byte; 32]));
        let name = |byte| kek(byte).name().to_owned();
        let mut keyring = Keyring::create("customers", &kek(1)).await.unwrap();
        for (from, to, former) in
            [(1, 2, &[1][..]), (2, 3, &[1, 2]), (3, 3, &[1, 2]), (3, 1, &[2, 3]), (1, 2, &[3, 1]), (2, 4, &[3, 1, 2])]
        {
            assert_eq!(keyring.rewrap(&name(from), kek(from), &kek(to)).await.unwrap(), 2);
            let entry = &keyring.keys()[0];
            let former: Vec<_> = former.iter().map(|&byte| name(byte)).collect();
            assert_eq!((entry.kek(), entry.former_keks()), (&*name(to), &*former), "from {from} to {to}");
        }
    }
}
