//! Proves that a policy read from a description of an API protects all that is tagged there, wherever it stands, or is
//! refused; that one written into a description is read from it again; and that a check finds what does not fit.
#![cfg(feature = "openapi")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::openapi::{self, Finding, FindingKind};
use fieldseal::policy::{BlindIndex, CompoundIndex, Mask, Normalizer, RecordBinding, Validation};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};
use serde_json::{Value, json};

const GROCERY: &str = include_str!("vectors/openapi/grocery.json");

fn grocery() -> Value {
    serde_json::from_str(GROCERY).unwrap()
}

/// A description with one operation that sends `schema`, and these components.
fn api(schema: &Value, components: &Value) -> Value {
    json!({
        "openapi": "3.1.0",
        "paths": {"/a": {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}},
        "components": {"schemas": components},
    })
}

/// Each field with its tag and its paths.
fn told(policy: &Policy) -> Vec<String> {
    let told = |field: &Field| format!("{}:{} {}", field.name(), field.tag(), field.paths().join(" "));
    policy.fields().iter().map(told).collect()
}

#[track_caller]
fn read(description: &Value) -> Vec<String> {
    told(&openapi::policy(description, "c", &[]).unwrap())
}

#[track_caller]
fn refused(description: &Value) -> String {
    let error = openapi::policy(description, "c", &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Policy, "{error}");
    error.to_string()
}

/// All that a policy says, in one order of its fields and paths.
fn everything(policy: &Policy) -> Vec<String> {
    let field = |field: &Field| {
        let mut paths = field.paths().to_vec();
        paths.sort();
        let shown = format!("{field:?}").replace(&format!("{:?}", field.paths()), &format!("{paths:?}"));
        shown.replace("..['", "..").replace("']", "")
    };
    let mut all: Vec<_> = policy.fields().iter().map(field).collect();
    all.sort();
    all.push(format!("{} {:?} {:?}", policy.collection(), policy.record_binding(), policy.compound_indexes()));
    all.push(format!("{:?}", policy.strict()));
    all
}

#[test]
fn fields_stand_wherever_a_body_holds_a_record() {
    let policy = Policy::from_openapi(GROCERY, "customers", &["Customer"]).unwrap();
    let holders = ["$", "$[:]", "$.items[:]", "$.data.customer", "$.customer", "$.deleted[:]"];
    let below = |rest: &str| holders.map(|holder| format!("{holder}{rest}"));
    for (name, rest) in [
        ("name", ".name"),
        ("email", ".email"),
        ("birthday", ".birthday"),
        ("addresses", ".addresses[:]"),
        ("card_last4", ".cards[:].last4"),
        ("phone", ".phone"),
        ("contact", ""),
    ] {
        let field = policy.fields().iter().find(|field| field.name() == name).unwrap();
        let mut found = field.paths().to_vec();
        let mut wanted = if name == "contact" { vec!["$.delivery.contact".to_owned()] } else { below(rest).to_vec() };
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "{name}");
    }
    assert_eq!(policy.fields().len(), 7);
    let email = policy.fields().iter().find(|field| field.name() == "email").unwrap();
    assert_eq!((email.tag(), email.index_name().as_deref()), (&Tag::Email, Some("email_index")));
    assert_eq!(policy.record_binding().unwrap().member(), "id");
}

#[test]
fn a_policy_from_a_description_encrypts_what_is_tagged_and_nothing_else() {
    let mut description = grocery();
    description["components"]["schemas"]["CustomerDetails"]["properties"]["email"]["x-pii"] = json!("email");
    description["components"]["schemas"]["Customer"]["x-pii-policy"].take();
    description["components"]["schemas"]["Customer"].as_object_mut().unwrap().remove("x-pii-policy");
    let policy = openapi::policy(&description, "customers", &["Customer"]).unwrap();
    let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate().unwrap())));
    let sent = json!({
        "customer": {"id": 7, "name": "Tan Wei Ming", "addresses": [{"street": "12 Orchard Road"}], "cards": [{"brand": "Visa", "last4": "4242"}]},
        "delivery": {"contact": "+65 9123 4567", "window": "9 to 11"},
        "shop_phone": "+65 6123 4567",
    });
    let stored = cipher.encrypt_json(sent.to_string().as_bytes()).unwrap();
    let stored: Value = serde_json::from_slice(&stored).unwrap();
    for pointer in ["/customer/name", "/customer/addresses/0", "/customer/cards/0/last4", "/delivery/contact"] {
        assert!(stored.pointer(pointer).unwrap().as_str().unwrap().starts_with("fs1."), "{pointer}");
    }
    for pointer in ["/customer/id", "/customer/cards/0/brand", "/delivery/window", "/shop_phone"] {
        assert_eq!(stored.pointer(pointer), sent.pointer(pointer), "{pointer}");
    }
}

#[test]
fn without_records_all_that_is_tagged_in_any_body_belongs_to_the_collection() {
    let policy = openapi::policy(&grocery(), "everybody", &[]).unwrap();
    let employee = policy.fields().iter().find(|field| field.name() == "extension").unwrap();
    assert_eq!(employee.paths(), ["$[:].extension"]);
    let staff = openapi::policy(&grocery(), "staff", &["Employee"]).unwrap();
    assert_eq!(told(&staff), ["extension:phone $.extension $[*].extension"]);
}

#[test]
fn every_property_that_refers_to_a_tagged_schema_is_tagged() {
    let phone = json!({"type": "string", "x-pii": "phone"});
    let schema = json!({"properties": {
        "home": {"$ref": "#/components/schemas/Phone"},
        "work": {"anyOf": [{"$ref": "#/components/schemas/Phone"}, {"type": "null"}]},
        "shop": {"$ref": "#/components/schemas/Phone", "x-pii": "none"},
        "other": {"$ref": "#/components/schemas/Phone", "x-pii": {"tag": "text", "name": "number"}},
        "all": {"type": "array", "items": {"$ref": "#/components/schemas/Phone"}},
    }});
    assert_eq!(
        read(&api(&schema, &json!({ "Phone": phone }))),
        ["all:phone $.all[*]", "home:phone $.home", "number:text $.other", "work:phone $.work"]
    );
}

#[test]
fn each_way_to_compose_a_schema_is_followed() {
    let phone = json!({"properties": {"phone": {"x-pii": "phone"}}});
    for (schema, path) in [
        (json!({"allOf": [{"type": "object"}, phone]}), "$.phone"),
        (json!({"oneOf": [phone, {"type": "null"}]}), "$.phone"),
        (json!({"if": {}, "then": phone}), "$.phone"),
        (json!({"if": {}, "else": phone}), "$.phone"),
        (json!({"dependentSchemas": {"a": phone}}), "$.phone"),
        (json!({"items": phone}), "$[*].phone"),
        (json!({"prefixItems": [true, phone]}), "$[1].phone"),
        (json!({"contains": phone}), "$[*].phone"),
        (json!({"unevaluatedItems": phone}), "$[*].phone"),
        (json!({"additionalProperties": phone}), "$[*].phone"),
        (json!({"unevaluatedProperties": phone}), "$[*].phone"),
        (json!({"properties": {"a b": {"items": phone}}}), "$['a b'][*].phone"),
        (json!({"properties": {"a/b~": {"$ref": "#/components/schemas/x~1y~0%20z"}}}), "$['a/b~'].phone"),
        (json!({"discriminator": {"mapping": {"p": "x/y~ z"}}}), "$.phone"),
        (json!({"discriminator": {"mapping": {"p": "#/components/schemas/x~1y~0%20z"}}}), "$.phone"),
    ] {
        let description = api(&schema, &json!({ "x/y~ z": phone }));
        let description = if schema.to_string().contains("x/y") || schema.to_string().contains("x~1y") {
            description
        } else {
            api(&schema, &json!({}))
        };
        assert_eq!(read(&description), [format!("phone:phone {path}")], "{schema}");
    }
}

#[test]
fn a_schema_that_holds_itself_is_selected_at_every_depth() {
    let person = json!({"properties": {
        "phone": {"x-pii": "phone"},
        "friends": {"items": {"$ref": "#/components/schemas/Person"}},
    }});
    let description = api(&json!({"$ref": "#/components/schemas/Person"}), &json!({ "Person": person }));
    let policy = openapi::policy(&description, "c", &[]).unwrap();
    assert_eq!(told(&policy), ["phone:phone $.friends..phone $.phone"]);
    let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate().unwrap())));
    let sent = r#"{"phone":"1","friends":[{"phone":"2","friends":[{"phone":"3","friends":[{"phone":"4"}]}]}]}"#;
    let stored = String::from_utf8(cipher.encrypt_json(sent.as_bytes()).unwrap()).unwrap();
    assert_eq!(stored.matches("fs1.").count(), 4, "{stored}");

    // Through another schema, and by references alone, which hold nothing.
    let a = json!({"properties": {"b": {"$ref": "#/components/schemas/B"}, "phone": {"x-pii": "phone"}}});
    let b = json!({"properties": {"a": {"$ref": "#/components/schemas/A"}, "email": {"x-pii": "email"}}});
    let description = api(&json!({"$ref": "#/components/schemas/A"}), &json!({ "A": a, "B": b }));
    assert_eq!(read(&description), ["phone:phone $.b..phone $.phone", "email:email $.b..email"]);
    let round = json!({"A": {"$ref": "#/components/schemas/B"}, "B": {"allOf": [{"$ref": "#/components/schemas/A"}], "properties": {"phone": {"x-pii": "phone"}}}});
    assert_eq!(read(&api(&json!({"$ref": "#/components/schemas/A"}), &round)), ["phone:phone $.phone"]);
}

#[test]
fn what_no_path_selects_is_refused_where_it_stands() {
    let tag = json!({"x-pii": "phone"});
    let inner = json!({"properties": {"phone": tag}});
    let schema = "/paths/~1a/post/requestBody/content/application~1json/schema";
    for (body, pointer, message) in [
        (json!({"patternProperties": {"^a": tag}}), "/patternProperties/^a", "pattern properties"),
        (json!({"patternProperties": {"^a": inner}}), "/patternProperties/^a/properties/phone", "pattern properties"),
        (json!({"properties": {"a": true}, "additionalProperties": tag}), "/additionalProperties", "beside others"),
        (json!({"prefixItems": [true], "items": inner}), "/items/properties/phone", "behind a prefix"),
        (json!({"propertyNames": tag}), "/propertyNames", "no value does"),
        (json!({"not": inner}), "/not/properties/phone", "no value does"),
        (json!({"x-pii": "phone"}), "", "a whole document"),
        (json!({"items": tag}), "/items", "give the field a `name`"),
        (json!({"properties": {"a": {"$ref": "https://example.com/a.json"}}}), "/properties/a", "bundle"),
        (json!({"properties": {"a": {"$ref": "a.json#/b"}}}), "/properties/a", "bundle"),
        (json!({"properties": {"a": {"$ref": "#anchor"}}}), "/properties/a", "bundle"),
        (json!({"properties": {"a": {"$ref": "#/components/schemas/Nobody"}}}), "/properties/a", "points at nothing"),
        (json!({"properties": {"a": {"$ref": 7}}}), "/properties/a", "`$ref` is a text"),
        (json!({"properties": {"a": {"$dynamicRef": "#a"}}}), "/properties/a", "dynamic references"),
        (json!({"properties": {"a": {"$id": "a"}}}), "/properties/a", "`$id`"),
        (json!({"properties": {"a": 7}}), "/properties/a", "a schema is expected"),
        (json!({"properties": {"a": {"x-pii": "phon"}}}), "/properties/a", "there is no tag `phon`"),
        (json!({"properties": {"a": {"x-pii": true}}}), "/properties/a", "or false"),
        (json!({"properties": {"a": {"x-pii": {"tag": "phone", "pad": 1}}}}), "/properties/a", "unknown field `pad`"),
        (json!({"properties": {"a": {"x-pii": {"name": "a"}}}}), "/properties/a", "missing field `tag`"),
        (json!({"properties": {"a": {"x-pii": {"tag": "phone", "name": 1}}}}), "/properties/a", "the name of a field"),
        (json!({"properties": {"a": {"x-pii": {"tag": "phone", "mask": "x"}}}}), "/properties/a", "there is no mask"),
        (json!({"properties": {"password": tag}}), "/properties/password", "is not encrypted but hashed"),
        (
            json!({"properties": {"a": {"x-pii": "address", "properties": {"phone": tag}}}}),
            "/properties/a/properties/phone",
            "within what is encrypted whole",
        ),
        (
            json!({"properties": {"a": {"allOf": [tag, {"x-pii": "email"}]}}}),
            "/properties/a/allOf/1",
            "tagged in two ways",
        ),
        (
            json!({"properties": {"a": {"properties": {"n": {"x-pii": "email"}}}, "n": tag}}),
            "/properties/n",
            "tagged in another way",
        ),
    ] {
        let said = refused(&api(&body, &json!({})));
        assert!(said.contains(&format!("at `{schema}{pointer}`:")), "{body}: {said}");
        assert!(said.contains(message), "{body}: {said}");
    }
}

#[test]
fn a_tag_that_no_body_holds_is_refused_unless_a_record_is_named() {
    let components = json!({"Customer": {"properties": {"phone": {"x-pii": "phone"}}}});
    let description = api(&json!({"type": "object"}), &components);
    let said = refused(&description);
    assert!(said.contains("`/components/schemas/Customer/properties/phone`") && said.contains("its record"), "{said}");
    let policy = openapi::policy(&description, "c", &["Customer"]).unwrap();
    assert_eq!(told(&policy), ["phone:phone $.phone $[*].phone"]);
    let said = openapi::policy(&description, "c", &["Custumer"]).unwrap_err().to_string();
    assert!(said.contains("there is no schema `Custumer`"), "{said}");

    // A keyword that is not followed hides nothing, whatever is named.
    let hidden = json!({"Customer": {
        "properties": {"name": {"x-pii": "name"}},
        "dependencies": {"name": {"properties": {"phone": {"x-pii": "phone"}}}},
    }});
    let description = api(&json!({"$ref": "#/components/schemas/Customer"}), &hidden);
    for records in [&[][..], &["Customer"]] {
        let place = "/components/schemas/Customer/dependencies/name/properties/phone";
        let said = openapi::policy(&description, "c", records).unwrap_err().to_string();
        assert!(said.contains(&format!("`{place}`")), "{said}");
        let policy = Policy::builder("c").field(Field::new("name", Tag::Name)).build().unwrap();
        assert_eq!(found(&description, &policy, records), [(FindingKind::NotInPolicy, place.to_owned())]);
    }

    // Examples are no schemas, and a property may be called so.
    let schema =
        json!({"properties": {"phone": {"x-pii": "phone", "examples": [{"x-pii": "?"}]}, "x-pii": {"type": "string"}}});
    assert_eq!(read(&api(&schema, &json!({}))), ["phone:phone $.phone"]);

    let mut description = api(&json!({"properties": {"phone": {"x-pii": "phone"}}}), &json!({}));
    for (parameter, is_refused) in [
        (json!({"name": "phone", "in": "query", "schema": {"x-pii": "phone"}}), false),
        (json!({"name": "filter[phone]", "in": "query", "x-pii": "phone"}), false),
        (json!({"name": "nric", "in": "query", "schema": {"x-pii": "national_id"}}), true),
        (json!({"name": "nric", "in": "query", "x-pii": "national_id"}), true),
        (json!({"name": "nric", "in": "query", "x-pii": false}), false),
        // The layer looks at no header.
        (json!({"name": "phone", "in": "header", "schema": {"x-pii": "phone"}}), true),
    ] {
        description["paths"]["/a"]["parameters"] = json!([parameter]);
        assert_eq!(openapi::policy(&description, "c", &[]).is_err(), is_refused, "{parameter}");
    }
}

#[test]
fn what_is_no_description_is_refused() {
    for (text, message) in [
        ("openapi: 3.1.0", "is no JSON"),
        ("{", "is no JSON"),
        (&"[".repeat(100_000), "is no JSON"),
        ("7", "no description of an API"),
        ("{}", "no description of an API"),
        (r#"{"swagger": "2.0"}"#, "Swagger 2, and OpenAPI 3.1"),
        (r#"{"openapi": "3.0.3", "paths": {}}"#, "OpenAPI 3.0.3, and OpenAPI 3.1"),
        (r#"{"openapi": "3.10.0", "paths": {}}"#, "OpenAPI 3.10.0"),
        (r#"{"openapi": 3.1, "paths": {}}"#, "no description of an API"),
        (r#"{"openapi": "3.1.1", "paths": {}}"#, "name the schemas"),
    ] {
        let error = Policy::from_openapi(text, "c", &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Policy, "{text:.40}");
        assert!(error.to_string().contains(message), "{text:.40}: {error}");
    }
}

#[test]
fn a_description_that_would_take_for_ever_is_refused_or_read() {
    // Each schema holds the next one twice: 2^30 paths.
    let mut components = serde_json::Map::new();
    for level in 0..30 {
        let next = json!({"$ref": format!("#/components/schemas/S{}", level + 1)});
        components.insert(format!("S{level}"), json!({"properties": {"a": next, "b": next}}));
    }
    components.insert("S30".to_owned(), json!({"properties": {"c": {"type": "string"}}}));
    let root = json!({"$ref": "#/components/schemas/S0"});
    let policy = Policy::builder("c").field(Field::new("c", Tag::Text)).build().unwrap();
    let plain = api(&root, &Value::Object(components.clone()));
    assert!(refused(&plain).contains("1 to 256 fields"));
    assert!(openapi::check(&plain, &policy, &[]).unwrap().is_empty());
    components.insert("S30".to_owned(), json!({"properties": {"c": {"x-pii": "text"}}}));
    assert!(refused(&api(&root, &Value::Object(components))).contains("too many places"));

    // One below the other, deeper than a parser goes.
    let mut deep = json!({"properties": {"c": {"x-pii": "text"}}});
    for _ in 0..150 {
        deep = json!({"properties": {"a": deep}});
    }
    assert!(refused(&api(&deep, &json!({}))).contains("nested too deep"));

    // Wide is no trouble.
    let wide: serde_json::Map<_, _> = (0..20_000).map(|n| (format!("p{n}"), json!({"type": "string"}))).collect();
    let mut schema = json!({ "properties": wide });
    schema["properties"]["phone"] = json!({"x-pii": "phone"});
    assert_eq!(read(&api(&schema, &json!({}))), ["phone:phone $.phone"]);
}

/// A policy that uses all that a description can hold.
fn full() -> Policy {
    Policy::builder("customers")
        .field(Field::new("name", Tag::Name).validate(Validation::new().required().max_length(100).plain_text()))
        .field(
            Field::new("phone", Tag::Phone)
                .mask(Mask::hidden())
                .blind_index(BlindIndex::truncated(Normalizer::exact(), 32).named("phone_ix").partitions(4)),
        )
        .field(Field::new("email", Tag::Email).path("$.email").null_if_unreadable())
        .field(Field::new("birthday", Tag::DateOfBirth).path("$.birthday").encrypt_null())
        .field(Field::new("last4", Tag::CardFragment).path("$..cards[*].last4").pad_to(64))
        .field(
            Field::new("postal", Tag::custom("place"))
                .path("$..postcode")
                .allow_plaintext_until("2027-01-31T00:00:00Z".parse::<fieldseal::Timestamp>().unwrap()),
        )
        .compound_index(
            CompoundIndex::new("name_and_phone").part("name", Normalizer::exact()).part("phone", Normalizer::exact()),
        )
        .bind_records(RecordBinding::upgrade("id", std::time::Duration::from_secs(60)).path("$").path("$.items[*]"))
        .fresh_prefix_per_field()
        .strict(fieldseal::policy::Strict::report().except("$.shop"))
        .build()
        .unwrap()
}

fn customer() -> Value {
    json!({"properties": {
        "id": {"type": "integer"},
        "name": {"type": "string"},
        "phone": {"type": "string"},
        "email": {"$ref": "#/components/schemas/Email"},
        "birthday": {"type": "string"},
        "postcode": {"type": "string"},
        "cards": {"items": {"properties": {"last4": {"type": "string"}}}},
    }})
}

#[test]
fn a_policy_that_was_written_into_a_description_is_read_from_it_again() {
    let page = json!({"anyOf": [
        {"$ref": "#/components/schemas/Customer"},
        {"properties": {"items": {"items": {"$ref": "#/components/schemas/Customer"}}}},
    ]});
    let mut description = api(&page, &json!({"Customer": customer(), "Email": {"type": "string"}}));
    let before = description.clone();
    for records in [&[][..], &["Customer"]] {
        description.clone_from(&before);
        assert!(openapi::annotate(&mut description, &full(), records).unwrap().is_empty(), "{records:?}");
        let again = openapi::policy(&description, "customers", records).unwrap();
        assert_eq!(everything(&again), everything(&full()), "{records:?}");
        // And once more nothing changes.
        let once = description.clone();
        openapi::annotate(&mut description, &full(), records).unwrap();
        assert_eq!(description, once);
        // Two of its fields have a path at the root alone, and the page holds them too.
        let holes = found(&description, &again, records);
        let at = |name| (FindingKind::NotInPolicy, format!("/components/schemas/Customer/properties/{name}"));
        assert_eq!(holes, [at("birthday"), at("email")]);
    }
    // What the paths follow from, they are not written beside.
    let policy = openapi::policy(&grocery(), "customers", &["Customer"]).unwrap();
    let mut annotated = grocery();
    openapi::annotate(&mut annotated, &policy, &["Customer"]).unwrap();
    assert!(!annotated.to_string().contains("\"paths\":["), "{annotated:#}");
    let again = openapi::policy(&annotated, "customers", &["Customer"]).unwrap();
    assert_eq!(everything(&again), everything(&policy));
}

#[test]
fn what_a_description_cannot_hold_is_refused_or_named() {
    let mut description = api(&customer(), &json!({"Email": {"type": "string"}}));
    let before = description.clone();
    let own = |field: Field| Policy::builder("c").field(field).build().unwrap();
    for field in [
        Field::new("phone", Tag::Phone).mask(Mask::custom(str::to_owned)),
        Field::new("phone", Tag::Phone).validate(Validation::new().check("even", |text| text.len() % 2 == 0)),
        Field::new("phone", Tag::Phone).validate(Validation::new().max_length(7).max_length(8)),
        Field::new("phone", Tag::Phone).validate(Validation::new().canonical(Normalizer::exact()).max_length(8)),
        Field::new("phone", Tag::Phone)
            .blind_index(BlindIndex::new(Normalizer::custom("own", 1, |text| Some(text.to_owned())).unwrap())),
    ] {
        let error = openapi::annotate(&mut description, &own(field), &[]).unwrap_err();
        assert!(error.to_string().contains("no file can describe"), "{error}");
        assert_eq!(description, before);
    }
    let policy = own(Field::new("nric", Tag::NationalId).path("$..nric"));
    assert_eq!(openapi::annotate(&mut description, &policy, &[]).unwrap(), ["nric"]);

    // One property, two fields.
    let address = json!({"properties": {"street": {"type": "string"}}});
    let schema = json!({"properties": {
        "home": {"$ref": "#/components/schemas/Address"},
        "work": {"$ref": "#/components/schemas/Address"},
    }});
    let mut description = api(&schema, &json!({ "Address": address }));
    let policy = Policy::builder("c")
        .field(Field::new("home_street", Tag::Address).path("$.home.street"))
        .field(Field::new("work_street", Tag::Address).path("$.work.street"))
        .build()
        .unwrap();
    let said = openapi::annotate(&mut description, &policy, &[]).unwrap_err().to_string();
    assert!(said.contains("/components/schemas/Address/properties/street"), "{said}");
}

fn found(description: &Value, policy: &Policy, records: &[&str]) -> Vec<(FindingKind, String)> {
    let findings = openapi::check(description, policy, records).unwrap();
    findings.iter().map(|finding| (finding.kind(), finding.pointer().to_owned())).collect()
}

#[test]
fn a_description_that_fits_its_policy_has_no_findings() {
    for records in [&["Customer"][..], &[]] {
        let mut description = grocery();
        // A phone in a query needs an index.
        description["components"]["schemas"]["Phone"]["x-pii"] =
            json!({"tag": "phone", "index": {"normal_form": "exact"}});
        let policy = openapi::policy(&description, "customers", records).unwrap();
        let findings = openapi::check(&description, &policy, records).unwrap();
        assert_eq!(findings, Vec::<Finding>::new(), "{records:?}");
    }
    let policy = openapi::policy(&grocery(), "customers", &["Customer"]).unwrap();
    let findings = openapi::check(&grocery(), &policy, &["Customer"]).unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].kind(), FindingKind::NoIndex);
    assert_eq!(findings[0].pointer(), "/paths/~1customers/get/parameters/0");
    assert_eq!(findings[0].field(), Some("phone"));
}

#[test]
fn each_way_in_which_a_description_and_a_policy_differ_is_found() {
    use FindingKind::{LooksPersonal, NoIndex, NotDescribed, NotInPolicy, NotRead, NotTagged, TagDiffers};
    let root = "/paths/~1a/post/requestBody/content/application~1json/schema";
    let policy = Policy::builder("c")
        .field(Field::new("phone", Tag::Phone).path("$.phone"))
        .field(Field::new("email", Tag::Email).blind_index(BlindIndex::new(Normalizer::exact())))
        .build()
        .unwrap();
    let own = json!({"phone": {"x-pii": "phone"}, "email": {"x-pii": "email"}, "email_index": {"type": "string"}});
    let with = |name: &str, schema: Value| {
        let mut own = own.clone();
        own[name] = schema;
        api(&json!({ "properties": own }), &json!({}))
    };
    let at = |rest: &str| format!("{root}/properties/{rest}");
    for (description, wanted) in [
        (with("id", json!({"type": "integer"})), vec![]),
        (with("phone", json!(true)), vec![(NotTagged, at("phone"))]),
        (with("phone", json!({"x-pii": false})), vec![(NotTagged, at("phone"))]),
        (with("phone", json!({"x-pii": "text"})), vec![(TagDiffers, at("phone"))]),
        (with("phone", json!({"x-pii": {"tag": "phone", "name": "tel"}})), vec![(TagDiffers, at("phone"))]),
        (with("phone", json!({"x-pii": {"tag": "phone", "encrypt_null": true}})), vec![(TagDiffers, at("phone"))]),
        (with("phone", json!({"x-pii": {"tag": "phone", "encrypt_null": false}})), vec![]),
        (
            with("email", json!({"x-pii": {"tag": "email", "index": {"normal_form": "exact", "bits": 16}}})),
            vec![(TagDiffers, at("email"))],
        ),
        (with("nric", json!({"x-pii": "national_id"})), vec![(NotInPolicy, at("nric"))]),
        (with("mobile", json!({"type": "string"})), vec![(LooksPersonal, at("mobile"))]),
        (with("mobile", json!({"type": "string", "x-pii": false})), vec![]),
        (with("phones", json!({"items": {"type": "string"}})), vec![(LooksPersonal, at("phones/items"))]),
        (with("address", json!({"properties": {"line": true}})), vec![(LooksPersonal, at("address"))]),
        (
            with("address", json!({"properties": {"line": {"x-pii": "text"}}})),
            vec![(NotInPolicy, at("address/properties/line"))],
        ),
        (with("mobile", json!({"type": "string", "x-pii": "none"})), vec![]),
        (with("x", json!({"format": "idn-email"})), vec![(LooksPersonal, at("x"))]),
        (
            with("home", json!({"properties": {"phone": {"type": "string"}}})),
            vec![(LooksPersonal, at("home/properties/phone"))],
        ),
        // It is not at the root, where alone the policy has it.
        (
            with("home", json!({"properties": {"phone": {"x-pii": "phone"}}})),
            vec![(NotInPolicy, at("home/properties/phone"))],
        ),
        (api(&json!({"properties": {"email": {"x-pii": "email"}}}), &json!({})), vec![(NotDescribed, String::new())]),
    ] {
        assert_eq!(found(&description, &policy, &[]), wanted, "{description}");
    }

    // An index is one element of many.
    let some = Policy::builder("c").field(Field::new("first", Tag::Phone).path("$.list[0]")).build().unwrap();
    let list = api(&json!({"properties": {"list": {"items": {"x-pii": "phone"}}}}), &json!({}));
    assert_eq!(found(&list, &some, &[]), [(NotInPolicy, at("list/items"))]);

    // Without any tag in it, the description says nothing about tags.
    let untagged = api(&json!({"properties": {"phone": true, "email": true}}), &json!({}));
    assert_eq!(found(&untagged, &policy, &[]), []);

    let mut description = with("id", json!({"type": "integer"}));
    description["paths"]["/a"]["parameters"] = json!([
        {"name": "filter[phone]", "in": "query", "schema": {"type": "string"}},
        {"name": "Phone", "in": "path", "schema": {"type": "string"}},
        {"name": "email", "in": "query", "schema": {"type": "string"}},
        {"name": "email_index", "in": "query", "schema": {"type": "string"}},
        {"name": "passport", "in": "query", "schema": {"type": "string"}},
        {"name": "surname", "in": "query", "schema": {"type": "string", "x-pii": false}},
        {"name": "nric", "in": "query", "schema": {"type": "string", "x-pii": "national_id"}},
        {"name": "page", "in": "query", "schema": {"type": "integer"}},
        {"name": "Phone", "in": "header", "schema": {"x-pii": "phone"}},
        {"name": "X-Email", "in": "header", "schema": {"type": "string"}},
        {"name": "X-Mobile", "in": "header", "x-pii": false, "schema": {"type": "string"}},
    ]);
    let wanted = [
        (NoIndex, 0),
        (NoIndex, 1),
        (NoIndex, 3),
        (LooksPersonal, 4),
        (NotInPolicy, 6),
        (NotInPolicy, 8),
        (LooksPersonal, 9),
    ];
    assert_eq!(
        found(&description, &policy, &[]),
        wanted.map(|(kind, place)| (kind, format!("/paths/~1a/parameters/{place}")))
    );

    let mut description = with("id", json!({"type": "integer"}));
    let form = json!({"schema": {"$ref": format!("#{root}")}});
    description["paths"]["/a"]["post"]["requestBody"]["content"]["multipart/form-data"] = form.clone();
    description["paths"]["/a"]["post"]["requestBody"]["content"]["application/xml"] = form;
    let place = "/paths/~1a/post/requestBody/content/application~1xml/schema";
    assert_eq!(found(&description, &policy, &[]), [(NotRead, place.to_owned())]);
}

#[test]
fn a_finding_says_where_and_why_and_shows_no_example() {
    let policy = Policy::builder("c").field(Field::new("phone", Tag::Phone)).build().unwrap();
    let schema = json!({"properties": {
        "phone": {"type": "string"},
        "contact": {"type": "string", "examples": ["wei.ming@example.sg"]},
    }});
    let findings = openapi::check(&schema, &policy, &[]).unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].path(), Some("$.contact"));
    let told = findings[0].to_string();
    assert_eq!(
        told,
        "/properties/contact ($.contact): it looks like an email address by its example: tag it, such as `x-pii: email`, \
         or say `x-pii: false` where it is not"
    );
    assert!(!format!("{findings:?}").contains("wei.ming"));
}

#[cfg(feature = "toml")]
#[test]
fn a_policy_from_a_description_is_written_as_a_file() {
    let policy = openapi::policy(&grocery(), "customers", &["Customer"]).unwrap();
    let again = Policy::from_toml(&policy.to_toml().unwrap()).unwrap();
    assert_eq!(everything(&again), everything(&policy));
    let again = Policy::from_toml(&full().to_toml().unwrap()).unwrap();
    assert_eq!(everything(&again), everything(&full()));
    let own = Policy::builder("c").field(Field::new("a", Tag::Text).mask(Mask::custom(str::to_owned))).build().unwrap();
    assert_eq!(own.to_toml().unwrap_err().kind(), ErrorKind::Policy);
}

/// Structs that describe themselves.
#[cfg(any(feature = "utoipa", feature = "schemars"))]
mod derived {
    use fieldseal::openapi::Annotator;

    use super::*;

    fn policy() -> Policy {
        Policy::builder("customers")
            .field(Field::new("name", Tag::Name).path("$.name").path("$[*].name"))
            .field(Field::new("phone", Tag::Phone).mask(Mask::hidden()))
            .field(Field::new("address", Tag::Address))
            .field(Field::new("card_last4", Tag::CardFragment).path("$..cards[*].last4"))
            .bind_records(RecordBinding::required("id"))
            .build()
            .unwrap()
    }

    #[cfg(feature = "schemars")]
    #[test]
    fn a_struct_with_the_schema_of_schemars_documents_itself() {
        use schemars::JsonSchema;
        use schemars::generate::SchemaSettings;

        #[derive(JsonSchema)]
        #[allow(dead_code, reason = "only its schema is made")]
        struct Customer {
            id: u64,
            name: String,
            phone: Option<String>,
            address: Option<Address>,
            cards: Vec<Card>,
        }

        #[derive(JsonSchema)]
        #[allow(dead_code, reason = "only its schema is made")]
        struct Address {
            street: String,
        }

        #[derive(JsonSchema)]
        #[allow(dead_code, reason = "only its schema is made")]
        struct Card {
            last4: String,
        }

        for settings in [SchemaSettings::draft2020_12(), SchemaSettings::draft07()] {
            let annotated = settings.with_transform(Annotator::new(policy()));
            let schema = annotated.into_generator().into_root_schema_for::<Customer>().to_value();
            assert_eq!(schema["properties"]["name"]["x-pii"], "name");
            assert_eq!(schema["properties"]["phone"]["x-pii"]["mask"], "hidden");
            assert_eq!(schema["properties"]["id"].get("x-pii"), None);
            let again = openapi::policy(&schema, "customers", &[]).unwrap();
            assert_eq!(everything(&again), everything(&policy()), "{schema:#}");
            assert_eq!(openapi::check(&schema, &again, &[]).unwrap(), Vec::<Finding>::new());
        }
    }

    #[cfg(feature = "utoipa")]
    #[test]
    fn a_struct_with_the_schema_of_utoipa_documents_itself() {
        use utoipa::{Modify as _, OpenApi, ToSchema};

        #[derive(ToSchema)]
        #[allow(dead_code, reason = "only its schema is made")]
        struct Customer {
            id: u64,
            #[schema(min_length = 1, example = "Tan Wei Ming")]
            name: String,
            phone: Option<String>,
            address: Option<Address>,
            delivery: Address,
            cards: Vec<Card>,
        }

        #[derive(ToSchema)]
        #[allow(dead_code, reason = "only its schema is made")]
        struct Address {
            street: String,
        }

        #[derive(ToSchema)]
        #[allow(dead_code, reason = "only its schema is made")]
        struct Card {
            last4: String,
            #[schema(value_type = f64, minimum = 0.5)]
            limit: f64,
        }

        #[utoipa::path(post, path = "/customers", request_body = Customer, responses((status = 200, body = Vec<Customer>)))]
        #[allow(dead_code, reason = "only its description is made")]
        fn create() {}

        #[derive(OpenApi)]
        #[openapi(paths(create), components(schemas(Customer, Address, Card)))]
        struct Api;

        let own = Policy::builder("customers")
            .field(Field::new("name", Tag::Name).path("$.name").path("$[*].name"))
            .field(Field::new("phone", Tag::Phone).mask(Mask::hidden()))
            .field(Field::new("address", Tag::Address).path("$..address").path("$..delivery"))
            .field(Field::new("card_last4", Tag::CardFragment).path("$..cards[*].last4"))
            .bind_records(RecordBinding::required("id"))
            .build()
            .unwrap();
        let wanted = everything(&own);
        let mut api = Api::openapi();
        Annotator::new(own).record("Customer").modify(&mut api);
        let description = serde_json::to_value(&api).unwrap();
        let properties = &description["components"]["schemas"]["Customer"]["properties"];
        assert_eq!(properties["name"]["x-pii"], "name");
        assert_eq!(properties["delivery"]["x-pii"]["name"], "address");
        let again = openapi::policy(&description, "customers", &["Customer"]).unwrap();
        assert_eq!(everything(&again), wanted, "{description:#}");
        assert_eq!(openapi::check(&description, &again, &["Customer"]).unwrap(), Vec::<Finding>::new());
    }
}
