use proptest::prelude::*;

use super::*;
use crate::{
    ids::{AllocationId, SecurityGroupId, SubnetId},
    wish::Because,
};

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
        because: Because::Spec,
        power_reason: "asked by alice".into(),
        placement: placement(&[1], &[1]),
        groups: [group(1)].into(),
    }
}

fn placement(subnets: &[u8], addresses: &[u8]) -> Placement {
    Placement {
        subnets: subnets.iter().copied().map(subnet).collect(),
        addresses: addresses.iter().copied().map(address).collect(),
    }
}

/// Transfer Family by the rules of its API: each call panics where AWS would refuse it.
#[derive(Clone, Debug)]
struct World {
    situation: Situation,
    door: Door,
    stops: usize,
    /// A placement that AWS refuses when it is set.
    refuses: Option<Placement>,
}

impl Default for World {
    fn default() -> Self {
        Self { situation: Situation::default(), door: Door::Open, stops: 0, refuses: None }
    }
}

impl World {
    /// A server that is as `wanted`.
    fn settled(wanted: &Wanted) -> Self {
        let mut world = Self::default();
        world.settle(wanted);
        world
    }

    fn server(&mut self) -> &mut Observed {
        self.situation.server.as_mut().expect("a server")
    }

    fn next(&self, wanted: &Wanted) -> Plan {
        next(wanted, &self.situation, &self.door)
    }

    /// Makes the next plan as a visit does: nobody is waited for where nobody could log in, and a door that is not to be
    /// shut is open.
    fn visit(&mut self, wanted: &Wanted) -> Plan {
        let was_in_service = self.situation.history.in_service.is_some();
        if !was_in_service {
            self.door = Door::Empty;
        } else if !is_to_be_shut(wanted, &self.situation) {
            self.door = Door::Open;
        }
        self.next(wanted)
    }

    fn apply(&mut self, wanted: &Wanted, step: &Step) {
        match step {
            Step::Create => {
                assert!(self.situation.server.is_none(), "a second server");
                self.situation.server = Some(Observed {
                    state: AwsState::Starting,
                    placement: Placement { addresses: BTreeSet::new(), ..wanted.placement.clone() },
                    endpoint: Endpoint::Absent,
                    lacks_host_keys: true,
                });
            }
            Step::Delete => drop(self.situation.server.take().expect("there is a server to delete")),
            Step::Sleep => {
                self.check_that_nobody_is_cut();
                let server = self.situation.server.take().expect("there is a server to put to sleep");
                assert!(!matches!(server.state, AwsState::Starting | AwsState::Stopping));
                let held = server.placement.addresses.first().cloned();
                self.situation.obstacles.extend(held.map(Obstacle::AddressHeld));
                self.situation.history = History::default();
                self.situation.sleeps = true;
                self.door = Door::Open;
            }
            Step::Drain => self.door = Door::Draining("alice is logged in".into()),
            Step::Wait => self.time_passes(),
            Step::Settled | Step::Forget | Step::Blocked => {}
            change => self.change(wanted, change),
        }
    }

    fn change(&mut self, wanted: &Wanted, step: &Step) {
        let refuses = self.refuses.clone();
        let history = self.situation.history.clone();
        if *step == Step::Stop {
            self.check_that_nobody_is_cut();
        }
        let server = self.server();
        match step {
            Step::Start => {
                assert!(!matches!(server.state, AwsState::Online | AwsState::Starting), "an unnecessary start");
                server.state = AwsState::Starting;
            }
            Step::ImportHostKeys => server.lacks_host_keys = false,
            Step::Stop => {
                assert_ne!(server.state, AwsState::Offline, "StopServer on a server that is offline");
                assert!(!matches!(server.state, AwsState::Starting | AwsState::Stopping));
                server.state = AwsState::Stopping;
                self.stops += 1;
            }
            Step::Readdress { subnets, addresses } => {
                let current = &server.placement;
                assert_eq!(server.state, AwsState::Offline, "addresses are set only while offline");
                assert!(current.addresses.is_empty() || *subnets == current.subnets, "addresses leave first");
                assert!(addresses.is_empty() || addresses.len() == subnets.len());
                let new = Placement { subnets: subnets.clone(), addresses: addresses.clone() };
                if refuses.as_ref() == Some(&new) {
                    let refused = history.after_refusal(&wanted.placement, current, "AWS refuses it".into());
                    self.situation.history = refused;
                } else {
                    server.placement = new;
                }
            }
            Step::Regroup { add, remove } => {
                let Endpoint::Present { groups, .. } = &mut server.endpoint else { panic!("no endpoint") };
                groups.extend(add.iter().cloned());
                groups.retain(|group| !remove.contains(group));
                assert!(!groups.is_empty(), "an endpoint keeps a group");
            }
            other => panic!("{other:?} does not change a server"),
        }
    }

    fn check_that_nobody_is_cut(&self) {
        let is_open = self.situation.server.as_ref().is_some_and(|server| server.state == AwsState::Online);
        assert!(!is_open || self.door == Door::Empty, "somebody is cut off");
    }

    fn time_passes(&mut self) {
        if matches!(self.door, Door::Draining(_)) {
            self.door = Door::Empty;
        }
        self.situation.obstacles.retain(|obstacle| !obstacle.passes_by_itself());
        let Some(server) = &mut self.situation.server else { return };
        server.state = match server.state {
            AwsState::Starting => AwsState::Online,
            AwsState::Stopping => AwsState::Offline,
            other => other,
        };
        let groups = match &server.endpoint {
            Endpoint::Present { groups, .. } => groups.clone(),
            _ => [group(1)].into(),
        };
        server.endpoint = Endpoint::Present { groups, available: true };
    }

    /// Runs until nothing more is done; returns the steps.
    fn settle(&mut self, wanted: &Wanted) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..40 {
            let plan = self.visit(wanted);
            if plan.phase == ServerPhase::Online {
                self.door = Door::Open;
                self.situation.history.in_service = self.situation.server.clone().map(|server| server.placement);
            }
            if matches!(plan.phase, ServerPhase::Online | ServerPhase::Stopped) {
                self.situation.sleeps = false;
            }
            if matches!(plan.step, Step::Settled | Step::Forget | Step::Blocked) {
                return steps;
            }
            self.apply(wanted, &plan.step);
            steps.push(plan.step);
        }
        panic!("it never settles: {steps:?}");
    }
}

fn gone() -> Obstacle {
    Obstacle::AddressMissing(address(2))
}

fn unknown(temporary: bool) -> Obstacle {
    Obstacle::Unknown { error: "EC2 does not answer".into(), temporary }
}

#[test]
fn a_new_server_gets_its_addresses_in_the_only_order_that_works() {
    let steps = World::default().settle(&wanted());
    let acts: Vec<_> = steps.into_iter().filter(|step| *step != Step::Wait).collect();
    let attach = Step::Readdress { subnets: [subnet(1)].into(), addresses: [address(1)].into() };
    assert_eq!(acts, [Step::Create, Step::Stop, attach, Step::Start, Step::ImportHostKeys]);
}

#[test]
fn a_server_without_addresses_is_not_stopped() {
    assert_eq!(World::settled(&Wanted { placement: placement(&[1], &[]), ..wanted() }).stops, 0);
}

#[test]
fn a_server_that_is_to_be_stopped_with_new_addresses_is_not_started() {
    let steps = World::default().settle(&Wanted { power: Power::Stopped, ..wanted() });
    assert!(!steps.contains(&Step::Start), "{steps:?}");
}

#[test]
fn addresses_leave_before_subnets_change() {
    let mut world = World::settled(&wanted());
    let moved = Wanted { placement: placement(&[2], &[2]), ..wanted() };
    let steps = world.settle(&moved);
    assert_eq!(steps.iter().filter(|step| matches!(step, Step::Readdress { .. })).count(), 3);
}

#[test]
fn a_change_of_groups_cuts_no_session() {
    let mut world = World::settled(&wanted());
    let stops = world.stops;
    world.settle(&Wanted { groups: [group(2), group(3)].into(), ..wanted() });
    assert_eq!(world.stops, stops);
}

#[test]
fn a_server_in_service_is_drained_before_it_is_shut() {
    for power in [Power::Stopped, Power::Asleep] {
        let mut world = World::settled(&wanted());
        let shut = Wanted { power, ..wanted() };
        assert_eq!(world.visit(&shut).step, Step::Drain);
        world.apply(&shut, &Step::Drain);
        let plan = world.visit(&shut);
        assert_eq!((plan.step, plan.phase), (Step::Wait, ServerPhase::Draining));
        assert_eq!(plan.reason, "alice is logged in");
        let moved = Wanted { placement: placement(&[1], &[2]), ..wanted() };
        assert_eq!(world.visit(&moved).step, Step::Wait, "what interrupts waits for the same people");
        assert_eq!(world.visit(&wanted()).step, Step::Settled, "somebody wants it open again");
        assert_eq!(world.visit(&shut).step, Step::Drain, "and it is drained anew");
    }
}

#[test]
fn what_sleeps_is_gone_and_wakes_with_its_addresses_and_keys() {
    let mut world = World::settled(&wanted());
    let asleep = Wanted { power: Power::Asleep, ..wanted() };
    let steps = world.settle(&asleep);
    assert_eq!(steps, [Step::Drain, Step::Wait, Step::Sleep, Step::Wait], "the last one until its address is free");
    assert_eq!(world.situation.server, None);
    assert_eq!(world.next(&asleep).phase, ServerPhase::Asleep);
    let stopped = Wanted { power: Power::Stopped, ..wanted() };
    assert_eq!(world.next(&stopped).step, Step::Settled, "it is not rebuilt to be stopped");
    let steps: Vec<_> = world.settle(&wanted()).into_iter().filter(|step| *step != Step::Wait).collect();
    let attach = Step::Readdress { subnets: [subnet(1)].into(), addresses: [address(1)].into() };
    assert_eq!(steps, [Step::Create, Step::Stop, attach, Step::Start, Step::ImportHostKeys]);
}

#[test]
fn a_stopped_server_is_put_to_sleep_without_being_started() {
    let mut world = World::settled(&Wanted { power: Power::Stopped, ..wanted() });
    assert_eq!(world.settle(&Wanted { power: Power::Asleep, ..wanted() })[0], Step::Sleep);
}

#[test]
fn a_server_is_not_shown_online_without_its_host_keys() {
    let mut world = World::settled(&wanted());
    world.server().lacks_host_keys = true;
    let plan = world.next(&wanted());
    assert_eq!((plan.step, plan.phase), (Step::ImportHostKeys, ServerPhase::Starting));
}

#[test]
fn a_stop_that_was_asked_for_comes_before_a_change_of_groups() {
    let mut world = World::settled(&wanted());
    let stopped = Wanted { power: Power::Stopped, groups: [group(2)].into(), ..wanted() };
    let steps = world.settle(&stopped);
    assert_eq!(steps[..3], [Step::Drain, Step::Wait, Step::Stop]);
    assert!(matches!(steps[3], Step::Regroup { .. }), "{steps:?}");
}

#[test]
fn what_shuts_the_door_waits_for_nothing() {
    let mut world = World::settled(&wanted());
    world.situation.obstacles = vec![gone(), unknown(false)];
    world.server().endpoint = Endpoint::Unknown;
    let stopped = Wanted { power: Power::Stopped, placement: placement(&[1], &[2]), ..wanted() };
    assert_eq!(world.next(&stopped).step, Step::Drain);
    world.door = Door::Empty;
    assert_eq!(world.next(&stopped).step, Step::Stop);
    assert_eq!(world.next(&Wanted { deleting: true, ..stopped }).step, Step::Delete);
}

#[test]
fn rules_hold_up_what_opens_the_door_and_never_what_shuts_it() {
    let mut world = World::default();
    assert!(world.next(&wanted()).needs_rules(), "create");
    world.settle(&wanted());
    assert!(world.next(&wanted()).needs_rules(), "settled, and open");
    let moved = Wanted { placement: placement(&[1], &[2]), ..wanted() };
    world.door = Door::Empty;
    assert!(world.next(&moved).needs_rules(), "a stop after which it could not be started");
    let stopped = Wanted { power: Power::Stopped, ..wanted() };
    assert!(!world.next(&stopped).needs_rules(), "stop");
    let deleted = Wanted { deleting: true, ..wanted() };
    assert!(!world.next(&deleted).needs_rules(), "delete");
    assert!(!World::default().next(&deleted).needs_rules(), "forget");
    world.settle(&stopped);
    assert!(!world.next(&stopped).needs_rules(), "settled, and shut");
    assert!(world.next(&wanted()).needs_rules(), "start");
}

#[test]
fn an_address_held_elsewhere_is_waited_for() {
    let stopped = Wanted { placement: placement(&[1], &[]), power: Power::Stopped, ..wanted() };
    let mut world = World::settled(&stopped);
    world.situation.obstacles = vec![Obstacle::AddressHeld(address(1))];
    let plan = world.next(&wanted());
    assert_eq!(plan.step, Step::Wait);
    assert!(plan.reason.contains("eipalloc-00000001"), "{}", plan.reason);
}

#[test]
fn an_online_server_is_not_stopped_for_a_network_that_it_cannot_have() {
    for obstacle in [gone(), Obstacle::AddressHeld(address(2)), unknown(true), unknown(false)] {
        let mut world = World::settled(&wanted());
        let stops = world.stops;
        world.situation.obstacles = vec![obstacle.clone()];
        let plan = world.next(&Wanted { placement: placement(&[1], &[2]), ..wanted() });
        assert_eq!((plan.step, plan.phase), (Step::Blocked, ServerPhase::Online), "{obstacle:?}");
        assert_eq!(world.stops, stops);
    }
}

#[test]
fn a_network_that_aws_refuses_after_the_stop_gives_way_to_the_old_one() {
    for step in [placement(&[1], &[]), placement(&[2], &[]), placement(&[2], &[2])] {
        let mut world = World { refuses: Some(step), ..World::settled(&wanted()) };
        let moved = Wanted { placement: placement(&[2], &[2]), ..wanted() };
        world.settle(&moved);
        assert_eq!(world.server().state, AwsState::Online);
        assert_eq!(world.server().placement, wanted().placement, "as it was before");
        let stops = world.stops;
        world.time_passes();
        world.settle(&moved);
        assert_eq!(world.stops, stops, "no session is cut for the same refusal again");
        world.refuses = None;
        world.settle(&Wanted { placement: placement(&[3], &[3]), ..wanted() });
        assert_eq!(world.server().placement, placement(&[3], &[3]), "another network is tried");
    }
}

#[test]
fn a_server_whose_old_network_is_gone_too_opens_with_what_it_has() {
    let mut world = World::settled(&wanted());
    let moved = Wanted { placement: placement(&[2], &[2]), ..wanted() };
    while world.server().placement == wanted().placement {
        let step = world.visit(&moved).step;
        world.apply(&moved, &step);
    }
    let refused = Refused { placement: moved.placement.clone(), message: "AWS refuses it".into() };
    world.situation.history.refused = Some(refused);
    world.refuses = Some(wanted().placement);
    world.settle(&moved);
    assert_eq!((world.server().state, world.server().placement.clone()), (AwsState::Online, placement(&[1], &[])));
}

#[test]
fn a_network_that_aws_refuses_is_asked_for_once_where_there_is_none_to_go_back_to() {
    for power in [Power::Online, Power::Stopped] {
        let wanted = Wanted { power, ..wanted() };
        let mut world = World { refuses: Some(wanted.placement.clone()), ..World::default() };
        let asked = |steps: Vec<Step>| steps.iter().filter(|step| matches!(step, Step::Readdress { .. })).count();
        assert_eq!(asked(world.settle(&wanted)), 1);
        let plan = world.next(&wanted);
        let phase = if power == Power::Online { ServerPhase::Failed } else { ServerPhase::Stopped };
        assert_eq!((plan.step, plan.phase, plan.reason.as_str()), (Step::Blocked, phase, "AWS refuses it"));
        let again = world.situation.history.at_first(power == Power::Online, true);
        world.situation.history = again;
        assert_eq!(asked(world.settle(&wanted)), 1, "the next look tries it once more");
    }
}

#[test]
fn a_refusal_is_remembered_while_there_is_a_session_to_cut_or_a_placement_to_go_back_to() {
    let refused = Some(Refused { placement: placement(&[2], &[2]), message: "AWS refuses it".into() });
    let never = History { in_service: None, refused };
    let served = History { in_service: Some(placement(&[1], &[1])), ..never.clone() };
    assert_eq!(served.at_first(true, true), served);
    assert_eq!(served.at_first(false, false), served);
    assert_eq!(never.at_first(true, false), never);
    assert_eq!(served.at_first(false, true).refused, None);
}

#[test]
fn nothing_is_opened_while_something_is_missing_or_unknown() {
    let mut stopped = World::settled(&Wanted { power: Power::Stopped, ..wanted() });
    stopped.situation.obstacles = vec![Obstacle::AddressMissing(address(1))];
    assert_eq!(stopped.next(&wanted()).step, Step::Blocked);
    stopped.situation.obstacles = vec![unknown(true)];
    assert_eq!(stopped.next(&wanted()).step, Step::Wait);
    let none = World { situation: Situation { obstacles: vec![gone()], ..Situation::default() }, ..World::default() };
    assert_eq!((none.next(&wanted()).step, none.next(&wanted()).phase), (Step::Blocked, ServerPhase::Failed));
}

#[test]
fn a_server_is_online_only_when_its_endpoint_is() {
    let mut world = World::settled(&wanted());
    for endpoint in
        [Endpoint::Absent, Endpoint::Unknown, Endpoint::Present { groups: [group(1)].into(), available: false }]
    {
        world.server().endpoint = endpoint;
        assert_eq!(world.next(&wanted()).step, Step::Wait);
        assert_eq!(world.next(&wanted()).phase, ServerPhase::Starting);
    }
}

#[test]
fn a_start_that_failed_is_tried_again_before_addresses_are_set() {
    let mut world = World::default();
    world.apply(&wanted(), &Step::Create);
    world.server().state = AwsState::StartFailed;
    assert_eq!(world.next(&wanted()).step, Step::Start, "AWS may refuse to stop a server that is not online");
    world.settle(&wanted());
    assert_eq!(world.server().placement, wanted().placement);
}

#[test]
fn a_server_deleted_behind_our_back_is_made_again() {
    let mut world = World::settled(&wanted());
    world.situation.server = None;
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

fn subsets() -> impl Strategy<Value = Placement> {
    (prop::collection::btree_set(1u8..5, 1..4), any::<bool>()).prop_map(|(numbers, with_addresses)| {
        let numbers: Vec<u8> = numbers.into_iter().collect();
        placement(&numbers, if with_addresses { &numbers } else { &[] })
    })
}

fn endpoints() -> impl Strategy<Value = Endpoint> {
    let groups = prop::collection::btree_set((1u8..5).prop_map(group), 1..4);
    prop_oneof![
        Just(Endpoint::Unknown),
        Just(Endpoint::Absent),
        (groups, any::<bool>()).prop_map(|(groups, available)| Endpoint::Present { groups, available }),
    ]
}

fn obstacles() -> impl Strategy<Value = Obstacle> {
    prop_oneof![
        (1u8..5).prop_map(|n| Obstacle::AddressHeld(address(n))),
        (1u8..5).prop_map(|n| Obstacle::AddressMissing(address(n))),
        any::<bool>().prop_map(unknown),
    ]
}

prop_compose! {
    fn anything_wanted()(
        deleting in prop::bool::weighted(0.1),
        power in prop::sample::select(vec![Power::Online, Power::Stopped, Power::Asleep]),
        placement in subsets(), groups in prop::collection::btree_set((1u8..5).prop_map(group), 1..4),
    ) -> Wanted {
        Wanted {
            deleting,
            power,
            because: Because::Spec,
            power_reason: "why".into(),
            placement,
            groups,
        }
    }
}

prop_compose! {
    fn anything_observed()(
        state in states(), placement in subsets(), endpoint in endpoints(), lacks_host_keys in any::<bool>(),
    ) -> Observed {
        Observed { state, placement, endpoint, lacks_host_keys }
    }
}

prop_compose! {
    fn any_situation()(
        server in prop::option::of(anything_observed()), obstacles in prop::collection::vec(obstacles(), 0..3),
        in_service in prop::option::of(subsets()), refused in prop::option::of(subsets()),
    ) -> Situation {
        let refused = refused.map(|placement| Refused { placement, message: "refused".into() });
        Situation { server, making: false, sleeps: false, obstacles, history: History { in_service, refused } }
    }
}

proptest! {
    /// Total, and the second plan is empty, from any world without lasting obstacles; what is wanted may change in the
    /// middle.
    #[test]
    fn every_world_settles_as_wanted(
        situation in any_situation(), changes in prop::collection::vec((anything_wanted(), 0usize..8), 1..4)
    ) {
        let mut world = World { situation, ..World::default() };
        world.situation.obstacles.retain(Obstacle::passes_by_itself);
        world.situation.history.refused = None;
        for (wanted, steps) in &changes {
            for _ in 0..*steps {
                let plan = world.visit(wanted);
                prop_assert!(!plan.reason.is_empty());
                world.apply(wanted, &plan.step);
            }
        }
        world.time_passes();
        let (wanted, _) = changes.last().unwrap();
        world.settle(wanted);
        prop_assert!(world.settle(wanted).is_empty());
        let is_there = match wanted.power {
            Power::Online => true,
            Power::Stopped => !world.situation.sleeps,
            Power::Asleep => false,
        };
        prop_assert_eq!(world.situation.server.is_some(), is_there && !wanted.deleting);
        if let Some(server) = &world.situation.server {
            prop_assert_eq!(&server.placement, &wanted.placement);
            prop_assert_eq!(server.state == AwsState::Online, wanted.power == Power::Online);
            if let Endpoint::Present { groups, .. } = &server.endpoint {
                prop_assert_eq!(groups, &wanted.groups);
            }
        }
    }

    /// Whatever is missing, unknown or refused: a stop is a stop, and what was in service is never left shut.
    #[test]
    fn obstacles_shut_no_door_and_hold_none_open(situation in any_situation(), wanted in anything_wanted()) {
        let wanted = Wanted { deleting: false, ..wanted };
        let mut world = World { situation, ..World::default() };
        let was_open = world.situation.server.as_ref().is_some_and(|server| server.state == AwsState::Online);
        let in_service = world.situation.history.in_service.is_some();
        let hindered = world.situation.obstacles.iter().any(|obstacle| !obstacle.passes_by_itself());
        world.settle(&wanted);
        if let Some(server) = &world.situation.server {
            if wanted.power == Power::Stopped {
                prop_assert_eq!(server.state, AwsState::Offline);
            } else if was_open && in_service && hindered && world.stops > 0 {
                prop_assert_eq!(server.state, AwsState::Online);
            }
        }
    }

    /// A crash after a step was asked for and before anything was noted: the same plan is made from the world alone, so
    /// no step is done twice that AWS would bill twice.
    #[test]
    fn a_crash_anywhere_makes_no_second_server(wanted in anything_wanted(), crashes in prop::collection::vec(any::<bool>(), 20)) {
        let mut world = World::default();
        for crashed in crashes {
            let plan = world.visit(&wanted);
            if plan.step == Step::Forget || plan.step == Step::Settled { break; }
            world.apply(&wanted, &plan.step);
            if crashed { world.time_passes(); }
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
