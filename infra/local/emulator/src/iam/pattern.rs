//! Patterns of policies: texts, actions and ARNs with wildcards.

use crate::wildcard::Wildcard;

/// Whether `text` has the form of `pattern`, case counted.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    Wildcard::of_policy(pattern).matches(text)
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
    fn actions_do_not_count_case() {
        assert!(matches_action("Transfer:create*", "transfer:CreateUser"));
        assert!(!matches_action("transfer:Create*", "transfer:DeleteUser"));
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
