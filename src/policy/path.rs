//! The subset of JSONPath (RFC 9535) that can be followed while a document passes once.

#[cfg(feature = "openapi")]
use std::fmt;
use std::iter::Peekable;
use std::str::CharIndices;

/// The largest array index that a path can name.
pub(crate) const LARGEST_INDEX: u32 = u32::MAX - 1;

/// The most segments of a path. Each is a step into a document, and no document that is sent in is nested deeper.
pub(crate) const MOST_SEGMENTS: usize = 128;

/// A path: segments from the root on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    pub(crate) descendant: bool,
    pub(crate) selector: Selector,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Selector {
    Name(String),
    Index(u32),
    /// The elements of an array, and no members of an object.
    Elements,
    /// The members of an object, and no elements of an array.
    Members,
    Wildcard,
}

/// What is wrong with a path, and at which character of it, counted from one.
#[derive(Debug, PartialEq)]
pub(crate) struct PathError {
    pub(crate) column: usize,
    pub(crate) message: &'static str,
}

impl Path {
    pub(crate) fn parse(text: &str) -> Result<Self, PathError> {
        let mut parser = Parser { text, rest: text.char_indices().peekable() };
        let segments = parser.segments()?;
        Ok(Self { segments })
    }
}

#[cfg(feature = "openapi")]
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for Segment { descendant, selector } in &self.segments {
            let dots = if *descendant { ".." } else { "" };
            match selector {
                Selector::Name(name) if is_shorthand(name) => {
                    write!(f, "{}{name}", if *descendant { ".." } else { "." })?;
                }
                Selector::Name(name) => {
                    write!(f, "{dots}['")?;
                    for c in name.chars() {
                        match c {
                            '\'' | '\\' => write!(f, "\\{c}")?,
                            '\0'..='\x1f' => write!(f, "\\u{:04x}", u32::from(c))?,
                            c => write!(f, "{c}")?,
                        }
                    }
                    f.write_str("']")?;
                }
                Selector::Index(index) => write!(f, "{dots}[{index}]")?,
                Selector::Elements => write!(f, "{dots}[:]")?,
                Selector::Members => write!(f, "{}{{*}}", if *descendant { ".." } else { "." })?,
                Selector::Wildcard => write!(f, "{dots}[*]")?,
            }
        }
        Ok(())
    }
}

/// Whether a name needs no quotes.
#[cfg(feature = "openapi")]
fn is_shorthand(name: &str) -> bool {
    let is_first = |c: char| c == '_' || c.is_ascii_alphabetic() || !c.is_ascii();
    name.starts_with(is_first) && name.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

const SUBSET: &str = "outside the subset: child, index, wildcard, `[:]`, `.{*}` and descendant segments are understood";

const TOO_LONG: &str =
    "a path has 128 segments at most, as no document is nested deeper; `$..name` selects at every depth";

struct Parser<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
}

impl Parser<'_> {
    fn segments(&mut self) -> Result<Vec<Segment>, PathError> {
        if !self.takes('$') {
            return Err(self.error("a path begins with `$`"));
        }
        let mut segments = Vec::new();
        while self.rest.peek().is_some() {
            if segments.len() == MOST_SEGMENTS {
                return Err(self.error(TOO_LONG));
            }
            let descendant = self.text[self.position()..].starts_with("..");
            if descendant {
                self.rest.next();
            }
            let selector = match self.rest.peek() {
                Some((_, '.')) => {
                    self.rest.next();
                    // `..` may stand before a bracket, a single `.` may not.
                    if descendant && self.takes('[') { self.bracketed()? } else { self.shorthand()? }
                }
                Some((_, '[')) => {
                    self.rest.next();
                    self.bracketed()?
                }
                _ => return Err(self.error("a segment begins with `.`, `..` or `[`")),
            };
            segments.push(Segment { descendant, selector });
        }
        if segments.is_empty() {
            return Err(self.error("the whole document cannot be a field"));
        }
        Ok(segments)
    }

    /// RFC 9535, section 2.5.1.1: `.*` or `.name` with a name that needs no quotes.
    fn shorthand(&mut self) -> Result<Selector, PathError> {
        if self.takes('*') {
            return Ok(Selector::Wildcard);
        }
        // No JSONPath: that has no selector of members alone.
        if self.takes('{') {
            let is_whole = self.takes('*') && self.takes('}');
            return if is_whole { Ok(Selector::Members) } else { Err(self.error(SUBSET)) };
        }
        let is_first = |c: char| c == '_' || c.is_ascii_alphabetic() || !c.is_ascii();
        let start = self.position();
        if !self.rest.peek().is_some_and(|&(_, c)| is_first(c)) {
            return Err(self.error("a name is expected; names with other characters go into brackets and quotes"));
        }
        while self.rest.next_if(|&(_, c)| is_first(c) || c.is_ascii_digit()).is_some() {}
        Ok(Selector::Name(self.text[start..self.position()].to_owned()))
    }

    /// RFC 9535, section 2.3: one selector in brackets.
    fn bracketed(&mut self) -> Result<Selector, PathError> {
        self.skip_blanks();
        let selector = match self.rest.peek() {
            Some(&(_, quote @ ('"' | '\''))) => {
                self.rest.next();
                Selector::Name(self.quoted(quote)?)
            }
            Some((_, '*')) => {
                self.rest.next();
                Selector::Wildcard
            }
            // RFC 9535, section 2.3.4: a slice with nothing said of its bounds.
            Some((_, ':')) => {
                self.rest.next();
                Selector::Elements
            }
            Some((_, '0'..='9')) => self.index()?,
            _ => return Err(self.error(SUBSET)),
        };
        self.skip_blanks();
        if self.takes(']') { Ok(selector) } else { Err(self.error(SUBSET)) }
    }

    fn index(&mut self) -> Result<Selector, PathError> {
        let start = self.position();
        while self.rest.next_if(|(_, c)| c.is_ascii_digit()).is_some() {}
        let digits = &self.text[start..self.position()];
        match digits.parse() {
            Ok(index) if index <= LARGEST_INDEX && (digits == "0" || !digits.starts_with('0')) => {
                Ok(Selector::Index(index))
            }
            _ => Err(self.error("an index is a number below 4,294,967,295 with no leading zero")),
        }
    }

    /// RFC 9535, section 2.3.1.1: a quoted name, with the escapes of JSON.
    fn quoted(&mut self, quote: char) -> Result<String, PathError> {
        let mut name = String::new();
        while let Some((_, c)) = self.rest.next() {
            match c {
                '\\' => name.push(self.escape(quote)?),
                c if c == quote => return Ok(name),
                '\0'..='\x1f' => break,
                c => name.push(c),
            }
        }
        Err(self.error("the quoted name does not end"))
    }

    fn escape(&mut self, quote: char) -> Result<char, PathError> {
        Ok(match self.rest.next() {
            Some((_, 'b')) => '\x08',
            Some((_, 'f')) => '\x0c',
            Some((_, 'n')) => '\n',
            Some((_, 'r')) => '\r',
            Some((_, 't')) => '\t',
            Some((_, c @ ('/' | '\\'))) => c,
            Some((_, c)) if c == quote => c,
            Some((_, 'u')) => {
                let unit = self.hexadecimal()?;
                let code = if (0xd800..0xdc00).contains(&unit) && self.takes('\\') && self.takes('u') {
                    match self.hexadecimal()? {
                        low @ 0xdc00..0xe000 => 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00),
                        _ => unit,
                    }
                } else {
                    unit
                };
                char::from_u32(code).ok_or_else(|| self.error("a surrogate stands alone"))?
            }
            _ => return Err(self.error("no such escape")),
        })
    }

    fn hexadecimal(&mut self) -> Result<u32, PathError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.rest.next_if(|(_, c)| c.is_ascii_hexdigit()).and_then(|(_, c)| c.to_digit(16));
            unit = unit * 16 + digit.ok_or_else(|| self.error("`\\u` is followed by four hexadecimal digits"))?;
        }
        Ok(unit)
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.rest.next_if(|&(_, c)| c == wanted).is_some()
    }

    fn skip_blanks(&mut self) {
        while self.rest.next_if(|(_, c)| matches!(c, ' ' | '\t' | '\n' | '\r')).is_some() {}
    }

    fn position(&mut self) -> usize {
        self.rest.peek().map_or(self.text.len(), |&(at, _)| at)
    }

    fn error(&mut self, message: &'static str) -> PathError {
        let position = self.position();
        PathError { column: self.text[..position].chars().count() + 1, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(bool, Selector)> {
        let path = Path::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        path.segments.into_iter().map(|segment| (segment.descendant, segment.selector)).collect()
    }

    fn name(text: &str) -> Selector {
        Selector::Name(text.to_owned())
    }

    #[test]
    fn the_subset_is_understood() {
        assert_eq!(parsed("$..phone"), [(true, name("phone"))]);
        assert_eq!(parsed("$.customer.phone"), [(false, name("customer")), (false, name("phone"))]);
        assert_eq!(
            parsed("$.items[*].address"),
            [(false, name("items")), (false, Selector::Wildcard), (false, name("address"))]
        );
        assert_eq!(parsed("$[:]..[ : ]"), [(false, Selector::Elements), (true, Selector::Elements)]);
        assert_eq!(parsed("$.{*}..{*}"), [(false, Selector::Members), (true, Selector::Members)]);
        assert_eq!(parsed("$[0]..*"), [(false, Selector::Index(0)), (true, Selector::Wildcard)]);
        assert_eq!(parsed("$..[ 'a b' ]"), [(true, name("a b"))]);
        assert_eq!(parsed(r#"$["it's"]['\'\\\u00e9\ud83d\ude00']"#), [(false, name("it's")), (false, name("'\\é😀"))]);
        assert_eq!(parsed("$.姓名"), [(false, name("姓名"))]);
        assert_eq!(parsed(r"$['\b\f\n\r\t\/']"), [(false, name("\u{8}\u{c}\n\r\t/"))]);
    }

    #[cfg(feature = "openapi")]
    #[test]
    fn a_path_is_written_as_it_is_read() {
        for text in [
            "$.a[*].b",
            "$..phone",
            "$[0]..[*]",
            "$[:]..[:]",
            "$.{*}..{*}.a",
            "$..['a b'][\"it's \\\\ \\u0001\"]",
            "$.姓名['']",
        ] {
            let path = Path::parse(text).unwrap();
            assert_eq!(Path::parse(&path.to_string()).unwrap(), path, "{path}");
        }
        assert_eq!(Path::parse("$['a']['b c'][*]").unwrap().to_string(), "$.a['b c'][*]");
    }

    #[test]
    fn what_is_outside_is_refused_where_it_stands() {
        for (text, column) in [
            ("", 1),
            ("phone", 1),
            ("$", 2),
            ("$phone", 2),
            ("$.", 3),
            ("$..", 4),
            ("$...a", 4),
            ("$.a-b", 4),
            ("$.1a", 3),
            ("$[-1]", 3),
            ("$[01]", 5),
            ("$[4294967295]", 13),
            ("$[99999999999]", 14),
            ("$[1:2]", 4),
            ("$[:2]", 4),
            ("$[::2]", 4),
            ("$.:", 3),
            ("$.{a}", 4),
            ("$.{*", 5),
            ("$[?(@.a)]", 3),
            ("$['a','b']", 6),
            ("$['a'", 6),
            ("$['a]", 6),
            ("$[\"\\x\"]", 6),
            ("$['\\ud800']", 10),
            ("$['\\ud800\\u0041']", 16),
            ("$.a ", 4),
            ("$.[0]", 3),
            ("$.length()", 9),
        ] {
            let error = Path::parse(text).expect_err(text);
            assert_eq!(error.column, column, "{text}: {}", error.message);
        }
    }
}
