//! SQL text, word by word, as far as dumps need it.

use std::io::{self, Read};

use super::input::Input;
use super::survey::LONGEST_CELL;
use crate::copy_text::from_hexadecimal;

/// One word of SQL.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lexeme {
    /// A keyword, a number or a name without quotes.
    Word(String),
    /// A name in quotes.
    Name(String),
    Text(Vec<u8>),
    Bytes(Vec<u8>),
    Sign(u8),
}

pub(super) struct Lexer<'i, R> {
    pub(super) input: &'i mut Input<R>,
    /// Whether `\` within a text stands for what follows it, as MySQL has it.
    has_escapes: bool,
    pending: Option<Lexeme>,
    word: Vec<u8>,
}

impl<'i, R: Read> Lexer<'i, R> {
    pub(super) fn new(input: &'i mut Input<R>, has_escapes: bool) -> Self {
        Self { input, has_escapes, pending: None, word: Vec::new() }
    }

    /// Puts `lexeme` back, to be read next.
    pub(super) fn put_back(&mut self, lexeme: Lexeme) {
        self.pending = Some(lexeme);
    }

    pub(super) fn peek_byte(&mut self) -> Result<Option<u8>, String> {
        self.input.skip_blanks().map_err(unreadable)
    }

    /// Takes the rest of the line, without its end.
    pub(super) fn line(&mut self) -> Result<&[u8], String> {
        self.word.clear();
        self.until(|byte| byte == b'\n')?;
        self.input.next().map_err(unreadable)?;
        Ok(self.word.strip_suffix(b"\r").unwrap_or(&self.word))
    }

    /// Returns the next word; nothing at the end of the dump.
    pub(super) fn next(&mut self) -> Result<Option<Lexeme>, String> {
        if let Some(lexeme) = self.pending.take() {
            return Ok(Some(lexeme));
        }
        loop {
            let Some(byte) = self.input.skip_blanks().map_err(unreadable)? else { return Ok(None) };
            if is_word(byte) {
                return self.word(byte).map(Some);
            }
            self.input.take(1);
            let next = self.input.peek().map_err(unreadable)?;
            match (byte, next) {
                (b'-', Some(b'-')) => {
                    self.line()?;
                }
                (b'#', _) if self.has_escapes => {
                    self.line()?;
                }
                (b'/', Some(b'*')) => self.comment()?,
                (b'\'', _) => return Ok(Some(Lexeme::Text(self.quoted(b'\'', self.has_escapes)?))),
                (b'"' | b'`', _) => return Ok(Some(Lexeme::Name(text(&self.quoted(byte, false)?)))),
                (b'[', Some(next)) if next.is_ascii_alphabetic() || next == b'_' => {
                    return Ok(Some(Lexeme::Name(text(&self.quoted(b']', false)?))));
                }
                (b'$', _) => {
                    if let Some(text) = self.dollars()? {
                        return Ok(Some(Lexeme::Text(text)));
                    }
                }
                _ => return Ok(Some(Lexeme::Sign(byte))),
            }
        }
    }

    /// Reads a word, and the text that belongs to it, such as that of `X'00'` and `E'\n'`.
    fn word(&mut self, first: u8) -> Result<Lexeme, String> {
        self.word.clear();
        self.until(|byte| !is_word(byte) && byte != b'$')?;
        let next = self.input.peek().map_err(unreadable)?;
        let is_text = next == Some(b'\'') && self.word.len() == 1;
        match first {
            b'X' | b'x' if is_text => {
                self.input.take(1);
                let digits = self.quoted(b'\'', false)?;
                Ok(from_hexadecimal(&digits).map_or(Lexeme::Text(digits), Lexeme::Bytes))
            }
            b'E' | b'e' if is_text => {
                self.input.take(1);
                self.quoted(b'\'', true).map(Lexeme::Text)
            }
            _ => match self.word.strip_prefix(b"0x").and_then(from_hexadecimal) {
                Some(bytes) => Ok(Lexeme::Bytes(bytes)),
                None => Ok(Lexeme::Word(String::from_utf8_lossy(&self.word).into_owned())),
            },
        }
    }

    fn until(&mut self, is_end: impl Fn(u8) -> bool) -> Result<(), String> {
        let has_room = self.input.until(is_end, &mut self.word, LONGEST_CELL).map_err(unreadable)?;
        if has_room { Ok(()) } else { Err(too_long()) }
    }

    /// Reads the rest of what is between quotes. The quote itself is doubled within it.
    fn quoted(&mut self, quote: u8, has_escapes: bool) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        loop {
            let is_end = |byte| byte == quote || has_escapes && byte == b'\\';
            if !self.input.until(is_end, &mut out, LONGEST_CELL).map_err(unreadable)? {
                return Err(too_long());
            }
            let cut = || "it is cut short within a quoted text".to_owned();
            if self.input.next().map_err(unreadable)?.ok_or_else(cut)? == b'\\' && has_escapes {
                out.push(match self.input.next().map_err(unreadable)?.ok_or_else(cut)? {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'0' => 0,
                    b'Z' => 0x1a,
                    other => other,
                });
                continue;
            }
            if self.input.peek().map_err(unreadable)? != Some(quote) {
                return Ok(out);
            }
            self.input.take(1);
            out.push(quote);
        }
    }

    /// Reads what stands between `$tag$` and the same again, where that is what begins here.
    fn dollars(&mut self) -> Result<Option<Vec<u8>>, String> {
        self.word.clear();
        self.until(|byte| !is_word(byte))?;
        if self.input.peek().map_err(unreadable)? != Some(b'$') {
            return Ok(None);
        }
        self.input.take(1);
        let mut end = vec![b'$'];
        end.extend_from_slice(&self.word);
        end.push(b'$');
        let mut out = Vec::new();
        loop {
            if !self.input.until(|byte| byte == b'$', &mut out, LONGEST_CELL).map_err(unreadable)? {
                return Err(too_long());
            }
            if self.input.next().map_err(unreadable)?.is_none() {
                return Err("it is cut short within a quoted text".to_owned());
            }
            out.push(b'$');
            if out.ends_with(&end) {
                out.truncate(out.len() - end.len());
                return Ok(Some(out));
            }
        }
    }

    fn comment(&mut self) -> Result<(), String> {
        let mut last = 0;
        loop {
            match self.input.next().map_err(unreadable)? {
                Some(b'/') if last == b'*' => return Ok(()),
                Some(byte) => last = byte,
                None => return Err("it is cut short within a comment".to_owned()),
            }
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.') || byte >= 0x80
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(super) fn unreadable(error: io::Error) -> String {
    format!("it cannot be read to its end: {error}")
}

fn too_long() -> String {
    format!("one of its values is longer than {} MiB", LONGEST_CELL >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexemes(text: &str, has_escapes: bool) -> Vec<Lexeme> {
        let mut input = Input::new(text.as_bytes());
        let mut lexer = Lexer::new(&mut input, has_escapes);
        std::iter::from_fn(|| lexer.next().unwrap()).collect()
    }

    #[test]
    fn texts_are_read_as_each_database_writes_them() {
        let only = |text: &str, has_escapes| match &lexemes(text, has_escapes)[..] {
            [Lexeme::Text(text)] => String::from_utf8(text.clone()).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(only("'it''s'", false), "it's");
        assert_eq!(only("'C:\\'", false), "C:\\");
        assert_eq!(only("'it\\'s \\\\ \\n'", true), "it's \\ \n");
        assert_eq!(only("E'a\\nb'", false), "a\nb");
        assert_eq!(only("$x$ it's $$ $x$", false), " it's $$ ");
        assert_eq!(lexemes("X'01ff' 0x01FF", false), [Lexeme::Bytes(vec![1, 255]), Lexeme::Bytes(vec![1, 255])]);
    }

    #[test]
    fn names_words_and_comments_are_told_apart() {
        let found = lexemes("-- a 'b\n/* ' */ \"My \"\"x\"\"\" `y` [z] public.a(-1.5);", false);
        let name = |text: &str| Lexeme::Name(text.to_owned());
        let word = |text: &str| Lexeme::Word(text.to_owned());
        let sign = Lexeme::Sign;
        let expected = [name("My \"x\""), name("y"), name("z"), word("public.a"), sign(b'('), sign(b'-'), word("1.5")];
        assert_eq!(found[..7], expected);
        assert_eq!(found[7..], [sign(b')'), sign(b';')]);
    }
}
