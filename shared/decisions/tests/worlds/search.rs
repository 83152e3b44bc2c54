//! Goes through every world that can be reached from a first one, the nearest first.
//!
//! States are told apart by a fingerprint of 64 bits: that two of a million share one is less likely than one to ten
//! million.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use wharfinger_decisions::{
    power::AwsState,
    server::{Power, ServerPhase},
};

use crate::{
    call::Fate,
    event::Event,
    visit::{Stage, Visit},
    world::{Aws, Left, Place, Server, Table, World},
};

/// More visits than a server ever needs to become as it is wanted.
const MOST_ROUNDS: usize = 30;

/// More steps than a visit takes.
const MOST_STEPS: usize = 30;

/// The worlds that were found.
#[derive(Default)]
pub(crate) struct Search {
    worlds: Vec<World>,
    /// The world that each came from, and by what.
    origins: Vec<Option<(usize, Event)>>,
    seen: BTreeSet<u64>,
    /// The worlds from which all ends well.
    settled: BTreeSet<u64>,
}

impl Search {
    /// Goes through all worlds, and returns how many there are. Panics where something happens that must not, and tells
    /// how it comes to that.
    pub(crate) fn explore(first: World) -> usize {
        let mut search = Self::default();
        search.add(first, None);
        let mut next = 0;
        while next < search.worlds.len() {
            let world = search.worlds[next];
            for event in world.events() {
                match world.after(event) {
                    Ok(after) => search.add(after, Some((next, event))),
                    Err(wrong) => search.fail(next, Some(event), &wrong),
                }
            }
            if let Err(wrong) = search.ends_well(world) {
                search.fail(next, None, &wrong);
            }
            next += 1;
        }
        search.worlds.len()
    }

    fn add(&mut self, world: World, origin: Option<(usize, Event)>) {
        if self.seen.insert(fingerprint(&world)) {
            self.worlds.push(world);
            self.origins.push(origin);
        }
    }

    fn fail(&self, at: usize, last: Option<Event>, wrong: &str) -> ! {
        let mut events: Vec<String> = last.iter().map(|event| format!("{event:?}")).collect();
        let mut at = at;
        let world = self.worlds[at];
        while let Some((from, event)) = self.origins[at] {
            events.push(format!("{event:?}"));
            at = from;
        }
        events.reverse();
        panic!("{wrong}, in one of {} worlds, after\n{}\nin {world:?}", self.worlds.len(), events.join("\n"));
    }

    /// Whether the server becomes as it is wanted, if nothing fails any more and nobody wants anything else.
    fn ends_well(&mut self, world: World) -> Result<(), String> {
        // Before there is a server for the record, a person says whose the one is that bears its tags.
        let decoy = world.aws.decoy && world.table.is_some_and(|table| table.has_id);
        let aws = Aws { missing: None, decoy, ..world.aws };
        let mut world = World { visits: [None, None], left: Left::default(), aws, ..world };
        let mut on_the_way = Vec::new();
        for _ in 0..MOST_ROUNDS {
            let before = fingerprint(&world);
            if self.settled.contains(&before) {
                self.settled.extend(on_the_way);
                return Ok(());
            }
            on_the_way.push(before);
            world = round(world)?;
            if fingerprint(&world) == before {
                check_that_it_is_as_wanted(&world)?;
                self.settled.extend(on_the_way);
                return Ok(());
            }
        }
        Err(format!("it never settles: {world:?}"))
    }
}

/// A visit, and then AWS is done with everything.
fn round(world: World) -> Result<World, String> {
    if world.table.is_none() {
        return Ok(world);
    }
    let mut world = world.after(Event::Begins { visit: 0, blind: false })?;
    for _ in 0..MOST_STEPS {
        let event = match world.visits[0].map(|visit| visit.stage) {
            None => return at_rest(world),
            Some(Stage::Looked) => Event::Decides { visit: 0, deaf: false },
            Some(Stage::Calling(_)) => Event::Calls { visit: 0, fate: Fate::Done },
            Some(Stage::Ending(_)) => Event::Concludes { visit: 0, written: true },
        };
        world = world.after(event)?;
    }
    Err(format!("a visit never ends: {world:?}"))
}

fn at_rest(mut world: World) -> Result<World, String> {
    for event in [Event::Progress { failed: false }, Event::Answers, Event::TimePasses] {
        world = world.after(event)?;
    }
    Ok(world)
}

fn check_that_it_is_as_wanted(world: &World) -> Result<(), String> {
    let servers = world.aws.servers.iter().flatten().count();
    let Some(table) = world.table else {
        return if servers == 0 { Ok(()) } else { Err("a server is billed that nobody knows".into()) };
    };
    let (aim, status) = (Visit::aim(&table), table.status);
    let server = world.aws.servers.iter().flatten().next();
    let is_asleep = servers == 0 && status.memory.asleep >= world.owed && status.phase() == ServerPhase::Asleep;
    let is_well = match aim.power {
        _ if aim.deleting => false,
        Power::Online => server.is_some_and(|server| {
            let is_in_place = server.place == Place::of(aim.network) || status.memory.refused.is_some();
            let is_shown = status.phase() == ServerPhase::Online && status.id == Some(server.id);
            server.state == AwsState::Online
                && server.answers
                && server.keyed
                && is_in_place
                && is_shown
                && world.aws.admits
        }),
        Power::Stopped => {
            let is_off = server.is_some_and(|server| server.state == AwsState::Offline);
            !world.aws.admits && (is_asleep || is_off && status.phase() == ServerPhase::Stopped)
        }
        // In a network that AWS refuses it could not be rebuilt.
        Power::Asleep if status.memory.refused.is_some() && servers > 0 => is_online(world, &table),
        Power::Asleep => !world.aws.admits && is_asleep && world.aws.held.is_none(),
    };
    if servers <= 1 && is_well { Ok(()) } else { Err(format!("it does not become as it is wanted: {world:?}")) }
}

fn is_online(world: &World, table: &Table) -> bool {
    let Table { intent, status, .. } = table;
    let is_whole = |server: &Server| {
        let is_in_place = server.place == Place::of(intent.network) || status.memory.refused.is_some();
        server.state == AwsState::Online
            && server.answers
            && server.keyed
            && is_in_place
            && status.id == Some(server.id)
    };
    let server = world.aws.servers.iter().flatten().next();
    world.aws.admits && status.phase() == ServerPhase::Online && server.is_some_and(is_whole)
}

fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}
