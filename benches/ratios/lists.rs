//! Lists of 1,000 records through HTTP, decrypted by the layer and by what a user would write today.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, http};
use bytes::Bytes;
use fieldseal::{FieldCipher, FieldEncryptionLayer};

use super::documents::{list, stored_list};
use super::http::{Failure, rates, serve};
use super::measure::report;
use super::naive::Naive;

const RECORDS: usize = 1000;

/// `layer_list_vs_naive`: requests a second for a list, with the layer against the naive middleware.
pub(crate) fn layer_list_vs_naive(cipher: &FieldCipher, naive: &Naive) -> Result<(), Failure> {
    let naive_service = service(naive.encrypt_list(&list(RECORDS))?);
    let naive = serve(naive_service.layer(from_fn_with_state(Arc::new(naive.clone()), decrypt)))?;
    let layer = FieldEncryptionLayer::new(cipher.clone())?;
    let layered = serve(service(stored_list(cipher, RECORDS)?).layer(layer))?;
    let [naive, layered] = rates([naive, layered], "/list")?;
    report("layer_list_vs_naive", layered / naive, &[("naive_per_s", naive), ("layer_per_s", layered)]);
    Ok(())
}

/// A service that has a list in memory.
fn service(list: Vec<u8>) -> Router {
    let list = Bytes::from(list);
    Router::new().route("/list", get(|| async move { ([(CONTENT_TYPE, "application/json")], list) }))
}

/// The naive middleware, as far as a list of records on its way out needs it.
async fn decrypt(State(naive): State<Arc<Naive>>, request: Request, next: Next) -> Response {
    let (mut head, body) = next.run(request).await.into_parts();
    if head.headers.get(CONTENT_TYPE) != Some(&http::HeaderValue::from_static("application/json")) {
        return Response::from_parts(head, body);
    }
    let Ok(body) = to_bytes(body, 16 << 20).await else { return StatusCode::BAD_GATEWAY.into_response() };
    let Ok(list) = naive.decrypt_list(&body) else { return StatusCode::BAD_GATEWAY.into_response() };
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(list))
}
