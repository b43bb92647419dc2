//! Proves that a future which is dropped at any of its await points leaves nothing half done: what it was to change is
//! as before or as after, and the same call works when it is made again.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/cancelled.rs"]
mod cancelled;
mod support;
#[cfg(feature = "sqlite")]
#[path = "support/tables.rs"]
mod tables;

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use cancelled::at_each_await_point;
use fieldseal::FieldCipher;
use fieldseal::keys::{
    KeyId, KeyService, KeyServiceFuture, KeyServices, Keyring, KeyringStore, KeyringStoreFuture, Keys, LocalKek,
    MemorySubjectKeys, SecretKey, Subject, SubjectKeyChange, SubjectKeyEntry, SubjectKeyStore, SubjectKeyStoreFuture,
    SubjectKeys, WrapContext, WrappedKey,
};
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use support::{CUSTOMER, JSON, Received, Recorder, STORED_CUSTOMER, cipher, layer, masked, policy};
use tokio::task::yield_now;
use tower::{BoxError, Layer as _, ServiceExt as _};

/// Waits once before and once after what it hands on, as what is reached through a network does.
#[derive(Clone)]
struct Slow<T>(T);

impl KeyService for Slow<LocalKek> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
        Box::pin(slowly(self.0.wrap(key, context)))
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
        Box::pin(slowly(self.0.unwrap(wrapped, context)))
    }
}

async fn slowly<T>(work: impl Future<Output = T>) -> T {
    yield_now().await;
    let done = work.await;
    yield_now().await;
    done
}

type Stored = Arc<Mutex<Option<Vec<u8>>>>;

impl KeyringStore for Slow<Stored> {
    fn place(&self) -> String {
        "the keyring of this test".to_owned()
    }

    fn read(&self) -> KeyringStoreFuture<'_, Vec<u8>> {
        Box::pin(slowly(async { Ok(self.0.lock().unwrap().clone().unwrap()) }))
    }

    fn replace<'a>(
        &'a self,
        expected: Option<&'a [u8]>,
        document: &'a [u8],
    ) -> KeyringStoreFuture<'a, Result<(), Vec<u8>>> {
        Box::pin(slowly(async move {
            let mut stored = self.0.lock().unwrap();
            if stored.as_deref() != expected {
                return Ok(Err(stored.clone().unwrap()));
            }
            *stored = Some(document.to_vec());
            Ok(Ok(()))
        }))
    }
}

impl SubjectKeyStore for Slow<MemorySubjectKeys> {
    fn get<'a>(&'a self, subjects: &'a [Subject]) -> SubjectKeyStoreFuture<'a, Vec<Option<SubjectKeyEntry>>> {
        Box::pin(slowly(async { self.0.get(subjects).await }))
    }

    fn insert<'a>(&'a self, subject: &'a Subject, entry: &'a SubjectKeyEntry) -> SubjectKeyStoreFuture<'a, bool> {
        Box::pin(slowly(self.0.insert(subject, entry)))
    }

    fn replace<'a>(&'a self, changes: &'a [SubjectKeyChange]) -> SubjectKeyStoreFuture<'a, u64> {
        Box::pin(slowly(self.0.replace(changes)))
    }

    fn wrapped_by_others(
        &self,
        data_key: KeyId,
        limit: u32,
    ) -> SubjectKeyStoreFuture<'_, Vec<(Subject, SubjectKeyEntry)>> {
        Box::pin(slowly(async move { self.0.wrapped_by_others(data_key, limit).await }))
    }
}

fn kek(byte: u8) -> Slow<LocalKek> {
    Slow(LocalKek::new(&SecretKey::from_bytes(&[byte; 32])))
}

fn both() -> KeyServices<'static> {
    KeyServices::from(kek(7)).and(kek(8))
}

#[tokio::test]
async fn a_change_of_a_keyring_is_made_or_not() {
    let mut keyring = Keyring::create("customers", &kek(7)).await.unwrap();
    keyring.add_key(&kek(7)).await.unwrap();
    let names = [kek(7).name().to_owned(), kek(8).name().to_owned()];
    let mut points = 0;
    for change in 0..3 {
        let before = keyring.to_json();
        let held = RefCell::new(&mut keyring);
        #[expect(clippy::await_holding_refcell_ref, reason = "the future that holds it is gone before it is looked at")]
        let (polls, outcome) = at_each_await_point(
            async || {
                let mut keyring = held.borrow_mut();
                match change {
                    0 => keyring.add_key(&kek(7)).await.map(drop),
                    1 => keyring.rewrap(&names[0], both(), &kek(8)).await.map(drop),
                    _ => keyring.authenticate_by(&kek(7)).await,
                }
            },
            async |polls| assert!(held.borrow().to_json() == before, "change {change} after {polls} polls"),
        )
        .await;
        outcome.unwrap();
        points += polls;
        assert_ne!(keyring.to_json(), before);
        Keyring::from_json(&keyring.to_json(), both()).await.unwrap();
    }
    println!("cancelled: changes of a keyring at {points} await points");
}

#[tokio::test]
async fn a_keyring_is_saved_whole_or_not_and_can_be_saved_again() {
    let store = Slow(Stored::default());
    let mut keyring = RefCell::new(Keyring::create("customers", &kek(7)).await.unwrap());
    for revision in 1..3 {
        let (before, after) = (store.0.lock().unwrap().clone(), keyring.borrow().to_json());
        #[expect(clippy::await_holding_refcell_ref, reason = "the future that holds it is gone before it is looked at")]
        let (polls, outcome) = at_each_await_point(
            async || keyring.borrow_mut().save(&store).await,
            async |polls| {
                let stored = store.0.lock().unwrap().clone();
                assert!(stored == before || stored.as_ref() == Some(&after), "after {polls} polls");
            },
        )
        .await;
        outcome.unwrap();
        println!("cancelled: saving a keyring at {polls} await points");
        assert!(store.0.lock().unwrap().as_ref() == Some(&after));
        assert_eq!(Keyring::load(&store, kek(7)).await.unwrap().revision(), revision);
        keyring.get_mut().add_key(&kek(7)).await.unwrap();
    }
}

#[tokio::test]
async fn a_reading_of_the_keyring_leaves_one_whole_set_of_keys() {
    let store = Slow(Stored::default());
    let mut keyring = Keyring::create("customers", &kek(7)).await.unwrap();
    keyring.save(&store).await.unwrap();
    let (opening, keys) =
        at_each_await_point(async || Keys::open(store.clone(), both()).await.unwrap(), async |_| {}).await;
    let cipher = FieldCipher::new(policy("customers"), keys.clone());
    let token = cipher.encrypt_value("phone", "+65 9123 4567").unwrap();
    let new = keyring.add_key(&kek(8)).await.unwrap();
    keyring.promote_without_waiting(new).unwrap();
    keyring.save(&store).await.unwrap();
    let (reloading, outcome) = at_each_await_point(
        async || keys.reload().await,
        async |_| {
            assert_eq!(keys.revision(), Some(1));
            assert_eq!(cipher.decrypt_value::<String>("phone", &token).unwrap(), "+65 9123 4567");
        },
    )
    .await;
    outcome.unwrap();
    assert_eq!((keys.revision(), keys.primary_id()), (Some(3), Some(new)));
    println!("cancelled: opening keys at {opening} await points, reloading at {reloading}");
}

#[tokio::test]
async fn a_subject_has_one_key_or_none_and_is_erased_or_not() {
    let store = Slow(Stored::default());
    let mut keyring = Keyring::create("subjects", &kek(7)).await.unwrap();
    keyring.save(&store).await.unwrap();
    let keys = Keys::open(store.clone(), kek(7)).await.unwrap();
    let table = MemorySubjectKeys::default();
    // As many processes as there are calls, so that none finds what another has cached.
    let subjects = || SubjectKeys::new(Slow(table.clone()), keys.clone());
    let subject = Subject::new("7").unwrap();
    let entry = || async { table.get(std::slice::from_ref(&subject)).await.unwrap().pop().flatten() };
    let mut seen = None;
    let (making, made) = at_each_await_point(
        async || subjects().find_or_create(&subject).await.unwrap(),
        async |_| {
            // Once there is a key, it stays the one.
            let id = entry().await.map(|entry| entry.key_id());
            assert!(seen.is_none() || seen == id);
            seen = id;
        },
    )
    .await;
    assert!(made.exists() && seen.is_some());
    let stored = {
        let cipher = cipher().for_subject(&made).unwrap();
        cipher.encrypt_json(CUSTOMER.as_bytes()).unwrap()
    };

    let new = keyring.add_key(&kek(7)).await.unwrap();
    keyring.promote_without_waiting(new).unwrap();
    keyring.save(&store).await.unwrap();
    keys.reload().await.unwrap();
    let read = async || {
        let key = subjects().find(&subject).await.unwrap();
        cipher().for_subject(&key).unwrap().decrypt_json(&stored)
    };
    let (rewrapping, outcome) = at_each_await_point(
        async || subjects().rewrap().await,
        async |_| assert_eq!(read().await.unwrap(), CUSTOMER.as_bytes()),
    )
    .await;
    outcome.unwrap();
    assert_eq!(entry().await.unwrap().wrapped_by(), Some(new));

    let (erasing, receipt) = at_each_await_point(
        async || subjects().erase(&subject, "a request").await,
        async |_| {
            let is_erased = entry().await.unwrap().erased_at().is_some();
            assert_eq!(read().await.is_err(), is_erased);
        },
    )
    .await;
    receipt.unwrap();
    assert!(read().await.is_err());
    println!(
        "cancelled: making a subject's key at {making} await points, wrapping it again at {rewrapping}, erasing at {erasing}"
    );
}

/// A body that waits before each of its frames.
struct Chunks {
    frames: Vec<Bytes>,
    waits: bool,
}

impl Chunks {
    fn of(document: &[u8]) -> Self {
        Self { frames: document.chunks(9).rev().map(Bytes::copy_from_slice).collect(), waits: true }
    }
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.waits = !self.waits;
        if !self.waits {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.frames.pop().map(|frame| Ok(Frame::data(frame))))
    }
}

#[tokio::test]
async fn a_request_reaches_the_service_whole_or_not_and_never_in_plaintext() {
    for whole_body_limit in [64 * 1024, 0] {
        let recorder = Recorder::new(|received: &Received| {
            let body = received.body.clone().unwrap_or_default();
            Response::builder().header(CONTENT_TYPE, JSON).body(Body::new(Chunks::of(&body))).unwrap()
        });
        let service = {
            let recorder = recorder.clone();
            tower::service_fn(move |request: Request<_>| {
                let response = recorder.clone().handle(request);
                async move { Ok::<_, std::convert::Infallible>(slowly(response).await) }
            })
        };
        let service = layer().whole_body_limit(whole_body_limit).layer(service);
        let exchange = async || {
            let body = Body::new(Chunks::of(CUSTOMER.as_bytes()));
            let request = Request::post("/customers").header(CONTENT_TYPE, JSON).body(body).unwrap();
            let response = service.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap().to_bytes()
        };
        let mut stored = 0;
        let (polls, answer) = at_each_await_point(exchange, async |polls| {
            let received = recorder.received();
            assert!(received.len() >= stored);
            stored = received.len();
            for received in received {
                assert_eq!(masked(received.bytes()), STORED_CUSTOMER, "after {polls} polls");
            }
        })
        .await;
        assert_eq!(answer, CUSTOMER);
        assert!(stored > 0);
        println!("cancelled: a request and its response at {polls} await points");
    }
}

#[cfg(feature = "key-service")]
#[tokio::test]
async fn a_key_that_somebody_stopped_waiting_for_is_had_by_the_next() {
    let kek = fieldseal::keys::Resilient::new(kek(7));
    let context = WrapContext::keyring_authentication("customers").unwrap();
    let secret = SecretKey::generate().unwrap();
    let wrapped = kek.wrap(&secret, &context).await.unwrap();
    let (polls, unwrapped) =
        at_each_await_point(async || kek.unwrap(&wrapped, &context).await.unwrap(), async |_| {}).await;
    assert_eq!(unwrapped.expose_secret(), secret.expose_secret());
    assert!(polls > 1);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_job_that_is_dropped_leaves_every_row_readable_and_goes_on() {
    use fieldseal::reencrypt::{EncryptedTable, Job};
    use tables::{Keychain, TestDatabase, scan};

    const ROWS: u64 = 12;
    let database = TestDatabase::sqlite().await;
    let mut keychain = Keychain::new(database.path("keyring.json")).await;
    database.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)").await;
    let cipher = keychain.cipher().await;
    for id in 0..ROWS {
        let token = cipher.encrypt_value("name", &format!("Tan {id}")).unwrap();
        database.run(&format!("INSERT INTO customers VALUES ({id}, '{token}')")).await;
    }
    let (pool, path) = (database.pool().await, database.path("keyring.json"));
    let table =
        async || EncryptedTable::new("customers", tables::cipher(path.clone()).await).column("name", "name").unwrap();
    let job = async || Job::reencrypt(table().await).batch_size(4).worker("the one").run(pool.clone()).await;
    let mut new = keychain.rotate().await;
    let mut moved_in_part = 0;
    let (polls, report) = at_each_await_point(&job, async |polls| {
        let cipher = keychain.cipher().await;
        for (id, token) in database.column("name", "customers", "id").await {
            let name = cipher.decrypt_value::<String>("name", &token.unwrap()).unwrap();
            assert_eq!(name, format!("Tan {id}"), "after {polls} polls");
        }
        let found = scan(&database, &table().await).await;
        let moved = found.tokens_under(new);
        assert_eq!((found.rows(), found.unreadable()), (ROWS, 0));
        assert!(moved.is_multiple_of(4), "a batch is stored whole or not at all: {moved} rows after {polls} polls");
        moved_in_part += u32::from((1..ROWS).contains(&moved));
        if moved > 0 {
            // It goes on to its end; then there is something to move again.
            assert_eq!(job().await.unwrap().moved() + moved, ROWS);
            new = keychain.rotate().await;
        }
    })
    .await;
    report.unwrap();
    println!("cancelled: a job at {polls} await points, {moved_in_part} times with some of its rows moved");
    assert!(moved_in_part > 0);
}
