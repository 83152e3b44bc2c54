//! What a change does to sessions, told before it is made.

use proptest::prelude::*;

use super::{
    properties::{any_situation, anything_observed, anything_wanted},
    *,
};

fn told(world: &World, wanted: &Wanted) -> (bool, String) {
    let Interruption { interrupts, reason } = interruption(wanted, &world.situation);
    (interrupts, reason)
}

#[test]
fn another_address_or_subnet_cuts_sessions_and_other_groups_do_not() {
    let world = World::settled(&wanted());
    for placement in [placement(&[1], &[2]), placement(&[2], &[2]), placement(&[1], &[])] {
        let moved = Wanted { placement, groups: [group(2)].into(), ..wanted() };
        let (interrupts, reason) = told(&world, &moved);
        assert!(interrupts && reason.contains("only while a server is offline"), "{reason}");
    }
    for same in [wanted(), Wanted { groups: [group(2)].into(), ..wanted() }] {
        let (interrupts, reason) = told(&world, &same);
        assert!(!interrupts && reason.contains("not stopped"), "{reason}");
    }
}

#[test]
fn a_network_that_cannot_be_had_cuts_nobody() {
    let mut world = World::settled(&wanted());
    world.situation.obstacles = vec![gone()];
    let (interrupts, reason) = told(&world, &Wanted { placement: placement(&[1], &[2]), ..wanted() });
    assert!(!interrupts && reason.contains("eipalloc-00000002"), "{reason}");
}

#[test]
fn where_nobody_is_in_nobody_is_cut_off() {
    let moved = Wanted { placement: placement(&[1], &[2]), ..wanted() };
    assert!(!told(&World::default(), &moved).0);
    let stopped = World::settled(&Wanted { power: Power::Stopped, ..wanted() });
    assert!(!told(&stopped, &moved).0);
    let (interrupts, reason) = told(&World::settled(&wanted()), &Wanted { power: Power::Stopped, ..moved });
    assert!(!interrupts && reason.contains("to be closed"), "{reason}");
}

proptest! {
    /// It tells what becomes of it: a server that is open, and stays so, is stopped if and only if that was told.
    #[test]
    fn what_is_told_is_what_is_done(
        situation in any_situation(), server in anything_observed(), wanted in anything_wanted()
    ) {
        let wanted = Wanted { deleting: false, power: Power::Online, ..wanted };
        let mut world = World { situation, ..World::default() };
        world.situation.history.in_service = Some(server.placement.clone());
        let endpoint = Endpoint::Present { groups: [group(1)].into(), available: true };
        world.situation.server = Some(Observed { state: AwsState::Online, endpoint, ..server });
        let interrupts = told(&world, &wanted).0;
        world.situation.obstacles.retain(|obstacle| !obstacle.passes_by_itself());
        let interrupts_without_what_passes = told(&world, &wanted).0;
        world.settle(&wanted);
        prop_assert_eq!(world.stops > 0, interrupts_without_what_passes);
        prop_assert!(interrupts_without_what_passes || !interrupts);
    }
}
