//! Percent-encoding, in URIs and in forms.

use std::ops::Deref;

use zeroize::Zeroizing;

/// What percent-encoded text stands for. A copy that had to be made is overwritten when it is dropped: it may be a value.
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Decoded<'t> {
    Same(&'t str),
    Copy(Zeroizing<String>),
}

impl Deref for Decoded<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Same(text) => text,
            Self::Copy(text) => text,
        }
    }
}

/// Returns what `text` stands for (RFC 3986, section 2.1), where that is text in UTF-8. A plus is a plus.
pub(crate) fn percent_decoded(text: &str) -> Option<Decoded<'_>> {
    if text.contains('%') { strictly_decoded(text, b'+').map(Decoded::Copy) } else { Some(Decoded::Same(text)) }
}

/// The same in a form, where a plus is a space.
#[cfg(feature = "layer")]
pub(crate) fn form_text(text: &str) -> Option<Zeroizing<String>> {
    strictly_decoded(text, b' ')
}

/// Returns name and value of a parameter of a form (WHATWG URL, section 5.1): whatever encodes nothing stands for itself,
/// and what is no text is replaced. An empty parameter is none.
#[cfg(feature = "layer")]
pub(crate) fn form_pair(parameter: &str) -> Option<(Decoded<'_>, Decoded<'_>)> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    (!parameter.is_empty()).then(|| (form_decoded(name), form_decoded(value)))
}

/// The same for the name alone.
#[cfg(feature = "layer")]
pub(crate) fn form_name(parameter: &str) -> Option<Decoded<'_>> {
    (!parameter.is_empty()).then(|| form_decoded(parameter.split('=').next().unwrap_or_default()))
}

#[cfg(feature = "layer")]
fn form_decoded(text: &str) -> Decoded<'_> {
    if !text.contains(['%', '+']) {
        return Decoded::Same(text);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    decode(text, b' ', &mut bytes);
    // What grows would leave a copy behind: what is replaced becomes three bytes for each, at most.
    let mut decoded = Zeroizing::new(String::with_capacity(bytes.len() * 3));
    for chunk in bytes.utf8_chunks() {
        decoded.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            decoded.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Decoded::Copy(decoded)
}

fn strictly_decoded(text: &str, plus: u8) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    if !decode(text, plus, &mut bytes) {
        return None;
    }
    let mut decoded = Zeroizing::new(String::with_capacity(bytes.len()));
    decoded.push_str(str::from_utf8(&bytes).ok()?);
    Some(decoded)
}

/// Appends the bytes that `text` stands for, which are no more than it has, and returns whether each percent sign encodes
/// one.
pub(crate) fn decode(text: &str, plus: u8, bytes: &mut Vec<u8>) -> bool {
    let mut is_whole = true;
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match (first, tail) {
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = behind;
                digit(*high) << 4 | digit(*low)
            }
            (b'+', _) => plus,
            _ => {
                is_whole &= *first != b'%';
                *first
            }
        });
    }
    is_whole
}

/// What a hexadecimal digit stands for: those that are letters have another low nibble than they stand for.
fn digit(byte: u8) -> u8 {
    (byte & 0x0f) + if byte.is_ascii_digit() { 0 } else { 9 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_or_nothing_is() {
        assert_eq!(percent_decoded("%2B65%20a+b").as_deref(), Some("+65 a+b"));
        assert_eq!(percent_decoded("%4a%4A%39%7f").as_deref(), Some("JJ9\u{7f}"));
        for bad in ["%2", "%", "%zz", "%ff", "%+1", "%1g", "%:0", "%/0", "%@0", "%`0"] {
            assert!(percent_decoded(bad).is_none(), "{bad}");
        }
    }

    #[cfg(feature = "layer")]
    #[test]
    fn a_form_is_read_as_form_urlencoded_reads_it() {
        for parameter in [
            "",
            "=",
            "a",
            "a=",
            "=b",
            "a=b",
            "a=b=c",
            "a==",
            "%61=%2B65",
            "a+b=c+d",
            "%=1",
            "a=%",
            "a=%2",
            "a=%zz",
            "a=%+1",
            "%ff=%ff",
            "a=%c3%a9",
            "a=%C3",
            "a=%ff%ff%ff%ff+%c3%28%e2%82%f0%9f%98",
            "%ef%bb%bfa=%ef%bb%bf",
            "a=é+%",
            "a%3db=c",
            "a;b=c;d=e",
            "a=%00",
            "a=%26",
            "a%2Bb=1",
            "a=%25%32%42",
        ] {
            let expected = form_urlencoded::parse(parameter.as_bytes()).next();
            let pair = form_pair(parameter).map(|(name, value)| (name.to_string().into(), value.to_string().into()));
            assert_eq!(pair, expected, "{parameter}");
            assert_eq!(form_name(parameter).as_deref(), expected.as_ref().map(|(name, _)| &**name), "{parameter}");
        }
    }
}
