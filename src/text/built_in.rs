//! The normalizers for kinds of personal data that are known.

use zeroize::Zeroizing;

use super::email::{self, Leniency};
use super::normalizer::{Form, Normalizer};
use super::phone::{self, Region};
use super::{folded, name};
use crate::error::{Error, ErrorKind};

#[derive(Clone, Copy)]
pub(super) enum BuiltIn {
    Email(Leniency),
    Phone(Region),
    Name,
    Text,
}

impl BuiltIn {
    pub(super) fn normalize(self, text: &str) -> Option<Zeroizing<String>> {
        match self {
            Self::Email(leniency) => email::normalize(text, leniency),
            Self::Phone(region) => phone::normalize(text, region),
            Self::Name => name::normalize(text),
            Self::Text => Some(folded::normalize(text)),
        }
    }

    /// What is said of a value without this normal form.
    pub(super) fn fault(self) -> &'static str {
        match self {
            Self::Email(_) => "is not an email address",
            Self::Phone(_) => "is not a telephone number",
            Self::Name => "is not a name in plain text",
            Self::Text => "is not text",
        }
    }

    fn id(self) -> String {
        match self {
            Self::Email(leniency) => leniency.id(),
            Self::Phone(region) => region.id(),
            Self::Name => "name@1".to_owned(),
            Self::Text => "text@1".to_owned(),
        }
    }
}

/// With the feature `normal-forms`. What the libraries beneath give is compared with frozen examples before a
/// normalizer is returned.
impl Normalizer {
    /// Returns the normalizer of email addresses (`email@1`).
    ///
    /// White space around the address goes. The domain is written in lower-case ASCII (IDNA, UTS 46). The local part
    /// stays as it is, since only the mail server knows which spellings are one mailbox (RFC 5321, section 2.4); the
    /// methods below say what is known of it. An address has one unquoted `@`, no white space, and 254 bytes at most.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] if this build gives other normal forms than version 1.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Normalizer;
    ///
    /// assert_eq!(*Normalizer::email()?.normalize(" Wei.Ming@Bücher.Example ")?, "Wei.Ming@xn--bcher-kva.example");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn email() -> Result<Self, Error> {
        email::check()?;
        Ok(Self::built_in(BuiltIn::Email(Leniency::default())))
    }

    /// Lower-cases the local part of email addresses too (`email:ignore_case@1`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] unless this is a normalizer of email addresses.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Normalizer;
    ///
    /// let email = Normalizer::email()?.ignore_case()?;
    /// assert_eq!(*email.normalize("Wei.Ming@Example.sg")?, "wei.ming@example.sg");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn ignore_case(self) -> Result<Self, Error> {
        self.email_with(|leniency| leniency.ignore_case = true)
    }

    /// Drops what follows a `+` in the local part of email addresses (`email:ignore_subaddress@1`), unless it is quoted
    /// or begins with it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] unless this is a normalizer of email addresses.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Normalizer;
    ///
    /// let email = Normalizer::email()?.ignore_subaddress()?;
    /// assert_eq!(*email.normalize("weiming+news@example.sg")?, "weiming@example.sg");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn ignore_subaddress(self) -> Result<Self, Error> {
        self.email_with(|leniency| leniency.ignore_subaddress = true)
    }

    /// Drops the dots in the local part of email addresses (`email:ignore_dots@1`), unless it is quoted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] unless this is a normalizer of email addresses.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Normalizer;
    ///
    /// let email = Normalizer::email()?.ignore_dots()?.ignore_case()?;
    /// assert_eq!(*email.normalize("Wei.Ming@example.sg")?, "weiming@example.sg");
    /// assert_eq!(email.id(), "email:ignore_case+ignore_dots@1");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn ignore_dots(self) -> Result<Self, Error> {
        self.email_with(|leniency| leniency.ignore_dots = true)
    }

    /// Returns the normalizer of telephone numbers (`phone:SG@1`): ITU-T E.164, `+6591234567`.
    ///
    /// A number without a country code is one of `region`, by two letters of ISO 3166-1, which is part of the id. A
    /// number must be one that the country's plan has; letters and extensions are refused. Plans grow: a number of a
    /// range that is newer than this build is refused until the build is newer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] if the region is not known, or this build gives other normal forms than version 1.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Normalizer;
    ///
    /// let phone = Normalizer::phone("SG")?;
    /// assert_eq!(*phone.normalize("9123 4567")?, "+6591234567");
    /// assert_eq!(*phone.normalize("+44 (0)20 7946 0958")?, "+442079460958");
    /// assert_eq!(phone.normalize("9123").unwrap_err().to_string(), "the value is not a telephone number");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn phone(region: &str) -> Result<Self, Error> {
        let region = Region::parse(region)?;
        phone::check()?;
        Ok(Self::built_in(BuiltIn::Phone(region)))
    }

    /// Returns the normalizer of people's names (`name@1`): that of [`text`](Normalizer::text), for plain text alone.
    ///
    /// Nothing is removed and nothing moved: `Tan, Wei Ming` and `Wei Ming Tan` are two names, and so are `Zoë` and
    /// `Zoe`. Control characters, bidirectional embeddings, overrides and isolates (UAX #9) and noncharacters are
    /// refused. Names may mix scripts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] if this build gives other normal forms than version 1.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Normalizer;
    ///
    /// let name = Normalizer::name()?;
    /// assert_eq!(*name.normalize(" TAN  Wei Ming")?, "tan wei ming");
    /// assert_eq!(name.normalize("Ｔａｎ Wei Ming")?, name.normalize("tan wei ming")?);
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn name() -> Result<Self, Error> {
        name::check()?;
        Ok(Self::built_in(BuiltIn::Name))
    }

    /// Returns the normalizer of any text (`text@1`): compatibility composition (NFKC, UAX #15), case folded, each run
    /// of white space one space, and none around it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] if this build gives other normal forms than version 1.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Normalizer;
    ///
    /// assert_eq!(*Normalizer::text()?.normalize("12  Straße\n")?, "12 strasse");
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn text() -> Result<Self, Error> {
        folded::check()?;
        Ok(Self::built_in(BuiltIn::Text))
    }

    /// Finds a normalizer of email addresses by what it ignores, in any order.
    pub(super) fn email_by_options(options: &str) -> Result<Self, Error> {
        options.split('+').try_fold(Self::email()?, |email, option| match option {
            "ignore_case" => email.ignore_case(),
            "ignore_dots" => email.ignore_dots(),
            "ignore_subaddress" => email.ignore_subaddress(),
            _ => {
                let message = format!(
                    "there is no normal form `email:{options}`; behind the colon stand ignore_case, ignore_dots and \
                     ignore_subaddress, joined by `+`"
                );
                Err(Error::new(ErrorKind::Policy, message))
            }
        })
    }

    fn email_with(self, choose: impl FnOnce(&mut Leniency)) -> Result<Self, Error> {
        let Form::BuiltIn(BuiltIn::Email(mut leniency)) = self.form else {
            return Err(Error::new(ErrorKind::Policy, format!("`{}` does not normalize email addresses", self.id())));
        };
        choose(&mut leniency);
        Ok(Self::built_in(BuiltIn::Email(leniency)))
    }

    fn built_in(form: BuiltIn) -> Self {
        Self::new(form.id(), Form::BuiltIn(form))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_normalizer_has_its_id() {
        let email = || Normalizer::email().unwrap();
        for (normalizer, id) in [
            (email(), "email@1"),
            (email().ignore_case().unwrap(), "email:ignore_case@1"),
            (email().ignore_dots().unwrap().ignore_case().unwrap(), "email:ignore_case+ignore_dots@1"),
            (email().ignore_subaddress().unwrap(), "email:ignore_subaddress@1"),
            (Normalizer::phone("sg").unwrap(), "phone:SG@1"),
            (Normalizer::name().unwrap(), "name@1"),
            (Normalizer::text().unwrap(), "text@1"),
        ] {
            assert_eq!(normalizer.id(), id);
            assert_eq!(format!("{normalizer:?}"), format!("Normalizer({id:?})"));
        }
    }

    #[test]
    fn options_of_email_addresses_are_refused_elsewhere() {
        for other in [Normalizer::exact(), Normalizer::name().unwrap(), Normalizer::phone("SG").unwrap()] {
            assert_eq!(other.clone().ignore_case().unwrap_err().kind(), ErrorKind::Policy);
            assert_eq!(other.clone().ignore_dots().unwrap_err().kind(), ErrorKind::Policy);
            assert_eq!(other.ignore_subaddress().unwrap_err().kind(), ErrorKind::Policy);
        }
    }
}
