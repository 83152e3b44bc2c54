//! The names that people give: to servers, sites and users.

use crate::text::{Invalid, parsed_string};

parsed_string! {
    /// The name of a server: 1 to 32 lower-case letters, digits and hyphens, a letter first.
    ServerName, own_name
}

parsed_string! {
    /// The name of a site: 1 to 32 lower-case letters, digits and hyphens, a letter first.
    SiteName, own_name
}

parsed_string! {
    /// The name of an SFTP user, as Transfer Family allows it: `[\w][\w@.-]{2,99}`, ASCII.
    /// Its API takes `root` too, but nobody can log in by that name.
    /// <https://docs.aws.amazon.com/transfer/latest/APIReference/API_CreateUser.html>
    UserName, user_name
}

fn own_name(text: String) -> Result<String, Invalid> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let valid = text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(allowed);
    if valid {
        return Ok(text);
    }
    Err(Invalid::new(
        &text,
        "a name has 1 to 32 lower-case letters, digits and hyphens, starts with a letter and does not end with a hyphen",
    ))
}

fn user_name(text: String) -> Result<String, Invalid> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let valid = (3..=100).contains(&text.len())
        && text.starts_with(word)
        && text.chars().all(|c| word(c) || matches!(c, '@' | '.' | '-'));
    if text == "root" {
        return Err(Invalid("Transfer Family lets nobody log in as root: give the user another name".into()));
    }
    if valid {
        return Ok(text);
    }
    Err(Invalid::new(
        &text,
        "a user name has 3 to 100 ASCII letters, digits and the characters _ @ . - and starts with a letter, a digit or _",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_follow_transfer_familys_pattern() {
        for good in ["bob", "_ab", "a.b@c-d", "0ab", &"a".repeat(100)] {
            assert!(UserName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "ab", ".ab", "-ab", "@ab", "a b", "ünal", "a/b", "a\nb", "root", &"a".repeat(101)] {
            assert!(UserName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn own_names_are_short_and_lower_case() {
        for good in ["a", "main", "blog-2", &"a".repeat(32)] {
            assert!(ServerName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "Main", "2a", "-a", "a-", "a_b", "a#b", &"a".repeat(33)] {
            assert!(ServerName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_allowed() {
        let refusal = ServerName::parse("Main").unwrap_err().to_string();
        assert!(refusal.starts_with("\"Main\" is not allowed here: a name has 1 to 32"), "{refusal}");
    }
}
