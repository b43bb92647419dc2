//! Query parameters and form fields: a way in for tagged values. Those with a blind index become lookups, the others
//! are refused.

use std::borrow::Cow;
use std::mem;

use http::Uri;
use http::uri::PathAndQuery;

use super::bodies::check_untagged;
use crate::cipher::{FieldCipher, Wanted};
use crate::error::{Error, ErrorKind};
use crate::policy::{FieldIndex, Policy};

/// Rewrites the query of `uri`: a parameter called like a field with a blind index becomes one that asks for the index.
///
/// # Errors
///
/// [`ErrorKind::Refused`] where a parameter is called like another tagged field, alone or as a part of a compound name
/// such as `customer[phone]`, `filter.phone`, `phone__eq` or `phone!`: storage holds tokens, so such a search finds
/// nothing, and the value would stand in the service's logs.
pub(super) fn rewrite(cipher: &FieldCipher, wanted: &Wanted, uri: &mut Uri) -> Result<(), Error> {
    let Some(query) = uri.query() else { return Ok(()) };
    let mut target = String::with_capacity(uri.path().len() + query.len() + 64);
    target.push_str(uri.path());
    target.push('?');
    if write_rewritten(cipher, wanted, query, &mut target)? { replace(uri, target) } else { Ok(()) }
}

/// Replaces the path and the query of `uri`.
pub(super) fn replace(uri: &mut Uri, target: String) -> Result<(), Error> {
    let mut parts = mem::take(uri).into_parts();
    let rewritten = PathAndQuery::try_from(target).ok().and_then(|target| {
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).ok()
    });
    *uri = rewritten.ok_or_else(|| Error::new(ErrorKind::Refused, "the request's target becomes too long"))?;
    Ok(())
}

/// The same for parameters in the form of `application/x-www-form-urlencoded`.
pub(super) fn rewrite_parameters<'q>(
    cipher: &FieldCipher,
    wanted: &Wanted,
    parameters: &'q str,
) -> Result<Cow<'q, str>, Error> {
    let mut rewritten = String::with_capacity(parameters.len() + 64);
    let is_lookup = write_rewritten(cipher, wanted, parameters, &mut rewritten)?;
    Ok(if is_lookup { rewritten.into() } else { parameters.into() })
}

/// Appends the parameters, and returns whether one of them became another.
fn write_rewritten(cipher: &FieldCipher, wanted: &Wanted, parameters: &str, out: &mut String) -> Result<bool, Error> {
    let policy = cipher.policy();
    let mut separator = None;
    let mut begin = |out: &mut String| out.extend(separator.replace('&'));
    let mut seen = Vec::new();
    // What is asked for of the fields that several make one index.
    let mut parts: Vec<(FieldIndex, Cow<'_, str>, &str)> = Vec::new();
    for parameter in parameters.split('&') {
        let mut pairs = form_urlencoded::parse(parameter.as_bytes());
        let lookup = pairs.next().and_then(|(name, value)| Some((policy.field_called(&name)?, value)));
        // Some frameworks end a parameter at a semicolon, too, which leaves open what is asked for.
        let lookup = lookup.filter(|_| !parameter.contains(';'));
        let is_part = |field| !is_indexed(policy, field) && policy.indexed_by(field).is_none() && policy.is_part(field);
        if let Some((field, value)) = lookup.as_ref().filter(|(field, _)| is_part(*field)) {
            parts.push((*field, value.clone(), parameter));
            continue;
        }
        let lookup = lookup.filter(|(field, _)| is_indexed(policy, *field));
        let Some((field, value)) = lookup else {
            refuse_field(policy, parameter)?;
            for (name, value) in form_urlencoded::parse(parameter.as_bytes()) {
                check_untagged(cipher, &name, &value)?;
            }
            begin(out);
            out.push_str(parameter);
            continue;
        };
        if seen.contains(&field) {
            let field = policy.field(field).name();
            return Err(Error::new(ErrorKind::Refused, format!("`{field}` is asked for twice")));
        }
        seen.push(field);
        begin(out);
        out.extend(form_urlencoded::byte_serialize(policy.field(field).index_name().unwrap_or_default().as_bytes()));
        out.push('=');
        write_terms(cipher, wanted, field, &value, out)?;
    }
    for (compound, fields) in policy.compounds() {
        if !fields.iter().all(|field| parts.iter().any(|(other, ..)| other == field)) {
            continue;
        }
        let (asked, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(field, ..)| fields.contains(field));
        parts = others;
        let values: Vec<_> = asked.iter().map(|(field, value, _)| (policy.field(*field).name(), &**value)).collect();
        let terms = cipher.compound_lookup(compound.name(), &values).map_err(Error::into_refusal)?;
        begin(out);
        out.extend(form_urlencoded::byte_serialize(compound.name().as_bytes()));
        out.push('=');
        out.push_str(&terms.join(","));
        seen.extend(asked.iter().map(|(field, ..)| *field));
    }
    if let Some((_, _, parameter)) = parts.first() {
        refuse_field(policy, parameter)?;
    }
    Ok(!seen.is_empty())
}

/// Appends the indexes of `value`, separated by commas.
pub(super) fn write_terms(
    cipher: &FieldCipher,
    wanted: &Wanted,
    field: FieldIndex,
    value: &str,
    out: &mut String,
) -> Result<(), Error> {
    let lookup = cipher.lookup_of(field, value).map_err(Error::into_refusal)?;
    wanted.write_terms(lookup, out)
}

fn is_indexed(policy: &Policy, field: FieldIndex) -> bool {
    policy.indexed_by(field).is_none() && policy.field(field).index_name().is_some()
}

/// Refuses a parameter that is called like a tagged field, or like a blind index.
fn refuse_field(policy: &Policy, parameter: &str) -> Result<(), Error> {
    for (name, _) in parameter.split(';').flat_map(|part| form_urlencoded::parse(part.as_bytes())) {
        let Some(field) = policy.field_asked_for(&name) else { continue };
        let name = policy.place_name(field);
        let message = match policy.indexed_by(field) {
            Some(_) => format!("the query asks for `{name}`, which is made from its field, and cannot be sent"),
            None if is_indexed(policy, field) => {
                format!("the query asks for protected field `{name}`, which can only be searched as `{name}=`, once")
            }
            None if policy.is_part(field) => {
                format!(
                    "the query asks for protected field `{name}`, which can only be searched with the others of its index"
                )
            }
            None => format!("the query asks for protected field `{name}`, which cannot be searched"),
        };
        return Err(Error::new(ErrorKind::Refused, message));
    }
    Ok(())
}
