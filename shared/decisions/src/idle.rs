//! Whether a server is idle and may be stopped, and why not.
//!
//! A server is idle only if every sign agrees: no datapoint of traffic (Transfer Family emits them while a session is
//! open, even if nothing is transferred), no event, no window or rollout, and online long enough to know. An unanswered
//! question counts as possible use. More signs of use never turn "keep" into "stop".

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    duration::describe,
    ids::FileSystemId,
    names::SiteName,
    order::Order,
    server::{IdlePolicy, Power, ServerPhase, ServerStatus},
};

/// Datapoints come when their period is over, and late: so many periods without one say that nobody was there.
const SILENT_PERIODS: i32 = 3;

/// What traffic says, from CloudWatch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The end of the latest period with a datapoint: a session was open until then, or nearly.
    pub last_session: Option<Timestamp>,
    /// Bytes moved in the window that was asked for.
    pub bytes: u64,
}

/// The activity of a site on the server's file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSign {
    /// The site.
    pub site: SiteName,
    /// The file system that holds it.
    pub file_system_id: FileSystemId,
    /// Its last upload or other change.
    pub last_change: Option<Timestamp>,
    /// Uploads wait for their rollout.
    pub window_open: bool,
    /// A rollout is under way.
    pub rollout_in_flight: bool,
}

/// The answer to a question about use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// Not asked, because nothing depends on it.
    NotAsked,
    /// Not answered, for this reason.
    Unknown(String),
    /// Answered.
    Known(T),
}

impl<T, E: fmt::Display> From<Result<T, E>> for Answer<T> {
    fn from(answer: Result<T, E>) -> Self {
        match answer {
            Ok(known) => Self::Known(known),
            Err(error) => Self::Unknown(error.to_string()),
        }
    }
}

impl<T> Answer<T> {
    /// The answer, or a sentence that says that `what` (`its events are`) unknown.
    fn known(&self, what: &str) -> Result<&T, String> {
        match self {
            Self::Known(known) => Ok(known),
            Self::Unknown(error) => Err(format!("{what} not known: {error}")),
            Self::NotAsked => Err(format!("{what} not known: nobody asked")),
        }
    }
}

/// All signs of use of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signs {
    /// What it is doing.
    pub phase: ServerPhase,
    /// Since when it is online.
    pub online_since: Option<Timestamp>,
    /// When a person last asked for it to be online.
    pub asked_at: Option<Timestamp>,
    /// Its traffic.
    pub traffic: Answer<Traffic>,
    /// Its last event.
    pub last_event: Answer<Option<Timestamp>>,
    /// The sites on its file system.
    pub sites: Answer<Vec<SiteSign>>,
}

impl Signs {
    /// The signs in our own record, with the answers of others.
    #[must_use]
    pub fn new(
        order: Option<&Order>,
        status: &ServerStatus,
        traffic: impl Into<Answer<Traffic>>,
        last_event: impl Into<Answer<Option<Timestamp>>>,
        sites: impl Into<Answer<Vec<SiteSign>>>,
    ) -> Self {
        Self {
            phase: status.phase(),
            online_since: status.online_since,
            asked_at: order.filter(|order| order.power == Power::Online).map(|order| order.at),
            traffic: traffic.into(),
            last_event: last_event.into(),
            sites: sites.into(),
        }
    }

    /// The signs in our own record alone, for a server that is not stopped whatever others answer.
    #[must_use]
    pub fn of_record(order: Option<&Order>, status: &ServerStatus) -> Self {
        Self::new(
            order,
            status,
            Answer::<Traffic>::NotAsked,
            Answer::<Option<Timestamp>>::NotAsked,
            Answer::<Vec<SiteSign>>::NotAsked,
        )
    }
}

/// What is done with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It stays as it is.
    Keep,
    /// It is closed as its idle policy says: stopped, or put to sleep.
    Stop,
}

/// A decision, as the sweep makes it, the table keeps it and the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What is done.
    pub action: Action,
    /// Why, in a sentence for people.
    pub reason: String,
    /// When it was made.
    pub at: Timestamp,
    /// When it may be closed if nobody comes, as far as can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub possible_at: Option<Timestamp>,
}

impl Decision {
    /// Keeps a server as it is, for this reason.
    #[must_use]
    pub fn keep(reason: impl Into<String>, at: Timestamp) -> Self {
        Self { action: Action::Keep, reason: reason.into(), at, possible_at: None }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            Action::Keep => "keep",
            Action::Stop => "stop",
        };
        write!(formatter, "{action}: {}", self.reason)
    }
}

/// How long a server must have been unused: what the policy says, but at least as long as metrics need to show it.
/// `period` is the one at which metrics are emitted.
#[must_use]
pub fn window(policy: &IdlePolicy, period: SignedDuration) -> SignedDuration {
    policy.after.get().max(period * SILENT_PERIODS)
}

/// Decides from the `signs` at `now`. Without a `policy` a server is never stopped for being idle.
#[must_use]
pub fn decide(policy: Option<&IdlePolicy>, period: SignedDuration, signs: &Signs, now: Timestamp) -> Decision {
    let verdict = match policy {
        None => Err("it has no idle policy".to_owned()),
        Some(policy) => quiet_for(window(policy, period), policy, signs, now),
    };
    let possible_at = policy.and_then(|policy| possible_at(window(policy, period), signs));
    match verdict {
        Err(reason) => Decision { possible_at, ..Decision::keep(reason, now) },
        Ok(quiet) => {
            let reason = format!("nobody was here for {}", ago(quiet));
            Decision { action: Action::Stop, reason, at: now, possible_at: None }
        }
    }
}

/// The end of the window that began with the last sign of use.
fn possible_at(window: SignedDuration, signs: &Signs) -> Option<Timestamp> {
    let online_since = signs.online_since.filter(|_| signs.phase == ServerPhase::Online)?;
    let last = last_sign(signs, online_since)?;
    Some(last.saturating_add(window).unwrap_or(Timestamp::MAX))
}

/// The last sign of use, or `None` if it is not known.
fn last_sign(signs: &Signs, online_since: Timestamp) -> Option<Timestamp> {
    let (traffic, last_event) = (signs.traffic.known("").ok()?, signs.last_event.known("").ok()?);
    let changes = signs.sites.known("").ok()?.iter().filter_map(|site| site.last_change);
    [Some(online_since), traffic.last_session, *last_event, signs.asked_at].into_iter().flatten().chain(changes).max()
}

/// How long the server has been unused, or why it is kept.
fn quiet_for(
    window: SignedDuration,
    policy: &IdlePolicy,
    signs: &Signs,
    now: Timestamp,
) -> Result<SignedDuration, String> {
    if signs.phase != ServerPhase::Online {
        return Err("it is not online".into());
    }
    let online_since = signs.online_since.ok_or("it is not known since when it is online")?;
    let traffic = signs.traffic.known("its traffic is")?;
    let last_event = signs.last_event.known("its events are")?;
    let sites = signs.sites.known("its sites are")?;
    busy_site(sites)?;
    let since = |at: Timestamp| now.duration_since(at).max(SignedDuration::ZERO);
    let recent = |at: Option<Timestamp>| at.map(since).filter(|passed| *passed < window);

    if let Some(passed) = recent(traffic.last_session) {
        return Err(match traffic.bytes {
            0 => format!("a session was open {} ago", ago(passed)),
            bytes => format!(
                "{} moved in the last {}, in a session that was open {} ago",
                size(bytes),
                ago(window),
                ago(passed)
            ),
        });
    }
    if let Some(passed) = recent(*last_event) {
        return Err(format!("its files were used {} ago", ago(passed)));
    }
    for site in sites {
        if let Some(passed) = recent(site.last_change) {
            return Err(format!("site {} was changed {} ago", site.site, ago(passed)));
        }
    }
    if let Some(passed) = recent(Some(online_since)) {
        let needed = if window > policy.after.get() { "three metric periods are" } else { "idle.after is" };
        return Err(format!("online for only {}, {needed} {}", ago(passed), ago(window)));
    }
    if let Some(passed) = recent(signs.asked_at) {
        return Err(format!("a person asked for it {} ago", ago(passed)));
    }
    Ok(since(last_sign(signs, online_since).unwrap_or(online_since)))
}

fn busy_site(sites: &[SiteSign]) -> Result<(), String> {
    for site in sites {
        if site.window_open {
            return Err(format!("site {} has uploads waiting for their rollout", site.site));
        }
        if site.rollout_in_flight {
            return Err(format!("site {} is being rolled out", site.site));
        }
    }
    Ok(())
}

/// Minutes are enough once there are some.
fn ago(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let rounded = if seconds < 600 { seconds } else { seconds - seconds % 60 };
    describe(SignedDuration::from_secs(rounded))
}

/// Bytes for people, in powers of 1000.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{duration::HumanDuration, server::IdleAction};

    const PERIOD: SignedDuration = SignedDuration::from_secs(300);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }
    fn policy(seconds: u32) -> IdlePolicy {
        IdlePolicy { after: HumanDuration::from_secs(seconds), action: IdleAction::Stop }
    }
    /// Online since second 0, and nobody came.
    fn quiet() -> Signs {
        Signs {
            phase: ServerPhase::Online,
            online_since: Some(at(0)),
            asked_at: None,
            traffic: Answer::Known(Traffic::default()),
            last_event: Answer::Known(None),
            sites: Answer::Known(Vec::new()),
        }
    }
    fn session(until: i64, bytes: u64) -> Answer<Traffic> {
        Answer::Known(Traffic { last_session: Some(at(until)), bytes })
    }
    fn site(last_change: Option<i64>) -> SiteSign {
        SiteSign {
            site: SiteName::parse("blog").unwrap(),
            file_system_id: FileSystemId::parse("fs-0a1b2c3d").unwrap(),
            last_change: last_change.map(at),
            window_open: false,
            rollout_in_flight: false,
        }
    }
    fn told(policy: &IdlePolicy, signs: &Signs, now: i64) -> String {
        decide(Some(policy), PERIOD, signs, at(now)).to_string()
    }

    #[test]
    fn a_server_where_nobody_was_is_stopped() {
        assert_eq!(told(&policy(1800), &quiet(), 2520), "stop: nobody was here for 42m");
    }

    #[test]
    fn an_open_session_keeps_the_server_online_also_when_nothing_moves() {
        let signs = Signs { traffic: session(9760, 0), ..quiet() };
        assert_eq!(told(&policy(1800), &signs, 10_000), "keep: a session was open 4m ago");
        let signs = Signs { traffic: session(9760, 3_140_000), ..quiet() };
        assert_eq!(
            told(&policy(1800), &signs, 10_000),
            "keep: 3.1 MB moved in the last 30m, in a session that was open 4m ago"
        );
    }

    #[test]
    fn a_server_gets_its_time_after_a_start() {
        assert_eq!(told(&policy(1800), &quiet(), 180), "keep: online for only 3m, idle.after is 30m");
        let signs = Signs { asked_at: Some(at(9000)), ..quiet() };
        assert_eq!(told(&policy(1800), &signs, 9300), "keep: a person asked for it 5m ago");
    }

    #[test]
    fn a_short_policy_waits_until_metrics_can_tell() {
        assert_eq!(told(&policy(10), &quiet(), 300), "keep: online for only 5m, three metric periods are 15m");
        assert_eq!(told(&policy(10), &quiet(), 900), "stop: nobody was here for 15m");
    }

    #[test]
    fn a_question_without_an_answer_is_not_idle() {
        for signs in [
            Signs { traffic: Answer::Unknown("throttled".into()), ..quiet() },
            Signs { last_event: Answer::Unknown("throttled".into()), ..quiet() },
            Signs { sites: Answer::Unknown("throttled".into()), ..quiet() },
            Signs { sites: Answer::NotAsked, ..quiet() },
            Signs { online_since: None, ..quiet() },
        ] {
            assert!(told(&policy(10), &signs, 100_000).contains("not known"));
        }
    }

    #[test]
    fn a_window_or_a_rollout_keeps_it() {
        let signs = |site| Signs { sites: Answer::Known(vec![site]), ..quiet() };
        let open = SiteSign { window_open: true, ..site(None) };
        assert_eq!(told(&policy(10), &signs(open), 9000), "keep: site blog has uploads waiting for their rollout");
        let rolling = SiteSign { rollout_in_flight: true, ..site(None) };
        assert_eq!(told(&policy(10), &signs(rolling), 9000), "keep: site blog is being rolled out");
        assert_eq!(told(&policy(1800), &signs(site(Some(8400))), 9000), "keep: site blog was changed 10m ago");
    }

    #[test]
    fn only_an_online_server_with_a_policy_is_stopped() {
        assert_eq!(decide(None, PERIOD, &quiet(), at(90_000)).to_string(), "keep: it has no idle policy");
        for phase in [ServerPhase::Starting, ServerPhase::Stopping, ServerPhase::Stopped, ServerPhase::Failed] {
            assert_eq!(told(&policy(10), &Signs { phase, ..quiet() }, 90_000), "keep: it is not online");
        }
    }

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_140_000, "3.1 MB"), (999_999, "999.9 kB")]
        {
            assert_eq!(size(bytes), text);
        }
        assert!(size(u64::MAX).ends_with(" PB"));
    }

    prop_compose! {
        fn any_signs()(
            online in prop::bool::weighted(0.9), since in prop::option::weighted(0.9, -50_000i64..50_000),
            asked in prop::option::of(-50_000i64..50_000), session in prop::option::of(-50_000i64..50_000), bytes in any::<u64>(),
            event in prop::option::of(-50_000i64..50_000), failed in prop::bool::weighted(0.1),
            site_change in prop::option::of(-50_000i64..50_000), window_open in prop::bool::weighted(0.1), rollout in prop::bool::weighted(0.1),
        ) -> Signs {
            Signs {
                phase: if online { ServerPhase::Online } else { ServerPhase::Stopped },
                online_since: since.map(at),
                asked_at: asked.map(at),
                traffic: if failed { Answer::Unknown("no answer".into()) } else { Answer::Known(Traffic { last_session: session.map(at), bytes }) },
                last_event: Answer::Known(event.map(at)),
                sites: Answer::Known(vec![SiteSign { window_open, rollout_in_flight: rollout, ..site(site_change) }]),
            }
        }
    }

    proptest! {
        #[test]
        fn a_stop_stays_a_stop_while_nobody_comes(signs in any_signs(), after in 1u32..90_000, now in 0i64..100_000, later in 0i64..100_000) {
            let first = decide(Some(&policy(after)), PERIOD, &signs, at(now));
            prop_assert_eq!(&first, &decide(Some(&policy(after)), PERIOD, &signs, at(now)));
            prop_assert!(!first.reason.is_empty());
            if first.action == Action::Stop {
                prop_assert_eq!(decide(Some(&policy(after)), PERIOD, &signs, at(now + later)).action, Action::Stop);
            }
        }

        #[test]
        fn a_longer_policy_stops_no_earlier(signs in any_signs(), after in 1u32..90_000, more in 0u32..90_000, now in 0i64..100_000) {
            if decide(Some(&policy(after)), PERIOD, &signs, at(now)).action == Action::Keep {
                prop_assert_eq!(decide(Some(&policy(after + more)), PERIOD, &signs, at(now)).action, Action::Keep);
            }
        }

        #[test]
        fn more_signs_of_use_never_turn_keep_into_stop(signs in any_signs(), after in 1u32..90_000, now in 0i64..100_000, sign in -50_000i64..50_000, which in 0..4) {
            let mut more = signs.clone();
            match which {
                0 => {
                    if let Answer::Known(event) = &mut more.last_event {
                        *event = (*event).max(Some(at(sign)));
                    }
                }
                1 => more.asked_at = more.asked_at.max(Some(at(sign))),
                2 => {
                    if let Answer::Known(traffic) = &mut more.traffic {
                        traffic.last_session = traffic.last_session.max(Some(at(sign)));
                    }
                }
                _ => more.sites = Answer::Unknown("no answer".into()),
            }
            if decide(Some(&policy(after)), PERIOD, &signs, at(now)).action == Action::Keep {
                prop_assert_eq!(decide(Some(&policy(after)), PERIOD, &more, at(now)).action, Action::Keep);
            }
        }

        #[test]
        fn a_session_within_the_window_keeps_it(signs in any_signs(), after in 1u32..90_000, now in 0i64..100_000, passed in 0i64..90_000) {
            let passed = passed.min(i64::from(after.max(900)) - 1);
            let signs = Signs { traffic: session(now - passed, 0), ..signs };
            prop_assert_eq!(decide(Some(&policy(after)), PERIOD, &signs, at(now)).action, Action::Keep);
        }
    }
}
