//! The normal form of an email address.

use std::sync::OnceLock;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use zeroize::Zeroizing;

use super::folded::lower_case;
use super::plain::is_plain;
use super::vectors::{self, Vector};
use crate::error::Error;

/// The most bytes of an address (RFC 5321, section 4.5.3.1.3, less the angle brackets of a path).
const LONGEST: usize = 254;

/// What differs between spellings of a local part that reach one mailbox. RFC 5321 leaves it to the mail server, so
/// none of it is taken for granted.
#[derive(Clone, Copy, Default)]
pub(super) struct Leniency {
    pub(super) ignore_case: bool,
    pub(super) ignore_dots: bool,
    pub(super) ignore_subaddress: bool,
}

impl Leniency {
    pub(super) fn id(self) -> String {
        let Self { ignore_case, ignore_dots, ignore_subaddress } = self;
        let chosen =
            [(ignore_case, "ignore_case"), (ignore_dots, "ignore_dots"), (ignore_subaddress, "ignore_subaddress")];
        let options: Vec<_> = chosen.iter().filter_map(|(is_chosen, name)| is_chosen.then_some(*name)).collect();
        if options.is_empty() { "email@1".to_owned() } else { format!("email:{}@1", options.join("+")) }
    }
}

pub(super) fn check() -> Result<(), Error> {
    static HOLDS: OnceLock<bool> = OnceLock::new();
    vectors::check("email", &HOLDS, VECTORS, |leniency, text| normalize(text, leniency))
}

pub(super) fn normalize(text: &str, leniency: Leniency) -> Option<Zeroizing<String>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Zeroizing::default());
    }
    if text.chars().any(|c| c.is_whitespace() || !is_plain(c)) {
        return None;
    }
    let (local, domain) = split(text)?;
    let local = normalize_local(local, leniency);
    let domain = Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
        .map(|domain| Zeroizing::new(domain.into_owned()))
        .ok()?;
    let length = local.len() + 1 + domain.len();
    if local.is_empty() || length > LONGEST {
        return None;
    }
    let mut normal = Zeroizing::new(String::with_capacity(length));
    normal.push_str(&local);
    normal.push('@');
    normal.push_str(&domain);
    Some(normal)
}

/// Splits an address at its one unquoted `@`. A local part is quoted whole or not at all (RFC 5321, section 4.1.2).
fn split(text: &str) -> Option<(&str, &str)> {
    let (local, domain) = match text.strip_prefix('"') {
        Some(quoted) => text.split_at_checked(1 + closing_quote(quoted)? + 1)?,
        None => text.split_at(text.find(['@', '"'])?),
    };
    let domain = domain.strip_prefix('@')?;
    (!domain.contains('@')).then_some((local, domain))
}

fn closing_quote(quoted: &str) -> Option<usize> {
    let mut is_escaped = false;
    quoted.bytes().position(|byte| {
        let closes = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        closes
    })
}

fn normalize_local(local: &str, leniency: Leniency) -> Zeroizing<String> {
    let Leniency { ignore_case, ignore_dots, ignore_subaddress } = leniency;
    let mut normal = if ignore_case { lower_case(local) } else { Zeroizing::new(local.to_owned()) };
    if normal.starts_with('"') {
        return normal;
    }
    if ignore_subaddress && let Some(plus @ 1..) = normal.find('+') {
        normal.truncate(plus);
    }
    if ignore_dots {
        normal.retain(|c| c != '.');
    }
    normal
}

const EXACT: Leniency = Leniency { ignore_case: false, ignore_dots: false, ignore_subaddress: false };
const ALL: Leniency = Leniency { ignore_case: true, ignore_dots: true, ignore_subaddress: true };

const VECTORS: &[Vector<Leniency>] = &[
    (EXACT, "", Some("")),
    (EXACT, " \t", Some("")),
    (EXACT, "wei.ming@example.sg", Some("wei.ming@example.sg")),
    (EXACT, "  Wei.Ming+News@EXAMPLE.sg\n", Some("Wei.Ming+News@example.sg")),
    (EXACT, "jürgen@BÜCHER.example", Some("jürgen@xn--bcher-kva.example")),
    (EXACT, "a@bu\u{308}cher.example", Some("a@xn--bcher-kva.example")),
    (EXACT, "a@faß.example", Some("a@xn--fa-hia.example")),
    (EXACT, "a@ｅｘａｍｐｌｅ．ｓｇ", Some("a@example.sg")),
    (EXACT, "a@例え。テスト", Some("a@xn--r8jz45g.xn--zckzah")),
    (EXACT, "a@XN--BCHER-KVA.example", Some("a@xn--bcher-kva.example")),
    (EXACT, "\"a@\\\"b\"@example.sg", Some("\"a@\\\"b\"@example.sg")),
    (EXACT, "a..b.@example.sg", Some("a..b.@example.sg")),
    (EXACT, "a@localhost", Some("a@localhost")),
    (EXACT, "example.sg", None),
    (EXACT, "@example.sg", None),
    (EXACT, "a@", None),
    (EXACT, "a@b@example.sg", None),
    (EXACT, "a b@example.sg", None),
    (EXACT, "a@under_score.example", None),
    (EXACT, "a@-hyphen.example", None),
    (EXACT, "a@xn--0.example", None),
    (EXACT, "a@[192.0.2.1]", None),
    (ALL, "Wei.Ming+News@Example.sg", Some("weiming@example.sg")),
    (ALL, "ÅSA.Öberg@example.se", Some("åsaöberg@example.se")),
    (ALL, "+news@example.sg", Some("+news@example.sg")),
    (ALL, "\"Wei.Ming+News\"@example.sg", Some("\"wei.ming+news\"@example.sg")),
    (ALL, "...@example.sg", None),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_hold() {
        for &(leniency, text, normal) in VECTORS {
            assert_eq!(normalize(text, leniency).as_ref().map(|found| found.as_str()), normal, "{text:?}");
        }
        check().unwrap();
    }

    #[test]
    fn a_local_part_is_quoted_whole_or_not_at_all() {
        for text in ["\"a@example.sg", "a\"b\"@example.sg", "\"a\"b@example.sg", "\"a\\\"@example.sg", "\"\"", "\""] {
            assert!(normalize(text, Leniency::default()).is_none(), "{text}");
        }
    }

    #[test]
    fn an_address_has_254_bytes_at_most() {
        let local = "x".repeat(LONGEST - "@example.sg".len());
        assert!(normalize(&format!("{local}@example.sg"), Leniency::default()).is_some());
        assert!(normalize(&format!("{local}x@example.sg"), Leniency::default()).is_none());
    }
}
