//! Request bodies: parsed into a spec whose values are all valid, or refused with a problem that names the field.
//!
//! Syntax comes first (line and column), then types and values, each with the JSON pointer of the field (RFC 6901).
//! All errors of a body are reported at once, as far as it can be read on after the first.
//! Values are not repeated in messages: a private key pasted in the wrong place must not reach a log.

mod several;

use axum::body::Bytes;
use http::{HeaderMap, header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::problem::{Kind, Problem, Refused};

/// The largest body, in bytes: a user with 10 long keys has less than 32 KiB.
pub(crate) const LARGEST: usize = 64 * 1024;

/// The longest name of a field that is looked at, in bytes: longer than any that is known.
const LONGEST_NAME: usize = 64;

/// Reads a body as `T`. `planned` are fields of its top level that later versions will take.
pub(crate) fn read<T: DeserializeOwned + Serialize>(
    headers: &HeaderMap,
    body: &Bytes,
    planned: &[&str],
) -> Result<T, Refused> {
    check_media_type(headers)?;
    let given = syntax(body)?;
    let Value::Object(fields) = &given else {
        return Err(Problem::field("", format!("an object is expected here, not {}", name(&given))));
    };
    check_names(&given)?;
    if let Some(field) = planned.iter().find(|field| fields.contains_key(**field)) {
        let sentence = format!("{field} is not yet supported: leave it out");
        return Err(Problem::at(Kind::NotSupported, format!("/{field}"), sentence));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value: T = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| several::all::<T>(explain(&pointer(error.path()), error.inner()), &given))?;
    let taken = serde_json::to_value(&value).expect("specs are JSON");
    check_shape(&given, &taken, "")?;
    Ok(value)
}

/// JSON by its header, or without one. `curl -d` says `application/x-www-form-urlencoded` whatever it sends.
fn check_media_type(headers: &HeaderMap) -> Result<(), Refused> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = given.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json");
    if json || essence.is_empty() || essence == "application/x-www-form-urlencoded" {
        return Ok(());
    }
    let detail = "send JSON, with content-type: application/json";
    Err(Problem::new(Kind::UnsupportedMediaType, detail).allowing(vec!["application/json".into()]))
}

fn syntax(body: &Bytes) -> Result<Value, Refused> {
    let malformed = |detail: String| Problem::new(Kind::MalformedJson, detail);
    if body.is_empty() {
        return Err(malformed("the body is empty: send a JSON object".into()));
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| malformed(format!("the body is not UTF-8 from byte {} on", error.valid_up_to())))?;
    serde_json::from_str(text)
        .map_err(|error| malformed(format!("line {}, column {}: {}", error.line(), error.column(), plain(&error))))
}

/// Refuses a name that no field has for its length alone, without repeating it: answers and log lines stay short, and it
/// may be a value that came into the wrong place.
fn check_names(given: &Value) -> Result<(), Refused> {
    match given {
        Value::Object(fields) => match fields.keys().find(|name| name.len() > LONGEST_NAME) {
            Some(name) => {
                let sentence = format!(
                    "a field's name has {} bytes, and none that is known has more than {LONGEST_NAME}",
                    name.len()
                );
                Err(Problem::field("", sentence))
            }
            None => fields.values().try_for_each(check_names),
        },
        Value::Array(entries) => entries.iter().try_for_each(check_names),
        _ => Ok(()),
    }
}

/// The message without the place that `serde_json` puts behind it.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

fn pointer(path: &Path) -> String {
    let parts = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(escape(key)),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    parts.fold(String::new(), |pointer, part| format!("{pointer}/{part}"))
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Rewords an error of `serde` at `pointer` for callers.
fn explain(pointer: &str, error: &serde_json::Error) -> Refused {
    let message = plain(error);
    if let Some(field) = quoted_after(&message, "missing field ") {
        return Problem::field(below(pointer, field), "this field is required");
    }
    if let Some(field) = quoted_after(&message, "duplicate field ") {
        return Problem::field(below(pointer, field), "this field is given twice");
    }
    if let Some(field) = quoted_after(&message, "unknown field ") {
        let known = names_after(&message, "expected");
        let sentence = format!("there is no such field; known are {}", known.join(", "));
        return Problem::field(below(pointer, field), sentence).allowing(known);
    }
    if message.starts_with("unknown variant ") {
        let known = names_after(&message, "expected");
        return Problem::field(pointer, format!("this is not known: use {}", known.join(" or "))).allowing(known);
    }
    if let Some((given, expected)) = message.split_once(", expected ") {
        let given = given.split_once(": ").map_or(given, |(_, given)| given);
        let sentence = format!("{} is expected here, not {}", expected_words(expected), given_words(given));
        return Problem::field(pointer, sentence);
    }
    if error.is_syntax() {
        return Problem::field(pointer, "a string is expected here");
    }
    Problem::field(pointer, message)
}

/// The pointer of `field` in the object at `pointer`, which may name the field already.
fn below(pointer: &str, field: &str) -> String {
    let field = format!("/{}", escape(field));
    if pointer.ends_with(&field) { pointer.to_owned() } else { format!("{pointer}{field}") }
}

fn quoted_after<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    let rest = message.strip_prefix(start)?.strip_prefix('`')?;
    // A field's own name may hold anything, also a backtick.
    let end = rest.rfind("`, expected").or_else(|| rest.rfind("`, there are no fields")).or_else(|| rest.rfind('`'))?;
    Some(&rest[..end])
}

fn names_after(message: &str, word: &str) -> Vec<String> {
    let known = message.rsplit_once(word).map(|(_, known)| known).unwrap_or_default();
    known.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

fn expected_words(expected: &str) -> String {
    match expected {
        "a sequence" => "a list".into(),
        "a map" => "an object".into(),
        "u16" | "u32" | "u64" | "usize" => "a whole number from 0 to 4294967295".into(),
        "a boolean" => "true or false".into(),
        _ if expected.starts_with("struct ") => "an object".into(),
        _ if expected.starts_with("string or") => "a string".into(),
        other => other.into(),
    }
}

fn given_words(given: &str) -> &'static str {
    match given.split(' ').next().unwrap_or_default() {
        "null" => "null",
        "map" => "an object",
        "sequence" => "a list",
        "string" => "this string",
        "boolean" => "true or false",
        _ => "this number",
    }
}

/// Refuses what `serde` accepts in place of the proper JSON type: lists for objects, objects for strings.
fn check_shape(given: &Value, taken: &Value, pointer: &str) -> Result<(), Refused> {
    match (given, taken) {
        (Value::Object(given), Value::Object(taken)) => {
            given.iter().try_for_each(|(key, value)| match taken.get(key) {
                Some(taken) => check_shape(value, taken, &format!("{pointer}/{}", escape(key))),
                None => Ok(()),
            })
        }
        (Value::Array(given), Value::Array(taken)) => (given.iter().zip(taken).enumerate())
            .try_for_each(|(index, (given, taken))| check_shape(given, taken, &format!("{pointer}/{index}"))),
        (Value::Array(_) | Value::Object(_), _) => {
            Err(Problem::field(pointer, format!("{} is expected here, not {}", name(taken), name(given))))
        }
        _ => Ok(()),
    }
}

fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_decisions::{server::ServerSpec, site::SiteSpec, user::UserSpec};

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    fn spec<T: DeserializeOwned + Serialize>(body: &str) -> Result<T, Refused> {
        read(&HeaderMap::new(), &Bytes::copy_from_slice(body.as_bytes()), &["hours"])
    }

    fn server(idle: &str) -> String {
        format!(
            r#"{{"file_system_id":"fs-0a1b2c3d4e5f60718","network":{{"vpc_id":"vpc-0a1b2c3d4e5f60718",
            "subnet_ids":["subnet-0a1b2c3d4e5f60718"],"security_group_ids":["sg-0a1b2c3d4e5f60718"]}}{idle}}}"#
        )
    }

    #[track_caller]
    fn refused<T: DeserializeOwned + Serialize>(body: &str, field: &str, words: &str) {
        let Err(problem) = spec::<T>(body) else { panic!("taken: {body}") };
        assert_eq!(problem.field.as_deref(), Some(field), "{body}: {}", problem.detail);
        assert!(problem.detail.contains(words), "{body}: {}", problem.detail);
    }

    #[test]
    fn a_good_body_is_taken() {
        assert!(spec::<ServerSpec>(&server(r#","idle":{"after":"30m","action":"stop"}"#)).is_ok());
        assert!(spec::<UserSpec>(&format!(r#"{{"public_keys":["{KEY}"],"site":null,"directory":"/a"}}"#)).is_ok());
    }

    #[test]
    fn a_syntax_error_has_its_line_and_column() {
        for (body, words) in [
            ("", "empty"),
            ("{\n  \"a\": 1,\n}", "line 3, column 1: trailing comma"),
            ("{} x", "line 1, column 4: trailing characters"),
            ("{\"a\"", "line 1, column 4"),
            (&"[".repeat(200), "recursion limit"),
        ] {
            let problem = spec::<UserSpec>(body).unwrap_err();
            assert_eq!(problem.kind, Kind::MalformedJson, "{body}");
            assert!(problem.detail.contains(words), "{body}: {}", problem.detail);
        }
        let problem = read::<UserSpec>(&HeaderMap::new(), &Bytes::from_static(b"{\"a\":\"\xff\"}"), &[]).unwrap_err();
        assert!(problem.detail.contains("UTF-8 from byte 6"), "{}", problem.detail);
    }

    #[test]
    fn a_refusal_names_the_field() {
        refused::<UserSpec>("[]", "", "the body: an object is expected here, not a list");
        refused::<UserSpec>("{}", "/public_keys", "required");
        refused::<UserSpec>(r#"{"public_keys":"x"}"#, "/public_keys", "a list is expected here, not this string");
        refused::<UserSpec>(r#"{"public_keys":[5]}"#, "/public_keys/0", "a string is expected here, not this number");
        refused::<UserSpec>(r#"{"public_keys":["ssh-dss AAAA"]}"#, "/public_keys/0", "not an SSH public key");
        refused::<UserSpec>(r#"{"public_keys":[],"posix":{"uid":-1,"gid":1}}"#, "/posix/uid", "whole number");
        refused::<UserSpec>(r#"{"public_keys":[],"posix":{"uid":1}}"#, "/posix/gid", "required");
        refused::<ServerSpec>(&server(r#","idle":{"after":"soon","action":"stop"}"#), "/idle/after", "30m");
        refused::<ServerSpec>(&server(r#","idle":{"after":"1m","action":"burn"}"#), "/idle/action", "stop or sleep");
        refused::<ServerSpec>(&server(r#","idle":{"after":"1m","action":5}"#), "/idle/action", "expected here");
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_known_ones() {
        refused::<ServerSpec>(&server(r#","sise":1"#), "/sise", "known are file_system_id, network, idle");
        refused::<ServerSpec>(
            &server(r#","idle":{"after":"1m","action":"stop","x`y":1}"#),
            "/idle/x`y",
            "after, action",
        );
        let Err(problem) = spec::<ServerSpec>(&server(r#","a/b":1"#)) else { panic!("taken") };
        assert_eq!(problem.field.as_deref(), Some("/a~1b"));
        assert_eq!(
            problem.allowed,
            ["file_system_id", "network", "idle", "user_role_arn", "manual_keep", "drain_for", "drift"]
        );
    }

    #[test]
    fn a_name_longer_than_any_field_s_is_not_repeated() {
        let long = "s".repeat(LONGEST_NAME + 1);
        for body in [
            server(&format!(r#","{long}":1"#)),
            server(&format!(r#","idle":{{"{long}":1}}"#)),
            server(&format!(r#","idle":[{{"{long}":1}}]"#)),
        ] {
            let problem = spec::<ServerSpec>(&body).unwrap_err();
            assert!(problem.detail.contains("has 65 bytes") && problem.detail.len() < 200, "{}", problem.detail);
        }
        refused::<ServerSpec>(&server(&format!(r#","{}":1"#, &long[1..])), &format!("/{}", &long[1..]), "known are");
    }

    #[test]
    fn whatever_is_wrong_with_the_largest_body_the_answer_is_short() {
        let names: String = (0..900).map(|n| format!(r#","{n:060}":1"#)).collect();
        let problem = spec::<ServerSpec>(&server(&names)).unwrap_err();
        let told = serde_json::to_string(&problem.errors).unwrap();
        assert!(told.len() < 8 * 1024, "{}", told.len());
    }

    #[test]
    fn a_field_may_not_be_given_twice() {
        refused::<ServerSpec>(&server(r#","idle":null,"idle":null"#), "/idle", "twice");
        refused::<UserSpec>(r#"{"public_keys":[],"posix":{"uid":1,"gid":2,"gid":2}}"#, "/posix/gid", "twice");
    }

    #[test]
    fn lists_and_objects_do_not_stand_for_each_other() {
        refused::<ServerSpec>(&server(r#","idle":["30m","stop"]"#), "/idle", "an object is expected here, not a list");
        refused::<ServerSpec>(&server(r#","idle":{"after":"1m","action":{"stop":null}}"#), "/idle/action", "a string");
        refused::<SiteSpec>(r#"{"file_system_id":{}}"#, "/file_system_id", "a string is expected here, not an object");
    }

    #[test]
    fn what_is_planned_says_so() {
        let problem = spec::<ServerSpec>(&server(r#","hours":{}"#)).unwrap_err();
        assert_eq!((problem.kind, problem.field.as_deref()), (Kind::NotSupported, Some("/hours")));
        assert!(problem.detail.contains("not yet supported"));
    }

    #[test]
    fn a_pasted_private_key_is_not_repeated() {
        let body = r#"{"public_keys":"-----BEGIN OPENSSH PRIVATE KEY----- c2VjcmV0"}"#;
        let problem = spec::<UserSpec>(body).unwrap_err();
        assert!(!problem.detail.contains("c2VjcmV0"), "{}", problem.detail);
        let body = r#"{"public_keys":["-----BEGIN OPENSSH PRIVATE KEY----- c2VjcmV0"]}"#;
        let problem = spec::<UserSpec>(body).unwrap_err();
        assert!(problem.detail.contains("private key") && !problem.detail.contains("c2VjcmV0"), "{}", problem.detail);
    }

    #[test]
    fn other_media_types_are_refused() {
        let media = |text: &'static str| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, http::HeaderValue::from_static(text))]);
            check_media_type(&headers).map_err(|problem| problem.kind)
        };
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/merge-patch+json",
            "application/x-www-form-urlencoded",
        ] {
            assert_eq!(media(good), Ok(()), "{good}");
        }
        for bad in ["text/xml", "text/plain", "multipart/form-data; boundary=x", "application/jsonx"] {
            assert_eq!(media(bad), Err(Kind::UnsupportedMediaType), "{bad}");
        }
    }
}
