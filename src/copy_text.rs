//! What `pg_dump` writes in its plain format: the heads and the cells of `COPY`.

/// Returns the parts of the name of the table, and its columns, where `line` is `COPY schema.table (columns) FROM stdin;`.
pub(crate) fn head(line: &[u8]) -> Option<(Vec<String>, Vec<String>)> {
    let rest = str::from_utf8(line.strip_prefix(b"COPY ")?).ok()?;
    let (name, rest) = identifiers(rest, '.');
    let (columns, rest) = identifiers(rest.strip_prefix(" (")?, ',');
    (rest == ") FROM stdin;").then_some((name, columns))
}

/// Reads identifiers, quoted where need be, with `separator` and maybe a blank between them. Returns what follows.
fn identifiers(mut text: &str, separator: char) -> (Vec<String>, &str) {
    let mut names = Vec::new();
    loop {
        let mut name = String::new();
        if let Some(quoted) = text.strip_prefix('"') {
            text = quoted;
            while let Some((part, rest)) = text.split_once('"') {
                name.push_str(part);
                text = rest;
                let Some(rest) = text.strip_prefix('"') else { break };
                name.push('"');
                text = rest;
            }
        } else {
            let end = text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$'))).unwrap_or(text.len());
            name.push_str(&text[..end]);
            text = &text[end..];
        }
        names.push(name);
        match text.strip_prefix(separator) {
            Some(rest) => text = rest.strip_prefix(' ').unwrap_or(rest),
            None => return (names, text),
        }
    }
}

/// The value of a cell of `COPY` in text format (PostgreSQL, `COPY`, File Formats), or nothing where it is null.
pub(crate) fn unescaped(cell: &[u8]) -> Option<Vec<u8>> {
    if cell == b"\\N" {
        return None;
    }
    let mut value = Vec::with_capacity(cell.len());
    let mut bytes = cell.iter();
    while let Some(&byte) = bytes.next() {
        value.push(match (byte, byte == b'\\') {
            (_, true) => match bytes.next() {
                Some(b'b') => 0x08,
                Some(b'f') => 0x0c,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 0x0b,
                Some(&other) => other,
                None => b'\\',
            },
            (byte, false) => byte,
        });
    }
    Some(value)
}

/// The bytes of a `bytea` in its hexadecimal form.
pub(crate) fn bytes_of(text: &[u8]) -> Option<Vec<u8>> {
    from_hexadecimal(text.strip_prefix(b"\\x")?)
}

/// The bytes that hexadecimal digits stand for.
pub(crate) fn from_hexadecimal(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = || digits.chunks(2).map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()).collect();
    digits.len().is_multiple_of(2).then(bytes)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_a_table_are_read_as_pg_dump_writes_them() {
        let line = "COPY public.customers (id, name, \"Phone \"\"home\"\"\", \"a,b\") FROM stdin;";
        let (name, columns) = head(line.as_bytes()).unwrap();
        assert_eq!(
            (name.join("|"), columns.join("|")),
            ("public|customers".into(), "id|name|Phone \"home\"|a,b".into())
        );
        let (name, _) = head(b"COPY \"My Shop\".\"Customers\" (id) FROM stdin;").unwrap();
        assert_eq!(name, ["My Shop", "Customers"]);
        for line in
            ["COPY customers FROM stdin;", "COPY customers (id) TO stdout;", "COPY", "copy customers (id) FROM stdin;"]
        {
            assert_eq!(head(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn cells_are_read_as_copy_writes_them() {
        for (cell, value) in [
            ("", Some("")),
            ("\\N", None),
            ("\\\\N", Some("\\N")),
            ("a\\tb\\nc\\\\d", Some("a\tb\nc\\d")),
            ("\\b\\f\\r\\v", Some("\u{8}\u{c}\r\u{b}")),
        ] {
            assert_eq!(unescaped(cell.as_bytes()).as_deref(), value.map(str::as_bytes), "{cell}");
        }
        assert_eq!(bytes_of(b"\\x01ff").as_deref(), Some(&[1, 255][..]));
        for text in [&b"\\x0"[..], b"\\x0g", b"x01", b"01"] {
            assert_eq!(bytes_of(text), None);
        }
    }
}
