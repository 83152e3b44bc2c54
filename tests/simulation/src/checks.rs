//! The rules, looked at after every act and once all is quiet.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    model::Expected,
    people::{self, SERVICES},
    stage::{Stage, is_over, key_of, line, longest},
    story::{Feature, SERVERS, SITES, USERS},
    watch,
};

/// Within this time whoever was removed can't log in any more.
const REMOVAL: SignedDuration = SignedDuration::from_mins(5);

/// What holds at any time.
pub(crate) async fn at_once(stage: &Stage) {
    watch::servers(&stage.weather, stage.ground()).await;
    removed(stage).await;
}

/// What holds at any time, and takes longer to look at.
pub(crate) async fn all(stage: &Stage) {
    at_once(stage).await;
    stage.weather.mute(true);
    lists(stage).await;
    for site in stage.model.sites.keys() {
        changes(stage, *site).await;
    }
    stage.weather.mute(false);
}

/// What holds once everything has had its time.
pub(crate) async fn at_last(stage: &Stage) {
    stage.weather.mute(true);
    for (server, expected) in &stage.model.servers {
        // Without its address a server can't become what is wanted.
        if *server != 0 || !stage.features.contains(&Feature::MissingAddress) {
            settled(stage, *server, *expected).await;
        }
    }
    for ((server, user), expected) in &stage.model.users {
        if stage.model.servers.get(server) == Some(&Expected::There(())) {
            ready(stage, *server, *user, *expected).await;
        }
    }
    for site in stage.model.sites.keys() {
        mounted(stage, *site).await;
    }
    stage.weather.mute(false);
}

/// Nobody who was removed can log in, 5 minutes later.
async fn removed(stage: &Stage) {
    let (now, ground) = (stage.now(), stage.ground());
    let due = |at: Timestamp| now.duration_since(at) > REMOVAL;
    if stage.model.withdrawn.iter().all(|one| !due(one.at)) || stage.weather.storms_since(now, REMOVAL) {
        return;
    }
    let servers = watch::transfer_servers(ground).await;
    for one in stage.model.withdrawn.iter().filter(|one| due(one.at)) {
        let named = servers.iter().filter(|(_, found)| watch::name_of(found) == Some(SERVERS[one.server]));
        for (id, _) in named.filter(|(_, found)| found["State"] == "ONLINE") {
            let asked = json!({ "ServerId": id, "UserName": USERS[one.user] });
            let user = watch::ask(ground, "transfer", "DescribeUser", asked).await;
            let key = line(&key_of(one.user, one.key));
            let mut keys = user["User"]["SshPublicKeys"].as_array().into_iter().flatten();
            if keys.any(|there| there["SshPublicKeyBody"].as_str().is_some_and(|body| key.starts_with(body.trim()))) {
                let who = format!("{} of {}, removed at {}", USERS[one.user], SERVERS[one.server], one.at);
                stage.weather.diary.violated("nobody who was removed can log in", who);
            }
        }
    }
}

/// No record stops the lists.
async fn lists(stage: &Stage) {
    for path in ["/v1/servers", "/v1/sites", "/v1/servers/main/users"] {
        let (status, _) = people::ask(&stage.world, Method::GET, path, None).await;
        if status != 200 && status != 404 {
            stage.weather.diary.violated("nothing unreadable stops anything else", format!("{path} answers {status}"));
        }
    }
}

/// Every finished change is in a rollout that began after it, in time.
async fn changes(stage: &Stage, place: usize) {
    let Some(site) = stage.model.sites.get(&place) else { return };
    let (Expected::There(()), Some(last_change)) = (site.expected, site.last_change) else { return };
    let now = stage.now();
    let quiet_since = stage.weather.unrest(now).unwrap_or(last_change).max(last_change).max(site.since);
    if now.duration_since(quiet_since) <= longest(site) {
        return;
    }
    let newest = rollouts(stage, place).await.first().map(|rollout| rollout["started_at"].clone());
    let began: Option<Timestamp> = newest.and_then(|at| at.as_str()?.parse().ok());
    // Clocks differ by seconds.
    let skew = SignedDuration::from_secs(4);
    if began.is_none_or(|began| began + skew < last_change) {
        let seen = format!("{} was changed at {last_change}, its newest rollout began {began:?}", SITES[place]);
        stage.weather.diary.violated("every change is rolled out in time", seen);
    }
}

async fn rollouts(stage: &Stage, site: usize) -> Vec<Value> {
    let path = format!("/v1/sites/{}/rollouts", SITES[site]);
    let (_, answer) = people::ask(&stage.world, Method::GET, &path, None).await;
    answer["items"].as_array().cloned().unwrap_or_default()
}

/// A server is what is wanted of it.
async fn settled(stage: &Stage, server: usize, expected: Expected<()>) {
    let path = format!("/v1/servers/{}", SERVERS[server]);
    match expected {
        Expected::Unknown => {}
        Expected::Gone => {
            let found = watch::transfer_servers(stage.ground()).await;
            if found.values().any(|found| watch::name_of(found) == Some(SERVERS[server])) {
                stage.weather.diary.violated("what is wanted is brought about", format!("{path} was deleted"));
            }
        }
        Expected::There(()) => {
            let (_, shown) = people::ask(&stage.world, Method::GET, &path, None).await;
            let status = &shown["status"];
            if status["settled"] != true || status["power"] != status["wanted"]["power"] {
                stage.weather.diary.violated("what is wanted is brought about", format!("{path}: {status}"));
            }
        }
    }
}

/// A user can log in, or is gone.
async fn ready(stage: &Stage, server: usize, user: usize, expected: Expected<usize>) {
    let path = format!("/v1/servers/{}/users/{}", SERVERS[server], USERS[user]);
    let (status, shown) = people::ask(&stage.world, Method::GET, &path, None).await;
    let holds = match expected {
        Expected::Unknown => true,
        Expected::Gone => status == 404,
        Expected::There(_) => shown["status"]["state"] == "ready" && shown["status"]["settled"] == true,
    };
    if !holds {
        let seen = format!("{path} is expected {expected:?}: {status} {}", shown["status"]);
        stage.weather.diary.violated("what is wanted is brought about", seen);
    }
}

/// A site that was rolled out is mounted, nothing of it is under way, and every rollout has a verdict.
async fn mounted(stage: &Stage, place: usize) {
    let Some(site) = stage.model.sites.get(&place).filter(|site| site.expected == Expected::There(())) else { return };
    let rollouts = rollouts(stage, place).await;
    if let Some(open) = rollouts.iter().find(|rollout| !is_over(rollout)) {
        let seen = format!("{} has a rollout that is {} for ever", SITES[place], open["state"]);
        stage.weather.diary.violated("every rollout has a verdict", seen);
    }
    if site.last_change.is_none() || !rollouts.iter().any(|rollout| rollout["state"] == "succeeded") {
        return;
    }
    let asked = json!({ "cluster": "local", "services": [SERVICES[site.service]] });
    let service = watch::ask(stage.ground(), "ecs", "DescribeServices", asked).await["services"][0].clone();
    let asked = json!({ "taskDefinition": service["taskDefinition"] });
    let definition = watch::ask(stage.ground(), "ecs", "DescribeTaskDefinition", asked).await;
    let mut points =
        definition["taskDefinition"]["containerDefinitions"][0]["mountPoints"].as_array().into_iter().flatten();
    if !points.any(|point| point["containerPath"] == format!("/srv/{}", SITES[place])) {
        stage.weather.diary.violated("no mount is lost", format!("{} is not mounted any more", SITES[place]));
    }
}
