//! Percent-encoding in URIs.

use std::borrow::Cow;

/// Returns what `text` stands for (RFC 3986, section 2.1), where that is text in UTF-8. A plus is a plus.
pub(crate) fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(text.into());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let [high, low, tail @ ..] = tail else { return None };
            bytes.push(digit(*high)? << 4 | digit(*low)?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_or_nothing_is() {
        assert_eq!(percent_decoded("%2B65%20a+b").as_deref(), Some("+65 a+b"));
        assert_eq!(percent_decoded("%4a%4A%39%7f").as_deref(), Some("JJ9\u{7f}"));
        for bad in ["%2", "%", "%zz", "%ff", "%+1", "%1g", "%:0", "%/0", "%@0", "%`0"] {
            assert_eq!(percent_decoded(bad), None, "{bad}");
        }
    }
}
