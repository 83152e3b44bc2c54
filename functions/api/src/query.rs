//! Query parameters. An unknown, repeated or malformed one is refused: a misspelt `dry-run` must not change anything.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use wharfinger_store::page::PageRequest;

use crate::problem::{Kind, Problem, Refused, quoted};

/// The items of a page where `limit` is not given.
const DEFAULT_LIMIT: u16 = 50;
/// The most items of a page.
const LARGEST_LIMIT: u16 = 100;
/// The longest cursor that is looked at; sort keys are names and ids.
const LONGEST_CURSOR: usize = 400;

/// The parameters of one request.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `query`, in which only the parameters `allowed` may stand, each once.
    pub(crate) fn read(query: Option<&str>, allowed: &[&str]) -> Result<Self, Refused> {
        let pairs: Vec<(String, String)> =
            form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
        for (index, (name, _)) in pairs.iter().enumerate() {
            if !allowed.contains(&name.as_str()) {
                let known = match allowed {
                    [] => "this request takes none".to_owned(),
                    names => format!("this request takes {}", names.join(", ")),
                };
                let sentence = format!("the parameter {} is not known: {known}", quoted(name));
                return Err(Problem::new(Kind::InvalidQuery, sentence)
                    .allowing(allowed.iter().map(ToString::to_string).collect()));
            }
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(Problem::new(Kind::InvalidQuery, format!("the parameter {name:?} is given twice")));
            }
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is `true` or `false`; absent: false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refused> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::new(Kind::InvalidQuery, format!("{name} is true or false"))
                .allowing(vec!["true".into(), "false".into()])),
        }
    }

    /// The page that `limit` and `after` name.
    pub(crate) fn page(&self, newest_first: bool) -> Result<PageRequest, Refused> {
        let limit = match self.get("limit") {
            None => DEFAULT_LIMIT,
            Some(text) => text.parse().ok().filter(|limit| (1..=LARGEST_LIMIT).contains(limit)).ok_or_else(|| {
                Problem::new(Kind::InvalidQuery, format!("limit is a number from 1 to {LARGEST_LIMIT}"))
            })?,
        };
        let after = self.get("after").map(read_cursor).transpose()?;
        Ok(PageRequest { limit, after, newest_first, may_lag: false })
    }
}

/// The cursor of the page after the sort key `key`.
pub(crate) fn write_cursor(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

fn read_cursor(cursor: &str) -> Result<String, Refused> {
    let key = (1..=LONGEST_CURSOR).contains(&cursor.len()).then(|| URL_SAFE_NO_PAD.decode(cursor).ok()).flatten();
    key.and_then(|key| String::from_utf8(key).ok()).ok_or_else(|| {
        Problem::new(
            Kind::InvalidQuery,
            "after is not a cursor of this API: give the `next` of the page before, unchanged",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: [&str; 2] = ["limit", "after"];

    #[test]
    fn a_long_name_is_not_repeated() {
        let refused = Query::read(Some(&"x".repeat(9_000)), &LIST).unwrap_err();
        assert_eq!(refused.detail, "the parameter of 9000 bytes is not known: this request takes limit, after");
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        assert!(Query::read(None, &[]).is_ok());
        let unknown = Query::read(Some("dry-run=true"), &["dry_run"]).unwrap_err();
        assert_eq!(unknown.kind, Kind::InvalidQuery);
        assert!(
            unknown.detail.contains("\"dry-run\"") && unknown.detail.ends_with("takes dry_run"),
            "{}",
            unknown.detail
        );
        assert!(Query::read(Some("dry_run=true&dry_run=false"), &["dry_run"]).is_err());
    }

    #[test]
    fn flags_are_true_or_false() {
        let flag = |text| Query::read(Some(text), &["dry_run"]).unwrap().flag("dry_run");
        assert!(flag("dry_run=true").unwrap());
        assert!(!flag("dry_run=false").unwrap() && !flag("").unwrap());
        for bad in ["dry_run=1", "dry_run", "dry_run=True"] {
            assert!(flag(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_have_bounds() {
        let limit = |text| Query::read(Some(text), &LIST).unwrap().page(false).map(|page| page.limit);
        assert_eq!(limit("").unwrap(), 50);
        assert_eq!((limit("limit=1").unwrap(), limit("limit=100").unwrap()), (1, 100));
        for bad in ["limit=0", "limit=101", "limit=-1", "limit=", "limit=ten", "limit=70000"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cursor_reads_back_and_others_are_refused() {
        let page = |text: String| Query::read(Some(&text), &LIST).unwrap().page(false);
        let cursor = write_cursor("blog-2");
        assert_eq!(page(format!("after={cursor}")).unwrap().after.as_deref(), Some("blog-2"));
        for bad in ["", "blog%21", "_w", &"A".repeat(401)] {
            assert_eq!(page(format!("after={bad}")).unwrap_err().kind, Kind::InvalidQuery, "{bad}");
        }
    }
}
