//! Opens the key-encryption keys that the options name.

#[cfg(feature = "vault")]
use std::env;

use fieldseal::keys::{KeyService, LocalKek};

use crate::failure::Failure;

/// What stands before the colon, what may stand behind it, and the feature that brings it.
const KINDS: [(&str, &str, bool); 6] = [
    ("file", "file:PATH", true),
    ("env", "env:VARIABLE", true),
    ("aws-kms", "aws-kms:ARN", cfg!(feature = "aws-kms")),
    ("gcp-kms", "gcp-kms:RESOURCE", cfg!(feature = "gcp-kms")),
    ("pkcs11", PKCS11, cfg!(feature = "pkcs11")),
    ("vault", "vault:MOUNT/KEY", cfg!(feature = "vault")),
];

const PKCS11: &str = "pkcs11:token=TOKEN;object=LABEL?module-path=PATH&pin-source=file:PATH";

/// Opens the key-encryption key that `spec` names.
#[cfg_attr(
    not(any(feature = "aws-kms", feature = "gcp-kms")),
    expect(clippy::unused_async, reason = "what some features bring has to be waited for")
)]
pub(crate) async fn open(spec: &str) -> Result<Box<dyn KeyService>, Failure> {
    let (kind, rest) = spec.split_once(':').unwrap_or((spec, ""));
    match kind {
        "file" => Ok(Box::new(LocalKek::from_file(rest)?)),
        "env" => Ok(Box::new(LocalKek::from_env(rest)?)),
        #[cfg(feature = "aws-kms")]
        "aws-kms" => patient(fieldseal::keys::AwsKms::from_env(rest).await),
        #[cfg(feature = "gcp-kms")]
        "gcp-kms" => gcp_kms(rest).await,
        #[cfg(feature = "pkcs11")]
        "pkcs11" => pkcs11(rest),
        #[cfg(feature = "vault")]
        "vault" => vault(rest),
        _ => Err(unknown(kind)),
    }
}

/// What was given is not repeated, for it may be the key itself.
fn unknown(kind: &str) -> Failure {
    if let Some((kind, ..)) = KINDS.iter().find(|(name, ..)| *name == kind) {
        return Failure::Usage(format!("this program was built without `{kind}`: build it with that feature"));
    }
    let forms: Vec<_> = KINDS.iter().filter(|(.., is_there)| *is_there).map(|(_, form, _)| *form).collect();
    let forms = forms.join(", ");
    Failure::Usage(format!("a key-encryption key is named as one of {forms}, and never given on the command line"))
}

/// The path of the file that `spec` names.
pub(crate) fn file_of(spec: Option<&String>) -> Result<&str, Failure> {
    let path = spec.and_then(|spec| spec.strip_prefix("file:"));
    path.ok_or_else(|| Failure::Usage("--create-kek makes a file: give --kek file:PATH".to_owned()))
}

#[cfg(feature = "key-service")]
#[expect(clippy::unnecessary_wraps, reason = "what each arm returns")]
fn patient(service: impl KeyService + 'static) -> Result<Box<dyn KeyService>, Failure> {
    Ok(Box::new(fieldseal::keys::Resilient::new(service)))
}

#[cfg(feature = "gcp-kms")]
async fn gcp_kms(resource: &str) -> Result<Box<dyn KeyService>, Failure> {
    let client = google_cloud_kms_v1::client::KeyManagementService::builder().build().await;
    let client = client.map_err(|error| Failure::Failed(format!("Google Cloud KMS cannot be used: {error}")))?;
    patient(fieldseal::keys::GcpKms::new(client, resource))
}

/// Address and token come from where Vault's own program takes them.
#[cfg(feature = "vault")]
fn vault(place: &str) -> Result<Box<dyn KeyService>, Failure> {
    let variable = |names: [&str; 2]| {
        let missing =
            || Failure::Usage(format!("`vault:` needs the environment variable {} or {}", names[0], names[1]));
        names.iter().find_map(|name| env::var(name).ok()).ok_or_else(missing)
    };
    let usage =
        || Failure::Usage("a key in Vault is named as vault:MOUNT/KEY, such as vault:transit/spring".to_owned());
    let (mount, key) = place.rsplit_once('/').ok_or_else(usage)?;
    let (address, token) = (variable(["VAULT_ADDR", "BAO_ADDR"])?, variable(["VAULT_TOKEN", "BAO_TOKEN"])?);
    let service =
        fieldseal::keys::VaultTransit::new(reqwest::Client::builder(), &address, token.trim(), key)?.mount(mount);
    patient(match env::var("VAULT_NAMESPACE") {
        Ok(namespace) => service.namespace(&namespace)?,
        Err(_) => service,
    })
}

/// A URI of RFC 7512, with the PIN in a file.
#[cfg(feature = "pkcs11")]
fn pkcs11(rest: &str) -> Result<Box<dyn KeyService>, Failure> {
    use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};

    let usage = || Failure::Usage(format!("a key in a module is named as {PKCS11}"));
    let part = |name: &str| {
        let part = rest.split([';', '?', '&']).find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        part.and_then(decoded).ok_or_else(usage)
    };
    let (token, object, module, source) = (part("token")?, part("object")?, part("module-path")?, part("pin-source")?);
    let source = source.strip_prefix("file:").ok_or_else(usage)?;
    let unreadable = |error| Failure::Failed(format!("the file of the PIN cannot be read: {error}"));
    let pin = zeroize::Zeroizing::new(std::fs::read_to_string(source).map_err(unreadable)?);
    let unusable = |error| Failure::Failed(format!("the module `{module}` cannot be used: {error}"));
    let context = Pkcs11::new(&module).map_err(unusable)?;
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // By another key of the same module.
        Ok(()) | Err(cryptoki::error::Error::Pkcs11(cryptoki::error::RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(unusable(error)),
    }
    patient(fieldseal::keys::Pkcs11Kek::new(context, &token, &object, pin.trim().into()))
}

/// Undoes percent-encoding (RFC 3986, section 2.1).
#[cfg(feature = "pkcs11")]
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        if *first == b'%' {
            let digits = str::from_utf8(others.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &others[2..];
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    String::from_utf8(bytes).ok()
}
