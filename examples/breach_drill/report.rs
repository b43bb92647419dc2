//! What the drill says, on standard output. Progress goes to standard error, and only where that is a terminal.

use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::arguments::Arguments;
use crate::customer::Customer;
use crate::directory::Directory;
use crate::load::Timing;
use crate::spelling::Spelling;
use crate::thief::{Findings, Loot};

pub(crate) fn bar(message: &'static str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:24} {wide_bar} {human_pos}/{human_len}");
    let bar = ProgressBar::new(length as u64).with_message(message);
    style.map_or_else(|_| ProgressBar::hidden(), |style| bar.with_style(style))
}

pub(crate) fn beginning(arguments: &Arguments, directory: &Directory) {
    let with = if arguments.with_layer { "with" } else { "WITHOUT" };
    println!("A breach drill on {} accounts, {with} the layer.", count(arguments.accounts));
    let kept = if directory.is_temporary() { " (removed at the end; keep it with --dir)" } else { "" };
    println!("Files: {}{kept}", directory.path().display());
}

/// Requests a second. Client and service share one process, so the numbers compare, but are no limits.
pub(crate) fn speed(with_layer: bool, timings: &[Timing], comparison: Option<&[Timing]>) {
    let title = if with_layer { "with the layer" } else { "without the layer" };
    let other = if comparison.is_some() { "without the layer" } else { "" };
    let line = format!("{:20} {:>9} {title:>18} {other:>18}", "", "requests");
    println!("\n{}", line.trim_end());
    let line = |name, timings: &[Timing], comparison: Option<&[Timing]>| {
        let requests = count(timings.iter().map(|timing| timing.requests).sum());
        let other = comparison.map_or(String::new(), rate);
        let line = format!("{name:20} {requests:>9} {:>18} {other:>18}", rate(timings));
        println!("{}", line.trim_end());
    };
    for (place, timing) in timings.iter().enumerate() {
        let places = place..=place;
        line(timing.step.name(), &timings[places.clone()], comparison.and_then(|timings| timings.get(places)));
    }
    line("all", timings, comparison);
    println!("Every list and every customer read came back as it was sent, byte for byte.");
}

fn rate(timings: &[Timing]) -> String {
    let requests: usize = timings.iter().map(|timing| timing.requests).sum();
    let time: Duration = timings.iter().map(|timing| timing.time).sum();
    let requests = u32::try_from(requests).map_or(f64::INFINITY, f64::from);
    format!("{:.0} a second", requests / time.as_secs_f64())
}

pub(crate) fn findings(loot: &Loot, findings: &Findings, customer: &Customer) {
    println!("\nStolen while the service ran:");
    for (file, bytes) in loot.files() {
        println!("  {file:14} {:>14} bytes", count(bytes.len()));
    }
    println!("\nOne row, as the thief sees it and as the customer does:");
    let stored = findings.row.as_ref().map(Customer::cells).unwrap_or_default();
    for (stored, seen) in stored.iter().zip(customer.cells()) {
        println!("  {:14} {:40} {}", stored.column, shortened(stored.text), seen.text);
    }
    let Findings { plaintexts, spellings, hits, tagged_cells, plain_cells, row: _ } = findings;
    let tokens = count(tagged_cells - plain_cells);
    println!("\nTagged cells: {tokens} of {} are tokens by their grammar.", count(*tagged_cells));
    println!("Looked for {} plaintexts in {} spellings.", count(*plaintexts), count(*spellings));
    for spelling in Spelling::ALL {
        let mut found = hits.iter().filter(|hit| hit.spelling == spelling);
        if let Some(first) = found.next() {
            let (name, number) = (spelling.name(), count(1 + found.count()));
            println!("  found in {name}: {number}, first at byte {} of {}", first.position, first.file);
        }
    }
    if *plain_cells > 0 {
        println!("  cells in the clear: {}", count(*plain_cells));
    }
    println!("plaintext hits: {} in {} bytes", findings.total(), loot.size());
}

fn shortened(text: &str) -> String {
    let mut characters = text.chars();
    let start: String = characters.by_ref().take(28).collect();
    match characters.count() {
        0 => start,
        rest => format!("{start}… {rest} more"),
    }
}

fn count(number: usize) -> String {
    HumanCount(number as u64).to_string()
}
