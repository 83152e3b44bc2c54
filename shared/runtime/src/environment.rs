//! The variables that the template gives a function, read once at its start.

use std::str::FromStr;

/// A variable that is missing or can't be read. The function can't start; the template must be mended.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// It is not set.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// It has another form.
    #[error("the environment variable {name} can't be read: {reason}")]
    Form {
        /// Which.
        name: &'static str,
        /// Why.
        reason: String,
    },
}

/// The variable `name`.
///
/// # Errors
/// When it is missing or can't be read as `T`.
pub fn required<T: FromStr<Err: std::fmt::Display>>(name: &'static str) -> Result<T, EnvironmentError> {
    let text = std::env::var(name).map_err(|_| EnvironmentError::Missing(name))?;
    text.parse().map_err(|error: T::Err| EnvironmentError::Form { name, reason: error.to_string() })
}
