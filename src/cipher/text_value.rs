//! A text as `serde` reads one, without a copy of it that nobody overwrites.

use std::fmt;
use std::iter;

use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, Deserializer, IgnoredAny, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::json;

/// Reads the JSON text of a value into a type, or nothing where it does not fit.
///
/// `serde_json` would unescape a text into a buffer of its own, and quote a value that does not fit in its error; both
/// would be freed as they are. So only what is no text goes there.
pub(super) fn read<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    let Some(text) = quoted(value) else { return serde_json::from_slice(value).ok() };
    let json = str::from_utf8(value).ok()?;
    let unescaped = json::unescaped(text);
    if unescaped.is_none() && memchr::memchr(b'\\', text).is_some() {
        // It is no text, but a type that takes bytes, or JSON text, may take it.
        return serde_json::from_slice(value).ok();
    }
    let text = str::from_utf8(unescaped.as_deref().map_or(text, |unescaped| unescaped)).ok()?;
    T::deserialize(TextValue { text, json }).ok()
}

/// What stands between the quotes, where `value` is one text and nothing else.
fn quoted(value: &[u8]) -> Option<&[u8]> {
    let text = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    serde_json::from_slice::<IgnoredAny>(value).is_ok().then_some(text)
}

/// A text, and how it is spelled in JSON.
#[derive(Clone, Copy)]
struct TextValue<'de> {
    text: &'de str,
    json: &'de str,
}

/// By this name `serde_json` asks for JSON text as it is spelled.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// The value does not fit the type. Nothing of it is kept.
#[derive(Debug)]
struct Unfit;

impl<'de> Deserializer<'de> for TextValue<'de> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_borrowed_str(self.text)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Unfit> {
        if name == RAW_VALUE {
            return visitor.visit_map(MapDeserializer::new(iter::once((RAW_VALUE, self.json))));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_borrowed_bytes(self.text.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        let variant: StrDeserializer<'de, Unfit> = self.text.into_deserializer();
        visitor.visit_enum(variant)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit unit_struct seq tuple tuple_struct map
        struct identifier
    }
}

impl de::Error for Unfit {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl de::StdError for Unfit {}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value does not fit the type")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    enum Tier {
        #[serde(rename = "gold")]
        Gold,
        #[serde(rename = "other")]
        Other(u8),
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Wrapped(Option<Box<str>>);

    #[derive(Debug, Deserialize, PartialEq)]
    struct Named {
        gold: Option<u8>,
    }

    fn check<T: DeserializeOwned + Debug + PartialEq>() {
        for json in [
            r#""""#,
            r#""gold""#,
            r#""\u0067old""#,
            r#""other""#,
            r#""x""#,
            r#""7""#,
            r#""127.0.0.1""#,
            r#""é\"\n\u00e9""#,
            r#""\ud800""#,
            r#"" "#,
            r#"""#,
            r#""a" "b""#,
            r#""\""#,
            "7",
            r#"["a"]"#,
            r#"{"gold":1}"#,
        ] {
            let wanted: Option<T> = serde_json::from_str(json).ok();
            assert_eq!(read(json.as_bytes()), wanted, "{json}");
        }
    }

    #[test]
    fn every_type_reads_what_serde_json_reads() {
        check::<String>();
        check::<Option<Option<String>>>();
        check::<Wrapped>();
        check::<Tier>();
        check::<Either>();
        check::<char>();
        check::<std::net::IpAddr>();
        check::<serde_json::Value>();
        check::<IgnoredAny>();
        check::<()>();
        check::<bool>();
        check::<u64>();
        check::<i128>();
        check::<f64>();
        check::<Vec<u8>>();
        check::<(String,)>();
        check::<Named>();
        check::<BTreeMap<String, String>>();
        for json in [r#""\u0067old""#, "7"] {
            assert_eq!(read::<Box<RawValue>>(json.as_bytes()).unwrap().get(), json);
        }
    }
}
