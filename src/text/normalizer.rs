//! Normal forms: the one spelling that stands for all spellings of a value.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

#[cfg(feature = "normal-forms")]
use super::built_in::BuiltIn;
use crate::error::{Error, ErrorKind};

/// Turns every spelling of a value into one, its normal form, so that equal values can be found.
///
/// The normal form is part of what is stored: a blind index is made from it. So each normalizer has an
/// [`id`](Normalizer::id) with a version, and what is indexed under one id is found under that id only.
///
/// [`exact`](Normalizer::exact) cannot fail. The other constructors can: what is built upon libraries of Unicode, domains and
/// telephone numbers is held against frozen examples first, since a build with others would find nothing any more.
///
/// A blank text has an empty normal form, which means 'no value'. Whoever calls decides what becomes of it.
///
/// # Example
///
/// ```
/// use fieldseal::policy::Normalizer;
///
/// let postcode = Normalizer::custom("postcode", 1, |text| {
///     let digits: String = text.chars().filter(char::is_ascii_digit).collect();
///     (digits.len() == 6).then_some(digits)
/// })?;
/// assert_eq!(postcode.id(), "custom:postcode@1");
/// assert_eq!(*postcode.normalize("018 956")?, "018956");
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone)]
pub struct Normalizer {
    id: Arc<str>,
    pub(super) form: Form,
}

#[derive(Clone)]
pub(super) enum Form {
    Exact,
    #[cfg(feature = "normal-forms")]
    BuiltIn(BuiltIn),
    Custom(Arc<Function>),
}

type Function = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Normalizer {
    /// Returns the normalizer that changes nothing: values are equal that are equal byte for byte.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Normalizer;
    ///
    /// assert_eq!(*Normalizer::exact().normalize(" As it is ")?, " As it is ");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    #[must_use]
    pub fn exact() -> Self {
        Self::new("exact@1", Form::Exact)
    }

    /// Finds a normalizer by its name, without its version: `exact`, and with the feature `normal-forms` also `email`,
    /// `name`, `text`, and `phone:SG` or another region. What is ignored in emails stands behind a colon:
    /// `email:ignore_case`, `email:ignore_case+ignore_dots+ignore_subaddress`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] where there is none.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Normalizer;
    ///
    /// assert_eq!(Normalizer::by_name("exact")?.id(), "exact@1");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn by_name(name: &str) -> Result<Self, Error> {
        if name == "exact" {
            return Ok(Self::exact());
        }
        #[cfg(feature = "normal-forms")]
        let message = match name.split_once(':') {
            None if name == "email" => return Self::email(),
            None if name == "name" => return Self::name(),
            None if name == "text" => return Self::text(),
            Some(("phone", region)) => return Self::phone(region),
            Some(("email", options)) => return Self::email_by_options(options),
            _ => {
                format!("there is no normal form `{name}`; use exact, email, email:ignore_case, phone:SG, name or text")
            }
        };
        #[cfg(not(feature = "normal-forms"))]
        let message = format!(
            "the normal form `{name}` needs the feature `normal-forms`, or there is none; this build has exact"
        );
        Err(Error::new(ErrorKind::Policy, message))
    }

    /// Returns a normalizer of the user's own: `normalize` gives the normal form, or nothing for a text that has none.
    ///
    /// It must give the same for the same text for as long as anything is indexed under `version`, and its own normal
    /// forms must be their own normal forms. Give it the next version when it changes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] unless `name` is 1 to 64 ASCII letters, digits, `-` or `_`.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Normalizer;
    ///
    /// let plate = Normalizer::custom("licence-plate", 2, |text| Some(text.replace(' ', "").to_ascii_uppercase()))?;
    /// assert_eq!(*plate.normalize("sba 1234 g")?, "SBA1234G");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn custom(
        name: &str,
        version: u16,
        normalize: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=64).contains(&name.len()) || !name.bytes().all(is_fit) {
            return Err(Error::new(
                ErrorKind::Policy,
                "the name of a normalizer is not 1 to 64 ASCII letters, digits, `-` or `_`",
            ));
        }
        Ok(Self::new(format!("custom:{name}@{version}"), Form::Custom(Arc::new(normalize))))
    }

    /// Returns the name and version of the normal form, such as `exact@1`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the normal form of `text`. An empty one means that there is no value.
    ///
    /// The result is overwritten when it is dropped. What the libraries beneath copy on the way is not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] if the text has no normal form. The message names the form, never the text.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::{ErrorKind, policy::Normalizer};
    ///
    /// let even = Normalizer::custom("even", 1, |text| (text.len() % 2 == 0).then(|| text.to_owned()))?;
    /// let error = even.normalize("secret!").unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidValue);
    /// assert_eq!(error.to_string(), "the value has no normal form `custom:even@1`");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn normalize(&self, text: &str) -> Result<Zeroizing<String>, Error> {
        let normal = match &self.form {
            Form::Exact => Some(Zeroizing::new(text.to_owned())),
            #[cfg(feature = "normal-forms")]
            Form::BuiltIn(form) => form.normalize(text),
            Form::Custom(normalize) => normalize(text).map(Zeroizing::new),
        };
        normal.ok_or_else(|| Error::new(ErrorKind::InvalidValue, format!("the value {}", self.fault())))
    }

    /// Whether every text is its own normal form.
    pub(crate) fn changes_nothing(&self) -> bool {
        matches!(self.form, Form::Exact)
    }

    /// What is said of a value without this normal form.
    pub(crate) fn fault(&self) -> String {
        match &self.form {
            #[cfg(feature = "normal-forms")]
            Form::BuiltIn(form) => form.fault().to_owned(),
            Form::Exact | Form::Custom(_) => format!("has no normal form `{}`", self.id),
        }
    }

    pub(super) fn new(id: impl Into<Arc<str>>, form: Form) -> Self {
        Self { id: id.into(), form }
    }
}

impl fmt::Debug for Normalizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Normalizer").field(&self.id).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_custom_name_is_checked() {
        for name in ["a", "postcode", "UK-post_code9", &"x".repeat(64)] {
            assert_eq!(Normalizer::custom(name, 7, |_| None).unwrap().id(), format!("custom:{name}@7"));
        }
        for name in ["", "a b", "a:b", "a@b", "é", &"x".repeat(65)] {
            assert_eq!(Normalizer::custom(name, 1, |_| None).unwrap_err().kind(), ErrorKind::Policy, "{name}");
        }
    }

    #[test]
    fn debug_shows_the_id_alone() {
        assert_eq!(format!("{:?}", Normalizer::exact()), "Normalizer(\"exact@1\")");
    }
}
