//! Hardware security modules that speak PKCS #11.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error as ModuleError, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::{AuthPin, Ulong};
use zeroize::Zeroizing;

use crate::crypto::random;
use crate::error::Error;
use crate::keys::key_service::{KeyService, KeyServiceFuture};
use crate::keys::services::secret_of;
use crate::keys::wrap_context::WrapContext;
use crate::keys::wrapped_key::WrappedKey;
use crate::secret::SecretKey;

/// An AES key in a hardware security module that speaks PKCS #11.
///
/// A data key is wrapped by `C_Encrypt` with `CKM_AES_GCM` (PKCS #11 v3.0, section 2.13.2), a fresh nonce of 96 bits and
/// the [`WrapContext`] as additional authenticated data. (`C_WrapKey` takes no associated data with GCM in many
/// modules.) The key has to be an AES key of 256 bits with `CKA_ENCRYPT` and `CKA_DECRYPT`, best also `CKA_SENSITIVE` and
/// not `CKA_EXTRACTABLE`; its label has to be unique on its token.
///
/// ```sh
/// pkcs11-tool --module MODULE --token-label shop --login --keygen --key-type AES:32 --label spring --usage-decrypt
/// ```
///
/// Calls block, and go to the runtime's threads for that. One session is kept, and opened anew after a fault. Put
/// [`Resilient`](crate::keys::Resilient) around it.
///
/// # Example
///
/// ```no_run
/// use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
/// use cryptoki::types::AuthPin;
/// use fieldseal::keys::{KeyringFile, Keys, Pkcs11Kek, Resilient};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// // Once in a process, which several keys can share.
/// let module = Pkcs11::new("/usr/lib/softhsm/libsofthsm2.so")?;
/// module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
/// let pin = std::fs::read_to_string("/run/secrets/pin")?;
/// let service = Pkcs11Kek::new(module, "shop", "spring", AuthPin::from(pin.trim()));
/// let keys = Keys::open(KeyringFile::new("keyring.json"), Resilient::new(service)).await?;
/// # Ok(())
/// # }
/// ```
pub struct Pkcs11Kek {
    name: String,
    module: Arc<Module>,
}

struct Module {
    context: Pkcs11,
    token: String,
    label: String,
    pin: AuthPin,
    session: Mutex<Option<Session>>,
}

const VERSION: u8 = 1;
const NONCE_LENGTH: usize = 12;
const TAG_BITS: Ulong = Ulong::new(128);

impl Pkcs11Kek {
    /// Uses the AES key labelled `label` on the token labelled `token`. The key-encryption key's name in the keyring is
    /// `pkcs11:token=TOKEN;object=LABEL` (RFC 7512).
    #[must_use]
    pub fn new(context: Pkcs11, token: &str, label: &str, pin: AuthPin) -> Self {
        let name = format!("pkcs11:token={};object={}", percent_encoded(token), percent_encoded(label));
        let (token, label) = (token.to_owned(), label.to_owned());
        Self { name, module: Arc::new(Module { context, token, label, pin, session: Mutex::default() }) }
    }

    async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Session, ObjectHandle) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let module = Arc::clone(&self.module);
        let done = tokio::task::spawn_blocking(move || module.run(call)).await;
        done.map_err(|_| Error::key_service("a call to the module was broken off"))?
    }
}

/// What goes wrong in a call.
enum Fault {
    Module(ModuleError),
    Ours(Error),
}

impl From<ModuleError> for Fault {
    fn from(error: ModuleError) -> Self {
        Self::Module(error)
    }
}

impl Module {
    fn run<T>(&self, call: impl FnOnce(&Session, ObjectHandle) -> Result<T, Fault>) -> Result<T, Error> {
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let session = match held.take() {
            Some(session) => session,
            None => self.open().map_err(Fault::told)?,
        };
        let outcome = self.key(&session).and_then(|key| call(&session, key));
        // After a fault of the module the session may be gone.
        if !matches!(outcome, Err(Fault::Module(_))) {
            *held = Some(session);
        }
        outcome.map_err(Fault::told)
    }

    fn open(&self) -> Result<Session, Fault> {
        for slot in self.context.get_slots_with_token()? {
            if self.context.get_token_info(slot)?.label() != self.token {
                continue;
            }
            let session = self.context.open_rw_session(slot)?;
            return match session.login(UserType::User, Some(&self.pin)) {
                Ok(()) | Err(ModuleError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
                Err(error) => Err(error.into()),
            };
        }
        let cause = format!("the module has no token labelled `{}`", self.token);
        Err(Fault::Ours(Error::key_service_refusal(cause)))
    }

    fn key(&self, session: &Session) -> Result<ObjectHandle, Fault> {
        let wanted = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(self.label.as_bytes().to_vec()),
        ];
        match session.find_objects(&wanted)?[..] {
            [key] => Ok(key),
            ref keys => {
                let cause = format!(
                    "the token `{}` has {} AES keys labelled `{}`, and must have one",
                    self.token,
                    keys.len(),
                    self.label
                );
                Err(Fault::Ours(Error::key_service_refusal(cause)))
            }
        }
    }
}

impl Fault {
    /// What the module refuses for good is told from what may pass.
    fn told(self) -> Error {
        let error = match self {
            Self::Ours(error) => return error,
            Self::Module(error) => error,
        };
        let may_pass = match &error {
            ModuleError::Pkcs11(code, _) => matches!(
                code,
                RvError::DeviceError
                    | RvError::DeviceMemory
                    | RvError::FunctionFailed
                    | RvError::GeneralError
                    | RvError::HostMemory
                    | RvError::SessionClosed
                    | RvError::SessionHandleInvalid
                    | RvError::TokenNotPresent
                    | RvError::DeviceRemoved
                    | RvError::UserNotLoggedIn
            ),
            _ => false,
        };
        let cause = format!("PKCS #11: {error}");
        if may_pass { Error::key_service(cause) } else { Error::key_service_refusal(cause) }
    }
}

fn cipher<'a>(nonce: &'a mut [u8], associated_data: &'a [u8]) -> Result<Mechanism<'a>, Fault> {
    Ok(Mechanism::AesGcm(GcmParams::new(nonce, associated_data, TAG_BITS)?))
}

impl KeyService for Pkcs11Kek {
    fn name(&self) -> &str {
        &self.name
    }

    fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
        let (key, context) = (SecretKey::from_bytes(key.expose_secret()), context.to_bytes());
        Box::pin(self.run(move |session, kek| {
            let mut nonce = [0; NONCE_LENGTH];
            random::fill(&mut nonce).map_err(Fault::Ours)?;
            let mut used = nonce;
            let sealed = session.encrypt(&cipher(&mut used, &context)?, kek, key.expose_secret())?;
            if used != nonce {
                let cause = "the module chose a nonce of its own, which cannot be kept with the key";
                return Err(Fault::Ours(Error::key_service_refusal(cause)));
            }
            Ok([&[VERSION][..], &nonce, &sealed].concat().into())
        }))
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
        let (wrapped, context) = (wrapped.as_bytes().to_vec(), context.to_bytes());
        Box::pin(self.run(move |session, kek| {
            let parts = wrapped.split_first().and_then(|(version, rest)| {
                let (nonce, sealed) = rest.split_first_chunk::<NONCE_LENGTH>()?;
                (*version == VERSION).then_some((*nonce, sealed))
            });
            let foreign = || Error::key_service_refusal("what is to be unwrapped was not wrapped by a module");
            let (mut nonce, sealed) = parts.ok_or_else(|| Fault::Ours(foreign()))?;
            let key = Zeroizing::new(session.decrypt(&cipher(&mut nonce, &context)?, kek, sealed)?);
            secret_of(&key).map_err(Fault::Ours)
        }))
    }

    /// Destroys the key object. Copies that the module's own backup holds are the operator's to destroy.
    fn destroy(&self) -> KeyServiceFuture<'_, String> {
        Box::pin(async move {
            self.run(|session, kek| Ok(session.destroy_object(kek)?)).await?;
            Ok(format!("{} was destroyed", self.name))
        })
    }
}

/// RFC 7512, section 2.3, as far as a label needs it.
fn percent_encoded(label: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    label.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

impl fmt::Debug for Pkcs11Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Kek").field("name", &self.name).finish_non_exhaustive()
    }
}
