//! Proves that the limits that the documentation names hold: what is as long as they say passes, and one step beyond is
//! refused by an error that names the limit.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::policy::{BlindIndex, CompoundIndex, Normalizer, RecordBinding};
use fieldseal::{Error, ErrorKind, Field, FieldCipher, Policy, Scope, Tag};

fn keys() -> Keys {
    Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[7; 32])))
}

fn phone() -> Field {
    Field::new("phone", Tag::Phone)
}

fn cipher() -> FieldCipher {
    FieldCipher::new(Policy::builder("customers").field(phone()).build().unwrap(), keys())
}

/// Asserts that `work` takes `limit` and nothing longer, and that what it says of that is of `kind` and holds `message`.
#[track_caller]
fn assert_limit<T>(limit: usize, kind: ErrorKind, message: &str, work: impl Fn(usize) -> Result<T, Error>) {
    assert!(work(limit).is_ok(), "{:?}", work(limit).err());
    let error = work(limit + 1).err().expect("one more than the limit is refused");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(message), "{error}");
}

#[test]
fn documents_are_as_deep_as_they_may_be_and_no_deeper() {
    let nested = |levels: usize| ["[".repeat(levels), "]".repeat(levels)].concat().into_bytes();
    let (cipher, message) = (cipher(), "nested deeper than 128");
    assert_limit(128, ErrorKind::Malformed, message, |levels| cipher.encrypt_json(&nested(levels)));
    let message = "nested deeper than 1,024";
    assert_limit(1024, ErrorKind::Malformed, message, |levels| cipher.decrypt_json(&nested(levels)));
}

#[test]
fn a_value_is_as_long_as_it_may_be_and_no_longer() {
    let (cipher, longest, message) = (cipher(), 1 << 20, "longer than 1 MiB");
    let text = |length: usize| "9".repeat(length - 2);
    let document = |length: usize| format!(r#"{{"phone":"{}"}}"#, text(length)).into_bytes();
    assert_limit(longest, ErrorKind::TooLarge, message, |length| cipher.encrypt_json(&document(length)));
    assert_limit(longest, ErrorKind::TooLarge, message, |length| cipher.encrypt_value("phone", &text(length)));
    let token = cipher.encrypt_value("phone", &text(longest)).unwrap();
    assert_eq!(cipher.decrypt_value::<String>("phone", &token).unwrap(), text(longest), "the longest value opens");
}

#[test]
fn a_string_that_goes_on_like_a_token_is_held_no_longer_than_it_may_be() {
    let (cipher, longest, message) = (cipher(), 4 << 20, "more than 4 MiB begins like an encrypted token");
    // Whether it is one shows when it ends, in the next chunk.
    assert_limit(longest, ErrorKind::Refused, message, |length| {
        let (mut stream, mut out) = (cipher.json_encryptor(), Vec::new());
        stream.feed(format!(r#"{{"note":"fs1.AQ{}"#, "A".repeat(length - 7)).as_bytes(), &mut out)?;
        stream.feed(br#"!"}"#, &mut out)?;
        stream.finish(&mut out)
    });
}

#[test]
fn records_are_as_long_and_as_deep_as_they_may_be() {
    let policy =
        Policy::builder("customers").field(phone()).bind_records(RecordBinding::required("id").path("$").path("$..in"));
    let cipher = FieldCipher::new(policy.build().unwrap(), keys());
    let of_length = |length: usize| {
        let record = |note: &str| format!(r#"{{"phone":"9","note":"{note}","id":1}}"#);
        record(&"a".repeat(length - record("").len())).into_bytes()
    };
    let message = "longer than 1 MiB";
    assert_limit(1 << 20, ErrorKind::TooLarge, message, |length| cipher.encrypt_json(&of_length(length)));
    assert_limit(1 << 20, ErrorKind::TooLarge, message, |length| {
        let (mut stream, mut stored) = (cipher.json_encryptor(), Vec::new());
        // The last of several pieces is the shortest.
        of_length(length).chunks(700_000).try_for_each(|piece| stream.feed(piece, &mut stored))?;
        stream.finish(&mut stored)?;
        Ok(stored)
    });
    let nested = |levels: usize| {
        let inner =
            (0..levels).fold(String::from("0"), |inner, id| format!(r#"{{"phone":"9","in":{inner},"id":{id}}}"#));
        inner.into_bytes()
    };
    let message = "deeper than 16";
    assert_limit(16, ErrorKind::TooLarge, message, |levels| cipher.encrypt_json(&nested(levels)));
    let with_id = |length: usize| format!(r#"{{"phone":"9","id":"{}"}}"#, "a".repeat(length)).into_bytes();
    let message = "longer than 1,024 bytes";
    assert_limit(1024, ErrorKind::Refused, message, |length| cipher.encrypt_json(&with_id(length)));
    assert_limit(1024, ErrorKind::InvalidValue, message, |length| cipher.in_record("a".repeat(length)));
}

#[test]
fn names_of_a_scope_are_as_long_as_they_may_be() {
    let (cipher, message) = (cipher(), "longer than 65,535 bytes");
    for scope in [Scope::tenant, Scope::subject] {
        let in_scope = |length| cipher.in_scope(scope(Scope::new(), "a".repeat(length)));
        assert_limit(65_535, ErrorKind::InvalidValue, message, in_scope);
    }
}

#[test]
fn what_an_index_is_made_of_is_as_long_as_it_may_be() {
    let index = BlindIndex::new(Normalizer::exact()).accept_frequency_leak();
    let policy = Policy::builder("customers").field(Field::new("name", Tag::Name).blind_index(index)).build().unwrap();
    let keys_of_indexes = Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[8; 32])));
    let cipher = FieldCipher::new(policy, keys()).with_index_keys(keys_of_indexes).unwrap();
    let message = "longer than the 65,535 bytes";
    assert_limit(65_535, ErrorKind::InvalidValue, message, |length| cipher.blind_index("name", &"a".repeat(length)));
}

#[test]
fn paths_are_as_long_and_as_vague_as_they_may_be() {
    let policy = |paths: Vec<String>| {
        let field = paths.into_iter().fold(Field::new("note", Tag::Text), Field::path);
        Policy::builder("customers").field(phone()).field(field).build()
    };
    let segments = |count: usize| policy(vec![format!("${}", "..a".repeat(count))]);
    assert_limit(128, ErrorKind::Policy, "character 386: a path has 128 segments at most", segments);
    // No value stands deeper than that.
    let path = ["$", &"[0]".repeat(128)].concat();
    let cipher = FieldCipher::new(policy(vec![path]).unwrap(), keys());
    let document = ["[".repeat(128), "1".to_owned(), "]".repeat(128)].concat();
    assert!(
        cipher
            .encrypt_json(document.as_bytes())
            .unwrap()
            .starts_with(["[".repeat(128), "\"fs1.".to_owned()].concat().as_bytes())
    );

    // One state for each name, one for the root, one where nothing is, and two for the field that may be anywhere.
    let states = |count: usize| {
        let path = |number: usize, length: usize| format!("$.p{number}{}", ".a".repeat(length - 1));
        let mut paths: Vec<_> = (0..(count - 5) / 100).map(|number| path(number, 100)).collect();
        paths.push(path(paths.len(), (count - 5) % 100 + 1));
        policy(paths)
    };
    assert_limit(1024, ErrorKind::Policy, "most of all path `$.p0.a", states);
    let wildcards = |count: usize| policy(vec![format!("$..a{}.b", ".*".repeat(count))]);
    assert_limit(8, ErrorKind::Policy, "most of all path `$..a.*.*.*", wildcards);
    let records = |steps: usize| {
        let path = format!("$..a{}", ".{*}".repeat(steps));
        let records = RecordBinding::required("id").path("$").path(path);
        Policy::builder("customers").field(phone()).bind_records(records).build()
    };
    assert_limit(8, ErrorKind::Policy, "{*}` of `bind_records`", records);
    // A few states, and much that is matched in each.
    let matched = |count: usize| policy(vec!["$..a.*.*.*.b".to_owned(); count]);
    assert_limit(8961, ErrorKind::Policy, "most of all path `$..a.*.*.*.b`", matched);
}

#[test]
fn a_policy_is_as_large_as_it_may_be() {
    let fields = |count: usize| {
        let policy = (0..count).fold(Policy::builder("customers"), |policy, number| {
            policy.field(Field::new(format!("field_{number}"), Tag::Text))
        });
        policy.build()
    };
    assert_limit(256, ErrorKind::Policy, "1 to 256 fields", fields);
    let name = |length: usize| Policy::builder("customers").field(Field::new("a".repeat(length), Tag::Text)).build();
    assert_limit(255, ErrorKind::Policy, "longer than 255 bytes", name);
    let collection = |length: usize| Policy::builder("a".repeat(length)).field(phone()).build();
    assert_limit(255, ErrorKind::Policy, "longer than 255 bytes", collection);
    let parts = |count: usize| {
        let (mut policy, mut index) = (Policy::builder("customers"), CompoundIndex::new("all_index"));
        for number in 0..count {
            let name = format!("field_{number}");
            index = index.part(&name, Normalizer::exact());
            policy = policy.field(Field::new(name, Tag::Text));
        }
        policy.compound_index(index).build()
    };
    assert_limit(8, ErrorKind::Policy, "two to eight", parts);
    let classes = |count: usize| {
        let index =
            BlindIndex::new(Normalizer::exact()).partitions(u8::try_from(count).unwrap()).accept_frequency_leak();
        Policy::builder("customers").field(Field::new("name", Tag::Name).blind_index(index)).build()
    };
    assert_limit(64, ErrorKind::Policy, "2 to 64 classes", classes);
    let padding = |exponent: usize| Policy::builder("customers").field(phone().pad_to(1 << exponent)).build();
    assert_limit(12, ErrorKind::Policy, "32 to 4,096", padding);
}

#[cfg(feature = "derive")]
mod types {
    use std::marker::PhantomData;

    use fieldseal::policy::{Pii, PiiPlaces};

    use super::{ErrorKind, Field, Tag, assert_limit};

    /// A type with a field that is called by so many names.
    struct Named<const NAMES: usize>;

    impl<const NAMES: usize> Pii for Named<NAMES> {
        const COLLECTION: Option<&'static str> = Some("customers");
        const AT: &'static [&'static str] = &["$"];

        fn describe(places: &mut PiiPlaces) {
            let names: Vec<_> = (0..NAMES).map(|name| format!("name_{name}")).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            places.member(&names, |place| place.tagged(Some("name"), |name| Ok(Field::new(name, Tag::Name))));
        }
    }

    /// A type with a member of another one.
    struct Around<T>(PhantomData<T>);

    impl<T: Pii> Pii for Around<T> {
        const COLLECTION: Option<&'static str> = Some("customers");

        fn describe(places: &mut PiiPlaces) {
            places.member(&["inner"], PiiPlaces::nested::<T>);
        }
    }

    type Four<T> = Around<Around<Around<Around<T>>>>;
    type Sixteen<T> = Four<Four<Four<Four<T>>>>;
    type FortyEight<T> = Sixteen<Sixteen<Sixteen<T>>>;
    type SixtyThree = FortyEight<Four<Four<Four<Around<Around<Named<1>>>>>>>;

    #[test]
    fn names_are_as_many_and_types_as_deep_as_they_may_be() {
        let names = |count: usize| if count == 512 { Named::<512>::policy() } else { Named::<513>::policy() };
        assert_limit(512, ErrorKind::Policy, "too many spellings", names);
        let types =
            |count: usize| if count == 64 { Around::<SixtyThree>::policy() } else { Four::<SixtyThree>::policy() };
        assert_limit(64, ErrorKind::Policy, "holds itself", types);
    }
}

#[cfg(feature = "openapi")]
#[test]
fn a_description_is_as_large_and_as_deep_as_it_may_be() {
    use serde_json::{Map, Value, json};

    let tagged = json!({"x-pii": "text"});
    let schemas = |levels: usize| {
        let schema = (1..levels).fold(tagged.clone(), |inner, _| json!({"properties": {"a": inner}}));
        fieldseal::openapi::policy(&schema, "customers", &[])
    };
    assert_limit(128, ErrorKind::Policy, "nested too deep", schemas);
    let of_properties = |count: usize, property: &Value| {
        let properties: Map<_, _> = (0..count).map(|number| (format!("p{number}"), property.clone())).collect();
        json!({ "properties": properties })
    };
    // Each has two paths, in a record and in a list of them.
    let fault = |paths: usize| {
        let error = fieldseal::openapi::policy(&of_properties(paths / 2, &tagged), "customers", &[]).unwrap_err();
        error.to_string()
    };
    // A policy has fewer fields and states in any case.
    assert!(fault(10_000).contains("1 to 256 fields") && fault(10_002).contains("too many places"));
    let references = |count: usize| {
        let schema = json!({"type": "object", "properties": {"a": tagged}});
        let mut bodies = Map::new();
        for number in 1..count {
            let next = json!({"$ref": format!("#/components/requestBodies/b{}", number + 1)});
            bodies.insert(format!("b{number}"), next);
        }
        bodies.insert(format!("b{count}"), json!({"content": {"application/json": {"schema": schema}}}));
        let description = json!({
            "openapi": "3.1.0",
            "paths": {"/a": {"post": {"requestBody": {"$ref": "#/components/requestBodies/b1"}}}},
            "components": {"requestBodies": bodies},
        });
        fieldseal::openapi::policy(&description, "customers", &[])
    };
    assert_limit(31, ErrorKind::Policy, "in a circle", references);
}

#[cfg(feature = "breach")]
#[test]
fn a_breach_report_tells_so_many_tables_places_and_keys_apart_and_counts_the_others_together() {
    use fieldseal::breach::{Cell, Duty, Reach, Survey};

    let policy = std::sync::Arc::new(Policy::builder("customers").field(phone()).build().unwrap());
    let report = |count: u16| {
        let mut survey = Survey::new(&[], Reach::default()).unwrap();
        for number in 0..count {
            let mut key = [7; 32];
            key[..2].copy_from_slice(&number.to_be_bytes());
            let keys = Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&key)));
            let token = FieldCipher::new(policy.clone(), keys).encrypt_value("phone", "9123").unwrap();
            survey.table(&format!("table_{number}"), &["phone"]);
            survey.row([Cell::Text(token.as_bytes())]);
        }
        survey.finish(&Duty::default())
    };
    for (count, others) in [(1000, 0), (1001, 1), (1003, 3)] {
        let report = report(count);
        let records =
            |name: &str| report.tables.iter().find(|table| table.table == name).map_or(0, |table| table.records);
        assert_eq!((records("table_999"), records("(further tables)")), (1, others));
        let tokens = report.places.iter().filter(|place| place.place == "(further places)").map(|place| place.tokens);
        assert_eq!(tokens.sum::<u64>(), others);
        let tokens = report.keys.iter().filter(|key| key.id.is_none()).map(|key| key.tokens);
        assert_eq!(tokens.sum::<u64>(), others);
    }

    let mut survey = Survey::new(&[], Reach::default()).unwrap();
    let token = cipher().encrypt_value("phone", "9123").unwrap();
    let tables = (0..=10_000).map(|number| format!("CREATE TABLE t{number} (phone text);\n"));
    let rows = [9_999, 10_000].map(|number| format!("INSERT INTO t{number} VALUES ('{token}');\n"));
    let dump: String = tables.chain(rows).collect();
    survey.read(dump.as_bytes(), None).unwrap();
    let longest = "a".repeat(1024);
    survey.table(&format!("{longest}a"), &["phone"]);
    survey.row([Cell::Text(token.as_bytes())]);
    let report = survey.finish(&Duty::default());
    let places: Vec<_> = report.places.iter().map(|place| (&*place.table, &*place.place)).collect();
    assert_eq!(places, [("t9999", "phone"), ("t10000", "(column 1)"), (&*longest, "phone")]);
}
