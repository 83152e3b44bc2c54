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
    if valid {
        return Ok(text);
    }
    Err(Invalid::new(
        &text,
        "a user name has 3 to 100 ASCII letters, digits and the characters _ @ . - and starts with a letter, a digit or _",
    ))
}
