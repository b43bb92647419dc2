//! Proves that each tenant's values stand under keys of its own, which open nothing of another's and end alone, and that
//! a tenant without keys is never served under others.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::routing::get;
use axum::{Extension, Json, Router};
use fieldseal::audit::AuditKind;
use fieldseal::keys::{KeyServices, Keyring, KeyringFile, Keys, LocalKek, SecretKey, Timing};
use fieldseal::layer::{Opener, Tenant, TenantKeys};
use fieldseal::policy::{BlindIndex, Normalizer};
use fieldseal::{ErrorKind, Field, FieldCipher, FieldEncryptionLayer, Policy, Scope, Tag};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use serde::{Deserialize, Serialize};
use support::{JSON, Ledger, Reply, Server, keys};

/// The keys that the layer's own cipher has, which serve nobody.
const SHARED: u8 = 7;

fn cipher() -> FieldCipher {
    let policy = Policy::builder("customers")
        .field(Field::new("phone", Tag::Phone).blind_index(BlindIndex::new(Normalizer::exact())))
        .build()
        .unwrap();
    FieldCipher::new(policy, keys(SHARED)).with_index_keys(keys(SHARED + 1)).unwrap()
}

/// The cipher of one tenant, as the standalone API makes it.
fn cipher_of(tenant: &str, TestKeys { data, index }: &TestKeys) -> FieldCipher {
    let own = cipher().with_keys(data.clone()).with_index_keys(index.clone()).unwrap();
    own.in_scope(Scope::new().tenant(tenant)).unwrap()
}

#[derive(Clone)]
struct TestKeys {
    data: Keys,
    index: Keys,
}

impl TestKeys {
    fn of(byte: u8) -> Self {
        Self { data: keys(byte), index: keys(byte + 1) }
    }
}

type Tenants = Arc<RwLock<HashMap<String, TestKeys>>>;

fn tenants() -> Tenants {
    let of = |name: &str, byte| (name.to_owned(), TestKeys::of(byte));
    Arc::new(RwLock::new(HashMap::from([of("acme", 20), of("globex", 30)])))
}

fn layer(cipher: FieldCipher, tenants: &Tenants) -> FieldEncryptionLayer {
    let tenants = Arc::clone(tenants);
    let layer = FieldEncryptionLayer::new(cipher).unwrap().opener();
    layer.tenant_keys(move |tenant| {
        let TestKeys { data, index } = tenants.read().unwrap().get(tenant.name())?.clone();
        Some(TenantKeys::from(data).with_index_keys(index))
    })
}

#[derive(Clone, Deserialize, Serialize)]
struct Customer {
    phone: String,
    phone_index: Option<String>,
}

#[derive(Deserialize)]
struct Wanted {
    phone_index: Option<String>,
}

/// What each tenant has stored, as a thief sees it.
type Rows = Arc<Mutex<HashMap<String, Vec<Customer>>>>;

/// A service as a user writes it, with the rows of each tenant apart.
async fn serve(layer: FieldEncryptionLayer, rows: &Rows) -> Server {
    let list = |State(rows): State<Rows>, Extension(tenant): Extension<Tenant>, Query(wanted): Query<Wanted>| async move {
        let rows = rows.lock().unwrap().get(tenant.name()).cloned().unwrap_or_default();
        let is_wanted = |row: &Customer| wanted.phone_index.is_none() || row.phone_index == wanted.phone_index;
        Json(rows.into_iter().filter(is_wanted).collect::<Vec<_>>())
    };
    let create = |State(rows): State<Rows>, Extension(tenant): Extension<Tenant>, Json(row): Json<Customer>| async move {
        rows.lock().unwrap().entry(tenant.name().to_owned()).or_default().push(row);
    };
    let call = |State(rows): State<Rows>, Path(owner): Path<String>, Extension(opener): Extension<Opener>| async move {
        let token = rows.lock().unwrap()[&owner][0].phone.clone();
        opener.open::<String>("phone", token).unwrap_or_else(|error| format!("{:?}", error.kind()))
    };
    let authenticate = |mut request: Request, next: Next| async move {
        let tenant = request.headers()["x-tenant"].to_str().unwrap().to_owned();
        request.extensions_mut().insert(Tenant::new(tenant));
        next.run(request).await
    };
    let router = Router::new()
        .route("/customers", get(list).post(create))
        .route("/{owner}/call", get(call))
        .with_state(Arc::clone(rows));
    Server::router(router.layer(layer).layer(middleware::from_fn(authenticate))).await
}

async fn create(server: &Server, tenant: &str, phone: &str) -> Reply {
    let request = server.request("POST", "/customers").header(CONTENT_TYPE, JSON).header("x-tenant", tenant);
    server.send(request.body(Body::from(format!(r#"{{"phone":"{phone}"}}"#))).unwrap()).await
}

async fn read(server: &Server, tenant: &str, target: &str) -> Reply {
    server.send(server.request("GET", target).header("x-tenant", tenant).body(Body::empty()).unwrap()).await
}

const ACME: &str = "+65 9123 4567";
const GLOBEX: &str = "+65 8123 4567";

/// Two tenants with a customer each.
async fn filled(layer: FieldEncryptionLayer) -> (Server, Rows) {
    let rows = Rows::default();
    let server = serve(layer, &rows).await;
    for (tenant, phone) in [("acme", ACME), ("globex", GLOBEX)] {
        assert_eq!(create(&server, tenant, phone).await.status, 200);
    }
    (server, rows)
}

fn shown(phone: &str) -> String {
    format!(r#"[{{"phone":"{phone}"}}]"#)
}

#[tokio::test]
async fn each_tenant_writes_and_reads_under_its_own_keys() {
    let tenants = tenants();
    let (server, rows) = filled(layer(cipher(), &tenants)).await;
    for (tenant, phone) in [("acme", ACME), ("globex", GLOBEX)] {
        assert_eq!(read(&server, tenant, "/customers").await.text(), shown(phone));
        let row = rows.lock().unwrap()[tenant][0].clone();
        let own = cipher_of(tenant, &tenants.read().unwrap()[tenant]);
        assert_eq!(own.decrypt_value::<String>("phone", &row.phone).unwrap(), phone);
        assert_eq!(own.blind_index("phone", phone).unwrap(), row.phone_index);
        let shared = cipher().in_scope(Scope::new().tenant(tenant)).unwrap();
        let error = shared.decrypt_value::<String>("phone", &row.phone).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "the shared keys open nothing");
        assert_ne!(shared.blind_index("phone", phone).unwrap(), row.phone_index);
    }
}

#[tokio::test]
async fn rows_that_are_swapped_open_for_neither_tenant() {
    let ledger = Ledger::default();
    let (server, rows) = filled(layer(cipher().with_audit(ledger.clone()), &tenants())).await;
    {
        let mut rows = rows.lock().unwrap();
        let globex = rows["globex"].clone();
        let acme = rows.insert("acme".to_owned(), globex).unwrap();
        rows.insert("globex".to_owned(), acme);
    }
    for tenant in ["acme", "globex"] {
        read(&server, tenant, "/customers").await.refusal(503, "keys_unavailable");
    }
    assert_eq!(ledger.events().iter().map(|event| event.0).collect::<Vec<_>>(), [AuditKind::KeyUnavailable; 2]);
}

#[tokio::test]
async fn tenants_that_share_a_key_still_open_nothing_of_each_other() {
    let tenants = tenants();
    let acme = tenants.read().unwrap()["acme"].clone();
    tenants.write().unwrap().insert("globex".to_owned(), acme);
    let (server, rows) = filled(layer(cipher(), &tenants)).await;
    let stolen = rows.lock().unwrap()["acme"].clone();
    rows.lock().unwrap().insert("globex".to_owned(), stolen);
    read(&server, "globex", "/customers").await.refusal(500, "unreadable");
    assert_eq!(read(&server, "globex", "/customers?phone=%2B65%209123%204567").await.text(), "[]");
}

#[tokio::test]
async fn a_tenant_without_keys_is_served_under_no_others() {
    let tenants = tenants();
    let (server, rows) = filled(layer(cipher(), &tenants)).await;
    // Its rows were written before there were keys of its own.
    let row = |phone| Customer { phone, phone_index: None };
    let old = cipher().in_scope(Scope::new().tenant("initech")).unwrap().encrypt_value("phone", ACME).unwrap();
    rows.lock().unwrap().insert("initech".to_owned(), vec![row(old)]);
    for target in ["/customers", "/customers?phone=1", "/initech/call"] {
        let reply = read(&server, "initech", target).await;
        assert!(reply.headers.contains_key(RETRY_AFTER));
        reply.refusal(503, "keys_unavailable");
    }
    create(&server, "initech", ACME).await.refusal(503, "keys_unavailable");
    assert_eq!(rows.lock().unwrap()["initech"].len(), 1);
    read(&server, "", "/customers").await.refusal(500, "misconfigured");

    // It is taken on while the service runs, and let go.
    tenants.write().unwrap().insert("initech".to_owned(), TestKeys::of(40));
    rows.lock().unwrap().clear();
    assert_eq!(create(&server, "initech", ACME).await.status, 200);
    assert_eq!(read(&server, "initech", "/customers").await.text(), shown(ACME));
    tenants.write().unwrap().remove("initech");
    read(&server, "initech", "/customers").await.refusal(503, "keys_unavailable");
}

#[tokio::test]
async fn lookups_and_openers_have_the_keys_of_their_tenant() {
    let (server, rows) = filled(layer(cipher(), &tenants())).await;
    assert_eq!(read(&server, "acme", "/customers?phone=%2B65%209123%204567").await.text(), shown(ACME));
    assert_eq!(read(&server, "acme", "/customers?phone=%2B65%208123%204567").await.text(), "[]");
    assert_eq!(read(&server, "acme", "/acme/call").await.text(), ACME);
    assert_eq!(read(&server, "globex", "/acme/call").await.text(), "KeyUnavailable");
    // Not even in its own rows does a tenant find what stands under the index key of another.
    let stolen = rows.lock().unwrap()["acme"].clone();
    rows.lock().unwrap().insert("globex".to_owned(), stolen);
    assert_eq!(read(&server, "globex", "/customers?phone=%2B65%209123%204567").await.text(), "[]");
}

#[tokio::test]
async fn a_tenant_without_index_keys_has_no_index() {
    let own = |tenant: &Tenant| (tenant.name() == "acme").then(|| keys(20));
    let rows = Rows::default();
    let server = serve(FieldEncryptionLayer::new(cipher()).unwrap().tenant_keys(own), &rows).await;
    create(&server, "acme", ACME).await.refusal(503, "keys_unavailable");
    read(&server, "acme", "/customers?phone=1").await.refusal(503, "keys_unavailable");
    assert!(rows.lock().unwrap().is_empty());
    let same = |_: &Tenant| Some(TenantKeys::from(keys(20)).with_index_keys(keys(20)));
    let server = serve(FieldEncryptionLayer::new(cipher()).unwrap().tenant_keys(same), &rows).await;
    read(&server, "acme", "/customers").await.refusal(500, "unreadable");
}

#[tokio::test]
async fn the_keys_of_one_tenant_end_alone() {
    let directory = tempfile::tempdir().unwrap();
    let kek = |byte| LocalKek::new(&SecretKey::from_bytes(&[byte; 32]));
    let tenants = tenants();
    let mut keyrings = HashMap::new();
    for tenant in ["acme", "globex"] {
        let store = KeyringFile::new(directory.path().join(tenant));
        let mut keyring = Keyring::create(tenant, &kek(1)).await.unwrap();
        keyring.set_timing(Timing { rehearsal: Duration::ZERO, ..Timing::default() }).unwrap();
        keyring.save(&store).await.unwrap();
        let data = Keys::open(KeyringFile::new(directory.path().join(tenant)), KeyServices::from(kek(1)).and(kek(2)))
            .await
            .unwrap();
        tenants.write().unwrap().get_mut(tenant).unwrap().data = data;
        keyrings.insert(tenant, (keyring, store));
    }
    let (server, _) = filled(layer(cipher(), &tenants)).await;
    assert_eq!(read(&server, "acme", "/customers").await.text(), shown(ACME));

    let (keyring, store) = keyrings.get_mut("acme").unwrap();
    let (old, old_kek) = (keyring.keys()[0].id(), keyring.keys()[0].kek().to_owned());
    let new = keyring.add_key(&kek(2)).await.unwrap();
    keyring.promote_without_waiting(new).unwrap();
    keyring.disable(old).unwrap();
    keyring.forget_with_everything_under_it(old, 1).unwrap();
    keyring.authenticate_by(&kek(2)).await.unwrap();
    assert_eq!(keyring.shred(&old_kek, "destroyed").unwrap(), [old]);
    keyring.save(store).await.unwrap();
    for name in ["acme", "globex"] {
        let keys = tenants.read().unwrap()[name].data.clone();
        keys.reload().await.unwrap();
    }
    read(&server, "acme", "/customers").await.refusal(503, "keys_unavailable");
    assert_eq!(read(&server, "globex", "/customers").await.text(), shown(GLOBEX));
    assert_eq!(create(&server, "acme", ACME).await.status, 200, "what comes is encrypted under the new key");
}
