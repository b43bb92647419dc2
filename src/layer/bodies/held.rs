//! Bodies that are only understood as a whole.

use super::{form, search};
use crate::cipher::{FieldCipher, Wanted};
use crate::error::{Error, ErrorKind};
use crate::layer::limits::Limits;
use crate::layer::query::rewrite_parameters;
use crate::percent::decode;
use crate::secret::SecretBuffer;

/// A body on its way in, until all of it is there.
#[derive(Debug)]
pub(in super::super) struct Held {
    cipher: FieldCipher,
    kind: HeldKind,
    body: SecretBuffer,
}

/// What is held.
#[derive(Debug)]
pub(in super::super) enum HeldKind {
    JsonPatch,
    /// The fields of a form, which are only what changes, if so.
    Form {
        is_change: bool,
    },
    FormSearch(Wanted),
    JsonSearch(Wanted),
}

impl Held {
    pub(in super::super) fn new(cipher: FieldCipher, kind: HeldKind) -> Self {
        Self { cipher, kind, body: SecretBuffer::default() }
    }

    pub(in super::super) fn cipher(&self) -> &FieldCipher {
        &self.cipher
    }

    /// Keeps a piece, and returns its length.
    pub(in super::super) fn hold(&mut self, piece: &[u8], limits: Limits, received: u64) -> Result<usize, Error> {
        limits.check_held(received)?;
        self.body.extend_from_slice(piece);
        Ok(piece.len())
    }

    /// Writes what it becomes.
    pub(in super::super) fn encrypt(&self, limits: Limits, out: &mut SecretBuffer) -> Result<(), Error> {
        // What is at fault stands in a document that is made of it, or that it changes.
        self.write(limits, out).map_err(|error| error.with_pointer(None))
    }

    fn write(&self, limits: Limits, out: &mut SecretBuffer) -> Result<(), Error> {
        let Self { cipher, kind, body } = self;
        match kind {
            HeldKind::JsonPatch => {
                *out.as_mut_vec() = cipher.encrypt_json_patch_within(body.as_slice(), limits.whole_out())?;
            }
            HeldKind::Form { is_change } => form::encrypt(cipher, *is_change, self.form()?, out)?,
            HeldKind::FormSearch(wanted) => {
                out.extend_from_slice(rewrite_parameters(cipher, wanted, self.form()?)?.as_bytes());
            }
            HeldKind::JsonSearch(wanted) => search::encrypt(cipher, wanted, body.as_slice(), out)?,
        }
        Ok(())
    }

    /// Returns the text of a form in which no token stands.
    fn form(&self) -> Result<&str, Error> {
        let fault = || Error::new(ErrorKind::Malformed, "a form is text in UTF-8");
        let form = str::from_utf8(self.body.as_slice()).map_err(|_| fault())?;
        form::check_kind(form)?;
        self.cipher.refuse_token(joined(form).as_slice())?;
        Ok(form)
    }
}

/// All names and values of a form, as it is decoded (WHATWG URL, section 5.1), with a line break behind each.
fn joined(form: &str) -> SecretBuffer {
    let mut text = SecretBuffer::with_capacity(form.len() * 2);
    for parameter in form.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        for part in [name, value] {
            text.reserve(part.len());
            decode(part, b' ', text.as_mut_vec());
            text.extend_from_slice(b".\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded_as_form_urlencoded_does() {
        for form in
            ["", "a=b", "a+b=%2B65+9%31&&c&=d&e==f=", "%zz=%1&%=%%41&%e9=%C3%A9", "a%26b=c%3Dd", "a=%4", "=", "&", "+"]
        {
            let mut expected = String::new();
            for (name, value) in form_urlencoded::parse(form.as_bytes()) {
                expected.extend([&name, ".\n", &value, ".\n"]);
            }
            assert_eq!(String::from_utf8_lossy(joined(form).as_slice()), expected, "{form}");
        }
    }
}
