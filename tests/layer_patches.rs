//! Proves that no patch carries a tagged value past the policy, or changes a part of what is encrypted whole.
#![cfg(feature = "layer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use fieldseal::{Field, FieldCipher, FieldEncryptionLayer, Policy, Tag};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use support::{Frames, JSON, Recorder, Reply, Server, cipher, keys, layer, masked, policy, token};

const MERGE: &str = "application/merge-patch+json";
const PATCH: &str = "application/json-patch+json";

/// Sends `patch` as `media_type` to a service behind `layer`, and returns what the service saw, if anything, and the
/// answer, whose body the service takes from memory.
async fn patched(layer: FieldEncryptionLayer, media_type: &str, patch: &str) -> (Option<Vec<u8>>, Reply) {
    let recorder = Recorder::answering(JSON, cipher().encrypt_json(br#"{"phone": "+65 9123 4567"}"#).unwrap());
    let server = Server::axum(layer, &recorder).await;
    let request = server.request("PATCH", "/customers/7").header(CONTENT_TYPE, media_type);
    let reply = server.send(request.body(patch.to_owned().into()).unwrap()).await;
    let received = recorder.received();
    assert_eq!(received.len(), recorder.calls());
    for seen in &received {
        assert_eq!(seen.headers[CONTENT_TYPE], media_type);
        assert_eq!(seen.headers[CONTENT_LENGTH], seen.bytes().len().to_string());
    }
    (received.first().map(|seen| seen.bytes().to_vec()), reply)
}

/// Fails unless the service sees `stored`, being [`masked`].
async fn passes(layer: FieldEncryptionLayer, media_type: &str, patch: &str, stored: &str) -> Vec<u8> {
    let (seen, reply) = patched(layer, media_type, patch).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, r#"{"phone": "+65 9123 4567"}"#), "{patch}");
    let seen = seen.unwrap();
    assert_eq!(masked(&seen), stored);
    seen
}

/// Fails unless the layer answers with this status and code, and the service is not called.
async fn refuses(layer: FieldEncryptionLayer, media_type: &str, patch: &str, status: u16, code: &str) -> String {
    let (seen, reply) = patched(layer, media_type, patch).await;
    assert_eq!(seen.map(|seen| masked(&seen)), None, "{patch}");
    assert_eq!(reply.status, status, "{patch}");
    reply.refusal(status, code)
}

#[tokio::test]
async fn a_merge_patch_encrypts_values_and_keeps_removals() {
    let seen = passes(
        layer(),
        MERGE,
        r#"{ "phone":"+65 9123 4567", "name" : null, "remark": null, "vip": null, "due":1.10, "kin": {"phone": 9123, "email": null}, "list": [{"phone": "9123"}], "address": ["Bedok"] }"#,
        r#"{ "phone":"<112>", "name" : null, "remark": null, "vip": null, "due":1.10, "kin": {"phone": "<112>", "email": null}, "list": [{"phone": "<112>"}], "address": "<240>" }"#,
    )
    .await;
    assert!(cipher().decrypt_json(&seen).is_ok());
    // Arrays are replaced whole, so below one `null` removes nothing.
    passes(
        layer(),
        MERGE,
        r#"{"list": [{"remark": null, "a": {"remark": null}}]}"#,
        r#"{"list": [{"remark": "<112>", "a": {"remark": "<112>"}}]}"#,
    )
    .await;
    passes(layer(), MERGE, r#"{"remark": "x"}"#, r#"{"remark": "<112>"}"#).await;
    passes(layer(), MERGE, "{}", "{}").await;
    passes(layer(), MERGE, "null", "null").await;
    passes(layer(), "application/merge-patch+json; charset=utf-8", r#"{"phone": ""}"#, r#"{"phone": "<112>"}"#).await;
}

#[tokio::test]
async fn a_merge_patch_cannot_change_a_part_of_a_tagged_value() {
    for patch in [
        r#"{"address": {"street": "Bedok North"}}"#,
        r#"{"address": {}}"#,
        r#"{"kin": {"address": {"street": null}}}"#,
        r#"{"address": null, "\u0061ddress": {"street": "Bedok North"}}"#,
    ] {
        let detail = refuses(layer(), MERGE, patch, 422, "refused").await;
        assert!(detail.contains("`address`"), "{detail}");
    }
    let submitted = format!(r#"{{"phone": "{}"}}"#, token("phone", "+65 9123 4567"));
    refuses(layer(), MERGE, &submitted, 422, "token_submitted").await;
    refuses(layer(), MERGE, r#"{"phone": "9123""#, 400, "malformed").await;
}

/// Fields at any depth, at one place, in every element, at one index, and under a name that a pointer must escape.
fn patch_layer() -> FieldEncryptionLayer {
    let policy = Policy::builder("customers")
        .field(Field::new("phone", Tag::Phone))
        .field(Field::new("address", Tag::Address).path("$.address"))
        .field(Field::new("owner", Tag::Name).path("$.contacts[0].name"))
        .field(Field::new("courier", Tag::Name).path("$.rounds[*].courier"))
        .field(Field::new("odd", Tag::Text).path("$['a/b']['c~d~1']"))
        .build()
        .unwrap();
    FieldEncryptionLayer::new(FieldCipher::new(policy, keys(7))).unwrap()
}

#[tokio::test]
async fn values_of_operations_are_encrypted_where_they_are_or_hold_tagged_ones() {
    for (patch, stored) in [
        ("[]", "[]"),
        (r#"[{"op":"add","path":"/phone","value":"9123"}]"#, r#"[{"op":"add","path":"/phone","value":"<112>"}]"#),
        (r#"[{"op":"replace","path":"/phone","value":9123}]"#, r#"[{"op":"replace","path":"/phone","value":"<112>"}]"#),
        (r#"[{"op":"replace","path":"/phone","value":null}]"#, r#"[{"op":"replace","path":"/phone","value":null}]"#),
        (
            r#"[{"op":"replace","path":"/address","value":{"street":"Bedok","phone":1}}]"#,
            r#"[{"op":"replace","path":"/address","value":"<240>"}]"#,
        ),
        (
            r#"[{"op":"add","path":"/people/-","value":{"id":1.10,"phone":"9123","kin":[{"phone":"9123"}]}}]"#,
            r#"[{"op":"add","path":"/people/-","value":{"id":1.10,"phone":"<112>","kin":[{"phone":"<112>"}]}}]"#,
        ),
        (
            r#"[{"op":"add","path":"/people/12/phone","value":"9123"}]"#,
            r#"[{"op":"add","path":"/people/12/phone","value":"<112>"}]"#,
        ),
        (
            r#"[{"op":"replace","path":"","value":{"phone":"9123","address":[],"rounds":[{"courier":"Tan"}],"contacts":[{"name":"Tan"},{"name":"Lim"}]}}]"#,
            r#"[{"op":"replace","path":"","value":{"phone":"<112>","address":"<240>","rounds":[{"courier":"<112>"}],"contacts":[{"name":"<112>"},{"name":"Lim"}]}}]"#,
        ),
        (
            r#"[{"op":"add","path":"/rounds/-","value":{"courier":"Tan"}},{"op":"add","path":"/rounds/0/courier","value":"Tan"},{"op":"add","path":"/rounds/-/courier","value":"Tan"}]"#,
            r#"[{"op":"add","path":"/rounds/-","value":{"courier":"<112>"}},{"op":"add","path":"/rounds/0/courier","value":"<112>"},{"op":"add","path":"/rounds/-/courier","value":"<112>"}]"#,
        ),
        (
            r#"[{"op":"replace","path":"/rounds","value":[{"courier":"Tan"},{"courier":null}]}]"#,
            r#"[{"op":"replace","path":"/rounds","value":[{"courier":"<112>"},{"courier":null}]}]"#,
        ),
        (
            r#"[{"op":"add","path":"/a~1b/c~0d~01","value":"Tan"},{"op":"add","path":"/a~1b","value":{"c~d~1":"Tan"}},{"op":"add","path":"/a/b/c~0d~01","value":"Tan"}]"#,
            r#"[{"op":"add","path":"/a~1b/c~0d~01","value":"<112>"},{"op":"add","path":"/a~1b","value":{"c~d~1":"<112>"}},{"op":"add","path":"/a/b/c~0d~01","value":"Tan"}]"#,
        ),
        (
            r#"[{"\u006fp":"\u0061dd","p\u0061th":"\/p\u0068one","v\u0061lue":"9123"}]"#,
            r#"[{"\u006fp":"\u0061dd","p\u0061th":"\/p\u0068one","v\u0061lue":"<112>"}]"#,
        ),
        (
            "\t[ { \"value\" :\r\n \"9123\" , \"op\":\"add\",\"path\" : \"/phone\"} ,\n{\"value\": [1.10, 1E2 ,\"\\u00e9\"],\"op\":\"add\",\"path\":\"/note\"}]\n",
            "\t[ { \"value\" :\r\n \"<112>\" , \"op\":\"add\",\"path\" : \"/phone\"} ,\n{\"value\": [1.10, 1E2 ,\"\\u00e9\"],\"op\":\"add\",\"path\":\"/note\"}]\n",
        ),
    ] {
        passes(patch_layer(), PATCH, patch, stored).await;
    }
}

#[tokio::test]
async fn what_a_patch_stores_opens_at_its_place() {
    let patch = r#"[{"op":"add","path":"/phone","value":"+65 9123 4567"},{"op":"add","path":"/-","value":{"email":"tan.wei@example.com"}}]"#;
    let seen = passes(
        layer(),
        PATCH,
        patch,
        r#"[{"op":"add","path":"/phone","value":"<112>"},{"op":"add","path":"/-","value":{"email":"<155>"}}]"#,
    )
    .await;
    let operations: serde_json::Value = serde_json::from_slice(&seen).unwrap();
    let cipher = cipher();
    let open =
        |field, token: &serde_json::Value| cipher.decrypt_value::<String>(field, token.as_str().unwrap()).unwrap();
    assert_eq!(open("phone", &operations[0]["value"]), "+65 9123 4567");
    assert_eq!(open("email", &operations[1]["value"]["email"]), "tan.wei@example.com");
}

#[tokio::test]
async fn operations_that_leave_protection_as_it_is_pass() {
    for operation in [
        r#"{"op":"remove","path":"/phone"}"#,
        r#"{"op":"remove","path":"/address"}"#,
        r#"{"op":"remove","path":"/people/0"}"#,
        r#"{"op":"remove","path":"/rounds/0"}"#,
        r#"{"op":"remove","path":"/note"}"#,
        r#"{"op":"move","from":"/phone","path":"/people/0/phone"}"#,
        r#"{"op":"copy","from":"/people/0/phone","path":"/phone"}"#,
        r#"{"op":"move","from":"/note","path":"/title"}"#,
        r#"{"op":"copy","from":"/people/0","path":"/people/1"}"#,
        r#"{"op":"copy","from":"/rounds/0","path":"/rounds/-"}"#,
        r#"{"op":"move","from":"/rounds/1","path":"/rounds/0"}"#,
        r#"{"op":"move","from":"/rounds/0/courier","path":"/rounds/1/courier"}"#,
        r#"{"op":"copy","from":"/address","path":"/address"}"#,
        r#"{"op":"test","path":"/note","value":"Tan Wei Ming"}"#,
        r#"{"op":"test","path":"/people/0","value":{"id":1.10,"name":"x"}}"#,
        r#"{"op":"test","path":"","value":{}}"#,
    ] {
        let patch = format!("[{operation}]");
        passes(patch_layer(), PATCH, &patch, &patch).await;
    }
}

#[tokio::test]
async fn operations_that_would_lose_or_leak_a_tagged_value_are_refused() {
    for operation in [
        r#"{"op":"test","path":"/phone","value":"9123"}"#,
        r#"{"op":"test","path":"/phone","value":null}"#,
        r#"{"op":"test","path":"/people/0","value":{"phone":"9123"}}"#,
        r#"{"op":"test","path":"","value":{"address":"Bedok"}}"#,
        r#"{"op":"test","path":"/contacts","value":[{"name":"Tan"}]}"#,
        r#"{"op":"test","path":"/a~1b/c~0d~01","value":"Tan"}"#,
        r#"{"op":"move","from":"/note","path":"/phone"}"#,
        r#"{"op":"move","from":"/phone","path":"/note"}"#,
        r#"{"op":"copy","from":"/note","path":"/phone"}"#,
        r#"{"op":"copy","from":"/phone","path":"/note"}"#,
        r#"{"op":"copy","from":"/phone","path":"/address"}"#,
        r#"{"op":"move","from":"/address","path":"/phone"}"#,
        r#"{"op":"copy","from":"/rounds/0/courier","path":"/contacts/0/name"}"#,
        r#"{"op":"copy","from":"/rounds","path":"/archive"}"#,
        r#"{"op":"copy","from":"","path":"/archive"}"#,
        r#"{"op":"move","from":"/archive","path":""}"#,
        r#"{"op":"copy","from":"/a~1b","path":"/a"}"#,
        r#"{"op":"add","path":"/address/street","value":"Bedok"}"#,
        r#"{"op":"add","path":"/address/phone","value":"9123"}"#,
        r#"{"op":"replace","path":"/address/lines/0","value":"Bedok"}"#,
        r#"{"op":"remove","path":"/address/street"}"#,
        r#"{"op":"test","path":"/address/street","value":"Bedok"}"#,
        r#"{"op":"copy","from":"/address/street","path":"/street"}"#,
        r#"{"op":"move","from":"/street","path":"/address/street"}"#,
        r#"{"op":"add","path":"/phone/-","value":"9123"}"#,
    ] {
        let detail = refuses(patch_layer(), PATCH, &format!("[{operation}]"), 422, "refused").await;
        assert!(detail.contains("JSON Patch"), "{detail}");
        // One operation spoils the patch, wherever it stands.
        let patch =
            format!(r#"[{{"op":"add","path":"/note","value":1}},{operation},{{"op":"remove","path":"/note"}}]"#);
        refuses(patch_layer(), PATCH, &patch, 422, "refused").await;
    }
}

/// Only the first contact's name is protected.
fn indexed_layer() -> FieldEncryptionLayer {
    let owner = Field::new("owner", Tag::Name).path("$.contacts[0].name");
    let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone).path("$.phone")).field(owner);
    FieldEncryptionLayer::new(FieldCipher::new(policy.build().unwrap(), keys(7))).unwrap()
}

#[tokio::test]
async fn elements_that_the_policy_tells_apart_are_not_shifted() {
    passes(
        indexed_layer(),
        PATCH,
        r#"[{"op":"replace","path":"/contacts/0","value":{"name":"Tan"}},{"op":"replace","path":"/contacts/1","value":{"name":"Lim"}},{"op":"replace","path":"/contacts/0/name","value":"Tan"},{"op":"add","path":"/contacts","value":[{"name":"Tan"},{"name":"Lim"}]}]"#,
        r#"[{"op":"replace","path":"/contacts/0","value":{"name":"<112>"}},{"op":"replace","path":"/contacts/1","value":{"name":"Lim"}},{"op":"replace","path":"/contacts/0/name","value":"<112>"},{"op":"add","path":"/contacts","value":[{"name":"<112>"},{"name":"Lim"}]}]"#,
    )
    .await;
    for operation in [
        r#"{"op":"add","path":"/contacts/0","value":{"name":"Tan"}}"#,
        r#"{"op":"add","path":"/contacts/1","value":{"name":"Tan"}}"#,
        r#"{"op":"add","path":"/contacts/-","value":{"name":"Tan"}}"#,
        r#"{"op":"remove","path":"/contacts/0"}"#,
        r#"{"op":"move","from":"/contacts/1","path":"/contacts/2"}"#,
        r#"{"op":"move","from":"/contacts/0","path":"/note"}"#,
        r#"{"op":"move","from":"/note","path":"/contacts/0"}"#,
        r#"{"op":"copy","from":"/contacts/2","path":"/contacts/1"}"#,
    ] {
        refuses(indexed_layer(), PATCH, &format!("[{operation}]"), 422, "refused").await;
        refuses(patch_layer(), PATCH, &format!("[{operation}]"), 422, "refused").await;
    }
}

#[tokio::test]
async fn an_index_written_with_leading_zeros_reaches_no_tagged_element_in_the_clear() {
    // RFC 6901 allows none, but a service that reads it as a number does not look.
    for (pointer, layer) in [("/contacts/00/name", indexed_layer()), ("/contacts/000/name", patch_layer())] {
        let patch = format!(r#"[{{"op":"replace","path":"{pointer}","value":"Tan Wei Ming"}}]"#);
        let (seen, _) = patched(layer, PATCH, &patch).await;
        let seen = masked(&seen.unwrap_or_default());
        assert!(!seen.contains("Tan Wei"), "the service saw {seen}");
    }
}

#[tokio::test]
async fn what_is_no_json_patch_is_refused() {
    for patch in [
        r#"{"op":"add","path":"/phone","value":"9123"}"#,
        r#"[[{"op":"add","path":"/phone","value":"9123"}]]"#,
        r#"[["add","/note",null,"Tan Wei Ming"]]"#,
        r#"["add"]"#,
        "null",
        "[null]",
        "[{}]",
        r#"[{"op":"add","path":"/phone"}]"#,
        r#"[{"op":"replace","path":"/note"}]"#,
        r#"[{"op":"test","path":"/note"}]"#,
        r#"[{"op":"add","value":"9123"}]"#,
        r#"[{"path":"/phone","value":"9123"}]"#,
        r#"[{"op":"move","path":"/note"}]"#,
        r#"[{"op":"copy","path":"/note","from":null}]"#,
        r#"[{"op":"ADD","path":"/phone","value":"9123"}]"#,
        r#"[{"op":"merge","path":"/note","value":{"phone":"9123"}}]"#,
        r#"[{"op":"add","path":"phone","value":"9123"}]"#,
        r#"[{"op":"add","path":"/a~2b","value":"9123"}]"#,
        r#"[{"op":"add","path":"/a~","value":"9123"}]"#,
        r#"[{"op":"add","path":["phone"],"value":"9123"}]"#,
        r#"[{"op":"add","path":"/\ud800","value":"9123"}]"#,
        r#"[{"op":"add","path":"/phone","value":"9123"}"#,
        r#"[{"op":"add","path":"/phone","value":"9123"}] []"#,
        r#"[{"op":"add","path":"/phone","value":9123.}]"#,
    ] {
        refuses(patch_layer(), PATCH, patch, 400, "malformed").await;
    }
}

#[tokio::test]
async fn an_operation_with_a_member_twice_is_refused() {
    for members in [
        r#""path":"/note","path":"/phone","value":"9123","op":"add""#,
        r#""path":"/phone","path":"/note","value":"9123","op":"add""#,
        r#""path":"/phone","p\u0061th":"/note","value":"9123","op":"add""#,
        r#""path":"/phone","value":1,"value":"9123","op":"add""#,
        r#""path":"/phone","value":1,"v\u0061lue":"9123","op":"add""#,
        r#""path":"/phone","value":"9123","op":"add","op":"remove""#,
        r#""path":"/note","value":"9123","op":"add","from":"/phone","from":"/note""#,
    ] {
        refuses(patch_layer(), PATCH, &format!("[{{{members}}}]"), 400, "malformed").await;
    }
}

#[tokio::test]
async fn a_value_that_an_operation_does_not_use_carries_nothing_in() {
    for operation in [
        r#"{"op":"remove","path":"/phone","value":"+65 9123 4567"}"#,
        r#"{"op":"move","from":"/phone","path":"/people/0/phone","value":"+65 9123 4567"}"#,
        r#"{"op":"copy","from":"/phone","path":"/people/0/phone","value":"+65 9123 4567"}"#,
        r#"{"op":"remove","path":"/people/0","value":{"phone":"+65 9123 4567"}}"#,
    ] {
        let (seen, _) = patched(patch_layer(), PATCH, &format!("[{operation}]")).await;
        let seen = masked(&seen.unwrap_or_default());
        assert!(!seen.contains("9123"), "the service saw {seen}");
    }
}

#[tokio::test]
async fn a_tagged_name_beside_the_members_of_an_operation_carries_nothing_in() {
    let patch = r#"[{"op":"add","path":"/note","value":1,"phone":"+65 9123 4567"}]"#;
    let (seen, _) = patched(patch_layer(), PATCH, patch).await;
    let seen = masked(&seen.unwrap_or_default());
    assert!(!seen.contains("9123"), "the service saw {seen}");
}

#[tokio::test]
async fn a_token_in_a_patch_is_refused() {
    let token = token("phone", "+65 9123 4567");
    for patch in [
        format!(r#"[{{"op":"add","path":"/phone","value":"{token}"}}]"#),
        format!(
            r#"[{{"op":"add","path":"/people/-","value":[{{"phone":"{}"}}]}}]"#,
            token.replace("fs1.", "\\u0066s1.")
        ),
    ] {
        let detail = refuses(layer(), PATCH, &patch, 422, "token_submitted").await;
        assert!(detail.contains("`phone`"), "{detail}");
    }
}

/// A handler that reads JSON, whatever its type, would apply it.
#[tokio::test]
async fn a_json_patch_under_another_media_type_carries_nothing_in() {
    let operation = r#"{"op":"replace","path":"/phone","value":"+65 9123 4567"}"#;
    let documents = [
        format!("[{operation}]"),
        operation.to_owned(),
        r#"{"Operations":[{"value":"+65 9123 4567", "path" : "/phone" , "op":"add"}]}"#.to_owned(),
        r#"[{"\u006fp":"repl\u0061ce","p\u0061th":"\u002fphone","value":"+65 9123 4567"}]"#.to_owned(),
        r#"[{"op":"move","from":"/note","path":"/phone"}]"#.to_owned(),
        r#"[{"op":"replace","path":"","value":{"mobile":"+65 9123 4567"}}]"#.to_owned(),
        // An enumeration is also read from an object, and a record from an array of its members.
        r#"[{"op":{"replace":null},"path":"/phone","value":"+65 9123 4567"}]"#.to_owned(),
        r#"[{"path":"/phone","op":{"repl\u0061ce":null},"value":"+65 9123 4567"}]"#.to_owned(),
        r#"[["replace","/phone","+65 9123 4567"]]"#.to_owned(),
        r#"{"patch":[["\u0061dd","\/phone","+65 9123 4567"]]}"#.to_owned(),
        r#"[[{"replace":[]},"/phone","+65 9123 4567"]]"#.to_owned(),
    ];
    for media_type in [JSON, MERGE, "application/patch+json", "application/scim+json", "text/json"] {
        for document in &documents {
            refuses(layer(), media_type, document, 422, "refused").await;
        }
    }
    for document in [&documents[3], &documents[7], &documents[9]] {
        for cut in 1..document.len() {
            let recorder = Recorder::answering(JSON, "{}");
            let server = Server::axum(layer().whole_body_limit(0), &recorder).await;
            let request = server.request("PATCH", "/customers/7").header(CONTENT_TYPE, JSON);
            let body = Frames::cut(document.as_bytes(), &[cut]).into_body();
            let _ = server.try_send(request.body(body).unwrap()).await;
            let carried = recorder.received().iter().any(|seen| seen.body.is_ok());
            assert!(!carried, "{document} cut at {cut}");
        }
    }
    // As a patch of a vendor's own name it is one.
    let (seen, _) = patched(patch_layer(), "application/vnd.shop.json-patch+json", &documents[0]).await;
    assert_eq!(masked(&seen.unwrap()), r#"[{"op":"replace","path":"/phone","value":"<112>"}]"#);
    // What is no operation passes.
    for document in [
        r#"{"op":"open","path":"/phone"}"#,
        r#"{"op":"add","path":"phone"}"#,
        r#"[{"op":"add"},{"path":"/x"}]"#,
        r#"{"op":{"kind":"add"},"path":"/x"}"#,
        r#"{"tags":["fresh",""],"lines":["Blk\n1","/"],"pair":["x","add","/y"]}"#,
    ] {
        passes(layer(), JSON, document, document).await;
    }
}

#[tokio::test]
async fn a_json_patch_is_read_whole_or_not_at_all() {
    let operation = r#"{"op":"add","path":"/phone","value":"9123"}"#;
    let patch = format!("[{operation},{operation}]");
    for (limit, status) in [(patch.len(), 200), (patch.len() - 1, 413)] {
        for is_length_known in [true, false] {
            let recorder = Recorder::answering(JSON, "{}");
            let server = Server::axum(layer().whole_body_limit(limit as u64), &recorder).await;
            let body: Body =
                if is_length_known { patch.clone().into() } else { Frames::cut(patch.as_bytes(), &[10]).into_body() };
            let request = server.request("PATCH", "/customers/7").header(CONTENT_TYPE, PATCH);
            let reply = server.send(request.body(body).unwrap()).await;
            assert_eq!((reply.status.as_u16(), recorder.calls()), (status, usize::from(status == 200)));
            if status == 413 {
                assert!(reply.refusal(413, "too_large").contains("JSON Patch"));
            } else {
                let operation = operation.replace("9123", "<112>");
                assert_eq!(masked(recorder.only().bytes()), format!("[{operation},{operation}]"));
            }
        }
    }
}

#[tokio::test]
async fn a_value_in_a_patch_has_the_limit_of_any_value() {
    let policy = policy("customers");
    let layer = FieldEncryptionLayer::new(FieldCipher::new(policy, keys(7))).unwrap().whole_body_limit(1 << 22);
    let long = "9".repeat(1 << 20);
    for patch in [
        format!(r#"[{{"op":"add","path":"/phone","value":"{long}"}}]"#),
        format!(r#"[{{"op":"add","path":"","value":{{"phone":"{long}"}}}}]"#),
    ] {
        let detail = refuses(layer.clone(), PATCH, &patch, 413, "too_large").await;
        assert!(detail.contains("1 MiB"), "{detail}");
    }
}
