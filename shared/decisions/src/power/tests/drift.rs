//! Placements that somebody changed by hand.

use proptest::prelude::*;

use super::{
    properties::{any_situation, anything_wanted},
    *,
};
use crate::server::{ServerSpec, ServerStatus};

/// A server that was as `wanted`, until somebody gave it the Elastic IP 2.
fn drifted(wanted: &Wanted) -> World {
    let mut world = World::settled(wanted);
    world.situation.history.applied = Some(wanted.placement.clone());
    world.server().placement = placement(&[1], &[2]);
    world
}

#[test]
fn nobody_is_cut_off_to_undo_what_somebody_did_by_hand() {
    let mut world = drifted(&wanted());
    let stops = world.stops;
    for state in [AwsState::Online, AwsState::Starting, AwsState::StartFailed, AwsState::StopFailed] {
        world.server().state = state;
        let plan = world.visit(&wanted());
        assert!(!matches!(plan.step, Step::Drain | Step::Stop), "{state:?}: {plan:?}");
    }
    world.server().state = AwsState::Online;
    world.settle(&wanted());
    let plan = world.visit(&wanted());
    assert_eq!((world.stops, &plan.step, plan.phase), (stops, &Step::Blocked, ServerPhase::Online));
    let differs = "it has eipalloc-00000002 and lacks eipalloc-00000001";
    assert!(plan.reason.contains("stays online") && plan.reason.ends_with(differs), "{}", plan.reason);
}

#[test]
fn a_server_that_is_offline_is_repaired_as_nobody_is_cut_off() {
    let mut world = drifted(&wanted());
    world.settle(&Wanted { power: Power::Stopped, ..wanted() });
    assert_eq!((world.server().state, &world.server().placement), (AwsState::Offline, &wanted().placement));
    let mut world = drifted(&wanted());
    world.server().state = AwsState::Offline;
    world.settle(&wanted());
    assert_eq!((world.server().state, &world.server().placement), (AwsState::Online, &wanted().placement));
}

#[test]
fn a_change_of_the_spec_is_no_drift() {
    let mut world = drifted(&wanted());
    let moved = Wanted { placement: placement(&[1], &[3]), ..wanted() };
    world.settle(&moved);
    assert_eq!(world.server().placement, moved.placement);
}

#[test]
fn security_groups_are_repaired_all_the_same() {
    let mut world = drifted(&wanted());
    world.server().endpoint = Endpoint::Present { groups: [group(2)].into(), available: true };
    assert!(matches!(world.visit(&wanted()).step, Step::Regroup { .. }));
}

fn spec() -> ServerSpec {
    serde_json::from_value(serde_json::json!({
        "file_system_id": "fs-00000001",
        "network": {
            "vpc_id": "vpc-00000001", "subnet_ids": ["subnet-00000001"], "security_group_ids": ["sg-00000001"],
            "address_allocation_ids": ["eipalloc-00000001"],
        },
    }))
    .unwrap()
}

/// The history that a record of version 3, with this status, tells of the server `s-1`, which AWS shows.
fn told(known: History, status: &ServerStatus, drift: DriftPolicy) -> History {
    let (spec, current) = (spec(), placement(&[1], &[2]));
    Recorded { spec: &spec, status, version: 3 }.complete(known, drift, Some(("s-1", &current)))
}

fn status() -> ServerStatus {
    let server_id = Some("s-1".to_owned());
    ServerStatus { power: ServerPhase::Online, server_id, settled_version: 3, ..ServerStatus::default() }
}

#[test]
fn what_earlier_versions_recorded_tells_what_was_applied() {
    let applied = |status: &ServerStatus| told(History::default(), status, DriftPolicy::Report).applied;
    assert_eq!(applied(&status()), Some(placement(&[1], &[1])));
    assert_eq!(applied(&ServerStatus { settled_version: 2, ..status() }), None, "the spec may have changed since");
    assert_eq!(applied(&ServerStatus { power: ServerPhase::Starting, ..status() }), None, "it is being made");
    let known = History { in_service: Some(placement(&[1], &[])), ..History::default() };
    assert_eq!(told(known, &status(), DriftPolicy::Report).applied, None, "this version would have recorded it");
    let in_service = told(History::default(), &status(), DriftPolicy::Report).in_service;
    assert_eq!(in_service, Some(placement(&[1], &[2])));
}

#[test]
fn what_was_applied_to_another_server_does_not_count_nor_where_drift_is_repaired() {
    let known = History { applied: Some(placement(&[1], &[1])), ..History::default() };
    let has_drifted = |status: &ServerStatus, drift| {
        told(known.clone(), status, drift).has_drifted(&placement(&[1], &[1]), &placement(&[1], &[2]))
    };
    assert!(has_drifted(&status(), DriftPolicy::Report));
    assert!(!has_drifted(&status(), DriftPolicy::Repair));
    let rebuilt = ServerStatus { server_id: Some("s-0".into()), ..status() };
    assert!(!has_drifted(&rebuilt, DriftPolicy::Report));
}

proptest! {
    /// Whatever else is wrong, and in whatever state AWS shows it: drift alone stops no server that is to be online, and
    /// is undone where the server is offline.
    #[test]
    fn drift_is_undone_only_where_nobody_is_cut_off(situation in any_situation(), wanted in anything_wanted()) {
        let wanted = Wanted { deleting: false, power: Power::Online, ..wanted };
        prop_assume!(situation.server.is_some());
        let mut world = World { situation, ..World::default() };
        world.situation.obstacles.clear();
        world.situation.history.refused = None;
        world.situation.history.applied = Some(wanted.placement.clone());
        let is_offline = matches!(world.server().state, AwsState::Offline | AwsState::Stopping);
        let drifted = world.server().placement.clone();
        world.settle(&wanted);
        prop_assert_eq!(world.stops, 0);
        let expected = if is_offline { &wanted.placement } else { &drifted };
        prop_assert_eq!(&world.server().placement, expected);
    }
}
