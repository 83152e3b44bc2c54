//! Windows over a table in memory, and over what release 0.1 wrote there.

use serde_json::{Value, json};
use wharfinger_chance::Chance;
use wharfinger_decisions::{
    rollout::State,
    seen_events::ENTRY_BYTES,
    sftp_event::{Change, Effect},
    turns::Turns,
};
use wharfinger_test_cloud::{Cloud, TABLE};

use super::*;
use crate::{
    record::Seen,
    rollouts::RolloutRecord,
    windows::{
        old_place::OldPlaces,
        seen::{HORIZON, MOST_INLINE, MOST_SEEN},
    },
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn stage() -> (Cloud, Table, SiteName) {
    let cloud = Cloud::new();
    let table = Table::new(aws_sdk_dynamodb::Client::new(&cloud.sdk()), TABLE, Chance::seeded(1));
    (cloud, table, SiteName::parse("blog").unwrap())
}

fn change(event: u64) -> Change {
    Change {
        event,
        at: at(i64::try_from(event).unwrap()),
        dated: true,
        file: format!("wp-content/uploads/2026/01/image-{event}.jpg"),
        effect: Effect::Whole,
        bytes: 10,
        user: Some("alice".into()),
        marker: false,
    }
}

/// Takes changes in, as `rollout` does.
async fn absorb(table: &Table, site: &SiteName, events: std::ops::Range<u64>, now: Timestamp) -> (u64, u64) {
    let changes: Vec<Change> = events.map(change).collect();
    let mut record = table.window_to_change(site, now).await.unwrap();
    let seen = table.seen_events(site, &record, &changes, now).await.unwrap();
    let absorbed = record.window.absorb(&seen, &changes, now);
    if absorbed.new > 0 {
        table.count(site, &record, &absorbed.events, now).await.unwrap();
    }
    (absorbed.new, absorbed.repeated)
}

fn rollout(site: &SiteName, record: &WindowRecord) -> RolloutRecord {
    let rollout = json!({"id": "1", "site": site, "state": "claimed", "reason": "the window is over",
        "cause": record.window.cause(String::new()), "started_at": at(0)});
    RolloutRecord::begun(serde_json::from_value(rollout).unwrap(), at(60))
}

async fn claim(table: &Table, site: &SiteName) -> WindowRecord {
    let record = table.window(site).await.unwrap();
    let window = record.window.claimed(&Default::default(), at(0));
    let claimed = WindowRecord { window, rollout: Some("1".into()), ..record.clone() };
    let turns = table.turns(&spec()).await.unwrap();
    table.claim(&claimed, &turns, &rollout(site, &record)).await.unwrap();
    claimed
}

fn spec() -> SiteSpec {
    serde_json::from_value(json!({"file_system_id": "fs-0a1b2c3d", "directory": "/sites/blog", "cluster": "local",
        "service": "web", "container": "web", "mount_path": "/srv"}))
    .unwrap()
}

/// The size of an item as DynamoDB bills it, roughly: names and values.
fn size(value: &Value) -> usize {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| if name.len() > 4 { name.len() } else { 1 } + size(value)).sum()
        }
        Value::Array(items) => items.iter().map(size).sum::<usize>() + items.len(),
        Value::String(text) => text.len(),
        _ => 1,
    }
}

/// An item as release 0.1 wrote it: two changes wait, a rollout is in flight, two events are known.
fn of_release_0_1(cloud: &Cloud) {
    let memory = format!("{:012x}{:016x}{:016x}1", 1_800_000_000_000_u64, 1, 7);
    cloud.put(&json!({
        "pk": {"S": "WINDOWS"}, "sk": {"S": "blog"},
        "window": {"M": {
            "seq": {"N": "7"}, "claimed_seq": {"N": "5"}, "bytes": {"N": "20"},
            "first_change": {"S": "2027-01-15T08:00:00Z"}, "last_change": {"S": "2027-01-15T08:00:10Z"},
            "files": {"M": {"a": {"S": "2027-01-15T08:00:00Z"}}}, "users": {"M": {}}, "holds": {"M": {}},
            "marker": {"NULL": true},
        }},
        "memory": {"S": memory}, "armed_until": {"S": "2027-01-15T08:01:10Z"},
        "rollout": {"S": "1"}, "version": {"N": "9"},
    }));
}

#[tokio::test]
async fn a_window_and_a_lock_of_release_0_1_are_taken_over() {
    let (cloud, table, site) = stage();
    of_release_0_1(&cloud);
    let read = table.window(&site).await.unwrap();
    assert_eq!((read.window.changes(), read.rollout.as_deref()), (2, Some("1")));
    let record = table.window_to_change(&site, at(0)).await.unwrap();
    assert_eq!((record.window.changes(), record.rollout.as_deref()), (2, Some("1")));
    assert!(table.seen_events(&site, &record, &[change(1)], at(1)).await.unwrap().knows(1, 7), "its events stay known");
    assert_eq!(cloud.item("WINDOWS", "blog").unwrap()["copy"], json!({"BOOL": true}));
    assert_eq!(table.window(&site).await.unwrap(), record, "once");
}

/// How the copy's window stands: changes ever counted, and those claimed.
fn copied(cloud: &Cloud) -> (Value, Value) {
    let window = cloud.item("WINDOWS", "blog").unwrap()["window"]["M"].clone();
    (window["seq"]["N"].clone(), window["claimed_seq"]["N"].clone())
}

/// Closes the copy, as the sweep does with what it read as `places`.
async fn sweep(table: &Table, site: &SiteName, places: &OldPlaces) {
    let record = table.window_beside(places, site).await.unwrap();
    if record.has_stale_copy() {
        table.close_copy(site, &record).await.unwrap();
    }
}

#[tokio::test]
async fn release_0_1_sees_an_open_window_until_the_sweep_closes_its_copy() {
    let (cloud, table, site) = stage();
    absorb(&table, &site, 0..3, at(5)).await;
    let old = cloud.item("WINDOWS", "blog").unwrap();
    assert_eq!(copied(&cloud), (json!("3"), json!("0")));
    assert_eq!(old["window"]["M"]["last_change"], json!({"S": at(2).to_string()}));
    assert!(old.get("memory").is_none(), "its form has changed");
    sweep(&table, &site, &table.old_places().await.unwrap()).await;
    assert_eq!(copied(&cloud), (json!("3"), json!("0")), "changes wait");
    claim(&table, &site).await;
    sweep(&table, &site, &table.old_places().await.unwrap()).await;
    assert_eq!(copied(&cloud), (json!("3"), json!("0")), "they are being rolled out");
    table.free_window(&table.rollout(&site, "1").await.unwrap().unwrap()).await.unwrap();
    sweep(&table, &site, &table.old_places().await.unwrap()).await;
    assert_eq!(copied(&cloud), (json!("3"), json!("3")));
    assert!(cloud.item("WINDOWS", "blog").unwrap()["window"]["M"]["last_change"].get("S").is_none());
}

#[tokio::test]
async fn a_copy_that_is_closed_names_no_rollout() {
    let (cloud, table, site) = stage();
    cloud.put_plain(
        "WINDOWS",
        "blog",
        &json!({"window": {"seq": 3, "claimed_seq": 0}, "rollout": "1", "version": 1,
        "copy": true}),
    );
    sweep(&table, &site, &table.old_places().await.unwrap()).await;
    let old = cloud.item("WINDOWS", "blog").unwrap();
    assert_eq!((&old["version"], old.get("rollout")), (&json!({"N": "2"}), None));
}

#[tokio::test]
async fn the_copy_is_written_once_for_each_time_that_the_window_opens() {
    let (cloud, table, site) = stage();
    let copies = || {
        let calls = cloud.calls();
        calls.iter().filter(|(name, input)| name == "PutItem" && input["Item"]["pk"]["S"] == "WINDOWS").count()
    };
    for (event, written) in [(0, 1), (1, 0), (2, 0)] {
        absorb(&table, &site, event..event + 1, at(5)).await;
        assert_eq!(copies(), written, "event {event}");
    }
    claim(&table, &site).await;
    table.free_window(&table.rollout(&site, "1").await.unwrap().unwrap()).await.unwrap();
    assert_eq!(copies(), 0);
    absorb(&table, &site, 3..4, at(50)).await;
    assert_eq!(copies(), 1, "although it was open still: the sweep may be about to close it");
}

/// Whatever the sweep saw before the window opened, the copy of an open window is open in the end.
#[tokio::test]
async fn a_sweep_that_meets_an_opening_window_leaves_its_copy_open() {
    for sweep_comes_between in [false, true] {
        let (cloud, table, site) = stage();
        absorb(&table, &site, 0..1, at(5)).await;
        claim(&table, &site).await;
        table.free_window(&table.rollout(&site, "1").await.unwrap().unwrap()).await.unwrap();
        let places = table.old_places().await.unwrap();
        let closed = table.window_beside(&places, &site).await.unwrap();
        assert!(closed.has_stale_copy());
        let mut record = table.window_to_change(&site, at(50)).await.unwrap();
        let absorbed = record.window.absorb(&SeenEvents::default(), &[change(1)], at(50));
        if sweep_comes_between {
            table.close_copy(&site, &closed).await.unwrap();
            table.count(&site, &record, &absorbed.events, at(50)).await.unwrap();
        } else {
            table.count(&site, &record, &absorbed.events, at(50)).await.unwrap();
            table.close_copy(&site, &closed).await.unwrap();
        }
        assert_eq!(copied(&cloud), (json!("2"), json!("1")), "{sweep_comes_between}");
    }
}

#[tokio::test]
async fn what_came_in_while_a_rollback_lasted_is_taken_over_too() {
    let (cloud, table, site) = stage();
    absorb(&table, &site, 0..3, at(5)).await;
    of_release_0_1(&cloud);
    let record = table.window_to_change(&site, at(6)).await.unwrap();
    assert_eq!((record.window.changes(), record.rollout.as_deref()), (5, Some("1")));
    assert_eq!(absorb(&table, &site, 0..3, at(7)).await, (0, 3));
}

#[tokio::test]
async fn of_two_who_take_over_one_starts_anew() {
    let (cloud, table, site) = stage();
    of_release_0_1(&cloud);
    let (one, two) = (table.window(&site).await.unwrap(), table.window(&site).await.unwrap());
    let none = SeenEvents::default();
    table.count(&site, &one, &none, at(0)).await.unwrap();
    assert!(matches!(table.count(&site, &two, &none, at(0)).await, Err(StoreError::Conflict)));
    assert_eq!(table.window(&site).await.unwrap().window.changes(), 2);
}

#[tokio::test]
async fn a_copy_that_was_not_written_is_written_by_the_next_look() {
    let (cloud, table, site) = stage();
    cloud.answer_with(|operation, input| {
        let copy = operation == "PutItem" && input["Item"]["pk"]["S"] == "WINDOWS";
        copy.then(|| (500, json!({"__type": "InternalServerError"})))
    });
    let mut record = table.window(&site).await.unwrap();
    let absorbed = record.window.absorb(&SeenEvents::default(), &[change(1)], at(0));
    assert!(table.count(&site, &record, &absorbed.events, at(0)).await.is_err());
    cloud.answer_with(|_, _| None);
    assert!(cloud.item("WINDOWS", "blog").is_none());
    table.window_to_change(&site, at(1)).await.unwrap();
    assert!(cloud.item("WINDOWS", "blog").is_some());
}

#[tokio::test]
async fn a_steady_upload_a_second_costs_four_write_units_at_most_whatever_the_burst_before() {
    let (cloud, table, site) = stage();
    absorb(&table, &site, 0..1_000, at(0)).await;
    let _ = cloud.calls();
    for event in 1_000..1_040 {
        absorb(&table, &site, event..event + 1, at(i64::try_from(event).unwrap())).await;
        let writes: Vec<_> =
            cloud.calls().into_iter().filter(|(name, _)| name != "GetItem" && name != "Query").collect();
        assert!(writes.iter().all(|(name, _)| name == "PutItem"), "none in a transaction, which costs twice");
        let units: usize = writes.iter().map(|(_, input)| size(&input["Item"]).div_ceil(1_024)).sum();
        assert!(units <= 4, "{units}: {writes:?}");
    }
}

#[tokio::test]
async fn an_event_is_counted_once_after_a_burst_and_after_many_others() {
    let (_, table, site) = stage();
    assert_eq!(absorb(&table, &site, 0..500, at(0)).await, (500, 0));
    for event in 500..560 {
        assert_eq!(absorb(&table, &site, event..event + 1, at(900)).await, (1, 0));
    }
    assert_eq!(absorb(&table, &site, 0..560, at(900)).await, (0, 560));
    claim(&table, &site).await;
    assert_eq!(absorb(&table, &site, 0..560, at(901)).await, (0, 560), "a claim forgets nothing");
    let most = usize::try_from(MOST_SEEN).unwrap();
    assert!(MOST_INLINE * ENTRY_BYTES < 400 && most >= 560);
}

#[tokio::test]
async fn an_event_is_forgotten_by_its_age_whether_dynamodb_has_removed_it_or_not() {
    let (cloud, table, site) = stage();
    absorb(&table, &site, 0..100, at(0)).await;
    let record = table.window(&site).await.unwrap();
    let kept = table
        .seen_events(&site, &record, &[change(1)], at(0) + HORIZON - jiff::SignedDuration::from_secs(1))
        .await
        .unwrap();
    let late = table.seen_events(&site, &record, &[change(1)], at(0) + HORIZON).await.unwrap();
    assert_eq!((kept.len(), late.len()), (100, 0));
    let expires = &cloud.item("WINDOW#blog", "seen#00000000000000000001#burst").unwrap()["expires_at"];
    assert_eq!(*expires, json!({"N": (at(0).as_second() + 14 * 86_400).to_string()}));
}

#[tokio::test]
async fn a_rollout_is_kept_with_the_site_that_it_was_made_from() {
    let (cloud, table, site) = stage();
    absorb(&table, &site, 0..1, at(0)).await;
    let record = table.window(&site).await.unwrap();
    let claimed = WindowRecord { rollout: Some("1".into()), ..record.clone() };
    let begun = RolloutRecord { spec: Some(spec()), ..rollout(&site, &record) };
    let turns = table.turns(&spec()).await.unwrap();
    let turns = turns.with(turns.turns.taken(&site, "1"));
    table.claim(&claimed, &turns, &begun).await.unwrap();
    let expires = cloud.item("ROLLOUTS#blog", "1").unwrap()["expires_at"].clone();
    assert_eq!(expires, json!({"N": (at(0).as_second() + 365 * 86_400).to_string()}));
    let rollout = table.rollout(&site, "1").await.unwrap().unwrap();
    table.free_window(&rollout).await.unwrap();
    assert_eq!(table.window(&site).await.unwrap().rollout, None);
    assert!(matches!(table.free_window(&rollout).await, Err(StoreError::Conflict)), "it holds it no longer");
    assert_eq!(table.latest_rollout(&site).await.unwrap().unwrap().spec, Some(spec()));
}

#[tokio::test]
async fn a_service_s_turn_goes_to_one_rollout_and_is_given_back_by_it() {
    let (_, table, site) = stage();
    let docs = SiteName::parse("docs").unwrap();
    let free = table.turns(&spec()).await.unwrap();
    for (name, won) in [(&site, true), (&docs, false)] {
        let record = WindowRecord { rollout: Some("1".into()), ..WindowRecord::default() };
        let claimed = table.claim(&record, &free.with(free.turns.taken(name, "1")), &rollout(name, &record)).await;
        assert_eq!(claimed.is_ok(), won, "{name}");
    }
    let taken = table.turns(&spec()).await.unwrap();
    table.write_turns(&taken.with(taken.turns.queued(&docs, at(1)))).await.unwrap();
    assert!(matches!(table.write_turns(&taken).await, Err(StoreError::Conflict)));
    assert!(table.is_in_flight(taken.turns.holder.as_ref().unwrap()).await.unwrap());
    assert_eq!(table.release_turn(&spec(), "2").await.unwrap().holder, taken.turns.holder);
    let released = table.release_turn(&spec(), "1").await.unwrap();
    assert_eq!((released.holder, released.waiting.len()), (None, 1));
}

#[tokio::test]
async fn turns_that_can_t_be_read_are_nobody_s_and_are_written_over() {
    let waiting = json!([{"site": "docs", "since": at(1)}, {"site": 5}, "shop"]);
    for (item, kept) in [
        (json!({"holder": {"site": "blog"}, "waiting": waiting, "version": 4}), 1),
        (json!({"holder": null, "waiting": waiting, "version": "four"}), 1),
        (json!({"holder": "blog", "waiting": {}}), 0),
    ] {
        let (cloud, table, site) = stage();
        cloud.put_plain("TURNS#local/web", "current", &item);
        let read = table.turns(&spec()).await.unwrap();
        assert_eq!((&read.turns.holder, read.turns.waiting.len()), (&None, kept), "{item}");
        let taken = read.with(read.turns.taken(&site, "1"));
        let record = WindowRecord { rollout: Some("1".into()), ..WindowRecord::default() };
        table.claim(&record, &taken, &rollout(&site, &record)).await.unwrap();
        assert_eq!(table.turns(&spec()).await.unwrap().turns, taken.turns, "{item}");
        let again = table.write_turns(&taken).await;
        assert!(matches!(again, Err(StoreError::Conflict)), "it was written since: {item}");
    }
}

#[tokio::test]
async fn a_turn_counts_only_while_its_site_s_window_names_its_rollout() {
    let (_, table, site) = stage();
    claim(&table, &site).await;
    let holder = Turns::default().taken(&site, "1").holder.unwrap();
    assert!(table.is_in_flight(&holder).await.unwrap());
    let window = table.window(&site).await.unwrap();
    table.write_window(&site, &WindowRecord { rollout: Some("of release 0.1".into()), ..window }).await.unwrap();
    assert!(!table.is_in_flight(&holder).await.unwrap(), "nobody follows it");
}

#[tokio::test]
async fn a_window_that_is_freed_tells_whether_changes_wait() {
    for waiting in [false, true] {
        let (_, table, site) = stage();
        absorb(&table, &site, 0..1, at(0)).await;
        claim(&table, &site).await;
        if waiting {
            absorb(&table, &site, 1..2, at(1)).await;
        }
        assert_eq!(table.free_window(&table.rollout(&site, "1").await.unwrap().unwrap()).await.unwrap(), waiting);
    }
}

#[tokio::test]
async fn a_rollout_whose_write_is_sent_again_meets_no_conflict_with_itself() {
    let (_, table, site) = stage();
    absorb(&table, &site, 0..1, at(0)).await;
    claim(&table, &site).await;
    let read = table.rollout_record(&site, "1").await.unwrap().unwrap();
    let mut over = read.clone();
    over.rollout.state = State::Failed;
    let written = table.write_rollout(&over).await.unwrap();
    assert_eq!(table.write_rollout(&over).await.unwrap(), written);
    assert!(matches!(table.write_rollout(&read).await, Err(StoreError::Conflict)), "another's");
}

#[tokio::test]
async fn a_lone_upload_reads_no_event_of_long_ago_and_a_repeat_does() {
    let (cloud, table, site) = stage();
    absorb(&table, &site, 0..100, at(100)).await;
    let queries = || cloud.calls().iter().filter(|(name, _)| name == "Query").count();
    queries();
    assert_eq!(absorb(&table, &site, 110..111, at(110)).await, (1, 0));
    assert_eq!(queries(), 0);
    for repeated in [99, 0, 110] {
        assert_eq!(absorb(&table, &site, repeated..repeated + 1, at(120)).await, (0, 1), "{repeated}");
    }
    assert_eq!(queries(), 2, "110 is in the window's own item");
    assert_eq!(absorb(&table, &site, 109..110, at(120)).await, (1, 0));
    assert_eq!(queries(), 1, "its clock may be ahead");
}

#[tokio::test]
async fn an_event_without_a_time_counts_once_however_late_it_comes_again() {
    let (_, table, site) = stage();
    let undated = |seconds| Change { at: at(seconds), dated: false, ..change(1_000) };
    let mut counted = Vec::new();
    for (change, seconds) in [(undated(0), 0), (undated(200), 200)] {
        let mut record = table.window_to_change(&site, at(seconds)).await.unwrap();
        let changes = [change];
        let seen = table.seen_events(&site, &record, &changes, at(seconds)).await.unwrap();
        let absorbed = record.window.absorb(&seen, &changes, at(seconds));
        counted.push((absorbed.new, absorbed.repeated));
        table.count(&site, &record, &absorbed.events, at(seconds)).await.unwrap();
        // So many others that it no longer lies in the window's own item.
        for event in 0..20 {
            absorb(&table, &site, event..event + 1, at(seconds)).await;
        }
    }
    assert_eq!(counted, [(1, 0), (0, 1)]);
}

#[test]
fn a_site_that_another_version_stored_is_left_out() {
    let record: WindowRecord =
        serde_json::from_value(json!({"rollout": "1", "rollout_spec": {"future": true}, "version": 2})).unwrap();
    assert_eq!((record.rollout.as_deref(), record.rollout_spec), (Some("1"), None));
}

#[tokio::test]
async fn a_forgotten_site_leaves_no_window_at_either_place() {
    let (cloud, table, site) = stage();
    cloud.put(&json!({"pk": {"S": "SITES"}, "sk": {"S": "blog"}, "version": {"N": "1"}}));
    absorb(&table, &site, 0..1, at(0)).await;
    let record = table.window(&site).await.unwrap();
    let links = table.links(&site).await.unwrap();
    table.forget_site(&site, Seen::Version(1), &[], links, &record).await.unwrap();
    assert!(cloud.item("WINDOW#blog", "current").is_none() && cloud.item("WINDOWS", "blog").is_none());
}

#[tokio::test]
async fn activity_is_noted_with_its_end() {
    let (cloud, table, _) = stage();
    table.note_activity("s-1", at(0)).await.unwrap();
    let item = cloud.item("ACTIVITY", "s-1").unwrap();
    assert_eq!(item["expires_at"], json!({"N": (at(0).as_second() + 30 * 86_400).to_string()}));
    assert_eq!(table.last_activity("s-1").await.unwrap(), Some(at(0)));
}

#[test]
fn a_window_that_waits_for_a_person_alone_needs_no_server() {
    let spec = json!({"file_system_id": "fs-0a1b2c3d", "directory": "/sites/blog", "cluster": "local", "service": "web",
        "container": "web", "mount_path": "/srv"});
    let spec: SiteSpec = serde_json::from_value(spec).unwrap();
    let careful = SiteSpec { approval: true, ..spec.clone() };
    let mut record = WindowRecord::default();
    assert!(!record.needs_server(&careful, at(0)));
    record.window.absorb(&SeenEvents::default(), &[change(0)], at(0));
    assert!(record.needs_server(&careful, at(30)), "more may come");
    assert!(!record.needs_server(&careful, at(60)));
    assert!(record.needs_server(&spec, at(60)), "it is rolled out now");
}

#[tokio::test]
async fn a_window_that_opens_beside_changes_of_the_last_rollout_is_copied() {
    let (cloud, table, site) = stage();
    absorb(&table, &site, 0..1, at(0)).await;
    let record = table.window(&site).await.unwrap();
    let window = record.window.claimed(&Default::default(), at(100));
    table.write_window(&site, &WindowRecord { window, ..record }).await.unwrap();
    let record = table.window(&site).await.unwrap();
    table.close_copy(&site, &record).await.unwrap();
    let shown = |cloud: &Cloud| cloud.item("WINDOWS", "blog").unwrap()["window"]["M"].clone();
    assert_eq!(shown(&cloud)["seq"], shown(&cloud)["claimed_seq"]);
    // The first two were made before the claim, the last one after it.
    absorb(&table, &site, 1..3, at(101)).await;
    let late = Change { at: at(101), ..change(3) };
    let mut record = table.window_to_change(&site, at(102)).await.unwrap();
    let absorbed = record.window.absorb(&record.seen.clone(), &[change(4), change(5), late], at(102));
    assert_eq!((absorbed.new, absorbed.covered), (1, 2));
    table.count(&site, &record, &absorbed.events, at(102)).await.unwrap();
    assert_ne!(shown(&cloud)["seq"], shown(&cloud)["claimed_seq"], "it is open again");
}
