#[derive(fieldseal::Pii)]
union Number {
    small: u8,
    large: u64,
}

fn main() {}
