//! ETags and the headers that make a change conditional (RFC 9110, section 13). The ETag of a thing is the version of
//! what is wanted of it; its status changes without it.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::problem::{Kind, Problem, Refused};

/// The ETag of version `version`.
pub(crate) fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// The ETag as a header's value.
pub(crate) fn etag_header(version: u64) -> HeaderValue {
    HeaderValue::try_from(etag(version)).expect("digits in quotation marks are a header's value")
}

/// What a caller requires of a resource before it is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preconditions {
    if_match: Option<Match>,
    if_none_match: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Match {
    Any,
    /// One of these. A weak or foreign tag is kept as `None`: it matches nothing.
    Versions(Vec<Option<u64>>),
}

impl Preconditions {
    /// Reads `If-Match` and `If-None-Match`.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Refused> {
        let if_match = text(headers, &header::IF_MATCH)?.map(|text| match text.as_str() {
            "*" => Match::Any,
            tags => Match::Versions(tags.split(',').map(|tag| version(tag.trim())).collect()),
        });
        let if_none_match = match text(headers, &header::IF_NONE_MATCH)?.as_deref() {
            None => false,
            Some("*") => true,
            Some(_) => {
                return Err(Problem::new(
                    Kind::InvalidHeader,
                    "If-None-Match takes only *, which means: make it new, change nothing that is there",
                ));
            }
        };
        Ok(Self { if_match, if_none_match })
    }

    /// Checks them against `what` (`the server "main"`) at version `current`, or `None` if it does not exist.
    pub(crate) fn check(&self, what: &str, current: Option<u64>) -> Result<(), Refused> {
        let refuse = |detail| Err(Problem::new(Kind::PreconditionFailed, detail));
        match (&self.if_match, current) {
            (Some(_), None) => return refuse(format!("If-Match was given, and {what} does not exist")),
            (Some(Match::Versions(versions)), Some(current)) if !versions.contains(&Some(current)) => {
                return refuse(format!(
                    "{what} has changed since: its ETag is {} now; read it again and decide anew",
                    etag(current)
                ));
            }
            _ => {}
        }
        if self.if_none_match && current.is_some() {
            return refuse(format!("If-None-Match: * was given, and {what} exists"));
        }
        Ok(())
    }
}

/// The header `name`: several lines count as one list.
fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Refused> {
    let lines: Result<Vec<&str>, _> = headers.get_all(name).iter().map(HeaderValue::to_str).collect();
    let lines = lines.map_err(|_| Problem::new(Kind::InvalidHeader, format!("the header {name} is not plain text")))?;
    Ok((!lines.is_empty()).then(|| lines.join(",").trim().to_owned()))
}

/// The version that a tag names. Quotation marks may be left out: shells eat them.
fn version(tag: &str) -> Option<u64> {
    let bare = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
    bare.chars().all(|c| c.is_ascii_digit()).then(|| bare.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &str) -> Result<Preconditions, Refused> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        Preconditions::read(&headers)
    }

    #[test]
    fn without_headers_everything_goes() {
        let none = Preconditions::read(&HeaderMap::new()).unwrap();
        assert!(none.check("it", None).is_ok() && none.check("it", Some(3)).is_ok());
    }

    #[test]
    fn if_match_holds_for_the_named_versions_only() {
        for good in ["\"3\"", "3", "\"1\", \"3\"", "*"] {
            let seen = read("if-match", good).unwrap();
            assert!(seen.check("it", Some(3)).is_ok(), "{good}");
            assert_eq!(seen.check("it", None).unwrap_err().kind, Kind::PreconditionFailed, "{good}");
        }
        for stale in ["\"2\"", "W/\"3\"", "\"x\"", "", "\"\"", "+3", "\"99999999999999999999999\""] {
            let refusal = read("if-match", stale).unwrap().check("it", Some(3)).unwrap_err();
            assert_eq!(refusal.kind, Kind::PreconditionFailed, "{stale}");
            assert!(refusal.detail.contains("its ETag is \"3\" now"), "{}", refusal.detail);
        }
    }

    #[test]
    fn if_none_match_only_makes_new_things() {
        let new = read("if-none-match", "*").unwrap();
        assert!(new.check("it", None).is_ok());
        assert_eq!(new.check("it", Some(1)).unwrap_err().kind, Kind::PreconditionFailed);
        assert_eq!(read("if-none-match", "\"1\"").unwrap_err().kind, Kind::InvalidHeader);
    }
}
