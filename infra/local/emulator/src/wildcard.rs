//! Texts with wildcards, as IAM's policies and EventBridge's patterns write them.

/// A pattern that texts are held against, case counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wildcard(Vec<Piece>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Any text, also none.
    Any,
    /// Any one character.
    One,
    Literal(char),
}

impl Wildcard {
    /// A pattern of a policy: `*` is any text, `?` any one character.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>
    pub(crate) fn of_policy(pattern: &str) -> Self {
        let piece = |letter| match letter {
            '*' => Piece::Any,
            '?' => Piece::One,
            other => Piece::Literal(other),
        };
        Self(pattern.chars().map(piece).collect())
    }

    /// A pattern of an event rule: `*` is any text, `\*` and `\\` are the second character itself.
    /// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>
    pub(crate) fn of_event(pattern: &str) -> Self {
        let mut letters = pattern.chars().peekable();
        let mut pieces = Vec::new();
        while let Some(letter) = letters.next() {
            let escaped = (letter == '\\').then(|| letters.next_if(|next| matches!(next, '*' | '\\'))).flatten();
            pieces.push(match (letter, escaped) {
                (_, Some(itself)) => Piece::Literal(itself),
                ('*', None) => Piece::Any,
                (other, None) => Piece::Literal(other),
            });
        }
        Self(pieces)
    }

    /// Whether `text` has this form.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut read) = (0, 0);
        // Where the last `*` stands, and how far the text was read there: the place to go back to.
        let mut star: Option<(usize, usize)> = None;
        while read < text.len() {
            match self.0.get(at) {
                Some(Piece::Any) => {
                    star = Some((at, read));
                    at += 1;
                }
                Some(piece) if [Piece::One, Piece::Literal(text[read])].contains(piece) => {
                    (at, read) = (at + 1, read + 1);
                }
                _ => {
                    let Some((place, from)) = star else { return false };
                    star = Some((place, from + 1));
                    (at, read) = (place + 1, from + 1);
                }
            }
        }
        self.0[at..].iter().all(|rest| *rest == Piece::Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_of_policies_mean_what_iam_means() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b", "xaab", true),
            ("a**b", "ab", true),
            ("abc", "ABC", false),
            ("", "a", false),
        ] {
            assert_eq!(Wildcard::of_policy(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn wildcards_of_event_patterns_mean_what_eventbridge_means() {
        for (pattern, text, expected) in [
            ("/sites/*/index.*", "/sites/blog/index.html", true),
            ("/sites/*.css", "/sites/blog/index.html", false),
            ("a?c", "abc", false),
            (r"a\*c", "a*c", true),
            (r"a\*c", "abc", false),
            (r"a\\*", r"a\bc", true),
            (r"a\bc", r"a\bc", true),
        ] {
            assert_eq!(Wildcard::of_event(pattern).matches(text), expected, "{pattern} {text}");
        }
    }
}
