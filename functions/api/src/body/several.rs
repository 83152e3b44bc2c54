//! The errors of a body behind its first one. `serde` stops at an error, so what is wrong is left out, and the rest is
//! read again.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{explain, pointer};
use crate::problem::Refused;

/// The most errors that are looked for.
const MOST: usize = 20;

/// The problem `first` of the body `given`, which is to be a `T`, with all that can be found after it.
pub(super) fn all<T: DeserializeOwned>(first: Refused, given: &Value) -> Refused {
    let mut rest = Rest { body: given.clone(), left_out: Vec::new() };
    let mut goes_on = rest.leave_out(first.field.as_deref().unwrap_or_default());
    let mut found = vec![first];
    while goes_on && found.len() < MOST {
        let Err(error) = serde_path_to_error::deserialize::<_, T>(&rest.body) else { break };
        let place = pointer(error.path());
        let field = explain(&place, error.inner()).field.unwrap_or_default();
        let problem = explain(&rest.original(&place), error.inner());
        // What is missing only because it was left out is known.
        if !found.iter().any(|known| is_within(known.field.as_deref(), problem.field.as_deref())) {
            found.push(problem);
        }
        goes_on = rest.leave_out(&field);
    }
    let first = found.remove(0);
    first.among(found)
}

/// Whether the pointer `inner` is `outer` or lies below it.
fn is_within(inner: Option<&str>, outer: Option<&str>) -> bool {
    let (inner, outer) = (inner.unwrap_or_default(), outer.unwrap_or_default());
    inner.strip_prefix(outer).is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// What is left of a body.
struct Rest {
    body: Value,
    /// The entries that were left out of lists: the list's pointer, and their place in it as it was given.
    left_out: Vec<(String, usize)>,
}

impl Rest {
    /// Leaves out the value at `pointer`, or where there is none the object that lacks it. Returns whether something of
    /// the body is left.
    fn leave_out(&mut self, pointer: &str) -> bool {
        let Some((parent, name)) = pointer.rsplit_once('/') else { return false };
        let place = self.original(pointer);
        let removed = match self.body.pointer_mut(parent) {
            Some(Value::Object(fields)) => fields.remove(&name.replace("~1", "/").replace("~0", "~")).is_some(),
            Some(Value::Array(entries)) => match name.parse::<usize>() {
                Ok(index) if index < entries.len() => {
                    entries.remove(index);
                    self.left_out
                        .extend(place.rsplit_once('/').and_then(|(_, at)| Some((parent.into(), at.parse().ok()?))));
                    self.left_out.sort_unstable();
                    true
                }
                _ => false,
            },
            _ => false,
        };
        removed || self.leave_out(parent)
    }

    /// The pointer in the body as it was given of what is now at `pointer`.
    fn original(&self, pointer: &str) -> String {
        let Some((parent, name)) = pointer.rsplit_once('/') else { return pointer.to_owned() };
        let Ok(index) = name.parse::<usize>() else { return pointer.to_owned() };
        let before = self.left_out.iter().filter(|(list, _)| list == parent);
        let index = before.fold(index, |index, (_, left_out)| if *left_out <= index { index + 1 } else { index });
        format!("{parent}/{index}")
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use http::HeaderMap;
    use serde::Serialize;
    use wharfinger_decisions::{server::ServerSpec, user::UserSpec};

    use super::*;

    /// The fields of which something is said about `body`, in order.
    fn fields<T: DeserializeOwned + Serialize>(body: &str) -> Vec<String> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let Err(problem) = super::super::read::<T>(&HeaderMap::new(), &body, &[]) else { return Vec::new() };
        let mut fields: Vec<String> = problem.errors.iter().map(|error| error.field.clone()).collect();
        assert_ne!(fields.len(), 1, "one alone is not listed");
        if fields.is_empty() {
            fields.extend(problem.field);
        }
        fields.sort();
        fields
    }

    #[test]
    fn what_is_behind_an_error_is_read_too() {
        let server = r#"{"file_system_id":"fs-x","sise":1,"network":{"vpc_id":5,"subnet_ids":"one",
            "security_group_ids":["sg-0a1b2c3d4e5f60718"]},"idle":{"after":"soon","action":"burn"}}"#;
        let expected =
            ["/file_system_id", "/idle/action", "/idle/after", "/network/subnet_ids", "/network/vpc_id", "/sise"];
        assert_eq!(fields::<ServerSpec>(server), expected);
    }

    #[test]
    fn entries_of_a_list_keep_their_places() {
        let good = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        let user = format!(r#"{{"public_keys":["bad","{good}","worse","{good}",5],"directory":"a//b"}}"#);
        let expected = ["/directory", "/public_keys/0", "/public_keys/2", "/public_keys/4"];
        assert_eq!(fields::<UserSpec>(&user), expected);
    }

    #[test]
    fn a_missing_field_is_said_once() {
        assert_eq!(fields::<UserSpec>("{}"), ["/public_keys"]);
        assert_eq!(fields::<UserSpec>(r#"{"public_keys":5}"#), ["/public_keys"]);
        assert_eq!(fields::<UserSpec>(r#"{"public_keys":[],"posix":{"uid":1},"site":5}"#), ["/posix/gid", "/site"]);
    }

    #[test]
    fn there_is_an_end_to_errors() {
        let many = vec!["5"; 100].join(",");
        assert_eq!(fields::<UserSpec>(&format!(r#"{{"public_keys":[{many}]}}"#)).len(), MOST);
    }
}
