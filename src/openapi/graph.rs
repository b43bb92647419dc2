//! Schemas as a graph: which value each describes, and what stands in that value.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use serde_json::Value;

use super::document::{Document, child, fault};
use super::operations::Parameter;
use super::statement::{Statement, X_PII};
use crate::error::Error;

/// All that is said of one value: the schema at its head, what that refers to and is composed of.
#[derive(Debug)]
pub(super) struct Group {
    /// Where its schemas stand, the head first.
    pub(super) nodes: Vec<String>,
    /// What is said of the value, and where.
    pub(super) statement: Option<(String, Statement)>,
    pub(super) children: Vec<Child>,
}

/// What stands in a value.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) step: Step,
    /// The schema of it.
    pub(super) head: String,
    /// Why no path leads there, and there alone.
    pub(super) obstacle: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Property(String),
    /// A member of any other name.
    Member,
    /// Any element.
    Element,
    Index(u32),
    /// What is no value of its own: a name, a condition, a text that is JSON.
    Aside,
}

/// Keywords whose schemas describe the same value.
const SAME: [&str; 3] = ["if", "then", "else"];
const SAME_EACH: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const ASIDE: [&str; 3] = ["not", "propertyNames", "contentSchema"];

#[derive(Debug)]
pub(super) struct Graph<'d> {
    pub(super) document: Document<'d>,
    groups: HashMap<String, Rc<Group>>,
}

impl<'d> Graph<'d> {
    pub(super) fn new(document: Document<'d>) -> Self {
        Self { document, groups: HashMap::new() }
    }

    /// Returns what is said of the value that the schema at `head` describes.
    pub(super) fn group(&mut self, head: &str) -> Result<Rc<Group>, Error> {
        if let Some(group) = self.groups.get(head) {
            return Ok(Rc::clone(group));
        }
        let group = Rc::new(self.read(head)?);
        self.groups.insert(head.to_owned(), Rc::clone(&group));
        Ok(group)
    }

    /// Returns what is said of `parameter`, at itself or in its schema.
    pub(super) fn statement_of(&mut self, parameter: &Parameter) -> Result<Option<Statement>, Error> {
        let Parameter { pointer, schemas, .. } = parameter;
        let own = self.document.at(pointer).and_then(|parameter| parameter.get(X_PII));
        if let Some(own) = own {
            return Statement::read(pointer, own).map(Some);
        }
        for schema in schemas {
            if let Some((_, statement)) = &self.group(schema)?.statement {
                return Ok(Some(statement.clone()));
            }
        }
        Ok(None)
    }

    /// Returns all heads that are reached from `heads`, themselves first.
    pub(super) fn reachable(&mut self, heads: impl IntoIterator<Item = String>) -> Result<Vec<String>, Error> {
        let mut seen = HashSet::new();
        let mut reached: Vec<String> = heads.into_iter().filter(|head| seen.insert(head.clone())).collect();
        let mut next = 0;
        while let Some(head) = reached.get(next) {
            let group = self.group(head)?;
            let children = group.children.iter().map(|child| &child.head);
            reached.extend(children.filter(|head| seen.insert((*head).clone())).cloned());
            next += 1;
        }
        Ok(reached)
    }

    /// Returns those of `heads`, all of which were reached, from which a group that is wanted is reached.
    pub(super) fn leading_to(&self, heads: &[String], is_wanted: impl Fn(&Group) -> bool) -> HashSet<String> {
        let mut parents: HashMap<&str, Vec<&str>> = HashMap::new();
        let mut pending = Vec::new();
        for head in heads {
            let Some(group) = self.groups.get(head) else { continue };
            for child in &group.children {
                parents.entry(&child.head).or_default().push(head);
            }
            if is_wanted(group) {
                pending.push(&**head);
            }
        }
        let mut leading = HashSet::new();
        while let Some(head) = pending.pop() {
            if leading.insert(head.to_owned()) {
                pending.extend(parents.get(head).into_iter().flatten());
            }
        }
        leading
    }

    fn read(&self, head: &str) -> Result<Group, Error> {
        let mut nodes = Vec::new();
        let mut statements: Vec<(String, Statement)> = Vec::new();
        let mut children = Vec::new();
        let mut seen = HashSet::new();
        // What stands beside a reference is nearer than what it refers to, and overrides it.
        let mut pending = VecDeque::from([(head.to_owned(), false)]);
        while let Some((pointer, is_overridden)) = pending.pop_front() {
            if !seen.insert((pointer.clone(), is_overridden)) {
                continue;
            }
            let schema = match self.document.at(&pointer) {
                Some(Value::Bool(_)) => continue,
                Some(Value::Object(schema)) => schema,
                _ => return Err(fault(&pointer, "a schema is expected here")),
            };
            if schema.contains_key("$dynamicRef") || schema.contains_key("$recursiveRef") {
                return Err(fault(&pointer, "dynamic references cannot be followed: bundle them into plain ones"));
            }
            if schema.contains_key("$id") && !pointer.is_empty() {
                return Err(fault(&pointer, "a schema with an `$id` of its own cannot be followed: take that out"));
            }
            let own = schema.get(X_PII).map(|value| Statement::read(&pointer, value)).transpose()?;
            let overrides = is_overridden || own.is_some();
            if let Some(own) = own.filter(|_| !is_overridden) {
                statements.push((pointer.clone(), own));
            }
            for same in self.same(&pointer, schema)? {
                pending.push_back((same, overrides));
            }
            if !nodes.contains(&pointer) {
                self.add_children(&pointer, schema, &mut children);
                nodes.push(pointer);
            }
        }
        mark_obstacles(&mut children);
        Ok(Group { nodes, statement: agreed(statements)?, children })
    }

    /// The schemas that the one at `pointer` is composed of.
    fn same(&self, pointer: &str, schema: &serde_json::Map<String, Value>) -> Result<Vec<String>, Error> {
        let mut same = Vec::new();
        match schema.get("$ref") {
            None => {}
            Some(Value::String(reference)) => same.push(self.document.target(pointer, reference)?),
            Some(_) => return Err(fault(pointer, "`$ref` is a text")),
        }
        same.extend(SAME.iter().filter(|name| schema.contains_key(**name)).map(|name| child(pointer, name)));
        for name in SAME_EACH {
            same.extend(self.document.elements(&child(pointer, name)));
        }
        same.extend(self.document.members(&child(pointer, "dependentSchemas")).map(|(_, place)| place));
        // OpenAPI 3.1, section 4.8.25: variants that extend this schema, by their place or their name.
        let mapping = schema.get("discriminator").and_then(|discriminator| discriminator.get("mapping"));
        for variant in mapping.and_then(Value::as_object).into_iter().flatten().filter_map(|(_, value)| value.as_str())
        {
            let target = match self.document.record(variant) {
                Ok(target) => target,
                Err(_) => self.document.target(pointer, variant)?,
            };
            same.push(target);
        }
        Ok(same)
    }

    fn add_children(&self, pointer: &str, schema: &serde_json::Map<String, Value>, children: &mut Vec<Child>) {
        let mut add = |step, head, obstacle| children.push(Child { step, head, obstacle });
        for (name, head) in self.document.members(&child(pointer, "properties")) {
            add(Step::Property(name.to_owned()), head, None);
        }
        for (_, head) in self.document.members(&child(pointer, "patternProperties")) {
            add(Step::Member, head, Some("it stands at or below pattern properties, which no path selects"));
        }
        for name in ["additionalProperties", "unevaluatedProperties"] {
            if schema.get(name).is_some_and(Value::is_object) {
                add(Step::Member, child(pointer, name), None);
            }
        }
        let tuples = ["prefixItems", "items"].map(|name| child(pointer, name));
        for place in &tuples {
            for (index, head) in (0..).zip(self.document.elements(place)) {
                add(Step::Index(index), head, None);
            }
        }
        for name in ["items", "contains", "unevaluatedItems", "additionalItems"] {
            if schema.get(name).is_some_and(Value::is_object) {
                add(Step::Element, child(pointer, name), None);
            }
        }
        for name in ASIDE.into_iter().filter(|name| schema.contains_key(*name)) {
            add(Step::Aside, child(pointer, name), Some("it stands where no value does, which no path selects"));
        }
    }
}

/// A wildcard would select what is declared beside as well.
fn mark_obstacles(children: &mut [Child]) {
    let has_names = children.iter().any(|child| matches!(child.step, Step::Property(_)));
    let has_places = children.iter().any(|child| matches!(child.step, Step::Index(_)));
    for child in children {
        let obstacle = match child.step {
            Step::Member if has_names => {
                "it stands at or below additional properties beside others, which no path tells apart"
            }
            Step::Element if has_places => "it stands at or below items behind a prefix, which no path tells apart",
            _ => continue,
        };
        child.obstacle.get_or_insert(obstacle);
    }
}

/// What branches say together: a tag in one of them tags the value, and two tags must be the same.
fn agreed(statements: Vec<(String, Statement)>) -> Result<Option<(String, Statement)>, Error> {
    let mut agreed: Option<(String, Statement)> = None;
    for (pointer, statement) in statements {
        match &agreed {
            Some((place, Statement::Tagged(first))) => match &statement {
                Statement::Tagged(other) if first != other => {
                    return Err(fault(&pointer, &format!("one value is tagged in two ways, here and at `{place}`")));
                }
                _ => {}
            },
            _ => agreed = Some((pointer, statement)),
        }
    }
    Ok(agreed)
}
