//! What is asked of IAM: may this action be done to this resource, in this context?

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::ids::{ACCOUNT, REGION};

/// One question to IAM. A call with several resources asks several, and all must be allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// The action, e.g. `transfer:CreateUser`.
    pub action: String,
    /// The resource's ARN, or `*` where the action has no resource-level permissions.
    pub resource: String,
    /// The condition keys that AWS fills for this action, in lower case, with their values.
    pub context: BTreeMap<String, BTreeSet<String>>,
}

impl Request {
    /// May `action` be done to `resource`?
    pub fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        let request = Self { action: action.into(), resource: resource.into(), context: BTreeMap::new() };
        request.with("aws:RequestedRegion", [REGION]).with("aws:ResourceAccount", [ACCOUNT])
    }

    /// The same with a condition key. An absent value leaves the key out.
    #[must_use]
    pub fn with<T: Into<String>>(mut self, key: &str, values: impl IntoIterator<Item = T>) -> Self {
        let values: BTreeSet<String> = values.into_iter().map(Into::into).collect();
        if !values.is_empty() {
            self.context.insert(key.to_ascii_lowercase(), values);
        }
        self
    }

    /// The same with the tags that the call gives: `aws:RequestTag/…` and `aws:TagKeys`.
    #[must_use]
    pub fn giving(self, tags: &Value) -> Self {
        let pairs = pairs(tags);
        let keys: Vec<String> = pairs.iter().map(|(key, _)| key.clone()).collect();
        let with_each = |request: Self, (key, value)| request.with(&format!("aws:RequestTag/{key}"), [value]);
        pairs.into_iter().fold(self, with_each).with("aws:TagKeys", keys)
    }

    /// The same with the tags that the resource has: `aws:ResourceTag/…`, and the service's own key for them.
    #[must_use]
    pub fn having(self, tags: &Value) -> Self {
        let own = self.action.split(':').next().unwrap_or_default().to_owned();
        pairs(tags).into_iter().fold(self, |request, (key, value)| {
            let request = request.with(&format!("aws:ResourceTag/{key}"), [value.clone()]);
            match own.as_str() {
                "ec2" | "ecs" | "secretsmanager" => request.with(&format!("{own}:ResourceTag/{key}"), [value]),
                _ => request,
            }
        })
    }
}

/// Tags as services write them: `Key` and `Value`, or `key` and `value`.
fn pairs(tags: &Value) -> Vec<(String, String)> {
    let text = |tag: &Value, upper: &str, lower: &str| {
        tag.get(upper).or_else(|| tag.get(lower)).and_then(Value::as_str).map(str::to_owned)
    };
    let tags = tags.as_array().into_iter().flatten();
    tags.filter_map(|tag| Some((text(tag, "Key", "key")?, text(tag, "Value", "value").unwrap_or_default()))).collect()
}

/// The ARN of a resource in this account and region; `resource` may be its ARN already.
#[must_use]
pub fn arn(service: &str, kind: &str, resource: &str) -> String {
    if resource.starts_with("arn:") {
        return resource.to_owned();
    }
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{kind}{resource}")
}
