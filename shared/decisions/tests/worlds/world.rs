//! The state of a world: what AWS has, what the table says, what two visits are about to do, and what may still happen.
//!
//! Times are three steps of age, and there are two networks: the least with which every case of the decisions occurs.

use std::{collections::BTreeSet, sync::LazyLock};

use jiff::{SignedDuration, Timestamp};
use wharfinger_decisions::{
    deployment::{Deployment, Tags},
    duration::HumanDuration,
    idle::{Action, Decision},
    ids::{AllocationId, FileSystemId, SecurityGroupId, SubnetId, VpcId},
    names::ServerName,
    order::Order,
    power::{AwsState, Placement},
    server::{IdleAction, IdlePolicy, Network, Power, ServerPhase, ServerSpec},
    wish::{Because, Wish, wish},
};

use crate::visit::Visit;

/// The state of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) aws: Aws,
    /// The server's item; `None` once it is forgotten.
    pub(crate) table: Option<Table>,
    pub(crate) visits: [Option<Visit>; 2],
    pub(crate) left: Left,
    /// The settings of a server that was put to sleep, which the next one must have.
    pub(crate) owed: Option<bool>,
}

/// How often what nobody plans may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    /// A person gives an order, or has the server deleted.
    pub(crate) orders: u8,
    /// A person moves the server to the other network.
    pub(crate) moves: u8,
    /// The sweep finds the server idle.
    pub(crate) sweeps: u8,
    /// A call or one of AWS's own steps fails, an answer is lost, a thing vanishes, settings are changed.
    pub(crate) faults: u8,
    /// A lease expires while its owner lives.
    pub(crate) expiries: u8,
    /// A client logs in.
    pub(crate) logins: u8,
    /// Somebody gives a server of theirs our tags.
    pub(crate) decoys: u8,
}

/// What AWS has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Aws {
    /// Every server is billed; there is to be one at most.
    pub(crate) servers: [Option<Server>; 2],
    /// The endpoint of a deleted server still has the Elastic IP of this network.
    pub(crate) held: Option<u8>,
    /// What a person deleted.
    pub(crate) missing: Option<Thing>,
    /// The rules that let clients in are there.
    pub(crate) admits: bool,
    /// A client is logged in.
    pub(crate) session: bool,
    /// Somebody's server bears our tags, but for the id of the record.
    pub(crate) decoy: bool,
}

/// Something that a server needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Thing {
    Address,
    Subnet,
    Group,
    Secret,
}

/// A server as AWS has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) id: u8,
    pub(crate) state: AwsState,
    pub(crate) place: Place,
    /// Its endpoint accepts connections.
    pub(crate) answers: bool,
    /// It has all host keys.
    pub(crate) keyed: bool,
    /// What was set beside the spec.
    pub(crate) settings: bool,
    /// AWS shows it.
    pub(crate) shown: bool,
}

/// A placement: the subnet of a network, and its Elastic IP if that is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) network: u8,
    pub(crate) attached: bool,
}

/// An age: 0 just now, 1 long enough for the log to be complete, 2 longer than `drain_for`.
pub(crate) type Age = u8;

/// What the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Table {
    pub(crate) intent: Intent,
    pub(crate) status: Status,
    /// Who took the lease last.
    pub(crate) lease: u8,
    /// The record has the id that its servers bear.
    pub(crate) has_id: bool,
}

/// What people and the sweep said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Intent {
    pub(crate) deleting: bool,
    pub(crate) order: Option<Said>,
    /// An order to open is still kept.
    pub(crate) kept: bool,
    /// The sweep's last decision is newer than the order, and is to close.
    pub(crate) idle: bool,
    pub(crate) policy: IdleAction,
    pub(crate) network: u8,
    /// How long ago the server was moved.
    pub(crate) moved: Age,
}

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Said {
    pub(crate) power: Power,
    pub(crate) now: bool,
    pub(crate) age: Age,
}

/// What is known and remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Status {
    /// What it is doing, as it is stored: `Online` also while it drains, `Stopped` also while it is asleep.
    pub(crate) power: ServerPhase,
    pub(crate) id: Option<u8>,
    pub(crate) memory: Memory,
}

/// What is remembered of earlier steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    /// A server was asked for so long ago, and was not seen yet.
    pub(crate) making: Option<Age>,
    pub(crate) draining: Option<Age>,
    /// The settings that a server is rebuilt from.
    pub(crate) asleep: Option<bool>,
    pub(crate) keyed: Option<u8>,
    pub(crate) in_service: Option<Place>,
    pub(crate) refused: Option<Place>,
}

impl World {
    /// A new server is wanted, and nothing is there.
    pub(crate) fn new(policy: IdleAction, left: Left) -> Self {
        let intent = Intent { deleting: false, order: None, kept: false, idle: false, policy, network: 1, moved: 2 };
        let status = Status { power: ServerPhase::Creating, id: None, memory: Memory::default() };
        let table = Some(Table { intent, status, lease: 0, has_id: false });
        Self { aws: Aws::default(), table, visits: [None, None], left, owed: None }
    }

    /// Clients can log in.
    pub(crate) fn online(policy: IdleAction, left: Left) -> Self {
        let mut world = Self::new(policy, left);
        let (id, place) = (0, Place::of(1));
        let server =
            Server { id, state: AwsState::Online, place, answers: true, keyed: true, settings: false, shown: true };
        world.aws = Aws { servers: [Some(server), None], admits: true, ..Aws::default() };
        let memory = Memory { keyed: Some(id), in_service: Some(place), ..Memory::default() };
        let status = Status { power: ServerPhase::Online, id: Some(id), memory };
        world.table = world.table.map(|table| Table { status, has_id: true, ..table });
        world
    }

    /// The server was put to sleep by an order.
    pub(crate) fn asleep(policy: IdleAction, left: Left) -> Self {
        let mut world = Self::new(policy, left);
        let memory = Memory { asleep: Some(true), ..Memory::default() };
        let status = Status { power: ServerPhase::Stopped, id: None, memory };
        let order = Some(Said { power: Power::Asleep, now: false, age: 2 });
        world.table =
            world.table.map(|table| Table { status, intent: Intent { order, ..table.intent }, has_id: true, ..table });
        Self { owed: Some(true), ..world }
    }

    /// The world after the clock of the ages went on.
    pub(crate) fn later(self) -> Self {
        let older = |table: Table| Table { intent: table.intent.later(), status: table.status.later(), ..table };
        let shown = |server: Option<Server>| server.map(|server| Server { shown: true, ..server });
        let aws = Aws { servers: self.aws.servers.map(shown), held: None, ..self.aws };
        Self { aws, table: self.table.map(older), visits: self.visits.map(|visit| visit.map(Visit::later)), ..self }
    }
}

pub(crate) fn older(age: Age) -> Age {
    (age + 1).min(2)
}

impl Intent {
    pub(crate) fn later(self) -> Self {
        Self { order: self.order.map(|said| Said { age: older(said.age), ..said }), moved: older(self.moved), ..self }
    }

    /// What is wished for, by the function that is deployed.
    pub(crate) fn wish(&self) -> Wish {
        let spec = spec(self.policy, self.network);
        let order = self.order.map(|said| Order { power: said.power, by: "alice".into(), at: at(0), now: said.now });
        let decision = Decision { action: Action::Close, ..Decision::keep("nobody was here", at(1)) };
        let now = if self.kept { at(2) } else { at(0) + spec.manual_keep() };
        wish(&spec, order.as_ref(), Some(&decision).filter(|_| self.idle), now)
    }
}

impl Status {
    /// What people see.
    pub(crate) fn phase(&self) -> ServerPhase {
        match self.power {
            ServerPhase::Online if self.memory.draining.is_some() => ServerPhase::Draining,
            ServerPhase::Stopped if self.id.is_none() => ServerPhase::Asleep,
            power => power,
        }
    }

    fn later(self) -> Self {
        Self { memory: self.memory.later(), ..self }
    }
}

impl Memory {
    pub(crate) fn later(self) -> Self {
        Self { making: self.making.map(older), draining: self.draining.map(older), ..self }
    }
}

impl Aws {
    pub(crate) fn server(&self, id: u8) -> Option<&Server> {
        self.servers.iter().flatten().find(|server| server.id == id)
    }

    pub(crate) fn server_mut(&mut self, id: u8) -> Option<&mut Server> {
        self.servers.iter_mut().flatten().find(|server| server.id == id)
    }

    /// Whether a client can log in.
    pub(crate) fn is_open(&self) -> bool {
        self.admits && self.servers.iter().flatten().any(Server::is_reachable)
    }
}

impl Server {
    /// Whether clients whom the rules let in reach it.
    pub(crate) fn is_reachable(&self) -> bool {
        self.state == AwsState::Online && self.answers && self.place.attached
    }
}

impl Place {
    pub(crate) const fn of(network: u8) -> Self {
        Self { network, attached: true }
    }

    pub(crate) fn placement(self) -> Placement {
        let addresses = self.attached.then(|| address(self.network));
        Placement { subnets: [subnet(self.network)].into(), addresses: addresses.into_iter().collect() }
    }

    pub(crate) fn read(subnets: &BTreeSet<SubnetId>, addresses: &BTreeSet<AllocationId>) -> Self {
        let network = if subnets.contains(&subnet(1)) { 1 } else { 2 };
        Self { network, attached: !addresses.is_empty() }
    }
}

impl From<&Placement> for Place {
    fn from(placement: &Placement) -> Self {
        Self::read(&placement.subnets, &placement.addresses)
    }
}

pub(crate) fn subnet(network: u8) -> SubnetId {
    SubnetId::parse(format!("subnet-0000000{network}")).expect("it is well-formed")
}

pub(crate) fn address(network: u8) -> AllocationId {
    AllocationId::parse(format!("eipalloc-0000000{network}")).expect("it is well-formed")
}

pub(crate) fn group() -> SecurityGroupId {
    SecurityGroupId::parse("sg-00000001").expect("it is well-formed")
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("it is well-formed")
}

/// The moment at which something is so old that began at `at(0)`.
pub(crate) fn after(age: Age) -> Timestamp {
    at([1, 120, 600][usize::from(age)])
}

pub(crate) const DRAIN_FOR: SignedDuration = SignedDuration::from_secs(600);

pub(crate) fn spec(action: IdleAction, network: u8) -> ServerSpec {
    static SPEC: LazyLock<ServerSpec> = LazyLock::new(|| ServerSpec {
        file_system_id: FileSystemId::parse("fs-0a1b2c3d").expect("it is well-formed"),
        network: Network {
            vpc_id: VpcId::parse("vpc-0a1b2c3d").expect("it is well-formed"),
            subnet_ids: Vec::new(),
            security_group_ids: vec![group()],
            address_allocation_ids: Vec::new(),
            allowed_cidrs: Vec::new(),
        },
        idle: None,
        user_role_arn: None,
        manual_keep: None,
        drift: None,
        drain_for: None,
    });
    let mut spec = SPEC.clone();
    spec.network.subnet_ids = vec![subnet(network)];
    spec.network.address_allocation_ids = vec![address(network)];
    spec.idle = Some(IdlePolicy { after: HumanDuration::from_secs(1800), action });
    spec
}

/// The tags of a server: of ours, or of the decoy.
pub(crate) fn tags(is_ours: bool) -> Tags {
    let deployment = Deployment { name: "harbour".into(), id: Some("1".into()) };
    let name = ServerName::parse("main").expect("it is well-formed");
    if is_ours { deployment.server_tags(&name, RECORD_ID) } else { deployment.tags(&name) }
}

/// The id of the record.
pub(crate) const RECORD_ID: &str = "unguessable";

/// What a visit goes by: the wish of when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Aim {
    pub(crate) deleting: bool,
    pub(crate) power: Power,
    pub(crate) because: Because,
    pub(crate) network: u8,
}
