//! Functions that die in the middle of their work.

use crate::support::{Wharf, blog, brisk, server};

/// Kills every running process of the function whose binary is `wharfinger-{name}`.
fn kill_all(wharf: &Wharf, name: &str) -> usize {
    let statistics = wharf.region.lambda().statistics();
    let ids = statistics.iter().filter(|function| function.function.to_lowercase().contains(name));
    let ids: Vec<u32> = ids.flat_map(|function| function.process_ids.clone()).collect();
    for id in &ids {
        let _ = std::process::Command::new("kill").args(["-9", &id.to_string()]).status();
    }
    ids.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_rollout_again_and_again_changes_nothing_in_the_outcome() {
    let wharf = Wharf::ready(brisk(), &server(None), &blog("1s")).await;
    let alice = wharf.log_in().await;
    alice.put("index.html", b"in spite of it").await.unwrap();
    alice.log_out().await.unwrap();

    // Kill it at each of its steps: after the claim, after the revision, after the update.
    let mut killed = 0;
    for step in ["RegisterTaskDefinition", "UpdateService"] {
        wharf.until(step, || async { Ok((wharf.calls("ecs", step) >= 1).then_some(())) }).await;
        killed += kill_all(&wharf, "rollout");
    }
    let rollouts = wharf.until_rolled_out("succeeded").await;

    assert!(killed > 0, "nothing was killed");
    assert_eq!(rollouts.len(), 1, "{rollouts:?}");
    assert_eq!(wharf.calls("ecs", "RegisterTaskDefinition"), 1, "a second revision was made");
    let revisions = wharf.region.call("ecs", "ListTaskDefinitions", serde_json::json!({})).await.unwrap();
    assert_eq!(revisions["taskDefinitionArns"].as_array().map(Vec::len), Some(2), "{revisions}");
    assert_eq!(wharf.page("/").await, "in spite of it");
    wharf.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_reconcile_while_it_creates_a_server_leaves_one_server() {
    let wharf = Wharf::open(brisk()).await;
    wharf.api.put("/v1/servers/main", &server(None)).await.unwrap();
    for step in ["CreateSecret", "CreateServer", "UpdateServer"] {
        let service = if step == "CreateSecret" { "secretsmanager" } else { "transfer" };
        wharf.until(step, || async { Ok((wharf.calls(service, step) >= 1).then_some(())) }).await;
        kill_all(&wharf, "reconcile");
    }
    wharf.until_power("online").await;

    let servers = wharf.region.call("transfer", "ListServers", serde_json::json!({})).await.unwrap();
    assert_eq!(servers["Servers"].as_array().map(Vec::len), Some(1), "{servers}");
    wharf.close().await;
}
