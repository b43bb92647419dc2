//! The layered service.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, Method, Request, Response};
use http_body::Body;
use tower::{BoxError, Service};

use super::body::FieldBody;
use super::future::{Exchange, ResponseFuture};
use super::intake::Intake;
use super::limits::Limits;
use super::opener::Opener;
use super::request;
use super::settings::Settings;
use super::side::{Server, Side};
use crate::cipher::FieldCipher;
use crate::error::{Error, ErrorKind};
use crate::metrics::{BodyMeter, Direction};
use crate::policy::Policy;

/// A service with a [`FieldEncryptionLayer`](super::FieldEncryptionLayer) around it.
pub struct FieldEncryption<S, D = Server> {
    inner: S,
    cipher: FieldCipher,
    limits: Limits,
    settings: Arc<Settings>,
    side: PhantomData<fn() -> D>,
}

impl<S, D> FieldEncryption<S, D> {
    pub(super) fn new(inner: S, cipher: FieldCipher, limits: Limits, settings: Arc<Settings>) -> Self {
        Self { inner, cipher, limits, settings, side: PhantomData }
    }
}

impl<S, D, B, R> Service<Request<B>> for FieldEncryption<S, D>
where
    S: Service<Request<FieldBody<B>>, Response = Response<R>> + Clone,
    D: Side,
    B: Body,
    B::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    type Response = Response<FieldBody<R>>;
    type Error = D::Error<S::Error>;
    type Future = ResponseFuture<S, B, R, D>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(D::pass)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { inner, cipher, limits, settings, side: _ } = self;
        let (mut head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let own = match settings.principal.cipher(cipher, &head.extensions) {
            Err(error) => return ResponseFuture::refused(error, cipher.meters()),
            Ok(own) => own,
        };
        let cipher = own.as_ref().unwrap_or(cipher);
        if let Err(error) = Layered::enter(&mut head.extensions, cipher.shared_policy()) {
            return ResponseFuture::refused(error, cipher.meters());
        }
        let own = match settings.records.cipher(cipher, &head.method, &head.uri) {
            Err(error) => return ResponseFuture::refused(error, cipher.meters()),
            Ok(own) => own,
        };
        let cipher = own.as_ref().unwrap_or(cipher);
        if settings.principal.has_opener {
            head.extensions.insert(Opener::new(cipher.clone()));
        }
        let searches = &settings.searches;
        let exchange = Exchange {
            cipher: cipher.clone(),
            limits: *limits,
            is_head,
            wanted: searches.wanted(),
            lists: searches.candidates.clone(),
            request_fault: None,
        };
        match request::plan(cipher, limits, settings, &exchange.wanted, &mut head, &body) {
            Err(error) => ResponseFuture::refused(error, cipher.meters()),
            Ok(None) => {
                let future = inner.call(Request::from_parts(head, FieldBody::empty()));
                ResponseFuture::called(future, exchange)
            }
            Ok(Some(processor)) => {
                // The service that was polled ready is the one to call; its clone may not be ready.
                let not_ready_inner = inner.clone();
                let ready_inner = mem::replace(inner, not_ready_inner);
                let meter = BodyMeter::new(cipher.meters(), Direction::Request);
                let intake = Intake::new(body, processor, *limits, meter);
                ResponseFuture::receiving(ready_inner, head, intake, exchange)
            }
        }
    }
}

/// The policies of the layers that a request has come through: hardly ever more than one, for which no list is made.
#[derive(Clone)]
struct Layered(Arc<Policy>, Vec<Arc<Policy>>);

impl Layered {
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] where one of them is for the same collection: its tokens would be taken for stolen ones.
    fn enter(extensions: &mut Extensions, policy: &Arc<Policy>) -> Result<(), Error> {
        let Some(Self(outermost, others)) = extensions.get_mut() else {
            extensions.insert(Self(Arc::clone(policy), Vec::new()));
            return Ok(());
        };
        if [&*outermost].into_iter().chain(&*others).any(|other| other.collection() == policy.collection()) {
            let message = format!(
                "two layers for the collection `{}` stand around one service, and the inner one would meet the tokens of the \
                 outer: take one away",
                policy.collection()
            );
            return Err(Error::new(ErrorKind::Policy, message));
        }
        others.push(Arc::clone(policy));
        Ok(())
    }
}

impl<S: Clone, D> Clone for FieldEncryption<S, D> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.cipher.clone(), self.limits, Arc::clone(&self.settings))
    }
}

impl<S: fmt::Debug, D> fmt::Debug for FieldEncryption<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldEncryption").field("inner", &self.inner).finish_non_exhaustive()
    }
}
