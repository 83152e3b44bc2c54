//! The log of sessions: who is on a server is known from the log group that the template gives its servers.

use serde_json::{Value, json};

use crate::support::{LocalRegion, blog, brisk, server};

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_is_in_the_log_of_sessions_until_they_leave() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let alice = local.log_in().await;
    let lines = until_logged(&local, "CONNECTED").await;
    assert_eq!(activities(&lines), ["CONNECTED"]);
    assert_eq!(lines[0]["user"], "alice");

    alice.put("index.html", b"hello").await.unwrap();
    alice.log_out().await.unwrap();
    let lines = until_logged(&local, "DISCONNECTED").await;
    assert_eq!(activities(&lines), ["CONNECTED", "OPEN", "CLOSE", "DISCONNECTED"]);
    assert!(lines.iter().all(|line| line["session-id"] == lines[0]["session-id"]), "{lines:?}");
    assert_eq!(local.region.calls().refused(), [], "a function was refused what it needs");
    local.close().await;
}

fn activities(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["activity-type"].as_str()).collect()
}

/// The lines about the server, once there is one of this activity.
async fn until_logged(local: &LocalRegion, activity: &str) -> Vec<Value> {
    let id =
        local.server().await.expect("the API answers")["status"]["server_id"].as_str().unwrap_or_default().to_owned();
    let of_server = format!(r#"{{ $.resource-arn = "arn:aws:transfer:us-east-1:000000000000:server/{id}" }}"#);
    let group = "/aws/vendedlogs/wharfinger/wharfinger/sftp";
    local
        .until(&format!("{activity} is logged"), || async {
            let asked = json!({ "logGroupName": group, "filterPattern": of_server });
            let events = local.region.call("logs", "FilterLogEvents", asked).await?["events"].clone();
            let texts = events.as_array().into_iter().flatten().filter_map(|event| event["message"].as_str());
            let lines: Vec<Value> = texts.map(serde_json::from_str).collect::<Result<_, _>>()?;
            let is_logged = activities(&lines).contains(&activity);
            Ok(is_logged.then_some(lines))
        })
        .await
}
