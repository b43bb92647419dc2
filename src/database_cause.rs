//! What a database said of a failure.

use std::fmt;

/// A database's error without the values that it may quote: its code and its message, and no detail.
#[derive(Debug)]
pub(crate) struct DatabaseCause(String);

impl DatabaseCause {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        Self(match error.as_database_error() {
            // A message names constraints and types; rows stand in the detail, which is left out.
            Some(error) => match error.code() {
                Some(code) => format!("error {code}: {}", without_value(&code, first_line(error.message()))),
                None => first_line(error.message()).to_owned(),
            },
            None => match error {
                sqlx::Error::Io(error) => format!("the connection broke: {error}"),
                sqlx::Error::PoolTimedOut => "no connection was free in time".to_owned(),
                sqlx::Error::PoolClosed => "the pool is closed".to_owned(),
                sqlx::Error::RowNotFound => "a row that was there is gone".to_owned(),
                sqlx::Error::ColumnDecode { index, .. } => format!("column {index} is of another type than it seemed"),
                _ => "the driver failed".to_owned(),
            },
        })
    }
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// Of faults in data (class 22 of SQL's codes), PostgreSQL quotes the value behind a colon.
fn without_value<'m>(code: &str, message: &'m str) -> &'m str {
    if code.starts_with("22") { message.split(':').next().unwrap_or_default() } else { message }
}

impl fmt::Display for DatabaseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DatabaseCause {}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::error::Error;

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    #[derive(Debug)]
    struct Talkative(&'static str, &'static str);

    impl fmt::Display for Talkative {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Failing row contains (Tan Wei Ming)")
        }
    }

    impl Error for Talkative {}

    impl DatabaseError for Talkative {
        fn message(&self) -> &str {
            self.1
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    #[test]
    fn no_value_that_a_database_quotes_is_told() {
        for (code, message, told) in [
            (
                "22P02",
                "invalid input syntax for type integer: \"Tan Wei Ming\"",
                "invalid input syntax for type integer",
            ),
            ("22001", "value too long for type character varying(20)", "value too long for type character varying(20)"),
            ("23514", "new row violates check \"short\"\nDETAIL: Tan Wei Ming", "new row violates check \"short\""),
        ] {
            let cause = DatabaseCause::of(&sqlx::Error::Database(Box::new(Talkative(code, message))));
            assert_eq!(cause.to_string(), format!("error {code}: {told}"));
            assert!(!format!("{cause:?}").contains("Tan Wei"), "{cause:?}");
        }
    }
}
