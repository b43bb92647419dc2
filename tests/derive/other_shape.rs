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

fn main() {}
