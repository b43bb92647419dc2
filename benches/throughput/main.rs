//! cargo bench --bench throughput [-- FILE.svg]
//!
//! MB a second of bodies from 256 bytes to 16 MiB: encrypted, decrypted, and with nothing in them that is tagged. Prints a
//! line for each size, and draws them into a file where one is named. Each figure is the best of several runs, which take
//! turns, by the bytes of plaintext and the processor time of the thread: what else runs on the machine slows most of them.

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]
#![expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]

mod picture;

use std::error::Error;
use std::hint::black_box;
use std::{env, fs};

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{FieldCipher, Policy, Tag};
use picture::Line;
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 25;
/// How many nanoseconds one run takes at least.
const RUN: f64 = 10e6;
/// Customers of 255 bytes, their comma included, so that a list of them has about as many times 256 bytes.
const RECORDS: [usize; 9] = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536];
/// Two tagged fields in 254 bytes, as many for their length as in the record of the ratios.
const RECORD: &str = r#"{"id":"0b1f2c3d-1f2e-4d3c-8b4a-5f6e7d8c9b0a","created_at":"2026-03-14T09:26:53Z","status":"active","name":"Tan Wei Ming","phone":"+65 9123 4567","preferred_language":"en-SG","loyalty":{"tier":"gold","points":1842.50},"notes":"Rings on Sundays","store":4}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let key = DataKey::dangerous_test_key(&SecretKey::from_bytes(&[7; 32]));
    let policy = Policy::new("customers", [("name", Tag::Name), ("phone", Tag::Phone)])?;
    let cipher = FieldCipher::new(policy, Keys::from_data_key(key));
    let untagged = RECORD.replace(r#""name""#, r#""nome""#).replace(r#""phone""#, r#""fones""#);

    let mut works = Vec::new();
    for records in RECORDS {
        let list = |record: &str| format!("[{}]", vec![record; records].join(",")).into_bytes();
        let (plain, passed) = (list(RECORD), list(&untagged));
        // Each record by a request of its own, as they are mostly stored, so that no two share a nonce prefix.
        let stored: Vec<_> = (0..records).map(|_| cipher.encrypt_json(RECORD.as_bytes())).collect::<Result<_, _>>()?;
        let stored = [b"[", &stored.join(&b',')[..], b"]"].concat();
        let bytes = plain.len();
        let bodies = [(passed, Way::In), (stored, Way::Out), (plain, Way::In)];
        works.push(bodies.map(|(body, way)| Work { bytes, body, way, times: 1, best: 0.0 }));
    }
    works.iter_mut().flatten().for_each(|work| work.calibrate(&cipher));
    for _ in 0..ROUNDS {
        works.iter_mut().flatten().for_each(|work| work.take_turn(&cipher));
    }

    let mut lines = [("nothing tagged", "#2f7d32"), ("decrypt_json", "#1f5fa8"), ("encrypt_json", "#b3470b")]
        .map(|(name, colour)| Line { name, colour, points: Vec::new() });
    println!("{:>10} {:>16} {:>16} {:>16}  MB/s", "bytes", lines[0].name, lines[1].name, lines[2].name);
    for works in &works {
        let [passed, decrypted, encrypted] = works.each_ref().map(|work| work.best);
        println!("{:>10} {passed:>16.0} {decrypted:>16.0} {encrypted:>16.0}", works[0].bytes);
        for (line, work) in lines.iter_mut().zip(works) {
            line.points.push((work.bytes as f64, work.best));
        }
    }
    if let Some(file) = env::args().skip(1).find(|argument| !argument.starts_with("--")) {
        fs::write(file, picture::draw(&lines))?;
    }
    Ok(())
}

/// Which way a body goes through the cipher.
enum Way {
    In,
    Out,
}

/// One body, and what becomes of it.
struct Work {
    /// Of its plaintext.
    bytes: usize,
    body: Vec<u8>,
    way: Way,
    times: u32,
    /// MB a second.
    best: f64,
}

impl Work {
    fn calibrate(&mut self, cipher: &FieldCipher) {
        while self.run(cipher) < RUN {
            self.times *= 2;
        }
    }

    fn take_turn(&mut self, cipher: &FieldCipher) {
        let megabytes = self.bytes as f64 * f64::from(self.times) / 1e6;
        self.best = self.best.max(megabytes / (self.run(cipher) / 1e9));
    }

    /// Returns how many nanoseconds it took. An error ends the program: a fast failure is no figure.
    fn run(&self, cipher: &FieldCipher) -> f64 {
        let start = on_processor();
        for _ in 0..self.times {
            let done = match self.way {
                Way::In => cipher.encrypt_json(black_box(&self.body)),
                Way::Out => cipher.decrypt_json(black_box(&self.body)),
            };
            black_box(done.expect("the document is one that can be worked on"));
        }
        on_processor() - start
    }
}

/// The nanoseconds that this thread had the processor so far.
fn on_processor() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
