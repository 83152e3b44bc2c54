//! Filter patterns, as far as they are done here: terms (`ERROR -DEBUG`, `?WARN ?ERROR`, `"two words"`), and conditions
//! on members of JSON texts (`{ $.user = "alice" && ($.path = "/a*" || $.mode != "READ") }`).
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>

use serde_json::Value;

use crate::{input::plain_text, wildcard::Wildcard};

/// A pattern that events match or don't.
#[derive(Debug, PartialEq)]
pub(super) enum Pattern {
    Everything,
    Terms(Vec<Term>),
    Json(Condition),
}

/// A term of an unstructured pattern.
#[derive(Debug, PartialEq)]
pub(super) struct Term {
    rule: Rule,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// It must be there.
    All,
    /// One of these must be there.
    Any,
    /// It must not be there.
    None,
}

/// A condition on a JSON text.
#[derive(Debug, PartialEq)]
pub(super) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    /// The member at a path is like a text, or is not.
    Like {
        path: Vec<String>,
        text: Wildcard,
        like: bool,
    },
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::Everything);
        }
        if let Some(inner) = text.strip_prefix('{') {
            let inner = inner.strip_suffix('}').ok_or("it does not end with '}'")?;
            let mut rest = Rest(inner);
            let condition = rest.any()?;
            return if rest.skip().is_empty() { Ok(Self::Json(condition)) } else { Err(rest.unexpected()) };
        }
        if text.starts_with('[') || text.contains('%') {
            return Err("this region does terms and JSON conditions alone".to_owned());
        }
        terms(text).map(Self::Terms)
    }

    pub(super) fn matches(&self, message: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Terms(terms) => {
                let mut any = terms.iter().filter(|term| term.rule == Rule::Any).peekable();
                let there = |term: &Term| message.contains(&term.text);
                terms.iter().all(|term| match term.rule {
                    Rule::All => there(term),
                    Rule::None => !there(term),
                    Rule::Any => true,
                }) && (any.peek().is_none() || any.any(there))
            }
            Self::Json(condition) => serde_json::from_str(message).is_ok_and(|value| condition.holds(&value)),
        }
    }
}

fn terms(mut text: &str) -> Result<Vec<Term>, String> {
    let mut found = Vec::new();
    while !text.is_empty() {
        let (rule, rest) = match text.as_bytes()[0] {
            b'-' => (Rule::None, &text[1..]),
            b'?' => (Rule::Any, &text[1..]),
            _ => (Rule::All, text),
        };
        let (word, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("a quotation does not end")?,
            None => plain_word(rest)?,
        };
        found.push(Term { rule, text: word.to_owned() });
        text = rest.trim_start();
    }
    Ok(found)
}

/// A term without quotation marks, and what follows it.
fn plain_word(text: &str) -> Result<(&str, &str), String> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if word.is_empty() || !word.chars().all(|letter| letter.is_alphanumeric() || letter == '_') {
        return Err(format!("the term {word:?} must be in quotation marks"));
    }
    Ok((word, rest))
}

impl Condition {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::And(all) => all.iter().all(|condition| condition.holds(value)),
            Self::Or(any) => any.iter().any(|condition| condition.holds(value)),
            Self::Like { path, text, like } => {
                let found = path.iter().try_fold(value, |value, member| value.get(member));
                let scalar = found.filter(|found| !found.is_array() && !found.is_object() && !found.is_null());
                scalar.is_some_and(|found| text.matches(&plain_text(found)) == *like)
            }
        }
    }
}

/// What is left to read of a condition.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip(&mut self) -> &'a str {
        self.0 = self.0.trim_start();
        self.0
    }

    fn take(&mut self, token: &str) -> bool {
        match self.skip().strip_prefix(token) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn unexpected(&mut self) -> String {
        format!("this region does not understand {:?}", self.skip())
    }

    fn any(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.all()?];
        while self.take("||") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Or(parts) })
    }

    fn all(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.one()?];
        while self.take("&&") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::And(parts) })
    }

    fn one(&mut self) -> Result<Condition, String> {
        if self.take("(") {
            let inner = self.any()?;
            return if self.take(")") { Ok(inner) } else { Err(self.unexpected()) };
        }
        if !self.take("$") {
            return Err(self.unexpected());
        }
        let mut path = Vec::new();
        while self.0.starts_with('.') {
            self.0 = &self.0[1..];
            path.push(self.word(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))?);
        }
        let like = !self.skip().starts_with("!=");
        if path.is_empty() || !(self.take("!=") || self.take("=")) {
            return Err(self.unexpected());
        }
        Ok(Condition::Like { path, text: Wildcard::of_event(&self.text()?), like })
    }

    fn text(&mut self) -> Result<String, String> {
        match self.skip().strip_prefix('"') {
            Some(quoted) => {
                let (text, rest) = quoted.split_once('"').ok_or("a quotation does not end")?;
                self.0 = rest;
                Ok(text.to_owned())
            }
            None => self.word(|letter| letter.is_ascii_alphanumeric() || "-_.*/:".contains(letter)),
        }
    }

    fn word(&mut self, part: impl Fn(char) -> bool) -> Result<String, String> {
        let end = self.0.find(|letter| !part(letter)).unwrap_or(self.0.len());
        if end == 0 {
            return Err(self.unexpected());
        }
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        Ok(word.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, message: &str) -> bool {
        Pattern::parse(pattern).unwrap_or_else(|problem| panic!("{pattern}: {problem}")).matches(message)
    }

    #[test]
    fn terms_are_there_or_not() {
        assert!(matches("", "anything"));
        assert!(matches("ERROR", "an ERROR") && !matches("ERROR", "an error"));
        assert!(matches("two one", "one two") && !matches("two three", "one two"));
        assert!(matches("one -three", "one two") && !matches("one -two", "one two"));
        assert!(matches("?three ?two", "one two") && !matches("?three ?four", "one two"));
        assert!(matches("\"one two\"", "one two") && !matches("\"two one\"", "one two"));
    }

    #[test]
    fn members_of_json_are_compared() {
        let line = r#"{"activity-type":"OPEN","path":"/fs-1/a","bytes":5,"in":{"side":"x"}}"#;
        for (pattern, expected) in [
            (r#"{ $.activity-type = "OPEN" }"#, true),
            ("{$.activity-type=OPEN}", true),
            (r#"{ $.activity-type != "OPEN" }"#, false),
            (r#"{ $.absent != "OPEN" }"#, false),
            (r#"{ $.path = "/fs-1/*" && $.bytes = 5 }"#, true),
            (r#"{ $.path = "/fs-2/*" || $.in.side = "x" }"#, true),
            (r#"{ ($.path = "/fs-2/*" || $.in.side = "x") && $.bytes = 6 }"#, false),
            (r#"{ $.path = "/fs-2/*" && $.bytes = 6 || $.bytes = 5 }"#, true),
        ] {
            assert_eq!(matches(pattern, line), expected, "{pattern}");
        }
        assert!(!matches(r#"{ $.a = "*" }"#, "no JSON"));
    }

    #[test]
    fn what_is_not_done_is_refused() {
        for pattern in
            ["[a, b]", "%regex%", "{ $.a IS NULL }", "{ $.a > 5 }", "{ $.a[0] = 1 }", "{ $.a = 1", "\"open", "{ }", "-"]
        {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
