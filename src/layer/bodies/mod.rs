//! How bodies are read, each media type by its own reader.

mod events;
mod fields;
mod form;
mod held;
mod multipart;
mod part_head;
mod search;

pub(super) use events::EventStream;
pub(super) use fields::{check_file_part, check_untagged};
pub(super) use held::{Held, HeldKind};
pub(super) use multipart::{Boundary, MultipartStream};

use crate::cipher::{FieldCipher, JsonStream};
use crate::error::Error;
use crate::secret::SecretBuffer;

/// Transforms a body chunk by chunk.
#[derive(Debug)]
pub(super) enum BodyStream {
    /// Boxed, as the others: it is handed on from the head to the body, and from there to a stream.
    Json(Box<JsonStream>),
    /// Documents a line on their way out, each of which is complete in itself.
    Lines(Box<JsonStream>),
    Events(Box<EventStream>),
    Multipart(Box<MultipartStream>),
}

/// When what is finished of a body is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// When all of it is there, or it is too long to be held whole.
    Whole,
    /// The same, or when it pauses: what came so far is complete in itself.
    UntilItPauses,
    /// As soon as it is finished, and the head before all of it.
    AtOnce,
}

impl BodyStream {
    /// Takes as much of the chunk as fits, appends to `out` what is finished, and returns how much was taken.
    pub(super) fn feed_some(
        &mut self,
        chunk: &[u8],
        out: &mut SecretBuffer,
        longest_out: usize,
    ) -> Result<usize, Error> {
        match self {
            Self::Json(stream) | Self::Lines(stream) => {
                out.reserve(stream.secret_room_for(chunk.len()));
                stream.feed_some(chunk, out.as_mut_vec(), longest_out)
            }
            Self::Events(stream) => stream.feed_some(chunk, out, longest_out),
            Self::Multipart(stream) => stream.feed(chunk, out.as_mut_vec()).map(|()| chunk.len()),
        }
    }

    /// Ends the input.
    pub(super) fn finish(&mut self, out: &mut SecretBuffer) -> Result<(), Error> {
        match self {
            Self::Json(stream) | Self::Lines(stream) => {
                out.reserve(stream.secret_room_for(0));
                stream.finish(out.as_mut_vec())
            }
            Self::Events(stream) => stream.finish(out),
            Self::Multipart(stream) => stream.finish(out.as_mut_vec()),
        }
    }

    /// The cipher, where it encrypts: what comes beside the body must hold no token.
    pub(super) fn inward(&self) -> Option<&FieldCipher> {
        match self {
            Self::Json(stream) | Self::Lines(stream) => stream.inward(),
            Self::Events(_) => None,
            Self::Multipart(stream) => Some(stream.cipher()),
        }
    }

    pub(super) fn pace(&self) -> Pace {
        match self {
            Self::Json(_) | Self::Multipart(_) => Pace::Whole,
            Self::Lines(_) => Pace::UntilItPauses,
            Self::Events(_) => Pace::AtOnce,
        }
    }

    /// Whether it is one body with an end, whose length says something.
    pub(super) fn is_bounded(&self) -> bool {
        !matches!(self, Self::Events(_))
    }

    /// How much room a body of `length` bytes mostly takes when it is transformed.
    pub(super) fn room_for(&self, length: usize) -> usize {
        match self {
            Self::Json(stream) | Self::Lines(stream) => stream.room_for(length),
            Self::Events(_) => 0,
            Self::Multipart(_) => length * 2,
        }
    }
}
