//! The tower layer: tagged fields are encrypted in requests and decrypted in responses.
//!
//! [`FieldEncryptionLayer::new`] goes around a service: an axum `Router`, or anything that a hyper server serves.
//! [`for_client`](FieldEncryptionLayer::for_client) makes it a layer around an outgoing client. Both encrypt what is
//! sent inward and decrypt what comes back.
//!
//! ```
//! use axum::{Router, body::Body, http::Request, routing::post};
//! # use fieldseal::keys::{DataKey, Keys, SecretKey};
//! use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
//! use http_body_util::BodyExt;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
//! # let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate()?));
//! let handler = |stored: String| async move {
//!     assert!(stored.starts_with(r#"{"id":7,"phone":"fs1."#)); // all that the handler ever sees
//!     ([("content-type", "application/json")], stored)
//! };
//! let app = Router::new()
//!     .route("/customers", post(handler))
//!     .layer(FieldEncryptionLayer::new(FieldCipher::new(policy, keys))?);
//!
//! let request = Request::post("/customers")
//!     .header("content-type", "application/json")
//!     .body(Body::from(r#"{"id":7,"phone":"+65 9123 4567"}"#))?;
//! let response = app.oneshot(request).await?.into_body().collect().await?.to_bytes();
//! assert_eq!(response, r#"{"id":7,"phone":"+65 9123 4567"}"#);
//! # Ok(())
//! # }
//! ```
//!
//! # Where it stands among other layers
//!
//! Inside of everything that must see plaintext (authentication by body, signatures, idempotency keys, compression of
//! responses), and outside of everything that must not (request logs that print bodies, caches, ETags). An ETag made
//! outside of it would be an unkeyed hash of personal data.
//!
//! # Bodies and their lengths
//!
//! A body of up to 64 KiB ([`whole_body_limit`](FieldEncryptionLayer::whole_body_limit)) is transformed whole before
//! anybody sees it, and has a new `Content-Length`. A longer one is streamed in constant memory, without
//! `Content-Length`, which means chunked in HTTP/1. Where a fault is found in a streamed request, its body ends in an
//! error, and whatever the service answers is replaced by the layer's refusal, unless it answered before it had read so
//! far; in a streamed response, the connection breaks, so that nobody takes a part for the whole. A client of HTTP/1.0
//! is told of no length and cannot see that: lines that break off look like fewer lines to it. Tokens are longer than values: a limit on bodies inside of the
//! layer, such as axum's `DefaultBodyLimit` of 2 MiB, counts tokens.
//!
//! # Media types
//!
//! | `Content-Type` of a request | what happens |
//! |---|---|
//! | `application/json`, anything that ends in `+json` | one JSON document |
//! | `application/x-ndjson`, `application/jsonl` and their like | a JSON document a line |
//! | `application/merge-patch+json` (RFC 7396), and what ends in it | `null` stays `null`, for it removes; an object at a tagged field is refused, for it would replace the whole by a part |
//! | `application/json-patch+json` (RFC 6902), and what ends in it | each operation is held against the policy, see [`encrypt_json_patch`](crate::FieldCipher::encrypt_json_patch); up to the limit of whole bodies |
//! | `application/x-www-form-urlencoded` | the fields of one form, see [below](#forms); up to the limit of whole bodies |
//! | `multipart/form-data` | parts of plain text are the fields of one form; other parts are refused, or pass as [files](FieldEncryptionLayer::file_part) |
//! | any other, none, several, or a character set that is not UTF-8 | 415, unless the body is empty |
//!
//! | `Content-Type` of a response | what happens |
//! |---|---|
//! | those of JSON and of lines above | they are opened; lines that the service makes while it sends are handed on whenever it pauses |
//! | `text/event-stream` | the data of each event are a document, see [below](#events) |
//! | any other, or none | it passes as it is, tokens included |
//!
//! An operation of a JSON Patch in a document of another type, an object with an `op` of RFC 6902 and a pointer as its
//! `path`, or an array that begins with the two, is refused with 422: a service that reads it as a patch would store its
//! value in plaintext. Patches of another
//! kind, such as the paths of SCIM or of a query language, are not recognised; give such routes a policy whose paths
//! select their values.
//!
//! An empty body passes whatever its type. A response
//! with opened values carries `Cache-Control: no-store` unless the service sets another.
//!
//! # Forms
//!
//! The fields of a form are the members of one object, and what holds for a JSON document holds for it: validation,
//! blind indexes, which become fields of their own, masks, the record's id. A path such as `$.phones[:]` stands for a
//! field that is sent several times, as `phones` or `phones[]`; any other tagged field may stand once. A field that is
//! called like a tagged one, or like a part of it, and stands where no path selects it, is refused with 422:
//! `customer[phone]`, `Phone`, `contact.number` for `contact_number`. What is not tagged comes through as it was spelled. An
//! id that is a number in an odd spelling, `007`, is refused, since the service may store another. A body that is called a
//! form and begins like a JSON or XML document is refused with 415.
//!
//! Browsers send the fields that were left empty, too. An empty text becomes a token as any other, which a handler that
//! looks for `""` does not see, and has an empty index, for which nothing is found: store `NULL` where the index is unique. A
//! field with a [normal form](crate::policy::Validation::canonical) to keep to refuses it with 422; one that only has an
//! index over that form takes it, and refuses what has no such form.
//!
//! In `multipart/form-data`, all tagged parts must come before the first file, and the parts of text together may be as
//! long as a whole body; files flow. A part that could be read in two ways is refused with 400, and so is one with a
//! `Content-Transfer-Encoding`, and one that holds the boundary anywhere.
//!
//! # Events
//!
//! Server-sent events are opened one by one, and none waits for the next: the data of an event are a document, or pass as
//! they are where they are no JSON. An event may be as long as what a whole body may become, 1 MiB unless set. There the
//! response has begun, so one that does not open breaks the stream. [`body_limit`](FieldEncryptionLayer::body_limit) does
//! not end it.
//!
//! # Content codings
//!
//! A request with a `Content-Encoding` is refused with 415. The service is asked with `Accept-Encoding: identity`; a
//! JSON response in another coding is a fault of the service, 502. Compress outside of the layer.
//!
//! # Conditional requests and ETags
//!
//! `ETag`, `If-Match`, `If-None-Match` and 304 pass as they are. The service makes ETags over stored tokens, which
//! change whenever a stored value changes and tell nothing of it.
//!
//! # Digests and signatures
//!
//! `Content-Digest` and `Repr-Digest` (RFC 9530), `Digest` and `Content-MD5` are removed with the body they belong to,
//! from headers and trailers, because that body is rewritten. A signature over such a digest must be checked outside
//! of the layer.
//!
//! # Ranges
//!
//! A part of a document cannot be opened. `Range` and `If-Range` are not passed on, which RFC 9110, section 14.2, lets a
//! server do, so the answer is the whole with 200. JSON with `Content-Range` is 502. A request with `Content-Range` is
//! 400, as RFC 9110, section 14.5, has it.
//!
//! # HEAD, 204 and 304
//!
//! There is no body. Of a JSON response the `Content-Length` is removed, since it would be that of the stored document.
//!
//! # Trailers
//!
//! Trailers pass behind the body, without digests.
//!
//! # `Expect: 100-continue`
//!
//! What is refused by its head is refused before the body is read, so hyper never sends `100 Continue`.
//!
//! # Upgrades and tunnels
//!
//! What flows after an upgrade cannot be looked into. A request passes as if it had not asked (RFC 9110, section 7.8), so
//! a client that offers HTTP/2 by `Upgrade: h2c` is served as before. A response of 101 is 502, and `CONNECT` is
//! refused. Serve WebSockets on a route without the layer.
//!
//! # Queries and lookups
//!
//! A parameter that is called like a tagged field or the last name of its paths, in any case and style, alone or within
//! a name such as `customer[phone]`, is refused with 422: storage holds tokens, so nothing would be found, and the value
//! would pass inward. Values under other names, such as `phone_number` where the field is `phone`, and in the path are not
//! looked at; [`Field::parameter`](crate::Field::parameter) names them.
//!
//! Where the field has a [blind index](crate::Field::blind_index), `?phone=…` becomes `?phone_index=…`: the service, its
//! logs and the database see indexes, one or several separated by commas, and a row matches that has any of them. A field
//! that is asked for twice, within another name or by a semicolon is still refused. Other ways to ask:
//!
//! - [`lookup_path`](FieldEncryptionLayer::lookup_path): a segment of the path, `/customers/by-phone/{phone}`. A path by which
//!   nothing could be looked up is refused when the layer is made, and so is a cipher without keys for its indexes;
//! - [`search_path`](FieldEncryptionLayer::search_path): a JSON document or a form that is sent as a search, up to the limit
//!   of whole bodies; a member of the document that is called like a field and stands at no path of it is refused;
//! - with a [`CompoundIndex`](crate::policy::CompoundIndex), `?postcode=…&birth_year=…` asks for the index of both; one without the
//!   other is refused;
//! - [`FieldCipher::lookup`](crate::FieldCipher::lookup), in the service itself.
//!
//! What repeats the target in the extensions of a request, such as axum's `OriginalUri`, holds the value still:
//! [`without_extension`](FieldEncryptionLayer::without_extension) removes it.
//!
//! A truncated index finds false matches, too. It is looked up in the service, which checks them, or, with
//! [`drop_false_matches`](FieldEncryptionLayer::drop_false_matches), through the layer, which drops them from the response.
//!
//! In stored documents the index is a member behind its token, and it is left out of responses. A request that holds
//! one is refused with 422.
//!
//! # Records
//!
//! Where the policy [binds tokens to records](crate::policy::PolicyBuilder::bind_records), each document says by its id which
//! record its values belong to, on the way in and on the way out. A patch holds none: with
//! [`record_path`](FieldEncryptionLayer::record_path), the path that it is sent to does. A value that belongs to no record,
//! or to another than the path says, is refused with 422; what was swapped in the storage is 500.
//!
//! # Tenants, and who sees what
//!
//! With [`tenants`](FieldEncryptionLayer::tenants), tokens and indexes are bound to the [`Tenant`] in the extensions of a
//! request; with [`tenant_keys`](FieldEncryptionLayer::tenant_keys) each tenant has keys of its own as well. With [`reveal`](FieldEncryptionLayer::reveal), the [`Reveal`](crate::policy::Reveal) there says which fields
//! its sender sees plain, masked, as tokens or not at all. Both are set by what authenticates the sender, outside of this
//! layer; one that is set, and that the layer was not told of, is answered with 500. A handler that must see a value itself is given an [`Opener`]. A member that is left out is missed by who sends the document back as a whole: take changes as patches.
//!
//! # A key for each person
//!
//! With [`subjects`](FieldEncryptionLayer::subjects), values stand under the [`SubjectKey`](crate::keys::SubjectKey) in the
//! extensions of a request, and are noise once it is [erased](crate::docs::erasure). One key is for the whole request and
//! its response: a list of several people has to be decrypted in the service, on a route without the layer.
//!
//! # Values that cannot be read
//!
//! A stored token that does not open, or whose key is gone, fails the response that it stands in, a list of a thousand
//! records too. Where [`Field::null_if_unreadable`](crate::Field::null_if_unreadable) says so, it is shown as `null`
//! instead, and told to the audit. A request that holds `null` at such a field is refused with 422, since the value may yet
//! be restored: send what changes alone, as a patch, or clear it by the `remove` operation of a JSON Patch.
//!
//! # Tokens from outside
//!
//! Tokens stand only in storage. A request that holds one, in a tagged field or anywhere else in its body, in the
//! method, the target, a header or a trailer, is refused with 422 and told to the audit: a client that got hold of stolen
//! tokens could otherwise place them where a later response opens them. Other text around it, blanks within it and
//! escapes of JSON hide none, since a document in a text, a field of a form or a file may come back as that document;
//! except within the text of a tagged value, which is encrypted as it is. A token of which the client sends but a part,
//! or encodes it in a way of its own, is text, and opens nowhere unless the service puts it together.
//!
//! # Refusals
//!
//! Around a service they are `application/problem+json` (RFC 9457) with `title`, `status`, `detail` and `code`:
//!
//! | status | `code` | when |
//! |---|---|---|
//! | 400 | `malformed` | the body is not valid JSON or broke off |
//! | 404 | `not_found` | the one record that a truncated index found does not match |
//! | 410 | `erased` | a value is about a person whose key was erased |
//! | 413 | `too_large` | a tagged value is over 1 MiB, a JSON Patch, a form or a search over the limit of whole bodies, or a body over [`body_limit`](FieldEncryptionLayer::body_limit) |
//! | 415 | `unsupported_media_type` | the body cannot be looked into |
//! | 422 | `token_submitted` | the request holds a token; also an audit event |
//! | 422 | `invalid` | a value does not keep to the [rules](crate::Field::validate) of its field, which the detail names |
//! | 422 | `unprotected` | a value that is not tagged looks personal, and the policy is [strict](crate::policy::Strict); the detail names its path |
//! | 422 | `refused` | see JSON Merge Patch, JSON Patch, queries and lookups, tunnels, values that cannot be read |
//! | 500 | `misconfigured` | the request lacks the `Tenant` or the `SubjectKey` that the layer was told to go by, or has one, or a `Reveal`, that it was not told of; a subject is of another tenant; or two layers for one collection stand around one service |
//! | 500 | `unreadable` | a stored value does not open and is not shown as `null`, or is not encrypted |
//! | 502 | `service` | the service's response cannot be looked into |
//! | 503 | `keys_unavailable` | a key is missing, or all of a tenant, the keyring was not read for longer than its lease, or a request took longer than its timing allows; with `Retry-After` |
//!
//! Where a value that is `invalid` or `unprotected` stands in a JSON document or a merge patch, and it is known where, a
//! member `errors` points at it, as in the example of RFC 9457: a list of one object with the `detail` and a `pointer`,
//! which is a JSON Pointer as the fragment of a URI (RFC 6901, section 6).
//!
//! ```json
//! {
//!   "title": "Unprocessable Entity",
//!   "status": 422,
//!   "detail": "the value of `phone` is missing",
//!   "code": "invalid",
//!   "errors": [{"detail": "the value of `phone` is missing", "pointer": "#/contacts/2/phone"}]
//! }
//! ```
//!
//! There is none for a member that is not there, and none behind a member's name that the policy does not mention and that
//! looks like data: an address of email, say, or a long number. Other names come back to their sender as they were sent. An
//! `invalid` value is pointed at in the first piece of a body that comes, which is all of a short one and is read once more for
//! that; behind that where the policy is strict, and names are followed anyway.
//!
//! From 500 on the body says nothing more; the reason goes to `tracing` under the target `fieldseal`. Around a client
//! every refusal is [`ClientError::Protection`] with the [`Error`](crate::Error) in it:
//!
//! ```
//! use bytes::Bytes;
//! # use fieldseal::keys::{DataKey, Keys, SecretKey};
//! use fieldseal::layer::{ClientError, FieldBody};
//! use fieldseal::{ErrorKind, Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower::{Layer, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
//! # let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate()?));
//! # let cipher = FieldCipher::new(policy, keys);
//! let client = Client::builder(TokioExecutor::new()).build_http::<FieldBody<Full<Bytes>>>();
//! let client = FieldEncryptionLayer::new(cipher)?.for_client().layer(client);
//!
//! let request = hyper::Request::post("http://127.0.0.1:1/").header("content-type", "text/csv").body(Full::from("a,b"))?;
//! match client.oneshot(request).await {
//!     Err(ClientError::Protection(error)) => assert_eq!(error.kind(), ErrorKind::UnsupportedMediaType),
//!     _ => unreachable!("it is refused before anything is sent"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Cancelled requests and back-pressure
//!
//! A request that is dropped while its body comes in never reaches the service. The service is called only after it was
//! polled ready, and no faster than the client reads: a body is polled for its next frame when the last one was taken.

mod bodies;
mod body;
mod candidates;
mod digest;
mod fault;
mod future;
mod head;
mod header_names;
mod intake;
#[expect(clippy::module_inception, reason = "the noun of this folder")]
mod layer;
mod limits;
mod media_type;
mod opener;
mod path_pattern;
mod principal;
mod problem;
mod query;
mod records;
mod request;
mod response;
mod searches;
mod service;
mod settings;
mod side;
mod streaming;
mod tenant;

pub use body::FieldBody;
pub use future::ResponseFuture;
pub use layer::FieldEncryptionLayer;
pub use opener::Opener;
pub use service::FieldEncryption;
pub use side::{Client, ClientError, Server, Side};
pub use tenant::{Tenant, TenantKeys};
