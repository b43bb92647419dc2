//! The commands and their options.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, value_parser};
use clap_complete::Shell;
use fieldseal::keys::{KeyId, Timing};

use crate::breach::BreachArguments;
use crate::output::Format;

/// Keyrings, rotation, scans and re-encryption for fieldseal.
///
/// Data goes to standard output, messages to standard error. The exit code is 0 where all is well, 1 where what was
/// asked for failed or found what should not be, and 2 where the call makes no sense.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// How data is written.
    #[arg(long, value_enum, default_value = "text", global = true)]
    pub(crate) format: Format,
    /// Locks the memory of this process, so that no key and no value is written to swap; fails where the system does not let
    /// it. Core dumps are off in any case.
    #[arg(long, global = true)]
    pub(crate) lock_memory: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Makes, shows and changes a keyring.
    Keys(KeysArguments),
    /// Counts what a table holds: tokens by key and field, plaintext, and what does not open.
    Scan(ScanArguments),
    /// Moves the values of a table to the primary key while the application goes on writing.
    Reencrypt(ReencryptArguments),
    /// Says what a stolen dump exposes: how many people, which fields, under which keys, and what became of those. It opens
    /// nothing. The exit code is 1 where something is exposed, or may be.
    BreachReport(BreachArguments),
    /// Encrypts newline-delimited JSON from standard input to standard output.
    Encrypt(DocumentArguments),
    /// Decrypts newline-delimited JSON from standard input to standard output.
    Decrypt(DocumentArguments),
    /// Decoys: records that belong to nobody, and raise an alarm where they are opened.
    Honey {
        #[command(subcommand)]
        command: HoneyCommand,
    },
    /// Compares descriptions of APIs with policies, and turns one into the other.
    Openapi {
        #[command(subcommand)]
        command: OpenapiCommand,
    },
    /// Writes a script that completes commands in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Args)]
pub(crate) struct KeysArguments {
    #[command(flatten)]
    pub(crate) keyring: KeyringArguments,
    /// Who makes the change; the user of this process unless given.
    #[arg(long, global = true)]
    pub(crate) by: Option<String>,
    /// Why the change is made.
    #[arg(long, global = true, default_value = "")]
    pub(crate) why: String,
    /// Confirms what cannot be undone.
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

/// Where the keyring is, and what unwraps it.
#[derive(Args)]
pub(crate) struct KeyringArguments {
    /// The keyring: a file, or `postgres:VARIABLE/NAME` with the address of the database in that variable.
    #[arg(long, env = "FIELDSEAL_KEYRING", value_name = "FILE", global = true)]
    pub(crate) keyring: Option<String>,
    /// The key-encryption keys, the newest last: `file:PATH`, `env:VARIABLE`, and what the program was built with of
    /// `aws-kms:ARN`, `gcp-kms:RESOURCE`, `vault:MOUNT/KEY` and `pkcs11:` with the rest of RFC 7512. Never the key
    /// itself.
    #[arg(long, env = "FIELDSEAL_KEK_SPEC", value_name = "SPEC", value_delimiter = ',', global = true)]
    pub(crate) kek: Vec<String>,
    /// The file that remembers the latest revision, so that an old keyring put back is noticed.
    #[arg(long, env = "FIELDSEAL_WITNESS", value_name = "FILE", global = true)]
    pub(crate) witness: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Makes a keyring with one primary key.
    Init {
        /// The name of the keyring, which its keys are bound to.
        #[arg(long)]
        name: String,
        /// Makes the key-encryption key file as well, with 32 random bytes.
        #[arg(long)]
        create_kek: bool,
        #[command(flatten)]
        times: TimingArguments,
    },
    /// Shows the keys, what is due, and when each step can be taken.
    List,
    /// Shows who changed the keyring, when, and why.
    Log,
    /// Adds a pending key under the newest key-encryption key. Every replica needs that one first, or it can no longer open
    /// the keyring.
    Add,
    /// Makes a key the one that encrypts.
    Promote {
        /// The key.
        key: KeyId,
        /// Does not wait until every replica has read the key.
        #[arg(long)]
        without_waiting: bool,
    },
    /// Makes a key refuse to decrypt: the rehearsal of its end, when two clean scans have shown that nothing needs it.
    Disable {
        /// The key.
        key: KeyId,
        /// Disables it without the evidence. What is still stored under it cannot be read until it is enabled again.
        #[arg(long)]
        without_scans: bool,
    },
    /// Lets a disabled key decrypt again.
    Enable {
        /// The key.
        key: KeyId,
    },
    /// Drops a disabled key that two clean scans have shown to be needed by nothing.
    Forget {
        /// The key.
        key: KeyId,
        /// Drops it whatever is still stored under it. That is lost.
        #[arg(long, requires = "tokens")]
        with_everything_under_it: bool,
        /// How many tokens the last scan found under it, which die with it: for the record, and not counted again.
        #[arg(long)]
        tokens: Option<u64>,
    },
    /// Records that a key-encryption key was destroyed, with the receipt of its key service.
    Shred {
        /// The name of the key-encryption key, as `keys list` shows it.
        name: String,
        /// What the key service said.
        #[arg(long, required_unless_present = "destroy")]
        receipt: Option<String>,
        /// Has the key service destroy it now. It has to be one of --kek, and no file or variable: those you delete, and
        /// say so with --receipt.
        #[arg(long, conflicts_with = "receipt")]
        destroy: bool,
    },
    /// Has the newest key-encryption key wrap every key again that another one wraps.
    Rewrap {
        /// The name of the key-encryption key that wraps them now.
        #[arg(long)]
        from: String,
    },
    /// Has the newest key-encryption key wrap the key that authenticates the keyring.
    Authenticate,
    /// Sets the times of the fleet, in seconds. The waits of a rotation follow longer times that were set before, until
    /// those have passed.
    Timing {
        #[command(flatten)]
        times: TimingArguments,
    },
    /// Sets when keys are due, in days. What is not given is never due.
    Schedule {
        /// How long a key stays the primary one.
        #[arg(long)]
        rotate_every: Option<u64>,
        /// How long after it was made a key should be gone.
        #[arg(long)]
        lifetime: Option<u64>,
    },
}

/// The times of the fleet.
#[derive(Args)]
pub(crate) struct TimingArguments {
    /// How often a replica reads the keyring again.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) refresh: Option<u64>,
    /// How long a replica goes on encrypting after its last reading; 0 for a single process, which needs no lease.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) lease: Option<u64>,
    /// The longest that one request or job takes.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) longest_request: Option<u64>,
    /// By how much the clocks differ.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) clock_skew: Option<u64>,
    /// How long a key stays disabled before it can be forgotten.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) rehearsal: Option<u64>,
}

impl TimingArguments {
    /// `timing`, with what is given in its place.
    pub(crate) fn over(&self, timing: Timing) -> Timing {
        let set = |given: Option<u64>, time| given.map_or(time, Duration::from_secs);
        let lease = |lease| Some(Duration::from_secs(lease)).filter(|lease| !lease.is_zero());
        Timing {
            refresh: set(self.refresh, timing.refresh),
            lease: self.lease.map_or(timing.lease, lease),
            longest_request: set(self.longest_request, timing.longest_request),
            clock_skew: set(self.clock_skew, timing.clock_skew),
            rehearsal: set(self.rehearsal, timing.rehearsal),
        }
    }
}

/// What blind indexes are made with.
#[derive(Args)]
pub(crate) struct IndexArguments {
    /// The keyring whose keys blind indexes are made with, where the policy has some: like --keyring, and wrapped by
    /// --kek.
    #[arg(long, env = "FIELDSEAL_INDEX_KEYRING", value_name = "FILE")]
    pub(crate) index_keyring: Option<String>,
    /// The file that remembers the latest revision of that keyring: like --witness, and another file.
    #[arg(long, env = "FIELDSEAL_INDEX_WITNESS", value_name = "FILE")]
    pub(crate) index_witness: Option<PathBuf>,
}

/// A table and what opens it.
#[derive(Args)]
pub(crate) struct TableArguments {
    #[command(flatten)]
    pub(crate) keyring: KeyringArguments,
    #[command(flatten)]
    pub(crate) index: IndexArguments,
    /// The policy, in TOML.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// The environment variable that holds the address of the database: sqlite:... or postgres:...
    #[arg(long, value_name = "VARIABLE", default_value = "DATABASE_URL")]
    pub(crate) database_url: String,
    /// The table.
    #[arg(long)]
    pub(crate) table: String,
    /// A column that holds one value of a field: COLUMN=FIELD, or both in one word where they are called alike.
    #[arg(long = "column", value_name = "COLUMN=FIELD")]
    pub(crate) columns: Vec<String>,
    /// A column that holds the blind index of the value in one of --column: INDEX=COLUMN, the column of the index and then
    /// that of the value, as in `phone_index=phone`.
    #[arg(long = "index-column", value_name = "INDEX=COLUMN")]
    pub(crate) index_columns: Vec<String>,
    /// A column that holds a blind index of several fields, each of which stands in one of --column: COLUMN=INDEX, or both
    /// in one word where they are called alike.
    #[arg(long = "compound-index-column", value_name = "COLUMN=INDEX")]
    pub(crate) compound_index_columns: Vec<String>,
    /// A column that holds a JSON document.
    #[arg(long = "document", value_name = "COLUMN")]
    pub(crate) documents: Vec<String>,
    /// The tenant that the tokens are bound to.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
}

#[derive(Args)]
pub(crate) struct ScanArguments {
    #[command(flatten)]
    pub(crate) table: TableArguments,
    /// Looks through a dump instead, as `pg_dump` writes it in its plain format; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    pub(crate) dump: Option<PathBuf>,
    /// Records the scan in the keyring as evidence for this key. Say so only where every table that the keyring serves was
    /// scanned. Refused where something found does not tell under which key it is.
    #[arg(long, value_name = "KEY")]
    pub(crate) record: Option<KeyId>,
    /// Records a scan whose columns and documents leave out fields of the policy, since nothing holds those.
    #[arg(long, requires = "record")]
    pub(crate) only_these_fields: bool,
}

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(crate) struct ReencryptArguments {
    #[command(flatten)]
    pub(crate) table: TableArguments,
    /// Encrypts a table that holds plaintext, instead of moving tokens.
    #[arg(long, conflicts_with = "dangerous_decrypt")]
    pub(crate) encrypt_plaintext: bool,
    /// Turns tokens back into plaintext, for everybody who can read the table.
    #[arg(long)]
    pub(crate) dangerous_decrypt: bool,
    /// Writes nothing, and counts what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How many rows a transaction takes.
    #[arg(long, default_value = "500", value_parser = value_parser!(u32).range(1..=5000))]
    pub(crate) batch: u32,
    /// At most so many rows a second.
    #[arg(long, value_parser = value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,
    /// A name for this worker, under which it goes on after a crash.
    #[arg(long)]
    pub(crate) worker: Option<String>,
    /// Confirms what cannot be undone.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Subcommand)]
pub(crate) enum HoneyCommand {
    /// Encrypts newline-delimited JSON from standard input to standard output as decoys.
    Make(DocumentArguments),
    /// Names the lines of newline-delimited JSON from standard input, as it is stored, that hold decoys.
    Find(DocumentArguments),
}

#[derive(Subcommand)]
pub(crate) enum OpenapiCommand {
    /// Finds where a description and a policy differ, and what looks personal and is not tagged. The exit code is 0 where
    /// nothing is found, 1 where something is, and 2 where it could not be checked.
    Check {
        /// The policy, in TOML.
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        #[command(flatten)]
        description: DescriptionArguments,
    },
    /// Writes the policy that the `x-pii` of a description makes, in TOML.
    Policy {
        /// The collection that tokens are bound to.
        #[arg(long, value_name = "NAME")]
        collection: String,
        #[command(flatten)]
        description: DescriptionArguments,
    },
    /// Writes the description with the `x-pii` that a policy makes. Members come out sorted by their names.
    Annotate {
        /// The policy, in TOML.
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        #[command(flatten)]
        description: DescriptionArguments,
    },
}

/// A description, and what of it belongs to the collection.
#[derive(Args)]
pub(crate) struct DescriptionArguments {
    /// The description: OpenAPI 3.1 or JSON Schema, in JSON; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: PathBuf,
    /// A schema that is a record of the collection, once for each: bodies that hold none of them are not looked at. All
    /// that the API sends and receives belongs to it where none is named.
    #[arg(long = "record", value_name = "SCHEMA")]
    pub(crate) records: Vec<String>,
}

#[derive(Args)]
pub(crate) struct DocumentArguments {
    #[command(flatten)]
    pub(crate) keyring: KeyringArguments,
    #[command(flatten)]
    pub(crate) index: IndexArguments,
    /// The policy, in TOML.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// The tenant that the tokens are bound to.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
}
