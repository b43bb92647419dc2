//! Text from which tokens and the values of tagged names are cut.

use std::borrow::Cow;
use std::ops::Range;

use super::names::Names;
use super::pair;
use crate::crypto::token_search;

/// What stands for a value.
pub(super) const VALUE: &str = "[REDACTED]";
/// What stands for a token.
const TOKEN: &str = "[REDACTED token]";

pub(super) fn redacted<'t>(text: &'t str, names: &Names) -> Cow<'t, str> {
    let without_tokens = cut(text, TOKEN, |from| {
        let Range { start, end } = token_search::place(&text.as_bytes()[from..])?;
        Some(from + start..from + end)
    });
    if names.is_empty() {
        return without_tokens;
    }
    match cut(&without_tokens, VALUE, |from| pair::value_place(&without_tokens, from, names)) {
        Cow::Owned(text) => Cow::Owned(text),
        Cow::Borrowed(_) => without_tokens,
    }
}

/// Puts `substitute` into each place of `text` that `find` returns, given from where to look.
fn cut<'t>(text: &'t str, substitute: &str, find: impl Fn(usize) -> Option<Range<usize>>) -> Cow<'t, str> {
    let mut out = String::new();
    let mut copied = 0;
    while let Some(place) = find(copied) {
        out.push_str(&text[copied..place.start]);
        out.push_str(substitute);
        copied = place.end;
    }
    if copied == 0 {
        return text.into();
    }
    out.push_str(&text[copied..]);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Field, Policy, Tag};

    fn names() -> Names {
        let policy = Policy::builder("customers")
            .field(Field::new("phone", Tag::Phone).path("$..phone").path("$..contactNumber"))
            .field(Field::new("address", Tag::Address));
        let mut names = Names::default();
        names.add(&policy.build().unwrap());
        names
    }

    #[test]
    fn the_value_of_a_tagged_name_is_cut_however_it_is_written() {
        for (text, expected) in [
            (
                r#"Customer { id: 7, phone: "1", tier: "gold" }"#,
                r#"Customer { id: 7, phone: "[REDACTED]", tier: "gold" }"#,
            ),
            (r#"{"phone": "1\"2\\", "tier": "gold"}"#, r#"{"phone": "[REDACTED]", "tier": "gold"}"#),
            (r#""{\"phone\":\"1\\\"2\",\"tier\":1}""#, r#""{\"phone\":\"[REDACTED]\",\"tier\":1}""#),
            (r#"{"phone":912,"tier":1}"#, r#"{"phone":[REDACTED],"tier":1}"#),
            (r#"{"phone":["1","]2"],"tier":1}"#, r#"{"phone":[REDACTED],"tier":1}"#),
            (
                "Customer {\n    contact_number: Some(\n        \"1)\",\n    ),\n    id: 7,\n}",
                "Customer {\n    contact_number: [REDACTED],\n    id: 7,\n}",
            ),
            (r#"C { address: Address { street: "{", number: 3 }, id: 7 }"#, "C { address: [REDACTED], id: 7 }"),
            ("Key (phone)=(1) already exists.", "Key (phone)=[REDACTED] already exists."),
            ("Key (id, contactNumber)=(7, 1) exists", "Key (id, contactNumber)=[REDACTED] exists"),
            ("phone='1' tier=gold", "phone='[REDACTED]' tier=gold"),
            (
                "customer.phone = '1'; CONTACT-NUMBER => '2'",
                "customer.phone = '[REDACTED]'; CONTACT-NUMBER => '[REDACTED]'",
            ),
            ("stored phone=1 2, tier=gold", "stored phone=[REDACTED]"),
            ("GET /customers?phone=1&tier=gold", "GET /customers?phone=[REDACTED]"),
            ("phone: \"1\"2\" x", "phone: [REDACTED]"),
            ("phone: \"1", "phone: [REDACTED]"),
            ("phone: (1", "phone: [REDACTED]"),
            ("address: Bedok (North) 3", "address: [REDACTED]"),
            ("address=Some(\"3\") stored", "address=[REDACTED]"),
            ("phone: '", "phone: [REDACTED]"),
            ("`phone` == \"1\"", "`phone` == \"[REDACTED]\""),
            ("form[phone]: \"1\"", "form[phone]: \"[REDACTED]\""),
        ] {
            assert_eq!(redacted(text, &names()), expected);
        }
    }

    #[test]
    fn text_without_a_value_of_a_tagged_name_stays_as_it_is() {
        for text in [
            "",
            "=",
            ":",
            "phone",
            "phone:",
            "phone = \n",
            "phone: \"\", tier: 'x'",
            r#"{"phone": null, "tier": null}"#,
            "Customer { phone: None, tier: 1 }",
            "phone::parse failed at 10:30:00",
            "a telephone: 5, phones=6, phone_book = 'x'",
            r#"{"tier": "phone", "id": 7}"#,
            "()=(), \"\": 1, [: 2",
        ] {
            assert!(matches!(redacted(text, &names()), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
