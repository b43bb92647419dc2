//! Tokens that stand in other text, however it is laid out around and within them.

#[cfg(feature = "redact")]
use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr};

use super::key_id::KeyId;
use super::token::{SHORTEST_TEXT, TEXT_MARK, recognize};
#[cfg(feature = "redact")]
use super::token::{claimed_key_id, is_text_length};

/// The length of an escape of JSON that spells any character.
const ESCAPE: usize = 6;
/// Up to here a mark may be stretched by other characters over two pieces of a text.
const LONGEST_STRETCH: usize = 1024;

/// Returns the key id of the first token that stands anywhere in `text`.
///
/// What is none of a token's characters may stand around it and between its characters: a service that trims what it is
/// given, or takes blanks and quotes out, stores the token then. Its characters may be spelled as escapes of JSON: a text
/// in which a document stands may come back as that document.
pub(crate) fn find(text: &[u8]) -> Option<KeyId> {
    find_plain(text).or_else(|| find_plain(&unescaped(text)?))
}

fn find_plain(text: &[u8]) -> Option<KeyId> {
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

/// How far a text that comes in pieces can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Up to here no token is cut.
    pub(crate) complete: usize,
    /// From here on it must be looked at again once more of it has come.
    pub(crate) left: usize,
}

/// Returns how far `text` can be looked at. Its first `known` bytes are what was left when it ended there.
pub(crate) fn reach(text: &[u8], known: usize) -> Reach {
    if !is_due(text.len(), known) {
        return Reach { complete: 0, left: 0 };
    }
    // What an escape is a part of is only known when all of it has come.
    let text = &text[..first_escape(text).unwrap_or(text.len())];
    let Some(dot) = memrchr(b'.', text) else {
        let left = cut_mark(text);
        return Reach { complete: left, left };
    };
    let left = mark_before(text, dot).unwrap_or_else(|| dot + 1 + cut_mark(&text[dot + 1..]));
    // A dot ends every token before it, also where the mark that it ends begins within that token.
    Reach { complete: dot + 1, left }
}

/// Whether a text of `length` bytes is to be looked at again, of which `known` were left before. More than a cut mark is
/// left only behind a whole one, or at an escape: to look through all of that again with each of many small pieces would
/// take a time that grows with its square, so it is done once for each time that it doubles.
fn is_due(length: usize, known: usize) -> bool {
    known <= LONGEST_STRETCH || length.next_power_of_two() > known.next_power_of_two()
}

/// Returns where a mark that is cut by the end of `text` may begin.
fn cut_mark(text: &[u8]) -> usize {
    let from = text.len().saturating_sub(LONGEST_STRETCH);
    let inside = (from..text.len()).rev().filter(|&at| is_inside(text[at]));
    inside.take(TEXT_MARK.len() - 1).last().unwrap_or(text.len())
}

/// Returns what `text` stands for where it is read as JSON, also several times over; nothing where that is the same. Other
/// escapes than those of any character stay, since they spell none of a token's.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    first_escape(text)?;
    let mut plain = Vec::with_capacity(text.len());
    for &byte in text {
        plain.push(byte);
        // What an escape stands for may be a part of the next.
        while let Some(&[b'\\', b'u', ref code @ ..]) = plain.last_chunk::<ESCAPE>()
            && let Some(code) = str::from_utf8(code).ok().filter(|code| code.bytes().all(|c| c.is_ascii_hexdigit()))
        {
            let character = u8::from_str_radix(code, 16).ok().filter(u8::is_ascii);
            plain.truncate(plain.len() - ESCAPE);
            plain.push(character.unwrap_or(0xff));
        }
    }
    Some(plain)
}

/// Returns where the first escape in `text` stands that spells a character of a token, or of another escape, or that the
/// end of the text or another escape cuts. What writes JSON spells none of these so.
fn first_escape(text: &[u8]) -> Option<usize> {
    memchr_iter(b'\\', text).find(|&at| {
        let Some(rest) = text[at + 1..].strip_prefix(b"u") else { return text.len() == at + 1 };
        let code = &rest[..rest.len().min(ESCAPE - 2)];
        match code.iter().position(|byte| !byte.is_ascii_hexdigit()) {
            Some(end) => code[end] == b'\\',
            None if code.len() < ESCAPE - 2 => true,
            None => {
                let code = str::from_utf8(code).ok().and_then(|code| u8::from_str_radix(code, 16).ok());
                code.is_some_and(|byte| is_inside(byte) || matches!(byte, b'.' | b'\\'))
            }
        }
    })
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
        // The token ends in a letter that a mark begins with.
        *binary.last_mut().unwrap() = 0x5f;
        let mut text = Vec::new();
        write_text(&binary, &mut text);
        String::from_utf8(text).unwrap()
    }

    /// Every character as an escape of JSON.
    fn escaped(text: &str) -> String {
        text.bytes().fold(String::new(), |escaped, byte| format!("{escaped}\\u{byte:04x}"))
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
            format!("{{\"a\":\"{}\"}}", escaped(&token)),
            token.replace("fs1.", "\\u0066s1."),
            token.replace("fs1.", "f\\\\\\u0073\\u0031."),
            token.replace("fs1.", "fs1\\u005cu002e"),
            token.replace("fs1.", "fs1\\\\\\u0075002E"),
            format!("\\u00a{token}"),
        ] {
            assert!(find(text.as_bytes()).is_some(), "{text}");
        }
        for text in [String::new(), "fs1.".repeat(100), format!("{front}.{back}"), token.replace("fs1", "fs2")] {
            assert!(find(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn escapes_that_spell_no_token_hold_nothing_back() {
        for text in
            [r"caf\u00e9 \u4e2d\u6587. ", r"\n \t \\ C:\user\unit. ", r"\ud83d\ude00 \u0026\u003c. ", "{\"a\":\"b\"}. "]
        {
            assert_eq!(reach(text.as_bytes(), 0).left, text.len(), "{text}");
        }
        for (text, held) in [(r"a. \u0041 b. ", 3), (r"a. fs1\", 3), (r"a. fs1\u00", 3), (r"a. \u\", 3)] {
            assert_eq!(reach(text.as_bytes(), 0).left, held, "{text}");
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
            ("", &format!("{front} {back}"), "-and more"),
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
        let (plain, deeper) = (escaped(&token), escaped(&escaped("fs1.")) + &token[4..]);
        let nested = token.replace("fs1.", "f\\\\\\u00750073\\u005cu0031\\\\u002\\u0065");
        for text in [
            format!("a. b {token} c"),
            stretched,
            format!("f s 1 . {}", &token[4..]),
            format!("..{token}."),
            format!("a.b \\u{{e9}} {plain}"),
            format!("{}\\u{:04x}{}. More. And more.", &token[..60], token.as_bytes()[60], &token[61..]),
            format!("{token} s1. More. And more."),
            format!("{token} s1.\\u0041. More."),
            deeper,
            nested,
        ] {
            for length in 1..=text.len() {
                let (mut held, mut found) = (Vec::new(), false);
                for piece in text.as_bytes().chunks(length) {
                    let known = held.len();
                    held.extend_from_slice(piece);
                    let Reach { complete, left } = reach(&held, known);
                    found |= find(&held[..complete]).is_some();
                    held.drain(..left);
                }
                assert!(found || find(&held).is_some(), "{text} in pieces of {length}");
            }
        }
    }

    #[test]
    fn what_is_held_is_looked_at_again_only_as_often_as_it_doubles() {
        let mut text = [b"fs1.", &b"\\\\".repeat(2000)[..], br"\u0041"].concat();
        let Reach { left, .. } = reach(&text, 0);
        assert_eq!(left, 0, "a mark, and an escape behind it");
        let mut looks = 0;
        while text.len() < 1 << 20 {
            let known = text.len();
            text.push(b'.');
            looks += usize::from(is_due(text.len(), known));
        }
        assert_eq!(looks, 8);
        assert_eq!(reach(&text, text.len() - 1), Reach { complete: 0, left: 0 });
    }

    #[test]
    fn text_without_a_mark_is_not_held() {
        let text = "x".repeat(5000) + "." + &" ".repeat(5000);
        assert_eq!(reach(text.as_bytes(), 0).left, text.len());
        assert_eq!(reach(b"abcdef", 0).left, 3);
    }

    #[test]
    fn a_text_is_complete_up_to_behind_its_last_dot() {
        assert_eq!(reach(b"a. b", 0), Reach { complete: 2, left: 3 });
        assert_eq!(reach(b"ab.  ", 0), Reach { complete: 3, left: 5 });
        assert_eq!(reach(b"x fs1. b", 0), Reach { complete: 6, left: 2 });
    }
}
