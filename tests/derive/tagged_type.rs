#[derive(fieldseal::Pii)]
#[pii(phone)]
struct Phone(String);

#[derive(fieldseal::Pii)]
enum Contact {
    #[pii(phone)]
    Phone(String),
}

fn main() {}
