//! Every world within some bounds: what people, AWS, a client and two visits to one server do, in every order. In each
//! of them the rules hold that a person relies on, and from each the server becomes as it is wanted.
//!
//! Visits are modelled after `reconcile`, whose steps come from the decisions of this crate.

mod call;
mod event;
mod search;
mod visit;
mod world;

use wharfinger_decisions::server::IdleAction;

use crate::{
    search::Search,
    world::{Left, World},
};

/// Nothing unplanned happens; a client may log in.
const CALM: Left = Left { orders: 0, moves: 0, sweeps: 0, faults: 0, expiries: 0, logins: 1, decoys: 0 };

/// Goes through all worlds that follow from `first`: more than `least`, or something does not happen any more that did.
fn explore(first: World, least: usize) {
    let worlds = Search::explore(first);
    println!("{worlds} worlds, with {:?}", first.left);
    assert!(worlds > least, "only {worlds} worlds");
}

#[test]
fn a_new_server_comes_into_service_whatever_fails_and_is_closed_or_deleted_on_the_way() {
    explore(World::new(IdleAction::Sleep, Left { orders: 1, faults: 1, ..CALM }), 300_000);
}

#[test]
fn a_server_in_service_follows_two_orders() {
    explore(World::online(IdleAction::Sleep, Left { orders: 2, ..CALM }), 50_000);
}

#[test]
fn a_server_in_service_is_closed_when_idle_whatever_fails_or_is_ordered() {
    explore(World::online(IdleAction::Sleep, Left { sweeps: 1, faults: 1, ..CALM }), 1_000);
    explore(World::online(IdleAction::Sleep, Left { orders: 1, sweeps: 1, ..CALM }), 1_000);
    explore(World::online(IdleAction::Stop, Left { orders: 1, sweeps: 1, faults: 1, ..CALM }), 30_000);
}

#[test]
fn a_server_that_sleeps_wakes_whatever_fails() {
    explore(World::asleep(IdleAction::Sleep, Left { orders: 1, faults: 1, ..CALM }), 50_000);
    explore(World::asleep(IdleAction::Sleep, Left { orders: 1, sweeps: 1, ..CALM }), 5_000);
}

#[test]
fn a_server_moves_to_another_network_and_back_whatever_is_refused_or_ordered() {
    explore(World::online(IdleAction::Sleep, Left { orders: 1, moves: 1, faults: 1, ..CALM }), 50_000);
    explore(World::online(IdleAction::Sleep, Left { sweeps: 1, moves: 2, ..CALM }), 10_000);
}

/// A lease may expire while its owner is still at it.
#[test]
fn two_visits_at_once_do_no_harm() {
    explore(World::online(IdleAction::Sleep, Left { orders: 1, expiries: 1, ..CALM }), 10_000);
    explore(World::online(IdleAction::Sleep, Left { sweeps: 1, expiries: 1, ..CALM }), 1_000);
    explore(World::asleep(IdleAction::Sleep, Left { orders: 1, expiries: 1, logins: 0, ..CALM }), 100_000);
}

/// Whoever may tag servers gives one of theirs our tags: it is never taken for ours, and keeps none of ours from opening.
#[test]
fn a_decoy_gets_nothing_and_holds_up_nothing() {
    explore(World::new(IdleAction::Sleep, Left { orders: 1, decoys: 1, ..CALM }), 100_000);
    explore(World::online(IdleAction::Sleep, Left { sweeps: 1, decoys: 1, ..CALM }), 500);
    explore(World::asleep(IdleAction::Sleep, Left { orders: 1, faults: 1, decoys: 1, logins: 0, ..CALM }), 100_000);
}

/// With orders beside there are millions of worlds: those are not gone through.
#[test]
fn two_visits_at_once_do_no_harm_whatever_fails() {
    explore(World::new(IdleAction::Sleep, Left { faults: 1, expiries: 1, logins: 0, ..CALM }), 10_000);
    explore(World::online(IdleAction::Sleep, Left { sweeps: 1, faults: 1, expiries: 1, logins: 0, ..CALM }), 5_000);
}
