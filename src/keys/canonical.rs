//! JSON in the canonical form of RFC 8785, which the keyring is authenticated in.

use serde_json::Value;

/// Appends `value` without white space and with the members of each object in order. Holds for what a keyring has:
/// member names of ASCII, and integers.
pub(super) fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                separate(index, out);
                scalar(&Value::String(name.clone()), out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
        Value::Array(elements) => {
            out.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                separate(index, out);
                write(element, out);
            }
            out.push(b']');
        }
        _ => scalar(value, out),
    }
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn scalar(value: &Value, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("a string or number can be written to memory as JSON");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_sorted_and_strings_escaped_as_rfc_8785_says() {
        let mut out = Vec::new();
        write(
            &json!({"b": [1, {"z": null, "a": true}], "B": "\u{20ac}$\u{f}\nA'B\"\\/", "": 18_446_744_073_709_551_615_u64}),
            &mut out,
        );
        let expected =
            "{\"\":18446744073709551615,\"B\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\/\",\"b\":[1,{\"a\":true,\"z\":null}]}";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
