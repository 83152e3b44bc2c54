mod drift;
mod interruption;
mod properties;
mod world;

use self::world::World;
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

fn gone() -> Obstacle {
    Obstacle::AddressMissing(address(2))
}

fn unknown(temporary: bool) -> Obstacle {
    Obstacle::Unknown { error: "EC2 does not answer".into(), temporary }
}

#[test]
fn mount_targets_that_are_not_known_hold_up_only_what_would_cut_somebody_off() {
    let unknown = Obstacle::MountTargetsUnknown { error: "EFS does not answer".into(), temporary: false };
    let mut world = World::default();
    world.situation.obstacles = vec![unknown.clone()];
    assert_eq!(world.settle(&wanted())[0], Step::Create);
    let mut online = World::settled(&wanted());
    online.situation.obstacles = vec![unknown];
    let moved = Wanted { placement: placement(&[2], &[2]), ..wanted() };
    assert!(!online.settle(&moved).contains(&Step::Stop));
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
    let never = History { refused, ..History::default() };
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
