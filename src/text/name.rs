//! The normal form of a person's name.

use std::sync::OnceLock;

use zeroize::Zeroizing;

use super::folded;
use super::plain::is_plain;
use super::vectors::{self, Vector};
use crate::error::Error;

pub(super) fn check() -> Result<(), Error> {
    static HOLDS: OnceLock<bool> = OnceLock::new();
    vectors::check("name", &HOLDS, VECTORS, |(), text| normalize(text))
}

/// Folds the name. White space of every kind is a space; beside it, only plain text is a name.
pub(super) fn normalize(text: &str) -> Option<Zeroizing<String>> {
    text.chars().all(|c| c.is_whitespace() || is_plain(c)).then(|| folded::normalize(text))
}

const VECTORS: &[Vector<()>] = &[
    ((), "", Some("")),
    ((), " \t\u{A0}", Some("")),
    ((), "Tan Wei Ming", Some("tan wei ming")),
    ((), "  TAN\u{A0}wei\n MING ", Some("tan wei ming")),
    ((), "Ｔａｎ　Ｗｅｉ　Ｍｉｎｇ", Some("tan wei ming")),
    ((), "陈伟明", Some("陈伟明")),
    ((), "D'Souza", Some("d'souza")),
    ((), "O’Brien", Some("o’brien")),
    ((), "Smith-Jones, Jr.", Some("smith-jones, jr.")),
    ((), "José", Some("jos\u{E9}")),
    ((), "Jose\u{301}", Some("jos\u{E9}")),
    ((), "NGUYỄN Thị", Some("nguy\u{1EC5}n th\u{1ECB}")),
    ((), "Großmann", Some("grossmann")),
    ((), "Παπαδόπουλος", Some("παπαδόπουλοσ")),
    ((), "ИВАНОВ Пётр", Some("иванов п\u{451}тр")),
    ((), "ﺍﺣﻤﺪ", Some("احمد")),
    ((), "김민수", Some("김민수")),
    ((), "ศิริ", Some("ศิริ")),
    ((), "கவிதா s/o Ravi", Some("கவிதா s/o ravi")),
    ((), "Tan\0Wei", None),
    ((), "Tan \u{202E}gniM", None),
    ((), "Tan \u{2066}Wei\u{2069}", None),
    ((), "Tan\u{FFFF}", None),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_hold() {
        for &((), text, normal) in VECTORS {
            assert_eq!(normalize(text).as_ref().map(|found| found.as_str()), normal, "{text:?}");
        }
        check().unwrap();
    }
}
