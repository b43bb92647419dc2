//! Whatever a service answers, in whatever pieces, comes out in one way.

use std::convert::Infallible;

use bytes::Bytes;
use fieldseal::FieldEncryptionLayer;
use http::{Request, Response, StatusCode};
use tower::{Layer, ServiceExt};

use super::request::{block_on, collected, in_pieces};
use super::{cipher, head, pieces};

const MEDIA_TYPES: [&str; 4] = ["application/json", "application/x-ndjson", "text/event-stream", "text/plain"];

/// The media type, four lengths of pieces, and a body.
pub fn run(data: &[u8]) {
    let mut body = data;
    let Some(&[media_type]) = head(&mut body, 1) else { return };
    let Some(lengths) = head(&mut body, 4) else { return };
    let media_type = MEDIA_TYPES[usize::from(media_type) % MEDIA_TYPES.len()];
    let whole = answered(media_type, &[body]);
    let cut = answered(media_type, &pieces(lengths, body));
    match (media_type, &whole) {
        ("text/plain", whole) => assert_eq!(whole, &Some((StatusCode::OK, Bytes::copy_from_slice(body)))),
        ("application/json", Some((StatusCode::OK, out))) if !body.is_empty() => {
            assert_eq!(cipher().decrypt_json(body).ok().as_deref(), Some(&**out));
        }
        _ => {}
    }
    // Where lines and events flow, the head may be gone before what does not open comes.
    let failed = |answer: &Option<(StatusCode, Bytes)>| answer.as_ref().is_none_or(|answer| answer.0 != StatusCode::OK);
    assert!(whole == cut || (failed(&whole) && failed(&cut)), "pieces and the whole differ");
}

/// What a client sees, unless the connection breaks.
fn answered(media_type: &'static str, pieces: &[&[u8]]) -> Option<(StatusCode, Bytes)> {
    let service = tower::service_fn(|_: Request<_>| {
        let answer = Response::builder().header("content-type", media_type).body(in_pieces(pieces)).unwrap();
        async { Ok::<_, Infallible>(answer) }
    });
    let layer = FieldEncryptionLayer::new(cipher()).unwrap();
    block_on(async {
        let request = Request::new(axum::body::Body::empty());
        let response = layer.layer(service).oneshot(request).await.unwrap();
        let status = response.status();
        Some((status, collected(response.into_body()).await.ok()?))
    })
}
