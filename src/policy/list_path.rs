//! Where a document holds a list of records.

use super::path::{Path, Segment, Selector};
use crate::error::{Error, ErrorKind};

/// The path of the elements of one array, which stands at the root or in members within members: `$.data.items[*]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListPath {
    /// The names of the members, from the root on.
    names: Vec<String>,
}

impl ListPath {
    /// The elements of an array that is the document.
    pub(crate) fn root() -> Self {
        Self { names: Vec::new() }
    }

    /// Reads a path in the syntax of RFC 9535.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] where it is none, or selects something else than the elements of one array.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let fault = |what: &str| Error::new(ErrorKind::Policy, format!("`{text}` is no path of a list: {what}"));
        let mut segments = Path::parse(text).map_err(|error| fault(error.message))?.segments;
        let end = segments.pop();
        let is_list = |end: Segment| !end.descendant && matches!(end.selector, Selector::Wildcard | Selector::Elements);
        if !end.is_some_and(is_list) {
            return Err(fault("it ends in `[*]` or `[:]`"));
        }
        let name = |segment| match segment {
            Segment { descendant: false, selector: Selector::Name(name) } => Ok(name),
            _ => Err(fault("only names stand before its end")),
        };
        Ok(Self { names: segments.into_iter().map(name).collect::<Result<_, _>>()? })
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_stands_at_the_root_or_below_names() {
        for (text, names) in [
            ("$[*]", &[][..]),
            ("$.items[*]", &["items"]),
            ("$.data['by page'][*]", &["data", "by page"]),
            ("$.items.*", &["items"]),
            ("$.items[:]", &["items"]),
        ] {
            assert_eq!(ListPath::parse(text).unwrap().names(), names, "{text}");
        }
        for text in ["", "$", "$.items", "$..items[*]", "$.items[0]", "$[*].items[*]", "$.items..[*]", "items[*]"] {
            assert_eq!(ListPath::parse(text).unwrap_err().kind(), ErrorKind::Policy, "{text}");
        }
    }
}
