//! The Transit engine of HashiCorp Vault and of OpenBao.

use std::fmt;

use base64_simd::STANDARD;
use reqwest::header::HeaderValue;
use reqwest::redirect;
use reqwest::{Client, ClientBuilder, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::keys::key_service::{KeyService, KeyServiceFuture};
use crate::keys::services::secret_of;
use crate::keys::wrap_context::WrapContext;
use crate::keys::wrapped_key::WrappedKey;
use crate::secret::SecretKey;

/// A key in the Transit engine of HashiCorp Vault or OpenBao.
///
/// The key has to be made with `derived=true`: Transit then derives a key for each [`WrapContext`], so that what was
/// wrapped for one does not open for another, and its `rewrap` works. For a key that is not derived, Transit takes a
/// context and ignores it; wrapping finds that out, and fails. The token needs `update` on `encrypt/KEY` and
/// `decrypt/KEY`; without `create`, a misspelt key is refused instead of made.
///
/// ```sh
/// bao write transit/keys/customers-spring derived=true
/// ```
///
/// After `bao write -f transit/keys/KEY/rotate`, [`Keyring::rewrap`](crate::keys::Keyring::rewrap) from this service to
/// itself wraps under the new version. Put [`Resilient`](crate::keys::Resilient) around it.
///
/// # Example
///
/// ```no_run
/// use fieldseal::keys::{KeyringFile, Keys, Resilient, VaultTransit};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let token = std::fs::read_to_string("/run/secrets/vault-token")?;
/// let service = VaultTransit::new(reqwest::Client::builder(), "https://vault.internal:8200", token.trim(), "customers-spring")?;
/// let keys = Keys::open(KeyringFile::new("keyring.json"), Resilient::new(service)).await?;
/// # Ok(())
/// # }
/// ```
pub struct VaultTransit {
    client: Client,
    address: Url,
    token: HeaderValue,
    namespace: Option<HeaderValue>,
    mount: String,
    key: String,
    name: String,
}

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

impl VaultTransit {
    /// Uses the key called `key` in the engine mounted at `transit`, at a server whose `address` begins with `https`, or
    /// with `http` on this machine. `client` knows the certificates; redirections are not followed, whatever it says,
    /// since the token would be sent along. The key-encryption key's name in the keyring is `vault:transit/KEY`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyService`] where address, token or key cannot be used.
    pub fn new(client: ClientBuilder, address: &str, token: &str, key: &str) -> Result<Self, Error> {
        let unusable = |what: &str| Error::new(ErrorKind::KeyService, format!("the {what} of Vault cannot be used"));
        let address = Url::parse(address).map_err(|_| unusable("address"))?;
        let is_near = matches!(address.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        if !(address.scheme() == "https" || (address.scheme() == "http" && is_near)) {
            let message =
                "the address of Vault is neither https nor on this machine: token and keys would travel openly";
            return Err(Error::new(ErrorKind::KeyService, message));
        }
        let mut token = HeaderValue::from_str(token).map_err(|_| unusable("token"))?;
        token.set_sensitive(true);
        let (mount, name) = ("transit".to_owned(), format!("vault:transit/{key}"));
        if key.is_empty() || key.contains(['/', '?', '#', '%']) || key.chars().any(|c| c.is_control() || c == ' ') {
            return Err(unusable("name of the key"));
        }
        let client = client.redirect(redirect::Policy::none()).build().map_err(Error::key_service)?;
        Ok(Self { client, address, token, namespace: None, mount, key: key.to_owned(), name })
    }

    /// Uses the engine mounted at `mount`, which is `transit` unless set. It becomes a part of the name.
    #[must_use]
    pub fn mount(self, mount: &str) -> Self {
        let mount = mount.trim_matches('/').to_owned();
        Self { name: format!("vault:{mount}/{}", self.key), mount, ..self }
    }

    /// Works in `namespace`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyService`] where no namespace can be called so.
    pub fn namespace(self, namespace: &str) -> Result<Self, Error> {
        let namespace = HeaderValue::from_str(namespace)
            .map_err(|_| Error::new(ErrorKind::KeyService, "the namespace of Vault cannot be used"))?;
        Ok(Self { namespace: Some(namespace), ..self })
    }

    async fn call(&self, method: reqwest::Method, action: &str, body: Option<&Value>) -> Result<Answer, Error> {
        let mut url = self.address.clone();
        url.path_segments_mut()
            .map_err(|()| Error::key_service_refusal("the address of Vault has no path"))?
            .pop_if_empty()
            .push("v1")
            .extend(self.mount.split('/'))
            .extend(action.split('/'));
        let mut request = self.client.request(method, url).header("x-vault-token", self.token.clone());
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace.clone());
        }
        if let Some(body) = body {
            let body = serde_json::to_vec(body).expect("texts can be written as JSON");
            request = request.header("content-type", "application/json").body(body);
        }
        // Its address is in the message of an error; token and body are not.
        let mut response = request.send().await.map_err(Error::key_service)?;
        let status = response.status();
        let mut text = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(Error::key_service)? {
            if text.len() + chunk.len() > LONGEST_ANSWER {
                return Err(Error::key_service_refusal("Vault answered with more than 64 KiB"));
            }
            text.extend_from_slice(&chunk);
        }
        if status == StatusCode::NO_CONTENT {
            return Ok(Answer::default());
        }
        let answer: Result<Answer, _> = serde_json::from_slice(&text);
        if status.is_success() {
            let garbage = |_| Error::key_service_refusal("what answered is not Vault: it sent no JSON of Transit's");
            return answer.map_err(garbage);
        }
        let reasons = answer.map(|answer| answer.errors.join("; ")).unwrap_or_default();
        let cause = format!("Vault answered {status}: {reasons}");
        let may_pass = status.is_server_error() || matches!(status.as_u16(), 408 | 412 | 429);
        Err(if may_pass { Error::key_service(cause) } else { Error::key_service_refusal(cause) })
    }

    async fn post(&self, action: &str, body: &Value) -> Result<Data, Error> {
        let answer = self.call(reqwest::Method::POST, &format!("{action}/{}", self.key), Some(body)).await?;
        answer.data.ok_or_else(|| Error::key_service_refusal("Vault answered without data"))
    }

    async fn decrypt(&self, wrapped: &str, context: &[u8]) -> Result<SecretKey, Error> {
        let body = json!({ "ciphertext": wrapped, "context": STANDARD.encode_to_string(context) });
        let data = self.post("decrypt", &body).await?;
        let plaintext = Zeroizing::new(data.plaintext.unwrap_or_default());
        let plaintext = STANDARD.decode_to_vec(plaintext.as_bytes()).map(Zeroizing::new);
        secret_of(&plaintext.map_err(|_| Error::key_service_refusal("Vault answered with what is not base64"))?)
    }
}

#[derive(Default, Deserialize)]
struct Answer {
    data: Option<Data>,
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    ciphertext: Option<String>,
    plaintext: Option<String>,
}

impl KeyService for VaultTransit {
    fn name(&self) -> &str {
        &self.name
    }

    fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
        Box::pin(async move {
            let plaintext = Zeroizing::new(STANDARD.encode_to_string(key.expose_secret()));
            let body = json!({ "plaintext": &*plaintext, "context": STANDARD.encode_to_string(context.to_bytes()) });
            let wrapped = self.post("encrypt", &body).await;
            if let Value::Object(mut members) = body
                && let Some(Value::String(plaintext)) = members.remove("plaintext")
            {
                drop(Zeroizing::new(plaintext));
            }
            let nothing = || Error::key_service_refusal("Vault returned no ciphertext");
            let wrapped = wrapped?.ciphertext.ok_or_else(nothing)?;
            let other = [&context.to_bytes()[..], b"another context"].concat();
            if self.decrypt(&wrapped, &other).await.is_ok() {
                let message = format!(
                    "the key `{}` ignores what its messages are bound to: make one with `derived=true`",
                    self.name
                );
                return Err(Error::key_service_refusal(message));
            }
            Ok(wrapped.into_bytes().into())
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
        Box::pin(async move {
            let wrapped = str::from_utf8(wrapped.as_bytes())
                .map_err(|_| Error::key_service_refusal("what is to be unwrapped was not wrapped by Vault"))?;
            self.decrypt(wrapped, &context.to_bytes()).await
        })
    }

    /// Allows the deletion of the key, and deletes it with all its versions.
    fn destroy(&self) -> KeyServiceFuture<'_, String> {
        Box::pin(async move {
            let keys = format!("keys/{}", self.key);
            let body = json!({ "deletion_allowed": true });
            self.call(reqwest::Method::POST, &format!("{keys}/config"), Some(&body)).await?;
            self.call(reqwest::Method::DELETE, &keys, None).await?;
            Ok(format!("{} was deleted", self.name))
        })
    }
}

impl fmt::Debug for VaultTransit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultTransit").field("name", &self.name).finish_non_exhaustive()
    }
}
