//! Wildcards of policies: `*` is any text, `?` any one character.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>

/// Whether `text` has the form of `pattern`, case counted.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where the last `*` stands, and how far the text was read there: the place to go back to.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[read] => (at, read) = (at + 1, read + 1),
            _ => {
                let Some((place, from)) = star else { return false };
                star = Some((place, from + 1));
                (at, read) = (place + 1, from + 1);
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// Whether an action is one that `pattern` means; actions don't count case.
#[must_use]
pub fn matches_action(pattern: &str, action: &str) -> bool {
    matches(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase())
}

/// Whether an ARN is one that `pattern` means. `*` alone means all; else a wildcard stays within one of the ARN's six
/// parts. AWS is laxer in places, so that what is allowed here is allowed there.
#[must_use]
pub fn matches_arn(pattern: &str, arn: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let (pattern, arn): (Vec<&str>, Vec<&str>) = (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    pattern.len() == arn.len() && pattern.iter().zip(&arn).all(|(pattern, part)| matches(pattern, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_mean_what_iam_means() {
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
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        assert!(matches_action("Transfer:create*", "transfer:CreateUser"));
    }

    #[test]
    fn a_wildcard_of_an_arn_stays_within_its_part() {
        let server = "arn:aws:transfer:us-east-1:000000000000:server/s-1";
        for (pattern, expected) in [
            ("*", true),
            ("arn:aws:transfer:*:*:server/*", true),
            ("arn:aws:transfer:us-east-1:000000000000:user/*", false),
            ("arn:aws:transfer:us-east-1:111122223333:server/*", false),
            ("arn:*:server/*", false),
            ("arn:aws:transfer:us-east-1:000000000000:server", false),
        ] {
            assert_eq!(matches_arn(pattern, server), expected, "{pattern}");
        }
        assert!(!matches_arn("arn:aws:transfer:us-east-1:000000000000:server/*", "*"));
    }
}
