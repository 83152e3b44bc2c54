use wharfinger_aws::transfer::Server;
use wharfinger_decisions::{power::Refused, rebuild::Unanswered, server::Asleep, settings::Settings};
use wharfinger_store::servers::ServerItem;

use super::*;
use crate::{
    search::Others,
    testing::{self, busy, observation, refused},
};

/// A visit that ends with the plan for what it observed.
struct Case {
    item: ServerItem,
    lacks: Vec<Lack>,
    reached: Reached,
    users: Tally,
}

impl Case {
    /// A visit to a server that is as wanted, but for its state.
    fn new(state: AwsState, end: impl Into<End>) -> Self {
        let (item, observation) = (ServerItem::from(testing::record()), observation(state));
        let memory = Memory::at_first(&item, true, false);
        let reached = Reached { observation, rules: Ok(()), memory, end: end.into() };
        Self { item, lacks: Vec::new(), reached, users: Tally::default() }
    }

    fn findings<T>(&self, ask: impl FnOnce(&Findings<'_>) -> T) -> T {
        let wanted = testing::wanted(&self.item);
        let obstacles = self.reached.observation.obstacles(&testing::spec(), &wanted.placement);
        let now = now();
        ask(&Findings {
            item: &self.item,
            wanted: &wanted,
            lacks: &self.lacks,
            reached: &self.reached,
            obstacles,
            users: &self.users,
            now,
        })
    }

    fn status(&self) -> ServerStatus {
        self.findings(|findings| findings.status())
    }

    fn asleep(&self) -> Option<Asleep> {
        self.findings(|findings| findings.asleep())
    }

    fn next_visit(&self) -> NextVisit {
        self.findings(|findings| findings.next_visit())
    }

    fn codes(&self) -> Vec<String> {
        self.status().conditions.iter().map(|condition| condition.code.to_string()).collect()
    }

    fn is_settled(&self) -> bool {
        self.status().settled_version == self.item.record.version
    }
}

impl From<(Step, ServerPhase)> for End {
    fn from((step, phase): (Step, ServerPhase)) -> Self {
        Self::Plan(Plan { step, phase, reason: "asked by alice".into() })
    }
}

fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

fn settled() -> (Step, ServerPhase) {
    (Step::Settled, ServerPhase::Online)
}

fn is_slow(next: &NextVisit) -> bool {
    matches!(next, NextVisit::Slowly(_))
}

#[test]
fn a_server_that_is_as_wanted_is_settled_and_left_alone() {
    let case = Case::new(AwsState::Online, settled());
    assert!(case.is_settled());
    assert_eq!((case.next_visit(), case.codes()), (NextVisit::NotNeeded, vec![]));
    let history = case.status().history;
    assert_eq!(history.in_service, Some(testing::placement()), "what is restored when another one is refused");
}

#[test]
fn settled_means_users_and_rules_too() {
    let with = |users: Tally| Case { users, ..Case::new(AwsState::Online, settled()) };
    for users in [
        Tally { left_over: 1, ..Tally::default() },
        Tally { waiting: 1, ..Tally::default() },
        Tally { refused: 1, ..Tally::default() },
        Tally { without_record: Some(4), ..Tally::default() },
        Tally { unknown: vec!["throttled".into()], ..Tally::default() },
    ] {
        let case = with(users.clone());
        assert!(!case.is_settled(), "{users:?}");
        assert_ne!(case.next_visit(), NextVisit::NotNeeded, "{users:?}");
    }
    assert!(with(Tally { strangers: vec!["bob".into()], ..Tally::default() }).is_settled());
    let mut case = Case::new(AwsState::Online, settled());
    case.reached.rules = Err(refused().into());
    assert!(!case.is_settled());
}

#[test]
fn a_server_that_aws_lists_as_online_is_not_called_failed() {
    for end in [End::Failed(refused().into()), End::Unseen(refused().into())] {
        let status = Case::new(AwsState::Online, end).status();
        assert_eq!(status.power, ServerPhase::Online);
        assert_eq!(status.online_since, testing::record().status.online_since);
    }
    let refused = End::Failed(refused().into());
    assert_eq!(Case::new(AwsState::Offline, refused).status().power, ServerPhase::Failed);
}

#[test]
fn what_is_wrong_is_a_condition_with_a_remedy_or_its_cause() {
    let case = Case::new(AwsState::Online, End::Failed(refused().into()));
    assert_eq!(case.codes(), ["step_refused"]);
    assert!(case.status().conditions[0].message.contains("not authorized"));
    let passing = Case::new(AwsState::Online, End::Failed(busy().into()));
    assert!(passing.codes().is_empty(), "a throttled call is nobody's business");
}

#[test]
fn an_address_that_is_gone_is_told_and_the_server_is_not_settled() {
    let mut case = Case::new(AwsState::Online, settled());
    case.reached.observation.elastic_ips = Ok(std::collections::BTreeMap::new());
    let status = case.status();
    assert_eq!(status.conditions[0].code, "address_missing");
    assert_eq!((status.conditions[0].severity, status.power), (Severity::Error, ServerPhase::Online));
    assert!(!case.is_settled());
    assert!(is_slow(&case.next_visit()), "only a person can help soon");
}

#[test]
fn a_refused_network_is_told_until_another_is_wanted() {
    let mut case = Case::new(AwsState::Online, (Step::Blocked, ServerPhase::Online));
    let placement = testing::placement();
    case.reached.memory.history.refused = Some(Refused { placement, message: "AWS refuses subnet-00000001".into() });
    case.reached.observation.server = Ok(Some(wharfinger_aws::transfer::Server {
        placement: Default::default(),
        ..testing::server(AwsState::Online)
    }));
    case.reached.observation.elastic_ips.as_mut().unwrap().values_mut().for_each(|address| address.held = false);
    assert_eq!(case.codes(), ["network_refused"]);
    assert!(case.status().history.refused.is_some());
    case.item.record.intent.spec.network.address_allocation_ids.clear();
    assert_eq!(case.status().history.refused, None);
}

#[test]
fn a_second_server_is_told_until_a_search_finds_none() {
    let mut case = Case::new(AwsState::Online, settled());
    case.reached.observation.others = Some(Ok(Others { ours: vec!["s-2".into()], ..Others::default() }));
    let status = case.status();
    assert_eq!((status.conditions[0].code.as_ref(), status.searched_at), ("second_server", Some(now())));
    case.item.record.status = status;
    for unsearched in [None, Some(Err(busy()))] {
        case.reached.observation.others = unsearched;
        assert_eq!(case.codes(), ["second_server"]);
    }
    case.reached.observation.others = Some(Ok(Others::default()));
    assert!(case.codes().is_empty());
}

#[test]
fn a_table_that_lost_its_users_says_how_many_accounts_it_leaves() {
    let users = Tally { without_record: Some(900), ..Tally::default() };
    let status = Case { users, ..Case::new(AwsState::Online, settled()) }.status();
    assert_eq!((status.conditions[0].code.as_ref(), status.conditions[0].severity), ("mass_deletion", Severity::Error));
    assert!(status.conditions[0].message.contains("900"));
}

#[test]
fn users_that_wait_are_not_slowed_down_by_a_server_that_is_refused() {
    let users = Tally { left_over: 5, ..Tally::default() };
    let case = Case { users, ..Case::new(AwsState::Offline, End::Failed(refused().into())) };
    assert!(matches!(case.next_visit(), NextVisit::Soon(_)));
    let case = Case::new(AwsState::Offline, End::Failed(refused().into()));
    assert!(is_slow(&case.next_visit()));
}

#[test]
fn a_server_that_cannot_be_seen_is_shown_as_it_was() {
    let mut case = Case::new(AwsState::Online, End::Unseen(refused().into()));
    case.reached.observation.server = Err(refused());
    let status = case.status();
    assert_eq!((status.power, status.server_id.as_deref()), (ServerPhase::Online, Some("s-1")));
    assert_eq!(case.codes(), ["server_unknown"]);
}

#[test]
fn an_endpoint_that_cannot_be_seen_does_not_make_an_online_server_look_like_starting() {
    let mut case = Case::new(AwsState::Online, (Step::Wait, ServerPhase::Starting));
    case.reached.observation.endpoint = Err(refused());
    assert_eq!(case.status().power, ServerPhase::Online);
    assert!(!case.is_settled());
    case.item.record.status.power = ServerPhase::Starting;
    assert_eq!(case.status().power, ServerPhase::Starting, "it was never seen to be available");
}

#[test]
fn a_stopped_server_whose_rules_are_refused_is_looked_at_again() {
    let mut case = Case::new(AwsState::Offline, (Step::Settled, ServerPhase::Stopped));
    case.item = testing::stopped_now(testing::record());
    assert_eq!(case.next_visit(), NextVisit::NotNeeded);
    case.reached.rules = Err(Error::Missing("the group is full".into()));
    assert_eq!(case.next_visit(), NextVisit::Slowly("the group is full".into()));
    assert_eq!(case.codes(), ["rules_refused"]);
}

#[test]
fn a_server_that_drains_or_sleeps_is_told_in_words_that_release_0_1_reads() {
    let mut case = Case::new(AwsState::Online, (Step::Wait, ServerPhase::Draining));
    case.reached.memory = case.reached.memory.clone().draining_since(now());
    let status = case.status();
    assert_eq!((status.phase(), status.power), (ServerPhase::Draining, ServerPhase::Online));
    assert_eq!(status.online_since, testing::record().status.online_since);

    let mut case = Case::new(AwsState::Online, (Step::Settled, ServerPhase::Asleep));
    case.reached.observation.server = Ok(None);
    case.reached.memory.asleep = Some(Asleep { since: now(), settings: Settings::default() });
    let status = case.status();
    assert_eq!((status.phase(), status.power), (ServerPhase::Asleep, ServerPhase::Stopped));
    assert_eq!((status.server_id, status.online_since), (None, None));
    assert_eq!(status.host_key_fingerprints, ["SHA256:abc"], "clients know it by them");
}

#[test]
fn a_server_that_is_being_shut_is_looked_at_soon_whatever_ec2_refuses() {
    let mut case = Case::new(AwsState::Online, (Step::Wait, ServerPhase::Draining));
    case.reached.observation.endpoint = Err(refused());
    assert!(!is_slow(&case.next_visit()));
    case.reached.end = (Step::Wait, ServerPhase::Stopping).into();
    assert!(!is_slow(&case.next_visit()));
    case.reached.end = (Step::Wait, ServerPhase::Starting).into();
    assert!(is_slow(&case.next_visit()));
}

#[test]
fn a_log_is_as_young_as_the_last_look_at_which_there_was_none() {
    let mut case = Case::new(AwsState::Online, settled());
    assert_eq!(case.status().logged_since, None, "it was made with one");
    case.reached.observation.server = Ok(Some(Server { log_group_arn: None, ..testing::server(AwsState::Online) }));
    assert_eq!(case.status().logged_since, Some(now()));
    assert_eq!(case.codes(), ["sessions_not_logged"]);
}

#[test]
fn a_server_whose_stop_failed_goes_on_draining() {
    let mut case = Case::new(AwsState::StopFailed, (Step::Wait, ServerPhase::Draining));
    case.reached.memory = case.reached.memory.clone().draining_since(now());
    assert_eq!(case.status().draining.map(|draining| draining.since), Some(now()));
}

#[test]
fn a_server_that_is_online_again_neither_drains_nor_sleeps() {
    let mut case = Case::new(AwsState::Online, settled());
    case.reached.memory.asleep = Some(Asleep { since: now(), settings: Settings::default() });
    assert_eq!(case.asleep(), None);
    let mut case = Case::new(AwsState::Offline, (Step::Settled, ServerPhase::Stopped));
    case.reached.memory = case.reached.memory.clone().draining_since(now());
    assert_eq!(case.status().draining, None);
}

#[test]
fn what_keeps_a_server_from_sleeping_is_told_with_what_to_do() {
    let mut case = Case::new(AwsState::Online, settled());
    case.lacks = vec![Lack::Accounts(vec!["bob".into()])];
    assert_eq!(case.codes(), ["not_rebuildable"]);
    assert!(!case.is_settled() && is_slow(&case.next_visit()));
    case.lacks = vec![Lack::Unknown(Unanswered { error: "throttled".into(), temporary: true })];
    assert!(!is_slow(&case.next_visit()));
}

#[test]
fn a_server_that_is_not_open_or_not_complete_is_not_shown_online_whatever_was_before() {
    let phase = |state, end: End, change: fn(&mut Case)| {
        let mut case = Case::new(state, end);
        change(&mut case);
        case.status().power
    };
    let rebuilt = |case: &mut Case| {
        case.item.record.status.server_id = Some("s-0".into());
        case.reached.memory.keyed = None;
    };
    let gone = |case: &mut Case| case.reached.observation.server = Ok(None);
    assert_eq!(phase(AwsState::Online, busy().into(), |_| {}), ServerPhase::Online);
    assert_eq!(phase(AwsState::Online, busy().into(), rebuilt), ServerPhase::Starting);
    assert_eq!(phase(AwsState::Online, refused().into(), rebuilt), ServerPhase::Starting);
    assert_eq!(phase(AwsState::Online, End::Kept("alice is there".into()), rebuilt), ServerPhase::Starting);
    assert_eq!(phase(AwsState::Stopping, busy().into(), |_| {}), ServerPhase::Stopping);
    assert_eq!(phase(AwsState::Online, busy().into(), gone), ServerPhase::Creating);
}
