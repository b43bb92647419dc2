//! How long bodies may be.

use crate::error::{Error, ErrorKind};

/// Up to this many bytes a body is transformed whole, unless set otherwise.
const WHOLE: u64 = 64 * 1024;

/// How many times as long as a whole body what it becomes may be.
const GROWTH: u64 = 16;

/// To hold so much for each request is too much.
const MUCH: u64 = 64 << 20;

/// Lengths in bytes, of bodies as they come in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Up to here a body is transformed whole; above it is streamed.
    pub(super) whole: u64,
    /// Above here a body is refused.
    pub(super) longest: Option<u64>,
}

impl Limits {
    /// Tells of limits that can hardly be meant.
    pub(super) fn warn(self) {
        let problem = match self {
            Self { longest: Some(0), .. } => "`body_limit` is 0, so that every request with a body is refused",
            Self { whole: 0, .. } => {
                "`whole_body_limit` is 0, so that every form, search and JSON Patch is refused, and every other body flows"
            }
            Self { whole: MUCH.., longest } if longest.is_none_or(|longest| longest >= MUCH) => {
                "`whole_body_limit` is over 64 MiB: a request may hold four times as much in memory, and nothing bounds how \
                 many come at once"
            }
            Self { .. } => return,
        };
        tracing::warn!(target: "fieldseal", "{problem}");
    }

    pub(super) fn check(&self, received: u64) -> Result<(), Error> {
        match self.longest {
            Some(longest) if received > longest => {
                Err(Error::new(ErrorKind::TooLarge, format!("the body is longer than {longest} bytes (`body_limit`)")))
            }
            _ => Ok(()),
        }
    }

    /// Up to here what a body becomes is held whole: a list of short values becomes tokens of many times its length.
    pub(super) fn whole_out(&self) -> usize {
        usize::try_from(self.whole.max(WHOLE).saturating_mul(GROWTH)).unwrap_or(usize::MAX)
    }

    /// A JSON Patch is only understood whole, and so are a form and a search.
    pub(super) fn check_held(&self, received: u64) -> Result<(), Error> {
        if received > self.whole {
            let limit = self.whole;
            let message = format!(
                "a JSON Patch, a form or a search is longer than the {limit} bytes that are held whole (`whole_body_limit`)"
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { whole: WHOLE, longest: None }
    }
}
