//! Lists of records, by their places in a document.

use std::ops::Range;

use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind};
use crate::json::{self, InOrder};
use crate::policy::ListPath;
use crate::secret::SecretBuffer;

/// An array of records, and where its elements stand in the document.
pub(super) struct Array {
    place: Range<usize>,
    elements: Vec<Range<usize>>,
}

impl Array {
    /// Finds the array at the root of `document`, or those at `lists`, in order.
    pub(super) fn all(document: &[u8], lists: &[ListPath]) -> Result<Vec<Self>, Error> {
        let fault = |_| Error::new(ErrorKind::Malformed, "the document is not valid JSON");
        let root: &RawValue = serde_json::from_slice(document).map_err(fault)?;
        let place = |part: &str| {
            let start = part.as_ptr().addr() - document.as_ptr().addr();
            start..start + part.len()
        };
        let (mut found, root_alone) = (Vec::new(), ListPath::root());
        for list in lists.iter().chain([&root_alone]) {
            let mut values = vec![root];
            for name in list.names() {
                let mut members = Vec::new();
                for value in values.into_iter().filter(|value| value.get().starts_with('{')) {
                    let InOrder(all) =
                        serde_json::from_str::<InOrder<&RawValue, &RawValue>>(value.get()).map_err(fault)?;
                    members.extend(all.into_iter().filter(|(key, _)| is_name(key, name)).map(|(_, value)| value));
                }
                values = members;
            }
            for array in values.into_iter().filter(|value| value.get().starts_with('[')) {
                let elements: Vec<&RawValue> = serde_json::from_str(array.get()).map_err(fault)?;
                let elements = elements.into_iter().map(|element| place(element.get())).collect();
                found.push(Self { place: place(array.get()), elements });
            }
        }
        found.sort_by_key(|array| array.place.start);
        found.dedup_by_key(|array| array.place.start);
        Ok(found)
    }

    pub(super) fn elements(&self) -> &[Range<usize>] {
        &self.elements
    }
}

/// Whether the JSON text of a member's name is that of `name`.
fn is_name(key: &RawValue, name: &str) -> bool {
    let text = &key.get().as_bytes()[1..key.get().len() - 1];
    let mut unescaped = Vec::new();
    json::unescape(text, &mut unescaped) && unescaped == name.as_bytes()
}

/// Writes `document` with only those elements of `arrays` that are `kept`, and a comma between them.
pub(super) fn cut(document: &[u8], arrays: &[Array], mut kept: impl FnMut(&Range<usize>) -> bool) -> SecretBuffer {
    let mut out = SecretBuffer::with_capacity(document.len());
    let mut done = 0;
    for Array { place, elements } in arrays {
        // What stands before the comma or bracket behind each element, and what stands between that and the next one.
        let (mut before, end) = (place.start + 1, place.end - 1);
        out.extend_from_slice(&document[done..before]);
        let mut is_first = true;
        for (at, element) in elements.iter().enumerate() {
            let next = elements.get(at + 1).map_or(end, |next| next.start);
            let gap = &document[element.end..next];
            let behind = gap.iter().position(|&byte| byte == b',').map_or(next, |comma| element.end + comma);
            if kept(element) {
                if !is_first {
                    out.extend_from_slice(b",");
                }
                is_first = false;
                out.extend_from_slice(&document[before..behind]);
            } else if behind == end {
                out.extend_from_slice(&document[element.end..end]);
            }
            before = behind + 1;
        }
        done = if elements.is_empty() { place.start + 1 } else { end };
    }
    out.extend_from_slice(&document[done..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(document: &str, lists: &[&str]) -> String {
        let lists: Vec<_> = lists.iter().map(|list| ListPath::parse(list).unwrap()).collect();
        let arrays = Array::all(document.as_bytes(), &lists).unwrap();
        let is_kept = |place: &Range<usize>| document[place.clone()].contains('k');
        str::from_utf8(cut(document.as_bytes(), &arrays, is_kept).as_slice()).unwrap().to_owned()
    }

    #[test]
    fn commas_and_every_other_byte_stay_right() {
        for (document, left) in [
            (r#"["k","k"]"#, r#"["k","k"]"#),
            (r#"["d","k","k"]"#, r#"["k","k"]"#),
            (r#"["k","d","k"]"#, r#"["k","k"]"#),
            (r#"["k","k","d"]"#, r#"["k","k"]"#),
            (r#"["d","k","d"]"#, r#"["k"]"#),
            (r#"["d","d"]"#, "[]"),
            ("[]", "[]"),
            (" [ ] ", " [ ] "),
            ("[\n  \"d\",\n  \"k\"\n]\n", "[\n  \"k\"\n]\n"),
            ("[\n  \"k\",\n  \"d\"\n]\n", "[\n  \"k\"\n]\n"),
            ("[\n  \"d\"\n]", "[\n]"),
            ("[ \"k\" , \"d\" , \"k\" ]", "[ \"k\" , \"k\" ]"),
            (r#"[{"a":["d,","]"]},{"a":"k,[\"]"}]"#, r#"[{"a":"k,[\"]"}]"#),
        ] {
            assert_eq!(dropped(document, &[]), left, "{document}");
            let (around, left) = (
                format!(r#"{{"n":2, "items" :{document},"e":1e999}}"#),
                format!(r#"{{"n":2, "items" :{left},"e":1e999}}"#),
            );
            assert_eq!(dropped(&around, &["$.items[*]"]), left);
        }
    }

    #[test]
    fn lists_are_found_under_every_spelling_and_every_occurrence_of_their_names() {
        let lists = ["$.a.b[*]", "$.c[*]", "$.c[*]"];
        for (document, left) in [
            (r#"{"\u0061":{"b":["d"]},"c":["k","d"]}"#, r#"{"\u0061":{"b":[]},"c":["k"]}"#),
            (r#"{"a":{"b":["d"],"b":["d","k"]},"a":{"b":["d"]}}"#, r#"{"a":{"b":[],"b":["k"]},"a":{"b":[]}}"#),
            (r#"{"b":["d"],"a":["d"],"A":{"b":["d"]}}"#, r#"{"b":["d"],"a":["d"],"A":{"b":["d"]}}"#),
            (r#"{"a":{"b":{"b":["d"]}},"c":null}"#, r#"{"a":{"b":{"b":["d"]}},"c":null}"#),
        ] {
            assert_eq!(dropped(document, &lists), left, "{document}");
        }
    }
}
