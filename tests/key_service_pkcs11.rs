//! Proves that a module of PKCS #11 holds a key-encryption key, with SoftHSM 2. What hardware promises, such as that a
//! key never leaves it, software cannot show.
#![cfg(feature = "pkcs11")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/key_service_cases.rs"]
#[expect(dead_code, reason = "there is no line that could be cut")]
mod cases;

use std::env;
use std::sync::{Arc, LazyLock};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use fieldseal::keys::{KeyService, Keyring, Pkcs11Kek, Resilient, SecretKey, WrapContext};
use tokio::sync::Mutex;

const TOKEN: &str = "fieldseal";
const PIN: &str = "12345678";

static MODULE: LazyLock<Pkcs11> = LazyLock::new(|| {
    let path = env::var("FIELDSEAL_TEST_PKCS11").expect("scripts/test sets FIELDSEAL_TEST_PKCS11 and SOFTHSM2_CONF");
    let module = Pkcs11::new(path).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    module
});

fn labelled(label: &str, pin: &str) -> Arc<Pkcs11Kek> {
    Arc::new(Pkcs11Kek::new(MODULE.clone(), TOKEN, label, AuthPin::from(pin)))
}

/// Held by each test: of two that use SoftHSM at once, it fails one now and then.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A new key.
fn make(label: &str) {
    let slot = MODULE.get_slots_with_token().unwrap();
    let slot = slot.into_iter().find(|slot| MODULE.get_token_info(*slot).unwrap().label() == TOKEN).unwrap();
    let session = MODULE.open_rw_session(slot).unwrap();
    // Another test may have logged in.
    let _ = session.login(UserType::User, Some(&AuthPin::from(PIN)));
    let template = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::ValueLen(32.into()),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
}

fn kek() -> Arc<Pkcs11Kek> {
    let label =
        format!("{:016x}", u64::from_be_bytes(SecretKey::generate().unwrap().expose_secret()[..8].try_into().unwrap()));
    make(&label);
    labelled(&label, PIN)
}

#[tokio::test]
#[ignore = "needs SoftHSM: scripts/test"]
async fn a_wrapped_key_is_bound_to_its_context() {
    let _guard = ONE_AT_A_TIME.lock().await;
    cases::is_bound_to_its_context(&kek(), &kek()).await;
}

#[tokio::test]
#[ignore = "needs SoftHSM: scripts/test"]
async fn a_keyring_lives_under_it() {
    let _guard = ONE_AT_A_TIME.lock().await;
    cases::holds_a_keyring(&kek()).await;
}

#[tokio::test]
#[ignore = "needs SoftHSM: scripts/test"]
async fn another_key_takes_over_without_a_change_to_any_token() {
    let _guard = ONE_AT_A_TIME.lock().await;
    cases::hands_over(kek(), kek()).await;
}

#[tokio::test]
#[ignore = "needs SoftHSM: scripts/test"]
async fn a_stolen_keyring_opens_nothing_of_a_shredded_epoch() {
    let _guard = ONE_AT_A_TIME.lock().await;
    cases::an_epoch_dies(kek(), kek(), async || {}).await;
}

#[tokio::test]
#[ignore = "needs SoftHSM: scripts/test"]
async fn what_cannot_be_used_is_told() {
    let _guard = ONE_AT_A_TIME.lock().await;
    let cause = async |kek: &Pkcs11Kek| {
        let error = Keyring::create("customers", kek).await.unwrap_err();
        std::error::Error::source(&error).and_then(std::error::Error::source).unwrap().to_string()
    };
    let kek = labelled("no such key", PIN);
    assert!(!format!("{kek:?} {kek:#?}").contains(PIN));
    let missing = cause(&kek).await;
    assert!(missing.contains("has 0 AES keys labelled `no such key`"), "{missing}");
    let elsewhere = Pkcs11Kek::new(MODULE.clone(), "no such token", "spring", AuthPin::from(PIN));
    assert!(cause(&elsewhere).await.contains("no token labelled `no such token`"));
    assert_eq!(elsewhere.name(), "pkcs11:token=no%20such%20token;object=spring");
    make("twice");
    make("twice");
    assert!(cause(&labelled("twice", PIN)).await.contains("labelled `twice`, and must have one"));
}

#[tokio::test]
#[ignore = "needs SoftHSM: scripts/test"]
async fn a_session_that_the_module_has_lost_is_opened_again() {
    let _guard = ONE_AT_A_TIME.lock().await;
    let context = WrapContext::keyring_authentication("customers").unwrap();
    let secret = SecretKey::generate().unwrap();
    let elsewhere = WrapContext::keyring_authentication("other").unwrap();
    let kek = Resilient::new(kek()).attempts(2);
    for fails_before in [false, true] {
        let wrapped = kek.wrap(&secret, &context).await.unwrap();
        if fails_before {
            assert!(kek.unwrap(&wrapped, &elsewhere).await.is_err());
        }
        MODULE.clone().finalize().unwrap();
        MODULE.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        kek.wrap(&secret, &context).await.unwrap();
    }
}
