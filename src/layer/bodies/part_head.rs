//! The head of a part of `multipart/form-data` (RFC 7578, section 4), read strictly: what two readers could understand
//! in two ways is refused.

use std::mem;

use crate::error::{Error, ErrorKind};
use crate::layer::media_type::{is_token, is_utf8};

/// What the head of a part says.
#[derive(Debug)]
pub(super) struct PartHead {
    /// As it was sent, without the blank line behind it.
    pub(super) lines: String,
    pub(super) name: String,
    /// Whether it is text without a file's name.
    pub(super) is_text: bool,
    /// The lines that say what a part of text is, for one whose text becomes another.
    pub(super) of_text: String,
}

impl PartHead {
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`].
    pub(super) fn parse(lines: &[u8]) -> Result<Self, Error> {
        let lines = str::from_utf8(lines).map_err(|_| malformed("is no text in UTF-8"))?;
        let (mut disposition, mut media_type, mut encoding) = (None, None, None);
        let mut of_text = Vec::new();
        for line in lines.split("\r\n") {
            if line.chars().any(|c| c.is_control() && c != '\t') {
                return Err(malformed("holds a control character"));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("holds a line without a colon"))?;
            let known = match name.to_ascii_lowercase().as_str() {
                "content-disposition" => &mut disposition,
                "content-type" => &mut media_type,
                "content-transfer-encoding" => &mut encoding,
                other if is_token(other) => continue,
                _ => return Err(malformed("holds a line that does not begin with a name")),
            };
            if known.replace(value.trim_matches([' ', '\t'])).is_some() {
                return Err(malformed("says something twice"));
            }
            of_text.push(line);
        }
        if encoding.is_some_and(|own| !["7bit", "8bit", "binary"].iter().any(|other| own.eq_ignore_ascii_case(other))) {
            return Err(malformed("has a Content-Transfer-Encoding, which RFC 7578, section 4.7, deprecates"));
        }
        let disposition = disposition.ok_or_else(|| malformed("has no Content-Disposition"))?;
        let (name, has_file_name) = read_disposition(disposition)?;
        let is_text = !has_file_name && media_type.is_none_or(is_text);
        Ok(Self { lines: lines.to_owned(), name, is_text, of_text: of_text.join("\r\n") })
    }
}

/// Returns the name of the part, and whether it is a file.
fn read_disposition(value: &str) -> Result<(String, bool), Error> {
    let unclear = || malformed("has a Content-Disposition other than `form-data; name=\"…\"; filename=\"…\"`");
    let (kind, mut rest) = value.split_once(';').unwrap_or((value, ""));
    if !kind.trim_end().eq_ignore_ascii_case("form-data") {
        return Err(unclear());
    }
    let (mut name, mut has_file_name, mut has_extended) = (None, false, false);
    while !rest.is_empty() {
        let (parameter, behind) = rest.trim_start_matches([' ', '\t']).split_once('=').ok_or_else(unclear)?;
        let (text, behind) = if let Some(quoted) = behind.strip_prefix('"') {
            quoted.split_once('"').ok_or_else(unclear)?
        } else {
            let (text, behind) = behind.split_at(behind.find(';').unwrap_or(behind.len()));
            let text = text.trim_end_matches([' ', '\t']);
            if !is_token(text) {
                return Err(unclear());
            }
            (text, behind)
        };
        let is_new = match parameter.to_ascii_lowercase().as_str() {
            // A backslash escapes, or stands for itself, as the reader likes.
            "name" if !text.contains('\\') => name.replace(text.to_owned()).is_none(),
            // Some readers find a name within the file's where that comes first.
            "filename" | "filename*" if name.is_none() => false,
            "filename" if !text.ends_with('\\') => !mem::replace(&mut has_file_name, true),
            "filename*" => !mem::replace(&mut has_extended, true),
            _ => false,
        };
        let behind = behind.trim_start_matches([' ', '\t']);
        rest = behind.strip_prefix(';').unwrap_or(behind);
        if !is_new || (rest.len() == behind.len() && !rest.is_empty()) {
            return Err(unclear());
        }
    }
    name.map(|name| (name, has_file_name || has_extended)).ok_or_else(unclear)
}

/// Whether a media type is that of plain text in UTF-8.
fn is_text(media_type: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/plain")) && parts.all(is_utf8)
}

fn malformed(problem: &str) -> Error {
    Error::new(ErrorKind::Malformed, format!("the head of a part of the form {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_browsers_write_them() {
        for (head, name, is_text) in [
            ("Content-Disposition: form-data; name=\"phone\"", "phone", true),
            ("content-disposition:form-data;name=phone", "phone", true),
            ("Content-Disposition: form-data; name=\"a;b=c\"\r\nContent-Type: text/plain;charset=UTF-8", "a;b=c", true),
            ("Content-Disposition: form-data; name=\"姓名\"\r\nContent-Length: 12", "姓名", true),
            (
                "Content-Disposition: form-data; name=\"photo\"; filename=\"a.png\"\r\nContent-Type: image/png",
                "photo",
                false,
            ),
            ("Content-Disposition: form-data; name=\"f\"; filename=\"C:\\x\"; filename*=UTF-8''x", "f", false),
            ("Content-Disposition: form-data; name=\"f\"; filename=\"\"", "f", false),
            ("Content-Disposition: form-data; name=\"j\"\r\nContent-Type: application/json", "j", false),
            ("Content-Disposition: form-data; name=\"j\"\r\nContent-Type: text/plain; charset=utf-16", "j", false),
        ] {
            let part = PartHead::parse(head.as_bytes()).unwrap();
            assert_eq!((&*part.name, part.is_text, &*part.lines), (name, is_text, head));
        }
        let head = "Content-Disposition: form-data; name=\"a\"\r\nContent-Length: 12\r\nContent-Type: text/plain";
        let part = PartHead::parse(head.as_bytes()).unwrap();
        assert_eq!(part.of_text, head.replace("Content-Length: 12\r\n", ""));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for head in [
            "",
            "Content-Type: text/plain",
            "Content-Disposition: form-data",
            "Content-Disposition: form-data; name=\"a\"; name=\"b\"",
            "Content-Disposition: form-data; name=\"a\"; filename=\"x\"; filename=\"y\"",
            "Content-Disposition: form-data; name*=UTF-8''a",
            "Content-Disposition: form-data; name=\"a\\\"b\"",
            "Content-Disposition: form-data; name=\"a\"; filename=\"x\\\"; name=\"b\"",
            "Content-Disposition: form-data; filename=\"x; name=b ;\"; name=\"a\"",
            "Content-Disposition: form-data; filename*=UTF-8''x; name=\"a\"",
            "Content-Disposition: form-data; name=\"a",
            "Content-Disposition: form-data; name=\"a\"x",
            "Content-Disposition: form-data; name=\"a\"; size=3",
            "Content-Disposition: form-data; name=",
            "Content-Disposition: form-data; name=a b",
            "Content-Disposition: attachment; name=\"a\"",
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"",
            "Content-Disposition: form-data;\r\n name=\"a\"",
            "Content-Disposition: form-data; name=\"a\"\nContent-Type: text/plain",
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64",
            "Content-Disposition : form-data; name=\"a\"",
        ] {
            assert_eq!(PartHead::parse(head.as_bytes()).unwrap_err().kind(), ErrorKind::Malformed, "{head}");
        }
        assert!(PartHead::parse(b"Content-Disposition: form-data; name=\"\xff\"").is_err());
    }
}
