//! `fieldseal openapi`.

use std::fmt::Write as _;
use std::fs;
use std::io;

use fieldseal::openapi::{self, Finding};
use serde_json::{Value, json};

use crate::arguments::{DescriptionArguments, OpenapiCommand};
use crate::failure::Failure;
use crate::keyring::read_policy;
use crate::output::Output;

pub(crate) fn run(command: OpenapiCommand, output: &Output) -> Result<(), Failure> {
    match command {
        OpenapiCommand::Check { policy, description } => {
            let findings = read_policy(&policy)
                .and_then(|policy| Ok(openapi::check(&description.read()?, &policy, &description.records())?));
            // What could not be checked is told from what was checked and found wanting.
            let findings = findings.map_err(|failure| match failure {
                Failure::Failed(message) => Failure::Usage(message),
                other => other,
            })?;
            tell(&findings, output)
        }
        OpenapiCommand::Policy { collection, description } => {
            let policy = openapi::policy(&description.read()?, &collection, &description.records())?;
            let toml = policy.to_toml()?;
            output.data(&toml, &json!({ "policy": toml }))
        }
        OpenapiCommand::Annotate { policy, description } => {
            let (policy, mut document) = (read_policy(&policy)?, description.read()?);
            let missing = openapi::annotate(&mut document, &policy, &description.records())?;
            for field in missing {
                output.say(&format!("warning: no property of the description holds `{field}`"));
            }
            output.data(&format!("{document:#}"), &document)
        }
    }
}

fn tell(findings: &[Finding], output: &Output) -> Result<(), Failure> {
    let mut text = String::new();
    for finding in findings {
        let _ = writeln!(text, "{}: {finding}", finding.kind().name());
    }
    if findings.is_empty() {
        text.push_str("nothing found");
    }
    let findings: Vec<_> = findings.iter().map(finding_json).collect();
    let is_clean = findings.is_empty();
    output.data(&text, &json!({ "findings": findings }))?;
    if is_clean { Ok(()) } else { Err(Failure::Found) }
}

fn finding_json(finding: &Finding) -> Value {
    json!({
        "kind": finding.kind().name(),
        "pointer": finding.pointer(),
        "path": finding.path(),
        "field": finding.field(),
        "message": finding.message(),
    })
}

impl DescriptionArguments {
    fn read(&self) -> Result<Value, Failure> {
        let text = if self.schema.as_os_str() == "-" {
            io::read_to_string(io::stdin().lock())
        } else {
            fs::read_to_string(&self.schema)
        };
        let place = self.schema.display();
        let text =
            text.map_err(|error| Failure::Failed(format!("the description `{place}` cannot be read: {error}")))?;
        let unreadable =
            |error| Failure::Failed(format!("the description `{place}` is no JSON that can be read: {error}"));
        serde_json::from_str(&text).map_err(unreadable)
    }

    fn records(&self) -> Vec<&str> {
        self.records.iter().map(String::as_str).collect()
    }
}
