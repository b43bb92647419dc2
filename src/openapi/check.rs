//! A description compared with a policy.

use std::collections::HashSet;
use std::rc::Rc;

use serde_json::Value;

use super::description::Description;
use super::document::last_name;
use super::finding::{Finding, FindingKind};
use super::graph::{Graph, Group, Step};
use super::looks::{Look, looks_personal};
use super::operations::Parameter;
use super::statement::{Statement, Tagging};
use super::survey::{Sight, survey};
use crate::error::Error;
use crate::policy::{Field, FieldIndex, Path, Policy, Selector};

/// Compares an OpenAPI 3.1 description, or a JSON Schema, with `policy`, and finds what looks personal and is not tagged.
///
/// `records` is as in [`policy`](super::policy). `x-pii: false` at a property says that it is not personal. A test that
/// finds nothing keeps the two together:
///
/// # Errors
///
/// [`ErrorKind::Policy`](crate::ErrorKind::Policy) where the description cannot be followed.
///
/// # Example
///
/// ```
/// use fieldseal::openapi::{self, FindingKind};
/// use fieldseal::{Field, Policy, Tag};
///
/// let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
/// let mut schema = serde_json::json!({"properties": {
///     "phone": {"type": "string"},
///     "email": {"type": "string"},
///     "shop_email": {"type": "string", "x-pii": false},
/// }});
/// let findings = openapi::check(&schema, &policy, &[])?;
/// assert_eq!(findings.len(), 1);
/// assert_eq!(findings[0].kind(), FindingKind::LooksPersonal);
/// assert_eq!(findings[0].pointer(), "/properties/email");
/// # Ok::<(), fieldseal::Error>(())
/// ```
pub fn check(description: &Value, policy: &Policy, records: &[&str]) -> Result<Vec<Finding>, Error> {
    let mut read = Description::new(description, records)?;
    let own = (0..).zip(policy.fields());
    let (owners, paths): (Vec<usize>, Vec<Path>) = own
        .flat_map(|(number, field)| field.paths().iter().map(move |path| (number, Path::parse(path))))
        .filter_map(|(number, path)| Some((number, path.ok()?)))
        .unzip();
    let sights = survey(&mut read, &paths)?;
    let personal: HashSet<&str> =
        sights.iter().filter(|sight| sight.selected.is_some()).map(|sight| &*sight.head).collect();
    let holding = read.graph.leading_to(&read.heads, |group| {
        let is_selected = group.nodes.first().is_some_and(|head| personal.contains(&**head));
        is_selected || matches!(group.statement, Some((_, Statement::Tagged(_))))
    });
    let mut check = Check { policy, owners, paths, holding, graph: read.graph, findings: Vec::new() };
    check.paths_described(&sights);
    check.properties(&sights)?;
    check.parameters(&read.operations.parameters)?;
    let heads = read.roots.iter().map(|root| &*root.head).collect();
    check.media_types(&read.operations.bodies, &heads, &personal)?;
    let mut findings = check.findings;
    read.graph = check.graph;
    if let Some(pointer) = read.unreached_tag(description, !records.is_empty())? {
        let message = "it is tagged, and no body that belongs to the collection is known to hold it".to_owned();
        findings.push(Finding { kind: FindingKind::NotInPolicy, pointer, path: None, field: None, message });
    }
    let mut seen = HashSet::new();
    findings.retain(|finding| {
        let place = if finding.pointer.is_empty() { finding.path.clone() } else { Some(finding.pointer.clone()) };
        seen.insert((finding.kind, place, finding.field.clone()))
    });
    Ok(findings)
}

struct Check<'p, 'd> {
    policy: &'p Policy,
    /// The field of each path.
    owners: Vec<usize>,
    paths: Vec<Path>,
    /// The heads of what holds something that is tagged or selected.
    holding: HashSet<String>,
    graph: Graph<'d>,
    findings: Vec<Finding>,
}

impl Check<'_, '_> {
    fn found(&mut self, kind: FindingKind, pointer: &str, path: Option<&Path>, field: Option<&Field>, message: String) {
        let (path, field) = (path.map(ToString::to_string), field.map(|field| field.name().to_owned()));
        self.findings.push(Finding { kind, pointer: pointer.to_owned(), path, field, message });
    }

    fn paths_described(&mut self, sights: &[Sight]) {
        let described: HashSet<_> = sights.iter().flat_map(|sight| sight.maybe.iter().copied()).collect();
        for path in (0..self.paths.len()).filter(|path| !described.contains(path)) {
            let field = &self.policy.fields()[self.owners[path]];
            let message = format!("no property is here, where the policy has `{}`", field.name());
            self.found(FindingKind::NotDescribed, "", Some(&self.paths[path].clone()), Some(field), message);
        }
    }

    fn properties(&mut self, sights: &[Sight]) -> Result<(), Error> {
        let groups = sights.iter().map(|sight| self.graph.group(&sight.head)).collect::<Result<Vec<_>, _>>()?;
        let is_tagged = |group: &Rc<Group>| matches!(group.statement, Some((_, Statement::Tagged(_))));
        let uses_tags = groups.iter().any(is_tagged);
        for (sight, group) in sights.iter().zip(&groups) {
            let policy = self.policy;
            let field = sight.selected.map(|path| &policy.fields()[self.owners[path]]);
            let path = Some(&sight.path);
            match (field, &group.statement) {
                (Some(field), Some((pointer, Statement::Tagged(tagging)))) => {
                    if let Some(message) = difference(field, tagging) {
                        self.found(FindingKind::TagDiffers, pointer, path, Some(field), message);
                    }
                }
                (Some(field), Some((pointer, Statement::NotPersonal))) => {
                    let message =
                        format!("`x-pii` says that it is not personal, and the policy has it as `{}`", field.name());
                    self.found(FindingKind::NotTagged, pointer, path, Some(field), message);
                }
                (Some(field), None) if uses_tags => {
                    let message = format!("it is not tagged, and the policy has it as `{}`", field.name());
                    self.found(FindingKind::NotTagged, &sight.head, path, Some(field), message);
                }
                (None, Some((pointer, Statement::Tagged(_)))) => {
                    let message = if sight.maybe.is_empty() {
                        "it is tagged, and no path of the policy selects it: it would be stored as it is"
                    } else {
                        "it is tagged, and the policy selects some of its values only"
                    };
                    self.found(FindingKind::NotInPolicy, pointer, path, None, message.to_owned());
                }
                (None, None) => self.look(sight, group),
                (Some(_), None) | (None, Some((_, Statement::NotPersonal))) => {}
            }
        }
        Ok(())
    }

    /// Looks at what nobody says anything about.
    fn look(&mut self, sight: &Sight, group: &Group) {
        let last = sight.path.segments.iter().rev().find_map(|segment| match &segment.selector {
            Selector::Name(name) => Some(&**name),
            Selector::Index(_) | Selector::Elements | Selector::Members | Selector::Wildcard => None,
        });
        let is_index = |name: &str| {
            let own = self.policy.fields().iter().any(|field| field.index_name().as_deref() == Some(name));
            own || self.policy.compound_indexes().iter().any(|index| index.name() == name)
        };
        // What holds others is told by those, and elements have the name of their array.
        let has_elements = group.children.iter().any(|child| matches!(child.step, Step::Element | Step::Index(_)));
        if last.is_some_and(is_index) || has_elements || self.holding.contains(&sight.head) {
            return;
        }
        // The name of the schema that the property stands in tells whether its name is that of a person.
        let holder = sight.head.rsplit_once("/properties/").map(|(holder, _)| last_name(holder));
        let schemas = group.nodes.iter().filter_map(|node| self.graph.document.at(node));
        if let Some(look) = looks_personal(last, holder.as_deref(), schemas) {
            let message = format!("{}, or say `x-pii: false` where it is not", advice(&look));
            self.found(FindingKind::LooksPersonal, &sight.head, Some(&sight.path), None, message);
        }
    }

    fn parameters(&mut self, parameters: &[Parameter]) -> Result<(), Error> {
        for parameter in parameters {
            match self.policy.field_asked_for(&parameter.name).filter(|_| parameter.is_lookup()) {
                Some(index) => self.lookup(parameter, index),
                None => self.other_parameter(parameter)?,
            }
        }
        Ok(())
    }

    /// Looks at a parameter that asks for a field.
    fn lookup(&mut self, Parameter { pointer, place, .. }: &Parameter, index: FieldIndex) {
        let policy = self.policy;
        if policy.indexed_by(index).is_some() {
            let message = format!("the {place} parameter is a blind index, which nobody can send");
            return self.found(FindingKind::NoIndex, pointer, None, None, message);
        }
        let field = policy.field(index);
        if field.index_name().is_none() && !policy.is_part(index) {
            let fate = if place == "query" { "would be refused" } else { "would find nothing, and stand in logs" };
            let message =
                format!("the {place} parameter asks for `{}`, which has no blind index: it {fate}", field.name());
            self.found(FindingKind::NoIndex, pointer, None, Some(field), message);
        }
    }

    fn other_parameter(&mut self, parameter: &Parameter) -> Result<(), Error> {
        let Parameter { pointer, name, place, schemas } = parameter;
        let what = if place == "header" { "header" } else { &format!("{place} parameter") };
        match self.graph.statement_of(parameter)? {
            Some(Statement::NotPersonal) => {}
            Some(Statement::Tagged(_)) => {
                let message = format!("the {what} is tagged, and nothing encrypts it");
                self.found(FindingKind::NotInPolicy, pointer, None, None, message);
            }
            None => {
                let groups = schemas.iter().map(|schema| self.graph.group(schema)).collect::<Result<Vec<_>, _>>()?;
                let nodes = groups.iter().flat_map(|group| &group.nodes);
                let schemas = nodes.filter_map(|node| self.graph.document.at(node));
                if let Some(look) = looks_personal(Some(name), None, schemas) {
                    let message = format!(
                        "the {what} looks like {} by {}, and would stand in logs: take it out, or say `x-pii: false` where \
                         it is not",
                        look.what(),
                        look.sign
                    );
                    self.found(FindingKind::LooksPersonal, pointer, None, None, message);
                }
            }
        }
        Ok(())
    }

    fn media_types(
        &mut self,
        bodies: &[super::operations::Body],
        roots: &HashSet<&str>,
        personal: &HashSet<&str>,
    ) -> Result<(), Error> {
        for body in bodies.iter().filter(|body| !body.is_read() && roots.contains(&*body.schema)) {
            let heads = self.graph.reachable([body.schema.clone()])?;
            if heads.iter().any(|head| personal.contains(&**head)) {
                let message = format!(
                    "`{}` is nothing that the layer reads: no field in it is encrypted or opened",
                    body.media_type
                );
                self.found(FindingKind::NotRead, &body.schema, None, None, message);
            }
        }
        Ok(())
    }
}

fn advice(look: &Look) -> String {
    format!("it looks like {} by {}: tag it, such as `x-pii: {}`", look.what(), look.sign, look.tag)
}

/// How a tag differs from the field of the policy, where it does. What the tag does not mention may stand in the policy.
fn difference(field: &Field, tagging: &Tagging) -> Option<String> {
    let policy = field.name();
    if let Some(name) = tagging.name.as_ref().filter(|name| *name != policy) {
        return Some(format!("it is tagged as field `{name}`, and the policy has it as `{policy}`"));
    }
    let tag = tagging.entry.get("tag").and_then(Value::as_str).unwrap_or_default();
    if tag != field.tag().name() {
        return Some(format!("it is tagged `{tag}`, and the policy has `{policy}` as `{}`", field.tag()));
    }
    // Functions of the user's own stand in the policy alone.
    let own = Tagging::of(field).ok()?;
    let differs = |(name, value): &(&String, &Value)| *name != "paths" && own.entry.get(*name) != Some(*value);
    let (name, _) = tagging.entry.iter().filter(|(name, value)| !is_default(name, value)).find(differs)?;
    Some(format!("`{name}` is another than the policy has for `{policy}`"))
}

/// Whether a part says what holds without it.
fn is_default(name: &str, value: &Value) -> bool {
    *value == Value::Bool(false) && matches!(name, "encrypt_null" | "null_if_unreadable") || value.is_null()
}
