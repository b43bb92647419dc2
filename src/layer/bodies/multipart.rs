//! `multipart/form-data` (RFC 7578): parts of text, which are the fields of one form, and files.

use std::fmt;
use std::mem;
use std::sync::Arc;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use memchr::memmem::{self, Finder};
use zeroize::Zeroizing;

use super::fields::{self, Sent, Stored};
use super::part_head::PartHead;
use crate::cipher::FieldCipher;
use crate::crypto::token_search::{self, Reach};
use crate::error::{Error, ErrorKind};
use crate::secret::SecretBuffer;

/// How long the head of a part may be, in bytes.
const LONGEST_HEAD: usize = 8 * 1024;

const LINE_END: &[u8] = b"\r\n";

/// Longer than any token.
const LONGEST_UNSEEN: usize = 4 << 20;

/// What stands between parts, on a line of its own (RFC 2046, section 5.1.1), with the two hyphens before it.
#[derive(Debug)]
pub(in super::super) struct Boundary(String);

impl Boundary {
    /// Reads it from a `Content-Type` of which the media type is known.
    pub(in super::super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let parameters = value.split(';').skip(1).map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")));
        let others = parameters.filter(|(name, _)| !name.trim().eq_ignore_ascii_case("charset"));
        // Another one may hold quotes, or be a boundary that only some readers know (RFC 2231, sections 3 and 4).
        let [(name, boundary)] = others.collect::<Vec<_>>()[..] else { return None };
        if !name.trim().eq_ignore_ascii_case("boundary") {
            return None;
        }
        let boundary = boundary.trim();
        let boundary = boundary.strip_prefix('"').and_then(|quoted| quoted.strip_suffix('"')).unwrap_or(boundary);
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
        let is_valid = matches!(boundary.len(), 1..=70) && boundary.bytes().all(is_fit);
        is_valid.then(|| Self(format!("--{boundary}")))
    }
}

/// Encrypts the parts of text that are tagged. Those are known once the first file begins, or the form ends; files flow.
pub(in super::super) struct MultipartStream {
    cipher: FieldCipher,
    is_change: bool,
    /// The parts that may be files.
    files: Arc<[String]>,
    /// How many bytes the parts of text may have together.
    longest: usize,
    boundary: Finder<'static>,
    stage: Stage,
    /// What has come, of which what stands before `taken` is taken apart.
    held: SecretBuffer,
    taken: usize,
    /// How much of what is not taken holds no boundary.
    searched: usize,
    texts: Vec<(PartHead, Sent)>,
    texts_length: usize,
    /// Whether the parts of text were handed on.
    is_encrypted: bool,
    is_begun: bool,
}

enum Stage {
    /// Before the first boundary.
    Start,
    /// Behind a boundary, which may be the last.
    Boundary,
    Head,
    Text(PartHead),
    /// With what of it must be looked at again, since a token may have begun. It is not handed on before.
    File(SecretBuffer),
    End,
}

impl MultipartStream {
    pub(in super::super) fn new(
        cipher: FieldCipher,
        is_change: bool,
        boundary: &Boundary,
        files: Arc<[String]>,
        longest: usize,
    ) -> Self {
        Self {
            cipher,
            is_change,
            files,
            longest,
            boundary: Finder::new(&boundary.0).into_owned(),
            stage: Stage::Start,
            held: SecretBuffer::default(),
            taken: 0,
            searched: 0,
            texts: Vec::new(),
            texts_length: 0,
            is_encrypted: false,
            is_begun: false,
        }
    }

    pub(super) fn cipher(&self) -> &FieldCipher {
        &self.cipher
    }

    pub(super) fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.held.extend_from_slice(chunk);
        while self.advance(out)? {}
        // Once a piece, for a piece may hold many parts.
        self.held.remove_front(mem::take(&mut self.taken));
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        match self.stage {
            Stage::End => {
                out.extend_from_slice(self.held.as_slice());
                Ok(())
            }
            _ => Err(malformed("ends early")),
        }
    }

    /// Takes one more piece apart. Returns whether there may be another.
    fn advance(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        match &mut self.stage {
            Stage::Start => {
                let (held, boundary) = (self.rest(), self.boundary.needle());
                let length = held.len().min(boundary.len());
                if held[..length] != boundary[..length] {
                    return Err(malformed("does not begin with its boundary"));
                }
                Ok(length == boundary.len() && self.go_on(length, Stage::Boundary))
            }
            Stage::Boundary => match self.rest() {
                [b'\r', b'\n', ..] => Ok(self.go_on(2, Stage::Head)),
                [b'-', b'-', ..] => {
                    self.encrypt(out)?;
                    self.write_boundary(out);
                    out.extend_from_slice(b"--");
                    Ok(self.go_on(2, Stage::End))
                }
                [] | [b'\r' | b'-'] => Ok(false),
                _ => Err(malformed("has something behind a boundary")),
            },
            Stage::Head => {
                let come = self.rest();
                let end = memmem::find(come, b"\r\n\r\n");
                if end.unwrap_or(come.len()) > LONGEST_HEAD {
                    return Err(malformed("has a part whose head is longer than 8 KiB"));
                }
                let Some(end) = end else { return Ok(false) };
                if self.boundary.find(&come[..end]).is_some() {
                    return Err(misplaced());
                }
                let head = PartHead::parse(&come[..end])?;
                self.cipher.refuse_token(&come[..end])?;
                let stage = if head.is_text { Stage::Text(head) } else { self.begin_file(&head, out)? };
                Ok(self.go_on(end + 4, stage))
            }
            Stage::Text(_) => self.read_text(out),
            Stage::File(_) => self.pass_file(out),
            Stage::End => match self.rest() {
                [] | [b'\r'] | [b'\r', b'\n'] => Ok(false),
                _ => Err(malformed("goes on behind its end")),
            },
        }
    }

    fn rest(&self) -> &[u8] {
        &self.held.as_slice()[self.taken..]
    }

    /// Takes `length` bytes away, and goes over to `stage`.
    fn go_on(&mut self, length: usize, stage: Stage) -> bool {
        self.taken += length;
        self.searched = 0;
        self.stage = stage;
        true
    }

    /// Returns how much comes before the next boundary and the end of the line before it, or else how much surely does,
    /// and whether it is there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`] where it stands within a line, or behind a line feed alone: some readers take that for a
    /// boundary, too.
    fn before_boundary(&mut self) -> Result<(usize, bool), Error> {
        let rest = self.rest();
        if let Some(place) = self.boundary.find(&rest[self.searched..]) {
            let before = &rest[..self.searched + place];
            return before.strip_suffix(LINE_END).map(|part| (part.len(), true)).ok_or_else(misplaced);
        }
        self.searched = (rest.len() + 1).saturating_sub(self.boundary_length());
        Ok((self.searched, false))
    }

    /// How long a boundary is with the end of the line before it.
    fn boundary_length(&self) -> usize {
        LINE_END.len() + self.boundary.needle().len()
    }

    fn read_text(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        let (length, is_whole) = self.before_boundary()?;
        if self.texts_length + length > self.longest {
            let message = "the parts of text in the form are longer than a body that is held whole: send less, or raise \
                           `whole_body_limit`";
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        if !is_whole {
            return Ok(false);
        }
        let text = &self.rest()[..length];
        let text = str::from_utf8(text).map_err(|_| malformed("has a part of text that is not in UTF-8"))?;
        let value = Zeroizing::new(text.to_owned());
        let length = length + self.boundary_length();
        let Stage::Text(head) = mem::replace(&mut self.stage, Stage::Boundary) else { return Ok(true) };
        self.texts_length += head.lines.len() + value.len();
        let sent = Sent { name: head.name.clone(), value };
        if sent.name == "_charset_" && !sent.value.eq_ignore_ascii_case("utf-8") {
            return Err(malformed("is not in UTF-8"));
        }
        if !self.is_encrypted {
            self.texts.push((head, sent));
        } else if fields::is_free(self.cipher.policy(), &sent.name)? {
            self.cipher.refuse_token(sent.value.as_bytes())?;
            fields::check_untagged(&self.cipher, &sent.name, &sent.value)?;
            self.write_part(&head.lines, &sent.value, out);
        } else {
            let message = format!("`{}` stands behind a file: send the fields of the form before its files", sent.name);
            return Err(Error::new(ErrorKind::Refused, message));
        }
        Ok(self.go_on(length, Stage::Boundary))
    }

    fn begin_file(&mut self, head: &PartHead, out: &mut Vec<u8>) -> Result<Stage, Error> {
        if !fields::is_free(self.cipher.policy(), &head.name)? {
            let message = format!("protected field `{}` is sent as a file: send it as a part of plain text", head.name);
            return Err(Error::new(ErrorKind::Refused, message));
        }
        if !self.files.contains(&head.name) {
            let message = "a part of the form is no plain text, and its name is not among those that the layer passes as \
                           files, with `file_part`";
            return Err(Error::new(ErrorKind::UnsupportedMediaType, message));
        }
        self.encrypt(out)?;
        self.write_part(&head.lines, "", out);
        Ok(Stage::File(SecretBuffer::default()))
    }

    /// Hands a piece of a file on.
    fn pass_file(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        let (length, is_whole) = self.before_boundary()?;
        let Stage::File(unseen) = &mut self.stage else { return Ok(true) };
        let piece = &self.held.as_slice()[self.taken..][..length];
        let known = unseen.len();
        unseen.extend_from_slice(piece);
        let whole = Reach { complete: unseen.len(), left: unseen.len() };
        let Reach { complete, left } = if is_whole { whole } else { token_search::reach(unseen.as_slice(), known) };
        self.cipher.refuse_token(&unseen.as_slice()[..complete])?;
        out.extend_from_slice(&unseen.as_slice()[..left]);
        unseen.remove_front(left);
        if unseen.len() > LONGEST_UNSEEN {
            return Err(Error::new(ErrorKind::Refused, "4 MiB of a file begin like an encrypted token"));
        }
        if is_whole {
            return Ok(self.go_on(length + self.boundary_length(), Stage::Boundary));
        }
        self.taken += length;
        self.searched = 0;
        Ok(false)
    }

    /// Writes the parts of text, unless they are written.
    fn encrypt(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if mem::replace(&mut self.is_encrypted, true) {
            return Ok(());
        }
        let (heads, sent): (Vec<_>, Vec<_>) = mem::take(&mut self.texts).into_iter().unzip();
        let Stored { values, added } = fields::encrypt(&self.cipher, self.is_change, &sent)?;
        let mut added = added.into_iter().peekable();
        for (field, (head, value)) in heads.iter().zip(values).enumerate() {
            match value {
                Some(value) => self.write_part(&head.of_text, &value, out),
                None => self.write_part(&head.lines, &sent[field].value, out),
            }
            while let Some((_, name, value)) = added.next_if(|(behind, ..)| *behind == field) {
                let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
                self.write_part(&format!("Content-Disposition: form-data; name=\"{name}\""), &value, out);
            }
        }
        Ok(())
    }

    fn write_part(&mut self, head: &str, text: &str, out: &mut Vec<u8>) {
        self.write_boundary(out);
        for text in ["\r\n", head, "\r\n\r\n", text] {
            out.extend_from_slice(text.as_bytes());
        }
    }

    fn write_boundary(&mut self, out: &mut Vec<u8>) {
        // The first one has no line before it.
        if mem::replace(&mut self.is_begun, true) {
            out.extend_from_slice(LINE_END);
        }
        out.extend_from_slice(self.boundary.needle());
    }
}

fn misplaced() -> Error {
    malformed("holds its boundary elsewhere than on a line of its own: choose one that stands in no part")
}

fn malformed(problem: &str) -> Error {
    Error::new(ErrorKind::Malformed, format!("the form in `multipart/form-data` {problem}"))
}

impl fmt::Debug for MultipartStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultipartStream").field("boundary", &self.boundary.needle().len()).finish_non_exhaustive()
    }
}
