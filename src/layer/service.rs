//! The layered service.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, Method, Request, Response, request};
use http_body::Body;
use tower::{BoxError, Service};

use super::body::FieldBody;
use super::future::{Exchange, ResponseFuture};
use super::intake::Intake;
use super::opener::Opener;
use super::request::plan;
use super::settings::Settings;
use super::side::{Server, Side};
use crate::cipher::FieldCipher;
use crate::error::{Error, ErrorKind};
use crate::metrics::{BodyMeter, Direction};
use crate::policy::Policy;

/// A service with a [`FieldEncryptionLayer`](super::FieldEncryptionLayer) around it.
pub struct FieldEncryption<S, D = Server> {
    inner: S,
    settings: Arc<Settings>,
    side: PhantomData<fn() -> D>,
}

impl<S, D> FieldEncryption<S, D> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings, side: PhantomData }
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
        let Self { inner, settings, side: _ } = self;
        let (mut head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let own = match own_cipher(settings, &mut head) {
            Err(error) => return ResponseFuture::refused(error, settings.cipher.meters()),
            Ok(own) => own,
        };
        let wanted = settings.searches.wanted();
        let exchange = Exchange { settings: Arc::clone(settings), own, is_head, wanted, request_fault: None };
        match plan(&exchange, &mut head, &body) {
            Err(error) => ResponseFuture::refused(error, settings.cipher.meters()),
            Ok(None) => {
                let future = inner.call(Request::from_parts(head, FieldBody::empty()));
                ResponseFuture::called(future, exchange)
            }
            Ok(Some(processor)) => {
                // The service that was polled ready is the one to call; its clone may not be ready.
                let not_ready_inner = inner.clone();
                let ready_inner = mem::replace(inner, not_ready_inner);
                let meter = BodyMeter::new(exchange.cipher().meters(), Direction::Request);
                let intake = Intake::new(body, processor, settings.limits, meter);
                ResponseFuture::receiving(ready_inner, head, intake, exchange)
            }
        }
    }
}

/// Returns the cipher for a request, where it is another one than that of all.
///
/// # Errors
///
/// A request for which there is none, or that came through another layer for the same collection.
fn own_cipher(settings: &Settings, head: &mut request::Parts) -> Result<Option<FieldCipher>, Error> {
    let Settings { cipher: common, principal, records, .. } = settings;
    let mut own = principal.cipher(common, &head.extensions)?;
    Layered::enter(&mut head.extensions, common.shared_policy())?;
    if let Some(bound) = records.cipher(own.as_ref().unwrap_or(common), &head.method, &head.uri)? {
        own = Some(bound);
    }
    if principal.has_opener {
        head.extensions.insert(Opener::new(own.as_ref().unwrap_or(common).clone()));
    }
    Ok(own)
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
        Self::new(self.inner.clone(), Arc::clone(&self.settings))
    }
}

impl<S: fmt::Debug, D> fmt::Debug for FieldEncryption<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldEncryption").field("inner", &self.inner).finish_non_exhaustive()
    }
}
