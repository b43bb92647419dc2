//! The key services that a keyring's keys are wrapped by.

use std::fmt;

use super::key_service::KeyService;

/// One [`KeyService`] or several, of which each unwraps what it wrapped.
///
/// A keyring has keys under more than one key-encryption key while it moves from one lifetime epoch to the next. Every
/// function that unwraps takes a single service as well.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{KeyServices, Keyring, LocalKek, SecretKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fieldseal::Error> {
/// let [spring, autumn] = [LocalKek::new(&SecretKey::generate()?), LocalKek::new(&SecretKey::generate()?)];
/// let mut keyring = Keyring::create("customers", &spring).await?;
/// keyring.add_key(&autumn).await?;
///
/// let services = KeyServices::from(spring).and(autumn);
/// assert_eq!(Keyring::from_json(&keyring.to_json(), services).await?.keys().len(), 2);
/// # Ok(())
/// # }
/// ```
pub struct KeyServices<'a>(Vec<Box<dyn KeyService + 'a>>);

impl<'a> KeyServices<'a> {
    /// Adds `service`.
    #[must_use]
    pub fn and(mut self, service: impl KeyService + 'a) -> Self {
        self.0.push(Box::new(service));
        self
    }

    /// Returns the service whose key-encryption key is called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&(dyn KeyService + 'a)> {
        self.0.iter().find(|service| service.name() == name).map(|service| &**service)
    }

    /// Returns the names of the key-encryption keys.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(KeyService::name)
    }
}

impl<'a, K: KeyService + 'a> From<K> for KeyServices<'a> {
    fn from(service: K) -> Self {
        Self(vec![Box::new(service)])
    }
}

impl<'a> From<&'a KeyServices<'_>> for KeyServices<'a> {
    fn from(services: &'a KeyServices<'_>) -> Self {
        Self(services.0.iter().map(|service| Box::new(service) as Box<dyn KeyService + 'a>).collect())
    }
}

impl<'a> FromIterator<Box<dyn KeyService + 'a>> for KeyServices<'a> {
    fn from_iter<I: IntoIterator<Item = Box<dyn KeyService + 'a>>>(services: I) -> Self {
        Self(services.into_iter().collect())
    }
}

impl fmt::Debug for KeyServices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
