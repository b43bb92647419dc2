//! What a user would write today: `serde_json::Value`, `aes-gcm` and `base64`, with care.

use std::error::Error;

use aes_gcm::aead::KeyInit as _;
use aes_gcm::{AeadInOut as _, Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::documents::FIELDS;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Clone)]
pub(crate) struct Naive(Aes256Gcm);

impl Naive {
    pub(crate) fn new() -> Self {
        Self(Aes256Gcm::new(&[7; 32].into()))
    }

    pub(crate) fn encrypt(&self, document: &[u8]) -> Result<Vec<u8>> {
        let mut record: Map<String, Value> = serde_json::from_slice(document)?;
        self.each_field(&mut record, Self::encrypt_text)?;
        Ok(serde_json::to_vec(&record)?)
    }

    pub(crate) fn encrypt_list(&self, document: &[u8]) -> Result<Vec<u8>> {
        let mut records: Vec<Map<String, Value>> = serde_json::from_slice(document)?;
        records.iter_mut().try_for_each(|record| self.each_field(record, Self::encrypt_text))?;
        Ok(serde_json::to_vec(&records)?)
    }

    pub(crate) fn decrypt_list(&self, document: &[u8]) -> Result<Vec<u8>> {
        let mut records: Vec<Map<String, Value>> = serde_json::from_slice(document)?;
        records.iter_mut().try_for_each(|record| self.each_field(record, Self::decrypt_text))?;
        Ok(serde_json::to_vec(&records)?)
    }

    fn each_field(
        &self,
        record: &mut Map<String, Value>,
        change: impl Fn(&Self, &str) -> Result<String>,
    ) -> Result<()> {
        for field in FIELDS {
            if let Some(Value::String(text)) = record.get_mut(field) {
                *text = change(self, text)?;
            }
        }
        Ok(())
    }

    fn encrypt_text(&self, text: &str) -> Result<String> {
        let nonce: [u8; 12] = rand::random();
        let mut sealed = Vec::with_capacity(12 + text.len() + 16);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(text.as_bytes());
        let tag = self.0.encrypt_inout_detached(&nonce.into(), b"", (&mut sealed[12..]).into())?;
        sealed.extend_from_slice(&tag);
        Ok(STANDARD.encode(sealed))
    }

    fn decrypt_text(&self, text: &str) -> Result<String> {
        let mut sealed = STANDARD.decode(text)?;
        let (nonce, rest) = sealed.split_at_mut_checked(12).ok_or("too short")?;
        let (value, tag) = rest.split_last_chunk_mut::<16>().ok_or("too short")?;
        let nonce = Nonce::try_from(&*nonce)?;
        self.0.decrypt_inout_detached(&nonce, b"", (&mut *value).into(), &(*tag).into())?;
        Ok(String::from_utf8(value.to_vec())?)
    }
}
