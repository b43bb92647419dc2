//! What tokens are bound to beside collection and field.

use std::fmt;
use std::sync::Arc;

use crate::crypto::associated_data::{AssociatedData, LONGEST_PART, Place};
use crate::error::{Error, ErrorKind};
use crate::policy::{Field, Policy};

/// What tokens are bound to beside the collection and the field: tenant, record, subject.
///
/// A token opens only in the scope it was made in. An empty text and none at all are two different scopes.
///
/// The tenant must come from what authenticated the caller, never from what the caller wrote. The record's id must
/// come from the document that holds the fields.
///
/// # Example
///
/// ```
/// use fieldseal::Scope;
///
/// let scope = Scope::new().tenant("acme").record("0b1f2c3d-0000-4000-8000-000000000042");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Scope {
    tenant: Option<String>,
    record: Option<String>,
    subject: Option<String>,
}

impl fmt::Debug for Scope {
    /// A subject is a person, so it is not shown, as [`Subject`](crate::keys::Subject) is not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, record, subject } = self;
        let subject = subject.as_ref().map(|_| format_args!("[REDACTED]"));
        f.debug_struct("Scope").field("tenant", tenant).field("record", record).field("subject", &subject).finish()
    }
}

impl Scope {
    /// Starts with nothing beside the collection and the field.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds tokens to a tenant.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Binds tokens to a record, so that values cannot be swapped between rows.
    pub fn record(mut self, record: impl Into<String>) -> Self {
        self.record = Some(record.into());
        self
    }

    /// Binds tokens to the person they are about.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    pub(super) fn tenant_name(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    pub(super) fn record_id(&self) -> Option<&str> {
        self.record.as_deref()
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let Self { tenant, record, subject } = self;
        if [tenant, record, subject].into_iter().flatten().any(|part| part.len() > LONGEST_PART) {
            return Err(Error::new(ErrorKind::InvalidValue, "a part of a scope is longer than 65,535 bytes"));
        }
        Ok(())
    }

    /// Where the tokens of each field of `policy` belong.
    pub(super) fn places(&self, policy: &Policy) -> Arc<[AssociatedData]> {
        policy.fields().iter().map(|field| self.place(policy, field, self.record_id())).collect()
    }

    /// Where the tokens of `field` belong in a record of this scope.
    pub(super) fn place(&self, policy: &Policy, field: &Field, record: Option<&str>) -> AssociatedData {
        let (tenant, subject) = (self.tenant.as_deref(), self.subject.as_deref());
        let (collection, field) = (policy.collection(), field.name());
        AssociatedData::new(&Place { tenant, collection, field, record, subject })
    }
}
