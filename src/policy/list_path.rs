//! Where a document holds a list of records.

use super::field::Field;
use super::path::{Path, Segment, Selector};
use super::policy::Policy;
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

    /// The same for a list of what is found by truncated indexes of `policy`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] also where no field with such an index can stand in its elements.
    pub(crate) fn parse_for(text: &str, policy: &Policy) -> Result<Self, Error> {
        let list = Self::parse(text)?;
        let mut truncated =
            policy.fields().iter().filter(|field| field.index().is_some_and(|index| !index.is_full())).peekable();
        let fault =
            |what: &str| Err(Error::new(ErrorKind::Policy, format!("`{text}` is no path of candidates: {what}")));
        if truncated.peek().is_none() {
            return fault("the policy has no truncated index, and other lookups find no false matches");
        }
        // That at the root is understood in any case, and lets single records be looked up.
        if list == Self::root() {
            return Ok(list);
        }
        let mut paths = truncated.flat_map(Field::paths).filter_map(|path| Path::parse(path).ok());
        if !paths.any(|path| list.may_hold(&path)) {
            return fault("by its paths, no field with a truncated index stands in that list");
        }
        Ok(list)
    }

    /// Whether `path` can select something in the elements.
    fn may_hold(&self, path: &Path) -> bool {
        let names = self.names.iter().map(|name| Some(&**name));
        // How many of the segments may be matched by what leads to an element.
        let mut reached = vec![0];
        for step in names.chain([None]) {
            let mut next = Vec::new();
            for at in reached {
                let Some(Segment { descendant, selector }) = path.segments.get(at) else { continue };
                let takes = match (selector, step) {
                    (Selector::Name(own), Some(name)) => own == name,
                    (Selector::Index(_) | Selector::Elements, None)
                    | (Selector::Members, Some(_))
                    | (Selector::Wildcard, _) => true,
                    _ => false,
                };
                next.extend([descendant.then_some(at), takes.then_some(at + 1)].into_iter().flatten());
            }
            next.sort_unstable();
            next.dedup();
            reached = next;
        }
        !reached.is_empty()
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

    #[test]
    fn a_list_holds_what_a_path_selects_in_its_elements() {
        for (list, path, expected) in [
            ("$[*]", "$..phone", true),
            ("$.items[*]", "$..phone", true),
            ("$.items[*]", "$.items[*].phone", true),
            ("$.items[*]", "$.items[0].phone", true),
            ("$.items[*]", "$.items[*]", true),
            ("$.items[*]", "$..items[:].owner.phone", true),
            ("$.items[*]", "$.*[*].phone", true),
            ("$.items[*]", "$.rows[*].phone", false),
            ("$.items[*]", "$.items.phone", false),
            ("$.items[*]", "$.items", false),
            ("$.items[*]", "$.phone", false),
            ("$.page.rows[*]", "$.page..phone", true),
            ("$.page.rows[*]", "$.rows[*].phone", false),
            ("$[*]", "$.phone", false),
        ] {
            let holds = ListPath::parse(list).unwrap().may_hold(&Path::parse(path).unwrap());
            assert_eq!(holds, expected, "{list} {path}");
        }
    }
}
