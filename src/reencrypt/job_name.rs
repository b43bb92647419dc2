//! What tells one job from another: by it, a checkpoint is found again.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::database::Shape;
use super::table::{Content, EncryptedTable};
use crate::cipher::{Direction, Migration};
use crate::error::Error;
use crate::policy::FieldIndex;

/// How many bytes of the digest a name has.
const LENGTH: usize = 8;

/// Returns the name of the job that moves the values of the table in `shape`.
///
/// Two workers with the same name for a job share it, and one goes on from where the other was. So it holds, beside the
/// table as the database knows it and where its values go, a digest of everything else that the outcome depends on:
/// the primary key, and for each column, in any order, what it holds and where that belongs: collection, field, tenant,
/// record, subject, and the paths of the policy where it is a document.
///
/// # Errors
///
/// [`ErrorKind::KeyUnavailable`](crate::ErrorKind::KeyUnavailable) where values are to be encrypted and there is no
/// primary key.
pub(super) fn job_name(shape: &Shape, direction: Direction) -> Result<String, Error> {
    let (table, cipher) = (&shape.place, &shape.table.cipher);
    let goal = match direction {
        Direction::Reencrypt => format!("to key {}", cipher.keys().current_for_encryption()?.primary()?.id()),
        Direction::Encrypt => "encrypt plaintext".to_owned(),
        Direction::Decrypt | Direction::Look => "decrypt to plaintext".to_owned(),
    };
    Ok(format!("{table}: {goal}, {}", digest(shape)))
}

fn digest(shape: &Shape) -> String {
    let mut parts = Parts::default();
    parts.add_count(shape.key.len());
    for (name, kind) in &shape.key {
        parts.add(name);
        parts.add(kind);
    }
    let mut columns: Vec<_> = shape
        .table
        .columns
        .iter()
        .map(|column| {
            let mut parts = Parts::default();
            parts.add(&column.name);
            match column.content {
                Content::Field(field) => {
                    parts.add("field");
                    parts.add_field(&shape.table, field);
                }
                Content::Index(field, beside) => {
                    parts.add("index");
                    parts.add_field(&shape.table, field);
                    parts.add(&shape.table.columns[beside].name);
                }
                Content::CompoundIndex(place) => {
                    parts.add("compound index");
                    let policy = shape.table.cipher.policy();
                    let name = policy.compound_indexes().get(place).map_or("", |index| index.name());
                    parts.add(name);
                }
                Content::Document => {
                    parts.add("document");
                    parts.add_policy(&shape.table);
                }
            }
            parts.0
        })
        .collect();
    columns.sort_unstable();
    parts.add_count(columns.len());
    for column in columns {
        parts.add(&column);
    }
    let mut shown = String::new();
    for byte in &Sha256::digest(&parts.0)[..LENGTH] {
        let _ = write!(shown, "{byte:02x}");
    }
    shown
}

/// Texts, each with its length before it, so that no two lists of them are the same bytes.
#[derive(Default)]
struct Parts(Vec<u8>);

impl Parts {
    fn add(&mut self, part: impl AsRef<[u8]>) {
        self.add_count(part.as_ref().len());
        self.0.extend_from_slice(part.as_ref());
    }

    fn add_count(&mut self, count: usize) {
        self.0.extend_from_slice(&(count as u64).to_le_bytes());
    }

    fn add_field(&mut self, table: &EncryptedTable, field: FieldIndex) {
        self.add(table.cipher.policy().field(field).name());
        self.add(Migration::place(&table.cipher, field));
    }

    fn add_policy(&mut self, table: &EncryptedTable) {
        let policy = table.cipher.policy();
        let mut fields: Vec<_> = policy.fields().iter().collect();
        fields.sort_unstable_by_key(|field| field.name());
        self.add(policy.collection());
        if let Some(binding) = policy.record_binding() {
            self.add(format!("{binding:?}"));
        }
        let indexes = table.cipher.index_making();
        if !indexes.is_empty() {
            self.add(indexes);
        }
        self.add_count(fields.len());
        for field in fields {
            if let Some(index) = policy.field_named(field.name()) {
                self.add_field(table, index);
            }
            let mut paths = field.paths().to_vec();
            paths.sort_unstable();
            self.add_count(paths.len());
            for path in paths {
                self.add(path);
            }
        }
    }
}
