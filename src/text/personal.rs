//! What looks personal by itself, wherever it stands: email addresses, telephone numbers and card numbers, alone or within
//! longer text.
//!
//! It has to be right where it says yes, since a request is refused for it: a number is one of a telephone by its plus and
//! the code of a country, and one of a card by its issuer, its length and its check digit.

use memchr::{memchr, memchr_iter};

/// What a text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Personal {
    Email,
    Phone,
    CardNumber,
}

/// No match is shorter than this: `a@b.sg`.
pub(crate) const SHORTEST_MATCH: usize = 6;
const SHORTEST_CARD: usize = 12;
const SHORTEST_PHONE: usize = 10;
const LONGEST_PHONE: usize = 15;
const LONGEST_CARD: usize = 19;
const LONGEST_LOCAL_PART: usize = 64;
const LONGEST_DOMAIN: usize = 253;
const LONGEST_LABEL: usize = 63;
/// How far in front of an address a URL is looked for that it would be a part of.
const LONGEST_AUTHORITY: usize = 512;

impl Personal {
    /// What it is called in messages.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Email => "an email address",
            Self::Phone => "a telephone number",
            Self::CardNumber => "a card number",
        }
    }

    /// What that is called which has this name.
    pub(crate) fn noun_of(name: &str) -> &'static str {
        let all = [Self::Email, Self::Phone, Self::CardNumber];
        all.into_iter().find(|kind| kind.name() == name).map_or("personal data", Self::noun)
    }

    /// The word that stands for it in logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::CardNumber => "card_number",
        }
    }
}

/// A text, or a piece of one, and whether the text goes on before and behind it. What may be a part of something longer
/// there is none of ours: whoever cuts a text into pieces lets them overlap by 512 bytes, which is more than any match has with
/// what stands around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'t> {
    pub(crate) text: &'t [u8],
    pub(crate) goes_on_before: bool,
    pub(crate) goes_on_behind: bool,
}

impl Piece<'_> {
    /// Returns what in it looks personal, of several things the first that is looked for.
    pub(crate) fn find(self) -> Option<Personal> {
        // Nearly every text ends here, so that is what has to be fast.
        if self.text.len() < SHORTEST_MATCH {
            return None;
        }
        if memchr(b'@', self.text).is_some() && self.has_email() {
            return Some(Personal::Email);
        }
        if self.text.len() < SHORTEST_PHONE {
            return None;
        }
        let digits = count_digits(self.text);
        if digits >= SHORTEST_PHONE && self.has_phone() {
            return Some(Personal::Phone);
        }
        (digits >= SHORTEST_CARD && self.has_card()).then_some(Personal::CardNumber)
    }

    /// Returns the byte before `at`; the error tells that there is one that is not known.
    fn before(self, at: usize) -> Result<Option<u8>, Unknown> {
        match at.checked_sub(1) {
            Some(before) => Ok(Some(self.text[before])),
            None if self.goes_on_before => Err(Unknown),
            None => Ok(None),
        }
    }

    fn behind(self, at: usize) -> Result<Option<u8>, Unknown> {
        match self.text.get(at) {
            Some(byte) => Ok(Some(*byte)),
            None if self.goes_on_behind => Err(Unknown),
            None => Ok(None),
        }
    }

    fn has_email(self) -> bool {
        memchr_iter(b'@', self.text).any(|at| self.is_email(at).unwrap_or(false))
    }

    /// Whether the at sign at `at` is one of an address (RFC 5321, section 4.1.2, but for quoted strings).
    fn is_email(self, at: usize) -> Result<bool, Unknown> {
        let local = self.text[..at].iter().rev().take(LONGEST_LOCAL_PART + 1).take_while(|byte| is_local(**byte));
        let start = at - local.count();
        let has_letter = self.text[start..at].iter().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii());
        if !has_letter || at - start > LONGEST_LOCAL_PART {
            return Ok(false);
        }
        let before = self.before(start)?;
        let is_apart = before.is_none_or(|byte| byte.is_ascii_whitespace() || b"\"'<>()[]{},;:=&?|*`".contains(&byte));
        // In a URL it is what a connection is opened with: `postgres://app:secret@db.example.com`.
        if !is_apart || (before == Some(b':') && self.is_in_authority(start)) {
            return Ok(false);
        }
        let domain = self.text[at + 1..].iter().take(LONGEST_DOMAIN + 1).take_while(|byte| is_domain(**byte));
        let end = at + 1 + domain.count();
        let behind = self.behind(end)?;
        if behind == Some(b'@') || end - at > LONGEST_DOMAIN + 1 {
            return Ok(false);
        }
        // `git@github.com:fieldseal/fieldseal` is where a repository is.
        let next = if behind == Some(b':') { self.behind(end + 1)? } else { None };
        if next.is_some_and(|next| next.is_ascii_alphanumeric() || b"/~".contains(&next)) {
            return Ok(false);
        }
        let domain = &self.text[at + 1..end];
        let trimmed = domain.iter().rposition(|byte| !b".-".contains(byte)).map_or(0, |last| last + 1);
        Ok(is_email_domain(&domain[..trimmed]))
    }

    fn is_in_authority(self, at: usize) -> bool {
        // Not further: each of many signs would look through all that stands before it.
        let near = &self.text[at.saturating_sub(LONGEST_AUTHORITY)..at];
        let word = near.rsplit(u8::is_ascii_whitespace).next().unwrap_or_default();
        word.windows(3).any(|part| part == b"://") && !word.contains(&b'?')
    }

    fn has_phone(self) -> bool {
        memchr_iter(b'+', self.text).any(|at| self.is_international(at).unwrap_or(false))
            || memchr_iter(b'(', self.text).any(|at| self.is_north_american(at).unwrap_or(false))
    }

    /// Whether the plus at `at` begins a number of ITU-T E.164, with single blanks, hyphens, dots, slashes or parentheses in it.
    fn is_international(self, at: usize) -> Result<bool, Unknown> {
        let before = self.before(at)?;
        if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+/_-.%\\".contains(&byte)) {
            return Ok(false);
        }
        let mut digits = [0; LONGEST_PHONE];
        let (mut count, mut first_group, mut next) = (0, 0, at + 1);
        let mut is_decimal = false;
        for groups in 1.. {
            let start = next;
            while let Some(digit) = self.text.get(next).filter(|byte| byte.is_ascii_digit()) {
                if count == LONGEST_PHONE {
                    return Ok(false);
                }
                digits[count] = digit - b'0';
                (count, next) = (count + 1, next + 1);
            }
            if next == start {
                return Ok(false);
            }
            first_group = if first_group == 0 { count } else { first_group };
            let behind = self.behind(next)?;
            if behind.is_some_and(|byte| byte.is_ascii_alphabetic() || b"_+".contains(&byte)) {
                return Ok(false);
            }
            let has_point = behind == Some(b'.') && self.behind(next + 1)?.is_some_and(|byte| byte.is_ascii_digit());
            // With one point in it, it is a number of another kind.
            let is_other = has_point || (groups == 2 && is_decimal);
            if !is_other && is_phone(&digits[..count], first_group) {
                return Ok(true);
            }
            let rest = self.text.get(next..).unwrap_or_default();
            // The trunk prefix that is not dialled from abroad: `+44 (0)20 7946 0958`.
            let trunk = [&b" (0) "[..], b" (0)", b"(0)"].into_iter().find(|trunk| rest.starts_with(trunk));
            let length = trunk
                .map_or_else(|| rest.iter().take(2).take_while(|byte| b" -.()/".contains(byte)).count(), <[u8]>::len);
            if length == 0 {
                return Ok(false);
            }
            is_decimal = has_point;
            next += length;
            self.behind(next)?;
        }
        Ok(false)
    }

    /// Whether the parenthesis at `at` begins a number like `(415) 555-2671`.
    fn is_north_american(self, at: usize) -> Result<bool, Unknown> {
        if self.before(at)?.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Ok(false);
        }
        let Some(text) = self.text.get(at..at + 13) else { return Ok(false) };
        let blank = usize::from(text[5] == b' ');
        let end = at + 13 + blank;
        let Some(text) = self.text.get(at..end) else { return Ok(false) };
        let (area, exchange, line) = (&text[1..4], &text[5 + blank..8 + blank], &text[9 + blank..]);
        let are_digits = [area, exchange, line].iter().all(|part| part.iter().all(u8::is_ascii_digit));
        let is_apart = !self.behind(end)?.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        Ok(is_apart
            && are_digits
            && text[4] == b')'
            && b"-. ".contains(&text[8 + blank])
            && [area, exchange].iter().all(|part| part[0] >= b'2'))
    }

    fn has_card(self) -> bool {
        let is_start = |at: usize| self.text[at].is_ascii_digit() && (at == 0 || !self.text[at - 1].is_ascii_digit());
        (0..self.text.len()).filter(|at| is_start(*at)).any(|at| self.is_card(at).unwrap_or(false))
    }

    /// Whether a card's number begins at `at`, where a group of digits does.
    fn is_card(self, at: usize) -> Result<bool, Unknown> {
        let length = self.group(at);
        let is_whole = (SHORTEST_CARD..=LONGEST_CARD).contains(&length);
        if !is_whole && length != 4 {
            return Ok(false);
        }
        let before = self.before(at)?;
        if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_.-+/%\\".contains(&byte)) {
            return Ok(false);
        }
        let end = at + length;
        if is_whole {
            let digits = &self.text[at..end];
            return Ok(self.ends(end)? && is_card_number(digits) && !is_article_number(digits));
        }
        let Some(separator) = self.text.get(end).copied().filter(|byte| b" -".contains(byte)) else { return Ok(false) };
        // Four digits before them as well: a list of such numbers, and not a card.
        if separator == b' '
            && at >= 5
            && before == Some(b' ')
            && self.text[at - 5..at - 1].iter().all(u8::is_ascii_digit)
        {
            return Ok(false);
        }
        for groups in [&[4, 4, 4, 4, 3][..], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]] {
            let Some((digits, end)) = self.groups(at, groups, separator) else { continue };
            let goes_on = separator == b' ' && self.behind(end)? == Some(b' ');
            let is_list = goes_on && self.behind(end + 5).map(|_| self.group(end + 1) == 4)?;
            if self.ends(end)? && !is_list && is_card_number(&digits) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many digits stand at `at` in a row.
    fn group(self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        rest.iter().take(LONGEST_CARD + 1).take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// Returns the digits of these groups with `separator` between them, and where they end.
    fn groups(self, mut at: usize, lengths: &[usize], separator: u8) -> Option<(Vec<u8>, usize)> {
        let mut digits = Vec::with_capacity(LONGEST_CARD);
        for (place, &length) in lengths.iter().enumerate() {
            if place > 0 {
                (self.text.get(at) == Some(&separator)).then_some(())?;
                at += 1;
            }
            (self.group(at) == length).then_some(())?;
            digits.extend_from_slice(&self.text[at..at + length]);
            at += length;
        }
        Some((digits, at))
    }

    /// Whether a number that ends before `at` is no part of a longer name or number.
    fn ends(self, at: usize) -> Result<bool, Unknown> {
        let behind = self.behind(at)?;
        let is_joined = matches!(behind, Some(b'-' | b'.' | b','));
        // One more is needed to tell a full stop from a point.
        let next = if is_joined { self.behind(at + 1)? } else { None };
        Ok(!behind.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !next.is_some_and(|byte| byte.is_ascii_alphanumeric()))
    }
}

/// What stands there is not known.
struct Unknown;

fn count_digits(text: &[u8]) -> usize {
    // Summed up in bytes, many at a time.
    let count = |part: &[u8]| part.iter().map(|byte| u8::from(byte.is_ascii_digit())).sum::<u8>();
    text.chunks(128).map(|part| usize::from(count(part))).sum()
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._+-'".contains(&byte) || !byte.is_ascii()
}

fn is_domain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-".contains(&byte) || !byte.is_ascii()
}

/// Whether `domain` may be that of an address: two labels or more (RFC 1035, section 2.3.1), of which the last is no number.
fn is_email_domain(domain: &[u8]) -> bool {
    let labels: Vec<&[u8]> = domain.split(|byte| *byte == b'.').collect();
    let is_label = |label: &&[u8]| {
        !label.is_empty() && label.len() <= LONGEST_LABEL && !label.starts_with(b"-") && !label.ends_with(b"-")
    };
    let [first, .., last] = labels[..] else { return false };
    let is_number = |label: &[u8]| label.iter().all(u8::is_ascii_digit);
    // `logo@2x.png` is an image for another screen, and `left-pad@1.3.0-beta.rc` the version of a package.
    let is_scale = first.strip_suffix(b"x").is_some_and(|scale| !scale.is_empty() && is_number(scale));
    let is_version = is_number(first) && is_number(labels[1]);
    let is_last = last.len() > 1 && last.iter().all(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii());
    labels.iter().all(is_label) && (is_last || last.starts_with(b"xn--")) && !is_scale && !is_version
}

/// Whether these are the digits of a telephone number with the code of its country, of which the first group, as it is
/// written, holds at least that code.
fn is_phone(digits: &[u8], first_group: usize) -> bool {
    if digits.len() < SHORTEST_PHONE || digits.ends_with(&[0; 6]) {
        return false;
    }
    let Some(code) = country_code(digits) else { return false };
    let (national, is_split) = (&digits[code..], first_group < code);
    match (&digits[..code], national) {
        _ if is_split => false,
        ([1], [area, _, _, exchange, ..]) => digits.len() == 11 && *area >= 2 && *exchange >= 2,
        ([7], [area, ..]) => digits.len() == 11 && *area >= 3 && *area != 5,
        ([6, 5], [first, ..]) => digits.len() == 10 && [3, 6, 8, 9].contains(first),
        // Only in Italy numbers begin with zero.
        (country, [first, ..]) => *first != 0 || country == [3, 9],
        _ => false,
    }
}

/// The length of the code of the country that `digits` begin with, as ITU-T E.164 assigns them.
fn country_code(digits: &[u8]) -> Option<usize> {
    let two = digits.first()? * 10 + digits.get(1)?;
    match two {
        10..=19 | 70..=79 => Some(1),
        20 | 27 | 30..=34 | 36 | 39..=41 | 43..=49 | 51..=58 | 60..=66 | 81 | 82 | 84 | 86 | 90..=95 | 98 => Some(2),
        21..=26 | 29 | 35 | 37 | 38 | 42 | 50 | 59 | 67..=69 | 80 | 85 | 87 | 88 | 96 | 97 | 99 => Some(3),
        _ => None,
    }
}

/// Whether these are the digits of a card's number: issuer and length (ISO/IEC 7812-1) and check digit.
fn is_card_number(digits: &[u8]) -> bool {
    let issuer =
        |length: usize| digits[..length].iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'));
    let (two, four) = (issuer(2), issuer(4));
    let is_maestro = matches!(four, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763);
    // What is longer than 16 digits is rarely a card's and often an identifier, so few issuers count there.
    let is_issued = match digits.len() {
        // Visa as it once was.
        13 => matches!(two, 40..=49),
        // Diners Club.
        14 => matches!(two, 36 | 38 | 39) || matches!(four, 3000..=3059 | 3095),
        // American Express.
        15 => matches!(two, 34 | 37),
        // Visa, Mastercard, RuPay, UnionPay, Discover; Mir, Mastercard, JCB, RuPay, Troy.
        16 => {
            matches!(two, 40..=49 | 51..=55 | 60 | 62 | 65 | 81 | 82)
                || matches!(four, 2200..=2204 | 2221..=2720 | 3528..=3589 | 5080..=5089 | 6440..=6499 | 9792)
        }
        // UnionPay.
        17..=19 => two == 62,
        _ => false,
    } || is_maestro;
    is_issued && has_check_digit(digits)
}

/// The check digit of ISO/IEC 7812-1, annex B (Luhn).
fn has_check_digit(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0') * if place % 2 == 1 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether they may as well be a GTIN of 12 to 14 digits, as bar codes hold them: those of some countries begin like cards.
fn is_article_number(digits: &[u8]) -> bool {
    let weighted = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| u32::from(digit - b'0') * if place % 2 == 1 { 3 } else { 1 });
    digits.len() <= 14 && weighted.sum::<u32>().is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn look(text: &str) -> Option<Personal> {
        Piece { text: text.as_bytes(), goes_on_before: false, goes_on_behind: false }.find()
    }

    /// The same for a text that comes in pieces of `size` bytes, as the transformer has them.
    fn look_in_pieces(text: &str, size: usize) -> Option<Personal> {
        let mut held = Vec::new();
        let mut goes_on_before = false;
        let mut pieces = text.as_bytes().chunks(size).peekable();
        while let Some(piece) = pieces.next() {
            held.extend_from_slice(piece);
            let found = Piece { text: &held, goes_on_before, goes_on_behind: pieces.peek().is_some() }.find();
            if found.is_some() {
                return found;
            }
            let seen = held.len().saturating_sub(512);
            goes_on_before |= seen > 0;
            held.drain(..seen);
        }
        None
    }

    const EMAILS: &[&str] = &[
        "weiming.tan@example.sg",
        "a@b.sg",
        "o'brien+news@mail.example.co.uk",
        "tan@163.com",
        "陈伟明@example.sg",
        "tan@bücher.example",
        "tan@xn--bcher-kva.example",
        "mailto:tan@example.sg",
        "Tan Wei Ming <weiming.tan@example.sg>",
        "write to tan@example.sg.",
        "tan@example.sg, lim@example.sg",
        "https://example.com/?email=tan@example.sg",
        "see https://example.com/ or ask: tan@example.sg",
    ];
    const PHONES: &[&str] = &[
        "+65 9123 4567",
        "+6591234567",
        "call me at +65 9123 4567",
        "tel:+65-9123-4567",
        "(+65) 9123 4567",
        "+65/91234567 after six",
        "+1 415 555 2671",
        "+1 (415) 555-2671",
        "+14155552671.",
        "(415) 555-2671",
        "(415)555.2671",
        "+44 20 7946 0958",
        "+44 (0)20 7946 0958",
        "+49 (0) 30 123456",
        "+39 06 1234 5678",
        "+852 2345 6789",
        "+8613812345678",
        "+7 912 345-67-89",
        "+33.1.23.45.67.89",
        "rings +65 9123 4567 98765432 12345",
    ];
    const CARDS: &[&str] = &[
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "3782 822463 10005",
        "30569309025904",
        "3056 930902 5904",
        "6011111111111117",
        "3530111333300000",
        "6200000000000005",
        "6759649826438453",
        "6304000000000000",
        "card 4111 1111 1111 1111, exp 12/27",
        "card 4111111111111111 12/27",
        "paid with 4111 1111 1111 1111.",
        "card=4111111111111111",
        "2 cards 4111 1111 1111 1111 123",
    ];
    const OTHERS: &[&str] = &[
        "",
        "@",
        "@tan",
        "tan@",
        "tan@localhost",
        "tan@example.",
        "tan at example.sg",
        "logo@2x.png",
        "left-pad@1.3.0",
        "left-pad@1.3.0-beta.rc",
        "@scope/package@1.2.3",
        "Object@1b6d3586",
        "ubuntu@sha256:45b23dee08af5e43a7fea6c4cf9c25ccf269ee113168c19722f87876677c5cb2",
        "git@github.com:fieldseal/fieldseal.git",
        "ssh://git@github.com/fieldseal/fieldseal",
        "postgres://app:secret@db.example.com:5432/shop",
        "https://0123456789abcdef@o12345.ingest.example.com/678",
        "@alice@social.example",
        "2026-11-26T10:00:00+08:00",
        "2026-11-26T10:00:00.123456789+10:00",
        "20261126T100000+0800",
        "1764150000000",
        "1764150000000000",
        "1764150000000000000",
        "91234567",
        "6591234567",
        "9123 4567",
        "+91",
        "+1000000000",
        "+15000000000",
        "+2 500 000 000",
        "+500000000000",
        "+12345678901234567890",
        "+201.0000001",
        "+33123456789.5",
        "1+6591234567",
        "aGVsbG8+6591234567890",
        "550e8400-e29b-41d4-a716-446655440000",
        "41111111-1111-1111-1111-111111111111",
        "a4111-1111-1111-1111-1111",
        "d41d8cd98f00b204e9800998ecf8427e",
        "4111111111111112",
        "4111 1111 1111 1112",
        "4111 1111-1111 1111",
        "4111 1111 1111 1111 1111 1111",
        "1111 4111 1111 1111 1111",
        "x4111111111111111",
        "4111111111111111x",
        "4111111111111111.5",
        "0.4111111111111111",
        "-4111111111111111",
        "4111111111111111-12",
        "https://example.com/orders/4111111111111111",
        "4006381333931",
        "4012345678901",
        "490154203237518",
        "8965012345678901236",
        "GB33BUKB20201555555555",
        "1Z999AA10123456784",
        "9400111899560000000000",
        "192.168.100.200:443",
        "S$1,234,567.89",
        "1842.50",
        "{\"a\":[1,2,3,4,5,6,7,8,9,10,11,12]}",
        "f(415) 555-26710",
        "(415) 155-2671",
        "(012) 555-2671",
    ];

    #[test]
    fn what_is_personal_is_found_alone_and_in_longer_text() {
        for (texts, kind) in [(EMAILS, Personal::Email), (PHONES, Personal::Phone), (CARDS, Personal::CardNumber)] {
            for text in texts {
                assert_eq!(look(text), Some(kind), "{text}");
                let longer = format!("{} {text} {}", "lorem ipsum 1 2 ".repeat(90), "dolor 3 ".repeat(200));
                assert_eq!(look(&longer), Some(kind), "{text}");
                for size in [1, 7, 100, 513] {
                    assert_eq!(look_in_pieces(&longer, size), Some(kind), "{text} in pieces of {size}");
                    assert_eq!(look_in_pieces(text, size), Some(kind), "{text} in pieces of {size}");
                }
            }
        }
    }

    #[test]
    fn what_only_has_some_of_the_same_characters_is_not() {
        for text in OTHERS {
            assert_eq!(look(text), None, "{text}");
            assert_eq!(look_in_pieces(text, 1), None, "{text}");
        }
    }

    #[test]
    fn no_end_of_a_long_run_is_taken_for_a_whole_one() {
        for run in ["4111111111111111".repeat(100), "ab12".repeat(300) + "@example.sg", "+6591234567".repeat(90)] {
            assert_eq!(look(&run), None);
            for size in [1, 16, 511, 512, 1000] {
                assert_eq!(look_in_pieces(&run, size), None, "pieces of {size}");
            }
        }
    }

    #[test]
    fn the_longest_address_fits_into_what_pieces_overlap_by() {
        let label = "d".repeat(LONGEST_LABEL);
        let domain = [&label[..], &label, &label, &"e".repeat(LONGEST_DOMAIN - 3 * LONGEST_LABEL - 6), "sg"].join(".");
        let address = format!("{}@{domain}", "l".repeat(LONGEST_LOCAL_PART));
        assert!(address.len() + "https://:".len() < 512);
        let text = format!("{} {address} {}", "x ".repeat(700), "y ".repeat(700));
        assert_eq!(look_in_pieces(&text, 512), Some(Personal::Email));
        assert_eq!(look(&format!("l{address}")), None);
    }

    #[test]
    fn every_number_of_digits_is_counted() {
        for length in [0, 1, 127, 128, 129, 1000] {
            assert_eq!(count_digits(&vec![b'7'; length]), length);
            assert_eq!(count_digits(&vec![b'/'; length]) + count_digits(&vec![b':'; length]), 0);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn identifiers_times_and_prices_are_never_taken_for_personal(
            text in prop_oneof![
                // UUIDs, in both cases and without hyphens.
                "[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
                "[0-9A-F]{8}-[0-9A-F]{4}-[1-8][0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}",
                "[0-9]{8}-[0-9]{4}-[1-8][0-9]{3}-[89][0-9]{3}-[0-9]{12}",
                "[a-f][0-9a-f]{30}[a-f]",
                "[0-9a-f]{40}[a-f]",
                // Times of RFC 3339 and of ISO 8601's basic form, and those that count from 1970.
                "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])",
                "20[0-9]{6}T[0-9]{6}[+-](0[0-9]|1[0-4])[0-5][0-9]",
                "20[0-9]{2}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]",
                "1[0-9]{9,18}",
                // Prices and quantities.
                "[A-Z]{3} [0-9]{1,3}(,[0-9]{3}){0,5}\\.[0-9]{2}",
                "[+-]?[0-9]{1,9}(\\.[0-9]{1,18})?",
                // ULIDs, and identifiers with a word before them.
                "[0-7][0-9A-HJKMNP-TV-Z]{25}",
                "(ord|cus|pi|inv)_[0-9A-Za-z]{14,24}",
                "[A-Z]{2,4}-[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{4}",
                // Addresses of machines and of what they serve.
                "[0-9]{1,3}(\\.[0-9]{1,3}){3}(:[0-9]{1,5})?",
                "https://[a-z]{3,9}\\.[a-z]{2,3}(/[a-z0-9-]{1,20}){1,4}(\\?[a-z]{1,5}=[a-z0-9]{1,12})?",
                "https://[a-z]{3,9}\\.[a-z]{2,3}/orders/[0-9]{12,19}",
                "[a-z]{1,9}://[a-z]{1,8}:[a-zA-Z0-9]{1,16}@[a-z]{1,9}\\.[a-z]{2,3}/[a-z]{1,9}",
                "[a-z]{1,9}@[0-9]{1,2}x\\.(png|webp|jpg)",
                "[a-z-]{1,12}@[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9]{1,3}(-(alpha|beta|rc)\\.[0-9])?",
                // Base64.
                "[A-Za-z0-9+/]{40,80}={0,2}",
            ]
        ) {
            prop_assume!(!has_luck(&text));
            prop_assert_eq!(look(&text), None, "{}", text);
        }

        #[test]
        fn long_numbers_without_the_check_digit_are_none_of_a_card(text in "[0-9]{12,19}") {
            prop_assume!(!has_check_digit(text.as_bytes()));
            prop_assert_eq!(look(&text), None);
        }

        #[test]
        fn numbers_with_one_are_found_behind_the_prefix_of_an_issuer(
            prefix in prop_oneof![Just("4"), Just("51"), Just("2221"), Just("6011"), Just("3528"), Just("62")],
            rest in "[0-9]{15}"
        ) {
            let mut digits = format!("{prefix}{rest}")[..15].to_owned();
            digits.extend(('0'..='9').filter(|digit| has_check_digit(format!("{digits}{digit}").as_bytes())).take(1).collect::<Vec<_>>());
            prop_assert_eq!(look(&digits), Some(Personal::CardNumber));
            let grouped: Vec<_> = digits.as_bytes().chunks(4).map(|group| str::from_utf8(group).unwrap()).collect();
            prop_assert_eq!(look(&grouped.join(" ")), Some(Personal::CardNumber));
            prop_assert_eq!(look(&format!("paid with {}", grouped.join("-"))), Some(Personal::CardNumber));
        }

        #[test]
        fn pieces_say_what_the_whole_does(
            parts in proptest::collection::vec(prop_oneof![
                Just("+65 9123 4567".to_owned()), Just("tan@example.sg".to_owned()), Just("4111 1111 1111 1111".to_owned()),
                "[0-9 +@.a-f-]{0,40}", "[ -~]{0,60}", Just("4111".to_owned()), Just("x".repeat(400)),
            ], 0..12),
            size in 1_usize..700
        ) {
            let text = parts.concat();
            prop_assert_eq!(look(&text).is_some(), look_in_pieces(&text, size).is_some(), "{} by {}", text, size);
        }

        #[test]
        fn no_text_is_too_odd(text in ".{0,200}", before: bool, behind: bool) {
            Piece { text: text.as_bytes(), goes_on_before: before, goes_on_behind: behind }.find();
        }
    }

    /// Whether a random text of digits and hyphens alone happens to be the number of a card.
    fn has_luck(text: &str) -> bool {
        text.bytes().all(|byte| byte.is_ascii_digit()) && has_check_digit(text.as_bytes())
    }
}
