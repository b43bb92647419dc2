//! cargo run --features metrics --example open_telemetry
//!
//! A service on axum whose spans, audit events and counters go to OpenTelemetry. It asks itself for a few things, prints
//! what was exported, and stops.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]
#![expect(clippy::doc_markdown, reason = "the first line is there to be copied")]

mod recorder;
mod report;
mod shop;
mod telemetry;

use tower::BoxError;

use telemetry::Telemetry;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let telemetry = Telemetry::install()?;
    shop::spend_a_day().await?;
    report::report(&telemetry)?.iter().for_each(|line| println!("{line}"));
    Ok(())
}
