//! A table that is new to its servers: nothing of theirs is touched before a person says so.

use serde_json::{Value, json};

use crate::support::{LocalRegion, blog, brisk, server};

/// The tag that tells one table from another.
const ID_TAG: &str = "wharfinger:deployment-id";

/// The table forgets the server, its users, and which deployment it is of.
async fn lose_the_table(local: &LocalRegion) {
    let table = &local.region.plan().tables[0].name;
    for (pk, sk) in [("SERVERS", "main"), ("USERS#main", "alice"), ("DEPLOYMENT", "id")] {
        let key = json!({ "pk": { "S": pk }, "sk": { "S": sk } });
        local
            .region
            .call("dynamodb", "DeleteItem", json!({ "TableName": table, "Key": key }))
            .await
            .expect("it is deleted");
    }
}

/// AWS's servers: ids and the table that each is of.
async fn servers(local: &LocalRegion) -> Vec<(Value, Value)> {
    let listed = local.region.call("transfer", "ListServers", json!({})).await.expect("they are listed");
    let mut servers = Vec::new();
    for listed in listed["Servers"].as_array().into_iter().flatten() {
        let asked = json!({ "ServerId": listed["ServerId"] });
        let described =
            local.region.call("transfer", "DescribeServer", asked).await.expect("it is there")["Server"].clone();
        let tags = described["Tags"].as_array().cloned().unwrap_or_default();
        let id = tags.iter().find(|tag| tag["Key"] == ID_TAG).map(|tag| tag["Value"].clone());
        servers.push((listed["ServerId"].clone(), id.unwrap_or_default()));
    }
    servers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_a_table_that_is_lost_is_left_alone_until_a_person_adopts_it() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let alice = local.log_in().await;
    let before = servers(&local).await;
    lose_the_table(&local).await;

    local.api.put("/v1/servers/main", &server(None)).await.unwrap();
    local
        .until("it is told that the server is another deployment's", || async {
            let conditions = local.server().await?["status"]["conditions"].clone();
            Ok(conditions.to_string().contains("other_deployment").then_some(()))
        })
        .await;
    local.put_alice().await;
    alice.put("index.html", b"as ever").await.unwrap();
    assert_eq!(servers(&local).await, before, "no other one is made");

    local.api.post("/v1/servers/main/adopt").await.unwrap();

    local.until_power("online").await;
    local.until_alice_is_ready().await;
    alice.put("index.html", b"and on").await.unwrap();
    alice.log_out().await.unwrap();
    let after = servers(&local).await;
    assert_eq!((after.len(), &after[0].0), (1, &before[0].0), "it is the same one");
    assert!(after[0].1 != before[0].1 && after[0].1.is_string(), "of this table now");
    let status = local.server().await.unwrap()["status"].clone();
    assert!(!status["conditions"].to_string().contains("other_deployment"), "{status}");
    local.close().await;
}
