//! The context that a token is bound to, in its canonical form.

use std::borrow::Cow;

use aes::Block;

use super::gcm::{Associated, BLOCK, reverse};
use super::token::HEADER_LENGTH;

const LABEL: &[u8] = b"fieldseal/v1/aad\0";
/// The longest name or id that a length prefix of 16 bits can tell.
pub(crate) const LONGEST_PART: usize = u16::MAX as usize;

/// The place that a value belongs to. A token opens only where every part is the same again.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) tenant: Option<&'a str>,
    pub(crate) collection: &'a str,
    pub(crate) field: &'a str,
    pub(crate) record: Option<&'a str>,
    pub(crate) subject: Option<&'a str>,
}

/// The associated data of the tokens at one place: label, header, presence bits, and each part with its length before
/// it. A part that is absent and one that is empty differ in the presence bits.
#[derive(Clone, Debug)]
pub(crate) struct AssociatedData {
    /// With zeros for the header.
    bytes: Box<[u8]>,
    /// The same as the cipher takes it in.
    blocks: Box<[Block]>,
}

impl AssociatedData {
    /// Writes out what is the same for every token at `place`.
    pub(crate) fn new(place: &Place<'_>) -> Self {
        let &Place { tenant, collection, field, record, subject } = place;
        let parts = [tenant, Some(collection), Some(field), record, subject];
        // Room for all, since a cipher that is made for each request has these made for each.
        let length: usize = parts.iter().map(|part| 2 + part.unwrap_or_default().len()).sum();
        let mut bytes = Vec::with_capacity(LABEL.len() + HEADER_LENGTH + 1 + length);
        bytes.extend_from_slice(LABEL);
        bytes.extend_from_slice(&[0; HEADER_LENGTH]);
        bytes.push((0..).zip(parts).map(|(bit, part)| u8::from(part.is_some()) << bit).sum());
        for part in parts {
            write_part(part.unwrap_or_default().as_bytes(), &mut bytes);
        }
        let mut blocks = vec![Block::default(); bytes.len().div_ceil(BLOCK)];
        reverse(&bytes, &mut blocks);
        Self { blocks: blocks.into(), bytes: bytes.into() }
    }

    /// The associated data of the token with `header`.
    pub(crate) fn with(&self, header: [u8; HEADER_LENGTH]) -> impl Associated {
        WithHeader { data: self, header }
    }
}

struct WithHeader<'a> {
    data: &'a AssociatedData,
    header: [u8; HEADER_LENGTH],
}

/// Where the header stands: in which block, and where in it.
const HEADER_AT: (usize, usize) = (LABEL.len() / BLOCK, LABEL.len() % BLOCK);
const _: () = assert!(HEADER_AT.1 + HEADER_LENGTH <= BLOCK, "the header stands in one block");

impl Associated for WithHeader<'_> {
    fn length(&self) -> usize {
        self.data.bytes.len()
    }

    fn lay_out(&self, blocks: &mut [Block]) {
        blocks.copy_from_slice(&self.data.blocks);
        let mut header = [0; BLOCK];
        header[HEADER_AT.1..][..HEADER_LENGTH].copy_from_slice(&self.header);
        let block = &mut blocks[HEADER_AT.0];
        let with_header = u128::from_le_bytes((*block).into()) | u128::from_be_bytes(header);
        *block = with_header.to_le_bytes().into();
    }

    fn to_bytes(&self) -> Cow<'_, [u8]> {
        let mut bytes = self.data.bytes.to_vec();
        bytes[LABEL.len()..][..HEADER_LENGTH].copy_from_slice(&self.header);
        bytes.into()
    }
}

/// Appends `part` behind its [`length_prefix`].
pub(crate) fn write_part(part: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&length_prefix(part));
    out.extend_from_slice(part);
}

/// The length of `part` as a big-endian 16-bit number.
pub(crate) fn length_prefix(part: &[u8]) -> [u8; 2] {
    u16::try_from(part.len())
        .expect("names, ids and what is indexed are held to 65,535 bytes where they enter")
        .to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> =
        Place { tenant: None, collection: "customers", field: "phone", record: None, subject: None };

    fn written(place: &Place<'_>) -> Vec<u8> {
        let data = AssociatedData::new(place);
        let with_header = data.with([1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let bytes = with_header.to_bytes().into_owned();
        let blocks = bytes.len().div_ceil(BLOCK);
        let (mut once, mut anew) = (vec![Block::default(); blocks], vec![Block::default(); blocks]);
        with_header.lay_out(&mut once);
        bytes[..].lay_out(&mut anew);
        assert_eq!((once, with_header.length()), (anew, bytes.len()));
        bytes
    }

    #[test]
    fn has_the_specified_bytes() {
        let expected =
            b"fieldseal/v1/aad\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x06\0\0\0\x09customers\0\x05phone\0\0\0\0";
        assert_eq!(written(&PLACE), expected);
        let full = Place { tenant: Some("t"), record: Some("42"), subject: Some("s"), ..PLACE };
        let expected =
            b"fieldseal/v1/aad\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x1f\0\x01t\0\x09customers\0\x05phone\0\x0242\0\x01s";
        assert_eq!(written(&full), expected);
    }

    #[test]
    fn no_two_places_are_written_alike() {
        let places = [
            PLACE,
            Place { tenant: Some(""), ..PLACE },
            Place { record: Some(""), ..PLACE },
            Place { subject: Some(""), ..PLACE },
            Place { collection: "customersp", field: "hone", ..PLACE },
            Place { collection: "customer", field: "sphone", ..PLACE },
            Place { record: Some("a"), ..PLACE },
            Place { subject: Some("a"), ..PLACE },
        ];
        for (index, one) in places.iter().enumerate() {
            for other in &places[index + 1..] {
                assert_ne!(written(one), written(other));
            }
        }
    }
}
