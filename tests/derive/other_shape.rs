#[derive(fieldseal::Pii, serde::Serialize)]
struct Customer {
    #[serde(serialize_with = "write")]
    phone: String,
}

fn write<S: serde::Serializer>(phone: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(phone)
}

#[derive(fieldseal::Pii, serde::Serialize, Clone)]
#[serde(into = "String")]
struct Phone(#[pii(phone)] String);

impl From<Phone> for String {
    fn from(phone: Phone) -> Self {
        phone.0
    }
}

#[derive(fieldseal::Pii, serde::Serialize)]
struct Joined {
    #[pii(phone)]
    #[serde(serialize_with = "join")]
    phones: Vec<String>,
}

fn join<S: serde::Serializer>(phones: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&phones.join(","))
}

#[derive(fieldseal::Pii, serde::Serialize)]
struct Moving(#[serde(skip_serializing_if = "Option::is_none")] Option<u8>, #[pii(phone, field = "phone")] String);

#[derive(fieldseal::Pii, serde::Serialize)]
struct OneSided(#[serde(skip_serializing)] u8, #[pii(phone, field = "phone")] String);

fn main() {}
