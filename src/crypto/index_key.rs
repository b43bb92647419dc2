//! An index key and the blind indexes that are made with it.

use base64_simd::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::associated_data::{length_prefix, write_part};
use crate::secret::{CODE, DERIVATION, SecretKey, on_clean_stack};

/// What every blind index in text form begins with.
pub(crate) const INDEX_MARK: &str = "fi1.";
/// What is left of an HMAC in a full index, in bytes.
const LONGEST_CODE: usize = 16;
const LONGEST_TEXT: usize = INDEX_MARK.len() + (1 + LONGEST_CODE).div_ceil(3) * 4;

/// What a blind index is bound to: equal values at two places have unrelated indexes.
#[derive(Clone, Copy)]
pub(crate) struct IndexPlace<'a> {
    pub(crate) tenant: Option<&'a str>,
    pub(crate) collection: &'a str,
    /// Empty where several fields make one index.
    pub(crate) field: &'a str,
    pub(crate) index: &'a str,
    /// The normal form, with its version: another version gives other indexes.
    pub(crate) normal_form: &'a str,
    pub(crate) bits: u16,
}

/// What makes the blind indexes under one key, and nothing else.
pub(crate) struct IndexKey {
    /// Tells generations of keys apart where an index is looked at: the first byte of the key's id.
    generation: u8,
    derivation: Hkdf<Sha256>,
}

impl IndexKey {
    pub(crate) fn new(secret: &SecretKey, generation: u8) -> Self {
        let derivation = Hkdf::<Sha256>::new(Some(b"fieldseal/v1/index-key"), secret.expose_secret());
        Self { generation, derivation }
    }

    /// Derives the key for the indexes of one place.
    pub(crate) fn at(&self, place: &IndexPlace<'_>) -> PlacedIndexKey {
        let &IndexPlace { tenant, collection, field, index, normal_form, bits } = place;
        let mut info = b"fieldseal/v1/index".to_vec();
        for part in [tenant.unwrap_or_default(), collection, field, index, normal_form] {
            write_part(part.as_bytes(), &mut info);
        }
        info.extend_from_slice(&bits.to_be_bytes());
        let mac = on_clean_stack::<DERIVATION, _>(|| {
            let mut key = Zeroizing::new([0; 32]);
            self.derivation.expand(&info, &mut key[..]).expect("32 bytes are within HKDF-SHA-256's 8,160");
            Box::new(Hmac::new_from_slice(&key[..]).expect("HMAC takes keys of any length"))
        });
        PlacedIndexKey { generation: self.generation, mac, bits }
    }
}

/// An index key for one place.
#[derive(Clone)]
pub(crate) struct PlacedIndexKey {
    generation: u8,
    mac: Box<Hmac<Sha256>>,
    bits: u16,
}

impl PlacedIndexKey {
    /// Computes the blind index of `parts`, each in its normal form: in text form, the mark and base64url of a byte that
    /// tells generations of the key apart and of the first bits of HMAC-SHA-256 (RFC 2104) over the parts, each with its
    /// length before it. `class` is the one out of several that an index value falls into.
    pub(crate) fn index<'p>(&self, parts: impl IntoIterator<Item = &'p str>, class: Option<u8>) -> String {
        let mut text = String::with_capacity(LONGEST_TEXT);
        self.write_index(parts, class, &mut text);
        text
    }

    /// Appends the same to `out`.
    pub(crate) fn write_index<'p>(
        &self,
        parts: impl IntoIterator<Item = &'p str>,
        class: Option<u8>,
        out: &mut String,
    ) {
        let code = on_clean_stack::<CODE, _>(|| {
            let mut mac = Hmac::clone(&self.mac);
            for part in parts {
                mac.update(&length_prefix(part.as_bytes()));
                mac.update(part.as_bytes());
            }
            mac.update(class.as_slice());
            mac.finalize().into_bytes()
        });
        let length = usize::from(self.bits.div_ceil(8));
        let mut binary = [self.generation; 1 + LONGEST_CODE];
        binary[1..=length].copy_from_slice(&code[..length]);
        if !self.bits.is_multiple_of(8) {
            binary[length] &= 0xff << (8 - self.bits % 8);
        }
        out.push_str(INDEX_MARK);
        URL_SAFE_NO_PAD.encode_append(&binary[..=length], out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_index_has_the_first_bits_of_the_code_and_no_more() {
        let place = IndexPlace {
            tenant: None,
            collection: "customers",
            field: "phone",
            index: "phone_idx",
            normal_form: "exact",
            bits: 128,
        };
        let index = IndexKey::new(&SecretKey::from_bytes(&[7; 32]), 0x4b).at(&place);
        let binary_of = |bits: u16| {
            let text = PlacedIndexKey { bits, ..index.clone() }.index(["91234567"], None);
            URL_SAFE_NO_PAD.decode_to_vec(text.strip_prefix(INDEX_MARK).unwrap()).unwrap()
        };
        let full = binary_of(128);
        assert_eq!((full.len(), full[0]), (17, 0x4b));
        for bits in 8_u16..=128 {
            let mut expected = full[..=usize::from(bits).div_ceil(8)].to_vec();
            for bit in usize::from(bits)..(expected.len() - 1) * 8 {
                expected[1 + bit / 8] &= !(0x80 >> (bit % 8));
            }
            assert_eq!(binary_of(bits), expected, "{bits} bits");
        }
    }
}
