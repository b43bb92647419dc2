#[derive(fieldseal::Pii)]
struct Customer {
    #[pii(plain, phone)]
    phone: String,
}

fn main() {}
