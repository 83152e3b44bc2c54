use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::{
    duration::HumanDuration,
    ids::{FileSystemId, VpcId},
    power::{self, Door, Situation, Step, Wanted},
    server::{IdleAction, IdlePolicy, Network},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// Idle after 30 minutes; an order to open is kept for 2 hours.
fn spec(action: Option<IdleAction>) -> ServerSpec {
    ServerSpec {
        file_system_id: FileSystemId::parse("fs-0a1b2c3d").unwrap(),
        network: Network {
            vpc_id: VpcId::parse("vpc-0a1b2c3d").unwrap(),
            subnet_ids: Vec::new(),
            security_group_ids: Vec::new(),
            address_allocation_ids: Vec::new(),
            allowed_cidrs: Vec::new(),
        },
        idle: action.map(|action| IdlePolicy { after: HumanDuration::from_secs(1800), action }),
        user_role_arn: None,
        manual_keep: None,
        drain_for: None,
        drift: None,
    }
}

fn order(power: Power, second: i64) -> Order {
    Order { power, by: "alice".into(), at: at(second), now: false }
}

fn idle(second: i64) -> Decision {
    Decision { action: Action::Close, ..Decision::keep("nobody was here for 31m", at(second)) }
}

#[test]
fn a_server_is_online_unless_something_asks_for_it_to_be_closed() {
    let wish = wish(&spec(None), None, None, at(0));
    assert_eq!((wish.power, wish.until, wish.because), (Power::Online, None, Because::Spec));
    assert_eq!(super::wish(&spec(None), None, Some(&idle(0)), at(0)).power, Power::Online, "no policy");
}

#[test]
fn an_idle_server_gets_what_its_policy_says() {
    for (action, power) in [(IdleAction::Stop, Power::Stopped), (IdleAction::Sleep, Power::Asleep)] {
        let wish = wish(&spec(Some(action)), None, Some(&idle(0)), at(5));
        assert_eq!((wish.power, wish.because), (power, Because::Idle));
        assert_eq!(wish.reason, "nobody was here for 31m");
    }
}

#[test]
fn an_order_to_close_holds_until_somebody_opens() {
    for power in [Power::Stopped, Power::Asleep] {
        let wish = wish(&spec(Some(IdleAction::Stop)), Some(&order(power, 0)), None, at(90_000_000));
        assert_eq!((wish.power, wish.until), (power, None));
    }
}

#[test]
fn an_order_to_open_is_kept_for_a_while() {
    let (spec, order) = (spec(Some(IdleAction::Sleep)), order(Power::Online, 100));
    let kept = wish(&spec, Some(&order), Some(&idle(200)), at(7_299));
    assert_eq!((kept.power, kept.until, kept.reason.as_str()), (Power::Online, Some(at(7_300)), "opened by alice"));
    assert_eq!(wish(&spec, Some(&order), Some(&idle(200)), at(7_300)).power, Power::Asleep);
    assert_eq!(wish(&spec, Some(&order), Some(&idle(99)), at(7_300)).power, Power::Online, "decided before the order");
    let shorter = ServerSpec { manual_keep: Some(HumanDuration::from_secs(10)), ..spec };
    assert_eq!(wish(&shorter, Some(&order), Some(&idle(200)), at(200)).power, Power::Asleep);
}

#[test]
fn what_comes_next_is_what_an_idle_server_gets() {
    let (spec, order) = (spec(Some(IdleAction::Sleep)), order(Power::Online, 0));
    let keep = Decision { possible_at: Some(at(1_800)), ..Decision::keep("online for only 1m", at(60)) };
    let next_of = |order: Option<&Order>| next(&spec, &wish(&spec, order, Some(&keep), at(60)), Some(&keep));
    assert_eq!(next_of(None).map(|next| (next.power, next.at)), Some((Power::Asleep, at(1_800))));
    assert_eq!(next_of(Some(&order)).map(|next| next.at), Some(at(7_200)), "not before the order has ended");
    assert_eq!(next_of(Some(&super::tests::order(Power::Asleep, 0))), None);
}

/// One of all combinations of what a wish is worked out from.
#[derive(Clone, Copy, Debug)]
struct Case {
    action: Option<IdleAction>,
    keep: Option<u32>,
    /// The order's power, given at 0.
    order: Option<Power>,
    at_once: bool,
    /// The sweep's decision, and when.
    decision: Option<(Action, i64)>,
    now: i64,
    deleting: bool,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        let (powers, keeps) = ([Power::Online, Power::Stopped, Power::Asleep], [None, Some(1), Some(600)]);
        let decisions = [Action::Keep, Action::Close].into_iter().flat_map(|action| [-1, 0, 1].map(|at| (action, at)));
        let decisions: Vec<_> = decisions.map(Some).chain([None]).collect();
        let nows = [-1, 0, 1, 599, 600, 601, 7_199, 7_200, 7_201, 90_000_000];
        let mut all = Vec::new();
        for action in [None, Some(IdleAction::Stop), Some(IdleAction::Sleep)] {
            for (keep, order) in keeps
                .into_iter()
                .flat_map(|keep| powers.into_iter().map(Some).chain([None]).map(move |order| (keep, order)))
            {
                for (decision, now) in decisions.iter().flat_map(|decision| nows.map(|now| (*decision, now))) {
                    for (at_once, deleting) in [(false, false), (false, true), (true, false), (true, true)] {
                        all.push(Self { action, keep, order, at_once, decision, now, deleting });
                    }
                }
            }
        }
        all.into_iter()
    }

    fn spec(&self) -> ServerSpec {
        ServerSpec { manual_keep: self.keep.map(HumanDuration::from_secs), ..spec(self.action) }
    }

    fn wish(&self, now: i64) -> Wish {
        let order = self.order.map(|power| Order { now: self.at_once, ..order(power, 0) });
        let decision = self.decision.map(|(action, second)| Decision { action, ..idle(second) });
        wish(&self.spec(), order.as_ref(), decision.as_ref(), at(now))
    }

    /// When an order to open ends.
    fn kept_until(&self) -> i64 {
        i64::from(self.keep.unwrap_or(7_200))
    }

    fn expected(&self) -> (Power, Because, Option<Timestamp>) {
        let is_newer = |second: i64| self.order.is_none() || second >= 0;
        match (self.order, self.action, self.decision) {
            (Some(Power::Online), policy, _) if self.now < self.kept_until() => {
                (Power::Online, Because::Order { now: self.at_once }, policy.map(|_| at(self.kept_until())))
            }
            (Some(closed @ (Power::Stopped | Power::Asleep)), ..) => {
                (closed, Because::Order { now: self.at_once }, None)
            }
            (_, Some(action), Some((Action::Close, second))) if is_newer(second) => {
                (action.power(), Because::Idle, None)
            }
            _ => (Power::Online, Because::Spec, None),
        }
    }
}

#[test]
fn in_every_case_a_person_comes_first_then_whether_anybody_is_there() {
    let mut cases = 0;
    for case in Case::all() {
        cases += 1;
        let wish = case.wish(case.now);
        assert_eq!((wish.power, wish.because, wish.until), case.expected(), "{case:?}");
        let wanted = Wanted::of(&case.spec(), wish.clone(), case.deleting);
        assert_eq!(wanted.opens(), wish.power == Power::Online && !case.deleting, "{case:?}");
        let step = power::next(&wanted, &Situation::default(), &Door::Open).step;
        assert_eq!(step == Step::Forget, case.deleting, "deleting outweighs all: {case:?}");
        let Some(until) = wish.until else { continue };
        assert!(until > at(case.now), "{case:?}");
        let end = case.kept_until();
        assert_eq!(case.wish(end - 1), wish, "it stands until then: {case:?}");
        assert_ne!(case.wish(end).because, wish.because, "and something else decides then: {case:?}");
    }
    assert!(cases > 5_000, "{cases}");
}

#[test]
fn a_wish_without_an_end_never_changes_by_itself() {
    for case in Case::all().filter(|case| case.action.is_some() && case.wish(case.now).until.is_none()) {
        let (first, last) = (case.wish(case.now), case.wish(90_000_001));
        assert_eq!((first.power, first.because), (last.power, last.because), "{case:?}");
    }
}

prop_compose! {
    fn any_order()(power in prop::sample::select(vec![Power::Online, Power::Stopped, Power::Asleep]), second in -9_000i64..9_000, now: bool) -> Order {
        Order { now, ..order(power, second) }
    }
}

proptest! {
    /// Total, and what is wished for changes when `until` says so and not before.
    #[test]
    fn a_wish_stands_until_it_says(
        given in prop::option::of(any_order()), sleeps in prop::option::of(any::<bool>()),
        decided in prop::option::of((-9_000i64..9_000, any::<bool>())), now in -9_000i64..20_000, later in 0i64..20_000,
    ) {
        let spec = spec(sleeps.map(|sleeps| if sleeps { IdleAction::Sleep } else { IdleAction::Stop }));
        let decision = decided.map(|(second, stop)| Decision { action: if stop { Action::Close } else { Action::Keep }, ..idle(second) });
        let first = wish(&spec, given.as_ref(), decision.as_ref(), at(now));
        prop_assert!(!first.reason.is_empty());
        prop_assert!(first.until.is_none_or(|until| until > at(now)));
        let then = at(now + later);
        if first.until.is_none_or(|until| then < until) {
            prop_assert_eq!(wish(&spec, given.as_ref(), decision.as_ref(), then).power, first.power);
        }
    }

    /// A person's newer order outweighs whatever the sweep saw before it.
    #[test]
    fn who_comes_last_decides(order in any_order(), sleeps in any::<bool>(), before in 0i64..9_000) {
        let spec = spec(Some(if sleeps { IdleAction::Sleep } else { IdleAction::Stop }));
        let decision = Decision { at: order.at - SignedDuration::from_secs(before + 1), ..idle(0) };
        for now in [order.at, order.at + SignedDuration::from_hours(100)] {
            prop_assert_eq!(wish(&spec, Some(&order), Some(&decision), now).power, order.power);
        }
    }
}
