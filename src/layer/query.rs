//! Query parameters and form fields: a way in for tagged values. Those with a blind index become lookups, the others
//! are refused.

use std::borrow::Cow;
use std::mem;

use http::Uri;
use http::uri::PathAndQuery;
use zeroize::Zeroizing;

use super::bodies::check_untagged;
use crate::cipher::{FieldCipher, Wanted};
use crate::error::{Error, ErrorKind};
use crate::percent::{Decoded, form_name, form_pair};
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
    let mut target = Zeroizing::new(String::with_capacity(uri.path().len() + query.len() + 64));
    target.push_str(uri.path());
    target.push('?');
    if write_rewritten(cipher, wanted, query, &mut target)? { replace(uri, mem::take(&mut *target)) } else { Ok(()) }
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
    let mut rewritten = Zeroizing::new(String::with_capacity(parameters.len() + 64));
    let is_lookup = write_rewritten(cipher, wanted, parameters, &mut rewritten)?;
    Ok(if is_lookup { mem::take(&mut *rewritten).into() } else { parameters.into() })
}

/// Appends the parameters, and returns whether one of them became another.
fn write_rewritten(cipher: &FieldCipher, wanted: &Wanted, parameters: &str, out: &mut String) -> Result<bool, Error> {
    let policy = cipher.policy();
    let mut separator = None;
    let mut begin = |out: &mut String| out.extend(separator.replace('&'));
    // Hardly ever is more than one asked for, for which no list is made.
    let mut first = None;
    let mut others = Vec::new();
    // What is asked for of the fields that several make one index.
    let mut parts: Vec<(FieldIndex, Decoded<'_>, &str)> = Vec::new();
    for parameter in parameters.split('&') {
        let lookup = form_pair(parameter).and_then(|(name, value)| Some((policy.field_called(&name)?, value)));
        // Some frameworks end a parameter at a semicolon, too, which leaves open what is asked for.
        let lookup = lookup.filter(|_| !parameter.contains(';'));
        let is_part = |field| !is_indexed(policy, field) && policy.indexed_by(field).is_none() && policy.is_part(field);
        let lookup = match lookup {
            Some((field, value)) if is_part(field) => {
                parts.push((field, value, parameter));
                continue;
            }
            lookup => lookup.filter(|(field, _)| is_indexed(policy, *field)),
        };
        let Some((field, value)) = lookup else {
            refuse_field(policy, parameter)?;
            if let Some((name, value)) = form_pair(parameter) {
                check_untagged(cipher, &name, &value)?;
            }
            begin(out);
            out.push_str(parameter);
            continue;
        };
        if first == Some(field) || others.contains(&field) {
            let field = policy.field(field).name();
            return Err(Error::new(ErrorKind::Refused, format!("`{field}` is asked for twice")));
        }
        if first.is_some() {
            others.push(field);
        }
        first.get_or_insert(field);
        begin(out);
        out.extend(form_urlencoded::byte_serialize(policy.field(field).index_name().unwrap_or_default().as_bytes()));
        out.push('=');
        write_terms(cipher, wanted, field, &value, out)?;
    }
    let mut has_compound = false;
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
        has_compound = true;
    }
    if let Some((_, _, parameter)) = parts.first() {
        refuse_field(policy, parameter)?;
    }
    Ok(first.is_some() || has_compound)
}

/// Appends the indexes of `value`, separated by commas.
pub(super) fn write_terms(
    cipher: &FieldCipher,
    wanted: &Wanted,
    field: FieldIndex,
    value: &str,
    out: &mut String,
) -> Result<(), Error> {
    wanted.write_terms(cipher, field, value, out).map_err(Error::into_refusal)
}

fn is_indexed(policy: &Policy, field: FieldIndex) -> bool {
    policy.indexed_by(field).is_none() && policy.field(field).index().is_some()
}

/// Refuses a parameter that is called like a tagged field, or like a blind index.
fn refuse_field(policy: &Policy, parameter: &str) -> Result<(), Error> {
    for name in parameter.split(';').filter_map(form_name) {
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
