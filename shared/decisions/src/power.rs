//! A server's next step: from what is wanted and what AWS shows to one call, or to waiting, and why.
//!
//! The order is AWS's: Elastic IPs and subnets change only while the server is offline, addresses leave before subnets
//! change, and a server is made without addresses. So a server is stopped for them, and never otherwise than asked.
//! Each step may be lost, repeated or cut short: the next look decides anew.

use std::collections::BTreeSet;

use crate::{
    ids::{AllocationId, SecurityGroupId, SubnetId},
    server::{Asker, Power, ServerIntent, ServerPhase},
};

/// A server's state as Transfer Family tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsState {
    /// It refuses clients.
    Offline,
    /// It takes clients.
    Online,
    /// On its way to online.
    Starting,
    /// On its way to offline.
    Stopping,
    /// A start went wrong.
    StartFailed,
    /// A stop went wrong.
    StopFailed,
}

/// What is wanted of a server, as far as its steps depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// It is to be deleted.
    pub deleting: bool,
    /// Its power.
    pub power: Power,
    /// Who asked for the power.
    pub asked_by_autostop: bool,
    /// Why the power was asked for.
    pub power_reason: String,
    /// Its subnets.
    pub subnets: BTreeSet<SubnetId>,
    /// Its security groups.
    pub groups: BTreeSet<SecurityGroupId>,
    /// Its Elastic IPs.
    pub addresses: BTreeSet<AllocationId>,
}

impl Wanted {
    /// What `intent` wants.
    #[must_use]
    pub fn of(intent: &ServerIntent, deleting: bool) -> Self {
        let network = &intent.spec.network;
        Self {
            deleting,
            power: intent.power.power,
            asked_by_autostop: intent.power.by == Asker::Autostop,
            power_reason: intent.power.reason.clone(),
            subnets: network.subnet_ids.iter().cloned().collect(),
            groups: network.security_group_ids.iter().cloned().collect(),
            addresses: network.address_allocation_ids.iter().cloned().collect(),
        }
    }
}

/// A server as AWS shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its state.
    pub state: AwsState,
    /// Its subnets.
    pub subnets: BTreeSet<SubnetId>,
    /// Its Elastic IPs.
    pub addresses: BTreeSet<AllocationId>,
    /// The security groups of its VPC endpoint; `None` while the endpoint can't be seen yet.
    pub groups: Option<BTreeSet<SecurityGroupId>>,
    /// Wanted Elastic IPs that something else holds now.
    pub held_elsewhere: BTreeSet<AllocationId>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make it, with subnets and security groups, without addresses.
    Create,
    /// Change the security groups of its endpoint.
    Regroup {
        /// These join.
        add: BTreeSet<SecurityGroupId>,
        /// These leave.
        remove: BTreeSet<SecurityGroupId>,
    },
    /// Set subnets and Elastic IPs of an offline server.
    Readdress {
        /// All subnets it has then.
        subnets: BTreeSet<SubnetId>,
        /// All Elastic IPs it has then.
        addresses: BTreeSet<AllocationId>,
    },
    /// Open the door.
    Start,
    /// Shut the door.
    Stop {
        /// Only if still nobody is there: nobody but the idle sweep wants it.
        if_idle: bool,
    },
    /// Delete it.
    Delete,
    /// AWS is at it: look again later.
    Wait,
    /// Deleted, on AWS too: forget it.
    Forget,
    /// All is as wanted.
    Settled,
}

/// The next step, what the server does meanwhile, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What to do.
    pub step: Step,
    /// What people see.
    pub phase: ServerPhase,
    /// Why, in a sentence.
    pub reason: String,
}

impl Plan {
    fn new(step: Step, phase: ServerPhase, reason: impl Into<String>) -> Self {
        Self { step, phase, reason: reason.into() }
    }

    /// Whether it has to wait until the rules that let clients in are as wanted: it opens the door, leaves it open for
    /// good, or shuts it only to open it again. What shuts the door for longer never waits for them.
    #[must_use]
    pub fn needs_rules(&self) -> bool {
        match self.step {
            Step::Create | Step::Start => true,
            Step::Stop { .. } => self.phase == ServerPhase::Starting,
            Step::Settled => self.phase == ServerPhase::Online,
            Step::Regroup { .. } | Step::Readdress { .. } | Step::Delete | Step::Wait | Step::Forget => false,
        }
    }
}

/// The next step towards `wanted` of the server that AWS shows as `observed`; `None`: AWS has none.
#[must_use]
pub fn next(wanted: &Wanted, observed: Option<&Observed>) -> Plan {
    match (wanted.deleting, observed) {
        (true, None) => Plan::new(Step::Forget, ServerPhase::Deleting, "deleted"),
        (true, Some(_)) => Plan::new(Step::Delete, ServerPhase::Deleting, "it is being deleted"),
        (false, None) => Plan::new(Step::Create, ServerPhase::Creating, "it is being made: AWS takes a few minutes"),
        // A door that is to be shut is shut first: EC2 may refuse the groups.
        (false, Some(observed)) if wanted.power == Power::Stopped && is_open(observed.state) => {
            readdress(wanted, observed).unwrap_or_else(|| power(wanted, observed))
        }
        (false, Some(observed)) => {
            regroup(wanted, observed).or_else(|| readdress(wanted, observed)).unwrap_or_else(|| power(wanted, observed))
        }
    }
}

fn is_open(state: AwsState) -> bool {
    matches!(state, AwsState::Online | AwsState::StopFailed)
}

/// Groups come before everything else but a stop that was asked for: the door must not open to others than the trusted.
fn regroup(wanted: &Wanted, observed: &Observed) -> Option<Plan> {
    let groups = observed.groups.as_ref()?;
    let add: BTreeSet<_> = wanted.groups.difference(groups).cloned().collect();
    let remove: BTreeSet<_> = groups.difference(&wanted.groups).cloned().collect();
    let differs = !add.is_empty() || !remove.is_empty();
    differs.then(|| {
        Plan::new(Step::Regroup { add, remove }, phase(observed.state), "its security groups are being changed")
    })
}

/// Detach, move, attach: each only while the server is offline.
fn readdress(wanted: &Wanted, observed: &Observed) -> Option<Plan> {
    let moves = wanted.subnets != observed.subnets;
    if !moves && wanted.addresses == observed.addresses {
        return None;
    }
    let what = if moves { "subnets and Elastic IPs" } else { "Elastic IPs" };
    let on_the_way = if wanted.power == Power::Online { ServerPhase::Starting } else { ServerPhase::Stopping };
    let plan = match observed.state {
        AwsState::Starting => {
            Plan::new(Step::Wait, on_the_way, format!("AWS starts it; then it is stopped once to set its {what}"))
        }
        AwsState::Stopping => Plan::new(Step::Wait, on_the_way, format!("it is being stopped once to set its {what}")),
        AwsState::Online | AwsState::StartFailed | AwsState::StopFailed => Plan::new(
            Step::Stop { if_idle: false },
            on_the_way,
            format!("it is being stopped once, because AWS sets {what} only while a server is offline"),
        ),
        AwsState::Offline => return Some(readdress_offline(wanted, observed, on_the_way)),
    };
    Some(plan)
}

fn readdress_offline(wanted: &Wanted, observed: &Observed, phase: ServerPhase) -> Plan {
    if wanted.subnets != observed.subnets {
        let subnets = if observed.addresses.is_empty() { &wanted.subnets } else { &observed.subnets };
        let step = Step::Readdress { subnets: subnets.clone(), addresses: BTreeSet::new() };
        return Plan::new(step, phase, "its subnets are being changed");
    }
    if let Some(held) = observed.held_elsewhere.first() {
        let reason = format!(
            "the Elastic IP {held} is held by something else: it is attached as soon as it is free; release it there, or give another"
        );
        return Plan::new(Step::Wait, phase, reason);
    }
    let step = Step::Readdress { subnets: wanted.subnets.clone(), addresses: wanted.addresses.clone() };
    Plan::new(step, phase, "its Elastic IPs are being attached")
}

fn power(wanted: &Wanted, observed: &Observed) -> Plan {
    use AwsState::{Offline, Online, StartFailed, Starting, StopFailed, Stopping};
    let because = &wanted.power_reason;
    match (wanted.power, observed.state) {
        (Power::Online, Online) if observed.groups.is_none() => {
            Plan::new(Step::Wait, ServerPhase::Starting, "its VPC endpoint is not ready yet")
        }
        (Power::Online, Online) => Plan::new(Step::Settled, ServerPhase::Online, because),
        (Power::Stopped, Offline) => Plan::new(Step::Settled, ServerPhase::Stopped, because),
        (Power::Online, Offline) => Plan::new(Step::Start, ServerPhase::Starting, because),
        (Power::Online, StartFailed | StopFailed) => Plan::new(
            Step::Start,
            ServerPhase::Starting,
            format!("AWS says {}: it is started again", name(observed.state)),
        ),
        (Power::Stopped, Online) => {
            Plan::new(Step::Stop { if_idle: wanted.asked_by_autostop }, ServerPhase::Stopping, because)
        }
        (Power::Stopped, StartFailed | StopFailed) => Plan::new(
            Step::Stop { if_idle: false },
            ServerPhase::Stopping,
            format!("AWS says {}: it is stopped again", name(observed.state)),
        ),
        (Power::Online, Starting | Stopping) => Plan::new(Step::Wait, ServerPhase::Starting, because),
        (Power::Stopped, Starting | Stopping) => Plan::new(Step::Wait, ServerPhase::Stopping, because),
    }
}

fn phase(state: AwsState) -> ServerPhase {
    match state {
        AwsState::Offline => ServerPhase::Stopped,
        AwsState::Online => ServerPhase::Online,
        AwsState::Starting => ServerPhase::Starting,
        AwsState::Stopping => ServerPhase::Stopping,
        AwsState::StartFailed | AwsState::StopFailed => ServerPhase::Failed,
    }
}

fn name(state: AwsState) -> &'static str {
    match state {
        AwsState::Offline => "OFFLINE",
        AwsState::Online => "ONLINE",
        AwsState::Starting => "STARTING",
        AwsState::Stopping => "STOPPING",
        AwsState::StartFailed => "START_FAILED",
        AwsState::StopFailed => "STOP_FAILED",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subnet(n: u8) -> SubnetId {
        SubnetId::parse(format!("subnet-0000000{n}")).unwrap()
    }
    fn group(n: u8) -> SecurityGroupId {
        SecurityGroupId::parse(format!("sg-0000000{n}")).unwrap()
    }
    fn address(n: u8) -> AllocationId {
        AllocationId::parse(format!("eipalloc-0000000{n}")).unwrap()
    }

    fn wanted() -> Wanted {
        Wanted {
            deleting: false,
            power: Power::Online,
            asked_by_autostop: false,
            power_reason: "asked by alice".into(),
            subnets: [subnet(1)].into(),
            groups: [group(1)].into(),
            addresses: [address(1)].into(),
        }
    }

    /// Transfer Family as FACTS of its API have it: each call panics where AWS would refuse it.
    #[derive(Clone, Debug, Default)]
    struct World {
        servers: Vec<Observed>,
        stops: usize,
    }

    impl World {
        fn apply(&mut self, wanted: &Wanted, step: &Step) {
            match step {
                Step::Create => self.servers.push(Observed {
                    state: AwsState::Starting,
                    subnets: wanted.subnets.clone(),
                    addresses: BTreeSet::new(),
                    groups: None,
                    held_elsewhere: BTreeSet::new(),
                }),
                Step::Delete => drop(self.servers.pop().expect("there is a server to delete")),
                Step::Wait => self.time_passes(),
                Step::Settled | Step::Forget => {}
                change => self.change(change),
            }
        }

        fn change(&mut self, step: &Step) {
            let server = self.servers.first_mut().expect("a server");
            match step {
                Step::Start => {
                    assert!(!matches!(server.state, AwsState::Online | AwsState::Starting), "a start in vain");
                    server.state = AwsState::Starting;
                }
                Step::Stop { .. } => {
                    assert_ne!(server.state, AwsState::Offline, "StopServer on a server that is offline");
                    assert!(!matches!(server.state, AwsState::Starting | AwsState::Stopping));
                    self.stops += 1;
                    server.state = AwsState::Stopping;
                }
                Step::Readdress { subnets, addresses } => {
                    assert_eq!(server.state, AwsState::Offline, "addresses are set only while offline");
                    assert!(server.addresses.is_empty() || *subnets == server.subnets, "addresses leave first");
                    assert!(addresses.is_empty() || addresses.len() == subnets.len());
                    (server.subnets, server.addresses) = (subnets.clone(), addresses.clone());
                }
                Step::Regroup { add, remove } => {
                    let groups = server.groups.as_mut().expect("an endpoint");
                    groups.extend(add.iter().cloned());
                    groups.retain(|group| !remove.contains(group));
                    assert!(!groups.is_empty(), "an endpoint keeps a group");
                }
                other => panic!("{other:?} does not change a server"),
            }
        }

        fn time_passes(&mut self) {
            for server in &mut self.servers {
                server.state = match server.state {
                    AwsState::Starting => AwsState::Online,
                    AwsState::Stopping => AwsState::Offline,
                    other => other,
                };
                server.groups.get_or_insert_with(|| [group(1)].into());
                server.held_elsewhere.clear();
            }
        }

        /// Runs to the end; returns the steps.
        fn settle(&mut self, wanted: &Wanted) -> Vec<Step> {
            let mut steps = Vec::new();
            for _ in 0..30 {
                let plan = next(wanted, self.servers.first());
                if matches!(plan.step, Step::Settled | Step::Forget) {
                    return steps;
                }
                self.apply(wanted, &plan.step);
                steps.push(plan.step);
            }
            panic!("it never settles: {steps:?}");
        }
    }

    #[test]
    fn a_new_server_gets_its_addresses_in_the_only_order_that_works() {
        let steps = World::default().settle(&wanted());
        let acts: Vec<_> = steps.into_iter().filter(|step| *step != Step::Wait).collect();
        let attach = Step::Readdress { subnets: [subnet(1)].into(), addresses: [address(1)].into() };
        assert_eq!(acts, [Step::Create, Step::Stop { if_idle: false }, attach, Step::Start]);
    }

    #[test]
    fn a_server_without_addresses_is_not_stopped() {
        let mut world = World::default();
        world.settle(&Wanted { addresses: BTreeSet::new(), ..wanted() });
        assert_eq!(world.stops, 0);
    }

    #[test]
    fn a_server_that_is_to_be_stopped_with_new_addresses_is_not_started() {
        let steps = World::default().settle(&Wanted { power: Power::Stopped, ..wanted() });
        assert!(!steps.contains(&Step::Start), "{steps:?}");
    }

    #[test]
    fn addresses_leave_before_subnets_change() {
        let mut world = World::default();
        world.settle(&wanted());
        let moved = Wanted { subnets: [subnet(2)].into(), addresses: [address(2)].into(), ..wanted() };
        let steps = world.settle(&moved);
        assert_eq!(steps.iter().filter(|step| matches!(step, Step::Readdress { .. })).count(), 3);
    }

    #[test]
    fn a_change_of_groups_cuts_no_session() {
        let mut world = World::default();
        world.settle(&wanted());
        let stops = world.stops;
        world.settle(&Wanted { groups: [group(2), group(3)].into(), ..wanted() });
        assert_eq!(world.stops, stops);
    }

    #[test]
    fn a_stop_by_the_sweep_holds_only_while_nobody_is_there() {
        let mut world = World::default();
        world.settle(&wanted());
        let stopped = Wanted { power: Power::Stopped, asked_by_autostop: true, ..wanted() };
        assert_eq!(next(&stopped, world.servers.first()).step, Step::Stop { if_idle: true });
        let by_person = Wanted { asked_by_autostop: false, ..stopped };
        assert_eq!(next(&by_person, world.servers.first()).step, Step::Stop { if_idle: false });
    }

    #[test]
    fn a_stop_that_was_asked_for_comes_before_a_change_of_groups() {
        let mut world = World::default();
        world.settle(&wanted());
        let stopped = Wanted { power: Power::Stopped, groups: [group(2)].into(), ..wanted() };
        let steps = world.settle(&stopped);
        assert_eq!(steps[0], Step::Stop { if_idle: false });
        assert!(matches!(steps[1], Step::Regroup { .. }), "{steps:?}");
    }

    #[test]
    fn rules_hold_up_what_opens_the_door_and_never_what_shuts_it() {
        let mut world = World::default();
        assert!(next(&wanted(), None).needs_rules(), "create");
        world.settle(&wanted());
        assert!(next(&wanted(), world.servers.first()).needs_rules(), "settled, and open");
        let moved = Wanted { addresses: [address(2)].into(), ..wanted() };
        assert!(next(&moved, world.servers.first()).needs_rules(), "a stop after which it could not be started");
        let stopped = Wanted { power: Power::Stopped, ..wanted() };
        assert!(!next(&stopped, world.servers.first()).needs_rules(), "stop");
        let deleted = Wanted { deleting: true, ..wanted() };
        assert!(!next(&deleted, world.servers.first()).needs_rules(), "delete");
        assert!(!next(&deleted, None).needs_rules(), "forget");
        world.settle(&stopped);
        assert!(!next(&stopped, world.servers.first()).needs_rules(), "settled, and shut");
        assert!(next(&wanted(), world.servers.first()).needs_rules(), "start");
    }

    #[test]
    fn an_address_held_elsewhere_is_waited_for() {
        let mut world = World::default();
        world.settle(&Wanted { addresses: BTreeSet::new(), power: Power::Stopped, ..wanted() });
        world.servers[0].held_elsewhere.insert(address(1));
        let plan = next(&wanted(), world.servers.first());
        assert_eq!(plan.step, Step::Wait);
        assert!(plan.reason.contains("eipalloc-00000001"), "{}", plan.reason);
    }

    #[test]
    fn a_server_deleted_behind_our_back_is_made_again() {
        let mut world = World::default();
        world.settle(&wanted());
        world.servers.clear();
        assert_eq!(world.settle(&wanted())[0], Step::Create);
    }

    fn states() -> impl Strategy<Value = AwsState> {
        prop_oneof![
            Just(AwsState::Offline),
            Just(AwsState::Online),
            Just(AwsState::Starting),
            Just(AwsState::Stopping),
            Just(AwsState::StartFailed),
            Just(AwsState::StopFailed),
        ]
    }

    prop_compose! {
        fn anything_wanted()(
            deleting in prop::bool::weighted(0.1), online in any::<bool>(), autostop in any::<bool>(),
            subnets in prop::collection::btree_set(1u8..5, 1..4), groups in prop::collection::btree_set(1u8..5, 1..4),
            with_addresses in any::<bool>(),
        ) -> Wanted {
            let addresses = if with_addresses { subnets.iter().copied().map(address).collect() } else { BTreeSet::new() };
            Wanted {
                deleting,
                power: if online { Power::Online } else { Power::Stopped },
                asked_by_autostop: autostop,
                power_reason: "why".into(),
                subnets: subnets.into_iter().map(subnet).collect(),
                groups: groups.into_iter().map(group).collect(),
                addresses,
            }
        }
    }

    prop_compose! {
        fn anything_observed()(
            state in states(), subnets in prop::collection::btree_set(1u8..5, 1..4), with_addresses in any::<bool>(),
            groups in prop::option::of(prop::collection::btree_set(1u8..5, 1..4)),
            held in prop::collection::btree_set(1u8..5, 0..2),
        ) -> Observed {
            Observed {
                state,
                addresses: if with_addresses { subnets.iter().copied().map(address).collect() } else { BTreeSet::new() },
                subnets: subnets.into_iter().map(subnet).collect(),
                groups: groups.map(|groups| groups.into_iter().map(group).collect()),
                held_elsewhere: held.into_iter().map(address).collect(),
            }
        }
    }

    proptest! {
        /// Total, and the second plan is empty, from any world; what is wanted may change in the middle.
        #[test]
        fn every_world_settles_as_wanted(
            observed in prop::option::of(anything_observed()), changes in prop::collection::vec((anything_wanted(), 0usize..8), 1..4)
        ) {
            let mut world = World { servers: observed.into_iter().collect(), stops: 0 };
            for (wanted, steps) in &changes {
                for _ in 0..*steps {
                    let plan = next(wanted, world.servers.first());
                    prop_assert!(!plan.reason.is_empty());
                    world.apply(wanted, &plan.step);
                }
            }
            let (wanted, _) = changes.last().unwrap();
            world.settle(wanted);
            prop_assert!(world.settle(wanted).is_empty());
            prop_assert_eq!(world.servers.len(), usize::from(!wanted.deleting));
            if let Some(server) = world.servers.first() {
                prop_assert_eq!(&server.subnets, &wanted.subnets);
                prop_assert_eq!(&server.addresses, &wanted.addresses);
                prop_assert_eq!(server.state == AwsState::Online, wanted.power == Power::Online);
                if let Some(groups) = &server.groups {
                    prop_assert_eq!(groups, &wanted.groups);
                }
            }
        }

        /// A crash after a step was asked for and before anything was noted: the same plan is made from the world
        /// alone, so no step is done twice that AWS would bill twice.
        #[test]
        fn a_crash_anywhere_makes_no_second_server(wanted in anything_wanted(), crashes in prop::collection::vec(any::<bool>(), 20)) {
            let mut world = World::default();
            for crashed in crashes {
                let plan = next(&wanted, world.servers.first());
                if plan.step == Step::Forget || plan.step == Step::Settled { break; }
                world.apply(&wanted, &plan.step);
                if crashed { world.time_passes(); }
                prop_assert!(world.servers.len() <= 1);
            }
        }

        /// What is settled is never stopped but for a change that someone asked for.
        #[test]
        fn nothing_is_stopped_while_nothing_changes(wanted in anything_wanted()) {
            let mut world = World::default();
            world.settle(&wanted);
            let stops = world.stops;
            world.settle(&wanted);
            world.time_passes();
            world.settle(&wanted);
            prop_assert_eq!(world.stops, stops);
        }
    }
}
