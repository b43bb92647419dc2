//! Takes a body in, and transforms it as it comes.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Body;
use tower::BoxError;

use super::bodies::{BodyStream, Held, Pace};
use super::body::FieldBody;
use super::candidates::Candidates;
use super::digest;
use super::fault::Fault;
use super::head::refuse_tokens_in;
use super::limits::Limits;
use super::streaming::{Flow, PIECE, Streaming};
use crate::cipher::FieldCipher;
use crate::error::{Error, ErrorKind};
use crate::metrics::{BodyMeter, Lap};
use crate::policy::{Field, Policy};
use crate::secret::SecretBuffer;

/// For how many bytes room is made before any of them has come.
const MOST_EXPECTED: u64 = 64 * 1024;

/// The least room that is made, since many a body does not tell its length.
const LEAST_ROOM: usize = 512;

/// Up to this many bytes a document that comes in one piece is transformed at once, and what it becomes is no longer than
/// [`LONGEST_AT_ONCE`].
const SHORT: usize = 8 * 1024;
const LONGEST_AT_ONCE: usize = 1 << 20;

/// How a body is transformed.
#[derive(Debug)]
pub(super) enum Processor {
    /// A JSON document of which nothing has come yet. Most come in one piece, and need nothing that outlives it.
    Json(Way),
    /// What can be transformed piece by piece.
    Stream(BodyStream),
    /// What is only understood as a whole.
    Held(Box<Held>),
    /// What a lookup found.
    Candidates(Box<Candidates>),
    /// Nothing may come, or this error is why.
    Empty(Option<Error>),
}

/// Which way a document goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Inward,
    Outward,
}

impl Processor {
    /// Transforms a document that is whole.
    fn transform_whole(cipher: &FieldCipher, way: Way, document: &[u8]) -> Result<SecretBuffer, Error> {
        let mut out = SecretBuffer::default();
        *out.as_mut_vec() = match way {
            Way::Inward => cipher.encrypt_json(document)?,
            Way::Outward => cipher.decrypt_json(document)?,
        };
        Ok(out)
    }

    /// How it goes on with a document of which more comes than one piece.
    fn into_stream(self, cipher: &FieldCipher) -> Self {
        let Self::Json(way) = self else { return self };
        let stream = match way {
            Way::Inward => cipher.json_encryptor(),
            Way::Outward => cipher.json_decryptor(),
        };
        Self::Stream(BodyStream::Json(Box::new(stream)))
    }

    /// How much room a body of `length` bytes mostly takes when it is transformed; none before that is known.
    fn room_for(&self, length: usize) -> usize {
        match self {
            Self::Json(..) => 0,
            Self::Stream(stream) => stream.room_for(length).max(LEAST_ROOM),
            Self::Held(_) | Self::Candidates(_) | Self::Empty(_) => length.max(LEAST_ROOM),
        }
    }

    /// Prepares what stands behind the body for the other side.
    fn check_trailers(&self, cipher: &FieldCipher, trailers: &mut HeaderMap) -> Result<(), Error> {
        match self {
            Self::Json(Way::Inward) => check_inward(cipher, trailers),
            Self::Stream(stream) => check_trailers(stream, trailers),
            Self::Held(held) => check_inward(held.cipher(), trailers),
            Self::Json(Way::Outward) | Self::Candidates(_) => {
                digest::remove(trailers);
                Ok(())
            }
            // Nothing came before them, so nobody has looked at anything.
            Self::Empty(_) => {
                trailers.clear();
                Ok(())
            }
        }
    }
}

fn check_inward(cipher: &FieldCipher, trailers: &mut HeaderMap) -> Result<(), Error> {
    digest::remove(trailers);
    refuse_tokens_in(cipher, trailers)
}

/// Prepares what stands behind a body that went through `stream` for the other side.
pub(super) fn check_trailers(stream: &BodyStream, trailers: &mut HeaderMap) -> Result<(), Error> {
    digest::remove(trailers);
    stream.inward().map_or(Ok(()), |cipher| refuse_tokens_in(cipher, trailers))
}

/// A body on its way in.
pub(super) struct Intake<B> {
    /// Gone once the body was handed on.
    body: Option<Pin<Box<B>>>,
    processor: Processor,
    limits: Limits,
    /// Where a fault is left that is found only after the body was handed on: there once it is streamed.
    fault: Option<Fault>,
    received: u64,
    meter: BodyMeter,
    /// Overwritten where it is not handed on.
    out: SecretBuffer,
    trailers: Option<Box<HeaderMap>>,
}

impl<B> Intake<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(body: B, processor: Processor, limits: Limits, meter: BodyMeter) -> Self {
        let out = SecretBuffer::with_capacity(processor.room_for(expected(body.size_hint().lower(), limits)));
        let body = Some(Box::pin(body));
        Self { body, processor, limits, fault: None, received: 0, meter, out, trailers: None }
    }

    /// Where a fault is left that is found only after the body was handed on; nothing where it was handed on whole.
    pub(super) fn fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }

    /// Reads until the body is whole, or too long to be held whole. `cipher` is that of the exchange.
    pub(super) fn poll(&mut self, cipher: &FieldCipher, cx: &mut Context<'_>) -> Poll<Result<FieldBody<B>, Error>> {
        loop {
            let pace = if let Processor::Stream(stream) = &self.processor { stream.pace() } else { Pace::Whole };
            let Some(body) = &mut self.body else { return Poll::Pending };
            if pace == Pace::AtOnce {
                return Poll::Ready(self.go_on_streaming(None));
            }
            let frame = body.as_mut().poll_frame(cx);
            if pace == Pace::UntilItPauses && frame.is_pending() {
                return Poll::Ready(self.go_on_streaming(None));
            }
            let Some(frame) = ready!(frame) else {
                let lap = Lap::start();
                let whole = self.finish(cipher);
                self.meter.stop(lap);
                return Poll::Ready(whole);
            };
            match frame.map_err(|source| broken(source.into()))?.into_data() {
                Ok(data) => {
                    let lap = Lap::start();
                    let rest = self.take(cipher, data);
                    self.meter.stop(lap);
                    if let Some(rest) = rest? {
                        return Poll::Ready(self.go_on_streaming(Some(rest)));
                    }
                }
                Err(frame) => self.trailers = frame.into_trailers().ok().map(Box::new),
            }
        }
    }

    /// Takes one frame in. Returns what is left of it where the body, or what it becomes, is too long to be held whole.
    fn take(&mut self, cipher: &FieldCipher, mut data: B::Data) -> Result<Option<B::Data>, Error> {
        self.received += data.remaining() as u64;
        self.meter.receive(data.remaining());
        self.limits.check(self.received)?;
        let is_whole = self.received <= self.limits.whole;
        if let Processor::Json(way) = &self.processor
            && data.has_remaining()
        {
            let document = data.chunk();
            let is_last = self.body.as_ref().is_some_and(Body::is_end_stream);
            let is_short = document.len() == data.remaining() && is_short(cipher.policy(), *way, document.len());
            if is_last && is_short && is_whole {
                self.out = Processor::transform_whole(cipher, *way, document)?;
                self.processor = Processor::Empty(None);
                return Ok(None);
            }
            self.processor = mem::replace(&mut self.processor, Processor::Empty(None)).into_stream(cipher);
            let rest = self.body.as_ref().map_or(0, |body| body.size_hint().lower());
            let expected = expected(self.received.saturating_add(rest), self.limits);
            self.out = SecretBuffer::with_capacity(self.processor.room_for(expected));
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            let length = match &mut self.processor {
                Processor::Stream(stream) => {
                    let whole_out = self.limits.whole_out();
                    let piece = if is_whole { chunk } else { &chunk[..chunk.len().min(PIECE)] };
                    let length = stream.feed_some(piece, &mut self.out, whole_out)?;
                    if !is_whole || self.out.len() > whole_out {
                        data.advance(length);
                        return Ok(Some(data));
                    }
                    length
                }
                Processor::Held(held) => held.hold(chunk, self.limits, self.received)?,
                Processor::Candidates(candidates) => candidates.hold(chunk, self.limits, self.received)?,
                Processor::Json(..) => return Err(Error::new(ErrorKind::Service, "a document was not looked into")),
                Processor::Empty(error) => {
                    let missing = || Error::new(ErrorKind::UnsupportedMediaType, "the body cannot be looked into");
                    return Err(error.take().unwrap_or_else(missing));
                }
            };
            data.advance(length);
        }
        Ok(None)
    }

    fn finish(&mut self, cipher: &FieldCipher) -> Result<FieldBody<B>, Error> {
        // An empty body is no document, and holds nothing.
        if self.received > 0 {
            match &mut self.processor {
                Processor::Stream(stream) => stream.finish(&mut self.out)?,
                Processor::Held(held) => held.encrypt(self.limits, &mut self.out)?,
                Processor::Candidates(candidates) => candidates.open(&mut self.out)?,
                Processor::Json(..) | Processor::Empty(_) => {}
            }
        }
        let mut trailers = self.trailers.take();
        if let Some(trailers) = &mut trailers {
            self.processor.check_trailers(cipher, trailers)?;
        }
        self.meter.hand_on(self.out.len());
        Ok(FieldBody::whole(Bytes::from(self.out.take()), trailers))
    }

    fn go_on_streaming(&mut self, rest: Option<B::Data>) -> Result<FieldBody<B>, Error> {
        let Self { body, processor, limits, fault, received, meter, out, .. } = self;
        match (body.take(), mem::replace(processor, Processor::Empty(None))) {
            (Some(body), Processor::Stream(stream)) => {
                let (meter, out) = (mem::take(meter), mem::take(out));
                let flow = Flow { stream, received: *received, meter, out, rest };
                let streaming = Streaming::new(body, flow, *limits, fault.insert(Fault::default()).clone());
                Ok(FieldBody::streaming(streaming))
            }
            _ => Err(Error::new(
                ErrorKind::TooLarge,
                "the body is longer than one that is held whole (`whole_body_limit`)",
            )),
        }
    }
}

/// Whether a document of `length` bytes is short, and becomes nothing long: it may hold a value of one byte in every two,
/// each of which becomes a token and an index. What indexes of several fields add, or a canonical form makes of a value, is
/// not foretold.
fn is_short(policy: &Policy, way: Way, length: usize) -> bool {
    let is_foretold =
        || policy.compounds().len() == 0 && policy.fields().iter().all(|field| field.validation().is_none());
    let longest = || policy.fields().iter().map(Field::minimum).max().unwrap_or_default() * 2 + 128;
    let stays_short = || is_foretold() && (length / 2 + 1) * longest() <= LONGEST_AT_ONCE;
    length <= SHORT && (matches!(way, Way::Outward) || stays_short())
}

/// For how much of a body of `length` bytes room is made: a declared length is only a claim.
fn expected(length: u64, limits: Limits) -> usize {
    usize::try_from(length.min(limits.whole).min(MOST_EXPECTED)).unwrap_or_default()
}

pub(super) fn broken(source: BoxError) -> Error {
    Error::new(ErrorKind::Malformed, "the body broke off").with_source(source)
}
