//! The template's `Rules`: what must hold of its parameters together, asserted before anything is made.

use serde_json::{Map, Value};

use super::{TemplateError, intrinsic::Scope};

/// Checks every assertion of every rule that applies.
///
/// # Errors
/// The first assertion that doesn't hold, in its own words.
pub fn check(rules: &Map<String, Value>, scope: &Scope) -> Result<(), TemplateError> {
    for (name, rule) in rules {
        let refuse = |problem: String| TemplateError::Rule { name: name.clone(), problem };
        let applies = rule.get("RuleCondition").map_or(Ok(true), |condition| scope.evaluate(condition));
        if !applies.map_err(refuse)? {
            continue;
        }
        for assertion in rule["Assertions"].as_array().into_iter().flatten() {
            if !scope.evaluate(&assertion["Assert"]).map_err(refuse)? {
                let says = assertion["AssertDescription"].as_str().unwrap_or("an assertion doesn't hold");
                return Err(refuse(says.to_owned()));
            }
        }
    }
    Ok(())
}
