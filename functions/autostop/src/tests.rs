//! The sweep over a table in memory: whatever is wrong with one thing, the others get their wake-ups and decisions.

use serde_json::{Value, json};
use wharfinger_test_cloud::Cloud;

use super::*;

const NOW: &str = "2026-01-01T12:00:00Z";

/// An invocation with so many seconds to its end.
fn moment(seconds: i64) -> Moment {
    let now: Timestamp = NOW.parse().unwrap();
    Moment::new(now, now + SignedDuration::from_secs(seconds))
}

struct Stage {
    cloud: Cloud,
    app: App,
}

impl Stage {
    fn new() -> Self {
        let cloud = Cloud::new();
        let environment = Environment::from_iter([
            ("TABLE_NAME", wharfinger_test_cloud::TABLE),
            ("SERVERS_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/0/servers"),
            ("TICKS_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/0/ticks"),
            ("METRIC_PERIOD_SECONDS", "300"),
        ]);
        let app = App::new(&cloud.sdk(), &environment, Chance::seeded(1)).unwrap();
        Self { cloud, app }
    }

    /// A server that was never looked at.
    fn server(&self, name: &str) {
        let network = json!({"M": {
            "vpc_id": {"S": "vpc-0a1b2c3d"},
            "subnet_ids": {"L": [{"S": "subnet-0a1b2c3d"}]},
            "security_group_ids": {"L": [{"S": "sg-0a1b2c3d"}]},
        }});
        let power = json!({"M": {
            "power": {"S": "online"}, "by": {"M": {"person": {"S": "alice"}}}, "reason": {"S": "asked"}, "at": {"S": NOW},
        }});
        let spec = json!({"M": {"file_system_id": {"S": "fs-0a1b2c3d"}, "network": network}});
        self.put(
            "SERVERS",
            name,
            json!({"intent": {"M": {"spec": spec, "power": power}}, "status": {"M": {
                "power": {"S": "online"}, "reason": {"S": "asked"}, "settled_version": {"N": "0"},
            }}}),
        );
    }

    /// A site with an open window whose tick was lost.
    fn site(&self, name: &str) {
        let mut spec = json!({});
        for (field, value) in [
            ("file_system_id", "fs-0a1b2c3d"),
            ("directory", "/sites/blog"),
            ("cluster", "local"),
            ("service", "web"),
            ("container", "web"),
            ("mount_path", "/srv"),
        ] {
            spec[field] = json!({"S": value});
        }
        self.put("SITES", name, json!({"intent": {"M": spec}, "status": {"M": {}}}));
        let window = json!({"seq": {"N": "1"}, "first_change": {"S": NOW}, "last_change": {"S": NOW}});
        self.put(&format!("WINDOW#{name}"), "current", json!({"window": {"M": window}}));
    }

    fn put(&self, pk: &str, sk: &str, mut item: Value) {
        let times = [("created_at", NOW), ("updated_at", NOW), ("pk", pk), ("sk", sk)];
        times.iter().for_each(|(field, value)| item[*field] = json!({"S": value}));
        item["version"] = json!({"N": "1"});
        item["deleting"] = json!({"BOOL": false});
        self.cloud.put(&item);
    }

    async fn sweep(&self) -> anyhow::Result<()> {
        self.app.all(moment(60)).await
    }

    /// The sites and servers that were woken.
    fn woken(&self) -> Vec<String> {
        let names = self.cloud.messages().into_iter().map(|message| {
            let name = message.get("server").or(message.get("site")).and_then(Value::as_str);
            name.unwrap().to_owned()
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn has_decision(&self, server: &str) -> bool {
        self.cloud.item("SERVERS", server).is_some_and(|item| item.get("decision").is_some())
    }
}

fn three() -> Stage {
    let stage = Stage::new();
    for name in ["a", "b", "c"] {
        stage.server(&format!("server-{name}"));
        stage.site(&format!("site-{name}"));
    }
    stage
}

#[tokio::test]
async fn everything_is_repaired_and_decided() {
    let stage = three();
    stage.sweep().await.unwrap();
    assert_eq!(stage.woken(), ["server-a", "server-b", "server-c", "site-a", "site-b", "site-c"]);
    assert!(["server-a", "server-b", "server-c"].iter().all(|server| stage.has_decision(server)));
}

#[tokio::test]
async fn a_record_that_can_t_be_read_holds_up_no_other() {
    let stage = three();
    for (partition, name) in [("SERVERS", "server-a"), ("SITES", "site-a"), ("WINDOW#site-b", "current")] {
        stage.put(partition, name, json!({"intent": {"S": "strange"}, "window": {"S": "strange"}}));
    }
    stage.sweep().await.unwrap();
    assert_eq!(stage.woken(), ["server-b", "server-c", "site-c"]);
    assert!(stage.has_decision("server-b") && stage.has_decision("server-c"));
}

#[tokio::test]
async fn the_rollout_of_a_site_that_can_t_be_read_is_woken() {
    let stage = three();
    stage.put("SITES", "site-a", json!({"intent": {"S": "strange"}}));
    stage.put("WINDOW#site-a", "current", json!({"rollout": {"S": "1"}}));
    stage.sweep().await.unwrap();
    assert_eq!(stage.woken(), ["server-a", "server-b", "server-c", "site-a", "site-b", "site-c"]);
}

#[tokio::test]
async fn a_wake_up_that_can_t_be_sent_holds_up_no_other_and_no_decision() {
    let stage = three();
    stage.cloud.answer_with(|operation, input| {
        let body = input["MessageBody"].as_str().unwrap_or_default();
        (operation == "SendMessage" && body.contains("-a")).then(|| (400, json!({"__type": "AccessDenied"})))
    });
    stage.sweep().await.unwrap();
    assert_eq!(stage.woken(), ["server-b", "server-c", "site-b", "site-c"]);
    assert!(stage.has_decision("server-a"));
}

#[tokio::test]
async fn a_read_that_fails_holds_up_no_other() {
    let stage = three();
    stage.cloud.answer_with(|operation, input| {
        let failed = operation == "GetItem" && input["Key"]["pk"]["S"] == "WINDOW#site-a";
        failed.then(|| (500, json!({"__type": "InternalServerError"})))
    });
    stage.sweep().await.unwrap();
    assert_eq!(stage.woken(), ["server-a", "server-b", "server-c", "site-b", "site-c"]);
}

#[tokio::test]
async fn only_what_this_version_does_not_know_is_told_as_unreadable() {
    let stage = three();
    stage.put("SITES", "site-a", json!({"intent": {"S": "strange"}}));
    stage.put("WINDOW#site-b", "current", json!({"window": {"S": "strange"}}));
    stage.cloud.answer_with(|operation, input| {
        let failed = operation == "GetItem" && input["Key"]["pk"]["S"] == "WINDOW#site-c";
        failed.then(|| (500, json!({"__type": "InternalServerError"})))
    });
    let (signs, _) = stage.app.sites(moment(60)).await.unwrap();
    let mut unknown: Vec<(&str, bool)> =
        signs.unknown.iter().map(|site| (site.name.as_str(), site.unreadable)).collect();
    unknown.sort_unstable();
    assert_eq!(unknown, [("site-a", true), ("site-b", true), ("site-c", false)]);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_hangs_keeps_no_server_from_being_woken() {
    let stage = three();
    stage
        .cloud
        .leave_unanswered(|operation, input| operation == "GetItem" && input["Key"]["pk"]["S"] == "WINDOW#site-a");
    let sweep = tokio::time::timeout(Duration::from_secs(60), stage.sweep()).await;
    assert!(sweep.is_err(), "it waits for the window");
    assert_eq!(stage.woken(), ["server-a", "server-b", "server-c", "site-b", "site-c"]);
}

#[tokio::test]
async fn old_places_that_can_t_be_listed_keep_no_site_from_being_woken_and_every_server_online() {
    let stage = three();
    stage.cloud.answer_with(|operation, input| {
        let failed = operation == "Query" && input["ExpressionAttributeValues"][":pk"]["S"] == "WINDOWS";
        failed.then(|| (500, json!({"__type": "InternalServerError"})))
    });
    stage.sweep().await.unwrap();
    assert_eq!(stage.woken(), ["server-a", "server-b", "server-c", "site-a", "site-b", "site-c"]);
    let (signs, undone) = stage.app.sites(moment(60)).await.unwrap();
    assert_eq!(
        (signs.known.len(), signs.unknown.len(), undone.troubles.len()),
        (3, 1, 1),
        "a window of 0.1 may be open there"
    );
}

#[tokio::test]
async fn a_sweep_that_can_t_list_the_sites_fails_after_the_servers_are_looked_at() {
    let stage = three();
    stage.cloud.answer_with(|operation, input| {
        let failed = operation == "Query" && input["ExpressionAttributeValues"][":pk"]["S"] == "SITES";
        failed.then(|| (500, json!({"__type": "InternalServerError"})))
    });
    stage.sweep().await.unwrap_err();
    assert_eq!(stage.woken(), ["server-a", "server-b", "server-c"]);
    assert!(stage.has_decision("server-a"));
}

#[tokio::test]
async fn a_sweep_that_can_t_list_the_servers_fails_after_the_sites_are_repaired() {
    let stage = three();
    stage.cloud.answer_with(|operation, input| {
        let failed = operation == "Query" && input["ExpressionAttributeValues"][":pk"]["S"] == "SERVERS";
        failed.then(|| (500, json!({"__type": "InternalServerError"})))
    });
    assert!(stage.sweep().await.is_err());
    assert_eq!(stage.woken(), ["site-a", "site-b", "site-c"]);
}

#[tokio::test]
async fn a_copy_that_is_open_still_is_closed_after_its_window_and_its_rollout() {
    let stage = Stage::new();
    for (name, changes, rollout) in [("a", 0, false), ("b", 1, false), ("c", 0, true)] {
        stage.site(name);
        let counted = json!({"M": {"seq": {"N": "1"}, "claimed_seq": {"N": (1 - changes).to_string()}}});
        let lock = if rollout { json!({"S": "1"}) } else { json!({"NULL": true}) };
        stage.put(&format!("WINDOW#{name}"), "current", json!({"window": counted, "rollout": lock}));
        let open = json!({"M": {"seq": {"N": "1"}, "claimed_seq": {"N": "0"}}});
        stage.put("WINDOWS", name, json!({"window": open, "copy": {"BOOL": true}}));
    }
    for _ in 0..2 {
        stage.sweep().await.unwrap();
        let claimed = |name| stage.cloud.item("WINDOWS", name).unwrap()["window"]["M"]["claimed_seq"]["N"].clone();
        assert_eq!(["a", "b", "c"].map(claimed), ["1", "0", "0"]);
    }
    assert_eq!(stage.cloud.item("WINDOWS", "a").unwrap()["version"], json!({"N": "2"}), "once");
}

#[tokio::test]
async fn what_release_0_1_left_is_woken_and_left_to_the_rollout() {
    let stage = Stage::new();
    stage.site("a");
    stage.put("WINDOW#a", "current", json!({}));
    let open = json!({"M": {"seq": {"N": "1"}, "first_change": {"S": NOW}, "last_change": {"S": NOW}}});
    stage.put("WINDOWS", "a", json!({"window": open}));
    stage.sweep().await.unwrap();
    assert_eq!(stage.woken(), ["a"]);
    assert_eq!(stage.cloud.item("WINDOWS", "a").unwrap()["version"], json!({"N": "1"}));
}

/// Lets each write of a decision take a second.
fn slow_decisions(stage: &Stage) {
    stage.cloud.delay(Duration::from_secs(1), |operation, input| {
        operation == "UpdateItem" && input["UpdateExpression"].as_str().is_some_and(|it| it.contains("decision"))
    });
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_is_short_of_time_leaves_the_rest_to_the_next_one_whatever_the_names() {
    let stage = Stage::new();
    let names: Vec<String> = (10..70).map(|number| format!("server-{number}")).collect();
    names.iter().for_each(|name| stage.server(name));
    slow_decisions(&stage);
    let undecided = || names.iter().filter(|name| !stage.has_decision(name)).count();
    let mut left = Vec::new();
    for _ in 0..4 {
        // Work may begin in the first second.
        stage.app.all(moment(31)).await.unwrap();
        left.push(undecided());
    }
    assert_eq!(left, [28, 0, 0, 0], "16 at the beginning, and 16 after a second");
}

#[tokio::test(start_paused = true)]
async fn who_was_not_decided_for_longest_is_decided_first() {
    let stage = Stage::new();
    // The later its name, the longer ago a server was decided; two were never.
    for number in 10..30 {
        let name = format!("server-{number}");
        stage.server(&name);
        if number < 28 {
            let mut item = stage.cloud.item("SERVERS", &name).unwrap();
            let at = format!("2026-01-01T11:{}:00Z", 59 - number);
            item["decision"] = json!({"M": {"action": {"S": "keep"}, "reason": {"S": "x"}, "at": {"S": at}}});
            stage.cloud.put(&item);
        }
    }
    slow_decisions(&stage);
    stage.app.all(moment(30)).await.unwrap();
    let calls = stage.cloud.calls();
    let decided = calls.iter().filter(|(_, input)| input["UpdateExpression"] == "SET decision = :decision");
    let mut names: Vec<_> = decided.map(|(_, input)| input["Key"]["sk"]["S"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, (14..30).map(|number| format!("server-{number}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_there_was_no_time_for_is_not_begun() {
    let stage = three();
    stage.app.all(moment(29)).await.unwrap();
    assert!(["server-a", "server-b", "server-c"].iter().all(|server| !stage.has_decision(server)));
    assert_eq!(stage.woken(), ["site-a", "site-b", "site-c"]);
}

#[tokio::test(start_paused = true)]
async fn sites_that_there_is_no_time_for_are_unknown_and_others_each_time() {
    let stage = Stage::new();
    let names: Vec<String> = (10..58).map(|number| format!("site-{number}")).collect();
    names.iter().for_each(|name| stage.site(name));
    stage.cloud.delay(Duration::from_secs(1), |operation, input| {
        operation == "GetItem" && input["Key"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("WINDOW#"))
    });
    let mut looked_at = std::collections::BTreeSet::new();
    for _ in 0..20 {
        // Half of it is for sites.
        let (signs, undone) = stage.app.sites(moment(4)).await.unwrap();
        assert_eq!((signs.known.len(), signs.unknown.len(), undone.left), (32, 16, 16));
        looked_at.extend(signs.known.into_iter().map(|site| site.site.to_string()));
    }
    assert_eq!(looked_at.len(), names.len());
}

#[tokio::test]
async fn that_nobody_is_there_is_noted_while_an_order_keeps_the_server_and_counts_when_that_ends() {
    let stage = Stage::new();
    stage.server("a");
    let mut item = stage.cloud.item("SERVERS", "a").unwrap();
    item["intent"]["M"]["spec"]["M"]["idle"] = json!({"M": {"after": {"S": "30m"}, "action": {"S": "stop"}}});
    item["status"]["M"]["server_id"] = json!({"S": "s-1"});
    item["status"]["M"]["online_since"] = json!({"S": "2026-01-01T08:00:00Z"});
    let at = json!({"S": "2026-01-01T11:00:00Z"});
    item["intent"]["M"]["power"]["M"]["at"] = at.clone();
    item["order"] = json!({"M": {"power": {"S": "online"}, "by": {"S": "alice"}, "at": at}});
    stage.cloud.put(&item);
    let name = ServerName::parse("a").unwrap();
    let read = async || stage.app.table.get::<ServerItem>(&servers::key(&name)).await.unwrap().unwrap();

    let quiet = Some(Ok(Traffic::default()));
    stage.app.decide(&name, &read().await, quiet, &SiteSigns::default(), moment(60)).await.unwrap();

    let read = read().await;
    let end: Timestamp = "2026-01-01T13:00:00Z".parse().unwrap();
    let decision = read.decision.clone().unwrap();
    assert_eq!((decision.action, decision.possible_at), (Action::Close, Some(end)), "{decision}");
    assert_eq!(read.wish(NOW.parse().unwrap()).power, Power::Online);
    assert_eq!(read.wish(end).power, Power::Stopped);
    assert_eq!(stage.woken(), [""; 0], "there is nothing to do yet");
}

#[tokio::test(start_paused = true)]
async fn metrics_that_nobody_answers_keep_their_servers_online_and_hold_up_no_decision_about_others() {
    let stage = three();
    let mut item = stage.cloud.item("SERVERS", "server-a").unwrap();
    item["intent"]["M"]["spec"]["M"]["idle"] = json!({"M": {"after": {"S": "30m"}, "action": {"S": "stop"}}});
    item["status"]["M"]["server_id"] = json!({"S": "s-1"});
    item["status"]["M"]["online_since"] = json!({"S": "2026-01-01T08:00:00Z"});
    stage.cloud.put(&item);
    stage.cloud.delay(Duration::from_secs(12), |operation, _| operation.contains("GetMetricData"));
    let sweep = async { stage.sweep().await.unwrap() };
    let look = async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(stage.has_decision("server-b") && !stage.has_decision("server-a"));
    };
    tokio::join!(sweep, look);
    let decision = stage.cloud.item("SERVERS", "server-a").unwrap()["decision"]["M"].clone();
    assert_eq!(decision["action"]["S"], "keep", "{decision}");
    assert!(decision["reason"]["S"].as_str().unwrap().contains("traffic"), "{decision}");
}

/// The answer of CloudWatch that nothing moved on the only server that is asked about.
fn no_traffic(stage: &Stage) {
    let nothing = |id| json!({ "Id": id, "Timestamps": [], "Values": [], "StatusCode": "Complete" });
    let results = json!({ "MetricDataResults": [nothing("bytesin_0"), nothing("bytesout_0")] });
    stage.cloud.answer("GetMetricData", results);
}

#[tokio::test]
async fn a_server_that_a_person_started_is_kept_for_manual_keep_though_nobody_comes() {
    // The default is two hours.
    for (keep, ordered_at, power) in [
        (None, "2026-01-01T10:01:00Z", Power::Online),
        (None, "2026-01-01T10:00:00Z", Power::Stopped),
        (Some("1h"), "2026-01-01T10:59:59Z", Power::Stopped),
        (Some("3h"), "2026-01-01T09:01:00Z", Power::Online),
    ] {
        let stage = Stage::new();
        stage.server("main");
        no_traffic(&stage);
        let mut item = stage.cloud.item("SERVERS", "main").unwrap();
        let spec = &mut item["intent"]["M"]["spec"]["M"];
        spec["idle"] = json!({"M": {"after": {"S": "30m"}, "action": {"S": "stop"}}});
        if let Some(keep) = keep {
            spec["manual_keep"] = json!({"S": keep});
        }
        item["status"]["M"]["server_id"] = json!({"S": "s-1"});
        item["status"]["M"]["online_since"] = json!({"S": "2026-01-01T08:00:00Z"});
        item["intent"]["M"]["power"]["M"]["at"] = json!({"S": "2026-01-01T08:00:00Z"});
        item["order"] = json!({"M": {"power": {"S": "online"}, "by": {"S": "alice"}, "at": {"S": ordered_at}}});
        stage.cloud.put(&item);

        stage.sweep().await.unwrap();

        let key = servers::key(&ServerName::parse("main").unwrap());
        let item: ServerItem = stage.app.table.get(&key).await.unwrap().unwrap();
        let wanted = item.wish("2026-01-01T12:00:00Z".parse().unwrap()).power;
        assert_eq!(wanted, power, "started at {ordered_at}, kept for {keep:?}: {:?}", item.decision);
    }
}
