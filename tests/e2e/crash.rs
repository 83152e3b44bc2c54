//! Functions that die in the middle of their work. The simulation kills them at any call that they make, in stories
//! drawn from seeds; here real processes get a real SIGKILL, so that Lambda's part is in it too: the message comes
//! again, to a process that starts anew.

use crate::support::{LocalRegion, blog, brisk, server};

/// Kills every running process of the function whose binary is `wharfinger-{name}`, and tells how many there were.
#[must_use]
fn kill_all(local: &LocalRegion, name: &str) -> usize {
    let statistics = local.region.lambda().statistics();
    let ids = statistics.iter().filter(|function| function.function.to_lowercase().contains(name));
    let ids: Vec<u32> = ids.flat_map(|function| function.process_ids.clone()).collect();
    let kill = |id: &&u32| std::process::Command::new("kill").args(["-9", &id.to_string()]).status();
    ids.iter().filter(|id| kill(id).is_ok_and(|status| status.success())).count()
}

/// Kills the function `name` at each of `steps`, as soon as it has made the call, and tells how many processes died.
async fn kill_at(local: &LocalRegion, name: &str, steps: &[(&str, &str)]) -> usize {
    let mut killed = 0;
    for (service, operation) in steps {
        local.until(operation, || async { Ok((local.calls(service, operation) >= 1).then_some(())) }).await;
        killed += kill_all(local, name);
    }
    killed
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_rollout_again_and_again_changes_nothing_in_the_outcome() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let alice = local.log_in().await;
    alice.put("index.html", b"in spite of it").await.unwrap();
    alice.log_out().await.unwrap();

    let steps = [("ecs", "DescribeServices"), ("ecs", "RegisterTaskDefinition"), ("ecs", "UpdateService")];
    let killed = kill_at(&local, "rollout", &steps).await;
    let rollouts = local.until_rolled_out("succeeded").await;

    assert!(killed > 0, "nothing was killed");
    assert_eq!(rollouts.len(), 1, "{rollouts:?}");
    assert_eq!(local.calls("ecs", "RegisterTaskDefinition"), 1, "a second revision was made");
    let revisions = local.region.call("ecs", "ListTaskDefinitions", serde_json::json!({})).await.unwrap();
    assert_eq!(revisions["taskDefinitionArns"].as_array().map(Vec::len), Some(2), "{revisions}");
    assert_eq!(local.page("/").await, "in spite of it");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_reconcile_while_it_creates_a_server_leaves_one_server() {
    let local = LocalRegion::open(brisk()).await;
    local.api.put("/v1/servers/main", &server(None)).await.unwrap();
    // Each kill leaves a lease behind that has to run out.
    let steps = [("secretsmanager", "CreateSecret"), ("transfer", "CreateServer"), ("transfer", "UpdateServer")];
    let killed = kill_at(&local, "reconcile", &steps).await;
    local.until_power("online").await;

    assert!(killed > 0, "nothing was killed");
    let servers = local.region.call("transfer", "ListServers", serde_json::json!({})).await.unwrap();
    assert_eq!(servers["Servers"].as_array().map(Vec::len), Some(1), "{servers}");
    local.close().await;
}
