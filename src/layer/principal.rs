//! Who sends a request: which tenant's tokens are opened for them, and what they see.

use http::Extensions;

use crate::cipher::{FieldCipher, Scope};
use crate::error::{Error, ErrorKind};
use crate::policy::Reveal;

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

/// What is asked of the extensions of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Principal {
    /// What those see of whom the extensions say nothing; none where everybody sees all.
    pub(super) reveal: Option<Reveal>,
    pub(super) has_tenants: bool,
    /// Whether handlers are given an `Opener`.
    pub(super) has_opener: bool,
}

impl Principal {
    /// Returns the cipher for who sends a request with `extensions`, where it is another one than `cipher`.
    pub(super) fn cipher(&self, cipher: &FieldCipher, extensions: &Extensions) -> Result<Option<FieldCipher>, Error> {
        let mut own = None;
        if self.has_tenants {
            let tenant = extensions.get::<Tenant>().filter(|tenant| !tenant.name().is_empty()).ok_or_else(|| {
                let message = "a request has no `Tenant` in its extensions: what authenticates it must set one outside \
                               of the layer";
                Error::new(ErrorKind::Policy, message)
            })?;
            own = Some(cipher.in_scope(Scope::new().tenant(tenant.name()))?);
        }
        if let Some(default) = &self.reveal {
            let reveal = extensions.get::<Reveal>().unwrap_or(default);
            own = Some(own.as_ref().unwrap_or(cipher).revealing(reveal));
        }
        Ok(own)
    }
}
