//! A description as a tree of JSON: what it is, and what its references point at.

use serde_json::Value;

use crate::error::{Error, ErrorKind};
use crate::percent::percent_decoded;

/// What a description is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    OpenApi,
    /// A JSON Schema, whose root is the record.
    JsonSchema,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Document<'d> {
    root: &'d Value,
    pub(super) kind: Kind,
}

/// What only schemas have.
const SCHEMA_KEYWORDS: [&str; 10] = [
    "$schema",
    "$ref",
    "$defs",
    "definitions",
    "properties",
    "items",
    "allOf",
    "anyOf",
    "oneOf",
    "additionalProperties",
];

impl<'d> Document<'d> {
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] where `root` is neither OpenAPI 3.1 nor a JSON Schema.
    pub(super) fn new(root: &'d Value) -> Result<Self, Error> {
        let supported = "OpenAPI 3.1 and JSON Schema are supported";
        let kind = match (root.get("openapi"), root.get("swagger")) {
            (Some(Value::String(version)), _) if version == "3.1" || version.starts_with("3.1.") => Kind::OpenApi,
            (Some(Value::String(version)), _) => {
                return Err(fault("", &format!("is OpenAPI {version}, and {supported}: convert it first")));
            }
            (None, Some(_)) => return Err(fault("", &format!("is Swagger 2, and {supported}: convert it first"))),
            (None, None) if SCHEMA_KEYWORDS.iter().any(|keyword| root.get(keyword).is_some()) => Kind::JsonSchema,
            _ => return Err(fault("", &format!("is no description of an API: {supported}"))),
        };
        Ok(Self { root, kind })
    }

    pub(super) fn at(&self, pointer: &str) -> Option<&'d Value> {
        self.root.pointer(pointer)
    }

    /// Returns where the schema called `name` stands.
    pub(super) fn record(&self, name: &str) -> Result<String, Error> {
        let places = match self.kind {
            Kind::OpenApi => &["/components/schemas"][..],
            Kind::JsonSchema => &["/$defs", "/definitions"],
        };
        let mut pointers = places.iter().map(|place| child(place, name));
        let missing = || fault(places[0], &format!("there is no schema `{name}`"));
        pointers.find(|pointer| self.at(pointer).is_some()).ok_or_else(missing)
    }

    /// Returns where `reference`, which stands at `pointer`, points: a fragment of RFC 6901 within this document.
    pub(super) fn target(&self, pointer: &str, reference: &str) -> Result<String, Error> {
        let Some(fragment) = reference.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            let message = "the reference is not one like `#/components/schemas/Customer`: bundle all into one document";
            return Err(fault(pointer, message));
        };
        let target = percent_decoded(fragment).filter(|target| self.at(target).is_some());
        target.map(|target| target.to_string()).ok_or_else(|| fault(pointer, "the reference points at nothing"))
    }

    /// Returns where the object stands that `pointer` is, or refers to.
    pub(super) fn followed(&self, pointer: String) -> Result<String, Error> {
        let mut place = pointer;
        for _ in 0..MOST_HOPS {
            match self.at(&place).and_then(|value| value.get("$ref")) {
                Some(Value::String(reference)) => place = self.target(&place, reference)?,
                _ => return Ok(place),
            }
        }
        Err(fault(&place, "references go round in a circle"))
    }

    /// The members of the object at `pointer`, each with where it stands.
    pub(super) fn members(&self, pointer: &str) -> impl Iterator<Item = (&'d str, String)> {
        let members = self.at(pointer).and_then(Value::as_object);
        members.into_iter().flatten().map(move |(name, _)| (&**name, child(pointer, name)))
    }

    /// The elements of the array at `pointer`.
    pub(super) fn elements(&self, pointer: &str) -> impl Iterator<Item = String> {
        let count = self.at(pointer).and_then(Value::as_array).map_or(0, Vec::len);
        (0..count).map(move |index| format!("{pointer}/{index}"))
    }

    pub(super) fn text(&self, pointer: &str, name: &str) -> Option<&'d str> {
        self.at(pointer)?.get(name)?.as_str()
    }
}

/// The most references in a row that are no schemas'.
const MOST_HOPS: usize = 32;

/// RFC 6901: the pointer of the member called `name`.
pub(super) fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The last name of a pointer.
pub(super) fn last_name(pointer: &str) -> String {
    let last = pointer.rsplit_once('/').map_or("", |(_, last)| last);
    last.replace("~1", "/").replace("~0", "~")
}

/// Says what is wrong at a place of a description.
pub(super) fn fault(pointer: &str, message: &str) -> Error {
    let place = if pointer.is_empty() { String::new() } else { format!(" at `{pointer}`") };
    let colon = if pointer.is_empty() { "" } else { ":" };
    Error::new(ErrorKind::Policy, format!("the description{place}{colon} {message}"))
}
