//! What a `Content-Type` says about how to read a body.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    Json,
    MergePatch,
    JsonPatch,
    Lines,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data`.
    Multipart,
    /// `text/event-stream`.
    Events,
    /// Something else that holds no JSON.
    Other,
    /// No media type is given.
    Missing,
    /// There are several, they are not valid, or the character set is not UTF-8.
    Unclear,
}

impl MediaType {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Missing,
            // What almost all say.
            (Some(value), None) if value == "application/json" => Self::Json,
            (Some(value), None) => value.to_str().map_or(Self::Unclear, Self::parse),
            (Some(_), Some(_)) => Self::Unclear,
        }
    }

    /// RFC 9110, section 8.3.1, and the structured suffix `+json` of RFC 6839, section 3.1.
    fn parse(value: &str) -> Self {
        let mut parts = value.split(';');
        let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let Some((_, subtype)) = essence.split_once('/').filter(|(kind, subtype)| is_token(kind) && is_token(subtype))
        else {
            return Self::Unclear;
        };
        let media_type = match (&*essence, subtype) {
            // A handler that reads JSON may read a patch of any name as one.
            (_, subtype) if subtype.ends_with("merge-patch+json") => Self::MergePatch,
            (_, subtype) if subtype.ends_with("json-patch+json") => Self::JsonPatch,
            ("application/x-www-form-urlencoded", _) => Self::Form,
            ("multipart/form-data", _) => Self::Multipart,
            ("text/event-stream", _) => Self::Events,
            (_, "json") => Self::Json,
            (_, "x-ndjson" | "ndjson" | "jsonl" | "x-jsonl" | "jsonlines" | "x-jsonlines") => Self::Lines,
            (_, subtype) if subtype.ends_with("+json") => Self::Json,
            _ => return Self::Other,
        };
        if parts.all(|parameter| is_utf8(parameter.trim())) { media_type } else { Self::Unclear }
    }
}

/// Returns whether a parameter names no character set other than UTF-8 (RFC 8259, section 8.1) or a part of it.
pub(super) fn is_utf8(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let value = value.trim().trim_matches('"');
    !name.trim().eq_ignore_ascii_case("charset")
        || ["utf-8", "utf8", "us-ascii"].iter().any(|charset| value.eq_ignore_ascii_case(charset))
}

pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_told_apart() {
        for (value, expected) in [
            ("application/json", MediaType::Json),
            ("Application/JSON ; Charset=\"UTF-8\"", MediaType::Json),
            ("application/vnd.api+json", MediaType::Json),
            ("application/problem+json; profile=x", MediaType::Json),
            ("text/json", MediaType::Json),
            ("application/merge-patch+json", MediaType::MergePatch),
            ("application/json-patch+json", MediaType::JsonPatch),
            ("application/vnd.acme.json-patch+json", MediaType::JsonPatch),
            ("application/vnd.acme.merge-patch+json; v=2", MediaType::MergePatch),
            ("application/x-ndjson", MediaType::Lines),
            ("application/jsonl", MediaType::Lines),
            ("application/json; charset=utf-16", MediaType::Unclear),
            ("application/json; charset=", MediaType::Unclear),
            ("json", MediaType::Unclear),
            ("application/json, text/plain", MediaType::Unclear),
            ("", MediaType::Unclear),
            ("application/json-seq", MediaType::Other),
            ("application/json5", MediaType::Other),
            ("text/plain; charset=utf-16", MediaType::Other),
            ("multipart/form-data; boundary=x", MediaType::Multipart),
            ("multipart/mixed; boundary=x", MediaType::Other),
            ("text/event-stream; charset=utf-8", MediaType::Events),
        ] {
            assert_eq!(MediaType::parse(value), expected, "{value}");
        }
    }

    #[test]
    fn two_media_types_are_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(MediaType::of(&headers), MediaType::Missing);
        headers.append(CONTENT_TYPE, "application/json".parse().unwrap());
        assert_eq!(MediaType::of(&headers), MediaType::Json);
        headers.append(CONTENT_TYPE, "application/json".parse().unwrap());
        assert_eq!(MediaType::of(&headers), MediaType::Unclear);
    }
}
