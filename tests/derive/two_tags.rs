#[derive(fieldseal::Pii)]
struct Customer {
    #[pii(phone, email)]
    phone: String,
}

fn main() {}
