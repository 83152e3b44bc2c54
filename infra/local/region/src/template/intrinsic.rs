//! CloudFormation's intrinsic functions and pseudo parameters, resolved for the one stack of a local region.
//!
//! Supported: `Ref`, `Fn::GetAtt`, `Fn::Sub`, `Fn::Join`, `Fn::If`, `Fn::Select`, `Fn::Split`, and in conditions
//! `Fn::Equals`, `Fn::And`, `Fn::Or`, `Fn::Not` and `Condition`. Any other function is an error that names it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use wharfinger_emulator::{
    ids::{ACCOUNT, REGION},
    input::plain_text,
};

/// The name of the local region's stack; physical names begin with it.
pub const STACK: &str = "wharfinger";

/// What references are resolved against.
#[derive(Debug)]
pub struct Scope {
    /// The value of every parameter.
    pub parameters: BTreeMap<String, String>,
    /// The template's `Conditions`, unresolved.
    pub conditions: Map<String, Value>,
    /// The template's `Resources`, unresolved.
    pub resources: Map<String, Value>,
    /// The address of the AWS endpoint, e.g. `http://127.0.0.1:4566`.
    pub endpoint: String,
}

/// What went wrong while resolving, in words that follow "resource X:".
type Problem = String;

impl Scope {
    /// `value` with every function in it resolved. A value that is `AWS::NoValue` becomes null; as a member of a
    /// mapping or list it is left out.
    ///
    /// # Errors
    /// If a function is unknown or ill-formed, or a reference leads nowhere.
    pub fn resolve(&self, value: &Value) -> Result<Value, Problem> {
        match value {
            Value::Object(members) => match members.iter().next() {
                Some((name, argument)) if members.len() == 1 && is_function(name) => self.apply(name, argument),
                _ => self.resolve_members(members),
            },
            Value::Array(items) => {
                let resolved = items.iter().map(|item| Ok((item, self.resolve(item)?)));
                let kept = resolved.filter(|one| !matches!(one, Ok((source, Value::Null)) if !source.is_null()));
                Ok(Value::Array(
                    kept.map(|one: Result<_, Problem>| one.map(|(_, value)| value)).collect::<Result<_, _>>()?,
                ))
            }
            other => Ok(other.clone()),
        }
    }

    fn resolve_members(&self, members: &Map<String, Value>) -> Result<Value, Problem> {
        let mut resolved = Map::new();
        for (name, member) in members {
            let value = self.resolve(member)?;
            if !value.is_null() || member.is_null() {
                resolved.insert(name.clone(), value);
            }
        }
        Ok(Value::Object(resolved))
    }

    fn apply(&self, function: &str, argument: &Value) -> Result<Value, Problem> {
        match function {
            "Ref" => self.reference(text(argument, "Ref")?),
            "Fn::GetAtt" => self.get_att(argument),
            "Fn::Sub" => self.substitute(argument),
            "Fn::Join" => self.join(argument),
            "Fn::If" => self.choose(argument),
            "Fn::Select" => self.select(argument),
            "Fn::Split" => self.split(argument),
            other => Err(format!("the local region doesn't know the function {other}")),
        }
    }

    fn reference(&self, name: &str) -> Result<Value, Problem> {
        if let Some(value) = self.parameters.get(name) {
            return Ok(Value::String(value.clone()));
        }
        let text = match name {
            "AWS::NoValue" => return Ok(Value::Null),
            "AWS::AccountId" => ACCOUNT.to_owned(),
            "AWS::Region" => REGION.to_owned(),
            "AWS::Partition" => "aws".to_owned(),
            "AWS::StackName" => STACK.to_owned(),
            "AWS::StackId" => format!("arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/local"),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            _ => match self.type_of(name)? {
                "AWS::SQS::Queue" => format!("{}/{ACCOUNT}/{}", self.endpoint, self.physical_name(name)?),
                _ => self.physical_name(name)?,
            },
        };
        Ok(Value::String(text))
    }

    fn type_of(&self, name: &str) -> Result<&str, Problem> {
        let resource = self.resources.get(name);
        let resource = resource.ok_or_else(|| format!("{name} is neither a parameter nor a resource"))?;
        Ok(resource["Type"].as_str().unwrap_or_default())
    }

    /// The name that the resource has in the region: its own, or `wharfinger-LogicalName`.
    ///
    /// # Errors
    /// If its own name can't be resolved.
    pub fn physical_name(&self, logical: &str) -> Result<String, Problem> {
        let properties = &self.resources.get(logical).map_or(&Value::Null, |resource| &resource["Properties"]);
        for member in ["QueueName", "TableName", "FunctionName", "RoleName", "LogGroupName"] {
            if let Some(own) = properties.get(member) {
                let own = self.resolve(own)?;
                return own.as_str().map(str::to_owned).ok_or_else(|| format!("{member} must be a text"));
            }
        }
        match properties.get("Name").map(|name| self.resolve(name)).transpose()? {
            Some(Value::String(own)) if self.type_of(logical)? == "AWS::Events::Rule" => Ok(own),
            _ => Ok(format!("{STACK}-{logical}")),
        }
    }

    fn get_att(&self, argument: &Value) -> Result<Value, Problem> {
        let path = match argument {
            Value::String(path) => {
                path.split_once('.').map(|(name, attribute)| (name.to_owned(), attribute.to_owned()))
            }
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(name), attribute] => {
                    Some((name.clone(), text(&self.resolve(attribute)?, "GetAtt")?.to_owned()))
                }
                _ => None,
            },
            _ => None,
        };
        let (name, attribute) = path.ok_or("GetAtt needs a resource and an attribute, as in !GetAtt Queue.Arn")?;
        self.attribute(&name, &attribute).map(Value::String)
    }

    fn attribute(&self, name: &str, attribute: &str) -> Result<String, Problem> {
        let kind = self.type_of(name)?;
        let physical = self.physical_name(name)?;
        Ok(match (kind, attribute) {
            ("AWS::SQS::Queue", "Arn") => format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{physical}"),
            ("AWS::SQS::Queue", "QueueName") => physical,
            ("AWS::SQS::Queue", "QueueUrl") => format!("{}/{ACCOUNT}/{physical}", self.endpoint),
            ("AWS::DynamoDB::Table", "Arn") => format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{physical}"),
            ("AWS::Serverless::Function", "Arn") => format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{physical}"),
            ("AWS::Events::Rule", "Arn") => format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{physical}"),
            ("AWS::IAM::Role", "Arn") => format!("arn:aws:iam::{ACCOUNT}:role/{physical}"),
            ("AWS::Logs::LogGroup", "Arn") => format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{physical}:*"),
            _ => return Err(format!("the local region doesn't know the attribute {attribute} of {name} ({kind})")),
        })
    }

    fn substitute(&self, argument: &Value) -> Result<Value, Problem> {
        let (template, variables) = match argument {
            Value::String(template) => (template.as_str(), Map::new()),
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(template), Value::Object(variables)] => (template.as_str(), variables.clone()),
                _ => return Err("Sub needs a text, or a list of a text and a mapping".to_owned()),
            },
            _ => return Err("Sub needs a text, or a list of a text and a mapping".to_owned()),
        };
        let mut output = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) =
                after.split_once('}').ok_or_else(|| format!("Sub: {template:?} lacks a closing brace"))?;
            output.push_str(before);
            output.push_str(&self.variable(name, &variables)?);
            rest = after;
        }
        output.push_str(rest);
        Ok(Value::String(output))
    }

    fn variable(&self, name: &str, variables: &Map<String, Value>) -> Result<String, Problem> {
        if let Some(literal) = name.strip_prefix('!') {
            return Ok(format!("${{{literal}}}"));
        }
        if let Some(value) = variables.get(name) {
            return Ok(plain_text(&self.resolve(value)?));
        }
        match name.split_once('.') {
            Some((resource, attribute)) => self.attribute(resource, attribute),
            None => Ok(plain_text(&self.reference(name)?)),
        }
    }

    fn join(&self, argument: &Value) -> Result<Value, Problem> {
        match self.resolve(argument)? {
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(delimiter), Value::Array(items)] => {
                    Ok(Value::String(items.iter().map(plain_text).collect::<Vec<_>>().join(delimiter)))
                }
                _ => Err("Join needs a delimiter and a list".to_owned()),
            },
            _ => Err("Join needs a delimiter and a list".to_owned()),
        }
    }

    fn split(&self, argument: &Value) -> Result<Value, Problem> {
        match self.resolve(argument)?.as_array().map(Vec::as_slice) {
            Some([Value::String(delimiter), Value::String(text)]) => {
                Ok(Value::Array(text.split(delimiter.as_str()).map(Value::from).collect()))
            }
            _ => Err("Split needs a delimiter and a text".to_owned()),
        }
    }

    fn select(&self, argument: &Value) -> Result<Value, Problem> {
        match self.resolve(argument)?.as_array().map(Vec::as_slice) {
            Some([index, Value::Array(items)]) => {
                let index: usize = plain_text(index).parse().map_err(|_| "Select needs a number".to_owned())?;
                items.get(index).cloned().ok_or_else(|| format!("Select: the list has no item {index}"))
            }
            _ => Err("Select needs a number and a list".to_owned()),
        }
    }

    fn choose(&self, argument: &Value) -> Result<Value, Problem> {
        match argument.as_array().map(Vec::as_slice) {
            Some([Value::String(condition), yes, no]) => self.resolve(if self.holds(condition)? { yes } else { no }),
            _ => Err("If needs a condition's name and two values".to_owned()),
        }
    }

    /// Whether the condition of that name holds.
    ///
    /// # Errors
    /// If there is no such condition, or it is ill-formed.
    pub fn holds(&self, condition: &str) -> Result<bool, Problem> {
        self.holds_within(condition, 0)
    }

    fn holds_within(&self, condition: &str, depth: usize) -> Result<bool, Problem> {
        if depth > self.conditions.len() {
            return Err(format!("the condition {condition} refers to itself"));
        }
        let body = self.conditions.get(condition).ok_or_else(|| format!("there is no condition {condition}"))?;
        self.evaluate_within(body, depth)
    }

    /// Whether a condition's body holds.
    ///
    /// # Errors
    /// If it is ill-formed, or refers to a condition that is not there.
    pub fn evaluate(&self, body: &Value) -> Result<bool, Problem> {
        self.evaluate_within(body, 0)
    }

    fn evaluate_within(&self, body: &Value, depth: usize) -> Result<bool, Problem> {
        let single = body.as_object().filter(|members| members.len() == 1).and_then(|members| members.iter().next());
        let (function, argument) = single.ok_or_else(|| format!("{body} is not a condition"))?;
        let each = |items: &Value| -> Result<Vec<bool>, Problem> {
            let items = items.as_array().ok_or_else(|| format!("{function} needs a list of conditions"))?;
            items.iter().map(|item| self.evaluate_within(item, depth)).collect()
        };
        match function.as_str() {
            "Condition" => self.holds_within(text(argument, "Condition")?, depth + 1),
            "Fn::Equals" => match self.resolve(argument)?.as_array().map(Vec::as_slice) {
                Some([left, right]) => Ok(plain_text(left) == plain_text(right)),
                _ => Err("Equals needs two values".to_owned()),
            },
            "Fn::And" => Ok(each(argument)?.into_iter().all(|one| one)),
            "Fn::Or" => Ok(each(argument)?.into_iter().any(|one| one)),
            "Fn::Not" => Ok(each(argument)?.into_iter().all(|one| !one)),
            other => Err(format!("the local region doesn't know the condition function {other}")),
        }
    }
}

fn is_function(name: &str) -> bool {
    name == "Ref" || name.starts_with("Fn::")
}

fn text<'a>(value: &'a Value, function: &str) -> Result<&'a str, Problem> {
    value.as_str().ok_or_else(|| format!("{function} needs a name, but has {value}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope() -> Scope {
        let object = |value: Value| value.as_object().cloned().unwrap();
        Scope {
            parameters: BTreeMap::from([("Role".to_owned(), String::new()), ("Stage".to_owned(), "test".to_owned())]),
            conditions: object(json!({
                "Own": { "Fn::Equals": [{ "Ref": "Role" }, ""] },
                "Given": { "Fn::Not": [{ "Condition": "Own" }] },
                "Both": { "Fn::And": [{ "Condition": "Own" }, { "Condition": "Given" }] },
                "Either": { "Fn::Or": [{ "Condition": "Own" }, { "Condition": "Given" }] },
                "Round": { "Condition": "Round" },
            })),
            resources: object(json!({
                "Queue": { "Type": "AWS::SQS::Queue" },
                "Named": { "Type": "AWS::SQS::Queue", "Properties": { "QueueName": { "Fn::Sub": "${Stage}-queue" } } },
                "Table": { "Type": "AWS::DynamoDB::Table" },
                "Carrier": { "Type": "AWS::IAM::Role" },
            })),
            endpoint: "http://127.0.0.1:4566".to_owned(),
        }
    }

    #[test]
    fn each_function_resolves_as_cloudformation_does() {
        let table = [
            (json!({ "Ref": "Stage" }), json!("test")),
            (json!({ "Ref": "Queue" }), json!("http://127.0.0.1:4566/000000000000/wharfinger-Queue")),
            (json!({ "Ref": "Named" }), json!("http://127.0.0.1:4566/000000000000/test-queue")),
            (json!({ "Ref": "Table" }), json!("wharfinger-Table")),
            (json!({ "Fn::GetAtt": ["Queue", "Arn"] }), json!("arn:aws:sqs:us-east-1:000000000000:wharfinger-Queue")),
            (json!({ "Fn::GetAtt": "Carrier.Arn" }), json!("arn:aws:iam::000000000000:role/wharfinger-Carrier")),
            (
                json!({ "Fn::Sub": "${AWS::StackName}/${!Kept}/${Named.QueueName}" }),
                json!("wharfinger/${Kept}/test-queue"),
            ),
            (json!({ "Fn::Sub": ["${a}-${Stage}", { "a": { "Ref": "AWS::Region" } }] }), json!("us-east-1-test")),
            (json!({ "Fn::Join": ["/", ["a", { "Ref": "Stage" }, 3]] }), json!("a/test/3")),
            (json!({ "Fn::If": ["Own", "yes", "no"] }), json!("yes")),
            (json!({ "Fn::If": ["Given", "yes", "no"] }), json!("no")),
            (json!({ "Fn::If": ["Both", 1, 2] }), json!(2)),
            (json!({ "Fn::If": ["Either", 1, 2] }), json!(1)),
            (json!({ "Fn::Select": [1, { "Fn::Split": [",", "a,b"] }] }), json!("b")),
            (json!({ "kept": 1, "gone": { "Ref": "AWS::NoValue" } }), json!({ "kept": 1 })),
            (json!([1, { "Fn::If": ["Own", { "Ref": "AWS::NoValue" }, 2] }]), json!([1])),
        ];
        for (source, expected) in table {
            assert_eq!(scope().resolve(&source), Ok(expected), "{source}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_named() {
        for (source, expected) in [
            (json!({ "Ref": "Quue" }), "Quue is neither"),
            (json!({ "Fn::GetAtt": ["Table", "Colour"] }), "attribute Colour of Table"),
            (json!({ "Fn::Cidr": [] }), "Fn::Cidr"),
            (json!({ "Fn::If": ["Nope", 1, 2] }), "no condition Nope"),
            (json!({ "Fn::If": ["Round", 1, 2] }), "refers to itself"),
        ] {
            let problem = scope().resolve(&source).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
