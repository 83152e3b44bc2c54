//! Rules that are looked at where AWS is called, as only there they can be seen: no snapshot shows a deployment that was
//! begun too early, or a session that was open when its server was stopped.

pub(crate) mod doors;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharfinger_decisions::revision::{READ_ONLY, ROLLOUT_TAG, ROLLOUT_VARIABLE, SITE_TAG};
use wharfinger_emulator::endpoint::wire::Call;

use crate::{
    rules,
    weather::{Ground, Weather},
};

/// Looks at a call before it is made.
pub(crate) async fn before(weather: &Weather, caller: &str, call: &Call) {
    let Some(ground) = weather.ground() else { return };
    match (caller, call.service.as_str(), call.operation.as_str()) {
        ("rollout", "ecs", "UpdateService") => deployment(weather, &ground, &call.input).await,
        ("reconcile", "transfer", "CreateServer") => doors::create(weather, &ground, &call.input).await,
        ("reconcile", "transfer", "StopServer") => doors::stop(weather, &ground, &call.input).await,
        ("reconcile", "transfer", "DeleteServer") => doors::delete(weather, &ground, &call.input).await,
        ("reconcile", "dynamodb", "TransactWriteItems") => doors::forget(weather, &call.input),
        ("rollout", "dynamodb", "PutItem") => verdict(weather, &ground, &call.input["Item"]).await,
        _ => {}
    }
}

/// Looks at a call that was made, and whether its maker learns so: only then it must not be made again.
pub(crate) async fn after(weather: &Weather, caller: &str, (service, operation): (&str, &str), input: &Value) {
    let Some(ground) = weather.ground() else { return };
    match (caller, service, operation) {
        ("reconcile", "transfer", "CreateServer") => servers(weather, &ground).await,
        ("reconcile", "dynamodb", "UpdateItem") => doors::shown(weather, &ground, input).await,
        ("rollout", "ecs", "RegisterTaskDefinition") => revision(weather, input),
        _ => {}
    }
}

/// At most one server of a name is billed.
pub(crate) async fn servers(weather: &Weather, ground: &Ground) {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, server) in transfer_servers(ground).await {
        let tags = server["Tags"].as_array().into_iter().flatten();
        let name = tags.clone().find(|tag| tag["Key"] == "wharfinger:server");
        found.entry(name.map(|tag| tag["Value"].to_string()).unwrap_or_default()).or_default().push(id);
    }
    for (name, ids) in found.into_iter().filter(|(_, ids)| ids.len() > 1) {
        weather.diary.violated(rules::ONE_SERVER, format!("{name} has {} servers", ids.len()));
    }
}

/// All servers of Transfer Family as it describes them, by id.
pub(crate) async fn transfer_servers(ground: &Ground) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let listed = ask(ground, "transfer", "ListServers", json!({})).await;
    for listed in listed["Servers"].as_array().into_iter().flatten() {
        let described = ask(ground, "transfer", "DescribeServer", json!({ "ServerId": listed["ServerId"] })).await;
        found.insert(text(&listed["ServerId"]), described["Server"].clone());
    }
    found
}

/// One deployment of ours at a time, and nothing of anybody's is lost by it.
async fn deployment(weather: &Weather, ground: &Ground, input: &Value) {
    let Some(next) = definition(ground, &input["taskDefinition"]).await else { return };
    let asked = json!({ "cluster": input["cluster"], "services": [input["service"]] });
    let service = ask(ground, "ecs", "DescribeServices", asked).await["services"][0].clone();
    let Some(present) = definition(ground, &service["taskDefinition"]).await else { return };
    let primary = &service["deployments"][0];
    let (ours, theirs) = (rollout_of(&next), rollout_of(&present));
    let under_way = primary["rolloutState"] == "IN_PROGRESS";
    if under_way && theirs.is_some() && ours != theirs {
        weather.diary.violated(
            rules::ONE_DEPLOYMENT,
            format!("{} is deployed while another rollout is under way", text(&input["service"])),
        );
    }
    compare(weather, &next, &present);
}

fn compare(weather: &Weather, next: &Value, present: &Value) {
    let site = next["tags"].as_array().into_iter().flatten().find(|tag| tag["key"] == SITE_TAG);
    let own = site.map(|tag| format!("wharfinger-{}", text(&tag["value"]))).unwrap_or_default();
    let next = foreign(&next["taskDefinition"], &own);
    let present = foreign(&present["taskDefinition"], &own);
    if next != present {
        let member = ["containerDefinitions", "volumes"].into_iter().find(|member| next[member] != present[member]);
        let member = member.unwrap_or("another member");
        weather.diary.violated(rules::LOSSLESS, format!("{member}: {} instead of {}", next[member], present[member]));
    }
}

/// What a rollout must leave alone in a task definition: everything but the site's own volume and the rollout's name.
fn foreign(definition: &Value, own: &str) -> Value {
    let mut definition = definition.clone();
    if let Some(members) = definition.as_object_mut() {
        members.retain(|name, value| !READ_ONLY.contains(&name.as_str()) && *value != json!([]));
    }
    let retain = |list: &mut Value, keep: &dyn Fn(&Value) -> bool| {
        if let Some(list) = list.as_array_mut() {
            list.retain(|one| keep(one));
        }
    };
    retain(&mut definition["volumes"], &|volume| volume["name"] != own);
    for container in definition["containerDefinitions"].as_array_mut().into_iter().flatten() {
        retain(&mut container["mountPoints"], &|point| point["sourceVolume"] != own);
        retain(&mut container["environment"], &|variable| variable["name"] != ROLLOUT_VARIABLE);
        if let Some(members) = container.as_object_mut() {
            members.retain(|_, value| *value != json!([]) && !value.is_null());
        }
    }
    if let Some(members) = definition.as_object_mut() {
        members.retain(|_, value| *value != json!([]) && !value.is_null());
    }
    definition
}

/// The rollout that a revision was made for. One that others made of ours has our variable, but not our tag.
fn rollout_of(described: &Value) -> Option<String> {
    let mut tags = described["tags"].as_array().into_iter().flatten();
    tags.find(|tag| tag["key"] == ROLLOUT_TAG).map(|tag| text(&tag["value"]))
}

/// A rollout has one revision: its maker finds it again wherever it died.
fn revision(weather: &Weather, input: &Value) {
    if weather.registered(input) {
        weather.diary.violated(rules::ONE_REVISION, "the same revision was registered again");
    }
}

/// A rollout that has succeeded runs, all of it.
async fn verdict(weather: &Weather, ground: &Ground, item: &Value) {
    let rollout = &item["rollout"]["M"];
    if rollout["state"]["S"] != "succeeded" {
        return;
    }
    let after = text(&rollout["task_definition"]["M"]["after"]["S"]);
    let family = after.rsplit('/').next().and_then(|name| name.split(':').next()).unwrap_or_default();
    let asked = json!({ "cluster": "local", "services": [family] });
    let service = ask(ground, "ecs", "DescribeServices", asked).await["services"][0].clone();
    let primary = &service["deployments"][0];
    if primary["taskDefinition"] == after.as_str() && primary["rolloutState"] != "COMPLETED" {
        weather.diary.violated(rules::VERDICT_IS_TRUE, format!("{family} is {}", primary["rolloutState"]));
    }
}

async fn definition(ground: &Ground, name: &Value) -> Option<Value> {
    let input = json!({ "taskDefinition": name, "include": ["TAGS"] });
    let described = ask(ground, "ecs", "DescribeTaskDefinition", input).await;
    described["taskDefinition"].is_object().then_some(described)
}

/// Asks a service, with nothing between; null when it refuses.
pub(crate) async fn ask(ground: &Ground, service: &str, operation: &str, input: Value) -> Value {
    match ground.services.get(service) {
        Some(service) => service.call(operation, input).await.unwrap_or_default(),
        None => Value::Null,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Whether a user as Transfer Family describes it has `key`, in OpenSSH's one-line form.
pub(crate) fn opens(user: &Value, key: &str) -> bool {
    let mut keys = user["User"]["SshPublicKeys"].as_array().into_iter().flatten();
    keys.any(|there| there["SshPublicKeyBody"].as_str().is_some_and(|body| key.starts_with(body.trim())))
}

/// The name that a server of Transfer Family is tagged with.
pub(crate) fn name_of(server: &Value) -> Option<&str> {
    let mut tags = server["Tags"].as_array().into_iter().flatten();
    tags.find(|tag| tag["Key"] == "wharfinger:server")?["Value"].as_str()
}
