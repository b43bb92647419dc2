//! Medians of two sides that run in turn.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};

/// How often each side is timed.
const RUNS: usize = 61;

/// Runs both sides in turn, `batch` calls at a time, and returns the median nanoseconds of one call of each,
/// of those that this thread had the processor: what else runs on the machine is no part of either side.
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
    let start = on_processor();
    for _ in 0..batch {
        black_box(side().expect("both sides of a comparison do their work"));
    }
    (on_processor() - start) / f64::from(batch)
}

/// Returns the nanoseconds that this thread had the processor so far.
pub(crate) fn on_processor() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
