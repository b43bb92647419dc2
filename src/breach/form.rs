//! The form of a dump, told by how it begins.

use crate::error::{Error, ErrorKind};

/// The form of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// SQL text, with `COPY` or `INSERT`, as `pg_dump`, `mysqldump` and `.dump` of SQLite write it.
    Sql,
    /// Comma-separated values (RFC 4180) with a header; semicolons, tabs and bars separate as well.
    Csv,
    /// JSON: one document, or one after the other, such as a line each.
    Json,
    /// A database file of SQLite. Its rows are the caller's to read: [`Survey::row`](super::Survey::row).
    Sqlite,
    /// Anything else: tokens are found in it, but neither rows nor columns.
    Raw,
}

impl Form {
    /// Returns what it is called in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sql => "SQL text",
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Sqlite => "a database file of SQLite",
            Self::Raw => "raw bytes",
        }
    }

    /// Tells the form by the first bytes of the dump, the more the better.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`] where it is empty, or packed: what is packed shows no token.
    pub fn of(beginning: &[u8]) -> Result<Self, Error> {
        let refuse = |message: &str| Err(Error::new(ErrorKind::Malformed, message.to_owned()));
        if beginning.iter().all(u8::is_ascii_whitespace) {
            return refuse("the dump is empty: nothing can be said of what was stolen");
        }
        if let Some((_, name, advice)) = PACKED.iter().find(|(magic, ..)| beginning.starts_with(magic)) {
            return refuse(&format!("the dump is {name}, in which no token can be seen: {advice}"));
        }
        if beginning.get(257..262) == Some(b"ustar") {
            return refuse("the dump is a tar archive: take it apart first, and report on each file");
        }
        if beginning.starts_with(b"SQLite format 3\0") {
            return Ok(Self::Sqlite);
        }
        if beginning.contains(&0) {
            return Ok(Self::Raw);
        }
        let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
        if matches!(text.first(), Some(b'{' | b'[')) {
            return Ok(Self::Json);
        }
        let starts = |word: &&[u8]| text.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
        Ok(if SQL.iter().any(|word| starts(&word.as_bytes())) { Self::Sql } else { Self::Csv })
    }
}

/// How SQL text begins.
const SQL: [&str; 15] = [
    "--", "/*", "\\", "BEGIN", "COPY ", "CREATE ", "INSERT ", "REPLACE ", "PRAGMA ", "SET ", "DROP ", "USE ", "START ",
    "LOCK ", "ALTER ",
];

/// What hides tokens: how it begins, what it is, and what to do.
const PACKED: [(&[u8], &str, &str); 9] = [
    (b"\x1f\x8b", "compressed (gzip)", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)", "unpack it first"),
    (b"BZh", "compressed (bzip2)", "unpack it first"),
    (b"\xfd7zXZ\0", "compressed (xz)", "unpack it first"),
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"PGDMP", "of pg_dump's custom format", "`pg_restore --file=dump.sql` makes text of it"),
    (b"PAR1", "of Parquet", "write it as CSV or JSON first"),
    (b"\xff\xfe", "text in UTF-16", "make UTF-8 of it first"),
    (b"\xfe\xff", "text in UTF-16", "make UTF-8 of it first"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_told_by_the_beginning() {
        for (beginning, form) in [
            (&b"--\n-- PostgreSQL database dump\n"[..], Form::Sql),
            (b"insert into a values (1)", Form::Sql),
            (b"id,phone\n1,x\n", Form::Csv),
            (b"phone\nx\n", Form::Csv),
            (b"\xef\xbb\xbf {\"a\":1}", Form::Json),
            (b"[\n", Form::Json),
            (b"SQLite format 3\0", Form::Sqlite),
            (b"\x00\x01", Form::Raw),
        ] {
            assert_eq!(Form::of(beginning).ok(), Some(form), "{}", beginning.escape_ascii());
        }
        for (beginning, said) in
            [(&b""[..], "empty"), (b"\n \n", "empty"), (b"\x1f\x8b\x08", "gzip"), (b"PGDMP\x01", "pg_restore")]
        {
            assert!(Form::of(beginning).unwrap_err().to_string().contains(said));
        }
    }
}
