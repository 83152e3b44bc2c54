//! Which names stay out of releases.

use serde::{Deserialize, Serialize};

/// A pattern of names such as `*.tmp`: `*` stands for any bytes, `?` for one. It is held against a name, not a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern; every text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether the whole of `name` is as the pattern says.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let pattern = self.0.as_bytes();
        let (mut at, mut read) = (0, 0);
        // Where the last star stands, and how much of the name it has taken so far.
        let mut star: Option<(usize, usize)> = None;
        while read < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, read));
                    at += 1;
                }
                Some(byte) if *byte == b'?' || *byte == name[read] => {
                    at += 1;
                    read += 1;
                }
                _ => match star {
                    Some((stands, taken)) => {
                        star = Some((stands, taken + 1));
                        at = stands + 1;
                        read = taken + 1;
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_held_against_the_whole_name() {
        let fits = ["*.tmp|a.tmp", "*.tmp|.tmp", ".*.filepart|.page.html.filepart", "a?c|abc", "*|x", "a*b*c|aXbYbZc"];
        let others = ["*.tmp|a.tmp2", "*.tmp|tmp", ".*.filepart|page.filepart", "a?c|ac", "|x", "a*b*c|aXbYbZ"];
        let matches = |case: &str| {
            let (pattern, name) = case.split_once('|').unwrap();
            Pattern::new(pattern).matches(name.as_bytes())
        };
        assert_eq!(fits.map(matches), [true; 6]);
        assert_eq!(others.map(matches), [false; 6]);
    }
}
