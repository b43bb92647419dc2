#[derive(fieldseal::Pii)]
struct Customer {
    #[pii(phone, index)]
    phone: String,
}

fn main() {}
