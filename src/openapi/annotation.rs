//! A description with the tags of a policy.

use std::collections::HashMap;

use serde_json::Value;

use super::description::Description;
use super::document::{fault, last_name};
use super::reading::policy as read_policy;
use super::statement::{Settings, Tagging, X_PII, X_PII_POLICY};
use super::survey::survey;
use crate::error::{Error, ErrorKind};
use crate::policy::{Field, Path, Policy};

/// Writes `policy` into an OpenAPI 3.1 description, or a JSON Schema: `x-pii` at each property that one of its paths
/// selects, and `x-pii-policy` for what it has beside fields. What [`policy`](super::policy) then reads is equal to it.
///
/// `records` is as in [`policy`](super::policy). Returns the names of fields that no property here holds, which the
/// description then does not tell of.
///
/// # Errors
///
/// [`ErrorKind::Policy`] where the description cannot be followed, where one property would belong to two fields, or where
/// the policy has a function of your own, which no description can hold: a mask, a normal form, a check.
///
/// # Example
///
/// ```
/// use fieldseal::{Field, Policy, Tag, openapi};
///
/// let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
/// let mut schema = serde_json::json!({"properties": {"id": {"type": "integer"}, "phone": {"type": "string"}}});
/// assert!(openapi::annotate(&mut schema, &policy, &[])?.is_empty());
/// assert_eq!(schema["properties"]["phone"]["x-pii"]["tag"], "phone");
/// # Ok::<(), fieldseal::Error>(())
/// ```
pub fn annotate(description: &mut Value, policy: &Policy, records: &[&str]) -> Result<Vec<String>, Error> {
    let (places, missing) = write(description, policy, records)?;
    drop(places);
    Ok(missing)
}

/// Does that, and returns where tags were written as well.
pub(super) fn write(
    description: &mut Value,
    policy: &Policy,
    records: &[&str],
) -> Result<(Vec<String>, Vec<String>), Error> {
    let unfit = |problem| Error::new(ErrorKind::Policy, problem);
    let taggings = policy.fields().iter().map(Tagging::of).collect::<Result<Vec<_>, _>>().map_err(unfit)?;
    let settings = Settings::of(policy).map_err(unfit)?;
    let mut read = Description::new(description, records)?;
    let places = places(&mut read, policy)?;
    let settings_place = read.settings_place;
    write_settings(description, &settings_place, &settings);
    for (head, field) in &places {
        tag(description, head, &taggings[*field]);
    }
    // A description from which other paths follow than the policy has holds the paths as well.
    let derived = read_policy(description, policy.collection(), records).ok();
    for (head, number) in &places {
        let field = &policy.fields()[*number];
        let found = derived.as_ref().and_then(|policy| policy.fields().iter().find(|own| own.name() == field.name()));
        if !found.is_some_and(|found| paths(found) == paths(field)) {
            let mut tagging = taggings[*number].clone();
            let written = field.paths().iter().cloned().map(Value::String).collect();
            tagging.entry.insert("paths".to_owned(), Value::Array(written));
            tag(description, head, &tagging);
        }
    }
    let is_missing = |number: &usize| !places.iter().any(|(_, field)| field == number);
    let missing = (0..taggings.len()).filter(is_missing).map(|number| policy.fields()[number].name().to_owned());
    let missing = missing.collect();
    Ok((places.into_iter().map(|(head, _)| head).collect(), missing))
}

/// Which property belongs to which field.
fn places(read: &mut Description<'_>, policy: &Policy) -> Result<Vec<(String, usize)>, Error> {
    let own = policy.fields().iter().enumerate();
    let (owners, paths): (Vec<_>, Vec<_>) =
        own.flat_map(|(number, field)| paths(field).into_iter().map(move |path| (number, path))).unzip();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut places = Vec::new();
    for sight in survey(read, &paths)? {
        let Some(field) = sight.selected.map(|path| owners[path]) else { continue };
        if !read.graph.document.at(&sight.head).is_some_and(Value::is_object) {
            continue;
        }
        match known.insert(sight.head.clone(), field) {
            None => places.push((sight.head, field)),
            Some(other) if other == field => {}
            Some(other) => {
                let [one, other] = [field, other].map(|field| policy.fields()[field].name());
                let message = format!("it belongs to `{one}` in one place and to `{other}` in another");
                return Err(fault(&sight.head, &message));
            }
        }
    }
    Ok(places)
}

fn tag(description: &mut Value, head: &str, tagging: &Tagging) {
    let mut tagging = tagging.clone();
    tagging.name = tagging.name.filter(|name| *name != last_name(head));
    if let Some(Value::Object(schema)) = description.pointer_mut(head) {
        schema.insert(X_PII.to_owned(), tagging.value());
    }
}

fn write_settings(description: &mut Value, place: &str, settings: &Settings) {
    let written = serde_json::to_value(settings).unwrap_or_default();
    if let Some(Value::Object(holder)) = description.pointer_mut(place) {
        if written.as_object().is_some_and(|settings| !settings.is_empty()) {
            holder.insert(X_PII_POLICY.to_owned(), written);
        } else {
            holder.remove(X_PII_POLICY);
        }
    }
}

/// The paths of a field, in any order and one spelling.
fn paths(field: &Field) -> Vec<Path> {
    let mut paths: Vec<_> = field.paths().iter().filter_map(|path| Path::parse(path).ok()).collect();
    paths.sort_by_key(ToString::to_string);
    paths
}
