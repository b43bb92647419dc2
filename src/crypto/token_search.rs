//! Tokens that stand in other text, however it is laid out around and within them.

#[cfg(feature = "redact")]
use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr};

use super::key_id::KeyId;
use super::token::{SHORTEST_TEXT, TEXT_MARK, recognize};
#[cfg(feature = "redact")]
use super::token::{claimed_key_id, is_text_length};

/// Up to here a mark may be stretched by other characters over two pieces of a text.
const LONGEST_STRETCH: usize = 1024;

/// Returns the key id of the first token that stands anywhere in `text`.
///
/// What is none of a token's characters may stand around it and between its characters: a service that trims what it is
/// given, or takes blanks and quotes out, stores the token then.
pub(crate) fn find(text: &[u8]) -> Option<KeyId> {
    memchr_iter(b'.', text).find_map(|dot| {
        mark_before(text, dot)?;
        let rest = &text[dot + 1..];
        let rest = &rest[..memchr(b'.', rest).unwrap_or(rest.len())];
        let run = rest.iter().take_while(|&&byte| is_inside(byte)).count();
        let found = spelled(&rest[..run]);
        if found.is_some() || run == rest.len() {
            return found;
        }
        spelled(&rest.iter().copied().filter(|&byte| is_inside(byte)).collect::<Vec<_>>())
    })
}

/// Returns where the first token stands in `text`, with what stands within it, or the first piece of one that was cut
/// short or damaged: a mark, and behind it at least the whole key id.
#[cfg(feature = "redact")]
pub(crate) fn place(text: &[u8]) -> Option<Range<usize>> {
    memchr_iter(b'.', text).find_map(|dot| {
        let start = mark_before(text, dot)?;
        let rest = &text[dot + 1..];
        let rest = &rest[..memchr(b'.', rest).unwrap_or(rest.len())];
        let run = rest.iter().take_while(|&&byte| is_inside(byte)).count();
        if spelled(&rest[..run]).is_some() {
            return Some(start..dot + 1 + run);
        }
        let piece = claimed_key_id(&[TEXT_MARK.as_bytes(), &rest[..run]].concat()).map(|_| run);
        let mut spelling = Vec::new();
        let mut whole = None;
        for (at, &byte) in rest.iter().enumerate() {
            if !is_inside(byte) {
                continue;
            }
            spelling.push(byte);
            let goes_on = rest.get(at + 1).is_some_and(|&next| is_inside(next) && !b"-_".contains(&next));
            if !goes_on && is_text_length(TEXT_MARK.len() + spelling.len()) && spelled(&spelling).is_some() {
                whole = Some(at + 1);
            }
        }
        piece.max(whole).map(|end| start..dot + 1 + end)
    })
}

/// Returns from where on `text` must be looked at again once more of it has come. Its first `known` bytes are what was
/// left when it ended there.
pub(crate) fn unfinished(text: &[u8], known: usize) -> usize {
    // More than a cut mark is left only behind a whole one, and as long as no dot comes that stays as it is. To look for
    // the mark again with each of many small pieces would take long.
    if known > LONGEST_STRETCH && memchr(b'.', &text[known..]).is_none() {
        return 0;
    }
    let dot = memrchr(b'.', text);
    if let Some(start) = dot.and_then(|dot| mark_before(text, dot)) {
        return start;
    }
    // The mark itself may be cut.
    let from = dot.map_or(0, |dot| dot + 1).max(text.len().saturating_sub(LONGEST_STRETCH));
    let inside = (from..text.len()).rev().filter(|&at| is_inside(text[at]));
    inside.take(TEXT_MARK.len() - 1).last().unwrap_or(text.len())
}

/// Returns where the mark begins of which the dot at `dot` is the end.
fn mark_before(text: &[u8], dot: usize) -> Option<usize> {
    let mut wanted = TEXT_MARK.as_bytes()[..TEXT_MARK.len() - 1].iter().rev();
    let mut next = wanted.next()?;
    for (at, &byte) in text[..dot].iter().enumerate().rev() {
        if byte == *next {
            match wanted.next() {
                Some(byte) => next = byte,
                None => return Some(at),
            }
        } else if is_inside(byte) || byte == b'.' {
            return None;
        }
    }
    None
}

/// The token of which `run` is what stands behind the mark, with or without signs at its end that are also punctuation.
fn spelled(run: &[u8]) -> Option<KeyId> {
    let trimmed = run.iter().rposition(|byte| !b"-_".contains(byte)).map_or(0, |last| last + 1);
    [run, &run[..trimmed]].into_iter().filter(|run| TEXT_MARK.len() + run.len() >= SHORTEST_TEXT).find_map(|run| {
        let token = [TEXT_MARK.as_bytes(), run].concat();
        recognize(&token)
    })
}

fn is_inside(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::padding;
    use crate::crypto::token::{OVERHEAD, VERSION, write_text};

    fn token() -> String {
        let mut binary = vec![0x5a; OVERHEAD + padding::SMALLEST];
        binary[0] = VERSION;
        let mut text = Vec::new();
        write_text(&binary, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_token_is_found_whatever_stands_around_and_within_it() {
        let token = token();
        let (front, back) = token.split_at(60);
        for text in [
            token.clone(),
            format!(" {token}\n"),
            format!("see {token}, please. fs1.x"),
            format!("fs1.fs1.{token}"),
            format!("x{token}-_-"),
            format!("{front} \t{back}"),
            format!("f s\u{200b}1 .{}", &token[4..]),
            format!("(\"{front}\"\"{back}\")"),
            format!("é{token}é"),
        ] {
            assert!(find(text.as_bytes()).is_some(), "{text}");
        }
        for text in [String::new(), "fs1.".repeat(100), format!("{front}.{back}"), token.replace("fs1", "fs2")] {
            assert!(find(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[cfg(feature = "redact")]
    #[test]
    fn the_place_of_a_token_holds_all_of_it_and_nothing_else() {
        let token = token();
        let (front, back) = token.split_at(60);
        for (before, found, after) in [
            ("", &*token, ""),
            ("see ", &token, ", please. fs1.x"),
            ("fs1.fs1.", &token, " a b c"),
            ("é", &token, "é"),
            ("", &format!("{front}\n  {back}"), "\nand more. And so on"),
            ("(\"", &format!("{front}\"\"{back}"), "\")"),
            ("x ", &format!("f s\u{200b}1 .{}", &token[4..]), ""),
            ("cut: ", front, "… and more"),
            ("cut: ", &token[..16], ""),
            ("longer: ", &format!("{token}AAAA"), " more"),
        ] {
            let text = format!("{before}{found}{after}");
            assert_eq!(place(text.as_bytes()).map(|place| &text[place]), Some(found), "{text}");
        }
        for text in ["fs1.".repeat(100), "fs1.internal-host-name".to_owned(), token[..15].to_owned()] {
            assert_eq!(place(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_text_that_comes_in_pieces_hides_nothing() {
        let token = token();
        let stretched = format!("fs1.{}{}", "\n".repeat(3000), &token[4..]);
        for text in [format!("a. b {token} c"), stretched, format!("f s 1 . {}", &token[4..]), format!("..{token}.")] {
            for length in 1..=text.len() {
                let (mut held, mut found) = (Vec::new(), false);
                for piece in text.as_bytes().chunks(length) {
                    let known = held.len();
                    held.extend_from_slice(piece);
                    let end = unfinished(&held, known);
                    found |= find(&held[..end]).is_some();
                    held.drain(..end);
                }
                assert!(found || find(&held).is_some(), "{text} in pieces of {length}");
            }
        }
    }

    #[test]
    fn text_without_a_mark_is_not_held() {
        let text = "x".repeat(5000) + "." + &" ".repeat(5000);
        assert_eq!(unfinished(text.as_bytes(), 0), text.len());
        assert_eq!(unfinished(b"abcdef", 0), 3);
    }
}
