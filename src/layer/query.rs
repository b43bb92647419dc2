//! Query parameters: a way in for tagged values that this layer closes.

use std::iter;

use crate::error::{Error, ErrorKind};
use crate::policy::Policy;

/// Refuses a query in which a parameter is called like a tagged field, alone or as a part of a compound name such as
/// `customer[phone]`, `filter.phone`, `phone__eq` or `phone!`.
///
/// Storage holds tokens, so such a search finds nothing, and the value would stand in the service's logs.
pub(super) fn check(policy: &Policy, query: Option<&str>) -> Result<(), Error> {
    // Some frameworks end a parameter at a semicolon, too.
    let parameters = query.into_iter().flat_map(|query| query.split(';'));
    for (name, _) in parameters.flat_map(|parameters| form_urlencoded::parse(parameters.as_bytes())) {
        let is_between = |c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-');
        let parts = name.split(is_between).flat_map(|part| part.split("__"));
        // The name of a field may hold any character, so the whole is looked at as well as the parts.
        let mut parts = iter::once(&*name).chain(parts);
        if let Some(field) = parts.find_map(|part| policy.field_called(part)) {
            let field = field.name();
            let message = format!("the query asks for protected field `{field}`, which cannot be searched");
            return Err(Error::new(ErrorKind::Refused, message));
        }
    }
    Ok(())
}
