//! A body that is transformed while it flows.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame};
use tower::BoxError;

use super::bodies::BodyStream;
use super::fault::Fault;
use super::intake::{broken, check_trailers};
use super::limits::Limits;
use crate::error::Error;
use crate::metrics::{BodyMeter, Lap};
use crate::secret::SecretBuffer;

/// How much of a frame is transformed at a time, in bytes, however large the frame is, and how much that may become
/// before it is handed on.
pub(super) const PIECE: usize = 64 * 1024;

/// Transforms the frames of a body one by one, in constant memory.
pub(super) struct Streaming<B: Body> {
    body: Pin<Box<B>>,
    stream: BodyStream,
    limits: Limits,
    fault: Fault,
    received: u64,
    meter: BodyMeter,
    /// Transformed, but not yet handed on. Overwritten where it never is.
    out: SecretBuffer,
    /// Received, but not yet transformed.
    data: Option<B::Data>,
    trailers: Option<HeaderMap>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Flowing,
    /// The document is whole; what is left goes out.
    Finished,
    /// Nothing more comes.
    Ended,
    /// However often it is asked, it has no end.
    Broken,
}

/// A body that was taken in so far, and turned out to be too long to be held whole.
pub(super) struct Flow<D> {
    pub(super) stream: BodyStream,
    pub(super) received: u64,
    pub(super) meter: BodyMeter,
    pub(super) out: SecretBuffer,
    /// What is received, but not yet transformed.
    pub(super) rest: Option<D>,
}

impl<B> Streaming<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(body: Pin<Box<B>>, flow: Flow<B::Data>, limits: Limits, fault: Fault) -> Self {
        let Flow { stream, received, meter, out, rest } = flow;
        let (trailers, state) = (None, State::Flowing);
        Self { body, stream, limits, fault, received, meter, out, data: rest, trailers, state }
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if !self.out.is_empty() {
                self.meter.hand_on(self.out.len());
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from(self.out.take())))));
            }
            match self.state {
                State::Flowing => {}
                State::Finished => {
                    self.state = State::Ended;
                    self.meter.end();
                    return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
                }
                State::Ended => return Poll::Ready(None),
                State::Broken => return Poll::Ready(Some(Err(broken_off()))),
            }
            if let Err(error) = ready!(self.advance(cx)) {
                self.state = State::Broken;
                self.out = SecretBuffer::default();
                tracing::error!(target: "fieldseal", kind = ?error.kind(), %error, "a body broke off while it flowed");
                self.meter.refuse(error.kind());
                self.fault.leave(error);
                return Poll::Ready(Some(Err(broken_off())));
            }
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.state == State::Ended && self.out.is_empty()
    }

    /// Transforms one more piece of the body.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Some(data) = &mut self.data
            && data.has_remaining()
        {
            let chunk = data.chunk();
            let piece = &chunk[..chunk.len().min(PIECE)];
            let lap = Lap::start();
            self.out.reserve(piece.len());
            let length = self.stream.feed_some(piece, &mut self.out, PIECE);
            self.meter.stop(lap);
            data.advance(length?);
            return Poll::Ready(Ok(()));
        }
        match ready!(self.body.as_mut().poll_frame(cx)) {
            None => {
                let lap = Lap::start();
                let finished = self.stream.finish(&mut self.out);
                self.meter.stop(lap);
                finished?;
                self.state = State::Finished;
            }
            Some(Err(source)) => return Poll::Ready(Err(broken(source.into()))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.received += data.remaining() as u64;
                    self.meter.receive(data.remaining());
                    if self.stream.is_bounded() {
                        self.limits.check(self.received)?;
                    }
                    self.data = Some(data);
                }
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    if let Some(trailers) = &mut self.trailers {
                        check_trailers(&self.stream, trailers)?;
                    }
                }
            },
        }
        Poll::Ready(Ok(()))
    }
}

/// What the other side reads of the error is not ours to choose, so it says nothing.
fn broken_off() -> BoxError {
    "the body could not be transformed".into()
}
