//! Proves that a service goes on with the keys in its memory while a key service or the keyring is away, hangs or lies,
//! that what needs a key which cannot be had is refused with 503 and a time to ask again, and that all of it works again
//! without a restart.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use fieldseal::keys::{
    KeyService, KeyServiceFuture, Keyring, KeyringStore, KeyringStoreFuture, Keys, LocalKek, SecretKey, Timing,
    WrapContext, WrappedKey,
};
use fieldseal::{Error, FieldCipher, FieldEncryptionLayer};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Response};
use support::{JSON, Recorder, Reply, Server, policy};

const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// An error at once.
    Away,
    /// No answer at all.
    Hangs,
    /// An answer, and a wrong one.
    Lies,
}

/// Whether it works at the moment, and how often it was asked while it did not.
#[derive(Clone, Default)]
struct Health(Arc<(Mutex<Option<Fault>>, AtomicUsize)>);

impl Health {
    fn set(&self, fault: Option<Fault>) {
        *self.0.0.lock().unwrap() = fault;
    }

    fn now(&self) -> Option<Fault> {
        let fault = *self.0.0.lock().unwrap();
        self.0.1.fetch_add(usize::from(fault.is_some()), Ordering::SeqCst);
        fault
    }

    fn questions(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

/// A key service that does as its health says.
struct Kms(LocalKek, Health);

fn kek() -> LocalKek {
    LocalKek::new(&SecretKey::from_bytes(&[7; 32]))
}

impl KeyService for Kms {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn wrap<'a>(&'a self, key: &'a SecretKey, context: &'a WrapContext) -> KeyServiceFuture<'a, WrappedKey> {
        self.0.wrap(key, context)
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyServiceFuture<'a, SecretKey> {
        match self.1.now() {
            None => self.0.unwrap(wrapped, context),
            Some(Fault::Away) => Box::pin(async { Err(Error::key_service("connection refused")) }),
            Some(Fault::Hangs) => Box::pin(pending()),
            Some(Fault::Lies) => Box::pin(async { Ok(SecretKey::from_bytes(&[9; 32])) }),
        }
    }
}

/// The place of a keyring, of which each replica has its own way there.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<Vec<u8>>>, Health);

impl KeyringStore for Store {
    fn place(&self) -> String {
        "the keyring of this test".to_owned()
    }

    fn read(&self) -> KeyringStoreFuture<'_, Vec<u8>> {
        let document = self.0.lock().unwrap().clone();
        match self.1.now() {
            None => Box::pin(async { Ok(document) }),
            Some(Fault::Away) => Box::pin(async { Err(Error::key_service("connection refused")) }),
            Some(Fault::Hangs) => Box::pin(pending()),
            Some(Fault::Lies) => Box::pin(async move { Ok(document[..document.len() / 2].to_vec()) }),
        }
    }

    fn replace<'a>(&'a self, _: Option<&'a [u8]>, document: &'a [u8]) -> KeyringStoreFuture<'a, Result<(), Vec<u8>>> {
        *self.0.lock().unwrap() = document.to_vec();
        Box::pin(async { Ok(Ok(())) })
    }
}

/// Rows by their paths, which all replicas share.
type Rows = Arc<Mutex<HashMap<String, bytes::Bytes>>>;

struct Replica {
    server: Server,
    keys: Keys,
    kms: Health,
    store: Health,
}

impl Replica {
    async fn start(rows: &Rows, document: &Arc<Mutex<Vec<u8>>>) -> Self {
        let (kms, store) = (Health::default(), Health::default());
        let keys = Keys::open(Store(Arc::clone(document), store.clone()), Kms(kek(), kms.clone())).await.unwrap();
        // The refresh period is a second at least, and what hangs is given up after half a minute: none of it is waited for.
        tokio::spawn(keys.keep_fresh(|period| tokio::time::sleep(period / 20)));
        let rows = Arc::clone(rows);
        let recorder = Recorder::new(move |received| {
            let (mut rows, path) = (rows.lock().unwrap(), received.uri.path().to_owned());
            if received.method == Method::POST {
                rows.insert(path.clone(), received.body.clone().unwrap());
            }
            Response::builder().header(CONTENT_TYPE, JSON).body(Body::from(rows[&path].clone())).unwrap()
        });
        let layer = FieldEncryptionLayer::new(FieldCipher::new(policy("customers"), keys.clone())).unwrap();
        Self { server: Server::axum(layer, &recorder).await, keys, kms, store }
    }

    async fn write(&self, path: &str, phone: &str) -> Reply {
        let body = Body::from(document(phone));
        let request = self.server.request("POST", path).header(CONTENT_TYPE, JSON).body(body).unwrap();
        self.server.send(request).await
    }

    async fn reads(&self, path: &str, phone: &str) -> bool {
        self.server.get(path).await.body == document(phone)
    }

    fn faulty(&self, part: Part) -> &Health {
        match part {
            Part::KeyService => &self.kms,
            Part::Keyring => &self.store,
        }
    }
}

fn document(phone: &str) -> String {
    format!(r#"{{"phone":"{phone}"}}"#)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    KeyService,
    Keyring,
}

fn is_refused(reply: &Reply) {
    reply.refusal(503, "keys_unavailable");
    assert_eq!(reply.headers.get(RETRY_AFTER).unwrap(), "5");
}

/// One replica is cut off, and another is not.
async fn goes_on_and_recovers(part: Part, fault: Fault) {
    let (rows, stored) = (Rows::default(), Arc::<Mutex<Vec<u8>>>::default());
    let operator = Store(Arc::clone(&stored), Health::default());
    let mut keyring = Keyring::create("customers", &kek()).await.unwrap();
    let timing = Timing {
        refresh: SECOND,
        lease: Some(LEASE),
        longest_request: SECOND,
        clock_skew: Duration::ZERO,
        ..Timing::default()
    };
    keyring.set_timing(timing).unwrap();
    keyring.save(&operator).await.unwrap();
    let (cut_off, other) = (Replica::start(&rows, &stored).await, Replica::start(&rows, &stored).await);
    assert_eq!(cut_off.write("/old", "9123 0000").await.status, 200);

    // A key service that is away is not missed, for longer than the lease; without the keyring, reading is not.
    cut_off.faulty(part).set(Some(fault));
    let (began, mut requests) = (Instant::now(), 0);
    while began.elapsed() < LEASE + SECOND / 2 {
        if part == Part::KeyService || began.elapsed() < LEASE / 2 {
            assert_eq!(cut_off.write("/old", "9123 0000").await.status, 200, "{part:?} {fault:?}");
            requests += 1;
        }
        assert!(cut_off.reads("/old", "9123 0000").await, "{part:?} {fault:?}");
        requests += 1;
        tokio::time::sleep(SECOND / 50).await;
    }

    // The other one writes under a key that this one does not get.
    let old = keyring.keys()[0].id();
    let new = keyring.add_key(&kek()).await.unwrap();
    keyring.promote_without_waiting(new).unwrap();
    keyring.save(&operator).await.unwrap();
    let changed = Instant::now();
    while other.keys.primary_id() != Some(new) {
        assert!(changed.elapsed() < 20 * SECOND);
        tokio::time::sleep(SECOND / 50).await;
    }
    assert_eq!(other.write("/new", "9123 1111").await.status, 200);
    // Until its lease is over, it may still write under the old key, which nobody takes for gone before.
    tokio::time::sleep((LEASE + SECOND / 2).saturating_sub(changed.elapsed())).await;
    assert_eq!(cut_off.keys.primary_id(), Some(old));
    let mut refused = 0;
    for _ in 0..5 {
        is_refused(&cut_off.write("/old", "9123 2222").await);
        is_refused(&cut_off.server.get("/new").await);
        assert!(cut_off.reads("/old", "9123 0000").await, "{part:?} {fault:?}");
        (refused, requests) = (refused + 2, requests + 1);
    }
    assert!(cut_off.faulty(part).questions() > 0);

    cut_off.faulty(part).set(None);
    let mended = Instant::now();
    while cut_off.write("/old", "9123 3333").await.status != 200 {
        assert!(mended.elapsed() < 20 * SECOND, "{part:?} {fault:?}: it does not recover");
        tokio::time::sleep(SECOND / 50).await;
    }
    let recovery = mended.elapsed().as_millis();
    assert!(cut_off.reads("/new", "9123 1111").await && cut_off.reads("/old", "9123 3333").await);
    assert!(other.reads("/old", "9123 3333").await);
    assert_eq!(cut_off.keys.primary_id(), Some(new));
    println!(
        "{part:?} {fault:?}: {requests} requests served from memory, 0 failed; {refused} refused with 503; recovery after \
         {recovery} ms"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keys_come_from_is_missed_by_no_request_that_needs_nothing_of_it() {
    let faults = [Fault::Away, Fault::Hangs, Fault::Lies];
    let each = |part| faults.map(|fault| tokio::spawn(goes_on_and_recovers(part, fault)));
    for one in each(Part::KeyService).into_iter().chain(each(Part::Keyring)) {
        one.await.unwrap();
    }
}
