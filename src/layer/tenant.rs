//! Tenants, and the keys that are theirs alone.

use std::fmt;
use std::sync::Arc;

use crate::cipher::FieldCipher;
use crate::error::{Error, ErrorKind};
use crate::keys::Keys;

/// The tenant that a request belongs to, in its extensions: put there by what authenticated the sender, and never taken
/// from what the sender wrote.
///
/// # Example
///
/// ```
/// use fieldseal::layer::Tenant;
///
/// let tenant = Tenant::new("acme");
/// assert_eq!(tenant.name(), "acme");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tenant(String);

impl Tenant {
    /// Names a tenant.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// The keys of one tenant, for [`FieldEncryptionLayer::tenant_keys`](super::FieldEncryptionLayer::tenant_keys). Data keys
/// alone are made into them with `from`, and make no blind index.
///
/// # Example
///
/// ```
/// # use fieldseal::keys::{DataKey, Keys, SecretKey};
/// use fieldseal::layer::TenantKeys;
///
/// # let keys = || Ok::<_, fieldseal::Error>(Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
/// # let (data_keys, index_keys) = (keys()?, keys()?);
/// let acme = TenantKeys::from(data_keys).with_index_keys(index_keys);
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TenantKeys {
    data: Keys,
    index: Option<Keys>,
}

impl TenantKeys {
    /// Adds the keys that the tenant's blind indexes are made with: those of another keyring than its data keys. Tenants
    /// that share them have no index in common all the same, but what one index key made ends with that key for all.
    pub fn with_index_keys(self, keys: Keys) -> Self {
        Self { index: Some(keys), ..self }
    }
}

impl From<Keys> for TenantKeys {
    fn from(data: Keys) -> Self {
        Self { data, index: None }
    }
}

type KeysOf = dyn Fn(&Tenant) -> Option<TenantKeys> + Send + Sync;

/// Where the keys of tenants come from.
#[derive(Clone, Default)]
pub(super) enum TenantKeySource {
    /// All have those of the layer's cipher.
    #[default]
    Shared,
    Own(Arc<KeysOf>),
}

impl TenantKeySource {
    /// Returns the cipher for `tenant`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyUnavailable`] where the tenant has no keys; [`ErrorKind::Keyring`] where its index keys are its
    /// data keys.
    pub(super) fn cipher(&self, cipher: &FieldCipher, tenant: &Tenant) -> Result<FieldCipher, Error> {
        let Self::Own(keys_of) = self else { return cipher.in_tenant(tenant.name()) };
        let missing = "a request belongs to a tenant that `tenant_keys` has no keys for";
        let TenantKeys { data, index } =
            keys_of(tenant).ok_or_else(|| Error::new(ErrorKind::KeyUnavailable, missing))?;
        let own = cipher.clone().with_keys(data);
        let own = match index {
            Some(index) => own.with_index_keys(index)?,
            None => own,
        };
        own.in_tenant(tenant.name())
    }
}

impl fmt::Debug for TenantKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared => "Shared",
            Self::Own(_) => "Own",
        })
    }
}
