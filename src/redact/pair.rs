//! Names and values as they stand in text: `name=value`, `"name": "value"`, `Struct { name: Some("value") }`.

use std::ops::Range;

use memchr::memchr2;

use super::names::Names;

const QUOTES: [char; 3] = ['"', '\'', '`'];
/// How far in front of a value its name is looked for, so that no text takes long: four times the longest name.
const LONGEST_LOOK: usize = 1024;

/// Returns where the first value of a tagged name stands in `text`, from `from` on.
pub(super) fn value_place(text: &str, from: usize, names: &Names) -> Option<Range<usize>> {
    let mut from = from;
    while let Some(found) = memchr2(b':', b'=', &text.as_bytes()[from..]) {
        let separator = from + found;
        let rest = &text[separator..];
        if rest.starts_with("::") {
            from = separator + 2;
            continue;
        }
        let behind = rest.trim_start_matches([':', '=', '>']);
        from = text.len() - behind.len();
        let writing = Named::before(&text[..separator], names);
        let behind = behind.trim_start();
        let place = writing.and_then(|writing| value_in(behind, writing));
        if let Some(Range { start, end }) = place {
            let offset = text.len() - behind.len();
            return Some(offset + start..offset + end);
        }
    }
    None
}

/// How the tagged name in front of a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Quoted,
    /// As PostgreSQL does: `(name, name)=(value, value)`, with values that it does not escape.
    Listed,
    Bare,
}

impl Named {
    /// Returns how the name that `text` ends with is written, where it is tagged.
    fn before(text: &str, names: &Names) -> Option<Self> {
        let mut start = text.len().saturating_sub(LONGEST_LOOK);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        let text = text[start..].trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '=' | '!' | '<' | '>'));
        if let Some((rest, quote)) = QUOTES.iter().find_map(|quote| Some((text.strip_suffix(*quote)?, *quote))) {
            let name = rest.rsplit(quote).next().unwrap_or(rest);
            return names.hold(name.trim_end_matches('\\')).then_some(Self::Quoted);
        }
        let enclosed = [('(', ')'), ('[', ']')].iter().find_map(|(open, close)| {
            let rest = text.strip_suffix(*close)?;
            Some(&rest[rest.rfind(*open)? + 1..])
        });
        let bare = |text: &str, is_inside: &dyn Fn(char) -> bool| {
            names.hold(&text[text.trim_end_matches(is_inside).len()..]).then_some(Self::Bare)
        };
        let Some(list) = enclosed else { return bare(text, &is_word) };
        let is_held = list.split(',').any(|name| names.hold(name.trim_matches(|c: char| !is_word(c))));
        // As forms have it: `phones[]`, `customer[phones][0]`.
        let in_form = || bare(text, &|c| is_word(c) || matches!(c, '[' | ']'));
        if is_held { Some(Self::Listed) } else { in_form() }
    }
}

/// Returns where in `text`, which begins with a value, the value stands: as far as its own signs tell where it ends, and
/// otherwise to the end of all. Nothing where there is none.
fn value_in(text: &str, named: Named) -> Option<Range<usize>> {
    if text.is_empty() || ["None", "null"].iter().any(|none| text.strip_prefix(none).is_some_and(ends_entry)) {
        return None;
    }
    if named == Named::Listed && text.starts_with('(') {
        return Some(0..text.rfind(')').map_or(text.len(), |last| last + 1));
    }
    let reliable = quoted(text).or_else(|| {
        let end = match text.trim_start_matches(|c| is_word(c) || c == ':') {
            open if open.len() == text.len() => balanced(text).filter(|end| ends_value(&text[*end..])),
            // Of the form that `Debug` gives a struct or variant.
            open => {
                let inner = open.strip_prefix(" {").map_or(open, |_| &open[1..]);
                balanced(inner).map(|end| text.len() - inner.len() + end).filter(|end| ends_entry(&text[*end..]))
            }
        };
        Some(0..end?)
    });
    let number = || {
        let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | '+' | '.' | 'e' | 'E'))?;
        (named == Named::Quoted && end > 0 && ends_entry(&text[end..])).then_some(0..end)
    };
    let place = reliable.or_else(number).unwrap_or(0..text.len());
    (!place.is_empty()).then_some(place)
}

/// The inside of the quotes that `text` begins with. They may be escaped themselves, where text stands in a text.
fn quoted(text: &str) -> Option<Range<usize>> {
    let open = text.trim_start_matches('\\');
    let escapes = text.len() - open.len();
    let quote = open.chars().next().filter(|c| QUOTES.contains(c))?;
    if !(escapes + 1).is_power_of_two() {
        return None;
    }
    let start = escapes + 1;
    let mut run = 0;
    for (at, c) in text[start..].char_indices() {
        if c == '\\' {
            run += 1;
        } else if c == quote && run % (2 * (escapes + 1)) == escapes {
            let close = start + at;
            return ends_value(&text[close + 1..]).then_some(start..close - escapes);
        } else {
            run = 0;
        }
    }
    None
}

/// Returns behind which byte the bracket closes that `text` begins with.
fn balanced(text: &str) -> Option<usize> {
    let mut open = Vec::new();
    let mut quote = None;
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), '\\') => is_escaped = !is_escaped,
            (Some(end), c) => {
                if c == end && !is_escaped {
                    quote = None;
                }
                is_escaped = false;
            }
            (None, '"') => quote = Some('"'),
            (None, '(') => open.push(')'),
            (None, '[') => open.push(']'),
            (None, '{') => open.push('}'),
            (None, ')' | ']' | '}') if open.pop() != Some(c) => return None,
            _ => {}
        }
        if open.is_empty() {
            return (at > 0).then_some(at + c.len_utf8());
        }
    }
    None
}

/// Whether what stands behind a value can do so where the value ends.
fn ends_value(rest: &str) -> bool {
    rest.chars().next().is_none_or(|c| !c.is_alphanumeric() && !QUOTES.contains(&c)) || ends_entry(rest)
}

/// Whether an entry of a struct, map or list ends here.
fn ends_entry(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with([',', '}', ')', ']'])
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}
