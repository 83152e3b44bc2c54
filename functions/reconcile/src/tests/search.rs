//! The search for servers with our tags.

use super::*;

/// AWS's description of a server with the tags of our server `name`.
fn described(id: &str, name: &str) -> Value {
    json!({ "Server": {
        "Arn": format!("arn:aws:transfer:us-east-1:000000000000:server/{id}"), "ServerId": id, "State": "ONLINE",
        "Tags": [
            { "Key": "wharfinger:server", "Value": name }, { "Key": "wharfinger:deployment", "Value": "harbour" },
        ],
    } })
}

#[tokio::test]
async fn a_server_of_others_is_described_once_an_hour_and_a_second_one_of_ours_each_time() {
    let (cloud, app) = cloud_with(&testing::record());
    let listed = ["s-1", "s-2", "s-3"].map(|id| json!({ "Arn": "arn", "ServerId": id }));
    cloud.answer("ListServers", json!({ "Servers": listed }));
    cloud.answer_with(|operation, input| {
        let id = input["ServerId"].as_str().unwrap_or_default();
        let answer = match id {
            "s-2" => described(id, "another"),
            "s-3" => described(id, "main"),
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
        assert!(
            condition(&status(&app).await, "second_server").is_some_and(|it| it["message"].to_string().contains("s-3"))
        );
    }
    assert_eq!(looks, ["s-2 s-3", "s-3", "s-3", "s-2 s-3"]);
}
