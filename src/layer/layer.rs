//! The layer.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use tower::Layer;

use super::bodies::check_file_part;
use super::path_pattern::PathPattern;
use super::records::RecordPath;
use super::searches::LookupPath;
use super::service::FieldEncryption;
use super::settings::Settings;
use super::side::{Client, Server};
use super::tenant::{Tenant, TenantKeySource, TenantKeys};
use crate::cipher::FieldCipher;
use crate::error::Error;
use crate::policy::{ListPath, Reveal};

/// Encrypts the tagged fields of requests and decrypts those of responses.
///
/// See [`layer`](crate::layer) for what it does with each part of HTTP. It can also stand around a whole axum `Router`:
/// [`docs::speed`](crate::docs::speed) has an example, and says what that saves.
///
/// # Example
///
/// ```
/// use axum::{Router, routing::post};
/// # use fieldseal::keys::{DataKey, Keys, SecretKey};
/// use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
///
/// let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
/// # let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate()?));
/// let app: Router = Router::new()
///     .route("/customers", post(|stored: String| async move { stored }))
///     .layer(FieldEncryptionLayer::new(FieldCipher::new(policy, keys))?);
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[must_use]
pub struct FieldEncryptionLayer<D = Server> {
    settings: Arc<Settings>,
    side: PhantomData<fn() -> D>,
}

impl FieldEncryptionLayer {
    /// Makes a layer for a service. Its refusals are responses.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyUnavailable`](crate::ErrorKind::KeyUnavailable) where the policy has a blind index and `cipher` no
    /// [index keys](FieldCipher::with_index_keys), with which every request that writes would fail. A layer that only
    /// reads takes [`Keys::none`](crate::keys::Keys::none) for them. A cipher without any keys needs none: it is one for
    /// [`tenant_keys`](Self::tenant_keys).
    ///
    /// [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) where the key is a placeholder, such as 32 equal bytes, and this is a
    /// build for release; see [`DataKey::dangerous_test_key`](crate::keys::DataKey::dangerous_test_key).
    pub fn new(cipher: FieldCipher) -> Result<Self, Error> {
        cipher.check_index_keys()?;
        cipher.check_key_is_random(cfg!(debug_assertions))?;
        Ok(Self { settings: Arc::new(Settings::new(cipher)), side: PhantomData })
    }

    /// Makes the layer one for an outgoing client. Its refusals are [`ClientError`](super::ClientError)s.
    pub fn for_client(self) -> FieldEncryptionLayer<Client> {
        let Self { settings, side: _ } = self;
        FieldEncryptionLayer { settings, side: PhantomData }
    }
}

impl<D> FieldEncryptionLayer<D> {
    /// Transforms bodies of up to `bytes` whole, 64 KiB unless set; longer ones are streamed.
    ///
    /// A fault in a whole body is answered before the service, or the client, sees any of it. A fault in a streamed
    /// one breaks the stream. A request usually holds about four times this in memory. A body that becomes more than 16
    /// times this, or 1 MiB if that is more, is streamed from there, too: a list of short values becomes tokens of many
    /// times its length.
    pub fn whole_body_limit(mut self, bytes: u64) -> Self {
        let limits = &mut Arc::make_mut(&mut self.settings).limits;
        limits.whole = bytes;
        limits.warn();
        self
    }

    /// Refuses bodies of more than `bytes`, with 413 for a request and 502 for a response. There is no limit unless
    /// set: longer bodies are streamed in constant memory.
    pub fn body_limit(mut self, bytes: u64) -> Self {
        let limits = &mut Arc::make_mut(&mut self.settings).limits;
        limits.longest = Some(bytes);
        limits.warn();
        self
    }

    /// Takes the segment in braces of `path` for a value of the field of that name, which has a blind index, and puts the
    /// index in its place: `/customers/by-phone/{phone}`. Other segments in braces stand for any:
    /// `/shops/{shop}/by-phone/{phone}`. A slash at the end makes no difference.
    ///
    /// The layer must then stand outside of what matches paths: around a whole axum `Router`, with
    /// `tower::Layer::layer`, and not within it, with `Router::layer`. [`docs::search`](crate::docs::search) has an
    /// example.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) where no request could be looked up by `path`: it begins with no
    /// slash, has a parameter in another form than braces around a whole segment, or not one that is called like a field
    /// with a blind index.
    pub fn lookup_path(mut self, path: &str) -> Result<Self, Error> {
        let path = LookupPath::parse(path, self.settings.cipher.policy())?;
        Arc::make_mut(&mut self.settings).searches.paths.push(path);
        Ok(self)
    }

    /// Removes the extension `T` from a request whose query or path is rewritten, for it repeats the target as it was sent.
    ///
    /// axum keeps one for its handlers, `OriginalUri`, which would show them the value that is looked up.
    ///
    /// # Example
    ///
    /// ```
    /// use axum::extract::OriginalUri;
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// # use fieldseal::policy::{BlindIndex, Normalizer};
    /// # use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
    /// # let phone = Field::new("phone", Tag::Phone).blind_index(BlindIndex::new(Normalizer::exact()));
    /// # let policy = Policy::builder("customers").field(phone).build()?;
    /// # let keys = || Ok::<_, fieldseal::Error>(Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// # let cipher = FieldCipher::new(policy, keys()?).with_index_keys(keys()?)?;
    ///
    /// let layer = FieldEncryptionLayer::new(cipher)?.without_extension::<OriginalUri>();
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn without_extension<T: Send + Sync + 'static>(mut self) -> Self {
        Arc::make_mut(&mut self.settings).target_copies.push(|extensions| drop(extensions.remove::<T>()));
        self
    }

    /// Takes the segment in braces of `path` for the id of the record that a request is meant for: `/customers/{id}`. Of
    /// several it is the one that is called like the member that is a record's id, and the others stand for any.
    ///
    /// Where the policy [binds tokens to records](crate::policy::PolicyBuilder::bind_records), a document that is sent
    /// there by `PUT` or `PATCH` without an id is bound to that one, and a document with another id is refused; documents
    /// on lines of their own are many records, and have their ids. What comes back is opened by the ids that stand in it
    /// alone, since other records may come than the path names.
    ///
    /// The layer sees the path that the request has where it stands: below `Router::nest`, without the prefix.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) where no request could be like `path`, as for
    /// [`lookup_path`](Self::lookup_path); where it is not clear which segment is the id; and where the policy binds tokens
    /// to no records.
    ///
    /// # Example
    ///
    /// ```
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// use fieldseal::policy::RecordBinding;
    /// use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
    ///
    /// let policy = Policy::builder("customers")
    ///     .bind_records(RecordBinding::required("id"))
    ///     .field(Field::new("phone", Tag::Phone))
    ///     .build()?;
    /// # let keys = Keys::from_data_key(DataKey::new(&SecretKey::generate()?));
    /// let layer = FieldEncryptionLayer::new(FieldCipher::new(policy, keys))?.record_path("/customers/{id}")?;
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn record_path(mut self, path: &str) -> Result<Self, Error> {
        let path = RecordPath::parse(path, self.settings.cipher.policy())?;
        Arc::make_mut(&mut self.settings).records.paths.push(path);
        Ok(self)
    }

    /// Shows values as the [`Reveal`] in the extensions of each request says, and as `default` says where there is none:
    /// `Reveal::all(Shown::Masked)`, or `Shown::Absent`, denies what nobody allowed. Masked values that are sent back are
    /// refused with 422, since they would overwrite the real ones.
    ///
    /// What authenticates the sender sets the extension, outside of this layer. Where a request has one and this was not
    /// called, it is answered with 500.
    ///
    /// # Example
    ///
    /// ```
    /// # use axum::{Router, extract::Request, middleware::{self, Next}, routing::get};
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// # use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
    /// use fieldseal::policy::{Reveal, Shown};
    /// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    /// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// # fn is_supervisor(_: &Request) -> bool { false }
    ///
    /// let app: Router = Router::new()
    ///     .route("/customers", get(|| async { "[]" }))
    ///     .layer(FieldEncryptionLayer::new(cipher)?.reveal(Reveal::all(Shown::Masked)))
    ///     .layer(middleware::from_fn(|mut request: Request, next: Next| async move {
    ///         if is_supervisor(&request) {
    ///             request.extensions_mut().insert(Reveal::all(Shown::Plain));
    ///         }
    ///         next.run(request).await
    ///     }));
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn reveal(mut self, default: Reveal) -> Self {
        Arc::make_mut(&mut self.settings).principal.reveal = Some(default);
        self
    }

    /// Puts an [`Opener`](super::Opener) into the extensions of each request, for handlers that must see a value.
    pub fn opener(mut self) -> Self {
        Arc::make_mut(&mut self.settings).principal.has_opener = true;
        self
    }

    /// Binds tokens, and blind indexes, to the [`Tenant`](super::Tenant) in the extensions of each request. One without is
    /// answered with 500, for what authenticates the sender must set it, outside of this layer.
    ///
    /// A token of one tenant never opens for another, whoever writes to the storage. A layer on which neither this nor
    /// [`tenant_keys`](Self::tenant_keys) was called answers a request with a tenant with 500 as well, unless it is told to
    /// [`ignore_tenants`](Self::ignore_tenants).
    pub fn tenants(mut self) -> Self {
        Arc::make_mut(&mut self.settings).principal.tenants.get_or_insert_default();
        self
    }

    /// Binds tokens to no tenant, whichever a request belongs to: for a collection that all tenants share, in a service
    /// whose authentication names one in each request.
    pub fn ignore_tenants(mut self) -> Self {
        let principal = &mut Arc::make_mut(&mut self.settings).principal;
        (principal.tenants, principal.ignores_tenants) = (None, true);
        self
    }

    /// Gives each tenant keys of its own, and does what [`tenants`](Self::tenants) does: `keys_of` is asked with each
    /// request for the [`Keys`](crate::keys::Keys) or [`TenantKeys`] of its tenant. When a tenant's keys are destroyed,
    /// its data is noise, and that of the others stays readable. The keys of the layer's cipher are not used:
    /// [`Keys::none`](crate::keys::Keys::none) will do.
    ///
    /// A tenant for which there is nothing is answered with 503, `keys_unavailable`. So is one without index keys, where a
    /// field that it writes or asks for has a blind index.
    ///
    /// `keys_of` runs while a request is handled, so the keys have to be in memory. The keys of a new tenant are put
    /// there when it is taken on, and [kept fresh](crate::keys::Keys::keep_fresh) as any others; what is removed is
    /// refused from the next request on. A key service is asked once for each tenant when a process starts.
    ///
    /// # Example
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use std::sync::{Arc, RwLock};
    ///
    /// # use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
    /// use fieldseal::keys::{KeyringFile, Keys, LocalKek};
    ///
    /// type Tenants = Arc<RwLock<HashMap<String, Keys>>>;
    ///
    /// /// For each tenant at the start, and again for one that is taken on while the service runs.
    /// async fn load(tenants: &Tenants, name: &str, kek: LocalKek) -> Result<(), fieldseal::Error> {
    ///     let keys = Keys::open(KeyringFile::new(format!("keyrings/{name}.json")), kek).await?;
    ///     tokio::spawn(keys.keep_fresh(tokio::time::sleep));
    ///     tenants.write().unwrap().insert(name.to_owned(), keys);
    ///     Ok(())
    /// }
    ///
    /// # fn make() -> Result<(), fieldseal::Error> {
    /// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    /// let tenants = Tenants::default();
    /// let keys = Arc::clone(&tenants);
    /// let layer = FieldEncryptionLayer::new(FieldCipher::new(policy, Keys::none()))?
    ///     .tenant_keys(move |tenant| keys.read().unwrap().get(tenant.name()).cloned());
    /// # Ok(())
    /// # }
    /// ```
    pub fn tenant_keys<F, K>(mut self, keys_of: F) -> Self
    where
        F: Fn(&Tenant) -> Option<K> + Send + Sync + 'static,
        K: Into<TenantKeys>,
    {
        let source = TenantKeySource::Own(Arc::new(move |tenant| keys_of(tenant).map(Into::into)));
        Arc::make_mut(&mut self.settings).principal.tenants = Some(source);
        self
    }

    /// Encrypts under the [`SubjectKey`](crate::keys::SubjectKey) in the extensions of each request, and binds tokens to
    /// its subject: what authenticates the sender prepares it, outside of this layer. A request without one is answered
    /// with 500, and what is stored about who was erased with 410. [`docs::erasure`](crate::docs::erasure) has an example.
    ///
    /// A layer on which this was not called answers a request with one with 500 as well. All values of a document are those
    /// of one subject: lists of several are for [`for_subject`](FieldCipher::for_subject), in the service.
    pub fn subjects(mut self) -> Self {
        Arc::make_mut(&mut self.settings).principal.has_subjects = true;
        self
    }

    /// Takes a body that is sent to `path` for a search: a JSON document or a form, in which each member that is a field
    /// with a blind index becomes one that asks for the index, and all fields of an index of several become one member.
    /// Segments in braces stand for any.
    ///
    /// In a form, fields are told by their names, as in a query. In JSON they are told by their paths alone, as in any
    /// document: a value at another place, or under the name of a [`parameter`](crate::Field::parameter), passes as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) where no request could be like `path`, as for
    /// [`lookup_path`](Self::lookup_path), and where the policy has no blind index.
    pub fn search_path(mut self, path: &str) -> Result<Self, Error> {
        let path = PathPattern::parse(path)?;
        if !self.settings.cipher.policy().has_indexes() {
            return Err(path.fault("takes searches, and the policy has no blind index to search by"));
        }
        Arc::make_mut(&mut self.settings).searches.bodies.push(path);
        Ok(self)
    }
}

impl<D> FieldEncryptionLayer<D> {
    /// Lets parts called `name` of requests in `multipart/form-data` be files, which pass as they are: photographs,
    /// attachments. **What stands in them is stored in the clear.** Parts of any other name that are no plain text are
    /// refused with 415.
    ///
    /// Tagged parts must come before the first file, since files flow and are not held. A token in a file is refused.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) where `name` is that of a tagged field, or is called like one.
    pub fn file_part(mut self, name: &str) -> Result<Self, Error> {
        check_file_part(self.settings.cipher.policy(), name)?;
        let files = &mut Arc::make_mut(&mut self.settings).file_parts;
        *files = files.iter().cloned().chain([name.to_owned()]).collect();
        Ok(self)
    }

    /// Lets fields with a [truncated index](crate::policy::BlindIndex::truncated) be looked up through the layer, in every
    /// way in which those with a full one are, but by `GET`, `HEAD` and searches alone: what another method does to all
    /// candidates could not be taken back. The service answers with all candidates; the layer decrypts them and drops
    /// those of which the field has not the value that was asked for. Every other byte stays as it is.
    ///
    /// `list` is where responses hold candidates: `$[*]`, the elements of an array that is the whole document, which is
    /// always understood, or of one in an envelope, such as `$.items[*]`. Called again, it adds another one. A document
    /// without such a list is one record, and answered with 404 where it does not match.
    ///
    /// It fails closed: what stands in another array, what does not match and stands outside of these lists, a response that is not one JSON document,
    /// and one of more than [`whole_body_limit`](Self::whole_body_limit) is answered with 502. An answer of 400 or above
    /// passes where it holds none of the fields that are asked for. Where several such fields are asked for, a record stays
    /// that matches all; one that holds a field several times matches by any of its values. Counts and pages that the service makes are those of the
    /// candidates; so are the lengths and the statuses that it answers `HEAD` with.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) where `list` is not the path of the elements of one array, in the
    /// syntax of RFC 9535, or no field with a truncated index could stand in those elements by its paths.
    ///
    /// # Example
    ///
    /// ```
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// use fieldseal::policy::{BlindIndex, Normalizer};
    /// use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
    ///
    /// let index = BlindIndex::truncated(Normalizer::exact(), 16);
    /// let policy = Policy::builder("customers").field(Field::new("remark", Tag::Text).blind_index(index)).build()?;
    /// # let keys = || Ok::<_, fieldseal::Error>(Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// let cipher = FieldCipher::new(policy, keys()?).with_index_keys(keys()?)?;
    /// let layer = FieldEncryptionLayer::new(cipher)?.drop_false_matches("$.items[*]")?;
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn drop_false_matches(mut self, list: &str) -> Result<Self, Error> {
        let list = ListPath::parse_for(list, self.settings.cipher.policy())?;
        let candidates = &mut Arc::make_mut(&mut self.settings).searches.candidates;
        *candidates = Some(candidates.iter().flat_map(|lists| lists.iter().cloned()).chain([list]).collect());
        Ok(self)
    }
}

impl<S, D> Layer<S> for FieldEncryptionLayer<D> {
    type Service = FieldEncryption<S, D>;

    fn layer(&self, inner: S) -> Self::Service {
        FieldEncryption::new(inner, Arc::clone(&self.settings))
    }
}

impl<D> Clone for FieldEncryptionLayer<D> {
    fn clone(&self) -> Self {
        Self { settings: Arc::clone(&self.settings), side: PhantomData }
    }
}

impl<D> fmt::Debug for FieldEncryptionLayer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldEncryptionLayer").field("limits", &self.settings.limits).finish_non_exhaustive()
    }
}
