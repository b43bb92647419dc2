//! What the operations of an API send and receive.

use std::collections::HashSet;

use super::document::{Document, Kind, child};
use crate::error::Error;

/// A body of a request or a response.
#[derive(Debug)]
pub(super) struct Body {
    /// Where its schema stands.
    pub(super) schema: String,
    pub(super) media_type: String,
}

/// A parameter of a request, or a header of a response.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) pointer: String,
    pub(super) name: String,
    /// `query`, `path`, `header` or `cookie`.
    pub(super) place: String,
    pub(super) schemas: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Operations {
    pub(super) bodies: Vec<Body>,
    pub(super) parameters: Vec<Parameter>,
}

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

impl Operations {
    /// Reads the operations of paths, webhooks and callbacks.
    pub(super) fn read(document: &Document<'_>) -> Result<Self, Error> {
        let mut operations = Self::default();
        if document.kind == Kind::JsonSchema {
            return Ok(operations);
        }
        let mut pending = Vec::new();
        for place in ["/paths", "/webhooks"] {
            pending.extend(document.members(place).filter(|(name, _)| !name.starts_with("x-")).map(|(_, item)| item));
        }
        let mut seen = HashSet::new();
        pending.reverse();
        while let Some(item) = pending.pop() {
            let item = document.followed(item)?;
            if !seen.insert(item.clone()) {
                continue;
            }
            operations.add_parameters(document, &item)?;
            for method in METHODS {
                let operation = child(&item, method);
                if document.at(&operation).is_none() {
                    continue;
                }
                operations.add_parameters(document, &operation)?;
                operations.add_bodies(document, child(&operation, "requestBody"))?;
                for (_, response) in document.members(&child(&operation, "responses")) {
                    let response = document.followed(response)?;
                    operations.add_bodies(document, response.clone())?;
                    for (name, header) in document.members(&child(&response, "headers")) {
                        operations.add_parameter(document, header, Some((name, "header")))?;
                    }
                }
                for (_, callback) in document.members(&child(&operation, "callbacks")) {
                    let callback = document.followed(callback)?;
                    let items = document.members(&callback).filter(|(name, _)| !name.starts_with("x-"));
                    pending.extend(items.map(|(_, item)| item));
                }
            }
        }
        Ok(operations)
    }

    fn add_parameters(&mut self, document: &Document<'_>, holder: &str) -> Result<(), Error> {
        for parameter in document.elements(&child(holder, "parameters")) {
            self.add_parameter(document, parameter, None)?;
        }
        Ok(())
    }

    fn add_parameter(
        &mut self,
        document: &Document<'_>,
        pointer: String,
        known: Option<(&str, &str)>,
    ) -> Result<(), Error> {
        let pointer = document.followed(pointer)?;
        if self.parameters.iter().any(|parameter| parameter.pointer == pointer) {
            return Ok(());
        }
        let text = |name| document.text(&pointer, name).unwrap_or_default();
        let (name, place) = known.unwrap_or_else(|| (text("name"), text("in")));
        let (name, place) = (name.to_owned(), place.to_owned());
        let own = child(&pointer, "schema");
        let content = child(&pointer, "content");
        let contents = document.members(&content).map(|(_, media)| child(&media, "schema"));
        let schemas = std::iter::once(own).chain(contents).filter(|schema| document.at(schema).is_some()).collect();
        self.parameters.push(Parameter { pointer, name, place, schemas });
        Ok(())
    }

    fn add_bodies(&mut self, document: &Document<'_>, holder: String) -> Result<(), Error> {
        let holder = document.followed(holder)?;
        for (media_type, media) in document.members(&child(&holder, "content")) {
            let schema = child(&media, "schema");
            let is_new = !self.bodies.iter().any(|body| body.schema == schema);
            if is_new && document.at(&schema).is_some() {
                self.bodies.push(Body { schema, media_type: media_type.to_owned() });
            }
        }
        Ok(())
    }
}

impl Parameter {
    /// Whether the layer makes a lookup of it.
    pub(super) fn is_lookup(&self) -> bool {
        matches!(&*self.place, "query" | "path")
    }
}

impl Body {
    /// Whether the layer looks into it.
    pub(super) fn is_read(&self) -> bool {
        let essence = self.media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let Some((kind, subtype)) = essence.split_once('/') else { return false };
        let is_lines = matches!(subtype, "x-ndjson" | "ndjson" | "jsonl" | "x-jsonl" | "jsonlines" | "x-jsonlines");
        let is_form = matches!(&*essence, "application/x-www-form-urlencoded" | "multipart/form-data");
        is_form
            || essence == "text/event-stream"
            || subtype == "json"
            || subtype.ends_with("+json")
            || is_lines
            || subtype == "*" && matches!(kind, "*" | "application")
    }
}
