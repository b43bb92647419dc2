//! A real HTTP client with a pool of connections.

use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::BoxError;

#[derive(Clone)]
pub(crate) struct JsonClient {
    client: Client<HttpConnector, Full<Bytes>>,
    origin: Arc<str>,
}

impl JsonClient {
    pub(crate) fn new(origin: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, origin: origin.into() }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Bytes, BoxError> {
        self.send(Method::GET, path, Bytes::new(), StatusCode::OK).await
    }

    pub(crate) async fn post(&self, path: &str, body: Bytes) -> Result<(), BoxError> {
        self.send(Method::POST, path, body, StatusCode::CREATED).await.map(drop)
    }

    pub(crate) async fn put(&self, path: &str, body: Bytes) -> Result<(), BoxError> {
        self.send(Method::PUT, path, body, StatusCode::NO_CONTENT).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: Bytes, expected: StatusCode) -> Result<Bytes, BoxError> {
        let mut request = Request::builder().method(method.clone()).uri(format!("{}{path}", self.origin));
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let response = self.client.request(request.body(Full::new(body))?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status != expected {
            return Err(format!("{method} {path}: answered with {status} instead of {expected}").into());
        }
        Ok(body)
    }
}
