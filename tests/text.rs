//! Proves that spellings of one value have one normal form, that a normal form is its own, and that no error tells a
//! value.
#![cfg(feature = "normal-forms")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::iter::once;

use fieldseal::ErrorKind;
use fieldseal::policy::Normalizer;
use proptest::prelude::*;

fn normal(normalizer: &Normalizer, text: &str) -> String {
    normalizer.normalize(text).unwrap_or_else(|error| panic!("{text:?}: {error}")).to_string()
}

fn all() -> Vec<Normalizer> {
    let email = || Normalizer::email().unwrap();
    vec![
        Normalizer::exact(),
        email(),
        email().ignore_case().unwrap(),
        email().ignore_dots().unwrap(),
        email().ignore_subaddress().unwrap(),
        email().ignore_case().unwrap().ignore_dots().unwrap().ignore_subaddress().unwrap(),
        Normalizer::phone("SG").unwrap(),
        Normalizer::phone("US").unwrap(),
        Normalizer::phone("IT").unwrap(),
        Normalizer::name().unwrap(),
        Normalizer::text().unwrap(),
    ]
}

/// ASCII as it is written with the wide characters of East Asia.
fn widen(text: &str) -> String {
    let wide = |c: char| match c {
        ' ' => '\u{3000}',
        '!'..='~' => char::from_u32(u32::from(c) - 0x21 + 0xFF01).unwrap(),
        _ => c,
    };
    text.chars().map(wide).collect()
}

#[test]
fn one_person_has_one_name() {
    let name = Normalizer::name().unwrap();
    for spellings in [
        &["Tan Wei Ming", " tan  WEI\tming\u{A0}", "ＴＡＮ　Ｗｅｉ　Ｍｉｎｇ"][..],
        &["José Núñez", "Jose\u{301} Nu\u{301}n\u{303}ez", "JOSÉ NÚÑEZ"],
        &["Nguyễn Thị Ánh", "NGUYE\u{302}\u{303}N THI\u{323} A\u{301}NH"],
        &["Jürgen Groß", "JU\u{308}RGEN GROSS", "jürgen groẞ"],
        &["김민수", "\u{1100}\u{1175}\u{11B7}\u{1106}\u{1175}\u{11AB}\u{1109}\u{116E}"],
        &["ﾔﾏﾀﾞ ﾀﾛｳ", "ヤマダ　タロウ"],
        &["Ελένη Παππάς", "ΕΛΈΝΗ ΠΑΠΠΆΣ"],
    ] {
        for spelling in spellings {
            assert_eq!(normal(&name, spelling), normal(&name, spellings[0]), "{spelling}");
        }
    }
}

#[test]
fn two_persons_have_two_names() {
    let name = Normalizer::name().unwrap();
    for (one, other) in [("Zoë", "Zoe"), ("Tan Wei Ming", "Wei Ming Tan"), ("O'Brien", "OBrien"), ("Аnna", "Anna")] {
        assert_ne!(normal(&name, one), normal(&name, other));
    }
}

#[test]
fn one_number_has_one_normal_form() {
    for (region, number, spellings) in [
        (
            "SG",
            "+6591234567",
            &[
                "91234567",
                "9123 4567",
                "9123-4567",
                "+65 9123 4567",
                "(+65) 9123.4567",
                "65 9123 4567",
                "+65\u{A0}9123\u{2011}4567",
                "\u{202A}+65 9123 4567\u{202C}",
                "００１ ６５ ９１２３ ４５６７",
                "Tel:+65-9123-4567",
            ][..],
        ),
        ("GB", "+442079460958", &["020 7946 0958", "+44 (0)20 7946 0958", "0044 20 7946 0958", "(020) 7946-0958"]),
        ("US", "+16502530000", &["(650) 253-0000", "1 650 253 0000", "+1.650.253.0000", "011 1 650 253 0000"]),
        ("DE", "+390669812345", &["+39 06 698 12345", "0039 06 698 12345"]),
    ] {
        let phone = Normalizer::phone(region).unwrap();
        for spelling in spellings {
            assert_eq!(normal(&phone, spelling), number, "{spelling}");
        }
    }
}

#[test]
fn what_is_no_number_is_refused() {
    let phone = Normalizer::phone("SG").unwrap();
    for text in [
        "9123",
        "995",
        "+",
        "()",
        "-",
        "tel:",
        "+65",
        "+65 0000 0000",
        "+65 9123 4567 / 9123 4568",
        "9123 4567 x12",
        "+65 +9123 4567",
        "1-800-FLOWERS",
        "9123\u{0}4567",
        "+999 1234 5678",
        "tel:+65-9123-4567;ext=1",
    ] {
        assert_eq!(phone.normalize(text).unwrap_err().kind(), ErrorKind::InvalidValue, "{text:?}");
    }
}

#[test]
fn blank_text_is_no_value() {
    for normalizer in all().iter().skip(1) {
        for blank in ["", " ", "\t\r\n", "\u{A0}\u{3000}"] {
            assert_eq!(normal(normalizer, blank), "", "{normalizer:?}");
        }
    }
    assert_eq!(normal(&Normalizer::exact(), " "), " ");
}

#[test]
fn an_email_address_reaches_one_mailbox() {
    let email = Normalizer::email().unwrap();
    for spelling in
        ["wei@bücher.example", "wei@BU\u{308}CHER.Example ", "wei@xn--bcher-kva.example", "wei@ｂücher．example"]
    {
        assert_eq!(normal(&email, spelling), "wei@xn--bcher-kva.example");
    }
    assert_ne!(normal(&email, "Wei@example.sg"), normal(&email, "wei@example.sg"));
    let lenient = all().remove(5);
    assert_eq!(lenient.id(), "email:ignore_case+ignore_dots+ignore_subaddress@1");
    for spelling in ["weiming@example.sg", "Wei.Ming@example.sg", "WEIMING+shop@EXAMPLE.SG"] {
        assert_eq!(normal(&lenient, spelling), "weiming@example.sg");
    }
}

proptest! {
    #[test]
    fn names_have_one_case_one_width_and_one_space(words in prop::collection::vec("[A-Za-z'.-]{1,8}", 1..5)) {
        for normalizer in [Normalizer::name().unwrap(), Normalizer::text().unwrap()] {
            let text = words.join(" ");
            let form = normal(&normalizer, &text);
            prop_assert_eq!(&normal(&normalizer, &text.to_uppercase()), &form);
            prop_assert_eq!(&normal(&normalizer, &text.to_lowercase()), &form);
            prop_assert_eq!(&normal(&normalizer, &widen(&text)), &form);
            prop_assert_eq!(&normal(&normalizer, &format!("\t{}\u{2003}", words.join("\u{A0} \n"))), &form);
        }
    }

    #[test]
    fn numbers_have_one_normal_form_however_they_are_set(
        digits in "[89][1-8][0-9]{6}",
        marks in prop::collection::vec("|[-. \u{A0}\u{2013}]| [(]|[)] ", 8),
    ) {
        let phone = Normalizer::phone("SG").unwrap();
        let Ok(form) = phone.normalize(&digits) else { return Ok(()) };
        prop_assert_eq!(&*form, &format!("+65{digits}"));
        let set: String = digits.chars().zip(&marks).flat_map(|(digit, mark)| once(digit).chain(mark.chars())).collect();
        let abroad = format!("+65 {set}");
        for text in [&set, &abroad, &format!("+65{digits}"), &widen(&set), &widen(&abroad)] {
            prop_assert_eq!(&normal(&phone, text), &*form, "{}", text);
        }
    }

    #[test]
    fn domains_have_one_case_and_one_width(
        local in "[!#$%&'*+/0-9=?A-Z^_`a-z{|}~.-]{1,20}",
        domain in "[a-z][a-z0-9]{0,9}\\.[a-z]{2,5}",
    ) {
        let email = Normalizer::email().unwrap();
        let form = normal(&email, &format!("{local}@{domain}"));
        prop_assert_eq!(&form, &format!("{local}@{domain}"));
        prop_assert_eq!(&normal(&email, &format!(" {local}@{}\n", domain.to_uppercase())), &form);
        prop_assert_eq!(&normal(&email, &format!("{local}@{}", widen(&domain))), &form);
    }

    #[test]
    fn a_normal_form_is_its_own(
        text in any::<String>(),
        address in "\\PC{1,8}@\\PC{1,8}",
        digits in "[+]?[0-9 ()-]{6,16}",
    ) {
        for normalizer in all() {
            for text in [&text, &address, &digits] {
                if let Ok(form) = normalizer.normalize(text) {
                    prop_assert_eq!(&normal(&normalizer, &form), &*form, "{:?} {:?}", normalizer, text);
                }
            }
        }
    }

    #[test]
    fn an_error_never_holds_the_value(text in "[\u{1F600}-\u{1F64F}\u{4E00}-\u{4EFF}]{1,12}\u{202E}") {
        for normalizer in all() {
            if let Err(error) = normalizer.normalize(&text) {
                prop_assert_eq!(error.kind(), ErrorKind::InvalidValue);
                let told = format!("{error} {error:?} {normalizer:?}");
                prop_assert!(text.chars().all(|c| !told.contains(c)), "{}", told);
            }
        }
    }
}
