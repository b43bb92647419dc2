//! A key-encryption key without a key service.

use std::env;
use std::fmt;
use std::path::Path;

use base64_simd::{AsOut as _, STANDARD, URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::key_service::{KeyService, KeyServiceFuture};
use super::private_file;
use super::wrap_context::WrapContext;
use super::wrapped_key::WrappedKey;
use crate::crypto::key_wrap;
use crate::crypto::xaes::{KEY_LENGTH, Xaes256Gcm};
use crate::error::{Error, ErrorKind};
use crate::secret::{DERIVATION, SecretKey, on_clean_stack};

/// A key-encryption key that this process holds itself.
///
/// For development, and for places without a key service where the file or variable comes from a secret store. Whoever
/// reads it and the keyring can read everything, so keep it away from the database, the keyring and their backups.
///
/// Its text form is 32 bytes as base64 with padding, as `openssl rand -base64 32` prints them, or as base64url without
/// padding; one line end may follow. Keys are wrapped with XAES-256-GCM (C2SP) under a fresh random nonce.
///
/// # Example
///
/// ```
/// use fieldseal::keys::{KeyService, LocalKek, SecretKey};
///
/// let kek = LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
/// assert_eq!(kek.name(), "local:0db05f1077747a36");
/// ```
pub struct LocalKek {
    name: String,
    cipher: Box<Xaes256Gcm>,
}

impl LocalKek {
    /// Derives the working key from `secret` with HKDF-SHA-256 (RFC 5869), and from it a public fingerprint, which is
    /// the [name](KeyService::name).
    #[must_use]
    pub fn new(secret: &SecretKey) -> Self {
        on_clean_stack::<DERIVATION, _>(|| Self::derived_from(secret))
    }

    fn derived_from(secret: &SecretKey) -> Self {
        let derivation = Hkdf::<Sha256>::new(Some(b"fieldseal/v1/local-kek"), secret.expose_secret());
        let fingerprint = expand(&derivation, "fieldseal/v1/local-kek-fingerprint");
        Self {
            name: format!("local:{:016x}", u64::from_be_bytes(*fingerprint)),
            cipher: Box::new(Xaes256Gcm::new(&expand(&derivation, "fieldseal/v1/wrap-data-key"))),
        }
    }

    /// Reads the key from the file at `path`, which must be a regular file that its group and others may not touch.
    ///
    /// On systems other than Unix the permissions cannot be checked: see to them there. Reads with blocking calls.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`], and the message names the path and never the content; nor the path where there is no such
    /// file and it may be the key itself.
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::keys::{KeyService, LocalKek};
    ///
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("kek");
    /// let created = LocalKek::create_file(&path)?;
    /// assert_eq!(LocalKek::from_file(&path)?.name(), created.name());
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        if !path.exists() && may_be_key(&path.to_string_lossy()) {
            return Err(misplaced("the path of a file"));
        }
        let text = private_file::read(path, FILE, LONGEST_TEXT)?;
        Self::from_text(&text, || format!("the {FILE} `{}`", path.display()))
    }

    /// Reads the key from the environment variable `variable`.
    ///
    /// An environment is inherited by child processes, and other processes of the same user can read it, so prefer a
    /// file. What is read here is overwritten; the environment itself is not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`], and the message names the variable and never its content; nor the variable where it is not
    /// set and may be the key itself.
    pub fn from_env(variable: &str) -> Result<Self, Error> {
        let Some(text) = env::var_os(variable) else {
            if may_be_key(variable) {
                return Err(misplaced("the name of an environment variable"));
            }
            let message = format!("the environment variable `{variable}` is not set: it holds the key-encryption key");
            return Err(Error::new(ErrorKind::Keyring, message));
        };
        let text = Zeroizing::new(text.into_encoded_bytes());
        Self::from_text(&text, || format!("the environment variable `{variable}`"))
    }

    /// Draws a new key from the operating system's generator and writes it to a new file at `path`, which on Unix only
    /// its owner may read (mode 0600). Returns when it is on the disk.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`] where the file exists already, which is never overwritten, or cannot be written;
    /// [`ErrorKind::Randomness`].
    pub fn create_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        if decode(path.as_ref().as_os_str().as_encoded_bytes()).is_some() {
            return Err(misplaced("the path of a file"));
        }
        let secret = SecretKey::generate()?;
        private_file::create(path.as_ref(), FILE, &encode(&secret)[..])?;
        Ok(Self::new(&secret))
    }

    fn from_text(text: &[u8], place: impl Fn() -> String) -> Result<Self, Error> {
        let refuse = |fault: &str| {
            let advice = "`openssl rand -base64 32` makes a key";
            Err(Error::new(ErrorKind::Keyring, format!("{} {fault}: {advice}", place())))
        };
        let Some(secret) = on_clean_stack::<DERIVATION, _>(|| decode(text)) else {
            return refuse("does not hold a key-encryption key, which is 32 bytes in base64");
        };
        if secret.is_placeholder() {
            return refuse("holds a placeholder instead of a key, and no random bytes");
        }
        Ok(Self::new(&secret))
    }

    fn seal(&self, key: &SecretKey, context: &WrapContext) -> Result<WrappedKey, Error> {
        let sealed = key_wrap::wrap(&self.cipher, key, &associated_data(context))?;
        Ok([&[VERSION], &sealed[..]].concat().into())
    }

    fn open(&self, wrapped: &WrappedKey, context: &WrapContext) -> Result<SecretKey, Error> {
        let sealed = wrapped.as_bytes().strip_prefix(&[VERSION]).and_then(|sealed| sealed.try_into().ok());
        let sealed = sealed.ok_or_else(|| {
            let cause = format!("what is to be unwrapped as {context} was not wrapped by a local key-encryption key");
            Error::key_service(cause)
        })?;
        key_wrap::unwrap(&self.cipher, sealed, &associated_data(context)).map_err(|_| {
            Error::key_service(format!(
                "`{}` does not open what stands in place of {context}: it was changed, or wrapped for another place",
                self.name
            ))
        })
    }
}

impl KeyService for LocalKek {
    fn name(&self) -> &str {
        &self.name
    }

    fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
        Box::pin(async { self.seal(key, context) })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
        Box::pin(async { self.open(wrapped, context) })
    }
}

impl fmt::Debug for LocalKek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalKek({})", self.name)
    }
}

fn expand<const LENGTH: usize>(derivation: &Hkdf<Sha256>, label: &str) -> Zeroizing<[u8; LENGTH]> {
    let mut key = Zeroizing::new([0; LENGTH]);
    derivation.expand(label.as_bytes(), &mut key[..]).expect("32 bytes at most are within HKDF-SHA-256's 8,160");
    key
}

fn associated_data(context: &WrapContext) -> Vec<u8> {
    [b"fieldseal/v1/wrap\0", &context.to_bytes()[..]].concat()
}

/// Writes the text form of a key, a line.
fn encode(secret: &SecretKey) -> Zeroizing<[u8; ENCODED_LENGTH + 1]> {
    let mut text = Zeroizing::new([b'\n'; ENCODED_LENGTH + 1]);
    let _ = STANDARD.encode(secret.expose_secret(), text[..ENCODED_LENGTH].as_out());
    text
}

/// Reads the text form of a key.
fn decode(text: &[u8]) -> Option<SecretKey> {
    let line = text.strip_suffix(b"\n").map_or(text, |line| line.strip_suffix(b"\r").unwrap_or(line));
    let alphabet = match line.len() {
        ENCODED_LENGTH => STANDARD,
        UNPADDED_LENGTH => URL_SAFE_NO_PAD,
        _ => return None,
    };
    // A byte more than a key has: as many as the padded form would hold without its padding.
    let mut bytes = Zeroizing::new([0; KEY_LENGTH + 1]);
    let key = alphabet.decode(line, bytes[..].as_out()).ok()?;
    <&[u8; KEY_LENGTH]>::try_from(&*key).ok().map(SecretKey::from_bytes)
}

/// Returns whether `text` has a part that may be a secret: so many characters of base64 or hexadecimal digits in a row.
fn may_be_key(text: &str) -> bool {
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || "+/=-_".contains(c);
    text.split(|c| !is_of_key(c)).any(|run| run.len() >= KEY_LENGTH)
}

/// What is found in the place of `what` is not repeated.
fn misplaced(what: &str) -> Error {
    let message =
        format!("{what} is expected where there is what names none: it may be the key itself, so it is not shown");
    Error::new(ErrorKind::Keyring, message)
}

const FILE: &str = "key-encryption key file";
/// 32 bytes as base64 with padding.
const ENCODED_LENGTH: usize = 44;
/// 32 bytes as base64url without padding.
const UNPADDED_LENGTH: usize = 43;
const LONGEST_TEXT: usize = ENCODED_LENGTH + 2;
/// The form of what this wraps: version, then nonce, ciphertext, tag.
const VERSION: u8 = 0x01;

#[cfg(test)]
#[expect(clippy::format_collect, reason = "a test may be slow")]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn kek() -> LocalKek {
        LocalKek::new(&SecretKey::from_bytes(&[7; 32]))
    }

    fn context() -> WrapContext {
        WrapContext::data_key("customers", "0123456789abcdef".parse().unwrap()).unwrap()
    }

    #[test]
    fn a_wrapped_key_opens_in_its_context_only_and_never_looks_the_same_twice() {
        let (kek, key) = (kek(), SecretKey::from_bytes(&[9; 32]));
        let [wrapped, again] = [(); 2].map(|()| kek.seal(&key, &context()).unwrap());
        assert_ne!(wrapped.as_bytes()[1..13], again.as_bytes()[1..13]);
        assert_ne!(wrapped.as_bytes()[13..25], again.as_bytes()[13..25]);
        assert_eq!(kek.open(&wrapped, &context()).unwrap().expose_secret(), key.expose_secret());
        for other in [
            WrapContext::data_key("customer", "0123456789abcdef".parse().unwrap()),
            WrapContext::data_key("customers", "0123456789abcdee".parse().unwrap()),
            WrapContext::keyring_authentication("customers"),
        ] {
            assert_eq!(kek.open(&wrapped, &other.unwrap()).unwrap_err().kind(), ErrorKind::KeyService);
        }
        assert!(LocalKek::new(&key).open(&wrapped, &context()).is_err());
    }

    #[test]
    fn no_single_bit_of_a_wrapped_key_can_change() {
        let kek = kek();
        let wrapped = kek.seal(&SecretKey::from_bytes(&[9; 32]), &context()).unwrap();
        let length = wrapped.as_bytes().len();
        for bit in 0..length * 8 {
            let mut changed = wrapped.as_bytes().to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(kek.open(&changed.into(), &context()).is_err(), "bit {bit}");
        }
        for length in 0..length {
            assert!(kek.open(&wrapped.as_bytes()[..length].to_vec().into(), &context()).is_err());
        }
        assert!(kek.open(&[wrapped.as_bytes(), &[0]].concat().into(), &context()).is_err());
    }

    /// The vector was made by an implementation of its own, in Python.
    #[test]
    fn opens_the_frozen_vector() {
        let vector =
            "AQABAgMEBQYHCAkKCwwNDg8QERITFBUWF+DRkU80mU/g1LLY4H7gVvV32VmjqDxz8zLGp0KiXQRnn2iM4JFObOzLmYQ2kCoIyA==";
        let wrapped = STANDARD.decode_to_vec(vector).unwrap().into();
        assert_eq!(kek().open(&wrapped, &context()).unwrap().expose_secret(), &[9; 32]);
    }

    #[test]
    fn a_key_in_the_place_of_its_name_is_not_repeated() {
        let key = STANDARD.encode_to_string([0xfb; 32]);
        for key in [key.clone(), key.replace(['+', '/'], "A"), format!("./{key}"), "0f".repeat(32)] {
            let errors = [LocalKek::from_file(&key).unwrap_err(), LocalKek::from_env(&key).unwrap_err()];
            for error in errors {
                assert!(!error.to_string().contains(&key[2..]) && error.source().is_none(), "{error}");
            }
        }
        assert!(!LocalKek::create_file(&key).unwrap_err().to_string().contains(&key));
        assert!(LocalKek::from_file("no/such/kek").unwrap_err().to_string().contains("no/such/kek"));
        assert!(LocalKek::from_env("NO_SUCH_KEK").unwrap_err().to_string().contains("NO_SUCH_KEK"));
    }

    #[test]
    fn both_text_forms_are_read_and_no_other() {
        let bytes: [u8; 32] = std::array::from_fn(|index| 0xfb ^ u8::try_from(index).unwrap());
        let (padded, url) = (STANDARD.encode_to_string(bytes), URL_SAFE_NO_PAD.encode_to_string(bytes));
        assert!(padded.contains(['+', '/']) && url.contains(['-', '_']));
        for good in [padded.clone(), format!("{padded}\n"), format!("{padded}\r\n"), url.clone(), format!("{url}\n")] {
            assert_eq!(decode(good.as_bytes()).unwrap().expose_secret(), &bytes, "{good:?}");
        }
        for bad in [
            String::new(),
            "\n".to_owned(),
            format!("{padded}\n\n"),
            format!("{padded}\r"),
            format!(" {padded}"),
            padded.trim_end_matches('=').to_owned(),
            format!("{url}="),
            padded.replace(['+', '/'], "_"),
            url.replace(['-', '_'], "/"),
            STANDARD.encode_to_string(&bytes[..31]),
            STANDARD.encode_to_string([bytes, bytes].concat()),
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            format!("{}B", &url[..42]),
        ] {
            assert!(decode(bad.as_bytes()).is_none(), "{bad:?}");
        }
    }
}
