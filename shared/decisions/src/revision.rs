//! The next revision of a task definition: the one that runs, with the site's directory mounted and the rollout named.
//!
//! It works on AWS's JSON as it is, so that fields which nobody here has heard of survive. Only what AWS itself
//! writes is left out, and only what the site needs is put in.

use serde_json::{Map, Value, json};

use crate::{names::SiteName, site::SiteSpec};

/// The environment variable that names the rollout. A changed value is also what makes the tasks new.
pub const ROLLOUT_VARIABLE: &str = "WHARFINGER_ROLLOUT";
/// The tag that names the site of a revision.
pub const SITE_TAG: &str = "wharfinger:site";
/// The tag that names the rollout of a revision.
pub const ROLLOUT_TAG: &str = "wharfinger:rollout";

/// What DescribeTaskDefinition returns and RegisterTaskDefinition does not accept.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskDefinition.html>
pub const READ_ONLY: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];

/// The most tags of a task definition.
const MOST_TAGS: usize = 50;

/// Why no revision can be made. The sentence says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such container.
    #[error("the task definition has no container {wanted}: set the site's container to one of {there}")]
    NoContainer {
        /// The site's.
        wanted: String,
        /// Those of the task definition.
        there: String,
    },
    /// Something else is mounted there.
    #[error("{path} in the container is taken by the volume {volume}: give the site another mount_path, or unmount it")]
    PathTaken {
        /// The mount path.
        path: String,
        /// What is mounted there.
        volume: String,
    },
    /// EFS can't be mounted in Windows containers.
    #[error("the task definition is for Windows, whose containers can't mount EFS")]
    Windows,
    /// It does not have the form that AWS sends.
    #[error("the task definition has another form than expected: {0} is missing")]
    Form(&'static str),
}

/// The name of the site's volume.
#[must_use]
pub fn volume_name(site: &SiteName) -> String {
    format!("wharfinger-{site}")
}

/// Makes the input of RegisterTaskDefinition from `described`, the answer of DescribeTaskDefinition (`taskDefinition`
/// and `tags`), for the rollout `id` of `site`.
///
/// A volume that mounts the same directory at the same place already is left as its owner made it.
///
/// # Errors
/// When the site does not fit the task definition.
pub fn make(described: &Value, site: &SiteName, spec: &SiteSpec, id: &str) -> Result<Value, Refusal> {
    let mut next = described["taskDefinition"].as_object().ok_or(Refusal::Form("taskDefinition"))?.clone();
    for field in READ_ONLY {
        next.remove(field);
    }
    let system = next.get("runtimePlatform").and_then(|platform| platform["operatingSystemFamily"].as_str());
    if system.is_some_and(|system| system.starts_with("WINDOWS")) {
        return Err(Refusal::Windows);
    }
    mount(&mut next, site, spec)?;
    let container = container(&mut next, spec)?;
    put_named(list(container, "environment"), "name", json!({"name": ROLLOUT_VARIABLE, "value": id}));
    next.insert("tags".into(), Value::Array(tags(&described["tags"], site, id)));
    Ok(Value::Object(next))
}

/// Whether `described`, an answer of DescribeTaskDefinition, is the revision of the rollout `id`.
#[must_use]
pub fn is_of_rollout(described: &Value, id: &str) -> bool {
    let containers = described["taskDefinition"]["containerDefinitions"].as_array().into_iter().flatten();
    let mut variables = containers.flat_map(|container| container["environment"].as_array().into_iter().flatten());
    variables.any(|variable| variable["name"] == ROLLOUT_VARIABLE && variable["value"] == id)
}

/// Whether `described`, an answer of DescribeTaskDefinition, carries the tag of `site`.
#[must_use]
pub fn is_of_site(described: &Value, site: &SiteName) -> bool {
    let mut tags = described["tags"].as_array().into_iter().flatten();
    tags.any(|tag| tag["key"] == SITE_TAG && tag["value"] == site.as_str())
}

fn mount(next: &mut Map<String, Value>, site: &SiteName, spec: &SiteSpec) -> Result<(), Refusal> {
    let name = volume_name(site);
    let path = spec.mount_path.as_str();
    let volumes = list(next, "volumes").clone();
    let there = container(next, spec)?.get("mountPoints").and_then(Value::as_array).into_iter().flatten();
    let taken = there.filter_map(|point| point["sourceVolume"].as_str().map(|volume| (point, volume)));
    let other = taken.into_iter().find(|(point, volume)| is_path(point, path) && *volume != name);
    if let Some((_, volume)) = other {
        let owner = volumes.iter().find(|candidate| candidate["name"] == volume);
        if owner.is_some_and(|owner| is_same_directory(&owner["efsVolumeConfiguration"], spec)) {
            return Ok(());
        }
        return Err(Refusal::PathTaken { path: path.into(), volume: volume.into() });
    }
    let iam = next.get("taskRoleArn").is_some();
    put_named(list(next, "volumes"), "name", volume(&name, spec, iam));
    for other in list(next, "containerDefinitions").iter_mut().filter_map(Value::as_object_mut) {
        let is_ours = other.get("name").is_some_and(|name| name == spec.container.as_str());
        if let Some(points) = other.get_mut("mountPoints").and_then(Value::as_array_mut) {
            points.retain(|point| point["sourceVolume"] != name || (is_ours && is_path(point, path)));
        }
    }
    let points = list(container(next, spec)?, "mountPoints");
    put_named(points, "sourceVolume", json!({"sourceVolume": name, "containerPath": path, "readOnly": false}));
    Ok(())
}

/// Whether the mount point is at `path`, however it is written: ECS takes a slash at the end.
fn is_path(point: &Value, path: &str) -> bool {
    point["containerPath"].as_str().is_some_and(|there| there.trim_end_matches('/') == path)
}

/// With an access point the root directory must be absent: its own is used. IAM needs the task role's credentials, and
/// transit encryption.
fn volume(name: &str, spec: &SiteSpec, iam: bool) -> Value {
    let mut authorization = json!({"iam": if iam { "ENABLED" } else { "DISABLED" }});
    let mut efs = json!({"fileSystemId": spec.file_system_id, "transitEncryption": "ENABLED"});
    match &spec.access_point_id {
        Some(id) => authorization["accessPointId"] = json!(id),
        None => efs["rootDirectory"] = json!(spec.directory),
    }
    efs["authorizationConfig"] = authorization;
    json!({"name": name, "efsVolumeConfiguration": efs})
}

fn is_same_directory(efs: &Value, spec: &SiteSpec) -> bool {
    let access_point = efs["authorizationConfig"]["accessPointId"].as_str();
    let root = efs["rootDirectory"].as_str().unwrap_or("/");
    let trimmed = if root.len() > 1 { root.trim_end_matches('/') } else { root };
    efs["fileSystemId"] == spec.file_system_id.as_str()
        && match &spec.access_point_id {
            Some(id) => access_point == Some(id.as_str()),
            None => access_point.is_none() && trimmed == spec.directory.as_str(),
        }
}

fn container<'a>(next: &'a mut Map<String, Value>, spec: &SiteSpec) -> Result<&'a mut Map<String, Value>, Refusal> {
    let wanted = spec.container.as_str();
    let containers = list(next, "containerDefinitions");
    let names: Vec<&str> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
    let Some(place) = containers.iter().position(|container| container["name"] == wanted) else {
        return Err(Refusal::NoContainer { wanted: wanted.into(), there: names.join(", ") });
    };
    containers[place].as_object_mut().ok_or(Refusal::Form("containerDefinitions"))
}

/// AWS's own tags (`aws:…`) can't be given to a new resource.
fn tags(there: &Value, site: &SiteName, id: &str) -> Vec<Value> {
    let reserved = |tag: &&Value| tag["key"].as_str().is_some_and(|key| key.to_ascii_lowercase().starts_with("aws:"));
    let mut tags: Vec<Value> = there.as_array().into_iter().flatten().filter(|tag| !reserved(tag)).cloned().collect();
    for (key, value) in [(SITE_TAG, site.as_str()), (ROLLOUT_TAG, id)] {
        if tags.len() < MOST_TAGS || tags.iter().any(|tag| tag["key"] == key) {
            put_named(&mut tags, "key", json!({"key": key, "value": value}));
        }
    }
    tags
}

/// The list `field` of `object`, made where it is missing.
fn list<'a>(object: &'a mut Map<String, Value>, field: &str) -> &'a mut Vec<Value> {
    let value = object.entry(field).or_insert_with(|| Value::Array(Vec::new()));
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    value.as_array_mut().expect("it was made an array just now")
}

/// Puts `entry` in the place of the one with the same value of `key`, or at the end.
fn put_named(list: &mut Vec<Value>, key: &str, entry: Value) {
    match list.iter().position(|present| present[key] == entry[key]) {
        Some(place) => list[place] = entry,
        None => list.push(entry),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn site() -> (SiteName, SiteSpec) {
        let spec = json!({"file_system_id": "fs-0a1b2c3d4e5f60718", "directory": "/sites/blog", "cluster": "local",
            "service": "web", "container": "web", "mount_path": "/usr/local/apache2/htdocs"});
        (SiteName::parse("blog").unwrap(), serde_json::from_value(spec).unwrap())
    }

    fn described() -> Value {
        serde_json::from_str(include_str!("../fixtures/task-definition.json")).unwrap()
    }

    fn make_from(described: &Value) -> Result<Value, Refusal> {
        let (name, spec) = site();
        make(described, &name, &spec, "rollout-1")
    }

    #[test]
    fn a_whole_task_definition_gets_the_site_and_loses_nothing() {
        let expected: Value = serde_json::from_str(include_str!("../fixtures/next-revision.json")).unwrap();
        let made = make_from(&described()).unwrap();
        assert_eq!(made, expected, "{made:#}");
    }

    #[test]
    fn an_access_point_leaves_no_root_directory() {
        let (name, mut spec) = site();
        spec.access_point_id = Some(crate::ids::AccessPointId::parse("fsap-0a1b2c3d4e5f60718").unwrap());
        let made = make(&described(), &name, &spec, "rollout-1").unwrap();
        let volumes = made["volumes"].as_array().unwrap();
        let efs = &volumes.iter().find(|volume| volume["name"] == "wharfinger-blog").unwrap()["efsVolumeConfiguration"];
        assert_eq!(efs["authorizationConfig"]["accessPointId"], "fsap-0a1b2c3d4e5f60718");
        assert!(efs.get("rootDirectory").is_none() && efs["transitEncryption"] == "ENABLED");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_help() {
        let mut other = described();
        other["taskDefinition"]["containerDefinitions"][0]["name"] = json!("nginx");
        assert!(make_from(&other).unwrap_err().to_string().contains("has no container web"));
        let mut taken = described();
        taken["taskDefinition"]["containerDefinitions"][0]["mountPoints"] =
            json!([{"sourceVolume": "scratch", "containerPath": "/usr/local/apache2/htdocs"}]);
        assert!(make_from(&taken).unwrap_err().to_string().contains("taken by the volume scratch"));
        let mut windows = described();
        windows["taskDefinition"]["runtimePlatform"] = json!({"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"});
        assert_eq!(make_from(&windows).unwrap_err(), Refusal::Windows);
        assert_eq!(make_from(&json!({})).unwrap_err(), Refusal::Form("taskDefinition"));
    }

    #[test]
    fn a_path_with_a_slash_at_its_end_is_the_same_path() {
        let mut taken = described();
        taken["taskDefinition"]["containerDefinitions"][0]["mountPoints"] =
            json!([{"sourceVolume": "scratch", "containerPath": "/usr/local/apache2/htdocs/"}]);
        assert!(make_from(&taken).unwrap_err().to_string().contains("taken by the volume scratch"));
    }

    #[test]
    fn a_directory_mounted_by_hand_is_left_as_it_is() {
        let mut described = described();
        let volume = json!({"name": "by-hand", "efsVolumeConfiguration":
            {"fileSystemId": "fs-0a1b2c3d4e5f60718", "rootDirectory": "/sites/blog/"}});
        described["taskDefinition"]["volumes"] = json!([volume]);
        described["taskDefinition"]["containerDefinitions"][0]["mountPoints"] =
            json!([{"sourceVolume": "by-hand", "containerPath": "/usr/local/apache2/htdocs"}]);
        let made = make_from(&described).unwrap();
        assert_eq!(made["volumes"], json!([volume]));
        assert!(is_of_rollout(&json!({"taskDefinition": made}), "rollout-1"));
    }

    #[test]
    fn a_moved_mount_path_leaves_no_old_mount() {
        let (name, mut spec) = site();
        let first = make_from(&described()).unwrap();
        spec.mount_path = crate::directory::MountPath::parse("/srv").unwrap();
        let moved = json!({"taskDefinition": first, "tags": first["tags"]});
        let moved = make(&moved, &name, &spec, "rollout-2").unwrap();
        let points = moved["containerDefinitions"][0]["mountPoints"].as_array().unwrap().clone();
        let ours: Vec<&Value> = points.iter().filter(|point| point["sourceVolume"] == "wharfinger-blog").collect();
        assert_eq!(ours, [&json!({"sourceVolume": "wharfinger-blog", "containerPath": "/srv", "readOnly": false})]);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,8}", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn fields_that_nobody_knows_survive_and_a_second_time_changes_nothing(
            unknown in prop::collection::btree_map("x[A-Za-z]{1,8}", any_json(), 0..5),
            of_container in prop::collection::btree_map("x[A-Za-z]{1,8}", any_json(), 0..5),
        ) {
            let mut given = described();
            given["taskDefinition"].as_object_mut().unwrap().extend(unknown.clone());
            given["taskDefinition"]["containerDefinitions"][0].as_object_mut().unwrap().extend(of_container.clone());
            let made = make_from(&given).unwrap();
            for (field, value) in &unknown {
                prop_assert_eq!(&made[field], value);
            }
            for (field, value) in &of_container {
                prop_assert_eq!(&made["containerDefinitions"][0][field], value);
            }
            let lost: Vec<&String> = given["taskDefinition"].as_object().unwrap().keys()
                .filter(|field| made.get(field).is_none()).collect();
            prop_assert!(lost.iter().all(|field| READ_ONLY.contains(&field.as_str())), "{:?}", lost);
            let again = make_from(&json!({"taskDefinition": made, "tags": made["tags"]})).unwrap();
            prop_assert_eq!(again, made);
        }
    }
}
