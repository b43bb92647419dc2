//! cargo run --example hyper_client
//!
//! The layer around an outgoing hyper client: a storage service elsewhere receives tokens only. Starts such a service
//! itself, and ends by itself.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]
#![expect(clippy::doc_markdown, reason = "the first line is there to be copied")]

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use bytes::Bytes;
use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::layer::{Client as ClientSide, ClientError, FieldBody, FieldEncryption};
use fieldseal::{ErrorKind, Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tower::{BoxError, Layer as _, ServiceExt as _};

/// The hyper client of every day, with the layer around it.
type Client = FieldEncryption<legacy::Client<HttpConnector, FieldBody<Full<Bytes>>>, ClientSide>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate()?));
    let layer = FieldEncryptionLayer::new(FieldCipher::new(policy, keys))?.for_client();
    let client: Client = layer.layer(legacy::Client::builder(TokioExecutor::new()).build_http());

    let storage = Storage::default();
    let url = storage.clone().start().await?;
    let document = r#"{"id":7,"phone":"+65 9123 4567","points":1.10}"#;
    send(&client, Method::PUT, &url, document).await?;
    let response = send(&client, Method::GET, &url, "").await?;
    // A response over 64 KiB is opened while it is read, so what does not open is an error of its body.
    let received = response.into_body().collect().await?.to_bytes();
    println!("sent      {document}\nstored    {}\nreceived  {}\n", storage.read(), String::from_utf8_lossy(&received));

    let refused = [
        ("what was stolen from the storage", &url, &*storage.read()),
        ("half a document", &url, r#"{"phone":"+65 91"#),
        ("to a storage that is not there", &Uri::from_static("http://127.0.0.1:1/"), document),
    ];
    for (what, url, body) in refused {
        match send(&client, Method::PUT, url, body).await {
            Ok(response) => println!("{what}: {}", response.status()),
            Err(error) => println!("{what}: {}", explain(&error)),
        }
    }
    Ok(())
}

async fn send(
    client: &Client,
    method: Method,
    url: &Uri,
    body: &str,
) -> Result<Response<FieldBody<Incoming>>, ClientError<legacy::Error>> {
    let mut request = Request::new(Full::from(body.to_owned()));
    *request.method_mut() = method;
    *request.uri_mut() = url.clone();
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    client.clone().oneshot(request).await
}

/// Who must act?
fn explain(error: &ClientError<legacy::Error>) -> String {
    match error {
        ClientError::Protection(error) if error.kind() == ErrorKind::TokenSubmitted => {
            format!("refused, and somebody may hold our storage ({error})")
        }
        ClientError::Protection(error) => format!("refused, {:?} ({error})", error.kind()),
        ClientError::Service(error) if error.is_connect() => format!("not sent, worth another try ({error})"),
        error => format!("failed ({error})"),
    }
}

/// A storage of one document, at a service that we neither run nor trust.
#[derive(Clone, Default)]
struct Storage(Arc<Mutex<String>>);

impl Storage {
    async fn start(self) -> Result<Uri, BoxError> {
        let (reader, writer) = (self.clone(), self);
        let read = async move || ([(CONTENT_TYPE, "application/json")], reader.read());
        let write = async move |document: String| *writer.0.lock().unwrap_or_else(PoisonError::into_inner) = document;
        let app = Router::new().route("/", get(read).put(write));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?).parse()?;
        tokio::spawn(axum::serve(listener, app).into_future());
        Ok(url)
    }

    fn read(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
