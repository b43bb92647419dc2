//! Server-sent events (HTML, section 9.2): a stream of which each event may hold a document.

use std::iter;
use std::mem;

use memchr::memchr2;
use zeroize::Zeroizing;

use crate::cipher::FieldCipher;
use crate::error::{Error, ErrorKind};
use crate::secret::SecretBuffer;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Decrypts the data of events, each as soon as it is whole. All else passes as it is.
#[derive(Debug)]
pub(in super::super) struct EventStream {
    cipher: FieldCipher,
    longest: usize,
    /// The lines of one event, from its first data on, and the line that is not yet whole.
    held: SecretBuffer,
    /// Where that line begins.
    line: usize,
    has_data: bool,
    /// The last line ended in a carriage return, to which a line feed may belong.
    ends_in_return: bool,
    is_begun: bool,
}

impl EventStream {
    /// Refuses events of more than `longest` bytes.
    pub(in super::super) fn new(cipher: FieldCipher, longest: usize) -> Self {
        let held = SecretBuffer::default();
        Self { cipher, longest, held, line: 0, has_data: false, ends_in_return: false, is_begun: false }
    }

    pub(super) fn feed_some(
        &mut self,
        chunk: &[u8],
        out: &mut SecretBuffer,
        longest_out: usize,
    ) -> Result<usize, Error> {
        let mut rest = chunk;
        while !rest.is_empty() && out.len() <= longest_out {
            if self.ends_in_return && rest[0] == b'\n' {
                let end = if self.held.is_empty() { &mut *out } else { &mut self.held };
                end.extend_from_slice(b"\n");
                self.line = self.held.len();
                rest = &rest[1..];
            }
            self.ends_in_return = false;
            let end = memchr2(b'\r', b'\n', rest).map(|end| end + 1);
            let (part, behind) = rest.split_at(end.unwrap_or(rest.len()));
            self.held.extend_from_slice(part);
            rest = behind;
            if self.held.len() > self.longest {
                let message = "an event is longer than what a whole body may become: send less at once, or raise \
                               `whole_body_limit`";
                return Err(Error::new(ErrorKind::TooLarge, message));
            }
            if end.is_some() {
                self.ends_in_return = part.last() == Some(&b'\r');
                self.end_line(out)?;
            }
        }
        Ok(chunk.len() - rest.len())
    }

    /// Ends the stream. What a blank line does not follow is no event, but some clients take it for one.
    pub(super) fn finish(&mut self, out: &mut SecretBuffer) -> Result<(), Error> {
        self.has_data |= !self.held.is_empty();
        self.end_event(out)
    }

    fn end_line(&mut self, out: &mut SecretBuffer) -> Result<(), Error> {
        if !mem::replace(&mut self.is_begun, true) && self.held.as_slice().starts_with(BYTE_ORDER_MARK) {
            out.extend_from_slice(BYTE_ORDER_MARK);
            self.held.remove_front(BYTE_ORDER_MARK.len());
        }
        let line = lines(&self.held.as_slice()[self.line..]).next().map_or(&[][..], |(line, _)| line);
        self.has_data |= data_of(line).is_some();
        if line.is_empty() || !self.has_data {
            return self.end_event(out);
        }
        self.line = self.held.len();
        Ok(())
    }

    /// Hands on what is held, with its data decrypted where they are a document.
    fn end_event(&mut self, out: &mut SecretBuffer) -> Result<(), Error> {
        let event = self.held.as_slice();
        match self.has_data.then(|| self.opened(event)).transpose()?.flatten() {
            Some(document) => write_event(event, &document, out),
            None => out.extend_from_slice(event),
        }
        self.held.clear();
        self.line = 0;
        self.has_data = false;
        Ok(())
    }

    /// Returns the document that the data of `event` are, decrypted; nothing where they are none.
    fn opened(&self, event: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let mut data = SecretBuffer::with_capacity(event.len() + 1);
        for line in lines(event).filter_map(|(line, _)| data_of(line)) {
            data.extend_from_slice(line);
            data.extend_from_slice(b"\n");
        }
        match self.cipher.decrypt_json(data.as_slice()) {
            Ok(document) => Ok(Some(Zeroizing::new(document))),
            Err(error) if error.kind() == ErrorKind::Malformed => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Writes `event` with the lines of `document`, each of which ends, in the place of its data.
fn write_event(event: &[u8], document: &[u8], out: &mut SecretBuffer) {
    let mut values = lines(document).map(|(line, _)| line).peekable();
    let mut left = lines(event).filter(|(line, _)| data_of(line).is_some()).count();
    for (line, end) in lines(event) {
        let Some(data) = data_of(line) else {
            out.extend_from_slice(line);
            out.extend_from_slice(end);
            continue;
        };
        left -= 1;
        let name = &line[..line.len() - data.len()];
        // A value that was encrypted whole may bring lines of its own.
        while let Some(value) = values.next() {
            out.extend_from_slice(name);
            if name == b"data" && !value.is_empty() {
                out.extend_from_slice(b":");
            }
            out.extend_from_slice(value);
            out.extend_from_slice(if end.is_empty() && values.peek().is_some() { b"\n" } else { end });
            if left > 0 {
                break;
            }
        }
    }
}

/// Returns the value of a line that holds data; without a colon, it is empty.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

/// The lines of `text` and how each ends, in any of the three ways.
fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = text;
    iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let (line, behind) = rest.split_at(length);
        let end = match behind {
            [b'\r', b'\n', ..] => 2,
            [_, ..] => 1,
            [] => 0,
        };
        rest = &behind[end..];
        Some((line, &behind[..end]))
    })
}
