#[derive(fieldseal::Pii, serde::Serialize)]
struct Customer {
    #[pii(address)]
    #[serde(flatten)]
    address: std::collections::HashMap<String, String>,
}

fn main() {}
