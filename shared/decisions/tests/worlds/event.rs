//! What may happen next in a world.

use wharfinger_decisions::{
    power::{self, AwsState, Door},
    server::{Power, ServerPhase},
};

use crate::{
    call::Fate,
    visit::{Call, DECOY, End, Seen, Stage, Visit, stage},
    world::{Intent, Said, Server, Thing, World},
};

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A visit begins, without EC2's answers if `blind`.
    Begins {
        visit: usize,
        blind: bool,
    },
    /// A visit decides; `deaf`: whether anybody is logged in can't be told.
    Decides {
        visit: usize,
        deaf: bool,
    },
    Calls {
        visit: usize,
        fate: Fate,
    },
    /// A visit writes down what it found, or can't.
    Concludes {
        visit: usize,
        written: bool,
    },
    Crashes {
        visit: usize,
    },
    Ordered {
        power: Power,
        now: bool,
    },
    Deleted,
    Moved,
    FoundIdle,
    /// `manual_keep` is over.
    KeptLongEnough,
    LogsIn,
    LogsOut,
    Vanishes(Thing),
    ComesBack,
    /// A person changes what is beside the spec.
    Set,
    /// AWS goes on with a server, or fails.
    Progress {
        failed: bool,
    },
    Answers,
    TimePasses,
    /// Somebody gives a server of theirs our tags.
    DecoyComes,
    DecoyGoes,
}

impl World {
    /// All that may happen.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for visit in 0..2 {
            self.of_visit(visit, &mut |event| events.push(event));
        }
        self.of_people(&mut |event| events.push(event));
        self.of_aws(&mut |event| events.push(event));
        events
    }

    fn of_visit(&self, visit: usize, add: &mut impl FnMut(Event)) {
        let faults = self.left.faults > 0;
        let Some(Visit { stage, seen, .. }) = self.visits[visit] else {
            // One that has lost its lease hinders nobody.
            let other = self.visits[1 - visit].is_some() && self.holds_lease(1 - visit);
            let is_first = visit == 0 || self.visits[0].is_some();
            if self.table.is_some() && is_first && (!other || self.left.expiries > 0) {
                add(Event::Begins { visit, blind: false });
                if faults {
                    add(Event::Begins { visit, blind: true });
                }
            }
            return;
        };
        add(Event::Crashes { visit });
        match stage {
            Stage::Looked => {
                add(Event::Decides { visit, deaf: false });
                if faults && seen.is_open() {
                    add(Event::Decides { visit, deaf: true });
                }
            }
            Stage::Calling(call) => {
                let mut call_ends = |fate| add(Event::Calls { visit, fate });
                [Fate::Done, Fate::DoneAndCrashed].into_iter().for_each(&mut call_ends);
                if faults {
                    [Fate::Lost, Fate::Busy].into_iter().for_each(&mut call_ends);
                }
                if faults && call == Call::Create {
                    call_ends(Fate::DoneUnseen);
                }
                if faults && matches!(call, Call::Create | Call::Readdress(_)) {
                    call_ends(Fate::Refused);
                }
            }
            Stage::Ending(_) => {
                add(Event::Concludes { visit, written: true });
                if faults {
                    add(Event::Concludes { visit, written: false });
                }
            }
        }
    }

    fn of_people(&self, add: &mut impl FnMut(Event)) {
        let Some(table) = self.table else { return };
        if table.intent.deleting {
            return;
        }
        if self.left.orders > 0 {
            add(Event::Ordered { power: Power::Online, now: false });
            for power in [Power::Stopped, Power::Asleep] {
                add(Event::Ordered { power, now: false });
                add(Event::Ordered { power, now: true });
            }
            add(Event::Deleted);
        }
        if self.left.moves > 0 {
            add(Event::Moved);
        }
        if self.left.sweeps > 0 && !table.intent.idle && table.status.phase() == ServerPhase::Online {
            add(Event::FoundIdle);
        }
        if table.intent.kept {
            add(Event::KeptLongEnough);
        }
    }

    fn of_aws(&self, add: &mut impl FnMut(Event)) {
        let servers = || self.aws.servers.iter().flatten();
        let faults = self.left.faults > 0;
        if self.aws.session {
            add(Event::LogsOut);
        } else if self.aws.is_open() && self.left.logins > 0 {
            add(Event::LogsIn);
        }
        if faults && self.aws.missing.is_none() {
            self.vanishing(add);
        }
        if self.aws.missing.is_some() {
            add(Event::ComesBack);
        }
        // DeleteServer takes no condition: what is set in the seconds before is lost.
        let is_about_to_go = |visit: &Visit| visit.aim.power == Power::Asleep;
        if faults && servers().next().is_some() && !self.visits.iter().flatten().any(is_about_to_go) {
            add(Event::Set);
        }
        if self.aws.decoy {
            add(Event::DecoyGoes);
        } else if self.left.decoys > 0 {
            add(Event::DecoyComes);
        }
        if servers().any(Server::is_moving) {
            add(Event::Progress { failed: false });
            if faults {
                add(Event::Progress { failed: true });
            }
        }
        if servers().any(|server| !server.answers) {
            add(Event::Answers);
        }
        // Whoever has the lease lives shorter than that.
        if (0..2).all(|visit| self.visits[visit].is_none() || !self.holds_lease(visit)) && self.later() != *self {
            add(Event::TimePasses);
        }
    }

    /// EC2 deletes nothing that is in use.
    fn vanishing(&self, add: &mut impl FnMut(Event)) {
        let is_free = self.aws.servers == [None, None] && self.aws.held.is_none();
        if self.aws.held.is_none() && self.aws.servers.iter().flatten().all(|server| !server.place.attached) {
            add(Event::Vanishes(Thing::Address));
        }
        if is_free {
            add(Event::Vanishes(Thing::Subnet));
            add(Event::Vanishes(Thing::Group));
        }
        add(Event::Vanishes(Thing::Secret));
    }

    /// The world after `event`.
    ///
    /// # Errors
    /// What must never happen.
    pub(crate) fn after(mut self, event: Event) -> Result<Self, String> {
        match event {
            Event::Begins { visit, blind } => return Ok(self.begins(visit, blind)),
            Event::Decides { visit, deaf } => return self.decides(visit, deaf),
            Event::Calls { visit, fate } => {
                if !matches!(fate, Fate::Done | Fate::DoneAndCrashed) {
                    self.left.faults -= 1;
                }
                return self.call(visit, fate);
            }
            Event::Concludes { visit, written: true } => return self.concludes(visit),
            Event::Concludes { visit, written: false } => {
                self.left.faults -= 1;
                return Ok(self.without(visit));
            }
            Event::Crashes { visit } => return Ok(self.without(visit)),
            Event::TimePasses => return Ok(self.later()),
            Event::LogsIn => {
                self.left.logins -= 1;
                self.aws.session = true;
            }
            Event::LogsOut => self.aws.session = false,
            Event::Vanishes(thing) => {
                self.left.faults -= 1;
                self.aws.missing = Some(thing);
            }
            Event::ComesBack => self.aws.missing = None,
            Event::DecoyComes => {
                self.left.decoys -= 1;
                self.aws.decoy = true;
            }
            Event::DecoyGoes => self.aws.decoy = false,
            Event::Set => {
                self.left.faults -= 1;
                self.each_server(|server| Server { settings: !server.settings, ..server });
            }
            Event::Answers => self.each_server(|server| Server { answers: true, ..server }),
            Event::Progress { failed } => {
                self.left.faults -= u8::from(failed);
                self.each_server(|server| server.moved_on(failed));
            }
            said => self.hears(said),
        }
        Ok(self)
    }

    fn hears(&mut self, event: Event) {
        let Some(table) = &mut self.table else { return };
        let intent = &mut table.intent;
        match event {
            Event::Ordered { power, now } => {
                self.left.orders -= 1;
                let order = Some(Said { power, now, age: 0 });
                *intent = Intent { order, kept: power == Power::Online, idle: false, ..*intent };
            }
            Event::Deleted => {
                self.left.orders -= 1;
                intent.deleting = true;
            }
            Event::Moved => {
                self.left.moves -= 1;
                *intent = Intent { network: 3 - intent.network, moved: 0, ..*intent };
            }
            Event::FoundIdle => {
                self.left.sweeps -= 1;
                intent.idle = true;
            }
            _ => intent.kept = false,
        }
    }

    fn each_server(&mut self, change: impl Fn(Server) -> Server) {
        self.aws.servers = self.aws.servers.map(|server| server.map(&change));
    }

    fn begins(mut self, i: usize, blind: bool) -> Self {
        self.left.faults -= u8::from(blind);
        if self.visits[1 - i].is_some() && self.holds_lease(1 - i) {
            self.left.expiries -= 1;
        }
        let Some(table) = &mut self.table else { return self };
        table.lease = u8::try_from(i).expect("one of two");
        let aim = Visit::new(table, Seen::of(&self.aws, &Visit::aim(table), table.status.id, blind, table.has_id));
        // What can't be rebuilt stays open.
        let is_undecided = aim.aim.power == Power::Asleep
            && !aim.aim.deleting
            && aim.seen.is_open()
            && aim.memory.in_service.is_some();
        self.aws.admits &= aim.admits() || is_undecided && aim.memory.draining.is_none();
        self.visits[i] = Some(aim.kept_for_a_lack());
        self
    }

    fn decides(mut self, i: usize, deaf: bool) -> Result<Self, String> {
        self.left.faults -= u8::from(deaf);
        let mut visit = self.visits[i].expect("a visit");
        if visit.seen.server == Some(DECOY) {
            return Err("somebody's server is taken for ours".into());
        }
        if visit.seen.claimed {
            let end = End::Plan { phase: ServerPhase::Failed, settled: false };
            return Ok(self.ends(i, if visit.aim.deleting { End::Forget } else { end }));
        }
        let (wanted, situation) = (visit.wanted(), visit.situation());
        visit.memory = visit.memory.with_history(|_| situation.history.clone());
        let door = if power::is_to_be_shut(&wanted, &situation) {
            visit.door((!deaf).then_some(self.aws.session))
        } else {
            visit.memory.draining = None;
            Some(Door::Open)
        };
        if door == Some(Door::Empty) && visit.is_at_once() {
            visit.memory.draining = None;
        }
        let opens = door.is_none();
        if opens {
            visit.memory.draining = None;
        }
        if visit.admits() || opens {
            if !self.holds_lease(i) {
                return Ok(self.without(i));
            }
            self.aws.admits = true;
        }
        self.visits[i] = Some(visit);
        let Some(door) = door else {
            if let Some(table) = &mut self.table {
                table.intent.idle = false;
            }
            return Ok(self.ends(i, End::Kept));
        };
        let stage = stage(&power::next(&wanted, &situation, &door));
        self.visits[i] = Some(Visit { stage, ..visit });
        Ok(self)
    }

    fn concludes(mut self, i: usize) -> Result<Self, String> {
        let visit = self.visits[i].expect("a visit");
        let Stage::Ending(end) = visit.stage else { unreachable!("it goes on") };
        if !self.holds_lease(i) {
            return Ok(self.without(i));
        }
        if end == End::Forget {
            self.table = None;
            if self.aws.servers != [None, None] {
                return Err("a server is forgotten that is billed".into());
            }
            return Ok(self.without(i));
        }
        let status = visit.status(end);
        if status.phase() == ServerPhase::Online {
            let real = status.id.and_then(|id| self.aws.server(id));
            // Where the old network is gone too, it opens with what it has.
            let is_in_place = |server: &Server| server.place.attached || visit.memory.refused.is_some();
            let is_whole = |server: &Server| power::is_open(server.state) && server.answers && is_in_place(server);
            if !visit.seen.server.as_ref().is_some_and(is_whole) || real.is_some_and(|server| !server.keyed) {
                return Err("it is shown online, and is not whole".into());
            }
        }
        if let Some(table) = &mut self.table {
            table.status = status;
        }
        Ok(self.without(i))
    }
}

impl Server {
    fn is_moving(&self) -> bool {
        matches!(self.state, AwsState::Starting | AwsState::Stopping)
    }

    fn moved_on(self, failed: bool) -> Self {
        let state = match (self.state, failed) {
            (AwsState::Starting, false) => AwsState::Online,
            (AwsState::Starting, true) => AwsState::StartFailed,
            (AwsState::Stopping, false) => AwsState::Offline,
            (AwsState::Stopping, true) => AwsState::StopFailed,
            (state, _) => state,
        };
        Self { state, ..self }
    }
}
