#[derive(fieldseal::Pii, serde::Deserialize)]
struct Customer {
    #[pii(email, index)]
    #[serde(alias = "mail")]
    email: String,
}

fn main() {}
