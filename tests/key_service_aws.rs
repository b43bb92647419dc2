//! Proves that AWS KMS holds a key-encryption key, against a server of moto.
//!
//! Moto is no KMS: it authenticates ciphertext and encryption context, but a key that is disabled or waits for its
//! deletion goes on working there, and permissions, quotas and what the hardware promises are not shown by it.
#![cfg(feature = "aws-kms")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/key_service_cases.rs"]
mod cases;

use std::env;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::types::KeyState;
use cases::{Line, Proxy};
use fieldseal::ErrorKind;
use fieldseal::keys::{AwsKms, KeyService, Keyring};

const THROTTLED: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.1\r\n\
                         x-amzn-errortype: ThrottlingException\r\ncontent-length: 32\r\nconnection: close\r\n\r\n\
                         {\"__type\":\"ThrottlingException\"}";

const DENIED: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.1\r\n\
                      x-amzn-errortype: AccessDeniedException\r\ncontent-length: 34\r\nconnection: close\r\n\r\n\
                      {\"__type\":\"AccessDeniedException\"}";

fn address() -> String {
    env::var("FIELDSEAL_TEST_AWS_KMS").expect("scripts/test sets FIELDSEAL_TEST_AWS_KMS")
}

fn client(address: &str) -> Client {
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("ap-southeast-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(address)
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

/// A new key.
async fn kek() -> Arc<AwsKms> {
    let client = client(&address());
    let key = client.create_key().send().await.unwrap().key_metadata.unwrap();
    Arc::new(AwsKms::new(client, key.arn.unwrap()).days_until_deletion(7))
}

#[tokio::test]
#[ignore = "needs moto: scripts/test"]
async fn a_wrapped_key_is_bound_to_its_context() {
    cases::is_bound_to_its_context(&kek().await, &kek().await).await;
}

#[tokio::test]
#[ignore = "needs moto: scripts/test"]
async fn a_keyring_lives_under_it() {
    cases::holds_a_keyring(&kek().await).await;
}

#[tokio::test]
#[ignore = "needs moto: scripts/test"]
async fn another_key_takes_over_without_a_change_to_any_token() {
    cases::hands_over(kek().await, kek().await).await;
}

#[tokio::test]
#[ignore = "needs moto: scripts/test"]
async fn a_stolen_keyring_opens_nothing_of_a_shredded_epoch() {
    let address =
        env::var("FIELDSEAL_TEST_AWS_KMS_TO_RESET").expect("scripts/test sets FIELDSEAL_TEST_AWS_KMS_TO_RESET");
    let client = client(&address);
    // Moto finds a key that is to be deleted by its id only.
    let id = client.create_key().send().await.unwrap().key_metadata.unwrap().key_id;
    let spring = Arc::new(AwsKms::new(client.clone(), &id).days_until_deletion(7));
    cases::an_epoch_dies(spring, kek().await, async || {
        let key = client.describe_key().key_id(&id).send().await.unwrap().key_metadata.unwrap();
        // From here on KMS refuses to use the key, and cancelling is still possible. Moto goes on using it until it
        // forgets all it has, which stands for the end of the seven days.
        assert_eq!(key.key_state, Some(KeyState::PendingDeletion));
        let left = SystemTime::try_from(key.deletion_date.unwrap()).unwrap().duration_since(SystemTime::now()).unwrap();
        assert!(left < Duration::from_secs(8 * 86_400), "seven days: {left:?}");
        let reset = reqwest::Client::new().post(format!("{address}/moto-api/reset")).send().await.unwrap();
        assert!(reset.status().is_success());
    })
    .await;
}

#[tokio::test]
#[ignore = "needs moto: scripts/test"]
async fn a_service_that_is_away_is_missed_by_nobody_who_runs() {
    let proxy = Proxy::before(&address()).await;
    let direct = kek().await;
    let kek = Arc::new(AwsKms::new(client(&proxy.address()), direct.name()));
    cases::is_missed_by_nobody_who_runs(&proxy, kek, THROTTLED).await;
}

#[tokio::test]
#[ignore = "needs moto: scripts/test"]
async fn a_key_that_does_not_exist_is_told() {
    let kek = AwsKms::new(
        client(&address()),
        "arn:aws:kms:ap-southeast-1:123456789012:key/00000000-0000-0000-0000-000000000000",
    );
    let error = Keyring::create("customers", &kek).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyService);
    let cause = std::error::Error::source(&error).and_then(std::error::Error::source).unwrap().to_string();
    assert!(cause.contains("NotFoundException"), "{cause}");
}

#[tokio::test]
#[ignore = "needs moto: scripts/test"]
async fn an_answer_that_cannot_be_read_is_not_shown() {
    let proxy = Proxy::before(&address()).await;
    let kek = AwsKms::new(client(&proxy.address()), kek().await.name());
    cases::shows_nothing_of_what_it_cannot_read(&proxy, &kek).await;
}

#[tokio::test]
#[ignore = "needs moto: scripts/test"]
async fn what_it_refuses_for_good_is_not_asked_again() {
    let proxy = Proxy::before(&address()).await;
    let kek = Arc::new(AwsKms::new(client(&proxy.address()), kek().await.name()));
    let answers = [(THROTTLED, true), (DENIED, false), (cases::UNAVAILABLE, true)];
    cases::is_asked_again_where_that_may_help(&proxy, kek, &answers).await;
}

#[tokio::test]
async fn what_is_the_matter_is_told() {
    let proxy = Proxy::before("127.0.0.1:1").await;
    let told = async |client| cases::cause(&AwsKms::new(client, "spring")).await;
    let gone = told(client("http://127.0.0.1:1")).await;
    assert!(gone.contains("it cannot be reached: ") && gone.to_lowercase().contains("refused"), "{gone}");
    proxy.set(Line::Answering(cases::UNAVAILABLE));
    let unavailable = told(client(&proxy.address())).await;
    assert!(unavailable.contains("status 503"), "{unavailable}");
    proxy.set(Line::Silent);
    let config = client(&proxy.address()).config().to_builder();
    let soon = TimeoutConfig::builder().operation_timeout(Duration::from_millis(200)).build();
    let silent = told(Client::from_conf(config.timeout_config(soon).build())).await;
    assert!(silent.contains("no answer in time"), "{silent}");
}
