//! Patterns of file names, such as `*.tmp`.

use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use crate::text::{Invalid, is_one_line};

/// The longest pattern, in bytes, and the most `*` in it. To hold a pattern against a name takes up to the product of
/// their lengths, and each event is held against all patterns.
const LONGEST: usize = 64;
const MOST_STARS: usize = 4;

/// The longest name on a file system, in bytes. What is longer is no name, so no pattern fits it.
const LONGEST_NAME: usize = 255;

/// A pattern of names: `*` stands for any characters, `?` for one. It is held against names, not against paths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    compiled: WildMatch,
}

impl Eq for Pattern {}

impl Pattern {
    /// Validates `text`.
    ///
    /// # Errors
    /// A sentence that says what is allowed.
    pub fn parse(text: impl Into<String>) -> Result<Self, Invalid> {
        const ALLOWED: &str = "a pattern is held against the names of files and directories: write something like *.tmp or .*.filepart, of at most 64 bytes and with at most 4 stars, without a slash, and not one that fits every name";
        let text = text.into();
        let stars = text.bytes().filter(|byte| *byte == b'*').count();
        let names_all = text.chars().all(|char| char == '*');
        let plain = text.len() <= LONGEST && stars <= MOST_STARS && !text.contains('/') && is_one_line(&text);
        if plain && !names_all { Ok(Self::from_stored(text)) } else { Err(Invalid::new(&text, ALLOWED)) }
    }

    /// Accepts what an earlier version stored, without today's validation. Only for reading the table.
    pub fn from_stored(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { compiled: WildMatch::new(&text), text }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether one of the names in the path `file` is as the pattern says.
    #[must_use]
    pub fn is_in(&self, file: &str) -> bool {
        file.split('/').any(|name| name.len() <= LONGEST_NAME && self.compiled.matches(name))
    }
}

impl TryFrom<String> for Pattern {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_held_against_each_whole_name_of_a_path() {
        let fits = ["*.tmp|a.tmp", "*.tmp|x/.tmp", ".*.filepart|.page.html.filepart", "a?c|abc", "build|a/build/b"];
        let others = ["*.tmp|a.tmp2", "*.tmp|tmp", ".*.filepart|page.filepart", "a?c|ac", "build|rebuild", "[ab]|a"];
        let is_in = |case: &str| {
            let (pattern, file) = case.split_once('|').unwrap();
            Pattern::parse(pattern).unwrap().is_in(file)
        };
        assert_eq!(fits.map(is_in), [true; 5]);
        assert_eq!(others.map(is_in), [false; 6]);
    }

    #[test]
    fn a_pattern_that_means_nothing_or_everything_is_refused() {
        for bad in ["", "*", "**", "a/b", "/", "a\nb"] {
            assert!(Pattern::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_pattern_that_takes_long_is_refused() {
        for (good, bad) in [("a".repeat(64), "a".repeat(65)), ("*a*b*c*d".into(), "*a*b*c*d*".into())] {
            assert!(Pattern::parse(good.as_str()).is_ok() && Pattern::parse(bad.as_str()).is_err(), "{bad}");
        }
        let stored = Pattern::from_stored("*.tmp".to_owned());
        assert!(stored.is_in(&format!("{}.tmp", "a".repeat(251))));
        assert!(!stored.is_in(&format!("{}.tmp", "a".repeat(252))), "no file has such a name");
    }
}
