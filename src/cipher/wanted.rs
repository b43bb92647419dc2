//! What one request looks up by truncated indexes.

#[cfg(feature = "layer")]
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use super::field_cipher::FieldCipher;
use super::index::Lookup;
use crate::error::{Error, ErrorKind};
use crate::policy::FieldIndex;

/// Hands out the terms of lookups, and keeps those by truncated indexes, whose matches must be checked: there is no way
/// to the terms of one that is not kept. Refuses them where nobody checks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted(Option<Arc<Mutex<Vec<Lookup>>>>);

impl Wanted {
    /// For who checks what is kept.
    #[cfg(feature = "layer")]
    pub(crate) fn checked() -> Self {
        Self(Some(Arc::default()))
    }

    /// Appends the indexes to ask for where `text` is looked up in `field`, separated by commas.
    ///
    /// # Errors
    ///
    /// As [`FieldCipher::lookup`], and [`ErrorKind::Refused`] where the index is a truncated one and nobody checks the
    /// matches, or the field was asked for before.
    pub(crate) fn write_terms(
        &self,
        cipher: &FieldCipher,
        field: FieldIndex,
        text: &str,
        out: &mut String,
    ) -> Result<(), Error> {
        if cipher.has_full_index(field) {
            return cipher.write_terms_of(field, text, out);
        }
        let lookup = cipher.lookup_of(field, text)?;
        out.push_str(&lookup.terms().join(","));
        let refuse = |what: &str| {
            let field = lookup.policy_field().name();
            Err(Error::new(ErrorKind::Refused, format!("`{field}` {what}")))
        };
        let Some(kept) = &self.0 else {
            return refuse("has a truncated index, whose matches must be checked: look it up in the service");
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.iter().any(|other| other.field() == lookup.field()) {
            return refuse("is asked for twice");
        }
        kept.push(lookup);
        Ok(())
    }

    /// Takes out what was kept.
    #[cfg(feature = "layer")]
    pub(crate) fn take(&self) -> Vec<Lookup> {
        let Some(kept) = &self.0 else { return Vec::new() };
        mem::take(&mut kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
