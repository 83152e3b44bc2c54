//! What a visit's call does: by the rules of AWS's API, and with what `reconcile` writes down around it.

use wharfinger_decisions::{
    placement::History,
    power::AwsState,
    server::{Power, ServerPhase},
    wish::Because,
};

use crate::{
    visit::{Call, End, Seen, Stage, Visit},
    world::{Aws, Memory, Place, Server, Status, Table, Thing, World},
};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    /// It is done, and AWS shows a new server later.
    DoneUnseen,
    /// It is done, and the visit ends before it writes that down.
    DoneAndCrashed,
    /// It is done, and the answer is lost.
    Lost,
    /// It is not done, and the answer is that AWS is busy.
    Busy,
    /// AWS refuses it for good, after all checks.
    Refused,
}

/// AWS's answer.
enum Answer {
    Done,
    Refused { temporary: bool },
}

impl World {
    /// The world after visit `i` made its call.
    pub(crate) fn call(self, i: usize, fate: Fate) -> Result<Self, String> {
        let (mut world, visit) = (self, self.visits[i].expect("a visit"));
        let Stage::Calling(call) = visit.stage else { unreachable!("it does not call") };
        if !world.holds_lease(i) {
            return Ok(world.without(i));
        }
        let server = visit.seen.server;
        match call {
            Call::Drain => return Ok(world.noted(i, Memory { draining: Some(0), ..visit.memory }, fate)),
            Call::Create if !visit.has_id => return Ok(world.given_its_id(i, fate)),
            Call::Create if visit.memory.making != Some(0) => {
                // The placement in service went with the server that had it.
                let memory = visit.memory.with_history(|_| History::default());
                return Ok(world.noted(i, Memory { making: Some(0), ..memory }, fate));
            }
            Call::Sleep if visit.seen_again(&world.aws).lacks(visit.aim.network) => {
                return Ok(world.ends(i, End::Failed { temporary: false }));
            }
            Call::Sleep if visit.memory.asleep != server.map(|server| server.settings) => {
                let asleep = server.map(|server| server.settings);
                return Ok(world.noted(i, Memory { asleep, ..visit.memory }, fate));
            }
            _ => {}
        }
        if fate == Fate::Busy {
            return Ok(world.ends(i, End::Failed { temporary: true }));
        }
        let memory = visit.memory;
        match world.ask(&visit, call, fate)? {
            Answer::Refused { temporary: false } if matches!(call, Call::Readdress(_)) => {
                return Ok(world.refused(i, fate));
            }
            Answer::Refused { temporary } => return Ok(world.ends(i, End::Failed { temporary })),
            Answer::Done if fate == Fate::Lost => return Ok(world.ends(i, End::Failed { temporary: true })),
            Answer::Done => {}
        }
        Ok(match call {
            Call::ImportHostKeys => world.noted(i, Memory { keyed: server.map(|server| server.id), ..memory }, fate),
            Call::Sleep => {
                let history = |_| History::default();
                world.noted(i, Memory { keyed: None, ..memory.with_history(history) }, fate)
            }
            _ if fate == Fate::DoneAndCrashed => world.without(i),
            Call::Create => world.made(i),
            _ => world.looked(i, server.map(|server| server.id), memory),
        })
    }

    /// What a call does to AWS.
    fn ask(&mut self, visit: &Visit, call: Call, fate: Fate) -> Result<Answer, String> {
        if call == Call::Create {
            return self.create(visit, fate);
        }
        let id = visit.seen.server.expect("a server").id;
        let there = self.aws.server(id).copied();
        let Some(found) = there else {
            let answer = Answer::Refused { temporary: false };
            return Ok(if matches!(call, Call::Delete | Call::Sleep) { Answer::Done } else { answer });
        };
        if matches!(call, Call::Stop | Call::Delete | Call::Sleep) && is_on(found.state) {
            self.check_that_nobody_is_cut(visit, call)?;
        }
        let (missing, held) = (self.aws.missing, self.aws.held);
        let server = self.aws.server_mut(id).expect("it is there");
        match call {
            Call::Start => match server.state {
                AwsState::Online | AwsState::Starting => {}
                AwsState::Stopping => return Ok(Answer::Refused { temporary: true }),
                _ => server.state = AwsState::Starting,
            },
            Call::Stop => match server.state {
                AwsState::Online | AwsState::StartFailed | AwsState::StopFailed => {
                    server.state = AwsState::Stopping;
                    self.aws.session = false;
                }
                _ => return Ok(Answer::Refused { temporary: false }),
            },
            Call::ImportHostKeys => server.keyed = true,
            Call::Readdress(place) => {
                let lacks = missing == Some(Thing::Subnet) || place.attached && missing == Some(Thing::Address);
                if server.state != AwsState::Offline {
                    return Ok(Answer::Refused { temporary: true });
                }
                if lacks || fate == Fate::Refused || place.attached && held == Some(place.network) {
                    return Ok(Answer::Refused { temporary: false });
                }
                if server.place.attached && place.network != server.place.network {
                    return Err("subnets are changed before the addresses have left".into());
                }
                server.place = place;
            }
            Call::Delete | Call::Sleep => self.delete(&found, call)?,
            Call::Create | Call::Drain => unreachable!("no call about a server"),
        }
        Ok(Answer::Done)
    }

    fn create(&mut self, visit: &Visit, fate: Fate) -> Result<Answer, String> {
        if matches!(self.aws.missing, Some(Thing::Subnet | Thing::Group)) || fate == Fate::Refused {
            return Ok(Answer::Refused { temporary: false });
        }
        if self.aws.servers.iter().any(Option::is_some) {
            return Err("a second server is billed".into());
        }
        let settings = visit.memory.asleep.unwrap_or_default();
        if self.owed.is_some_and(|owed| owed != settings) {
            return Err("a server is rebuilt otherwise than it was".into());
        }
        let used = |id: &u8| {
            let known = |memory: &Memory, known: Option<u8>| memory.keyed == Some(*id) || known == Some(*id);
            let of_visit = |visit: &Visit| {
                known(&visit.memory, visit.seen.server.map(|server| server.id))
                    || known(&visit.read.memory, visit.read.id)
            };
            self.table.is_some_and(|table| known(&table.status.memory, table.status.id))
                || self.visits.iter().flatten().any(of_visit)
        };
        let id = (0..).find(|id| !used(id)).expect("an id that nobody knows");
        let place = Place { network: visit.aim.network, attached: false };
        let shown = fate != Fate::DoneUnseen;
        let server = Server { id, state: AwsState::Starting, place, answers: false, keyed: false, settings, shown };
        self.aws.servers[0] = Some(server);
        self.owed = None;
        Ok(Answer::Done)
    }

    fn delete(&mut self, server: &Server, call: Call) -> Result<(), String> {
        let Aws { servers, held, session, .. } = &mut self.aws;
        *servers = servers.map(|other| other.filter(|other| other.id != server.id));
        *held = server.place.attached.then_some(server.place.network).or(*held);
        *session = false;
        if call == Call::Sleep {
            let recorded = self.table.and_then(|table| table.status.memory.asleep);
            if recorded != Some(server.settings) {
                return Err("it was deleted, and what it is rebuilt from is not recorded".into());
            }
            if self.aws.missing == Some(Thing::Secret) || !server.place.attached {
                return Err("it was deleted, and what it is rebuilt from is not there".into());
            }
            self.owed = Some(server.settings);
        }
        Ok(())
    }

    /// Of whoever is logged in to a server that is shut now.
    fn check_that_nobody_is_cut(&self, visit: &Visit, call: Call) -> Result<(), String> {
        if !self.aws.session || call == Call::Delete {
            return Ok(());
        }
        let waited = visit.memory.draining == Some(2);
        match visit.aim.because {
            Because::Order { now: true } if visit.aim.power != Power::Online => Ok(()),
            Because::Idle if visit.aim.power != Power::Online => Err("somebody is cut off for idleness".into()),
            _ if !waited => Err("somebody is cut off before drain_for is over".into()),
            _ if visit.aim.power == Power::Online && visit.moved < 2 => {
                Err("somebody is cut off before drain_for of the move is over".into())
            }
            Because::Order { .. } if visit.aim.power != Power::Online && visit.ordered.is_some_and(|age| age < 2) => {
                Err("somebody is cut off before drain_for of the order is over".into())
            }
            _ => Ok(()),
        }
    }

    /// Visit `i` writes down what it remembers, and goes on.
    fn noted(mut self, i: usize, memory: Memory, fate: Fate) -> Self {
        match fate {
            Fate::DoneAndCrashed => return self.without(i),
            Fate::Busy | Fate::Refused => return self.ends(i, End::Failed { temporary: true }),
            _ => {}
        }
        let visit = self.visits[i].expect("a visit");
        if let Some(table) = &mut self.table {
            table.status = Status { memory, ..visit.read };
        }
        if fate == Fate::Lost {
            return self.ends(i, End::Failed { temporary: true });
        }
        self.looked(i, visit.seen.server.map(|server| server.id), memory)
    }

    /// Visit `i` gives the record the id that its servers bear, and goes on with its call.
    fn given_its_id(mut self, i: usize, fate: Fate) -> Self {
        if matches!(fate, Fate::Busy | Fate::Refused) {
            return self.ends(i, End::Failed { temporary: true });
        }
        self.table = self.table.map(|table| Table { has_id: true, ..table });
        match fate {
            Fate::DoneAndCrashed => self.without(i),
            Fate::Lost => self.ends(i, End::Failed { temporary: true }),
            _ => {
                self.visits[i] = self.visits[i].map(|visit| Visit { has_id: true, ..visit });
                self
            }
        }
    }

    /// AWS refused the network of visit `i` for good.
    fn refused(self, i: usize, fate: Fate) -> Self {
        let visit = self.visits[i].expect("a visit");
        let current = visit.seen.server.expect("a server").place.placement();
        let wanted = Place::of(visit.aim.network).placement();
        let refused = |history: History| history.after_refusal(&wanted, &current, "AWS refuses it".into());
        let fate = if fate == Fate::Refused { Fate::Done } else { fate };
        self.noted(i, visit.memory.with_history(refused), fate)
    }

    /// Visit `i` has made a server, and writes down its id.
    fn made(mut self, i: usize) -> Self {
        let visit = self.visits[i].expect("a visit");
        let id = self.aws.servers[0].map(|server| server.id);
        if let Some(table) = &mut self.table {
            table.status = Status { power: ServerPhase::Creating, id, memory: visit.memory };
        }
        let world = self.looked(i, id, visit.memory);
        let seen = world.visits[i].expect("a visit").seen;
        if seen.server.is_none() {
            return world.ends(i, End::Plan { phase: ServerPhase::Creating, settled: false });
        }
        world
    }

    /// Visit `i` looks again, and takes back what must not be let in.
    fn looked(mut self, i: usize, known: Option<u8>, memory: Memory) -> Self {
        let visit = self.visits[i].expect("a visit");
        let seen = Seen::of(&self.aws, &visit.aim, known, false, visit.has_id);
        let memory = Memory { making: memory.making.filter(|_| seen.server.is_none()), ..memory };
        let visit = Visit { seen, memory, stage: Stage::Looked, ..visit };
        self.aws.admits &= visit.admits();
        self.visits[i] = Some(visit);
        self
    }

    pub(crate) fn ends(mut self, i: usize, end: End) -> Self {
        self.visits[i] = self.visits[i].map(|visit| Visit { stage: Stage::Ending(end), ..visit });
        self
    }

    pub(crate) fn without(mut self, i: usize) -> Self {
        self.visits[i] = None;
        self
    }

    /// Whether visit `i` may still act. A call follows this question at once.
    pub(crate) fn holds_lease(&self, i: usize) -> bool {
        self.table.is_some_and(|table| usize::from(table.lease) == i)
    }
}

impl Visit {
    fn seen_again(&self, aws: &Aws) -> Seen {
        Seen { missing: aws.missing, ..self.seen }
    }
}

fn is_on(state: AwsState) -> bool {
    matches!(state, AwsState::Online | AwsState::StopFailed)
}
