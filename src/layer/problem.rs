//! The layer's own answers: problem details (RFC 9457). All status codes stand in this file.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::error::{Error, ErrorKind};

/// When to ask again where keys are missing, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    /// Where in the request's document it is, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<[Place<'a>; 1]>,
}

/// As in the example of RFC 9457, section 3.
#[derive(Serialize)]
struct Place<'a> {
    detail: &'a str,
    pointer: &'a str,
}

/// Makes the answer to a request that failed with `error`, and tells the operator.
pub(super) fn response(error: &Error) -> Response<Bytes> {
    let (status, code) = status(error.kind());
    let message = error.to_string();
    // A sender learns what was wrong with what it sent. What is wrong behind the layer is the operator's to know, and
    // sounds the same whatever it is.
    let detail = match status {
        _ if error.kind() == ErrorKind::Policy => "The service is not set up for this request.",
        StatusCode::INTERNAL_SERVER_ERROR => "A protected value cannot be read.",
        StatusCode::BAD_GATEWAY => "The service gave an answer that cannot be read.",
        StatusCode::GONE => "The person whom this is about was erased.",
        StatusCode::SERVICE_UNAVAILABLE => "Protected values cannot be read or written at the moment.",
        _ => &message,
    };
    if status.is_server_error() {
        tracing::error!(target: "fieldseal", kind = ?error.kind(), %error, "a request failed");
    } else {
        tracing::debug!(target: "fieldseal", kind = ?error.kind(), %error, "a request was refused");
    }
    let title = status.canonical_reason().unwrap_or_default();
    let errors = error.pointer().map(|pointer| [Place { detail, pointer }]);
    let problem = Problem { title, status: status.as_u16(), detail, code, errors };
    let body = serde_json::to_vec(&problem).expect("strings and a number are always JSON");
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let length = response.body().len().into();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

fn status(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::Malformed => (StatusCode::BAD_REQUEST, "malformed"),
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        ErrorKind::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
        ErrorKind::TokenSubmitted => (StatusCode::UNPROCESSABLE_ENTITY, "token_submitted"),
        ErrorKind::Validation => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        ErrorKind::Unprotected => (StatusCode::UNPROCESSABLE_ENTITY, "unprotected"),
        ErrorKind::Refused => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        ErrorKind::Erased => (StatusCode::GONE, "erased"),
        ErrorKind::Service => (StatusCode::BAD_GATEWAY, "service"),
        ErrorKind::KeyUnavailable | ErrorKind::KeyService | ErrorKind::Randomness => {
            (StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable")
        }
        ErrorKind::Policy | ErrorKind::Memory => (StatusCode::INTERNAL_SERVER_ERROR, "misconfigured"),
        ErrorKind::Decryption
        | ErrorKind::NotEncrypted
        | ErrorKind::Keyring
        | ErrorKind::Database
        | ErrorKind::TooEarly
        | ErrorKind::InvalidValue => (StatusCode::INTERNAL_SERVER_ERROR, "unreadable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_inside_sounds_the_same() {
        let bodies = [ErrorKind::Decryption, ErrorKind::NotEncrypted].map(|kind| {
            let response = response(&Error::new(kind, "field `phone`"));
            assert_eq!(response.status(), 500);
            response.into_body()
        });
        assert_eq!(bodies[0], bodies[1]);
    }

    #[test]
    fn missing_keys_say_when_to_ask_again() {
        let response = response(&Error::new(ErrorKind::KeyUnavailable, "no primary key"));
        assert_eq!((response.status().as_u16(), &response.headers()[RETRY_AFTER]), (503, &RETRY_AFTER_SECONDS));
    }
}
