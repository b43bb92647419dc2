//! What the text of a value must be like before it is stored.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::normalizer::Normalizer;
use super::plain::is_plain;

/// What the text of a value must be like. What is not is refused before it is encrypted, since afterwards nobody can
/// tell.
///
/// The rules are applied in the order in which they are added. Those that follow [`canonical`](Validation::canonical)
/// see the normal form. The first that fails is told, by its rule and never by the value.
///
/// # Example
///
/// ```
/// use fieldseal::policy::Validation;
///
/// let postcode = Validation::new().required().plain_text().max_length(10).check("postcode", |text| {
///     text.bytes().all(|byte| byte.is_ascii_digit())
/// });
/// ```
#[derive(Clone, Default)]
pub struct Validation {
    rules: Vec<Rule>,
    required: bool,
}

/// One rule.
#[derive(Clone)]
pub(crate) enum Rule {
    MinLength(usize),
    MaxLength(usize),
    NormalForm(Normalizer),
    Canonical(Normalizer),
    PlainText,
    #[cfg(feature = "normal-forms")]
    OneScriptPerWord,
    Check(Cow<'static, str>, Arc<Function>),
}

pub(crate) type Function = dyn Fn(&str) -> bool + Send + Sync;

/// Why a value is refused: what follows the name of its field in a message. Never holds the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It has fewer characters than this.
    Shorter(usize),
    /// It has more characters than this.
    Longer(usize),
    /// It must have a normal form, and is blank.
    Blank,
    /// It has not the normal form that it must have, and this is said of it.
    NormalForm(String),
    /// It holds a character that is not plain text.
    NotPlainText,
    /// A word of it mixes scripts.
    #[cfg(feature = "normal-forms")]
    MixedScripts,
    /// It fails the check of this name.
    Check(Cow<'static, str>),
}

impl Validation {
    /// Returns a validation that any text passes.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Validation;
    ///
    /// let anything = Validation::new();
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses a text of fewer than `characters` Unicode scalar values.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Validation;
    ///
    /// let name = Validation::new().plain_text().min_length(2).max_length(200);
    /// ```
    #[must_use]
    pub fn min_length(self, characters: usize) -> Self {
        self.with(Rule::MinLength(characters))
    }

    /// Refuses a text of more than `characters` Unicode scalar values.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Validation;
    ///
    /// let remark = Validation::new().max_length(2_000);
    /// ```
    #[must_use]
    pub fn max_length(self, characters: usize) -> Self {
        self.with(Rule::MaxLength(characters))
    }

    /// Refuses a text that is blank or has no such normal form, and stores it as it is.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "normal-forms")] {
    /// use fieldseal::policy::{Normalizer, Validation};
    ///
    /// let dialled = Validation::new().normal_form(Normalizer::phone("SG")?);
    /// # }
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    #[must_use]
    pub fn normal_form(self, normalizer: Normalizer) -> Self {
        self.with(Rule::NormalForm(normalizer))
    }

    /// Refuses a text that is blank or has no such normal form, and stores the normal form: `+6591234567` for
    /// `9123 4567`. How the value was written is lost: who sees it, plain or masked, sees the normal form.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "normal-forms")] {
    /// use fieldseal::policy::{Normalizer, Validation};
    ///
    /// let e164 = Validation::new().canonical(Normalizer::phone("SG")?);
    /// # }
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    #[must_use]
    pub fn canonical(self, normalizer: Normalizer) -> Self {
        self.with(Rule::Canonical(normalizer))
    }

    /// Refuses a text with control characters, line breaks among them, bidirectional embeddings, overrides and isolates
    /// (UAX #9), or noncharacters: what makes a screen or a log show something else than is stored.
    ///
    /// Names may mix scripts, unless `one_script_per_word` (feature `normal-forms`) is called too, and marks of direction
    /// and joiners are plain text.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Validation;
    ///
    /// let name = Validation::new().plain_text();
    /// ```
    #[must_use]
    pub fn plain_text(self) -> Self {
        self.with(Rule::PlainText)
    }

    /// Refuses a text with a word that mixes scripts (UTS #39, section 5.1), such as `Tаn` with the Cyrillic `а`: it looks
    /// like another one, and is not found by it. Words of different scripts may stand beside each other, and Japanese,
    /// Korean and Chinese words are of all scripts that their language is written in.
    ///
    /// It tells no two names apart that look alike as a whole, such as one written in Cyrillic letters only.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Validation;
    ///
    /// let name = Validation::new().plain_text().one_script_per_word();
    /// ```
    #[cfg(feature = "normal-forms")]
    #[must_use]
    pub fn one_script_per_word(self) -> Self {
        self.with(Rule::OneScriptPerWord)
    }

    /// Refuses a text that `passes` does not let pass. The message holds `name`. It must say the same of the same text each
    /// time: a value may be looked at more than once.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Validation;
    ///
    /// let digits = Validation::new().check("digits", |text| text.bytes().all(|byte| byte.is_ascii_digit()));
    /// ```
    #[must_use]
    pub fn check(
        self,
        name: impl Into<Cow<'static, str>>,
        passes: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(Rule::Check(name.into(), Arc::new(passes)))
    }

    /// Refuses a document without the value. Unless this is called, a value may be left out.
    ///
    /// Every document that is sent to be stored must then hold it at least once, so put the layer around the routes of
    /// this collection alone. A change may leave it out: a merge patch, a JSON Patch, or what comes by `PATCH`. The
    /// layer asks for it in a merge patch that comes by another method, since handlers that read JSON store that like any
    /// other document.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Validation;
    ///
    /// let name = Validation::new().required();
    /// ```
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) fn is_required(&self) -> bool {
        self.required
    }

    /// The rules, in the order in which they are applied.
    #[cfg(any(feature = "toml", feature = "openapi"))]
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Returns what is to be stored: `text`, or the normal form that a rule asks for.
    pub(crate) fn apply<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, Reason> {
        self.rules.iter().try_fold(Cow::Borrowed(text), |text, rule| rule.apply(text))
    }

    fn with(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }
}

impl Rule {
    fn apply<'a>(&self, text: Cow<'a, str>) -> Result<Cow<'a, str>, Reason> {
        match self {
            Self::MinLength(least) if text.chars().nth(least.saturating_sub(1)).is_none() && *least > 0 => {
                Err(Reason::Shorter(*least))
            }
            Self::MaxLength(most) if text.chars().nth(*most).is_some() => Err(Reason::Longer(*most)),
            Self::PlainText if !text.chars().all(is_plain) => Err(Reason::NotPlainText),
            #[cfg(feature = "normal-forms")]
            Self::OneScriptPerWord if !super::script::is_one_per_word(&text) => Err(Reason::MixedScripts),
            #[cfg(feature = "normal-forms")]
            Self::OneScriptPerWord => Ok(text),
            Self::Check(name, passes) if !passes(&text) => Err(Reason::Check(name.clone())),
            Self::NormalForm(normalizer) => normal_form(normalizer, &text).map(|_| text),
            Self::Canonical(normalizer) => normal_form(normalizer, &text).map(Cow::Owned),
            Self::MinLength(_) | Self::MaxLength(_) | Self::PlainText | Self::Check(..) => Ok(text),
        }
    }
}

fn normal_form(normalizer: &Normalizer, text: &str) -> Result<String, Reason> {
    let mut normal = normalizer.normalize(text).map_err(|_| Reason::NormalForm(normalizer.fault()))?;
    if normal.is_empty() {
        return Err(Reason::Blank);
    }
    Ok(std::mem::take(&mut *normal))
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = |count: usize| if count == 1 { "character" } else { "characters" };
        match self {
            Self::Shorter(least) => write!(f, "is shorter than {least} {}", noun(*least)),
            Self::Longer(most) => write!(f, "is longer than {most} {}", noun(*most)),
            Self::Blank => f.write_str("is blank"),
            Self::NormalForm(fault) => f.write_str(fault),
            Self::NotPlainText => f.write_str("holds a control character, or one that turns the direction of text"),
            #[cfg(feature = "normal-forms")]
            Self::MixedScripts => f.write_str("has a word that mixes scripts"),
            Self::Check(name) => write!(f, "fails the check `{name}`"),
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinLength(least) => f.debug_tuple("MinLength").field(least).finish(),
            Self::MaxLength(most) => f.debug_tuple("MaxLength").field(most).finish(),
            Self::NormalForm(normalizer) => f.debug_tuple("NormalForm").field(normalizer).finish(),
            Self::Canonical(normalizer) => f.debug_tuple("Canonical").field(normalizer).finish(),
            Self::PlainText => f.write_str("PlainText"),
            #[cfg(feature = "normal-forms")]
            Self::OneScriptPerWord => f.write_str("OneScriptPerWord"),
            Self::Check(name, _) => f.debug_tuple("Check").field(name).finish(),
        }
    }
}

impl fmt::Debug for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rules, required } = self;
        f.debug_struct("Validation").field("rules", rules).field("required", required).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reason(validation: &Validation, text: &str) -> String {
        validation.apply(text).unwrap_err().to_string()
    }

    #[test]
    fn any_text_passes_no_rule_and_stays_as_it_is() {
        let stored = Validation::new().apply(" \0 ").unwrap();
        assert!(matches!(stored, Cow::Borrowed(" \0 ")));
        assert!(!Validation::default().is_required());
        assert!(Validation::new().required().is_required());
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        let validation = Validation::new().min_length(3).max_length(4);
        assert_eq!(reason(&validation, "ab"), "is shorter than 3 characters");
        assert_eq!(reason(&validation, ""), "is shorter than 3 characters");
        assert_eq!(validation.apply("陈伟明").unwrap(), "陈伟明");
        assert_eq!(validation.apply("abcd").unwrap(), "abcd");
        assert_eq!(reason(&validation, "abcde"), "is longer than 4 characters");
        assert_eq!(reason(&Validation::new().min_length(1), ""), "is shorter than 1 character");
        assert_eq!(Validation::new().min_length(0).max_length(0).apply("").unwrap(), "");
    }

    #[test]
    fn the_first_rule_that_fails_is_told() {
        let validation = Validation::new().check("postcode", |text| text.len() == 6).min_length(3).plain_text();
        assert_eq!(reason(&validation, "\0"), "fails the check `postcode`");
        assert_eq!(validation.apply("018956").unwrap(), "018956");
    }

    #[test]
    fn plain_text_has_no_controls() {
        let validation = Validation::new().plain_text();
        assert_eq!(validation.apply("Ahmad بن Tan").unwrap(), "Ahmad بن Tan");
        for text in ["a\nb", "a\u{202E}b", "a\u{2067}b", "a\u{FFFE}b", "\u{1B}[2J"] {
            assert_eq!(validation.apply(text), Err(Reason::NotPlainText), "{text:?}");
        }
    }

    #[test]
    fn rules_behind_a_canonical_form_see_it() {
        let trimmed = || Normalizer::custom("trimmed", 1, |text| Some(text.trim().to_owned())).unwrap();
        let validation = Validation::new().canonical(trimmed()).max_length(2);
        assert_eq!(validation.apply("  ab  ").unwrap(), "ab");
        assert_eq!(validation.apply("   "), Err(Reason::Blank));
        assert_eq!(Validation::new().normal_form(trimmed()).apply("  ab  ").unwrap(), "  ab  ");
        assert_eq!(
            reason(&Validation::new().max_length(2).canonical(trimmed()), "  ab"),
            "is longer than 2 characters"
        );
        let none = Normalizer::custom("none", 3, |_| None).unwrap();
        assert_eq!(reason(&Validation::new().normal_form(none), "ab"), "has no normal form `custom:none@3`");
    }

    #[cfg(feature = "normal-forms")]
    #[test]
    fn a_known_normal_form_is_told_by_its_noun() {
        let phone = Normalizer::phone("SG").unwrap();
        assert_eq!(Validation::new().canonical(phone.clone()).apply("9123 4567").unwrap(), "+6591234567");
        assert_eq!(Validation::new().normal_form(phone.clone()).apply("9123 4567").unwrap(), "9123 4567");
        assert_eq!(reason(&Validation::new().canonical(phone.clone()), "9123"), "is not a telephone number");
        assert_eq!(reason(&Validation::new().canonical(phone), "  "), "is blank");
        let email = Normalizer::email().unwrap();
        assert_eq!(reason(&Validation::new().normal_form(email), "weiming"), "is not an email address");
        let name = Normalizer::name().unwrap();
        assert_eq!(reason(&Validation::new().normal_form(name), "Tan\u{202E}"), "is not a name in plain text");
    }

    proptest! {
        #[test]
        fn a_reason_never_holds_the_value(text in "[\u{1F600}-\u{1F64F}]{1,12}\0") {
            let none = Normalizer::custom("none", 1, |_| None).unwrap();
            for validation in [
                Validation::new().min_length(99),
                Validation::new().max_length(1),
                Validation::new().normal_form(none.clone()),
                Validation::new().canonical(none),
                Validation::new().plain_text(),
                Validation::new().check("never", |_| false),
            ] {
                let reason = validation.apply(&text).unwrap_err();
                let told = format!("{reason} {reason:?} {validation:?}");
                prop_assert!(text.chars().all(|c| !told.contains(c)), "{}", told);
            }
        }
    }
}
