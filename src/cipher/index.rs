//! Blind indexes: encrypted fields by equal value.

use std::fmt;
use std::mem;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use super::field_cipher::FieldCipher;
use crate::crypto::associated_data::LONGEST_PART;
use crate::crypto::data_key::DataKey;
use crate::crypto::index_key::{IndexPlace, PlacedIndexKey};
use crate::crypto::key_id::KeyId;
use crate::crypto::random;
use crate::error::{Error, ErrorKind};
use crate::keys::{KeySet, Keys};
use crate::policy::{BlindIndex, Field, FieldIndex, Normalizer, Policy};

/// The index keys of a cipher, and what is derived from them for its scope.
pub(super) struct Indexes {
    keys: Keys,
    tenant: Option<String>,
    /// By key, and then in the order of the policy's indexed fields.
    derived: RwLock<Vec<(KeyId, Arc<[PlacedIndexKey]>)>>,
}

impl Indexes {
    pub(super) fn new(keys: Keys, tenant: Option<&str>) -> Self {
        Self { keys, tenant: tenant.map(str::to_owned), derived: RwLock::default() }
    }

    pub(super) fn for_tenant(&self, tenant: Option<&str>) -> Self {
        Self::new(self.keys.clone(), tenant)
    }

    /// The key that indexes are written with, for each indexed field.
    pub(super) fn primary(&self, policy: &Policy) -> Result<Arc<[PlacedIndexKey]>, Error> {
        let keys = self.keys.current_for_encryption()?;
        self.forget_former(&keys);
        self.derived(keys.primary()?, policy)
    }

    /// Gives `take` the keys that stored indexes may have been written with, for each indexed field, key after key.
    pub(super) fn each(&self, policy: &Policy, mut take: impl FnMut(&[PlacedIndexKey])) -> Result<(), Error> {
        let keys = self.keys.current();
        self.forget_former(&keys);
        keys.all().try_for_each(|key| self.derived(key, policy).map(|keys| take(&keys)))
    }

    /// Drops what was derived from keys that are no longer there.
    fn forget_former(&self, keys: &KeySet) {
        let is_there = |id: KeyId| keys.all().any(|key| key.id() == id);
        let has_former = {
            let derived = self.derived.read().unwrap_or_else(PoisonError::into_inner);
            derived.iter().any(|(id, _)| !is_there(*id))
        };
        if has_former {
            self.derived.write().unwrap_or_else(PoisonError::into_inner).retain(|(id, _)| is_there(*id));
        }
    }

    fn derived(&self, key: &DataKey, policy: &Policy) -> Result<Arc<[PlacedIndexKey]>, Error> {
        let find = |derived: &[(KeyId, Arc<[PlacedIndexKey]>)]| {
            derived.iter().find(|(id, _)| *id == key.id()).map(|(_, keys)| Arc::clone(keys))
        };
        // What a panic left behind is still a list of keys.
        if let Some(keys) = find(&self.derived.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(keys);
        }
        if self.tenant.as_deref() == Some("") {
            return Err(Error::new(ErrorKind::InvalidValue, "an index cannot be bound to a tenant with an empty name"));
        }
        let keys = policy.indexed().iter().filter_map(|&field| {
            let field = policy.field(field);
            let (index, name) = (field.index()?, field.index_name()?);
            Some(key.index().at(&IndexPlace {
                tenant: self.tenant.as_deref(),
                collection: policy.collection(),
                field: field.name(),
                index: &name,
                normal_form: index.normalizer().id(),
                bits: index.bits(),
            }))
        });
        let compounds = policy.compounds().map(|(compound, _)| {
            key.index().at(&IndexPlace {
                tenant: self.tenant.as_deref(),
                collection: policy.collection(),
                field: "",
                index: compound.name(),
                normal_form: &compound.normal_form(),
                bits: BlindIndex::FULL,
            })
        });
        let keys: Arc<[_]> = keys.chain(compounds).collect();
        let mut derived = self.derived.write().unwrap_or_else(PoisonError::into_inner);
        derived.push((key.id(), Arc::clone(&keys)));
        Ok(keys)
    }
}

impl FieldCipher {
    /// Adds the keys that blind indexes are made with: those of a keyring of their own, so that they are rotated apart
    /// from data keys.
    ///
    /// The primary one makes the indexes that are stored. A lookup asks for those of every key that may decrypt, so that
    /// it goes on finding rows while their indexes are made anew.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where these are the keys that encrypt.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// use fieldseal::policy::{BlindIndex, Normalizer};
    /// use fieldseal::{Field, FieldCipher, Policy, Tag};
    ///
    /// let index = BlindIndex::new(Normalizer::exact());
    /// let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone).blind_index(index)).build()?;
    /// let keys = || Ok::<_, fieldseal::Error>(Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// let cipher = FieldCipher::new(policy, keys()?).with_index_keys(keys()?)?;
    ///
    /// let stored = cipher.encrypt_json(br#"{"phone":"+6591234567","vip":true}"#)?;
    /// let stored = String::from_utf8(stored).unwrap();
    /// let index = cipher.lookup("phone", "+6591234567")?.terms()[0].clone();
    /// assert!(stored.contains(&format!(r#","phone_index":"{index}","vip""#)));
    /// assert_eq!(cipher.decrypt_json(stored.as_bytes())?, br#"{"phone":"+6591234567","vip":true}"#);
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn with_index_keys(self, keys: Keys) -> Result<Self, Error> {
        if keys.current().all().any(|key| self.keys().current().all().any(|other| other.id() == key.id())) {
            let message = "the index keys are the data keys: make a keyring of their own for them";
            return Err(Error::new(ErrorKind::Keyring, message));
        }
        Ok(self.with_indexes(|tenant| Indexes::new(keys, tenant)))
    }

    /// Makes the blind index of a value of `field`, for a column beside that of its token; nothing where the value is
    /// empty.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] where the field has no index, or the value no normal form;
    /// [`ErrorKind::KeyUnavailable`].
    pub fn blind_index(&self, field: &str, text: &str) -> Result<Option<String>, Error> {
        let (field, place) = self.indexed_field(field)?;
        self.index_of(place, field, text)
    }

    /// Prepares to look rows up by a value of `field`.
    ///
    /// # Errors
    ///
    /// As [`blind_index`](Self::blind_index), and [`ErrorKind::InvalidValue`] where the value is empty: rows without a
    /// value have no index.
    pub fn lookup(&self, field: &str, text: &str) -> Result<Lookup, Error> {
        let (field, place) = self.indexed_field(field)?;
        self.lookup_at(place, field, text)
    }

    /// The same, for a field that is known.
    pub(super) fn lookup_of(&self, field: FieldIndex, text: &str) -> Result<Lookup, Error> {
        self.lookup_at(self.place_of_index(field)?, field, text)
    }

    /// Appends the terms of a lookup by the index of `field`, separated by commas, and keeps nothing.
    pub(super) fn write_terms_of(&self, field: FieldIndex, text: &str, out: &mut String) -> Result<(), Error> {
        let place = self.place_of_index(field)?;
        let is_normal = self.index_at(field)?.1.normalizer().changes_nothing() && text.len() <= LONGEST_PART;
        let made = if is_normal { None } else { Some(self.normal_form_of(field, text)?) };
        let normal = made.as_ref().map_or(text, |made| made);
        let mut separator = None;
        self.each_term(place, field, normal, |key, class| {
            out.extend(separator.replace(','));
            key.write_index([normal], class, out);
        })
    }

    fn indexed_field(&self, name: &str) -> Result<(FieldIndex, usize), Error> {
        let fault = || Error::new(ErrorKind::InvalidValue, format!("the policy has no field `{name}`"));
        let field = self.policy().field_named(name).ok_or_else(fault)?;
        Ok((field, self.place_of_index(field)?))
    }

    /// Where `field` stands among those with an index.
    fn place_of_index(&self, field: FieldIndex) -> Result<usize, Error> {
        let policy = self.policy();
        let message = || format!("the policy has no blind index of `{}`", policy.field(field).name());
        let place = policy.indexed().iter().position(|&other| other == field);
        place.ok_or_else(|| Error::new(ErrorKind::InvalidValue, message()))
    }

    fn normal_form_of(&self, field: FieldIndex, text: &str) -> Result<Zeroizing<String>, Error> {
        let (policy, index) = self.index_at(field)?;
        normal_form(policy.field(field).name(), index.normalizer(), text)
    }

    /// The index of a value of `field`, which is the one at `place` among those with an index.
    pub(super) fn index_of(&self, place: usize, field: FieldIndex, text: &str) -> Result<Option<String>, Error> {
        let (policy, index) = self.index_at(field)?;
        let normal = normal_form(policy.field(field).name(), index.normalizer(), text)?;
        if normal.is_empty() {
            return Ok(None);
        }
        let keys = self.indexes()?.primary(policy)?;
        let class = (index.classes() > 1).then(|| random::below(index.classes()));
        Ok(Some(keys[place].index([&**normal], class)))
    }

    /// Whether `stored` is an index of a value of `field` under the primary key.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn is_index_of(
        &self,
        place: usize,
        field: FieldIndex,
        text: &str,
        stored: &[u8],
    ) -> Result<bool, Error> {
        let (policy, index) = self.index_at(field)?;
        let normal = normal_form(policy.field(field).name(), index.normalizer(), text)?;
        let keys = self.indexes()?.primary(policy)?;
        let is = |class| keys[place].index([&**normal], class).as_bytes() == stored;
        let classes = index.classes();
        Ok(!normal.is_empty() && if classes > 1 { (0..classes).any(|class| is(Some(class))) } else { is(None) })
    }

    fn lookup_at(&self, place: usize, field: FieldIndex, text: &str) -> Result<Lookup, Error> {
        let normal = self.normal_form_of(field, text)?;
        let mut terms = Vec::new();
        self.each_term(place, field, &normal, |key, class| terms.push(key.index([&**normal], class)))?;
        Ok(Lookup { terms, normal, is_exact: self.has_full_index(field), field, cipher: self.clone() })
    }

    /// Gives `take` the keys and classes of the indexes that a row may have of which `field`, the one at `place` among those
    /// with an index, has a value of this normal form.
    fn each_term(
        &self,
        place: usize,
        field: FieldIndex,
        normal: &str,
        mut take: impl FnMut(&PlacedIndexKey, Option<u8>),
    ) -> Result<(), Error> {
        let (policy, index) = self.index_at(field)?;
        if normal.is_empty() {
            let name = policy.field(field).name();
            let message = format!("what is asked for is blank, and rows without `{name}` have no index: leave it out");
            return Err(Error::new(ErrorKind::InvalidValue, message));
        }
        self.indexes()?.each(policy, |keys| match index.classes() {
            classes @ 2.. => (0..classes).for_each(|class| take(&keys[place], Some(class))),
            _ => take(&keys[place], None),
        })
    }

    /// Whether every row that is found by the index of `field` matches.
    pub(super) fn has_full_index(&self, field: FieldIndex) -> bool {
        self.policy().field(field).index().is_some_and(BlindIndex::is_full)
    }

    /// Tells what indexes are made of, and under which key: where it changes, all are made anew. Empty where there are none.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn index_making(&self) -> String {
        let policy = self.policy();
        if !policy.has_indexes() {
            return String::new();
        }
        let key = self.index_keys().and_then(|indexes| indexes.keys.primary_id());
        let own = policy.fields().iter().filter_map(|field| {
            let index = field.index()?;
            Some((field.name(), field.index_name()?, index.normalizer().id(), index.bits(), index.classes()))
        });
        let compounds = policy.compound_indexes().iter().map(|index| (index.name(), index.normal_form()));
        format!("{key:?} {:?} {:?}", own.collect::<Vec<_>>(), compounds.collect::<Vec<_>>())
    }

    fn index_at(&self, field: FieldIndex) -> Result<(&Policy, &BlindIndex), Error> {
        let index = self.policy().field(field).index();
        let missing = || Error::new(ErrorKind::InvalidValue, "the field has no blind index");
        Ok((self.policy(), index.ok_or_else(missing)?))
    }

    /// Fails where values could be encrypted but for the keys of their indexes.
    #[cfg(feature = "layer")]
    pub(crate) fn check_index_keys(&self) -> Result<(), Error> {
        let has_keys = self.keys().current().all().next().is_some();
        if has_keys && self.policy().has_indexes() { self.indexes().map(|_| ()) } else { Ok(()) }
    }

    pub(super) fn indexes(&self) -> Result<&Indexes, Error> {
        self.index_keys().ok_or_else(|| {
            let message = "the policy has a blind index, and the cipher no index keys: add them with \
                           `FieldCipher::with_index_keys`, or with `TenantKeys::with_index_keys` for a tenant";
            Error::new(ErrorKind::KeyUnavailable, message)
        })
    }
}

/// The normal form of a value of `field`, or why it cannot be found by it.
pub(super) fn normal_form(field: &str, normalizer: &Normalizer, text: &str) -> Result<Zeroizing<String>, Error> {
    let unfit =
        |problem: &dyn fmt::Display| Error::new(ErrorKind::InvalidValue, format!("the value of `{field}` {problem}"));
    let normal = normalizer.normalize(text).map_err(|_| unfit(&normalizer.fault()))?;
    if normal.len() > LONGEST_PART {
        return Err(unfit(&"is longer than the 65,535 bytes that an index can be made of"));
    }
    Ok(normal)
}

/// A search for the rows with one value of a field.
///
/// # Example
///
/// ```
/// # use fieldseal::keys::{DataKey, Keys, SecretKey};
/// # use fieldseal::policy::{BlindIndex, Normalizer};
/// # use fieldseal::{Field, FieldCipher, Policy, Tag};
/// # let index = BlindIndex::truncated(Normalizer::exact(), 16);
/// # let policy = Policy::builder("customers").field(Field::new("remark", Tag::Text).blind_index(index)).build()?;
/// # let keys = || Ok::<_, fieldseal::Error>(Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
/// # let cipher = FieldCipher::new(policy, keys()?).with_index_keys(keys()?)?;
/// # let rows = vec![cipher.encrypt_value("remark", "gate 7")?, cipher.encrypt_value("remark", "gate 8")?];
/// let lookup = cipher.lookup("remark", "gate 7")?;
/// let sql = format!("SELECT remark FROM customers WHERE remark_index IN ({})", ["?"].repeat(lookup.terms().len()).join(","));
/// # let _ = sql;
/// // ... binds `lookup.terms()` ...
/// let found: Vec<String> = rows.into_iter().filter_map(|token| lookup.confirm(token).transpose()).collect::<Result<_, _>>()?;
/// assert_eq!(found, ["gate 7"]);
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[must_use]
pub struct Lookup {
    terms: Vec<String>,
    normal: Zeroizing<String>,
    is_exact: bool,
    field: FieldIndex,
    cipher: FieldCipher,
}

impl Lookup {
    /// Returns the indexes to ask for: a row matches that has any of them. Several where the index key is being rotated
    /// or the values fall into classes.
    #[must_use]
    pub fn terms(&self) -> &[String] {
        &self.terms
    }

    /// Returns whether every row that is found matches. Otherwise each goes through [`confirm`](Self::confirm).
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Decrypts the token of a row that was found, and returns the value where it matches; nothing where the row was
    /// found by chance.
    ///
    /// # Errors
    ///
    /// As [`decrypt_value`](FieldCipher::decrypt_value).
    pub fn confirm(&self, token: impl AsRef<[u8]>) -> Result<Option<String>, Error> {
        self.confirm_with(&self.cipher, token)
    }

    /// The same for a row that is the record `id`, where the policy binds tokens to records.
    ///
    /// # Errors
    ///
    /// As [`confirm`](Self::confirm) and [`FieldCipher::in_record`].
    pub fn confirm_in_record(&self, id: impl Into<String>, token: impl AsRef<[u8]>) -> Result<Option<String>, Error> {
        self.confirm_with(&self.cipher.in_record(id)?, token)
    }

    fn confirm_with(&self, cipher: &FieldCipher, token: impl AsRef<[u8]>) -> Result<Option<String>, Error> {
        let mut value = Zeroizing::new(cipher.decrypt_value::<String>(self.policy_field().name(), token)?);
        Ok(self.matches(&value).then(|| mem::take(&mut *value)))
    }

    /// Whether `text` is the value that is looked up, in any spelling.
    pub(super) fn matches(&self, text: &str) -> bool {
        let field = self.policy_field();
        let normal = field.index().and_then(|index| normal_form(field.name(), index.normalizer(), text).ok());
        normal.is_some_and(|normal| *normal == *self.normal)
    }

    pub(super) fn field(&self) -> FieldIndex {
        self.field
    }

    pub(super) fn policy_field(&self) -> &Field {
        self.cipher.policy().field(self.field)
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").field("field", &self.policy_field().name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{DataKey, Keyring, KeyringFile, LocalKek, SecretKey, Timing};
    use crate::policy::{Normalizer, Tag};

    #[tokio::test]
    async fn what_was_derived_from_a_key_that_is_gone_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let kek = || LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
        let store = KeyringFile::new(directory.path().join("keyring.json"));
        let mut keyring = Keyring::create("customers-index", &kek()).await.unwrap();
        keyring.set_timing(Timing::single_process()).unwrap();
        let former = keyring.keys()[0].id();
        keyring.save(&store).await.unwrap();
        let keys = Keys::open(store.clone(), kek()).await.unwrap();

        let field = Field::new("phone", Tag::Phone).blind_index(BlindIndex::new(Normalizer::exact()));
        let policy = Policy::builder("customers").field(field).build().unwrap();
        let data_keys = Keys::from_data_key(DataKey::new(&SecretKey::generate().unwrap()));
        let cipher = FieldCipher::new(policy, data_keys).with_index_keys(keys.clone()).unwrap();
        let derived = || {
            drop(cipher.lookup("phone", "+65 9123 4567").unwrap());
            let derived = cipher.index_keys().unwrap().derived.read().unwrap();
            derived.iter().map(|(id, _)| *id).collect::<Vec<_>>()
        };
        assert_eq!(derived(), [former]);

        let next = keyring.add_key(&kek()).await.unwrap();
        keyring.promote_without_waiting(next).unwrap();
        keyring.save(&store).await.unwrap();
        keys.reload().await.unwrap();
        assert_eq!(derived(), [former, next]);

        keyring.disable(former).unwrap();
        keyring.save(&store).await.unwrap();
        keys.reload().await.unwrap();
        assert_eq!(derived(), [next]);
    }
}
