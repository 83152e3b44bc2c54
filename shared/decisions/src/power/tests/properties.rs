//! What holds in any situation.

use proptest::prelude::*;

use super::*;

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
    pub(super) fn anything_wanted()(
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
    pub(super) fn anything_observed()(
        state in states(), placement in subsets(), endpoint in endpoints(), lacks_host_keys in any::<bool>(),
    ) -> Observed {
        Observed { state, placement, endpoint, lacks_host_keys }
    }
}

prop_compose! {
    pub(super) fn any_situation()(
        server in prop::option::of(anything_observed()), obstacles in prop::collection::vec(obstacles(), 0..3),
        in_service in prop::option::of(subsets()), refused in prop::option::of(subsets()),
    ) -> Situation {
        let refused = refused.map(|placement| Refused { placement, message: "refused".into() });
        Situation { server, making: false, sleeps: false, obstacles, history: History { in_service, refused, applied: None } }
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
