//! What becomes of a response, by its head alone.

use std::sync::Arc;

use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode, response};

use super::bodies::{BodyStream, EventStream};
use super::candidates::Candidates;
use super::digest;
use super::future::Exchange;
use super::header_names::HeaderNames;
use super::intake::{Processor, Way};
use super::media_type::MediaType;
use super::request::is_encoded;
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
pub(super) fn plan(exchange: &Exchange, head: &mut response::Parts) -> Result<Plan, Error> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(service("it switched protocols, and what follows cannot be looked into"));
    }
    let Exchange { settings, own: _, is_head, wanted, request_fault: _ } = exchange;
    let cipher = exchange.cipher();
    let is_error = head.status.is_client_error() || head.status.is_server_error();
    let lists = settings.searches.candidates.as_ref();
    let wanted = lists.map(|lists| (wanted.take(), Arc::clone(lists))).filter(|(wanted, _)| !wanted.is_empty());
    let processor = match (MediaType::of(&head.headers), wanted) {
        (MediaType::Unclear, _) => return Err(service("its Content-Type is not a single valid one of JSON in UTF-8")),
        (MediaType::Json | MediaType::MergePatch | MediaType::JsonPatch, Some((wanted, lists))) => {
            Processor::Candidates(Box::new(Candidates::new(cipher.clone(), (wanted, lists), is_error)))
        }
        (MediaType::Lines | MediaType::Events, Some(_)) => Processor::Empty(Some(unchecked())),
        (MediaType::Other | MediaType::Form | MediaType::Multipart | MediaType::Missing, Some(_)) if !is_error => {
            Processor::Empty(Some(unchecked()))
        }
        (MediaType::Json | MediaType::MergePatch | MediaType::JsonPatch, None) => Processor::Json(Way::Outward),
        (MediaType::Lines, None) => Processor::Stream(BodyStream::Lines(Box::new(cipher.ndjson_decryptor()))),
        (MediaType::Events, None) => Processor::Stream(BodyStream::Events(Box::new(EventStream::new(
            cipher.clone(),
            settings.limits.whole_out(),
        )))),
        (MediaType::Other | MediaType::Form | MediaType::Multipart | MediaType::Missing, _) => return Ok(Plan::Pass),
    };
    let headers = &mut head.headers;
    let is_empty = *is_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let names = HeaderNames::of(headers);
    let is_part = head.status == StatusCode::PARTIAL_CONTENT || names.has(HeaderNames::CONTENT_RANGE);
    if !is_empty && (is_encoded(names, headers) || is_part) {
        return Err(service("it sent JSON encoded or in part, although it was asked not to"));
    }
    for (bit, name) in
        [(HeaderNames::TRANSFER_ENCODING, TRANSFER_ENCODING), (HeaderNames::ACCEPT_RANGES, ACCEPT_RANGES)]
    {
        names.remove(bit, name, headers);
    }
    if names.has(HeaderNames::DIGEST) {
        digest::remove_each(headers);
    }
    if head.status != StatusCode::NOT_MODIFIED && !names.has(HeaderNames::CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if is_empty {
        names.remove(HeaderNames::CONTENT_LENGTH, CONTENT_LENGTH, headers);
        return Ok(Plan::Empty);
    }
    // Of what length it becomes is said once that is known.
    Ok(Plan::Transform(processor))
}

/// The answer to a lookup by a truncated index that nobody can check.
fn unchecked() -> Error {
    service("a lookup by a truncated index is answered with one JSON document, of which false matches can be dropped")
}

fn service(message: &'static str) -> Error {
    Error::new(ErrorKind::Service, format!("the service's response cannot be opened: {message}"))
}
