//! Strings that carry a proof: each is made by its `parse`, so that whoever holds one need not check again, or was when
//! an earlier version kept it.

/// Makes a string type whose way in is `$parse`, a function from `String` to `Result<String, Invalid>`.
macro_rules! parsed_string {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` and keeps it.
            ///
            /// # Errors
            /// A sentence that says what is allowed.
            pub fn parse(text: impl Into<String>) -> Result<Self, crate::text::Invalid> {
                ($parse)(text.into()).map(Self)
            }

            /// What an earlier version accepted and kept: today's rules are not run on it. For the table's readers alone.
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

/// A field that is well formed and does not go with the rest, or with what is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {invalid}")]
pub struct Misfit {
    /// The JSON pointer of the field.
    pub field: &'static str,
    /// What is allowed.
    pub invalid: Invalid,
}

impl Misfit {
    /// The field `field` does not do, for the reason that `sentence` gives.
    pub(crate) fn new(field: &'static str, sentence: impl Into<String>) -> Self {
        Self { field, invalid: Invalid(sentence.into()) }
    }
}

/// Nothing wrong, or all that is, in the order of the fields.
pub(crate) fn all_fit(misfits: impl IntoIterator<Item = Option<Misfit>>) -> Result<(), Vec<Misfit>> {
    let misfits: Vec<Misfit> = misfits.into_iter().flatten().collect();
    if misfits.is_empty() { Ok(()) } else { Err(misfits) }
}

/// `text` in quotation marks, if it is short and plain enough for a message. What is longer is not repeated: it may be
/// a private key that was pasted in the wrong place.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 40;
    let plain = text.chars().count() <= LONGEST && !text.contains("PRIVATE");
    if plain { format!("{text:?}") } else { "what was given".to_owned() }
}
