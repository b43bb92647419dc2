//! Who sends a request: which tenant's tokens are opened for them, and what they see.

use http::Extensions;

use super::tenant::{Tenant, TenantKeySource};
use crate::cipher::FieldCipher;
use crate::error::{Error, ErrorKind};
use crate::keys::SubjectKey;
use crate::policy::Reveal;

/// What is asked of the extensions of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Principal {
    /// What those see of whom the extensions say nothing; none where everybody sees all.
    pub(super) reveal: Option<Reveal>,
    /// Where each tenant's keys come from; none where there are no tenants.
    pub(super) tenants: Option<TenantKeySource>,
    /// Whether tokens are those of all tenants, although a request may be that of one.
    pub(super) ignores_tenants: bool,
    /// Whether values stand under the key of the person whom they are about.
    pub(super) has_subjects: bool,
    /// Whether handlers are given an `Opener`.
    pub(super) has_opener: bool,
}

impl Principal {
    /// Returns the cipher for who sends a request with `extensions`, where it is another one than `cipher`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] where the extensions lack what the layer was told to go by, or hold what it was not: a tenant,
    /// or a restriction, that somebody set is never ignored.
    pub(super) fn cipher(&self, cipher: &FieldCipher, extensions: &Extensions) -> Result<Option<FieldCipher>, Error> {
        let mut own = None;
        if let Some(keys) = &self.tenants {
            let tenant = extensions.get::<Tenant>().filter(|tenant| !tenant.name().is_empty()).ok_or_else(|| {
                let message = "a request has no `Tenant` in its extensions: what authenticates it must set one outside \
                               of the layer";
                Error::new(ErrorKind::Policy, message)
            })?;
            own = Some(keys.cipher(cipher, tenant)?);
        } else if !self.ignores_tenants && extensions.get::<Tenant>().is_some() {
            let message = "a request has a `Tenant` in its extensions, and the layer was made without `tenants` or \
                           `tenant_keys`: call one of them, or `ignore_tenants` where all tenants share what is stored";
            return Err(Error::new(ErrorKind::Policy, message));
        }
        if self.has_subjects {
            let key = extensions.get::<SubjectKey>().ok_or_else(|| {
                let message = "a request has no `SubjectKey` in its extensions: what authenticates it must prepare the one \
                               of the person whom it is about, outside of the layer";
                Error::new(ErrorKind::Policy, message)
            })?;
            let bound = own.as_ref().unwrap_or(cipher).for_subject(key);
            own = Some(bound.map_err(|error| Error::new(ErrorKind::Policy, error.to_string()))?);
        } else if extensions.get::<SubjectKey>().is_some() {
            let message = "a request has a `SubjectKey` in its extensions, and the layer was made without `subjects`: call \
                           it, or what is written would outlive the person";
            return Err(Error::new(ErrorKind::Policy, message));
        }
        if let Some(default) = &self.reveal {
            let reveal = extensions.get::<Reveal>().unwrap_or(default);
            let policy = cipher.policy();
            if let Some(field) = reveal.hidden_besides(policy.fields()) {
                let message = format!(
                    "a `Reveal` hides the field `{field}`, which the policy of `{}` does not have: name it as the policy \
                     does, or hide all fields and name those that are shown",
                    policy.collection()
                );
                return Err(Error::new(ErrorKind::Policy, message));
            }
            own = Some(own.as_ref().unwrap_or(cipher).revealing(reveal));
        } else if extensions.get::<Reveal>().is_some() {
            let message = "a request has a `Reveal` in its extensions, and the layer was made without `reveal`: call it \
                           with what those see who have none";
            return Err(Error::new(ErrorKind::Policy, message));
        }
        Ok(own)
    }
}
