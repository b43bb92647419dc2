//! One tagged field of a policy.

use std::borrow::Cow;

use super::blind_index::BlindIndex;
use super::tag::Tag;
use crate::text::{Mask, Validation};
use crate::timestamp::Timestamp;

/// The place of a field in its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FieldIndex(pub(crate) u16);

/// One tagged field: its name, its tag, and where documents hold it.
///
/// The name is what its tokens are bound to, so it outlives a change of the paths. A field with no path of its own has
/// `$..NAME`: a member of that name at any depth. A path that names each step, such as `$.customer.phone`, lets the layer
/// refuse a record written as an array, which `serde` reads too.
///
/// # Example
///
/// ```
/// use fieldseal::{Field, Policy, Tag};
///
/// let policy = Policy::builder("customers")
///     .field(Field::new("phone", Tag::Phone))
///     .field(Field::new("delivery_address", Tag::Address).path("$.deliveries[*].address").pad_to(256))
///     .build()?;
/// # Ok::<(), fieldseal::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Field {
    pub(super) name: String,
    pub(super) tag: Tag,
    pub(super) paths: Vec<String>,
    pub(super) parameters: Vec<String>,
    pub(super) minimum: usize,
    pub(super) encrypt_null: bool,
    pub(super) null_if_unreadable: bool,
    pub(super) plaintext_until: Option<Timestamp>,
    pub(super) index: Option<BlindIndex>,
    pub(super) validation: Option<Validation>,
    pub(super) mask: Mask,
}

impl Field {
    /// Starts a field.
    pub fn new(name: impl Into<String>, tag: Tag) -> Self {
        let minimum = tag.minimum();
        let (paths, name, mask) = (Vec::new(), name.into(), tag.mask());
        Self {
            name,
            tag,
            paths,
            parameters: Vec::new(),
            minimum,
            encrypt_null: false,
            null_if_unreadable: false,
            plaintext_until: None,
            index: None,
            validation: None,
            mask,
        }
    }

    /// Adds a path at which documents hold the field, in the subset of RFC 9535 that [`policy`](crate::policy) lists.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Says that a query parameter, or a field of a form that is a search, called `name` asks for this field, as one called
    /// like the field or the last name of its paths does: in any case and style, so that `mobile_phone` is also
    /// `mobilePhone`. A name that only looks like these, or holds them with other words, asks for nothing, and passes as it
    /// is.
    ///
    /// Descriptions of APIs and logs are searched for it, too. Members of documents are found by paths alone; a form to be
    /// stored that has a field called so, and no path to it, is refused.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::{Field, Tag};
    ///
    /// let phone = Field::new("phone", Tag::Phone).parameter("mobile").parameter("phone_number");
    /// ```
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>) -> Self {
        self.parameters.push(name.into());
        self
    }

    /// Pads values to at least `bytes` before they are encrypted: a power of two from 32 to 4,096.
    ///
    /// Values up to that length then have tokens of one length. Tokens that stand already stay readable.
    #[must_use]
    pub fn pad_to(mut self, bytes: usize) -> Self {
        self.minimum = bytes;
        self
    }

    /// Encrypts `null` too. Unless this is called, `null` stays `null`, and shows that there is no value.
    #[must_use]
    pub fn encrypt_null(mut self) -> Self {
        self.encrypt_null = true;
        self
    }

    /// Shows a stored token that does not open, or whose key is disabled, gone or unknown, as `null`, instead of failing
    /// the whole document that it stands in. Unless this is called, one damaged row is an error for the whole list.
    ///
    /// The audit is told of the failure as always, and of the `null`
    /// ([`AuditKind::ShownAsNull`](crate::audit::AuditKind::ShownAsNull)). A key is unknown as well to a replica that has not
    /// read the keyring lately. What is no token at all, or longer than any, still fails, and so do single values.
    ///
    /// A client may send the document back with the `null` in it, which would overwrite what may yet be restored. So the
    /// field takes no `null` on the way in: a document, a merge patch or a JSON Patch that holds one there is refused
    /// ([`ErrorKind::Refused`](crate::ErrorKind::Refused)). A value that does not change is left out, and one that shall go
    /// is cleared by the `remove` operation of a JSON Patch. The field cannot have [`encrypt_null`](Self::encrypt_null).
    ///
    /// Whoever can write to the storage can make values vanish from responses without an error: see that somebody looks
    /// at the audit.
    ///
    /// # Example
    ///
    /// ```
    /// # use fieldseal::keys::{DataKey, Keys, SecretKey};
    /// # use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};
    /// let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone).null_if_unreadable()).build()?;
    /// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
    /// let stored = String::from_utf8(cipher.encrypt_json(br#"{"id": 7, "phone": "+65 9123 4567"}"#)?)?;
    /// let damaged = stored.replace("\"}", "AAAA\"}");
    /// assert_eq!(cipher.decrypt_json(damaged.as_bytes())?, br#"{"id": 7, "phone": null}"#);
    ///
    /// let sent_back = cipher.encrypt_json(br#"{"id": 7, "phone": null}"#);
    /// assert_eq!(sent_back.unwrap_err().kind(), ErrorKind::Refused);
    /// cipher.encrypt_json_patch(br#"[{"op": "remove", "path": "/phone"}]"#)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn null_if_unreadable(mut self) -> Self {
        self.null_if_unreadable = true;
        self
    }

    /// Lets a value that is stored without encryption pass on the way out until `end`, while a table that was plaintext
    /// is being encrypted. Each document that has one is counted
    /// ([`AuditKind::PlaintextRead`](crate::audit::AuditKind::PlaintextRead)). On the way in nothing changes.
    ///
    /// Until then, whoever can write to the storage can put any value in the place of a token.
    #[must_use]
    pub fn allow_plaintext_until(mut self, end: impl Into<Timestamp>) -> Self {
        self.plaintext_until = Some(end.into());
        self
    }

    /// Adds a blind index: a sibling member by which equal values are found. It is written on the way in, beside the
    /// token, and left out on the way out; needs an index key, see [`Keys`](crate::keys::Keys). All paths of the field
    /// must then end in one name, and its values are text.
    #[must_use]
    pub fn blind_index(mut self, index: BlindIndex) -> Self {
        self.index = Some(index);
        self
    }

    /// Checks values before they are encrypted: in documents, and in single values that are encrypted. Afterwards nobody
    /// can look at them. A field with a validation holds text or `null`.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::policy::Validation;
    /// use fieldseal::{Field, Tag};
    ///
    /// let name = Field::new("name", Tag::Name).validate(Validation::new().required().plain_text().max_length(100));
    /// ```
    #[must_use]
    pub fn validate(mut self, validation: Validation) -> Self {
        self.validation = Some(validation);
        self
    }

    /// Sets what is shown of a value where it is [`Shown::Masked`](super::Shown::Masked). Unless this is called, the tag
    /// decides.
    #[must_use]
    pub fn mask(mut self, mask: Mask) -> Self {
        self.mask = mask;
        self
    }

    /// Returns the name of the member that holds the blind index, where there is one.
    #[must_use]
    pub fn index_name(&self) -> Option<Cow<'_, str>> {
        let index = self.index.as_ref()?;
        Some(index.name.as_deref().map_or_else(|| BlindIndex::usual_name(&self.name).into(), Cow::from))
    }

    /// Returns the name that tokens of this field are bound to.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the tag.
    #[must_use]
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// Returns the paths as they were written.
    #[must_use]
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// The name as a message tells it, with the paths unless they say the same.
    pub(crate) fn told(&self) -> String {
        let Self { name, paths, .. } = self;
        if *paths == [Self::default_path(name)] {
            format!("`{name}`")
        } else {
            format!("`{name}` ({})", paths.join(", "))
        }
    }

    /// The path of a field that is given none.
    pub(super) fn default_path(name: &str) -> String {
        format!("$..['{}']", name.replace('\\', "\\\\").replace('\'', "\\'"))
    }

    pub(crate) fn validation(&self) -> Option<&Validation> {
        self.validation.as_ref()
    }

    pub(crate) fn masked(&self, text: &str) -> String {
        self.mask.apply(text)
    }

    pub(crate) fn index(&self) -> Option<&BlindIndex> {
        self.index.as_ref()
    }

    pub(crate) fn minimum(&self) -> usize {
        self.minimum
    }

    pub(crate) fn plaintext_until(&self) -> Option<Timestamp> {
        self.plaintext_until
    }

    pub(crate) fn is_null_if_unreadable(&self) -> bool {
        self.null_if_unreadable
    }

    pub(crate) fn encrypts_null(&self) -> bool {
        self.encrypt_null
    }

    /// Whether its values are neither checked nor looked up.
    pub(super) fn is_only_encrypted(&self) -> bool {
        self.validation.is_none() && self.index.is_none()
    }
}

/// A name and a tag are a field with nothing else to say.
impl<N: Into<String>> From<(N, Tag)> for Field {
    fn from((name, tag): (N, Tag)) -> Self {
        Self::new(name, tag)
    }
}
