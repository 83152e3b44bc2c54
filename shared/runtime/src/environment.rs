//! The variables that the template gives a function, read once at its start.

use std::{collections::BTreeMap, str::FromStr};

/// A variable that is missing or can't be parsed: the function can't start, and the template must be fixed.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// It is not set.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// Its value does not parse.
    #[error("the environment variable {name} can't be read: {reason}")]
    Form {
        /// The variable's name.
        name: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
}

/// A function's variables.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let readable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(readable).collect())
    }

    /// The variable `name`, if it is set and not empty.
    pub(crate) fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The variable `name`.
    ///
    /// # Errors
    /// When it is missing or can't be read as `T`.
    pub fn required<T: FromStr<Err: std::fmt::Display>>(&self, name: &'static str) -> Result<T, EnvironmentError> {
        let text = self.0.get(name).ok_or(EnvironmentError::Missing(name))?;
        text.parse().map_err(|error: T::Err| EnvironmentError::Form { name, reason: error.to_string() })
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
