//! All that the service needs in order to be protected.

use fieldseal::keys::{Keyring, KeyringFile, Keys, LocalKek};
use fieldseal::{Error, Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};

use crate::directory::Directory;

/// The tagged fields are called as the columns that hold them.
pub(crate) fn policy() -> Result<Policy, Error> {
    Policy::builder("customers")
        .field(Field::new("name", Tag::Name))
        .field(Field::new("romanised_name", Tag::Name))
        .field(Field::new("phone", Tag::Phone))
        .field(Field::new("email", Tag::Email))
        .field(Field::new("address", Tag::Address))
        .field(Field::new("card_last4", Tag::CardFragment))
        .build()
}

/// Makes a key-encryption key and a keyring with one data key, and the layer that works with them.
pub(crate) async fn layer(directory: &Directory) -> Result<FieldEncryptionLayer, Error> {
    let kek = LocalKek::create_file(directory.kek())?;
    let keyring = KeyringFile::new(directory.keyring());
    Keyring::create("customers", &kek).await?.save(&keyring).await?;

    let keys = Keys::open(keyring, kek).await?;
    FieldEncryptionLayer::new(FieldCipher::new(policy()?, keys))
}
