//! Proves that the program `fieldseal` tells a description that fits its policy from one that does not, by its exit code
//! too, and that it turns one into the other.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/program.rs"]
#[allow(dead_code, reason = "no database here")]
mod program;

use std::fs;

use fieldseal::{Policy, openapi};
use program::{Place, text};
use serde_json::{Value, json};

const GROCERY: &str = include_str!("vectors/openapi/grocery.json");
const CHECK: [&str; 5] = ["openapi", "check", "--policy=policy.toml", "--schema=api.json", "--record=Customer"];

/// A directory with a description of the grocery, in which a phone can be looked up, and the policy that it makes.
fn place() -> (Place, Value) {
    let place = Place::new();
    let mut description: Value = serde_json::from_str(GROCERY).unwrap();
    description["components"]["schemas"]["Phone"]["x-pii"] = json!({"tag": "phone", "index": {"normal_form": "exact"}});
    write(&place, &description);
    let policy =
        place.command(&["openapi", "policy", "--schema=api.json", "--collection=customers", "--record=Customer"]);
    let made = { policy }.output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    fs::write(place.path("policy.toml"), made.stdout).unwrap();
    (place, description)
}

fn write(place: &Place, description: &Value) {
    fs::write(place.path("api.json"), description.to_string()).unwrap();
}

#[test]
fn the_policy_of_a_description_fits_it() {
    let (place, description) = place();
    let policy = Policy::from_toml(&fs::read_to_string(place.path("policy.toml")).unwrap()).unwrap();
    let wanted = openapi::policy(&description, "customers", &["Customer"]).unwrap();
    assert_eq!(policy.to_toml().unwrap(), wanted.to_toml().unwrap());
    assert_eq!(place.run(&CHECK), json!({"findings": []}));
    let output = place.command(&CHECK).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout).trim()), (Some(0), "nothing found"));
    let piped = ["openapi", "check", "--policy=policy.toml", "--schema=-", "--record=Customer"];
    assert!(place.piped(&piped, description.to_string().as_bytes()).status.success());
}

#[test]
fn findings_have_a_place_and_end_with_1() {
    let (place, mut description) = place();
    let order = "/components/schemas/Order/properties";
    description.pointer_mut(order).unwrap()["contactEmail"] = json!({"type": "string"});
    description.pointer_mut(order).unwrap()["passport"] = json!({"type": "string", "x-pii": "national_id"});
    write(&place, &description);
    let output = place.command(&CHECK).arg("--format=json").output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), String::new()));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let kinds: Vec<_> = found["findings"].as_array().unwrap().iter().map(|finding| &finding["kind"]).collect();
    assert_eq!(kinds, ["looks_personal", "not_in_policy"]);
    assert_eq!(found["findings"][0]["pointer"], format!("{order}/contactEmail"));
    assert_eq!(found["findings"][0]["path"], "$.contactEmail");
    let told = text(&place.command(&CHECK).output().unwrap().stdout);
    assert!(
        told.starts_with(&format!("looks_personal: {order}/contactEmail ($.contactEmail): it looks like")),
        "{told}"
    );
}

#[test]
fn what_cannot_be_checked_ends_with_2() {
    let (place, _) = place();
    for (text, message) in [
        ("openapi: 3.1.0\n", "is no JSON that can be read"),
        (r#"{"openapi": "3.0.3"}"#, "OpenAPI 3.0.3, and OpenAPI 3.1 and JSON Schema are supported"),
        (r##"{"$ref": "#/nowhere"}"##, "points at nothing"),
    ] {
        fs::write(place.path("api.json"), text).unwrap();
        let said = place.refused(&["openapi", "check", "--policy=policy.toml", "--schema=api.json"], 2);
        assert!(said.contains(message), "{said}");
    }
    assert!(place.refused(&CHECK[..4], 2).contains("points at nothing"));
    for (policy, schema) in [("policy.toml", "none.json"), ("none.toml", "api.json")] {
        let said =
            place.refused(&["openapi", "check", &format!("--policy={policy}"), &format!("--schema={schema}")], 2);
        assert!(said.contains("none.") && said.contains("cannot be read"), "{said}");
    }
    place.refused(&["openapi", "check", "--schema=api.json"], 2);
}

#[test]
fn a_description_is_annotated_with_what_it_says_already() {
    let (place, description) = place();
    let annotate = ["openapi", "annotate", "--policy=policy.toml", "--schema=api.json", "--record=Customer"];
    let annotated = place.run(&annotate);
    assert_ne!(annotated, description);
    write(&place, &annotated);
    assert_eq!(place.run(&CHECK), json!({"findings": []}));
    assert_eq!(place.run(&annotate), annotated);

    // What no property holds is said.
    fs::write(place.path("policy.toml"), "collection = \"c\"\n[fields.nric]\ntag = \"national_id\"\n").unwrap();
    let output = place.command(&annotate).output().unwrap();
    assert!(output.status.success() && text(&output.stderr).contains("holds `nric`"), "{output:?}");
    assert!(serde_json::from_slice::<Value>(&output.stdout).is_ok());
}
