//! The normal form of a telephone number: ITU-T E.164.
//!
//! The plans of numbers are the metadata of libphonenumber. They are read here without its parser, which makes a number
//! out of any text that has digits, and strips the trunk prefix of one country from a number of another.

use std::fmt::Write as _;
use std::sync::OnceLock;

use zeroize::Zeroizing;

use super::folded::compose;
use super::numbering_plan::NumberingPlan;
use super::vectors::{self, Vector};
use crate::error::{Error, ErrorKind};

/// Longer texts are no numbers: 15 digits of E.164, prefixes, and much between them.
const LONGEST: usize = 128;
const LONGEST_COUNTRY_CODE: usize = 3;

/// A country whose numbers are written without their country code.
#[derive(Clone, Copy)]
pub(super) struct Region([u8; 2]);

impl Region {
    /// Reads two letters of ISO 3166-1.
    pub(super) fn parse(region: &str) -> Result<Self, Error> {
        let letters = <[u8; 2]>::try_from(region.as_bytes()).unwrap_or_default().map(|byte| byte.to_ascii_uppercase());
        let region = Self(letters);
        if !letters.iter().all(u8::is_ascii_uppercase) || region.plan().is_none() {
            return Err(Error::new(
                ErrorKind::Policy,
                "the region of a telephone number is not one of ISO 3166-1, by two letters",
            ));
        }
        Ok(region)
    }

    pub(super) fn id(self) -> String {
        let [first, second] = self.0.map(char::from);
        format!("phone:{first}{second}@1")
    }

    fn plan(self) -> Option<&'static NumberingPlan> {
        NumberingPlan::of_region(std::str::from_utf8(&self.0).ok()?)
    }
}

pub(super) fn check() -> Result<(), Error> {
    static HOLDS: OnceLock<bool> = OnceLock::new();
    vectors::check("phone", &HOLDS, VECTORS, |region, text| normalize(text, Region(*region)))
}

pub(super) fn normalize(text: &str, region: Region) -> Option<Zeroizing<String>> {
    let dialled = read_digits(text)?;
    match dialled.strip_prefix('+') {
        Some(digits) => read_international(digits),
        None if dialled.is_empty() => Some(dialled),
        None => read_national(&dialled, region.plan()?),
    }
}

/// Leaves the digits, in ASCII, behind a `+` if there is one. Nothing beside them may be there but what sets them
/// apart.
fn read_digits(text: &str) -> Option<Zeroizing<String>> {
    if text.len() > LONGEST {
        return None;
    }
    let text = compose(text.trim());
    let number = match text.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => &text[4..],
        _ => &text,
    };
    let mut dialled = Zeroizing::new(String::with_capacity(number.len()));
    for c in number.chars() {
        match digit(c) {
            Some(digit) => dialled.push(digit),
            None if c == '+' && dialled.is_empty() => dialled.push('+'),
            None if is_separator(c) => {}
            None => return None,
        }
    }
    (text.is_empty() || dialled.bytes().any(|byte| byte.is_ascii_digit())).then_some(dialled)
}

fn is_separator(c: char) -> bool {
    // Marks of direction and of no width come with numbers that are copied from an address book.
    let is_invisible = matches!(
        c,
        '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}'
    );
    let is_dash = matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    c.is_whitespace() || is_invisible || is_dash || matches!(c, '.' | '/' | '(' | ')' | '[' | ']' | '~')
}

/// Returns the ASCII digit for a decimal digit of a script that telephone numbers are written in.
fn digit(c: char) -> Option<char> {
    const ZEROS: &str = "0٠۰०০੦૦୦௦౦೦൦෦๐໐༠၀០᠐";
    ZEROS.chars().find_map(|zero| {
        let value = u32::from(c).checked_sub(u32::from(zero))?;
        char::from_digit(value, 10)
    })
}

/// Reads a number without a country code: as it is, behind the trunk prefix, behind the international prefix, or with
/// the country code all the same but for its `+`.
fn read_national(digits: &str, plan: &NumberingPlan) -> Option<Zeroizing<String>> {
    let abroad = || read_international(plan.strip_international_prefix(digits)?);
    let with_code = || read_in_country(digits.strip_prefix(&plan.country_code().to_string())?, plan);
    read_in_country(digits, plan).or_else(abroad).or_else(with_code)
}

/// Reads a number behind its country code. What is dialled within a country is that of its main region: others add the
/// code of an area to short numbers.
fn read_international(digits: &str) -> Option<Zeroizing<String>> {
    let (plans, national) = (1..=LONGEST_COUNTRY_CODE).find_map(|length| {
        let (code, national) = digits.split_at_checked(length)?;
        let plans = NumberingPlan::of(code.parse().ok()?)?;
        (!code.starts_with('0')).then_some((plans, national))
    })?;
    read_in_country(national, plans.first()?)
}

/// Reads a number of one country as it is, or else behind what is dialled within that country only. It may be one of
/// any region with the same country code.
fn read_in_country(digits: &str, plan: &NumberingPlan) -> Option<Zeroizing<String>> {
    let code = plan.country_code();
    let is_number =
        |national: &str| NumberingPlan::of(code).is_some_and(|plans| plans.iter().any(|plan| plan.has(national)));
    let valid = |national: &str| is_number(national).then(|| e164(code, national));
    let rewritten = || valid(&plan.rewrite_national(digits)?);
    let stripped = || valid(plan.strip_trunk_prefix(digits)?);
    valid(digits).or_else(rewritten).or_else(stripped)
}

fn e164(code: u16, national: &str) -> Zeroizing<String> {
    let mut number = Zeroizing::new(String::with_capacity(1 + LONGEST_COUNTRY_CODE + national.len()));
    write!(number, "+{code}{national}").expect("a string takes what is written to it");
    number
}

const VECTORS: &[Vector<&[u8; 2]>] = &[
    (b"SG", "", Some("")),
    (b"SG", "9123 4567", Some("+6591234567")),
    (b"SG", "+65 9123-4567", Some("+6591234567")),
    (b"SG", "６５ ９１２３ ４５６７", Some("+6591234567")),
    (b"SG", "tel:+65-6123-4567", Some("+6561234567")),
    (b"SG", "(+44) (0)20 7946 0958", Some("+442079460958")),
    (b"SG", "001 44 20 7946 0958", Some("+442079460958")),
    (b"GB", "020 7946 0958", Some("+442079460958")),
    (b"GB", "0065 9123 4567", Some("+6591234567")),
    (b"US", "(650) 253-0000", Some("+16502530000")),
    (b"US", "1-650-253-0000", Some("+16502530000")),
    (b"IT", "06 698 12345", Some("+390669812345")),
    (b"DE", "030 / 12 34 56", Some("+4930123456")),
    (b"AR", "011 15-2345-6789", Some("+5491123456789")),
    (b"BR", "0 15 11 96123-4567", Some("+5511961234567")),
    (b"RU", "8 (912) 345-67-89", Some("+79123456789")),
    (b"EG", "٠١٠ ١٢٣٤ ٥٦٧٨", Some("+201012345678")),
    (b"IN", "०९८७६५ ४३२१०", Some("+919876543210")),
    (b"SG", "9123", None),
    (b"SG", "+65 9123 45678", None),
    (b"SG", "+999 9123 4567", None),
    (b"SG", "call 9123 4567", None),
    (b"SG", "+65 6123 4567 ext. 8", None),
    (b"SG", "995", None),
    (b"SG", "+1 457 1234", None),
];

#[cfg(test)]
mod tests {
    use phonenumber::{Type, metadata::DATABASE};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vectors_hold() {
        for &(region, text, normal) in VECTORS {
            assert_eq!(normalize(text, Region(*region)).as_ref().map(|found| found.as_str()), normal, "{text:?}");
        }
        check().unwrap();
    }

    #[test]
    fn a_region_is_two_letters_of_iso_3166() {
        for region in ["SG", "sg", "US", "GB", "XK"] {
            assert!(Region::parse(region).is_ok(), "{region}");
        }
        for region in ["", "S", "SGP", "ZZ", "00", "65", "é", "001"] {
            assert_eq!(Region::parse(region).map(|_| ()).unwrap_err().kind(), ErrorKind::Policy, "{region}");
        }
    }

    #[test]
    fn the_example_of_every_plan_is_found_in_each_way_of_writing_it() {
        let mut count = 0;
        for plan in DATABASE.iter().filter(|plan| plan.id().len() == 2) {
            let region = Region::parse(plan.id()).unwrap();
            for kind in [Type::FixedLine, Type::Mobile] {
                let Some(national) = plan.descriptors().get(kind).and_then(|kind| kind.example()) else { continue };
                let number = format!("+{}{national}", plan.country_code());
                for text in [number.clone(), national.to_owned(), number.replacen('+', "+ ", 1)] {
                    let normal = normalize(&text, region);
                    assert_eq!(normal.as_ref().map(|normal| normal.as_str()), Some(&*number), "{} {text}", plan.id());
                }
                if let Some(prefix) = plan.national_prefix() {
                    let normal = normalize(&format!("{prefix}{national}"), region);
                    assert!(normal.is_some_and(|normal| *normal == number), "{} {prefix} {national}", plan.id());
                }
                count += 1;
            }
        }
        assert!(count > 400, "only {count} examples were seen");
    }

    proptest! {
        #[test]
        fn any_digits_are_read_without_a_panic(text in "\\+?[0-9]{0,20}", region in 0..VECTORS.len()) {
            let region = Region(*VECTORS[region].0);
            if let Some(normal) = normalize(&text, region) {
                prop_assert_eq!(normalize(&normal, region), Some(normal.clone()));
                prop_assert!(normal.is_empty() || normal.starts_with('+'));
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>()) {
            let _ = normalize(&text, Region(*b"SG"));
        }
    }
}
