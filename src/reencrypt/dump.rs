//! A scan of a dump: the text that `pg_dump` writes.

use std::io::{BufRead, Read as _};

use super::report::Scan;
use super::table::{Content, EncryptedTable};
use crate::cipher::{Direction, Finding, Migration};
use crate::copy_text::{self, bytes_of, unescaped};
use crate::error::{Error, ErrorKind};

/// The longest line that is read, in bytes.
const LONGEST_LINE: u64 = 256 << 20;

impl EncryptedTable {
    /// Looks through a dump of this table as [`scan`](Self::scan) does through the table: for backups, whose tokens need
    /// their keys as well, and for what was stolen.
    ///
    /// Reads what `pg_dump` writes in its plain format, with `COPY`. Rows have no key there: their places are the lines of
    /// the dump, from 1. Where the policy binds tokens to records, the column of that name tells the records apart. A file of SQLite is a database, which [`scan`](Self::scan) reads. Blocks on `dump`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`] where the dump cannot be read, ends within the table, or holds no `COPY` of it with its
    /// columns. A document that cannot be read is no error, but counted.
    pub fn scan_dump(&self, mut dump: impl BufRead) -> Result<Scan, Error> {
        let mut scan = Scan::begin();
        let mut migration = Migration::new(&self.cipher, Direction::Look)?;
        let mut lines = Lines { dump: &mut dump, number: 0, line: Vec::new() };
        let mut is_found = false;
        while let Some(line) = lines.next()? {
            let Some(names) = copied_columns(line, &self.name) else { continue };
            is_found = true;
            let places = self.columns.iter().map(|column| {
                let missing = || database(format!("the dump of table `{}` has no column `{}`", self.name, column.name));
                names.iter().position(|name| *name == column.name).ok_or_else(missing)
            });
            let places = places.collect::<Result<Vec<_>, _>>()?;
            let id_place = self.cipher.policy().record_binding().map(|binding| {
                let member = binding.member();
                let missing = || {
                    let message = format!("the dump of table `{}` has no column `{member}`", self.name);
                    database(format!("{message}, the id that its tokens are bound to"))
                };
                names.iter().position(|name| name == member).ok_or_else(missing)
            });
            let id_place = id_place.transpose()?;
            loop {
                let number = lines.number + 1;
                let Some(line) = lines.next()? else {
                    return Err(database(format!("the dump ends within table `{}`", self.name)));
                };
                if line == b"\\." {
                    break;
                }
                let cells: Vec<&[u8]> = line.split(|&byte| byte == b'\t').collect();
                if cells.len() != names.len() {
                    return Err(database(format!(
                        "line {number} of the dump has another number of columns than its table"
                    )));
                }
                if let Some(place) = id_place {
                    migration.begin_row(&String::from_utf8_lossy(&unescaped(cells[place]).unwrap_or_default()));
                }
                let mut unread = Vec::new();
                for (column, &place) in self.columns.iter().zip(&places) {
                    let Some(text) = unescaped(cells[place]) else { continue };
                    let bytes = bytes_of(&text).filter(|_| matches!(column.content, Content::Field(_)));
                    let (cell, is_binary) = bytes.map_or((text, false), |bytes| (bytes, true));
                    let moved = column.moved(&mut migration, &cell, is_binary, &mut unread);
                    moved.map_err(|error| {
                        let message =
                            format!("line {number} of the dump, column `{}`, cannot be looked into", column.name);
                        Error::new(error.kind(), message).with_source(error)
                    })?;
                }
                scan.count_row();
                for (field, finding) in migration.end_row() {
                    scan.count(self.cipher.policy().field(field).name(), finding, || format!("line {number}"));
                }
                for column in unread {
                    scan.count(column, Finding::Unreadable(None), || format!("line {number}"));
                }
            }
        }
        if is_found {
            return Ok(scan);
        }
        let message =
            format!("the dump holds no `COPY` of table `{}`: is it one of pg_dump in its plain format?", self.name);
        Err(database(message))
    }
}

struct Lines<'d, D> {
    dump: &'d mut D,
    number: u64,
    line: Vec<u8>,
}

impl<D: BufRead> Lines<'_, D> {
    /// Returns the next line without its end, or nothing after the last.
    fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        self.line.clear();
        let length = self.dump.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.line);
        let length = length.map_err(|error| database("the dump cannot be read").with_source(error))?;
        self.number += 1;
        match self.line.pop_if(|byte| *byte == b'\n') {
            _ if length == 0 => Ok(None),
            None if length as u64 == LONGEST_LINE => Err(database("a line of the dump is longer than 256 MiB")),
            _ => Ok(Some(&self.line)),
        }
    }
}

/// Returns the columns of `COPY schema.table (columns) FROM stdin;` where that is what `line` says of `table`.
fn copied_columns(line: &[u8], table: &str) -> Option<Vec<String>> {
    let (name, columns) = copy_text::head(line)?;
    let wanted: Vec<_> = table.split('.').collect();
    let is_wanted = name.len() >= wanted.len() && name[name.len() - wanted.len()..] == wanted[..];
    is_wanted.then_some(columns)
}

fn database(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Database, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_told_by_its_name_with_or_without_its_schema() {
        let columns = |line: &str, table: &str| copied_columns(line.as_bytes(), table).map(|names| names.join("|"));
        let line = "COPY public.customers (id, name, \"Phone \"\"home\"\"\", \"a,b\") FROM stdin;";
        for table in ["customers", "public.customers"] {
            assert_eq!(columns(line, table).as_deref(), Some("id|name|Phone \"home\"|a,b"));
        }
        for table in ["customer", "other.customers", "a.public.customers", ""] {
            assert_eq!(columns(line, table), None, "{table}");
        }
        let quoted = "COPY \"My Shop\".\"Customers\" (id) FROM stdin;";
        assert_eq!(columns(quoted, "My Shop.Customers").as_deref(), Some("id"));
    }
}
