//! Rows as they are read and written back.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// One part of a primary key.
///
/// PostgreSQL's are carried as text and cast back; SQLite's have the type that they are stored with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum KeyPart {
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// A primary key.
pub(super) type RowKey = Vec<KeyPart>;

/// What a column holds.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Text(Zeroizing<String>),
    Binary(Zeroizing<Vec<u8>>),
}

/// A row with the columns of the job.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) key: RowKey,
    pub(super) cells: Vec<Cell>,
}

/// A row that is to be replaced, where it still is what it was.
pub(super) struct Change {
    pub(super) old: Row,
    pub(super) new: Vec<Cell>,
}

impl Cell {
    pub(super) fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text.as_bytes()),
            Self::Binary(bytes) => Some(bytes),
        }
    }

    /// A cell of the same kind that holds `bytes`. Text stays text only where it is UTF-8.
    pub(super) fn with(&self, mut bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        match self {
            Self::Null => None,
            Self::Text(_) => String::from_utf8(std::mem::take(&mut *bytes)).ok().map(|text| Self::Text(text.into())),
            Self::Binary(_) => Some(Self::Binary(bytes)),
        }
    }
}

impl KeyPart {
    /// The text that PostgreSQL's keys are carried as.
    #[cfg(feature = "postgres")]
    pub(super) fn as_text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Integer(_) | Self::Blob(_) => "",
        }
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(integer) => integer.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Blob(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

/// A key as it is shown: its parts with commas between them.
pub(super) fn shown(key: &RowKey) -> String {
    key.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Text(_) => "Text([REDACTED])",
            Self::Binary(_) => "Binary([REDACTED])",
        })
    }
}
