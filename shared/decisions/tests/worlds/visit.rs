//! A visit as `reconcile` makes it: look, decide, act, and again, until there is something to wait for; then write down.
//! It may stop for good after each of these.

use std::sync::LazyLock;

use wharfinger_decisions::{
    deployment::{self, Tags},
    drain::{self, Cause, Facts, Verdict},
    idle::{Action, Answer, Decision, Traffic},
    placement::{History, Refused},
    power::{self, AwsState, Door, Endpoint, Observed, Plan, Situation, Step, Wanted},
    preflight::Obstacle,
    presence::{LogLine, Presence},
    server::{Power, ServerPhase},
    wish::Because,
};

use crate::world::{
    Age, Aim, Aws, DRAIN_FOR, Memory, Place, RECORD_ID, Server, Status, Table, Thing, after, at, group, older, tags,
};

/// A visit under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Visit {
    pub(crate) aim: Aim,
    /// How long ago the order was given that it goes by.
    pub(crate) ordered: Option<Age>,
    /// How long ago the server was moved to where it is to be.
    pub(crate) moved: Age,
    /// The status that it read.
    pub(crate) read: Status,
    pub(crate) memory: Memory,
    pub(crate) seen: Seen,
    pub(crate) stage: Stage,
    /// The record has the id that its servers bear.
    pub(crate) has_id: bool,
}

/// Somebody's server.
pub(crate) const DECOY: Server = Server {
    id: u8::MAX,
    state: AwsState::Online,
    place: Place { network: 0, attached: false },
    answers: true,
    keyed: false,
    settings: false,
    shown: true,
};

/// What it saw last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) server: Option<Server>,
    pub(crate) missing: Option<Thing>,
    /// The wanted address is held by something else.
    pub(crate) held: bool,
    /// EC2 did not answer.
    pub(crate) blind: bool,
    /// Before there was a server for the record, somebody's bears our tags.
    pub(crate) claimed: bool,
}

/// What it does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// It decides.
    Looked,
    /// It makes this call.
    Calling(Call),
    /// It writes this down.
    Ending(End),
}

/// A step that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Create,
    Readdress(Place),
    ImportHostKeys,
    Start,
    Drain,
    Stop,
    Sleep,
    Delete,
}

/// Why it takes no more steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    /// The plan says so.
    Plan { phase: ServerPhase, settled: bool },
    /// AWS has deleted the server.
    Forget,
    /// Somebody is there after all.
    Kept,
    /// A step failed.
    Failed { temporary: bool },
}

impl Aim {
    pub(crate) fn opens(&self) -> bool {
        self.power == Power::Online && !self.deleting
    }
}

impl Seen {
    pub(crate) fn of(aws: &Aws, aim: &Aim, known: Option<u8>, blind: bool, has_id: bool) -> Self {
        static TAGS: LazyLock<[Tags; 2]> = LazyLock::new(|| [tags(false), tags(true)]);
        let is_proven = |is_ours: bool| {
            let record_id = has_id.then_some(RECORD_ID);
            deployment::is_made_for(record_id, &TAGS[usize::from(is_ours)])
        };
        let shown = || aws.servers.iter().flatten().filter(|server| server.shown);
        let by_id = shown().find(|server| Some(server.id) == known).copied();
        // The decoy has more users than any of ours.
        let found = || {
            let decoy = aws.decoy.then_some(DECOY).filter(|_| is_proven(false));
            decoy.or_else(|| shown().filter(|_| is_proven(true)).min_by_key(|server| server.id).copied())
        };
        let server = by_id.or_else(found);
        let claimed = server.is_none() && aws.decoy && !has_id;
        let elsewhere = |server: &Server| server.place == Place::of(aim.network);
        let own = server.is_some_and(|server| elsewhere(&server));
        let held = !own && (aws.held == Some(aim.network) || aws.servers.iter().flatten().any(elsewhere));
        Self { server, missing: aws.missing, held, blind, claimed }
    }

    /// Whether clients may be logged in.
    pub(crate) fn is_open(&self) -> bool {
        self.server.is_some_and(|server| power::is_open(server.state))
    }

    fn obstacles(&self, network: u8) -> Vec<Obstacle> {
        let changes = self.server.is_none_or(|server| server.place != Place::of(network));
        let mut obstacles = Vec::new();
        if self.held {
            obstacles.push(Obstacle::AddressHeld(crate::world::address(network)));
        }
        if self.blind {
            obstacles.push(Obstacle::Unknown { error: "EC2 does not answer".into(), temporary: true });
        }
        match self.missing {
            Some(Thing::Address) => obstacles.push(Obstacle::AddressMissing(crate::world::address(network))),
            Some(Thing::Subnet) if changes => obstacles.push(Obstacle::SubnetMissing(crate::world::subnet(network))),
            Some(Thing::Group) if changes => obstacles.push(Obstacle::GroupMissing(group())),
            _ => {}
        }
        obstacles
    }

    /// Whether a server that is deleted now could not be rebuilt.
    pub(crate) fn lacks(&self, network: u8) -> bool {
        self.missing == Some(Thing::Secret) || self.server.is_some_and(|server| server.place != Place::of(network))
    }
}

impl Visit {
    pub(crate) fn new(table: &Table, seen: Seen) -> Self {
        let aim = Self::aim(table);
        let offline = seen.server.is_some_and(|server| server.state == AwsState::Offline);
        let memory = table.status.memory.with_history(|history| history.at_first(aim.opens(), offline));
        let memory = Memory { making: memory.making.filter(|_| seen.server.is_none()), ..memory };
        Self {
            aim,
            ordered: table.intent.order.map(|said| said.age),
            moved: table.intent.moved,
            read: table.status,
            memory,
            seen,
            stage: Stage::Looked,
            has_id: table.has_id,
        }
    }

    pub(crate) fn aim(table: &Table) -> Aim {
        let (wish, intent) = (table.intent.wish(), &table.intent);
        Aim { deleting: intent.deleting, power: wish.power, because: wish.because, network: intent.network }
    }

    /// What could not be rebuilt stays as it is.
    pub(crate) fn kept_for_a_lack(self) -> Self {
        let power = match self.seen.server.map(|server| server.state) {
            _ if self.aim.power != Power::Asleep || self.aim.deleting || !self.seen.lacks(self.aim.network) => {
                return self;
            }
            Some(AwsState::Online | AwsState::StopFailed) => Power::Online,
            Some(AwsState::Offline | AwsState::StartFailed) => Power::Stopped,
            _ => return self,
        };
        Self { aim: Aim { power, because: Because::Spec, ..self.aim }, ..self }
    }

    pub(crate) fn later(self) -> Self {
        let read = Status { memory: self.read.memory.later(), ..self.read };
        let (ordered, moved) = (self.ordered.map(older), older(self.moved));
        Self { memory: self.memory.later(), read, ordered, moved, ..self }
    }

    /// Whether new clients are to be let in.
    pub(crate) fn admits(&self) -> bool {
        self.aim.opens() && self.memory.draining.is_none()
    }

    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            deleting: self.aim.deleting,
            power: self.aim.power,
            because: self.aim.because,
            power_reason: "why".into(),
            placement: Place::of(self.aim.network).placement(),
            groups: [group()].into(),
        }
    }

    pub(crate) fn situation(&self) -> Situation {
        let mut history = self.memory.history();
        // Records of earlier versions do not tell in which placement it was online.
        if self.read.power == ServerPhase::Online {
            let same = self.seen.server.filter(|server| self.read.id == Some(server.id));
            let placement = same.map(|server| server.place.placement());
            history.in_service = history.in_service.or(placement);
        }
        let endpoint = |server: Server| match (self.seen.blind, server.answers) {
            (true, _) => Endpoint::Unknown,
            (false, false) => Endpoint::Absent,
            (false, true) => Endpoint::Present { groups: [group()].into(), available: true },
        };
        let observed = |server: Server| Observed {
            state: server.state,
            placement: server.place.placement(),
            endpoint: endpoint(server),
            lacks_host_keys: self.memory.keyed != Some(server.id),
        };
        Situation {
            server: self.seen.server.map(observed),
            making: self.read.memory.making == Some(0),
            sleeps: self.memory.asleep.is_some(),
            obstacles: self.seen.obstacles(self.aim.network),
            history,
        }
    }

    /// How far the server, which is to be shut, is drained; `None` if it is opened again. `session`: somebody is logged
    /// in, or nobody can tell.
    pub(crate) fn door(&self, session: Option<bool>) -> Option<Door> {
        if self.is_at_once() {
            return Some(Door::Empty);
        }
        let Some(age) = self.memory.draining else { return Some(Door::Open) };
        match self.verdict(age, session) {
            Verdict::Wait { reason, .. } => Some(Door::Draining(reason)),
            Verdict::Shut { .. } => Some(Door::Empty),
            Verdict::Reopen { .. } => None,
        }
    }

    /// Whether nobody is waited for.
    pub(crate) fn is_at_once(&self) -> bool {
        self.aim.because == (Because::Order { now: true }) && !self.aim.opens() || self.was_out_of_reach()
    }

    fn was_out_of_reach(&self) -> bool {
        let answers = self.seen.blind || self.seen.server.is_some_and(|server| server.answers);
        let is_in_place = self.seen.server.is_some_and(|server| server.place == Place::of(self.aim.network));
        self.memory.in_service.is_none() && !(is_in_place && answers)
    }

    fn verdict(&self, age: Age, session: Option<bool>) -> Verdict {
        static NOBODY: LazyLock<Answer<Presence>> = LazyLock::new(|| Answer::Known(Presence::default()));
        static ALICE: LazyLock<Answer<Presence>> = LazyLock::new(|| {
            let message = r#"{"activity-type":"CONNECTED","session-id":"1","user":"alice"}"#.into();
            Answer::Known(Presence::read(&[LogLine { at: at(-60), message }]))
        });
        static UNKNOWN: LazyLock<Answer<Presence>> = LazyLock::new(|| Answer::Unknown("throttled".into()));
        let cause = match self.aim.because {
            _ if self.aim.opens() => Cause::Interruption,
            Because::Idle => Cause::Idle,
            Because::Order { .. } | Because::Spec => Cause::Person,
        };
        let action = if session == Some(false) { Action::Close } else { Action::Keep };
        let idle = Decision { action, ..Decision::keep("somebody was here", at(0)) };
        let asked = match cause {
            Cause::Idle => None,
            Cause::Person => self.ordered,
            Cause::Interruption => Some(self.moved),
        };
        let asked_at = asked.map(|asked| at(0) + after(age).duration_since(after(asked)));
        let facts = Facts {
            cause,
            since: at(0),
            asked_at,
            drain_for: DRAIN_FOR,
            period: jiff::SignedDuration::from_mins(5),
            sessions: session.map_or(&UNKNOWN, |session| if session { &ALICE } else { &NOBODY }),
            traffic: &Answer::<Traffic>::NotAsked,
            idle: Some(&idle),
        };
        drain::decide(&facts, after(age))
    }

    /// The status that it leaves.
    pub(crate) fn status(&self, end: End) -> Status {
        let before = self.read.phase();
        let phase = match end {
            End::Kept => self.stuck(),
            End::Plan { phase: ServerPhase::Starting, .. }
                if before == ServerPhase::Online && self.is_known() && self.seen.blind && self.is_online() =>
            {
                ServerPhase::Online
            }
            End::Plan { phase, .. } => phase,
            End::Forget => ServerPhase::Deleting,
            End::Failed { temporary: true } => self.still(before),
            End::Failed { temporary: false } => self.stuck(),
        };
        let memory = self.remembered(phase, end);
        let power = match phase {
            ServerPhase::Draining => ServerPhase::Online,
            ServerPhase::Asleep => ServerPhase::Stopped,
            phase => phase,
        };
        Status { power, id: self.seen.server.map(|server| server.id), memory }
    }

    fn is_online(&self) -> bool {
        self.seen.server.is_some_and(|server| server.state == AwsState::Online)
    }

    /// What it does if that was `before`: a server that is not there, or not open, is not online.
    fn still(&self, before: ServerPhase) -> ServerPhase {
        match self.seen.server {
            _ if self.aim.deleting => ServerPhase::Deleting,
            _ if !matches!(before, ServerPhase::Online | ServerPhase::Draining) => before,
            Some(server) if power::is_open(server.state) && self.is_whole() => before,
            Some(server) if power::is_open(server.state) => ServerPhase::Starting,
            Some(server) => power::phase(server.state),
            None if self.aim.opens() => ServerPhase::Creating,
            None => ServerPhase::Stopping,
        }
    }

    fn stuck(&self) -> ServerPhase {
        let available = self.seen.blind || self.seen.server.is_some_and(|server| server.answers);
        match self.seen.server.map(|server| server.state) {
            Some(AwsState::Online) if available && self.is_whole() => ServerPhase::Online,
            Some(AwsState::Online) => ServerPhase::Starting,
            Some(state @ (AwsState::Starting | AwsState::Stopping)) => power::phase(state),
            _ => ServerPhase::Failed,
        }
    }

    /// Whether the server is the one that the status is about.
    fn is_known(&self) -> bool {
        self.read.id == self.seen.server.map(|server| server.id)
    }

    /// Whether it has all host keys, or was shown online before they were looked at.
    fn is_whole(&self) -> bool {
        let id = self.seen.server.map(|server| server.id);
        self.memory.keyed == id || self.read.power == ServerPhase::Online && self.is_known()
    }

    fn remembered(&self, phase: ServerPhase, end: End) -> Memory {
        let place = self.seen.server.map(|server| server.place);
        let in_use = place.filter(|_| phase == ServerPhase::Online && self.is_online());
        let is_settled = matches!(phase, ServerPhase::Online | ServerPhase::Stopped);
        let wanted = Some(Place::of(self.aim.network));
        Memory {
            in_service: in_use.or(self.memory.in_service),
            refused: self.memory.refused.filter(|_| self.memory.refused == wanted && self.memory.refused != place),
            draining: self.memory.draining.filter(|_| self.seen.is_open()),
            asleep: self.memory.asleep.filter(|_| self.aim.power == Power::Asleep || !is_settled),
            making: self
                .memory
                .making
                .filter(|_| self.seen.server.is_none() && end != End::Failed { temporary: false }),
            keyed: self.memory.keyed,
        }
    }
}

impl Memory {
    pub(crate) fn history(&self) -> History {
        let refused = |place: Place| Refused { placement: place.placement(), message: "AWS refuses it".into() };
        History { in_service: self.in_service.map(Place::placement), refused: self.refused.map(refused), applied: None }
    }

    pub(crate) fn with_history(self, change: impl FnOnce(History) -> History) -> Self {
        let history = change(self.history());
        let refused = history.refused.map(|refused| Place::from(&refused.placement));
        Self { in_service: history.in_service.as_ref().map(Place::from), refused, ..self }
    }
}

/// What follows from a plan.
pub(crate) fn stage(plan: &Plan) -> Stage {
    let call = match &plan.step {
        Step::Create => Call::Create,
        Step::Readdress { subnets, addresses } => Call::Readdress(Place::read(subnets, addresses)),
        Step::ImportHostKeys => Call::ImportHostKeys,
        Step::Start => Call::Start,
        Step::Drain => Call::Drain,
        Step::Stop => Call::Stop,
        Step::Sleep => Call::Sleep,
        Step::Delete => Call::Delete,
        Step::Forget => return Stage::Ending(End::Forget),
        Step::Regroup { .. } => unreachable!("its groups are those that are wanted"),
        Step::Settled | Step::Wait | Step::Blocked => {
            return Stage::Ending(End::Plan { phase: plan.phase, settled: plan.step == Step::Settled });
        }
    };
    Stage::Calling(call)
}
