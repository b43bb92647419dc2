//! What went wrong in a body after it was handed on.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;

/// Carries the error of a request's streamed body to the future that answers the request.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault(Arc<Mutex<Option<Error>>>);

impl Fault {
    pub(super) fn leave(&self, error: Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
