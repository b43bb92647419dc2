#[derive(fieldseal::Pii)]
struct Customer {
    #[pii(telephone)]
    phone: String,
}

fn main() {}
