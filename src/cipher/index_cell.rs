//! Cells that hold blind indexes: in columns of their own, beside those of the values.

use zeroize::Zeroizing;

use super::migration::{Direction, Migration};
use crate::error::Error;
use crate::policy::FieldIndex;

/// What is known of the value of one cell.
pub(crate) enum CellValue {
    Null,
    /// Its JSON text.
    Known(Zeroizing<Vec<u8>>),
    /// It does not open, or is left in the clear.
    Unknown,
}

/// What becomes of a cell that holds a blind index.
pub(crate) enum IndexCell {
    Stays,
    Empty,
    Holds(String),
}

impl Migration {
    /// Returns what becomes of a cell with the blind index of `value` of `field`, in which `stored` stands.
    ///
    /// # Errors
    ///
    /// What making an index fails with.
    pub(crate) fn index_cell(
        &self,
        field: FieldIndex,
        value: &CellValue,
        stored: Option<&[u8]>,
    ) -> Result<IndexCell, Error> {
        self.made_of(&[value], stored, |known| self.encryption.index_cell(field, known[0], stored))
    }

    /// The same for the index of several fields at `place`, made of the values of its parts, in their order.
    ///
    /// # Errors
    ///
    /// What making an index fails with.
    pub(crate) fn compound_cell(
        &self,
        place: usize,
        values: &[&CellValue],
        stored: Option<&[u8]>,
    ) -> Result<IndexCell, Error> {
        self.made_of(values, stored, |known| self.encryption.compound_cell(place, known, stored))
    }

    fn made_of(
        &self,
        values: &[&CellValue],
        stored: Option<&[u8]>,
        make: impl FnOnce(&[&[u8]]) -> Result<IndexCell, Error>,
    ) -> Result<IndexCell, Error> {
        let known = values.iter().filter_map(|value| match value {
            CellValue::Known(value) => Some(&value[..]),
            CellValue::Null | CellValue::Unknown => None,
        });
        let known: Vec<_> = known.collect();
        let is_unknown = values.iter().any(|value| matches!(value, CellValue::Unknown));
        let cell = match self.direction {
            _ if is_unknown => IndexCell::Stays,
            Direction::Decrypt => IndexCell::Empty,
            _ if !self.moves_indexes() => IndexCell::Stays,
            _ if known.len() < values.len() => IndexCell::Empty,
            _ => make(&known)?,
        };
        let is_empty = stored.is_none() && matches!(cell, IndexCell::Empty);
        Ok(if is_empty { IndexCell::Stays } else { cell })
    }
}
