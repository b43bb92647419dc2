//! What becomes of a response, by its head alone.

use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode, response};

use super::digest;
use super::intake::Processor;
use super::media_type::MediaType;
use super::request::is_encoded;
use crate::cipher::FieldCipher;
use crate::error::{Error, ErrorKind};

/// What is done with a response.
#[derive(Debug)]
pub(super) enum Plan {
    /// It holds nothing to open.
    Pass,
    /// It has no body, but its head speaks of one.
    Empty,
    Transform(Processor),
}

/// Prepares the head of a response for the client.
///
/// # Errors
///
/// [`ErrorKind::Service`] where the service sends JSON in a form in which it cannot be opened.
pub(super) fn plan(cipher: &FieldCipher, head: &mut response::Parts, is_head: bool) -> Result<Plan, Error> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(service("it switched protocols, and what follows cannot be looked into"));
    }
    let decryptor = match MediaType::of(&head.headers) {
        MediaType::Json | MediaType::MergePatch | MediaType::JsonPatch => cipher.json_decryptor(),
        MediaType::Lines => cipher.ndjson_decryptor(),
        MediaType::Other | MediaType::Form | MediaType::Missing => return Ok(Plan::Pass),
        MediaType::Unclear => return Err(service("its Content-Type is not a single valid one of JSON in UTF-8")),
    };
    let headers = &mut head.headers;
    let is_empty = is_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let is_part = head.status == StatusCode::PARTIAL_CONTENT || headers.contains_key(CONTENT_RANGE);
    if !is_empty && (is_encoded(headers) || is_part) {
        return Err(service("it sent JSON encoded or in part, although it was asked not to"));
    }
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, ACCEPT_RANGES] {
        headers.remove(name);
    }
    digest::remove(headers);
    if head.status != StatusCode::NOT_MODIFIED {
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    Ok(if is_empty { Plan::Empty } else { Plan::Transform(Processor::Json(Box::new(decryptor))) })
}

fn service(message: &'static str) -> Error {
    Error::new(ErrorKind::Service, format!("the service's response cannot be opened: {message}"))
}
