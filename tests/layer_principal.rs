//! Proves that each sender sees what the application lets them see, of their own tenant alone, and that what they were
//! shown cannot overwrite what they were not.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::routing::any;
use fieldseal::audit::AuditKind;
use fieldseal::layer::{ClientError, Opener, Tenant};
use fieldseal::policy::{Reveal, Shown};
use fieldseal::{ErrorKind, Field, FieldCipher, FieldEncryptionLayer, Policy, Scope, Tag};
use http::header::CONTENT_TYPE;
use support::{JSON, Ledger, Recorder, Reply, Server, keys, masked};
use tower::{BoxError, Layer, ServiceExt};

const FORM: &str = "application/x-www-form-urlencoded";

fn cipher() -> FieldCipher {
    let policy = Policy::builder("customers")
        .field(Field::new("name", Tag::Name).path("$.name"))
        .field(Field::new("phone", Tag::Phone).path("$.phone"))
        .field(Field::new("card", Tag::CardFragment).path("$.cards[*]"))
        .build()
        .unwrap();
    FieldCipher::new(policy, keys(7))
}

/// Serves `recorder` behind `layer`, behind an authentication that believes two headers.
async fn serve(layer: FieldEncryptionLayer, recorder: &Recorder) -> Server {
    let authenticate = |mut request: Request, next: Next| async move {
        let [role, tenant] = ["x-role", "x-tenant"]
            .map(|name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned()));
        let reveal = match role.as_deref() {
            Some("supervisor") => Some(Reveal::all(Shown::Plain)),
            Some("courier") => Some(Reveal::all(Shown::Absent).field("phone", Shown::Plain)),
            Some("auditor") => Some(Reveal::all(Shown::Token)),
            _ => None,
        };
        reveal.map(|reveal| request.extensions_mut().insert(reveal));
        tenant.map(|tenant| request.extensions_mut().insert(Tenant::new(tenant)));
        next.run(request).await
    };
    let recorder = recorder.clone();
    let router = Router::new().fallback(any(move |request: Request| recorder.handle(request)));
    Server::router(router.layer(layer).layer(middleware::from_fn(authenticate))).await
}

async fn send(server: &Server, method: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut request = server.request(method, "/customers").header(CONTENT_TYPE, JSON);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    server.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

const CUSTOMER: &str = r#"{ "name":"Tan Wei Ming", "id":7 ,"phone":"+65 9123 4567","cards":["4242", null],"vip":true}"#;

#[tokio::test]
async fn each_sender_sees_what_is_revealed_to_them() {
    let stored = cipher().encrypt_json(CUSTOMER.as_bytes()).unwrap();
    let tokens = masked(&stored);
    let layer =
        FieldEncryptionLayer::new(cipher()).unwrap().reveal(Reveal::all(Shown::Masked).field("name", Shown::Absent));
    let server = serve(layer, &Recorder::answering(JSON, stored)).await;
    for (role, seen) in [
        ("supervisor", CUSTOMER),
        ("agent", r#"{ "id":7 ,"phone":"+65 •••• 4567","cards":["•••• 4242", null],"vip":true}"#),
        ("courier", r#"{ "id":7 ,"phone":"+65 9123 4567","cards":[null, null],"vip":true}"#),
        ("auditor", &tokens),
    ] {
        let reply = send(&server, "GET", &[("x-role", role)], "").await;
        let text = if role == "auditor" { masked(reply.text().as_bytes()) } else { reply.text().to_owned() };
        assert_eq!((reply.status.as_u16(), &*text), (200, seen), "{role}");
    }
}

#[tokio::test]
async fn who_is_shown_a_value_is_on_record() {
    let ledger = Ledger::default();
    let named = cipher().with_audit(ledger.clone());
    let stored = named.encrypt_json(CUSTOMER.as_bytes()).unwrap();
    let supervisor = Reveal::all(Shown::Plain).field("card", Shown::Masked).by("siti@example.sg");
    named.revealing(&supervisor).decrypt_json(&stored).unwrap();
    let seen: Vec<_> = ledger.events().into_iter().map(|(kind, _, field, _)| (kind, field)).collect();
    assert_eq!(seen, ["name", "phone"].map(|field| (AuditKind::Revealed, field.to_owned())));
    assert_eq!(ledger.who(), ["siti@example.sg"; 2].map(|who| Some(who.to_owned())));
    named.revealing(&Reveal::all(Shown::Plain)).decrypt_json(&stored).unwrap();
    assert_eq!(ledger.events().len(), 2, "nobody is named");
}

#[tokio::test]
async fn a_handler_opens_a_value_on_record_and_of_its_tenant() {
    let ledger = Ledger::default();
    let open = |request: Request| async move {
        let opener = request.extensions().get::<Opener>().unwrap().clone();
        let token = request.headers()["x-stored"].to_str().unwrap().to_owned();
        opener.open::<String>("phone", token.trim_start_matches("of ")).map_err(|error| error.to_string())
    };
    // The token comes from the handler's storage; here, from where the layer has already looked.
    let cipher = cipher().with_audit(ledger.clone());
    let acme = cipher.in_scope(Scope::new().tenant("acme")).unwrap();
    let token = acme.encrypt_value("phone", "+65 9123 4567").unwrap();
    let smuggle = move |mut request: Request, next: Next| {
        request.headers_mut().insert("x-stored", token.parse().unwrap());
        next.run(request)
    };
    let router = Router::new().fallback(any(open)).layer(middleware::from_fn(smuggle));
    for (tenant, said) in [
        ("acme", "+65 9123 4567"),
        ("globex", "the stored value of `phone` ($.phone) in `customers` does not open in this place"),
    ] {
        let layer = FieldEncryptionLayer::new(cipher.clone()).unwrap().tenants().opener();
        let authenticate = move |mut request: Request, next: Next| {
            request.extensions_mut().insert(Tenant::new(tenant));
            next.run(request)
        };
        let server = Server::router(router.clone().layer(layer).layer(middleware::from_fn(authenticate))).await;
        assert_eq!(send(&server, "GET", &[], "").await.text(), said);
    }
    let kinds: Vec<_> = ledger.events().into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(kinds, [AuditKind::Opened, AuditKind::DecryptionFailed]);
}

#[tokio::test]
async fn what_was_masked_never_overwrites_the_value() {
    let layer = FieldEncryptionLayer::new(cipher()).unwrap().reveal(Reveal::all(Shown::Masked));
    let recorder = Recorder::echoing();
    let server = serve(layer, &recorder).await;
    let token = cipher().encrypt_value("phone", "1").unwrap();
    for (method, body, code) in [
        ("PUT", r#"{"phone":"+65 •••• 4567"}"#.to_owned(), "refused"),
        ("PATCH", r#"{"phone":"\u2022\u2022•• 4567"}"#.to_owned(), "refused"),
        ("PUT", r#"{"cards":["•••• 4242"]}"#.to_owned(), "refused"),
        ("PUT", format!(r#"{{"phone":"{token}"}}"#), "token_submitted"),
    ] {
        // Whoever they are: a supervisor may hold an agent's copy.
        for role in ["agent", "supervisor"] {
            let detail = send(&server, method, &[("x-role", role)], &body).await.refusal(422, code);
            assert!(code != "refused" || detail.contains("`PATCH` with"), "{detail}");
        }
    }
    // A form of a page in Shift_JIS or another encoding without a bullet (WHATWG Encoding, section 4.1).
    for (media_type, form) in [
        (FORM, "phone=%2B65+%26%238226%3B%26%238226%3B%26%238226%3B%26%238226%3B+4567"),
        (FORM, "phone=%2B65+%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A2+4567"),
        (JSON, r#"{"phone":"+65 &#8226;&#8226;&#8226;&#8226; 4567"}"#),
    ] {
        let request = server.request("PUT", "/customers").header(CONTENT_TYPE, media_type);
        server.send(request.body(Body::from(form)).unwrap()).await.refusal(422, "refused");
    }
    assert_eq!(recorder.calls(), 0);
    let reply = send(&server, "PUT", &[], r#"{"note":"•••","phone":"+65 8123 4567"}"#).await;
    assert_eq!(reply.text(), r#"{"note":"•••","phone":"+65 •••• 4567"}"#);
}

#[tokio::test]
async fn plaintext_that_is_still_allowed_is_masked_too() {
    let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
    let field = Field::new("phone", Tag::Phone).allow_plaintext_until(tomorrow);
    let policy = Policy::builder("customers").field(field).build().unwrap();
    for shown in [Shown::Masked, Shown::Token] {
        let layer = FieldEncryptionLayer::new(FieldCipher::new(policy_of(&policy), keys(7)))
            .unwrap()
            .reveal(Reveal::all(shown));
        let server = serve(layer, &Recorder::answering(JSON, r#"{"phone":"+65 9123 4567"}"#)).await;
        assert_eq!(send(&server, "GET", &[], "").await.text(), r#"{"phone":"+65 •••• 4567"}"#);
    }
}

/// The same policy once more.
fn policy_of(policy: &Policy) -> Policy {
    let fields = policy.fields().iter().cloned();
    fields.fold(Policy::builder(policy.collection()), fieldseal::policy::PolicyBuilder::field).build().unwrap()
}

#[tokio::test]
async fn a_token_of_one_tenant_opens_for_no_other() {
    let acme = cipher().in_scope(Scope::new().tenant("acme")).unwrap();
    let stored = acme.encrypt_json(br#"{"phone":"+65 9123 4567"}"#).unwrap();
    let server =
        serve(FieldEncryptionLayer::new(cipher()).unwrap().tenants(), &Recorder::answering(JSON, stored)).await;
    let reply = send(&server, "GET", &[("x-tenant", "acme")], "").await;
    assert_eq!(reply.text(), r#"{"phone":"+65 9123 4567"}"#);
    send(&server, "GET", &[("x-tenant", "globex")], "").await.refusal(500, "unreadable");
    // Nobody said whose it is: nothing is stored or opened.
    send(&server, "GET", &[], "").await.refusal(500, "misconfigured");
    send(&server, "GET", &[("x-tenant", "")], "").await.refusal(500, "misconfigured");

    let recorder = Recorder::echoing();
    let server = serve(FieldEncryptionLayer::new(cipher()).unwrap().tenants(), &recorder).await;
    send(&server, "POST", &[("x-tenant", "globex")], r#"{"phone":"+65 9123 4567"}"#).await;
    let written = recorder.only();
    assert!(cipher().decrypt_json(written.bytes()).is_err());
    let globex = cipher().in_scope(Scope::new().tenant("globex")).unwrap();
    assert_eq!(globex.decrypt_json(written.bytes()).unwrap(), br#"{"phone":"+65 9123 4567"}"#);
}

#[tokio::test]
async fn a_tenant_takes_no_other_part_of_the_scope_away() {
    let scope = Scope::new().subject("person-7");
    let layer = |cipher: FieldCipher| FieldEncryptionLayer::new(cipher.in_scope(scope.clone()).unwrap()).unwrap();
    let own = cipher().in_scope(scope.clone().tenant("acme")).unwrap();
    let weaker = cipher().in_scope(Scope::new().tenant("acme")).unwrap();
    for layer in [layer(cipher()).tenants(), layer(cipher()).tenant_keys(|_| Some(keys(7)))] {
        let recorder = Recorder::echoing();
        let server = serve(layer, &recorder).await;
        send(&server, "POST", &[("x-tenant", "acme")], r#"{"phone":"+65 9123 4567"}"#).await;
        let written = recorder.only();
        assert!(weaker.decrypt_json(written.bytes()).is_err());
        assert_eq!(own.decrypt_json(written.bytes()).unwrap(), br#"{"phone":"+65 9123 4567"}"#);
    }
}

#[tokio::test]
async fn what_authentication_says_is_never_ignored() {
    let recorder = Recorder::answering(JSON, cipher().encrypt_json(CUSTOMER.as_bytes()).unwrap());
    let layer = || FieldEncryptionLayer::new(cipher()).unwrap();
    for (layer, header) in [
        (layer(), ("x-role", "courier")),
        (layer().ignore_tenants(), ("x-role", "supervisor")),
        (layer(), ("x-tenant", "acme")),
        (layer().reveal(Reveal::all(Shown::Plain)), ("x-tenant", "acme")),
    ] {
        let server = serve(layer, &recorder).await;
        for method in ["GET", "POST"] {
            let body = if method == "GET" { "" } else { CUSTOMER };
            let detail = send(&server, method, &[header], body).await.refusal(500, "misconfigured");
            assert_eq!(detail, "The service is not set up for this request.");
        }
    }
    assert_eq!(recorder.calls(), 0);
    for (layer, header) in [
        (layer().reveal(Reveal::all(Shown::Absent)), ("x-role", "supervisor")),
        (layer().tenants().ignore_tenants(), ("x-tenant", "acme")),
        (layer(), ("x-other", "1")),
    ] {
        assert_eq!(send(&serve(layer, &recorder).await, "GET", &[header], "").await.text(), CUSTOMER);
    }
    // Around a client the application itself is told.
    let mut request = http::Request::get("http://storage/customers").body(Body::empty()).unwrap();
    request.extensions_mut().insert(Tenant::new("acme"));
    let storage = tower::service_fn(|_| std::future::ready(Ok::<_, BoxError>(http::Response::new(Body::empty()))));
    match layer().for_client().layer(storage).oneshot(request).await {
        Err(ClientError::Protection(error)) => {
            assert_eq!(error.kind(), ErrorKind::Policy);
            assert!(error.to_string().contains("`tenants`") && !error.to_string().contains("acme"), "{error}");
        }
        _ => panic!("the tenant was ignored"),
    }
}

#[tokio::test]
async fn a_name_that_would_hide_a_field_and_is_none_is_never_passed_over() {
    for (reveal, status) in [
        (Reveal::all(Shown::Plain).field("phonne", Shown::Absent), 500),
        (Reveal::all(Shown::Masked).field("Phone", Shown::Token), 500),
        (Reveal::all(Shown::Masked).field("phonne", Shown::Plain), 200),
        (Reveal::all(Shown::Plain).field("phone", Shown::Absent), 200),
    ] {
        let recorder = Recorder::answering(JSON, cipher().encrypt_json(CUSTOMER.as_bytes()).unwrap());
        let layer = FieldEncryptionLayer::new(cipher()).unwrap().reveal(reveal.clone());
        let server = Server::hyper(layer, &recorder).await;
        let reply = server.get("/customers/7").await;
        assert_eq!(reply.status.as_u16(), status, "{reveal:?}");
        if status == 500 {
            reply.refusal(500, "misconfigured");
        }
    }
}
