//! cargo bench --bench ratios
//!
//! Prints one line each, `ratio NAME VALUE`. Both sides of a ratio run in turn in this process, and the medians are
//! compared; see `benches/README.md` for what each name means.

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]
#![expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
#![expect(clippy::unnecessary_wraps, reason = "all comparisons read alike")]

mod cores;
mod crypto;
mod documents;
mod engine;
mod erasure;
mod floor;
mod frequency;
mod http;
mod lists;
mod load;
mod lookup;
#[cfg(feature = "postgres")]
mod lookup_postgres;
mod measure;
mod memory;
mod naive;
mod sqlite;

use std::env;

use documents::cipher;
use http::Failure;
use naive::Naive;

/// The names that it reports, and what measures them.
type Comparison<'a> = (&'a [&'a str], &'a dyn Fn() -> Result<(), Failure>);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--load", server, kind] => return load::load(server, kind),
        ["--paced-load", server, kind, rate] => return load::paced_load(server, kind, rate.parse()?),
        ["--stream", length] => return memory::stream(length.parse()?),
        _ => {}
    }
    let (cipher, naive) = (cipher()?, Naive::new());
    let comparisons: [Comparison<'_>; _] = [
        (&["crypto_vs_raw", "crypto_vs_raw_thread_nonces"], &|| crypto::crypto_vs_raw(&cipher)),
        (&["record_vs_floor", "record_vs_floor_thread_nonces"], &|| floor::record_vs_floor(&cipher)),
        (&["list_vs_floor", "list_vs_floor_in_place"], &|| floor::list_vs_floor(&cipher, &naive)),
        (&["encrypt_record_vs_naive"], &|| engine::encrypt_record_vs_naive(&cipher, &naive)),
        (&["decrypt_list_vs_naive"], &|| engine::decrypt_list_vs_naive(&cipher, &naive)),
        (&["json_pass_vs_ignored", "json_pass_gbps", "json_pass_vs_value"], &|| engine::json_pass(&cipher)),
        (&["strict_pass_vs_json_pass", "strict_pass_of_record"], &|| engine::strict_pass(&cipher)),
        (&["two_cores", "two_cores_http"], &|| cores::two_cores(&cipher)),
        (&["layer_vs_bare", "layer_vs_bare_around"], &|| http::layer_vs_bare(&cipher)),
        (&["layer_vs_bare_sqlite", "layer_vs_bare_sqlite_in_memory"], &sqlite::layer_vs_bare_sqlite),
        (&["layer_list_vs_naive"], &|| lists::layer_list_vs_naive(&cipher, &naive)),
        (&["added_p99"], &|| http::added_p99(&cipher)),
        (&["lookup_vs_plain", "lookup_vs_plain_in_memory"], &lookup::lookup_vs_plain),
        #[cfg(feature = "postgres")]
        (&["lookup_vs_plain_postgres"], &lookup_postgres::lookup_vs_plain),
        (&erasure::NAMES, &|| erasure::subject_vs_plain(&cipher)),
        (&["recovered_percent"], &frequency::recovered_percent),
        (&["stream_peak_kib"], &memory::stream_peak),
    ];
    // `cargo bench NAME` runs only what has NAME in it.
    let wanted = arguments.iter().find(|argument| !argument.starts_with("--"));
    for (names, run) in comparisons {
        if wanted.is_none_or(|wanted| names.iter().any(|name| name.contains(wanted.as_str()))) {
            run()?;
        }
    }
    Ok(())
}
