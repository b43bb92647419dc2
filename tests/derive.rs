//! Proves that the policy of a type knows every place and every spelling at which `serde` writes and reads its tagged
//! fields, so that no value of it is stored in the clear, and that what cannot be told does not compile.
#![cfg(feature = "derive")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap};

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{Error, ErrorKind, Field, FieldCipher, Pii, Policy, Tag};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What no stored document may hold.
const SECRET: &str = "canary";

fn keys(byte: u8) -> Keys {
    Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[byte; 32])))
}

fn cipher_of<T: Pii>() -> FieldCipher {
    FieldCipher::new(T::policy().unwrap(), keys(7)).with_index_keys(keys(8)).unwrap()
}

fn encrypted<T: Pii>(document: &str) -> String {
    let stored = String::from_utf8(cipher_of::<T>().encrypt_json(document.as_bytes()).unwrap()).unwrap();
    assert_eq!(cipher_of::<T>().decrypt_json(stored.as_bytes()).unwrap(), document.as_bytes());
    stored
}

/// Writes the values alone and in a list, and reads each document back. `open` is how often the canary may be seen: in
/// fields that are no secret.
#[track_caller]
fn protects<T: Pii + Serialize + DeserializeOwned>(values: &[T], open: usize) {
    for value in values {
        let stored = encrypted::<T>(&serde_json::to_string(value).unwrap());
        assert_eq!(stored.matches(SECRET).count(), open, "{stored}");
        assert!(stored.contains("fs1."), "{stored}");
        assert_eq!(cipher_of::<T>().encrypt_record(value).unwrap().matches(SECRET).count(), open);
    }
    let list = encrypted::<T>(&serde_json::to_string(values).unwrap());
    assert_eq!(list.matches(SECRET).count(), open * values.len(), "{list}");
}

fn secret() -> String {
    format!("{SECRET}@example.sg")
}

#[derive(Serialize, Deserialize, Pii)]
struct Address {
    #[pii(address)]
    line: String,
    #[pii(text, field = "postal_code")]
    #[serde(alias = "zip", alias = "plz")]
    postcode: Option<String>,
    country: String,
}

fn address() -> Address {
    Address { line: secret(), postcode: Some(secret()), country: "SG".to_owned() }
}

#[derive(Serialize, Deserialize, Pii)]
#[serde(rename_all = "camelCase")]
struct Consent {
    #[pii(name)]
    signed_by: String,
    given: bool,
}

#[derive(Serialize, Deserialize, Pii)]
#[pii(collection = "customers")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Customer {
    id: u64,
    #[pii(name)]
    full_name: String,
    #[pii(email, index = "exact")]
    email: String,
    #[pii(phone)]
    #[serde(rename(serialize = "tel", deserialize = "telephone"), alias = "mobile")]
    #[serde(rename(deserialize = "cell", deserialize = "handy"))]
    phone: Option<String>,
    #[pii(phone, field = "others")]
    other_phones: Vec<String>,
    billing: Address,
    shipping: Option<Box<Address>>,
    former: Vec<Address>,
    by_label: HashMap<String, Address>,
    pair: (u8, Address),
    tags: Vec<String>,
    #[pii(plain)]
    raw: serde_json::Value,
    #[serde(skip)]
    #[expect(dead_code, reason = "it is neither written nor read")]
    cache: Option<Vec<Address>>,
}

fn customer() -> Customer {
    Customer {
        id: 7,
        full_name: secret(),
        email: secret(),
        phone: Some(secret()),
        other_phones: vec![secret(), secret()],
        billing: address(),
        shipping: Some(Box::new(address())),
        former: vec![address(), address()],
        by_label: HashMap::from([("home".to_owned(), address())]),
        pair: (1, address()),
        tags: vec![secret()],
        raw: secret().into(),
        cache: None,
    }
}

#[test]
fn every_place_of_a_nested_type_is_known() {
    protects(&[customer(), customer()], 2);
    let policy = Customer::policy().unwrap();
    let names: Vec<_> = policy.fields().iter().map(Field::name).collect();
    let own = ["fullName", "email", "tel", "others"];
    assert_eq!(names[..4], own);
    assert_eq!(names[4..7], ["billing.line", "postal_code", "shipping.line"]);
    assert_eq!(policy.fields()[1].index_name().as_deref(), Some("email_index"));
    assert_eq!(policy.fields()[2].paths()[..3], ["$['tel']", "$['handy']", "$['mobile']"]);
}

#[test]
fn every_spelling_that_serde_reads_is_encrypted() {
    for spelled in ["tel", "telephone", "mobile", "cell", "handy"] {
        let stored = encrypted::<Customer>(&format!(r#"{{"{spelled}":"{SECRET}"}}"#));
        assert!(!stored.contains(SECRET), "{spelled}: {stored}");
    }
    for spelled in ["postcode", "zip", "plz"] {
        for document in [
            format!(r#"{{"billing":{{"{spelled}":"{SECRET}"}}}}"#),
            format!(r#"[{{"former":[{{"{spelled}":"{SECRET}"}}]}}]"#),
            format!(r#"{{"byLabel":{{"x":{{"{spelled}":"{SECRET}"}}}},"pair":[1,{{"{spelled}":"{SECRET}"}}]}}"#),
        ] {
            let stored = encrypted::<Customer>(&document);
            assert!(!stored.contains(SECRET), "{stored}");
        }
    }
}

/// `serde` reads a struct from an array of its members, too.
#[test]
fn a_record_without_names_is_refused_also_where_lists_are_known() {
    for document in [
        format!(r#"[7,"{SECRET}","{SECRET}"]"#),
        format!(r#"[{{}},"{SECRET}"]"#),
        format!(r#"[[7,"{SECRET}"]]"#),
        format!(r#"[ true ,{{"fullName":"{SECRET}"}}]"#),
        format!(r#"{{"billing":["{SECRET}",null,"SG"]}}"#),
        format!(r#"{{"former":["{SECRET}"]}}"#),
        format!(r#"{{"former":[["{SECRET}",null,"SG"]]}}"#),
        format!(r#"{{"shipping":["{SECRET}"],"fullName":"{SECRET}"}}"#),
    ] {
        for length in [1, 3, 200] {
            let (cipher, mut out) = (cipher_of::<Customer>(), Vec::new());
            let mut stream = cipher.json_encryptor();
            let mut chunks = document.as_bytes().chunks(length);
            let fed = chunks.try_for_each(|chunk| stream.feed(chunk, &mut out));
            let error = fed.and_then(|()| stream.finish(&mut out)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{document}");
        }
        cipher_of::<Customer>().decrypt_json(document.replace("\"fullName\"", "\"x\"").as_bytes()).unwrap();
    }
    for document in ["[]", "[null,{}]", r#"{"former":[null],"tags":["a",1],"raw":[1]}"#] {
        encrypted::<Customer>(document);
    }
}

#[derive(Serialize, Deserialize, Pii)]
#[pii(collection = "notes")]
struct Flattened {
    #[serde(flatten)]
    consent: Consent,
    #[serde(flatten)]
    more: Option<Address>,
    #[serde(flatten)]
    #[pii(plain)]
    rest: BTreeMap<String, u8>,
}

#[derive(Serialize, Deserialize, Pii)]
#[pii(collection = "phones")]
#[serde(transparent)]
struct Phone {
    #[pii(phone, field = "phone")]
    number: String,
}

#[derive(Serialize, Deserialize, Pii)]
struct Wrapped(Address);

#[derive(Serialize, Deserialize, Pii)]
#[pii(collection = "pages")]
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
    phone: Phone,
    wrapped: Wrapped,
}

#[test]
fn what_serde_flattens_or_leaves_out_changes_the_place() {
    let consent = || Consent { signed_by: secret(), given: true };
    protects(&[Flattened { consent: consent(), more: Some(address()), rest: BTreeMap::new() }], 0);
    let phone = || Phone { number: secret() };
    let page = Page { items: vec![consent()], next: Some(secret()), phone: phone(), wrapped: Wrapped(address()) };
    protects(&[page], 1);
    let names = |policy: Policy| policy.fields().iter().map(|field| field.name().to_owned()).collect::<Vec<_>>();
    let names = names(Page::<Consent>::policy().unwrap());
    assert_eq!(names, ["items.signedBy", "phone", "wrapped.line", "postal_code"]);
}

macro_rules! payments {
    ($($name:ident $collection:literal [$($representation:tt)*])*) => {
        $(#[derive(Serialize, Deserialize, Pii)]
        #[pii(collection = $collection)]
        #[serde(rename_all = "snake_case", rename_all_fields = "camelCase" $($representation)*)]
        enum $name {
            CardPayment {
                #[pii(card_fragment)]
                last_four: String,
                #[pii(name)]
                holder_name: String,
                amount: u32,
            },
            #[serde(alias = "wire")]
            Bank(Address),
            Cash,
        })*
    };
}

payments! {
    External "external" []
    Internal "internal" [, tag = "kind"]
    Adjacent "adjacent" [, tag = "kind", content = "data"]
    Untagged "untagged" [, untagged]
}

#[derive(Pii)]
#[pii(collection = "held")]
#[allow(dead_code, reason = "only its policy is asked for")]
struct Held {
    payments: Vec<External>,
}

#[test]
fn enums_are_known_in_all_forms_of_serde() {
    macro_rules! check {
        ($($name:ident)*) => {
            $(let card = $name::CardPayment { last_four: secret(), holder_name: secret(), amount: 3 };
            protects(&[card, $name::Bank(address())], 0);
            encrypted::<$name>(&serde_json::to_string(&[$name::Cash]).unwrap());)*
        };
    }
    check!(External Internal Adjacent Untagged);
    let alias = encrypted::<External>(&format!(r#"{{"wire":{{"line":"{SECRET}"}}}}"#));
    assert!(!alias.contains(SECRET), "{alias}");
    encrypted::<Held>(r#"{"payments":["cash",{"bank":{"line":"x"}}]}"#);
    let policy = External::policy().unwrap();
    assert_eq!(policy.fields()[0].name(), "card_payment.lastFour");
    assert_eq!(policy.fields()[0].paths()[0], "$['card_payment']['lastFour']");
}

#[derive(Serialize, Deserialize, Pii)]
#[pii(collection = "parties")]
#[serde(untagged)]
enum Party {
    Person(Address),
    Number(u64),
}

#[derive(Serialize, Deserialize, Pii)]
#[pii(collection = "senders")]
#[serde(tag = "kind", content = "data")]
enum Sender {
    Person(Address),
    #[serde(untagged)]
    Number(u64),
}

#[derive(Serialize, Deserialize, Pii)]
#[pii(collection = "letters")]
struct Letter {
    to: Vec<Party>,
}

/// An array of other things than objects is a record of such a type, as `serde` reads it.
#[test]
fn an_array_that_may_be_a_record_without_names_is_no_list() {
    let refused = |cipher: FieldCipher, document: &str| {
        let error = cipher.encrypt_json(document.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{document}");
    };
    let document = format!(r#"["{SECRET}",null,"SG"]"#);
    assert!(matches!(serde_json::from_str(&document), Ok(Party::Person(_))));
    refused(cipher_of::<Party>(), &document);
    let document = format!(r#"["Person",{{"line":"{SECRET}","country":"SG"}}]"#);
    assert!(matches!(serde_json::from_str(&document), Ok(Sender::Person(_))));
    refused(cipher_of::<Sender>(), &document);
    protects(&[Letter { to: vec![Party::Person(address()), Party::Number(7)] }], 0);
}

#[derive(Serialize, Deserialize, Pii)]
#[pii(collection = "pairs")]
struct Pair(#[serde(skip)] (), #[pii(phone, field = "phone")] String, u8);

#[derive(Serialize, Deserialize, Pii)]
#[pii(collection = "keywords")]
#[allow(non_camel_case_types, reason = "it is a keyword")]
enum Keyword {
    r#struct(Address),
}

#[test]
fn what_is_left_out_has_no_place_and_keywords_have_their_names() {
    let stored = encrypted::<Pair>(&serde_json::to_string(&Pair((), secret(), 2)).unwrap());
    assert!(!stored.contains(SECRET), "{stored}");
    protects(&[Keyword::r#struct(address())], 0);
}

#[derive(Serialize, Deserialize, Pii)]
#[pii(collection = "orders", at = "$.data.items[:]", at = "$.order")]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
struct Order<'a> {
    #[pii(tag = "loyalty_number", pad_to = 256, encrypt_null, with = masked)]
    loyalty_no: Option<&'a str>,
    #[pii(phone, whole)]
    call_first: Vec<String>,
    #[pii(address, null_if_unreadable)]
    r#where: String,
}

fn masked(field: Field) -> Field {
    field.mask(fieldseal::policy::Mask::hidden())
}

#[test]
fn options_of_a_field_reach_the_policy() {
    let policy = Order::policy().unwrap();
    let [loyalty, phones, place] = policy.fields() else { panic!("three fields") };
    assert_eq!((loyalty.tag(), loyalty.name()), (&Tag::custom("loyalty_number"), "LOYALTY-NO"));
    assert_eq!(loyalty.paths(), ["$.data.items[:]['LOYALTY-NO']", "$.order['LOYALTY-NO']"]);
    assert_eq!((phones.paths()[1].as_str(), place.name()), ("$.order['CALL-FIRST']", "WHERE"));
    let cipher = cipher_of::<Order<'_>>();
    let stored = cipher.encrypt_json(br#"{"order":{"LOYALTY-NO":null,"CALL-FIRST":["1","2"],"WHERE":"x"}}"#).unwrap();
    let stored: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    assert!(stored["order"]["LOYALTY-NO"].as_str().unwrap().len() > 400);
    assert!(stored["order"]["CALL-FIRST"].is_string());
    assert!(Order::policy_builder().unwrap().field(Field::new("extra", Tag::Text)).build().is_ok());
}

#[test]
fn an_index_stands_beside_its_value_wherever_that_is() {
    #[derive(Serialize, Deserialize, Pii)]
    struct Contact {
        #[pii(email, index = "exact")]
        mail: String,
    }
    #[derive(Serialize, Deserialize, Pii)]
    #[pii(collection = "people")]
    struct Person {
        contacts: Vec<Contact>,
    }
    let stored = cipher_of::<Person>().encrypt_record(&Person { contacts: vec![Contact { mail: secret() }] }).unwrap();
    let term = cipher_of::<Person>().lookup("contacts.mail", &secret()).unwrap().terms()[0].clone();
    assert!(stored.contains(&format!(r#""mail_index":"{term}""#)), "{stored}");
}

#[derive(Pii)]
#[pii(collection = "comments")]
#[allow(dead_code, reason = "only its policy is asked for")]
struct Comment {
    #[pii(name)]
    author: String,
    replies: Vec<Comment>,
}

#[derive(Pii)]
#[pii(collection = "twice")]
#[allow(dead_code, reason = "only its policy is asked for")]
struct Twice {
    #[pii(name, field = "who")]
    author: String,
    #[pii(phone, field = "who")]
    caller: String,
}

#[derive(Pii)]
#[pii(collection = "cards")]
#[allow(dead_code, reason = "only its policy is asked for")]
struct Cards {
    #[pii(card_fragment, index)]
    last4: String,
}

#[test]
fn what_makes_no_policy_says_why() {
    let refusal = |policy: Result<Policy, Error>| {
        let error = policy.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Policy);
        error.to_string()
    };
    assert!(refusal(Comment::policy()).contains("holds itself"));
    assert!(refusal(Twice::policy()).contains("different tags"));
    assert!(refusal(Cards::policy()).contains("10,000 values"));
    assert!(refusal(Address::policy()).contains("names no collection"));
    #[cfg(not(feature = "normal-forms"))]
    {
        #[derive(Pii)]
        #[pii(collection = "x")]
        #[allow(dead_code, reason = "only its policy is asked for")]
        struct Formed {
            #[pii(email, index)]
            email: String,
        }
        assert!(refusal(Formed::policy()).contains("normal-forms"));
    }
}

proptest! {
    #[test]
    fn no_tagged_value_of_any_record_is_stored(
        name in "[a-z]{6,12}-canary", phones in proptest::collection::vec("[0-9]{8}-canary", 0..4),
        line in "[^\"\\\\]{0,20}-canary", count in 0..3_usize, label in "[a-z]{1,5}",
    ) {
        let place = || Address { line: line.clone(), postcode: None, country: "SG".to_owned() };
        let record = Customer {
            full_name: name.clone(),
            other_phones: phones.clone(),
            former: (0..count).map(|_| place()).collect(),
            by_label: HashMap::from([(label.clone(), place())]),
            tags: Vec::new(),
            raw: serde_json::Value::Null,
            ..customer()
        };
        let cipher = cipher_of::<Customer>();
        let stored = cipher.encrypt_record(&record).unwrap();
        prop_assert!(!stored.contains("canary"), "{}", stored);
        let opened = cipher.decrypt_json(stored.as_bytes()).unwrap();
        prop_assert_eq!(opened, serde_json::to_vec(&record).unwrap());
    }
}

#[test]
fn the_compiler_says_what_cannot_be_told() {
    let tests = trybuild::TestCases::new();
    tests.compile_fail("tests/derive/*.rs");
}

/// `serde` reads a struct also from an array of its fields, in maps too.
#[test]
fn values_of_a_map_that_are_written_as_arrays_are_refused() {
    #[derive(serde::Deserialize, Pii)]
    #[pii(collection = "c")]
    #[expect(dead_code, reason = "only described")]
    struct Contacts {
        others: HashMap<String, Person>,
        tags: Vec<String>,
    }
    #[derive(serde::Deserialize, Pii)]
    #[expect(dead_code, reason = "only described")]
    struct Person {
        #[pii(phone)]
        phone: String,
    }
    let cipher = cipher_of::<Contacts>();
    assert_eq!(cipher.policy().fields()[0].paths(), ["$['others'].{*}['phone']", "$[:]['others'].{*}['phone']"]);
    let stored = cipher.encrypt_json(br#"{"others":{"x":{"phone":"9123"}},"tags":["a"]}"#).unwrap();
    assert!(stored.starts_with(br#"{"others":{"x":{"phone":"fs1."#) && stored.ends_with(br#""}},"tags":["a"]}"#));
    assert!(cipher.encrypt_json(br#"[{"others":{"x":{"phone":"9123"}},"tags":["a"]}]"#).is_ok());
    let refused = cipher.encrypt_json(br#"{"others":{"x":["9123"]}}"#).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
}

#[test]
fn what_stands_in_cells_maps_and_borrowed_values_is_found() {
    #[derive(Clone, Pii)]
    #[allow(dead_code, reason = "only described")]
    struct Person {
        #[pii(phone)]
        phone: String,
    }
    #[derive(Pii)]
    #[pii(collection = "c")]
    #[allow(dead_code, reason = "only described")]
    struct Held {
        cell: std::cell::Cell<Person>,
        borrowed: std::borrow::Cow<'static, Person>,
        tree: BTreeMap<String, Person>,
    }
    let policy = Held::policy().unwrap();
    let paths: Vec<_> = policy.fields().iter().flat_map(Field::paths).collect();
    for place in ["$['cell']['phone']", "$['borrowed']['phone']", "$['tree'].{*}['phone']"] {
        assert!(paths.iter().any(|path| **path == *place), "{place}: {paths:?}");
    }
}
