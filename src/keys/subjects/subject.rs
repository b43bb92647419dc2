//! Whom values are about.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// A data subject: the person whom values are about, by an id of the application's that says nothing of them, such as a
/// customer number. Where there are tenants, those of one tenant are no other's.
///
/// The id is compared byte by byte, and stays in the key table when the person is erased. `Debug` does not show it.
///
/// # Example
///
/// ```
/// use fieldseal::keys::Subject;
///
/// let subject = Subject::new("7")?.of_tenant("acme")?;
/// assert_eq!((subject.id(), subject.tenant()), ("7", Some("acme")));
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    tenant: Option<String>,
    id: String,
}

impl Subject {
    /// Names a subject, of no tenant.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] where the id is empty, longer than 1,024 bytes, or has control characters.
    pub fn new(id: impl Into<String>) -> Result<Self, Error> {
        Ok(Self { tenant: None, id: checked(id.into(), "the id of a subject")? })
    }

    /// Makes it a subject of `tenant`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] where the name is empty, longer than 1,024 bytes, or has control characters.
    pub fn of_tenant(self, tenant: impl Into<String>) -> Result<Self, Error> {
        Ok(Self { tenant: Some(checked(tenant.into(), "the name of a subject's tenant")?), ..self })
    }

    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the tenant, where there is one.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }
}

fn checked(text: String, what: &str) -> Result<String, Error> {
    if (1..=LONGEST).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(text);
    }
    let message = format!("{what} is 1 to {LONGEST} bytes without control characters");
    Err(Error::new(ErrorKind::InvalidValue, message))
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject([REDACTED])")
    }
}

const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_line_of_bounded_length_and_is_not_shown() {
        for bad in ["", "a\nb", "a\0", &"a".repeat(LONGEST + 1)] {
            assert!(Subject::new(bad).is_err() && Subject::new("7").unwrap().of_tenant(bad).is_err(), "{bad:?}");
        }
        let subject = Subject::new("a".repeat(LONGEST)).unwrap().of_tenant("acme").unwrap();
        assert_eq!(format!("{subject:?}"), "Subject([REDACTED])");
    }
}
