//! The response to a lookup by a truncated index, until its false matches are dropped.

use std::fmt;
use std::sync::Arc;

use super::limits::Limits;
use crate::cipher::{FieldCipher, Lookup};
use crate::error::{Error, ErrorKind};
use crate::policy::ListPath;
use crate::secret::SecretBuffer;

/// A response that is opened only as a whole, and without what was not asked for.
pub(super) struct Candidates {
    cipher: FieldCipher,
    wanted: Vec<Lookup>,
    lists: Arc<[ListPath]>,
    /// Whether its status says that the service found nothing, or failed.
    is_error: bool,
    held: SecretBuffer,
}

impl Candidates {
    pub(super) fn new(cipher: FieldCipher, (wanted, lists): (Vec<Lookup>, Arc<[ListPath]>), is_error: bool) -> Self {
        Self { cipher, wanted, lists, is_error, held: SecretBuffer::default() }
    }

    /// Keeps a piece, and returns its length.
    pub(super) fn hold(&mut self, piece: &[u8], limits: Limits, received: u64) -> Result<usize, Error> {
        if received > limits.whole {
            let message = format!(
                "the response to a lookup by a truncated index is longer than the {} bytes that are held whole: return \
                 fewer candidates, lengthen the index, or raise `FieldEncryptionLayer::whole_body_limit`",
                limits.whole
            );
            return Err(Error::new(ErrorKind::Service, message));
        }
        self.held.extend_from_slice(piece);
        Ok(piece.len())
    }

    /// Drops what does not match, and decrypts the rest.
    pub(super) fn open(&self, out: &mut SecretBuffer) -> Result<(), Error> {
        let Self { cipher, wanted, lists, is_error, held } = self;
        let kept = cipher.drop_false_matches(wanted, lists, held.as_slice(), *is_error)?;
        let mut stream = cipher.json_decryptor();
        out.reserve(kept.len());
        stream.feed(kept.as_slice(), out.as_mut_vec())?;
        stream.finish(out.as_mut_vec())
    }
}

impl fmt::Debug for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidates").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}
