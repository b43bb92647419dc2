//! The bytes of a dump, one after the other, in constant memory.

use std::io::{self, Read};

use super::marks::Marks;

const BUFFER: usize = 64 << 10;

/// A dump that is read once. All that passes is searched for heads of tokens, whatever else becomes of it.
pub(super) struct Input<R> {
    source: R,
    buffer: Box<[u8]>,
    at: usize,
    end: usize,
    pub(super) marks: Marks,
    pub(super) length: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { source, buffer, at: 0, end: 0, marks: Marks::new(), length: 0 }
    }

    /// Fills the buffer as far as it goes, to look at how the dump begins.
    pub(super) fn beginning(&mut self) -> io::Result<&[u8]> {
        while self.end < self.buffer.len() {
            let read = self.read_into()?;
            if read == 0 {
                break;
            }
        }
        Ok(&self.buffer[self.at..self.end])
    }

    fn read_into(&mut self) -> io::Result<usize> {
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.marks.look(&self.buffer[self.end..self.end + read]);
                    self.end += read;
                    self.length += read as u64;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What has been read and not yet taken; nothing at the end of the dump alone.
    pub(super) fn rest(&mut self) -> io::Result<&[u8]> {
        if self.at == self.end {
            (self.at, self.end) = (0, 0);
            self.read_into()?;
        }
        Ok(&self.buffer[self.at..self.end])
    }

    pub(super) fn take(&mut self, count: usize) {
        self.at += count;
    }

    pub(super) fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.rest()?.first().copied())
    }

    pub(super) fn next(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        self.at += usize::from(byte.is_some());
        Ok(byte)
    }

    /// Appends to `out` what comes before the first byte that `is_end` tells, up to `most` bytes in all. Returns whether
    /// there was room for it.
    pub(super) fn until(&mut self, is_end: impl Fn(u8) -> bool, out: &mut Vec<u8>, most: usize) -> io::Result<bool> {
        loop {
            let rest = self.rest()?;
            let end = rest.iter().position(|&byte| is_end(byte));
            let count = end.unwrap_or(rest.len());
            if out.len() + count > most {
                return Ok(false);
            }
            let is_done = end.is_some() || rest.is_empty();
            out.extend_from_slice(&rest[..count]);
            self.take(count);
            if is_done {
                return Ok(true);
            }
        }
    }

    pub(super) fn skip_blanks(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.peek()? {
                Some(byte) if byte.is_ascii_whitespace() => self.take(1),
                other => return Ok(other),
            }
        }
    }

    /// Takes all that is left.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        loop {
            let count = self.rest()?.len();
            if count == 0 {
                return Ok(());
            }
            self.take(count);
        }
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = self.rest()?;
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.take(count);
        Ok(count)
    }
}
