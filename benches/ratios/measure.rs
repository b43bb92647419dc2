//! Medians of two sides that run in turn.

use std::hint::black_box;
use std::time::Instant;

/// How often each side is timed.
const RUNS: usize = 31;

/// Runs both sides in turn, `batch` calls at a time, and returns the median nanoseconds of one call of each.
///
/// A side that returns an error ends the program: a fast failure is no figure.
pub(crate) fn compare<A, E: std::fmt::Debug, B, F: std::fmt::Debug>(
    batch: u32,
    mut one: impl FnMut() -> Result<A, E>,
    mut other: impl FnMut() -> Result<B, F>,
) -> [f64; 2] {
    let mut times = [Vec::with_capacity(RUNS), Vec::with_capacity(RUNS)];
    for run in 0..=RUNS {
        let first = time(batch, &mut one);
        let second = time(batch, &mut other);
        // The first run warms up.
        if run > 0 {
            times[0].push(first);
            times[1].push(second);
        }
    }
    times.map(median)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints a ratio and the figures behind it.
pub(crate) fn report(name: &str, ratio: f64, figures: &[(&str, f64)]) {
    println!("ratio {name} {ratio:.2}");
    for (figure, value) in figures {
        println!("  {name}.{figure} {value:.2}");
    }
}

fn time<T, E: std::fmt::Debug>(batch: u32, side: &mut impl FnMut() -> Result<T, E>) -> f64 {
    let start = Instant::now();
    for _ in 0..batch {
        black_box(side().expect("both sides of a comparison do their work"));
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(batch)
}
