//! Forms: `application/x-www-form-urlencoded` (WHATWG URL, section 5).

use std::iter;

use zeroize::Zeroizing;

use super::fields::{self, Sent, Stored};
use crate::cipher::FieldCipher;
use crate::error::{Error, ErrorKind};
use crate::percent::{Decoded, form_name, form_text};
use crate::policy::RecordBinding;
use crate::secret::SecretBuffer;

/// Encrypts the tagged fields of `form`, which are only what changes, if `is_change`. What is not tagged stays as it is
/// spelled.
pub(in super::super) fn encrypt(
    cipher: &FieldCipher,
    is_change: bool,
    form: &str,
    out: &mut SecretBuffer,
) -> Result<(), Error> {
    let parameters: Vec<&str> = form.split('&').collect();
    let mut sent = Vec::new();
    // Which parameter each field is: an empty one is none.
    let mut places = Vec::new();
    for (place, parameter) in parameters.iter().enumerate().filter(|(_, parameter)| !parameter.is_empty()) {
        check_semicolons(cipher, parameter)?;
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let field = Sent { name: decoded(name)?.to_string(), value: decoded(value)? };
        if field.name == "_charset_" && !field.value.eq_ignore_ascii_case("utf-8") {
            return Err(malformed());
        }
        sent.push(field);
        places.push(place);
    }
    let Stored { mut values, added } = fields::encrypt(cipher, is_change, &sent)?;
    let mut added = added.into_iter().peekable();
    let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let mut field = 0;
    for (place, parameter) in parameters.iter().enumerate() {
        if place > 0 {
            put("&");
        }
        if places.get(field) != Some(&place) {
            put(parameter);
            continue;
        }
        match values[field].take() {
            Some(value) => {
                put(parameter.split('=').next().unwrap_or_default());
                put("=");
                put(&encoded(&value));
            }
            None => put(parameter),
        }
        while let Some((_, name, value)) = added.next_if(|(behind, ..)| *behind == field) {
            put("&");
            put(&encoded(&name));
            put("=");
            put(&encoded(&value));
        }
        field += 1;
    }
    Ok(())
}

/// Refuses what is no form, but a document with the wrong media type, which a service that looks at no media type would
/// read with its tagged fields in plaintext. What writes forms encodes these characters.
pub(in super::super) fn check_kind(form: &str) -> Result<(), Error> {
    let begins_otherwise = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
    if form.trim_start_matches(begins_otherwise).starts_with(['{', '[', '"', '<']) {
        let message = "the body is called a form, and begins like a document: send JSON with `Content-Type: \
                       application/json`";
        return Err(Error::new(ErrorKind::UnsupportedMediaType, message));
    }
    Ok(())
}

/// Some frameworks end a parameter at a semicolon, too, so that a tagged one may begin, or end, behind it.
fn check_semicolons(cipher: &FieldCipher, parameter: &str) -> Result<(), Error> {
    if !parameter.contains(';') {
        return Ok(());
    }
    let mut names = iter::once(parameter).chain(parameter.split(';')).filter_map(form_name);
    let policy = cipher.policy();
    let id = policy.record_binding().map(RecordBinding::member);
    let meant = |name: Decoded<'_>| match policy.field_asked_for(&name) {
        Some(field) => Some(format!("protected field `{}`", policy.place_name(field))),
        None => id.filter(|id| **id == *name).map(|id| format!("the record's id, `{id}`,")),
    };
    match names.find_map(meant) {
        Some(meant) => {
            let message = format!("a semicolon stands beside {meant} in the form: encode it as %3B");
            Err(Error::new(ErrorKind::Refused, message))
        }
        None => Ok(()),
    }
}

fn decoded(text: &str) -> Result<Zeroizing<String>, Error> {
    form_text(text).ok_or_else(malformed)
}

fn malformed() -> Error {
    Error::new(ErrorKind::Malformed, "a form is percent-encoded text in UTF-8")
}
