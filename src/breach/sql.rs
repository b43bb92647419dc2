//! Dumps in SQL: the rows of `COPY` and `INSERT`, under the columns that these or `CREATE TABLE` name.

use std::collections::HashMap;
use std::io::Read;

use super::input::Input;
use super::lexer::{Lexeme, Lexer, unreadable};
use super::survey::{Cell, LONGEST_CELL, Survey};
use crate::copy_text;

/// How many tables are remembered.
const MOST_TABLES: usize = 10_000;
/// What begins a line of `CREATE TABLE` that is no column.
const NO_COLUMNS: [&str; 12] = [
    "CONSTRAINT",
    "PRIMARY",
    "UNIQUE",
    "CHECK",
    "FOREIGN",
    "KEY",
    "INDEX",
    "FULLTEXT",
    "SPATIAL",
    "EXCLUDE",
    "LIKE",
    "PERIOD",
];

/// Reads to the end.
pub(super) fn read(input: &mut Input<impl Read>, survey: &mut Survey) -> Result<(), String> {
    let has_escapes = is_of_mysql(input.rest().map_err(unreadable)?);
    let mut reader = Reader { lexer: Lexer::new(input, has_escapes), survey, created: HashMap::new() };
    while reader.statement()? {}
    Ok(())
}

/// Whether the dump is one of `MySQL` or `MariaDB`, where `\` escapes within texts.
fn is_of_mysql(beginning: &[u8]) -> bool {
    let has = |text: &str| memchr::memmem::find(beginning, text.as_bytes()).is_some();
    let is_of_sqlite = has("PRAGMA") || has("BEGIN TRANSACTION");
    ["MySQL dump", "MariaDB dump", "/*!", "/*M!"].into_iter().any(has) || has("`") && !is_of_sqlite
}

struct Reader<'i, 's, R> {
    lexer: Lexer<'i, R>,
    survey: &'s mut Survey,
    /// The columns of tables, as `CREATE TABLE` has them.
    created: HashMap<String, Vec<String>>,
}

impl<R: Read> Reader<'_, '_, R> {
    /// Reads one statement. Returns whether there was one.
    fn statement(&mut self) -> Result<bool, String> {
        match self.lexer.peek_byte()? {
            None => return Ok(false),
            // A command to `psql`.
            Some(b'\\') => {
                self.lexer.line()?;
                return Ok(true);
            }
            Some(_) => {}
        }
        let Some(first) = self.lexer.next()? else { return Ok(false) };
        let Lexeme::Word(word) = first else {
            self.skip(Some(first))?;
            return Ok(true);
        };
        match word.to_ascii_uppercase().as_str() {
            "COPY" => self.copy()?,
            "INSERT" | "REPLACE" => self.insert()?,
            "CREATE" => self.create()?,
            "DELIMITER" => {
                self.lexer.line()?;
            }
            _ => self.skip(None)?,
        }
        Ok(true)
    }

    fn next(&mut self) -> Result<Lexeme, String> {
        self.lexer.next()?.ok_or_else(|| "it is cut short within a statement".to_owned())
    }

    /// Skips the rest of a statement, of which `lexeme` was read last.
    fn skip(&mut self, lexeme: Option<Lexeme>) -> Result<(), String> {
        let mut lexeme = lexeme;
        while lexeme != Some(Lexeme::Sign(b';')) {
            lexeme = Some(self.next()?);
        }
        Ok(())
    }

    /// Reads a name with its schema. Returns what follows where it is none.
    fn name(&mut self) -> Result<Result<String, Lexeme>, String> {
        let mut name = match self.next()? {
            Lexeme::Name(name) | Lexeme::Word(name) => name,
            other => return Ok(Err(other)),
        };
        loop {
            match self.next()? {
                Lexeme::Sign(b'.') => {}
                // A word takes the dot with it: `public."Customers"`, `"My Shop".customers`.
                Lexeme::Word(rest) if rest.starts_with('.') && rest.len() > 1 => {
                    name.push_str(&rest);
                    continue;
                }
                Lexeme::Word(rest) if rest == "." => {}
                Lexeme::Name(rest) if name.ends_with('.') => {
                    name.push_str(&rest);
                    continue;
                }
                other => {
                    self.lexer.put_back(other);
                    return Ok(Ok(name));
                }
            }
            name.push('.');
        }
    }

    fn copy(&mut self) -> Result<(), String> {
        let line = [b"COPY", self.lexer.line()?].concat();
        let (name, columns) = if let Some((name, columns)) = copy_text::head(&line) {
            (name.join("."), columns)
        } else {
            let text = String::from_utf8_lossy(&line).into_owned();
            let name = text.strip_prefix("COPY ").and_then(|rest| rest.strip_suffix(" FROM stdin;"));
            let Some(name) = name else { return if text.ends_with(';') { Ok(()) } else { self.skip(None) } };
            let name = name.replace('"', "");
            let columns = self.created.get(&name).cloned().unwrap_or_default();
            (name, columns)
        };
        self.survey.table(&name, &columns);
        let (mut line, mut uneven) = (Vec::new(), 0_u64);
        loop {
            line.clear();
            if !self.lexer.input.until(|byte| byte == b'\n', &mut line, LONGEST_CELL).map_err(unreadable)? {
                return Err(format!("one of its lines is longer than {} MiB", LONGEST_CELL >> 20));
            }
            let is_whole = self.lexer.input.next().map_err(unreadable)?.is_some();
            if line == b"\\." {
                break;
            }
            if line.is_empty() && !is_whole {
                return Err(format!("it is cut short within table `{name}`"));
            }
            let cells: Vec<_> = line.split(|&byte| byte == b'\t').map(copy_text::unescaped).collect();
            uneven += u64::from(!columns.is_empty() && cells.len() != columns.len());
            self.survey.row(cells.iter().map(|cell| cell.as_deref().map_or(Cell::Null, Cell::Text)));
            if !is_whole {
                return Err(format!("it is cut short within table `{name}`"));
            }
        }
        match uneven {
            0 => Ok(()),
            _ => Err(format!("{uneven} rows of table `{name}` have another number of columns than it has")),
        }
    }

    fn create(&mut self) -> Result<(), String> {
        loop {
            match self.next()? {
                Lexeme::Word(word) => match word.to_ascii_uppercase().as_str() {
                    "TEMP" | "TEMPORARY" | "UNLOGGED" | "GLOBAL" | "LOCAL" => {}
                    "TABLE" => break,
                    _ => return self.skip(None),
                },
                other => return self.skip(Some(other)),
            }
        }
        let name = loop {
            match self.name()? {
                Ok(word) if ["IF", "NOT", "EXISTS"].iter().any(|other| word.eq_ignore_ascii_case(other)) => {}
                Ok(name) => break name,
                Err(other) => return self.skip(Some(other)),
            }
        };
        let next = self.next()?;
        if next != Lexeme::Sign(b'(') {
            return self.skip(Some(next));
        }
        let (mut columns, mut depth, mut begins) = (Vec::new(), 1, true);
        while depth > 0 {
            let lexeme = self.next()?;
            match &lexeme {
                Lexeme::Sign(b'(') => depth += 1,
                Lexeme::Sign(b')') => depth -= 1,
                Lexeme::Name(column) if begins => columns.push(column.clone()),
                Lexeme::Word(word) if begins && !NO_COLUMNS.contains(&word.to_ascii_uppercase().as_str()) => {
                    columns.push(word.clone());
                }
                _ => {}
            }
            begins = depth == 1 && lexeme == Lexeme::Sign(b',');
        }
        if self.created.len() < MOST_TABLES {
            self.created.insert(name, columns);
        }
        self.skip(None)
    }

    fn insert(&mut self) -> Result<(), String> {
        // `INSERT IGNORE INTO`, `INSERT OR REPLACE INTO`.
        loop {
            match self.next()? {
                Lexeme::Word(word) if word.eq_ignore_ascii_case("INTO") => break,
                Lexeme::Word(_) => {}
                other => return self.skip(Some(other)),
            }
        }
        let name = match self.name()? {
            Ok(name) => name,
            Err(other) => return self.skip(Some(other)),
        };
        let mut columns = self.created.get(&name).cloned().unwrap_or_default();
        loop {
            match self.next()? {
                Lexeme::Sign(b'(') => columns = self.names()?,
                Lexeme::Word(word) if word.eq_ignore_ascii_case("VALUES") => break,
                Lexeme::Word(word) if word.eq_ignore_ascii_case("SELECT") => return self.skip(None),
                Lexeme::Sign(b';') => return Ok(()),
                _ => {}
            }
        }
        self.survey.table(&name, &columns);
        loop {
            match self.next()? {
                Lexeme::Sign(b'(') => self.values()?,
                Lexeme::Sign(b',') => {}
                other => return self.skip(Some(other)),
            }
        }
    }

    /// Reads the names of columns up to the bracket that closes.
    fn names(&mut self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        loop {
            match self.next()? {
                Lexeme::Sign(b')') => return Ok(names),
                Lexeme::Name(name) | Lexeme::Word(name) => names.push(name),
                _ => {}
            }
        }
    }

    /// Reads one row up to the bracket that closes. Of a call such as `replace('…', …)`, the first text is the value.
    fn values(&mut self) -> Result<(), String> {
        let mut cells = Vec::new();
        let (mut cell, mut depth) = (None, 1);
        let cut = loop {
            let lexeme = match self.next() {
                Ok(lexeme) => lexeme,
                Err(cut) => break Some(cut),
            };
            let is_value = matches!(cell, Some(Lexeme::Text(_) | Lexeme::Bytes(_)));
            match lexeme {
                Lexeme::Sign(b'(') => depth += 1,
                Lexeme::Sign(b')') if depth == 1 => break None,
                Lexeme::Sign(b')') => depth -= 1,
                Lexeme::Sign(b',') if depth == 1 => cells.push(cell.take()),
                Lexeme::Sign(_) => {}
                Lexeme::Name(name) if !is_value => cell = Some(Lexeme::Text(name.into_bytes())),
                other if !is_value => cell = Some(other),
                _ => {}
            }
        };
        cells.push(cell);
        self.survey.row(cells.iter().map(|cell| match cell {
            Some(Lexeme::Text(text)) => Cell::Text(text),
            Some(Lexeme::Bytes(bytes)) => Cell::Binary(bytes),
            Some(Lexeme::Word(word)) if !word.eq_ignore_ascii_case("NULL") => Cell::Text(word.as_bytes()),
            _ => Cell::Null,
        }));
        cut.map_or(Ok(()), Err)
    }
}
