//! scripts/instructions
//!
//! The main paths, for a count of their instructions: does one of them as often as it is told to, and nothing else.
//! What the counts are compared with is in `benches/instructions.txt`.

#![expect(clippy::print_stdout, reason = "the script reads it")]

#[expect(dead_code, reason = "of the documents of the ratios, not all are needed")]
#[path = "ratios/documents.rs"]
mod documents;

use std::env;
use std::error::Error;
use std::hint::black_box;

use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, Response};
use bytes::Bytes;
use fieldseal::FieldEncryptionLayer;
use fieldseal::layer::FieldBody;
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, ServiceExt as _, service_fn};

use documents::{FIELDS, cipher, list_without_fields, record, stored_list};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["cpu"] => println!("{}", cpu()),
        [path, times] => run(path, times.parse()?)?,
        _ => println!("run by scripts/instructions"),
    }
    Ok(())
}

/// What of the processor decides which code runs: the crates choose by it, and so does the C library.
fn cpu() -> String {
    #[cfg(target_arch = "x86_64")]
    let has = [
        ("aes", is_x86_feature_detected!("aes")),
        ("pclmulqdq", is_x86_feature_detected!("pclmulqdq")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("vaes", is_x86_feature_detected!("vaes")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let has = [("", true)];
    let has: Vec<&str> = has.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect();
    format!("{} {}", env::consts::ARCH, has.join(" "))
}

fn run(path: &str, times: u32) -> Result<(), Failure> {
    let (cipher, record) = (cipher()?, record());
    let repeat = |work: &mut dyn FnMut() -> Result<(), Failure>| (0..times).try_for_each(|_| work());
    match path {
        "encrypt_record" => repeat(&mut || {
            black_box(cipher.encrypt_json(black_box(&record))?);
            Ok(())
        }),
        "decrypt_list_of_100" => {
            let stored = stored_list(&cipher, 100)?;
            repeat(&mut || {
                black_box(cipher.decrypt_json(black_box(&stored))?);
                Ok(())
            })
        }
        "json_pass_of_64_kib" => {
            let list = list_without_fields(64 * 1024);
            repeat(&mut || {
                black_box(cipher.encrypt_json(black_box(&list))?);
                Ok(())
            })
        }
        "encrypt_value" => repeat(&mut || {
            black_box(cipher.encrypt_value(FIELDS[1], black_box("+65 9123 4567"))?);
            Ok(())
        }),
        "decrypt_value" => {
            let token = cipher.encrypt_value(FIELDS[1], "+65 9123 4567")?;
            repeat(&mut || {
                black_box(cipher.decrypt_value::<String>(FIELDS[1], black_box(&token))?);
                Ok(())
            })
        }
        "layer_post" | "layer_get" => {
            let stored = Bytes::from(cipher.encrypt_json(&record)?);
            let exchange = Exchange { method: if path == "layer_post" { Method::POST } else { Method::GET }, stored };
            let layer = FieldEncryptionLayer::new(cipher)?;
            let record = Bytes::from(record);
            repeat(&mut || exchange.run(&layer, &record))
        }
        _ => Err(format!("no such path: {path}").into()),
    }
}

/// One request and its answer, without a socket: nothing in it waits.
struct Exchange {
    method: Method,
    stored: Bytes,
}

impl Exchange {
    fn run(&self, layer: &FieldEncryptionLayer, record: &Bytes) -> Result<(), Failure> {
        let is_post = self.method == Method::POST;
        let stored = &self.stored;
        let service = layer.layer(service_fn(move |request: Request<FieldBody<Full<Bytes>>>| async move {
            let body = request.into_body().collect().await?.to_bytes();
            black_box(body);
            let answer = if is_post { Bytes::new() } else { stored.clone() };
            Ok::<_, Failure>(Response::builder().header(CONTENT_TYPE, "application/json").body(Full::new(answer))?)
        }));
        let body = Full::new(if is_post { record.clone() } else { Bytes::new() });
        let request = Request::builder().method(&self.method).uri("/").header(CONTENT_TYPE, "application/json");
        let request = request.body(body)?;
        let answer =
            async { Ok::<_, Failure>(service.oneshot(request).await?.into_body().collect().await?.to_bytes()) };
        let answer = answer.now_or_never().ok_or("nothing waits")??;
        black_box(answer);
        Ok(())
    }
}
