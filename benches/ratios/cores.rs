//! What a second core is worth.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use fieldseal::{FieldCipher, FieldEncryptionLayer};
use tokio::runtime::Builder;

use super::documents::{cipher, record};
use super::http::{Failure, memory, serve_on};
use super::load::throughput;
use super::measure::{median, on_processor, report};

const RUNS: usize = 9;
const WINDOW: Duration = Duration::from_millis(200);

/// `two_cores`: records encrypted and decrypted a second by two threads that share one cipher, against one thread. Beside
/// it the same by processor time, which leaves out what else runs on the machine, and for two threads with a cipher each,
/// which shows what sharing takes.
///
/// Through HTTP, two server threads and the load that keeps them busy need four cores; with fewer, only the engine is
/// measured.
#[expect(clippy::print_stdout, reason = "figures are what a bench is for")]
pub(crate) fn two_cores(shared: &FieldCipher) -> Result<(), Failure> {
    let cores = thread::available_parallelism()?.get();
    let other = cipher()?;
    let sides: [&[&FieldCipher]; 3] = [&[shared], &[shared, shared], &[shared, &other]];
    let [one, two, apart] = in_turn(sides, engine)?;
    report(
        "two_cores",
        two[0] / one[0],
        &[
            ("by_processor_time", two[1] / one[1]),
            ("cipher_each", apart[0] / one[0]),
            ("cipher_each_by_processor_time", apart[1] / one[1]),
            ("one_per_s", one[0]),
            ("two_per_s", two[0]),
        ],
    );
    if cores < 4 {
        println!("  two_cores_http not measured: needs four cores, and here are {cores}");
        return Ok(());
    }
    let server = |threads| {
        let app = memory().layer(FieldEncryptionLayer::new(shared.clone())?);
        serve_on(app, move || Builder::new_multi_thread().worker_threads(threads).enable_all().build())
    };
    let [one, two] = in_turn([server(1)?, server(2)?], |server| Ok([twice_the_load(server)?]))?;
    report("two_cores_http", two[0] / one[0], &[("one_per_s", one[0]), ("two_per_s", two[0])]);
    Ok(())
}

/// Returns the medians of all figures of each side. The first run warms up.
fn in_turn<const SIDES: usize, const FIGURES: usize, S: Copy>(
    sides: [S; SIDES],
    measure: impl Fn(S) -> Result<[f64; FIGURES], Failure>,
) -> Result<[[f64; FIGURES]; SIDES], Failure> {
    let mut all = [(); SIDES].map(|()| [(); FIGURES].map(|()| Vec::new()));
    for run in 0..=RUNS {
        for (figures, side) in all.iter_mut().zip(sides) {
            let measured = measure(side)?;
            if run > 0 {
                figures.iter_mut().zip(measured).for_each(|(figures, figure)| figures.push(figure));
            }
        }
    }
    Ok(all.map(|figures| figures.map(median)))
}

/// Returns the records a second of a thread for each cipher, each of which encrypts one and decrypts it again: by the
/// clock, and by the time that the threads had the processor.
fn engine(ciphers: &[&FieldCipher]) -> Result<[f64; 2], Failure> {
    let (record, start) = (record(), Barrier::new(ciphers.len()));
    let work = |cipher: &FieldCipher| {
        start.wait();
        let (started, had, mut count) = (Instant::now(), on_processor(), 0_u32);
        while started.elapsed() < WINDOW {
            for _ in 0..64 {
                cipher.decrypt_json(&cipher.encrypt_json(&record)?)?;
            }
            count += 64;
        }
        let nanoseconds = on_processor() - had;
        Ok::<_, Failure>([started.elapsed().as_secs_f64(), nanoseconds / 1e9].map(|time| f64::from(count) / time))
    };
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = ciphers.iter().map(|&cipher| scope.spawn(move || work(cipher))).collect();
        threads.into_iter().try_fold([0.0; 2], |sum, thread| {
            let rates = thread.join().expect("the engine does not panic")?;
            Ok([sum[0] + rates[0], sum[1] + rates[1]])
        })
    })
}

/// Requests a second of two processes, so that one alone does not hold the server up.
fn twice_the_load(server: SocketAddr) -> Result<f64, Failure> {
    let loads = [(); 2].map(|()| thread::spawn(move || throughput(server, "post")));
    loads.into_iter().map(|load| load.join().expect("the load does not panic")).sum()
}
