//! What becomes of a request, by its head alone.

use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, EXPECT, HeaderName, IF_RANGE, RANGE, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, request};
use http_body::Body;

use super::bodies::{BodyStream, Boundary, Held, HeldKind, MultipartStream};
use super::digest;
use super::future::Exchange;
use super::head::refuse_tokens;
use super::header_names::HeaderNames;
use super::intake::{Processor, Way};
use super::media_type::MediaType;
use super::query;
use super::settings::Settings;
use crate::cipher::{FieldCipher, Wanted};
use crate::error::{Error, ErrorKind};

/// Prepares the head of a request for the service, and returns how its body is read; nothing where there is no body.
///
/// # Errors
///
/// What the layer cannot look into, it refuses here, before any of the body is read.
pub(super) fn plan(
    exchange: &Exchange,
    head: &mut request::Parts,
    body: &impl Body,
) -> Result<Option<Processor>, Error> {
    let (cipher, settings, wanted) = (exchange.cipher(), &*exchange.settings, &exchange.wanted);
    let limits = settings.limits;
    if head.method == Method::CONNECT {
        return Err(Error::new(ErrorKind::Refused, "a tunnel cannot be looked into"));
    }
    refuse_tokens(cipher, head)?;
    let searches = &settings.searches;
    let is_search = searches.has_body(&head.uri);
    // What is done to all candidates cannot be taken back by leaving some of them out of a response.
    let is_read = is_search || matches!(head.method, Method::GET | Method::HEAD);
    let unchecked = Wanted::default();
    let wanted_by_target = if is_read { wanted } else { &unchecked };
    let copies = &settings.target_copies;
    let sent = (!copies.is_empty()).then(|| head.uri.clone());
    searches.rewrite(cipher, wanted_by_target, &mut head.uri)?;
    query::rewrite(cipher, wanted_by_target, &mut head.uri)?;
    if sent.is_some_and(|sent| sent != head.uri) {
        for remove in copies {
            remove(&mut head.extensions);
        }
    }
    let headers = &mut head.headers;
    let names = HeaderNames::of(headers);
    if names.has(HeaderNames::CONTENT_RANGE) {
        return Err(Error::new(
            ErrorKind::Malformed,
            "a part of a document cannot be written (RFC 9110, section 14.5)",
        ));
    }
    if names.has(HeaderNames::UPGRADE) {
        ignore_upgrade(headers);
    }
    // The service must answer with whole documents.
    for (bit, name) in [(HeaderNames::RANGE, RANGE), (HeaderNames::IF_RANGE, IF_RANGE)] {
        names.remove(bit, name, headers);
    }
    head.extensions.remove::<hyper::upgrade::OnUpgrade>();
    // In another coding they could not be opened.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));

    if body.is_end_stream() || body.size_hint().exact() == Some(0) {
        return Ok(None);
    }
    let declared = body.size_hint().lower();
    limits.check(declared)?;
    let use_of = match head.method {
        _ if is_search => Use::Search,
        Method::PATCH => Use::Change,
        _ => Use::Store,
    };
    let is_encoded = is_encoded(names, headers);
    let processor = match (MediaType::of(headers), use_of) {
        (MediaType::Multipart, Use::Store | Use::Change) if !is_encoded => {
            multipart(cipher, settings, headers, use_of == Use::Change)
        }
        (media_type, _) => processor(cipher, wanted, media_type, is_encoded, use_of),
    };
    let may_be_empty = body.size_hint().exact().is_none() && !names.has(HeaderNames::EXPECT);
    let processor = match processor {
        // The body may turn out to be empty, and then its type does not matter.
        Err(error) if may_be_empty => Processor::Empty(Some(error)),
        processor => processor?,
    };
    if matches!(processor, Processor::Held(_)) {
        limits.check_held(declared)?;
    }
    // Of what length it becomes is said once that is known.
    for (bit, name) in [(HeaderNames::TRANSFER_ENCODING, TRANSFER_ENCODING), (HeaderNames::EXPECT, EXPECT)] {
        names.remove(bit, name, headers);
    }
    if names.has(HeaderNames::DIGEST) {
        digest::remove_each(headers);
    }
    Ok(Some(processor))
}

/// What a body is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Store,
    /// It holds only what changes.
    Change,
    Search,
}

fn multipart(
    cipher: &FieldCipher,
    settings: &Settings,
    headers: &HeaderMap,
    is_change: bool,
) -> Result<Processor, Error> {
    let boundary = Boundary::of(headers)
        .ok_or_else(|| Error::new(ErrorKind::Malformed, "the Content-Type of the form names no valid boundary"))?;
    let longest = usize::try_from(settings.limits.whole).unwrap_or(usize::MAX);
    let stream = MultipartStream::new(cipher.clone(), is_change, &boundary, settings.file_parts.clone(), longest);
    Ok(Processor::Stream(BodyStream::Multipart(Box::new(stream))))
}

fn processor(
    cipher: &FieldCipher,
    wanted: &Wanted,
    media_type: MediaType,
    is_encoded: bool,
    use_of: Use,
) -> Result<Processor, Error> {
    let json = |stream| Ok(Processor::Stream(BodyStream::Json(Box::new(stream))));
    let held = |kind| Ok(Processor::Held(Box::new(Held::new(cipher.clone(), kind))));
    let is_change = use_of == Use::Change;
    if is_encoded {
        return Err(unsupported("an encoded body cannot be looked into; send it with no Content-Encoding"));
    }
    match media_type {
        MediaType::Json if use_of == Use::Search => held(HeldKind::JsonSearch(wanted.clone())),
        MediaType::Form if use_of == Use::Search => held(HeldKind::FormSearch(wanted.clone())),
        _ if use_of == Use::Search => Err(unsupported("a search is sent as `application/json` or as a form")),
        MediaType::Json if is_change => json(cipher.partial_encryptor()),
        MediaType::Json => Ok(Processor::Json(Way::Inward)),
        MediaType::MergePatch if is_change => json(cipher.merge_patch_encryptor()),
        MediaType::MergePatch => json(cipher.whole_merge_patch_encryptor()),
        MediaType::Lines if is_change => json(cipher.partial_ndjson_encryptor()),
        MediaType::Lines => json(cipher.ndjson_encryptor()),
        MediaType::JsonPatch => held(HeldKind::JsonPatch),
        MediaType::Form => held(HeldKind::Form { is_change }),
        MediaType::Other | MediaType::Multipart | MediaType::Events => Err(unsupported(
            "this media type cannot be looked into; send JSON with `Content-Type: application/json`, or a form",
        )),
        MediaType::Missing => Err(unsupported("the body has no Content-Type; send JSON and say so")),
        MediaType::Unclear => Err(unsupported(
            "the Content-Type is not clear; send JSON, and exactly one `Content-Type: application/json` in UTF-8",
        )),
    }
}

pub(super) fn is_encoded(names: HeaderNames, headers: &HeaderMap) -> bool {
    let is_other = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    names.has(HeaderNames::CONTENT_ENCODING) && headers.get_all(CONTENT_ENCODING).iter().any(is_other)
}

fn unsupported(message: &'static str) -> Error {
    Error::new(ErrorKind::UnsupportedMediaType, message)
}

/// Passes a request on as if it had not asked for another protocol, which RFC 9110, section 7.8, lets a server do:
/// what flows after an upgrade could not be looked into.
fn ignore_upgrade(headers: &mut HeaderMap) {
    if headers.remove(UPGRADE).is_none() {
        return;
    }
    headers.remove(HeaderName::from_static("http2-settings"));
    let names: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| {
            let hop = [UPGRADE.as_str(), "http2-settings", TE.as_str()];
            !name.is_empty() && !hop.iter().any(|hop| name.eq_ignore_ascii_case(hop))
        })
        .collect();
    headers.remove(CONNECTION);
    if let Ok(value) = HeaderValue::from_str(&names.join(", "))
        && !names.is_empty()
    {
        headers.insert(CONNECTION, value);
    }
}
