//! Policies of a role: read from the template, and asked.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>

use serde_json::Value;

use super::{
    condition::{self, Condition},
    pattern::{matches_action, matches_arn},
    request::Request,
};

/// All statements of a role's policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    statements: Vec<Statement>,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    allows: bool,
    actions: List,
    resources: List,
    conditions: Vec<Condition>,
}

/// What a statement is about: these, or all but these.
#[derive(Clone, Debug, PartialEq, Eq)]
enum List {
    Only(Vec<String>),
    AllBut(Vec<String>),
}

impl List {
    fn has(&self, one: &str, matches: fn(&str, &str) -> bool) -> bool {
        match self {
            Self::Only(patterns) => patterns.iter().any(|pattern| matches(pattern, one)),
            Self::AllBut(patterns) => !patterns.iter().any(|pattern| matches(pattern, one)),
        }
    }
}

/// What a role's policies say to a request. Statements are counted from 0 over all policies of the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// This statement allows it, and none denies it.
    Allowed(usize),
    /// This statement denies it.
    Denied(usize),
    /// No statement allows it.
    NotAllowed,
}

impl Policy {
    /// Reads a function's `Policies` of AWS SAM, resolved: policy documents written out in the template.
    ///
    /// # Errors
    /// When something in it can't be evaluated here, such as a managed policy, which the template only names.
    pub fn read(policies: &Value) -> Result<Self, String> {
        let documents = match policies {
            Value::Null => &[],
            Value::Array(documents) => documents.as_slice(),
            document => std::slice::from_ref(document),
        };
        let mut policy = Self::default();
        for document in documents {
            let Some(statements) = document.get("Statement") else {
                let text = "is not a policy document; the local region evaluates those alone: write its statements out";
                return Err(format!("Policies: {document} {text}"));
            };
            let statements = statements.as_array().map_or(std::slice::from_ref(statements), Vec::as_slice);
            for statement in statements {
                let number = policy.statements.len();
                let read =
                    Statement::read(statement).map_err(|problem| format!("Policies: statement {number}: {problem}"));
                policy.statements.push(read?);
            }
        }
        Ok(policy)
    }

    /// Decides a request: a denial wins, and what nothing allows is not allowed.
    #[must_use]
    pub fn decide(&self, request: &Request) -> Decision {
        let about = |allows: bool| {
            self.statements.iter().position(|statement| statement.allows == allows && statement.is_about(request))
        };
        match (about(false), about(true)) {
            (Some(denying), _) => Decision::Denied(denying),
            (None, Some(allowing)) => Decision::Allowed(allowing),
            (None, None) => Decision::NotAllowed,
        }
    }

    /// Every pair of a statement's number and an action pattern that it allows.
    pub fn allowed_actions(&self) -> impl Iterator<Item = (usize, &str)> {
        self.statements.iter().enumerate().filter(|(_, statement)| statement.allows).flat_map(|(number, statement)| {
            let (List::Only(actions) | List::AllBut(actions)) = &statement.actions;
            actions.iter().map(move |action| (number, action.as_str()))
        })
    }

    /// Whether statement `number` allows `request`, whatever the others say.
    #[must_use]
    pub fn allows_by(&self, number: usize, request: &Request) -> bool {
        self.statements.get(number).is_some_and(|statement| statement.allows && statement.is_about(request))
    }

    /// The same without `action` in the statement `number`.
    #[must_use]
    pub fn without(&self, number: usize, action: &str) -> Self {
        let mut policy = self.clone();
        if let Some(List::Only(actions)) = policy.statements.get_mut(number).map(|statement| &mut statement.actions) {
            actions.retain(|there| there != action);
        }
        policy
    }
}

impl Statement {
    fn read(statement: &Value) -> Result<Self, String> {
        let members = statement.as_object().ok_or("it must be a mapping")?;
        let known = ["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"];
        if let Some(other) = members.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("{other} can't be evaluated here"));
        }
        let allows = match statement["Effect"].as_str() {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err("Effect must be Allow or Deny".to_owned()),
        };
        let actions = list(statement, "Action", "NotAction", |action| action == "*" || action.contains(':'))?;
        let resources = list(statement, "Resource", "NotResource", |arn| {
            arn == "*" || (arn.starts_with("arn:") && arn.matches(':').count() >= 5)
        })?;
        let conditions = members.get("Condition").map(condition::read).transpose()?.unwrap_or_default();
        Ok(Self { allows, actions, resources, conditions })
    }

    fn is_about(&self, request: &Request) -> bool {
        self.actions.has(&request.action, matches_action)
            && self.resources.has(&request.resource, matches_arn)
            && self.conditions.iter().all(|condition| condition.holds(request))
    }
}

fn list(statement: &Value, name: &str, inverse: &str, is_valid: fn(&str) -> bool) -> Result<List, String> {
    let read = |value: &Value, name: &str| -> Result<Vec<String>, String> {
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let text = |item: &Value| match item.as_str() {
            Some(text) if is_valid(text) && !text.contains("${") => Ok(text.to_owned()),
            _ => Err(format!("{name} can't be {item}")),
        };
        if items.is_empty() {
            return Err(format!("{name} is empty"));
        }
        items.iter().map(text).collect()
    };
    match (statement.get(name), statement.get(inverse)) {
        (Some(value), None) => Ok(List::Only(read(value, name)?)),
        (None, Some(value)) => Ok(List::AllBut(read(value, inverse)?)),
        _ => Err(format!("it needs either {name} or {inverse}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SERVER: &str = "arn:aws:transfer:us-east-1:000000000000:server/s-1";

    fn policy(statements: &Value) -> Policy {
        Policy::read(&json!([{ "Version": "2012-10-17", "Statement": statements }])).unwrap()
    }

    #[test]
    fn a_denial_wins_and_silence_refuses() {
        let servers = "arn:aws:transfer:*:*:server/*";
        let policy = policy(&json!([
            { "Effect": "Allow", "Action": "transfer:*", "Resource": servers },
            { "Effect": "Deny", "Action": ["transfer:Delete*"], "Resource": "*",
              "Condition": { "StringEquals": { "aws:ResourceTag/keep": "yes" } } },
            { "Effect": "Allow", "NotAction": "iam:*", "NotResource": servers },
        ]));
        let kept = json!([{ "Key": "keep", "Value": "yes" }]);
        for (request, expected) in [
            (Request::new("transfer:StopServer", SERVER), Decision::Allowed(0)),
            (Request::new("transfer:DeleteServer", SERVER), Decision::Allowed(0)),
            (Request::new("transfer:DeleteServer", SERVER).having(&kept), Decision::Denied(1)),
            (Request::new("ecs:UpdateService", SERVER), Decision::NotAllowed),
            (Request::new("ecs:UpdateService", "arn:aws:ecs:us-east-1:000000000000:service/a/b"), Decision::Allowed(2)),
            (Request::new("iam:PassRole", "arn:aws:iam::000000000000:role/a"), Decision::NotAllowed),
        ] {
            assert_eq!(policy.decide(&request), expected, "{request:?}");
        }
    }

    #[test]
    fn an_action_taken_away_is_no_longer_allowed() {
        let policy = policy(&json!({
            "Effect": "Allow", "Action": ["transfer:StopServer", "transfer:StartServer"], "Resource": "*",
        }));
        let request = Request::new("transfer:StopServer", SERVER);
        assert_eq!(policy.decide(&request), Decision::Allowed(0));
        assert_eq!(policy.without(0, "transfer:StopServer").decide(&request), Decision::NotAllowed);
        assert_eq!(policy.without(0, "transfer:StartServer").decide(&request), Decision::Allowed(0));
    }

    #[test]
    fn what_cannot_be_evaluated_is_an_error_that_names_it() {
        for (policies, says) in [
            (json!(["AmazonEC2FullAccess"]), "AmazonEC2FullAccess"),
            (json!([{ "SQSPollerPolicy": { "QueueName": "q" } }]), "SQSPollerPolicy"),
            (json!([{ "Statement": [{ "Effect": "Perhaps", "Action": "a:b", "Resource": "*" }] }]), "Effect"),
            (json!([{ "Statement": [{ "Effect": "Allow", "Action": "a:b" }] }]), "Resource"),
            (json!([{ "Statement": [{ "Effect": "Allow", "Action": [], "Resource": "*" }] }]), "empty"),
            (json!([{ "Statement": [{ "Effect": "Allow", "Action": "all", "Resource": "*" }] }]), "\"all\""),
            (json!([{ "Statement": [{ "Effect": "Allow", "Action": "a:b", "Resource": "table/x" }] }]), "table/x"),
            (
                json!([{ "Statement": [{ "Effect": "Allow", "Action": "a:b", "Resource": "*", "Principal": "*" }] }]),
                "Principal",
            ),
        ] {
            let error = Policy::read(&policies).unwrap_err();
            assert!(error.contains(says), "{policies}: {error}");
        }
    }
}
