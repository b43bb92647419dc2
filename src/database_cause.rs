//! What a database said of a failure.

use std::fmt;

/// A database's error without the values that it may quote: its code, its message where that quotes none, and no detail.
#[derive(Debug)]
pub(crate) struct DatabaseCause(String);

impl DatabaseCause {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        Self(match error.as_database_error() {
            // A message names constraints and types; rows stand in the detail, which is left out.
            Some(error) => match error.code() {
                Some(code) if quotes_no_value(&code) => format!("error {code}: {}", first_line(error.message())),
                Some(code) => format!("error {code}; its message, which may quote a value, is left out"),
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

/// The classes of SQL's codes whose messages name constraints, types and tables: connections, constraints, transactions,
/// access, syntax, resources and the server itself. Those of faults in data (22) quote it, and what a trigger raises (P0, or
/// a code of its own) says whatever it likes.
const CLASSES: [&str; 10] = ["08", "23", "25", "28", "40", "42", "53", "54", "55", "57"];

/// What a trigger of SQLite raises.
const RAISED: &str = "1811";

fn quotes_no_value(code: &str) -> bool {
    match code.len() {
        5 => CLASSES.iter().any(|class| code.starts_with(class)),
        // SQLite has numbers.
        1..5 => code != RAISED,
        _ => false,
    }
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
        let left_out = "; its message, which may quote a value, is left out";
        for (code, message, told) in [
            ("22P02", "invalid input syntax for type integer: \"Tan Wei Ming\"", left_out),
            ("22003", "value \"Tan Wei Ming\" is out of range for type bigint", left_out),
            ("22007", "invalid value \"Tan Wei Ming\" for \"YYYY\"", left_out),
            ("P0001", "bad name Tan Wei Ming", left_out),
            ("SHOP1", "bad name Tan Wei Ming", left_out),
            ("1811", "bad name Tan Wei Ming", left_out),
            ("2067", "UNIQUE constraint failed: customers.phone", ": UNIQUE constraint failed: customers.phone"),
            ("23514", "new row violates check \"short\"\nDETAIL: Tan Wei Ming", ": new row violates check \"short\""),
        ] {
            let cause = DatabaseCause::of(&sqlx::Error::Database(Box::new(Talkative(code, message))));
            assert_eq!(cause.to_string(), format!("error {code}{told}"));
            assert!(!format!("{cause:?}").contains("Tan Wei"), "{cause:?}");
        }
    }
}
