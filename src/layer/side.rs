//! On which side of the network the layer stands: it decides what becomes of an error.

use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;
use http::Response;

use super::problem;
use crate::error::Error;

/// On which side of the network the layer stands: [`Server`] or [`Client`].
pub trait Side: sealed::Sealed {
    /// The error of a layered service whose own error is `E`.
    type Error<E>;

    #[doc(hidden)]
    fn refuse<E>(error: Error) -> Result<Response<Bytes>, Self::Error<E>>;

    #[doc(hidden)]
    fn pass<E>(error: E) -> Self::Error<E>;
}

/// Around a service: an error becomes a response, `application/problem+json` (RFC 9457).
#[derive(Clone, Copy, Debug)]
pub enum Server {}

/// Around an outgoing client: an error becomes a [`ClientError`].
#[derive(Clone, Copy, Debug)]
pub enum Client {}

impl Side for Server {
    type Error<E> = E;

    fn refuse<E>(error: Error) -> Result<Response<Bytes>, E> {
        Ok(problem::response(&error))
    }

    fn pass<E>(error: E) -> E {
        error
    }
}

impl Side for Client {
    type Error<E> = ClientError<E>;

    fn refuse<E>(error: Error) -> Result<Response<Bytes>, ClientError<E>> {
        Err(ClientError::Protection(error))
    }

    fn pass<E>(error: E) -> ClientError<E> {
        ClientError::Service(error)
    }
}

/// What a client with the layer around it fails with.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError<E> {
    /// The layer refused the request, or could not open the response.
    Protection(Error),
    /// The client itself failed.
    Service(E),
}

impl<E> fmt::Display for ClientError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protection(_) => f.write_str("field encryption refused the exchange"),
            Self::Service(_) => f.write_str("the client failed"),
        }
    }
}

impl<E: StdError + 'static> StdError for ClientError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Protection(error) => Some(error),
            Self::Service(error) => Some(error),
        }
    }
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Server {}
    impl Sealed for super::Client {}
}
