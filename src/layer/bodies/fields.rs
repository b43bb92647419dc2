//! The fields of a form: text by names, which the policy sees as the members of one JSON object.

use std::collections::HashMap;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::cipher::FieldCipher;
use crate::error::{Error, ErrorKind};
use crate::json::InOrder;
use crate::layer::records::is_odd_number;
use crate::percent::form_name;
use crate::policy::{FieldIndex, Policy, RecordBinding, State};
use crate::secret::SecretBuffer;

/// A field as it was sent.
pub(super) struct Sent {
    pub(super) name: String,
    pub(super) value: Zeroizing<String>,
}

/// What becomes of fields.
pub(super) struct Stored {
    /// For each field that was sent, what takes the place of its value; nothing where that stays.
    pub(super) values: Vec<Option<String>>,
    /// Behind which field others are added, with their names and values, in this order.
    pub(super) added: Vec<(usize, String, String)>,
}

/// Where a field stands in the policy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is tagged, or the name of a blind index.
    Value,
    /// It is an element of a list, each of which is sent under the list's name.
    Element,
    Untagged,
}

/// Encrypts the fields of one form, as the members of one document. They are only what changes, if `is_change`.
///
/// # Errors
///
/// As [`FieldCipher::encrypt_json`], and [`ErrorKind::Refused`] for a field that is tagged and stands twice, and for one
/// that is called like a tagged one and is none.
pub(super) fn encrypt(cipher: &FieldCipher, is_change: bool, sent: &[Sent]) -> Result<Stored, Error> {
    check_ids(cipher.policy(), sent)?;
    let members = members(cipher.policy(), sent)?;
    let mut document = SecretBuffer::default();
    write_document(&members, sent, &mut document);
    let mut stream = if is_change { cipher.partial_encryptor() } else { cipher.json_encryptor() };
    let mut stored = SecretBuffer::with_capacity(stream.room_for(document.len()));
    let fed = stream.feed(document.as_slice(), stored.as_mut_vec());
    // No such document was sent, in which something could be pointed at.
    fed.and_then(|()| stream.finish(stored.as_mut_vec())).map_err(|error| error.with_pointer(None))?;

    let mut written = Stored { values: sent.iter().map(|_| None).collect(), added: Vec::new() };
    let mut members = members.iter().peekable();
    let mut last = 0;
    // The cause would quote a value.
    let fault = |_| Error::new(ErrorKind::Malformed, "the fields of the form cannot be read");
    let InOrder(stored) = serde_json::from_slice::<InOrder<String, Value>>(stored.as_slice()).map_err(fault)?;
    for (name, value) in stored {
        let Some(member) = members.next_if(|member| member.name == name) else {
            // A form has no `null`, which the index of an empty text is.
            let value = if value.is_null() { String::new() } else { text(value)? };
            written.added.push((last, name, value));
            continue;
        };
        last = member.fields.last().copied().unwrap_or_default();
        match (member.place, value) {
            (Place::Untagged, _) => {}
            (Place::Element, Value::Array(elements)) => {
                for (&field, element) in member.fields.iter().zip(elements) {
                    written.values[field] = Some(text(element)?);
                }
            }
            (_, value) => written.values[last] = Some(text(value)?),
        }
    }
    Ok(written)
}

/// In a form every id is text, of which the service may make a number: the record that it then stores has another id than
/// the one that its tokens are bound to.
fn check_ids(policy: &Policy, sent: &[Sent]) -> Result<(), Error> {
    let Some(id) = policy.record_binding().map(RecordBinding::member) else { return Ok(()) };
    if sent.iter().any(|field| field.name == id && is_odd_number(&field.value)) {
        let message = format!(
            "the record's id, `{id}`, is a number that the service may spell otherwise: write it without a plus or leading \
             zeros"
        );
        return Err(Error::new(ErrorKind::Refused, message));
    }
    Ok(())
}

/// Whether a field of this name may stand by itself: nothing is to be made of it, and nothing hangs on it.
pub(super) fn is_free(policy: &Policy, name: &str) -> Result<bool, Error> {
    let is_id = policy.record_binding().is_some_and(|binding| binding.member() == name);
    Ok(place(policy, name)?.0 == Place::Untagged && !is_id)
}

/// Looks at a field, or a parameter of a query, that is not tagged and stands by itself, where the policy is strict.
pub(in super::super) fn check_untagged(cipher: &FieldCipher, name: &str, value: &str) -> Result<(), Error> {
    if cipher.policy().strict().is_none() {
        return Ok(());
    }
    let sent = Sent { name: name.to_owned(), value: Zeroizing::new(value.to_owned()) };
    encrypt(cipher, true, &[sent]).map(drop)
}

/// Refuses the name of a file that no form could send.
pub(in super::super) fn check_file_part(policy: &Policy, name: &str) -> Result<(), Error> {
    if !name.is_empty() && is_free(policy, name).unwrap_or(false) {
        return Ok(());
    }
    let message =
        format!("the part `{name}` cannot be a file: it has no name, or that of a protected field or a record");
    Err(Error::new(ErrorKind::Policy, message))
}

/// A member of the document, and the fields that it is made of.
struct Member<'s> {
    name: &'s str,
    place: Place,
    fields: Vec<usize>,
}

fn members<'s>(policy: &Policy, sent: &'s [Sent]) -> Result<Vec<Member<'s>>, Error> {
    let mut members: Vec<Member<'s>> = Vec::new();
    let mut found = HashMap::new();
    for (at, field) in sent.iter().enumerate() {
        let (place, name) = place(policy, &field.name)?;
        if place != Place::Untagged
            && let Some(&member) = found.get(name)
        {
            let member: &mut Member<'_> = &mut members[member];
            if member.place == Place::Value {
                return Err(refused(name, "stands twice, of which only one could be stored"));
            }
            member.fields.push(at);
            continue;
        }
        found.insert(name, members.len());
        members.push(Member { name, place, fields: vec![at] });
    }
    Ok(members)
}

/// Returns where a field of this name stands, and the name of its member.
fn place<'n>(policy: &Policy, name: &'n str) -> Result<(Place, &'n str), Error> {
    let automaton = policy.automaton();
    let root = automaton.start();
    let root = root.record().and_then(FieldIndex::in_record).unwrap_or(root);
    let is_tagged = |state: State| automaton.field(state).is_some();
    if is_tagged(automaton.member(root, name.as_bytes())) {
        return Ok((Place::Value, name));
    }
    let list = name.strip_suffix("[]").unwrap_or(name);
    let state = automaton.member(root, list.as_bytes());
    if is_tagged(automaton.element(state, 0)) || automaton.tells_elements_apart(state) {
        return Ok((Place::Element, list));
    }
    // Other spellings of a name, or of a path, are those of some framework.
    let decoded = name.split('&').find_map(form_name);
    let spellings = [Some(name), decoded.as_deref()];
    if let Some(field) = spellings.into_iter().flatten().find_map(|name| policy.field_asked_for(name)) {
        let message = "is called like it, or like a part of it, but its paths select no such field of a form: name it as \
                       the policy does, add a path, or send JSON";
        return Err(refused(&policy.place_name(field), message));
    }
    Ok((Place::Untagged, name))
}

fn refused(field: &str, problem: &str) -> Error {
    Error::new(ErrorKind::Refused, format!("protected field `{field}`: a field of the form {problem}"))
}

fn write_document(members: &[Member<'_>], sent: &[Sent], out: &mut SecretBuffer) {
    let mut separator = "{";
    for Member { name, place, fields } in members {
        out.extend_from_slice(separator.as_bytes());
        separator = ",";
        write_text(name, out);
        out.extend_from_slice(if *place == Place::Element { b":[" } else { b":" });
        for (at, &field) in fields.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(b",");
            }
            write_text(&sent[field].value, out);
        }
        if *place == Place::Element {
            out.extend_from_slice(b"]");
        }
    }
    out.extend_from_slice(if members.is_empty() { b"{}" } else { b"}" });
}

fn write_text(text: &str, out: &mut SecretBuffer) {
    serde_json::to_writer(out, text).expect("a buffer grows, and text can be written");
}

/// Returns what was stored as the text that a form holds.
fn text(value: Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(Error::new(ErrorKind::Refused, "what becomes of a field of the form is no text")),
    }
}
