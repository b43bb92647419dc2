//! Query parameters and form fields: a way in for tagged values. Those with a blind index become lookups, the others
//! are refused.

use std::borrow::Cow;
use std::iter;

use http::Uri;
use http::uri::PathAndQuery;

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
    if let Cow::Owned(query) = rewrite_parameters(cipher, wanted, query)? {
        replace(uri, &format!("{}?{query}", uri.path()))?;
    }
    Ok(())
}

/// Replaces the path and the query of `uri`.
pub(super) fn replace(uri: &mut Uri, target: &str) -> Result<(), Error> {
    let mut parts = uri.clone().into_parts();
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
    let policy = cipher.policy();
    let mut seen = Vec::new();
    let mut rewritten: Vec<Cow<'q, str>> = Vec::new();
    // What is asked for of the fields that several make one index.
    let mut parts: Vec<(FieldIndex, Cow<'q, str>, &str)> = Vec::new();
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
            rewritten.push(parameter.into());
            continue;
        };
        if seen.contains(&field) {
            let field = policy.field(field).name();
            return Err(Error::new(ErrorKind::Refused, format!("`{field}` is asked for twice")));
        }
        seen.push(field);
        let name = policy.field(field).index_name().unwrap_or_default();
        let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        rewritten.push(format!("{name}={}", terms(cipher, wanted, field, &value)?).into());
    }
    for (compound, fields) in policy.compounds() {
        if !fields.iter().all(|field| parts.iter().any(|(other, ..)| other == field)) {
            continue;
        }
        let (asked, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(field, ..)| fields.contains(field));
        parts = others;
        let values: Vec<_> = asked.iter().map(|(field, value, _)| (policy.field(*field).name(), &**value)).collect();
        let terms = cipher.compound_lookup(compound.name(), &values).map_err(Error::into_refusal)?;
        let name: String = form_urlencoded::byte_serialize(compound.name().as_bytes()).collect();
        rewritten.push(format!("{name}={}", terms.join(",")).into());
        seen.extend(asked.iter().map(|(field, ..)| *field));
    }
    if let Some((_, _, parameter)) = parts.first() {
        refuse_field(policy, parameter)?;
    }
    Ok(if seen.is_empty() { parameters.into() } else { rewritten.join("&").into() })
}

/// Returns the indexes of `value`, separated by commas.
pub(super) fn terms(cipher: &FieldCipher, wanted: &Wanted, field: FieldIndex, value: &str) -> Result<String, Error> {
    let lookup = cipher.lookup_of(field, value).map_err(Error::into_refusal)?;
    wanted.terms(lookup)
}

fn is_indexed(policy: &Policy, field: FieldIndex) -> bool {
    policy.indexed_by(field).is_none() && policy.field(field).index_name().is_some()
}

/// Refuses a parameter that is called like a tagged field, or like a blind index.
fn refuse_field(policy: &Policy, parameter: &str) -> Result<(), Error> {
    for (name, _) in parameter.split(';').flat_map(|part| form_urlencoded::parse(part.as_bytes())) {
        let is_between = |c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-');
        let parts = name.split(is_between).flat_map(|part| part.split("__"));
        // The name of a field may hold any character, so the whole is looked at as well as the parts.
        let mut parts = iter::once(&*name).chain(parts);
        let Some(field) = parts.find_map(|part| policy.field_called(part)) else { continue };
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
