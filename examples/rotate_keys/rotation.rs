//! The rotation itself, step by step, each at the time at which it may be taken.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fieldseal::Timestamp;
use fieldseal::keys::{KeyService as _, Keyring, KeyringFile, Keys, LocalKek};
use fieldseal::reencrypt::{Database, EncryptedTable, Job};
use tower::BoxError;

pub(crate) struct Rotation {
    pub(crate) keyring: Keyring,
    /// The keys of this process, which runs the job as well.
    pub(crate) keys: Keys,
    pub(crate) store: KeyringFile,
    pub(crate) table: EncryptedTable,
    pub(crate) database: Database,
}

impl Rotation {
    pub(crate) async fn run(mut self, old_kek: &Path, new_kek: &Path) -> Result<(), BoxError> {
        let old = self.keyring.keys()[0].id();
        let old_kek_name = self.keyring.keys()[0].kek().to_owned();
        let new_service = LocalKek::from_file(new_kek)?;

        let new = self.keyring.add_key(&new_service).await?;
        self.keyring.authenticate_by(&new_service).await?;
        self.save().await?;
        println!("1. Key {new} is published, under a key-encryption key of its own.");

        until("every replica has read it", self.keyring.promotable_at(new)?).await;
        self.keyring.promote(new)?;
        self.save().await?;
        println!("2. It encrypts from now on; key {old} still decrypts.");

        let report = Job::reencrypt(self.table.clone()).batch_size(100).run(self.database.clone()).await?;
        println!("3. {} rows were moved to it, one by one, where nobody had changed them meanwhile.", report.moved());

        let earliest = self.keyring.scannable_at(old)?.ok_or("the old key has encrypted")?;
        until("the last replica has stopped writing under the old one", earliest).await;
        Job::reencrypt(self.table.clone()).run(self.database.clone()).await?;
        // The one table here: where a keyring serves several, each scan goes through all of them.
        for _ in 0..2 {
            let scan = self.table.scan(self.database.clone()).await?;
            if scan.unreadable_without_key() > 0 {
                return Err(
                    "there are values that may be under any key: a scan proves nothing before they are mended".into()
                );
            }
            self.keyring.record_scan(old, scan.began(), scan.tokens_under(old))?;
            println!("4. A scan of {} rows found {} tokens under the old key.", scan.rows(), scan.tokens_under(old));
        }

        self.keyring.disable(old)?;
        self.save().await?;
        println!("5. The old key is disabled: had anything needed it, there would be errors and an alarm now.");

        let disabled = SystemTime::now();
        let rehearsal = self.keyring.timing().rehearsal;
        until("nothing has missed it", Timestamp::from(disabled + rehearsal + Duration::from_secs(1))).await;
        self.keyring.forget(old)?;
        println!("6. The old key is forgotten: {:?}.", self.keyring.shreddable(&old_kek_name)?);

        // Here in a file; in earnest `KeyService::destroy` has the key service do it.
        let name = LocalKek::from_file(old_kek)?.name().to_owned();
        fs::remove_file(old_kek)?;
        self.keyring.shred(&old_kek_name, &format!("{name} removed at {}", Timestamp::from(SystemTime::now())))?;
        self.save().await?;
        println!("7. Its key-encryption key is destroyed, and with it every copy of everything under it.");
        Ok(())
    }

    async fn save(&mut self) -> Result<(), BoxError> {
        self.keyring.save(&self.store).await?;
        Ok(self.keys.reload().await?)
    }
}

async fn until(what: &str, moment: Timestamp) {
    let wait = SystemTime::from(moment).duration_since(SystemTime::now()).unwrap_or_default();
    println!("   {:.1} seconds until {what}.", wait.as_secs_f64());
    tokio::time::sleep(wait).await;
}
