//! Whether a revision is what was made for a rollout. Anybody who may register revisions can name a rollout in one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::READ_ONLY;

/// Whether `described`, an answer of DescribeTaskDefinition, is what RegisterTaskDefinition was given as `made`: ECS may
/// list things in another order, and say what is empty or the default or leave it out.
#[must_use]
pub fn is_made(described: &Value, made: &Value) -> bool {
    parts(&described["taskDefinition"], &described["tags"]) == parts(made, &made["tags"])
}

fn parts(definition: &Value, tags: &Value) -> (Value, Value) {
    let mut definition = definition.clone();
    if let Some(fields) = definition.as_object_mut() {
        fields.retain(|field, _| field != "tags" && !READ_ONLY.contains(&field.as_str()));
    }
    let reserved = |tag: &&Value| tag["key"].as_str().is_some_and(|key| key.to_ascii_lowercase().starts_with("aws:"));
    let tags = tags.as_array().into_iter().flatten().filter(|tag| !reserved(tag)).cloned().collect();
    (normal(&definition), normal(&Value::Array(tags)))
}

/// `value` without what is empty, and with its objects in an order of their own. Texts keep theirs: a command is one.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, Value> = fields
                .iter()
                .map(|(name, field)| (name, normal(field)))
                .filter(|(name, field)| !is_default(name, field))
                .collect();
            fields.into_iter().map(|(name, field)| (name.clone(), field)).collect()
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(normal).collect();
            if items.iter().all(Value::is_object) {
                items.sort_by_key(Value::to_string);
            }
            Value::Array(items)
        }
        other => other.clone(),
    }
}

fn is_default(name: &str, field: &Value) -> bool {
    match field {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || name == "rootDirectory" && text == "/",
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made() -> Value {
        json!({"family": "web", "tags": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}],
            "volumes": [{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}],
            "containerDefinitions": [{"name": "web", "image": "httpd", "command": ["a", "b"],
                "environment": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}]})
    }

    #[test]
    fn what_ecs_says_of_it_in_other_words_is_the_same() {
        let mut definition = made();
        definition.as_object_mut().unwrap().remove("tags");
        (definition["revision"], definition["registeredBy"]) = (json!(7), json!("somebody"));
        definition["placementConstraints"] = json!([]);
        definition["volumes"][0]["efsVolumeConfiguration"]["rootDirectory"] = json!("/");
        let container = &mut definition["containerDefinitions"][0];
        (container["cpu"], container["privileged"], container["links"]) = (json!(0), json!(false), json!([]));
        container["environment"] = json!([{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]);
        let tags = json!([{"key": "b", "value": "2"}, {"key": "aws:x", "value": "3"}, {"key": "a", "value": "1"}]);
        assert!(is_made(&json!({"taskDefinition": definition, "tags": tags}), &made()));
    }

    #[test]
    fn whatever_else_differs_makes_it_another_one() {
        let changes: [fn(&mut Value); 6] = [
            |it| it["containerDefinitions"][0]["image"] = json!("evil"),
            |it| it["containerDefinitions"][0]["command"] = json!(["b", "a"]),
            |it| it["containerDefinitions"][0]["privileged"] = json!(true),
            |it| it["volumes"][0]["efsVolumeConfiguration"]["rootDirectory"] = json!("/secret"),
            |it| it["taskRoleArn"] = json!("arn:aws:iam::1:role/admin"),
            |it| it["tags"][0]["value"] = json!("9"),
        ];
        for change in changes {
            let mut other = made();
            change(&mut other);
            let tags = other["tags"].clone();
            assert!(!is_made(&json!({"taskDefinition": other, "tags": tags}), &made()), "{other}");
        }
        assert!(!is_made(&json!({}), &made()));
    }
}
