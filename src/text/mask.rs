//! What a person sees of a value who may not read it.

use std::fmt;
use std::sync::Arc;

/// What every masked text holds, and no value may.
const BULLETS: &str = "•••";
const HIDDEN: &str = "••••";
/// How many digits or characters at the end of a number are shown.
const SHOWN: usize = 4;
const MOST_WORDS: usize = 4;

/// What a person may see of a value who may not read it: enough to recognise, too little to use.
///
/// Every masked text holds three bullets (U+2022) in a row. By them it is known when a form sends back what it was shown:
/// a masked text must never be stored in the place of the value.
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

    /// Shows the last four characters of the number of an identity card, passport or the like, if it has eight at least.
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
}

/// Whether `text` is what a mask gives, or holds it.
pub(crate) fn is_masked(text: &str) -> bool {
    text.contains(BULLETS)
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
        let name = match self.0 {
            Kind::Phone => "phone",
            Kind::Email => "email",
            Kind::Card => "card",
            Kind::Name => "name",
            Kind::NationalId => "national_id",
            Kind::Hidden => "hidden",
            Kind::Custom(_) => "custom",
        };
        f.debug_tuple("Mask").field(&name).finish()
    }
}
