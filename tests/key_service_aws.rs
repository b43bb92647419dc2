//! Proves that AWS KMS holds a key-encryption key, against a server of moto.
//!
//! Moto is no KMS: it authenticates ciphertext and encryption context, but a key that is disabled or waits for its
//! deletion goes on working there, and permissions, quotas and what the hardware promises are not shown by it.
#![cfg(feature = "aws-kms")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/key_service_cases.rs"]
mod cases;

use std::env;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::types::KeyState;
use cases::{Line, Proxy};
use fieldseal::ErrorKind;
use fieldseal::keys::{AwsKms, KeyService, Keyring, Resilient};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

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

/// A region is missing for as long as the process runs: nobody waits for it, and who reads the error knows what to set.
#[tokio::test(start_paused = true)]
async fn a_region_that_is_missing_is_told_and_not_waited_for() {
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .build();
    let began = tokio::time::Instant::now();
    let told = cases::cause(&Resilient::new(AwsKms::new(Client::from_conf(config), "alias/spring"))).await;
    for part in ["no region", "AWS_REGION", "profile", "ARN"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("reached"), "{told}");
    assert_eq!(began.elapsed(), Duration::ZERO, "asked again: {told}");
}

/// Runs itself again with the variables of AWS, since a process cannot safely set its own.
#[tokio::test]
async fn a_key_is_asked_for_in_the_region_of_its_arn() {
    const LISTENER: &str = "FIELDSEAL_TEST_AWS_LISTENER";
    const ARN: &str = "arn:aws:kms:ap-southeast-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    if let Some(address) = env::var_os(LISTENER) {
        let listener = TcpListener::bind(address.to_str().unwrap()).await.unwrap();
        let asked_in = async |key: &str| {
            let kek = AwsKms::from_env(key).await;
            let request = async {
                let (mut stream, mut request) = (listener.accept().await.unwrap().0, vec![0; 16 * 1024]);
                let length = stream.read(&mut request).await.unwrap();
                String::from_utf8_lossy(&request[..length]).into_owned()
            };
            tokio::select! {
                told = cases::cause(&kek) => told,
                request = request => request,
            }
        };
        let set = env::var("AWS_REGION").ok();
        let by_arn = asked_in(ARN).await;
        assert!(by_arn.contains("/ap-southeast-1/kms/aws4_request"), "{by_arn}");
        let other = asked_in("alias/spring").await;
        assert!(other.contains(&set.map_or("no region".to_owned(), |set| format!("/{set}/kms/"))), "{other}");
        return;
    }
    for region in [None, Some("eu-central-1")] {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "a_key_is_asked_for_in_the_region_of_its_arn"]);
        for (name, _) in env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command
            .env(LISTENER, free.to_string())
            .env("AWS_ENDPOINT_URL_KMS", format!("http://{free}"))
            .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
            .envs([("AWS_CONFIG_FILE", "none"), ("AWS_SHARED_CREDENTIALS_FILE", "none")])
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(region.map(|region| ("AWS_REGION", region)));
        let run = command.output().unwrap();
        let output = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && output.contains("1 passed"), "{region:?}: {output}");
    }
}
