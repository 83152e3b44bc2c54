//! The search for servers with our tags.

use super::*;

/// AWS's description of a server with the tags of our server `name` and a record's id.
fn described(id: &str, name: &str, record_id: &str) -> Value {
    json!({ "Server": {
        "Arn": format!("arn:aws:transfer:us-east-1:000000000000:server/{id}"), "ServerId": id, "State": "ONLINE",
        "Tags": [
            { "Key": "wharfinger:server", "Value": name }, { "Key": "wharfinger:deployment", "Value": "harbour" },
            { "Key": "wharfinger:record-id", "Value": record_id },
        ],
    } })
}

#[tokio::test]
async fn a_server_of_others_is_described_once_an_hour_and_one_with_our_tags_each_time() {
    let item = ServerItem { record_id: Some("ours".into()), ..testing::record().into() };
    let (cloud, app) = cloud_with_item(&item);
    let listed = ["s-1", "s-2", "s-3", "s-4"].map(|id| json!({ "Arn": "arn", "ServerId": id }));
    cloud.answer("ListServers", json!({ "Servers": listed }));
    cloud.answer_with(|operation, input| {
        let id = input["ServerId"].as_str().unwrap_or_default();
        let answer = match id {
            "s-2" => described(id, "another", "theirs"),
            "s-3" => described(id, "main", "ours"),
            "s-4" => described(id, "main", "guessed"),
            _ => return None,
        };
        (operation == "DescribeServer").then_some((200, answer))
    });
    let asked = |cloud: &Cloud| {
        let ids = cloud.calls().into_iter().filter(|(name, _)| name == "DescribeServer").map(|(_, input)| input);
        let mut ids: Vec<String> = ids.map(|input| input["ServerId"].as_str().unwrap().to_owned()).collect();
        ids.retain(|id| id != "s-1");
        ids
    };
    let mut looks = Vec::new();
    for minute in [0, 11, 22, 61] {
        deliver(&app, &format!("request-{minute}"), invocation(now() + SignedDuration::from_mins(minute))).await;
        looks.push(asked(&cloud).join(" "));
        let status = status(&app).await;
        for (code, id) in [("second_server", ", s-3, "), ("unproven_server", ", s-4: ")] {
            assert!(condition(&status, code).is_some_and(|it| it["message"].to_string().contains(id)), "{status}");
        }
    }
    assert_eq!(looks, ["s-2 s-3 s-4", "s-3 s-4", "s-3 s-4", "s-2 s-3 s-4"]);
}

#[tokio::test]
async fn a_server_that_can_not_be_described_holds_up_only_the_search_for_one_that_may_be_it() {
    for (asked, expected) in [(None, 1), (Some(now() - SignedDuration::from_mins(2)), 0)] {
        let mut record = testing::record();
        (record.status.server_id, record.status.keyed, record.status.making) = (None, None, asked);
        record.status.power = ServerPhase::Creating;
        let (_cloud, app, servers) = super::create::cloud_of(&ServerItem { asleep: None, ..record.into() });
        servers.state().barred = true;

        deliver(&app, "one", invocation(now())).await;

        assert_eq!(servers.state().asked, expected, "asked for before: {asked:?}");
    }
}
