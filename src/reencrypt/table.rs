//! Which table, which columns, and what each holds.

use std::fmt;

use zeroize::Zeroizing;

use crate::cipher::{FieldCipher, Migration};
use crate::error::{Error, ErrorKind};
use crate::policy::{Field, FieldIndex};

/// A table with the columns that hold tokens, and the cipher that opens them.
///
/// # Example
///
/// ```
/// # use fieldseal::keys::{DataKey, Keys, SecretKey};
/// # use fieldseal::{Field, FieldCipher, Policy, Tag};
/// use fieldseal::reencrypt::EncryptedTable;
///
/// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
/// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
/// let table = EncryptedTable::new("customers", cipher)
///     .column("phone", "phone")? // the column, and the field of the policy that it holds
///     .document("profile"); // JSON, with tagged fields where the policy's paths say
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone)]
pub struct EncryptedTable {
    pub(super) name: String,
    pub(super) cipher: FieldCipher,
    pub(super) columns: Vec<Column>,
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) content: Content,
}

/// What a column holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    Field(FieldIndex),
    Document,
    /// The blind index of the field whose value stands in the column at this place.
    Index(FieldIndex, usize),
    /// The index of several fields at this place of the policy.
    CompoundIndex(usize),
}

impl Column {
    /// Moves what a cell of this column holds. Returns what takes its place, or nothing where it stays.
    ///
    /// A document that cannot be read stays as well, and the column is added to `unread`: one such row is to stop neither
    /// a job nor a scan.
    pub(super) fn moved<'c>(
        &'c self,
        migration: &mut Migration,
        cell: &[u8],
        is_binary: bool,
        unread: &mut Vec<&'c str>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        match self.content {
            Content::Field(field) => migration.cell(field, cell, is_binary),
            Content::Index(..) | Content::CompoundIndex(_) => Ok(None),
            Content::Document => migration.document(cell).or_else(|error| {
                if !migration.leaves_alone(&error) {
                    return Err(error);
                }
                unread.push(&self.name);
                Ok(None)
            }),
        }
    }
}

impl EncryptedTable {
    /// Names a table, after a schema and a dot where it is not on the search path. Names are taken as they are written,
    /// with upper and lower case.
    pub fn new(name: impl Into<String>, cipher: FieldCipher) -> Self {
        Self { name: name.into(), cipher, columns: Vec::new() }
    }

    /// Adds a column of text or bytes that holds one value of `field`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] where the policy has no such field.
    pub fn column(mut self, name: impl Into<String>, field: &str) -> Result<Self, Error> {
        let Some(index) = self.cipher.policy().field_named(field) else {
            let message = format!("the policy has no field `{field}`");
            return Err(Error::new(ErrorKind::InvalidValue, message));
        };
        self.columns.push(Column { name: name.into(), content: Content::Field(index) });
        Ok(self)
    }

    /// Adds a column of text that holds the blind index of the value in `column`, which was added before. A job makes it
    /// with the value, or anew where the index key changed, and empties it where there is no value or where the value is
    /// decrypted. Beside a value that does not open it stays.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] where `column` was not added as one of a field with a blind index.
    ///
    /// # Example
    ///
    /// ```
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// # use fieldseal::policy::{BlindIndex, Normalizer};
    /// # use fieldseal::{Field, FieldCipher, Policy, Tag};
    /// use fieldseal::reencrypt::EncryptedTable;
    ///
    /// # let index = BlindIndex::new(Normalizer::exact());
    /// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone).blind_index(index)).build()?;
    /// # let keys = || Ok::<_, fieldseal::Error>(Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// # let cipher = FieldCipher::new(policy, keys()?).with_index_keys(keys()?)?;
    /// let table = EncryptedTable::new("customers", cipher).column("tel", "phone")?.index_column("tel_index", "tel")?;
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn index_column(mut self, name: impl Into<String>, column: &str) -> Result<Self, Error> {
        let place = self.columns.iter().position(|other| other.name == column);
        let field = place.and_then(|place| match self.columns[place].content {
            Content::Field(field) => self.cipher.policy().field(field).index_name().map(|_| (field, place)),
            Content::Document | Content::Index(..) | Content::CompoundIndex(_) => None,
        });
        let Some((field, place)) = field else {
            let message = format!("there is no column `{column}` with a field that has a blind index");
            return Err(Error::new(ErrorKind::InvalidValue, message));
        };
        self.columns.push(Column { name: name.into(), content: Content::Index(field, place) });
        Ok(self)
    }

    /// Adds a column of text that holds the blind index of several fields which the policy calls `index`. Each of them has
    /// one column, which was added before. What a job does with it is as with [`index_column`](Self::index_column); it is
    /// empty where one of the values is missing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] where the policy has no such index, or not each of its fields has one column.
    ///
    /// # Example
    ///
    /// ```
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// # use fieldseal::policy::{CompoundIndex, Normalizer};
    /// # use fieldseal::{Field, FieldCipher, Policy, Tag};
    /// use fieldseal::reencrypt::EncryptedTable;
    ///
    /// # let exact = Normalizer::exact;
    /// let index = CompoundIndex::new("place_and_year").part("postcode", exact()).part("birth_year", exact());
    /// # let policy = Policy::builder("customers")
    /// #     .field(Field::new("postcode", Tag::Address))
    /// #     .field(Field::new("birth_year", Tag::DateOfBirth))
    /// #     .compound_index(index)
    /// #     .build()?;
    /// # let keys = || Ok::<_, fieldseal::Error>(Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// # let cipher = FieldCipher::new(policy, keys()?).with_index_keys(keys()?)?;
    /// let table = EncryptedTable::new("customers", cipher)
    ///     .column("postcode", "postcode")?
    ///     .column("born", "birth_year")?
    ///     .compound_index_column("place_and_year", "place_and_year")?;
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn compound_index_column(mut self, name: impl Into<String>, index: &str) -> Result<Self, Error> {
        let policy = self.cipher.policy();
        let fault = |message| Err(Error::new(ErrorKind::InvalidValue, message));
        let Some((place, (_, fields))) = policy.compounds().enumerate().find(|(_, (other, _))| other.name() == index)
        else {
            return fault(format!("the policy has no index `{index}` of several fields"));
        };
        if let Some(&field) = fields.iter().find(|&&field| self.columns_of(field).count() != 1) {
            let field = policy.field(field).name();
            return fault(format!(
                "index `{index}` needs one column of each of its fields, and of `{field}` there is not one"
            ));
        }
        self.columns.push(Column { name: name.into(), content: Content::CompoundIndex(place) });
        Ok(self)
    }

    /// The places of the columns that hold `field` alone.
    pub(super) fn columns_of(&self, field: FieldIndex) -> impl Iterator<Item = usize> {
        let holds = move |column: &Column| matches!(column.content, Content::Field(other) if other == field);
        (0..).zip(&self.columns).filter(move |(_, column)| holds(column)).map(|(place, _)| place)
    }

    /// Adds a column of text, JSON or JSONB that holds a document, whose tagged values are where the paths of the
    /// policy say.
    #[must_use]
    pub fn document(mut self, name: impl Into<String>) -> Self {
        self.columns.push(Column { name: name.into(), content: Content::Document });
        self
    }

    /// Returns the fields of the policy that no column added so far holds: a scan sees nothing of them. A document may
    /// hold any field.
    #[must_use]
    pub fn fields_left_out(&self) -> Vec<&str> {
        let holds = |column: &Column, name: &str| match column.content {
            Content::Field(field) => self.cipher.policy().field(field).name() == name,
            Content::Document => true,
            Content::Index(..) | Content::CompoundIndex(_) => false,
        };
        let is_left_out = |name: &&str| !self.columns.iter().any(|column| holds(column, name));
        self.cipher.policy().fields().iter().map(Field::name).filter(is_left_out).collect()
    }

    /// The name of the table as SQL takes it.
    pub(super) fn quoted_name(&self) -> String {
        self.name.split('.').map(quoted).collect::<Vec<_>>().join(".")
    }

    pub(super) fn fault(&self, message: impl fmt::Display) -> Error {
        Error::new(ErrorKind::Database, format!("table `{}` {message}", self.name))
    }
}

impl fmt::Debug for EncryptedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedTable")
            .field("name", &self.name)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

/// A name as SQL takes it, whatever stands in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
