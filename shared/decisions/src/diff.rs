//! What a revision of a task definition changes, for people.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::revision::READ_ONLY;

/// The most differences that are told.
const MOST: usize = 100;

/// The fields that name the entries of lists, in the order in which they are looked for.
const NAMES: [&str; 4] = ["name", "key", "containerPath", "containerName"];

/// Our own environment variables, and our tags.
const OURS: &str = "WHARFINGER_";
const OUR_TAGS: &str = "wharfinger:";

/// One difference between two revisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Where: `/containerDefinitions/web/image`. Entries of lists go by their names.
    pub path: String,
    /// What is there before; `null`: nothing.
    pub before: Value,
    /// What is there after; `null`: nothing.
    pub after: Value,
}

/// Compares two task definitions, as DescribeTaskDefinition returns them or RegisterTaskDefinition takes them (with their
/// `tags`). What AWS itself writes is left out. Values are told of images, mounts, volumes, roles and sizes, and of what
/// is ours; any other may be a secret and is told as `…`.
#[must_use]
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", &definition(before), &definition(after), &mut found);
    found.truncate(MOST);
    found
}

/// A task definition with its tags, without what AWS writes.
fn definition(value: &Value) -> Value {
    let (inner, tags) = match value.get("taskDefinition") {
        Some(inner) => (inner, value.get("tags")),
        None => (value, None),
    };
    let mut fields = inner.as_object().cloned().unwrap_or_default();
    fields.retain(|field, _| !READ_ONLY.contains(&field.as_str()));
    if let Some(tags) = tags {
        fields.insert("tags".into(), tags.clone());
    }
    if let Some(tags) = fields.get_mut("tags").and_then(Value::as_array_mut) {
        // AWS's own, which no revision takes over.
        tags.retain(|tag| !tag["key"].as_str().is_some_and(|key| key.to_ascii_lowercase().starts_with("aws:")));
    }
    Value::Object(fields)
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    if is_same(before, after) {
        return;
    }
    let (Some(ours), Some(theirs)) = (named(before, after), named(after, before)) else {
        let told = |value| shown(&path.split('/').skip(1).map(unescaped).collect::<Vec<_>>(), value);
        found.push(Difference { path: path.to_owned(), before: told(before), after: told(after) });
        return;
    };
    let names = ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
    for name in names {
        let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        compare(&path, ours.get(name).unwrap_or(&Value::Null), theirs.get(name).unwrap_or(&Value::Null), found);
    }
}

fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// `value`, which lies at `path`, without what may be a secret. The names of lists' entries are no secrets.
fn shown(path: &[String], value: &Value) -> Value {
    let at = |part: &str| [path, &[part.to_owned()]].concat();
    match value {
        Value::Null => Value::Null,
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), shown(&at(name), value))).collect())
        }
        Value::Array(list) => list.iter().map(|entry| shown_entry(&at, entry)).collect(),
        _ if is_told(path) => value.clone(),
        _ => "…".into(),
    }
}

fn shown_entry(at: &impl Fn(&str) -> Vec<String>, entry: &Value) -> Value {
    let named = NAMES.iter().find_map(|field| Some((*field, entry[*field].as_str()?)));
    let (field, name) = named.unwrap_or_default();
    let mut told = shown(&at(name), entry);
    if let Some(told) = told.get_mut(field) {
        *told = name.into();
    }
    told
}

/// Whether what lies at `path` is no secret.
fn is_told(path: &[String]) -> bool {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["family" | "cpu" | "memory" | "ephemeralStorage" | "taskRoleArn" | "executionRoleArn", ..]
        | ["volumes", _, "efsVolumeConfiguration" | "host" | "name", ..]
        | [
            "containerDefinitions",
            _,
            "image" | "cpu" | "memory" | "memoryReservation" | "mountPoints" | "volumesFrom",
            ..,
        ] => true,
        ["containerDefinitions", _, "environment", name, ..] => name.starts_with(OURS),
        ["tags", key, ..] => key.starts_with(OUR_TAGS),
        _ => false,
    }
}

/// What AWS leaves out where it is empty is as good as that.
fn is_same(one: &Value, other: &Value) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    one == other || (is_empty(one) && is_empty(other))
}

/// The parts of `value` by their names; `None` if they have none. A list that is missing beside `other` has no parts.
fn named(value: &Value, other: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields.clone()),
        Value::Array(list) => {
            let field = NAMES.iter().find(|field| list.iter().all(|entry| entry[**field].is_string()))?;
            let name = |entry: &Value| entry[*field].as_str().map(str::to_owned).unwrap_or_default();
            Some(list.iter().map(|entry| (name(entry), entry.clone())).collect())
        }
        Value::Null if other.as_array().is_some_and(|list| list.iter().all(Value::is_object)) => Some(Map::new()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: &Value, after: &Value) -> Vec<(String, Value, Value)> {
        differences(before, after).into_iter().map(|one| (one.path, one.before, one.after)).collect()
    }

    #[test]
    fn a_next_revision_differs_by_its_mount_and_the_rollout_alone() {
        let before: Value = serde_json::from_str(include_str!("../fixtures/task-definition.json")).unwrap();
        let after: Value = serde_json::from_str(include_str!("../fixtures/next-revision.json")).unwrap();
        let paths: Vec<String> = differences(&before, &after).into_iter().map(|one| one.path).collect();
        let ours =
            |path: &String| path.contains("wharfinger") || path.contains("WHARFINGER") || path.contains("mountPoints");
        assert!(!paths.is_empty() && paths.iter().all(ours), "{paths:?}");
    }

    #[test]
    fn entries_of_lists_go_by_their_names() {
        let container = |name: &str, image: &str| json!({"name": name, "image": image});
        let before = json!({"taskDefinition": {"revision": 1, "containerDefinitions": [container("a", "x"), container("b", "x")]}});
        let after = json!({"containerDefinitions": [container("b", "x"), container("a", "y")], "volumes": []});
        assert_eq!(told(&before, &after), [("/containerDefinitions/a/image".into(), json!("x"), json!("y"))]);
        let mount = json!({"containerPath": "/srv/x", "sourceVolume": "v"});
        let mounted = json!({"containerDefinitions": [{"name": "a", "mountPoints": [mount]}]});
        let bare = json!({"containerDefinitions": [{"name": "a"}]});
        assert_eq!(
            told(&bare, &mounted),
            [("/containerDefinitions/a/mountPoints/~1srv~1x".into(), json!(null), mount)]
        );
    }

    #[test]
    fn the_values_of_others_variables_are_not_told() {
        let with = |name: &str, value: &str| json!({"containerDefinitions": [{"name": "a", "environment": [{"name": name, "value": value}]}]});
        let path = |name: &str| format!("/containerDefinitions/a/environment/{name}/value");
        assert_eq!(told(&with("KEY", "one"), &with("KEY", "two")), [(path("KEY"), json!("…"), json!("…"))]);
        let ours = "WHARFINGER_ROLLOUT";
        assert_eq!(told(&with(ours, "1"), &with(ours, "2")), [(path(ours), json!("1"), json!("2"))]);
        let new = differences(&json!({"containerDefinitions": [{"name": "a"}]}), &with("KEY", "secret"));
        let whole = differences(&json!({"containerDefinitions": []}), &with("KEY", "secret"));
        for found in [new, whole] {
            let text = serde_json::to_string(&found).unwrap();
            assert!(text.contains("KEY") && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_not_told() {
        let container = |fields: Value| {
            let mut container = json!({"name": "a"});
            container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            json!({"containerDefinitions": [container]})
        };
        for (before, after) in [
            (container(json!({"command": ["run", "--password=secret"]})), container(json!({}))),
            (container(json!({})), container(json!({"command": ["run", "--password=secret"]}))),
            (container(json!({"logConfiguration": {"options": {"key": "secret"}}})), container(json!({}))),
            (container(json!({"dockerLabels": {"a": "secret"}})), container(json!({"dockerLabels": {"a": "other"}}))),
            (
                json!({"volumes": [{"name": "v", "dockerVolumeConfiguration": {"driverOpts": {"o": "secret"}}}]}),
                json!({}),
            ),
            (json!({"tags": [{"key": "a", "value": "secret"}]}), json!({"tags": [{"key": "a", "value": "secret2"}]})),
        ] {
            let found = differences(&before, &after);
            let text = serde_json::to_string(&found).unwrap();
            assert!(!found.is_empty() && !text.contains("secret"), "{text}");
        }
        let volume = json!({"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}});
        assert_eq!(told(&json!({}), &json!({"volumes": [volume]})), [("/volumes/v".into(), json!(null), volume)]);
        let roles = (json!({"taskRoleArn": "x"}), json!({"taskRoleArn": "y"}));
        assert_eq!(told(&roles.0, &roles.1), [("/taskRoleArn".into(), json!("x"), json!("y"))]);
    }
}
