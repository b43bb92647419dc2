//! The normal form of any text: one width, one composition, one case, one kind of white space.

use std::sync::OnceLock;

use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_normalizer::{
    ComposingNormalizer, ComposingNormalizerBorrowed, DecomposingNormalizer, DecomposingNormalizerBorrowed,
};
use zeroize::Zeroizing;

use super::vectors::{self, Vector};
use crate::error::Error;

const NFD: DecomposingNormalizerBorrowed<'static> = DecomposingNormalizer::new_nfd();
const NFKD: DecomposingNormalizerBorrowed<'static> = DecomposingNormalizer::new_nfkd();
const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizer::new_nfkc();
const CASE: CaseMapperBorrowed<'static> = CaseMapper::new();

pub(super) fn check() -> Result<(), Error> {
    static HOLDS: OnceLock<bool> = OnceLock::new();
    vectors::check("text", &HOLDS, VECTORS, |(), text| Some(normalize(text)))
}

/// Folds the text, and leaves one space for each run of white space inside it and none around it.
pub(super) fn normalize(text: &str) -> Zeroizing<String> {
    let folded = fold(text);
    let mut normal = Zeroizing::new(String::with_capacity(folded.len()));
    for word in folded.split_whitespace() {
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.push_str(word);
    }
    normal
}

/// Compatibility caseless matching, The Unicode Standard, section 3.13, definition D146, composed again at the end.
fn fold(text: &str) -> Zeroizing<String> {
    if text.is_ascii() {
        return Zeroizing::new(text.to_ascii_lowercase());
    }
    let decomposed = Zeroizing::new(NFD.normalize(text).into_owned());
    let folded = Zeroizing::new(CASE.fold_string(&decomposed).into_owned());
    let decomposed = Zeroizing::new(NFKD.normalize(&folded).into_owned());
    let folded = Zeroizing::new(CASE.fold_string(&decomposed).into_owned());
    Zeroizing::new(NFKC.normalize(&folded).into_owned())
}

/// Composes by compatibility and leaves the case: one width for digits and signs.
pub(super) fn compose(text: &str) -> Zeroizing<String> {
    Zeroizing::new(NFKC.normalize(text).into_owned())
}

/// Lower-cases each character on its own (The Unicode Standard, section 5.18: simple case mapping).
pub(super) fn lower_case(text: &str) -> Zeroizing<String> {
    let mut lower = Zeroizing::new(String::with_capacity(2 * text.len()));
    lower.extend(text.chars().map(|c| CASE.simple_lowercase(c)));
    lower
}

const VECTORS: &[Vector<()>] = &[
    ((), "", Some("")),
    ((), " \t\r\n\u{3000}", Some("")),
    ((), "  12  Orchard\tRoad ", Some("12 orchard road")),
    ((), "ÅNGSTRÖM", Some("\u{E5}ngstr\u{F6}m")),
    ((), "A\u{30A}NGSTRO\u{308}M", Some("\u{E5}ngstr\u{F6}m")),
    ((), "\u{212B}", Some("\u{E5}")),
    ((), "Straße", Some("strasse")),
    ((), "ẞ", Some("ss")),
    ((), "ΟΔΥΣΣΕΥΣ", Some("οδυσσευσ")),
    ((), "Οδυσσεύς", Some("οδυσσεύσ")),
    ((), "İzmir", Some("i\u{307}zmir")),
    ((), "ﬁﬂ", Some("fifl")),
    ((), "ＡＢＣ　１２３", Some("abc 123")),
    ((), "ｶﾞ", Some("ガ")),
    ((), "\u{1100}\u{1161}\u{11A8}", Some("각")),
    ((), "①²½", Some("121⁄2")),
    ((), "Ꭰꭰ", Some("ᎠᎠ")),
    ((), "a\u{323}\u{307} a\u{307}\u{323}", Some("ạ\u{307} ạ\u{307}")),
    ((), "\u{1F8}\u{345}", Some("ǹι")),
    ((), "محمد\u{200F} ﷴ", Some("محمد\u{200F} محمد")),
    ((), "\u{1E900}", Some("\u{1E922}")),
    ((), "क\u{200D}ष", Some("क\u{200D}ष")),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vectors_hold() {
        for &((), text, normal) in VECTORS {
            assert_eq!(Some(normalize(text).as_str()), normal, "{text:?}");
        }
        check().unwrap();
    }

    #[test]
    fn every_character_is_normal_after_one_time() {
        let planes = ('\0'..='\u{1FFFF}').chain('\u{2F800}'..='\u{2FA1F}').chain('\u{E0000}'..='\u{E01EF}');
        for c in planes {
            let once = normalize(&format!("a{c}b"));
            assert_eq!(normalize(&once), once, "{:x}", u32::from(c));
            let lower = lower_case(c.encode_utf8(&mut [0; 4]));
            assert_eq!(lower_case(&lower), lower, "{:x}", u32::from(c));
        }
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(text in any::<String>()) {
            let once = normalize(&text);
            prop_assert_eq!(&normalize(&once), &once);
        }

        #[test]
        fn marks_in_a_row_have_one_normal_form(
            text in "[a-zΑ-ω ¨´\u{300}-\u{36F}\u{1F80}-\u{1FFF}\u{FB1D}-\u{FDFF}]{0,12}",
        ) {
            let once = normalize(&text);
            prop_assert_eq!(&normalize(&once), &once);
            prop_assert_eq!(&normalize(&NFD.normalize(&text)), &once);
            prop_assert_eq!(&normalize(&NFKD.normalize(&text)), &once);
        }
    }
}
