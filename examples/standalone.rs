//! cargo run --example standalone
//!
//! The standalone API, without HTTP: a value, a document, a type of one's own, a stream, and a token for a binary
//! column. Ends by itself.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{Field, FieldCipher, Policy, Scope, Tag};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Customer {
    id: u64,
    name: String,
    phone: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name))
        .field(Field::new("phone", Tag::Phone).path("$..phone").path("$..mobile"))
        .build()?;
    // A key that is gone with this process; `Keys::open` reads those that stay.
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate()?));
    let cipher = FieldCipher::new(policy, keys);

    // A value, for a column of type text. The token is bound to its field, and opens in no other.
    let token = cipher.encrypt_value("phone", "+65 9123 4567")?;
    let phone: String = cipher.decrypt_value("phone", &token)?;
    show("value", &phone, &token);
    show_refusal(cipher.decrypt_value("name", &token));

    // The values of one row, which cost less together, for columns of type binary.
    let mut row = cipher.value_encryptor();
    let (name, phone) = (row.encrypt_to_bytes("name", "陈伟明")?, row.encrypt_to_bytes("phone", "+65 9123 4567")?);
    let mut row = cipher.value_decryptor();
    show("row", &row.decrypt::<String>("name", &name)?, &format!("{} bytes", name.len()));
    show("", &row.decrypt::<String>("phone", &phone)?, &format!("{} bytes", phone.len()));

    // A document. What is not tagged keeps its bytes: here `1.10`, and the space before it.
    let document = r#"{"id": 7, "name": "陈伟明", "contact": {"mobile": "+65 9123 4567"}, "points": 1.10}"#;
    let stored = cipher.encrypt_json(document.as_bytes())?;
    let opened = cipher.decrypt_json(&stored)?;
    show("document", str::from_utf8(&opened)?, str::from_utf8(&stored)?);

    // A type of one's own.
    let customer = Customer { id: 7, name: "陈伟明".to_owned(), phone: "+65 9123 4567".to_owned() };
    let stored = cipher.encrypt_record(&customer)?;
    let Customer { id, name, phone } = cipher.decrypt_record(&stored)?;
    show("record", &format!("{id}, {name}, {phone}"), &stored);

    // Lines of JSON, in chunks that end anywhere.
    let (mut stream, mut stored) = (cipher.ndjson_encryptor(), Vec::new());
    for chunk in ["{\"phone\":\"+65 9123", " 4567\"}\n{\"phone\":\"+65 8", "123 4567\"}\n"] {
        stream.feed(chunk.as_bytes(), &mut stored)?;
    }
    stream.finish(&mut stored)?;
    show("stream", "two lines in three chunks", str::from_utf8(&stored)?);

    // A cipher for one row of one tenant. Its tokens open nowhere else.
    let row = cipher.in_scope(Scope::new().tenant("acme").record("7"))?;
    let token = row.encrypt_value("phone", "+65 9123 4567")?;
    show("scope", &row.decrypt_value::<String>("phone", &token)?, &token);
    show_refusal(cipher.decrypt_value("phone", &token));
    Ok(())
}

fn show(what: &str, plaintext: &str, stored: &str) {
    println!("{what:10}{plaintext}");
    stored.lines().for_each(|line| println!("{:10}{line}", ""));
}

fn show_refusal(result: Result<String, fieldseal::Error>) {
    println!("{:10}elsewhere: {}", "", result.err().map_or("it opens!".to_owned(), |error| error.to_string()));
}
