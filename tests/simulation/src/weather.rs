//! What AWS is like: each call of a function takes its time, and in a storm some are throttled, fail, lose their
//! answers or never come back, and functions die in the midst of them. People's own calls don't come here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wharfinger_emulator::{
    clock::Clock,
    endpoint::{front::Services, wire::Call},
};

use crate::{
    diary::Diary,
    ordeal::{Mishap, Ordeal},
    plant::Plant,
    portrait::Portrait,
    secrets::Secrets,
    story::Strike,
};

/// The weather of one world. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Weather {
    state: Arc<Mutex<State>>,
    /// Weak: its services ask the weather before each call, so that neither would ever be dropped.
    ground: Arc<OnceLock<Weak<Ground>>>,
    pub(crate) diary: Diary,
    pub(crate) secrets: Secrets,
    pub(crate) plant: Option<Plant>,
}

/// What is there once the world is.
pub(crate) struct Ground {
    pub(crate) services: Services,
    pub(crate) clock: Clock,
    /// The functions' names by their access key ids.
    pub(crate) callers: BTreeMap<String, String>,
    /// The name of the table.
    pub(crate) table: String,
    /// The prefix of the secrets' names.
    pub(crate) secrets: String,
}

struct State {
    rng: Rng,
    /// Until when, and how many calls of a hundred go wrong.
    storm: Option<(Timestamp, u8)>,
    denied: Vec<Denial>,
    /// When an operation was denied last.
    refused: BTreeMap<String, Timestamp>,
    strikes: Vec<(&'static str, &'static str, Strike)>,
    ordeal: Option<Ordeal>,
    /// Until when messages are delivered twice.
    doubles: Option<Timestamp>,
    muted: bool,
    last_fault: Option<Timestamp>,
    /// When a storm hit a call last.
    last_hit: Option<Timestamp>,
    /// Since when somebody is on a server without a break, by its id.
    sessions: BTreeMap<String, Timestamp>,
    /// Revisions that their makers know to be registered.
    revisions: BTreeSet<String>,
    /// How many of the next starts of servers end in START_FAILED.
    failing_starts: u32,
    /// How many dead letters were found, by queue.
    letters: BTreeMap<String, usize>,
    /// What servers were like when they were put to sleep, by name.
    portraits: BTreeMap<String, Portrait>,
    /// Elastic IPs that went away by accident.
    lost_addresses: BTreeSet<String>,
    /// Servers that a planted bug takes for deleted.
    left: BTreeSet<String>,
}

struct Denial {
    service: &'static str,
    operation: &'static str,
    until: Timestamp,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    Denied,
    Throttled,
    Failed,
    AnswerLost,
    CutBefore,
    CutAfter,
    HangsBefore,
    HangsAfter,
    KilledBefore,
    KilledAfter,
}

const FATES: [Fate; 12] = [
    Fate::Throttled,
    Fate::Throttled,
    Fate::Throttled,
    Fate::Failed,
    Fate::Failed,
    Fate::AnswerLost,
    Fate::CutBefore,
    Fate::CutAfter,
    Fate::HangsBefore,
    Fate::HangsAfter,
    Fate::KilledBefore,
    Fate::KilledAfter,
];

impl From<Strike> for Fate {
    fn from(strike: Strike) -> Self {
        match strike {
            Strike::DiesBefore => Self::KilledBefore,
            Strike::DiesAfter => Self::KilledAfter,
            Strike::LosesAnswer => Self::CutAfter,
            Strike::NeverAnswers => Self::HangsAfter,
        }
    }
}

impl From<Mishap> for Fate {
    fn from(mishap: Mishap) -> Self {
        match mishap {
            Mishap::Dies => Self::KilledAfter,
            Mishap::Throttled => Self::Throttled,
            Mishap::LosesAnswer => Self::CutAfter,
            Mishap::NeverAnswers => Self::HangsAfter,
        }
    }
}

impl Weather {
    pub(crate) fn new(seed: u64, plant: Option<Plant>) -> Self {
        let rng = Rng::with_seed(seed ^ 0x5eed);
        let state = State {
            rng,
            storm: None,
            denied: Vec::new(),
            refused: BTreeMap::new(),
            strikes: Vec::new(),
            ordeal: None,
            doubles: None,
            muted: false,
            last_fault: None,
            last_hit: None,
            sessions: BTreeMap::new(),
            revisions: BTreeSet::new(),
            failing_starts: 0,
            letters: BTreeMap::new(),
            portraits: BTreeMap::new(),
            lost_addresses: BTreeSet::new(),
            left: BTreeSet::new(),
        };
        let state = Arc::new(Mutex::new(state));
        Self { state, ground: Arc::default(), diary: Diary::default(), secrets: Secrets::default(), plant }
    }

    /// Takes up the world once it is there.
    pub(crate) fn settle_on(&self, ground: &Arc<Ground>) {
        self.diary.begin(&ground.clock);
        self.ground.get_or_init(|| Arc::downgrade(ground));
    }

    pub(crate) fn ground(&self) -> Option<Arc<Ground>> {
        self.ground.get().and_then(Weak::upgrade)
    }

    /// `percent` of calls go wrong until `until`.
    pub(crate) fn storm(&self, until: Timestamp, percent: u8) {
        self.state().storm = Some((until, percent));
    }

    /// The next `times` starts of servers end in START_FAILED.
    pub(crate) fn fail_starts(&self, times: u32) {
        self.state().failing_starts = times;
    }

    /// Whether a start that is asked for is to fail.
    pub(crate) fn takes_failing_start(&self, operation: &str) -> bool {
        let mut state = self.state();
        let takes = matches!(operation, "CreateServer" | "StartServer") && state.failing_starts > 0;
        state.failing_starts -= u32::from(takes);
        takes
    }

    pub(crate) fn deny(&self, service: &'static str, operation: &'static str, until: Timestamp) {
        self.state().denied.push(Denial { service, operation, until });
    }

    /// The next call of `operation` goes wrong.
    pub(crate) fn strike(&self, service: &'static str, operation: &'static str, strike: Strike) {
        self.state().strikes.push((service, operation, strike));
    }

    /// From now on the calls that functions make are counted, and one may go wrong.
    pub(crate) fn begin(&self, ordeal: Ordeal) {
        self.state().ordeal = Some(ordeal);
    }

    /// The calls since the beginning.
    pub(crate) fn end(&self) -> Ordeal {
        self.state().ordeal.take().expect("calls are counted")
    }

    /// Messages are delivered twice until `until`.
    pub(crate) fn double(&self, until: Timestamp) {
        let mut state = self.state();
        state.doubles = state.doubles.max(Some(until));
    }

    /// How long after its first delivery a message is delivered once more at `now`, if it is.
    pub(crate) fn delivered_again(&self, now: Timestamp) -> Option<Duration> {
        let mut state = self.state();
        if state.doubles.is_none_or(|until| until <= now) {
            return None;
        }
        let milliseconds = if state.rng.bool() { state.rng.u64(0..20) } else { state.rng.u64(5_000..150_000) };
        Some(Duration::from_millis(milliseconds))
    }

    /// Ends everything that goes wrong.
    pub(crate) fn clear_up(&self) {
        let mut state = self.state();
        (state.storm, state.doubles) = (None, None);
        state.denied.clear();
        state.strikes.clear();
    }

    /// While it is muted, the API's calls go through at once: for looking at the world. The other functions' go on as
    /// they were.
    pub(crate) fn mute(&self, muted: bool) {
        self.state().muted = muted;
    }

    /// When something went wrong last, and whether anything may go wrong at `now`.
    pub(crate) fn unrest(&self, now: Timestamp) -> Option<Timestamp> {
        let state = self.state();
        let stormy = state.storm.is_some_and(|(until, _)| until > now);
        let denied = state.denied.iter().any(|denial| denial.until > now);
        if stormy || denied { Some(now) } else { state.last_fault }
    }

    /// Whether a storm is on at `now`, or hit a call within `span` before.
    pub(crate) fn storms_since(&self, now: Timestamp, span: SignedDuration) -> bool {
        let state = self.state();
        let stormy = state.storm.is_some_and(|(until, _)| until > now);
        stormy || state.last_hit.is_some_and(|at| now.duration_since(at) <= span)
    }

    /// Whether `operation` was denied at `since` or later.
    pub(crate) fn refused_since(&self, operation: &str, since: Timestamp) -> bool {
        self.state().refused.get(operation).is_some_and(|at| *at >= since)
    }

    /// A time drawn for something that is late, in milliseconds.
    pub(crate) fn draw(&self, milliseconds: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.state().rng.u64(milliseconds))
    }

    /// Whether something of so many in a hundred happens.
    pub(crate) fn chance(&self, percent: u8) -> bool {
        self.state().rng.u8(0..100) < percent
    }

    /// By how much an invocation's clock is off.
    pub(crate) fn skew(&self) -> SignedDuration {
        SignedDuration::from_millis(self.state().rng.i64(-1500..1500))
    }

    /// Somebody came, or the last one went.
    pub(crate) fn note_sessions(&self, server_id: &str, since: Option<Timestamp>) {
        let mut state = self.state();
        match since {
            Some(since) => {
                state.sessions.entry(server_id.to_owned()).or_insert(since);
            }
            None => {
                state.sessions.remove(server_id);
            }
        }
    }

    pub(crate) fn session_since(&self, server_id: &str) -> Option<Timestamp> {
        self.state().sessions.get(server_id).copied()
    }

    /// Keeps in mind what a server is like that is put to sleep.
    pub(crate) fn remember(&self, server: &str, portrait: Portrait) {
        self.state().portraits.insert(server.to_owned(), portrait);
    }

    /// What a server was like when it was put to sleep.
    pub(crate) fn portrait(&self, server: &str) -> Option<Portrait> {
        self.state().portraits.get(server).cloned()
    }

    /// The server has woken, or is gone for good.
    pub(crate) fn forget(&self, server: &str) {
        self.state().portraits.remove(server);
    }

    /// An Elastic IP goes away by accident.
    pub(crate) fn lose_address(&self, allocation: &str) {
        self.state().lost_addresses.insert(allocation.to_owned());
    }

    pub(crate) fn has_lost(&self, allocation: &str) -> bool {
        self.state().lost_addresses.contains(allocation)
    }

    /// A server is taken for deleted from now on.
    pub(crate) fn leave(&self, id: &str) {
        self.state().left.insert(id.to_owned());
    }

    pub(crate) fn has_left(&self, id: &str) -> bool {
        self.state().left.contains(id)
    }

    /// Notes a registered revision: whether it was registered before.
    pub(crate) fn registered(&self, input: &Value) -> bool {
        !self.state().revisions.insert(input.to_string())
    }

    /// Notes that a queue holds `letters`: whether there are new ones among them.
    pub(crate) fn are_new(&self, queue: &str, letters: usize) -> bool {
        let known = self.state().letters.insert(queue.to_owned(), letters);
        letters > known.unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fate(&self, caller: &str, call: &Call, now: Timestamp) -> (Fate, Duration) {
        let mut state = self.state();
        if state.muted && caller == "api" {
            return (Fate::Done, Duration::ZERO);
        }
        let latency = match call.service.as_str() {
            "dynamodb" | "sqs" => state.rng.u64(2..15),
            _ => state.rng.u64(20..150),
        };
        let latency = Duration::from_millis(latency);
        if let Some(mishap) = state.ordeal.as_mut().and_then(|ordeal| ordeal.mishap(caller, call)) {
            (state.last_fault, state.last_hit) = (Some(now), Some(now));
            return (mishap.into(), latency);
        }
        state.denied.retain(|denial| denial.until > now);
        if state.denied.iter().any(|denial| denial.service == call.service && denial.operation == call.operation) {
            state.last_fault = Some(now);
            state.refused.insert(call.operation.clone(), now);
            if call.service == "transfer" {
                state.last_hit = Some(now);
            }
            return (Fate::Denied, latency);
        }
        let struck = state.strikes.iter().position(|(service, operation, _)| {
            (call.service.as_str(), call.operation.as_str()) == (*service, *operation)
        });
        if let Some(index) = struck {
            (state.last_fault, state.last_hit) = (Some(now), Some(now));
            return (state.strikes.swap_remove(index).2.into(), latency);
        }
        let percent = state.storm.filter(|(until, _)| *until > now).map_or(0, |(_, percent)| percent);
        if percent == 0 || state.rng.u8(0..100) >= percent {
            return (Fate::Done, latency);
        }
        (state.last_fault, state.last_hit) = (Some(now), Some(now));
        let index = state.rng.usize(..FATES.len());
        (FATES[index], latency)
    }
}
