//! A description with the bodies that belong to one collection.

use std::collections::HashSet;

use serde_json::Value;

use super::document::{Document, Kind, child, fault, last_name};
use super::graph::{Graph, Group};
use super::operations::Operations;
use super::statement::{Settings, Statement, X_PII};
use crate::error::Error;
use crate::policy::{Segment, Selector};

/// A schema of a whole document, or of a record within one.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) head: String,
    /// The path of what it describes.
    pub(super) path: Vec<Segment>,
}

#[derive(Debug)]
pub(super) struct Description<'d> {
    pub(super) graph: Graph<'d>,
    pub(super) operations: Operations,
    pub(super) roots: Vec<Root>,
    /// The heads that are reached from the roots.
    pub(super) heads: Vec<String>,
    /// Where the settings of the policy stand.
    pub(super) settings_place: String,
}

impl<'d> Description<'d> {
    /// Reads `root`. `records` names schemas that are records of the collection: all that is in a body together with one
    /// belongs to it, and so does every body where none is named.
    pub(super) fn new(root: &'d Value, records: &[&str]) -> Result<Self, Error> {
        let document = Document::new(root)?;
        let mut graph = Graph::new(document);
        let operations = Operations::read(&document)?;
        let mut records = records.iter().map(|name| document.record(name)).collect::<Result<Vec<_>, _>>()?;
        let settings_place = records.first().cloned().unwrap_or_default();
        let names_records = !records.is_empty();
        if document.kind == Kind::JsonSchema && records.is_empty() {
            records.push(String::new());
        }
        let element = Segment { descendant: false, selector: Selector::Elements };
        let list = |head: &String| Root { head: head.clone(), path: vec![element.clone()] };
        let mut roots: Vec<_> =
            records.iter().flat_map(|head| [Root { head: head.clone(), path: Vec::new() }, list(head)]).collect();
        let bodies = || operations.bodies.iter().map(|body| body.schema.clone());
        let holders = if names_records {
            let heads = graph.reachable(bodies())?;
            let is_record = |group: &Group| group.nodes.iter().any(|node| records.contains(node));
            graph.leading_to(&heads, is_record)
        } else {
            bodies().collect()
        };
        let bodies = bodies().filter(|body| holders.contains(body));
        roots.extend(bodies.map(|head| Root { head, path: Vec::new() }));
        if roots.is_empty() {
            return Err(fault("", "has no operation with a body: name the schemas that are records"));
        }
        let heads = graph.reachable(roots.iter().map(|root| root.head.clone()))?;
        Ok(Self { graph, operations, roots, heads, settings_place })
    }

    pub(super) fn settings(&self) -> Result<Settings, Error> {
        Settings::read(&self.settings_place, self.graph.document.at(&self.settings_place))
    }

    /// The heads from which something tagged is reached.
    pub(super) fn leading_to_tags(&self) -> HashSet<String> {
        let is_tagged = |group: &Group| matches!(group.statement, Some((_, Statement::Tagged(_))));
        self.graph.leading_to(&self.heads, is_tagged)
    }

    /// Returns a place that is tagged and was not reached, where it should have been: anywhere, or, of a collection with
    /// records, within what was reached.
    pub(super) fn unreached_tag(&mut self, root: &Value, names_records: bool) -> Result<Option<String>, Error> {
        let parameters = self.operations.parameters.iter().flat_map(|parameter| parameter.schemas.iter().cloned());
        let others = self.graph.reachable(parameters.collect::<Vec<_>>())?;
        let mut reached = HashSet::new();
        for head in self.heads.iter().chain(&others) {
            reached.extend(self.graph.group(head)?.nodes.iter().cloned());
        }
        let mut known = reached.clone();
        known.extend(self.operations.parameters.iter().map(|parameter| parameter.pointer.clone()));
        let mut pending = vec![(String::new(), root, !names_records)];
        while let Some((pointer, value, is_within)) = pending.pop() {
            // Definitions stand within a schema, and say nothing of its values.
            let is_storage = names_records && matches!(&*last_name(&pointer), "$defs" | "definitions");
            let is_within = !is_storage && (is_within || reached.contains(&pointer));
            match value {
                Value::Object(members) => {
                    // A property may be called so, and then it holds a schema.
                    let is_property = pointer.ends_with("/properties");
                    let own = members.get(X_PII).filter(|_| is_within && !is_property && !known.contains(&pointer));
                    if let Some(own) = own
                        && Statement::read(&pointer, own)? != Statement::NotPersonal
                    {
                        return Ok(Some(pointer));
                    }
                    let schemas = members.iter().filter(|(name, _)| !is_data(name) || is_property);
                    pending.extend(schemas.map(|(name, value)| (child(&pointer, name), value, is_within)));
                }
                Value::Array(elements) => {
                    let elements = elements.iter().enumerate();
                    pending.extend(elements.map(|(index, value)| (format!("{pointer}/{index}"), value, is_within)));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

/// Whether what a keyword holds is a value and no schema.
fn is_data(keyword: &str) -> bool {
    matches!(keyword, "example" | "examples" | "default" | "enum" | "const") || keyword.starts_with("x-")
}
