//! The template's parameters: defaults, what was set, and what each allows.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::{Map, Value};

use super::TemplateError;

/// The value of every parameter, from `settings` where set and else from its default.
///
/// # Errors
/// If a set name is unknown, a parameter has neither value nor default, or a value is not allowed.
pub fn resolve(
    declared: &Map<String, Value>,
    settings: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, TemplateError> {
    if let Some(name) = settings.keys().find(|name| !declared.contains_key(*name)) {
        let known = declared.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(TemplateError::UnknownParameter { name: name.clone(), known });
    }
    let resolve_one = |(name, declaration): (&String, &Value)| {
        let value = match settings.get(name).cloned().or_else(|| declaration.get("Default").and_then(text)) {
            Some(value) => value,
            None => return Err(problem(name, "it has no default, so it must be set")),
        };
        check(declaration, &value).map_err(|complaint| problem(name, &complaint))?;
        Ok((name.clone(), value))
    };
    declared.iter().map(resolve_one).collect()
}

fn problem(name: &str, problem: &str) -> TemplateError {
    TemplateError::Parameter { name: name.to_owned(), problem: problem.to_owned() }
}

fn check(declaration: &Value, value: &str) -> Result<(), String> {
    let declared_type = declaration["Type"].as_str().unwrap_or("String");
    if let Some(allowed) = declaration["AllowedValues"].as_array() {
        let allowed: Vec<String> = allowed.iter().filter_map(text).collect();
        if !allowed.iter().any(|one| one == value) {
            return Err(format!("{value:?} is not allowed; it must be one of {}", allowed.join(", ")));
        }
    }
    if let Some(pattern) = declaration["AllowedPattern"].as_str() {
        let whole = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| format!("its AllowedPattern: {error}"))?;
        if !whole.is_match(value) {
            return Err(format!("{value:?} is not allowed; it must match the pattern {pattern}"));
        }
    }
    if declared_type == "Number" { check_number(declaration, value) } else { check_length(declaration, value) }
}

fn check_number(declaration: &Value, value: &str) -> Result<(), String> {
    let number: f64 = value.parse().map_err(|_| format!("{value:?} is not a number"))?;
    let bound = |name: &str| declaration.get(name).and_then(text).and_then(|bound| bound.parse::<f64>().ok());
    match (bound("MinValue"), bound("MaxValue")) {
        (Some(least), _) if number < least => Err(format!("{value} is too small; it must be at least {least}")),
        (_, Some(most)) if number > most => Err(format!("{value} is too large; it must be at most {most}")),
        _ => Ok(()),
    }
}

fn check_length(declaration: &Value, value: &str) -> Result<(), String> {
    let bound = |name: &str| declaration.get(name).and_then(text).and_then(|bound| bound.parse::<usize>().ok());
    let length = value.chars().count();
    match (bound("MinLength"), bound("MaxLength")) {
        (Some(least), _) if length < least => Err(format!("{value:?} is too short; it needs {least} characters")),
        (_, Some(most)) if length > most => Err(format!("{value:?} is too long; {most} characters are allowed")),
        _ => Ok(()),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolve_with(name: &str, value: &str) -> Result<BTreeMap<String, String>, TemplateError> {
        let declared = json!({
            "Schedule": { "Type": "String", "Default": "rate(5 minutes)", "AllowedPattern": r"^(rate|cron)\(.+\)$" },
            "Period": { "Type": "Number", "Default": 300, "MinValue": 1, "MaxValue": 3600 },
            "Level": { "Type": "String", "Default": "info", "AllowedValues": ["info", "warn"] },
        });
        let settings = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        resolve(declared.as_object().unwrap(), &settings)
    }

    #[test]
    fn a_set_value_goes_before_the_default() {
        let resolved = resolve_with("Period", "10").unwrap();
        assert_eq!((resolved["Period"].as_str(), resolved["Level"].as_str()), ("10", "info"));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = resolve_with("Perod", "10").unwrap_err().to_string();
        assert!(error.contains("no parameter Perod") && error.contains("Period") && error.contains("Level"), "{error}");
    }

    #[test]
    fn a_value_that_is_not_allowed_says_what_is() {
        for (name, value, expected) in [
            ("Schedule", "every minute", "must match the pattern"),
            ("Period", "0", "at least 1"),
            ("Period", "3601", "at most 3600"),
            ("Period", "soon", "not a number"),
            ("Level", "loud", "one of info, warn"),
        ] {
            let error = resolve_with(name, value).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(expected), "{error}");
        }
    }
}
