//! The body that leaves the layer, inward and outward.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::BoxError;

use super::streaming::Streaming;

pin_project! {
    /// The body that leaves the layer: of requests to the service, and of responses to the client.
    ///
    /// Its data are [`Bytes`], its error is a boxed one, whatever those of `B` are. A body of which a tagged value
    /// turns out to be unreadable, or to be no JSON, after the first bytes were handed on ends in an error, so that
    /// nobody takes what came so far for the whole.
    pub struct FieldBody<B> where B: Body {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B> where B: Body {
        Untouched { #[pin] body: B },
        // Boxed: hardly any body has trailers, and bodies are moved often.
        Whole { data: Option<Bytes>, trailers: Option<Box<HeaderMap>> },
        Omitted,
        Streaming { streaming: Box<Streaming<B>> },
    }
}

impl<B: Body> FieldBody<B> {
    /// A body that passes as it is.
    pub(super) fn untouched(body: B) -> Self {
        Self { kind: Kind::Untouched { body } }
    }

    pub(super) fn empty() -> Self {
        Self { kind: Kind::Whole { data: None, trailers: None } }
    }

    /// A body that is not sent, although the head speaks of it: of what length it would be, nobody knows.
    pub(super) fn omitted() -> Self {
        Self { kind: Kind::Omitted }
    }

    pub(super) fn whole(data: Bytes, trailers: Option<Box<HeaderMap>>) -> Self {
        let data = Some(data).filter(|data| !data.is_empty());
        Self { kind: Kind::Whole { data, trailers } }
    }

    pub(super) fn streaming(streaming: Streaming<B>) -> Self {
        Self { kind: Kind::Streaming { streaming: Box::new(streaming) } }
    }
}

impl<B> Body for FieldBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            KindProjection::Untouched { body } => body.poll_frame(cx).map(|frame| {
                frame.map(|frame| {
                    frame
                        .map(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
                        .map_err(Into::into)
                })
            }),
            KindProjection::Whole { data, trailers } => {
                let frame =
                    data.take().map(Frame::data).or_else(|| trailers.take().map(|trailers| Frame::trailers(*trailers)));
                Poll::Ready(frame.map(Ok))
            }
            KindProjection::Omitted => Poll::Ready(None),
            KindProjection::Streaming { streaming } => streaming.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Untouched { body } => body.is_end_stream(),
            Kind::Whole { data, trailers } => data.is_none() && trailers.is_none(),
            Kind::Omitted => true,
            Kind::Streaming { streaming } => streaming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Untouched { body } => body.size_hint(),
            // HTTP/1 has no trailers behind a body whose length is told beforehand.
            Kind::Whole { trailers: Some(_), .. } | Kind::Omitted | Kind::Streaming { .. } => SizeHint::default(),
            Kind::Whole { data, .. } => SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64)),
        }
    }
}

impl<B: Body> fmt::Debug for FieldBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Untouched { .. } => "untouched",
            Kind::Whole { .. } => "whole",
            Kind::Omitted => "omitted",
            Kind::Streaming { .. } => "streaming",
        };
        f.debug_struct("FieldBody").field("kind", &kind).finish_non_exhaustive()
    }
}
