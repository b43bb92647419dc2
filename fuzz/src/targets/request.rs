//! Requests of every media type through the whole layer, to a service that reads them with parsers of its own.

use std::cell::RefCell;
use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{FromRequest, Multipart};
use bytes::Bytes;
use fieldseal::FieldEncryptionLayer;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tower::{BoxError, Layer, ServiceExt};

use super::{cipher, head, is_sealed, is_token, pieces};

const MULTIPART: &str = "multipart/form-data; boundary=X";
const MEDIA_TYPES: [&str; 7] = [
    "application/json",
    "application/x-ndjson",
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/x-www-form-urlencoded",
    MULTIPART,
    "text/plain",
];

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(Builder::new_current_thread().build().unwrap());
}

/// Waits for what waits for nobody else.
pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.with_borrow(|runtime| runtime.block_on(future))
}

/// Reads a body to its end.
pub async fn collected<B>(body: B) -> Result<Bytes, BoxError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    Ok(body.collect().await.map_err(Into::into)?.to_bytes())
}

/// A body that comes in these pieces.
pub fn in_pieces(pieces: &[&[u8]]) -> Body {
    let frames = pieces.iter().map(|piece| Ok::<_, BoxError>(Frame::data(Bytes::copy_from_slice(piece))));
    Body::new(StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>())))
}

/// The method, the media type, how long a body is held whole, four lengths of pieces, and a body.
pub fn run(data: &[u8]) {
    let mut body = data;
    let Some(&[method, media_type, whole]) = head(&mut body, 3) else { return };
    let Some(lengths) = head(&mut body, 4) else { return };
    let media_type = MEDIA_TYPES[usize::from(media_type) % MEDIA_TYPES.len()];
    let whole = if whole % 2 == 0 { 64 * 1024 } else { u64::from(whole) };
    let layer = FieldEncryptionLayer::new(cipher()).unwrap().whole_body_limit(whole).file_part("file").unwrap();
    let echo = tower::service_fn(|request: Request<_>| async {
        let (head, body) = request.into_parts();
        // What breaks off is nothing to store.
        let body = collected(body).await.unwrap_or_default();
        check(media_type, &body).await;
        let answer = Response::builder().header("content-type", &head.headers["content-type"]);
        Ok::<_, Infallible>(answer.body(Body::from(body)).unwrap())
    });
    let request = Request::builder()
        .method(["POST", "PUT", "PATCH"][usize::from(method) % 3])
        .uri("/customers")
        .header("content-type", media_type)
        .body(in_pieces(&pieces(lengths, body)))
        .unwrap();
    block_on(async {
        let response = layer.layer(echo).oneshot(request).await.unwrap();
        let status = response.status();
        assert!(status.is_success() || status.is_client_error(), "{status}");
        let came_back = collected(response.into_body()).await;
        if status.is_success() && media_type.ends_with("json") && !media_type.contains("json-patch") {
            assert_eq!(came_back.ok().as_deref(), Some(body), "it did not come back");
        }
    });
}

/// What a service finds in a body of this type that reached it.
async fn check(media_type: &'static str, body: &[u8]) {
    let is_tagged = |name: &str| ["name", "phone", "address"].contains(&name);
    match media_type {
        "application/x-ndjson" => {
            for line in body.split(|&byte| byte == b'\n') {
                assert!(serde_json::from_slice(line).is_ok_and(|value| is_sealed(&value)) || is_unread(line), "a line");
            }
        }
        "application/json-patch+json" => {
            let operations: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
            for operation in operations {
                let path = operation["path"].as_str().unwrap_or_default();
                let value = &operation["value"];
                assert!(
                    !path.rsplit('/').next().is_some_and(is_tagged) || value.is_null() || is_token(value),
                    "{path}"
                );
                assert!(is_sealed(&operation), "a value of an operation");
            }
        }
        "application/x-www-form-urlencoded" => {
            for (name, value) in form_urlencoded::parse(body) {
                assert!(!is_tagged(&name) || value.starts_with("fs1."), "a field of a form");
            }
        }
        MULTIPART => {
            let request =
                Request::builder().header("content-type", media_type).body(Body::from(body.to_vec())).unwrap();
            let Ok(mut form) = Multipart::from_request(request, &()).await else { return };
            while let Ok(Some(part)) = form.next_field().await {
                let tagged = part.name().is_some_and(is_tagged);
                let Ok(text) = part.bytes().await else { return };
                assert!(!tagged || text.starts_with(b"fs1."), "a part of a form");
            }
        }
        "text/plain" => assert!(body.is_empty(), "an unknown type reached the service"),
        _ => assert!(serde_json::from_slice(body).is_ok_and(|value| is_sealed(&value)) || is_unread(body), "a member"),
    }
}

/// Whether `serde_json` builds no value of `text`.
fn is_unread(text: &[u8]) -> bool {
    serde_json::from_slice::<Value>(text).is_err()
}
