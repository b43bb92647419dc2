//! The names of tagged fields, in whatever style they are written.

use std::collections::HashSet;

use crate::policy::{Policy, plain_name};

/// What people call the fields of some policies.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    pub(super) fn add(&mut self, policy: &Policy) {
        self.0.extend(policy.plain_names().map(str::to_owned));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `name`, or a part of it such as the last of `customer.phone`, is the name of a tagged field.
    pub(super) fn hold(&self, name: &str) -> bool {
        let is_held = |name: &str| !name.is_empty() && self.0.contains(&*plain_name(name));
        let is_between = |c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-');
        !self.is_empty() && (is_held(name) || name.split(is_between).flat_map(|part| part.split("__")).any(is_held))
    }
}
