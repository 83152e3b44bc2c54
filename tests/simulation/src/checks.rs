//! The rules, looked at after every act and once all is quiet.

mod wished;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_decisions::window::MOST_SKEW;

use crate::{
    letters,
    model::{Expected, Site, Withdrawn},
    people::{self, SERVICES},
    rules,
    stage::{CLIENT, Stage, is_over, key_of, line, longest},
    story::{Record, SERVERS, SITES, USERS},
    truth, watch,
};

/// Within this time whoever was removed can't log in any more.
const REMOVAL: SignedDuration = SignedDuration::from_mins(5);

/// What takes rules from security groups.
const REVOKING: &str = "RevokeSecurityGroupIngress";

/// How long what AWS refused may wait to be tried again, and be done then.
const PATIENCE: SignedDuration = SignedDuration::from_mins(16);

/// How long an idle server may be drained, where metrics alone tell who is there: two of their periods, and the looks.
const MOST_DRAINED: SignedDuration = SignedDuration::from_mins(12);

/// What holds at any time.
pub(crate) async fn at_once(stage: &Stage) {
    watch::servers(&stage.weather, stage.ground()).await;
    removed(stage).await;
    closed(stage).await;
    letters::look(stage);
}

/// What holds at any time, and takes longer to look at.
pub(crate) async fn all(stage: &Stage) {
    at_once(stage).await;
    stage.weather.mute(true);
    lists(stage).await;
    for site in stage.model.sites.keys() {
        changes(stage, *site).await;
    }
    if let Some(line) = stage.weather.secrets.told_in_log() {
        stage.weather.diary.violated(rules::SECRET, format!("a function logs {line}"));
    }
    stage.weather.mute(false);
}

/// Whether on a server that is online who is wanted can log in, and who was removed can't.
pub(crate) fn users_are_as_wanted(stage: &Stage, id: &Value) -> bool {
    let enters = |user: usize, key: usize| {
        let id = id.as_str().unwrap_or_default();
        stage.world.log_in(id, USERS[user], &key_of(user, key), CLIENT.into()).is_ok()
    };
    stage.model.users.iter().all(|((_, user), expected)| match *expected {
        Expected::There(key) => enters(*user, key) && !enters(*user, 1 - key),
        Expected::Gone => !enters(*user, 0) && !enters(*user, 1),
        Expected::Unknown => true,
    })
}

/// What holds once everything has had its time.
pub(crate) async fn at_last(stage: &Stage) {
    stage.weather.mute(true);
    let model = &stage.model;
    for (server, expected) in &model.servers {
        // Without its address a server can't become what is wanted, unless it is to go.
        if *server != 0 || !model.address_lost || *expected == Expected::Gone {
            settled(stage, *server, *expected).await;
            if *expected == Expected::There(()) {
                wished::server(stage, *server).await;
            }
        }
    }
    for ((server, user), expected) in &model.users {
        // Who comes while a server sleeps gets in when it wakes.
        let is_there = *expected == Expected::Gone || on_aws(stage, *server).await;
        if is_there && model.servers.get(server) == Some(&Expected::There(())) {
            ready(stage, *server, *user, *expected).await;
        }
    }
    for site in stage.model.sites.keys() {
        mounted(stage, *site).await;
    }
    stage.weather.mute(false);
}

/// Nobody who was removed can log in, 5 minutes later. Keys of users who stay are left alone while their server can't be
/// read.
async fn removed(stage: &Stage) {
    let (now, ground, model) = (stage.now(), stage.ground(), &stage.model);
    let is_gone = |one: &Withdrawn| model.users.get(&(one.server, one.user)) == Some(&Expected::Gone);
    let due = |one: &&Withdrawn| {
        let counts = is_gone(one) || model.is_readable(Record::Server { server: one.server });
        counts && now.duration_since(one.at) > REMOVAL
    };
    if !model.withdrawn.iter().any(|one| due(&one)) || stage.weather.storms_since(now, REMOVAL) {
        return;
    }
    let servers = watch::transfer_servers(ground).await;
    for one in model.withdrawn.iter().filter(due) {
        let named = servers.iter().filter(|(_, found)| watch::name_of(found) == Some(SERVERS[one.server]));
        for (id, _) in named.filter(|(_, found)| found["State"] == "ONLINE") {
            let asked = json!({ "ServerId": id, "UserName": USERS[one.user] });
            let user = watch::ask(ground, "transfer", "DescribeUser", asked).await;
            if watch::opens(&user, &line(&key_of(one.user, one.key))) {
                let who = format!("{} of {}, removed at {}", USERS[one.user], SERVERS[one.server], one.at);
                stage.weather.diary.violated(rules::REMOVED, who);
            }
        }
    }
}

/// An address block that was withdrawn is closed, 5 minutes later.
async fn closed(stage: &Stage) {
    let now = stage.now();
    let mut due = stage.model.withdrawn_blocks.iter().filter(|(_, at)| now.duration_since(**at) > REMOVAL).peekable();
    let weather = &stage.weather;
    if due.peek().is_none() || weather.storms_since(now, REMOVAL) || weather.refused_since(REVOKING, now - PATIENCE) {
        return;
    }
    let rules = watch::ask(stage.ground(), "ec2", "DescribeSecurityGroupRules", json!({})).await;
    let rules = rules["securityGroupRuleSet"].as_array().cloned().unwrap_or_default();
    for ((server, block), at) in due {
        let (group, block) = (people::GROUPS[*server], people::BLOCKS[usize::from(*block)]);
        if rules.iter().any(|rule| rule["groupId"] == group && rule["cidrIpv4"] == block) {
            let seen = format!("{block} is let in to {}, though withdrawn at {at}", SERVERS[*server]);
            stage.weather.diary.violated(rules::CLOSED, seen);
        }
    }
}

/// Whether AWS has a server.
async fn on_aws(stage: &Stage, server: usize) -> bool {
    let found = watch::transfer_servers(stage.ground()).await;
    found.values().any(|found| watch::name_of(found) == Some(SERVERS[server]))
}

/// No record stops the lists, or keeps another out of them.
async fn lists(stage: &Stage) {
    let model = &stage.model;
    let is_there = |server: &usize| model.servers.get(server) == Some(&Expected::There(()));
    let servers: Vec<usize> = (0..SERVERS.len()).filter(is_there).collect();
    let sites = model.sites.iter().filter(|(_, site)| site.expected == Expected::There(()));
    listed(stage, "/v1/servers", servers.iter().map(|server| SERVERS[*server]).collect()).await;
    listed(stage, "/v1/sites", sites.map(|(site, _)| SITES[*site]).collect()).await;
    for (server, name) in SERVERS.iter().enumerate() {
        let users = model.users.iter().filter(|((of, _), user)| *of == server && matches!(user, Expected::There(_)));
        let users = users.filter(|_| is_there(&server)).map(|((_, user), _)| USERS[*user]);
        listed(stage, &format!("/v1/servers/{name}/users"), users.collect()).await;
    }
}

/// The list at `path` has all that are `wanted`. Where none are, there may be no list.
async fn listed(stage: &Stage, path: &str, wanted: Vec<&str>) {
    let (status, answer) = people::ask(&stage.world, Method::GET, path, None).await;
    let is_listed = |name: &&&str| answer["items"].as_array().into_iter().flatten().any(|item| item["name"] == **name);
    let answers = status == 200 || (status == 404 && wanted.is_empty());
    let seen = match wanted.iter().find(|name| !is_listed(name)) {
        _ if !answers => format!("{path} answers {status}"),
        Some(missing) => format!("{path} leaves {missing} out"),
        None => return,
    };
    stage.weather.diary.violated(rules::LISTS, seen);
}

/// Clocks differ by seconds.
const SKEW: SignedDuration = SignedDuration::from_secs(4);

/// Every finished change is in a rollout that began after it, in time, and in one alone.
async fn changes(stage: &Stage, place: usize) {
    let Some(site) = stage.model.sites.get(&place) else { return };
    if site.expected != Expected::There(()) {
        return;
    }
    let rollouts = rollouts(stage, place).await;
    if rollouts.iter().filter(|rollout| !is_over(rollout)).count() > 1 {
        let seen = format!("{} has more than one that is not over", SITES[place]);
        stage.weather.diary.violated(rules::ONE_ROLLOUT, seen);
    }
    let begun: Vec<Timestamp> = rollouts.iter().filter_map(began).collect();
    in_time(stage, (place, site), begun.first().copied());
    // A site that was moved, or lost its mount, is rolled out for that.
    let is_for_uploads = |rollout: &&Value| matches!(rollout["cause"]["trigger"].as_str(), None | Some("uploads"));
    let for_uploads: Vec<Timestamp> = rollouts.iter().filter(is_for_uploads).filter_map(began).collect();
    once(stage, (place, site), &for_uploads);
}

fn in_time(stage: &Stage, (place, site): (usize, &Site), newest: Option<Timestamp>) {
    let Some(last_change) = site.last_change else { return };
    let now = stage.now();
    let quiet_since = stage.weather.unrest(now).unwrap_or(last_change).max(last_change).max(site.since);
    if now.duration_since(quiet_since) > longest(site) && newest.is_none_or(|began| began + SKEW < last_change) {
        let seen = format!("{} was changed at {last_change}, its newest rollout began {newest:?}", SITES[place]);
        stage.weather.diary.violated(rules::IN_TIME, seen);
    }
}

/// Where nothing went wrong since, what was touched last is rolled out once. By the clocks alone nobody can tell whether a
/// change shortly before a rollout is in it.
fn once(stage: &Stage, (place, site): (usize, &Site), begun: &[Timestamp]) {
    let Some(last_stir) = site.last_stir else { return };
    if stage.weather.unrest(stage.now()).is_some_and(|at| at >= last_stir) {
        return;
    }
    let surely_after = last_stir + MOST_SKEW + SKEW;
    let after = begun.iter().filter(|began| **began > surely_after).count();
    if after > 1 {
        let seen = format!("{} was touched at {last_stir} and rolled out {after} times since", SITES[place]);
        stage.weather.diary.violated(rules::ONCE, seen);
    }
}

fn began(rollout: &Value) -> Option<Timestamp> {
    rollout["started_at"].as_str()?.parse().ok()
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
                stage.weather.diary.violated(rules::BROUGHT_ABOUT, format!("{path} was deleted"));
            }
        }
        Expected::There(()) => {
            let (_, shown) = people::ask(&stage.world, Method::GET, &path, None).await;
            let status = &shown["status"];
            // One that sleeps is not rebuilt to be stopped.
            let sleeps = status["power"] == "asleep" && status["wanted"]["power"] == "stopped";
            let is_so = status["settled"] == true && (sleeps || status["power"] == status["wanted"]["power"]);
            // Whether AWS stops a server whose start failed is not known. Its door is shut, and somebody is told.
            let failed = status["power"] == "failed" && status["conditions"] != json!([]);
            let is_shut = status["wanted"]["power"] == "stopped" && failed;
            let is_kept = wished::is_kept(stage, server, status);
            if !is_so && !is_shut && !is_kept && !drains(status) && !is_just_decided(stage, status) {
                stage.weather.diary.violated(rules::BROUGHT_ABOUT, format!("{path}: {status}"));
            }
            if is_so && let Some(otherwise) = truth::of_server(stage.ground(), server, &shown).await {
                stage.weather.diary.violated(rules::BROUGHT_ABOUT, format!("{path}: {otherwise}"));
            }
        }
    }
}

/// Whether a server that was found idle is drained since not long ago, or stopped after that.
fn drains(status: &Value) -> bool {
    let at = |of: &Value| of.as_str().and_then(|at| at.parse::<Timestamp>().ok());
    let since = at(&status["observed_at"]).zip(at(&status["idle"]["at"]));
    let is_recent = since.is_some_and(|(now, decided)| now.duration_since(decided) < MOST_DRAINED);
    (status["power"] == "draining" || status["power"] == "stopping") && is_recent
}

/// Whether the sweep has just found the server idle: it takes a look to act upon that.
fn is_just_decided(stage: &Stage, status: &Value) -> bool {
    let decided = status["idle"]["at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    decided.is_some_and(|at| stage.now().duration_since(at) < SignedDuration::from_mins(1))
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
        stage.weather.diary.violated(rules::BROUGHT_ABOUT, seen);
    }
    if let Expected::There(key) = expected
        && let Some(lack) = truth::of_user(stage.ground(), server, user, &key_of(user, key)).await
    {
        stage.weather.diary.violated(rules::BROUGHT_ABOUT, format!("{path} is expected {expected:?}: {lack}"));
    }
}

/// A site that was rolled out is mounted, nothing of it is under way, and every rollout has a verdict.
async fn mounted(stage: &Stage, place: usize) {
    let Some(site) = stage.model.sites.get(&place).filter(|site| site.expected == Expected::There(())) else { return };
    let rollouts = rollouts(stage, place).await;
    if let Some(open) = rollouts.iter().find(|rollout| !is_over(rollout)) {
        let seen = format!("{} has a rollout that is {} for ever", SITES[place], open["state"]);
        stage.weather.diary.violated(rules::VERDICT, seen);
    }
    let moved = site.moved.map(|at| at + SKEW);
    let counts = |rollout: &&Value| began(rollout) > moved && rollout["state"] == "succeeded";
    if site.last_change.is_none() || !rollouts.iter().any(|rollout| counts(&rollout)) {
        return;
    }
    let asked = json!({ "cluster": "local", "services": [SERVICES[site.service]] });
    let service = watch::ask(stage.ground(), "ecs", "DescribeServices", asked).await["services"][0].clone();
    let asked = json!({ "taskDefinition": service["taskDefinition"] });
    let definition = watch::ask(stage.ground(), "ecs", "DescribeTaskDefinition", asked).await;
    if !truth::mounts(&definition["taskDefinition"], place) {
        stage.weather.diary.violated(rules::MOUNTED, format!("{} is not mounted any more", SITES[place]));
    }
}
