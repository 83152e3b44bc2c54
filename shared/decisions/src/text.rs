//! String types that are valid by construction: each is made by its `parse`, or was when an earlier version stored it.

/// Defines a string type that is validated by `$parse`, a function from `String` to `Result<String, Invalid>`.
macro_rules! parsed_string {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Validates `text`.
            ///
            /// # Errors
            /// A sentence that says what is allowed.
            pub fn parse(text: impl Into<String>) -> Result<Self, crate::text::Invalid> {
                ($parse)(text.into()).map(Self)
            }

            /// Accepts what an earlier version stored, without today's validation. Only for reading the table.
            pub fn from_stored(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = crate::text::Invalid;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}
pub(crate) use parsed_string;

/// Whether `text` is one line that reads in the order in which it is written: it has no control character, no separator of
/// lines or paragraphs, and none that turns the direction of what follows.
#[must_use]
pub fn is_one_line(text: &str) -> bool {
    let turns =
        |char| matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !text.chars().any(|char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') || turns(char))
}

/// A value that was refused, with a sentence that says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    /// A refusal: `what` was given, `allowed` is what would do.
    pub(crate) fn new(what: &str, allowed: &str) -> Self {
        Self(format!("{} is not allowed here: {allowed}", quoted(what)))
    }
}

/// A field that is well formed but conflicts with other fields or with the existing resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {invalid}")]
pub struct Misfit {
    /// The JSON pointer of the field.
    pub field: &'static str,
    /// What is allowed.
    pub invalid: Invalid,
}

impl Misfit {
    /// The field `field` is wrong, for the reason that `sentence` gives.
    pub(crate) fn new(field: &'static str, sentence: impl Into<String>) -> Self {
        Self { field, invalid: Invalid(sentence.into()) }
    }
}

/// Returns the misfits as an error, if there are any, in the order of the fields.
pub(crate) fn all_fit(misfits: impl IntoIterator<Item = Option<Misfit>>) -> Result<(), Vec<Misfit>> {
    let misfits: Vec<Misfit> = misfits.into_iter().flatten().collect();
    if misfits.is_empty() { Ok(()) } else { Err(misfits) }
}

/// Quotes `text` if it is short and plain enough for a message. Anything longer is not repeated: it may be a private
/// key pasted in the wrong place.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 40;
    let plain = text.chars().count() <= LONGEST && !text.contains("PRIVATE");
    if plain { format!("{text:?}") } else { "what was given".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_reads_otherwise_than_it_is_written_is_no_line() {
        for line in ["", "the mount was mended", "עדכון האתר", "تحديث", "naïve 🚢"] {
            assert!(is_one_line(line), "{line}");
        }
        for other in ["a\nb", "a\tb", "a\u{85}b", "a\u{2028}b", "a\u{2029}b", "a\u{202e}b", "a\u{2066}b", "a\u{200f}b"]
        {
            assert!(!is_one_line(other), "{other:?}");
        }
    }
}
