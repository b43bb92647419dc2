#[derive(fieldseal::Pii)]
struct Customer {
    #[pii(index)]
    phone: String,
}

fn main() {}
