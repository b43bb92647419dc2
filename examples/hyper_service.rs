//! cargo run --example hyper_service
//!
//! A plain hyper server for HTTP/1 and HTTP/2 with the layer around a tower service. Prints what to try and what the
//! service receives, and runs until Ctrl-C.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]
#![expect(clippy::doc_markdown, reason = "the first line is there to be copied")]

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::layer::FieldBody;
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{BoxError, Layer as _, service_fn};

/// Answers with what it received, as a service does that stores a customer and returns it.
async fn echo(request: Request<FieldBody<Incoming>>) -> Result<Response<Full<Bytes>>, BoxError> {
    let body = request.into_body().collect().await?.to_bytes();
    println!("the service received: {}", String::from_utf8_lossy(&body));
    Ok(Response::builder().header(CONTENT_TYPE, "application/json").body(Full::new(body))?)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    // A key that is gone with this process; `axum_service` shows one that stays.
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate()?));
    let layer = FieldEncryptionLayer::new(FieldCipher::new(policy, keys))?;
    let service = TowerToHyperService::new(layer.layer(service_fn(echo)));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let json = r#"{"id":7,"phone":"+65 9123 4567"}"#;
    println!("Try, and stop with Ctrl-C:\n");
    println!("  curl -d '{json}' -H 'Content-Type: application/json' {url}");
    println!("  curl -d '{json}' -H 'Content-Type: application/json' --http2-prior-knowledge {url}\n");
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            stopped = tokio::signal::ctrl_c() => return Ok(stopped?),
        };
        let service = service.clone();
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("a connection broke off: {error}");
            }
        });
    }
}
