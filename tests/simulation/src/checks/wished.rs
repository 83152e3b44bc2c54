//! Once all is quiet, a server is what was wished last.

use http::Method;
use jiff::SignedDuration;
use serde_json::Value;
use wharfinger_decisions::{
    duration::HumanDuration,
    server::{MANUAL_KEEP, Power},
};

use crate::{
    model::{Expected, Ordered},
    people::{self, BLOCKS},
    rules,
    stage::{CLIENT, Stage, key_of},
    story::{Idle, SERVERS, USERS},
    watch,
};

/// How long after an order to open is over a server may take to be found idle, drained and put to sleep.
const CLOSING: SignedDuration = SignedDuration::from_mins(25);

/// A server is what was wished last, and who may log in can.
pub(super) async fn server(stage: &Stage, server: usize) {
    let (ordered, idle) =
        (stage.model.orders.get(&server).copied().unwrap_or_default(), stage.model.idle.get(&server).copied());
    let path = format!("/v1/servers/{}", SERVERS[server]);
    let (_, shown) = people::ask(&stage.world, Method::GET, &path, None).await;
    let status = &shown["status"];
    let is_kept = is_kept(stage, server, status);
    // A start that failed is not stopped, but its door is shut: see `settled`.
    let is_failed = status["power"] == "failed" && ordered_to(ordered) == Some(Power::Stopped);
    let expected = expected(stage, ordered, idle);
    if !expected.is_empty() && !is_kept && !is_failed && !expected.iter().any(|power| status["power"] == *power) {
        let seen = format!("{path} was {ordered:?} and is {idle:?} when idle: {status}");
        stage.weather.diary.violated(rules::WISHED, seen);
    }
    if status["power"] == "online" {
        reachable(stage, server, &shown).await;
    }
}

/// What the server may be shown as; nothing, if that is not known.
fn expected(stage: &Stage, ordered: Ordered, idle: Option<Idle>) -> &'static [&'static str] {
    let (opened, manual_keep) = match ordered {
        Ordered::Unknown => return &[],
        // Nobody can reach a server that sleeps: it is not rebuilt to be stopped.
        Ordered::For(Power::Stopped, _) => return &["stopped", "asleep"],
        Ordered::For(Power::Asleep, _) => return &["asleep"],
        Ordered::For(Power::Online, at) => (Some(at), HumanDuration::parse(people::KEEP).unwrap_or(MANUAL_KEEP)),
        Ordered::Nothing => (None, MANUAL_KEEP),
    };
    let since = opened.map(|at| stage.now().duration_since(at));
    match idle {
        None => &[],
        Some(Idle::Stays) => &["online"],
        Some(Idle::Stops) if since.is_some_and(|since| since < MANUAL_KEEP.get()) => &["online"],
        Some(Idle::Stops) => &["online", "draining", "stopping", "stopped", "asleep"],
        Some(Idle::Sleeps) if since.is_some_and(|since| since < manual_keep.get()) => &["online"],
        Some(Idle::Sleeps) if since.is_some_and(|since| since < manual_keep.get() + CLOSING) => {
            &["online", "draining", "stopping", "asleep"]
        }
        Some(Idle::Sleeps) => &["asleep"],
    }
}

fn ordered_to(ordered: Ordered) -> Option<Power> {
    if let Ordered::For(power, _) = ordered { Some(power) } else { None }
}

/// Whether a server does not sleep because somebody put something into it of which nothing is recorded.
pub(super) fn is_kept(stage: &Stage, server: usize, status: &Value) -> bool {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    stage.model.foreign.contains(&server) && conditions.any(|condition| condition["code"] == "not_rebuildable")
}

/// Whoever may log in to a server that is shown online gets in.
async fn reachable(stage: &Stage, server: usize, shown: &Value) {
    let blocks = shown["spec"]["network"]["allowed_cidrs"].as_array().into_iter().flatten();
    if blocks.clone().any(|block| *block == BLOCKS[2]) {
        return;
    }
    let id = shown["status"]["server_id"].as_str().unwrap_or_default();
    let found = watch::transfer_servers(stage.ground()).await.remove(id).unwrap_or_default();
    let addresses = &found["EndpointDetails"]["AddressAllocationIds"];
    let has_addresses = addresses.as_array().is_some_and(|ids| !ids.is_empty());
    if people::has_address(server) && !has_addresses {
        let seen = format!("{} is shown online without its address", SERVERS[server]);
        stage.weather.diary.violated(rules::WISHED, seen);
    }
    for ((of, user), expected) in &stage.model.users {
        let (true, Expected::There(key)) = (*of == server, expected) else { continue };
        if let Err(shut) = stage.world.log_in(id, USERS[*user], &key_of(*user, *key), CLIENT.into()) {
            let seen = format!("{} is online, but {} can't log in: {shut:?}", SERVERS[server], USERS[*user]);
            stage.weather.diary.violated(rules::WISHED, seen);
        }
    }
}
