//! What a person sees of a value who may not read it.

use std::fmt;
use std::sync::Arc;

/// What every masked text holds, and no value may.
const BULLETS: &str = "•••";
/// The same as browsers send it in a form of a page whose character encoding has no bullet.
const BULLET_REFERENCES: &str = "&#8226;&#8226;&#8226;";
const HIDDEN: &str = "••••";
/// How many digits or characters at the end of a number are shown.
const SHOWN: usize = 4;
const MOST_WORDS: usize = 4;

/// What a person may see of a value who may not read it: enough to recognise, too little to use.
///
/// Every masked text holds three bullets (U+2022) in a row. By them it is known when a form sends back what it was
/// shown: a masked text must never be stored in the place of the value.
///
/// A mask shows half of the characters of a value at most. Three parts are not counted, since they do not tell people
/// apart: the country code of a telephone number, the domain of an email address, and the last four digits of a card.
///
/// # Example
///
/// ```
/// use fieldseal::policy::Mask;
///
/// assert_eq!(Mask::phone().apply("+65 9123 4567"), "+65 •••• 4567");
/// assert_eq!(Mask::email().apply("wei.ming@example.sg"), "w•••@example.sg");
/// ```
#[derive(Clone)]
pub struct Mask(Kind);

#[derive(Clone)]
enum Kind {
    Phone,
    Email,
    Card,
    Name,
    NationalId,
    Hidden,
    Custom(Arc<Function>),
}

type Function = dyn Fn(&str) -> String + Send + Sync;

impl Mask {
    /// Shows the country code of a telephone number, if a space sets it off, and the last four digits.
    ///
    /// Nothing is shown unless there are eight digits beside the country code.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Mask;
    ///
    /// assert_eq!(Mask::phone().apply("+6591234567"), "+•••• 4567");
    /// assert_eq!(Mask::phone().apply("995"), "••••");
    /// ```
    #[must_use]
    pub fn phone() -> Self {
        Self(Kind::Phone)
    }

    /// Shows the domain of an email address, and the first character of a local part that has three at least.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Mask;
    ///
    /// assert_eq!(Mask::email().apply("al@example.sg"), "•••@example.sg");
    /// assert_eq!(Mask::email().apply("not an address"), "••••");
    /// ```
    #[must_use]
    pub fn email() -> Self {
        Self(Kind::Email)
    }

    /// Shows the last four digits of a payment card's number, or of what is kept of it.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Mask;
    ///
    /// assert_eq!(Mask::card().apply("4242 4242 4242 4242"), "•••• 4242");
    /// assert_eq!(Mask::card().apply("4242"), "•••• 4242");
    /// assert_eq!(Mask::card().apply("exp 12/29"), "••••");
    /// ```
    #[must_use]
    pub fn card() -> Self {
        Self(Kind::Card)
    }

    /// Shows the first character of each word of a name that has two at least, for four words at most.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Mask;
    ///
    /// assert_eq!(Mask::name().apply("Tan Wei Ming"), "T••• W••• M•••");
    /// ```
    #[must_use]
    pub fn name() -> Self {
        Self(Kind::Name)
    }

    /// Shows the last four characters of the number of an identity card, passport or the like, if it has eight at
    /// least.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Mask;
    ///
    /// assert_eq!(Mask::national_id().apply("S1234567A"), "••••567A");
    /// assert_eq!(Mask::national_id().apply("A123456"), "••••");
    /// ```
    #[must_use]
    pub fn national_id() -> Self {
        Self(Kind::NationalId)
    }

    /// Shows nothing, not even a length.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Mask;
    ///
    /// assert_eq!(Mask::hidden().apply("12 Orchard Road"), "••••");
    /// ```
    #[must_use]
    pub fn hidden() -> Self {
        Self(Kind::Hidden)
    }

    /// Shows what `mask` returns. How much that is, is up to `mask`; without three bullets in a row, nothing is shown.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Mask;
    ///
    /// let year = Mask::custom(|date| format!("{}•••", date.get(..4).unwrap_or_default()));
    /// assert_eq!(year.apply("1990-05-31"), "1990•••");
    /// assert_eq!(Mask::custom(str::to_owned).apply("1990-05-31"), "••••");
    /// ```
    #[must_use]
    pub fn custom(mask: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Kind::Custom(Arc::new(mask)))
    }

    /// Returns what may be seen of `text`. It holds three bullets in a row, whatever the text is.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Mask;
    ///
    /// assert!(Mask::name().apply("").contains("•••"));
    /// ```
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let masked = match &self.0 {
            Kind::Phone => mask_phone(text),
            Kind::Email => mask_email(text),
            Kind::Card => mask_card(text),
            Kind::Name => Some(mask_name(text)),
            Kind::NationalId => mask_national_id(text),
            Kind::Hidden => None,
            Kind::Custom(mask) => Some(mask(text)),
        };
        masked.filter(|masked| is_masked(masked)).unwrap_or_else(|| HIDDEN.to_owned())
    }

    /// The name of the function that returns it; nothing for one of the user's own.
    pub(crate) fn label(&self) -> Option<&'static str> {
        match self.0 {
            Kind::Phone => Some("phone"),
            Kind::Email => Some("email"),
            Kind::Card => Some("card"),
            Kind::Name => Some("name"),
            Kind::NationalId => Some("national_id"),
            Kind::Hidden => Some("hidden"),
            Kind::Custom(_) => None,
        }
    }
}

/// Whether `text` is what a mask gives, or holds it.
pub(crate) fn is_masked(text: &str) -> bool {
    text.contains(BULLETS) || text.contains(BULLET_REFERENCES)
}

fn mask_phone(text: &str) -> Option<String> {
    let (lead, rest) = split_country_code(text.trim());
    let digits: Vec<char> = rest.chars().filter(char::is_ascii_digit).collect();
    Some(format!("{lead}{HIDDEN} {}", last_of(&digits)?))
}

/// Splits off `+65 `, or `+` alone where no space shows where the country code ends. A country code has one to three
/// digits (ITU-T E.164).
fn split_country_code(text: &str) -> (&str, &str) {
    if !text.starts_with('+') {
        return ("", text);
    }
    match text.find(|c: char| c != '+' && !c.is_ascii_digit()) {
        Some(end @ 2..=4) if text[1..end].bytes().all(|byte| byte != b'+') && text[end..].starts_with(' ') => {
            text.split_at(end + 1)
        }
        _ => text.split_at(1),
    }
}

fn mask_email(text: &str) -> Option<String> {
    let (local, domain) = text.trim().rsplit_once('@')?;
    let is_domain = domain.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'));
    if local.is_empty() || domain.is_empty() || !is_domain {
        return None;
    }
    let first = local.chars().next().filter(|c| c.is_alphanumeric() && local.chars().count() >= 3);
    Some(format!("{}{BULLETS}@{domain}", first.map(String::from).unwrap_or_default()))
}

fn mask_card(text: &str) -> Option<String> {
    let marks: Vec<char> = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let is_number = marks.iter().all(|c| c.is_ascii_digit() || matches!(c, '*' | '•' | 'x' | 'X'));
    let digits = marks.iter().filter(|c| c.is_ascii_digit()).count();
    let last = marks.last_chunk::<SHOWN>()?;
    let is_fit = is_number && matches!(digits, SHOWN | 8..=19) && last.iter().all(char::is_ascii_digit);
    is_fit.then(|| format!("{HIDDEN} {}", String::from_iter(last)))
}

fn mask_name(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().take(MOST_WORDS).map(mask_word).collect();
    words.join(" ")
}

fn mask_word(word: &str) -> String {
    let is_long = word.chars().filter(|c| c.is_alphanumeric()).count() >= 2;
    let first = word.chars().next().filter(|c| is_long && c.is_alphanumeric());
    format!("{}{BULLETS}", first.map(String::from).unwrap_or_default())
}

fn mask_national_id(text: &str) -> Option<String> {
    let is_number = text.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '.' | '/'));
    let characters: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
    last_of(&characters).filter(|_| is_number).map(|last| format!("{HIDDEN}{last}"))
}

/// The end of a number, if it is half of it at most.
fn last_of(characters: &[char]) -> Option<String> {
    let last = characters.last_chunk::<SHOWN>()?;
    (characters.len() >= 2 * SHOWN).then(|| String::from_iter(last))
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mask").field(&self.label().unwrap_or("custom")).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all() -> [Mask; 8] {
        let custom = Mask::custom(|text| text.replace(char::is_alphabetic, "•"));
        [
            Mask::phone(),
            Mask::email(),
            Mask::card(),
            Mask::name(),
            Mask::national_id(),
            Mask::hidden(),
            custom,
            Mask::custom(str::to_owned),
        ]
    }

    fn marks(text: &str) -> usize {
        text.chars().filter(|c| c.is_alphanumeric()).count()
    }

    #[test]
    fn a_telephone_number_shows_its_country_and_its_end() {
        for (text, masked) in [
            ("+65 9123 4567", "+65 •••• 4567"),
            ("+1 (650) 253-0000", "+1 •••• 0000"),
            ("+44 020 7946 0958", "+44 •••• 0958"),
            ("+6591234567", "+•••• 4567"),
            ("+6591234567 ", "+•••• 4567"),
            ("+65912345 67", "+•••• 4567"),
            ("+65-9123-4567", "+•••• 4567"),
            ("++65 9123 4567", "+•••• 4567"),
            ("9123 4567", "•••• 4567"),
            ("+65 912 4567", "••••"),
            ("+65 ", "••••"),
            ("123-4567", "••••"),
            ("+", "••••"),
            ("", "••••"),
            ("٠١٠١٢٣٤٥٦٧٨", "••••"),
        ] {
            assert_eq!(Mask::phone().apply(text), masked, "{text}");
        }
    }

    #[test]
    fn an_email_address_shows_its_domain_and_a_character() {
        for (text, masked) in [
            ("wei.ming@example.sg", "w•••@example.sg"),
            (" wei@bücher.example ", "w•••@bücher.example"),
            ("李小龙@例え.テスト", "李•••@例え.テスト"),
            ("al@example.sg", "•••@example.sg"),
            ("\"a@b\"@example.sg", "•••@example.sg"),
            ("\u{202E}wei@example.sg", "•••@example.sg"),
            ("@example.sg", "••••"),
            ("wei@", "••••"),
            ("wei ming", "••••"),
            ("at @home: S1234567A, 12 Orchard Road", "••••"),
        ] {
            assert_eq!(Mask::email().apply(text), masked, "{text}");
        }
    }

    #[test]
    fn a_card_shows_four_digits() {
        for (text, masked) in [
            ("4242", "•••• 4242"),
            ("4242 4242 4242 4242", "•••• 4242"),
            ("378282246310005", "•••• 0005"),
            ("****-****-****-4242", "•••• 4242"),
            ("424242xxxxxx4242", "•••• 4242"),
            ("4242********", "••••"),
            ("42424", "••••"),
            ("4242424", "••••"),
            ("424", "••••"),
            ("42424242424242424242", "••••"),
            ("Visa 4242", "••••"),
        ] {
            assert_eq!(Mask::card().apply(text), masked, "{text}");
        }
    }

    #[test]
    fn a_name_shows_a_character_of_each_word() {
        for (text, masked) in [
            ("Tan Wei Ming", "T••• W••• M•••"),
            ("  tan\u{3000}wei\nming ", "t••• w••• m•••"),
            ("Pablo Diego José Francisco de Paula", "P••• D••• J••• F•••"),
            ("陈伟明", "陈•••"),
            ("Li B", "L••• •••"),
            ("E\u{301} Ö", "••• •••"),
            ("'t Hooft", "••• H•••"),
            ("", "••••"),
        ] {
            assert_eq!(Mask::name().apply(text), masked, "{text}");
        }
    }

    #[test]
    fn a_national_id_shows_its_end_if_it_is_long() {
        for (text, masked) in [
            ("S1234567A", "••••567A"),
            ("850712-14-5678", "••••5678"),
            ("A123 4567", "••••4567"),
            ("A123456", "••••"),
            ("S1234567\u{202E}A", "••••"),
            ("", "••••"),
        ] {
            assert_eq!(Mask::national_id().apply(text), masked, "{text}");
        }
    }

    #[test]
    fn a_mask_without_bullets_shows_nothing() {
        for shown in ["everything", "", "••", "•• •", "***"] {
            assert_eq!(Mask::custom(move |_| shown.to_owned()).apply("everything"), HIDDEN);
        }
    }

    #[test]
    fn debug_shows_the_kind_alone() {
        assert_eq!(format!("{:?}", Mask::national_id()), "Mask(\"national_id\")");
        assert_eq!(format!("{:?}", Mask::custom(str::to_owned)), "Mask(\"custom\")");
    }

    proptest! {
        #[test]
        fn what_is_masked_is_recognised(text in any::<String>()) {
            for mask in all() {
                prop_assert!(is_masked(&mask.apply(&text)), "{:?}", mask);
                prop_assert!(is_masked(&mask.apply(&mask.apply(&text))), "{:?}", mask);
            }
        }

        #[test]
        fn names_and_numbers_show_half_at_most(text in "[\\PC0-9A-Z +-]{0,24}|[0-9A-Z -]{0,14}") {
            for mask in [Mask::name(), Mask::national_id()] {
                prop_assert!(2 * marks(&mask.apply(&text)) <= marks(&text), "{:?}", mask);
            }
        }

        #[test]
        fn telephone_numbers_show_half_at_most_beside_the_country(text in "(\\+[0-9]{0,4})?[ ]?[0-9 ()-]{0,14}") {
            let masked = Mask::phone().apply(&text);
            let (country, end) = masked.split_once(HIDDEN).unwrap();
            prop_assert!(country.is_empty() || country == "+" || text.starts_with(country) && country.len() <= 5);
            prop_assert!(2 * marks(end) <= marks(&text) - marks(country));
        }

        #[test]
        fn email_addresses_show_a_third_of_the_local_part_at_most(local in "\\PC{1,12}", domain in "[a-z]{1,9}\\.sg") {
            let masked = Mask::email().apply(&format!("{local}@{domain}"));
            if let Some(shown) = masked.strip_suffix(&format!("{BULLETS}@{domain}")) {
                prop_assert!(3 * shown.chars().count() <= local.chars().count());
            } else {
                // What is no address is hidden whole.
                prop_assert_eq!(masked, Mask::hidden().apply(""));
            }
        }

        #[test]
        fn cards_show_four_digits_at_most(text in "[0-9*x -]{0,24}|\\PC{0,24}") {
            let masked = Mask::card().apply(&text);
            prop_assert!(marks(&masked) == 0 || marks(&masked) == SHOWN);
        }
    }
}
