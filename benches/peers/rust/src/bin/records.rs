//! Prints so many records, one a line, each with another number and name.

use peers::{Failure, record};

fn main() -> Result<(), Failure> {
    let records: u32 = std::env::args().nth(1).ok_or("how many records?")?.parse()?;
    let record = String::from_utf8(record())?;
    for number in 0..records {
        let (name, phone) =
            (format!("Tan Wei Ming {number:05}"), format!("+65 91{:02} {:04}", number / 10_000, number % 10_000));
        println!("{}", record.replace("Tan Wei Ming", &name).replace("+65 9123 4567", &phone));
    }
    Ok(())
}
