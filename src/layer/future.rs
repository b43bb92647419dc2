//! The future of a layered service.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Request, Response, request, response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::{BoxError, Service};

use super::body::FieldBody;
use super::fault::Fault;
use super::intake::Intake;
use super::response::{Plan, plan};
use super::settings::Settings;
use super::side::{Server, Side};
use crate::cipher::{FieldCipher, Wanted};
use crate::error::{Error, ErrorKind};
use crate::metrics::{BodyMeter, Direction, Meters};

pin_project! {
    /// The future of a [`FieldEncryption`](super::FieldEncryption) service.
    pub struct ResponseFuture<S, B, R, D = Server>
    where
        S: Service<Request<FieldBody<B>>>,
        B: Body,
        R: Body,
    {
        #[pin]
        stage: Stage<S, S::Future, B, R>,
        exchange: Option<Exchange>,
        meters: Meters,
        side: PhantomData<fn() -> D>,
    }
}

/// What is known of the exchange until it is over.
pub(super) struct Exchange {
    pub(super) settings: Arc<Settings>,
    /// The cipher, where it is another one than that of all requests.
    pub(super) own: Option<FieldCipher>,
    pub(super) is_head: bool,
    pub(super) wanted: Wanted,
    /// Where a fault of the request is left that is found while the service reads its body.
    pub(super) request_fault: Option<Fault>,
}

impl Exchange {
    pub(super) fn cipher(&self) -> &FieldCipher {
        self.own.as_ref().unwrap_or(&self.settings.cipher)
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<S, F, B, R>
    where
        B: Body,
        R: Body,
    {
        Refused { error: Option<Error>, direction: Direction },
        Request { inner: S, head: Option<request::Parts>, intake: Intake<B> },
        Service { #[pin] future: F },
        Response { head: Option<response::Parts>, intake: Intake<R> },
    }
}

impl<S, B, R, D> ResponseFuture<S, B, R, D>
where
    S: Service<Request<FieldBody<B>>>,
    B: Body,
    R: Body,
{
    pub(super) fn refused(error: Error, meters: &Meters) -> Self {
        let stage = Stage::Refused { error: Some(error), direction: Direction::Request };
        Self { stage, exchange: None, meters: meters.clone(), side: PhantomData }
    }

    pub(super) fn called(future: S::Future, exchange: Exchange) -> Self {
        let meters = exchange.cipher().meters().clone();
        Self { stage: Stage::Service { future }, exchange: Some(exchange), meters, side: PhantomData }
    }

    pub(super) fn receiving(inner: S, head: request::Parts, intake: Intake<B>, exchange: Exchange) -> Self
    where
        B::Error: Into<BoxError>,
    {
        let meters = exchange.cipher().meters().clone();
        let stage = Stage::Request { inner, head: Some(head), intake };
        Self { stage, exchange: Some(exchange), meters, side: PhantomData }
    }
}

impl<S, B, R, D> Future for ResponseFuture<S, B, R, D>
where
    S: Service<Request<FieldBody<B>>, Response = Response<R>>,
    D: Side,
    B: Body,
    B::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<FieldBody<R>>, D::Error<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const POLLED_AGAIN: &str = "a future is not polled after it is ready";
        let mut this = self.project();
        loop {
            let next = match this.stage.as_mut().project() {
                StageProjection::Refused { error, direction } => {
                    let error = error.take().expect(POLLED_AGAIN);
                    this.meters.refusal(*direction, error.kind());
                    return Poll::Ready(refuse::<D, _, _>(error));
                }
                StageProjection::Request { inner, head, intake } => {
                    let exchange = this.exchange.as_mut().expect(POLLED_AGAIN);
                    match ready!(intake.poll(exchange.cipher(), cx)) {
                        Err(error) => Stage::Refused { error: Some(error), direction: Direction::Request },
                        Ok(body) => {
                            let mut head = head.take().expect(POLLED_AGAIN);
                            set_length(&mut head.headers, &body);
                            exchange.request_fault = intake.fault();
                            Stage::Service { future: inner.call(Request::from_parts(head, body)) }
                        }
                    }
                }
                StageProjection::Service { future } => {
                    let response = ready!(future.poll(cx));
                    let exchange = this.exchange.as_ref().expect(POLLED_AGAIN);
                    // The service answers a body that broke off as it sees fit; why it broke off is ours to say.
                    if let Some(error) = exchange.request_fault.as_ref().and_then(Fault::take) {
                        return Poll::Ready(refuse::<D, _, _>(error));
                    }
                    let (mut head, body) = response.map_err(D::pass)?.into_parts();
                    let limits = exchange.settings.limits;
                    match plan(exchange, &mut head) {
                        Err(error) => Stage::Refused { error: Some(error), direction: Direction::Response },
                        Ok(Plan::Pass) => {
                            return Poll::Ready(Ok(Response::from_parts(head, FieldBody::untouched(body))));
                        }
                        Ok(Plan::Empty) => return Poll::Ready(Ok(Response::from_parts(head, FieldBody::omitted()))),
                        Ok(Plan::Transform(processor)) => {
                            let length = limits.check(body.size_hint().lower());
                            let meter = BodyMeter::new(this.meters, Direction::Response);
                            match length.map(|()| Intake::new(body, processor, limits, meter)) {
                                Err(error) => unreadable(error),
                                // Mostly all of it is there, and nothing has to be put aside.
                                Ok(mut intake) => match intake.poll(exchange.cipher(), cx) {
                                    Poll::Ready(Ok(body)) => return Poll::Ready(Ok(with_length(head, body))),
                                    Poll::Ready(Err(error)) => unreadable(error),
                                    Poll::Pending => {
                                        this.stage.set(Stage::Response { head: Some(head), intake });
                                        return Poll::Pending;
                                    }
                                },
                            }
                        }
                    }
                }
                StageProjection::Response { head, intake } => {
                    let exchange = this.exchange.as_ref().expect(POLLED_AGAIN);
                    match ready!(intake.poll(exchange.cipher(), cx)) {
                        Err(error) => unreadable(error),
                        Ok(body) => return Poll::Ready(Ok(with_length(head.take().expect(POLLED_AGAIN), body))),
                    }
                }
            };
            this.stage.set(next);
        }
    }
}

fn refuse<D: Side, E, R: Body>(error: Error) -> Result<Response<FieldBody<R>>, D::Error<E>> {
    D::refuse(error).map(|response| response.map(|body| FieldBody::whole(body, None)))
}

fn with_length<R>(mut head: response::Parts, body: FieldBody<R>) -> Response<FieldBody<R>>
where
    R: Body,
    R::Error: Into<BoxError>,
{
    set_length(&mut head.headers, &body);
    Response::from_parts(head, body)
}

/// A body of a new length has that length where it is known, and none where it is not.
fn set_length<B>(headers: &mut HeaderMap, body: &FieldBody<B>)
where
    B: Body,
    B::Error: Into<BoxError>,
{
    match body.size_hint().exact() {
        Some(length) => drop(headers.insert(CONTENT_LENGTH, decimal(length))),
        None => drop(headers.remove(CONTENT_LENGTH)),
    }
}

/// By way of a text, for which there is one allocation: from the number itself, `HeaderValue` makes two.
fn decimal(number: u64) -> HeaderValue {
    HeaderValue::try_from(number.to_string()).expect("digits are visible characters")
}

/// Refuses a response. What would be the sender's fault in a request is the service's there.
fn unreadable<S, F, B: Body, R: Body>(error: Error) -> Stage<S, F, B, R> {
    let error = match error.kind() {
        ErrorKind::Malformed | ErrorKind::TooLarge => {
            Error::new(ErrorKind::Service, format!("the service's response cannot be opened: {error}"))
                .with_source(error)
        }
        _ => error,
    };
    Stage::Refused { error: Some(error), direction: Direction::Response }
}

impl<S, B, R, D> fmt::Debug for ResponseFuture<S, B, R, D>
where
    S: Service<Request<FieldBody<B>>>,
    B: Body,
    R: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
