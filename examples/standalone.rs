//! cargo run --example standalone
//!
//! The standalone API, without HTTP: a value, a document, a type of one's own, a stream, and a token for a binary
//! column. Ends by itself.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::fmt::Debug;

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{Field, FieldCipher, Policy, Scope, Tag};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Customer {
    id: u64,
    name: String,
    phone: String,
    tier: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone).path("$..phone").path("$..mobile"))
        .build()?;
    // A key that is gone with this process; `Keys::open` reads those that stay.
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate()?));
    let cipher = FieldCipher::new(policy, keys);

    // A value, for a column of type text. The field's name is part of what the token is bound to.
    let token = cipher.encrypt_value("phone", "+65 9123 4567")?;
    let phone: String = cipher.decrypt_value("phone", &token)?;
    show("value", &phone, &token);
    show("in another field", &cipher.decrypt_value::<String>("name", &token), &"does not open");

    // The values of one row, which cost less together, for columns of type binary.
    let mut row = cipher.value_encryptor();
    let [name, phone] = [row.encrypt_to_bytes("name", "陈伟明")?, row.encrypt_to_bytes("phone", "+65 9123 4567")?];
    let mut row = cipher.value_decryptor();
    show("row", &row.decrypt::<String>("name", &name)?, &format!("{} bytes", name.len()));
    show("row", &row.decrypt::<String>("phone", &phone)?, &format!("{} bytes", phone.len()));

    // A document. What is not tagged keeps its bytes: here `1.10`, and the space before it.
    let document = r#"{"id": 7, "name": "陈伟明", "contact": {"mobile": "+65 9123 4567"}, "points": 1.10}"#;
    let stored = cipher.encrypt_json(document.as_bytes())?;
    assert_eq!(cipher.decrypt_json(&stored)?, document.as_bytes());
    show("document", &document, &String::from_utf8_lossy(&stored));

    // A type of one's own.
    let customer = Customer { id: 7, name: "陈伟明".into(), phone: "+65 9123 4567".into(), tier: "gold".into() };
    let stored = cipher.encrypt_record(&customer)?;
    assert_eq!(cipher.decrypt_record::<Customer>(&stored)?, customer);
    show("record", &customer, &stored);

    // Lines of JSON, in chunks that end anywhere.
    let (mut stream, mut stored) = (cipher.ndjson_encryptor(), Vec::new());
    for chunk in ["{\"phone\":\"+65 9123", " 4567\"}\n{\"phone\":\"+65 8", "123 4567\"}\n"] {
        stream.feed(chunk.as_bytes(), &mut stored)?;
    }
    stream.finish(&mut stored)?;
    show("stream", &"two lines in three chunks", &String::from_utf8_lossy(&stored));

    // A cipher for one tenant and one row: its tokens open nowhere else.
    let scoped = cipher.in_scope(Scope::new().tenant("acme").record("7"))?;
    let token = scoped.encrypt_value("phone", "+65 9123 4567")?;
    show("in its row", &scoped.decrypt_value::<String>("phone", &token)?, &token);
    show("elsewhere", &cipher.decrypt_value::<String>("phone", &token), &"does not open");
    Ok(())
}

fn show(what: &str, plaintext: &impl Debug, stored: &impl Debug) {
    println!("{what:16} {plaintext:?}\n{:16} {stored:?}\n", "");
}
