//! How a command ends that does not end well.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

/// Why a command failed, and with which code it ends.
pub(crate) enum Failure {
    /// What was asked for was done, and found what should not be: said already. Code 1.
    Found,
    /// What was asked for failed. Code 1.
    Failed(String),
    /// The call makes no sense. Code 2.
    Usage(String),
    /// Nobody reads the output any more. No message, and code 0.
    BrokenPipe,
}

impl Failure {
    pub(crate) fn tell(self) -> ExitCode {
        let (message, code) = match self {
            Self::BrokenPipe => return ExitCode::SUCCESS,
            Self::Found => return ExitCode::from(1),
            Self::Failed(message) => (message, 1),
            Self::Usage(message) => (message, 2),
        };
        let _ = io::Write::write_all(&mut io::stderr(), format!("fieldseal: {message}\n").as_bytes());
        ExitCode::from(code)
    }
}

impl Failure {
    /// Why standard output took no more: what the command changed before that stays changed.
    pub(crate) fn of_output(error: io::Error) -> Self {
        let advice = "what was written may end in the middle of a line, and what was changed before that stays changed";
        match Self::from(error) {
            Self::Failed(cause) => Self::Failed(format!("standard output cannot be written: {cause}: {advice}")),
            other => other,
        }
    }
}

impl From<fieldseal::Error> for Failure {
    fn from(error: fieldseal::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = write!(message, ": {error}");
            cause = error.source();
        }
        // What is said to a program that holds a keyring means something else to a person at a terminal.
        for advice in ["load it again and repeat the change", "load it again and repeat"] {
            message = message.replace(advice, "run the command again");
        }
        Self::Failed(message)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::BrokenPipe } else { Self::Failed(error.to_string()) }
    }
}
