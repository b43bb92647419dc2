//! Descriptions that are made by other crates, with the tags of a policy.
#![cfg(any(feature = "schemars", feature = "utoipa"))]

use std::sync::Arc;

use serde_json::Value;

use super::annotation;
use crate::error::Error;
#[cfg(feature = "utoipa")]
use crate::error::ErrorKind;
use crate::policy::Policy;

/// Writes a policy into descriptions as [`annotate`](super::annotate) does, where other crates make them: a
/// `utoipa::Modify` with the feature `utoipa`, a `schemars::transform::Transform` with the feature `schemars`.
///
/// Neither can fail: what cannot be annotated is left as it is, and told to `tracing` as an error. A test with
/// [`check`](super::check) notices it.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "schemars")] {
/// use fieldseal::openapi::Annotator;
/// use fieldseal::{Field, Policy, Tag};
/// use schemars::{JsonSchema, generate::SchemaSettings};
///
/// #[derive(JsonSchema)]
/// struct Customer {
///     id: u64,
///     phone: String,
/// }
///
/// let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
/// let settings = SchemaSettings::draft2020_12().with_transform(Annotator::new(policy));
/// let schema = settings.into_generator().into_root_schema_for::<Customer>();
/// assert_eq!(schema.as_value()["properties"]["phone"]["x-pii"]["tag"], "phone");
/// # }
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Annotator {
    policy: Arc<Policy>,
    records: Vec<String>,
}

impl Annotator {
    /// Takes the policy.
    pub fn new(policy: impl Into<Arc<Policy>>) -> Self {
        Self { policy: policy.into(), records: Vec::new() }
    }

    /// Names a schema that is a record of the policy's collection, as in [`policy`](super::policy).
    #[must_use]
    pub fn record(mut self, schema: impl Into<String>) -> Self {
        self.records.push(schema.into());
        self
    }

    fn write(&self, description: &mut Value) -> Result<Vec<String>, Error> {
        let records: Vec<_> = self.records.iter().map(String::as_str).collect();
        let mut written = description.clone();
        let (places, _) = annotation::write(&mut written, &self.policy, &records)?;
        *description = written;
        Ok(places)
    }

    fn tell(error: &Error) {
        tracing::error!(%error, "a description was not annotated");
    }
}

#[cfg(feature = "schemars")]
impl schemars::transform::Transform for Annotator {
    fn transform(&mut self, schema: &mut schemars::Schema) {
        let mut description = schema.clone().to_value();
        match self.write(&mut description).map(|_| schemars::Schema::try_from(description)) {
            Ok(Ok(annotated)) => *schema = annotated,
            Ok(Err(_)) => {}
            Err(error) => Self::tell(&error),
        }
    }
}

#[cfg(feature = "utoipa")]
impl utoipa::Modify for Annotator {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        match self.modified(openapi) {
            Ok(annotated) => *openapi = annotated,
            Err(error) => Self::tell(&error),
        }
    }
}

#[cfg(feature = "utoipa")]
impl Annotator {
    fn modified(&self, openapi: &utoipa::openapi::OpenApi) -> Result<utoipa::openapi::OpenApi, Error> {
        let fault = |error: serde_json::Error| Error::new(ErrorKind::Policy, "utoipa's description").with_source(error);
        let mut description = serde_json::to_value(openapi).map_err(fault)?;
        for place in self.write(&mut description)? {
            // utoipa's references hold nothing else.
            if let Some(Value::Object(schema)) = description.pointer_mut(&place)
                && let Some(reference) = schema.remove("$ref")
            {
                schema.insert("allOf".to_owned(), serde_json::json!([{ "$ref": reference }]));
            }
        }
        let annotated: utoipa::openapi::OpenApi = serde_json::from_value(description.clone()).map_err(fault)?;
        if serde_json::to_value(&annotated).map_err(fault)? != description {
            return Err(Error::new(ErrorKind::Policy, "utoipa cannot hold its own description with the tags"));
        }
        Ok(annotated)
    }
}
