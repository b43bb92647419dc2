//! A policy from the tags of a description.

use std::collections::HashSet;

use serde_json::Value;

use super::description::{Description, Root};
use super::document::fault;
use super::graph::{Child, Step};
use super::statement::{Settings, Statement, Tagging};
use crate::error::{Error, ErrorKind};
use crate::policy::{Field, PartEntry, Path, Place, Policy, PolicyBuilder, Segment, Selector};

/// The deepest that tagged values may stand in each other's schemas.
const DEEPEST: usize = 128;
/// The most places at which documents may hold tagged values.
const MOST_PLACES: usize = 10_000;

impl Policy {
    /// Reads a policy from an OpenAPI 3.1 description, or a JSON Schema, in JSON: see [`openapi::policy`](policy).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`].
    pub fn from_openapi(description: &str, collection: &str, records: &[&str]) -> Result<Self, Error> {
        let unreadable =
            |error| Error::new(ErrorKind::Policy, format!("the description is no JSON that can be read: {error}"));
        policy(&serde_json::from_str(description).map_err(unreadable)?, collection, records)
    }
}

/// Reads the policy of `collection` from the `x-pii` in an OpenAPI 3.1 description, or in a JSON Schema.
///
/// `records` names the schemas under `components/schemas` that are records of the collection. Fields then have the paths
/// at which a document holds them that is such a record (`$.phone`), a list of such (`$[*].phone`), or any body of the
/// API in which such a record stands, with all else that is tagged there (`$.items[*].phone`). Where `records` is empty,
/// all that is tagged in any body of the API belongs to the collection; and of a JSON Schema, the root is the record.
///
/// # Errors
///
/// [`ErrorKind::Policy`]; the message holds a JSON Pointer (RFC 6901) to what is wrong. Nothing that is tagged in these
/// bodies is left out: what no path can select is an error.
///
/// # Example
///
/// ```
/// use fieldseal::openapi;
///
/// let description = serde_json::json!({
///     "openapi": "3.1.0",
///     "components": {"schemas": {"Customer": {"properties": {
///         "id": {"type": "integer"},
///         "phone": {"type": "string", "x-pii": "phone"},
///     }}}},
/// });
/// let policy = openapi::policy(&description, "customers", &["Customer"])?;
/// assert_eq!(policy.fields()[0].paths(), ["$.phone", "$[*].phone"]);
/// # Ok::<(), fieldseal::Error>(())
/// ```
pub fn policy(description: &Value, collection: &str, records: &[&str]) -> Result<Policy, Error> {
    let mut read = Description::new(description, records)?;
    let settings = read.settings()?;
    let fields = fields(&mut read)?;
    if let Some(pointer) = read.unreached_tag(description, !records.is_empty())? {
        let message = if records.is_empty() {
            "it is tagged, and in no body of an operation: name the schema that is its record"
        } else {
            "it is tagged, and stands below a keyword that is not followed"
        };
        return Err(fault(&pointer, message));
    }
    let policy = build(collection, &fields, settings, &read.settings_place)?;
    // Those of other collections are not told from ours.
    let parameters = read.operations.parameters.iter().filter(|_| records.is_empty());
    for parameter in parameters {
        let is_tagged = matches!(read.graph.statement_of(parameter)?, Some(Statement::Tagged(_)));
        if is_tagged && !(parameter.is_lookup() && policy.field_asked_for(&parameter.name).is_some()) {
            let message = "a parameter or header is tagged, and nothing encrypts it";
            return Err(fault(&parameter.pointer, message));
        }
    }
    Ok(policy)
}

/// A field as the description has it.
struct Described {
    name: String,
    tagging: Tagging,
    pointer: String,
    paths: Vec<Path>,
}

/// Builds the policy. Elements are selected as people write it, by `[*]`. Where that lets two fields select one value, since
/// it means members as well, they are selected by `[:]`.
fn build(collection: &str, described: &[Described], settings: Settings, place: &str) -> Result<Policy, Error> {
    let mut fields = Vec::new();
    for Described { name, tagging, pointer, .. } in described {
        fields.push(tagging.field(name, pointer, &settings)?);
    }
    let Settings { fresh_prefix_per_field, record, strict, compound_indexes, .. } = settings;
    let mut builder = Policy::builder(collection);
    if fresh_prefix_per_field {
        builder = builder.fresh_prefix_per_field();
    }
    if let Some(record) = record {
        builder = builder.bind_records(record.binding());
    }
    if let Some(strict) = strict {
        builder = builder.strict(strict.strict());
    }
    for (name, parts) in compound_indexes {
        builder = builder.compound_index(PartEntry::index(name, parts, &[]).map_err(|problem| fault(place, &problem))?);
    }
    let with_paths = |write: fn(&Path) -> String| {
        let fields = fields.iter().zip(described).map(|(field, described)| match field.paths() {
            [] => described.paths.iter().map(write).fold(field.clone(), Field::path),
            _ => field.clone(),
        });
        fields.fold(builder.clone(), PolicyBuilder::field).check()
    };
    let policy = with_paths(|path| familiar(path).to_string()).or_else(|_| with_paths(ToString::to_string));
    policy.map_err(|found| match found.place {
        Place::Field(field) | Place::Path(field, _) => fault(&described[field].pointer, &found.message),
        Place::Collection => fault(place, &found.message),
    })
}

/// A path with `[*]` for elements.
fn familiar(path: &Path) -> Path {
    let mut path = path.clone();
    for segment in path.segments.iter_mut().filter(|segment| segment.selector == Selector::Elements) {
        segment.selector = Selector::Wildcard;
    }
    path
}

/// Gathers the fields: those of one name are one, at several paths.
fn fields(read: &mut Description<'_>) -> Result<Vec<Described>, Error> {
    let mut fields: Vec<Described> = Vec::new();
    for Tagged { path, pointer, tagging } in tagged(read)? {
        let last = path.segments.iter().rev().find_map(|segment| match &segment.selector {
            Selector::Name(name) => Some(name.clone()),
            Selector::Index(_) | Selector::Elements | Selector::Members | Selector::Wildcard => None,
        });
        let Some(name) = tagging.name.clone().or(last) else {
            return Err(fault(&pointer, "it stands in no member: give the field a `name` here"));
        };
        match fields.iter_mut().find(|field| field.name == name) {
            Some(field) if field.tagging.entry != tagging.entry => {
                let message =
                    format!("`{name}` is tagged in another way at `{}`: give one of them a `name`", field.pointer);
                return Err(fault(&pointer, &message));
            }
            Some(field) if field.paths.contains(&path) => {}
            Some(field) => field.paths.push(path),
            None => fields.push(Described { name, tagging, pointer, paths: vec![path] }),
        }
    }
    Ok(fields)
}

struct Tagged {
    path: Path,
    pointer: String,
    tagging: Tagging,
}

/// Finds what is tagged, at every path from a root.
fn tagged(read: &mut Description<'_>) -> Result<Vec<Tagged>, Error> {
    let leading = read.leading_to_tags();
    let roots = std::mem::take(&mut read.roots);
    let mut walk = Walk { read, leading, open: Vec::new(), found: Vec::new() };
    for Root { head, path } in &roots {
        walk.visit(head, &mut path.clone(), None, None)?;
    }
    let found = walk.found;
    read.roots = roots;
    Ok(found)
}

struct Walk<'r, 'd> {
    read: &'r mut Description<'d>,
    leading: HashSet<String>,
    open: Vec<Open>,
    found: Vec<Tagged>,
}

/// A schema that is being walked through.
struct Open {
    head: String,
    is_recursive: bool,
}

impl Walk<'_, '_> {
    /// Walks through the schema at `head`, at `path`. `within` is what is tagged around it, and `obstacle` is why no path
    /// leads here.
    fn visit(
        &mut self,
        head: &str,
        path: &mut Vec<Segment>,
        obstacle: Option<&'static str>,
        within: Option<&str>,
    ) -> Result<(), Error> {
        if !self.leading.contains(head) {
            return Ok(());
        }
        if let Some(open) = self.open.iter_mut().find(|open| open.head == head) {
            open.is_recursive = true;
            return Ok(());
        }
        if self.open.len() == DEEPEST || self.found.len() == MOST_PLACES {
            return Err(fault(head, "schemas are nested too deep, or what is tagged stands at too many places"));
        }
        let group = self.read.graph.group(head)?;
        let first = self.found.len();
        let mut within = within;
        if let Some((pointer, Statement::Tagged(tagging))) = &group.statement {
            let problem = match (within, obstacle) {
                (Some(outer), _) => Some(format!("it is tagged within what is encrypted whole, at `{outer}`")),
                (None, Some(obstacle)) => Some(format!("it is tagged, and {obstacle}")),
                (None, None) if path.is_empty() => {
                    Some("a whole document is tagged, which cannot be a field".to_owned())
                }
                (None, None) => None,
            };
            if let Some(problem) = problem {
                return Err(fault(pointer, &problem));
            }
            let path = Path { segments: path.clone() };
            self.found.push(Tagged { path, pointer: pointer.clone(), tagging: tagging.clone() });
            within = Some(pointer);
        }
        self.open.push(Open { head: head.to_owned(), is_recursive: false });
        for Child { step, head, obstacle: own } in &group.children {
            path.push(Segment { descendant: false, selector: selector(step) });
            self.visit(head, path, obstacle.or(*own), within)?;
            path.pop();
        }
        if self.open.pop().is_some_and(|open| open.is_recursive) {
            for tagged in &mut self.found[first..] {
                shorten(&mut tagged.path, path.len()).map_err(|problem| fault(&tagged.pointer, problem))?;
            }
        }
        Ok(())
    }
}

fn selector(step: &Step) -> Selector {
    match step {
        Step::Property(name) => Selector::Name(name.clone()),
        Step::Index(index) => Selector::Index(*index),
        Step::Element => Selector::Elements,
        Step::Member | Step::Aside => Selector::Wildcard,
    }
}

/// Lets a path through a schema that holds itself, which begins behind `kept` segments, select at any depth.
fn shorten(path: &mut Path, kept: usize) -> Result<(), &'static str> {
    let (_, behind) = path.segments.split_at(kept);
    if behind.is_empty() {
        return Ok(());
    }
    let is_name = |segment: &Segment| matches!(segment.selector, Selector::Name(_));
    let last = behind.iter().rposition(is_name);
    let last =
        last.ok_or("it is tagged, and stands in a schema that holds itself, under no name that a path could select")?;
    path.segments.drain(kept..kept + last);
    path.segments[kept].descendant = true;
    Ok(())
}
