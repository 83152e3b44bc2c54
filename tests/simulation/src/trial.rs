//! A trial: one server is put to sleep and woken over and over, and each time another call of a function goes wrong. What
//! comes of it must be the same every time.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;
use wharfinger_decisions::server::Power;

use crate::{
    checks,
    diary::Violation,
    model::Ordered,
    ordeal::{Because, Ordeal, Trial},
    rules,
    stage::Stage,
    story::{Act, Idle, SERVERS, Touch},
    watch::{self, doors},
    weather::Weather,
};

/// What came of a trial.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    /// The calls that went wrong.
    pub struck: Vec<String>,
    /// The calls that were to go wrong, and did not come.
    pub missed: Vec<String>,
    /// The rules that did not hold.
    pub violations: Vec<Violation>,
    /// What happened the last time.
    pub lines: Vec<String>,
}

/// How long a server may take to sleep, or to wake, where one call goes wrong.
const LONGEST: Duration = Duration::from_secs(2400);

/// For how long the order to open it is kept, and how long nobody must be there, before an idle server is closed.
const IDLE: Duration = Duration::from_secs(40 * 60 + 15 * 60);

/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_secs(5);

/// Each sleep begins at the same time between two sweeps, and between two searches for other servers.
const BEAT: SignedDuration = SignedDuration::from_mins(10);

/// Lets the server sleep and wake until every call that counts has gone wrong, or a rule does not hold. Each time one
/// goes wrong while it falls asleep, and another while it wakes.
pub(crate) async fn play(stage: &mut Stage, weather: &Weather, trial: Trial) -> Tried {
    prepare(stage, trial.because).await;
    let mut tried = Tried::default();
    let calm = [Ordeal::new(trial.mishap, None), Ordeal::new(trial.mishap, None)];
    let [falling, waking] =
        sleep_and_wake(stage, trial.because, 0, calm).await.map(|calm| trial.of(calm.into_places()));
    for times in 0..falling.len().max(waking.len()) {
        if !weather.diary.violations().is_empty() {
            break;
        }
        let seen = weather.diary.len();
        let ordeals = [&falling, &waking].map(|places| Ordeal::new(trial.mishap, places.get(times).cloned()));
        let ordeals = sleep_and_wake(stage, trial.because, (times + 1) % 2, ordeals).await;
        for (places, ordeal) in [&falling, &waking].into_iter().zip(&ordeals) {
            let list = if ordeal.struck().is_some() { &mut tried.struck } else { &mut tried.missed };
            list.extend(places.get(times).map(|place| place.call.clone()));
        }
        checks::at_once(stage).await;
        checks::at_last(stage).await;
        tried.lines = weather.diary.lines_from(seen);
    }
    tried.violations = weather.diary.violations();
    tried
}

/// The server is online, with settings of its own and with users.
async fn prepare(stage: &mut Stage, because: Because) {
    let idle = match because {
        Because::Ordered => Idle::Stays,
        Because::Idle => Idle::Sleeps,
    };
    stage.perform(&Act::PutServer { server: 0, idle, cidr: 0 }).await;
    stage.perform(&Act::PutSite { site: 0, quiet_seconds: 60, service: 0 }).await;
    for user in 0..2 {
        stage.perform(&Act::PutUser { server: 0, user, key: 0, site: 0 }).await;
    }
    stage.perform(&Act::Power { server: 0, power: Power::Online, now: false }).await;
    until(stage, "online", LONGEST).await;
    stage.perform(&Act::Touch { server: 0, touch: Touch::Banner }).await;
    stage.perform(&Act::Touch { server: 0, touch: Touch::PolicyAndTag }).await;
}

async fn sleep_until_the_beat(stage: &Stage) {
    let second = stage.now().as_second();
    let rest = BEAT.as_secs() - second.rem_euclid(BEAT.as_secs());
    tokio::time::sleep(Duration::from_secs(rest.unsigned_abs())).await;
}

/// The server sleeps and wakes. Meanwhile one user goes and another comes, and a third one gets another key.
async fn sleep_and_wake(
    stage: &mut Stage,
    because: Because,
    turn: usize,
    [falling, waking]: [Ordeal; 2],
) -> [Ordeal; 2] {
    sleep_until_the_beat(stage).await;
    stage.weather.begin(falling);
    match because {
        Because::Ordered => {
            stage.perform(&Act::Power { server: 0, power: Power::Asleep, now: false }).await;
            until(stage, "asleep", LONGEST).await;
        }
        Because::Idle => until(stage, "asleep", IDLE + LONGEST).await,
    }
    let falling = stage.weather.end();
    stage.weather.begin(waking);
    stage.perform(&Act::DeleteUser { server: 0, user: 1 + turn }).await;
    stage.perform(&Act::PutUser { server: 0, user: 2 - turn, key: 0, site: 0 }).await;
    stage.perform(&Act::PutUser { server: 0, user: 0, key: 1 - turn, site: 0 }).await;
    stage.perform(&Act::Power { server: 0, power: Power::Online, now: false }).await;
    until(stage, "online", LONGEST).await;
    [falling, stage.weather.end()]
}

/// Waits until the last order is obeyed and users are as wanted.
async fn until(stage: &Stage, power: &str, longest: Duration) {
    let end = Instant::now() + longest;
    while Instant::now() < end {
        tokio::time::sleep(LOOK).await;
        let item = doors::record(stage.ground(), SERVERS[0]).await;
        let status = &item["status"]["M"];
        let is_obeyed = status["obeyed"]["S"] == item["order"]["M"]["at"]["S"];
        let is_so = match power {
            "asleep" => doors::is_asleep(&item),
            _ => status["power"]["S"] == "online" && checks::users_are_as_wanted(stage, &status["server_id"]["S"]),
        };
        let is_settled = status["settled_version"]["N"] == item["version"]["N"];
        if is_obeyed && is_so && is_settled && status["draining"].is_null() {
            return;
        }
    }
    let status = doors::record(stage.ground(), SERVERS[0]).await["status"].clone();
    let ordered = stage.model.orders.get(&0).copied().unwrap_or(Ordered::Nothing);
    let found = watch::transfer_servers(stage.ground()).await;
    let seen = format!("it is not {power} after {longest:?}: {ordered:?}, {status}, {found:?}");
    stage.weather.diary.violated(rules::WISHED, seen);
}
