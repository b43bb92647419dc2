//! Opens what the options name: keyring, key-encryption keys, policy.

use std::env;
use std::fs;
use std::path::Path;

use fieldseal::keys::{KeyService, KeyServices, Keyring, KeyringFile, KeyringStore, KeyringTable, Keys, Witness};
use fieldseal::{FieldCipher, Policy, Scope};

use crate::arguments::{IndexArguments, KeyringArguments};
use crate::failure::Failure;
use crate::kek;

impl KeyringArguments {
    pub(crate) async fn store(&self) -> Result<Box<dyn KeyringStore>, Failure> {
        let missing = || Failure::Usage("which keyring? Give --keyring FILE, or set FIELDSEAL_KEYRING".to_owned());
        witnessed(self.keyring.as_deref().ok_or_else(missing)?, self.witness.as_deref()).await
    }

    /// Makes the table of a keyring in PostgreSQL where there is none.
    pub(crate) async fn prepare(&self) -> Result<(), Failure> {
        match self.keyring.as_deref().and_then(|keyring| keyring.strip_prefix("postgres:")) {
            Some(place) => Ok(table(place).await?.create_if_missing().await?),
            None => Ok(()),
        }
    }

    /// Refuses a keyring that is there already, or that could not be written.
    pub(crate) async fn check_is_new(&self) -> Result<(), Failure> {
        self.prepare().await?;
        let store = self.store().await?;
        let file = self.keyring.as_deref().filter(|keyring| !keyring.starts_with("postgres:")).map(Path::new);
        if store.read().await.is_ok() || file.is_some_and(|path| path.symlink_metadata().is_ok()) {
            return Err(Failure::Failed(format!("{} exists already: nothing was made", store.place())));
        }
        let directory = file.and_then(Path::parent).filter(|directory| !directory.as_os_str().is_empty());
        match directory {
            Some(directory) if !directory.is_dir() => {
                let message =
                    format!("there is no directory `{}` for the keyring: nothing was made", directory.display());
                Err(Failure::Failed(message))
            }
            _ => Ok(()),
        }
    }

    pub(crate) async fn services(&self) -> Result<KeyServices<'static>, Failure> {
        if self.kek.is_empty() {
            let message = "which key-encryption key? Give --kek file:PATH, or set FIELDSEAL_KEK_SPEC";
            return Err(Failure::Usage(message.to_owned()));
        }
        let mut services = Vec::new();
        for spec in &self.kek {
            services.push(kek::open(spec).await?);
        }
        Ok(services.into_iter().collect())
    }

    /// Whether the keyring is to stand in a file, and there is none.
    pub(crate) fn is_missing_file(&self) -> bool {
        self.keyring
            .as_ref()
            .is_some_and(|keyring| !keyring.starts_with("postgres:") && fs::exists(keyring).is_ok_and(|exists| !exists))
    }

    /// The key-encryption key that wraps what is new.
    pub(crate) async fn newest(&self) -> Result<Box<dyn KeyService>, Failure> {
        let missing = || Failure::Usage("which key-encryption key? Give --kek file:PATH".to_owned());
        kek::open(self.kek.last().ok_or_else(missing)?).await
    }

    pub(crate) async fn load(&self) -> Result<Keyring, Failure> {
        Ok(Keyring::load(&*self.store().await?, self.services().await?).await?)
    }

    pub(crate) async fn cipher(
        &self,
        policy: &Path,
        IndexArguments { index_keyring, index_witness }: &IndexArguments,
        tenant: Option<&str>,
    ) -> Result<FieldCipher, Failure> {
        let policy = read_policy(policy)?;
        let keys = Keys::open(self.store().await?, self.services().await?).await?;
        // A change of the keyring must not end a command that takes longer than the lease.
        tokio::spawn(keys.keep_fresh(tokio::time::sleep));
        let mut cipher = FieldCipher::new(policy, keys);
        if let Some(index_keyring) = index_keyring {
            let store = witnessed(index_keyring, index_witness.as_deref()).await?;
            let keys = Keys::open(store, self.services().await?).await?;
            tokio::spawn(keys.keep_fresh(tokio::time::sleep));
            cipher = cipher.with_index_keys(keys)?;
        }
        Ok(match tenant {
            Some(tenant) => cipher.in_scope(Scope::new().tenant(tenant))?,
            None => cipher,
        })
    }
}

impl IndexArguments {
    /// Refuses to encrypt what has blind indexes without the keys that they are made with.
    pub(crate) fn check(&self, cipher: &FieldCipher) -> Result<(), Failure> {
        let policy = cipher.policy();
        let has_own = policy.fields().iter().any(|field| field.index_name().is_some());
        if self.index_keyring.is_none() && (has_own || !policy.compound_indexes().is_empty()) {
            let message = "the policy has blind indexes: give --index-keyring FILE, or set FIELDSEAL_INDEX_KEYRING";
            return Err(Failure::Usage(message.to_owned()));
        }
        Ok(())
    }
}

/// The keyring, and the file that remembers its latest revision where there is one.
async fn witnessed(keyring: &str, witness: Option<&Path>) -> Result<Box<dyn KeyringStore>, Failure> {
    let store = store(keyring).await?;
    Ok(match witness {
        Some(path) => Box::new(Witness::new(store, path)),
        None => store,
    })
}

/// The policy in a file.
pub(crate) fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::Failed(format!("the policy `{}` cannot be read: {error}", path.display())))?;
    Ok(Policy::from_toml(&text)?)
}

/// The keyring in a file, or in PostgreSQL.
pub(crate) async fn store(keyring: &str) -> Result<Box<dyn KeyringStore>, Failure> {
    if keyring.contains("://") {
        // Not repeated: it may have a password in it.
        return Err(usage());
    }
    Ok(match keyring.strip_prefix("postgres:") {
        Some(place) => Box::new(table(place).await?),
        None => Box::new(KeyringFile::new(keyring)),
    })
}

fn usage() -> Failure {
    Failure::Usage("a keyring in PostgreSQL is named as postgres:VARIABLE/NAME, never by its address".to_owned())
}

/// The keyring in PostgreSQL at `VARIABLE/NAME`. The address stands in the environment, since it may have a password in
/// it.
async fn table(place: &str) -> Result<KeyringTable, Failure> {
    let (variable, name) = place.split_once('/').ok_or_else(usage)?;
    let address = address_in(variable, "the keyring")?;
    let unreachable = |_| Failure::Failed(format!("the database in {variable} cannot be reached, or refuses"));
    let pool = sqlx::PgPool::connect(&address).await.map_err(unreachable)?;
    Ok(KeyringTable::new(pool, name))
}

/// The address of `what` in the environment variable `variable`. What cannot be the name of one is not repeated, for it may
/// be the address itself, with its password.
pub(crate) fn address_in(variable: &str, what: &str) -> Result<String, Failure> {
    let is_name = !variable.is_empty() && variable.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        let message =
            format!("the address of {what} is expected in an environment variable: give its name, never the address");
        return Err(Failure::Usage(message));
    }
    let missing =
        |_| Failure::Usage(format!("the address of {what} is expected in the environment variable {variable}"));
    env::var(variable).map_err(missing)
}
