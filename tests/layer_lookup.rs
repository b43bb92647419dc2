//! Proves that a lookup through the layer reaches the service as an index, whichever way it is asked, and that the value
//! never does.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use fieldseal::keys::Keys;
use fieldseal::policy::{BlindIndex, CompoundIndex, Normalizer};
use fieldseal::{ErrorKind, Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use support::{Frames, JSON, Recorder, Server, keys};
use tower::Layer;

const FORM: &str = "application/x-www-form-urlencoded";

fn digits() -> Normalizer {
    Normalizer::custom("digits", 1, |text| Some(text.chars().filter(char::is_ascii_digit).collect())).unwrap()
}

fn cipher() -> FieldCipher {
    let policy = Policy::builder("customers")
        .field(Field::new("phone", Tag::Phone).path("$..phone_number").blind_index(BlindIndex::new(digits())))
        .field(Field::new("email", Tag::Email))
        .field(Field::new("remark", Tag::Text).blind_index(BlindIndex::truncated(Normalizer::exact(), 16)))
        .build()
        .unwrap();
    FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap()
}

fn layer() -> FieldEncryptionLayer {
    FieldEncryptionLayer::new(cipher())
        .unwrap()
        .lookup_path("/customers/by-phone/{phone}")
        .unwrap()
        .search_path("/customers/search")
        .unwrap()
}

fn term(value: &str) -> String {
    cipher().lookup("phone", value).unwrap().terms()[0].clone()
}

/// What the service sees of a request for `target`, or the refusal.
async fn target(target: &str) -> Result<String, String> {
    let recorder = Recorder::echoing();
    let server = Server::hyper(layer(), &recorder).await;
    let reply = server.send(server.request("GET", target).body(Body::empty()).unwrap()).await;
    if reply.status == 200 {
        return Ok(recorder.only().uri.to_string());
    }
    assert_eq!(recorder.calls(), 0);
    let detail = reply.refusal(422, "refused");
    assert!(!detail.contains("9123"), "{detail}");
    Err(detail)
}

#[tokio::test]
async fn a_parameter_with_an_index_asks_for_the_index() {
    let index = term("6591234567");
    for query in [
        "phone=%2B65%209123%204567",
        "phone=+65+9123+4567",
        "%70hone=6591234567",
        "phone_number=65-9123-4567",
        "phoneNumber=6591234567",
    ] {
        let seen = target(&format!("/customers?a=1&{query}&b=%20x")).await.unwrap();
        assert_eq!(seen, format!("/customers?a=1&phone_index={index}&b=%20x"), "{query}");
    }
    assert_eq!(target("/customers?a=%41;b&c").await.unwrap(), "/customers?a=%41;b&c");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    for (query, said) in [
        ("phone=91234567&phone=81234567", "twice"),
        ("phone=91234567&%70hone=1", "twice"),
        ("phone=91234567;x=1", "once"),
        ("a=1;phone=91234567", "once"),
        ("customer[phone]=91234567", "once"),
        ("phone__gt=91234567", "once"),
        ("phone=none", "without `phone` have no index"),
        ("phone", "no index"),
        ("phone=", "leave it out"),
        ("phone_index=fi1.x", "cannot be sent"),
        ("phoneIndex=fi1.x", "cannot be sent"),
        ("email=a%40example.sg", "cannot be searched"),
        ("remark=91234567", "truncated"),
    ] {
        let detail = target(&format!("/customers?{query}")).await.unwrap_err();
        assert!(detail.contains(said), "{query}: {detail}");
    }
}

#[tokio::test]
async fn a_parameter_by_another_name_asks_for_the_field_that_it_stands_for() {
    let policy = Policy::builder("customers")
        .field(Field::new("phone", Tag::Phone).parameter("mobile_phone").blind_index(BlindIndex::new(digits())))
        .field(Field::new("email", Tag::Email).parameter("contact"))
        .build()
        .unwrap();
    let cipher = FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap();
    let index = cipher.lookup("phone", "6591234567").unwrap().terms()[0].clone();
    let recorder = Recorder::echoing();
    let server = Server::hyper(FieldEncryptionLayer::new(cipher).unwrap(), &recorder).await;
    for (query, seen) in [
        ("mobile_phone=6591234567", format!("phone_index={index}")),
        ("a=1&mobilePhone=65%209123%204567", format!("a=1&phone_index={index}")),
        ("phone=6591234567", format!("phone_index={index}")),
        // Other words around a name make it another one.
        ("phone_number=6591234567&contacts=a", "phone_number=6591234567&contacts=a".to_owned()),
    ] {
        assert_eq!(server.get(&format!("/customers?{query}")).await.status, 200, "{query}");
        let uri = recorder.received().pop().unwrap().uri;
        assert_eq!(uri.query(), Some(&*seen), "{query}");
    }
    for (query, said) in [
        ("mobile_phone=1&phone=1", "`phone` is asked for twice"),
        ("customer[mobilePhone]=1", "only be searched as `phone=`"),
        ("contact=a", "`email`, which cannot be searched"),
    ] {
        let detail = server.get(&format!("/customers?{query}")).await.refusal(422, "refused");
        assert!(detail.contains(said), "{query}: {detail}");
    }
    // A form to be stored names fields by their paths.
    let request = server.request("POST", "/customers").header(CONTENT_TYPE, FORM);
    let reply = server.send(request.body(Body::from("mobile_phone=6591234567")).unwrap()).await;
    assert!(reply.refusal(422, "refused").contains("add a path"));
}

#[tokio::test]
async fn a_segment_of_the_path_becomes_the_index() {
    let index = term("6591234567");
    for path in ["+65 9123-4567", "%2B6591234567", "%36591234567"] {
        let path = path.replace(' ', "%20");
        let seen = target(&format!("/customers/by-phone/{path}?a=1")).await.unwrap();
        assert_eq!(seen, format!("/customers/by-phone/{index}?a=1"), "{path}");
    }
    assert_eq!(target("/customers/7/orders").await.unwrap(), "/customers/7/orders");
    for path in ["none", "%ff", "%9"] {
        target(&format!("/customers/by-phone/{path}")).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_path_is_looked_up_with_a_slash_at_its_end_and_below_other_parameters() {
    let index = term("6591234567");
    let layer = || {
        let layer =
            FieldEncryptionLayer::new(cipher()).unwrap().lookup_path("/{shop}/by-phone/{phone}/orders/").unwrap();
        layer.search_path("/{shop}/search").unwrap()
    };
    for (path, seen) in [
        ("/7/by-phone/+65-9123-4567/orders", "/7/by-phone/I/orders"),
        ("/phone/by-phone/6591234567/orders/?a=1", "/phone/by-phone/I/orders/?a=1"),
    ] {
        let recorder = Recorder::echoing();
        let server = Server::hyper(layer(), &recorder).await;
        server.get(path).await;
        assert_eq!(recorder.only().uri.to_string(), seen.replace('I', &index), "{path}");
    }
    let recorder = Recorder::answering(JSON, "[]");
    let server = Server::hyper(layer(), &recorder).await;
    let request = server.request("POST", "/7/se%61rch/").header(CONTENT_TYPE, FORM);
    server.send(request.body(Body::from("phone=6591234567")).unwrap()).await;
    assert_eq!(recorder.only().bytes(), format!("phone_index={index}").as_bytes());
}

#[test]
fn a_path_that_could_look_nothing_up_is_refused_when_the_layer_is_made() {
    for (path, said) in [
        ("/customers/by-phone/:phone", "such as `{phone}`"),
        ("customers/by-phone/{phone}", "begin with a slash"),
        ("/customers/by-phone/phone", "no segment in braces"),
        ("/customers/by-phone/{}", "without a name"),
        ("/customers/by-phone/{*phone}", "several segments"),
        ("/customers/by-phone/{phone", "braces"),
        ("/customers/by-phone/{phone}{email}", "braces"),
        ("/customers/by-phone/{phon}", "has a blind index: `phone`"),
        ("/customers/by-phone/{Phone}", "has a blind index: `phone`"),
        ("/customers/by-phone/{phone_number}", "has a blind index: `phone`"),
        ("/customers/by-email/{email}", "`email`, which has no blind index"),
        ("/customers/{phone}/{remark}", "`phone` and `remark`"),
    ] {
        let error = FieldEncryptionLayer::new(cipher()).unwrap().lookup_path(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Policy, "{path}");
        assert!(error.to_string().contains(said) && error.to_string().contains(path), "{path}: {error}");
    }
    for path in ["search", "/search/:id", "/search?phone={phone}"] {
        let error = FieldEncryptionLayer::new(cipher()).unwrap().search_path(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Policy, "{path}");
    }
    let error = support::layer().search_path("/search").unwrap_err();
    assert!(error.to_string().contains("no blind index"), "{error}");
}

#[test]
fn a_layer_that_could_make_no_index_is_not_made() {
    let policy = || {
        let field = Field::new("phone", Tag::Phone).blind_index(BlindIndex::new(digits()));
        Policy::builder("customers").field(field).build().unwrap()
    };
    for cipher in [FieldCipher::new(policy(), keys(7)), cipher_of_parts().with_keys(keys(9))] {
        let error = FieldEncryptionLayer::new(cipher).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert!(error.to_string().contains("`FieldCipher::with_index_keys`"), "{error}");
    }
    // Each tenant has its own, or nothing is written.
    drop(FieldEncryptionLayer::new(FieldCipher::new(policy(), Keys::none())).unwrap());
    let reading = FieldCipher::new(policy(), keys(7)).with_index_keys(Keys::none()).unwrap();
    drop(FieldEncryptionLayer::new(reading).unwrap());
}

#[tokio::test]
async fn a_search_that_is_sent_asks_for_the_index() {
    let index = term("6591234567");
    for (media_type, body, seen) in [
        (
            JSON,
            r#"{"a":[1], "where" : {"phone_number" : "+65 9123 4567" }}"#,
            r#"{"a":[1], "where" : {"phone_index":"I" }}"#,
        ),
        (JSON, r#"{ "phone_number":"6591234567","b":1}"#, r#"{"phone_index":"I","b":1}"#),
        (FORM, "a=1&phone=%2B65+9123+4567", "a=1&phone_index=I"),
        (FORM, "a=%41", "a=%41"),
    ] {
        for cuts in [&[usize::MAX][..], &[1; 100], &[7, 20]] {
            let recorder = Recorder::answering(JSON, "[]");
            let server = Server::axum(layer(), &recorder).await;
            let request = server.request("POST", "/customers/search").header(CONTENT_TYPE, media_type);
            let body = Frames::cut(body.as_bytes(), cuts).into_body();
            let reply = server.send(request.body(body).unwrap()).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            let received = recorder.only();
            assert_eq!(str::from_utf8(received.bytes()).unwrap(), seen.replace('I', &index));
            if let Some(length) = received.headers.get("content-length") {
                assert_eq!(length.to_str().unwrap(), received.bytes().len().to_string());
            }
        }
    }
    let token = cipher().encrypt_value("phone", "1").unwrap();
    for (media_type, body, status, code) in [
        (JSON, r#"{"email":"a@example.sg"}"#.to_owned(), 422, "refused"),
        (JSON, r#"{"phone_number":null}"#.to_owned(), 422, "refused"),
        (JSON, r#"{"phone_number":["91234567"]}"#.to_owned(), 422, "refused"),
        (JSON, r#"{"phone_index":"fi1.x"}"#.to_owned(), 422, "refused"),
        (JSON, r#"{"remark":"91234567"}"#.to_owned(), 422, "refused"),
        (JSON, format!(r#"{{"phone_number":"{token}"}}"#), 422, "token_submitted"),
        (FORM, format!("q={token}"), 422, "token_submitted"),
        (FORM, "email=91234567".to_owned(), 422, "refused"),
        (FORM, "phone=1&phone=2".to_owned(), 422, "refused"),
        ("application/merge-patch+json", "{}".to_owned(), 415, "unsupported_media_type"),
        (FORM, "a".repeat(70_000), 413, "too_large"),
    ] {
        let recorder = Recorder::answering(JSON, "[]");
        let server = Server::axum(layer(), &recorder).await;
        let request = server.request("POST", "/customers/search").header(CONTENT_TYPE, media_type);
        let detail = server.send(request.body(Body::from(body)).unwrap()).await.refusal(status, code);
        assert!(!detail.contains("9123"), "{detail}");
        assert_eq!(recorder.calls(), 0);
    }
}

#[tokio::test]
async fn a_search_names_fields_as_the_policy_does() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    let search = |body: &str| {
        let request = server.request("POST", "/customers/search").header(CONTENT_TYPE, JSON);
        server.send(request.body(Body::from(body.to_owned())).unwrap())
    };
    for body in [
        r#"{"phone":"9123"}"#,
        r#"{"filter":{"phoneNumber":"9123"}}"#,
        r#"{"Phone_Number":"9123"}"#,
        r#"{"phone_number__eq":"9123"}"#,
        r#"[{"or":[{"phone":"9123"}]}]"#,
        r#"{"phone":"9123"}"#,
    ] {
        let detail = search(body).await.refusal(422, "refused");
        assert!(detail.contains("`phone`") && !detail.contains("9123"), "{body}: {detail}");
    }
    assert_eq!(recorder.calls(), 0);
    let seen = format!(r#"{{"filter":{{"phone_index":"{}"}},"sort":"phone","n":[1,-1,1.5,null,true]}}"#, term("9123"));
    let body = r#"{"filter":{"phone_number":"9123"},"sort":"phone","n":[1,-1,1.5,null,true]}"#;
    assert_eq!(search(body).await.status, 200);
    assert_eq!(recorder.only().bytes(), seen.as_bytes());
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(70_000));
    assert!(search(&long).await.refusal(413, "too_large").contains("whole_body_limit"));
}

#[tokio::test]
async fn a_form_elsewhere_is_stored_and_asks_for_nothing() {
    let recorder = Recorder::echoing();
    let server = Server::axum(layer(), &recorder).await;
    assert_eq!(server.post(FORM, Body::from("phone_number=65+9123+4567")).await.status, 200);
    let stored = String::from_utf8(recorder.only().bytes().to_vec()).unwrap();
    assert!(stored.starts_with("phone_number=fs1."), "{stored}");
    assert!(stored.ends_with(&format!("&phone_index={}", term("6591234567"))), "{stored}");
}

#[derive(Clone, Deserialize, Serialize)]
struct Customer {
    id: u64,
    phone_number: String,
    phone_index: Option<String>,
}

#[derive(Deserialize)]
struct Wanted {
    phone_index: String,
}

type Stored = State<std::sync::Arc<std::sync::Mutex<Vec<Customer>>>>;

/// A service as a user writes it: it stores what it is sent, and looks up by what it is asked.
#[tokio::test]
async fn a_customer_is_found_by_her_number_and_shown_without_the_index() {
    let find = |stored: &Stored, terms: &str| -> Vec<Customer> {
        let customers = stored.lock().unwrap().clone();
        let is_wanted = |index: &str| terms.split(',').any(|term| term == index);
        customers.into_iter().filter(|customer| customer.phone_index.as_deref().is_some_and(is_wanted)).collect()
    };
    let router =
        Router::new()
            .route(
                "/customers",
                get(move |stored: Stored, Query(wanted): Query<Wanted>| async move {
                    Json(find(&stored, &wanted.phone_index))
                })
                .post(|stored: Stored, Json(customer): Json<Customer>| async move {
                    stored.lock().unwrap().push(customer);
                }),
            )
            .route(
                "/customers/by-phone/{index}",
                get(move |stored: Stored, Path(index): Path<String>| async move { Json(find(&stored, &index)) }),
            )
            .with_state(std::sync::Arc::default());
    // Around the whole router, since the path is rewritten before it is matched.
    let server = Server::service(layer().layer(router)).await;
    for (id, phone) in [(1, "+65 9123 4567"), (2, "+65 8123 4567"), (3, "6591234567")] {
        let body = format!(r#"{{"id":{id},"phone_number":"{phone}"}}"#);
        let request = server.request("POST", "/customers").header(CONTENT_TYPE, JSON);
        assert_eq!(server.send(request.body(Body::from(body)).unwrap()).await.status, 200);
    }
    let shown = r#"[{"id":1,"phone_number":"+65 9123 4567"},{"id":3,"phone_number":"6591234567"}]"#;
    for target in ["/customers?phone=%2B6591234567", "/customers/by-phone/65%209123%204567"] {
        let reply = server.send(server.request("GET", target).body(Body::empty()).unwrap()).await;
        assert_eq!(reply.text(), shown);
    }
}

#[tokio::test]
async fn around_or_below_a_nested_router_paths_are_those_that_the_layer_sees() {
    let routes = || Router::new().route("/by-phone/{index}", get(|Path(index): Path<String>| async { index }));
    let layer = |path: &str| FieldEncryptionLayer::new(cipher()).unwrap().lookup_path(path).unwrap();
    let around = layer("/api/by-phone/{phone}").layer(Router::new().nest("/api", routes()));
    let below = Router::new().nest_service("/api", layer("/by-phone/{phone}").layer(routes()));
    let index = term("6591234567");
    for router in [Router::new().fallback_service(around), below] {
        let reply = Server::router(router).await.get("/api/by-phone/+65-9123-4567").await;
        assert_eq!(reply.text(), index);
    }
}

/// Many services and proxies take such segments out, and would be given the number itself.
#[tokio::test]
async fn a_lookup_by_a_path_with_detours_is_refused() {
    for path in [
        "//customers/by-phone/6591234567",
        "/customers//by-phone/6591234567",
        "/customers/by-phone//6591234567",
        "/./customers/by-phone/6591234567",
        "/customers/%2E/by-phone/6591234567/",
        "/x/../customers/by-phone/6591234567?a=1",
        "/customers/by-phone/6591234567/.",
    ] {
        assert!(target(path).await.unwrap_err().contains("empty segment"), "{path}");
    }
    for path in ["/shops//6591234567", "//customers/7/../8", "/customers/by-phone/../by-email/1"] {
        assert_eq!(target(path).await.unwrap(), path);
    }
}

/// `address` may be called like the object that its path leads through.
#[tokio::test]
async fn a_search_may_name_what_a_path_leads_through() {
    let address = Field::new("address", Tag::Address).path("$.address.street").blind_index(BlindIndex::new(digits()));
    let policy = Policy::builder("customers").field(address).build().unwrap();
    let cipher = FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap();
    let layer = FieldEncryptionLayer::new(cipher).unwrap().search_path("/customers/search").unwrap();
    for (body, status) in [
        (r#"{"address":{"street":"7 Bedok"}}"#, 200),
        (r#"{"where":{"street":"7 Bedok"}}"#, 422),
        (r#"{"where":{"address_index":"fi1.j50ZitkJsZF2Nx_FGwFV6Vg"}}"#, 422),
    ] {
        let recorder = Recorder::answering(JSON, "[]");
        let server = Server::axum(layer.clone(), &recorder).await;
        let request = server.request("POST", "/customers/search").header(CONTENT_TYPE, JSON);
        let reply = server.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(reply.status, status, "{body}");
        assert_eq!(recorder.calls(), usize::from(status == 200));
    }
}

/// axum keeps the target as it was sent, in an extension.
#[tokio::test]
async fn a_copy_of_the_target_is_taken_away_where_it_holds_what_is_looked_up() {
    let routes = || {
        let target = |OriginalUri(uri): OriginalUri| async move { uri.to_string() };
        Router::new().route("/customers/by-phone/{index}", get(target)).route("/customers", get(target))
    };
    let index = term("6591234567");
    let layer = || layer().without_extension::<OriginalUri>();
    let around = Router::new().fallback_service(layer().layer(routes()));
    let below = Router::new().nest("/api", routes().layer(layer()));
    for (router, path, seen) in [
        (around.clone(), "/customers/by-phone/6591234567", format!("/customers/by-phone/{index}")),
        (around, "/customers?phone=6591234567", format!("/customers?phone_index={index}")),
        (below.clone(), "/api/customers?phone=6591234567", format!("/customers?phone_index={index}")),
        (below, "/api/customers?a=1", "/api/customers?a=1".to_owned()),
    ] {
        assert_eq!(Server::router(router).await.get(path).await.text(), seen, "{path}");
    }
}

fn cipher_of_parts() -> FieldCipher {
    let exact = |index: CompoundIndex, field: &str| index.part(field, Normalizer::exact());
    let policy = Policy::builder("customers")
        .field(Field::new("postcode", Tag::Address))
        .field(Field::new("birth_year", Tag::DateOfBirth))
        .compound_index(exact(exact(CompoundIndex::new("place_and_year"), "postcode"), "birth_year"))
        .build()
        .unwrap();
    FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap()
}

#[tokio::test]
async fn a_search_for_all_parts_of_an_index_asks_for_it() {
    let cipher = cipher_of_parts();
    let asked = [("postcode", "570123"), ("birth_year", "1980")];
    let index = cipher.compound_lookup("place_and_year", &asked).unwrap().remove(0);
    let layer = || FieldEncryptionLayer::new(cipher.clone()).unwrap().search_path("/customers/search").unwrap();
    for (body, seen) in [
        (r#"{"postcode":"570123","birth_year":"1980"}"#, r#"{"place_and_year":"I"}"#),
        (
            r#"{ "birth_year" : "1980" , "a":[1],"postcode": "57\u00301\u00323","b":2 }"#,
            r#"{  "a":[1],"place_and_year":"I","b":2 }"#,
        ),
        (
            r#"{"or":[{"x":1,"postcode":"570123","birth_year":"1980"},{"postcode":"570123","birth_year":"1980","y":{}}]}"#,
            r#"{"or":[{"x":1,"place_and_year":"I"},{"place_and_year":"I","y":{}}]}"#,
        ),
        (r#"{"a":{}}"#, r#"{"a":{}}"#),
    ] {
        for cuts in [&[usize::MAX][..], &[1; 200], &[7, 20]] {
            let recorder = Recorder::answering(JSON, "[]");
            let server = Server::axum(layer(), &recorder).await;
            let request = server.request("POST", "/customers/search").header(CONTENT_TYPE, JSON);
            let reply = server.send(request.body(Frames::cut(body.as_bytes(), cuts).into_body()).unwrap()).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(str::from_utf8(recorder.only().bytes()).unwrap(), seen.replace('I', &index));
        }
    }
    let token = cipher.encrypt_value("postcode", "570123").unwrap();
    for (body, said, code) in [
        (r#"{"postcode":"570123"}"#.to_owned(), "with the others", "refused"),
        (r#"{"birth_year":"1980","or":[{"postcode":"570123"}]}"#.to_owned(), "with the others", "refused"),
        (r#"{"postcode":"570123","postcode":"570124","birth_year":"1980"}"#.to_owned(), "twice", "refused"),
        (r#"{"postcode":"570123","birth_year":"1980","postcode":"570124"}"#.to_owned(), "with the others", "refused"),
        (r#"{"postcode":null,"birth_year":"1980"}"#.to_owned(), "text alone", "refused"),
        (r#"{"postcode":570123,"birth_year":"1980"}"#.to_owned(), "text alone", "refused"),
        (r#"{"postcode":["570123"],"birth_year":"1980"}"#.to_owned(), "text alone", "refused"),
        (r#"{"postcode":"","birth_year":"1980"}"#.to_owned(), "have no index", "refused"),
        (r#"{"place_and_year":"fi1.x"}"#.to_owned(), "cannot be sent", "refused"),
        (format!(r#"{{"postcode":"{token}","birth_year":"1980"}}"#), "token", "token_submitted"),
    ] {
        let recorder = Recorder::answering(JSON, "[]");
        let server = Server::axum(layer(), &recorder).await;
        let request = server.request("POST", "/customers/search").header(CONTENT_TYPE, JSON);
        let detail = server.send(request.body(Body::from(body.clone())).unwrap()).await.refusal(422, code);
        assert!(detail.contains(said) && !detail.contains("5701"), "{body}: {detail}");
        assert_eq!(recorder.calls(), 0);
    }
}

#[tokio::test]
async fn fields_of_one_index_are_asked_for_together() {
    let cipher = cipher_of_parts();
    let asked = [("postcode", "570123"), ("birth_year", "1980")];
    let index = cipher.compound_lookup("place_and_year", &asked).unwrap().remove(0);
    let seen = async |query: &str| {
        let recorder = Recorder::echoing();
        let server = Server::hyper(FieldEncryptionLayer::new(cipher.clone()).unwrap(), &recorder).await;
        let path = format!("/customers?{query}");
        let reply = server.send(server.request("GET", &path).body(Body::empty()).unwrap()).await;
        if reply.status == 200 { Ok(recorder.only().uri.to_string()) } else { Err(reply.refusal(422, "refused")) }
    };
    for query in ["a=1&postcode=570123&birth_year=1980", "birthYear=1980&a=1&post_code=570%3123"] {
        assert_eq!(seen(query).await.unwrap(), format!("/customers?a=1&place_and_year={index}"), "{query}");
    }
    for (query, said) in [
        ("postcode=570123", "with the others"),
        ("birth_year=1980&birth_year=1980", "with the others"),
        ("postcode=570123&birth_year=1980&postcode=1", "once"),
        ("postcode=570123;birth_year=1980", "with the others"),
        ("postcode=&birth_year=1980", "have no index"),
        ("place_and_year=fi1.x", "cannot be sent"),
    ] {
        let detail = seen(query).await.unwrap_err();
        assert!(detail.contains(said) && !detail.contains("570123"), "{query}: {detail}");
    }
    // Lines that hold only what changes are no whole records either.
    let recorder = Recorder::echoing();
    let server = Server::hyper(FieldEncryptionLayer::new(cipher.clone()).unwrap(), &recorder).await;
    for (method, status) in [("PATCH", 422), ("POST", 200)] {
        let request = server.request(method, "/customers").header(CONTENT_TYPE, "application/x-ndjson");
        let reply = server.send(request.body(Body::from("{\"id\":7,\"postcode\":\"570124\"}\n")).unwrap()).await;
        assert_eq!(reply.status, status, "{method}");
    }
}

/// A condition that is left out on the way would widen a search to other people's rows.
#[tokio::test]
async fn a_search_loses_no_part_that_belongs_to_another_index() {
    let exact = |index: CompoundIndex, field: &str| index.part(field, Normalizer::exact());
    let pair = |name: &str, one: &str, other: &str| exact(exact(CompoundIndex::new(name), one), other);
    let policy = Policy::builder("customers")
        .field(Field::new("postcode", Tag::Address))
        .field(Field::new("birth_year", Tag::DateOfBirth))
        .field(Field::new("gender", Tag::Text))
        .compound_index(pair("place_and_year", "postcode", "birth_year"))
        .compound_index(pair("place_and_gender", "postcode", "gender"))
        .build()
        .unwrap();
    let cipher = FieldCipher::new(policy, keys(7)).with_index_keys(keys(8)).unwrap();
    let layer = FieldEncryptionLayer::new(cipher).unwrap().search_path("/customers/search").unwrap();
    for (media_type, body) in [
        (JSON, r#"{"gender":"f","birth_year":"1980","postcode":"570123"}"#),
        (JSON, r#"{"birth_year":"1980","gender":"f","postcode":"570123"}"#),
        (JSON, r#"{"postcode":"570123","birth_year":"1980","gender":"f"}"#),
        (FORM, "gender=f&birth_year=1980&postcode=570123"),
    ] {
        let recorder = Recorder::answering(JSON, "[]");
        let server = Server::axum(layer.clone(), &recorder).await;
        let request = server.request("POST", "/customers/search").header(CONTENT_TYPE, media_type);
        let reply = server.send(request.body(Body::from(body)).unwrap()).await;
        assert!(reply.refusal(422, "refused").contains("with the others"), "{body}");
        assert_eq!(recorder.calls(), 0);
    }
}
