//! Opens what the options name: keyring, key-encryption keys, policy.

use std::fs;
use std::path::Path;

use fieldseal::keys::{KeyService, KeyServices, Keyring, KeyringFile, KeyringStore, Keys, LocalKek, Witness};
use fieldseal::{FieldCipher, Policy, Scope};

use crate::arguments::KeyringArguments;
use crate::failure::Failure;

impl KeyringArguments {
    pub(crate) fn file(&self) -> Result<KeyringFile, Failure> {
        let missing = || Failure::Usage("which keyring? Give --keyring FILE, or set FIELDSEAL_KEYRING".to_owned());
        self.keyring.as_ref().map(KeyringFile::new).ok_or_else(missing)
    }

    pub(crate) fn store(&self) -> Result<Box<dyn KeyringStore>, Failure> {
        let file = self.file()?;
        Ok(match &self.witness {
            Some(path) => Box::new(Witness::new(file, path)),
            None => Box::new(file),
        })
    }

    pub(crate) fn services(&self) -> Result<KeyServices<'static>, Failure> {
        if self.kek.is_empty() {
            let message = "which key-encryption key? Give --kek file:PATH, or set FIELDSEAL_KEK_SPEC";
            return Err(Failure::Usage(message.to_owned()));
        }
        self.kek.iter().map(|spec| open(spec)).collect()
    }

    /// The key-encryption key that wraps what is new.
    pub(crate) fn newest(&self) -> Result<Box<dyn KeyService>, Failure> {
        let missing = || Failure::Usage("which key-encryption key? Give --kek file:PATH".to_owned());
        open(self.kek.last().ok_or_else(missing)?)
    }

    pub(crate) async fn load(&self) -> Result<Keyring, Failure> {
        Ok(Keyring::load(&*self.store()?, self.services()?).await?)
    }

    pub(crate) async fn cipher(&self, policy: &Path, tenant: Option<&str>) -> Result<FieldCipher, Failure> {
        let text = fs::read_to_string(policy)
            .map_err(|error| Failure::Failed(format!("the policy `{}` cannot be read: {error}", policy.display())))?;
        let policy = Policy::from_toml(&text)?;
        let keys = match &self.witness {
            Some(path) => Keys::open(Witness::new(self.file()?, path), self.services()?).await?,
            None => Keys::open(self.file()?, self.services()?).await?,
        };
        let cipher = FieldCipher::new(policy, keys);
        Ok(match tenant {
            Some(tenant) => cipher.in_scope(Scope::new().tenant(tenant))?,
            None => cipher,
        })
    }
}

/// Opens a key-encryption key. A key service is one more arm here.
fn open(spec: &str) -> Result<Box<dyn KeyService>, Failure> {
    match spec.split_once(':') {
        Some(("file", path)) => Ok(Box::new(LocalKek::from_file(path)?)),
        Some(("env", variable)) => Ok(Box::new(LocalKek::from_env(variable)?)),
        // What was given is not repeated: it may be the key itself.
        _ => Err(Failure::Usage(
            "a key-encryption key is named as file:PATH or env:VARIABLE, and never given on the command line"
                .to_owned(),
        )),
    }
}

/// The path of the file that `spec` names.
pub(crate) fn file_of(spec: Option<&String>) -> Result<&str, Failure> {
    let path = spec.and_then(|spec| spec.strip_prefix("file:"));
    path.ok_or_else(|| Failure::Usage("--create-kek makes a file: give --kek file:PATH".to_owned()))
}
