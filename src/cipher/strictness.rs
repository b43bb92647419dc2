//! Personal data that nobody tagged, on its way in: refused or told, as the policy says.

use super::field_cipher::FieldCipher;
use crate::error::{Error, ErrorKind};
use crate::json::Cut;
use crate::policy::Strict;
use crate::text::{Personal, Piece};

/// Returns what a piece of text looks like, by its name.
pub(super) fn looks(text: &[u8], cut: Cut) -> Option<&'static str> {
    Piece { text, goes_on_before: cut.before, goes_on_behind: cut.behind }.find().map(Personal::name)
}

impl FieldCipher {
    /// Tells the audit of what looks like `what` at `path`, and refuses it where the policy does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unprotected`].
    pub(super) fn found_personal(&self, what: &'static str, path: &str, count: u64) -> Result<(), Error> {
        self.tell_of_untagged(path, what, count);
        if !self.policy().strict().is_some_and(Strict::refuses) {
            return Ok(());
        }
        let (noun, collection) = (Personal::noun_of(what), self.policy().collection());
        let message = format!(
            "`{path}` holds what looks like {noun}, and no field of `{collection}` protects it there: send it where one \
             does, or not at all"
        );
        Err(Error::new(ErrorKind::Unprotected, message))
    }
}
