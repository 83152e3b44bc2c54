//! Patterns of file names, such as `*.tmp`.

use wildmatch::WildMatch;

use crate::text::{Invalid, parsed_string};

parsed_string! {
    /// A pattern of names: `*` stands for any characters, `?` for one. It is held against names, not against paths.
    Pattern, pattern
}

fn pattern(text: String) -> Result<String, Invalid> {
    const ALLOWED: &str = "a pattern is held against the names of files and directories: write something like *.tmp or .*.filepart, of at most 255 bytes, without a slash, and not one that fits every name";
    let names_all = text.chars().all(|char| char == '*');
    let plain = text.len() <= 255 && !text.contains('/') && !text.chars().any(char::is_control);
    if plain && !names_all { Ok(text) } else { Err(Invalid::new(&text, ALLOWED)) }
}

impl Pattern {
    /// Whether one of the names in the path `file` is as the pattern says.
    #[must_use]
    pub fn is_in(&self, file: &str) -> bool {
        let pattern = WildMatch::new(self.as_str());
        file.split('/').any(|name| pattern.matches(name))
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
}
