//! The engine that applications hold.

use std::fmt;
use std::sync::Arc;

use super::decoys::Watch;
use super::index::Indexes;
use super::precautions::Coverage;
use super::record_binding::{LONGEST_ID, Records, canonical, is_young};
use super::scope::Scope;
use crate::audit::{Audit, AuditEvent, AuditKind, TracingAudit};
use crate::crypto::associated_data::AssociatedData;
use crate::crypto::key_id::KeyId;
#[cfg(feature = "layer")]
use crate::crypto::token::SHORTEST_TEXT;
use crate::crypto::token_search;
use crate::error::{Error, ErrorKind};
use crate::keys::{Keys, SubjectKey};
use crate::metrics::Meters;
use crate::policy::{FieldIndex, Policy, RecordBinding, Reveal, Shown};

/// Encrypts and decrypts the tagged fields of documents, records and single values.
///
/// Cheap to clone, and every method is synchronous: the keys are in memory. Input that is a token already is refused
/// wherever a value is expected, and whatever does not open is an error: there is no way through that leaves plaintext
/// in a token's place or the other way round.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{DataKey, Keys, SecretKey};
/// use fieldseal::{Field, FieldCipher, Policy, Tag};
///
/// let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
/// let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate()?));
/// let cipher = FieldCipher::new(policy, keys);
///
/// let stored = cipher.encrypt_json(br#"{"id": 7, "phone": "+65 9123 4567"}"#)?;
/// assert!(stored.starts_with(br#"{"id": 7, "phone": "fs1."#));
/// assert_eq!(cipher.decrypt_json(&stored)?, br#"{"id": 7, "phone": "+65 9123 4567"}"#);
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone)]
pub struct FieldCipher(Arc<Parts>);

#[derive(Clone)]
struct Parts {
    policy: Arc<Policy>,
    keys: Keys,
    /// Where the tokens of each field belong, in the scope of this cipher.
    places: Arc<[AssociatedData]>,
    audit: Arc<dyn Audit>,
    meters: Meters,
    /// Shared by all that were made from one another.
    coverage: Arc<Coverage>,
    scope: Scope,
    /// The record that a request is meant for, by its path.
    target: Option<String>,
    indexes: Option<Arc<Indexes>>,
    /// What is shown of each field; nothing where all is.
    shown: Option<Arc<Sight>>,
    watch: Watch,
    makes_decoys: bool,
}

/// What somebody sees, by the fields of the policy.
struct Sight {
    fields: Box<[Shown]>,
    who: Option<String>,
}

impl FieldCipher {
    /// Makes a cipher for the fields of `policy` under `keys`.
    pub fn new(policy: impl Into<Arc<Policy>>, keys: Keys) -> Self {
        let policy = policy.into();
        let places = Scope::new().places(&policy);
        Self(Arc::new(Parts {
            meters: Meters::new(&policy),
            coverage: Arc::new(Coverage::new(&policy)),
            policy,
            keys,
            places,
            audit: Arc::new(TracingAudit),
            scope: Scope::new(),
            target: None,
            indexes: None,
            shown: None,
            watch: Watch::Off,
            makes_decoys: false,
        }))
    }

    /// Returns a cipher that has `keys` in the place of its own, and no index keys: everything else stays, such as the
    /// policy and the scope. For a tenant with a keyring of its own; index keys are added with
    /// [`with_index_keys`](Self::with_index_keys).
    ///
    /// # Example
    ///
    /// ```
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// # use fieldseal::{Field, FieldCipher, Policy, Scope, Tag};
    /// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    /// # let keys = || Ok::<_, fieldseal::Error>(Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// # let (keys_of_acme, keys_of_globex) = (keys()?, keys()?);
    /// let cipher = FieldCipher::new(policy, Keys::none());
    /// let acme = cipher.clone().with_keys(keys_of_acme).in_scope(Scope::new().tenant("acme"))?;
    /// let globex = cipher.with_keys(keys_of_globex).in_scope(Scope::new().tenant("globex"))?;
    ///
    /// let token = acme.encrypt_value("phone", "+65 9123 4567")?;
    /// assert_eq!(acme.decrypt_value::<String>("phone", &token)?, "+65 9123 4567");
    /// assert!(globex.decrypt_value::<String>("phone", &token).is_err());
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self(Arc::new(Parts { keys, indexes: None, ..Parts::clone(&self.0) }))
    }

    /// Returns the cipher for the values of one data subject: under their own key, and bound to them. Its indexes stay
    /// those of this cipher. What it decrypts fails with [`ErrorKind::Erased`] where the subject was erased.
    /// [`docs::erasure`](crate::docs::erasure) has an example.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] where the subject is of another tenant than this cipher.
    pub fn for_subject(&self, key: &SubjectKey) -> Result<Self, Error> {
        let subject = key.subject();
        if subject.tenant() != self.0.scope.tenant_name() {
            let message = "the subject is of another tenant than the cipher: name its tenant with `Subject::of_tenant`, \
                           and that of the cipher in its scope";
            return Err(Error::new(ErrorKind::InvalidValue, message));
        }
        let scope = self.0.scope.clone().subject(subject.id());
        let places = scope.places(self.policy());
        Ok(Self(Arc::new(Parts { keys: key.keys().clone(), places, scope, ..Parts::clone(&self.0) })))
    }

    /// Sends events to `audit` instead of `tracing`.
    #[must_use]
    pub fn with_audit(self, audit: impl Audit + 'static) -> Self {
        Self(Arc::new(Parts { audit: Arc::new(audit), ..Parts::clone(&self.0) }))
    }

    /// Returns a cipher whose tokens are bound to `scope`, and which opens only such tokens.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue) where a part is longer than 65,535 bytes.
    ///
    /// # Example
    ///
    /// ```
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// # use fieldseal::{Field, FieldCipher, Policy, Scope, Tag};
    /// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    /// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// let acme = cipher.in_scope(Scope::new().tenant("acme"))?;
    /// let token = acme.encrypt_value("phone", "+65 9123 4567")?;
    /// assert!(cipher.in_scope(Scope::new().tenant("globex"))?.decrypt_value::<String>("phone", &token).is_err());
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn in_scope(&self, scope: Scope) -> Result<Self, Error> {
        scope.check()?;
        let places = scope.places(self.policy());
        let indexes = self.0.indexes.as_ref().map(|indexes| Arc::new(indexes.for_tenant(scope.tenant_name())));
        Ok(Self(Arc::new(Parts { places, scope, indexes, ..Parts::clone(&self.0) })))
    }

    /// Returns the cipher for the values of the record `id` in the same scope: single values, such as those of a row, or
    /// documents, which are refused where they are another record.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue) where the id is longer than 1,024 bytes.
    ///
    /// # Example
    ///
    /// ```
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// # use fieldseal::policy::RecordBinding;
    /// # use fieldseal::{Field, FieldCipher, Policy, Tag};
    /// # let policy = Policy::builder("customers")
    /// #     .bind_records(RecordBinding::required("id"))
    /// #     .field(Field::new("phone", Tag::Phone))
    /// #     .build()?;
    /// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// let token = cipher.in_record("7")?.encrypt_value("phone", "+65 9123 4567")?;
    /// assert!(cipher.in_record("8")?.decrypt_value::<String>("phone", &token).is_err());
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn in_record(&self, id: impl Into<String>) -> Result<Self, Error> {
        let id = id.into();
        if id.len() > LONGEST_ID {
            return Err(Error::new(ErrorKind::InvalidValue, "the id of a record is longer than 1,024 bytes"));
        }
        self.in_scope(self.0.scope.clone().record(canonical(&id)))
    }

    /// Returns the cipher for a tenant: everything else of its scope stays.
    #[cfg(feature = "layer")]
    pub(crate) fn in_tenant(&self, name: &str) -> Result<Self, Error> {
        self.in_scope(self.0.scope.clone().tenant(name))
    }

    /// Returns a cipher for documents that are meant for the record `id`, unless they name another.
    #[cfg(feature = "layer")]
    pub(crate) fn for_target(&self, id: &str) -> Result<Self, Error> {
        // What a record may be called is checked where it is bound to.
        self.in_record(id)?;
        Ok(Self(Arc::new(Parts { target: Some(canonical(id)), ..Parts::clone(&self.0) })))
    }

    /// The records of documents that come in, or of those that go out.
    pub(super) fn records(&self, is_inward: bool) -> Records {
        let target = self.0.target.as_deref().filter(|_| is_inward);
        Records::new(self.policy().record_binding(), self.0.scope.record_id().or(target))
    }

    /// Whether an unbound token under the key `id` opens by now, for all that is known of it.
    pub(super) fn opens_unbound(&self, id: KeyId, binding: &RecordBinding) -> bool {
        is_young(&self.keys().current(), id, binding.unbound_for().unwrap_or_default())
    }

    /// Where the tokens of `field` belong in `record`.
    pub(super) fn place_in(&self, field: FieldIndex, record: Option<&str>) -> AssociatedData {
        self.0.scope.place(self.policy(), self.policy().field(field), record)
    }

    /// Returns a cipher that decrypts documents as `reveal` lets them be seen, and refuses masked values on the way in:
    /// who is shown one and sends the document back would overwrite the value. Single values are not affected.
    ///
    /// # Example
    ///
    /// ```
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// # use fieldseal::{Field, FieldCipher, Policy, Tag};
    /// use fieldseal::policy::{Reveal, Shown};
    /// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    /// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    ///
    /// let stored = cipher.encrypt_json(br#"{"phone":"+65 9123 4567"}"#)?;
    /// let agent = cipher.revealing(&Reveal::all(Shown::Masked));
    /// let seen = agent.decrypt_json(&stored)?;
    /// assert_eq!(seen, r#"{"phone":"+65 •••• 4567"}"#.as_bytes());
    /// assert!(agent.encrypt_json(&seen).is_err());
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    #[must_use]
    pub fn revealing(&self, reveal: &Reveal) -> Self {
        let fields = self.policy().fields().iter().map(|field| reveal.of(field.name())).collect();
        let shown = Some(Arc::new(Sight { fields, who: reveal.who().map(str::to_owned) }));
        Self(Arc::new(Parts { shown, ..Parts::clone(&self.0) }))
    }

    /// What is shown of `field` in documents.
    pub(super) fn shown(&self, field: FieldIndex) -> Shown {
        self.0.shown.as_ref().map_or(Shown::Plain, |sight| sight.fields[usize::from(field.0)])
    }

    /// Whether somebody may be shown something else than a value.
    pub(super) fn masks(&self) -> bool {
        self.0.shown.is_some()
    }

    /// Whether some field is left out.
    pub(super) fn omits(&self) -> bool {
        self.0.shown.as_ref().is_some_and(|sight| sight.fields.contains(&Shown::Absent))
    }

    /// Who sees it, where they are named.
    pub(super) fn who(&self) -> Option<&str> {
        self.0.shown.as_ref()?.who.as_deref()
    }

    /// What becomes of a response with a decoy in it.
    pub(super) fn watch(&self) -> Watch {
        self.0.watch
    }

    /// Whether all that it encrypts is a decoy.
    pub(super) fn makes_decoys(&self) -> bool {
        self.0.makes_decoys
    }

    pub(super) fn with_decoys(&self, watch: Watch, makes_decoys: bool) -> Self {
        Self(Arc::new(Parts { watch, makes_decoys, ..Parts::clone(&self.0) }))
    }

    /// Returns the policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    pub(crate) fn shared_policy(&self) -> &Arc<Policy> {
        &self.0.policy
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    pub(super) fn with_indexes(&self, make: impl FnOnce(Option<&str>) -> Indexes) -> Self {
        let indexes = Some(Arc::new(make(self.0.scope.tenant_name())));
        Self(Arc::new(Parts { indexes, ..Parts::clone(&self.0) }))
    }

    pub(super) fn index_keys(&self) -> Option<&Indexes> {
        self.0.indexes.as_deref()
    }

    pub(super) fn coverage(&self) -> &Coverage {
        &self.0.coverage
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.0.meters
    }

    pub(super) fn place(&self, field: FieldIndex) -> &AssociatedData {
        &self.0.places[usize::from(field.0)]
    }

    pub(super) fn record(&self, kind: AuditKind, field: FieldIndex, key_id: Option<KeyId>) {
        self.record_many(kind, field, key_id, 1);
    }

    /// The length of the shortest token in text form.
    #[cfg(feature = "layer")]
    pub(crate) const SHORTEST_TOKEN: usize = SHORTEST_TEXT;

    /// Refuses text in which a token stands, where no field is meant to stand.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TokenSubmitted`].
    pub(crate) fn refuse_token(&self, text: &[u8]) -> Result<(), Error> {
        let Some(key_id) = token_search::find(text) else { return Ok(()) };
        self.tell(AuditKind::TokenSubmitted, "", Some(key_id), 1);
        Err(Error::new(ErrorKind::TokenSubmitted, "an encrypted token was handed in where nothing is tagged"))
    }

    pub(super) fn record_many(&self, kind: AuditKind, field: FieldIndex, key_id: Option<KeyId>, count: u64) {
        self.tell(kind, &self.policy().place_name(field), key_id, count);
    }

    fn tell(&self, kind: AuditKind, field: &str, key_id: Option<KeyId>, count: u64) {
        self.0.meters.event(kind, field, count);
        let collection = self.policy().collection();
        self.0.audit.record(&AuditEvent::new(kind, collection, field, self.who(), key_id, count));
    }

    pub(super) fn tell_of_untagged(&self, path: &str, looks_like: &str, count: u64) {
        let kind = AuditKind::UntaggedPersonal;
        self.0.meters.event(kind, "", count);
        let event = AuditEvent::new(kind, self.policy().collection(), "", self.who(), None, count);
        self.0.audit.record(&AuditEvent { path: Some(path), looks_like: Some(looks_like), ..event });
    }
}

impl fmt::Debug for FieldCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldCipher")
            .field("policy", &self.0.policy)
            .field("keys", &self.0.keys)
            .finish_non_exhaustive()
    }
}
