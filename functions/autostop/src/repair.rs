//! Which servers need a wake-up, because theirs was lost or because `reconcile` has not looked for a while.

use jiff::Timestamp;
use wharfinger_decisions::{
    server::{Power, ServerPhase},
    wakeup::TRUSTED_FOR,
};
use wharfinger_store::servers::ServerItem;

/// Why the server needs a wake-up, or `None` if it does not.
pub(crate) fn reason(item: &ServerItem, now: Timestamp) -> Option<&'static str> {
    if item.armed.is_waited_for(now) {
        return None;
    }
    let (record, status) = (&item.record, &item.record.status);
    if record.deleting {
        return Some("it is not yet deleted");
    }
    if status.settled_version < record.version {
        return Some("it is not yet as wanted");
    }
    let in_transition = matches!(
        item.phase(),
        ServerPhase::Creating
            | ServerPhase::Starting
            | ServerPhase::Draining
            | ServerPhase::Stopping
            | ServerPhase::Deleting
    );
    if in_transition {
        return Some("it is in transition");
    }
    if !item.is_obeyed() {
        return Some("an order is not yet obeyed");
    }
    if !item.is_settled(now) {
        let closes = item.wish(now).power != Power::Online;
        return Some(if closes { "it is to be closed" } else { "it is to be online" });
    }
    let trusted = status.observed_at.is_some_and(|at| now.duration_since(at) < TRUSTED_FOR);
    (!trusted).then_some("nobody has looked for ten minutes")
}

#[cfg(test)]
mod tests {
    use wharfinger_decisions::{
        duration::HumanDuration,
        idle::{Action, Decision},
        order::Order,
        server::{Draining, IdleAction, IdlePolicy},
    };

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// Online as wanted, seen at second 0.
    fn settled() -> ServerItem {
        serde_json::from_value(serde_json::json!({
            "intent": {
                "spec": {
                    "file_system_id": "fs-0a1b2c3d",
                    "network": {"vpc_id": "vpc-0a1b2c3d", "subnet_ids": ["subnet-0a1b2c3d"], "security_group_ids": ["sg-0a1b2c3d"]},
                },
                "power": {"power": "online", "by": {"person": "alice"}, "reason": "asked", "at": at(0)},
            },
            "status": {"power": "online", "reason": "asked", "settled_version": 3, "observed_at": at(0)},
            "version": 3, "created_at": at(0), "updated_at": at(0),
        }))
        .unwrap()
    }

    #[test]
    fn a_settled_server_is_looked_at_every_ten_minutes() {
        assert_eq!(reason(&settled(), at(599)), None);
        assert!(reason(&settled(), at(600)).is_some());
    }

    #[test]
    fn a_lost_wake_up_is_repaired() {
        let mut behind = settled();
        behind.record.version = 4;
        assert!(reason(&behind, at(1)).is_some());
        let mut starting = settled();
        starting.record.status.power = ServerPhase::Starting;
        assert!(reason(&starting, at(1)).is_some());
        let mut draining = settled();
        draining.record.status.draining = Some(Draining { since: at(0), users: Vec::new(), until: None });
        assert!(reason(&draining, at(1)).is_some());
    }

    #[test]
    fn an_order_or_a_decision_whose_wake_up_was_lost_is_carried_out() {
        let mut ordered = settled();
        ordered.order = Some(Order { power: Power::Online, by: "alice".into(), at: at(5), now: false });
        assert!(reason(&ordered, at(6)).is_some());
        ordered.record.status.obeyed = Some(at(5));
        assert_eq!(reason(&ordered, at(6)), None);

        let mut idle = settled();
        let after = HumanDuration::from_secs(60);
        idle.record.intent.spec.idle = Some(IdlePolicy { after, action: IdleAction::Stop });
        idle.decision = Some(Decision { action: Action::Close, ..Decision::keep("nobody was here", at(5)) });
        assert!(reason(&idle, at(6)).is_some());
        idle.record.status.power = ServerPhase::Stopped;
        assert_eq!(reason(&idle, at(6)), None);
    }

    #[test]
    fn an_order_is_told_from_the_one_before_whatever_the_clock_of_its_giver() {
        let mut ordered = settled();
        ordered.record.status.obeyed = Some(at(5));
        ordered.order = Some(Order { power: Power::Online, by: "bob".into(), at: at(4), now: false });
        assert_eq!(reason(&ordered, at(6)), Some("an order is not yet obeyed"));
    }

    #[test]
    fn a_server_that_sleeps_counts_as_stopped_and_one_that_should_be_awake_is_woken() {
        let mut stopped = settled();
        stopped.order = Some(Order { power: Power::Stopped, by: "alice".into(), at: at(5), now: false });
        (stopped.record.status.power, stopped.record.status.obeyed) = (ServerPhase::Stopped, Some(at(5)));
        assert_eq!((stopped.phase(), reason(&stopped, at(6))), (ServerPhase::Asleep, None));
        stopped.record.intent.power.at = at(4);
        stopped.order = None;
        assert!(reason(&stopped, at(6)).is_some(), "it is to be online");
    }

    #[test]
    fn a_server_that_is_kept_from_sleeping_is_not_woken_before_its_next_try() {
        let mut kept = settled();
        kept.order = Some(Order { power: Power::Asleep, by: "alice".into(), at: at(5), now: false });
        (kept.armed.at, kept.armed.step) = (Some(at(900)), "it has no host key".into());
        assert_eq!(reason(&kept, at(900)), None);
    }

    #[test]
    fn a_wake_up_on_its_way_is_enough() {
        let mut behind = settled();
        behind.record.version = 4;
        (behind.armed.at, behind.armed.step) = (Some(at(100)), "starting".into());
        assert_eq!(reason(&behind, at(129)), None);
        assert!(reason(&behind, at(131)).is_some());
    }

    #[test]
    fn a_message_for_the_end_of_an_order_hides_no_wake_up_that_was_lost() {
        let mut ordered = settled();
        ordered.armed.at = Some(at(800));
        assert_eq!(reason(&ordered, at(5)), None);
        ordered.order = Some(Order { power: Power::Stopped, by: "alice".into(), at: at(5), now: false });
        assert_eq!(reason(&ordered, at(6)), Some("an order is not yet obeyed"));
    }
}
