//! The next revision of a task definition: the one that runs, with the site's directory mounted and the rollout named.
//!
//! It works on AWS's JSON as it is, so that fields which nobody here has heard of survive. Only what AWS itself
//! writes is left out, and only what the site needs is put in.

mod made;

use serde_json::{Map, Value, json};

pub use self::made::is_made;

use crate::{
    names::SiteName,
    site::{Mount, SiteSpec},
};

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
    #[error("the task definition has no container {wanted}: name one of {there} in the site")]
    NoContainer {
        /// The site's.
        wanted: String,
        /// Those of the task definition.
        there: String,
    },
    /// Something else is mounted there.
    #[error(
        "{path} in the container {container} is taken by the volume {volume}: give the site another path, or unmount it"
    )]
    PathTaken {
        /// The container.
        container: String,
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
/// and `tags`), for the rollout `id` of `site`. `left` are the places that the site has left: its volume is unmounted
/// there.
///
/// Whatever else mounts the same directory is left as its owner made it, and so is everything else.
///
/// # Errors
/// When the site does not fit the task definition.
pub fn make(described: &Value, site: &SiteName, spec: &SiteSpec, left: &[Mount], id: &str) -> Result<Value, Refusal> {
    let mut next = described["taskDefinition"].as_object().ok_or(Refusal::Form("taskDefinition"))?.clone();
    for field in READ_ONLY {
        next.remove(field);
    }
    let system = next.get("runtimePlatform").and_then(|platform| platform["operatingSystemFamily"].as_str());
    if system.is_some_and(|system| system.starts_with("WINDOWS")) {
        return Err(Refusal::Windows);
    }
    mount(&mut next, site, spec)?;
    unmount(&mut next, &volume_name(site), left);
    for place in spec.places() {
        let container = container(&mut next, &place)?;
        put_named(list(container, "environment"), "name", json!({"name": ROLLOUT_VARIABLE, "value": id}));
    }
    next.insert("tags".into(), Value::Array(tags(&described["tags"], site, id)));
    Ok(Value::Object(next))
}

/// The places of the site where `described`, an answer of DescribeTaskDefinition, does not mount its directory as
/// `spec` wants it.
#[must_use]
pub fn missing(described: &Value, site: &SiteName, spec: &SiteSpec) -> Vec<Mount> {
    let definition = &described["taskDefinition"];
    spec.places().into_iter().filter(|place| !is_mounted(definition, site, spec, place)).collect()
}

fn is_mounted(definition: &Value, site: &SiteName, spec: &SiteSpec, place: &Mount) -> bool {
    let owners = definition["volumes"].as_array().into_iter().flatten();
    let brings = |volume: &Value| {
        let mut owner = owners.clone().filter(|owner| owner["name"] == *volume);
        owner.next().is_some_and(|owner| is_same_directory(&owner["efsVolumeConfiguration"], spec))
    };
    let containers = definition["containerDefinitions"].as_array().into_iter().flatten();
    let mut ours = containers.filter(|container| container["name"] == place.container.as_str());
    let points = ours.next().and_then(|container| container["mountPoints"].as_array()).into_iter().flatten();
    let mut there = points.filter(|point| is_path(point, place.path.as_str()));
    there.any(|point| {
        // What its owner mounted is as its owner wants it.
        let is_ours = point["sourceVolume"] == volume_name(site).as_str();
        let as_wanted = place.read_only.is_none_or(|wanted| is_read_only(point) == wanted);
        brings(&point["sourceVolume"]) && (as_wanted || !is_ours)
    })
}

/// AWS leaves out what is false, or does not.
fn is_read_only(point: &Value) -> bool {
    point["readOnly"].as_bool().unwrap_or_default()
}

/// Whether `described`, an answer of DescribeTaskDefinition, names the rollout `id`. It need not be its own: see
/// [`is_made`].
#[must_use]
pub fn is_of_rollout(described: &Value, id: &str) -> bool {
    let containers = described["taskDefinition"]["containerDefinitions"].as_array().into_iter().flatten();
    let mut variables = containers.flat_map(|container| container["environment"].as_array().into_iter().flatten());
    variables.any(|variable| variable["name"] == ROLLOUT_VARIABLE && variable["value"] == id)
}

/// The site and the rollout that `described`, an answer of DescribeTaskDefinition, names in its tags.
#[must_use]
pub fn rollout_of(described: &Value) -> Option<(SiteName, String)> {
    let tags = described["tags"].as_array()?;
    let tag = |key| tags.iter().find(|tag| tag["key"] == key).and_then(|tag| tag["value"].as_str());
    Some((SiteName::from_stored(tag(SITE_TAG)?), tag(ROLLOUT_TAG)?.to_owned()))
}

/// Whether `described`, an answer of DescribeTaskDefinition, carries the tag of `site`.
#[must_use]
pub fn is_of_site(described: &Value, site: &SiteName) -> bool {
    let mut tags = described["tags"].as_array().into_iter().flatten();
    tags.any(|tag| tag["key"] == SITE_TAG && tag["value"] == site.as_str())
}

fn mount(next: &mut Map<String, Value>, site: &SiteName, spec: &SiteSpec) -> Result<(), Refusal> {
    let name = volume_name(site);
    let mut ours = Vec::new();
    for place in spec.places() {
        if !is_mounted_by_others(next, &name, spec, &place)? {
            ours.push(place);
        }
    }
    if ours.is_empty() {
        return Ok(());
    }
    let iam = next.get("taskRoleArn").is_some();
    put_volume(list(next, "volumes"), &name, spec, iam);
    for place in ours {
        put_point(list(container(next, &place)?, "mountPoints"), &name, &place);
    }
    Ok(())
}

/// Whether a volume of somebody else mounts the site's directory at `place`.
fn is_mounted_by_others(
    next: &mut Map<String, Value>,
    name: &str,
    spec: &SiteSpec,
    place: &Mount,
) -> Result<bool, Refusal> {
    let path = place.path.as_str();
    let volumes = list(next, "volumes").clone();
    let there = container(next, place)?.get("mountPoints").and_then(Value::as_array).into_iter().flatten();
    let taken = there.filter_map(|point| point["sourceVolume"].as_str().map(|volume| (point, volume)));
    let other = taken.into_iter().find(|(point, volume)| is_path(point, path) && *volume != name);
    let Some((_, volume)) = other else { return Ok(false) };
    let owner = volumes.iter().find(|candidate| candidate["name"] == volume);
    if owner.is_some_and(|owner| is_same_directory(&owner["efsVolumeConfiguration"], spec)) {
        return Ok(true);
    }
    Err(Refusal::PathTaken { container: place.container.to_string(), path: path.into(), volume: volume.into() })
}

fn put_point(points: &mut Vec<Value>, name: &str, place: &Mount) {
    let is_there = |point: &Value| point["sourceVolume"] == name && is_path(point, place.path.as_str());
    match points.iter_mut().find(|point| is_there(point)) {
        Some(point) => {
            if let Some(read_only) = place.read_only.filter(|wanted| is_read_only(point) != *wanted) {
                point["readOnly"] = json!(read_only);
            }
        }
        None => points.push(json!({"sourceVolume": name, "containerPath": place.path,
            "readOnly": place.read_only.unwrap_or_default()})),
    }
}

fn unmount(next: &mut Map<String, Value>, name: &str, left: &[Mount]) {
    for container in list(next, "containerDefinitions").iter_mut().filter_map(Value::as_object_mut) {
        let of_it = |place: &&Mount| container.get("name").is_some_and(|name| name == place.container.as_str());
        let paths: Vec<&str> = left.iter().filter(of_it).map(|place| place.path.as_str()).collect();
        if let Some(points) = container.get_mut("mountPoints").and_then(Value::as_array_mut) {
            points.retain(|point| point["sourceVolume"] != name || !paths.iter().any(|path| is_path(point, path)));
        }
    }
}

/// Whether the mount point is at `path`, however it is written: ECS takes a slash at the end.
fn is_path(point: &Value, path: &str) -> bool {
    point["containerPath"].as_str().is_some_and(|there| there.trim_end_matches('/') == path.trim_end_matches('/'))
}

/// Puts the site's volume among `volumes`. With an access point the root directory must be absent or `/`: its own is
/// used. IAM needs the task role's credentials, and transit encryption. What else a person set on it stays.
fn put_volume(volumes: &mut Vec<Value>, name: &str, spec: &SiteSpec, iam: bool) {
    let place = volumes.iter().position(|volume| volume["name"] == name).unwrap_or_else(|| {
        volumes.push(json!({"name": name}));
        volumes.len() - 1
    });
    let efs = &mut volumes[place]["efsVolumeConfiguration"];
    if !efs.is_object() {
        *efs = json!({});
    }
    efs["fileSystemId"] = json!(spec.file_system_id);
    efs["transitEncryption"] = json!("ENABLED");
    let of = efs.as_object_mut().expect("it was made an object just now");
    let authorization = of.entry("authorizationConfig").or_insert_with(|| json!({}));
    if !authorization.is_object() {
        *authorization = json!({});
    }
    authorization["iam"] = json!(if iam { "ENABLED" } else { "DISABLED" });
    match &spec.access_point_id {
        Some(id) => {
            authorization["accessPointId"] = json!(id);
            of.remove("rootDirectory");
        }
        None => {
            authorization.as_object_mut().map(|members| members.remove("accessPointId"));
            of.insert("rootDirectory".into(), json!(spec.directory));
        }
    }
}

fn is_same_directory(efs: &Value, spec: &SiteSpec) -> bool {
    let access_point = efs["authorizationConfig"]["accessPointId"].as_str();
    let root = efs["rootDirectory"].as_str().unwrap_or_default().trim_end_matches('/');
    efs["fileSystemId"] == spec.file_system_id.as_str()
        && match &spec.access_point_id {
            Some(id) => access_point == Some(id.as_str()),
            None => access_point.is_none() && root == spec.directory.as_str().trim_end_matches('/'),
        }
}

fn container<'a>(next: &'a mut Map<String, Value>, place: &Mount) -> Result<&'a mut Map<String, Value>, Refusal> {
    let wanted = place.container.as_str();
    let containers = list(next, "containerDefinitions");
    let names: Vec<&str> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
    let Some(at) = containers.iter().position(|container| container["name"] == wanted) else {
        return Err(Refusal::NoContainer { wanted: wanted.into(), there: names.join(", ") });
    };
    containers[at].as_object_mut().ok_or(Refusal::Form("containerDefinitions"))
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
        make(described, &name, &spec, &[], "rollout-1")
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
        let made = make(&described(), &name, &spec, &[], "rollout-1").unwrap();
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
    fn a_moved_mount_path_leaves_no_old_mount_of_ours() {
        let (name, mut spec) = site();
        let left = spec.places();
        let first = make_from(&described()).unwrap();
        spec.mount_path = Some(crate::directory::MountPath::parse("/srv").unwrap());
        let moved = json!({"taskDefinition": first, "tags": first["tags"]});
        let moved = make(&moved, &name, &spec, &left, "rollout-2").unwrap();
        assert_eq!(points_of(&moved, 0), [json!({"sourceVolume": OURS, "containerPath": "/srv", "readOnly": false})]);
    }

    const OURS: &str = "wharfinger-blog";

    /// The mount points of the site's volume in a container.
    fn points_of(definition: &Value, container: usize) -> Vec<Value> {
        let points = definition["containerDefinitions"][container]["mountPoints"].as_array();
        points.into_iter().flatten().filter(|point| point["sourceVolume"] == OURS).cloned().collect()
    }

    #[test]
    fn mounts_of_the_site_that_others_made_stay_as_they_made_them() {
        let first = make_from(&described()).unwrap();
        let mut by_hand = json!({"taskDefinition": first, "tags": first["tags"]});
        let containers = &mut by_hand["taskDefinition"]["containerDefinitions"];
        let own =
            json!({"sourceVolume": OURS, "containerPath": "/usr/local/apache2/htdocs/", "readOnly": true, "x": 1});
        let second = json!({"sourceVolume": OURS, "containerPath": "/second", "readOnly": true});
        containers[0]["mountPoints"] = json!([own, second]);
        containers[1]["mountPoints"] = json!([second]);
        by_hand["taskDefinition"]["volumes"][1]["efsVolumeConfiguration"]["transitEncryptionPort"] = json!(2999);
        let next = make_from(&by_hand).unwrap();
        assert_eq!(points_of(&next, 0), [own, second.clone()]);
        assert_eq!(points_of(&next, 1), [second]);
        assert_eq!(next["volumes"], by_hand["taskDefinition"]["volumes"]);
    }

    #[test]
    fn a_site_is_mounted_in_all_of_its_places_and_written_where_it_says_so() {
        let (name, mut spec) = site();
        (spec.container, spec.mount_path) = (None, None);
        let places = json!([{"container": "web", "path": "/srv", "read_only": true},
            {"container": "web", "path": "/srv/cache"}, {"container": "sidecar", "path": "/data", "read_only": false}]);
        spec.mounts = serde_json::from_value(places).unwrap();
        let point = |path, read_only| json!({"sourceVolume": OURS, "containerPath": path, "readOnly": read_only});
        let made = make(&described(), &name, &spec, &[], "rollout-1").unwrap();
        assert_eq!(points_of(&made, 0), [point("/srv", true), point("/srv/cache", false)]);
        assert_eq!(points_of(&made, 1), [point("/data", false)]);
        assert!(made["containerDefinitions"][1]["environment"][0]["value"] == "rollout-1");
        spec.mounts[0].read_only = Some(false);
        let made = json!({"taskDefinition": made});
        assert_eq!(missing(&made, &name, &spec), spec.mounts[..1]);
        let made = make(&made, &name, &spec, &[], "rollout-2").unwrap();
        assert_eq!(points_of(&made, 0), [point("/srv", false), point("/srv/cache", false)]);
    }

    #[test]
    fn what_is_missing_is_what_a_revision_brings() {
        let (name, spec) = site();
        assert_eq!(missing(&described(), &name, &spec), spec.places());
        let made = json!({"taskDefinition": make_from(&described()).unwrap()});
        assert!(missing(&made, &name, &spec).is_empty());
        let mut changed = made.clone();
        changed["taskDefinition"]["volumes"][1]["efsVolumeConfiguration"]["rootDirectory"] = json!("/sites/blog2");
        assert_eq!(missing(&changed, &name, &spec), spec.places(), "another directory");
        let mut changed = made.clone();
        changed["taskDefinition"]["volumes"][1]["efsVolumeConfiguration"]["rootDirectory"] = json!("/sites/blog/");
        changed["taskDefinition"]["containerDefinitions"][0]["mountPoints"][1]["readOnly"] = json!(true);
        assert!(missing(&changed, &name, &spec).is_empty(), "the same in other words");
        assert_eq!(missing(&json!({}), &name, &spec), spec.places());
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
